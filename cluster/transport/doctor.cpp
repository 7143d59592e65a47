#include "cluster/transport/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "cluster/transport/async_call.h"
#include "cluster/transport/dial.h"
#include "cluster/transport/node_registry.h"
#include "cluster/transport/resolver.h"

namespace warren::transport {
namespace {

namespace json = boost::json;

constexpr std::size_t kReportMaxBytes = 1u << 20;
constexpr const char* kOk = "ok";
constexpr const char* kWarning = "warning";
constexpr const char* kFailed = "failed";
constexpr const char* kSkipped = "skipped";

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

Millis wall_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// The checks that come of reaching the other node, in their order.
const std::vector<std::string> kReaching{"name",     "port",    "node",   "cookie",
                                         "versions", "cluster", "clocks", "reverse"};

class Doctor : public std::enable_shared_from_this<Doctor> {
 public:
  Doctor(std::shared_ptr<Workers> workers, DoctorOptions options,
         std::function<void(std::vector<DoctorCheck>)> done)
      : workers_(std::move(workers)), options_(std::move(options)), done_(std::move(done)) {}

  /// On a worker.
  void start() {
    own_cookie();
    own_name();
    if (options_.other.empty()) return finish();
    if (options_.other == options_.self.node_name) {
      say("node", kFailed, options_.other + " is this node itself; name the other one");
      return finish();
    }
    if (!other_name()) return finish();
    DialRequest request;
    request.node_name = options_.other;
    request.default_port = options_.default_port;
    request.registry = options_.registry;
    request.cookies = options_.cookies;
    request.self = options_.self;
    // Clusters are compared below, with a text of their own: a handshake between two would end.
    request.self.cluster_id.clear();
    request.patience = kPatientChannel;
    request.deadline_ms = options_.deadline_ms;
    dial(workers_, std::move(request),
         [self = shared_from_this()](Result<std::shared_ptr<Session>> outcome) {
           if (outcome) {
             self->reached(*outcome);
           } else {
             self->not_reached(outcome.error());
           }
         });
  }

 private:
  void say(std::string check, const char* status, std::string text) {
    checks_.push_back({std::move(check), status, std::move(text)});
  }

  void own_cookie() {
    const Cookie& cookie = options_.cookies.front();
    if (cookie.source != "file") return say("own cookie", kOk, cookie.describe());
    CookieSearch search;
    search.files = {cookie.file};
    const Result<Cookie> now = find_cookie(search);
    if (!now) return say("own cookie", kFailed, now.error().text);
    if (now->secret != cookie.secret) {
      return say("own cookie", kFailed,
                 fmt::format("the file was changed since the node started: in use is fingerprint {}, "
                             "the file ({}) has {}; restart the node, or put the old cookie back",
                             cookie.fingerprint(), now->describe(), now->fingerprint()));
    }
    const std::string user = user_name(::geteuid());
    if (now->owner != user) {
      return say("own cookie", kWarning,
                 fmt::format("{}; the node runs as {}: chown {} {}", now->describe(), user, user,
                             now->file));
    }
    std::string text = now->describe();
    if (options_.cookies.size() > 1)
      text += fmt::format("; also accepted: fingerprint {}", options_.cookies[1].fingerprint());
    say("own cookie", kOk, std::move(text));
  }

  void own_name() {
    const std::string host = host_part(options_.self.node_name);
    const Result<std::vector<std::string>> addresses = resolve_host(host);
    if (!addresses) return say("own name", kFailed, addresses.error().text);
    const bool own = std::all_of(addresses->begin(), addresses->end(), is_own_address);
    if (!own) {
      return say("own name", kFailed,
                 fmt::format("{} resolves to {}, which is not an address of this host; correct "
                             "/etc/hosts or the DNS",
                             host, joined(*addresses)));
    }
    const bool inside = std::all_of(addresses->begin(), addresses->end(), [](const std::string& a) {
      return a.starts_with("127.") || a == "::1";
    });
    say("own name", kOk,
        fmt::format("{} resolves to {}{}; inter-node port {}", host, joined(*addresses),
                    inside ? " (only inside this host: others must resolve it to another address)"
                           : "",
                    options_.own_port));
  }

  bool other_name() {
    const std::string host = host_part(options_.other);
    const Result<std::vector<std::string>> addresses = resolve_host(host);
    if (!addresses) {
      fail_at("name", addresses.error().text);
      return false;
    }
    const bool here = std::any_of(addresses->begin(), addresses->end(), is_own_address);
    if (here && host != host_part(options_.self.node_name) &&
        !find_node(options_.other, options_.registry)) {
      fail_at("name", fmt::format("{} resolves to {}, which is this host, and no node {} runs here; "
                                  "correct /etc/hosts or the DNS",
                                  host, joined(*addresses), options_.other));
      return false;
    }
    say("name", kOk, fmt::format("{} resolves to {}", host, joined(*addresses)));
    return true;
  }

  /// This check failed; those behind it cannot be made.
  void fail_at(const std::string& check, const std::string& text) {
    bool behind = false;
    for (const std::string& each : kReaching) {
      const bool made = std::any_of(checks_.begin(), checks_.end(),
                                    [&](const DoctorCheck& done) { return done.check == each; });
      if (each == check) {
        say(each, kFailed, text);
        behind = true;
      } else if (behind) {
        say(each, kSkipped, "not checked");
      } else if (!made) {
        say(each, kOk, "passed");
      }
    }
  }

  void not_reached(const Error& why) {
    switch (why.code) {
      case Errc::not_found: fail_at("name", why.text); break;
      case Errc::unauthenticated: fail_at("cookie", why.text); break;
      case Errc::unsupported: fail_at("versions", why.text); break;
      case Errc::conflict: fail_at("cluster", why.text); break;
      case Errc::unavailable:
        fail_at(why.text.find(" is node ") != std::string::npos ? "node" : "port", why.text);
        break;
      case Errc::timeout: fail_at("port", why.text); break;
      default: fail_at("cookie", why.text); break;
    }
    finish();
  }

  void reached(const std::shared_ptr<Session>& session) {
    const PeerIdentity& mine = options_.self;
    const PeerIdentity& theirs = session->proved.server;
    say("port", kOk, fmt::format("{} port {} answers", session->address, session->port));
    say("node", kOk, theirs.node_name);
    say("cookie", kOk,
        fmt::format("the same on both sides, fingerprint {}", options_.cookies.front().fingerprint()));
    say("versions", mine.product_version == theirs.product_version ? kOk : kWarning,
        fmt::format("{} runs {} (protocol {} to {}), {} runs {} (protocol {} to {})", mine.node_name,
                    mine.product_version, mine.version_min, mine.version_max, theirs.node_name,
                    theirs.product_version, theirs.version_min, theirs.version_max));
    compare_clusters(theirs);
    const Millis wall = wall_now();
    const auto clocks = clock_warning(mine.node_name, wall, theirs.node_name, wall + session->skew_ms);
    say("clocks", clocks ? kWarning : kOk,
        clocks ? *clocks : fmt::format("{} ms apart", std::abs(session->skew_ms)));
    if (!options_.reverse) return finish();
    json::object args{{"node", mine.node_name}, {"reverse", false}};
    async_call(session, "cluster_doctor", args, options_.deadline_ms * 2, kReportMaxBytes,
               [self = shared_from_this()](const CallOutcome& outcome) { self->reversed(outcome); });
  }

  void compare_clusters(const PeerIdentity& theirs) {
    const PeerIdentity& mine = options_.self;
    const auto shown = [](const std::string& id) { return id.empty() ? std::string("none") : id; };
    if (!mine.cluster_id.empty() && mine.cluster_id == theirs.cluster_id)
      return say("cluster", kOk, "both belong to cluster " + mine.cluster_id);
    // Not a failure: before a join it cannot be otherwise.
    say("cluster", kOk,
        fmt::format("{} belongs to cluster {}, {} to {}: two clusters do not merge; a node that is "
                    "reset can join the other's",
                    mine.node_name, shown(mine.cluster_id), theirs.node_name,
                    shown(theirs.cluster_id)));
  }

  void reversed(const CallOutcome& outcome) {
    if (!outcome.answer) {
      say("reverse", kFailed,
          fmt::format("{} was asked to check from its side: {}", options_.other,
                      outcome.answer.error().text));
      return finish();
    }
    const json::object* report = outcome.answer->result.if_object();
    const json::value* checks = report == nullptr ? nullptr : report->if_contains("checks");
    bool bad = false;
    if (checks != nullptr && checks->is_array()) {
      for (const json::value& each : checks->get_array()) {
        const auto text = [&](const char* key) {
          const json::value* at = each.is_object() ? each.get_object().if_contains(key) : nullptr;
          return at != nullptr && at->is_string() ? std::string(at->get_string()) : std::string();
        };
        const std::string status = text("status");
        if (status != kFailed && status != kWarning) continue;
        bad = true;
        say("reverse", status == kFailed ? kFailed : kWarning,
            fmt::format("from {}: {}: {}", options_.other, text("check"), text("text")));
      }
    }
    if (!bad) {
      say("reverse", kOk,
          fmt::format("{} reaches {} as well", options_.other, options_.self.node_name));
    }
    finish();
  }

  void finish() {
    const auto done = std::move(done_);
    done(std::move(checks_));
  }

  std::shared_ptr<Workers> workers_;
  DoctorOptions options_;
  std::function<void(std::vector<DoctorCheck>)> done_;
  std::vector<DoctorCheck> checks_;
};

}  // namespace

json::object doctor_report(const DoctorOptions& options, const std::vector<DoctorCheck>& checks) {
  json::array lines;
  bool ok = true;
  for (const DoctorCheck& each : checks) {
    ok = ok && each.status != kFailed;
    lines.push_back(
        json::object{{"check", each.check}, {"status", each.status}, {"text", each.text}});
  }
  return {{"node", options.self.node_name},
          {"other", options.other},
          {"ok", ok},
          {"checks", std::move(lines)}};
}

void run_doctor(const std::shared_ptr<Workers>& workers, DoctorOptions options,
                std::function<void(std::vector<DoctorCheck>)> done) {
  auto doctor = std::make_shared<Doctor>(workers, std::move(options), done);
  if (!workers->run([doctor] { doctor->start(); }))
    done({{"doctor", kFailed, "too many names are being resolved at once; try again"}});
}

}  // namespace warren::transport
