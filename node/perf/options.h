#pragma once
// What a workload is made of, and its command line.

#include "base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace warren::perf {

struct Options {
  std::string host{"127.0.0.1"};
  std::uint16_t port{5672};
  std::string user{"guest"}, password{"guest"}, vhost{"/"};
  int producers{1}, consumers{1};
  int queues{1};                      ///< producer i and consumer i use queue i mod queues
  std::string queue{"perf"};
  std::string exchange, exchange_type{"direct"};  ///< "" = default exchange
  std::string routing_key;            ///< "" = the queue's name
  int fanout{0};                      ///< > 0: bind that many queues to a fanout exchange
  int topic_bindings{0};              ///< > 0: that many bindings on a topic exchange, random keys
  std::string queue_type;             ///< x-queue-type
  std::size_t size_bytes{16};
  bool durable{false}, persistent{false}, auto_ack{false};
  int confirm_window{0};              ///< 0 = no confirms
  int prefetch{0};
  int ack_every{1};
  double rate{0};                     ///< messages/s per producer, 0 = as fast as it goes
  double seconds{10};
  std::uint64_t messages{0};          ///< per producer; 0 = by time
  bool drain{false};                  ///< publish first, then consume
  bool keep{false};                   ///< leave queues and exchanges behind
  bool quiet{false};
  std::string json;                   ///< file for the result, "-" = standard output
  double drain_wait{10};              ///< seconds to wait for what is still on its way
};

/// Errors: invalid_argument with the word that is wrong.
Result<Options> parse_options(const std::vector<std::string>& args);
extern const char* const kUsage;

}  // namespace warren::perf
