#pragma once
// A consumer as its channel keeps it: the sink that a queue delivers into.

#include "node/broker/queue_api.h"

#include <memory>
#include <string>

namespace warren::broker {

class Channel;

/// Owner: its channel.
class ChannelConsumer final : public ConsumerSink {
 public:
  ChannelConsumer(Channel& channel, std::shared_ptr<QueueEndpoint> queue, std::string tag, HolderId holder,
           bool no_ack);

  bool can_take() const override;
  void deliver(const Delivery& delivery) override;
  void cancelled() override;

  const std::string& tag() const { return tag_; }
  HolderId holder() const { return holder_; }
  bool no_ack() const { return no_ack_; }
  const std::shared_ptr<QueueEndpoint>& queue() const { return queue_; }
  bool shared_limit{false};   ///< counts against the channel's shared prefetch
  bool leaving{false};        ///< the queue may still deliver: this object must stay
  Millis timeout_ms{0};             ///< Broker::consumer_timeout of its queue,
  std::uint64_t timeout_epoch{0};   ///< as it was at this policy_epoch()
  mutable bool starved{false};  ///< refused a delivery; must be resumed

 private:
  Channel& channel_;
  std::shared_ptr<QueueEndpoint> queue_;
  std::string tag_;
  HolderId holder_;
  bool no_ack_;
};

}  // namespace warren::broker
