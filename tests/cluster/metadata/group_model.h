#pragma once
// Members of the metadata group over a model of consensus and of the network: one log whose committed
// part never changes, a leader that may be deposed, frames that are lost with their stream.

#include "base/prng.h"
#include "cluster/metadata/proposer.h"
#include "tests/cluster/metadata/support.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace warren::metadata::test {

/// Rows of one member's checkpoints.
class RowMap final : public replica::RowSink, public replica::RowSource {
 public:
  void put(std::string_view key, std::string value) override { rows[std::string(key)] = std::move(value); }
  void erase(std::string_view key) override { rows.erase(std::string(key)); }
  Result<void> each(const Visit& visit) const override {
    for (const auto& [key, value] : rows)
      if (auto done = visit(key, value); !done) return done;
    return {};
  }
  Result<raft::Slice> entry(raft::Index) const override { return make_error(Errc::corruption, "none"); }

  std::map<std::string, std::string> rows;
};

class Group;

class Member final : public CatalogueOwner, public ProposerLink {
 public:
  Member(Group& group, std::uint64_t id, std::uint64_t incarnation, ProposerOptions options);

  const Catalogue& catalogue() const override { return catalogue_; }
  Result<Applied> commit(const Command& command, bool ours) override;
  void replace(Catalogue next) override { catalogue_ = std::move(next); }

  void append(raft::Term term, std::string batch, std::function<void(const Error&)> failed) override;
  void send(raft::NodeId to, std::string frame) override;
  void want_flush() override { flush_wanted = true; }
  QueueUid next_uid() const override { return catalogue_.next_uid(); }
  std::optional<std::uint64_t> applied_sequence(std::uint64_t origin, std::uint64_t incarnation) const override {
    return machine->applied_sequence(origin, incarnation);
  }
  std::string missing() const override { return "b"; }
  Millis steady_ms() const override;
  Millis wall_ms() const override { return steady_ms(); }

  Group& group;
  const std::uint64_t id;
  std::unique_ptr<Machine> machine;
  Proposer proposer;
  RowMap rows;
  std::size_t applied{0};
  std::size_t rows_at{0};
  bool flush_wanted{false};
  /// Queues that came into being here, by name: more than once is once too often.
  std::map<std::string, int> made;

 private:
  Catalogue catalogue_;
};

class Group {
 public:
  explicit Group(std::uint64_t members, ProposerOptions options = {}) : options_(options) {
    for (std::uint64_t id = 1; id <= members; ++id) start(id);
    Command vhost = put_vhost("/");
    for (auto& [id, member] : members_) (void)member->commit(vhost, false);
    for (auto& [id, member] : members_) {
      RowMap seeded;
      for (const RowChange& row : member->catalogue().rows()) seeded.rows[row.key] = *row.value;
      member->rows = seeded;
    }
  }

  Member& at(std::uint64_t id) { return *members_.at(id); }
  std::map<std::uint64_t, std::unique_ptr<Member>>& members() { return members_; }

  /// A restart: what was not in a checkpoint is applied again from the log.
  void start(std::uint64_t id) {
    auto options = options_;
    auto& slot = members_[id];
    auto fresh = std::make_unique<Member>(*this, id, ++incarnations_[id], options);
    if (slot) {
      fresh->rows = slot->rows;
      fresh->applied = fresh->rows_at = slot->rows_at;
      EXPECT_TRUE(fresh->machine->restore(fresh->rows, fresh->applied));
    }
    slot = std::move(fresh);
    for (auto& [pair, frames] : wires_)
      if (pair.first == id || pair.second == id) frames.clear();
  }
  void checkpoint(Member& member) {
    member.machine->checkpoint(member.rows);
    member.rows_at = member.applied;
  }
  /// Somebody else's checkpoint takes the place of entries.
  void install(Member& member, Member& from) {
    checkpoint(from);
    if (from.rows_at < member.applied) return;
    member.rows.rows = from.rows.rows;
    member.applied = member.rows_at = from.rows_at;
    EXPECT_TRUE(member.machine->restore(member.rows, member.applied));
  }
  /// `to` leads in a new term; of what is not committed the first `keep` entries survive.
  void elect(std::uint64_t to, std::size_t keep) {
    ++term;
    log.resize(std::min(log.size(), committed + keep));
    // Whoever led does not know which of them survive.
    for (auto& [index, failed] : std::exchange(failures_, {}))
      failed(make_error(Errc::unavailable, "leadership lost"));
    leader = to;
    committed = log.size();  // the new leader's first entry commits what is before it
    apply(at(to), log.size());
    for (auto& [id, member] : members_) tell(*member);
  }
  /// This member hears who leads.
  void tell(Member& member) {
    member.proposer.on_leadership({term, raft::NodeId(leader), member.id == leader});
  }
  void tell_nobody(Member& member) { member.proposer.on_leadership({term, raft::kNoNode, false}); }
  void commit(std::size_t count) {
    committed = std::min(log.size(), committed + count);
    std::erase_if(failures_, [this](const auto& item) { return item.first < committed; });
    if (leader != 0) apply(at(leader), committed);
  }
  void apply(Member& member, std::size_t upto) {
    for (; member.applied < std::min(upto, committed); ++member.applied) {
      replica::Command command{member.applied + 1, 1, raft::Slice::of(log[member.applied])};
      member.machine->apply(command);
    }
  }
  /// Gives the next frame from one member to another; false when there is none.
  bool deliver(std::uint64_t from, std::uint64_t to) {
    auto& wire = wires_[{from, to}];
    if (wire.empty()) return false;
    const std::string frame = std::move(wire.front());
    wire.pop_front();
    at(to).proposer.on_frame(raft::NodeId(from), frame);
    return true;
  }
  void break_stream(std::uint64_t from, std::uint64_t to) {
    wires_[{from, to}].clear();
    at(from).proposer.on_peer_up(raft::NodeId(to));
  }
  std::size_t in_wires() const {
    std::size_t count = 0;
    for (const auto& [pair, frames] : wires_) count += frames.size();
    return count;
  }
  void carry(std::uint64_t from, raft::NodeId to, std::string frame) {
    if (!cut) wires_[{from, to.value}].push_back(std::move(frame));
  }
  void append(raft::Term in, std::uint64_t by, std::string batch, std::function<void(const Error&)> failed) {
    if (in != term || by != leader) return failed(make_error(Errc::conflict, "not the leader"));
    if (log.size() - committed >= uncommitted_max) return failed(make_error(Errc::exhausted, "full"));
    failures_.emplace(log.size(), std::move(failed));
    log.push_back(std::move(batch));
  }
  /// Everything is well: until all that was submitted is decided and applied everywhere.
  void settle() {
    cut = false;
    for (int round = 0; round < 200; ++round) {
      now += 20;
      for (auto& [id, member] : members_) {
        member->proposer.tick();
        member->proposer.flush();
      }
      for (auto& [from, sender] : members_)
        for (auto& [to, receiver] : members_)
          while (deliver(from, to)) {
          }
      commit(log.size());
      for (auto& [id, member] : members_) apply(*member, committed);
    }
  }

  Millis now{1'000};
  raft::Term term{0};
  std::uint64_t leader{0};
  std::vector<std::string> log;
  std::size_t committed{0};
  std::size_t uncommitted_max{1'000};
  bool cut{false};

 private:
  ProposerOptions options_;
  std::map<std::uint64_t, std::unique_ptr<Member>> members_;
  std::map<std::uint64_t, std::uint64_t> incarnations_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::deque<std::string>> wires_;
  std::map<std::size_t, std::function<void(const Error&)>> failures_;
};

inline Member::Member(Group& in, std::uint64_t number, std::uint64_t incarnation, ProposerOptions options)
    : group(in), id(number), proposer([&] {
        options.self = raft::NodeId(number);
        options.incarnation = incarnation;
        return options;
      }(), *this) {
  MachineHooks hooks;
  hooks.decided = [this](std::uint64_t sequence, std::vector<PartResults> results) {
    proposer.on_decided(sequence, std::move(results));
  };
  hooks.skipped_to = [this](std::uint64_t sequence) { proposer.on_skipped_to(sequence); };
  hooks.leadership = [](const replica::Leadership&) {};
  hooks.unreadable = [](const Error& error) { ADD_FAILURE() << error.text; };
  machine = std::make_unique<Machine>(*this, raft::NodeId(number), incarnation, std::move(hooks));
}

inline Result<Applied> Member::commit(const Command& command, bool) {
  auto applied = catalogue_.apply(command);
  if (!applied) return applied;
  for (const Effect& effect : applied->effects)
    if (const auto* put = std::get_if<QueuePut>(&effect)) ++made[put->def.name];
  return applied;
}

inline void Member::append(raft::Term term, std::string batch, std::function<void(const Error&)> failed) {
  group.append(term, id, std::move(batch), std::move(failed));
}
inline void Member::send(raft::NodeId to, std::string frame) { group.carry(id, to, std::move(frame)); }
inline Millis Member::steady_ms() const { return group.now; }

}  // namespace warren::metadata::test
