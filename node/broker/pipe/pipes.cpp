#include "node/broker/pipe/pipes.h"

#include <utility>

namespace warren::broker::pipe {

// ---- RemoteQueue --------------------------------------------------------------------------------------

void RemoteQueue::get(HolderId holder, bool no_ack, std::function<void(const GetResult&)> done) {
  if (!deleted_) return side_.get(def_.uid, holder, no_ack, std::move(done));
  GetResult gone;
  gone.error = QueueError::gone;
  done(gone);
}

template <class T, class Read>
void RemoteQueue::ask(Question question, std::function<void(Asked<T>)> done, Read read) {
  if (deleted_) return done({T{}, QueueError::gone});
  side_.ask(def_.uid, question,
            [done = std::move(done), read](QueueError error, In& in, const BlockRef&) {
              Asked<T> answer{T{}, error};
              if (error == QueueError::none) answer.value = read(in);
              if (error == QueueError::none && !in.ok()) answer = {T{}, QueueError::gone};
              done(std::move(answer));
            });
}

void RemoteQueue::purge(std::function<void(Asked<std::uint64_t>)> done) {
  ask<std::uint64_t>(Question::purge, std::move(done), [](In& in) { return in.num(); });
}

void RemoteQueue::ask_depth(std::function<void(Asked<QueueDepth>)> done) {
  ask<QueueDepth>(Question::depth, std::move(done), [](In& in) {
    const std::uint64_t ready = in.num();
    return QueueDepth{ready, in.num()};
  });
}

void RemoteQueue::ask_stats(std::function<void(Asked<QueueStats>)> done) {
  ask<QueueStats>(Question::stats, std::move(done), [](In& in) { return take_stats(in); });
}

void RemoteQueue::ask_consumers(std::function<void(Asked<std::vector<ConsumerInfo>>)> done) {
  ask<std::vector<ConsumerInfo>>(Question::consumers, std::move(done),
                                 [](In& in) { return take_infos(in); });
}

void RemoteQueue::tell(Question question) {
  if (!deleted_) side_.ask(def_.uid, question, [](QueueError, In&, const BlockRef&) {});
}

void RemoteQueue::on_deleted() {
  if (std::exchange(deleted_, true)) return;
  side_.forget(def_.uid);
}

// ---- a peer -------------------------------------------------------------------------------------------

struct Pipes::Peer final : LinkUser {
  Peer(Pipes& pipes, MemberId id)
      : all(pipes),
        link(raft::NodeId(id), pipes.incarnation_, pipes.options_.link, pipes.transport_, *this),
        client(id, link, pipes.host_, pipes.options_),
        home(id, link, pipes.host_, pipes.options_),
        id(id),
        since(pipes.host_.pipe_now()) {}

  void on_message(std::string_view bytes) override {
    // Messages in it are kept with the block.
    const BlockRef block = Block::copy_of(bytes);
    const std::uint64_t session = link.session();
    In in(block->bytes());
    bool good = true;
    while (good && !in.at_end() && session == link.session()) {
      const auto op = static_cast<Op>(in.u8());
      good = take(op, in, block) && in.ok();
    }
    if (session != link.session()) return;
    home.end_message();
    if (good) return;
    all.host_.pipe_log().error(LogArea::queue, "node {}: a message that makes no sense; beginning anew",
                               all.host_.name_of(id));
    link.start_over(all.host_.pipe_now());
  }

  bool take(Op op, In& in, const BlockRef& block) {
    switch (op) {
      case Op::answered:
      case Op::answer:
      case Op::deliver:
      case Op::cancelled: return client.on_op(op, in, block);
      case Op::reply: {
        const std::string_view token = in.text();
        const std::string_view record = in.text();
        if (!in.ok() || !MessageView::valid(record)) return false;
        all.host_.deliver_reply(token, MessageView(record.data()), block);
        return true;
      }
      case Op::reply_known: {
        const std::uint64_t request = in.num();
        const std::string_view token = in.text();
        if (!in.ok()) return false;
        home.answer_known(request, all.host_.reply_known(token));
        return true;
      }
      case Op::alarms: {
        const std::string node(in.text());
        const std::uint64_t n = in.num(in.remaining());
        std::vector<std::string> resources;
        for (std::uint64_t i = 0; i < n; ++i) resources.emplace_back(in.text());
        if (!in.ok()) return false;
        if (!alarms_of.empty() && alarms_of != node) all.host_.node_alarms(alarms_of, {});
        alarms_of = node;
        all.host_.node_alarms(node, resources);
        return true;
      }
      default: return home.on_op(op, in);
    }
  }

  void on_loss(Loss loss) override {
    if (loss != Loss::node_down)
      all.host_.pipe_log().warning(LogArea::queue, "node {} {}", all.host_.name_of(id),
                                   loss == Loss::restarted ? "has been restarted" : "had given this node up");
    home.on_loss(loss);
    client.on_loss(loss);
    if (!alarms_of.empty()) all.host_.node_alarms(alarms_of, {});
    alarms_of.clear();
    since = all.host_.pipe_now();
  }

  void on_open() override {
    home.on_open(all.next_slot_++);
    client.set_reachable(true);
    client.tell_alarms(all.node_, all.alarms_);
  }

  Pipes& all;
  Link link;
  ClientSide client;
  HomeSide home;
  MemberId id;
  Millis since;       ///< this node does not hear the peer, or has never heard it
  bool up{false};
  std::string alarms_of;
};

// ---- Pipes --------------------------------------------------------------------------------------------

Pipes::Pipes(PipeHost& host, PipeOptions options) : host_(host), options_(options) {}

Pipes::~Pipes() = default;

void Pipes::start(std::uint64_t incarnation, replica::Transport& transport) {
  incarnation_ = incarnation;
  transport_ = &transport;
  for (auto& [id, peer] : peers_) peer->link.set_incarnation(incarnation);
}

Pipes::Peer& Pipes::peer(MemberId id) {
  auto& slot = peers_[id];
  if (!slot) slot = std::make_unique<Peer>(*this, id);
  return *slot;
}

void Pipes::on_frame(MemberId id, std::string_view bytes) {
  peer(id).link.on_frame(bytes, host_.pipe_now());
  host_.want_pipe_turn();
}

void Pipes::on_peer_up(MemberId id) {
  Peer& p = peer(id);
  p.up = true;
  p.link.on_up(host_.pipe_now());
  host_.want_pipe_turn();
}

void Pipes::on_peer_down(MemberId id) {
  Peer& p = peer(id);
  p.up = false;
  p.since = host_.pipe_now();
  p.link.on_down();
}

void Pipes::on_node_down(MemberId id) {
  peer(id).link.on_node_down();
  host_.want_pipe_turn();
}

void Pipes::tick() {
  const Millis now = host_.pipe_now();
  for (auto& [id, p] : peers_) {
    const Millis patience = p->link.open() ? options_.stream_lost_ms : options_.first_contact_ms;
    const bool silent = !p->up || !p->link.open();
    if (silent && p->client.reachable() && now - p->since >= patience) p->link.on_node_down();
    p->home.tick(now);
    p->home.end_turn();
    p->link.tick(now);
  }
}

std::shared_ptr<RemoteQueue> Pipes::remote(const metadata::QueueDef& def) {
  return std::make_shared<RemoteQueue>(def, peer(def.home).client);
}

void Pipes::queue_appeared(metadata::QueueUid uid) {
  for (auto& [id, p] : peers_) p->home.queue_appeared(uid);
}

bool Pipes::reply(MemberId member, std::string_view token, MessageView message) {
  const auto found = peers_.find(member);
  if (found == peers_.end() || !found->second->client.reachable()) return false;
  found->second->client.reply(token, message);
  return true;
}

void Pipes::ask_reply(MemberId member, std::string_view token, std::function<void(bool)> done) {
  const auto found = peers_.find(member);
  if (found == peers_.end()) return done(false);
  found->second->client.ask_reply(token, std::move(done));
}

void Pipes::set_alarms(const std::string& node, std::vector<std::string> resources) {
  node_ = node;
  if (resources == alarms_) return;
  alarms_ = std::move(resources);
  for (auto& [id, p] : peers_) p->client.tell_alarms(node_, alarms_);
}

void Pipes::pump() {
  for (auto& [id, p] : peers_)
    if (p->client.wants_pump()) p->client.pump();
}

void Pipes::flush() {
  const Millis now = host_.pipe_now();
  for (auto& [id, p] : peers_) {
    p->home.end_turn();
    p->link.flush(now);
  }
}

std::size_t Pipes::unanswered_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [id, p] : peers_) bytes += p->client.unanswered_bytes();
  return bytes;
}

std::size_t Pipes::unanswered_bytes(MemberId peer) const {
  const auto found = peers_.find(peer);
  return found == peers_.end() ? 0 : found->second->client.unanswered_bytes();
}

}  // namespace warren::broker::pipe
