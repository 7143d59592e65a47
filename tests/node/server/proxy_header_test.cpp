// PROXY headers of both versions (CON-36), whole, in pieces, and what is none.

#include "node/server/proxy_header.h"

#include <gtest/gtest.h>

namespace warren::server {
namespace {

using Kind = ProxyHeader::Kind;

std::string binary(std::uint8_t version_command, std::uint8_t family, std::string_view body) {
  std::string out("\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A", 12);
  out += static_cast<char>(version_command);
  out += static_cast<char>(family);
  out += static_cast<char>(body.size() >> 8);
  out += static_cast<char>(body.size() & 255);
  return out + std::string(body);
}

/// 10.1.2.3:4000 -> 10.9.8.7:5672
const std::string kFour("\x0A\x01\x02\x03\x0A\x09\x08\x07\x0F\xA0\x16\x28", 12);

void expect_known(const std::string& bytes, std::string_view source, std::uint16_t source_port,
                  std::string_view destination, std::uint16_t destination_port) {
  const auto header = read_proxy_header(bytes + "AMQP");
  ASSERT_TRUE(header && *header) << bytes;
  EXPECT_EQ((*header)->kind, Kind::known);
  EXPECT_EQ((*header)->size, bytes.size());
  EXPECT_EQ((*header)->source, source);
  EXPECT_EQ((*header)->source_port, source_port);
  EXPECT_EQ((*header)->destination, destination);
  EXPECT_EQ((*header)->destination_port, destination_port);
}

TEST(ProxyHeaderTest, CON36_addresses) {
  expect_known("PROXY TCP4 10.1.2.3 10.9.8.7 4000 5672\r\n", "10.1.2.3", 4000, "10.9.8.7", 5672);
  expect_known("PROXY TCP6 2001:DB8::1 ::1 65535 0\r\n", "2001:db8::1", 65535, "::1", 0);
  expect_known("PROXY TCP6 ::ffff:10.1.2.3 ::1 1 2\r\n", "10.1.2.3", 1, "::1", 2);
  expect_known(binary(0x21, 0x11, kFour), "10.1.2.3", 4000, "10.9.8.7", 5672);
  expect_known(binary(0x21, 0x11, kFour + std::string("\x04\x00\x03xyz", 6)), "10.1.2.3", 4000, "10.9.8.7", 5672);
  expect_known(binary(0x21, 0x21, std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01" +
                                      std::string(15, '\0') + "\x01" + std::string("\x0F\xA0\x16\x28", 4)),
               "2001:db8::1", 4000, "::1", 5672);
}

TEST(ProxyHeaderTest, CON36_connections_without_an_address) {
  const auto kind = [](const std::string& bytes) {
    const auto header = read_proxy_header(bytes);
    EXPECT_TRUE(header && *header && (*header)->size == bytes.size());
    return (*header)->kind;
  };
  EXPECT_EQ(kind("PROXY UNKNOWN\r\n"), Kind::unknown);
  EXPECT_EQ(kind("PROXY UNKNOWN ffff:f...f:ffff whatever\r\n"), Kind::unknown);
  EXPECT_EQ(kind(binary(0x20, 0x00, "")), Kind::local);
  EXPECT_EQ(kind(binary(0x20, 0x11, kFour)), Kind::local);
  EXPECT_EQ(kind(binary(0x21, 0x00, "")), Kind::unknown);
  EXPECT_EQ(kind(binary(0x21, 0x31, std::string(216, 'u'))), Kind::unknown);  // a Unix socket
  EXPECT_EQ(kind(binary(0x21, 0x12, kFour)), Kind::unknown);                  // datagrams
}

TEST(ProxyHeaderTest, CON36_a_header_in_pieces_is_waited_for) {
  for (const std::string& whole : {std::string("PROXY TCP4 10.1.2.3 10.9.8.7 4000 5672\r\n"),
                                   std::string("PROXY UNKNOWN\r\n"), binary(0x21, 0x11, kFour)}) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const auto part = read_proxy_header(std::string_view(whole).substr(0, n));
      ASSERT_TRUE(part) << n;
      EXPECT_FALSE(*part) << n;
    }
    EXPECT_TRUE(*read_proxy_header(whole));
  }
}

TEST(ProxyHeaderTest, CON36_what_is_no_header) {
  for (const std::string& bad :
       {std::string("A"), std::string("AMQP\0\0\x09\x01", 8), std::string("PROXI"), std::string("\x16\x03\x01"),
        std::string("PROXY \r\n"), std::string("PROXY TCP4\r\n"), std::string("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"),
        std::string("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), std::string("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"),
        std::string("PROXY TCP4 ::1 ::1 1 2\r\n"), std::string("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"),
        std::string("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"), std::string("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"),
        std::string("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n"), std::string("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n"),
        std::string("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), "PROXY " + std::string(200, 'x'),
        binary(0x11, 0x11, kFour), binary(0x22, 0x11, kFour), binary(0x21, 0x11, kFour.substr(1)),
        binary(0x21, 0x21, kFour), binary(0x21, 0x11, std::string(kProxyHeaderMax, 'x')).substr(0, 20)})
    EXPECT_FALSE(read_proxy_header(bad)) << bad;
}

}  // namespace
}  // namespace warren::server
