// Handshake messages of a stranger, on both sides: nothing but the right cookie opens a session, and
// no answer of a false server is believed.

#include "base/clock.h"
#include "cluster/transport/client_handshake.h"
#include "cluster/transport/session_table.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace warren;
using namespace warren::transport;

PeerIdentity identity(Input& in) {
  PeerIdentity who;
  who.node_name = in.text();
  who.node_id = in.text();
  who.cluster_id = in.text();
  who.role = in.below(2) == 0 ? "node" : std::string(in.text());
  who.version_min = in.byte();
  who.version_max = in.byte();
  who.product_version = in.text();
  who.wall_clock_ms = static_cast<std::int64_t>(in.number());
  return who;
}

PeerIdentity own(const char* name) {
  PeerIdentity who;
  who.node_name = name;
  who.node_id = std::string(16, 'n');
  who.cluster_id = "c";
  return who;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  Cookie cookie;
  cookie.secret = "FUZZFUZZFUZZ";
  cookie.source = "option";
  ManualClock clock;
  NullLogger log;

  SessionTable table({cookie}, own("s@h"), clock, log);
  for (int i = 0; i < 4 && !in.empty(); ++i) {
    const PeerIdentity client = identity(in);
    const std::string nonce = in.below(2) == 0 ? std::string(kNonceBytes, 'n') : std::string(in.text());
    const auto hello = table.hello("10.0.0.1", client, nonce, std::string(in.text()));
    if (hello) {
      FUZZ_CHECK(check_identity(client).has_value() && nonce.size() == kNonceBytes);
      FUZZ_CHECK(!table.prove("10.0.0.1", hello->session_id, std::string(in.text())));
    }
    FUZZ_CHECK(!table.authorise(std::string(in.text()), in.number(), std::string(in.text()), "m", "r"));
    clock.advance(static_cast<Millis>(in.byte()) * 100);
  }
  FUZZ_CHECK(table.session_count() == 0);

  ClientHandshake client({cookie}, own("c@h"), "h port 1");
  HelloAnswer answer{identity(in), std::string(in.text()), std::string(in.text()), in.byte(), std::string(in.text())};
  if (in.below(2) == 0) answer.nonce = std::string(kNonceBytes, 'n');
  if (in.below(2) == 0) answer.session_id = std::string(kSessionIdBytes, 's');
  if (client.on_hello(answer)) {
    FUZZ_CHECK(check_identity(answer.server).has_value());
    (void)client.on_refused();
    FUZZ_CHECK(!client.on_prove(std::string(in.rest())));
  }
  return 0;
}
