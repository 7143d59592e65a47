#include "cluster/metadata/equivalence.h"

#include <fmt/format.h>

namespace warren::metadata {

namespace {

constexpr std::string_view kClassicArguments[] = {
    "x-expires",          "x-message-ttl",      "x-dead-letter-exchange",
    "x-dead-letter-routing-key", "x-max-length", "x-max-length-bytes",
    "x-max-priority",     "x-overflow",         "x-queue-mode",
    "x-queue-version",    "x-single-active-consumer", "x-queue-type",
    "x-queue-master-locator"};
constexpr std::string_view kQuorumArguments[] = {
    "x-expires",          "x-message-ttl",      "x-dead-letter-exchange",
    "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-max-length",
    "x-max-length-bytes", "x-max-in-memory-length", "x-max-in-memory-bytes",
    "x-overflow",         "x-single-active-consumer", "x-queue-type",
    "x-quorum-initial-group-size", "x-delivery-limit", "x-queue-leader-locator"};
constexpr std::string_view kStreamArguments[] = {
    "x-max-length-bytes", "x-queue-type", "x-max-age", "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size", "x-queue-leader-locator"};

std::string where(const char* kind, std::string_view name, std::string_view vhost) {
  return fmt::format("for {} '{}' in vhost '{}'", kind, name, vhost);
}

std::string differs(std::string_view what, const std::string& where, std::string_view received,
                    std::string_view current) {
  return fmt::format("inequivalent arg '{}' {}: received '{}' but current is '{}'", what, where,
                     received, current);
}

std::string differs(std::string_view what, const std::string& where, bool received, bool current) {
  return differs(what, where, std::string_view(received ? "true" : "false"),
                 std::string_view(current ? "true" : "false"));
}

bool same_value(const FieldValue& a, const FieldValue& b) {
  const auto left = a.as_int(), right = b.as_int();
  if (left && right) return *left == *right;
  return a == b;
}

std::string describe(const FieldValue* value) {
  if (value == nullptr) return "none";
  return fmt::format("the value '{}' of type '{}'", print_argument(*value), value->type_name());
}

std::optional<std::string> compare_argument(std::string_view name, const std::string& where,
                                            const FieldTable& existing,
                                            const FieldTable& requested) {
  const FieldValue* current = existing.find(name);
  const FieldValue* received = requested.find(name);
  if (current == nullptr && received == nullptr) return std::nullopt;
  if (current != nullptr && received != nullptr) {
    if (same_value(*current, *received)) return std::nullopt;
    return differs(name, where, print_argument(*received), print_argument(*current));
  }
  return fmt::format("inequivalent arg '{}' {}: received {} but current is {}", name, where,
                     describe(received), describe(current));
}

/// The type of a queue stands beside its arguments: naming it, or leaving it to the default, is one.
std::optional<std::string> compare_type(const std::string& where, const QueueDef& existing,
                                        const QueueDef& requested) {
  if (existing.type == requested.type) return std::nullopt;
  if (auto text = compare_argument("x-queue-type", where, existing.arguments, requested.arguments))
    return text;
  return differs("x-queue-type", where, queue_type_name(requested.type),
                 queue_type_name(existing.type));
}

std::string print_table(const FieldTable& table) {
  std::string out = "[";
  for (const auto& [name, value] : table) {
    if (out.size() > 1) out += ',';
    out += fmt::format("{{<<\"{}\">>,{},{}}}", name, value.type_name(), print_argument(value));
  }
  return out + "]";
}

struct Printer {
  std::string operator()(std::monostate) const { return "undefined"; }
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  template <class Number>
  std::string operator()(Number v) const {
    return fmt::format("{}", v);
  }
  std::string operator()(const FieldDecimal& v) const {
    return fmt::format("{{{},{}}}", v.scale, v.value);
  }
  std::string operator()(const FieldTimestamp& v) const { return std::to_string(v.seconds); }
  std::string operator()(const std::string& v) const { return v; }
  std::string operator()(const FieldBytes& v) const { return v.data; }
  std::string operator()(const FieldArray& v) const {
    std::string out = "[";
    for (const auto& item : v) {
      if (out.size() > 1) out += ',';
      out += fmt::format("{{{},{}}}", item.type_name(), print_argument(item));
    }
    return out + "]";
  }
  std::string operator()(const FieldTable& v) const { return print_table(v); }
};

}  // namespace

std::string print_argument(const FieldValue& value) { return std::visit(Printer{}, value.v); }

std::span<const std::string_view> compared_queue_arguments(QueueType type) {
  switch (type) {
    case QueueType::classic: return kClassicArguments;
    case QueueType::quorum: return kQuorumArguments;
    case QueueType::stream: return kStreamArguments;
  }
  return {};
}

std::optional<std::string> find_inequivalence(const QueueDef& existing, const QueueDef& requested) {
  const std::string place = where("queue", existing.name, existing.vhost);
  const bool is_durable = existing.durable && !existing.exclusive;
  const bool asks_durable = requested.durable && !requested.exclusive;
  if (is_durable != asks_durable) return differs("durable", place, asks_durable, is_durable);
  if (existing.auto_delete != requested.auto_delete)
    return differs("auto_delete", place, requested.auto_delete, existing.auto_delete);
  if (auto text = compare_type(place, existing, requested)) return text;
  for (const std::string_view name : compared_queue_arguments(existing.type)) {
    if (name == "x-queue-type") continue;
    if (auto text = compare_argument(name, place, existing.arguments, requested.arguments))
      return text;
  }
  return std::nullopt;
}

std::optional<std::string> find_inequivalence(const ExchangeDef& existing,
                                              const ExchangeDef& requested) {
  const std::string place = where("exchange", existing.name, existing.vhost);
  if (existing.type != requested.type)
    return differs("type", place, std::string_view(requested.type), std::string_view(existing.type));
  if (existing.durable != requested.durable)
    return differs("durable", place, requested.durable, existing.durable);
  if (existing.auto_delete != requested.auto_delete)
    return differs("auto_delete", place, requested.auto_delete, existing.auto_delete);
  if (existing.internal != requested.internal)
    return differs("internal", place, requested.internal, existing.internal);
  if (auto text = compare_argument("alternate-exchange", place, existing.arguments,
                                   requested.arguments))
    return text;
  if (existing.type == "x-delayed-message")
    return compare_argument("x-delayed-type", place, existing.arguments, requested.arguments);
  return std::nullopt;
}

bool is_locked(const QueueDef& existing, const QueueDef& requested) {
  if (existing.exclusive != requested.exclusive) return true;
  // Connections are numbered by their node, and an exclusive queue lives on its connection's node.
  return existing.exclusive && (existing.owner_connection != requested.owner_connection ||
                                existing.home != requested.home);
}

std::string locked_text(const QueueDef& existing) {
  return fmt::format(
      "cannot obtain exclusive access to locked queue '{}' in vhost '{}'. It could be originally "
      "declared on another connection or the exclusive property value does not match that of the "
      "original declaration.",
      existing.name, existing.vhost);
}

}  // namespace warren::metadata
