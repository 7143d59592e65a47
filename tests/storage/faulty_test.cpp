// The fault-injecting wrapper does what fault sweeps rely on.

#include "storage/faulty/faulty_store.h"
#include "storage/memory/memory_store.h"
#include "tests/storage/store_support.h"

namespace warren::storage {
namespace {

constexpr auto kMeta = Keyspace::meta;

class FaultyStoreTest : public testing::Test {
 protected:
  Result<void> put(std::string key, std::string value, Durability durability) {
    return store_.write(one_put(kMeta, std::move(key), std::move(value)), durability);
  }
  MemoryStore memory_;
  FaultyStore store_{memory_};
};

TEST_F(FaultyStoreTest, ForgetsOnlyWhatWasNotSynced) {
  ASSERT_TRUE(put("a", "1", Durability::buffered).has_value());
  ASSERT_TRUE(put("b", "2", Durability::synced).has_value());
  ASSERT_TRUE(put("b", "3", Durability::buffered).has_value());
  ASSERT_TRUE(put("c", "4", Durability::buffered).has_value());
  WriteBatch erase;
  erase.erase(kMeta, "a");
  ASSERT_TRUE(store_.write(erase, Durability::buffered).has_value());
  EXPECT_EQ(rows(store_, kMeta), (std::map<std::string, std::string>{{"b", "3"}, {"c", "4"}}));
  store_.crash();
  EXPECT_EQ(rows(store_, kMeta), (std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}}));
}

TEST_F(FaultyStoreTest, MayKeepAPrefixOfWhatWasNotSynced) {
  for (const auto* key : {"a", "b", "c"}) ASSERT_TRUE(put(key, "v", Durability::buffered).has_value());
  EXPECT_EQ(store_.unsynced_batches(), 3u);
  store_.crash_keeping(2);
  EXPECT_EQ(rows(store_, kMeta), (std::map<std::string, std::string>{{"a", "v"}, {"b", "v"}}));
}

TEST_F(FaultyStoreTest, FailsTheNthOperationAndStaysBroken) {
  store_.fail_nth(2);
  ASSERT_TRUE(put("a", "1", Durability::synced).has_value());
  EXPECT_EQ(store_.get(kMeta, "a").error().code, Errc::io);
  EXPECT_EQ(put("b", "1", Durability::synced).error().code, Errc::io);
  EXPECT_EQ(store_.scan(kMeta, "", "").error().code, Errc::io);
  store_.crash();
  EXPECT_EQ(rows(store_, kMeta), (std::map<std::string, std::string>{{"a", "1"}}));
}

TEST_F(FaultyStoreTest, AFailedWriteMayOrMayNotBeThereAfterwards) {
  for (const bool reaches : {false, true}) {
    store_.fail_nth_write(1, reaches);
    EXPECT_EQ(put("k", reaches ? "yes" : "no", Durability::synced).error().code, Errc::io);
    store_.crash();
    EXPECT_EQ(read(store_, kMeta, "k"), reaches ? std::optional<std::string>("yes") : std::nullopt);
  }
}

TEST_F(FaultyStoreTest, ATornWriteIsGoneAsAWhole) {
  ASSERT_TRUE(put("before", "1", Durability::buffered).has_value());
  store_.tear_next_write();
  WriteBatch batch;
  batch.put(kMeta, "torn1", "x");
  batch.put(kMeta, "torn2", "x");
  EXPECT_EQ(store_.write(batch, Durability::synced).error().code, Errc::io);
  store_.crash();
  EXPECT_EQ(rows(store_, kMeta), (std::map<std::string, std::string>{{"before", "1"}}));
}

TEST_F(FaultyStoreTest, KeepsSharedBytesOfBufferedWrites) {
  auto body = std::make_shared<std::string>("body");
  WriteBatch batch;
  batch.put_shared(kMeta, "k", "head ", *body, body);
  ASSERT_TRUE(store_.write(batch, Durability::buffered).has_value());
  batch.clear();
  body->assign("????");
  EXPECT_EQ(read(store_, kMeta, "k"), "head body");
  ASSERT_TRUE(put("other", "v", Durability::synced).has_value());
  EXPECT_EQ(read(memory_, kMeta, "k"), "head body");
}

}  // namespace
}  // namespace warren::storage
