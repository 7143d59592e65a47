#include "cluster/transport/peer_caller.h"

#include <fmt/format.h>
#include <grpcpp/alarm.h>

#include <chrono>
#include <map>
#include <mutex>

#include "base/assert.h"
#include "cluster/transport/async_call.h"
#include "cluster/transport/node_registry.h"

namespace warren::transport {
namespace {

using SystemClock = std::chrono::system_clock;

/// One call, from the loop and back to it.
struct PendingCall {
  std::string node_name;
  std::string method;
  boost::json::object args;
  Millis deadline_ms{0};
  SystemClock::time_point deadline;
  PeerCaller::Done done;
  std::unique_ptr<grpc::Alarm> alarm;
  int dials{0};
  bool finished{false};
};
using CallPtr = std::shared_ptr<PendingCall>;

}  // namespace

/// Sessions by node, calls that wait for one. One lock; nothing is called out of it but what only
/// begins something.
struct PeerCallerCore : std::enable_shared_from_this<PeerCallerCore> {
  struct Node {
    std::shared_ptr<Session> session;
    Millis used_ms{0};
    bool dialling{false};
    std::vector<CallPtr> waiting;
    std::string host;
    std::uint16_t port{0};
  };

  PeerCallerOptions options;
  PeerCaller::Post post;
  const Clock& clock;
  std::shared_ptr<Workers> workers{std::make_shared<Workers>()};
  std::mutex lock;
  std::map<std::string, Node> nodes;
  std::size_t calls{0};
  bool closed{false};

  PeerCallerCore(PeerCallerOptions chosen, PeerCaller::Post how, const Clock& time)
      : options(std::move(chosen)), post(std::move(how)), clock(time) {}

  void begin(const CallPtr& call);
  // Under the lock:
  void make_room();
  void need_session(const CallPtr& call);
  void start_dial(const std::string& name);
  void start_call(const CallPtr& call, const std::shared_ptr<Session>& session);
  void finish(const CallPtr& call, Result<CallAnswer> answer);
  // Take the lock:
  void on_dialled(const std::string& name, Result<std::shared_ptr<Session>> outcome);
  void on_called(const CallPtr& call, const std::shared_ptr<Session>& session, CallOutcome outcome);
  void on_late(const CallPtr& call);
};

void PeerCallerCore::begin(const CallPtr& call) {
  const std::lock_guard guard(lock);
  if (closed) return;
  ++calls;
  call->alarm = std::make_unique<grpc::Alarm>();
  call->alarm->Set(call->deadline, [core = weak_from_this(), call](bool fired) {
    const auto to = fired ? core.lock() : nullptr;
    if (to) to->on_late(call);
  });
  if (calls > options.calls_max) {
    return finish(call, make_error(Errc::exhausted,
                                   fmt::format("{} calls to other nodes are already under way",
                                               options.calls_max)));
  }
  need_session(call);
}

/// Names come from people, too, and a name once typed is not to be kept for ever.
void PeerCallerCore::make_room() {
  while (nodes.size() >= options.nodes_max) {
    auto oldest = nodes.end();
    for (auto it = nodes.begin(); it != nodes.end(); ++it) {
      const bool idle = !it->second.dialling && it->second.waiting.empty();
      if (idle && (oldest == nodes.end() || it->second.used_ms < oldest->second.used_ms)) oldest = it;
    }
    if (oldest == nodes.end()) return;  // all are being dialled: as many as there are calls, which have a bound
    nodes.erase(oldest);
  }
}

void PeerCallerCore::need_session(const CallPtr& call) {
  if (!nodes.contains(call->node_name)) make_room();
  Node& node = nodes[call->node_name];
  const Millis now = clock.steady_ms();
  if (node.session && now - node.used_ms > options.session_idle_ms) node.session = nullptr;
  node.used_ms = now;
  if (node.session) return start_call(call, node.session);
  node.waiting.push_back(call);
  ++call->dials;
  if (!node.dialling) start_dial(call->node_name);
}

void PeerCallerCore::start_dial(const std::string& name) {
  Node& node = nodes[name];
  node.dialling = true;
  DialRequest request;
  request.node_name = name;
  request.host = node.host;
  request.port = node.port;
  request.default_port = options.default_port;
  request.registry = options.registry;
  request.cookies = options.cookies;
  request.self = options.self;
  request.patience = kPatientChannel;
  request.deadline_ms = options.dial_deadline_ms;
  const bool begun = workers->run(
      [core = weak_from_this(), workers = workers, name, request = std::move(request)]() mutable {
        dial(workers, std::move(request), [core, name](Result<std::shared_ptr<Session>> outcome) {
          if (const auto to = core.lock()) to->on_dialled(name, std::move(outcome));
        });
      });
  if (begun) return;
  node.dialling = false;
  for (const CallPtr& call : std::exchange(node.waiting, {}))
    finish(call, make_error(Errc::exhausted, "too many names are being resolved at once"));
}

void PeerCallerCore::on_dialled(const std::string& name, Result<std::shared_ptr<Session>> outcome) {
  const std::lock_guard guard(lock);
  if (closed) return;
  Node& node = nodes[name];
  node.dialling = false;
  const std::vector<CallPtr> waiting = std::exchange(node.waiting, {});
  if (outcome) {
    node.session = *outcome;
    node.port = (*outcome)->port;
    node.used_ms = clock.steady_ms();
  }
  for (const CallPtr& call : waiting) {
    if (outcome) {
      start_call(call, *outcome);
    } else {
      finish(call, outcome.error());
    }
  }
}

void PeerCallerCore::start_call(const CallPtr& call, const std::shared_ptr<Session>& session) {
  if (call->finished) return;
  const Millis left = std::chrono::duration_cast<std::chrono::milliseconds>(call->deadline -
                                                                            SystemClock::now())
                          .count();
  // A little less than the alarm's, so that the text of the call itself is the one told.
  async_call(session, call->method, call->args, std::max<Millis>(left - 5, 1),
             options.answer_max_bytes,
             [core = weak_from_this(), call, session](CallOutcome outcome) {
               if (const auto to = core.lock()) to->on_called(call, session, std::move(outcome));
             });
}

void PeerCallerCore::on_called(const CallPtr& call, const std::shared_ptr<Session>& session,
                               CallOutcome outcome) {
  const std::lock_guard guard(lock);
  if (closed) return;
  const auto node = nodes.find(call->node_name);
  const bool broken = !outcome.answer && outcome.answer.error().code == Errc::unavailable;
  if ((outcome.session_unknown || outcome.never_sent || broken) && node != nodes.end() &&
      node->second.session == session)
    node->second.session = nullptr;
  // Nothing was done there: a new handshake, and the same call again.
  const bool again = (outcome.session_unknown || outcome.never_sent) && call->dials < 2;
  if (again && !call->finished) return need_session(call);
  finish(call, std::move(outcome.answer));
}

void PeerCallerCore::on_late(const CallPtr& call) {
  const std::lock_guard guard(lock);
  finish(call, make_error(Errc::timeout, fmt::format("node {} did not answer {} within {} ms",
                                                     call->node_name, call->method,
                                                     call->deadline_ms)));
}

void PeerCallerCore::finish(const CallPtr& call, Result<CallAnswer> answer) {
  if (closed || call->finished) return;
  call->finished = true;
  call->alarm.reset();
  --calls;
  post([core = shared_from_this(), call, answer = std::move(answer)]() mutable {
    {
      const std::lock_guard guard(core->lock);
      if (core->closed) return;
    }
    const PeerCaller::Done done = std::move(call->done);
    done(std::move(answer));
  });
}

PeerCaller::PeerCaller(PeerCallerOptions options, Post post, const Clock& clock)
    : core_(std::make_shared<PeerCallerCore>(std::move(options), std::move(post), clock)) {
  WARREN_ASSERT(!core_->options.cookies.empty());
  if (core_->options.registry.empty()) core_->options.registry = registry_directories();
}

PeerCaller::~PeerCaller() { stop(); }

void PeerCaller::call(const std::string& node_name, const std::string& method,
                      boost::json::object args, Millis deadline_ms, Done done) {
  auto call = std::make_shared<PendingCall>();
  call->node_name = node_name;
  call->method = method;
  call->args = std::move(args);
  call->deadline_ms = std::max<Millis>(deadline_ms, 1);
  call->deadline = SystemClock::now() + std::chrono::milliseconds(call->deadline_ms);
  call->done = std::move(done);
  core_->begin(call);
}

void PeerCaller::call_all(const std::vector<std::string>& node_names, const std::string& method,
                          const boost::json::object& args, Millis deadline_ms, AllDone done) {
  struct Gather {
    std::vector<NodeAnswer> answers;
    std::size_t missing{0};
    AllDone done;
  };
  auto gather = std::make_shared<Gather>();
  gather->missing = node_names.size();
  gather->done = std::move(done);
  for (const std::string& name : node_names) gather->answers.push_back({name});
  if (node_names.empty()) return core_->post([gather] { gather->done({}); });
  for (std::size_t i = 0; i < node_names.size(); ++i) {
    call(node_names[i], method, args, deadline_ms, [gather, i](Result<CallAnswer> answer) {
      gather->answers[i].answer = std::move(answer);
      if (--gather->missing == 0) gather->done(std::move(gather->answers));
    });
  }
}

void PeerCaller::set_hint(const std::string& node_name, std::string host, std::uint16_t port) {
  const std::lock_guard guard(core_->lock);
  PeerCallerCore::Node& node = core_->nodes[node_name];
  node.host = std::move(host);
  node.port = port;
}

std::size_t PeerCaller::nodes() const {
  const std::lock_guard guard(core_->lock);
  return core_->nodes.size();
}

void PeerCaller::set_self(PeerIdentity self) {
  const std::lock_guard guard(core_->lock);
  core_->options.self = std::move(self);
  // The sessions say who we were; the next calls are made as who we are.
  for (auto& [name, node] : core_->nodes) node.session = nullptr;
}

void PeerCaller::set_cookies(std::vector<Cookie> cookies) {
  const std::lock_guard guard(core_->lock);
  if (!cookies.empty()) core_->options.cookies = std::move(cookies);
}

void PeerCaller::stop() {
  const std::lock_guard guard(core_->lock);
  core_->closed = true;
  core_->nodes.clear();
}

}  // namespace warren::transport
