// Real sockets on a port that the system chooses, plain and with TLS, all on the test's thread: the
// loop is polled, nothing sleeps.

#include "node/server/listener.h"
#include "tests/node/server/store_node.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

namespace warren::server::test {
namespace {

using broker::test::BrokerTest;
using broker::test::Pub;

struct Say : BrokerTest {
  using BrokerTest::declare_frame;
  using BrokerTest::publish_frame;
  void TestBody() override {}
};

/// A key and a certificate that vouches for itself.
config::TlsSettings make_certificate() {
  const std::string stem = testing::TempDir() + "warren-socket-test-" + std::to_string(::getpid());
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), 0);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  X509_NAME* name = X509_get_subject_name(cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(cert, name);
  X509_sign(cert, key, EVP_sha256());
  config::TlsSettings settings;
  settings.cert_file = stem + ".pem";
  settings.key_file = stem + ".key";
  FILE* out = std::fopen(settings.cert_file.c_str(), "w");
  PEM_write_X509(out, cert);
  std::fclose(out);
  out = std::fopen(settings.key_file.c_str(), "w");
  PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(out);
  X509_free(cert);
  EVP_PKEY_free(key);
  return settings;
}

/// True for TLS.
class SocketTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(node.start());
    shared.unopened = 0;
    std::shared_ptr<TlsContext> tls;
    if (GetParam()) {
      certificate = make_certificate();
      auto made = TlsContext::make(certificate);
      ASSERT_TRUE(made) << made.error().text;
      tls = *made;
    }
    listener = std::make_unique<Listener>(shared, config::SocketSettings{}, tls);
    const auto opened = listener->open("127.0.0.1", 0);
    ASSERT_TRUE(opened) << opened.error().text;
    client.open(listener->port(), GetParam());
  }
  void TearDown() override {
    client.close();
    if (listener) listener->close();
    std::vector<std::shared_ptr<SocketSession>> all;
    for (auto& [key, session] : shared.sessions) all.push_back(session);
    for (auto& session : all) session->drop("end of the test");
    all.clear();
    node.settle();
    EXPECT_TRUE(shared.sessions.empty());
    EXPECT_EQ(shared.unopened, 0U);
    std::remove(certificate.cert_file.c_str());
    std::remove(certificate.key_file.c_str());
  }

  class Client {
   public:
    void open(std::uint16_t port, bool with_tls) {
      fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      (void)::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
      if (!with_tls) return;
      context = SSL_CTX_new(TLS_client_method());
      ssl = SSL_new(context);
      SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
      SSL_set_fd(ssl, fd);
      SSL_set_connect_state(ssl);
    }
    void close() {
      if (ssl != nullptr) SSL_free(ssl);
      if (context != nullptr) SSL_CTX_free(context);
      ssl = nullptr;
      context = nullptr;
      if (fd >= 0) ::close(fd);
      fd = -1;
    }
    /// Gives how many bytes the socket took.
    std::size_t write(std::string_view bytes) {
      if (ssl != nullptr) {
        const int n = SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size()));
        return n > 0 ? static_cast<std::size_t>(n) : 0;
      }
      const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      return n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    void read() {
      char buffer[65536];
      for (;;) {
        const ssize_t n = ssl != nullptr ? SSL_read(ssl, buffer, sizeof buffer)
                                         : ::recv(fd, buffer, sizeof buffer, 0);
        if (n == 0 && ssl == nullptr) ended = true;
        if (n <= 0) return;
        got.append(buffer, static_cast<std::size_t>(n));
      }
    }
    int fd{-1};
    SSL_CTX* context{nullptr};
    SSL* ssl{nullptr};
    std::string got;
    bool ended{false};
  };

  /// Both ends do what they can until `done`.
  template <class Done>
  void until(Done done, bool reading = true) {
    for (int i = 0; i < 20'000; ++i) {
      node.settle();
      if (reading) client.read();
      if (done()) return;
      if (!unsent.empty()) unsent.erase(0, client.write(unsent.substr(0, 1 << 20)));
      // The kernel may take its time: then wait for it, not for a clock of ours.
      pollfd wait{client.fd, POLLIN, 0};
      if (i > 1'000) (void)::poll(&wait, 1, 1);
    }
    FAIL() << "it never comes to that; unsent " << unsent.size() << ", got " << client.got.size();
  }
  void send(std::string_view bytes, std::size_t piece = 1 << 20) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      unsent += bytes.substr(0, piece);
      until([this] { return unsent.empty(); });
    }
  }
  std::vector<amqp::test::Frame> frames() const {
    std::vector<amqp::test::Frame> all;
    ByteReader in(client.got);
    while (in.remaining() >= 8) {
      amqp::test::Frame frame;
      frame.type = in.u8();
      frame.channel = in.u16();
      const std::uint32_t size = in.u32();
      if (in.remaining() < size + 1U) break;
      frame.payload = in.bytes(size);
      EXPECT_EQ(in.u8(), amqp::kFrameEnd);
      all.push_back(std::move(frame));
    }
    return all;
  }
  template <class Method>
  std::size_t count() const {
    std::size_t n = 0;
    for (const auto& frame : frames()) n += frame.id() == Method::kId ? 1U : 0U;
    return n;
  }
  void log_in() {
    const std::string response("\0guest\0secret", 13);
    amqp::ConnectionStartOk start;
    start.mechanism = "PLAIN";
    start.response.text = response;
    amqp::ConnectionOpen open;
    open.virtual_host = "/";
    send(std::string(amqp::kProtocolHeader) + amqp::encode_frame(0, start) +
         amqp::encode_frame(0, amqp::ConnectionTuneOk{2047, 131072, 0}) + amqp::encode_frame(0, open) +
         amqp::encode_frame(1, amqp::ChannelOpen{}));
    until([this] { return count<amqp::ChannelOpenOk>() == 1; });
    client.got.clear();
  }
  std::uint64_t ready(const char* queue) {
    auto found = node.broker().queue("/", queue);
    return found ? found->stats().ready : 0;
  }

  storage::MemoryStore memory;
  storage::FaultyStore store{memory};
  StoreNode node{store};
  SocketShared shared{node.loop(), node.broker(), {}};
  config::TlsSettings certificate;
  std::unique_ptr<Listener> listener;
  Client client;
  std::string unsent;
};

TEST_P(SocketTest, LogsInAndSaysGoodbye) {
  log_in();
  ASSERT_EQ(shared.sessions.size(), 1U);
  EXPECT_EQ(shared.sessions.begin()->first->session()->peer().tls, GetParam());
  EXPECT_EQ(shared.unopened, 0U);
  send(amqp::encode_frame(0, amqp::ConnectionClose{}));
  until([this] { return count<amqp::ConnectionCloseOk>() == 1 && shared.sessions.empty(); });
}

TEST_P(SocketTest, FramesCutAnywhereArriveWhole) {
  log_in();
  send(Say::declare_frame(1, "q"));
  std::string bytes;
  constexpr int kMessages = 400;
  for (int i = 0; i < kMessages; ++i)
    bytes += Say::publish_frame(1, Pub{"", "q", std::string(static_cast<std::size_t>(i) * 7 % 900, 'x'), false, false});
  // Pieces that leave part of a frame behind every read.
  send(bytes, 997);
  until([&] { return ready("q") == kMessages; });
  EXPECT_EQ(count<amqp::ConnectionClose>(), 0U);
}

TEST_P(SocketTest, LargeMessagesGoThereAndBack) {
  log_in();
  std::string body(3 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 4);
  amqp::BasicConsume consume;
  consume.queue = "q";
  consume.no_ack = true;
  send(Say::declare_frame(1, "q") + amqp::encode_frame(1, consume));
  for (int i = 0; i < 3; ++i) send(Say::publish_frame(1, Pub{"", "q", body}));
  until([&] { return client.got.size() > 3 * body.size(); });
  std::string got;
  until([&] {
    got.clear();
    for (const auto& frame : frames())
      if (frame.type == amqp::kFrameBody) got += frame.payload;
    return got.size() == 3 * body.size();
  });
  EXPECT_TRUE(got == body + body + body);
}

TEST_P(SocketTest, AReaderThatStopsHoldsOnlyItself) {
  log_in();
  amqp::BasicConsume consume;
  consume.queue = "q";
  consume.no_ack = true;
  send(Say::declare_frame(1, "q") + amqp::encode_frame(1, consume));
  const std::string body(100'000, 'x');
  constexpr int kMessages = 200;
  auto& publisher = node.connect();
  for (int i = 0; i < kMessages; ++i) publisher.send(Say::publish_frame(1, Pub{"", "q", body}));
  for (int i = 0; i < 50; ++i) node.settle();
  EXPECT_GT(ready("q"), 0U) << "what nobody reads stays in the queue";
  EXPECT_LT(shared.sessions.begin()->first->session()->output_bytes(), 2U << 20);
  until([&] { return client.got.size() > kMessages * body.size() && ready("q") == 0; });
}

TEST_P(SocketTest, AChannelThatWaitsIsReadAgain) {
  log_in();
  std::string bytes = Say::declare_frame(1, "q");
  for (int i = 0; i < 100; ++i)
    bytes += Say::publish_frame(1, Pub{"", "q", std::string(50'000, 'x'), false, false});
  bytes += Say::declare_frame(1, "r");
  unsent = bytes;
  for (int i = 0; i < 200; ++i) {  // the disc is slow: the declare waits, and what is behind it piles up
    node.run();
    if (!unsent.empty()) unsent.erase(0, client.write(unsent));
  }
  EXPECT_TRUE(shared.sessions.begin()->first->session()->connection().paused());
  until([this] { return unsent.empty() && count<amqp::QueueDeclareOk>() == 2; });
  EXPECT_EQ(ready("q"), 100U);
}

TEST_P(SocketTest, AClientThatVanishesLeavesNothing) {
  log_in();
  send(Say::declare_frame(1, "mine", false, {}, true));
  const std::string part = Say::publish_frame(1, Pub{"", "mine", std::string(10'000, 'x')});
  send(std::string_view(part).substr(0, 5'000));
  client.close();
  for (int i = 0; i < 20 && !shared.sessions.empty(); ++i) node.settle();
  EXPECT_TRUE(shared.sessions.empty());
  EXPECT_EQ(node.broker().queue("/", "mine"), nullptr);
  EXPECT_TRUE(node.broker().sessions().empty());
}

TEST_P(SocketTest, WhoDoesNotSpeakTheProtocolIsShownTheDoor) {
  send("GET / HTTP/1.1\r\n\r\n");
  until([this] { return client.got.size() == 8; });
  EXPECT_EQ(client.got, amqp::kProtocolHeader);
  until([this] { return shared.sessions.empty(); });
}

TEST_P(SocketTest, APortInUseIsNamed) {
  Listener second(shared, config::SocketSettings{}, nullptr);
  const auto opened = second.open("127.0.0.1", listener->port());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::io);
  EXPECT_NE(opened.error().text.find(std::to_string(listener->port())), std::string::npos);
  EXPECT_EQ(second.open("not an address", 0).error().code, Errc::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Wire, SocketTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tls" : "Plain"; });

TEST(TlsContextTest, NamesTheFileThatCannotBeUsed) {
  config::TlsSettings settings;
  settings.cert_file = "/nowhere/cert.pem";
  settings.key_file = "/nowhere/key.pem";
  const auto made = TlsContext::make(settings);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().text.find("/nowhere/cert.pem"), std::string::npos);
}

}  // namespace
}  // namespace warren::server::test
