// The journal: nothing is called durable before its sync, completions keep their order, a failure
// ends it, removals ride along.

#include "tests/node/server/store_node.h"

namespace warren::server::test {
namespace {

using storage::Keyspace;

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    loop.on_turn([this] { journal.flush(); });
  }
  void run() {
    loop.io().restart();
    loop.io().poll();
  }
  std::size_t commit() {
    const std::size_t n = committer.pump();
    run();
    return n;
  }
  std::function<void()> note(std::string text) {
    return [this, text = std::move(text)] { told.push_back(text); };
  }
  static std::vector<metadata::RowChange> row(const char* key) { return {{key, "value"}}; }
  /// A queue that is attached to its log and has published `bodies`.
  LocalLog& make_queue(storage::GroupUid uid) {
    LocalLog& log = journal.open(uid);
    metadata::QueueDef def;
    def.name = "q" + std::to_string(uid);
    def.uid = uid;
    queues.push_back(std::make_shared<broker::Queue>(def, broker::QueueSettings{}, host, &log, budget,
                                                     options));
    log.attach(queues.back());
    queues.back()->recovered();
    return log;
  }
  void publish(broker::Queue& queue, std::uint64_t seq) {
    std::vector<broker::RecordRef> refs;
    const auto batch = broker::test::make_batch(publisher, {{"body"}}, seq, 1, refs);
    batch->expect();
    queue.publish(*batch, refs);
    batch->answered();
  }

  Loop loop;
  storage::MemoryStore memory;
  storage::FaultyStore store{memory};
  storage::InlineCommitter committer{store, storage::InlineCommitter::Mode::manual};
  std::vector<Error> failures;
  Journal journal{loop, store, committer, [this](const Error& e) { failures.push_back(e); }};
  broker::test::FakeHost host;
  broker::test::FakePublisher publisher;
  broker::MemoryBudget budget;
  broker::QueueOptions options;
  std::vector<std::shared_ptr<broker::Queue>> queues;
  std::vector<std::string> told;
};

using Told = std::vector<std::string>;

TEST_F(JournalTest, AnswersAtOnceWhenNothingIsUnderWay) {
  journal.persist({}, note("nothing"));
  EXPECT_EQ(told, Told{"nothing"});
  run();
  EXPECT_EQ(committer.pending(), 0U);
}

TEST_F(JournalTest, RowsAreAnsweredBehindTheirSync) {
  journal.persist(row("a"), note("a"));
  run();
  EXPECT_EQ(committer.pending(), 1U);
  EXPECT_EQ(told, Told{});
  commit();
  EXPECT_EQ(told, Told{"a"});
  EXPECT_EQ(store.unsynced_batches(), 0U) << "it was a synced write";
  EXPECT_TRUE(journal.idle());
}

TEST_F(JournalTest, NoRowsRideBehindWhatIsOnItsWay) {
  journal.persist(row("a"), note("a"));
  journal.persist({}, note("same turn"));
  run();
  journal.persist({}, note("next turn"));
  run();
  EXPECT_EQ(committer.pending(), 1U) << "no write of its own";
  EXPECT_EQ(told, Told{});
  commit();
  EXPECT_EQ(told, (Told{"a", "same turn", "next turn"}));
}

TEST_F(JournalTest, ATurnIsOneBatchAndBatchesKeepTheirOrder) {
  journal.persist(row("a"), note("a"));
  journal.persist(row("b"), note("b"));
  run();
  journal.persist(row("c"), note("c"));
  run();
  EXPECT_EQ(committer.pending(), 2U);
  EXPECT_GT(journal.bytes_in_flight(), 0U);
  commit();
  EXPECT_EQ(told, (Told{"a", "b", "c"}));
  EXPECT_EQ(journal.bytes_in_flight(), 0U);
}

TEST_F(JournalTest, QueuesHearOfDurabilityBehindTheSync) {
  make_queue(1);
  make_queue(2);
  publish(*queues[0], 1);
  publish(*queues[1], 2);
  run();
  EXPECT_TRUE(publisher.settled.empty());
  publish(*queues[0], 3);
  commit();
  EXPECT_TRUE(publisher.is_settled(1));
  EXPECT_TRUE(publisher.is_settled(2));
  EXPECT_FALSE(publisher.is_settled(3)) << "it came behind the batch that was synced";
  commit();
  EXPECT_TRUE(publisher.is_settled(3));
}

TEST_F(JournalTest, LogsAreWrittenAsTheyStand) {
  LocalLog& log = make_queue(7);
  EXPECT_EQ(log.append("head", "", {}), 1U);
  const BlockRef block = Block::copy_of("tail");
  EXPECT_EQ(log.append("head+", block->bytes(), block), 2U);
  EXPECT_EQ(log.append_lazy("lazy"), 3U);
  run();
  commit();
  EXPECT_EQ(store.get(Keyspace::log, storage::log_key(7, 1))->value(), "head");
  EXPECT_EQ(store.get(Keyspace::log, storage::log_key(7, 2))->value(), "head+tail");
  EXPECT_EQ(store.get(Keyspace::log, storage::log_key(7, 3))->value(), "lazy");
  EXPECT_FALSE(block->shared()) << "the committer lets go of what it wrote";
}

TEST_F(JournalTest, RemovalsWaitForCompany) {
  LocalLog& log = make_queue(1);
  log.append_lazy("removal");
  run();
  EXPECT_EQ(committer.pending(), 0U);
  EXPECT_TRUE(journal.lazy_waiting());
  log.append("message", "", {});
  run();
  EXPECT_EQ(committer.pending(), 1U);
  commit();
  EXPECT_EQ(store.unsynced_batches(), 0U);
}

TEST_F(JournalTest, RemovalsAloneAreWrittenWithoutASync) {
  LocalLog& log = make_queue(1);
  log.append_lazy("removal");
  run();
  journal.flush_lazy();
  EXPECT_EQ(committer.pending(), 1U);
  commit();
  EXPECT_EQ(store.unsynced_batches(), 1U);
  EXPECT_FALSE(journal.lazy_waiting());
}

TEST_F(JournalTest, ManyRemovalsDoNotWaitForEver) {
  LocalLog& log = make_queue(1);
  log.append_lazy(std::string(300 << 10, 'x'));
  run();
  EXPECT_EQ(committer.pending(), 1U);
}

TEST_F(JournalTest, WhoAsksForDurabilityTakesWaitingRemovalsAlong) {
  LocalLog& log = make_queue(1);
  log.append_lazy("removal");
  run();
  journal.persist({}, note("done"));
  run();
  EXPECT_EQ(told, Told{});
  commit();
  EXPECT_EQ(told, Told{"done"});
  EXPECT_EQ(store.unsynced_batches(), 0U);
}

TEST_F(JournalTest, AFailedWriteEndsEverything) {
  make_queue(1);
  store.fail_nth_write(1);
  publish(*queues[0], 1);
  journal.persist(row("a"), note("a"));
  run();
  publish(*queues[0], 2);
  journal.persist(row("b"), note("b"));
  run();
  commit();
  publish(*queues[0], 3);
  run();
  commit();
  EXPECT_FALSE(failures.empty());
  EXPECT_EQ(told, Told{});
  EXPECT_TRUE(publisher.settled.empty()) << "nothing is confirmed behind a failure";
}

TEST_F(JournalTest, CheckpointsLetTheStoreDropWhatIsDead) {
  LocalLog& log = make_queue(5);
  store.floors_loaded();
  for (int i = 0; i < 4; ++i) log.append("entry", "", {});
  log.checkpoint({{"a", "row"}}, 4, {2});
  run();
  EXPECT_TRUE(store.get(Keyspace::log, storage::log_key(5, 1))->has_value() == false);
  committer.pump();
  EXPECT_TRUE(memory.get(Keyspace::log, storage::log_key(5, 1))->has_value())
      << "the floor rises behind the sync alone";
  run();
  EXPECT_FALSE(memory.get(Keyspace::log, storage::log_key(5, 1))->has_value());
  EXPECT_TRUE(memory.get(Keyspace::log, storage::log_key(5, 2))->has_value());
  EXPECT_EQ(memory.get(Keyspace::queue_state, queue_state_key(5, "a"))->value(), "row");
}

TEST_F(JournalTest, ADeletedQueueLeavesNothingBehind) {
  LocalLog& log = make_queue(5);
  store.floors_loaded();
  log.append("entry", "", {});
  log.checkpoint({{"a", "row"}}, 1, {1});
  run();
  commit();
  queues[0]->on_deleted();
  journal.close(5, true);
  journal.persist(row("gone"), note("gone"));
  run();
  EXPECT_TRUE(memory.get(Keyspace::log, storage::log_key(5, 1))->has_value());
  commit();
  EXPECT_EQ(told, Told{"gone"});
  EXPECT_FALSE(memory.get(Keyspace::log, storage::log_key(5, 1))->has_value());
  EXPECT_FALSE(memory.get(Keyspace::queue_state, queue_state_key(5, "a"))->has_value());
  EXPECT_EQ(memory.get(Keyspace::hard_state, hard_state_key(5))->value(), kRetired);
  // The next start finds nothing of it, and forgets that it ever was.
  ASSERT_TRUE(journal.sweep_retired());
  journal.flush_lazy();
  commit();
  EXPECT_FALSE(store.get(Keyspace::hard_state, hard_state_key(5))->has_value());
}

TEST_F(JournalTest, AQueueDeletedInFlightIsNotCalled) {
  make_queue(5);
  publish(*queues[0], 1);
  run();
  queues[0]->on_deleted();
  EXPECT_TRUE(publisher.is_settled(1));
  journal.close(5, true);
  queues.clear();
  run();
  commit();
  commit();
}

TEST_F(JournalTest, ReadsAreAnsweredThroughTheLoop) {
  LocalLog& log = make_queue(5);
  options.resident_bytes_max = 0;
  publish(*queues[0], 1);
  run();
  commit();
  log.read(1);
  log.read(2);  // asked for by nobody; the answer must find its way all the same
  queues.clear();
  run();
}

// ---- recovery -----------------------------------------------------------------------------------------

TEST_F(JournalTest, RecoveryRefusesAGap) {
  make_queue(5);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    publish(*queues[0], i);
    run();
    commit();
  }
  queues.clear();
  storage::WriteBatch damage;
  damage.erase(Keyspace::log, storage::log_key(5, 2));
  ASSERT_TRUE(memory.write(damage, storage::Durability::synced));
  LocalLog& log = journal.open(5);
  metadata::QueueDef def;
  def.uid = 5;
  broker::Queue queue(def, {}, host, &log, budget, options);
  const auto recovered = journal.recover(5, queue);
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().code, Errc::corruption);
}

TEST_F(JournalTest, RecoveryRefusesADamagedCheckpoint) {
  storage::WriteBatch damage;
  damage.put(Keyspace::hard_state, hard_state_key(5), std::string("1234567"));
  ASSERT_TRUE(memory.write(damage, storage::Durability::synced));
  LocalLog& log = journal.open(5);
  metadata::QueueDef def;
  def.uid = 5;
  broker::Queue queue(def, {}, host, &log, budget, options);
  EXPECT_EQ(journal.recover(5, queue).error().code, Errc::corruption);
}

}  // namespace
}  // namespace warren::server::test
