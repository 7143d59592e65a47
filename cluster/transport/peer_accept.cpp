#include "cluster/transport/peer_accept.h"

#include <fmt/format.h>

#include <charconv>
#include <shared_mutex>

#include "cluster/transport/crypto.h"
#include "cluster/transport/grpc_common.h"
#include "cluster/transport/peer_link.h"
#include "cluster/transport/session_table.h"
#include "proto/transport.grpc.pb.h"

namespace warren::transport {
namespace {

using Raw = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
constexpr std::size_t kOpenMaxBytes = 2048;

class Refusal final : public Raw {
 public:
  explicit Refusal(const Error& error) { Finish(to_status(error)); }
  void OnDone() override { delete this; }
};

std::string header(const grpc::CallbackServerContext& context, const char* key, std::size_t most) {
  const auto& all = context.client_metadata();
  const auto found = all.find(key);
  if (found == all.end() || found->second.size() > most) return {};
  return {found->second.data(), found->second.size()};
}

/// What a stream asks for, as proved.
struct Asked {
  PeerIdentity peer;
  v1::StreamOpen open;
  std::string open_bytes;
  std::string session_id;
  std::uint64_t number{0};
  std::string address;
};

class PeerModule final : public RpcModule,
                         public v1::Peers::WithRawCallbackMethod_Stream<v1::Peers::Service> {
 public:
  explicit PeerModule(const std::shared_ptr<PeerNetCore>& core) : core_(core) {}

  grpc::Service& service() override { return *this; }
  void use_sessions(SessionTable& sessions) override { sessions_ = &sessions; }
  void close() {
    const std::unique_lock guard(use_);
    core_.reset();
  }

  Raw* Stream(grpc::CallbackServerContext* context) override {
    const std::shared_lock guard(use_);
    Asked asked;
    if (Result<> proved = authorise(*context, asked); !proved) return new Refusal(proved.error());
    const auto core = core_.lock();
    if (!core || !core->running) {
      return new Refusal(make_error(Errc::unavailable,
                                    sessions_->self().node_name + " takes no peer streams now"));
    }
    Result<std::shared_ptr<PeerLink>> link = find_link(*core, asked);
    if (!link) return refuse(*core, asked, link.error());
    auto stream = std::make_shared<InStream>(context, *link, asked.open.incarnation());
    stream->keep(stream);
    v1::StreamAccept answer;
    answer.set_incarnation(core->options.incarnation);
    answer.set_stream_version(kStreamVersion);
    answer.set_proof(sessions_->answer_proof(asked.session_id, asked.number, kAcceptLabel,
                                             accept_text(asked.open_bytes, answer)));
    const Result<> attached = (*link)->attach(stream, asked.open, answer, asked.peer.node_name, asked.address);
    if (!attached) {
      stream->keep(nullptr);
      return refuse(*core, asked, attached.error());
    }
    return stream.get();
  }

 private:
  Result<> authorise(const grpc::CallbackServerContext& context, Asked& asked) {
    asked.session_id = header(context, kSessionKey, kSessionIdBytes);
    asked.open_bytes = header(context, kOpenKey, kOpenMaxBytes);
    const std::string number = header(context, kCounterKey, 20);
    std::from_chars(number.data(), number.data() + number.size(), asked.number);
    Result<PeerIdentity> peer =
        sessions_->authorise(asked.session_id, asked.number, header(context, kProofKey, kProofBytes),
                             kStreamMethod, asked.open_bytes);
    if (!peer) return peer.error();
    asked.peer = std::move(*peer);
    asked.address = peer_address(context.peer());
    return {};
  }

  /// Who may have a stream to us: a member, in the run we expect, of our cluster, that means us.
  static Result<std::shared_ptr<PeerLink>> find_link(PeerNetCore& core, Asked& asked) {
    const PeerIdentity self = core.self();
    const std::string& name = asked.peer.node_name;
    v1::StreamOpen& open = asked.open;
    if (!open.ParseFromString(asked.open_bytes) || open.from_node_id().size() != 16 ||
        open.to_node_id().size() != 16 || open.to_node_name().size() > kNameMaxBytes ||
        open.cluster_id().size() > kNameMaxBytes) {
      return make_error(Errc::invalid_argument, "malformed peer stream: bad open message");
    }
    if (asked.peer.role != "node" || asked.peer.node_id != open.from_node_id()) {
      return make_error(Errc::permission_denied,
                        fmt::format("{} opens a stream in the name of another", name));
    }
    if (open.stream_version() < kStreamVersion) {
      return make_error(Errc::unsupported,
                        fmt::format("{} speaks peer streams up to version {}, {} needs {}; upgrade "
                                    "the older node",
                                    name, open.stream_version(), self.node_name, kStreamVersion));
    }
    if (open.to_node_id() != self.node_id) {
      return make_error(
          Errc::conflict,
          fmt::format("{} looks for {} with node id {}, but here is {} with node id {}: it was "
                      "reset or its data directory replaced, or the name leads to another host. "
                      "Remove the old member (rabbitmqctl forget_cluster_node {}) and join this "
                      "node anew",
                      name, open.to_node_name(), to_hex(open.to_node_id()), self.node_name,
                      to_hex(self.node_id), open.to_node_name()));
    }
    PeerIdentity theirs = asked.peer;
    theirs.cluster_id = open.cluster_id();
    if (Result<> cluster = check_cluster(self, theirs); !cluster) return cluster.error();
    const std::lock_guard guard(core.lock);
    const auto found = core.links.find(member_number(open.from_node_id()));
    if (found == core.links.end() || found->second->peer().node_id != open.from_node_id()) {
      return make_error(
          Errc::permission_denied,
          fmt::format("{} (node id {}, from {}) is not a member of the cluster as {} knows it; "
                      "if it was removed or reset: rabbitmqctl -n {} reset, then join_cluster {}",
                      name, to_hex(open.from_node_id()), asked.address, self.node_name, name,
                      self.node_name));
    }
    return found->second;
  }

  static Raw* refuse(PeerNetCore& core, const Asked& asked, const Error& why) {
    std::uint64_t left_out = 0;
    bool due = false;
    {
      const std::lock_guard guard(core.settings_lock);
      due = core.refusals.due(asked.peer.node_name, why.text, core.clock.steady_ms(), left_out);
    }
    if (due) {
      core.log.warning(LogArea::cluster,
                       "peer stream refused: peer={} address={} left_out={} reason=\"{}\"",
                       asked.peer.node_name, asked.address, left_out, why.text);
    }
    return new Refusal(why);
  }

  std::shared_mutex use_;
  std::weak_ptr<PeerNetCore> core_;
  SessionTable* sessions_{nullptr};
};

}  // namespace

std::shared_ptr<RpcModule> make_peer_module(const std::shared_ptr<PeerNetCore>& core) {
  return std::make_shared<PeerModule>(core);
}

void close_peer_module(RpcModule& module) { static_cast<PeerModule&>(module).close(); }

}  // namespace warren::transport
