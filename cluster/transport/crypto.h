#pragma once
// The few primitives the handshake needs, over OpenSSL. No state.

#include <cstddef>
#include <string>
#include <string_view>

namespace warren::transport {

/// HMAC-SHA-256: 32 bytes.
std::string hmac_sha256(std::string_view key, std::string_view data);
/// SHA-256: 32 bytes.
std::string sha256(std::string_view data);
/// MD5: 16 bytes. For the cookie hash that RabbitMQ prints, for nothing else.
std::string md5(std::string_view data);
/// Bytes of the operating system's generator. Aborts when there are none: nothing may go on
/// without.
std::string random_bytes(std::size_t count);
/// Compares in a time that depends on the lengths only.
bool equal_secret(std::string_view a, std::string_view b);
/// Overwrites the bytes before the memory is given back.
void wipe(std::string& secret);

std::string to_hex(std::string_view bytes);
std::string to_base64(std::string_view bytes);

}  // namespace warren::transport
