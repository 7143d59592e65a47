// What damage to the write-ahead log does: an honest torn tail is cut, anything else is refused.
// Source: reliability E.3, C.4 point 5.

#include "tests/storage/disc_support.h"

namespace warren::storage {
namespace {

constexpr auto kMeta = Keyspace::meta;

std::string key(int n) {
  return (n < 10 ? "0" : "") + std::to_string(n);
}

/// A store with synced batches 1..n, and where each one ends in the log.
class DiscDamageTest : public DiscTest {
 protected:
  void write_batches(int first, int last, std::size_t bytes, Durability durability = Durability::synced) {
    for (int i = first; i <= last; ++i) {
      const auto written = store_->write(one_put(kMeta, key(i), key(i) + std::string(bytes, 'v')), durability);
      ASSERT_TRUE(written.has_value());
      ends_.push_back(std::filesystem::file_size(last_wal(dir_.store())));
    }
  }
  void make(int batches, std::size_t bytes) {
    store_ = must_open(dir_.store());
    write_batches(1, batches, bytes);
  }
  /// A copy whose log is `bytes`, opened.
  Result<std::unique_ptr<Store>> open_with_wal(const std::string& bytes) {
    copy_ = crash_copy(dir_.store());
    replace(last_wal(copy_), bytes);
    return open_at(copy_);
  }
  void expect_batches(Store& store, int n) {
    const auto found = rows(store, kMeta);
    EXPECT_EQ(found.size(), static_cast<std::size_t>(n));
    for (int i = 1; i <= n; ++i) EXPECT_TRUE(found.contains(key(i))) << i;
  }
  /// Opens, expects n batches, writes one more, crashes again and expects n + 1.
  void expect_survives(const std::string& wal, int n) {
    auto opened = open_with_wal(wal);
    ASSERT_TRUE(opened.has_value()) << opened.error().text;
    expect_batches(**opened, n);
    ASSERT_TRUE((*opened)->write(one_put(kMeta, key(n + 1), "again"), Durability::synced).has_value());
    const std::string second = crash_copy(copy_);
    opened = make_error(Errc::internal, "");
    auto again = open_at(second);
    ASSERT_TRUE(again.has_value()) << again.error().text;
    expect_batches(**again, n + 1);
    again = make_error(Errc::internal, "");
    remove(second);
    remove(copy_);
  }
  void expect_refused(const std::string& wal) {
    auto opened = open_with_wal(wal);
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, Errc::corruption) << opened.error().text;
    EXPECT_NE(opened.error().text.find(".log"), std::string::npos) << opened.error().text;
    EXPECT_EQ(content(last_wal(copy_)), wal) << "a refused store must be left as it was";
    remove(copy_);
  }

  std::unique_ptr<Store> store_;
  std::vector<std::size_t> ends_;
  std::string copy_;
};

TEST_F(DiscDamageTest, CutsTheLastBatchAtEveryByte) {
  make(6, 20);
  const std::string wal = content(last_wal(dir_.store()));
  ASSERT_EQ(wal.size(), ends_.back());
  for (std::size_t cut = ends_[4]; cut < wal.size(); ++cut) {
    SCOPED_TRACE(cut);
    expect_survives(wal.substr(0, cut), 5);
  }
  expect_survives(wal, 6);
  EXPECT_TRUE(log_.has("torn tail"));
}

TEST_F(DiscDamageTest, CutsABatchOfSeveralBlocksAtAnyPlace) {
  make(3, 100'000);
  const std::string wal = content(last_wal(dir_.store()));
  for (std::size_t cut = ends_[1]; cut < wal.size(); cut += 9'973) {
    SCOPED_TRACE(cut);
    expect_survives(wal.substr(0, cut), 2);
  }
  for (std::size_t block = ends_[1] / 32768 + 1; block * 32768 < wal.size(); ++block) {
    for (int shift = -8; shift <= 8; ++shift) {
      const auto cut = static_cast<std::size_t>(static_cast<long>(block * 32768) + shift);
      SCOPED_TRACE(cut);
      expect_survives(wal.substr(0, cut), 2);
    }
  }
}

TEST_F(DiscDamageTest, CutsABatchThatBeginsAtTheEndOfABlock) {
  store_ = must_open(dir_.store());
  write_batches(1, 1, 20);
  const std::size_t one = ends_[0] - 20;  // a batch around an empty value, give or take a length byte
  for (int left = 3; left <= 50; left += left < 16 ? 1 : 5) {
    SCOPED_TRACE(left);
    store_.reset();
    remove(dir_.store());
    ends_.clear();
    store_ = must_open(dir_.store());
    write_batches(1, 1, 32768 - one - 2 - static_cast<std::size_t>(left));
    ASSERT_EQ(ends_[0], 32768u - static_cast<std::size_t>(left));
    write_batches(2, 2, 100);
    const std::string wal = content(last_wal(dir_.store()));
    for (std::size_t cut = ends_[0]; cut < wal.size(); cut += 11) {
      SCOPED_TRACE(cut);
      auto opened = open_with_wal(wal.substr(0, cut));
      ASSERT_TRUE(opened.has_value()) << opened.error().text;
      expect_batches(**opened, 1);
      opened = make_error(Errc::internal, "");
      remove(copy_);
    }
  }
}

TEST_F(DiscDamageTest, CutsAHoleOrGarbageInTheLastBatch) {
  make(3, 100'000);
  std::string wal = content(last_wal(dir_.store()));
  std::string hole = wal;
  std::fill_n(hole.begin() + static_cast<long>(ends_[1]) + 40'000, 4096, '\0');
  expect_survives(hole, 2);
  std::string zeros = wal.substr(0, ends_[1]) + std::string(150'000, '\0');
  expect_survives(zeros, 2);
  expect_survives(wal + std::string(5000, '\0'), 3);
  expect_survives(wal + std::string(50, '\x5a'), 3);
  std::string head = wal;
  head[ends_[1] + 3] ^= 1;
  expect_survives(head, 2);
}

TEST_F(DiscDamageTest, RefusesAFlippedBitInAnyEarlierBatch) {
  make(6, 20);
  const std::string wal = content(last_wal(dir_.store()));
  for (std::size_t at = 0; at < ends_[4]; ++at) {
    SCOPED_TRACE(at);
    std::string flipped = wal;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    expect_refused(flipped);
  }
}

TEST_F(DiscDamageTest, RefusesDamageInTheMiddleOfALongLog) {
  make(20, 60'000);
  const std::string wal = content(last_wal(dir_.store()));
  for (std::size_t at : {std::size_t{10}, wal.size() / 3, wal.size() / 2, ends_[17] + 100}) {
    SCOPED_TRACE(at);
    std::string flipped = wal;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    expect_refused(flipped);
    std::string hole = wal;
    std::fill_n(hole.begin() + static_cast<long>(at), 5000, '\0');
    expect_refused(hole);
    std::string missing = wal;
    missing.erase(at, 32768);
    expect_refused(missing);
  }
}

TEST_F(DiscDamageTest, RefusesAWholeBatchTakenOut) {
  make(5, 20);
  std::string wal = content(last_wal(dir_.store()));
  wal.erase(ends_[1], ends_[2] - ends_[1]);
  expect_refused(wal);
}

TEST_F(DiscDamageTest, CutsDamageThatOnlyUnsyncedBatchesFollow) {
  make(3, 20);
  write_batches(4, 7, 20, Durability::buffered);
  std::string wal = content(last_wal(dir_.store()));
  expect_survives(wal, 7);
  std::string damaged = wal;
  damaged[ends_[3] + 20] ^= 1;  // in batch 5; nobody was told that 4 and later are on disc
  expect_survives(damaged, 4);
  damaged = wal;
  damaged[ends_[1] + 20] ^= 1;  // in batch 3, which was synced
  expect_refused(damaged);
}

TEST_F(DiscDamageTest, RefusesDamageToTheLastBatchOfACleanlyClosedStore) {
  make(4, 20);
  store_.reset();
  std::string wal = content(last_wal(dir_.store()));
  expect_survives(wal, 4);
  wal[ends_[2] + 30] ^= 1;
  expect_refused(wal);
}

/// Three log files: flushing one column family begins a new one, the other pins the old.
class DiscManyLogsTest : public DiscDamageTest {
 protected:
  void make_three_logs() {
    store_ = must_open(dir_.store());
    for (int part = 0; part < 3; ++part) {
      write_batches(part * 3 + 1, part * 3 + 3, 50);
      ASSERT_TRUE(store_->write(one_put(Keyspace::log, log_key(1, static_cast<std::uint64_t>(part)), "x"),
                                Durability::synced).has_value());
      if (part == 2) break;
      ASSERT_TRUE(disc(*store_).flush_log().has_value());
    }
  }
};

TEST_F(DiscManyLogsTest, OpensWithSeveralLogs) {
  make_three_logs();
  const std::string copy = crash_copy(dir_.store());
  ASSERT_GE(files(copy, ".log").size(), 3u);
  auto opened = must_open(copy);
  ASSERT_NE(opened, nullptr);
  expect_batches(*opened, 9);
}

TEST_F(DiscManyLogsTest, RefusesAMissingLogFile) {
  make_three_logs();
  const std::string copy = crash_copy(dir_.store());
  const auto logs = files(copy, ".log");
  ASSERT_GE(logs.size(), 3u);
  std::filesystem::remove(logs[1]);
  auto opened = open_at(copy);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Errc::corruption) << opened.error().text;
  EXPECT_NE(opened.error().text.find("missing"), std::string::npos) << opened.error().text;
}

TEST_F(DiscManyLogsTest, RefusesAnEarlierLogThatWasCutShort) {
  make_three_logs();
  const auto logs = files(dir_.store(), ".log");
  ASSERT_GE(logs.size(), 3u);
  const auto size = std::filesystem::file_size(logs[1]);
  for (std::uintmax_t cut = 1; cut < size; cut += 7) {
    SCOPED_TRACE(cut);
    const std::string copy = crash_copy(dir_.store());
    std::filesystem::resize_file(files(copy, ".log")[1], size - cut);
    auto opened = open_at(copy);
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, Errc::corruption) << opened.error().text;
    remove(copy);
  }
}

TEST_F(DiscManyLogsTest, NeverDropsALaterLogForGarbageBehindAnEarlierOne) {
  make_three_logs();
  const std::string copy = crash_copy(dir_.store());
  const auto logs = files(copy, ".log");
  replace(logs[1], content(logs[1]) + std::string(100, '\x5a'));
  auto opened = must_open(copy);
  ASSERT_NE(opened, nullptr);
  expect_batches(*opened, 9);
}

/// The log in use was made out of an old one, whose batches still stand behind its end.
class DiscReusedLogTest : public DiscDamageTest {
 protected:
  void make_reused(std::size_t bytes) {
    store_ = must_open(dir_.store());
    // Long old logs, flushed away: the flush of both families lets go of them.
    for (int round = 0; disc(*store_).reused_logs() == 0; ++round) {
      ASSERT_LT(round, 50);
      for (int i = 0; i < 25; ++i) {
        ASSERT_TRUE(store_->write(one_put(Keyspace::log, log_key(1, static_cast<std::uint64_t>(i)),
                                          std::string(2 * bytes + 3, 'o')), Durability::synced).has_value());
      }
      ASSERT_TRUE(disc(*store_).flush_log().has_value());
    }
    write_reused(bytes);
  }
  void write_reused(std::size_t bytes) {
    for (int i = 1; i <= 6; ++i) {
      ASSERT_TRUE(store_->write(one_put(kMeta, key(i), key(i) + std::string(bytes, 'v')),
                                Durability::synced).has_value());
      const auto scan = scan_wal(dir_.store());
      ASSERT_TRUE(scan.has_value()) << scan.error().text;
      ASSERT_EQ(scan->cuts.size(), 1u) << "leftovers must stand behind the end";
      EXPECT_TRUE(scan->cuts[0].reused);
      file_ = scan->cuts[0].file;
      ends_.push_back(scan->cuts[0].offset);
    }
  }
  std::string wal() { return content(file_); }

  std::string file_;
};

TEST_F(DiscReusedLogTest, IgnoresTheLeftovers) {
  make_reused(20);
  expect_survives(wal(), 6);
  EXPECT_FALSE(log_.has("torn tail"));
}

TEST_F(DiscReusedLogTest, CutsTheLastBatchWhereverTheOldBytesBegin) {
  make_reused(20);
  // A torn write over an old file: new bytes up to some place, old ones behind it.
  const std::string now = wal();
  std::string before = now;
  for (std::size_t i = ends_[4]; i < ends_[5]; ++i) before[i] = static_cast<char>(before[i] ^ 0x5a);
  for (std::size_t cut = ends_[4]; cut < ends_[5]; ++cut) {
    SCOPED_TRACE(cut);
    expect_survives(now.substr(0, cut) + before.substr(cut), 5);
  }
}

TEST_F(DiscReusedLogTest, CutsALargeTornBatch) {
  make_reused(100'000);
  const std::string now = wal();
  for (std::size_t hole = ends_[4]; hole + 4096 < ends_[5]; hole += 20'000) {
    SCOPED_TRACE(hole);
    std::string torn = now;
    std::fill_n(torn.begin() + static_cast<long>(hole), 4096, '\0');
    expect_survives(torn, 5);
  }
}

TEST_F(DiscReusedLogTest, RefusesAFlippedBitInAnyEarlierBatch) {
  make_reused(20);
  const std::string now = wal();
  for (std::size_t at = 0; at < ends_[4]; ++at) {
    SCOPED_TRACE(at);
    std::string flipped = now;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    expect_refused(flipped);
  }
}

TEST_F(DiscReusedLogTest, NeverReplaysLeftoversOfAFileThatWasNotWrittenYet) {
  store_ = must_open(dir_.store());
  for (int round = 0; disc(*store_).reused_logs() == 0; ++round) {
    ASSERT_LT(round, 50);
    WriteBatch batch;
    batch.put(kMeta, "state", std::to_string(round));
    batch.put(Keyspace::log, log_key(1, 1), "v");
    ASSERT_TRUE(store_->write(batch, Durability::synced).has_value());
    ASSERT_TRUE(disc(*store_).flush_all().has_value());
  }
  const auto state = read(*store_, kMeta, "state");
  auto copy = must_open(crash_copy(dir_.store()));
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(read(*copy, kMeta, "state"), state);
}

/// With everything in tables an opening counts batches from 0: what a spare holds is above that.
TEST_F(DiscReusedLogTest, ASpareOfAnEarlierRunIsNotTakenForDamage) {
  store_ = must_open(dir_.store());
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(store_->write(one_put(kMeta, key(1), std::string(50, 'o')), Durability::synced).has_value());
  }
  ASSERT_TRUE(disc(*store_).flush_all().has_value());
  const std::string killed = crash_copy(dir_.store());
  const auto scan = scan_wal(killed);
  ASSERT_TRUE(scan.has_value());
  ASSERT_EQ(scan->batches, 0u) << "all of it must be in tables";
  ASSERT_TRUE(std::filesystem::exists(killed + "/spare-0"));
  auto again = must_open(killed);
  ASSERT_NE(again, nullptr);
  ASSERT_TRUE(again->write(one_put(kMeta, key(2), "v"), Durability::synced).has_value());
  auto copy = must_open(crash_copy(killed));
  ASSERT_NE(copy, nullptr);
  EXPECT_EQ(read(*copy, kMeta, key(2)), "v");
}

TEST_F(DiscDamageTest, RefusesAStoreWhoseFilesAreGone) {
  make(3, 20);
  for (const auto* name : {"/CURRENT", "MANIFEST"}) {
    const std::string copy = crash_copy(dir_.store());
    for (const auto& entry : std::filesystem::directory_iterator(copy)) {
      if (entry.path().string().find(name) != std::string::npos) std::filesystem::remove(entry.path());
    }
    auto opened = open_at(copy);
    ASSERT_FALSE(opened.has_value()) << name;
    EXPECT_EQ(opened.error().code, Errc::corruption) << opened.error().text;
  }
}

TEST_F(DiscDamageTest, SetsADamagedStoreAside) {
  make(3, 20);
  store_.reset();
  const auto moved = set_aside_damaged_store(dir_.store());
  ASSERT_TRUE(moved.has_value());
  EXPECT_EQ(*moved, dir_.store() + ".damaged-1");
  auto fresh = must_open(dir_.store());
  EXPECT_TRUE(rows(*fresh, kMeta).empty());
  auto old = must_open(*moved);
  expect_batches(*old, 3);
}

TEST_F(DiscDamageTest, NamesWhoHoldsTheDirectory) {
  make(1, 1);
  auto second = open_at(dir_.store());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Errc::conflict);
  EXPECT_NE(second.error().text.find("process " + std::to_string(::getpid())), std::string::npos)
      << second.error().text;
}

}  // namespace
}  // namespace warren::storage
