#pragma once
// A few cores on a table: messages, discs and clocks move only when the test says so.

#include "base/prng.h"
#include "cluster/raft/codec.h"
#include "cluster/raft/core.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace warren::raft::testing {

class FlatSizes final : public LogSizes {
 public:
  std::uint64_t bytes(Index) const override { return 100; }
};

class HandLiveness final : public Liveness {
 public:
  Millis heard_ms(NodeId peer) const override { return find(heard, peer); }
  Millis confirmed_ms(NodeId peer) const override { return find(confirmed, peer); }
  std::map<NodeId, Millis> heard, confirmed;

 private:
  static Millis find(const std::map<NodeId, Millis>& in, NodeId peer) {
    auto at = in.find(peer);
    return at == in.end() ? 0 : at->second;
  }
};

/// One member: its core, its disc (what persisted writes left) and what waits for the disc.
struct Member {
  NodeId id;
  HandLiveness liveness;
  std::unique_ptr<Core> core;
  std::map<Index, Entry> log;      ///< everything ordered to be written
  std::map<Index, Entry> durable;  ///< what a crash leaves
  HardState durable_hard;
  LogBase base, durable_base;
  std::optional<StagedSnapshot> staged;
  std::deque<Write> unwritten;
  std::deque<Held> held;
  std::vector<std::string> applied;
  Index applied_index{0};
  std::vector<ReadAnswer> reads;
  std::vector<ChunkOrder> chunks;
  std::vector<SnapshotOrder> snapshots;
  bool disc_holds{false};  ///< writes are accepted but never become durable
};

class Lab {
 public:
  explicit Lab(int count, int learners = 0, Options options = {}) : options_(options) {
    std::vector<NodeId> voters, listeners;
    for (int i = 1; i <= count; ++i) voters.emplace_back(static_cast<std::uint64_t>(i));
    for (int i = 1; i <= learners; ++i) listeners.emplace_back(static_cast<std::uint64_t>(count + i));
    LogBase base{1, 1, make_config(voters, listeners), 1};
    for (NodeId id : base.config.members()) add(id, base);
  }

  void add(NodeId id, LogBase base = {}) {
    Member& m = members[id.value];
    m.id = id;
    m.base = m.durable_base = base;
    m.durable_hard.term = base.term;
    m.durable_hard.commit = base.index;
    boot(m);
  }

  void boot(Member& m) {
    Restored restored{m.durable_hard, m.durable_base, {}, {}, m.staged};
    m.log.clear();
    for (auto& [index, entry] : m.durable) {
      if (index <= m.durable_base.index) continue;
      restored.terms.push_back(entry.term);
      if (entry.kind == EntryKind::config) {
        restored.configs.emplace_back(index, *decode_config(entry.body.bytes));
      }
      m.log[index] = entry;
    }
    m.base = m.durable_base;
    m.unwritten.clear();
    m.held.clear();
    m.applied.clear();
    m.applied_index = m.base.index;
    Options options = options_;
    options.self = m.id;
    options.seed = m.id.value * 7919 + static_cast<std::uint64_t>(now);
    auto core = Core::restore(options, sizes_, m.liveness, std::move(restored), now);
    ASSERT_TRUE(core.has_value()) << core.error().text;
    m.core = std::make_unique<Core>(std::move(*core));
  }
  /// Loses everything that was not synced, and comes back.
  void crash(int id) { boot(at(id)); }

  /// A node that forgets comes back: same name, nothing on disc.
  void forget(int id) {
    Member& m = at(id);
    m.durable.clear();
    m.durable_base = LogBase{};
    m.durable_hard = HardState{};
    boot(m);
  }

  Member& at(int id) { return members.at(static_cast<std::uint64_t>(id)); }
  Core& core(int id) { return *at(id).core; }

  void cut(int a, int b) { cuts.insert({a, b}), cuts.insert({b, a}); }
  void isolate(int a) {
    for (auto& [id, m] : members) {
      if (static_cast<int>(id) != a) cut(a, static_cast<int>(id));
    }
  }
  void heal() { cuts.clear(); }

  /// Takes one member's output: writes to its disc queue, messages to the wire.
  void collect(Member& m) {
    Output out = m.core->take();
    for (Write& w : out.writes) {
      if (w.install) {
        m.log.clear();
        m.base = *w.install;
        m.applied_index = std::max(m.applied_index, m.base.index);
      }
      if (w.truncate_from) m.log.erase(m.log.lower_bound(*w.truncate_from), m.log.end());
      for (Entry& e : w.append) m.log[e.index] = e;
      m.unwritten.push_back(std::move(w));
    }
    for (Message& message : out.now) post(m, std::move(message));
    for (Held& held : out.held) m.held.push_back(std::move(held));
    for (ReadAnswer& read : out.reads) m.reads.push_back(read);
    for (ChunkOrder& chunk : out.chunks) m.chunks.push_back(std::move(chunk));
    for (SnapshotOrder& order : out.snapshots) m.snapshots.push_back(order);
  }

  /// Makes the oldest write of a member durable and tells its core.
  void sync_one(Member& m) {
    Write w = std::move(m.unwritten.front());
    m.unwritten.pop_front();
    if (w.install) {
      m.durable.clear();
      m.durable_base = *w.install;
    }
    if (w.truncate_from) m.durable.erase(m.durable.lower_bound(*w.truncate_from), m.durable.end());
    for (Entry& e : w.append) m.durable[e.index] = e;
    m.durable_hard = w.hard;
    WriteSeq seq = w.seq;
    m.core->persisted(seq);
    while (!m.held.empty() && m.held.front().after <= seq) {
      post(m, std::move(m.held.front().message));
      m.held.pop_front();
    }
  }

  void apply(Member& m) {
    for (Index i = std::max(m.applied_index, m.base.index) + 1; i <= m.core->apply_limit(); ++i) {
      const Entry& entry = m.log.at(i);
      if (entry.kind == EntryKind::data) m.applied.emplace_back(entry.body.bytes);
      m.applied_index = i;
    }
    m.core->applied(std::max(m.applied_index, m.base.index));
  }

  /// Delivers and writes until nothing moves.
  void settle() {
    for (int round = 0; round < 10'000; ++round) {
      bool moved = false;
      for (auto& [id, m] : members) {
        collect(m);
        while (!m.disc_holds && !m.unwritten.empty()) sync_one(m), moved = true, collect(m);
        apply(m);
      }
      std::deque<Message> batch;
      batch.swap(wire);
      for (Message& message : batch) {
        moved = true;
        deliver(std::move(message));
      }
      if (!moved) return;
    }
    FAIL() << "the cluster never comes to rest";
  }

  void deliver(Message message) {
    auto key = std::pair{static_cast<int>(message.from.value), static_cast<int>(message.to.value)};
    auto to = members.find(message.to.value);
    if (cuts.contains(key) || to == members.end()) return;
    to->second.core->step(std::move(message));
  }

  /// Lets time pass in steps of 10 ms, settling in between.
  void run(Millis ms) {
    for (Millis end = now + ms; now < end;) {
      now += 10;
      for (auto& [id, m] : members) m.core->tick(now);
      settle();
    }
  }

  /// Makes member `id` leader: all others stand back until it is.
  void elect(int id) {
    settle();
    for (auto& [other, m] : members) {
      if (static_cast<int>(other) != id) m.core->step_down(1'000'000'000);
    }
    for (int tries = 0; tries < 50 && core(id).role() != Role::leader; ++tries) {
      now = std::max(now + 1, core(id).deadline());
      for (auto& [other, m] : members) m.core->tick(now);
      settle();
    }
    for (auto& [other, m] : members) {
      if (m.core->role() != Role::leader) m.core->step_down(0);
    }
    ASSERT_EQ(core(id).role(), Role::leader);
    run(200);
  }

  Result<Index> propose(int id, const std::string& text) {
    return core(id).propose(core(id).term(), {Slice::of(text)});
  }

  int leader_count() {
    int n = 0;
    for (auto& [id, m] : members) n += m.core->role() == Role::leader;
    return n;
  }

  std::map<std::uint64_t, Member> members;
  std::deque<Message> wire;
  std::set<std::pair<int, int>> cuts;
  Millis now{1'000};

 private:
  void post(Member& m, Message message) {
    if (auto* append = std::get_if<Append>(&message.payload)) {
      for (Index i = append->prev_index + 1; i <= append->last_index; ++i) {
        append->entries.push_back(m.log.at(i));
      }
    }
    wire.push_back(std::move(message));
  }

  Options options_;
  FlatSizes sizes_;
};

inline Message message(int from, int to, Term term, Payload payload) {
  return Message{NodeId(static_cast<std::uint64_t>(from)), NodeId(static_cast<std::uint64_t>(to)),
                 term, std::move(payload)};
}

inline Entry data(Index index, Term term, const std::string& text) {
  return Entry{index, term, EntryKind::data, Slice::of(text)};
}

inline Append append(Index prev, Term prev_term, Index commit, std::vector<Entry> entries) {
  return Append{prev, prev_term, prev + entries.size(), commit, {}, std::move(entries)};
}

}  // namespace warren::raft::testing
