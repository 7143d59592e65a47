#pragma once
// A node without sockets on a store that the test may crash: Loop, Journal and Broker as the app wires
// them, a committer that writes when told to, and clients that are fed frames.

#include "node/server/journal.h"
#include "storage/faulty/faulty_store.h"
#include "storage/journal/inline_committer.h"
#include "storage/memory/memory_store.h"
#include "tests/node/broker/broker_fixture.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace warren::server::test {

using broker::test::TestClient;

/// One life of a node, from start-up to a crash or a stop. Owner: the test; `store` outlives it.
class StoreNode final : public broker::BrokerEnv {
 public:
  explicit StoreNode(storage::FaultyStore& store, broker::BrokerOptions options = {})
      : store_(store),
        committer_(store, storage::InlineCommitter::Mode::manual),
        journal_(loop_, store, committer_, [this](const Error& e) { failure = e; }),
        broker_(std::make_unique<broker::Broker>(*this, std::move(options))) {
    loop_.on_turn([this] {
      broker_->end_turn();
      journal_.flush();
    });
  }
  ~StoreNode() override {
    clients.clear();
    committer_.drop_pending();
  }

  Result<void> start() {
    restoring_ = true;
    auto rows = store_.scan(storage::Keyspace::meta, {}, {});
    if (!rows) return rows.error();
    for (; (*rows)->valid(); (*rows)->next())
      if (auto ok = broker_->restore_row((*rows)->key(), (*rows)->value()); !ok) return ok;
    broker_->restored();
    restoring_ = false;
    if (restore_error) return *restore_error;
    if (auto swept = journal_.sweep_retired(); !swept) return swept;
    store_.floors_loaded();
    if (broker_->vhost("/") == nullptr) seed();
    return {};
  }
  void seed() {
    metadata::PutVhost vhost;
    vhost.def.name = "/";
    metadata::PutUser user;
    user.def.name = "guest";
    user.def.hashing_algorithm = access::kDefaultHashing;
    user.def.password_hash =
        *access::hash_password(access::kDefaultHashing, "secret", [](auto salt) { salt[0] = 7; });
    broker_->apply_all({vhost, user, metadata::PutPermission{{"guest", "/", ".*", ".*", ".*"}}},
                       [](const Result<void>& r) { ASSERT_TRUE(r); });
    settle();
  }
  TestClient& connect(std::initializer_list<std::uint16_t> channels = {1}) {
    auto& client = *clients.emplace_back(std::make_unique<TestClient>(*broker_));
    for (const auto number : channels) client.send(number, amqp::ChannelOpen{});
    run();
    (void)client.receive();
    return client;
  }

  /// Whatever the loop has ready; nothing reaches the store.
  void run() {
    loop_.io().restart();
    loop_.io().poll();
  }
  /// One group commit, and what its completions bring about. Gives how many submissions it held.
  std::size_t commit() {
    const std::size_t n = committer_.pump();
    run();
    return n;
  }
  /// Until nothing is left to write; lazy records too.
  void settle() {
    for (int i = 0; i < 50; ++i) {
      run();
      if (committer_.pending() == 0) journal_.flush_lazy();
      if (committer_.pending() == 0) return;
      commit();
    }
  }
  void checkpoint_all() {
    for (const auto& [uid, queue] : broker_->queues()) queue->checkpoint();
  }

  broker::Broker& broker() { return *broker_; }
  Journal& journal() { return journal_; }
  Loop& loop() { return loop_; }
  storage::InlineCommitter& committer() { return committer_; }

  // ---- broker::BrokerEnv
  Millis wall_ms() const override { return clock.wall_ms(); }
  Millis steady_ms() const override { return clock.steady_ms(); }
  void random(std::span<char> into) override {
    for (char& c : into) c = static_cast<char>(prng.next());
  }
  void persist(std::vector<metadata::RowChange> rows, std::function<void()> done) override {
    journal_.persist(std::move(rows), std::move(done));
  }
  broker::QueueLog* open_log(metadata::QueueUid uid) override { return &journal_.open(uid); }
  void attach_queue(metadata::QueueUid uid, std::shared_ptr<broker::Queue> queue) override {
    journal_.find(uid)->attach(queue);
    if (!restoring_) {
      queue->recovered();
      store_.set_floor(uid, {});
      return;
    }
    if (auto ok = journal_.recover(uid, *queue); !ok && !restore_error) restore_error = ok.error();
  }
  void close_log(metadata::QueueUid uid, bool retire) override { journal_.close(uid, retire); }
  std::uint64_t log_bytes_in_flight() const override { return journal_.bytes_in_flight(); }
  void want_turn() override { loop_.want_turn(); }
  Logger& log() override { return null_log_; }

  ManualClock clock;
  Prng prng{1};
  std::optional<Error> failure, restore_error;
  std::vector<std::unique_ptr<TestClient>> clients;

 private:
  Loop loop_;
  storage::FaultyStore& store_;
  storage::InlineCommitter committer_;
  Journal journal_;
  NullLogger null_log_;
  std::unique_ptr<broker::Broker> broker_;
  bool restoring_{false};
};

}  // namespace warren::server::test
