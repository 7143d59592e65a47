// The cluster service and the other members: what was heard of them, asking all at once, taking them on and off
// the list.

#include "node/server/cluster_service.h"
#include "node/server/node.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace warren::server {

namespace json = boost::json;

namespace {

constexpr Millis kWayBack = 150;   // of the time that a caller waits for all members
constexpr Millis kAwayWait = 300;  // for members without a stream
constexpr std::chrono::milliseconds kLeavePoll{50};

}  // namespace

// ---- what was heard of others ------------------------------------------------------------------------

void ClusterService::remember_brief(const std::string& name, json::value brief) {
  const App* app = node_.member_app();
  const auto* member = app == nullptr ? nullptr : app->broker().catalogue().find_member(std::string_view(name));
  if (member != nullptr) briefs_.put(member->id, std::move(brief), node_.loop().steady_ms());
}

/// Ahead of every question, so that on a bad network the first one finds an answer and a proved session: to
/// connect and prove takes five ways there and back, and each lost packet of them up to a second.
void ClusterService::ask_briefs() {
  constexpr Millis kPatience = 10'000;
  const App* app = node_.member_app();
  for (const std::uint64_t id : briefs_.due(node_.loop().steady_ms())) {
    const auto* member = app == nullptr ? nullptr : app->broker().catalogue().find_member(id);
    if (member == nullptr) {
      briefs_.missed(id, node_.loop().steady_ms());
      continue;
    }
    caller_->call(member->name, "node_brief", {}, kPatience, [this, id](Result<transport::CallAnswer> answer) {
      const Millis now = node_.loop().steady_ms();
      const json::object* brief = answer ? answer->result.if_object() : nullptr;
      const json::value* running = brief == nullptr ? nullptr : brief->if_contains("running");
      // A node that is still starting will say something else in a moment.
      if (running == nullptr || *running != json::value(true)) return briefs_.missed(id, now);
      briefs_.put(id, std::move(answer->result), now);
    });
  }
}

const json::value* ClusterService::recent_brief(const std::string& name) const {
  App* app = node_.member_app();
  const auto* member = app == nullptr ? nullptr : app->broker().catalogue().find_member(std::string_view(name));
  if (member == nullptr || app->group() == nullptr) return nullptr;
  const raft::NodeId id(member->id);
  const Millis now = node_.loop().steady_ms();
  const json::value* brief = briefs_.find(member->id, now);
  // Consensus suspects far sooner, and does well to; a lost packet or two is that much silence.
  const bool lives = app->group()->replica().peers().silence_ms(id, now) < node_.settings().cluster.suspect_max_ms;
  return net_->up(id) && lives ? brief : nullptr;
}

bool ClusterService::in_maintenance(std::uint64_t member) const {
  const json::value* brief = briefs_.find(member, node_.loop().steady_ms());
  const json::value* text = brief == nullptr || !brief->is_object() ? nullptr : brief->get_object().if_contains("maintenance");
  return text != nullptr && text->is_string() && text->get_string() != "not under maintenance";
}

// ---- what other nodes ask ----------------------------------------------------------------------------

std::vector<metadata::MemberDef> ClusterService::members() const {
  const App* app = node_.member_app();
  if (app != nullptr && !app->broker().catalogue().members().empty()) return membership::listed(app->broker().catalogue());
  return state().members;
}

std::vector<std::string> ClusterService::other_names() const {
  std::vector<std::string> out;
  for (const auto& member : members())
    if (member.node_id != state().node_id) out.push_back(member.name);
  return out;
}

void ClusterService::ask_members(const std::vector<std::string>& names, const std::string& method,
                                 const json::object& args, Millis limit, transport::PeerCaller::AllDone done) {
  struct Waves {
    std::vector<transport::NodeAnswer> answers;
    int missing{2};
    transport::PeerCaller::AllDone done;
  };
  std::vector<std::string> there, away;
  const auto peers = net_->states();
  for (const auto& name : names) {
    const bool up = std::any_of(peers.begin(), peers.end(),
                                [&](const auto& peer) { return peer.peer.node_name == name && peer.up; });
    (up ? there : away).push_back(name);
  }
  auto waves = std::make_shared<Waves>();
  waves->done = std::move(done);
  const auto arrived = [waves](std::vector<transport::NodeAnswer> answers) {
    for (auto& one : answers) waves->answers.push_back(std::move(one));
    if (--waves->missing == 0) waves->done(std::move(waves->answers));
  };
  // What is left of the limit is for the way back to who asked.
  const Millis longest = std::max<Millis>(1, limit - std::min<Millis>(limit / 5, kWayBack));
  caller_->call_all(there, method, args, longest, arrived);
  // Not connected is most often dead. But it may just have started, and then it answers at once.
  caller_->call_all(away, method, args, std::min(longest, kAwayWait), arrived);
}

membership::NodeView ClusterService::view() const {
  membership::NodeView view;
  view.name = self_name();
  view.node_id = state().node_id;
  view.cluster_id = state().cluster_id;
  view.cluster_name = state().cluster_name;
  view.version = release().version;
  view.flags = flags();
  view.ram = state().ram;
  view.app_running = node_.app() != nullptr;
  view.joining = node_.booting() && !state().founded();
  // Who is off the list and still counted is no stranger yet: the group needs its vote to go on without it.
  const App* app = node_.member_app();
  const bool known = app != nullptr && !app->broker().catalogue().members().empty();
  view.members = known ? membership::kept_in_touch(state().members, app->broker().catalogue(), counted())
                       : state().members;
  return view;
}

membership::FlagView ClusterService::flags() const {
  const App* app = node_.member_app();
  const bool known = app != nullptr && !app->broker().catalogue().cluster().id.empty();
  return membership::flag_view(release(), self_name(), known ? app->broker().catalogue().cluster().flags : state().flags);
}

void ClusterService::admit(const membership::JoinRequest& request,
                           std::function<void(Result<membership::Admission>)> done) {
  if (state().taking_over)
    return done(make_error(Errc::unavailable, self_name() + " goes on without its former cluster and has not finished "
                                              "leaving it behind; its log says why. Try again later"));
  if (auto fit = membership::flags_fit(request.flags, flags()); !fit) {
    warn("refuses to let " + request.name + " join: " + fit.error().text);
    return done(fit.error());
  }
  const metadata::PutMember put = membership::entry_of(request);
  const std::uint64_t replaces = put.replaces;
  if (auto may = membership::may_dismiss(node_.app()->broker().catalogue(), counted(), replaces); !may)
    return done(may.error());
  std::weak_ptr<char> alive = alive_;
  node_.app()->broker().apply(put, [this, alive, replaces, done = std::move(done)](const Result<void>& result) {
    if (!result) return done(result.error());
    if (alive.expired()) return;
    const auto answer = [this, done](const Result<void>& removed) {
      if (!removed) return done(removed.error());
      done(membership::Admission{state().cluster_id, state().cluster_name, members()});
    };
    if (replaces == 0) return answer({});
    await_removed(raft::NodeId(replaces), node_.loop().steady_ms() + node_.settings().cluster.metadata_timeout_ms,
                  answer);
  });
}

void ClusterService::dismiss(const std::string& node_id, std::function<void(Result<void>)> done) {
  const std::uint64_t number = membership::member_number(node_id);
  std::weak_ptr<char> alive = alive_;
  if (auto may = membership::may_dismiss(node_.app()->broker().catalogue(), counted(), number); !may) return done(may);
  node_.app()->broker().apply(
      metadata::RemoveMember{number}, [this, alive, number, done = std::move(done)](const Result<void>& result) {
        // Asked a second time it is off the list, but perhaps still counted.
        if (!result && (alive.expired() || result.error().code != Errc::not_found ||
                        !counted().config.is_member(raft::NodeId(number))))
          return done(result);
        if (alive.expired()) return;
        await_removed(raft::NodeId(number),
                      node_.loop().steady_ms() + node_.settings().cluster.metadata_timeout_ms, done);
      });
}

/// Who left may go only when the group counts on it no longer.
void ClusterService::await_removed(raft::NodeId node, Millis until, std::function<void(Result<void>)> done) {
  App* app = node_.member_app();
  const MetadataGroup* group = app == nullptr ? nullptr : app->group();
  if (group == nullptr) return done(make_error(Errc::unavailable, "the broker on this node stops"));
  const raft::Core* core = app->group()->replica().core(kMetadataGroup);
  if (!core->config().is_member(node) && !core->config_pending()) return done({});
  if (node_.loop().steady_ms() >= until)
    return done(make_error(Errc::timeout, "the node is off the list, but the metadata group still counts it: a "
                                          "majority of the disc nodes does not answer"));
  auto timer = std::make_shared<boost::asio::steady_timer>(node_.loop().io(), kLeavePoll);
  std::weak_ptr<char> alive = alive_;
  timer->async_wait([this, alive, timer, node, until, done = std::move(done)](boost::system::error_code) mutable {
    if (alive.expired()) return;
    node_.loop().refresh();
    await_removed(node, until, std::move(done));
  });
}

}  // namespace warren::server
