#pragma once
// One workload at work: producers and consumers on one epoll loop.

#include "node/perf/client.h"
#include "node/perf/options.h"
#include "node/perf/stats.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace warren::perf {

std::uint64_t now_ns();

struct Totals {
  std::uint64_t published{0}, confirmed{0}, rejected{0}, returned{0}, received{0}, redelivered{0};
  std::uint64_t lost{0}, duplicates{0}, misordered{0};
  double publish_seconds{0}, receive_seconds{0};
  Histogram deliver_latency, confirm_latency;
  std::string failure;
};

/// A publishing connection. The body begins with the sequence number and the intended time of
/// sending, so that a stalled broker makes latencies long instead of samples few.
class Producer {
 public:
  Producer(Client client, const Options& options, std::uint32_t number, std::string key);

  Client& client() { return client_; }
  std::uint64_t published() const { return next_seq_; }
  bool done(std::uint64_t deadline_ns) const;
  bool idle() const { return out_at_ == out_.size() && unconfirmed() == 0; }
  bool wants_write() const { return out_at_ < out_.size(); }
  /// Publishes what window, rate and socket allow. False when the connection broke.
  bool publish(std::uint64_t now, std::uint64_t deadline_ns, Totals& totals);
  bool receive(Totals& totals);
  /// When rate allows the next message; 0 = at once.
  std::uint64_t next_due() const;
  std::uint64_t unconfirmed() const { return options_.confirm_window > 0 ? next_seq_ - settled_ : 0; }

 private:
  void append_message(std::uint64_t stamp);
  void settle(std::uint64_t tag, bool multiple, bool ack, std::uint64_t now, Totals& totals);

  Client client_;
  const Options& options_;
  std::uint32_t number_;
  std::string template_;        // publish, header and body frames
  std::size_t key_at_{0}, body_at_{0};
  std::string out_;
  std::size_t out_at_{0};
  std::uint64_t next_seq_{0}, settled_{0};
  std::uint64_t started_{0};
  std::deque<std::pair<std::uint64_t, std::uint64_t>> sent_at_;  // (seq + 1, time), not yet confirmed
};

/// A consuming connection.
class Consumer {
 public:
  Consumer(Client client, const Options& options, int queue)
      : client_(std::move(client)), options_(options), queue_(queue) {}

  Client& client() { return client_; }
  int queue() const { return queue_; }
  /// Takes what has come; `on_message(body, redelivered)`. False when the connection broke.
  bool receive(const std::function<void(std::string_view, bool)>& on_message, std::string& failure);
  bool flush();
  bool wants_write() const { return out_at_ < out_.size(); }
  void acknowledge_rest();

 private:
  Client client_;
  const Options& options_;
  int queue_;
  std::uint64_t last_tag_{0};
  int unacked_{0};
  bool redelivered_{false};
  std::uint64_t body_left_{0};
  std::string body_;
  std::string out_;
  std::size_t out_at_{0};
};

/// Runs the workload; `progress` is called once a second.
Totals run_load(const Options& options, const std::function<void(const Totals&)>& progress);

}  // namespace warren::perf
