// A group over the real store and over one that misbehaves: each I/O step failed in turn, power cut
// at each of them, the write-ahead log cut at every byte of its last batches.
#include "bench_nodes.h"
#include "storage/faulty/faulty_store.h"
#include "storage/journal/inline_committer.h"
#include "tests/storage/disc_support.h"

#include <cstdlib>

namespace warren::replica::testing {
namespace {

using storage::FaultyStore;
using storage::Store;

/// One node with one group of one voter over any store; time and turns by hand.
class Alone final : public Transport {
 public:
  explicit Alone(Store& store) : committer_(store) {
    ReplicaOptions options;
    options.self = NodeId(1);
    options.group.checkpoint_entries = 5;
    options.group.trailing_entries = 1;
    node_ = std::make_unique<ReplicaNode>(
        options, store, committer_, *this, clock_, logger_,
        [this](std::function<void()> what) { posted_.push_back(std::move(what)); },
        [this] { due_ = true; }, [this](const Error&) { fatal_ = true; });
  }
  void send(NodeId, std::string) override {}
  std::size_t unsent_bytes(NodeId) const override { return 0; }

  Result<void> open() {
    auto loaded = node_->load([](storage::GroupUid) { return std::make_unique<ListMachine>(); });
    if (loaded) run(1'500);
    return loaded;
  }
  Result<void> found() {
    return node_->found(7, raft::make_config({NodeId(1)}), std::make_unique<ListMachine>());
  }
  bool fatal() const { return fatal_; }
  ListMachine* machine() { return static_cast<ListMachine*>(node_->machine(7)); }

  void settle() {
    while (!posted_.empty() || due_) {
      if (std::exchange(due_, false)) node_->turn();
      if (posted_.empty()) continue;
      auto what = std::move(posted_.front());
      posted_.pop_front();
      what();
    }
  }
  void run(Millis ms) {
    for (Millis end = clock_.steady_ms() + ms; clock_.steady_ms() < end;) {
      clock_.advance(20);
      node_->tick();
      settle();
    }
  }
  /// Proposes the number `n`; true when it was answered with success.
  bool propose(int n) {
    const raft::Core* core = node_->core(7);
    if (!core) return false;
    bool ok = false;
    node_->propose(7, core->term(), {raft::Slice::of(text_of(n))}, [&](Result<Index> at) { ok = at.has_value(); });
    settle();
    return ok;
  }
  static std::string text_of(int n) {
    return std::to_string(n) + ":" + std::string(static_cast<std::size_t>(n * 7 % 50), 'x');
  }
  /// What was proposed in order, nothing else, and at least the first `answered` of it.
  void expect_holds(std::size_t answered, const std::string& where) {
    ASSERT_NE(machine(), nullptr) << where;
    const auto& items = machine()->items;
    ASSERT_GE(items.size(), answered) << where;
    for (std::size_t i = 0; i < items.size(); ++i) {
      ASSERT_EQ(items[i], text_of(static_cast<int>(i))) << where;
    }
  }

 private:
  storage::InlineCommitter committer_;
  ManualClock clock_;
  NullLogger logger_;
  std::deque<std::function<void()>> posted_;
  std::unique_ptr<ReplicaNode> node_;
  bool due_{false};
  bool fatal_{false};
};

constexpr int kProposals = 24;

/// The script: found, elect, propose; answers how many were confirmed before the store failed.
std::size_t live_through(Store& store, bool& fatal) {
  Alone node(store);
  std::size_t answered = 0;
  if (node.open() && node.found()) {
    node.run(1'500);
    for (int i = 0; i < kProposals; ++i) {
      if (!node.propose(i)) break;
      ++answered;
    }
  }
  fatal = node.fatal();
  return answered;
}

void reopen_and_check(Store& store, std::size_t answered, const std::string& where) {
  Alone node(store);
  auto opened = node.open();
  ASSERT_TRUE(opened) << where << ": " << opened.error().text;
  if (!node.machine()) {
    EXPECT_EQ(answered, 0u) << where;
    return;
  }
  node.expect_holds(answered, where);
  auto held = static_cast<int>(node.machine()->items.size());
  EXPECT_TRUE(node.propose(held)) << where << ": it goes on";
  node.expect_holds(static_cast<std::size_t>(held) + 1, where);
}

TEST(ReplicaFaultTest, EveryStepOfIoMayFail) {
  std::uint64_t steps = 0;
  for (std::uint64_t n = 1;; ++n) {
    storage::MemoryStore inner;
    FaultyStore store(inner);
    store.fail_nth(n);
    bool fatal = false;
    std::size_t answered = live_through(store, fatal);
    bool reached = store.operations() >= n;
    store.crash();
    reopen_and_check(store, answered, "step " + std::to_string(n));
    if (!reached) {
      EXPECT_EQ(answered, static_cast<std::size_t>(kProposals));
      break;
    }
    EXPECT_TRUE(fatal || answered == 0) << "step " << n;
    steps = n;
  }
  EXPECT_GT(steps, 30u);
}

TEST(ReplicaFaultTest, AFailedWriteMayHaveReachedTheDisc) {
  for (std::uint64_t n = 1; n < 200; ++n) {
    storage::MemoryStore inner;
    FaultyStore store(inner);
    store.fail_nth_write(n, true);
    bool fatal = false;
    std::size_t answered = live_through(store, fatal);
    bool reached = store.writes() >= n;
    store.crash();
    reopen_and_check(store, answered, "write " + std::to_string(n));
    if (!reached) return;
  }
  FAIL() << "the script never ends";
}

class ReplicaDiscTest : public storage::DiscTest {
 protected:
  std::string copy_;
};

TEST_F(ReplicaDiscTest, KilledBehindEveryAnswerItKeepsAll) {
  auto store = must_open(dir_.store());
  Alone node(*store);
  ASSERT_TRUE(node.open());
  ASSERT_TRUE(node.found());
  node.run(1'500);
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(node.propose(i));
    std::string copy = crash_copy(dir_.store());
    auto opened = must_open(copy);
    reopen_and_check(*opened, static_cast<std::size_t>(i) + 1, "answer " + std::to_string(i));
    opened.reset();
    remove(copy);
  }
}

TEST_F(ReplicaDiscTest, TheLogCutAtEveryByteOfItsLastBatchesKeepsWhatWasAnswered) {
  std::vector<std::size_t> ends;  // of the write-ahead log when each command was answered
  {
    auto store = must_open(dir_.store());
    Alone node(*store);
    ASSERT_TRUE(node.open());
    ASSERT_TRUE(node.found());
    node.run(1'500);
    for (int i = 0; i < 8; ++i) {
      ASSERT_TRUE(node.propose(i));
      ends.push_back(std::filesystem::file_size(last_wal(dir_.store())));
    }
    std::string copy = crash_copy(dir_.store());
    std::swap(copy_, copy);
  }
  const std::string wal = content(last_wal(copy_));
  ASSERT_EQ(wal.size(), ends.back());
  // Only the last batch can be torn by a crash: one sync is in flight at most. What is cut deeper
  // was acknowledged; the store cannot tell, so it is cut at its ends only.
  std::size_t step = std::getenv("WARREN_LONG") ? 1 : 3;
  for (std::size_t cut = ends[ends.size() - 3]; cut <= wal.size(); cut += step) {
    std::string copy = crash_copy(copy_);
    replace(last_wal(copy), wal.substr(0, cut));
    auto opened = must_open(copy);
    std::size_t answered = 0;
    while (answered < ends.size() && ends[answered] <= cut) ++answered;
    reopen_and_check(*opened, answered, "cut at " + std::to_string(cut));
    opened.reset();
    remove(copy);
    if (HasFatalFailure()) return;
  }
}

TEST_F(ReplicaDiscTest, AFlippedBitBeforeTheLastBatchIsRefused) {
  auto store = must_open(dir_.store());
  Alone node(*store);
  ASSERT_TRUE(node.open());
  ASSERT_TRUE(node.found());
  node.run(1'500);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(node.propose(i));
  std::string wal = content(last_wal(dir_.store()));
  Prng prng(20261122);
  for (int i = 0; i < 10; ++i) {
    std::string bad = wal;
    bad[prng.below(wal.size() / 2)] ^= static_cast<char>(1 << prng.below(8));
    std::string copy = crash_copy(dir_.store());
    replace(last_wal(copy), bad);
    auto opened = open_at(copy);
    ASSERT_FALSE(opened.has_value()) << "acknowledged commands would be gone";
    EXPECT_EQ(opened.error().code, Errc::corruption);
    remove(copy);
  }
}

}  // namespace
}  // namespace warren::replica::testing
