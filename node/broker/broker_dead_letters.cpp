// Dead letters of this node's queues: where they go, and, at least once, whether they came there.
#include "node/broker/broker.h"
#include "node/broker/dead_letter.h"

#include "node/amqp/properties.h"

#include <cstring>
#include <utility>

namespace warren::broker {
namespace {

/// Waits for the queues that a kept dead letter went to.
class DeadLetterReceipt final : public Publisher {
 public:
  explicit DeadLetterReceipt(std::function<void(bool accepted)> done) : done_(std::move(done)) {}
  void on_settled(PublishBatch& batch) override { done_(batch.rejected.empty()); }

 private:
  std::function<void(bool)> done_;
};

}  // namespace

void Broker::dead_letter(QueueEndpoint& queue, const Delivery& message, DeathReason reason) {
  send_dead_letter(queue, message, reason, nullptr, true);
}

void Broker::dead_letter_kept(QueueEndpoint& queue, const Delivery& message, DeathReason reason, bool again) {
  const auto answer = [this, uid = queue.def().uid, position = message.position](bool accepted) {
    dead_letter_answers_.push_back({uid, position, accepted});
    env_.want_turn();
  };
  if (send_dead_letter(queue, message, reason, std::make_shared<DeadLetterReceipt>(answer), !again) != 0) return;
  if (!again)
    log().warning(LogArea::queue,
                  "dead letters of queue '{}' in vhost '{}' are kept and tried again: no queue gets them",
                  queue.def().name, queue.def().vhost);
  answer(false);
}

void Broker::answer_dead_letters() {
  for (const DeadLetterAnswer& answer : std::exchange(dead_letter_answers_, {}))
    if (auto queue = this->queue(answer.queue)) queue->on_dead_letter(answer.position, answer.accepted);
}

/// Answers to how many queues it went. `tell`: log what stands in its way.
std::size_t Broker::send_dead_letter(QueueEndpoint& queue, const Delivery& message, DeathReason reason,
                                     std::shared_ptr<Publisher> publisher, bool tell) {
  const bool kept = publisher != nullptr;
  const auto& def = queue.def();
  VhostRuntime* vhost = this->vhost(def.vhost);
  auto source = this->queue(def.uid);
  if (vhost == nullptr || !source) return 0;
  const QueueSettings& settings = source->settings();
  if (!settings.dead_letter_exchange || !vhost->router.has_exchange(*settings.dead_letter_exchange))
    return 0;
  DyingMessage dying;
  dying.message = message.message;
  dying.queue = def.name;
  dying.reason = reason;
  dying.now_seconds = static_cast<std::uint64_t>(wall_ms()) / 1000;
  dying.exchange = *settings.dead_letter_exchange;
  if (settings.dead_letter_routing_key) dying.routing_key = *settings.dead_letter_routing_key;
  const auto made = make_dead_letter(dying);
  if (!made) return 0;
  const DeadLetter& dead = *made;
  const std::vector<std::string_view> extra(dead.extra_keys.begin(), dead.extra_keys.end());
  std::vector<metadata::QueueUid> uids;
  amqp::PropertiesScan scan;
  if (!amqp::scan_properties(dead.properties, scan)) return 0;
  vhost->router.route(dead.exchange, dead.routing_key, extra, scan.headers, uids, dead.properties);
  PublishBatchRef batch(new PublishBatch(std::move(publisher)));
  const std::string_view body = message.message.body();
  batch->block = Block::make(record_bytes(dead.exchange.size(), dead.routing_key.size(),
                                          dead.properties.size(), body.size()));
  RecordHeader header = message.message.header();
  header.timestamp_ms = static_cast<std::uint64_t>(wall_ms());
  header.expiration_ms = kNoExpiration;
  header.flags = static_cast<std::uint8_t>(header.flags | kHasHeaders | kDeadLettered);
  char* at = append_record(*batch->block, header, dead.exchange, dead.routing_key, dead.properties);
  std::memcpy(at, body.data(), body.size());
  batch->count = 1;
  const RecordRef record{0, 0};
  batch->expect();
  std::size_t sent = 0;
  for (const auto uid : uids) {
    auto target = endpoint(uid);
    if (!target) continue;
    // What came back by itself would go round for ever; it stops here (DLX-06).
    if (is_cycle(dead.properties, target->def().name)) {
      if (tell)
        log().warning(LogArea::queue, "message {}: it came back to queue '{}' in vhost '{}' by dead-lettering alone",
                      kept ? "kept" : "dropped", target->def().name, def.vhost);
      continue;
    }
    ++sent;
    target->publish(*batch, {&record, 1});
  }
  if (sent == 0) batch->abandon();
  batch->answered();
  return sent;
}

}  // namespace warren::broker
