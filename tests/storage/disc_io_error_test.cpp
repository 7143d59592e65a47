// A disc that fails: whatever the failed call was, the store is broken for good and says so.

#include "tests/storage/disc_support.h"

#include <rocksdb/file_system.h>

namespace warren::storage {
namespace {

constexpr auto kMeta = Keyspace::meta;
constexpr auto kLog = Keyspace::log;

enum class Fail { nothing, log_append, log_sync, table_write, table_read };

struct Plan {
  std::atomic<Fail> fail{Fail::nothing};
};

bool ends_with(const std::string& name, const char* tail) { return name.ends_with(tail); }
rocksdb::IOStatus eio() { return rocksdb::IOStatus::IOError("injected EIO"); }

class FailingFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FailingFile(std::unique_ptr<rocksdb::FSWritableFile> file, Plan& plan, bool is_log)
      : FSWritableFileOwnerWrapper(std::move(file)), plan_(plan), is_log_(is_log) {}
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (plan_.fail == (is_log_ ? Fail::log_append : Fail::table_write)) return eio();
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  using FSWritableFileOwnerWrapper::Append;
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    if (is_log_ && plan_.fail == Fail::log_sync) return eio();
    return FSWritableFileOwnerWrapper::Sync(options, debug);
  }

 private:
  Plan& plan_;
  bool is_log_;
};

class FailingReader final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  FailingReader(std::unique_ptr<rocksdb::FSRandomAccessFile> file, Plan& plan)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), plan_(plan) {}
  rocksdb::IOStatus Read(uint64_t offset, size_t n, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext* debug) const override {
    if (plan_.fail == Fail::table_read) return eio();
    return FSRandomAccessFileOwnerWrapper::Read(offset, n, options, result, scratch, debug);
  }

 private:
  Plan& plan_;
};

class FailingFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FailingFileSystem(Plan& plan)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), plan_(plan) {}
  const char* Name() const override { return "failing"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override {
    auto status = target()->NewWritableFile(name, options, result, debug);
    if (status.ok()) wrap(name, result);
    return status;
  }
  rocksdb::IOStatus ReuseWritableFile(const std::string& name, const std::string& old,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override {
    auto status = target()->ReuseWritableFile(name, old, options, result, debug);
    if (status.ok()) wrap(name, result);
    return status;
  }
  rocksdb::IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                        rocksdb::IODebugContext* debug) override {
    auto status = target()->NewRandomAccessFile(name, options, result, debug);
    if (status.ok()) *result = std::make_unique<FailingReader>(std::move(*result), plan_);
    return status;
  }

 private:
  void wrap(const std::string& name, std::unique_ptr<rocksdb::FSWritableFile>* file) {
    const bool log = ends_with(name, ".log");
    if (!log && !ends_with(name, ".sst")) return;
    *file = std::make_unique<FailingFile>(std::move(*file), plan_, log);
  }
  Plan& plan_;
};

class DiscIoErrorTest : public DiscTest {
 protected:
  void SetUp() override {
    env_ = env_holder_.get();
    store_ = must_open(dir_.store());
    ASSERT_TRUE(store_->write(one_put(kMeta, "a", "1"), Durability::synced).has_value());
  }
  void TearDown() override { store_.reset(); }
  void expect_broken() {
    EXPECT_EQ(broken_, 1);
    EXPECT_EQ(store_->write(one_put(kMeta, "z", "9"), Durability::buffered).error().code, Errc::io);
    EXPECT_EQ(store_->get(kMeta, "a").error().code, Errc::io);
    EXPECT_EQ(store_->scan(kMeta, "", "").error().code, Errc::io);
    EXPECT_TRUE(log_.has("store broken"));
    plan_.fail = Fail::nothing;
    EXPECT_EQ(store_->write(one_put(kMeta, "z", "9"), Durability::synced).error().code, Errc::io)
        << "it must stay broken when the disc has come to its senses";
  }

  Plan plan_;
  std::unique_ptr<rocksdb::Env> env_holder_ =
      rocksdb::NewCompositeEnv(std::make_shared<FailingFileSystem>(plan_));
  std::unique_ptr<Store> store_;
};

TEST_F(DiscIoErrorTest, AFailedSyncBreaksTheStore) {
  plan_.fail = Fail::log_sync;
  const auto written = store_->write(one_put(kMeta, "b", "2"), Durability::synced);
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().code, Errc::io);
  expect_broken();
  store_.reset();
  auto again = must_open(dir_.store());
  EXPECT_EQ(read(*again, kMeta, "a"), "1");
  EXPECT_EQ(read(*again, kMeta, "z"), std::nullopt);
}

TEST_F(DiscIoErrorTest, AFailedAppendBreaksTheStore) {
  plan_.fail = Fail::log_append;
  EXPECT_FALSE(store_->write(one_put(kMeta, "b", "2"), Durability::synced).has_value());
  expect_broken();
}

TEST_F(DiscIoErrorTest, AFailedFlushBreaksTheStore) {
  ASSERT_TRUE(store_->write(one_put(kLog, log_key(1, 1), "v"), Durability::synced).has_value());
  plan_.fail = Fail::table_write;
  EXPECT_FALSE(disc(*store_).flush_log().has_value());
  expect_broken();
}

TEST_F(DiscIoErrorTest, AFailedReadBreaksTheStore) {
  ASSERT_TRUE(store_->write(one_put(kLog, log_key(1, 1), std::string(100'000, 'v')), Durability::synced).has_value());
  ASSERT_TRUE(disc(*store_).flush_log().has_value());
  plan_.fail = Fail::table_read;
  EXPECT_EQ(store_->get(kLog, log_key(1, 1)).error().code, Errc::io);
  expect_broken();
}

TEST_F(DiscIoErrorTest, ADamagedTableIsNeverReadAsNothing) {
  ASSERT_TRUE(store_->write(one_put(kLog, log_key(1, 1), std::string(100'000, 'v')), Durability::synced).has_value());
  ASSERT_TRUE(disc(*store_).flush_log().has_value());
  store_.reset();
  const auto tables = files(dir_.store(), ".sst");
  ASSERT_FALSE(tables.empty());
  for (const auto& table : tables) {
    std::string bytes = content(table);
    if (bytes.size() < 100'000) continue;
    bytes[50'000] ^= 1;
    replace(table, bytes);
  }
  store_ = must_open(dir_.store());
  EXPECT_EQ(store_->get(kLog, log_key(1, 1)).error().code, Errc::io);
  EXPECT_EQ(broken_, 1);
}

}  // namespace
}  // namespace warren::storage
