#include "node/broker/routing/headers.h"

#include "node/broker/routing/stable_hash.h"

#include <tuple>

namespace warren::broker::routing {

namespace {

std::uint64_t bit(std::uint64_t hash) { return std::uint64_t{1} << (hash & 63); }

std::uint64_t value_bit(std::uint64_t name_hash, const HeaderField& field) {
  const std::uint64_t seed = name_hash ^ field.number;
  return bit(field.data.empty() ? stable_mix(seed) : stable_hash(field.data, seed));
}

}  // namespace

std::uint64_t header_marks(const std::vector<HeaderField>& fields) {
  std::uint64_t marks = 0;
  for (const HeaderField& field : fields) {
    const std::uint64_t name = stable_hash(field.name);
    marks |= bit(name) | value_bit(name, field);
  }
  return marks;
}

HeaderPattern::HeaderPattern(const FieldTable& arguments)
    : encoded_(std::make_unique<const std::string>(arguments.encode())) {
  read_fields(*encoded_, conditions_);
  bool with_x = false;
  if (const FieldValue* how = arguments.find("x-match")) {
    const auto text = how->as_string().value_or("");
    any_ = text.starts_with("any");
    with_x = text.ends_with("-with-x");
  }
  std::erase_if(conditions_, [&](const HeaderField& field) {
    return with_x ? field.name == "x-match" : field.name.starts_with("x-");
  });
  for (const HeaderField& condition : conditions_) {
    const std::uint64_t name = stable_hash(condition.name);
    marks_ |= condition.value_class == HeaderField::Class::none ? bit(name)
                                                                : value_bit(name, condition);
  }
}

bool HeaderPattern::matches(const std::vector<HeaderField>& fields, std::uint64_t marks) const {
  if (any_ ? (marks & marks_) == 0 : (marks & marks_) != marks_) return false;
  auto field = fields.begin();
  for (const HeaderField& condition : conditions_) {
    while (field != fields.end() && field->name < condition.name) ++field;
    const bool met = field != fields.end() && field->name == condition.name &&
                     (condition.value_class == HeaderField::Class::none ||
                      field->same_value(condition));
    if (met == any_) return any_;
    if (field != fields.end() && field->name == condition.name) ++field;
  }
  return !any_;
}

bool HeadersMatcher::before(const Entry& e, const BindingRef& b) {
  return std::tuple(e.dest, e.args, std::string_view(e.key)) < std::tuple(b.dest, b.args, b.key);
}

std::vector<HeadersMatcher::Entry>::iterator HeadersMatcher::position(const BindingRef& b) {
  return std::lower_bound(entries_.begin(), entries_.end(), b, before);
}

bool HeadersMatcher::is_at(std::vector<Entry>::iterator at, const BindingRef& b) {
  return at != entries_.end() && at->dest == b.dest && at->args == b.args && at->key == b.key;
}

bool HeadersMatcher::add(const BindingRef& b) {
  const auto at = position(b);
  if (is_at(at, b)) return false;
  entries_.insert(at, Entry{b.dest, b.args, std::string(b.key), HeaderPattern(b.arguments)});
  return true;
}

bool HeadersMatcher::remove(const BindingRef& b) {
  const auto at = position(b);
  if (!is_at(at, b)) return false;
  entries_.erase(at);
  return true;
}

void HeadersMatcher::route(const RouteInput& input, Matches& out) {
  if (entries_.empty()) return;
  read_fields(input.headers, fields_);
  const std::uint64_t marks = header_marks(fields_);
  for (const Entry& entry : entries_)
    if (entry.pattern.matches(fields_, marks)) out.add(entry.dest);
}

void HeadersMatcher::each(const UseBinding& use) const {
  for (const Entry& entry : entries_) use(entry.dest, entry.args);
}

}  // namespace warren::broker::routing
