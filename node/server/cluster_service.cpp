#include "node/server/cluster_service.h"

#include "cluster/membership/duties.h"
#include "cluster/membership/reconcile.h"
#include "node/server/node.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>
#include <chrono>
#include <filesystem>

namespace warren::server {

namespace json = boost::json;

namespace {

constexpr Millis kSilence = 5'000;
constexpr std::chrono::milliseconds kTick{50};
constexpr std::chrono::milliseconds kTickAlone{1'000};

membership::OperationsOptions operations_options(const config::ClusterSettings& settings) {
  membership::OperationsOptions options;
  options.probe_ms = settings.connect_timeout_ms;
  options.command_ms = settings.metadata_timeout_ms;
  options.retry_ms = settings.discovery_retry_interval_ms;
  options.retries = settings.discovery_retry_limit == config::kInfinity ? -1 : settings.discovery_retry_limit;
  return options;
}

}  // namespace

ClusterService::ClusterService(Node& node)
    : node_(node), operations_(*this, operations_options(node.settings().cluster)), timer_(node.loop().io()),
      hooks_(node.loop(), node.log(), {node.settings().cluster.on_leader_elected, node.settings().cluster.on_leader_lost,
                                       node.settings().cluster.hook_timeout_ms}) {}

ClusterService::~ClusterService() = default;

void ClusterService::open(const transport::PeerIdentity& self, const std::vector<transport::Cookie>& cookies) {
  const auto post = [this](std::function<void()> work) {
    node_.loop().post([this, work = std::move(work)] {
      node_.loop().refresh();
      work();
      if (node_.app() != nullptr) node_.loop().want_turn();
    });
  };
  transport::PeerNetOptions options;
  options.self = self;
  options.incarnation = node_.local_state().incarnation;
  options.cookies = cookies;
  options.silence_ms = kSilence;
  transport::PeerEvents events;
  events.on_frame = [this](raft::NodeId peer, transport::Lane lane, std::shared_ptr<const std::string> frame) {
    if (App* app = node_.member_app()) app->on_frame(peer, lane, std::move(frame));
  };
  events.on_peer_up = [this](raft::NodeId peer, std::uint64_t incarnation) {
    refusal_.clear();
    briefs_.up(peer.value);
    if (App* app = node_.member_app()) app->on_peer_up(peer, incarnation);
  };
  events.on_peer_down = [this](raft::NodeId peer, const std::string&) {
    briefs_.down(peer.value);
    if (App* app = node_.member_app()) app->on_peer_down(peer);
  };
  events.on_refused = [this](raft::NodeId, const Error& why) { refusal_ = why.text; };
  net_ = std::make_unique<transport::PeerNet>(std::move(options), std::move(events), post, node_.loop(),
                                              node_.log());
  transport::PeerCallerOptions calls;
  calls.self = self;
  calls.self.cluster_id.clear();  // it also asks nodes of other clusters, before it joins them
  calls.cookies = cookies;
  calls.dial_deadline_ms = node_.settings().cluster.connect_timeout_ms;
  caller_ = std::make_unique<transport::PeerCaller>(std::move(calls), post, node_.loop());
}

void ClusterService::stop() {
  timer_.cancel();
  if (caller_) caller_->stop();
  if (net_) net_->stop();
}

void ClusterService::identity_changed(const transport::PeerIdentity& self) {
  net_->set_self(self);
  transport::PeerIdentity calling = self;
  calling.cluster_id.clear();
  caller_->set_self(std::move(calling));
}

void ClusterService::cookies_changed(const std::vector<transport::Cookie>& cookies) {
  net_->set_cookies(cookies);
  caller_->set_cookies(cookies);
}

// ---- the app's life ----------------------------------------------------------------------------------

void ClusterService::before_app(std::function<void(Result<void>)> done) {
  if (state().wipe) {
    say("deletes the data of the cluster that this node left");
    membership::LocalState clean = state();
    clean.wipe = false;
    if (auto wiped = wipe_data(); !wiped) return done(wiped);
    if (auto put = put_state(std::move(clean)); !put) return done(put);
  }
  const auto& settings = node_.settings().cluster;
  const auto formed = [this, done = std::move(done)](Result<std::string> formed) {
    if (!formed) return done(formed.error());
    operations_.recover([this, done](Result<std::string> recovered) {
      if (!recovered) return done(recovered.error());
      check_then_dial(done);
    });
  };
  if (settings.discovery == "dns") return operations_.form(dns_peers(), settings.ram_node, formed);
  operations_.form(settings.peers, settings.ram_node, formed);
}

/// A node that was forgotten learns it before it does anything in a cluster's name.
void ClusterService::check_then_dial(std::function<void(Result<void>)> done) {
  if (state().alone()) return done({});
  operations_.check_membership([this, done = std::move(done)](Result<std::string> known) {
    if (!known && known.error().code == Errc::conflict) return done(known.error());
    if (!known) say("starts although " + known.error().text);
    set_peers(state().members);
    done({});
  });
}

void ClusterService::app_opened() {
  App* app = node_.member_app();
  if (app == nullptr || app->group() == nullptr || state().alone() || state().taking_over) return;
  set_peers(membership::known_at_start(state().members, app->broker().catalogue()));
}

void ClusterService::app_started() {
  introduce();
  // Asked for while this node waited, and not needed: it must not come true at some later start.
  if (state().force_boot && !state().taking_over) {
    membership::LocalState state = this->state();
    state.force_boot = false;
    if (auto put = put_state(std::move(state)); !put) warn(put.error().text);
  }
  leave_behind();
  forget_asked();
  members_changed();
  ticking_ = true;
  arm();
}

void ClusterService::await_vote(std::function<void()> done) {
  constexpr Millis kLongest = 10'000;
  const Millis until = node_.loop().steady_ms() + kLongest;
  struct Look {
    static void again(ClusterService& self, Millis until, const std::function<void()>& done) {
      App* app = self.node_.member_app();
      const auto* group = app == nullptr ? nullptr : app->group();
      const raft::Core* core = group == nullptr ? nullptr : app->group()->replica().core(kMetadataGroup);
      const bool counted = core != nullptr && core->config().is_voter(group->self()) && !core->config_pending();
      const bool ready = counted && !self.state().taking_over;
      if (core == nullptr || ready || self.state().ram || self.node_.loop().steady_ms() >= until) return done();
      self.after(kTick.count(), [&self, until, done] { again(self, until, done); });
    }
  };
  Look::again(*this, until, done);
}

void ClusterService::app_stopped() {
  absent_.clear();
  tell_role(false);
  briefs_.clear();
  ticking_ = false;
  timer_.cancel();
  net_->set_peers({});
}

void ClusterService::members_changed() {
  App* app = node_.member_app();
  if (app == nullptr || app->broker().catalogue().members().empty()) return;
  if (state().taking_over) return;  // those on the list are being left behind
  const auto members = membership::kept_in_touch(state().members, app->broker().catalogue(), counted());
  set_peers(members);
  lingering_ = members.size() > app->broker().catalogue().members().size();
  remember_members();
}

membership::Counted ClusterService::counted() const {
  App* app = node_.member_app();
  const raft::Core* core =
      app == nullptr || app->group() == nullptr ? nullptr : app->group()->replica().core(kMetadataGroup);
  if (core == nullptr) return {};
  return {core->config(), core->config_pending()};
}

void ClusterService::set_peers(const std::vector<metadata::MemberDef>& members) {
  std::vector<transport::Peer> peers;
  for (const auto& member : members)
    if (member.node_id != state().node_id)
      peers.push_back({raft::NodeId(member.id), member.name, member.node_id});
  net_->set_peers(std::move(peers));
}

/// The state file follows the catalogue, so that the next start knows whom to call.
void ClusterService::remember_members() {
  auto now = membership::remembered(state(), node_.member_app()->broker().catalogue(), counted());
  if (!now) return;
  if (auto put = put_state(std::move(*now)); !put)
    node_.log().error(LogArea::cluster, "cannot remember the cluster's members: {}", put.error().text);
}

/// A founder enters itself; a node whose name changed says so. Both only once.
void ClusterService::introduce() {
  auto& broker = node_.member_app()->broker();
  const auto report = [this](const Result<void>& result) {
    if (!result) node_.log().error(LogArea::cluster, "cannot enter this node: {}", result.error().text);
  };
  for (auto& command :
       membership::introduction(state(), self_name(), node_.settings().cluster.name, membership::founding_flags(release()),
                                broker.catalogue()))
    broker.apply(std::move(command), report);
}

void ClusterService::arm() {
  timer_.expires_after(members().size() > 1 ? kTick : kTickAlone);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec || !ticking_) return;
    node_.loop().refresh();
    net_->end_silent();
    reconcile();
    if (lingering_) members_changed();
    watch_peers();
    ask_briefs();
    tell_role(node_.member_app() != nullptr && node_.member_app()->group() != nullptr && node_.member_app()->group()->leads());
    arm();
  });
}

void ClusterService::tell_role(bool leads) {
  const auto& settings = node_.settings().cluster;
  if (settings.on_leader_elected.empty() && settings.on_leader_lost.empty()) return;
  App* app = node_.member_app();
  MetadataGroup* group = app == nullptr ? nullptr : app->group();
  const raft::Core* core = group == nullptr ? nullptr : group->replica().core(kMetadataGroup);
  hooks_.role(leads, {{"WARREN_NODE", self_name()},
                      {"WARREN_CLUSTER_NAME", state().cluster_name},
                      {"WARREN_EVENT", leads ? "leader_elected" : "leader_lost"},
                      {"WARREN_TERM", core == nullptr ? "" : std::to_string(core->term())}});
}

/// Who has been away for so long is held for dead: its consumers and held messages here come to their
/// end, and the leader has its exclusive and transient queues deleted (they end with their node). A
/// shorter break loses nothing.
void ClusterService::watch_peers() {
  App* app = node_.member_app();
  if (app == nullptr || app->group() == nullptr) return;
  if (app->broker().catalogue().members().size() > 1) app->tick_pipes();
  const Millis now = node_.loop().steady_ms();
  const Millis limit = node_.settings().cluster.suspect_max_ms;
  for (const auto& [id, member] : app->broker().catalogue().members()) {
    if (member.node_id == state().node_id) continue;
    if (net_->up(raft::NodeId(id))) {
      absent_.erase(id);
      continue;
    }
    Absence& absence = absent_[id];
    if (absence.since == 0) absence.since = now;
    if (now - absence.since < limit) continue;
    if (!std::exchange(absence.given_up, true)) {
      node_.log().warning(LogArea::cluster, "node {} is down", member.name);
      app->on_node_down(raft::NodeId(id));
    }
    if (absence.drop_proposed || !app->group()->leads()) continue;
    absence.drop_proposed = true;
    std::weak_ptr<char> alive = alive_;
    app->broker().apply(metadata::DropTransient{id}, [this, alive, id](const Result<void>& result) {
      if (!alive.expired() && !result) absent_.erase(id);  // again later
    });
  }
}

/// One step of the group's membership towards the catalogue's list, while this node leads.
void ClusterService::reconcile() {
  App* app = node_.member_app();
  MetadataGroup* group = app == nullptr ? nullptr : app->group();
  if (group == nullptr || !group->leads()) return;
  const auto look = [&](raft::NodeId node) {
    const auto lag = group->lag(node);
    return membership::Reachability{net_->up(node), lag && *lag <= membership::kCaughtUp};
  };
  const auto step =
      membership::next_step(app->broker().catalogue().members(), group->config(), group->self(), look);
  if (!step) return;
  auto changed = group->change_config(*step);
  node_.loop().want_turn();
  if (!changed) node_.log().debug(LogArea::cluster, "membership waits: {}", changed.error().text);
}

// ---- membership::OperationsEnv -------------------------------------------------------------------------

const std::string& ClusterService::self_name() const { return node_.settings().node_name; }
const membership::LocalState& ClusterService::state() const { return node_.local_state(); }
Result<void> ClusterService::put_state(membership::LocalState state) {
  return node_.put_local_state(std::move(state));
}

Result<void> ClusterService::wipe_data() {
  std::error_code ec;
  std::filesystem::remove_all(node_.settings().data_dir + "/store", ec);
  if (ec) return make_error(Errc::io, "cannot delete " + node_.settings().data_dir + "/store: " + ec.message());
  return {};
}

std::string ClusterService::new_id() {
  return membership::make_id([](char* into, std::size_t size) {
    for (std::size_t got = 0; got < size;) {
      const ssize_t n = getrandom(into + got, size - got, 0);
      if (n > 0) got += static_cast<std::size_t>(n);
    }
  });
}

void ClusterService::ask(const std::string& node, std::string method, json::object args, Millis deadline,
                         Answer answer) {
  caller_->call(node, method, std::move(args), deadline,
                [answer = std::move(answer)](Result<transport::CallAnswer> result) {
                  if (!result) return answer(result.error());
                  answer(std::move(result->result));
                });
}

void ClusterService::after(Millis delay, std::function<void()> then) {
  auto timer = std::make_shared<boost::asio::steady_timer>(node_.loop().io(), std::chrono::milliseconds(delay));
  timer->async_wait([this, timer, then = std::move(then)](boost::system::error_code) {
    node_.loop().refresh();
    then();
  });
}

void ClusterService::start_quietly(std::function<void(Result<void>)> done) {
  node_.start_app(StartMode::member_only, std::move(done));
}

void ClusterService::stop_quietly(std::function<void()> done) { node_.stop_app(std::move(done)); }

std::vector<std::string> ClusterService::queues_with_messages() const {
  std::vector<std::string> out;
  for (const auto& [uid, queue] : node_.member_app()->broker().queues()) {
    if (!queue->def().durable || queue->def().exclusive) continue;
    const auto stats = queue->stats();
    if (stats.ready + stats.unacked > 0) out.push_back("'" + queue->def().name + "'");
  }
  return out;
}

void ClusterService::say(const std::string& text) { node_.log().info(LogArea::cluster, "{}", text); }
void ClusterService::warn(const std::string& text) { node_.log().warning(LogArea::cluster, "{}", text); }

}  // namespace warren::server
