// What replication costs over the store it writes to: group commit through one node's groups beside
// the same batches written straight to the store, and how much of the messages reaches table files.
//
//   replica_bench commit DIR [batch [bytes [seconds]]]
//   replica_bench tables DIR [groups [MiB]]
#include "cluster/replica/replica_node.h"
#include "storage/disc/disc_store.h"
#include "storage/journal/thread_committer.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>

namespace warren {
namespace {

using raft::Index;
using storage::GroupUid;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class RealClock final : public Clock {
 public:
  Millis steady_ms() const override { return static_cast<Millis>(seconds_now() * 1000); }
  Millis wall_ms() const override { return steady_ms(); }
};

/// Holds the last `lag` messages, as a queue whose consumers keep up.
class KeepUp final : public replica::StateMachine {
 public:
  explicit KeepUp(std::size_t lag) : lag_(lag) {}
  void apply(const replica::Command& command) override {
    live_.push_back(command.index);
    if (live_.size() > lag_) live_.pop_front();
  }
  void checkpoint(replica::RowSink& rows) override {
    std::string ids;
    for (Index index : live_) ids.append(reinterpret_cast<const char*>(&index), sizeof index);
    rows.put("live", std::move(ids));
  }
  std::vector<Index> live() const override { return {live_.begin(), live_.end()}; }
  Result<void> restore(const replica::RowSource&, Index) override { return {}; }

 private:
  std::size_t lag_;
  std::deque<Index> live_;
};

/// A node with groups of one voter over a real store; the calling thread owns it.
class Node final : public replica::Transport {
 public:
  Node(storage::Store& store, Logger& logger, std::size_t groups, std::size_t lag)
      : store_(store), committer_(store, {}, logger) {
    replica::ReplicaOptions options;
    options.self = raft::NodeId(1);
    options.raft.quiet = true;
    node_ = std::make_unique<replica::ReplicaNode>(
        options, store, committer_, *this, clock_, logger,
        [this](std::function<void()> what) {
          std::lock_guard lock(mutex_);
          posted_.push_back(std::move(what));
          wake_.notify_one();
        },
        [this] { due_ = true; }, [](const Error& error) {
          fmt::print(stderr, "{}\n", error.text);
          std::_Exit(1);
        });
    if (!node_->load([](GroupUid) { return nullptr; })) std::_Exit(1);
    for (GroupUid uid = 1; uid <= groups; ++uid) {
      if (!node_->found(uid, raft::make_config({raft::NodeId(1)}), std::make_unique<KeepUp>(lag))) std::_Exit(1);
    }
    store.on_floors_wanted([this] {
      std::lock_guard lock(mutex_);
      posted_.push_back([this] { node_->write_checkpoints([this] { store_.floors_current(); }); });
      wake_.notify_one();
    });
    for (GroupUid uid = 1; uid <= groups; ++uid) {
      while (!node_->core(uid)->effective()) turn(5);
    }
  }
  ~Node() override {
    store_.on_floors_wanted(nullptr);
    committer_.stop();
  }
  void send(raft::NodeId, std::string) override {}
  std::size_t unsent_bytes(raft::NodeId) const override { return 0; }

  void propose(GroupUid uid, const raft::Slice& body, std::size_t count) {
    ++open_;
    node_->propose(uid, node_->core(uid)->term(), std::vector<raft::Slice>(count, body), [this](Result<Index> at) {
      if (!at) std::_Exit(1);
      --open_;
    });
  }
  int open() const { return open_; }
  /// Waits for something to do, at most `ms`, and does it.
  void turn(int ms) {
    std::deque<std::function<void()>> work;
    {
      std::unique_lock lock(mutex_);
      if (!due_) wake_.wait_for(lock, std::chrono::milliseconds(ms), [&] { return !posted_.empty(); });
      work.swap(posted_);
    }
    for (auto& what : work) what();
    if (clock_.steady_ms() >= next_tick_) {
      next_tick_ = clock_.steady_ms() + 20;
      node_->tick();
    }
    if (std::exchange(due_, false)) node_->turn();
  }

 private:
  storage::Store& store_;
  storage::ThreadCommitter committer_;
  RealClock clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> posted_;
  std::unique_ptr<replica::ReplicaNode> node_;
  bool due_{false};
  int open_{0};
  Millis next_tick_{0};
};

std::unique_ptr<storage::Store> open_fresh(const std::string& path, Logger& logger) {
  std::filesystem::remove_all(path);
  storage::DiscOptions options;
  options.path = path;
  auto store = storage::open_disc_store(options, logger);
  if (!store) {
    fmt::print(stderr, "{}\n", store.error().text);
    std::_Exit(1);
  }
  return std::move(*store);
}

double alone(const std::string& path, Logger& logger, std::size_t batch, const std::string& body, double seconds) {
  auto store = open_fresh(path, logger);
  store->floors_loaded();
  std::uint64_t index = 0;
  double begin = seconds_now();
  while (seconds_now() - begin < seconds) {
    storage::WriteBatch writes;
    for (std::size_t i = 0; i < batch; ++i) writes.put(storage::Keyspace::log, storage::log_key(1, ++index), body);
    writes.put(storage::Keyspace::hard_state, "record", std::string(100, 'r'));
    if (!store->write(writes, storage::Durability::synced)) std::_Exit(1);
  }
  return static_cast<double>(index) / (seconds_now() - begin);
}

double through(const std::string& path, Logger& logger, std::size_t batch, const std::string& body, int window, double seconds) {
  auto store = open_fresh(path, logger);
  Node node(*store, logger, 1, 100);
  raft::Slice slice = raft::Slice::of(body);
  std::uint64_t sent = 0;
  double begin = seconds_now();
  while (seconds_now() - begin < seconds) {
    while (node.open() < window) {
      node.propose(1, slice, batch);
      sent += batch;
    }
    node.turn(100);
  }
  while (node.open() > 0) node.turn(100);
  return static_cast<double>(sent) / (seconds_now() - begin);
}

void commit(const std::string& dir, std::size_t batch, std::size_t bytes, double seconds) {
  NullLogger logger;
  std::string body(bytes, 'x');
  for (int round = 0; round < 3; ++round) {
    double base = alone(dir + "/bench", logger, batch, body, seconds);
    double one = through(dir + "/bench", logger, batch, body, 1, seconds);
    double four = through(dir + "/bench", logger, batch, body, 4, seconds);
    double again = alone(dir + "/bench", logger, batch, body, seconds);  // discs have moods
    fmt::print("batch {} x {} B: store alone {:.0f}/s and {:.0f}/s, replica one batch open {:.0f}/s ({:.0f} % of the better), four open {:.0f}/s\n",
               batch, bytes, base, again, one, 100 * one / std::max(base, again), four);
  }
  std::filesystem::remove_all(dir + "/bench");
}

void tables(const std::string& dir, std::size_t groups, std::uint64_t mib) {
  NullLogger logger;
  auto store = open_fresh(dir + "/bench", logger);
  Node node(*store, logger, groups, 20);
  raft::Slice body = raft::Slice::of(std::string(1024, 'x'));
  std::uint64_t total = mib << 10;  // messages of a KiB
  double begin = seconds_now();
  for (std::uint64_t sent = 0; sent < total;) {
    while (node.open() < 256 && sent < total) {
      node.propose(1 + sent / 4 % groups, body, 4);
      sent += 4;
    }
    node.turn(100);
  }
  while (node.open() > 0) node.turn(100);
  double took = seconds_now() - begin;
  auto stats = store->stats();
  fmt::print("{} groups, {} MiB of messages in {:.1f} s ({:.0f}/s): {:.2f} % of their bytes reached a table\n", groups,
             mib, took, static_cast<double>(total) / took,
             100.0 * static_cast<double>(stats.log_bytes_flushed) / static_cast<double>(mib << 20));
}

}  // namespace
}  // namespace warren

int main(int argc, char** argv) {
  auto number = [&](int at, double otherwise) { return argc > at ? std::strtod(argv[at], nullptr) : otherwise; };
  if (argc >= 3 && !std::strcmp(argv[1], "commit")) {
    warren::commit(argv[2], static_cast<std::size_t>(number(3, 64)), static_cast<std::size_t>(number(4, 256)), number(5, 2));
  } else if (argc >= 3 && !std::strcmp(argv[1], "tables")) {
    warren::tables(argv[2], static_cast<std::size_t>(number(3, 1)), static_cast<std::uint64_t>(number(4, 512)));
  } else {
    std::fprintf(stderr, "replica_bench commit DIR [batch [bytes [seconds]]] | tables DIR [groups [MiB]]\n");
    return 2;
  }
  return 0;
}
