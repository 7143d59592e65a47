#include "node/perf/load.h"

#include "base/field_table.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace warren::perf {

namespace {

std::string queue_name(const Options& o, int i) {
  return o.queues == 1 ? o.queue : o.queue + "-" + std::to_string(i);
}

std::string key_of(const Options& o, int i) {
  if (o.topic_bindings > 0) return "a.000000.z";
  return o.routing_key.empty() ? queue_name(o, i) : o.routing_key;
}

/// Declares what the workload needs.
Result<void> set_up(Client& client, const Options& o) {
  FieldTable arguments;
  if (!o.queue_type.empty()) arguments.set("x-queue-type", FieldValue(o.queue_type));
  const std::string table = arguments.encode();
  if (!o.exchange.empty()) {
    amqp::ExchangeDeclare declare;
    declare.exchange = o.exchange;
    declare.type = o.exchange_type;
    if (auto ok = client.call<amqp::ExchangeDeclareOk>(declare); !ok) return ok.error();
  }
  for (int i = 0; i < o.queues; ++i) {
    const std::string name = queue_name(o, i);
    amqp::QueueDeclare declare;
    declare.queue = name;
    declare.durable = o.durable;
    declare.arguments.pairs = table;
    if (auto ok = client.call<amqp::QueueDeclareOk>(declare); !ok) return ok.error();
    if (o.exchange.empty()) continue;
    const int bindings = std::max(1, o.topic_bindings);
    for (int b = 0; b < bindings; ++b) {
      std::array<char, 16> pattern{};
      std::snprintf(pattern.data(), pattern.size(), "a.%06d.*", b);
      const std::string key = o.topic_bindings > 0 ? pattern.data() : key_of(o, i);
      amqp::QueueBind bind;
      bind.queue = name;
      bind.exchange = o.exchange;
      bind.routing_key = key;
      if (auto ok = client.call<amqp::QueueBindOk>(bind); !ok) return ok.error();
    }
  }
  return {};
}

void tear_down(Client& client, const Options& o) {
  for (int i = 0; i < o.queues; ++i) {
    const std::string name = queue_name(o, i);
    amqp::QueueDelete drop;
    drop.queue = name;
    (void)client.call<amqp::QueueDeleteOk>(drop);
  }
  if (o.exchange.empty() || o.exchange.starts_with("amq.")) return;
  amqp::ExchangeDelete drop;
  drop.exchange = o.exchange;
  (void)client.call<amqp::ExchangeDeleteOk>(drop);
}

Result<Client> consuming_client(const Options& o, int number) {
  auto client = Client::connect(o, "perf consumer " + std::to_string(number));
  if (!client) return client.error();
  if (o.prefetch > 0) {
    amqp::BasicQos qos;
    qos.prefetch_count = static_cast<std::uint16_t>(std::min(o.prefetch, 65535));
    if (auto ok = client->call<amqp::BasicQosOk>(qos); !ok) return ok.error();
  }
  const std::string name = queue_name(o, number % o.queues);
  amqp::BasicConsume consume;
  consume.queue = name;
  consume.consumer_tag = "c";
  consume.no_ack = o.auto_ack;
  if (auto ok = client->call<amqp::BasicConsumeOk>(consume); !ok) return ok.error();
  client->set_non_blocking();
  return client;
}

/// The run itself. One object, so that its steps share their state.
class Load {
 public:
  Load(const Options& options, const std::function<void(const Totals&)>& progress)
      : o_(options), progress_(progress), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~Load() { ::close(epoll_); }

  Totals run() {
    auto admin = Client::connect(o_, "perf");
    if (!admin) return failed(admin.error());
    if (auto ready = set_up(*admin, o_); !ready) return failed(ready.error());
    if (auto made = connect(); !made) return failed(made.error());
    work();
    verify();
    producers_.clear();
    consumers_.clear();
    if (!o_.keep) tear_down(*admin, o_);
    return std::move(totals_);
  }

 private:
  Totals failed(const Error& error) {
    totals_.failure = error.text;
    return std::move(totals_);
  }

  Result<void> connect() {
    if (!o_.drain)
      if (auto ok = connect_consumers(); !ok) return ok;
    for (int i = 0; i < o_.producers; ++i) {
      auto client = Client::connect(o_, "perf producer " + std::to_string(i));
      if (!client) return client.error();
      if (o_.confirm_window > 0)
        if (auto ok = client->call<amqp::ConfirmSelectOk>(amqp::ConfirmSelect{}); !ok) return ok.error();
      client->set_non_blocking();
      producers_.push_back(std::make_unique<Producer>(std::move(*client), o_, static_cast<std::uint32_t>(i),
                                                      key_of(o_, i % o_.queues)));
      watch(producers_.back()->client().fd(), static_cast<std::uint64_t>(i) << 1, EPOLLIN | EPOLLOUT | EPOLLET);
    }
    return {};
  }

  Result<void> connect_consumers() {
    for (int i = 0; i < o_.consumers; ++i) {
      auto client = consuming_client(o_, i);
      if (!client) return client.error();
      consumers_.push_back(std::make_unique<Consumer>(std::move(*client), o_, i % o_.queues));
      watch(consumers_.back()->client().fd(), (static_cast<std::uint64_t>(i) << 1) | 1, EPOLLIN);
    }
    return {};
  }

  void watch(int fd, std::uint64_t id, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  bool producing() const {
    if (producers_.empty()) return now_ns() < deadline_;  // consuming only: for the given time
    return std::any_of(producers_.begin(), producers_.end(),
                       [&](const auto& p) { return !p->done(deadline_) || !p->idle(); });
  }

  void on_message(int queue, std::string_view body, bool redelivered) {
    ++totals_.received;
    if (redelivered) ++totals_.redelivered;
    if (body.size() < 16) return;
    const auto stamp = load_be<std::uint64_t>(body.data());
    const std::uint64_t now = receive_time_;
    const auto sent = load_be<std::uint64_t>(body.data() + 8);
    totals_.deliver_latency.add(now - std::min(now, sent));
    const std::uint64_t seq = stamp & ((1ULL << 44) - 1);
    auto& track = seen_[{queue, stamp >> 44}];
    if (!track.seen.add(seq)) {
      if (!redelivered) ++totals_.duplicates;
    } else if (!redelivered && o_.consumers <= o_.queues) {
      if (seq < track.next) ++totals_.misordered;
      track.next = seq + 1;
    }
  }

  bool step(int timeout_ms) {
    std::array<epoll_event, 256> events;
    const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
    for (int i = 0; i < n; ++i) {
      const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64;
      if ((id & 1) == 0) {
        Producer& producer = *producers_[id >> 1];
        if ((events[static_cast<std::size_t>(i)].events & EPOLLIN) != 0 && !producer.receive(totals_)) return broken();
      } else {
        Consumer& consumer = *consumers_[id >> 1];
        receive_time_ = now_ns();
        const auto take = [&](std::string_view body, bool again) { on_message(consumer.queue(), body, again); };
        if (!consumer.receive(take, totals_.failure)) return broken();
      }
    }
    return true;
  }

  bool broken() {
    if (totals_.failure.empty()) totals_.failure = "the broker closed a connection";
    return false;
  }

  /// How long epoll may sleep: not at all while a producer can go on, else until the next is due.
  int sleep_ms(std::uint64_t now) const {
    std::uint64_t soonest = now + 100'000'000;  // as long as nothing of our own is due
    for (const auto& p : producers_) {
      if (p->wants_write() || p->done(deadline_)) continue;
      if (o_.confirm_window > 0 && p->unconfirmed() >= static_cast<std::uint64_t>(o_.confirm_window)) continue;
      soonest = std::min(soonest, std::max(now, p->next_due()));
    }
    return static_cast<int>((soonest - now) / 1'000'000);
  }

  void work() {
    started_ = now_ns();
    deadline_ = started_ + static_cast<std::uint64_t>(o_.seconds * 1e9);
    std::uint64_t next_report = started_ + 1'000'000'000;
    bool running = true;
    std::uint64_t quiet_since = 0;
    bool consuming_later = o_.drain;
    while (running) {
      const std::uint64_t now = now_ns();
      if (now >= next_report) {
        next_report += 1'000'000'000;
        progress_(totals_);
      }
      for (auto& p : producers_)
        if (!p->done(deadline_) || p->wants_write())
          if (!p->publish(now, deadline_, totals_)) running = broken();
      const bool busy = producing();
      if (!busy && totals_.publish_seconds == 0)
        totals_.publish_seconds = static_cast<double>(now_ns() - started_) / 1e9;
      if (!busy && consuming_later) {
        consuming_later = false;
        drain_started_ = now_ns();
        if (auto ok = connect_consumers(); !ok) {
          totals_.failure = ok.error().text;
          break;
        }
      }
      const std::uint64_t before = totals_.received;
      if (!running || !step(busy ? sleep_ms(now) : 20)) break;
      if (totals_.received != before) {
        last_receive_ = now_ns();
        quiet_since = 0;
      }
      if (!busy) {
        if (consumers_.empty() || totals_.received >= expected()) break;
        if (quiet_since == 0) quiet_since = now_ns();
        if (now_ns() - quiet_since > static_cast<std::uint64_t>(o_.drain_wait * 1e9)) break;
      }
    }
    for (auto& c : consumers_) c->acknowledge_rest(), (void)c->flush();
    const std::uint64_t from = drain_started_ != 0 ? drain_started_ : started_;
    totals_.receive_seconds = last_receive_ > from ? static_cast<double>(last_receive_ - from) / 1e9 : 0;
  }

  std::uint64_t expected() const {
    const std::uint64_t copies = o_.fanout > 0 ? static_cast<std::uint64_t>(o_.fanout)
                                 : o_.topic_bindings > 0 ? static_cast<std::uint64_t>(o_.queues) : 1;
    return totals_.published * copies - totals_.rejected * copies;
  }

  void verify() {
    if (consumers_.empty() || producers_.empty()) return;
    const std::uint64_t distinct = totals_.received - totals_.duplicates - std::min(totals_.received, totals_.redelivered);
    if (expected() > distinct && totals_.redelivered == 0) totals_.lost = expected() - distinct;
  }

  struct Track {
    Seen seen;
    std::uint64_t next{0};
  };
  const Options& o_;
  const std::function<void(const Totals&)>& progress_;
  int epoll_;
  Totals totals_;
  std::vector<std::unique_ptr<Producer>> producers_;
  std::vector<std::unique_ptr<Consumer>> consumers_;
  std::map<std::pair<int, std::uint64_t>, Track> seen_;
  std::uint64_t started_{0}, deadline_{0}, drain_started_{0}, last_receive_{0}, receive_time_{0};
};

}  // namespace

Totals run_load(const Options& options, const std::function<void(const Totals&)>& progress) {
  return Load(options, progress).run();
}

}  // namespace warren::perf
