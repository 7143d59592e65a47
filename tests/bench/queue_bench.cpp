// Nanoseconds that a message spends inside a queue. Records are made once and published again and
// again; sinks only count. Prints a line each; judges nothing.

#include "node/broker/queue/queue.h"

#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace warren;
using namespace warren::broker;

class Host final : public QueueHost {
 public:
  Millis wall_ms() const override { return 1'700'000'000'000; }
  Millis steady_ms() const override { return 1'000; }
  void want_pump(QueueEndpoint&) override {}
  void want_timer(QueueEndpoint&, Millis) override {}
  void dead_letter(QueueEndpoint&, const Delivery&, DeathReason) override {}
  void want_delete(QueueEndpoint&, std::string_view) override {}
};

/// Keeps lengths only, or with `keep` the bytes for reading.
class Log final : public QueueLog {
 public:
  LogIndex append(std::string head, std::string_view tail, BlockRef) override {
    bytes += head.size() + tail.size();
    if (keep != nullptr) heads[last + 1] = head;
    return ++last;
  }
  LogIndex append_lazy(std::string head) override {
    bytes += head.size();
    return ++last;
  }
  void read(LogIndex index) override { reads.push_back(index); }
  void checkpoint(std::vector<std::pair<std::string, std::optional<std::string>>>, LogIndex,
                  std::vector<LogIndex>) override {}
  LogIndex last{0};
  std::uint64_t bytes{0};
  std::deque<LogIndex> reads;
  std::map<LogIndex, std::string> heads;
  Block* keep{nullptr};
};

class Sink final : public ConsumerSink {
 public:
  explicit Sink(bool remember) : remember_(remember) {}
  bool can_take() const override { return true; }
  void deliver(const Delivery& d) override {
    bytes += d.message.body_size();
    ++count;
    if (remember_) held.push_back(d.position);
  }
  void cancelled() override {}
  std::uint64_t bytes{0}, count{0};
  std::vector<Position> held;

 private:
  bool remember_;
};

struct Records {
  Records(int n, std::size_t body, bool persistent) {
    const std::string_view props("\x10\x00\x02", 3);
    batch = new PublishBatch(nullptr);
    batch->block = Block::make(static_cast<std::size_t>(n) * record_bytes(0, 5, 3, body));
    for (int i = 0; i < n; ++i) {
      RecordHeader h{};
      h.body_size = static_cast<std::uint32_t>(body);
      h.flags = persistent ? kPersistent : 0;
      h.timestamp_ms = 1'700'000'000'000;
      h.expiration_ms = kNoExpiration;
      refs.push_back({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(batch->block->size())});
      std::memset(append_record(*batch->block, h, "", "queue", props), 'x', body);
    }
    batch->count = static_cast<std::uint32_t>(n);
    batch->expect();  // never settles
  }
  PublishBatchRef batch;
  std::vector<RecordRef> refs;
};

MemoryBudget budget;
QueueOptions options;
Host host;

std::unique_ptr<Queue> make(Log* log) {
  metadata::QueueDef def;
  def.name = "q";
  def.durable = log != nullptr;
  return std::make_unique<Queue>(def, QueueSettings{}, host, log, budget, options);
}

template <class Work>
void measure(const char* what, std::uint64_t messages, Work work) {
  double best = 1e18;
  for (int pass = 0; pass < 3; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / static_cast<double>(messages));
  }
  std::printf("%-64s %8.1f ns/message\n", what, best);
}

constexpr std::uint64_t kMessages = 2'000'000;

void pass_through(const char* what, Log* log, int per_batch, std::size_t body, bool no_ack,
                  int consumers = 1, std::uint32_t ack_every = 50) {
  auto queue = make(log);
  Records records(per_batch, body, log != nullptr);
  std::vector<std::unique_ptr<Sink>> sinks;
  for (int i = 0; i < consumers; ++i) {
    ConsumerSpec spec;
    spec.holder = static_cast<HolderId>(i + 1);
    spec.no_ack = no_ack;
    spec.prefetch = no_ack ? 0 : 500;
    queue->subscribe(spec, *sinks.emplace_back(std::make_unique<Sink>(!no_ack)));
  }
  measure(what, kMessages, [&] {
    for (std::uint64_t done = 0; done < kMessages; done += static_cast<std::uint64_t>(per_batch)) {
      queue->publish(*records.batch, records.refs);
      queue->pump();
      for (std::size_t i = 0; i < sinks.size(); ++i) {
        auto& held = sinks[i]->held;
        std::size_t from = 0;
        for (; held.size() - from >= ack_every; from += ack_every)
          queue->settle(i + 1, {held.data() + from, ack_every}, Settle::ack);
        held.erase(held.begin(), held.begin() + static_cast<long>(from));
      }
      if (log != nullptr) queue->on_durable(log->last);
    }
  });
}

void fan_out() {
  std::vector<std::unique_ptr<Queue>> queues;
  Sink sink(false);
  for (int i = 0; i < 10; ++i) {
    queues.push_back(make(nullptr));
    ConsumerSpec spec;
    spec.holder = 1;
    spec.no_ack = true;
    queues.back()->subscribe(spec, sink);
  }
  Records records(64, 16, false);
  measure("fan-out to 10 queues, auto-ack, batches of 64 (per delivery)", kMessages, [&] {
    for (std::uint64_t done = 0; done < kMessages; done += 640) {
      for (auto& queue : queues) queue->publish(*records.batch, records.refs);
      for (auto& queue : queues) queue->pump();
    }
  });
}

void spread() {
  std::vector<std::unique_ptr<Queue>> queues;
  Sink sink(false);
  for (int i = 0; i < 4; ++i) {
    queues.push_back(make(nullptr));
    ConsumerSpec spec;
    spec.holder = 1;
    spec.no_ack = true;
    queues.back()->subscribe(spec, sink);
  }
  Records records(256, 16, false);
  std::vector<std::vector<RecordRef>> part(4);
  for (const RecordRef& ref : records.refs) part[ref.number % 4].push_back(ref);
  measure("every fourth record of a block to each of 4 queues", kMessages, [&] {
    for (std::uint64_t done = 0; done < kMessages; done += 256) {
      for (int i = 0; i < 4; ++i) queues[static_cast<std::size_t>(i)]->publish(*records.batch, part[static_cast<std::size_t>(i)]);
      for (auto& queue : queues) queue->pump();
    }
  });
}

std::size_t heap() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

void backlog(const char* what, int per_batch, std::size_t body, std::uint64_t messages) {
  Log log;
  Records records(per_batch, body, true);
  log.keep = records.batch->block.get();
  const std::size_t log_before = heap();
  for (std::uint64_t i = 1; i <= messages / static_cast<std::uint64_t>(per_batch); ++i)
    log.heads[i] = std::string(14, 'x');
  const std::size_t log_bytes = heap() - log_before;
  log.heads.clear();
  auto queue = make(&log);
  const std::size_t before = heap();
  for (std::uint64_t done = 0; done < messages; done += static_cast<std::uint64_t>(per_batch)) {
    // A block of its own, as it would come from a channel.
    PublishBatchRef batch(new PublishBatch(nullptr));
    batch->block = Block::copy_of(records.batch->block->bytes());
    batch->count = records.batch->count;
    batch->expect();
    queue->publish(*batch, records.refs);
    queue->pump();
    queue->on_durable(log.last);
  }
  const std::size_t used = heap() - before - log_bytes;
  std::printf("%-64s %8.1f bytes/message, %.1f MiB in all, stats say %.1f MiB\n", what,
              static_cast<double>(used) / static_cast<double>(messages),
              static_cast<double>(used) / 1048576.0,
              static_cast<double>(queue->stats().memory_bytes) / 1048576.0);
  Sink sink(false);
  ConsumerSpec spec;
  spec.holder = 1;
  spec.no_ack = true;
  queue->subscribe(spec, sink);
  const auto start = std::chrono::steady_clock::now();
  while (sink.count < messages) {
    queue->pump();
    queue->on_durable(log.last);
    while (!log.reads.empty()) {
      const LogIndex index = log.reads.front();
      log.reads.pop_front();
      const std::string& head = log.heads.at(index);
      BlockRef block = Block::make(head.size() + log.keep->size());
      std::memcpy(block->append(head.size()), head.data(), head.size());
      std::memcpy(block->append(log.keep->size()), log.keep->data(), log.keep->size());
      queue->on_read(index, std::move(block), {});
    }
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  std::printf("%-64s %8.1f ns/message\n", "  its drain, reads included",
              took.count() / static_cast<double>(messages));
}

}  // namespace

int main() {
  Log log;
  pass_through("transient 16 B, auto-ack, batches of 256", nullptr, 256, 16, true);
  pass_through("transient 16 B, auto-ack, batches of 64", nullptr, 64, 16, true);
  pass_through("transient 16 B, auto-ack, batches of 8", nullptr, 8, 16, true);
  pass_through("transient 16 B, auto-ack, one by one", nullptr, 1, 16, true);
  pass_through("transient 1 KiB, auto-ack, batches of 64", nullptr, 64, 1024, true);
  pass_through("transient 16 B, auto-ack, batches of 64, 4 consumers", nullptr, 64, 16, true, 4);
  pass_through("transient 16 B, ack every 50, batches of 64", nullptr, 64, 16, false);
  pass_through("transient 16 B, ack one by one, batches of 64", nullptr, 64, 16, false, 1, 1);
  pass_through("durable 16 B, auto-ack, batches of 64", &log, 64, 16, true);
  pass_through("durable 16 B, ack every 50, batches of 64", &log, 64, 16, false);
  pass_through("durable 16 B, ack every 50, one by one", &log, 1, 16, false);
  fan_out();
  spread();
  backlog("backlog of 1,000,000 x 100 B in batches of 64", 64, 100, 1'000'000);
  backlog("backlog of 1,000,000 x 100 B one by one", 1, 100, 1'000'000);
  backlog("backlog of 300,000 x 1 KiB in batches of 16", 16, 1024, 300'000);
}
