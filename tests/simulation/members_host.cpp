// One host: its process, its app, and the hands it lends to cluster/membership, as node/server has them.
#include "cluster/membership/duties.h"
#include "cluster/membership/reconcile.h"
#include "tests/simulation/members.h"

#include <algorithm>
#include <utility>

namespace warren::simulation {

namespace json = boost::json;

namespace {

constexpr GroupUid kGroup = GroupUid{1} << 62;
constexpr Millis kCommandMs = 4'000;

NullLogger& logger() {
  static NullLogger instance;
  return instance;
}

membership::OperationsOptions operations_options() {
  membership::OperationsOptions options;
  options.probe_ms = 500;
  options.command_ms = kCommandMs;
  options.retry_ms = 200;
  return options;
}

}  // namespace

class Members::Wire final : public replica::Transport {
 public:
  explicit Wire(Host& host) : host_(host) {}
  void send(NodeId to, std::string frame) override {
    host_.all.inspect(host_, frame);
    host_.all.send(host_, to, {true, std::move(frame)});
  }
  std::size_t unsent_bytes(NodeId) const override { return 0; }

 private:
  Host& host_;
};

Members::Host::Host(Members& all, int slot, StoreKind store)
    : all(all), slot(slot), name(fmt::format("rabbit@h{}", slot)), disc(all.world_, store), clock(all.world_) {
  file.node_id = all.fresh_id();
}

// ---- the process -------------------------------------------------------------------------------------

void Members::Host::boot_process() {
  if (up()) return;
  ++life;
  started_before = false;
  if (auto opened = disc.open(); !opened) throw Violation{"no-silent-shrink", opened.error().text};
  ++file.incarnation;
  operations = std::make_unique<membership::Operations>(*this, operations_options());
  all.world_.trace("{} starts its process", name);
  start_app(Mode::serve, [](const Result<void>&) {});
}

void Members::Host::kill(const char* why) {
  if (!up()) return;
  all.world_.trace("{} dies: {}", name, why);
  ++life;
  waiters.clear();
  end_app();
  operations.reset();
  busy = false;
}

/// With some chance the process dies inside a step of an operation, before or behind its effect.
bool Members::Host::dies_here(const char* where) {
  if (!all.crashes_inside_ || all.calm_ || !all.world_.prng.chance(1, 12)) return false;
  all.world_.after(0, [this, where, was = life] {
    if (was == life) kill(where);
  });
  return true;
}

Result<void> Members::Host::put_state(membership::LocalState state) {
  const bool dies = dies_here("while it writes its state");
  const auto gone = make_error(Errc::io, "the process dies");
  if (dies && all.world_.prng.chance(1, 2)) return gone;
  all.check_state(*this, state);
  file = std::move(state);
  if (dies) return gone;
  return {};
}

Result<void> Members::Host::wipe_data() {
  if (replica) throw Violation{"wiped-when-stopped", name + " deletes what its app uses"};
  if (!file.wipe) throw Violation{"wiped-only-when-agreed", name + " deletes its data without having said so"};
  const bool dies = dies_here("while it deletes its data");
  const auto gone = make_error(Errc::io, "the process dies");
  if (dies && all.world_.prng.chance(1, 2)) return gone;
  disc.wipe();
  if (auto opened = disc.open(); !opened) return opened;
  if (dies) return gone;
  return {};
}

void Members::Host::ask(const std::string& node, std::string method, json::object args, Millis deadline,
                        Answer answer) {
  all.call(*this, node, std::move(method), std::move(args), deadline, std::move(answer));
}

void Members::Host::after(Millis delay, std::function<void()> then) {
  all.world_.after(delay * 1000, [this, was = life, then = std::move(then)] {
    if (was != life) return;
    then();
    after_step();
  });
}

// ---- the app's life ------------------------------------------------------------------------------------

void Members::Host::start_app(Mode mode, std::function<void(Result<void>)> done) {
  if (running) return done({});
  waiters.push_back(std::move(done));
  if (waiters.size() > 1) return;
  if (replica) return app_started(make_error(Errc::conflict, "the broker on this node stops; try again"));
  starting_since = all.world_.now();
  before_app([this, mode, was = life](const Result<void>& ready) {
    if (was != life || waiters.empty() || replica) return;
    if (!ready) return app_started(ready);
    if (auto launched = launch(mode); !launched) {
      end_app();
      app_started(launched);
    }
  });
}

void Members::Host::before_app(std::function<void(Result<void>)> done) {
  if (file.wipe) {
    ++all.resumed_;
    membership::LocalState clean = file;
    if (auto wiped = wipe_data(); !wiped) return done(wiped);
    clean.wipe = false;
    if (auto put = put_state(std::move(clean)); !put) return done(put);
  }
  operations->form(all.configured_, false, [this, done = std::move(done)](Result<std::string> formed) {
    if (!formed) return done(formed.error());
    if (file.alone()) return done({});
    operations->check_membership([this, done](Result<std::string> known) {
      if (!known && known.error().code == Errc::conflict) return done(known.error());
      set_peers(file.members);
      done({});
    });
  });
}

Result<void> Members::Host::launch(Mode mode) {
  if (std::exchange(started_before, true)) {
    membership::LocalState next = file;
    ++next.incarnation;
    if (auto put = put_state(std::move(next)); !put) return put;
  }
  if (file.ram) disc.wipe();
  ++app_life;
  universe = &all.universe_of(file.cluster_id);
  transport = std::make_unique<Wire>(*this);
  MetadataNode::Links links{
      clock,
      [this](NodeId to, std::string frame) { all.send(*this, to, {false, std::move(frame)}); },
      [this] { turn_due = true; },
      [](Index, const raft::Core&) {},
      [this](Index index) {
        for (const auto& other : all.hosts_) {
          if (other.get() == this || !other->running || other->universe != universe) continue;
          if (!metadata->waits_for(other->number()) || other->metadata->applied() >= index) continue;
          throw Violation{"told-when-everywhere", fmt::format("{} tells that {} is made, {} is behind", name,
                                                              index, other->name)};
        }
      }};
  metadata = std::make_unique<MetadataNode>(universe->group, number(), file.incarnation, std::move(links));
  replica::ReplicaOptions options;
  options.self = number();
  options.cluster = membership::cluster_number(file.cluster_id);
  options.incarnation = file.incarnation;
  options.seed = all.world_.prng.next();
  options.raft = all.raft_;
  options.raft.may_vote = !file.ram;
  options.group = all.group_options_;
  auto post = [this, was = app_life](std::function<void()> what) {
    all.world_.after(5, [this, was, what = std::move(what)] {
      if (was != app_life) return;
      what();
      after_step();
    });
  };
  auto fatal = [this, was = life](const Error& error) {
    all.world_.after(0, [this, was, text = error.text] {
      if (was == life) kill(("its disc: " + text).c_str());
    });
  };
  replica = std::make_unique<replica::ReplicaNode>(options, disc, disc, *transport, clock, logger(), post,
                                                   [this] { turn_due = true; }, fatal);
  metadata->attach(*replica);
  if (auto opened = open_group(); !opened) return opened;
  universe->checker.observe(number(), kGroup, *core(), true);
  const auto& list = metadata->catalogue().members();
  const bool only = list.empty() || (list.size() == 1 && list.contains(number().value));
  metadata->announce(only, [this, mode, was = app_life](Result<void> result) {
    if (was == app_life) booted(mode, result);
  });
  turn_due = true;
  all.world_.after(0, [this, was = app_life] {
    if (was != app_life || told_of_members) return;
    after_step();
    if (!file.alone() && replica) set_peers(membership::known_at_start(file.members, metadata->catalogue()));
  });
  return {};
}

Result<void> Members::Host::open_group() {
  auto opened = replica->load([this](GroupUid) { return metadata->make_machine(); });
  if (!opened) throw Violation{"no-silent-shrink", fmt::format("{} cannot open: {}", name, opened.error().text)};
  if (core()) return {};
  if (file.synced) throw Violation{"no-silent-shrink", name + " finds its store empty"};
  if (!file.alone()) return replica->join(kGroup, metadata->make_machine());
  return replica->found(kGroup, raft::make_config({number()}), metadata->make_machine());
}

void Members::Host::booted(Mode mode, const Result<void>& result) {
  if (!result) throw Violation{"boot", fmt::format("{} cannot start: {}", name, result.error().text)};
  if (mode == Mode::serve) {
    std::vector<NodeId> list;
    for (const auto& [id, member] : metadata->catalogue().members()) list.push_back(NodeId(id));
    metadata->serve(list);
    running = true;
  }
  for (auto& command : membership::introduction(file, name, "", membership::founding_flags(release()),
                                                metadata->catalogue())) {
    metadata->apply({std::move(command)}, [](const auto&) {});
  }
  told_of_members = true;
  members_changed();
  await_vote(all.world_.now() + 10'000'000, [this] { app_started({}); });
}

/// As ClusterService: the group counts on this node, or a while has passed.
void Members::Host::await_vote(Micros until, std::function<void()> done) {
  const bool counted = core() && core()->config().is_voter(number()) && !core()->config_pending();
  if (counted || file.ram || all.world_.now() >= until) return done();
  after(50, [this, until, was = app_life, done = std::move(done)] {
    if (was == app_life) await_vote(until, done);
  });
}

void Members::Host::app_started(const Result<void>& result) {
  refusal = result ? "" : result.error().text;
  starting_since = 0;
  all.world_.trace("{} {}", name, result ? "has started as n" + std::to_string(number().value) : "does not start: " + refusal);
  for (auto& done : std::exchange(waiters, {})) done(result);
}

void Members::Host::stop_app(std::function<void()> done) {
  if (!replica) return done();
  // Not at once: whoever asks may be told of something by the app itself.
  all.world_.after(1'000, [this, was = life, done = std::move(done)] {
    if (was != life) return;
    const auto told = std::exchange(waiters, {});
    end_app();
    all.world_.trace("{} has stopped its app", name);
    for (const auto& waiter : told) waiter(make_error(Errc::unavailable, "the broker on this node stops"));
    done();
  });
}

void Members::Host::end_app() {
  ++app_life;
  if (metadata) metadata->stop();
  replica.reset();
  metadata.reset();
  universe = nullptr;
  running = told_of_members = lingering = false;
  starting_since = 0;
  peers.clear();
  disc.crash();
}

// ---- duties ----------------------------------------------------------------------------------------------

const raft::Core* Members::Host::core() const { return replica ? replica->core(kGroup) : nullptr; }

std::vector<metadata::MemberDef> Members::Host::members() const {
  if (metadata && !metadata->catalogue().members().empty()) return membership::listed(metadata->catalogue());
  return file.members;
}

void Members::Host::set_peers(const std::vector<metadata::MemberDef>& list) {
  peers.clear();
  for (const auto& member : list)
    if (member.node_id != file.node_id) peers.insert(member.node_id);
}

membership::Counted Members::Host::counted() const {
  if (!core()) return {};
  return {core()->config(), core()->config_pending()};
}

void Members::Host::members_changed() {
  if (!metadata || metadata->catalogue().members().empty()) return;
  const auto kept = membership::kept_in_touch(file.members, metadata->catalogue(), counted());
  set_peers(kept);
  lingering = kept.size() > metadata->catalogue().members().size();
  if (auto now = membership::remembered(file, metadata->catalogue(), counted())) (void)put_state(std::move(*now));
}

void Members::Host::tick() {
  if (!replica) return;
  replica->tick();
  metadata->tick();
  reconcile();
  if (lingering) members_changed();
  turn_due = true;
}

void Members::Host::reconcile() {
  if (!leads() || starting_since != 0) return;
  const auto seen = [this](NodeId node) {
    const raft::Progress* progress = core()->progress(node);
    const Index commit = core()->commit_index();
    const bool near = progress && commit - std::min(commit, progress->match()) <= membership::kCaughtUp;
    return membership::Reachability{all.connected(*this, node), near};
  };
  const auto step = membership::next_step(metadata->catalogue().members(), core()->config(), number(), seen);
  if (!step) return;
  if (replica->change_config(kGroup, core()->term(), *step)) {
    all.world_.trace("{} changes its group to {} voters, {} learners", name, step->voters.size(),
                     step->learners.size());
  }
}

void Members::Host::after_step() {
  for (int i = 0; i < 100 && replica && turn_due; ++i) {
    turn_due = false;
    metadata->before_turn();
    replica->turn();
    metadata->end_of_turn();
  }
  if (!replica || replica->failed() || !core()) return;
  all.look(*this);
  if (metadata->take_members_changed() && told_of_members) members_changed();
}

// ---- what others ask ---------------------------------------------------------------------------------------

membership::NodeView Members::Host::view() const {
  membership::NodeView view;
  view.name = name;
  view.node_id = file.node_id;
  view.cluster_id = file.cluster_id;
  view.cluster_name = file.cluster_name;
  view.ram = file.ram;
  view.app_running = running;
  view.joining = starting_since != 0 && !file.founded();
  const bool known = metadata && !metadata->catalogue().members().empty();
  view.flags = membership::flag_view(release(), name, known ? metadata->catalogue().cluster().flags : file.flags);
  view.members = known ? membership::kept_in_touch(file.members, metadata->catalogue(), counted()) : file.members;
  return view;
}

void Members::Host::admit(const membership::JoinRequest& request, Answer answer) {
  const metadata::PutMember put = membership::entry_of(request);
  if (auto may = membership::may_dismiss(metadata->catalogue(), counted(), put.replaces); !may) {
    return answer(may.error());
  }
  metadata->apply({put}, [this, replaces = put.replaces, was = app_life, answer](const auto& results) {
    if (!results.front()) return answer(results.front().error());
    if (was != app_life) return;
    const auto reply = [this, answer](const Result<void>& removed) {
      if (!removed) return answer(removed.error());
      answer(json::value(membership::to_json(membership::Admission{file.cluster_id, file.cluster_name, members()})));
    };
    if (replaces == 0) return reply({});
    await_removed(NodeId(replaces), all.world_.now() + kCommandMs * 1000, reply);
  });
}

void Members::Host::dismiss(const std::string& node_id, std::function<void(Result<void>)> done) {
  const std::uint64_t id = membership::member_number(node_id);
  if (auto may = membership::may_dismiss(metadata->catalogue(), counted(), id); !may) return done(may);
  metadata->apply({metadata::RemoveMember{id}}, [this, id, was = app_life, done](const auto& results) {
    const Result<void>& result = results.front();
    if (!result && (result.error().code != Errc::not_found || !counted().config.is_member(NodeId(id)))) {
      return done(result);
    }
    if (was == app_life) await_removed(NodeId(id), all.world_.now() + kCommandMs * 1000, done);
  });
}

void Members::Host::await_removed(NodeId node, Micros until, std::function<void(Result<void>)> done) {
  if (!core()) return done(make_error(Errc::unavailable, "the broker on this node stops"));
  if (!core()->config().is_member(node) && !core()->config_pending()) return done({});
  if (all.world_.now() >= until) return done(make_error(Errc::timeout, "the metadata group still counts it"));
  after(50, [this, node, until, was = app_life, done = std::move(done)] {
    if (was == app_life) await_removed(node, until, done);
  });
}

void Members::Host::answer(const std::string& method, const json::object& args, Answer answer) {
  if (method == "cluster_probe") return answer(json::value(membership::to_json(view())));
  if (!running) return answer(make_error(Errc::unavailable, "app_not_running: the broker on this node is stopped"));
  if (method == "member_join") {
    auto request = membership::join_request_from_json(args);
    if (!request) return answer(request.error());
    return admit(*request, std::move(answer));
  }
  const auto id = membership::from_hex(std::string(args.at("node_id").as_string()));
  dismiss(*id, [answer = std::move(answer)](const Result<void>& left) {
    if (!left) return answer(left.error());
    answer(json::value(json::object{}));
  });
}

}  // namespace warren::simulation
