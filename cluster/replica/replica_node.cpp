#include "cluster/replica/replica_node.h"

#include "base/bytes.h"
#include "cluster/raft/mutant.h"

#include <algorithm>
#include <limits>

namespace warren::replica {

using storage::GroupUid;
using storage::Keyspace;

const char* frame_refusal_name(FrameRefusal refusal) {
  switch (refusal) {
    case FrameRefusal::malformed: return "malformed";
    case FrameRefusal::foreign_version: return "foreign_version";
    case FrameRefusal::wrong_cluster: return "wrong_cluster";
    case FrameRefusal::wrong_destination: return "wrong_destination";
    case FrameRefusal::stale_incarnation: return "stale_incarnation";
    case FrameRefusal::unknown_group: return "unknown_group";
    case FrameRefusal::not_the_sender: return "not_the_sender";
    case FrameRefusal::count: break;
  }
  return "unknown";
}

ReplicaNode::ReplicaNode(const ReplicaOptions& options, storage::Store& store,
                         storage::Committer& committer, Transport& transport, const Clock& clock,
                         Logger& logger, Post post, std::function<void()> wake,
                         std::function<void(const Error&)> on_fatal)
    : options_(options),
      store_(store),
      committer_(committer),
      transport_(transport),
      clock_(clock),
      logger_(logger),
      post_(std::move(post)),
      wake_(std::move(wake)),
      on_fatal_(std::move(on_fatal)),
      prng_(options.seed),
      peers_(options.liveness),
      context_{store, peers_, logger, {}, options.group, {}} {
  auto raft = std::make_shared<raft::Options>(options.raft);
  raft->self = options.self;
  raft->seed = options.seed;
  context_.raft = std::move(raft);
  context_.next_ticket = Prng(options.incarnation ^ options.self.value * 0x9E3779B97F4A7C15ULL).next();
  context_.new_uid = [this](storage::WriteBatch& batch) { return new_uid(batch); };
}

ReplicaNode::~ReplicaNode() { *alive_ = false; }

Result<void> ReplicaNode::load(const MachineFactory& factory) {
  auto [from, to] = group_key_range();
  auto rows = store_.scan(Keyspace::hard_state, from, to);
  if (!rows) return rows.error();
  for (; (*rows)->valid(); (*rows)->next()) {
    std::string_view key = (*rows)->key();
    std::string_view value = (*rows)->value();
    auto group_uid = group_of_key(key);
    if (!group_uid) continue;
    GroupUid uid = *group_uid;
    if (uid == 0) {
      if (value.size() != 8) return make_error(Errc::corruption, "uid allocator: malformed");
      last_local_uid_ = load_be<std::uint64_t>(value.data());
      continue;
    }
    auto record = decode_record(value);
    if (!record && WARREN_MUTANT(18)) {
      GroupRecord fresh;
      fresh.log_uid = last_local_uid_ + 1'000'000;
      record = fresh;
    }
    // Unreadable is never "nothing here": the operator or the peers decide, not we.
    if (!record) return record.error();
    if (auto added = add(uid, *record, factory(uid)); !added) return added;
  }
  if (auto status = (*rows)->status(); !status) return status;
  if (auto swept = sweep_orphans(); !swept) return swept;
  if (options_.owns_floors) store_.floors_loaded();
  return {};
}

/// Rows of snapshots that were never finished.
Result<void> ReplicaNode::sweep_orphans() {
  std::vector<GroupUid> used;
  for (const auto& [uid, group] : groups_) group->add_local_uids(used);
  std::sort(used.begin(), used.end());
  Turn turn;
  if (auto erased = erase_orphans(store_, used, turn.batch); !erased) return erased;
  if (!turn.batch.empty()) submit(turn);
  return {};
}

void ReplicaNode::write_checkpoints(std::function<void()> done) {
  if (failed_) return;
  for (auto& [uid, group] : groups_) {
    if (group->want_checkpoint()) touch(*group);
  }
  checkpoints_wanted_.push_back(std::move(done));
  if (!std::exchange(woken_, true)) wake_();
}

Result<void> ReplicaNode::add(GroupUid uid, const GroupRecord& record,
                              std::unique_ptr<StateMachine> machine) {
  auto group = Group::open(context_, uid, record, std::move(machine), clock_.steady_ms());
  if (!group) return group.error();
  groups_[uid] = std::move(*group);
  digests_stale_ = true;
  touch(*groups_[uid]);
  return {};
}

Result<void> ReplicaNode::found(GroupUid uid, const raft::Config& config,
                                std::unique_ptr<StateMachine> machine) {
  if (uid == 0 || (uid & kLocalUid) != 0) {
    return make_error(Errc::invalid_argument, "group: uid is reserved");
  }
  if (groups_.contains(uid)) return make_error(Errc::already_exists, "group: exists here");
  if (auto checked = raft::check_config(config); !checked) return checked;
  GroupRecord record;
  record.log_uid = uid;
  if (!config.members().empty()) {
    record.base = raft::LogBase{1, 1, config, 1};
    record.hard = raft::HardState{1, raft::kNoNode, 1};
  }
  if (auto added = add(uid, record, std::move(machine)); !added) return added;
  Turn turn;
  turn.batch.put(Keyspace::hard_state, group_key(uid), encode_record(record));
  submit(turn);
  return {};
}

Result<void> ReplicaNode::join(GroupUid uid, std::unique_ptr<StateMachine> machine) {
  return found(uid, raft::Config{}, std::move(machine));
}

void ReplicaNode::remove(GroupUid uid) {
  auto found = groups_.find(uid);
  if (found == groups_.end()) return;
  std::shared_ptr<Group> group = std::move(found->second);
  groups_.erase(found);
  digests_stale_ = true;
  group->fail_all(make_error(Errc::not_found, "the group was removed"));
  Turn turn;
  turn.batch.erase(Keyspace::hard_state, group_key(uid));
  if (auto erased = erase_rows(store_, group->log_uid(), turn.batch); !erased) {
    return fail_stop(erased.error());
  }
  turn.durable.push_back([this, group] { store_.retire(group->log_uid()); });
  submit(turn);
}

Group* ReplicaNode::find(GroupUid uid) const {
  auto found = groups_.find(uid);
  return found == groups_.end() ? nullptr : found->second.get();
}

const raft::Core* ReplicaNode::core(GroupUid uid) const {
  Group* group = find(uid);
  return group ? &group->core() : nullptr;
}

StateMachine* ReplicaNode::machine(GroupUid uid) {
  Group* group = find(uid);
  return group ? &group->machine() : nullptr;
}

std::vector<GroupUid> ReplicaNode::groups() const {
  std::vector<GroupUid> out;
  for (const auto& [uid, group] : groups_) out.push_back(uid);
  return out;
}

void ReplicaNode::touch(Group& group) {
  if (!std::exchange(group.dirty, true)) dirty_.push_back(group.uid());
  if (!std::exchange(woken_, true)) wake_();
}

void ReplicaNode::schedule(Group& group, Millis now) {
  constexpr Millis kSoon = 20;
  Millis at = group.core().deadline();
  if (group.busy()) at = std::min(at, now + kSoon);
  if (at >= group.due_ms) return;  // looked at again then
  group.due_ms = at;
  timers_.push({at, group.uid()});
}

void ReplicaNode::propose(GroupUid uid, raft::Term term, std::vector<raft::Slice> bodies,
                          ProposeDone done) {
  Group* group = find(uid);
  if (!group || failed_) return done(make_error(Errc::not_found, "no such group on this node"));
  group->core().tick(clock_.steady_ms());
  group->propose(term, std::move(bodies), std::move(done));
  touch(*group);
}

void ReplicaNode::read(GroupUid uid, ReadDone done) {
  Group* group = find(uid);
  if (!group || failed_) return done(make_error(Errc::not_found, "no such group on this node"));
  group->read(std::move(done), clock_.steady_ms() + options_.read_timeout_ms);
  touch(*group);
}

Result<void> ReplicaNode::transfer(GroupUid uid, raft::NodeId to) {
  Group* group = find(uid);
  if (!group) return make_error(Errc::not_found, "no such group on this node");
  touch(*group);
  return group->core().transfer(to);
}

Result<raft::Index> ReplicaNode::change_config(GroupUid uid, raft::Term term,
                                               const raft::Config& target) {
  Group* group = find(uid);
  if (!group) return make_error(Errc::not_found, "no such group on this node");
  touch(*group);
  digests_stale_ = true;
  return group->core().change_config(term, target);
}

void ReplicaNode::on_frame(raft::NodeId peer, std::shared_ptr<const std::string> bytes) {
  if (failed_) return;
  auto frame = decode_frame(bytes);
  if (!frame) {
    bool foreign = frame.error().code == Errc::unsupported;
    return refuse(foreign ? FrameRefusal::foreign_version : FrameRefusal::malformed, peer, 0);
  }
  const FrameHead& head = frame->head;
  if (head.cluster != options_.cluster) return refuse(FrameRefusal::wrong_cluster, peer, 0);
  if (head.to != options_.self) return refuse(FrameRefusal::wrong_destination, peer, 0);
  if (head.from != peer) return refuse(FrameRefusal::not_the_sender, peer, 0);
  Millis now = clock_.steady_ms();
  switch (peers_.on_frame(peer, head.incarnation, now)) {
    case PeerTable::Life::stale: return refuse(FrameRefusal::stale_incarnation, peer, 0);
    case PeerTable::Life::same: break;
    case PeerTable::Life::restarted: peer_restarted(peer); break;
  }
  if (frame->heartbeat) {
    refresh_digests();
    Frame answer;
    answer.reply = peers_.on_heartbeat(peer, *frame->heartbeat, now);
    send(peer, std::move(answer));
  }
  if (frame->reply) {
    refresh_digests();
    peers_.on_reply(peer, *frame->reply, now);
  }
  for (GroupMessage& m : frame->messages) {
    Group* group = find(m.group);
    if (!group) {
      refuse(FrameRefusal::unknown_group, peer, m.group);
    } else if (m.message.from != peer || m.message.to != options_.self) {
      refuse(FrameRefusal::not_the_sender, peer, m.group);
    } else {
      group->step(std::move(m.message), now);
      touch(*group);
    }
  }
}

void ReplicaNode::refuse(FrameRefusal why, raft::NodeId peer, GroupUid group) {
  std::uint64_t count = ++refused_[static_cast<std::size_t>(why)];
  // The first and then every power of two: a noisy peer must not fill the log.
  if ((count & (count - 1)) == 0) {
    logger_.warning(LogArea::raft, "peer message refused reason={} peer={} group={} count={}",
                    frame_refusal_name(why), peer.value, group, count);
  }
}

void ReplicaNode::peer_restarted(raft::NodeId peer) {
  Millis now = clock_.steady_ms();
  for (auto& [uid, group] : groups_) {
    if (!group->core().progress(peer)) continue;
    group->core().tick(now);
    group->core().peer_restarted(peer);
    touch(*group);
  }
}

void ReplicaNode::on_peer_down(raft::NodeId peer) {
  if (peers_.on_down(peer)) suspect(peer);
}

void ReplicaNode::suspect(raft::NodeId peer) {
  logger_.info(LogArea::raft, "peer suspected node={} peer={}", options_.self.value, peer.value);
  Millis now = clock_.steady_ms();
  for (auto& [uid, group] : groups_) {
    if (group->core().leader() != peer) continue;
    group->core().tick(now);
    group->core().peer_suspected(peer, campaign_delay(*group));
    touch(*group);
  }
}

/// Leaders of many groups lost at once spread over the survivors: each group prefers another one.
Millis ReplicaNode::campaign_delay(const Group& group) {
  auto rank_of = [&](raft::NodeId node) {
    return Prng(group.uid() * 0x9E3779B97F4A7C15ULL ^ node.value).next();
  };
  Millis before = 0;
  for (raft::NodeId node : group.core().config().voters) {
    if (node == options_.self || peers_.suspected(node)) continue;
    if (rank_of(node) < rank_of(options_.self)) ++before;
  }
  return before * 40 + prng_.between(0, 19);
}

void ReplicaNode::tick() {
  if (failed_) return;
  Millis now = clock_.steady_ms();
  watch_disc();
  for (raft::NodeId peer : peers_.evaluate(now)) suspect(peer);
  refresh_digests();
  for (PeerTable::Due& due : peers_.due(now)) {
    Frame frame;
    frame.heartbeat = due.heartbeat;
    send(due.peer, std::move(frame));
  }
  while (!timers_.empty() && timers_.top().at <= now) {
    Timer timer = timers_.top();
    timers_.pop();
    Group* group = find(timer.uid);
    if (!group || group->due_ms != timer.at) continue;
    group->due_ms = std::numeric_limits<Millis>::max();
    if (!group->busy() && group->core().deadline() > now) {
      schedule(*group, now);  // it was heard of meanwhile
      continue;
    }
    group->tick(now);
    touch(*group);  // and scheduled anew when drained
  }
}

/// A disc that stands still must look like a dead node, and better: it can say so in time.
void ReplicaNode::watch_disc() {
  Millis stalled = committer_.stalled_ms();
  if (stalled < options_.stall_transfer_ms) {
    stall_handled_ = false;
    return;
  }
  if (!std::exchange(stall_handled_, true)) {
    logger_.warning(LogArea::storage, "disc stands still ms={}: handing leaderships over", stalled);
    drain_leaderships();
  }
  if (stalled < options_.stall_step_down_ms) return;
  for (auto& [uid, group] : groups_) {
    group->core().tick(clock_.steady_ms());
    group->core().step_down(options_.stall_transfer_ms);
    touch(*group);
  }
}

void ReplicaNode::drain_leaderships() {
  for (auto& [uid, group] : groups_) {
    raft::Core& core = group->core();
    if (core.role() != raft::Role::leader) continue;
    raft::NodeId heir{};
    raft::Index best = 0;
    for (raft::NodeId node : core.config().voters) {
      const raft::Progress* progress = core.progress(node);
      if (!progress || peers_.suspected(node) || progress->match() < best) continue;
      best = progress->match();
      heir = node;
    }
    core.tick(clock_.steady_ms());
    if (heir != raft::kNoNode) (void)core.transfer(heir);
    touch(*group);
  }
}

void ReplicaNode::fail_stop(const Error& error) {
  if (std::exchange(failed_, true)) return;
  logger_.error(LogArea::storage, "fail-stop node={} reason={}", options_.self.value, error.text);
  for (auto& [uid, group] : groups_) {
    group->core().write_failed();
    group->fail_all(make_error(Errc::unavailable, "this node stopped: " + error.text));
  }
  on_fatal_(error);
}

GroupUid ReplicaNode::new_uid(storage::WriteBatch& batch) {
  std::string value;
  ByteWriter(value).u64(++last_local_uid_);
  batch.put(Keyspace::hard_state, allocator_key(), std::move(value));
  return last_local_uid_;
}

}  // namespace warren::replica
