#include "node/broker/routing/exchange_types.h"

#include "node/broker/routing/direct.h"
#include "node/broker/routing/fanout.h"
#include "node/broker/routing/hashing.h"
#include "node/broker/routing/headers.h"
#include "node/broker/routing/random.h"
#include "node/broker/routing/topic.h"

namespace warren::broker::routing {

namespace {

Error refused(std::string text) { return make_error(Errc::invalid_argument, std::move(text)); }

/// The type that decides about routing: behind a delayed exchange stands another one.
std::string_view routing_type(const metadata::ExchangeDef& def) {
  if (def.type != "x-delayed-message") return def.type;
  const FieldValue* inner = def.arguments.find("x-delayed-type");
  return inner == nullptr ? std::string_view{} : inner->as_string().value_or("");
}

/// Keeps nothing and routes nowhere: exchanges of a type that this version does not know.
class NowhereMatcher final : public Matcher {
 public:
  bool add(const BindingRef&) override { return false; }
  bool remove(const BindingRef&) override { return false; }
  void route(const RouteInput&, Matches&) override {}
  void each(const UseBinding&) const override {}
};

Result<void> validate_x_match(const metadata::BindingDef& binding) {
  const FieldValue* how = binding.arguments.find("x-match");
  if (how == nullptr) return {};
  const auto* text = std::get_if<std::string>(&how->v);
  if (text == nullptr)
    return refused(std::string("invalid x-match argument of type ") + how->type_name() +
                   ": expected a longstr");
  for (const char* known : {"all", "any", "all-with-x", "any-with-x"})
    if (*text == known) return {};
  return refused("invalid x-match argument '" + *text +
                 "': expected all, any, all-with-x or any-with-x");
}

Result<void> validate_hash(const metadata::ExchangeDef& def) {
  const FieldValue* header = def.arguments.find("hash-header");
  const FieldValue* property = def.arguments.find("hash-property");
  if (header != nullptr && property != nullptr)
    return refused("hash-header and hash-property are mutually exclusive");
  if (header != nullptr && !header->as_string()) return refused("hash-header must be a string");
  if (property == nullptr) return {};
  const auto name = property->as_string().value_or("");
  if (name == "message_id" || name == "correlation_id" || name == "timestamp") return {};
  return refused("unsupported hash-property '" + std::string(name) +
                 "': expected message_id, correlation_id or timestamp");
}

}  // namespace

bool known_exchange_type(std::string_view type) {
  for (const char* known : {"direct", "fanout", "topic", "headers", "x-consistent-hash",
                            "x-modulus-hash", "x-random", "x-local-random", "x-delayed-message"})
    if (type == known) return true;
  return false;
}

Result<void> validate_exchange(const metadata::ExchangeDef& def) {
  if (def.type == "x-delayed-message") {
    const auto inner = routing_type(def);
    if (inner == "x-delayed-message" || !known_exchange_type(inner))
      return refused("invalid argument, 'x-delayed-type' must be an existing exchange type");
  }
  if (routing_type(def) == "x-consistent-hash") return validate_hash(def);
  return {};
}

bool same_routing(const metadata::ExchangeDef& a, const metadata::ExchangeDef& b) {
  if (a.type != b.type) return false;
  for (const char* name : {"x-delayed-type", "hash-header", "hash-property"}) {
    const FieldValue* x = a.arguments.find(name);
    const FieldValue* y = b.arguments.find(name);
    if ((x == nullptr) != (y == nullptr) || (x != nullptr && *x != *y)) return false;
  }
  return true;
}

Result<void> validate_binding(const metadata::ExchangeDef& source,
                              const metadata::BindingDef& binding) {
  const auto type = routing_type(source);
  if (type == "headers") return validate_x_match(binding);
  if (type == "x-consistent-hash" && !hash_weight(binding.routing_key))
    return refused("the binding key of a consistent hash exchange is a weight, an integer of at "
                   "most nine digits, got: '" + binding.routing_key + "'");
  if (type == "x-local-random") {
    if (!binding.routing_key.empty())
      return refused("the binding key of a local random exchange must be empty, got: '" +
                     binding.routing_key + "'");
    if (!binding.to_queue)
      return refused("a local random exchange can only be bound to classic queues");
  }
  return {};
}

std::unique_ptr<Matcher> make_matcher(const metadata::ExchangeDef& def) {
  const auto type = routing_type(def);
  if (type == "direct") return std::make_unique<DirectMatcher>();
  if (type == "fanout") return std::make_unique<FanoutMatcher>();
  if (type == "topic") return std::make_unique<TopicMatcher>();
  if (type == "headers") return std::make_unique<HeadersMatcher>();
  if (type == "x-consistent-hash") return std::make_unique<ConsistentHashMatcher>(def);
  if (type == "x-modulus-hash") return std::make_unique<ModulusHashMatcher>();
  if (type == "x-random") return std::make_unique<RandomMatcher>(false);
  if (type == "x-local-random") return std::make_unique<RandomMatcher>(true);
  return std::make_unique<NowhereMatcher>();
}

}  // namespace warren::broker::routing
