// Random operations against a dumb model, with crashes, slow discs and little memory. The model
// judges every event (delivery, dead letter, confirm) when it happens, and at rest that nothing
// was forgotten. A failing seed is printed; WARREN_SEED repeats it, WARREN_RUNS plays more.
#include "base/prng.h"
#include "tests/node/broker/queue/queue_fixture.h"

#include <deque>

namespace warren::broker::test {
namespace {

struct Shape {
  const char* name;
  bool durable;
  bool quorum;
  int max_priority;
  bool limits;
  bool small_memory;
};

enum class At { ready, held, gone };

struct ModelMessage {
  int id{0};
  std::string body;
  unsigned level{0};
  bool persistent{false};
  Millis expires_at{INT64_MAX};
  bool zero_ttl{false};
  At at{At::ready};
  HolderId holder{0};
  bool delivered{false};      ///< ever
  bool returned{false};
  std::uint64_t return_order{0};
  std::uint32_t failures{0};
  LogIndex enqueued{0};       ///< 0 = not logged
  LogIndex gone_low{0}, gone_high{0};  ///< the removal is in one of these records; 0 = not yet
};

class Model;

class ModelSink final : public ConsumerSink {
 public:
  ModelSink(Model& model, HolderId id, std::uint32_t prefetch, bool no_ack, int priority)
      : model_(model), id(id), prefetch(prefetch), no_ack(no_ack), priority(priority) {}
  bool can_take() const override { return room > 0; }
  void deliver(const Delivery& d) override;
  void cancelled() override {}

  Model& model_;
  HolderId id;
  std::uint32_t prefetch;
  bool no_ack;
  int priority;
  int room{5};
  std::vector<std::pair<Position, int>> held;
};

class Model : public Publisher, public QueueHost {
 public:
  Model(const Shape& shape, std::uint64_t seed) : shape_(shape), rng_(seed) {
    def_.name = "q";
    def_.durable = shape.durable;
    def_.type = shape.quorum ? metadata::QueueType::quorum : metadata::QueueType::classic;
    if (shape.max_priority > 0) settings_.max_priority = shape.max_priority;
    settings_.dead_letter_exchange = "dlx";
    if (shape.limits) {
      settings_.max_length = 40;
      settings_.message_ttl_ms = 400;
    }
    if (shape.quorum) settings_.delivery_limit = 3;
    if (shape.small_memory) {
      options_.resident_bytes_max = 600;
      options_.resident_bytes_min = 200;
      options_.read_ahead_bytes = 200;
      options_.read_ahead_entries = 4;
    }
    options_.checkpoint_bytes = 3000;
    options_.watermark_reserve = 8;
    make();
    queue_->check_invariants();
  }

  void play(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) step();
    settle_down();
  }

  // ---- events
  void on_settled(PublishBatch& batch) override {
    const auto it = confirms_.find(batch.first_seq);
    ASSERT_NE(it, confirms_.end());
    EXPECT_LE(it->second, told_durable_) << "confirmed before it was durable";
    confirms_.erase(it);
  }
  Millis wall_ms() const override { return clock_.wall_ms(); }
  Millis steady_ms() const override { return clock_.steady_ms(); }
  QueuePages* pages() override { return shape_.small_memory ? &pages_ : nullptr; }
  void want_pump(QueueEndpoint&) override { pump_wanted_ = true; }
  void want_timer(QueueEndpoint&, Millis at) override { timer_ = at; }
  void want_delete(QueueEndpoint&, std::string_view) override { ADD_FAILURE(); }
  void dead_letter(QueueEndpoint&, const Delivery& d, DeathReason reason) override {
    ModelMessage* m = find(d.message);
    ASSERT_NE(m, nullptr);
    if (reason == DeathReason::rejected || reason == DeathReason::delivery_limit) {
      EXPECT_EQ(m->at, At::held);
      EXPECT_TRUE(rejecting_.erase(m->id)) << "nobody rejected it";
    } else {
      EXPECT_EQ(m->at, At::ready);
      if (reason == DeathReason::expired) {
        EXPECT_EQ(m, head(m->level));
        EXPECT_GE(clock_.wall_ms(), m->expires_at);
      } else {
        EXPECT_EQ(m, head());
        EXPECT_GT(count(At::ready), 40u);
      }
    }
    remove(*m);
  }
  void delivered(const Delivery& d, HolderId holder, bool no_ack, std::vector<std::pair<Position, int>>* held) {
    ModelMessage* m = find(d.message);
    ASSERT_NE(m, nullptr) << "a message that nobody published";
    EXPECT_EQ(m, head()) << "out of order: id " << m->id;
    EXPECT_EQ(m->at, At::ready);
    EXPECT_EQ(std::string(d.message.body()), m->body);
    EXPECT_LT(clock_.wall_ms(), m->zero_ttl ? INT64_MAX : m->expires_at) << "expired";
    if (m->delivered) EXPECT_TRUE(d.redelivered);
    if (!crashed_) EXPECT_EQ(d.redelivered, m->delivered);
    if (shape_.quorum) EXPECT_EQ(d.delivery_count, m->failures);
    m->delivered = true;
    if (no_ack) {
      remove(*m);
    } else {
      m->at = At::held;
      m->holder = holder;
      held->emplace_back(d.position, m->id);
    }
  }

  int written_pages() const { return pages_.written; }

 private:
  void make() {
    queue_ = std::make_unique<Queue>(def_, settings_, *this, shape_.durable ? &log_ : nullptr,
                                     budget_, options_);
  }
  ModelMessage* find(const MessageView& view) {
    const std::string body(view.body());
    const auto it = messages_.find(std::stoi(body));
    return it == messages_.end() || it->second.at == At::gone ? nullptr : &it->second;
  }
  /// The one that has to go next: by level, returned ones in their order first on a quorum queue.
  ModelMessage* head(int level = -1) {
    ModelMessage* best = nullptr;
    const auto rank = [&](const ModelMessage& m) {
      return std::make_tuple(-static_cast<int>(m.level), shape_.quorum && !m.returned,
                             shape_.quorum && m.returned ? m.return_order : 0, m.id);
    };
    for (auto& [id, m] : messages_) {
      if (m.at != At::ready || (level >= 0 && m.level != static_cast<unsigned>(level))) continue;
      if (best == nullptr || rank(m) < rank(*best)) best = &m;
    }
    return best;
  }
  std::uint64_t count(At at) const {
    std::uint64_t n = 0;
    for (const auto& [id, m] : messages_) n += m.at == at;
    return n;
  }
  void remove(ModelMessage& m) { m.at = At::gone; }
  void give_back(ModelMessage& m) {
    if (shape_.quorum && m.failures >= 3) {
      rejecting_.insert(m.id);
      return;
    }
    ++m.failures;
    m.at = At::ready;
    m.returned = true;
    m.return_order = ++returns_;
  }

  void step() {
    low_ = log_.last + 1;
    switch (rng_.below(20)) {
      case 0: case 1: case 2: case 3: publish(); break;
      case 4: subscribe(); break;
      case 5: if (rng_.chance(1, 3)) leave(); break;
      case 6: case 7: case 8: case 9: case 10: settle(); break;
      case 11: for (auto& [id, s] : sinks_) { s->room += 3; queue_->resume(id); } break;
      case 12: get(); break;
      case 13: if (rng_.chance(1, 8)) purge(); break;
      case 14: if (shape_.durable) sync(); break;
      case 15: answer_reads(); answer_pages(); break;
      case 16: clock_.advance(static_cast<Millis>(rng_.below(100))); timers(); break;
      case 17: if (rng_.chance(1, 4)) { queue_->checkpoint(); removals_logged(); } break;
      case 18: if (rng_.chance(1, 6) && shape_.durable) crash(); break;
      default: pump(); break;
    }
    if (rng_.chance(1, 2) && pump_wanted_) pump();
    check();
  }
  void check() {
    queue_->check_invariants();
    const QueueStats s = queue_->stats();
    std::uint64_t ready = 0, held = 0, ready_bytes = 0, held_bytes = 0, kept = 0, kept_bytes = 0;
    for (const auto& [id, m] : messages_) {
      if (m.at == At::gone) continue;
      (m.at == At::ready ? ready : held) += 1;
      (m.at == At::ready ? ready_bytes : held_bytes) += m.body.size();
      if (shape_.durable && (m.persistent || shape_.quorum)) {
        ++kept;
        kept_bytes += m.body.size();
      }
    }
    EXPECT_EQ(s.ready, ready);
    EXPECT_EQ(s.unacked, held);
    EXPECT_EQ(s.ready_bytes, ready_bytes);
    EXPECT_EQ(s.unacked_bytes, held_bytes);
    EXPECT_EQ(s.persistent, kept);
    EXPECT_EQ(s.persistent_bytes, kept_bytes);
  }
  void pump() {
    pump_wanted_ = false;
    queue_->pump();
    removals_logged();
  }
  /// Whatever is gone by now has its removal in the log.
  void removals_logged() {
    for (auto& [id, m] : messages_)
      if (m.at == At::gone && m.gone_high == 0) {
        m.gone_low = low_;
        m.gone_high = log_.last;
      }
  }
  void timers() {
    while (timer_ != 0 && timer_ <= clock_.steady_ms()) {
      timer_ = 0;
      queue_->on_timer();
      removals_logged();
    }
  }

  void publish() {
    std::vector<Message> in;
    std::vector<RecordRef> refs;
    const int n = 1 + static_cast<int>(rng_.below(rng_.chance(1, 10) ? 30 : 4));
    const int mode = static_cast<int>(rng_.below(4));  // all persistent, none, mixed, part of a block
    std::vector<int> ids;
    for (int i = 0; i < n; ++i) {
      Message message;
      message.body = std::to_string(next_id_ + i) + " " + std::string(rng_.below(60), '.');
      message.persistent = mode == 1 ? false : mode == 2 ? rng_.chance(1, 2) : true;
      message.priority = static_cast<std::uint8_t>(rng_.below(6));
      if (shape_.limits && rng_.chance(1, 5)) message.expiration_ms = rng_.below(5) * 50;
      in.push_back(message);
    }
    const std::uint64_t seq = ++seq_;
    const PublishBatchRef batch = make_batch(*this, in, seq, clock_.wall_ms(), refs);
    std::vector<RecordRef> mine;
    for (const RecordRef& ref : refs)
      if (mode != 3 || rng_.chance(2, 3)) mine.push_back(ref);
    batch->expect();
    const LogIndex before = log_.last;
    confirms_[seq] = 0;
    if (!mine.empty()) {
      queue_->publish(*batch, mine);
      const bool logged = log_.last > before;
      bool any = false;
      for (const RecordRef& ref : mine) {
        const Message& message = in[ref.number];
        ModelMessage m;
        m.id = next_id_ + static_cast<int>(ref.number);
        m.body = message.body;
        m.persistent = message.persistent;
        any |= message.persistent || shape_.quorum;
        m.level = static_cast<unsigned>(std::min<int>(message.priority, shape_.max_priority));
        std::uint64_t ttl = message.expiration_ms;
        if (shape_.limits) ttl = std::min<std::uint64_t>(ttl, 400);
        if (ttl != kNoExpiration) m.expires_at = clock_.wall_ms() + static_cast<Millis>(ttl);
        m.zero_ttl = ttl == 0;
        m.enqueued = logged ? log_.last : 0;
        messages_[m.id] = m;
      }
      EXPECT_EQ(logged, any && shape_.durable);
      if (logged) confirms_[seq] = log_.last;
    }
    next_id_ += n;
    batch->answered();
  }
  void subscribe() {
    if (sinks_.size() >= 4) return;
    const HolderId id = ++next_holder_;
    ConsumerSpec spec;
    spec.holder = id;
    spec.no_ack = rng_.chance(1, 4);
    spec.prefetch = static_cast<std::uint32_t>(rng_.below(6));
    spec.priority = static_cast<int>(rng_.below(2));
    sinks_[id] = std::make_unique<ModelSink>(*this, id, spec.prefetch, spec.no_ack, spec.priority);
    EXPECT_EQ(queue_->subscribe(spec, *sinks_[id]), QueueError::none);
  }
  void leave() {
    if (sinks_.empty()) return;
    auto it = std::next(sinks_.begin(), static_cast<long>(rng_.below(sinks_.size())));
    auto held = it->second->held;
    std::sort(held.begin(), held.end());
    for (const auto& [position, id] : held) give_back(messages_.at(id));
    queue_->release(it->first);
    sinks_.erase(it);
  }
  void settle() {
    auto* held = &get_held_;
    HolderId holder = kGetter;
    if (!sinks_.empty() && rng_.chance(4, 5)) {
      auto it = std::next(sinks_.begin(), static_cast<long>(rng_.below(sinks_.size())));
      held = &it->second->held;
      holder = it->first;
    }
    std::vector<Position> positions;
    const bool in_order = rng_.chance(2, 3);
    const auto how = static_cast<Settle>(rng_.chance(2, 3) ? 0 : rng_.below(3));
    for (std::uint64_t n = rng_.below(6); n-- > 0 && !held->empty();) {
      auto it = in_order ? held->begin()
                         : std::next(held->begin(), static_cast<long>(rng_.below(held->size())));
      positions.push_back(it->first);
      ModelMessage& m = messages_.at(it->second);
      if (how == Settle::ack) remove(m);
      if (how == Settle::requeue) give_back(m);
      if (how == Settle::reject) rejecting_.insert(m.id);
      held->erase(it);
    }
    if (rng_.chance(1, 10)) positions.push_back(rng_.below(1000) + 1'000'000);
    queue_->settle(holder, positions, how);
  }
  void get() {
    const bool no_ack = rng_.chance(1, 2);
    queue_->get(kGetter, no_ack, [this, no_ack](const GetResult& r) {
      if (r.delivery) {
        delivered(*r.delivery, kGetter, no_ack, &get_held_);
        EXPECT_EQ(r.remaining, count(At::ready));
      } else {
        EXPECT_EQ(count(At::ready), 0u);
      }
    });
  }
  void purge() {
    std::uint64_t removed = 0;
    queue_->purge([&](Asked<std::uint64_t> n) { removed = n.value; });
    EXPECT_EQ(removed, count(At::ready));
    for (auto& [id, m] : messages_)
      if (m.at == At::ready) remove(m);
    removals_logged();
  }
  void sync() {
    const LogIndex to = log_.durable + rng_.below(log_.last - log_.durable + 1);
    log_.sync(to);
    told_durable_ = to;
    queue_->on_durable(to);
  }
  void answer_reads() {
    for (std::uint64_t n = rng_.below(4); n-- > 0 && !log_.reads.empty();) {
      const auto at = static_cast<long>(rng_.below(log_.reads.size()));
      const LogIndex index = log_.reads[static_cast<std::size_t>(at)];
      log_.reads.erase(log_.reads.begin() + at);
      const auto it = log_.records.find(index);  // may be dead and dropped by now
      queue_->on_read(index, it == log_.records.end() ? BlockRef{} : Block::copy_of(it->second), {});
    }
  }

  void answer_pages() {
    pages_.full = rng_.chance(1, 8);
    for (std::uint64_t n = rng_.below(4); n-- > 0 && !pages_.pending.empty();)
      pages_.answer_write(*queue_, !rng_.chance(1, 8));
    for (std::uint64_t n = rng_.below(4); n-- > 0 && !pages_.reads.empty();)
      pages_.answer_read(*queue_, rng_.below(pages_.reads.size()));
  }

  /// Power loss. What comes back is taken from a second queue that is drained.
  void crash() {
    crashed_ = true;
    log_.crash();
    queue_.reset();
    EXPECT_EQ(pages_.pages.size(), pages_.pending.size()) << "forgotten pages";
    pages_ = FakePages();
    sinks_.clear();
    get_held_.clear();
    confirms_.clear();
    rejecting_.clear();
    log_.reads.clear();
    timer_ = 0;
    const std::set<int> back = who_comes_back();
    const LogIndex durable = log_.last;
    for (auto it = messages_.begin(); it != messages_.end();) {
      ModelMessage& m = it->second;
      const bool kept = m.enqueued != 0 && m.enqueued <= durable && (m.persistent || shape_.quorum);
      const bool surely_gone = m.at == At::gone && m.gone_high != 0 && m.gone_high <= durable;
      const bool maybe_gone = m.at == At::gone && m.gone_low != 0 && m.gone_low <= durable;
      if (back.contains(m.id)) {
        EXPECT_TRUE(kept && !surely_gone) << "came back from the dead: " << m.id;
      } else {
        EXPECT_FALSE(kept && !maybe_gone) << "lost: " << m.id;
      }
      if (!back.contains(m.id)) {
        it = messages_.erase(it);
        continue;
      }
      m.at = At::ready;
      m.gone_low = m.gone_high = 0;
      m.returned = false;
      ++it;
    }
    told_durable_ = durable;
    make();
    recover(*queue_, log_);
    // Deliveries whose count did not reach the disc are uncounted, and returned ones are again in
    // order of arrival.
    for (auto& [id, m] : messages_) {
      m.failures = counts_.at(id);
      m.returned = flagged_.at(id);
      m.return_order = ++returns_;
    }
  }
  void recover(Queue& queue, FakeLog& log) {
    const std::vector<std::pair<std::string, std::string>> rows(log.rows.begin(), log.rows.end());
    if (!rows.empty()) ASSERT_TRUE(queue.restore(rows));
    for (const auto& [index, record] : log.records)
      if (index > log.covers) ASSERT_TRUE(queue.replay(index, record, nullptr));
    queue.recovered();
    queue.check_invariants();
  }
  struct Drain final : ConsumerSink {
    bool can_take() const override { return true; }
    void deliver(const Delivery& d) override {
      const int id = std::stoi(std::string(d.message.body()));
      EXPECT_TRUE(ids.insert(id).second);
      flagged[id] = d.redelivered;
      counts[id] = d.delivery_count;
    }
    void cancelled() override {}
    std::set<int> ids;
    std::map<int, bool> flagged;
    std::map<int, std::uint32_t> counts;
  };
  std::set<int> who_comes_back() {
    FakeLog log = log_;
    MemoryBudget budget;
    FakeHost host;
    QueueSettings settings = settings_;
    settings.message_ttl_ms.reset();
    settings.max_length.reset();
    host.clock.jump_wall(-1'000'000'000'000);
    Drain drain;
    host.on_dead = [&](const Delivery& d) {  // of no time to live: it was there all the same
      const int id = std::stoi(std::string(d.message.body()));
      drain.ids.insert(id);
      drain.counts[id] = d.delivery_count;
      drain.flagged[id] = d.redelivered;
    };
    Queue queue(def_, settings, host, &log, budget, options_);
    recover(queue, log);
    ConsumerSpec spec;
    spec.holder = 1;
    spec.no_ack = true;
    EXPECT_EQ(queue.subscribe(spec, drain), QueueError::none);
    for (int i = 0; i < 100000; ++i) {
      queue.pump();
      log.sync(log.last);
      queue.on_durable(log.last);
      if (log.reads.empty() && queue.stats().ready == 0) break;
      while (!log.reads.empty()) {
        queue.on_read(log.reads.front(), Block::copy_of(log.records.at(log.reads.front())), {});
        log.reads.pop_front();
      }
    }
    EXPECT_EQ(queue.stats().ready, 0u);
    for (const auto& [id, flagged] : drain.flagged)
      if (messages_.contains(id) && messages_.at(id).delivered) EXPECT_TRUE(flagged) << id;
    counts_ = drain.counts;
    flagged_ = drain.flagged;
    return drain.ids;
  }
  /// Everything is answered, everybody can take: nothing may be left.
  void settle_down() {
    for (int i = 0; i < 5000 && !::testing::Test::HasFailure(); ++i) {
      low_ = log_.last + 1;
      if (sinks_.empty()) subscribe();
      for (auto& [id, s] : sinks_) {
        s->room = 1000;
        queue_->resume(id);
        std::vector<Position> positions;
        for (const auto& [position, mid] : s->held) {
          positions.push_back(position);
          remove(messages_.at(mid));
        }
        s->held.clear();
        queue_->settle(id, positions, Settle::ack);
      }
      if (pump_wanted_) pump();
      log_.sync(log_.last);
      told_durable_ = log_.last;
      queue_->on_durable(log_.last);
      answer_reads();
      answer_pages();
      check();
      if (!pump_wanted_ && log_.reads.empty() && pages_.reads.empty() && pages_.pending.empty() && count(At::ready) == 0 && rejecting_.empty()) break;
    }
    EXPECT_EQ(count(At::ready), 0u) << "somebody could have taken these";
    EXPECT_TRUE(rejecting_.empty());
    EXPECT_TRUE(confirms_.empty()) << "never answered";
    queue_.reset();
    EXPECT_TRUE(pages_.pages.empty()) << "pages of nobody";
  }

  static constexpr HolderId kGetter = 1'000'000;
  Shape shape_;
  Prng rng_;
  ManualClock clock_;
  metadata::QueueDef def_;
  QueueSettings settings_;
  QueueOptions options_;
  MemoryBudget budget_{shape_.small_memory ? std::size_t{300} : std::size_t{64} << 20};
  FakeLog log_;
  FakePages pages_;
  std::unique_ptr<Queue> queue_;
  std::map<int, ModelMessage> messages_;
  std::map<HolderId, std::unique_ptr<ModelSink>> sinks_;
  std::vector<std::pair<Position, int>> get_held_;
  std::map<std::uint64_t, LogIndex> confirms_;  ///< sequence -> what must be durable
  std::set<int> rejecting_;
  std::map<int, std::uint32_t> counts_;
  std::map<int, bool> flagged_;
  int next_id_{1};
  HolderId next_holder_{0};
  std::uint64_t seq_{0}, returns_{0};
  LogIndex told_durable_{0}, low_{1};
  Millis timer_{0};
  bool pump_wanted_{false};
  bool crashed_{false};
};

void ModelSink::deliver(const Delivery& d) {
  EXPECT_EQ(d.holder, id);
  EXPECT_GT(room, 0);
  if (!no_ack && prefetch != 0) EXPECT_LT(held.size(), prefetch);
  --room;
  model_.delivered(d, id, no_ack, &held);
}

class QueueModel : public ::testing::TestWithParam<Shape> {};

TEST_P(QueueModel, AgreesWithTheDumbOne) {
  const char* fixed = std::getenv("WARREN_SEED");
  const std::uint64_t from = fixed != nullptr ? std::strtoull(fixed, nullptr, 10) : 1;
  const char* wanted = std::getenv("WARREN_RUNS");
  const std::uint64_t runs = wanted != nullptr  ? std::strtoull(wanted, nullptr, 10)
                             : fixed != nullptr ? 1
                                                : 25;
  int written = 0;
  for (std::uint64_t seed = from; seed < from + runs; ++seed) {
    SCOPED_TRACE(std::string(GetParam().name) + " seed " + std::to_string(seed));
    Model model(GetParam(), seed);
    model.play(600);
    if (HasFailure()) return;
    written += model.written_pages();
  }
  if (GetParam().small_memory && !GetParam().quorum) EXPECT_GT(written, 0) << "nothing was paged out";
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, QueueModel,
    ::testing::Values(Shape{"transient", false, false, 0, false, false},
                      Shape{"transient_small_memory", false, false, 0, false, true},
                      Shape{"transient_small_limits", false, false, 3, true, true},
                      Shape{"durable", true, false, 0, false, false},
                      Shape{"durable_small_memory", true, false, 0, false, true},
                      Shape{"limits", true, false, 0, true, true},
                      Shape{"transient_limits", false, false, 0, true, false},
                      Shape{"priorities", true, false, 3, false, true},
                      Shape{"priorities_limits", true, false, 3, true, true},
                      Shape{"quorum", true, true, 0, false, true}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace warren::broker::test
