#pragma once
// Headers exchange (EXC-11): a binding's arguments are conditions on the message's headers.

#include "node/broker/routing/header_fields.h"
#include "node/broker/routing/matcher.h"

#include <string>

namespace warren::broker::routing {

/// The conditions of one binding.
class HeaderPattern {
 public:
  HeaderPattern(const FieldTable& arguments);
  HeaderPattern(HeaderPattern&&) noexcept = default;  // the views point into encoded_'s heap bytes
  HeaderPattern& operator=(HeaderPattern&&) noexcept = default;

  /// Shape: `fields` as read_fields gives them, `marks` = header_marks of them.
  bool matches(const std::vector<HeaderField>& fields, std::uint64_t marks) const;

 private:
  std::unique_ptr<const std::string> encoded_;
  std::vector<HeaderField> conditions_;  // sorted by name
  std::uint64_t marks_{0};               // the bits that the conditions look for
  bool any_{false};
};

/// Two of 64 bits per field, one for its name and one for name and value: to see at a glance that a
/// pattern cannot match.
std::uint64_t header_marks(const std::vector<HeaderField>& fields);

/// Cost: a look at one word per binding, a merge per binding that may match.
class HeadersMatcher final : public Matcher {
 public:
  bool add(const BindingRef& binding) override;
  bool remove(const BindingRef& binding) override;
  void route(const RouteInput& input, Matches& out) override;
  void each(const UseBinding& use) const override;
  bool beyond_key() const override { return true; }

 private:
  struct Entry {
    DestId dest;
    std::uint32_t args;
    std::string key;
    HeaderPattern pattern;
  };
  static bool before(const Entry& entry, const BindingRef& binding);
  std::vector<Entry>::iterator position(const BindingRef& binding);
  bool is_at(std::vector<Entry>::iterator at, const BindingRef& binding);

  std::vector<Entry> entries_;       // by (dest, args, key)
  std::vector<HeaderField> fields_;  // scratch of route()
};

}  // namespace warren::broker::routing
