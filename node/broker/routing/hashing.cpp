#include "node/broker/routing/hashing.h"

#include "node/amqp/properties.h"
#include "node/broker/routing/header_fields.h"
#include "node/broker/routing/stable_hash.h"

#include <bit>

namespace warren::broker::routing {

namespace {

/// log2(1 + i/256) in units of 2^-32, by repeated squaring.
constexpr std::uint64_t log2_of_step(std::uint64_t i) {
  std::uint64_t x = (std::uint64_t{1} << 31) + (i << 23);  // 1 + i/256 in units of 2^-31
  std::uint64_t result = 0;
  for (int bit = 31; bit >= 0; --bit) {
    x = (x * x) >> 31;
    if (x >= (std::uint64_t{1} << 32)) {
      result |= std::uint64_t{1} << bit;
      x >>= 1;
    }
  }
  return result;
}

struct LogTable {
  std::uint64_t at[257]{};
  constexpr LogTable() {
    for (std::uint64_t i = 0; i < 256; ++i) at[i] = log2_of_step(i);
    at[256] = std::uint64_t{1} << 32;
  }
};
constexpr LogTable kLog;

/// A number of 64 bits for the value of a header.
std::uint64_t value_hash(const HeaderField& field) {
  return stable_hash(field.data, stable_mix(field.number));
}

}  // namespace

std::uint64_t hash_distance(std::uint64_t hash) {
  const int leading = std::countl_zero(hash | 1);
  const std::uint64_t normal = (hash | 1) << leading;       // top bit set
  const std::uint64_t step = (normal >> 55) & 0xFF;          // the next 8 bits
  const std::uint64_t rest = (normal >> 31) & 0xFFFFFF;      // and 24 more, to interpolate
  const std::uint64_t low = kLog.at[step];
  const std::uint64_t log = low + (((kLog.at[step + 1] - low) * rest) >> 24);
  return (static_cast<std::uint64_t>(leading + 1) << 32) - log;
}

std::optional<std::uint64_t> hash_weight(std::string_view key) {
  if (key.empty() || key.size() > 9) return std::nullopt;
  std::uint64_t weight = 0;
  for (const char c : key) {
    if (c < '0' || c > '9') return std::nullopt;
    weight = weight * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return weight;
}

ConsistentHashMatcher::ConsistentHashMatcher(const metadata::ExchangeDef& def) {
  const auto text = [&](std::string_view name) {
    const FieldValue* value = def.arguments.find(name);
    return value == nullptr ? std::string{} : std::string(value->as_string().value_or(""));
  };
  header_ = text("hash-header");
  property_ = text("hash-property");
}

void ConsistentHashMatcher::rebuild(DestId dest, std::uint64_t name_hash) {
  std::uint64_t weight = 0;
  for (auto at = weights_.lower_bound({dest, "", 0});
       at != weights_.end() && std::get<0>(at->first) == dest; ++at)
    weight = std::max(weight, at->second);
  const auto at = std::lower_bound(choices_.begin(), choices_.end(), dest,
                                   [](const Choice& c, DestId id) { return c.dest < id; });
  const bool there = at != choices_.end() && at->dest == dest;
  if (weight == 0) {
    if (there) choices_.erase(at);
  } else if (there) {
    at->weight = weight;
  } else {
    choices_.insert(at, Choice{dest, name_hash, weight});
  }
}

bool ConsistentHashMatcher::add(const BindingRef& b) {
  const auto weight = hash_weight(b.key).value_or(0);
  const auto added = weights_.emplace(std::tuple(b.dest, std::string(b.key), b.args), weight);
  if (!added.second) return false;
  rebuild(b.dest, stable_hash(b.dest_name));
  return true;
}

bool ConsistentHashMatcher::remove(const BindingRef& b) {
  if (weights_.erase({b.dest, std::string(b.key), b.args}) == 0) return false;
  rebuild(b.dest, stable_hash(b.dest_name));
  return true;
}

std::uint64_t ConsistentHashMatcher::input_hash(const RouteInput& input) const {
  if (!header_.empty()) {
    std::vector<HeaderField> fields;
    read_fields(input.headers, fields);
    for (const HeaderField& field : fields)
      if (field.name == header_) return value_hash(field);
    return 0;
  }
  if (!property_.empty()) {
    amqp::PropertiesScan scan;
    if (!amqp::scan_properties(input.properties, scan)) return 0;
    if (property_ == "message_id") return stable_hash(scan.message_id);
    if (property_ == "correlation_id") return stable_hash(scan.correlation_id);
    return stable_mix(scan.timestamp);
  }
  return stable_hash(input.key);
}

void ConsistentHashMatcher::route(const RouteInput& input, Matches& out) {
  if (choices_.empty()) return;
  const std::uint64_t hash = input_hash(input);
  const Choice* best = nullptr;
  std::uint64_t best_distance = 0, best_draw = 0;
  for (const Choice& choice : choices_) {
    if (!out.present(choice.dest)) continue;
    const std::uint64_t draw = stable_mix(hash ^ choice.name_hash);
    // Distances reach 2^38; shifted so that the largest weight still leaves 20 bits.
    const std::uint64_t distance = (hash_distance(draw) << 20) / choice.weight;
    const bool nearer = best == nullptr || distance < best_distance ||
                        (distance == best_distance && draw > best_draw);
    if (nearer) best = &choice, best_distance = distance, best_draw = draw;
  }
  if (best != nullptr) out.add(best->dest);
}

bool ModulusHashMatcher::add(const BindingRef& b) {
  auto& keys = bindings_[{std::string(b.dest_name), b.dest}];
  const bool fresh = keys.empty();
  if (!keys[std::string(b.key)].add(b.dest, b.args)) return false;
  if (fresh) {
    order_.clear();
    for (const auto& [dest, unused] : bindings_) order_.push_back(dest.second);
  }
  return true;
}

bool ModulusHashMatcher::remove(const BindingRef& b) {
  const auto at = bindings_.find({std::string(b.dest_name), b.dest});
  if (at == bindings_.end()) return false;
  const auto key = at->second.find(b.key);
  if (key == at->second.end() || !key->second.remove(b.dest, b.args)) return false;
  if (key->second.empty()) at->second.erase(key);
  if (at->second.empty()) {
    bindings_.erase(at);
    std::erase(order_, b.dest);
  }
  return true;
}

void ModulusHashMatcher::route(const RouteInput& input, Matches& out) {
  if (!order_.empty()) out.add(order_[stable_hash(input.key) % order_.size()]);
}

void ConsistentHashMatcher::each(const UseBinding& use) const {
  for (const auto& [binding, weight] : weights_) use(std::get<0>(binding), std::get<2>(binding));
}

void ModulusHashMatcher::each(const UseBinding& use) const {
  for (const auto& [dest, keys] : bindings_)
    for (const auto& [key, targets] : keys) targets.each(use);
}

}  // namespace warren::broker::routing
