#pragma once
// A plain AMQP client connection with one channel: blocking set-up, then non-blocking streams of
// frames for the load itself.

#include "base/result.h"
#include "node/amqp/codec.h"
#include "node/perf/options.h"

#include <string>
#include <string_view>

namespace warren::perf {

/// Owner: the load's thread.
class Client {
 public:
  Client() = default;
  ~Client();
  Client(Client&& from) noexcept;
  Client& operator=(Client&&) = delete;

  /// Connects, logs in, opens vhost and channel 1.
  static Result<Client> connect(const Options& options, const std::string& name);

  /// Sends a method and waits for the answer `Ok`.
  template <class Ok, class Method>
  Result<Ok> call(const Method& method) {
    if (auto sent = send_all(amqp::encode_frame(1, method)); !sent) return sent.error();
    auto arguments = await(Ok::kId);
    if (!arguments) return arguments.error();
    Ok ok;
    reply_ = std::move(*arguments);
    if (!amqp::decode(reply_, ok)) return make_error(Errc::corruption, "undecodable answer");
    return ok;
  }
  Result<void> send_all(std::string_view bytes);

  int fd() const { return fd_; }
  /// Reads what is there; false when the peer closed. Frames are then taken with next_frame.
  bool fill();
  struct Frame {
    std::uint8_t type{};
    std::uint16_t channel{};
    std::string_view payload;
  };
  /// Valid until the next fill().
  bool next_frame(Frame& frame);
  /// Writes as much as the socket takes of `out`, from `*at` on. False on error.
  bool write_some(const std::string& out, std::size_t& at);
  void set_non_blocking();

 private:
  Result<std::string> await(amqp::MethodId id);
  Result<Frame> read_frame();

  int fd_{-1};
  std::string in_;
  std::size_t in_at_{0}, in_end_{0};
  std::string reply_;
};

}  // namespace warren::perf
