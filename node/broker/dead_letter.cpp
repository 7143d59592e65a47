#include "node/broker/dead_letter.h"

#include "node/amqp/properties.h"

#include <algorithm>

namespace warren::broker {

namespace {

constexpr const char* kDeaths = "x-death";

Result<void> append_keys(std::string_view headers, std::string_view name,
                         std::vector<std::string_view>& out) {
  amqp::RawPair pair;
  while (amqp::take_pair(headers, pair)) {
    if (pair.name != name) continue;
    if (pair.value.tag != 'A')
      return make_error(Errc::invalid_argument,
                        "invalid message: header " + std::string(name) + " must be an array");
    amqp::RawValue item;
    while (amqp::take_value(pair.value.payload, item))
      if (item.tag == 'S') out.push_back(item.payload);
    break;  // of two equal names the first counts
  }
  return {};
}

FieldArray as_array(const std::vector<std::string_view>& keys) {
  FieldArray array;
  for (const std::string_view key : keys) array.emplace_back(std::string(key));
  return array;
}

bool has_text(const FieldTable& table, std::string_view name, std::string_view text) {
  const FieldValue* value = table.find(name);
  return value != nullptr && value->as_string() == text;
}

/// The entry of this queue and reason, counted up, or a new one (DLX-02).
FieldTable record_death(FieldArray& deaths, const DyingMessage& dying,
                        const std::vector<std::string_view>& keys,
                        const std::optional<std::string>& expiration) {
  const std::string reason = death_reason_name(dying.reason);
  const auto same = std::find_if(deaths.begin(), deaths.end(), [&](const FieldValue& entry) {
    const FieldTable* table = entry.as_table();
    return table != nullptr && has_text(*table, "queue", dying.queue) &&
           has_text(*table, "reason", reason);
  });
  FieldTable death;
  if (same != deaths.end()) {
    death = *same->as_table();
    deaths.erase(same);
    const FieldValue* count = death.find("count");
    death.set("count", (count == nullptr ? 0 : count->as_int().value_or(0)) + std::int64_t{1});
    return death;
  }
  death.set("count", std::int64_t{1});
  death.set("reason", reason);
  death.set("queue", std::string(dying.queue));
  death.set("time", FieldTimestamp{dying.now_seconds});
  death.set("exchange", std::string(dying.message.exchange()));
  death.set("routing-keys", as_array(keys));
  if (expiration) death.set("original-expiration", *expiration);
  return death;
}

/// x-last-death-* each time, x-first-death-* once (DLX-03, DLX-04).
void set_story(FieldTable& headers, const DyingMessage& dying, bool first) {
  const auto tell = [&](const std::string& prefix) {
    headers.set(prefix + "reason", std::string(death_reason_name(dying.reason)));
    headers.set(prefix + "queue", std::string(dying.queue));
    headers.set(prefix + "exchange", std::string(dying.message.exchange()));
  };
  if (first) tell("x-first-death-");
  tell("x-last-death-");
}

}  // namespace

const char* death_reason_name(DeathReason reason) {
  switch (reason) {
    case DeathReason::rejected: return "rejected";
    case DeathReason::expired: return "expired";
    case DeathReason::maxlen: return "maxlen";
    case DeathReason::delivery_limit: return "delivery_limit";
  }
  return "unknown";
}

Result<DeadLetter> make_dead_letter(const DyingMessage& dying) {
  auto decoded = amqp::decode_properties(dying.message.props());
  if (!decoded) return decoded.error();
  amqp::BasicProperties& p = *decoded;
  if (!p.headers) p.headers.emplace();
  FieldTable& headers = *p.headers;

  const std::string before = headers.encode();
  std::vector<std::string_view> told{dying.message.routing_key()};  // x-death never tells BCC
  if (auto ok = append_keys(before, "CC", told); !ok) return ok.error();
  std::vector<std::string_view> keys = told;
  if (auto ok = append_keys(before, "BCC", keys); !ok) return ok.error();

  // An account that a client sent along is continued, as retry loops of 3.x applications expect.
  const FieldValue* known = headers.find(kDeaths);
  FieldArray deaths;
  if (known != nullptr && known->as_array() != nullptr) deaths = *known->as_array();
  const bool first = deaths.empty();
  FieldTable death = record_death(deaths, dying, told, p.expiration);
  deaths.insert(deaths.begin(), FieldValue(std::move(death)));
  headers.set(kDeaths, std::move(deaths));
  set_story(headers, dying, first);

  DeadLetter next;
  next.exchange = std::string(dying.exchange);
  headers.erase("BCC");
  if (dying.routing_key) {
    headers.erase("CC");
    next.routing_key = std::string(dying.routing_key->substr(0, 255));  // a short string
  } else {
    next.routing_key = std::string(keys.front());
    next.extra_keys.assign(keys.begin() + 1, keys.end());
  }
  p.expiration.reset();
  next.properties = amqp::encode_properties(p);
  return next;
}

bool is_cycle(std::string_view properties, std::string_view target_queue) {
  const auto decoded = amqp::decode_properties(properties);
  if (!decoded || !decoded->headers) return false;
  const FieldValue* value = decoded->headers->find(kDeaths);
  const FieldArray* deaths = value == nullptr ? nullptr : value->as_array();
  if (deaths == nullptr) return false;
  for (const FieldValue& entry : *deaths) {
    const FieldTable* death = entry.as_table();
    if (death == nullptr) continue;
    if (has_text(*death, "reason", "rejected")) return false;
    if (has_text(*death, "queue", target_queue)) return true;
  }
  return false;
}

Result<void> collect_extra_keys(std::string_view headers, std::vector<std::string_view>& out) {
  if (auto ok = append_keys(headers, "CC", out); !ok) return ok;
  return append_keys(headers, "BCC", out);
}

}  // namespace warren::broker
