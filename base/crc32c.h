#pragma once
// CRC-32C (Castagnoli), the checksum of whatever we keep in files.

#include <cstdint>
#include <string_view>

namespace warren {

/// Continues `crc` (0 to begin) over `bytes`. Source: RFC 3720 B.4.
std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes);

}  // namespace warren
