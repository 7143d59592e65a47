#pragma once
// What a replica needs of the network: frames to named nodes, in order while a stream lives.

#include "cluster/raft/types.h"

#include <string>

namespace warren::replica {

/// Best effort: a frame may be lost with its stream, never changed. Never blocks, never calls back.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void send(raft::NodeId to, std::string frame) = 0;
  /// Bytes accepted by send() and not yet given to the network.
  virtual std::size_t unsent_bytes(raft::NodeId to) const = 0;
};

}  // namespace warren::replica
