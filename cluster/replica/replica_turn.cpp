// A turn of the node: every group's writes in one batch, every peer's messages in one frame.
#include "cluster/raft/mutant.h"
#include "cluster/replica/replica_node.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace warren::replica {

using storage::GroupUid;

void ReplicaNode::turn() {
  woken_ = true;  // whatever becomes due from here on is seen below
  constexpr int kMaxRounds = 16;
  std::vector<GroupMessage> mail;
  auto more = [this] { return !failed_ && !(dirty_.empty() && checkpoints_wanted_.empty()); };
  for (int round = 0; round < kMaxRounds && more(); ++round) {
    Turn turn;
    Millis now = clock_.steady_ms();
    std::vector<GroupUid> dirty = std::exchange(dirty_, {});
    std::sort(dirty.begin(), dirty.end());
    std::vector<std::shared_ptr<Group>> drained;
    drained.reserve(dirty.size());
    for (GroupUid uid : dirty) {
      auto found = groups_.find(uid);
      if (found == groups_.end()) continue;
      std::shared_ptr<Group> group = found->second;
      group->dirty = false;
      auto again = group->drain(turn, now);
      if (!again) return fail_stop(again.error());
      schedule(*group, now);
      if (*again) touch(*group);
      drained.push_back(std::move(group));
    }
    digests_stale_ = digests_stale_ || turn.roles_changed;
    std::move(turn.mail.begin(), turn.mail.end(), std::back_inserter(mail));
    turn.mail.clear();
    for (auto& done : std::exchange(checkpoints_wanted_, {})) turn.durable.push_back(std::move(done));
    if (turn.batch.empty() && turn.durable.empty()) continue;
    // Also keeps removed groups alive until the disc is done with what they ordered.
    turn.durable.push_back([this, drained = std::move(drained)] {
      for (const auto& group : drained) {
        if (find(group->uid()) == group.get()) touch(*group);
      }
    });
    submit(turn);
  }
  if (!failed_) send_mail(std::move(mail));
  woken_ = !dirty_.empty() && !failed_;
  if (woken_) wake_();
}

void ReplicaNode::submit(Turn& turn) {
  auto steps = std::make_shared<std::vector<std::function<void()>>>(std::move(turn.durable));
  committer_.submit(std::move(turn.batch), storage::Durability::synced,
                    [this, steps, post = post_, alive = std::weak_ptr<bool>(alive_)](
                        Result<void> result) {
    post([this, steps, alive, result] {
      auto lives = alive.lock();
      if (lives && *lives) on_durable(*steps, result);
    });
  });
}

void ReplicaNode::on_durable(std::vector<std::function<void()>>& steps,
                             const Result<void>& result) {
  if (failed_) return;
  if (!result && WARREN_MUTANT(8)) {
    for (auto& [uid, group] : groups_) group->core().write_failed();
  } else if (!result) {
    return fail_stop(result.error());
  }
  for (auto& step : steps) step();
}

void ReplicaNode::send_mail(std::vector<GroupMessage> mail) {
  refresh_digests();
  // What goes to one peer goes together; the order between two nodes stays.
  auto by_peer = [](const GroupMessage& a, const GroupMessage& b) {
    return a.message.to < b.message.to;
  };
  if (!std::is_sorted(mail.begin(), mail.end(), by_peer)) {
    std::stable_sort(mail.begin(), mail.end(), by_peer);
  }
  Frame frame;
  std::size_t bytes = 0;
  raft::NodeId to{};
  auto flush = [&] {
    if (!frame.messages.empty()) send(to, std::exchange(frame, Frame{}));
    bytes = 0;
  };
  for (GroupMessage& m : mail) {
    if (m.message.to != to) {
      flush();
      to = m.message.to;
    }
    std::size_t size = 64;
    if (auto* append = std::get_if<raft::Append>(&m.message.payload)) {
      for (const raft::Entry& entry : append->entries) size += entry.bytes();
      // The peer takes less than we give: leave it behind rather than fill memory for it.
      if (!append->entries.empty() && transport_.unsent_bytes(to) > options_.max_unsent_bytes) {
        continue;
      }
    } else if (auto* chunk = std::get_if<raft::SnapshotChunk>(&m.message.payload)) {
      size += chunk->body.bytes.size();
      if (transport_.unsent_bytes(to) > options_.max_unsent_bytes) continue;
    }
    if (bytes + size > options_.max_frame_bytes || frame.messages.size() >= kMaxFrameMessages) flush();
    bytes += size;
    frame.messages.push_back(std::move(m));
  }
  flush();
}

void ReplicaNode::send(raft::NodeId to, Frame frame) {
  frame.head = FrameHead{options_.cluster, options_.self, to, options_.incarnation};
  transport_.send(to, encode_frame(frame));
}

void ReplicaNode::refresh_digests() {
  if (!std::exchange(digests_stale_, false)) return;
  std::map<raft::NodeId, std::uint64_t> led, followed;
  std::set<raft::NodeId> members;
  for (auto& [uid, group] : groups_) {
    const raft::Core& core = group->core();
    std::uint64_t mark = Prng(uid * 0xD1B54A32D192ED03ULL ^ core.term()).next();
    for (raft::NodeId node : core.config().members()) {
      if (node == options_.self) continue;
      members.insert(node);
      if (core.role() == raft::Role::leader) led[node] += mark;
    }
    if (core.role() == raft::Role::follower && core.leader() != raft::kNoNode) {
      followed[core.leader()] += mark;
      members.insert(core.leader());
    }
  }
  std::vector<raft::NodeId> peers(members.begin(), members.end());
  for (raft::NodeId node : peers) peers_.add(node, clock_.steady_ms());
  peers_.keep_only(peers);
  peers_.set_digests(std::move(led), std::move(followed));
}

}  // namespace warren::replica
