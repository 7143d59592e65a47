// The first bytes of connections while proxy_protocol is on: any cutting gives the same answer, and never is
// more than the bound waited for.

#include "node/server/proxy_header.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::server;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = read_proxy_header(bytes);
  if (whole && !*whole) FUZZ_CHECK(size < kProxyHeaderMax);
  if (!whole || !*whole) return 0;
  FUZZ_CHECK((*whole)->size <= size && (*whole)->size <= kProxyHeaderMax);
  const bool known = (*whole)->kind == ProxyHeader::Kind::known;
  FUZZ_CHECK(known != (*whole)->source.empty() && known != (*whole)->destination.empty());
  for (std::size_t n = 0; n < (*whole)->size; n += 1 + n / 16) {
    const auto part = read_proxy_header(bytes.substr(0, n));
    FUZZ_CHECK(part.has_value() && !part->has_value());
  }
  const auto exact = read_proxy_header(bytes.substr(0, (*whole)->size));
  FUZZ_CHECK(exact && *exact && (*exact)->source == (*whole)->source && (*exact)->size == (*whole)->size);
  return 0;
}
