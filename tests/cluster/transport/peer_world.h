#pragma once
// Several nodes in one process: each a control server on a loopback port and a PeerNet. One loop,
// turned by the test's own thread.

#include <boost/json.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "cluster/transport/control_server.h"
#include "cluster/transport/peer_net.h"
#include "tests/cluster/transport/support.h"

namespace warren::transport {

/// Work posted from any thread, done by whoever turns.
class TestLoop {
 public:
  void post(std::function<void()> work) {
    const std::lock_guard guard(lock_);
    work_.push_back(std::move(work));
    came_.notify_all();
  }
  /// Does what is posted until `until` holds. False after `seconds` without.
  bool turn(const std::function<bool()>& until, int seconds = 20) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!until()) {
      std::unique_lock guard(lock_);
      if (work_.empty() && !came_.wait_until(guard, end, [this] { return !work_.empty(); }))
        return until();
      auto work = std::move(work_.front());
      work_.pop_front();
      guard.unlock();
      work();
    }
    return true;
  }

 private:
  std::mutex lock_;
  std::condition_variable came_;
  std::deque<std::function<void()>> work_;
};

class SilentHandler final : public Handler {
 public:
  void call(std::string method, boost::json::object, std::shared_ptr<CallSink> sink) override {
    sink->fail(Errc::unsupported, "unknown method " + method);
  }
};

struct NodeSetup {
  std::string name;
  char id{'a'};
  std::uint64_t incarnation{1};
  std::string cluster;
  std::vector<Cookie> cookies{cookie_of("PEERPEERPEERPEER")};
  std::size_t unsent_max{128u << 20};
  std::size_t untaken_max{8u << 20};
  Millis silence_max{0};
  bool start{true};  ///< else the test calls net->start() itself
};

/// One node. Owner: the test's thread.
class TestNode {
 public:
  TestNode(TestLoop& loop, Handler& handler, NodeSetup chosen, std::string registry)
      : setup(std::move(chosen)), server_(handler, clock, log) {
    PeerNetOptions options;
    options.self = identity(setup.name);
    options.self.node_id = std::string(16, setup.id);
    options.self.cluster_id = setup.cluster;
    options.incarnation = setup.incarnation;
    options.cookies = setup.cookies;
    options.registry = {registry};
    options.unsent_max_bytes = setup.unsent_max;
    options.untaken_max_bytes = setup.untaken_max;
    options.default_port = 1;  // nobody listens there
    options.silence_ms = setup.silence_max;
    self = options.self;
    PeerEvents events;
    events.on_frame = [this](raft::NodeId from, Lane lane, std::shared_ptr<const std::string> frame) {
      EXPECT_TRUE(ups.contains(from)) << "a frame of a peer that is not up";
      frames[from][static_cast<std::size_t>(lane)].push_back(std::move(frame));
      ++frame_count;
      if (on_frame) on_frame(from, lane, *frames[from][static_cast<std::size_t>(lane)].back());
    };
    events.on_peer_up = [this](raft::NodeId from, std::uint64_t run) {
      EXPECT_TRUE(ups.emplace(from, run).second) << "up twice";
      ++up_count;
    };
    events.on_peer_down = [this](raft::NodeId from, const std::string& why) {
      EXPECT_EQ(ups.erase(from), 1u) << "down twice";
      down_reasons.push_back(why);
    };
    events.on_refused = [this](raft::NodeId, const Error& why) { refusals.push_back(why); };
    net = std::make_unique<PeerNet>(options, events,
                                    [&loop](std::function<void()> work) { loop.post(std::move(work)); },
                                    clock, log);
    ControlServerOptions control;
    control.address = "127.0.0.1";
    control.cookies = setup.cookies;
    control.identity = self;
    control.modules = {net->module()};
    control.registry = {registry};
    const auto bound = server_.start(control);
    EXPECT_TRUE(bound) << bound.error().text;
    port = bound ? *bound : 0;
    if (setup.start) net->start(port);
  }
  ~TestNode() { stop(); }
  void stop() {
    net->stop();
    server_.stop(0);
  }

  Peer as_peer() const { return {number(), setup.name, self.node_id, "127.0.0.1", port}; }
  raft::NodeId number() const { return member_number(self.node_id); }
  bool sees(const TestNode& other) const { return ups.contains(other.number()); }
  const std::vector<std::shared_ptr<const std::string>>& from(const TestNode& other, Lane lane) {
    return frames[other.number()][static_cast<std::size_t>(lane)];
  }
  void send(const TestNode& other, Lane lane, std::string frame) {
    net->lane(lane).send(other.number(), std::move(frame));
  }
  bool refused_with(const std::string& part) const {
    for (const Error& error : refusals)
      if (error.text.find(part) != std::string::npos) return true;
    return false;
  }

  NodeSetup setup;
  PeerIdentity self;
  ManualClock clock;
  MemoryLogger log;
  std::unique_ptr<PeerNet> net;
  std::uint16_t port{0};
  std::map<raft::NodeId, std::uint64_t> ups;
  std::map<raft::NodeId, std::array<std::vector<std::shared_ptr<const std::string>>, kLanes>> frames;
  std::function<void(raft::NodeId, Lane, const std::string&)> on_frame;
  std::size_t frame_count{0};
  int up_count{0};
  std::vector<std::string> down_reasons;
  std::vector<Error> refusals;

 private:
  ControlServer server_;
};

class PeerWorld : public ::testing::Test {
 protected:
  std::unique_ptr<TestNode> node(NodeSetup setup) {
    return std::make_unique<TestNode>(loop, handler, std::move(setup), registry.path());
  }
  static void introduce(const std::vector<TestNode*>& all) {
    for (TestNode* one : all) {
      std::vector<Peer> peers;
      for (TestNode* other : all) peers.push_back(other->as_peer());
      one->net->set_peers(peers);
    }
  }

  TempDir registry;
  SilentHandler handler;
  TestLoop loop;
};

}  // namespace warren::transport
