// The containers under a queue, one by one.
#include "node/broker/queue/dispatcher.h"
#include "node/broker/queue/held.h"
#include "node/broker/queue/log_codec.h"
#include "node/broker/queue/ready_index.h"
#include "node/broker/queue/run_table.h"

#include "base/prng.h"

#include <gtest/gtest.h>

#include <set>

namespace warren::broker {
namespace {

Run run_at(Position first, std::uint32_t count, LogIndex index) {
  Run run;
  run.first = first;
  run.count = count;
  run.live = count;
  run.index = index;
  return run;
}

TEST(RunTable, CompactionKeepsMarksOnTheirRuns) {
  RunTable runs;
  for (std::uint64_t i = 0; i < 300; ++i) runs.push(run_at(1 + i * 10, 10, i + 1));
  for (std::uint64_t id = 1; id < 300; ++id)
    if (id % 5 != 0) runs.drop(id);
  ASSERT_TRUE(runs.wants_compaction());
  std::uint64_t on_living = 100, on_dead = 101, none = ~std::uint64_t{0}, at_end = 300;
  std::uint64_t* const marks[] = {&on_living, &on_dead, &none, &at_end};
  runs.compact(marks);
  runs.check_invariants();
  EXPECT_EQ(runs.at(on_living).first, 1001u);
  EXPECT_EQ(runs.at(on_dead).first, 1051u) << "the next one living";
  EXPECT_EQ(none, ~std::uint64_t{0});
  EXPECT_EQ(at_end, runs.end_id());
  EXPECT_EQ(runs.end_id() - runs.front_id(), 60u);
  EXPECT_EQ(runs.at(runs.find(1005, 0)).first, 1001u);
  EXPECT_EQ(runs.at(runs.find(1015, 0)).first, 1051u) << "a gap: the first above";
}

TEST(IntervalSet, AgreesWithASetOfNumbers) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng rng(seed);
    IntervalSet set;
    std::set<Position> dumb;
    for (int i = 0; i < 400; ++i) {
      const Position first = rng.below(100), end = first + 1 + rng.below(6);
      if (rng.chance(1, 2)) {
        for (Position p = first; p < end; ++p)
          if (dumb.insert(p).second) set.insert(p, p + 1);
      } else {
        std::uint64_t gone = 0;
        set.erase(first, end, [&](const Range& r) { gone += r.end - r.first; });
        std::uint64_t expected = 0;
        for (Position p = first; p < end; ++p) expected += dumb.erase(p);
        EXPECT_EQ(gone, expected);
      }
      EXPECT_EQ(set.count(), dumb.size());
      std::set<Position> listed;
      Position last_end = 0;
      bool any = false;
      set.each([&](const Range& r) {
        EXPECT_TRUE(!any || r.first > last_end) << "neighbours are merged";
        any = true;
        last_end = r.end;
        for (Position p = r.first; p < r.end; ++p) listed.insert(p);
      });
      EXPECT_EQ(listed, dumb);
    }
  }
}

TEST(HeldRing, AgreesWithASetOfNumbers) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng rng(seed);
    HeldRing ring;
    std::set<Position> dumb;
    Position next = 1;
    for (int i = 0; i < 2000; ++i) {
      if (rng.chance(11, 20)) {
        Held held{};
        held.position = rng.chance(1, 8) ? 1 + rng.below(next) : next++;
        if (dumb.insert(held.position).second) ring.add(held);
      } else {
        const bool some = !dumb.empty() && rng.chance(9, 10);
        const Position p = some ? *std::next(dumb.begin(), static_cast<long>(rng.below(
                                                               std::min<std::size_t>(dumb.size(), 5))))
                                : rng.below(next + 5);
        EXPECT_EQ(ring.take(p).has_value(), dumb.erase(p) == 1);
      }
      ring.check_invariants();
      EXPECT_EQ(ring.size(), dumb.size());
    }
    std::set<Position> listed;
    ring.each([&](const Held& held) { listed.insert(held.position); });
    EXPECT_EQ(listed, dumb);
    listed.clear();
    ring.each_in(100, 900, [&](const Held& held) { listed.insert(held.position); });
    std::erase_if(dumb, [](Position p) { return p < 100 || p >= 900; });
    EXPECT_EQ(listed, dumb);
  }
}

TEST(Codec, RowsComeBackAsTheyWere) {
  codec::EntryRow a, b;
  a.index = 700;
  a.first = 5;
  a.count = 10;
  a.bytes = 1234;
  a.live = {{5, 7}, {9, 10}};
  a.levels = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  a.transients = {{1, 20}};
  a.counts = {{6, 3}};
  b.index = 701;
  b.first = 15;
  b.count = 1;
  b.bytes = 99;
  const std::string row = codec::encode_chunk_row({a, b});
  const auto back = codec::decode_chunk_row(row);
  ASSERT_TRUE(back);
  ASSERT_EQ(back->size(), 2u);
  EXPECT_EQ((*back)[0].live, a.live);
  EXPECT_EQ((*back)[0].levels, a.levels);
  EXPECT_EQ((*back)[0].counts, a.counts);
  EXPECT_EQ((*back)[0].transients[0].body_bytes, 20u);
  EXPECT_EQ((*back)[1].index, 701u);
  EXPECT_EQ((*back)[1].first, 15u);
  for (std::size_t cut = 0; cut < row.size(); ++cut)
    EXPECT_FALSE(codec::decode_chunk_row(std::string_view(row).substr(0, cut))) << cut;
}

TEST(Codec, GoldenBytesOfVersionOne) {
  EXPECT_EQ(codec::encode_enqueue(300, 2, 0), std::string("\x01\x01\xac\x02\x02\x00", 6));
  EXPECT_EQ(codec::encode_remove(codec::Gone::settled, 5, {{3, 5}, {9, 10}}),
            std::string("\x01\x02\x00\x05\x02\x03\x02\x04\x01", 9));
  EXPECT_EQ(codec::encode_returned({{4, 1}}), std::string("\x01\x03\x01\x04\x01", 5));
  EXPECT_EQ(codec::encode_watermark(128), std::string("\x01\x04\x80\x01", 4));
  EXPECT_FALSE(codec::kind_of(std::string("\x02\x01", 2))) << "a version of the future";
  EXPECT_FALSE(codec::kind_of(std::string("\x01\x77", 2))) << "a kind of the future";
}

TEST(Codec, AnyBytesAreAnswered) {
  Prng rng(7);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(rng.below(40), '\0');
    for (char& c : bytes) c = static_cast<char>(rng.next());
    if (bytes.size() >= 2) {
      bytes[0] = 1;
      bytes[1] = static_cast<char>(1 + rng.below(4));
    }
    (void)codec::kind_of(bytes);
    (void)codec::decode_enqueue(bytes);
    (void)codec::decode_remove(bytes);
    (void)codec::decode_returned(bytes);
    (void)codec::decode_watermark(bytes);
    (void)codec::decode_head_row(bytes);
    (void)codec::decode_chunk_row(bytes);
  }
}

TEST(Properties, TheTimestampIsFound) {
  // content-type, headers (empty), delivery-mode, timestamp
  const std::string props("\xb0\x40\x01x\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x2a", 17);
  EXPECT_EQ(timestamp_property(props), 42u);
  EXPECT_EQ(timestamp_property(std::string_view(props).substr(0, 12)), std::nullopt);
  EXPECT_EQ(timestamp_property(std::string_view("\x10\x00\x02", 3)), std::nullopt);
}

}  // namespace
}  // namespace warren::broker
