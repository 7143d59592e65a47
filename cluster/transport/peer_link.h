#pragma once
// One peer: dialling it, the pair of streams, what waits to be sent. Private to cluster/transport.
//
// Up means that both streams stand. When one breaks the other is given up with it, so that both
// nodes see the same pairs: a frame of an earlier pair never arrives after the down of that pair.

#include <grpcpp/alarm.h>

#include <memory>
#include <mutex>
#include <string>

#include "cluster/transport/peer_core.h"
#include "cluster/transport/peer_streams.h"

namespace warren::transport {

class PeerLink : public std::enable_shared_from_this<PeerLink> {
 public:
  PeerLink(std::shared_ptr<PeerNetCore> core, Peer peer);

  /// Whom it is about; never changes.
  const Peer& peer() const { return peer_; }
  bool closed() const { return closed_; }

  // ---- by the loop
  void start();
  /// Cuts the peer off for good. `tell`: with on_peer_down when it was up.
  void close(const std::string& why, bool tell);
  void send(Lane lane, std::string frame);
  std::size_t unsent(Lane lane) const;
  bool up() const;
  PeerState state() const;
  /// The loop was told of this pair and may send on it.
  void loop_knows(std::uint64_t pair);
  /// The loop took that many bytes of frames.
  void taken(std::size_t bytes);
  /// Gives the pair up when nothing came since `limit` ms, though it is read. 0: only begins to count anew.
  void end_silence(Millis now, Millis limit);

  // ---- by the acceptor
  /// Takes over the peer's stream; an older one is given up.
  /// Errors: conflict when `incarnation` is behind one already seen; cancelled when closed.
  Result<> attach(const std::shared_ptr<InStream>& stream, const v1::StreamOpen& open,
                  const v1::StreamAccept& answer, const std::string& name, const std::string& address);

  // ---- by the streams, with the lock held
  void out_ended(OutStream* stream);
  void out_accepted(OutStream* stream, std::uint64_t incarnation);
  void out_written(OutStream* stream, bool ok);
  void out_done(OutStream* stream, const grpc::Status& status);
  /// Answers whether to go on reading now.
  bool in_frames(InStream* stream, std::vector<LaneFrame> frames);
  void in_broke(InStream* stream, const std::string& why);

  std::mutex& lock() { return lock_; }

 private:
  // Under the lock:
  void dial_now();
  void dial_later();
  void set_timer(Millis ms);
  void on_timer(std::uint64_t number);
  void on_dialled(Result<std::shared_ptr<Session>> outcome);
  void refused(const Error& why);
  void note_clock(Millis skew_ms);
  void pump();
  void maybe_up();
  /// Gives up what stands of the pair; tells the loop when it was up.
  void fall(const std::string& why);
  bool in_accept_wait() const { return out_ != nullptr && !out_ready_; }

  const std::shared_ptr<PeerNetCore> core_;
  const Peer peer_;

  mutable std::mutex lock_;
  std::atomic<bool> closed_{false};
  bool dialling_{false};
  std::shared_ptr<OutStream> out_;
  bool out_ready_{false};
  bool writing_{false};
  std::array<std::size_t, kLanes> in_flight_{};
  LaneWriter waiting_;
  std::shared_ptr<InStream> in_;
  bool reading_{false};
  std::size_t untaken_{0};
  bool heard_{false};      ///< since end_silence() looked last
  Millis heard_at_{0};     ///< when that was seen
  bool up_{false};
  std::uint64_t pair_{0};       ///< number of this pair of streams, or of the last one
  std::uint64_t loop_pair_{0};  ///< the last one the loop was told of
  std::uint64_t incarnation_{0};
  std::uint64_t out_incarnation_{0};
  std::string called_;     ///< what it called itself last: a renamed or moved node is found by that
  bool by_called_{true};   ///< the next dial goes to that name, else to the one that the cluster knows
  std::string dialled_;    ///< the name of the last dial
  std::uint16_t port_{0};  ///< where it was last
  Millis backoff_ms_{0};
  std::unique_ptr<grpc::Alarm> alarm_;
  std::uint64_t timer_{0};
  Error last_refusal_{Errc::internal, ""};
  Millis last_told_ms_{0};
  std::uint64_t refusals_{0};
  PeerState counts_;
};

}  // namespace warren::transport
