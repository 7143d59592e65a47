#pragma once
// What the pipes of a node need from its broker. Owner: the broker's thread.

#include "base/log.h"
#include "node/broker/pipe/link.h"
#include "node/broker/queue/queue.h"
#include "node/broker/queue_api.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace warren::broker::pipe {

using MemberId = std::uint64_t;

class PipeHost {
 public:
  virtual ~PipeHost() = default;
  /// A queue that lives here; null when there is none (yet).
  virtual std::shared_ptr<Queue> local_queue(metadata::QueueUid uid) = 0;
  /// Calls Pipes::pump and Pipes::flush in this turn.
  virtual void want_pipe_turn() = 0;
  /// A reply for a channel of this node.
  virtual void deliver_reply(std::string_view token, MessageView message, const BlockRef& block) = 0;
  virtual bool reply_known(std::string_view token) = 0;
  /// The alarms of a node, all of them; none when it is gone.
  virtual void node_alarms(const std::string& node, const std::vector<std::string>& resources) = 0;
  /// Queues of some node became reachable, or are not any more.
  virtual void reachable_changed() = 0;
  /// Fewer bytes wait for answers than before.
  virtual void window_opened() = 0;
  virtual std::string name_of(MemberId member) = 0;
  virtual Millis pipe_now() const = 0;  ///< steady
  virtual Logger& pipe_log() = 0;
};

struct PipeOptions {
  LinkOptions link;
  std::size_t consumer_window{std::size_t{1} << 20};  ///< delivered to a node and not yet taken by its client
  std::size_t link_window{std::size_t{64} << 20};     ///< on their way to one node; then deliveries stop
  std::size_t parked_bytes{std::size_t{64} << 20};    ///< for queues that this node does not know yet
  Millis parked_ms{10'000};                           ///< that long
  Millis first_contact_ms{5'000};  ///< a node that was never heard of counts as reachable so long
  Millis stream_lost_ms{60'000};   ///< broken so long without anybody's decision: it is down
};

}  // namespace warren::broker::pipe
