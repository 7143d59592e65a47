#pragma once
// A lasting conversation with one peer over streams that break: every message arrives once and in
// order while both processes live and neither gives the other up. Owner: Pipes.

#include "base/clock.h"
#include "cluster/replica/transport.h"
#include "node/broker/pipe/wire.h"

#include <deque>
#include <string>
#include <string_view>

namespace warren::broker::pipe {

/// Why a session ended.
enum class Loss : std::uint8_t {
  node_down,   ///< the owner gave the peer up
  restarted,   ///< the peer came back as another process
  started_over ///< the same process gave us up, and begins anew
};

class LinkUser {
 public:
  virtual ~LinkUser() = default;
  /// One whole message, as it was written between two cuts.
  virtual void on_message(std::string_view bytes) = 0;
  virtual void on_loss(Loss loss) = 0;
  /// The first time in a session that both sides know each other.
  virtual void on_open() = 0;
};

struct LinkOptions {
  std::size_t frame_bytes{std::size_t{512} << 10};    ///< of payload; longer messages are divided
  std::size_t unsent_bytes{std::size_t{8} << 20};     ///< given to the transport and not yet sent
  std::size_t message_bytes{std::size_t{1} << 30};    ///< taken from a peer
  Millis greeting_ms{500};   ///< asked and no answer: ask again
  Millis ack_ms{50};         ///< at most this long without telling what has come
};

/// Invariants: 1. outbox_ holds exactly the frames of this session that the peer has not confirmed,
/// in order; 2. a message is given to the user once; 3. nothing of an ended session is taken.
class Link {
 public:
  Link(raft::NodeId peer, std::uint64_t incarnation, const LinkOptions& options,
       replica::Transport*& transport, LinkUser& user)
      : peer_(peer), options_(options), transport_(transport), user_(user), me_{incarnation, 1} {}

  raft::NodeId peer() const { return peer_; }
  void set_incarnation(std::uint64_t incarnation) { me_.incarnation = incarnation; }

  /// Where the next operation goes. Whole operations only between cuts.
  std::string& out() { return pending_; }
  /// Ends a message here.
  void cut();
  /// How often a message ended: operations that belong together compare it.
  std::uint64_t cuts() const { return cuts_; }
  bool full() const { return pending_.size() >= options_.frame_bytes; }
  /// End of a turn: sends what there is.
  void flush(Millis now);

  // ---- inputs
  void on_frame(std::string_view bytes, Millis now);
  void on_up(Millis now);
  void on_down();
  void on_node_down();
  /// The peer talks nonsense: ends the session and begins anew.
  void start_over(Millis now);
  void tick(Millis now);

  /// A session in which both sides know each other; the stream may be broken for the moment.
  bool open() const { return opened_; }
  bool has_work() const { return !pending_.empty() || next_ < outbox_.size(); }
  std::size_t retained_bytes() const { return retained_ + pending_.size(); }
  std::uint64_t peer_incarnation() const { return known_.incarnation; }
  std::uint64_t session() const { return me_.session; }

 private:
  struct Kept {
    std::string payload;
    bool more;
  };

  void hello(bool ask, Millis now);
  void on_hello(const Frame& frame, Millis now);
  void on_data(const Frame& frame, Millis now);
  /// False when the peer claims what was never sent.
  bool confirmed(std::uint64_t received);
  void lose(Loss loss);
  void send_some();
  Frame frame_of(FrameKind kind) const { return {kind, me_, known_, 0, received_, false, false, {}}; }

  raft::NodeId peer_;
  const LinkOptions& options_;
  replica::Transport*& transport_;
  LinkUser& user_;
  Side me_;
  Side known_;            ///< the peer; zeros = not known
  bool up_{false};        ///< our stream to the peer stands
  bool agreed_{false};    ///< since the stream stands, the peer told what it has
  bool opened_{false};
  Millis asked_at_{0};
  unsigned unanswered_{0};  ///< hellos since the last agreement

  std::string pending_;
  std::uint64_t cuts_{0};
  std::deque<Kept> outbox_;
  std::uint64_t first_seq_{1};   ///< of outbox_.front()
  std::size_t next_{0};          ///< in outbox_: the first that this stream has not carried
  std::size_t retained_{0};
  std::uint64_t sent_seq_{0};    ///< the highest that any stream carried

  std::uint64_t received_{0};
  std::uint64_t told_{0};        ///< the peer heard that we have these
  std::size_t untold_bytes_{0};
  Millis told_at_{0};
  std::string assembly_;
};

}  // namespace warren::broker::pipe
