// What every store must do, whatever it is made of.

#include "storage/disc/disc_store.h"
#include "storage/faulty/faulty_store.h"
#include "storage/memory/memory_store.h"
#include "tests/storage/store_support.h"

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <thread>

namespace warren::storage {
namespace {

/// A store with whatever it stands on.
struct Rig {
  virtual ~Rig() = default;
  virtual Store& store() = 0;
};

struct MemoryRig final : Rig {
  MemoryStore memory;
  Store& store() override { return memory; }
};

struct FaultyRig final : Rig {
  MemoryStore memory;
  FaultyStore faulty{memory};
  Store& store() override { return faulty; }
};

struct DiscRig final : Rig {
  DiscRig() {
    DiscOptions options;
    options.path = dir.store();
    auto opened = open_disc_store(options, log);
    if (!opened) throw std::runtime_error(opened.error().text);
    disc = std::move(*opened);
  }
  TempDir dir;
  NullLogger log;
  std::unique_ptr<Store> disc;
  Store& store() override { return *disc; }
};

struct Maker {
  const char* name;
  std::function<std::unique_ptr<Rig>()> make;
};

class StoreConformance : public testing::TestWithParam<Maker> {
 protected:
  std::unique_ptr<Rig> rig_ = GetParam().make();
  Store& store_ = rig_->store();

  void put(Keyspace space, std::string key, std::string value,
           Durability durability = Durability::buffered) {
    const auto written = store_.write(one_put(space, std::move(key), std::move(value)), durability);
    ASSERT_TRUE(written.has_value()) << written.error().text;
  }
};

constexpr auto kMeta = Keyspace::meta;
constexpr auto kLog = Keyspace::log;

TEST_P(StoreConformance, AnswersNothingForAnAbsentKey) {
  EXPECT_EQ(read(store_, kMeta, "absent"), std::nullopt);
  EXPECT_TRUE(rows(store_, kMeta).empty());
}

TEST_P(StoreConformance, ReadsWhatWasWrittenWithEitherDurability) {
  put(kMeta, "a", "1", Durability::buffered);
  put(kMeta, "b", "2", Durability::synced);
  EXPECT_EQ(read(store_, kMeta, "a"), "1");
  EXPECT_EQ(read(store_, kMeta, "b"), "2");
}

TEST_P(StoreConformance, KeepsKeyspacesApart) {
  for (int i = 0; i < kKeyspaceCount; ++i) {
    put(static_cast<Keyspace>(i), "same key", std::to_string(i));
  }
  for (int i = 0; i < kKeyspaceCount; ++i) {
    EXPECT_EQ(read(store_, static_cast<Keyspace>(i), "same key"), std::to_string(i));
    EXPECT_EQ(rows(store_, static_cast<Keyspace>(i)).size(), 1u);
  }
}

TEST_P(StoreConformance, AppliesABatchInItsOrder) {
  WriteBatch batch;
  batch.put(kMeta, "k", "first");
  batch.put(kMeta, "k", "second");
  batch.put(kMeta, "gone", "x");
  batch.erase(kMeta, "gone");
  batch.erase(kMeta, "back");
  batch.put(kMeta, "back", "y");
  ASSERT_TRUE(store_.write(batch, Durability::synced).has_value());
  EXPECT_EQ(rows(store_, kMeta),
            (std::map<std::string, std::string>{{"back", "y"}, {"k", "second"}}));
}

TEST_P(StoreConformance, TakesAnEmptyBatchAndEmptyValues) {
  ASSERT_TRUE(store_.write(WriteBatch{}, Durability::synced).has_value());
  put(kMeta, "empty", "");
  EXPECT_EQ(read(store_, kMeta, "empty"), "");
}

TEST_P(StoreConformance, JoinsHeadAndSharedTail) {
  auto body = std::make_shared<std::string>(200'000, 'b');
  WriteBatch batch;
  batch.put_shared(kLog, log_key(1, 1), "head-", *body, body);
  batch.put_shared(kLog, log_key(1, 2), "alone", {}, nullptr);
  ASSERT_TRUE(store_.write(batch, Durability::buffered).has_value());
  // The store must have its own copy by now.
  batch.clear();
  const std::string expected = "head-" + *body;
  body->assign(body->size(), 'z');
  EXPECT_EQ(read(store_, kLog, log_key(1, 1)), expected);
  EXPECT_EQ(read(store_, kLog, log_key(1, 2)), "alone");
}

TEST_P(StoreConformance, ErasesAndOverwrites) {
  put(kMeta, "k", "1");
  put(kMeta, "k", "2", Durability::synced);
  EXPECT_EQ(read(store_, kMeta, "k"), "2");
  WriteBatch batch;
  batch.erase(kMeta, "k");
  batch.erase(kMeta, "never there");
  ASSERT_TRUE(store_.write(batch, Durability::buffered).has_value());
  EXPECT_EQ(read(store_, kMeta, "k"), std::nullopt);
  EXPECT_TRUE(rows(store_, kMeta).empty());
}

TEST_P(StoreConformance, ScansHalfOpenRangesInByteOrder) {
  const std::string high("\xff\x00", 2);
  for (const auto& key : {std::string("a"), std::string("ab"), std::string("b"), std::string("c"), high}) {
    put(kMeta, key, "v", key == "b" ? Durability::synced : Durability::buffered);
  }
  const auto keys = [&](std::string_view from, std::string_view to) {
    std::string out;
    for (const auto& [key, value] : rows(store_, kMeta, from, to)) out += (key == high ? "^" : key) + " ";
    return out;
  };
  EXPECT_EQ(keys("", ""), "a ab b c ^ ");
  EXPECT_EQ(keys("ab", "c"), "ab b ");
  EXPECT_EQ(keys("aa", ""), "ab b c ^ ");
  EXPECT_EQ(keys("c", "c"), "");
  EXPECT_EQ(keys("d", "e"), "");
}

TEST_P(StoreConformance, ScansTheLogAcrossGroups) {
  for (std::uint64_t uid : {1u, 2u, 256u}) {
    for (std::uint64_t index : {1u, 255u, 256u, 65536u}) put(kLog, log_key(uid, index), "v");
  }
  EXPECT_EQ(rows(store_, kLog).size(), 12u);
  EXPECT_EQ(rows(store_, kLog, log_key(2, 0), log_key(3, 0)).size(), 4u);
  EXPECT_EQ(rows(store_, kLog, log_key(2, 256), log_key(3, 0)).size(), 2u);
}

TEST_P(StoreConformance, NeverDropsARowThatMayBeRead) {
  for (std::uint64_t i = 1; i <= 20; ++i) put(kLog, log_key(7, i), std::to_string(i), Durability::synced);
  put(kLog, log_key(8, 5), "other group", Durability::synced);
  store_.set_floor(7, Floor{10, std::make_shared<std::vector<std::uint64_t>>(std::vector<std::uint64_t>{3, 9})});
  store_.floors_loaded();
  for (std::uint64_t i : {3u, 9u, 11u, 20u}) EXPECT_EQ(read(store_, kLog, log_key(7, i)), std::to_string(i));
  EXPECT_EQ(read(store_, kLog, log_key(8, 5)), "other group");
  store_.retire(7);
  EXPECT_EQ(read(store_, kLog, log_key(8, 5)), "other group");
}

TEST_P(StoreConformance, CountsBytesAndSyncs) {
  const auto before = store_.stats();
  put(kMeta, "key", std::string(1000, 'v'), Durability::synced);
  put(kMeta, "key2", std::string(1000, 'v'), Durability::buffered);
  const auto after = store_.stats();
  EXPECT_EQ(after.bytes_written - before.bytes_written, 2007u);
  EXPECT_EQ(after.syncs - before.syncs, 1u);
  EXPECT_GT(after.disc_bytes, 0u);
}

TEST_P(StoreConformance, ReadersRunBesideTheWriter) {
  std::atomic<bool> done{false};
  std::atomic<int> torn{0};
  std::thread reader([&] {
    while (!done) {
      // Both rows are always written together: the second is never behind the first.
      const auto first = store_.get(kMeta, "x1");
      const auto second = store_.get(kMeta, "x2");
      if (!first || !second) ++torn;
      if (first && second && *first && (!*second || **second < **first)) ++torn;
    }
  });
  for (int i = 1000; i < 1400; ++i) {
    WriteBatch batch;
    batch.put(kMeta, "x1", std::to_string(i));
    batch.put(kMeta, "x2", std::to_string(i));
    ASSERT_TRUE(store_.write(batch, Durability::buffered).has_value());
  }
  done = true;
  reader.join();
  EXPECT_EQ(torn, 0);
}

TEST_P(StoreConformance, RefusesEverythingOnceClosed) {
  put(kMeta, "k", "v");
  store_.close();
  store_.close();
  EXPECT_EQ(store_.get(kMeta, "k").error().code, Errc::io);
  EXPECT_EQ(store_.write(one_put(kMeta, "k", "v"), Durability::synced).error().code, Errc::io);
  EXPECT_EQ(store_.scan(kMeta, "", "").error().code, Errc::io);
}

INSTANTIATE_TEST_SUITE_P(
    Stores, StoreConformance,
    testing::Values(Maker{"memory", [] { return std::make_unique<MemoryRig>(); }},
                    Maker{"faulty", [] { return std::make_unique<FaultyRig>(); }},
                    Maker{"disc", [] { return std::make_unique<DiscRig>(); }}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace warren::storage
