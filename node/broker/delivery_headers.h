#pragma once
// The properties of a message as a consumer gets them: as they stand, but for two headers.
// Pure; everything else is passed on byte for byte (CON-23).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::broker {

/// The property bytes with `x-delivery-count` set, as an int64 (CNS-18).
/// Requires: properties that were let in (scan_properties). Malformed ones come back unchanged.
std::string with_delivery_count(std::string_view properties, std::uint32_t count);

/// The property bytes without the BCC header (PUB-14); nothing when there is none.
std::optional<std::string> without_bcc(std::string_view properties);

/// What to deliver: nothing = the property bytes as they stand.
/// Shape: `has_bcc` = MessageFlags kHasBcc; `delivery_count` = failed deliveries so far, 0 = none
///        and no header.
std::optional<std::string> delivery_properties(std::string_view properties, bool has_bcc,
                                               std::uint32_t delivery_count);

}  // namespace warren::broker
