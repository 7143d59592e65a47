#include "node/broker/queue_arguments.h"

#include "cluster/metadata/equivalence.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>

namespace warren::broker {

namespace {

using metadata::QueueDef;
using metadata::QueueType;

/// What an argument's check finds wrong, as it stands behind the colon of the refusal.
using Finding = std::optional<std::string>;

bool is_integer(const FieldValue& value) {
  return value.as_int().has_value() && !std::holds_alternative<FieldTimestamp>(value.v);
}

Finding unacceptable(const FieldValue& value) {
  return fmt::format("{{unacceptable_type,{}}}", value.type_name());
}

Finding check_integer(const FieldValue& value) {
  if (is_integer(value)) return std::nullopt;
  return fmt::format("\"expected integer, got {}\"", value.type_name());
}

Finding check_not_negative(const FieldValue& value) {
  if (auto wrong = check_integer(value)) return wrong;
  if (*value.as_int() < 0) return fmt::format("{{value_negative,{}}}", *value.as_int());
  return std::nullopt;
}

Finding check_positive(const FieldValue& value) {
  if (auto wrong = check_not_negative(value)) return wrong;
  if (*value.as_int() == 0) return "{value_zero,0}";
  return std::nullopt;
}

Finding check_expiry(const FieldValue& value) {
  if (*value.as_int() > kExpiryMaxMs)
    return fmt::format("{{value_too_large,{}}}", *value.as_int());
  return std::nullopt;
}

Finding check_expires(const FieldValue& value, const FieldTable&) {
  if (auto wrong = check_positive(value)) return wrong;
  return check_expiry(value);
}

Finding check_message_ttl(const FieldValue& value, const FieldTable&) {
  if (auto wrong = check_not_negative(value)) return wrong;
  return check_expiry(value);
}

Finding check_length(const FieldValue& value, const FieldTable&) {
  return check_not_negative(value);
}

Finding check_group_size(const FieldValue& value, const FieldTable&) {
  return check_positive(value);
}

Finding check_max_priority(const FieldValue& value, const FieldTable&) {
  if (auto wrong = check_not_negative(value)) return wrong;
  if (*value.as_int() > 255) return fmt::format("{{max_value_exceeded,{}}}", *value.as_int());
  return std::nullopt;
}

Finding check_dead_letter_key(const FieldValue& value, const FieldTable& arguments) {
  if (!std::holds_alternative<std::string>(value.v)) return unacceptable(value);
  if (arguments.find("x-dead-letter-exchange") == nullptr) return "routing_key_but_no_dlx_defined";
  return std::nullopt;
}

/// A longstr that is one of the given words.
Finding check_word(const FieldValue& value, std::initializer_list<std::string_view> words,
                   const std::string& otherwise) {
  const auto* text = std::get_if<std::string>(&value.v);
  if (text == nullptr) return unacceptable(value);
  if (std::find(words.begin(), words.end(), *text) != words.end()) return std::nullopt;
  return otherwise;
}

std::string text_of(const FieldValue& value) {
  return std::string(value.as_string().value_or(""));
}

Finding check_overflow(const FieldValue& value, const FieldTable&) {
  return check_word(value, {"drop-head", "reject-publish", "reject-publish-dlx"},
                    "invalid_overflow");
}

Finding check_strategy(const FieldValue& value, const FieldTable&) {
  return check_word(value, {"at-most-once", "at-least-once"}, "invalid_dlx_strategy");
}

Finding check_mode(const FieldValue& value, const FieldTable&) {
  return check_word(value, {"default", "lazy"},
                    fmt::format("\"unsupported queue mode '{}'\"", text_of(value)));
}

Finding check_version(const FieldValue& value, const FieldTable&) {
  if (auto wrong = check_not_negative(value)) return wrong;
  const auto version = *value.as_int();
  if (version == 1 || version == 2) return std::nullopt;
  return fmt::format("\"unsupported queue version '{}'\"", version);
}

Finding check_bool(const FieldValue& value, const FieldTable&) {
  return value.as_bool() ? std::nullopt : unacceptable(value);
}

Finding check_max_age(const FieldValue& value, const FieldTable&) {
  const auto* text = std::get_if<std::string>(&value.v);
  if (text == nullptr) return unacceptable(value);
  if (!parse_max_age_ms(*text)) return "invalid_max_age";
  return std::nullopt;
}

Finding check_leader_locator(const FieldValue& value, const FieldTable&) {
  const auto* text = std::get_if<std::string>(&value.v);
  if (text == nullptr) return unacceptable(value);
  if (!is_leader_locator(*text)) return "invalid_queue_locator_arg";
  return std::nullopt;
}

Finding check_master_locator(const FieldValue& value, const FieldTable&) {
  const auto* text = std::get_if<std::string>(&value.v);
  if (text == nullptr) return unacceptable(value);
  if (!is_master_locator(*text)) return "invalid_queue_locator_arg";
  return std::nullopt;
}

Finding accept(const FieldValue&, const FieldTable&) { return std::nullopt; }

constexpr unsigned kClassic = 1, kQuorum = 2, kStream = 4;

struct Rule {
  std::string_view name;
  unsigned types;  // that know it
  Finding (*check)(const FieldValue& value, const FieldTable& arguments);
};

/// In the order of checking. x-queue-leader-locator on classic queues came with 4.x.
constexpr Rule kRules[] = {
    {"x-expires", kClassic | kQuorum, check_expires},
    {"x-message-ttl", kClassic | kQuorum, check_message_ttl},
    {"x-dead-letter-exchange", kClassic | kQuorum, accept},  // its type is checked first of all
    {"x-dead-letter-routing-key", kClassic | kQuorum, check_dead_letter_key},
    {"x-dead-letter-strategy", kQuorum, check_strategy},
    {"x-max-length", kClassic | kQuorum, check_length},
    {"x-max-length-bytes", kClassic | kQuorum | kStream, check_length},
    {"x-max-in-memory-length", kQuorum, check_length},
    {"x-max-in-memory-bytes", kQuorum, check_length},
    {"x-max-priority", kClassic, check_max_priority},
    {"x-overflow", kClassic | kQuorum, check_overflow},
    {"x-queue-mode", kClassic, check_mode},
    {"x-queue-version", kClassic, check_version},
    {"x-single-active-consumer", kClassic | kQuorum, check_bool},
    {"x-quorum-initial-group-size", kQuorum, check_group_size},
    {"x-max-age", kStream, check_max_age},
    {"x-stream-max-segment-size-bytes", kStream, check_length},
    {"x-initial-cluster-size", kStream, check_group_size},
    {"x-queue-leader-locator", kClassic | kQuorum | kStream, check_leader_locator},
    {"x-queue-master-locator", kClassic, check_master_locator},
    {"x-delivery-limit", kQuorum, accept},
};

unsigned bit_of(QueueType type) { return 1U << static_cast<unsigned>(type); }

Error refused(std::string_view argument, const QueueDef& def, std::string_view finding) {
  return make_error(Errc::invalid_argument,
                    fmt::format("invalid arg '{}' for queue '{}' in vhost '{}': {}", argument,
                                def.name, def.vhost, finding));
}

Result<void> check_properties(const QueueDef& def) {
  const char* wrong = def.auto_delete ? "auto-delete"
                      : def.exclusive ? "exclusive-owner"
                      : !def.durable  ? "non-durable"
                                      : nullptr;
  if (def.type == QueueType::classic || wrong == nullptr) return {};
  return make_error(Errc::invalid_argument,
                    fmt::format("invalid property '{}' for queue '{}' in vhost '{}'", wrong,
                                def.name, def.vhost));
}

}  // namespace

std::optional<std::int64_t> integer_argument(const FieldTable& arguments, std::string_view name) {
  const FieldValue* value = arguments.find(name);
  if (value == nullptr || !is_integer(*value)) return std::nullopt;
  return value->as_int();
}

std::optional<std::string_view> text_argument(const FieldTable& arguments, std::string_view name) {
  const FieldValue* value = arguments.find(name);
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(&value->v);
  if (text == nullptr) return std::nullopt;
  return std::string_view(*text);
}

bool is_leader_locator(std::string_view word) {
  return word == "client-local" || word == "balanced" || word == "random" ||
         word == "least-leaders";
}

bool is_master_locator(std::string_view word) {
  return word == "client-local" || word == "random" || word == "min-masters";
}

std::optional<std::int64_t> parse_max_age_ms(std::string_view text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || number <= 0 || end - at != 1) return std::nullopt;
  std::int64_t seconds = 0;
  switch (*at) {
    case 'Y': seconds = 365 * 86400; break;
    case 'M': seconds = 30 * 86400; break;
    case 'D': seconds = 86400; break;
    case 'h': seconds = 3600; break;
    case 'm': seconds = 60; break;
    case 's': seconds = 1; break;
    default: return std::nullopt;
  }
  std::int64_t out = 0;
  if (__builtin_mul_overflow(number, seconds * 1000, &out)) return std::nullopt;
  return out;
}

Result<QueueType> queue_type_of(const QueueDef& def, std::string_view vhost_default,
                                std::string_view node_default) {
  if (const FieldValue* value = def.arguments.find("x-queue-type")) {
    const auto* text = std::get_if<std::string>(&value->v);
    if (text == nullptr) return refused("x-queue-type", def, *unacceptable(*value));
    const auto type = metadata::parse_queue_type(*text);
    if (!type)
      return refused("x-queue-type", def, fmt::format("\"unsupported queue type '{}'\"", *text));
    return *type;
  }
  // Defaults are for queues that can have them: a temporary one is always classic.
  if (def.exclusive || def.auto_delete || !def.durable) return QueueType::classic;
  if (const auto type = metadata::parse_queue_type(vhost_default)) return *type;
  return metadata::parse_queue_type(node_default).value_or(QueueType::classic);
}

Result<void> validate_queue_arguments(const QueueDef& def) {
  if (const FieldValue* dlx = def.arguments.find("x-dead-letter-exchange");
      dlx != nullptr && !std::holds_alternative<std::string>(dlx->v))
    return make_error(
        Errc::invalid_argument,
        fmt::format("invalid type '{}' for arg 'x-dead-letter-exchange' in queue '{}' in vhost "
                    "'{}'",
                    dlx->type_name(), def.name, def.vhost));
  const unsigned type = bit_of(def.type);
  for (const Rule& rule : kRules) {
    const FieldValue* value = def.arguments.find(rule.name);
    if (value == nullptr || (rule.types & type) == 0) continue;
    if (const auto finding = rule.check(*value, def.arguments))
      return refused(rule.name, def, *finding);
  }
  for (const Rule& rule : kRules)
    if ((rule.types & type) == 0 && def.arguments.find(rule.name) != nullptr)
      return make_error(
          Errc::invalid_argument,
          fmt::format("invalid arg '{}' for queue '{}' in vhost '{}' of queue type rabbit_{}_queue",
                      rule.name, def.name, def.vhost, metadata::queue_type_name(def.type)));
  if (integer_argument(def.arguments, "x-stream-max-segment-size-bytes").value_or(0) >
      kSegmentBytesMax)
    return make_error(Errc::invalid_argument,
                      "Exceeded max value for x-stream-max-segment-size-bytes");
  return check_properties(def);
}

Result<void> validate_exchange_arguments(const metadata::ExchangeDef& def) {
  const FieldValue* alternate = def.arguments.find("alternate-exchange");
  if (alternate == nullptr || std::holds_alternative<std::string>(alternate->v)) return {};
  return make_error(
      Errc::invalid_argument,
      fmt::format("invalid type '{}' for arg 'alternate-exchange' in exchange '{}' in vhost '{}'",
                  alternate->type_name(), def.name, def.vhost));
}

Result<void> check_equivalence(const QueueDef& existing, const QueueDef& requested) {
  if (metadata::is_locked(existing, requested))
    return make_error(Errc::already_exists, metadata::locked_text(existing));
  if (auto text = metadata::find_inequivalence(existing, requested))
    return make_error(Errc::conflict, std::move(*text));
  return {};
}

Result<void> check_equivalence(const metadata::ExchangeDef& existing,
                               const metadata::ExchangeDef& requested) {
  if (auto text = metadata::find_inequivalence(existing, requested))
    return make_error(Errc::conflict, std::move(*text));
  return {};
}

}  // namespace warren::broker
