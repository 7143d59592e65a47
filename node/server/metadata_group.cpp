#include "node/server/metadata_group.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::server {

namespace {

constexpr std::chrono::milliseconds kTick{20};
constexpr Millis kProgressEvery = 10'000;

metadata::ProposerOptions proposer_options(const GroupOptions& options) {
  metadata::ProposerOptions out;
  out.self = options.self;
  out.incarnation = options.incarnation;
  out.timeout_ms = options.timeout_ms;
  return out;
}

replica::ReplicaOptions replica_options(const GroupOptions& options) {
  const auto& from = options.cluster_settings;
  replica::ReplicaOptions out;
  out.self = options.self;
  out.cluster = options.cluster;
  out.incarnation = options.incarnation;
  out.seed = options.seed;
  out.raft.may_vote = !options.ram;
  out.raft.lease_ms = from.lease_ms;
  out.raft.heartbeat_ms = from.peer_heartbeat_ms;
  out.raft.max_append_bytes = static_cast<std::uint64_t>(from.append_bytes);
  out.raft.quiet = true;
  out.raft.prompt_commit = true;
  out.liveness.heartbeat_ms = from.peer_heartbeat_ms;
  out.liveness.suspect_floor_ms = from.suspect_min_ms;
  out.liveness.suspect_ceiling_ms = from.suspect_max_ms;
  out.stall_transfer_ms = options.storage_settings.fsync_transfer_ms;
  out.stall_step_down_ms = options.storage_settings.fsync_deadline_ms;
  out.owns_floors = false;  // queues have theirs in the same store
  out.max_unsent_bytes = static_cast<std::size_t>(from.peer_window);
  out.group.chunk_bytes = static_cast<std::size_t>(from.snapshot_chunk);
  return out;
}

}  // namespace

MetadataGroup::MetadataGroup(GroupOptions options, Links links)
    : options_(std::move(options)),
      links_(std::move(links)),
      proposer_(proposer_options(options_), *this),
      fence_(options_.self, options_.cluster_settings.suspect_max_ms, *this),
      ticker_(links_.loop.io()) {
  replica::Transport& transport = links_.consensus != nullptr ? *links_.consensus : nowhere_;
  Loop& loop = links_.loop;
  replica_ = std::make_unique<replica::ReplicaNode>(
      replica_options(options_), links_.store, links_.committer, transport, loop, links_.log,
      [&loop](std::function<void()> work) {
        loop.post([&loop, work = std::move(work)] {
          loop.refresh();
          work();
        });
      },
      [&loop] { loop.want_turn(); }, links_.on_failure);
}

MetadataGroup::~MetadataGroup() { stop(); }

std::unique_ptr<metadata::Machine> MetadataGroup::make_machine() {
  metadata::MachineHooks hooks;
  hooks.decided = [this](std::uint64_t sequence, std::vector<metadata::PartResults> results) {
    proposer_.on_decided(sequence, std::move(results));
  };
  hooks.skipped_to = [this](std::uint64_t sequence) { proposer_.on_skipped_to(sequence); };
  hooks.leadership = [this](const replica::Leadership& now) {
    proposer_.on_leadership(now);
    if (leadership_) leadership_(now);
  };
  hooks.unreadable = links_.on_failure;
  auto machine = std::make_unique<metadata::Machine>(links_.owner, options_.self, options_.incarnation,
                                                     std::move(hooks));
  machine_ = machine.get();
  return machine;
}

Result<void> MetadataGroup::open() {
  return replica_->load([this](storage::GroupUid) { return make_machine(); });
}

Result<void> MetadataGroup::found() {
  return replica_->found(kMetadataGroup, raft::make_config({options_.self}), make_machine());
}

Result<void> MetadataGroup::join() { return replica_->join(kMetadataGroup, make_machine()); }

void MetadataGroup::boot(std::function<void(Result<void>)> done,
                         std::function<void(const std::string&)> progress) {
  progress_ = std::move(progress);
  progress_at_ = links_.loop.steady_ms() + kProgressEvery;
  const auto& members = links_.owner.catalogue().members();
  const bool only = members.empty() || (members.size() == 1 && members.contains(options_.self.value));
  proposer_.submit({metadata::DropTransient{options_.self.value, only}},
                   [this, done = std::move(done)](std::vector<Result<void>> results) {
                     progress_ = nullptr;
                     done(std::move(results.front()));
                   },
                   metadata::Deadline::none);
  // The group's timers begin with its first turn; alone there is no need to wait for the clock.
  turn();
  tick();
  arm();
}

void MetadataGroup::propose(const std::vector<metadata::Command>& commands, metadata::ProposeDone done) {
  if (stopped_)
    return done(std::vector<Result<void>>(commands.size(), make_error(Errc::unavailable, "the node stops")));
  proposer_.submit(commands, [this, done = std::move(done)](std::vector<Result<void>> results) {
    const bool made = std::any_of(results.begin(), results.end(), [](const auto& r) { return r.has_value(); });
    if (!made || stopped_) return done(std::move(results));
    fence_.wait(core()->commit_index(), [done, results = std::move(results)] { done(results); });
  });
  arm();
}

void MetadataGroup::serve() {
  std::vector<raft::NodeId> members;
  for (const auto& [id, member] : links_.owner.catalogue().members()) members.push_back(raft::NodeId(id));
  fence_.serve(members);
}

bool MetadataGroup::may_be_behind() const { return !stopped_ && !(alone() && leads()); }

void MetadataGroup::catch_up(std::function<void()> done) {
  replica_->read(kMetadataGroup, [&loop = links_.loop, done = std::move(done)](const Result<raft::Index>&) {
    loop.post(done);  // the answer comes inside the group's turn
  });
  arm();
}

void MetadataGroup::turn() {
  if (stopped_) return;
  proposer_.flush();
  replica_->turn();
  // Outcomes carried out in there may have made room for what waits.
  proposer_.flush();
  replica_->turn();
  if (core() != nullptr) fence_.turn(core()->applied_index(), steady_ms());
}

void MetadataGroup::stop() {
  if (std::exchange(stopped_, true)) return;
  ticker_.cancel();
  fence_.stop_serving();
  fence_.release_all();
  proposer_.fail_all(make_error(Errc::unavailable, "the node stops"));
}

bool MetadataGroup::alone() const {
  const raft::Core* group = core();
  return group != nullptr && group->config().members() == std::vector<raft::NodeId>{options_.self};
}

/// A group of one that has nothing to do needs no clock: an idle node sleeps.
void MetadataGroup::arm() {
  if (ticking_ || stopped_ || !has_group()) return;
  if (alone() && leads() && proposer_.idle()) return;
  ticking_ = true;
  ticker_.expires_after(kTick);
  ticker_.async_wait([this, alive = std::weak_ptr<char>(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    ticking_ = false;
    links_.loop.refresh();
    tick();
    arm();
  });
}

void MetadataGroup::tick() {
  if (stopped_) return;
  const Millis now = links_.loop.steady_ms();
  replica_->tick();
  proposer_.tick();
  if (progress_ && now >= progress_at_) {
    progress_at_ = now + kProgressEvery;
    const std::string who = missing();
    progress_(who.empty() ? "the cluster's disc nodes have no leader yet" : "no answer from " + who);
  }
  links_.loop.want_turn();
}

void MetadataGroup::on_frame_consensus(raft::NodeId peer, std::shared_ptr<const std::string> bytes) {
  if (stopped_) return;
  replica_->on_frame(peer, std::move(bytes));
  links_.loop.want_turn();
  arm();
}

void MetadataGroup::on_frame_metadata(raft::NodeId peer, std::string_view bytes) {
  if (stopped_) return;
  if (!metadata::Fence::is_frame(bytes) || !fence_.on_frame(peer, bytes, steady_ms())) proposer_.on_frame(peer, bytes);
  links_.loop.want_turn();
}

void MetadataGroup::on_peer_up(raft::NodeId peer) {
  proposer_.on_peer_up(peer);
  fence_.on_peer_up(peer);
}

void MetadataGroup::on_peer_down(raft::NodeId peer) {
  if (stopped_) return;
  replica_->on_peer_down(peer);
  fence_.on_peer_down(peer);
  links_.loop.want_turn();
}

// ---- membership ---------------------------------------------------------------------------------

raft::NodeId MetadataGroup::leader() const { return core() != nullptr ? core()->leader() : raft::kNoNode; }

bool MetadataGroup::leads() const { return core() != nullptr && core()->effective(); }

raft::Config MetadataGroup::config() const { return core() != nullptr ? core()->config() : raft::Config{}; }

Result<void> MetadataGroup::change_config(const raft::Config& target) {
  if (core() == nullptr) return make_error(Errc::not_found, "this node has no metadata");
  auto changed = replica_->change_config(kMetadataGroup, core()->term(), target);
  arm();
  if (!changed) return changed.error();
  return {};
}

std::optional<std::uint64_t> MetadataGroup::lag(raft::NodeId member) const {
  const raft::Core* group = core();
  const raft::Progress* progress = group != nullptr ? group->progress(member) : nullptr;
  if (progress == nullptr) return std::nullopt;
  return group->commit_index() - std::min(group->commit_index(), progress->match());
}

// ---- metadata::ProposerLink -----------------------------------------------------------------------

void MetadataGroup::append(raft::Term term, std::string batch, std::function<void(const Error&)> failed) {
  replica_->propose(kMetadataGroup, term, {raft::Slice::of(std::move(batch))},
                    [failed = std::move(failed)](const Result<raft::Index>& result) {
                      if (!result) failed(result.error());
                    });
}

void MetadataGroup::send(raft::NodeId to, std::string frame) {
  if (links_.metadata != nullptr) links_.metadata->send(to, std::move(frame));
}

std::optional<std::uint64_t> MetadataGroup::applied_sequence(std::uint64_t origin,
                                                             std::uint64_t incarnation) const {
  return machine_->applied_sequence(origin, incarnation);
}

std::string MetadataGroup::missing() const {
  std::string out;
  for (const raft::NodeId voter : config().voters) {
    if (voter == options_.self || !replica_->peers().suspected(voter)) continue;
    const std::string name = name_of_ ? name_of_(voter) : "";
    out += (out.empty() ? "" : ", ") + (name.empty() ? fmt::format("node {:x}", voter.value) : name);
  }
  return out;
}

}  // namespace warren::server
