// Two processes on loopback with a PeerNet each: round trip of a small frame, CPU of small frames,
// throughput of 64 KiB frames, memory that idle peers add.

#include "cluster/transport/control_server.h"
#include "cluster/transport/peer_net.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

namespace {

using namespace warren;
using namespace warren::transport;

class SystemClock final : public Clock {
 public:
  Millis steady_ms() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  Millis wall_ms() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

class Refuse final : public Handler {
 public:
  void call(std::string, boost::json::object, std::shared_ptr<CallSink> sink) override {
    sink->fail(Errc::unsupported, "none");
  }
};

double cpu_s() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) / 1e6; };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

long rss_kib() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  return 0;
}

struct Node {
  Node(char id, int peers) {
    Cookie cookie;
    cookie.secret = "BENCHBENCHBENCH";
    cookie.source = "option";
    PeerNetOptions options;
    options.self.node_name = std::string(1, id) + "@localhost";
    options.self.node_id = std::string(16, id);
    options.cookies = {cookie};
    options.registry = {"/nonexistent"};
    options.default_port = 1;
    PeerEvents events;
    events.on_frame = [this](raft::NodeId from, Lane lane, std::shared_ptr<const std::string> frame) {
      ++frames;
      bytes += frame->size();
      if (on_frame) on_frame(from, lane, *frame);
    };
    events.on_peer_up = [this](raft::NodeId, std::uint64_t) { ++ups; };
    events.on_peer_down = [](raft::NodeId, const std::string& why) { std::printf("down: %s\n", why.c_str()); };
    net = std::make_unique<PeerNet>(
        options, events, [this](std::function<void()> work) { boost::asio::post(io, std::move(work)); },
        clock, log);
    ControlServerOptions control;
    control.address = "127.0.0.1";
    control.cookies = {cookie};
    control.identity = options.self;
    control.modules = {net->module()};
    control.registry = {"/nonexistent"};
    port = *server.start(control);
    (void)peers;
    net->start(port);
  }
  template <class F>
  void run_until(F&& done) {
    while (!done()) io.run_one();
  }
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard{io.get_executor()};
  SystemClock clock;
  NullLogger log;
  Refuse handler;
  ControlServer server{handler, clock, log};
  std::unique_ptr<PeerNet> net;
  std::uint16_t port{0};
  int ups{0};
  std::uint64_t frames{0}, bytes{0};
  std::function<void(raft::NodeId, Lane, const std::string&)> on_frame;
};

Peer peer(char id, std::uint16_t port) {
  const std::string node_id(16, id);
  return {member_number(node_id), std::string(1, id) + "@localhost", node_id, "127.0.0.1", port};
}

/// Echoes frames of up to 1 KiB; swallows larger ones; "cpu" answers the CPU used; "bye" ends.
int echo(char id, int to_parent, int from_parent) {
  Node node(id, 1);
  std::uint16_t theirs = 0;
  if (write(to_parent, &node.port, sizeof node.port) < 0 || read(from_parent, &theirs, sizeof theirs) < 0) return 1;
  bool bye = false;
  std::uint64_t swallowed = 0;
  node.on_frame = [&](raft::NodeId from, Lane lane, const std::string& frame) {
    if (frame == "bye") bye = true;
    if (frame == "cpu") return node.net->lane(lane).send(from, std::to_string(cpu_s()));
    if (frame.size() <= 1024) return node.net->lane(lane).send(from, frame);
    swallowed += frame.size();
  };
  node.net->set_peers({peer('a', theirs)});
  node.run_until([&] { return bye; });
  return 0;
}

}  // namespace

int main() {
  int down[2][2], up[2][2];
  pid_t children[2];
  for (int i = 0; i < 2; ++i) {
    if (pipe(down[i]) != 0 || pipe(up[i]) != 0) return 1;
    children[i] = fork();
    if (children[i] == 0) _exit(echo(static_cast<char>('b' + i), up[i][1], down[i][0]));
  }
  Node a('a', 2);
  const long before = rss_kib();
  std::uint16_t ports[2];
  for (int i = 0; i < 2; ++i) {
    if (read(up[i][0], &ports[i], 2) != 2 || write(down[i][1], &a.port, 2) != 2) return 1;
  }
  a.net->set_peers({peer('b', ports[0]), peer('c', ports[1])});
  a.run_until([&] { return a.ups == 2; });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::printf("memory two idle peers add: %ld KiB (%ld to %ld)\n", rss_kib() - before, before, rss_kib());

  const raft::NodeId b = peer('b', 0).id;
  auto& lane = a.net->lane(Lane::consensus);
  const auto child_cpu = [&] {
    double used = 0;
    bool got = false;
    a.on_frame = [&](raft::NodeId, Lane, const std::string& frame) { used = std::atof(frame.c_str()); got = true; };
    lane.send(b, "cpu");
    a.run_until([&] { return got; });
    return used;
  };
  using Wall = std::chrono::steady_clock;
  for (const int pause_us : {0, 2000}) {
    std::vector<double> trips;
    const int rounds = pause_us == 0 ? 5000 : 500;
    const double before_a = cpu_s(), before_b = child_cpu();
    std::uint64_t seen = 0;
    a.on_frame = [&](raft::NodeId, Lane, const std::string&) { ++seen; };
    for (int i = 0; i < rounds; ++i) {
      if (pause_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
      const auto start = Wall::now();
      const std::uint64_t want = seen + 1;
      lane.send(b, std::string(100, 'x'));
      a.run_until([&] { return seen >= want; });
      trips.push_back(std::chrono::duration<double, std::micro>(Wall::now() - start).count());
    }
    const double used_a = cpu_s() - before_a, used_b = child_cpu() - before_b;
    std::sort(trips.begin(), trips.end());
    std::printf("round trip of 100 bytes, %4d us apart: p50 %.0f p90 %.0f p99 %.0f us; CPU of 1,000 round trips: %.1f + %.1f ms\n",
                pause_us, trips[trips.size() / 2], trips[trips.size() * 9 / 10], trips[trips.size() * 99 / 100],
                used_a * 1e6 / rounds, used_b * 1e6 / rounds);
  }
  {
    const int count = 200'000;
    const double before_a = cpu_s(), before_b = child_cpu();
    std::uint64_t seen = 0;
    a.on_frame = [&](raft::NodeId, Lane, const std::string&) { ++seen; };
    const auto start = Wall::now();
    for (int sent = 0; sent < count;) {
      for (int i = 0; i < 100; ++i, ++sent) lane.send(b, std::string(100, 'x'));
      a.run_until([&] { return seen + 2000 >= static_cast<std::uint64_t>(sent); });
    }
    a.run_until([&] { return seen == count; });
    const double seconds = std::chrono::duration<double>(Wall::now() - start).count();
    const double used_a = cpu_s() - before_a, used_b = child_cpu() - before_b;
    std::printf("small frames there and back: %.0f/s; CPU of 1,000 there and back: %.2f + %.2f ms\n", count / seconds,
                used_a * 1e6 / count, used_b * 1e6 / count);
  }
  {
    const int count = 16'000;
    auto& queues = a.net->lane(Lane::queues);
    const double before_a = cpu_s(), before_b = child_cpu();
    const auto start = Wall::now();
    for (int i = 0; i < count; ++i) {
      queues.send(b, std::string(65'536, 'y'));
      while (queues.unsent_bytes(b) > (8u << 20)) std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    while (queues.unsent_bytes(b) > 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    const double seconds = std::chrono::duration<double>(Wall::now() - start).count();
    const double used_a = cpu_s() - before_a, used_b = child_cpu() - before_b;
    const double megabytes = count * 65'536.0 / 1e6;
    std::printf("64 KiB frames: %.0f MB/s; CPU per MB: %.2f + %.2f ms\n", megabytes / seconds, used_a * 1e3 / megabytes,
                used_b * 1e3 / megabytes);
  }
  std::printf("memory at the end: %ld KiB\n", rss_kib());
  std::fflush(stdout);
  lane.send(b, "bye");
  lane.send(peer('c', 0).id, "bye");
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  a.net->stop();
  a.server.stop(0);
  return 0;
}
