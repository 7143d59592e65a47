#pragma once
// A node without sockets on a store that the test may crash: Loop, Journal and Broker as the app wires
// them, a committer that writes when told to, and clients that are fed frames.

#include "node/server/journal.h"
#include "node/server/metadata_group.h"
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
        broker_(std::make_unique<broker::Broker>(*this, with_self(std::move(options)))) {
    GroupOptions group;
    group.incarnation = ++incarnations()[&store];
    group_ = std::make_unique<MetadataGroup>(
        group, MetadataGroup::Links{loop_, store, committer_, *broker_, nullptr, nullptr, null_log_,
                                    [this](const Error& e) { failure = e; }});
    loop_.on_turn([this] {
      broker_->end_turn();
      group_->turn();
      journal_.flush();
    });
  }
  ~StoreNode() override {
    clients.clear();
    group_->stop();
    committer_.drop_pending();
  }

  Result<void> start() {
    broker_->begin_boot();
    if (auto opened = group_->open(); !opened) return opened;
    if (!group_->has_group())
      if (auto founded = group_->found(); !founded) return founded;
    std::optional<Result<void>> booted;
    group_->boot([&](const Result<void>& result) { booted = result; }, [](const std::string&) {});
    settle();
    if (!booted || !*booted) return booted ? *booted : make_error(Errc::timeout, "the group never boots");
    restoring_ = true;
    broker_->bring_up();
    restoring_ = false;
    if (restore_error) return *restore_error;
    if (auto swept = journal_.sweep_retired(); !swept) return swept;
    auto retired = journal_.retire_others([this](storage::GroupUid uid) {
      return uid >= kMetadataGroup || broker_->queues().contains(uid);
    });
    if (!retired) return retired;
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
  void propose(std::vector<metadata::Command> commands,
               std::function<void(std::vector<Result<void>>)> done) override {
    group_->propose(commands, std::move(done));
  }
  void when_durable(std::function<void()> done) override { journal_.when_durable(std::move(done)); }
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
  static broker::BrokerOptions with_self(broker::BrokerOptions options) {
    options.self = GroupOptions{}.self.value;
    return options;
  }
  /// How often a node was started on a store.
  static std::map<const void*, std::uint64_t>& incarnations() {
    static std::map<const void*, std::uint64_t> all;
    return all;
  }

  Loop loop_;
  storage::FaultyStore& store_;
  storage::InlineCommitter committer_;
  Journal journal_;
  NullLogger null_log_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<MetadataGroup> group_;
  bool restoring_{false};
};

}  // namespace warren::server::test
