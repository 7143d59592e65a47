#include "node/server/proxy_header.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace warren::server {

namespace {

using Kind = ProxyHeader::Kind;
using Answer = Result<std::optional<ProxyHeader>>;

constexpr std::string_view kTextStart = "PROXY ";
constexpr std::size_t kTextMax = 107;  // with CR LF
constexpr std::string_view kBinaryStart("\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A", 12);
constexpr std::size_t kBinaryHead = 16;

Error bad(const char* why) { return make_error(Errc::invalid_argument, why); }

std::uint16_t number16(std::string_view bytes) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 | static_cast<unsigned char>(bytes[1]));
}

/// An address of 4 or 16 bytes in its usual form; one of IPv4 inside IPv6 as IPv4.
std::string address_text(std::string_view bytes) {
  static constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xFF\xFF", 12);
  if (bytes.size() == 16 && bytes.starts_with(kMapped)) bytes.remove_prefix(12);
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text.data(), text.size());
  return text.data();
}

/// "" when the text is no address of this family.
std::string address_again(std::string_view text, int family) {
  std::array<char, 16> bytes{};
  if (::inet_pton(family, std::string(text).c_str(), bytes.data()) != 1) return {};
  return address_text({bytes.data(), family == AF_INET ? std::size_t{4} : std::size_t{16}});
}

bool read_port(std::string_view text, std::uint16_t& into) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

/// PROXY TCP4 source destination port port CR LF, or PROXY UNKNOWN and whatever up to CR LF.
Answer read_text(std::string_view bytes) {
  const auto end = bytes.substr(0, kTextMax).find("\r\n");
  if (end == bytes.npos) {
    if (bytes.size() >= kTextMax) return bad("the line of the PROXY header has no end");
    return std::optional<ProxyHeader>();
  }
  ProxyHeader header;
  header.size = end + 2;
  std::vector<std::string_view> words;
  std::string_view line = bytes.substr(kTextStart.size(), end - kTextStart.size());
  for (;;) {
    const auto space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space == line.npos) break;
    line.remove_prefix(space + 1);
  }
  if (words[0] == "UNKNOWN") return std::optional(std::move(header));
  if ((words[0] != "TCP4" && words[0] != "TCP6") || words.size() != 5) return bad("the PROXY header is not of its form");
  const int family = words[0] == "TCP4" ? AF_INET : AF_INET6;
  header.source = address_again(words[1], family);
  header.destination = address_again(words[2], family);
  if (header.source.empty() || header.destination.empty() || !read_port(words[3], header.source_port) ||
      !read_port(words[4], header.destination_port))
    return bad("the PROXY header has no proper addresses");
  header.kind = Kind::known;
  return std::optional(std::move(header));
}

Answer read_binary(std::string_view bytes) {
  if (bytes.size() < kBinaryHead) return std::optional<ProxyHeader>();
  const auto version_command = static_cast<unsigned char>(bytes[12]);
  const auto family = static_cast<unsigned char>(bytes[13]);
  const std::size_t length = number16(bytes.substr(14));
  if (version_command >> 4 != 2 || (version_command & 15) > 1)
    return bad("the PROXY header is of a version or command that is not known");
  if (kBinaryHead + length > kProxyHeaderMax) return bad("the PROXY header is too long");
  if (bytes.size() < kBinaryHead + length) return std::optional<ProxyHeader>();
  ProxyHeader header;
  header.size = kBinaryHead + length;
  if ((version_command & 15) == 0) {
    header.kind = Kind::local;
    return std::optional(std::move(header));
  }
  // Of other families than TCP over IP nothing is known that would mean something here.
  const std::size_t each = family == 0x11 ? 4 : family == 0x21 ? 16 : 0;
  if (each == 0) return std::optional(std::move(header));
  if (length < 2 * each + 4) return bad("the PROXY header is too short for its addresses");
  const std::string_view addresses = bytes.substr(kBinaryHead);
  header.kind = Kind::known;
  header.source = address_text(addresses.substr(0, each));
  header.destination = address_text(addresses.substr(each, each));
  header.source_port = number16(addresses.substr(2 * each));
  header.destination_port = number16(addresses.substr(2 * each + 2));
  return std::optional(std::move(header));
}

}  // namespace

Answer read_proxy_header(std::string_view bytes) {
  const auto begins = [bytes](std::string_view start) {
    const auto both = std::min(bytes.size(), start.size());
    return bytes.substr(0, both) == start.substr(0, both);
  };
  if (begins(kBinaryStart)) return read_binary(bytes);
  if (!begins(kTextStart)) return bad("it does not begin with a PROXY header");
  if (bytes.size() <= kTextStart.size()) return std::optional<ProxyHeader>();
  return read_text(bytes);
}

}  // namespace warren::server
