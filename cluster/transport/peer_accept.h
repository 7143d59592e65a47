#pragma once
// The accepting side of peer streams: who may open one. Private to cluster/transport.

#include <memory>

#include "cluster/transport/peer_core.h"

namespace warren::transport {

std::shared_ptr<RpcModule> make_peer_module(const std::shared_ptr<PeerNetCore>& core);
/// Waits for the acceptance under way; every later stream is refused.
void close_peer_module(RpcModule& module);

}  // namespace warren::transport
