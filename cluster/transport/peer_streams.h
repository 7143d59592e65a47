#pragma once
// The two gRPC streams of a pair of nodes: the one we open and the one we accept. They move bytes
// and say when they break; PeerLink decides. Private to cluster/transport.

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "cluster/transport/dial.h"
#include "cluster/transport/lane_codec.h"
#include "proto/transport.pb.h"

namespace warren::transport {

class PeerLink;

inline constexpr char kStreamMethod[] = "/warren.transport.v1.Peers/Stream";
inline constexpr char kAcceptLabel[] = "warren stream accept";
inline constexpr std::uint32_t kStreamVersion = 1;

/// What the acceptor's proof covers.
std::string accept_text(const std::string& open, const v1::StreamAccept& accept);

/// The stream we open and write. Calls into its link come on gRPC threads; every method but those
/// is called under the link's lock. Lives until gRPC is done with it.
class OutStream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  static std::shared_ptr<OutStream> open(std::shared_ptr<PeerLink> link,
                                         std::shared_ptr<Session> session,
                                         const v1::StreamOpen& open);

  /// Requires: accepted, no write under way, not broken.
  void write(std::string message);
  void cancel();
  const Session& session() const { return *session_; }
  /// Why we gave it up, when it was us.
  std::string own_reason;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  OutStream(std::shared_ptr<PeerLink> link, std::shared_ptr<Session> session)
      : link_(std::move(link)), session_(std::move(session)), stub_(session_->channel) {}
  /// The acceptor's first message. Errors: corruption, unauthenticated.
  Result<std::uint64_t> check_accept() const;

  std::shared_ptr<PeerLink> link_;
  std::shared_ptr<OutStream> self_;
  std::shared_ptr<Session> session_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer read_, written_;
  std::string open_bytes_;
  std::uint64_t number_{0};
  bool accepted_{false};
};

/// The stream we accept and read.
class InStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  InStream(grpc::CallbackServerContext* context, std::shared_ptr<PeerLink> link, std::uint64_t incarnation)
      : link_(std::move(link)), context_(context), incarnation_(incarnation) {}
  void keep(std::shared_ptr<InStream> self) { self_ = std::move(self); }

  // Under the link's lock:
  void accept(const v1::StreamAccept& answer);
  void read();
  void cancel();
  std::uint64_t incarnation() const { return incarnation_; }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void end();

  std::shared_ptr<PeerLink> link_;
  std::shared_ptr<InStream> self_;
  grpc::CallbackServerContext* context_;
  const std::uint64_t incarnation_;
  LaneReader reader_;
  grpc::ByteBuffer read_, written_;
  bool ended_{false};
};

}  // namespace warren::transport
