#pragma once
// How option values are written: numbers with units, durations, ports, lists; and the nearest name
// to a misspelt one. Pure.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace warren::config {

/// "infinity", for options that allow it.
inline constexpr std::int64_t kInfinity = std::numeric_limits<std::int64_t>::max();

std::string_view trim(std::string_view text);
std::vector<std::string> split_list(std::string_view text, char separator);

/// Errors (all of these): invalid_argument; the text quotes the value and says what is expected.
Result<std::int64_t> parse_integer(std::string_view text);
Result<double> parse_decimal(std::string_view text);
/// true/false, on/off, yes/no.
Result<bool> parse_flag(std::string_view text);
/// 1..65535.
Result<std::uint16_t> parse_port(std::string_view text);
/// Bytes. `k`, `kiB`, `M`, `MiB`, `G`, `GiB`, `T`, `TiB`, `P`, `PiB` count in 1024s; `kB`, `MB`,
/// `GB`, `TB`, `PB` in 1000s; letters in either case.
Result<std::int64_t> parse_size(std::string_view text);
/// A time in `base_unit` ("ms" or "s"): a bare number counts in it; `ms`, `s`, `m`, `h`, `d` may
/// follow.
Result<std::int64_t> parse_duration(std::string_view text, std::string_view base_unit);

/// An address and a port; an empty address is all interfaces.
struct AddressPort {
  std::string address;
  std::uint16_t port{0};
};
/// `5672`, `127.0.0.1:5672`, `[::1]:5672`, `::1:5672`, `host:5672`.
Result<AddressPort> parse_listener(std::string_view text);

/// The candidate that differs least from `wanted`, empty when none is near (more than a third
/// differs).
std::string nearest_name(std::string_view wanted, const std::vector<std::string>& candidates);

/// A glob with `*` and `?` against a whole name; `*` stops at nothing.
bool glob_match(std::string_view pattern, std::string_view name);

}  // namespace warren::config
