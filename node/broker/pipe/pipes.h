#pragma once
// All pipes of a node: one link per peer, with our clients on one side of it and our queues on the
// other. Pure: the owner brings frames, news about peers and time. Owner: the broker.

#include "node/broker/pipe/client_side.h"
#include "node/broker/pipe/home_side.h"
#include "node/broker/pipe/host.h"
#include "node/broker/pipe/link.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace warren::broker::pipe {

class Pipes;

/// A queue that lives on another node. Kept alive by channels, like a local one.
class RemoteQueue final : public QueueEndpoint {
 public:
  RemoteQueue(metadata::QueueDef def, ClientSide& side) : def_(std::move(def)), side_(side) {}

  const metadata::QueueDef& def() const override { return def_; }
  bool reachable() const override { return side_.reachable(); }
  void publish(PublishBatch& batch, std::span<const RecordRef> records) override {
    if (!deleted_) side_.publish(def_, batch, records);
  }
  void subscribe(ConsumerSpec spec, ConsumerSink& sink, std::function<void(QueueError)> done) override {
    if (deleted_) return done(QueueError::gone);
    side_.subscribe(def_, std::move(spec), sink, std::move(done));
  }
  void unsubscribe(HolderId holder, std::function<void()> done) override {
    side_.unsubscribe(def_.uid, holder, std::move(done));
  }
  void resume(HolderId holder) override { side_.resume(holder); }
  void get(HolderId holder, bool no_ack, std::function<void(const GetResult&)> done) override;
  void settle(HolderId holder, std::span<const Position> positions, Settle how) override {
    if (!deleted_) side_.settle(def_.uid, holder, positions, how);
  }
  void release(HolderId holder) override {
    if (!deleted_) side_.release(def_.uid, holder);
  }
  void purge(std::function<void(Asked<std::uint64_t>)> done) override;
  void ask_depth(std::function<void(Asked<QueueDepth>)> done) override;
  void ask_stats(std::function<void(Asked<QueueStats>)> done) override;
  void ask_consumers(std::function<void(Asked<std::vector<ConsumerInfo>>)> done) override;
  void touched() override { tell(Question::touched); }
  void set_paused(bool paused) override { tell(paused ? Question::pause : Question::resume); }

  /// The queue is deleted: what waits is answered; every later call is a no-op that answers at once.
  void on_deleted();

 private:
  template <class T, class Read>
  void ask(Question question, std::function<void(Asked<T>)> done, Read read);
  void tell(Question question);

  const metadata::QueueDef def_;
  ClientSide& side_;
  bool deleted_{false};
};

/// Invariant: a peer, once named, stays in the table; what refers to it need not ask.
class Pipes {
 public:
  Pipes(PipeHost& host, PipeOptions options);
  ~Pipes();
  Pipes(const Pipes&) = delete;
  Pipes& operator=(const Pipes&) = delete;

  /// Before it every peer is out of reach. `incarnation`: of this process, never 0, above any that
  /// this node used before. The transport outlives the pipes' use of it.
  void start(std::uint64_t incarnation, replica::Transport& transport);

  // ---- inputs from the owner, on its thread
  void on_frame(MemberId peer, std::string_view bytes);
  /// Our stream to the peer stands (again), or is broken. A break alone loses nothing.
  void on_peer_up(MemberId peer);
  void on_peer_down(MemberId peer);
  /// The node is given up (CNS-27): what its clients hold here returns to the queues, our consumers
  /// there are cancelled, what waits there is refused. It is back with the next sign of it.
  void on_node_down(MemberId peer);
  /// Every 50 ms or so.
  void tick();

  // ---- for the broker
  std::shared_ptr<RemoteQueue> remote(const metadata::QueueDef& def);
  void queue_appeared(metadata::QueueUid uid);
  /// Direct replies to channels of another node (CNS-23).
  /// False when that node is out of reach.
  bool reply(MemberId member, std::string_view token, MessageView message);
  void ask_reply(MemberId member, std::string_view token, std::function<void(bool known)> done);
  /// The alarms of this node, all of them (ALM-04).
  void set_alarms(const std::string& node, std::vector<std::string> resources);
  /// Hands buffered deliveries to sinks that can take again: early in a turn.
  void pump();
  /// Sends what there is to send: the end of a turn.
  void flush();
  /// Publishes that wait for the answer of another node.
  std::size_t unanswered_bytes() const;
  std::size_t unanswered_bytes(MemberId peer) const;

 private:
  struct Peer;
  Peer& peer(MemberId id);

  PipeHost& host_;
  const PipeOptions options_;
  std::uint64_t incarnation_{0};
  replica::Transport* transport_{nullptr};
  std::map<MemberId, std::unique_ptr<Peer>> peers_;
  std::uint64_t next_slot_{1};
  std::string node_;
  std::vector<std::string> alarms_;
};

}  // namespace warren::broker::pipe
