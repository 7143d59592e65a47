#pragma once
// A queue with everything around it faked: a log with explicit durability and crashes, a host with
// a hand-moved clock, consumers that remember what they got.

#include "node/broker/queue/queue.h"

#include <gtest/gtest.h>

#include <map>
#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace warren::broker::test {

/// A log in memory. Nothing is durable until sync(); crash() loses what was not.
class FakeLog final : public QueueLog {
 public:
  LogIndex append(std::string head, std::string_view tail, BlockRef) override {
    ++appends;
    head.append(tail);
    records[++last] = std::move(head);
    return last;
  }
  LogIndex append_lazy(std::string head) override {
    ++lazy;
    records[++last] = std::move(head);
    return last;
  }
  void read(LogIndex index) override {
    EXPECT_TRUE(records.contains(index)) << "read of a dead entry";
    EXPECT_LE(index, durable) << "a body left memory before it was on disc";
    reads.push_back(index);
  }
  void checkpoint(std::vector<std::pair<std::string, std::optional<std::string>>> rows,
                  LogIndex covers, std::vector<LogIndex> live) override {
    ++checkpoints;
    EXPECT_TRUE(std::is_sorted(live.begin(), live.end()));
    EXPECT_LE(covers, last);
    pending_.push_back({last, std::move(rows), covers, std::move(live)});
  }

  /// Everything up to `index` reaches the disc, with the checkpoints written by then.
  void sync(LogIndex index) {
    durable = std::max(durable, index);
    while (!pending_.empty() && pending_.front().after <= durable) {
      auto& c = pending_.front();
      for (auto& [key, value] : c.rows) {
        if (value) rows[key] = *value; else rows.erase(key);
      }
      covers = c.covers;
      const std::set<LogIndex> keep(c.live.begin(), c.live.end());
      std::erase_if(records, [&](const auto& r) {
        return r.first <= c.covers && !keep.contains(r.first);
      });
      pending_.pop_front();
    }
  }
  /// The machine loses power.
  void crash() {
    pending_.clear();
    reads.clear();
    records.erase(records.upper_bound(durable), records.end());
    last = std::max(durable, covers);
  }

  struct Pending {
    LogIndex after;
    std::vector<std::pair<std::string, std::optional<std::string>>> rows;
    LogIndex covers;
    std::vector<LogIndex> live;
  };
  std::map<LogIndex, std::string> records;
  std::map<std::string, std::string> rows;
  LogIndex last{0}, durable{0}, covers{0};
  std::deque<LogIndex> reads;
  int appends{0}, lazy{0}, checkpoints{0};

 private:
  std::deque<Pending> pending_;
};

/// Scratch space in memory: answers when it is told to, and knows who forgets a page.
class FakePages final : public QueuePages {
 public:
  bool has_room() const override { return pending.size() < 4 && !full; }
  PageId write(metadata::QueueUid, std::string_view bytes, BlockRef) override {
    EXPECT_TRUE(has_room());
    pages[++last] = std::string(bytes);
    pending.push_back(last);
    return last;
  }
  void read(metadata::QueueUid, PageId page, std::size_t bytes) override {
    EXPECT_TRUE(pages.contains(page) && pages.at(page).size() == bytes);
    reads.push_back(page);
  }
  void release(PageId page, std::size_t bytes) override {
    EXPECT_TRUE(pages.contains(page)) << "released twice";
    EXPECT_EQ(pages[page].size(), bytes);
    EXPECT_EQ(std::count(pending.begin(), pending.end(), page), 0) << "its write is not answered";
    pages.erase(page);
  }
  void answer_write(Queue& queue, bool success) {
    const PageId page = pending.front();
    pending.pop_front();
    written += success;
    queue.on_page_written(page, success);
  }
  void answer_read(Queue& queue, std::size_t at) {
    const PageId page = reads[at];
    reads.erase(reads.begin() + static_cast<std::ptrdiff_t>(at));
    const auto it = pages.find(page);  // may be dead by now
    queue.on_page_read(page, it == pages.end() ? BlockRef{} : Block::copy_of(it->second), {});
  }

  std::map<PageId, std::string> pages;
  std::deque<PageId> pending, reads;
  PageId last{0};
  bool full{false};
  int written{0};
};

struct Dead {
  std::string body;
  DeathReason reason;
  bool operator==(const Dead&) const = default;
};

class FakeHost final : public QueueHost {
 public:
  Millis wall_ms() const override { return clock.wall_ms(); }
  Millis steady_ms() const override { return clock.steady_ms(); }
  void want_pump(QueueEndpoint&) override { ++pumps_wanted; }
  void want_timer(QueueEndpoint&, Millis at) override { timer = at; }
  void dead_letter(QueueEndpoint&, const Delivery& d, DeathReason reason) override {
    dead.push_back({std::string(d.message.body()), reason});
    if (on_dead) on_dead(d);
  }
  void dead_letter_kept(QueueEndpoint&, const Delivery& d, DeathReason reason, bool again) override {
    kept.push_back({d.position, std::string(d.message.body()), reason, again});
  }
  void want_delete(QueueEndpoint&, std::string_view) override { ++deletes_wanted; }
  QueuePages* pages() override { return scratch; }

  ManualClock clock;
  FakePages* scratch{nullptr};
  int pumps_wanted{0};
  int deletes_wanted{0};
  Millis timer{0};
  std::vector<Dead> dead;
  struct Kept {
    Position position;
    std::string body;
    DeathReason reason;
    bool again;
  };
  std::vector<Kept> kept;  ///< sent at least once; to be answered
  std::function<void(const Delivery&)> on_dead;
};

struct Got {
  HolderId holder;
  Position position;
  std::string body;
  bool redelivered;
  std::uint32_t delivery_count;
};

class FakeSink final : public ConsumerSink {
 public:
  bool can_take() const override { return room > 0; }
  void deliver(const Delivery& d) override {
    --room;
    got.push_back({d.holder, d.position, std::string(d.message.body()), d.redelivered,
                   d.delivery_count});
    if (order != nullptr) order->push_back(d.holder);
  }
  void cancelled() override { ++cancels; }

  std::vector<std::string> bodies() const {
    std::vector<std::string> out;
    for (const Got& g : got) out.push_back(g.body);
    return out;
  }
  std::vector<Position> positions() const {
    std::vector<Position> out;
    for (const Got& g : got) out.push_back(g.position);
    return out;
  }

  std::int64_t room{1'000'000'000};
  int cancels{0};
  std::vector<Got> got;
  std::vector<HolderId>* order{nullptr};
};

struct Message {
  std::string body;
  bool persistent{true};
  std::uint8_t priority{0};
  std::uint64_t expiration_ms{kNoExpiration};
};

/// Settled batches, by name.
class FakePublisher final : public Publisher {
 public:
  void on_settled(PublishBatch& batch) override {
    settled.push_back(batch.first_seq);
    rejected[batch.first_seq] = batch.rejected;
  }
  bool is_settled(std::uint64_t seq) const {
    return std::find(settled.begin(), settled.end(), seq) != settled.end();
  }
  std::vector<std::uint64_t> settled;
  std::map<std::uint64_t, std::vector<std::uint32_t>> rejected;
};

/// Builds a batch of records; `numbers` receives where each begins.
inline PublishBatchRef make_batch(Publisher& publisher, const std::vector<Message>& messages,
                                  std::uint64_t seq, Millis now, std::vector<RecordRef>& refs) {
  PublishBatchRef batch(new PublishBatch(&publisher));
  std::size_t bytes = 0;
  const std::string_view props("\0\0", 2);
  for (const Message& m : messages) bytes += record_bytes(1, 2, props.size(), m.body.size());
  batch->block = Block::make(bytes);
  batch->first_seq = seq;
  for (const Message& m : messages) {
    RecordHeader h{};
    h.body_size = static_cast<std::uint32_t>(m.body.size());
    h.priority = m.priority;
    h.flags = m.persistent ? kPersistent : 0;
    h.timestamp_ms = static_cast<std::uint64_t>(now);
    h.expiration_ms = m.expiration_ms;
    refs.push_back({batch->count++, static_cast<std::uint32_t>(batch->block->size())});
    char* body = append_record(*batch->block, h, "x", "rk", props);
    std::memcpy(body, m.body.data(), m.body.size());
  }
  return batch;
}

class QueueTest : public ::testing::Test {
 protected:
  enum Kind { transient, durable };

  Queue& make(Kind kind = transient, QueueSettings settings = {}) {
    settings_ = std::move(settings);
    def_.vhost = "/";
    def_.name = "q";
    def_.durable = kind == durable;
    log_ = kind == durable ? std::make_unique<FakeLog>() : nullptr;
    queue_ = std::make_unique<Queue>(def_, settings_, host_, log_.get(), budget_, options_);
    return *queue_;
  }
  /// Loses power and starts again from what is on the disc.
  void crash() {
    queue_.reset();
    log_->crash();
    start();
  }
  /// Stops after everything reached the disc, and starts again.
  void restart() {
    sync();
    queue_.reset();
    start();
  }
  void start() {
    queue_ = std::make_unique<Queue>(def_, settings_, host_, log_.get(), budget_, options_);
    const std::vector<std::pair<std::string, std::string>> rows(log_->rows.begin(),
                                                                log_->rows.end());
    if (!rows.empty()) {
      ASSERT_TRUE(queue_->restore(rows));
    }
    replayed_ = 0;
    for (const auto& [index, record] : log_->records) {
      if (index > log_->covers) ++replayed_;  // the others are given too, and have to be ignored
      ASSERT_TRUE(queue_->replay(index, record, nullptr));
    }
    queue_->recovered();
    queue_->check_invariants();
  }

  void publish(const std::vector<Message>& messages, std::uint64_t seq = 0) {
    std::vector<RecordRef> refs;
    const PublishBatchRef batch =
        make_batch(publisher_, messages, seq, host_.clock.wall_ms(), refs);
    batch->expect();
    queue_->publish(*batch, refs);
    batch->answered();
  }
  void publish(std::initializer_list<const char*> bodies) {
    std::vector<Message> messages;
    for (const char* body : bodies) messages.push_back({body});
    publish(messages);
  }
  /// n messages "from", "from + 1", ...
  void publish_numbered(int from, int n) {
    std::vector<Message> messages;
    for (int i = 0; i < n; ++i) messages.push_back({std::to_string(from + i)});
    publish(messages);
  }
  FakeSink& consume(HolderId holder, ConsumerSpec spec = {}) {
    auto& sink = sinks_.emplace_back(std::make_unique<FakeSink>());
    spec.holder = holder;
    spec.tag = "c" + std::to_string(holder);
    EXPECT_EQ(queue_->subscribe(std::move(spec), *sink), QueueError::none);
    return *sink;
  }
  static ConsumerSpec prefetch(std::uint32_t n) {
    ConsumerSpec spec;
    spec.prefetch = n;
    return spec;
  }
  static ConsumerSpec auto_ack() {
    ConsumerSpec spec;
    spec.no_ack = true;
    return spec;
  }
  void settle(HolderId holder, std::vector<Position> positions, Settle how = Settle::ack) {
    queue_->settle(holder, positions, how);
  }
  /// Turns until nothing moves: pumps, answers reads, makes everything durable.
  void run() {
    for (int i = 0; i < 1000; ++i) {
      host_.pumps_wanted = 0;
      queue_->pump();
      queue_->check_invariants();
      if (log_) {
        sync();
        answer_reads();
      }
      if (host_.pumps_wanted == 0) return;
    }
    FAIL() << "never comes to rest";
  }
  void sync() {
    log_->sync(log_->last);
    queue_->on_durable(log_->last);
  }
  void answer_reads() {
    while (!log_->reads.empty()) {
      const LogIndex index = log_->reads.front();
      log_->reads.pop_front();
      queue_->on_read(index, Block::copy_of(log_->records.at(index)), {});
    }
  }
  void advance(Millis by) {
    host_.clock.advance(by);
    while (host_.timer != 0 && host_.timer <= host_.clock.steady_ms()) {
      host_.timer = 0;
      queue_->on_timer();
    }
    run();
  }
  std::optional<std::string> get(HolderId holder = 99, bool no_ack = true) {
    std::optional<std::string> out;
    bool called = false;
    queue_->get(holder, no_ack, [&](const GetResult& r) {
      called = true;
      if (r.delivery) {
        out = std::string(r.delivery->message.body());
        got_position_ = r.delivery->position;
        got_redelivered_ = r.delivery->redelivered;
        got_remaining_ = r.remaining;
      }
    });
    run();
    EXPECT_TRUE(called);
    return out;
  }
  std::uint64_t ready() const { return queue_->stats().ready; }
  std::uint64_t unacked() const { return queue_->stats().unacked; }

  metadata::QueueDef def_;
  QueueSettings settings_;
  QueueOptions options_;
  MemoryBudget budget_;
  FakeHost host_;
  FakePublisher publisher_;
  std::unique_ptr<FakeLog> log_;
  std::unique_ptr<Queue> queue_;
  std::vector<std::unique_ptr<FakeSink>> sinks_;
  Position got_position_{0};
  bool got_redelivered_{false};
  std::uint32_t got_remaining_{0};
  int replayed_{0};
};

using Bodies = std::vector<std::string>;

}  // namespace warren::broker::test
