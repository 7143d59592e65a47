#include "node/broker/routing/headers.h"

#include "node/broker/routing/stable_hash.h"

#include <tuple>

namespace warren::broker::routing {

std::uint64_t header_names(const std::vector<HeaderField>& fields) {
  std::uint64_t names = 0;
  for (const HeaderField& field : fields) names |= std::uint64_t{1} << (stable_hash(field.name) & 63);
  return names;
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
  names_ = header_names(conditions_);
}

bool HeaderPattern::matches(const std::vector<HeaderField>& fields, std::uint64_t names) const {
  if (any_ ? (names & names_) == 0 : (names & names_) != names_) return false;
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
  const std::uint64_t names = header_names(fields_);
  for (const Entry& entry : entries_)
    if (entry.pattern.matches(fields_, names)) out.add(entry.dest);
}

void HeadersMatcher::each(const UseBinding& use) const {
  for (const Entry& entry : entries_) use(entry.dest, entry.args);
}

}  // namespace warren::broker::routing
