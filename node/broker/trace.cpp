// The firehose: copies of what is published and delivered in a traced virtual host (OBS-02).

#include "node/amqp/properties.h"
#include "node/broker/broker.h"
#include "node/broker/session.h"

namespace warren::broker {

namespace {

FieldTable describe(MessageView message, const std::string& node, const Session& session,
                    std::uint16_t channel) {
  FieldTable about;
  about.set("exchange_name", FieldValue(std::string(message.exchange())));
  about.set("routing_keys", FieldValue(FieldArray{FieldValue(std::string(message.routing_key()))}));
  FieldTable properties;
  if (auto decoded = amqp::decode_properties(message.props())) {
    if (decoded->headers) properties.set("headers", FieldValue(*decoded->headers));
    if (decoded->content_type) properties.set("content_type", FieldValue(*decoded->content_type));
    if (decoded->delivery_mode) properties.set("delivery_mode", FieldValue(*decoded->delivery_mode));
    if (decoded->priority) properties.set("priority", FieldValue(*decoded->priority));
    if (decoded->correlation_id) properties.set("correlation_id", FieldValue(*decoded->correlation_id));
    if (decoded->reply_to) properties.set("reply_to", FieldValue(*decoded->reply_to));
    if (decoded->message_id) properties.set("message_id", FieldValue(*decoded->message_id));
  }
  about.set("properties", FieldValue(std::move(properties)));
  about.set("node", FieldValue(node));
  about.set("vhost", FieldValue(session.vhost_name()));
  about.set("connection", FieldValue(session.name()));
  about.set("channel", FieldValue(static_cast<std::int32_t>(channel)));
  about.set("user", FieldValue(session.user()));
  return about;
}

std::string properties_with(FieldTable headers) {
  amqp::BasicProperties properties;
  properties.headers = std::move(headers);
  return amqp::encode_properties(properties);
}

constexpr const char* kTraceExchange = "amq.rabbitmq.trace";

}  // namespace

void Broker::trace_publish(VhostRuntime& vhost, Session& session, std::uint16_t channel,
                           MessageView message, const std::vector<std::string>& queues) {
  FieldTable about = describe(message, options_.node_name, session, channel);
  FieldArray routed;
  for (const auto& queue : queues) routed.emplace_back(FieldValue(queue));
  about.set("routed_queues", FieldValue(std::move(routed)));
  const std::string key = "publish." + std::string(message.exchange());
  publish_internal(vhost, kTraceExchange, {&key, 1}, properties_with(std::move(about)), message.body());
}

void Broker::trace_delivery(VhostRuntime& vhost, Session& session, std::uint16_t channel,
                            const metadata::QueueDef& queue, const Delivery& delivery) {
  if (delivery.message.exchange() == kTraceExchange) return;  // copies are not copied again
  FieldTable about = describe(delivery.message, options_.node_name, session, channel);
  about.set("redelivered", FieldValue(static_cast<std::int32_t>(delivery.redelivered ? 1 : 0)));
  const std::string key = "deliver." + queue.name;
  publish_internal(vhost, kTraceExchange, {&key, 1}, properties_with(std::move(about)),
                   delivery.message.body());
}

}  // namespace warren::broker
