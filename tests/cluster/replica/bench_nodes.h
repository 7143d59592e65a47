#pragma once
// A few replica nodes wired together by hand: frames are delivered at once, time is moved by hand,
// the committer writes when told to.

#include "cluster/replica/replica_node.h"
#include "storage/memory/memory_store.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace warren::replica::testing {

using raft::Index;
using raft::NodeId;

/// Remembers commands; its state is their list.
class ListMachine final : public StateMachine {
 public:
  void apply(const Command& command) override {
    items.emplace_back(command.body.bytes);
    last = command.index;
  }
  void checkpoint(RowSink& rows) override {
    for (std::size_t i = written; i < items.size(); ++i) {
      rows.put(std::string("i") + std::to_string(1'000'000 + i), items[i]);
    }
    written = items.size();
  }
  std::vector<Index> live() const override { return {}; }
  Result<void> restore(const RowSource& rows, Index) override {
    items.clear();
    auto read = rows.each([&](std::string_view, std::string_view value) -> Result<void> {
      items.emplace_back(value);
      return {};
    });
    written = items.size();
    return read;
  }
  void on_leadership(const Leadership& now) override { leadership = now; }
  void on_members(const raft::Config& now) override { members = now; }

  std::vector<std::string> items;
  std::size_t written{0};
  Index last{0};
  Leadership leadership;
  raft::Config members;
};

/// Writes at once, keeps every batch, and can fail the n-th.
class StepCommitter final : public storage::Committer {
 public:
  explicit StepCommitter(storage::Store& store) : store_(store) {}
  void submit(storage::WriteBatch batch, storage::Durability durability, Done done) override {
    if (broken_ || ++writes_ == fail_at) {
      broken_ = true;
      return done(make_error(Errc::io, "injected"));
    }
    (void)store_.write(batch, durability);
    if (record) batches.push_back(std::move(batch));
    done({});
  }
  std::int64_t stalled_ms() const override { return stalled; }
  void stop() override {}

  std::uint64_t fail_at{0};
  std::int64_t stalled{0};
  bool record{false};
  std::vector<storage::WriteBatch> batches;
  std::uint64_t writes() const { return writes_; }

 private:
  storage::Store& store_;
  std::uint64_t writes_{0};
  bool broken_{false};
};

class Nodes {
 public:
  struct Node final : Transport {
    void send(NodeId to, std::string frame) override {
      owner->wire.push_back({id, to, std::make_shared<const std::string>(std::move(frame))});
    }
    std::size_t unsent_bytes(NodeId) const override { return 0; }

    Nodes* owner;
    NodeId id;
    std::unique_ptr<storage::MemoryStore> store = std::make_unique<storage::MemoryStore>();
    std::unique_ptr<StepCommitter> committer;
    std::unique_ptr<ReplicaNode> replica;
    std::deque<std::function<void()>> posted;
    bool due{false};
    bool fatal{false};
    bool ram{false};  ///< keeps nothing over a restart
  };
  struct InFlight {
    NodeId from, to;
    std::shared_ptr<const std::string> frame;
  };

  explicit Nodes(int count, ReplicaOptions options = {}) : options_(options) {
    for (int i = 1; i <= count; ++i) {
      auto node = std::make_unique<Node>();
      node->owner = this;
      node->id = NodeId(static_cast<std::uint64_t>(i));
      nodes.push_back(std::move(node));
      EXPECT_TRUE(start(i));
    }
  }

  Result<void> start(int i) {
    Node& node = at(i);
    node.due = false;
    if (node.ram) node.store = std::make_unique<storage::MemoryStore>();
    node.committer = std::make_unique<StepCommitter>(*node.store);
    node.posted.clear();
    node.fatal = false;
    ReplicaOptions options = options_;
    options.self = node.id;
    options.cluster = 5;
    options.incarnation = ++incarnation_;
    options.seed = static_cast<std::uint64_t>(i) * 77;
    options.raft.quiet = true;
    options.raft.may_vote = !node.ram;
    node.replica = std::make_unique<ReplicaNode>(
        options, *node.store, *node.committer, node, clock, logger_,
        [&node](std::function<void()> what) { node.posted.push_back(std::move(what)); },
        [&node] { node.due = true; }, [&node](const Error&) { node.fatal = true; });
    return node.replica->load([](storage::GroupUid) { return std::make_unique<ListMachine>(); });
  }

  Node& at(int i) { return *nodes[static_cast<std::size_t>(i - 1)]; }
  ReplicaNode& replica(int i) { return *at(i).replica; }
  ListMachine& machine(int i, storage::GroupUid uid) {
    return static_cast<ListMachine&>(*replica(i).machine(uid));
  }

  void found(storage::GroupUid uid, int voters) {
    std::vector<NodeId> ids;
    for (int i = 1; i <= voters; ++i) ids.emplace_back(static_cast<std::uint64_t>(i));
    for (int i = 1; i <= voters; ++i) {
      ASSERT_TRUE(replica(i).found(uid, raft::make_config(ids), std::make_unique<ListMachine>()));
    }
  }

  void settle() {
    for (int round = 0; round < 10'000; ++round) {
      bool moved = false;
      for (auto& node : nodes) {
        while (!node->posted.empty()) {
          auto what = std::move(node->posted.front());
          node->posted.pop_front();
          what();
          moved = true;
        }
        if (std::exchange(node->due, false)) node->replica->turn(), moved = true;
      }
      std::deque<InFlight> batch;
      batch.swap(wire);
      for (InFlight& f : batch) {
        moved = true;
        if (lose && lose(f)) continue;
        if (f.to.value <= nodes.size()) nodes[f.to.value - 1]->replica->on_frame(f.from, f.frame);
      }
      if (!moved) return;
    }
    FAIL() << "never comes to rest";
  }

  void run(Millis ms) {
    for (Millis end = clock.steady_ms() + ms; clock.steady_ms() < end;) {
      clock.advance(20);
      for (auto& node : nodes) node->replica->tick();
      settle();
    }
  }

  int leader(storage::GroupUid uid) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const raft::Core* core = nodes[i]->replica->core(uid);
      if (core && core->effective()) return static_cast<int>(i + 1);
    }
    return 0;
  }

  std::function<bool(const InFlight&)> lose;
  std::vector<std::unique_ptr<Node>> nodes;
  std::deque<InFlight> wire;
  ManualClock clock;

 private:
  ReplicaOptions options_;
  NullLogger logger_;
  std::uint64_t incarnation_{0};
};

}  // namespace warren::replica::testing
