// Dead letters of this node's queues: where they go, and, at least once, whether they came there.
#include "node/broker/broker.h"
#include "node/broker/dead_letter.h"

#include "node/amqp/properties.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace warren::broker {
namespace {

constexpr Millis kTellAgain = 60'000;

/// Waits for one queue that a kept dead letter went to.
class DeadLetterReceipt final : public Publisher {
 public:
  explicit DeadLetterReceipt(std::function<void(bool accepted)> done) : done_(std::move(done)) {}
  void on_settled(PublishBatch& batch) override { done_(batch.rejected.empty()); }

 private:
  std::function<void(bool)> done_;
};

PublishBatchRef batch_of(BlockRef block, std::shared_ptr<Publisher> publisher) {
  PublishBatchRef batch(new PublishBatch(std::move(publisher)));
  batch->block = std::move(block);
  batch->count = 1;
  batch->expect();
  return batch;
}

}  // namespace

/// The dead letter as a record, and the queues that are to get it. `tell`: log what stands in its way.
Broker::DeadLetterRoute Broker::route_dead_letter(QueueEndpoint& queue, const Delivery& message,
                                                  DeathReason reason, bool tell) {
  DeadLetterRoute out;
  const auto& def = queue.def();
  VhostRuntime* vhost = this->vhost(def.vhost);
  auto source = this->queue(def.uid);
  if (vhost == nullptr || !source) return out;
  const QueueSettings& settings = source->settings();
  if (!settings.dead_letter_exchange || !vhost->router.has_exchange(*settings.dead_letter_exchange)) return out;
  DyingMessage dying;
  dying.message = message.message;
  dying.queue = def.name;
  dying.reason = reason;
  dying.now_seconds = static_cast<std::uint64_t>(wall_ms()) / 1000;
  dying.exchange = *settings.dead_letter_exchange;
  if (settings.dead_letter_routing_key) dying.routing_key = *settings.dead_letter_routing_key;
  const auto made = make_dead_letter(dying);
  if (!made) return out;
  const DeadLetter& dead = *made;
  const std::vector<std::string_view> extra(dead.extra_keys.begin(), dead.extra_keys.end());
  std::vector<metadata::QueueUid> uids;
  amqp::PropertiesScan scan;
  if (!amqp::scan_properties(dead.properties, scan)) return out;
  vhost->router.route(dead.exchange, dead.routing_key, extra, scan.headers, uids, dead.properties);
  for (const auto uid : uids) {
    auto target = endpoint(uid);
    if (!target) continue;
    // What came back by itself would go round for ever; it stops here (DLX-06).
    if (is_cycle(dead.properties, target->def().name)) {
      if (tell)
        log().warning(LogArea::queue,
                      "message dropped: it came back to queue '{}' in vhost '{}' by dead-lettering alone",
                      target->def().name, def.vhost);
      continue;
    }
    out.targets.push_back(std::move(target));
  }
  if (out.targets.empty()) return out;
  const std::string_view body = message.message.body();
  out.block = Block::make(record_bytes(dead.exchange.size(), dead.routing_key.size(), dead.properties.size(),
                                       body.size()));
  RecordHeader header = message.message.header();
  header.timestamp_ms = static_cast<std::uint64_t>(wall_ms());
  header.expiration_ms = kNoExpiration;
  header.flags = static_cast<std::uint8_t>(header.flags | kHasHeaders | kDeadLettered);
  char* at = append_record(*out.block, header, dead.exchange, dead.routing_key, dead.properties);
  std::memcpy(at, body.data(), body.size());
  return out;
}

void Broker::dead_letter(QueueEndpoint& queue, const Delivery& message, DeathReason reason) {
  const DeadLetterRoute route = route_dead_letter(queue, message, reason, true);
  if (route.targets.empty()) return;
  const PublishBatchRef batch = batch_of(route.block, nullptr);
  const RecordRef record{0, 0};
  for (const auto& target : route.targets) target->publish(*batch, {&record, 1});
  batch->answered();
}

/// Each queue gets it once: who accepted an attempt is left out of the next.
void Broker::dead_letter_kept(QueueEndpoint& queue, const Delivery& message, DeathReason reason, bool again) {
  const DeadLetterKey key{queue.def().uid, message.position};
  DeadLetterRoute route = route_dead_letter(queue, message, reason, false);
  KeptDeadLetter& kept = kept_dead_letters_[key];
  kept.pending = 1;
  kept.failed = route.targets.empty() && kept.accepted.empty();
  if (kept.failed && !again) tell_kept(queue.def(), "no queue gets them");
  std::erase_if(route.targets, [&](const auto& target) { return kept.accepted.contains(target->def().uid); });
  kept.pending += route.targets.size();
  const RecordRef record{0, 0};
  for (const auto& target : route.targets) {
    const auto uid = target->def().uid;
    const auto batch = batch_of(route.block, std::make_shared<DeadLetterReceipt>([this, key, uid](bool accepted) {
                                  dead_letter_settled(key, uid, accepted);
                                }));
    target->publish(*batch, {&record, 1});
    batch->answered();
  }
  dead_letter_settled(key, 0, true);
}

void Broker::dead_letter_settled(const DeadLetterKey& key, metadata::QueueUid target, bool accepted) {
  const auto found = kept_dead_letters_.find(key);
  if (found == kept_dead_letters_.end()) return;  // the queue was deleted
  KeptDeadLetter& kept = found->second;
  if (target != 0 && accepted) kept.accepted.insert(target);
  kept.failed |= !accepted;
  if (--kept.pending != 0) return;
  dead_letter_answers_.push_back({key, !kept.failed});
  env_.want_turn();
}

void Broker::answer_dead_letters() {
  for (const DeadLetterAnswer& answer : std::exchange(dead_letter_answers_, {})) {
    const auto queue = this->queue(answer.key.first);
    if (answer.accepted || !queue) kept_dead_letters_.erase(answer.key);
    if (!queue) continue;
    if (!answer.accepted) tell_kept(queue->def(), "not all queues that they go to take them");
    queue->on_dead_letter(answer.key.second, answer.accepted);
  }
}

void Broker::forget_dead_letters(metadata::QueueUid queue) {
  kept_dead_letters_.erase(kept_dead_letters_.lower_bound({queue, 0}),
                           kept_dead_letters_.lower_bound({queue + 1, 0}));
  kept_told_.erase(queue);
}

/// Once a minute per queue.
void Broker::tell_kept(const metadata::QueueDef& def, std::string_view why) {
  Millis& told = kept_told_[def.uid];
  if (told != 0 && steady_ms() - told < kTellAgain) return;
  told = std::max<Millis>(steady_ms(), 1);
  log().warning(LogArea::queue, "dead letters of queue '{}' in vhost '{}' are kept and tried again: {}", def.name,
                def.vhost, why);
}

}  // namespace warren::broker
