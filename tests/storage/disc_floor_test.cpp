// Dead log rows vanish when a table is made, live ones never; nothing before all floors are known.

#include "base/bytes.h"
#include "base/prng.h"
#include "tests/storage/disc_support.h"

#include <atomic>
#include <random>
#include <set>
#include <thread>

namespace warren::storage {
namespace {

constexpr auto kLog = Keyspace::log;

Floor floor_at(std::uint64_t checkpoint, std::vector<std::uint64_t> live) {
  return Floor{checkpoint, std::make_shared<const std::vector<std::uint64_t>>(std::move(live))};
}

class DiscFloorTest : public DiscTest {
 protected:
  void SetUp() override { store_ = must_open(dir_.store()); }
  void fill(GroupUid uid, std::uint64_t first, std::uint64_t last) {
    WriteBatch batch;
    for (auto i = first; i <= last; ++i) batch.put(kLog, log_key(uid, i), std::string(100, 'v'));
    ASSERT_TRUE(store_->write(batch, Durability::synced).has_value());
  }
  std::set<std::uint64_t> present(GroupUid uid) {
    std::set<std::uint64_t> out;
    for (const auto& [key, value] : rows(*store_, kLog, log_key(uid, 0), log_key(uid + 1, 0))) {
      out.insert(load_be<std::uint64_t>(key.data() + 8));
    }
    return out;
  }
  static std::set<std::uint64_t> range(std::uint64_t first, std::uint64_t last) {
    std::set<std::uint64_t> out;
    for (auto i = first; i <= last; ++i) out.insert(i);
    return out;
  }
  void flush() { ASSERT_TRUE(disc(*store_).flush_log().has_value()); }
  void reopen() {
    store_.reset();
    store_ = must_open(dir_.store());
  }

  std::unique_ptr<Store> store_;
};

TEST_F(DiscFloorTest, DropsTheDeadOnFlush) {
  fill(1, 1, 100);
  fill(2, 1, 10);
  store_->set_floor(1, floor_at(90, {5, 50}));
  store_->floors_loaded();
  flush();
  auto expected = range(91, 100);
  expected.insert({5, 50});
  EXPECT_EQ(present(1), expected);
  EXPECT_EQ(present(2), range(1, 10)) << "a group without a floor is alive";
}

TEST_F(DiscFloorTest, WritesNothingWhenAllIsDead) {
  fill(1, 1, 1000);
  store_->set_floor(1, floor_at(1000, {}));
  store_->floors_loaded();
  flush();
  EXPECT_EQ(store_->stats().log_bytes_flushed, 0u);
  EXPECT_TRUE(present(1).empty());
}

TEST_F(DiscFloorTest, DropsNothingBeforeAllFloorsAreKnown) {
  fill(1, 1, 100);
  store_->set_floor(1, floor_at(90, {}));
  store_->retire(2);
  flush();
  EXPECT_EQ(present(1), range(1, 100));
  reopen();
  store_->set_floor(1, floor_at(90, {}));
  ASSERT_TRUE(disc(*store_).compact_log().has_value());
  EXPECT_EQ(present(1), range(1, 100));
  store_->floors_loaded();
  ASSERT_TRUE(disc(*store_).compact_log().has_value());
  EXPECT_EQ(present(1), range(91, 100));
}

TEST_F(DiscFloorTest, AsksForFreshFloorsBeforeAFlush) {
  fill(1, 1, 100);
  store_->set_floor(1, floor_at(10, {}));
  store_->floors_loaded();
  std::atomic<int> asked{0};
  std::thread owner;
  store_->on_floors_wanted([&] {
    ++asked;
    owner = std::thread([&] {  // as a replica does: later, on its own thread
      store_->set_floor(1, floor_at(100, {7}));
      store_->floors_current();
    });
  });
  flush();
  owner.join();
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(present(1), std::set<std::uint64_t>{7});
  store_->on_floors_wanted(nullptr);
  fill(1, 101, 102);
  flush();
  EXPECT_EQ(asked, 1);
}

TEST_F(DiscFloorTest, FlushesWithTheFloorsItHasWhenNobodyAnswers) {
  fill(1, 1, 100);
  store_->set_floor(1, floor_at(10, {}));
  store_->floors_loaded();
  store_->on_floors_wanted([] {});
  flush();
  EXPECT_EQ(present(1), range(11, 100));
}

TEST_F(DiscFloorTest, IgnoresALowerFloor) {
  fill(1, 1, 100);
  store_->set_floor(1, floor_at(50, {10}));
  store_->set_floor(1, floor_at(40, {}));
  store_->floors_loaded();
  flush();
  auto expected = range(51, 100);
  expected.insert(10);
  EXPECT_EQ(present(1), expected);
}

TEST_F(DiscFloorTest, DropsARetiredGroupWholeAndRemembersIt) {
  fill(1, 1, 100);
  fill(2, 1, 100);
  fill(3, 1, 100);
  store_->retire(2);
  fill(4, 1, 1);  // the write that carries the mark
  const std::string copy = crash_copy(dir_.store());
  store_->floors_loaded();
  flush();
  EXPECT_EQ(present(1), range(1, 100));
  EXPECT_TRUE(present(2).empty());
  EXPECT_EQ(present(3), range(1, 100));

  store_ = must_open(copy);
  EXPECT_EQ(present(2), range(1, 100)) << "still there: the crash came before the flush";
  store_->floors_loaded();
  flush();
  EXPECT_TRUE(present(2).empty()) << "known to be retired without being told again";
  EXPECT_EQ(present(3), range(1, 100));
}

TEST_F(DiscFloorTest, ForgetsARetiredGroupOfWhichNothingIsLeft) {
  fill(1, 1, 10);
  store_->retire(1);
  fill(2, 1, 1);
  store_->floors_loaded();
  flush();
  reopen();                // finds nothing of group 1
  fill(2, 2, 2);           // the write that erases the mark
  reopen();
  EXPECT_EQ(disc(*store_).retired_count(), 0u);
}

TEST_F(DiscFloorTest, AgreesWithADumbModelOverRandomHistories) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Prng prng(seed);
  store_->floors_loaded();
  struct Group {
    std::uint64_t last{0};
    std::uint64_t checkpoint{0};
    std::set<std::uint64_t> live;  // of all indexes written
    bool retired{false};
  };
  std::map<GroupUid, Group> groups;
  for (int step = 0; step < 400; ++step) {
    const GroupUid uid = 1 + prng.below(6);
    auto& group = groups[uid];
    const auto what = prng.below(10);
    if (what < 5 && !group.retired) {
      const auto n = 1 + prng.below(20);
      fill(uid, group.last + 1, group.last + n);
      for (std::uint64_t i = 0; i < n; ++i) group.live.insert(++group.last);
    } else if (what < 8 && !group.retired) {
      for (auto at = group.live.begin(); at != group.live.end();) {
        at = prng.chance(3, 4) ? group.live.erase(at) : std::next(at);
      }
      group.checkpoint = group.last;
      store_->set_floor(uid, floor_at(group.checkpoint, {group.live.begin(), group.live.end()}));
    } else if (what == 8) {
      flush();
    } else if (prng.chance(1, 10)) {
      store_->retire(uid);
      group.retired = true;
    } else if (prng.chance(1, 3)) {
      ASSERT_TRUE(disc(*store_).compact_log().has_value());
    }
    if (step % 20 == 0) {
      for (const auto& [id, g] : groups) {
        if (g.retired) continue;
        const auto found = present(id);
        for (auto i : g.live) ASSERT_TRUE(found.contains(i)) << "group " << id << " index " << i;
        for (auto i = g.checkpoint + 1; i <= g.last; ++i) ASSERT_TRUE(found.contains(i));
      }
    }
  }
  flush();
  ASSERT_TRUE(disc(*store_).compact_log().has_value());
  for (const auto& [id, g] : groups) {
    auto expected = g.retired ? std::set<std::uint64_t>{} : g.live;
    if (!g.retired) expected.merge(range(g.checkpoint + 1, g.last));
    EXPECT_EQ(present(id), expected) << "group " << id;
  }
}

TEST_F(DiscFloorTest, ReclaimsFilesThatAreMostlyDead) {
  store_->floors_loaded();
  fill(1, 1, 1000);
  fill(2, 1, 1000);
  flush();
  store_->set_floor(1, floor_at(400, {}));
  EXPECT_EQ(disc(*store_).reclaim(), 0u) << "20 % are dead";
  EXPECT_EQ(present(1), range(1, 1000));
  const auto before = store_->stats().disc_bytes;
  store_->set_floor(1, floor_at(1000, {500}));
  store_->set_floor(2, floor_at(500, {}));
  EXPECT_EQ(disc(*store_).reclaim(), 1u);
  EXPECT_EQ(present(1), std::set<std::uint64_t>{500});
  EXPECT_EQ(present(2), range(501, 1000));
  EXPECT_EQ(disc(*store_).reclaim(), 0u) << "nothing changed";
  store_->retire(2);
  EXPECT_EQ(disc(*store_).reclaim(), 1u);
  EXPECT_TRUE(present(2).empty());
  EXPECT_LT(store_->stats().disc_bytes, before);
}

TEST_F(DiscFloorTest, ReclaimsAfterReopening) {
  fill(1, 1, 1000);
  flush();
  reopen();
  store_->set_floor(1, floor_at(1000, {}));
  EXPECT_EQ(disc(*store_).reclaim(), 0u) << "not before all floors are known";
  store_->floors_loaded();
  EXPECT_EQ(disc(*store_).reclaim(), 1u);
  EXPECT_TRUE(present(1).empty());
}

TEST(TableCensusTest, EstimatesWhatIsDead) {
  FloorTable table;
  table.set(1, floor_at(50, {10, 20}));
  table.set(2, floor_at(1000, {}));
  table.retire(3);
  const auto floors = table.snapshot();
  EXPECT_EQ(dead_bytes({{1, 1, 100, 100, 1000}}, floors), 480u);
  EXPECT_EQ(dead_bytes({{1, 60, 100, 41, 410}}, floors), 0u);
  EXPECT_EQ(dead_bytes({{2, 1, 100, 100, 1000}, {3, 5, 6, 2, 7}, {4, 1, 9, 9, 90}}, floors), 1007u);
  const std::vector<GroupRows> rows{{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}};
  const auto back = decode_census(encode_census(rows));
  ASSERT_TRUE(back.has_value());
  ASSERT_EQ(back->size(), 2u);
  EXPECT_EQ(encode_census(*back), encode_census(rows));
  EXPECT_FALSE(decode_census(encode_census(rows).substr(0, 50)).has_value());
  EXPECT_FALSE(decode_census("").has_value());
}

TEST(FloorTableTest, JudgesRunsOfDeadRows) {
  FloorTable table;
  table.set(5, floor_at(100, {10, 20}));
  table.retire(7);
  const auto floors = table.snapshot();
  const auto dead_until = [&](GroupUid uid, std::uint64_t index) -> std::pair<GroupUid, std::uint64_t> {
    const auto verdict = judge(floors.find(uid), uid, index);
    return verdict.dead ? std::pair{verdict.next_uid, verdict.next_index} : std::pair<GroupUid, std::uint64_t>{};
  };
  using Next = std::pair<GroupUid, std::uint64_t>;
  EXPECT_EQ(dead_until(5, 0), (Next{5, 10}));
  EXPECT_EQ(dead_until(5, 10), Next{});
  EXPECT_EQ(dead_until(5, 11), (Next{5, 20}));
  EXPECT_EQ(dead_until(5, 20), Next{});
  EXPECT_EQ(dead_until(5, 21), (Next{5, 101}));
  EXPECT_EQ(dead_until(5, 100), (Next{5, 101}));
  EXPECT_EQ(dead_until(5, 101), Next{});
  EXPECT_EQ(dead_until(6, 1), Next{});
  EXPECT_EQ(dead_until(7, 1), (Next{8, 0}));
}

}  // namespace
}  // namespace warren::storage
