// Publishing one message, and taking some from a queue.

#include "node/amqp/properties.h"
#include "node/broker/definitions.h"
#include "node/http/call.h"
#include "node/http/handlers.h"

#include <algorithm>

namespace warren::http {

namespace json = boost::json;
using access::Permission;
using access::ResourceKind;

namespace {

constexpr std::int64_t kGetMax = 10'000;           // messages in one answer
constexpr std::size_t kGetBytesMax = 64UL << 20;  // and their payloads

template <class Visit>
void each_text_property(amqp::BasicProperties& p, Visit&& visit) {
  visit("content_type", p.content_type);
  visit("content_encoding", p.content_encoding);
  visit("correlation_id", p.correlation_id);
  visit("reply_to", p.reply_to);
  visit("expiration", p.expiration);
  visit("message_id", p.message_id);
  visit("type", p.type);
  visit("user_id", p.user_id);
  visit("app_id", p.app_id);
  visit("cluster_id", p.cluster_id);
}

json::object properties_json(std::string_view wire) {
  json::object out;
  auto decoded = amqp::decode_properties(wire);
  if (!decoded) return out;
  amqp::BasicProperties& p = *decoded;
  each_text_property(p, [&out](const char* name, const std::optional<std::string>& value) {
    if (value) out[name] = *value;
  });
  if (p.headers) out["headers"] = broker::table_to_json(*p.headers);
  if (p.delivery_mode) out["delivery_mode"] = *p.delivery_mode;
  if (p.priority) out["priority"] = *p.priority;
  if (p.timestamp) out["timestamp"] = *p.timestamp;
  return out;
}

Result<void> read_properties(const json::object& from, amqp::BasicProperties& out) {
  std::string wrong;
  each_text_property(out, [&](const char* name, std::optional<std::string>& value) {
    const auto* given = from.if_contains(name);
    if (given == nullptr || given->is_null()) return;
    if (given->is_string() && given->as_string().size() <= 255)
      value = std::string(given->as_string());
    else
      wrong = name;
  });
  const auto number = [&](const char* name, std::int64_t most) -> std::optional<std::int64_t> {
    const auto* given = from.if_contains(name);
    if (given == nullptr || given->is_null()) return std::nullopt;
    if (given->is_int64() && given->as_int64() >= 0 && given->as_int64() <= most) return given->as_int64();
    wrong = name;
    return std::nullopt;
  };
  if (const auto n = number("delivery_mode", 2)) out.delivery_mode = static_cast<std::uint8_t>(*n);
  if (const auto n = number("priority", 255)) out.priority = static_cast<std::uint8_t>(*n);
  if (const auto n = number("timestamp", INT64_MAX)) out.timestamp = static_cast<std::uint64_t>(*n);
  if (const auto* headers = from.if_contains("headers"); headers != nullptr && headers->is_object()) {
    auto table = broker::json_to_table(headers->as_object());
    if (!table) return table.error();
    out.headers = std::move(*table);
  }
  if (!wrong.empty()) return make_error(Errc::invalid_argument, "the property " + wrong + " has a wrong value");
  if (out.expiration)
    if (auto valid = amqp::parse_expiration(*out.expiration); !valid) return valid.error();
  return {};
}

/// Answers when every queue has the message, or when the broker goes before.
class Settled final : public broker::Publisher {
 public:
  explicit Settled(CallRef call) : call_(std::move(call)) {}
  ~Settled() override {
    call_->fail(503, "unavailable", "the broker stopped before all queues had the message");
  }
  void on_settled(broker::PublishBatch& batch) override {
    if (batch.rejected.empty())
      call_->ok(json::object{{"routed", true}});
    else
      call_->fail(400, "bad_request", "a queue refused the message");
  }

 private:
  CallRef call_;
};

std::string text_of(const json::object& body, const char* key, std::string_view otherwise) {
  const auto* value = body.if_contains(key);
  return std::string(value != nullptr && value->is_string() ? std::string_view(value->as_string()) : otherwise);
}

}  // namespace

void publish(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  const std::string exchange = exchange_name(call->at("name"));
  auto& broker = call->broker();
  const auto* def = broker.catalogue().find_exchange(call->at("vhost"), exchange);
  if (!exchange.empty() && def == nullptr) return call->not_found();
  for (const char* key : {"routing_key", "payload", "payload_encoding"})
    if (!body.contains(key) || !body[key].is_string())
      return call->fail(400, "bad_request", std::string("key_missing: ") + key);
  if (def != nullptr && def->internal)
    return call->fail(401, "not_authorised", "cannot publish to internal exchange '" + exchange + "'");
  if (!permitted(call, Permission::write, ResourceKind::exchange, exchange)) return;
  const std::string key = text_of(body, "routing_key", "");
  if (key.size() > 255) return call->fail(400, "bad_request", "the routing key is longer than 255 bytes");
  auto granted = broker.access().require_topic(call->user, call->at("vhost"), exchange, key, Permission::write);
  if (def != nullptr && def->type == "topic" && !granted) return call->fail(granted.error());
  std::string payload = text_of(body, "payload", "");
  if (const auto encoding = text_of(body, "payload_encoding", ""); encoding == "base64") {
    auto decoded = base64_decode(payload);
    if (!decoded) return call->fail(400, "bad_request", "the payload is no base64");
    payload = std::move(*decoded);
  } else if (encoding != "string") {
    return call->fail(400, "bad_request", "unsupported payload_encoding '" + encoding + "'");
  }
  if (payload.size() > broker.options().max_message_size)
    return call->fail(400, "bad_request", "the payload is larger than max_message_size");
  if (!broker.alarms().list().empty()) return call->fail(503, "unavailable", "publishing is blocked: " + broker.alarms().reason());
  amqp::BasicProperties properties;
  if (const auto* given = body.if_contains("properties"); given != nullptr && given->is_object())
    if (auto valid = read_properties(given->as_object(), properties); !valid) return call->fail(valid.error());
  if (properties.user_id)
    if (auto valid = broker.access().check_user_id(call->user, *properties.user_id); !valid)
      return call->fail(valid.error());
  auto* vhost = broker.vhost(call->at("vhost"));
  const auto settled = std::make_shared<Settled>(call);
  const std::size_t queues = broker.publish_internal(*vhost, exchange, {&key, 1},
                                                     amqp::encode_properties(properties), payload, settled);
  if (queues == 0) return call->ok(json::object{{"routed", false}});
  if (!call->node.cluster().other_names().empty())
    call->give_up_in_time("not all queues have the message yet: a node does not answer; it may still arrive");
}

// ---- get ----------------------------------------------------------------------------------------

namespace {

/// A get under way: one message after the other, settled at the end.
struct Taking : std::enable_shared_from_this<Taking> {
  CallRef call;
  metadata::QueueUid uid{0};
  broker::HolderId holder{0};
  std::int64_t left{0};
  std::size_t truncate{SIZE_MAX}, bytes{0};
  bool base64{false};
  broker::Settle how{broker::Settle::requeue};
  std::vector<broker::Position> positions;
  json::array messages;

  void next() {
    auto queue = call->broker().endpoint(uid);
    if (!queue || left == 0 || bytes >= kGetBytesMax || call->answered()) return finish();
    --left;
    queue->get(holder, false, [self = shared_from_this()](const broker::GetResult& got) {
      if (got.error == broker::QueueError::home_down) self->lost();
      if (got.error != broker::QueueError::none || !got.delivery) return self->finish();
      self->take(got);
      // Not from inside the queue's own call.
      self->call->node.loop().post([self] {
        if (self->call->node.app() == nullptr) return;
        self->call->node.loop().refresh();
        self->next();
        self->call->node.loop().want_turn();
      });
    });
  }

  void take(const broker::GetResult& got) {
    const auto& delivery = *got.delivery;
    positions.push_back(delivery.position);
    call->heard_ms = call->node.loop().steady_ms();
    const std::string_view body = delivery.message.body();
    const std::string_view cut = body.substr(0, truncate);
    const bool text = !base64 && is_utf8(cut);
    bytes += cut.size();
    messages.push_back(json::object{
        {"payload_bytes", body.size()}, {"redelivered", delivery.redelivered},
        {"exchange", json::string(delivery.message.exchange())},
        {"routing_key", json::string(delivery.message.routing_key())}, {"message_count", got.remaining},
        {"properties", properties_json(delivery.message.props())},
        {"payload", text ? std::string(cut) : base64_encode(cut)},
        {"payload_encoding", text ? "string" : "base64"}});
  }

  /// What was taken so far returns by itself: its node lost it, or the way to us.
  void lost() {
    if (const auto queue = call->broker().endpoint(uid))
      call->fail(404, "Object Not Found", call->broker().home_down_text(queue->def()));
  }

  void finish() {
    if (call->node.app() == nullptr) return;
    if (auto queue = call->broker().endpoint(uid)) {
      // Nobody saw them when the time was over before.
      queue->settle(holder, positions, call->answered() ? broker::Settle::unseen : how);
      queue->release(holder);
    }
    call->list(std::move(messages));
  }
};

}  // namespace

void get_messages(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  auto queue = open_queue(call);
  if (!queue || !permitted(call, Permission::read, ResourceKind::queue, call->at("name"))) return;
  auto taking = std::make_shared<Taking>();
  const auto number = [&body](const char* key) -> std::optional<std::int64_t> {
    const auto* value = body.if_contains(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_int64()) return value->as_int64();
    // Old tools send numbers as text.
    if (value->is_string() && !value->as_string().empty() && value->as_string().size() < 18 &&
        std::all_of(value->as_string().begin(), value->as_string().end(), [](char c) { return c >= '0' && c <= '9'; }))
      return std::stoll(std::string(value->as_string()));
    return std::nullopt;
  };
  const auto count = number("count");
  if (!count || *count < 0) return call->fail(400, "bad_request", "count is no number");
  const std::string mode = text_of(body, "ackmode", "");
  if (mode == "ack_requeue_true" || mode == "reject_requeue_true")
    taking->how = broker::Settle::requeue;
  else if (mode == "ack_requeue_false")
    taking->how = broker::Settle::ack;
  else if (mode == "reject_requeue_false")
    taking->how = broker::Settle::reject;
  else
    return call->fail(400, "bad_request", "ackmode is missing or unknown");
  const std::string encoding = text_of(body, "encoding", "");
  if (encoding != "auto" && encoding != "base64") return call->fail(400, "bad_request", "encoding must be auto or base64");
  if (queue->def().type == metadata::QueueType::stream)
    return call->fail(400, "bad_request", "NOT_IMPLEMENTED - get from a stream");
  taking->base64 = encoding == "base64";
  if (const auto most = number("truncate"); most && *most >= 0) taking->truncate = static_cast<std::size_t>(*most);
  taking->call = call;
  taking->uid = queue->def().uid;
  taking->holder = call->broker().next_holder();
  taking->left = std::min(*count, kGetMax);
  taking->next();
  expect_home(call, *queue);
}

}  // namespace warren::http
