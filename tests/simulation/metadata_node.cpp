#include "tests/simulation/metadata_node.h"

#include "base/bytes.h"

#include <algorithm>

namespace warren::simulation {

namespace {

constexpr Millis kDeleteAgainMs = 300;

// Kinds of the fence's frames, as they are on the wire.
constexpr std::uint8_t kServing = 16, kLeft = 17, kQuestion = 18, kCarried = 19;

std::uint64_t value_of(const std::string& frame) {
  return frame.size() < 10 ? 0 : load_be<std::uint64_t>(frame.data() + 2);
}
std::uint8_t kind_of(const std::string& frame) {
  return frame.size() < 2 ? std::uint8_t{0} : static_cast<std::uint8_t>(frame[1]);
}

bool same(const std::vector<Result<void>>& a, const std::vector<Result<void>>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.has_value() == y.has_value() && (x.has_value() || x.error().text == y.error().text);
  });
}

}  // namespace

/// The shipped machine, compared to the oracle after every entry and every snapshot.
class MetadataNode::CheckedMachine final : public replica::StateMachine {
 public:
  CheckedMachine(MetadataNode& node, metadata::MachineHooks hooks)
      : node_(node), machine_(node.keeper_, node.self_, node.incarnation_, std::move(hooks)) {}

  void apply(const replica::Command& entry) override {
    MetadataTruth& truth = node_.group_.truth;
    truth.entry(entry.index, entry.term, entry.body.bytes);
    node_.applying_ = true;
    machine_.apply(entry);
    node_.applying_ = false;
    if (auto head = metadata::decode_head(entry.body.bytes)) {
      const auto sequence = machine_.applied_sequence(head->origin, head->incarnation);
      if (sequence && *sequence != 0) seen_.set(head->origin, head->incarnation, *sequence);
    }
    compare(entry.index);
    node_.group_.checker.applied(node_.self_, node_.group_.uid, entry.index, entry.term,
                                 hash_bytes(entry.body.bytes), digest());
    for (const MetadataTruth::Outcome* outcome : std::exchange(node_.confirmed_, {})) node_.confirm(*outcome);
  }
  void checkpoint(replica::RowSink& rows) override { machine_.checkpoint(rows); }
  std::vector<Index> live() const override { return machine_.live(); }
  Result<void> restore(const replica::RowSource& rows, Index index) override {
    auto done = machine_.restore(rows, index);
    if (!done) return done;
    seen_ = {};
    // Asked for every life that the log knows of: the machine answers 0 to newer ones than its own.
    for (const auto& [origin, newest] : node_.group_.truth.origins().all()) {
      for (std::uint64_t life = newest.first; life > 0; --life) {
        const auto sequence = machine_.applied_sequence(origin, life);
        if (!sequence || *sequence == 0) continue;
        seen_.set(origin, life, *sequence);
        break;
      }
    }
    compare(index);
    node_.group_.checker.restored(node_.self_, node_.group_.uid, index, digest());
    return {};
  }
  void on_leadership(const replica::Leadership& now) override { machine_.on_leadership(now); }

  const metadata::Machine& inner() const { return machine_; }
  std::uint64_t digest() const { return metadata_digest(node_.keeper_.rows(), seen_); }

 private:
  void compare(Index index) {
    if (digest() == node_.group_.truth.digest_at(index)) return;
    const bool rows = index == node_.group_.truth.last() &&
                      node_.keeper_.rows().rows() != node_.group_.truth.rows().rows();
    node_.group_.checker.fail("replica-equality",
                              fmt::format("n{} is not what the log says at index {}{}", node_.self_.value, index,
                                          rows ? ": other rows" : ""));
  }

  MetadataNode& node_;
  metadata::Machine machine_;
  Origins seen_;
};

MetadataNode::MetadataNode(MetadataGroup& group, NodeId self, std::uint64_t incarnation, Links links)
    : group_(group),
      self_(self),
      incarnation_(incarnation),
      links_(std::move(links)),
      keeper_(group.checker, self, [this](const metadata::Effect& effect) { on_effect(effect); }),
      proposer_([&] {
        metadata::ProposerOptions options = group.proposer;
        options.self = self;
        options.incarnation = incarnation;
        return options;
      }(), *this),
      fence_(self, group.patience_ms, *this) {}

std::unique_ptr<replica::StateMachine> MetadataNode::make_machine() {
  metadata::MachineHooks hooks;
  hooks.decided = [this](std::uint64_t sequence, std::vector<metadata::PartResults> results) {
    proposer_.on_decided(sequence, std::move(results));
  };
  hooks.skipped_to = [this](std::uint64_t sequence) { proposer_.on_skipped_to(sequence); };
  hooks.leadership = [this](const replica::Leadership& now) { proposer_.on_leadership(now); };
  hooks.unreadable = [this](const Error& error) { group_.checker.fail("metadata-readable", error.text); };
  auto machine = std::make_unique<CheckedMachine>(*this, std::move(hooks));
  machine_ = machine.get();
  return machine;
}

void MetadataNode::boot(const metadata::MemberDef& self, const std::vector<std::uint64_t>& former,
                        std::function<std::vector<NodeId>()> members) {
  if (std::exchange(booted_, true)) return;
  Commands commands{metadata::PutMember{self, 0}};
  for (const std::uint64_t id : former) commands.push_back(metadata::PutMember{self, id});
  change(commands, [](const Results&) {}, metadata::Deadline::none);
  change({metadata::DropTransient{self_.value, false}},
         [this, members = std::move(members)](const Results& results) {
           if (stopped_) return;
           if (!results.front()) {
             group_.checker.fail("boot", fmt::format("n{} cannot start: {}", self_.value, results.front().error().text));
           }
           serves_ = true;
           fence_.serve(members());
           group_.world.trace("n{} serves clients", self_.value);
         },
         metadata::Deadline::none);
}

void MetadataNode::announce(bool alone, std::function<void(Result<void>)> done) {
  booted_ = true;
  change({metadata::DropTransient{self_.value, alone}},
         [done = std::move(done)](const Results& results) { done(results.front()); }, metadata::Deadline::none);
}

void MetadataNode::serve(const std::vector<NodeId>& members) {
  serves_ = true;
  fence_.serve(members);
}

void MetadataNode::stop() {
  stopped_ = true;
  serves_ = false;
  fence_.stop_serving();
  fence_.release_all();
  proposer_.fail_all(make_error(Errc::unavailable, "the node stops"));
}

// ---- changes --------------------------------------------------------------------------------------

void MetadataNode::change(const Commands& commands, std::function<void(const Results&)> then,
                          metadata::Deadline deadline) {
  auto change = std::make_shared<Change>();
  change->id = {self_.value, incarnation_, next_part_};
  change->after = group_.answered_upto;
  change->then = std::move(then);
  change->submitting = true;
  ++open_changes_;
  if (deadline == metadata::Deadline::none) group_.truth.may_repeat(change->id);
  proposer_.submit(commands, [this, change](Results results) { answered(change, results); }, deadline);
  // Parts are numbered in the order of submit; what is refused at once gets no number.
  if (!change->answered) ++next_part_;
  change->submitting = false;
}

/// As in node/server: what was made is told when all who serve have carried it out.
void MetadataNode::answered(const std::shared_ptr<Change>& change, const Results& results) {
  Checker& checker = group_.checker;
  if (std::exchange(change->answered, true)) {
    checker.fail("answered-once", fmt::format("change {} of n{}", change->id.number, self_.value));
  }
  if (change->submitting) {  // too much waits
    ++group_.refusals;
    return told(change, results, 0);
  }
  const Result<void>& first = results.front();
  const auto says = [&](const char* text) { return !first && first.error().text.find(text) != std::string::npos; };
  if (says("nothing was changed")) {
    ++group_.refusals;
    group_.truth.refused(change->id);
    return told(change, results, 0);
  }
  if (stopped_ || says("is not known") || says("outcome is unknown")) {
    ++group_.lost_answers;
    return told(change, results, 0);
  }
  const auto* outcome = group_.truth.outcome(change->id);
  if (!outcome || !same(outcome->results, results)) {
    checker.fail("answer-is-the-outcome", fmt::format("change {} of n{} was answered otherwise than it went",
                                                      change->id.number, self_.value));
  }
  if (outcome->index <= change->after) {
    checker.fail("real-time-order", fmt::format("change {} of n{} lies at {}, {} was answered before it began",
                                                change->id.number, self_.value, outcome->index, change->after));
  }
  const bool made = std::any_of(results.begin(), results.end(), [](const auto& r) { return r.has_value(); });
  if (!made) return told(change, results, outcome->index);
  fence_.wait(core()->commit_index(), [this, change, results, index = outcome->index] {
    ++group_.fenced;
    if (!stopped_) links_.everywhere(index);
    told(change, results, index);
  });
}

void MetadataNode::told(const std::shared_ptr<Change>& change, const Results& results, Index index) {
  --open_changes_;
  if (index != 0) {
    const auto* outcome = group_.truth.outcome(change->id);
    ++group_.answers;
    group_.answered_upto = std::max(group_.answered_upto, index);
    if (applying_)
      confirmed_.push_back(outcome);  // the checker hears of the entry behind it
    else
      confirm(*outcome);
  }
  change->then(results);
}

void MetadataNode::confirm(const MetadataTruth::Outcome& outcome) {
  group_.checker.acknowledged(group_.uid, outcome.index, outcome.term, outcome.body);
  links_.durable(outcome.index, *core());
}

void MetadataNode::append(Term term, std::string batch, std::function<void(const Error&)> failed) {
  replica_->propose(group_.uid, term, {raft::Slice::of(std::move(batch))},
                    [failed = std::move(failed)](const Result<Index>& result) {
                      if (!result) failed(result.error());
                    });
}

std::optional<std::uint64_t> MetadataNode::applied_sequence(std::uint64_t origin,
                                                            std::uint64_t incarnation) const {
  return machine_->inner().applied_sequence(origin, incarnation);
}

Index MetadataNode::applied() const { return core() ? core()->applied_index() : 0; }

// ---- the fence, seen from outside ------------------------------------------------------------------

void MetadataNode::send(NodeId to, std::string frame) {
  if (kind_of(frame) == kQuestion) {
    PeerView& peer = peers_[to];
    if (peer.carried >= peer.asked) peer.asked_ms = steady_ms();
    peer.asked = std::max(peer.asked, value_of(frame));
  }
  links_.send(to, std::move(frame));
}

void MetadataNode::on_frame(NodeId from, const std::string& frame) {
  const bool of_fence = metadata::Fence::is_frame(frame) && fence_.on_frame(from, frame, steady_ms());
  if (of_fence && kind_of(frame) == kServing) {
    if (value_of(frame) != 0) peers_[from] = {};  // perhaps a new life: it knows of no question
    peers_[from].serves = true;
  }
  if (of_fence && kind_of(frame) == kLeft) peers_[from] = {};
  if (of_fence && kind_of(frame) == kCarried) {
    PeerView& peer = peers_[from];
    if (value_of(frame) > peer.carried) peer.asked_ms = steady_ms();
    peer.carried = std::max(peer.carried, value_of(frame));
    if (peer.carried >= peer.asked) peer.lags = false;
  }
  if (!of_fence) proposer_.on_frame(from, frame);
  links_.wake();
}

void MetadataNode::watch_patience() {
  for (auto& [id, peer] : peers_) {
    if (peer.carried < peer.asked && steady_ms() - peer.asked_ms >= group_.patience_ms) peer.lags = true;
  }
}

bool MetadataNode::waits_for(NodeId other) const {
  const auto peer = peers_.find(other);
  return peer != peers_.end() && peer->second.serves && !peer->second.lags && !suspected(other);
}

void MetadataNode::on_peer_up(NodeId peer) {
  peers_.erase(peer);
  proposer_.on_peer_up(peer);
  fence_.on_peer_up(peer);
}

void MetadataNode::on_peer_down(NodeId peer) {
  peers_.erase(peer);
  replica_->on_peer_down(peer);
  fence_.on_peer_down(peer);
  links_.wake();
}

void MetadataNode::end_of_turn() {
  if (!core()) return;
  watch_patience();
  fence_.turn(applied(), steady_ms());
}

void MetadataNode::tick() {
  proposer_.tick();
  if (delete_again_at_ != 0 && steady_ms() >= delete_again_at_) {
    delete_again_at_ = 0;
    if (!doomed_.empty()) delete_queues({doomed_.begin(), doomed_.end()});
  }
}

// ---- what follows from changes ---------------------------------------------------------------------

void MetadataNode::on_effect(const metadata::Effect& effect) {
  if (std::holds_alternative<metadata::MembersChanged>(effect)) members_changed_ = true;
  if (const auto* put = std::get_if<metadata::QueuePut>(&effect)) {
    const metadata::QueueDef& def = put->def;
    if (!def.exclusive || def.home != self_.value) return;
    if (connections_.contains(def.owner_connection)) {
      owned_[def.owner_connection].insert(def.uid);
    } else {
      delete_queues({def.uid});  // its connection went while the declare was under way
    }
  } else if (const auto* gone = std::get_if<metadata::QueueDeleted>(&effect)) {
    doomed_.erase(gone->def.uid);
    if (const auto at = owned_.find(gone->def.owner_connection); at != owned_.end()) at->second.erase(gone->def.uid);
  }
}

void MetadataNode::delete_queues(std::vector<metadata::QueueUid> uids) {
  doomed_.insert(uids.begin(), uids.end());
  change({metadata::DeleteQueues{std::move(uids)}}, [this](const Results& results) {
    if (!results.front() && delete_again_at_ == 0) delete_again_at_ = steady_ms() + kDeleteAgainMs;
  });
}

void MetadataNode::end_connection(std::uint64_t id) {
  connections_.erase(id);
  const auto owned = owned_.extract(id);
  if (!owned.empty() && !owned.mapped().empty()) delete_queues({owned.mapped().begin(), owned.mapped().end()});
}

std::string MetadataNode::busy() const {
  if (!serves_) return "has not booted";
  if (!proposer_.idle()) return "has changes under way";
  if (!fence_.idle()) return "waits at the fence";
  if (open_changes_ != 0) return fmt::format("has {} changes without an answer", open_changes_);
  if (!doomed_.empty()) return "has exclusive queues to delete";
  return "";
}

void MetadataNode::check_equal() {
  keeper_.check_all();
  if (keeper_.catalogue() != group_.truth.catalogue() || keeper_.rows().rows() != group_.truth.rows().rows() ||
      machine_->digest() != group_.truth.digest_at(group_.truth.last())) {
    group_.checker.fail("replica-equality", fmt::format("n{} differs from the log in the end", self_.value));
  }
}

}  // namespace warren::simulation
