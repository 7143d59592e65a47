#pragma once
// Several brokers in one process and a network between them that delays and breaks. Clients sit on
// any of them; a queue lives where the test puts it.

#include "tests/node/broker/broker_fixture.h"

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace warren::broker::test {

using pipe::MemberId;

/// Frames between nodes, in order while a stream stands. A broken stream loses what was on its way.
class FakeNet {
 public:
  class Port final : public replica::Transport {
   public:
    Port(FakeNet& net, MemberId self) : net_(net), self_(self) {}
    void send(raft::NodeId to, std::string frame) override {
      if (net_.up(self_, to.value)) net_.wires_[{self_, to.value}].push_back(std::move(frame));
    }
    std::size_t unsent_bytes(raft::NodeId) const override { return 0; }

   private:
    FakeNet& net_;
    MemberId self_;
  };

  bool up(MemberId a, MemberId b) const {
    const auto found = up_.find(std::minmax(a, b));
    return found != up_.end() && found->second;
  }
  void set_up(MemberId a, MemberId b, bool up) {
    up_[std::minmax(a, b)] = up;
    if (up) return;
    wires_[{a, b}].clear();
    wires_[{b, a}].clear();
  }
  bool idle() const {
    for (const auto& [ends, frames] : wires_)
      if (!frames.empty()) return false;
    return true;
  }
  std::deque<std::string>& wire(MemberId from, MemberId to) { return wires_[{from, to}]; }
  std::map<std::pair<MemberId, MemberId>, std::deque<std::string>>& wires() { return wires_; }

 private:
  std::map<std::pair<MemberId, MemberId>, bool> up_;
  std::map<std::pair<MemberId, MemberId>, std::deque<std::string>> wires_;
};

/// An environment whose disc outlives it.
class ClusterEnv final : public FakeEnv {
 public:
  using Disc = std::map<metadata::QueueUid, std::unique_ptr<FakeLog>>;
  using Group = std::function<Result<metadata::Applied>(const metadata::Command&)>;
  /// `group` commits on every node, as the replicated catalogue does.
  explicit ClusterEnv(Group group, Disc disc = {}) : group_(std::move(group)), disc_(std::move(disc)) {}

  Result<metadata::Applied> agree(const metadata::Command& command) override { return group_(command); }

  QueueLog* open_log(metadata::QueueUid uid) override {
    const auto found = disc_.find(uid);
    if (found == disc_.end()) return FakeEnv::open_log(uid);
    recovers_.insert(uid);
    return (logs[uid] = std::move(found->second)).get();
  }
  void attach_queue(metadata::QueueUid uid, std::shared_ptr<Queue> queue) override {
    if (recovers_.erase(uid) != 0) {
      const FakeLog& log = *logs[uid];
      const std::vector<std::pair<std::string, std::string>> rows(log.rows.begin(), log.rows.end());
      if (!rows.empty()) {
        EXPECT_TRUE(queue->restore(rows));
      }
      for (const auto& [index, record] : log.records)
        EXPECT_TRUE(queue->replay(index, record, Block::copy_of(record)));
    }
    FakeEnv::attach_queue(uid, std::move(queue));
  }
  /// What a power cut leaves.
  Disc crash() {
    for (auto& [uid, log] : logs) log->crash();
    return std::move(logs);
  }
  std::string member_name(std::uint64_t member) const override {
    return "rabbit@n" + std::to_string(member);
  }

 private:
  Group group_;
  Disc disc_;
  std::set<metadata::QueueUid> recovers_;
};

class ClusterTest : public BrokerTest {
 protected:
  struct Node {
    MemberId id;
    std::unique_ptr<ClusterEnv> env;
    std::unique_ptr<FakeNet::Port> port;
    std::unique_ptr<Broker> broker;
    std::vector<std::unique_ptr<TestClient>> clients;
    bool alive{false};
  };

  explicit ClusterTest(std::size_t nodes = 2) {
    for (std::size_t i = 1; i <= nodes; ++i) {
      Node& n = nodes_.emplace_back();
      n.id = i;
      n.env = std::make_unique<ClusterEnv>(group_of(i));
      n.port = std::make_unique<FakeNet::Port>(net_, i);
      boot(n);
    }
    metadata::PutVhost vhost;
    vhost.def.name = "/";
    everywhere(vhost);
    metadata::PutUser user;
    user.def.name = "guest";
    user.def.hashing_algorithm = access::kDefaultHashing;
    user.def.password_hash =
        *access::hash_password(access::kDefaultHashing, "secret", [](auto salt) { salt[0] = 7; });
    everywhere(user);
    everywhere(metadata::PutPermission{{"guest", "/", ".*", ".*", ".*"}});
    for (const Node& a : nodes_)
      for (const Node& b : nodes_)
        if (a.id < b.id) join(a.id, b.id);
    settle();
  }
  ~ClusterTest() override {
    for (Node& n : nodes_) n.clients.clear();
  }

  Node& node(MemberId id) { return nodes_.at(id - 1); }
  Broker& broker(MemberId id) { return *node(id).broker; }

  void boot(Node& n) {
    BrokerOptions options;
    options.self = n.id;
    options.node_name = "rabbit@n" + std::to_string(n.id);
    n.broker = std::make_unique<Broker>(*n.env, options);
    n.env->broker = n.broker.get();
    n.broker->pipes().start(++incarnation_, *n.port);
    n.alive = true;
  }
  ClusterEnv::Group group_of(MemberId proposer) {
    return [this, proposer](const metadata::Command& command) {
      history_.push_back(command);
      Result<metadata::Applied> own = metadata::Applied{};
      for (Node& n : nodes_) {
        if (!n.alive) continue;
        auto applied = n.broker->commit(command, n.id == proposer);
        if (n.id == proposer) own = std::move(applied);
      }
      return own;
    };
  }
  /// The same command on every node.
  void everywhere(const metadata::Command& command) {
    for (Node& n : nodes_) {
      if (!n.alive) continue;
      n.broker->apply(command, [](const Result<void>& result) {
        EXPECT_TRUE(result) << result.error().text;
      });
      break;
    }
    settle();
  }
  void queue_on(MemberId home, std::string name, bool durable = true, FieldTable arguments = {},
                bool auto_delete = false) {
    metadata::QueueDef def;
    def.vhost = "/";
    def.name = std::move(name);
    def.durable = durable;
    def.auto_delete = auto_delete;
    def.arguments = std::move(arguments);
    def.home = home;
    def.uid = next_uid_++;
    everywhere(metadata::DeclareQueue{std::move(def)});
  }

  // ---- the network
  void join(MemberId a, MemberId b) {
    net_.set_up(a, b, true);
    if (node(a).alive) broker(a).pipes().on_peer_up(b);
    if (node(b).alive) broker(b).pipes().on_peer_up(a);
  }
  void part(MemberId a, MemberId b) {
    net_.set_up(a, b, false);
    if (node(a).alive) broker(a).pipes().on_peer_down(b);
    if (node(b).alive) broker(b).pipes().on_peer_down(a);
  }
  /// A process dies: its streams break at once, its memory is gone, its disc stays.
  void kill(MemberId id) {
    Node& n = node(id);
    for (Node& other : nodes_)
      if (other.id != id && net_.up(id, other.id)) part(id, other.id);
    n.alive = false;
    n.clients.clear();
    auto disc = n.env->crash();
    n.broker.reset();
    n.env = std::make_unique<ClusterEnv>(group_of(id), std::move(disc));
  }
  /// Comes back as another process with the catalogue of now; its streams are for the test to join.
  void restart(MemberId id) {
    boot(node(id));
    for (const auto& command : history_) static_cast<void>(broker(id).commit(command, false));
    settle();
  }
  void give_up(MemberId who, MemberId whom) {
    broker(who).pipes().on_node_down(whom);
    settle();
  }
  bool deliver_one() {
    for (auto& [ends, frames] : net_.wires()) {
      if (frames.empty()) continue;
      const std::string frame = std::move(frames.front());
      frames.pop_front();
      if (node(ends.second).alive) broker(ends.second).pipes().on_frame(ends.first, frame);
      return true;
    }
    return false;
  }
  void turn(Node& n) {
    for (int i = 0; i < 100; ++i) {
      n.env->turn_wanted = false;
      n.broker->end_turn();
      for (auto& client : n.clients)
        if (client->read_wanted) {
          client->read_wanted = false;
          if (!client->kept.empty() && !client->connection().paused()) client->offer();
        }
      if (!n.env->turn_wanted) return;
    }
    FAIL() << "never comes to rest";
  }
  void sync_disc(Node& n) {
    std::vector<metadata::QueueUid> uids;
    for (const auto& [uid, log] : n.env->logs) uids.push_back(uid);
    for (const auto uid : uids) n.env->sync_queue(uid);
    n.env->sync_metadata();
    n.env->answer_reads();
  }
  /// Turns and frames until nothing moves; discs too unless the test holds one back.
  void settle(bool discs = true) {
    for (int i = 0; i < 1000; ++i) {
      for (Node& n : nodes_) {
        if (!n.alive) continue;
        turn(n);
        if (discs) sync_disc(n);
        turn(n);
      }
      bool moved = false;
      while (deliver_one()) moved = true;
      if (moved) continue;
      bool waiting = false;
      for (Node& n : nodes_)
        if (n.alive) waiting |= discs && (!n.env->waiting.empty() || n.env->unsynced());
      if (!waiting) return;
    }
    FAIL() << "never comes to rest";
  }
  void pass(Millis by) {
    for (Node& n : nodes_) {
      n.env->clock.advance(by);
      if (!n.alive) continue;
      n.broker->on_time(n.env->clock.steady_ms());
      n.broker->pipes().tick();
    }
    settle();
  }

  TestClient& client_on(MemberId id, const FieldTable& properties = {}) {
    Node& n = node(id);
    auto& client = *n.clients.emplace_back(std::make_unique<TestClient>(*n.broker, "guest", properties));
    EXPECT_EQ(client.connection().state(), amqp::ConnectionState::running);
    client.send(1, amqp::ChannelOpen{});
    settle();
    EXPECT_EQ(client.receive().size(), 1U);
    return client;
  }
  static FieldTable cancel_notify() {
    FieldTable capabilities, properties;
    capabilities.set("consumer_cancel_notify", FieldValue(true));
    capabilities.set("basic.nack", FieldValue(true));
    properties.set("capabilities", FieldValue(std::move(capabilities)));
    return properties;
  }
  template <class Method>
  Received ask(TestClient& client, const Method& method) {
    client.send(1, method);
    settle();
    auto answers = client.receive();
    EXPECT_EQ(answers.size(), 1U);
    return answers.empty() ? Received{} : answers.front();
  }
  void confirms_on(TestClient& client) {
    ASSERT_EQ(ask(client, amqp::ConfirmSelect{}).id(), amqp::ConfirmSelectOk::kId);
  }
  /// When deliveries may come in between.
  void confirms_on_quiet(TestClient& client) {
    client.send(1, amqp::ConfirmSelect{});
    settle();
    client.receive();
  }
  void reopen_on(TestClient& client) {
    client.send(1, amqp::ChannelCloseOk{});
    ASSERT_EQ(ask(client, amqp::ChannelOpen{}).id(), amqp::ChannelOpenOk::kId);
  }
  std::uint64_t ready_on(MemberId id, std::string_view name) {
    auto queue = broker(id).queue("/", name);
    EXPECT_NE(queue, nullptr);
    return queue ? queue->stats().ready : 0;
  }
  std::uint64_t unacked_on(MemberId id, std::string_view name) {
    auto queue = broker(id).queue("/", name);
    return queue ? queue->stats().unacked : 0;
  }

  /// Takes everything out of a queue, on its home node.
  std::vector<std::string> drain(MemberId id, std::string_view name) {
    std::vector<std::string> all;
    auto queue = broker(id).queue("/", name);
    EXPECT_NE(queue, nullptr) << name;
    for (bool more = queue != nullptr; more;) {
      bool answered = false;
      queue->get(broker(id).next_holder(), true, [&](const GetResult& got) {
        answered = true;
        more = got.delivery.has_value();
        if (more) all.emplace_back(got.delivery->message.body());
      });
      if (!answered) settle();
      EXPECT_TRUE(answered);
      more = more && answered;
    }
    return all;
  }

  FakeNet net_;
  std::vector<metadata::Command> history_;
  std::deque<Node> nodes_;
  metadata::QueueUid next_uid_{1000};
  std::uint64_t incarnation_{100};
};

}  // namespace warren::broker::test
