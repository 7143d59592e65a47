// The network between hosts: pairs of streams as cluster/transport promises them, and control calls.
#include "cluster/replica/frame.h"
#include "tests/simulation/members.h"

#include <algorithm>
#include <utility>

namespace warren::simulation {

namespace json = boost::json;

namespace {

constexpr Micros kPoll = 20'000;
constexpr Micros kBreaksAfter = 600'000;  // a cut that lasts longer ends the streams

}  // namespace

/// Both dial and both let the other in: same cluster, and each lists the other by the id it has.
bool Members::should_stand(const Host& a, const Host& b) const {
  return a.up() && b.up() && a.file.cluster_id == b.file.cluster_id && a.file.founded() && a.knows(b) &&
         b.knows(a);
}

void Members::poll_links() {
  world_.after(kPoll, [this] { poll_links(); });
  for (auto& a : hosts_) {
    for (auto& b : hosts_) {
      if (a->slot >= b->slot) continue;
      Link& link = link_of(a->slot, b->slot);
      const bool is_cut = cut(a->slot, b->slot);
      if (!is_cut) link.cut_since = 0;
      else if (link.cut_since == 0) link.cut_since = world_.now();
      const bool same = link.ids[0] == a->file.node_id && link.ids[1] == b->file.node_id;
      if (link.standing) {
        const bool broken = is_cut && world_.now() - link.cut_since > kBreaksAfter;
        if (!same || broken || !should_stand(*a, *b)) fall(link, *a, *b);
        for (int side = 0; side < 2 && link.standing && !is_cut; ++side) {
          Host& to = side == 0 ? *b : *a;
          const Host& from = side == 0 ? *a : *b;
          while (!link.held[side].empty() && link.standing) {
            Frame frame = std::move(link.held[side].front());
            link.held[side].pop_front();
            deliver(to, from.number(), frame);
          }
        }
        continue;
      }
      if (is_cut || !should_stand(*a, *b)) continue;
      link.standing = true;
      ++link.epoch;
      link.ids[0] = a->file.node_id;
      link.ids[1] = b->file.node_id;
      for (auto [at, of] : {std::pair{a.get(), b.get()}, std::pair{b.get(), a.get()}}) {
        if (!at->metadata) continue;
        at->metadata->on_peer_up(of->number());
        at->after_step();
      }
    }
  }
}

void Members::fall(Link& link, Host& a, Host& b) {
  link.standing = false;
  ++link.epoch;
  for (auto& held : link.held) held.clear();
  const std::uint64_t ids[2] = {membership::member_number(link.ids[0]), membership::member_number(link.ids[1])};
  for (auto [at, of] : {std::pair{&a, ids[1]}, std::pair{&b, ids[0]}}) {
    if (!at->metadata) continue;
    at->metadata->on_peer_down(NodeId(of));
    at->after_step();
  }
}

bool Members::connected(const Host& from, NodeId to) {
  Host* target = by_number(to);
  return target && target != &from && link_of(from.slot, target->slot).standing;
}

void Members::send(Host& from, NodeId to, Frame frame) {
  Host* target = by_number(to);
  if (!target || target == &from) return;
  Link& link = link_of(from.slot, target->slot);
  if (!link.standing) return;
  const int side = from.slot < target->slot ? 0 : 1;
  Micros when = std::max(link.last[side], world_.now() + delay());
  link.last[side] = when;
  auto kept = std::make_shared<Frame>(std::move(frame));
  world_.at(when, [this, a = from.slot, b = target->slot, epoch = link.epoch, kept] {
    arrive(a, b, epoch, std::move(*kept));
  });
}

void Members::arrive(int from, int to, std::uint64_t epoch, Frame frame) {
  Link& link = link_of(from, to);
  if (!link.standing || link.epoch != epoch) return;
  const int side = from < to ? 0 : 1;
  if (cut(from, to) || !link.held[side].empty()) {
    link.held[side].push_back(std::move(frame));
    return;
  }
  deliver(*hosts_[static_cast<std::size_t>(to)], hosts_[static_cast<std::size_t>(from)]->number(), frame);
}

void Members::deliver(Host& to, NodeId from, const Frame& frame) {
  if (!to.replica || !to.core()) return;
  if (frame.consensus) {
    auto bytes = std::make_shared<const std::string>(frame.bytes);
    to.replica->on_frame(from, {bytes, bytes.get()});
  } else {
    to.metadata->on_frame(from, frame.bytes);
  }
  to.turn_due = true;
  to.after_step();
}

/// Promises that leave a host must be on its disc, whoever is a member.
void Members::inspect(Host& from, const std::string& bytes) {
  auto kept = std::make_shared<const std::string>(bytes);
  auto frame = replica::decode_frame({kept, kept.get()});
  Checker& checker = from.universe->checker;
  if (!frame) checker.fail("codec", frame.error().text);
  const NodeId self = from.number();
  for (const auto& [group, m] : frame->messages) {
    const auto* reply = std::get_if<raft::VoteReply>(&m.payload);
    const auto* ask = std::get_if<raft::Vote>(&m.payload);
    const auto* ack = std::get_if<raft::AppendReply>(&m.payload);
    if (reply && reply->granted) checker.voted(self, group, m.term, m.to);
    if (ask) checker.voted(self, group, m.term, self);
    if ((ask || std::holds_alternative<raft::PreVote>(m.payload)) && from.file.ram) {
      checker.fail("ram-never-stands", from.name + " campaigns");
    }
    if (ask && !from.disc.holds(group, ask->last_index)) {
      checker.fail("candidacy-is-durable", from.name + " stands with a log that is not on its disc");
    }
    if (ack && ack->ok && ack->match > 0 && !from.file.ram && !from.disc.holds(group, ack->match)) {
      checker.fail("ack-is-durable", fmt::format("{} acknowledged {} before it was on disc", from.name, ack->match));
    }
  }
}

/// One control call; the answer comes once, to the life of the process that asked.
struct Members::Call {
  Host* from;
  Host* target;
  std::uint64_t life;
  std::string method;
  json::object args;
  membership::OperationsEnv::Answer answer;
  bool over{false};

  void finish(Result<json::value> result) {
    if (std::exchange(over, true) || life != from->life) return;
    answer(std::move(result));
    from->after_step();
  }
};

void Members::call(Host& from, const std::string& name, std::string method, json::object args, Millis deadline,
                   membership::OperationsEnv::Answer answer) {
  auto call = std::make_shared<Call>(
      Call{&from, by_name(name), from.life, std::move(method), std::move(args), std::move(answer)});
  world_.after(deadline * 1000, [call] { call->finish(make_error(Errc::timeout, "no answer in time")); });
  if (!call->target) {
    return world_.after(1'000, [call] { call->finish(make_error(Errc::not_found, "no such node")); });
  }
  world_.after(delay(), [this, call] {
    if (cut(call->from->slot, call->target->slot)) return;
    // The way back, at whatever time.
    const auto back = [this, call](Result<json::value> result) {
      auto kept = std::make_shared<Result<json::value>>(std::move(result));
      world_.after(delay(), [this, call, kept] {
        if (!cut(call->from->slot, call->target->slot)) call->finish(std::move(*kept));
      });
    };
    if (!call->target->up()) return back(make_error(Errc::unavailable, "connection refused"));
    call->target->answer(call->method, call->args, back);
    call->target->after_step();
  });
}

}  // namespace warren::simulation
