#include "node/broker/pipe/client_side.h"

#include <algorithm>
#include <utility>

namespace warren::broker::pipe {

namespace {

/// What a delivery counts for in the window, whatever its size.
constexpr std::size_t kDeliveryCost = 64;

BlockRef chosen_records(const Block& from, std::vector<RecordRef>& records) {
  std::size_t bytes = 0;
  for (const RecordRef& r : records) bytes += MessageView(from.data() + r.offset).record_size();
  if (bytes * 2 >= from.size()) return nullptr;
  BlockRef block = Block::make(bytes);
  for (RecordRef& r : records) {
    const std::string_view record = MessageView(from.data() + r.offset).record();
    r.offset = static_cast<std::uint32_t>(block->size());
    std::memcpy(block->append(record.size()), record.data(), record.size());
  }
  return block;
}

}  // namespace

Out ClientSide::op(Op op) {
  if (link_.full() && op != Op::publish) link_.cut();
  if (link_.out().empty()) host_.want_pipe_turn();
  Out out(link_.out());
  out.u8(static_cast<std::uint8_t>(op));
  return out;
}

// ---- publishing -------------------------------------------------------------------------------------

void ClientSide::publish(const metadata::QueueDef& queue, PublishBatch& batch,
                         std::span<const RecordRef> records) {
  if (records.empty()) return;
  if (!reachable_) {
    for (const RecordRef& r : records) batch.reject(r.number);
    return;
  }
  batch.expect();
  Part part{queue.uid, records.size() == batch.count, {}, false};
  if (!part.all) part.records.assign(records.begin(), records.end());
  if (last_batch_ == &batch && last_cut_ == link_.cuts() && !link_.out().empty()) {
    Unanswered& entry = unanswered_.back();
    entry.parts.push_back(std::move(part));
    return write_publish(entry, entry.parts.back(), false);
  }
  Unanswered entry{next_id_++, PublishBatchRef(&batch), batch.block, {}};
  if (!part.all)
    if (BlockRef chosen = chosen_records(*batch.block, part.records)) entry.block = std::move(chosen);
  const bool whole = entry.block == batch.block;
  entry.parts.push_back(std::move(part));
  unanswered_bytes_ += entry.block->size();
  unanswered_.push_back(std::move(entry));
  write_publish(unanswered_.back(), unanswered_.back().parts.back(), true);
  last_batch_ = whole ? &batch : nullptr;
  last_cut_ = link_.cuts();
}

void ClientSide::write_publish(const Unanswered& entry, const Part& part, bool with_block) {
  if (with_block) {
    Out out = op(Op::block);
    out.num(entry.id);
    out.num(entry.id - unanswered_.front().id);
    out.text(entry.block->bytes());
  }
  Out out = op(Op::publish);
  out.num(part.uid);
  out.num(part.records.size());
  std::uint32_t number = 0, offset = 0;
  for (const RecordRef& r : part.records) {
    out.num(r.number - number);
    out.num(r.offset - offset);
    number = r.number;
    offset = r.offset;
  }
}

void ClientSide::answer_part(Unanswered& entry, Part& part, std::span<const std::uint32_t> rejected) {
  if (part.done) return;
  part.done = true;
  for (const std::uint32_t number : rejected)
    if (number < entry.batch->count) entry.batch->reject(number);
  answered_.push_back(entry.batch);
}

void ClientSide::tell_answered() {
  while (!unanswered_.empty() &&
         std::all_of(unanswered_.front().parts.begin(), unanswered_.front().parts.end(),
                     [](const Part& part) { return part.done; })) {
    unanswered_bytes_ -= unanswered_.front().block->size();
    unanswered_.pop_front();
  }
  const auto told = std::exchange(answered_, {});
  for (const PublishBatchRef& batch : told) batch->answered();
  if (!told.empty()) host_.window_opened();
}

bool ClientSide::on_answered(In& in) {
  const std::uint64_t n = in.num(in.remaining());
  std::vector<std::uint32_t> rejected;
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t id = in.num();
    const std::uint64_t refused = in.num(in.remaining());
    rejected.clear();
    for (std::uint64_t j = 0; j < refused; ++j)
      rejected.push_back(static_cast<std::uint32_t>(in.num(UINT32_MAX)));
    if (!in.ok()) return false;
    const auto at = std::lower_bound(unanswered_.begin(), unanswered_.end(), id,
                                     [](const Unanswered& u, std::uint64_t v) { return u.id < v; });
    if (at == unanswered_.end() || at->id != id) continue;  // answered while the queue was deleted
    for (Part& part : at->parts) answer_part(*at, part, rejected);
  }
  tell_answered();
  return true;
}

// ---- asking -----------------------------------------------------------------------------------------

std::uint64_t ClientSide::request(metadata::QueueUid uid, HolderId holder, Answer done) {
  const std::uint64_t id = next_request_++;
  requests_.emplace(id, Request{uid, holder, std::move(done)});
  return id;
}

void ClientSide::ask(metadata::QueueUid uid, Question question, Answer done) {
  if (!reachable_) {
    In nothing({});
    return done(QueueError::home_down, nothing, nullptr);
  }
  const std::uint64_t id = request(uid, 0, std::move(done));
  Out out = op(Op::ask);
  out.num(id);
  out.num(uid);
  out.u8(static_cast<std::uint8_t>(question));
}

void ClientSide::get(metadata::QueueUid uid, HolderId holder, bool no_ack,
                     std::function<void(const GetResult&)> done) {
  GetResult nothing;
  nothing.error = QueueError::home_down;
  if (!reachable_) return done(nothing);
  const std::uint64_t id = request(
      uid, holder, [holder, done = std::move(done)](QueueError error, In& in, const BlockRef& block) {
        GetResult result;
        result.error = error;
        if (error == QueueError::none) {
          result.remaining = static_cast<std::uint32_t>(in.num(UINT32_MAX));
          if (in.u8() != 0) result.delivery = take_delivery(in, block);
          if (!in.ok()) result = {std::nullopt, 0, QueueError::gone};
          if (result.delivery) result.delivery->holder = holder;
        }
        done(result);
      });
  Out out = op(Op::get);
  out.num(id);
  out.num(uid);
  out.num(holder);
  out.u8(no_ack ? 1 : 0);
}

void ClientSide::fail_requests(const std::function<bool(const Request&)>& which, QueueError error) {
  std::vector<Answer> failed;
  for (auto it = requests_.begin(); it != requests_.end();) {
    if (!which(it->second)) {
      ++it;
      continue;
    }
    failed.push_back(std::move(it->second.done));
    it = requests_.erase(it);
  }
  In nothing({});
  for (Answer& answer : failed) answer(error, nothing, nullptr);
}

void ClientSide::reply(std::string_view token, MessageView message) {
  if (!reachable_) return;
  Out out = op(Op::reply);
  out.text(token);
  out.text(message.record());
}

void ClientSide::ask_reply(std::string_view token, std::function<void(bool)> done) {
  if (!reachable_) return done(false);
  const std::uint64_t id = request(0, 0, [done = std::move(done)](QueueError error, In&, const BlockRef&) {
    done(error == QueueError::none);
  });
  Out out = op(Op::reply_known);
  out.num(id);
  out.text(token);
}

void ClientSide::tell_alarms(const std::string& node, const std::vector<std::string>& resources) {
  if (!link_.open()) return;  // told when it opens
  Out out = op(Op::alarms);
  out.text(node);
  out.num(resources.size());
  for (const auto& resource : resources) out.text(resource);
}

// ---- consuming --------------------------------------------------------------------------------------

void ClientSide::subscribe(const metadata::QueueDef& queue, ConsumerSpec spec, ConsumerSink& sink,
                           std::function<void(QueueError)> done) {
  if (!reachable_) return done(QueueError::home_down);
  const HolderId holder = spec.holder;
  Consumer& consumer = consumers_[holder];
  consumer.uid = queue.uid;
  consumer.sink = &sink;
  consumer.no_ack = spec.no_ack;
  const std::uint64_t id =
      request(queue.uid, holder,
              [this, holder, done = std::move(done)](QueueError error, In&, const BlockRef&) {
                const auto found = consumers_.find(holder);
                if (error != QueueError::none && found != consumers_.end())
                  consumers_.erase(found);
                else if (found != consumers_.end() && found->second.stage == Stage::asked)
                  found->second.stage = Stage::attached;
                done(error);
              });
  Out out = op(Op::subscribe);
  out.num(id);
  out.num(queue.uid);
  put_consumer(out, spec);
}

void ClientSide::unsubscribe(metadata::QueueUid uid, HolderId holder, std::function<void()> done) {
  const auto found = consumers_.find(holder);
  if (found == consumers_.end()) return done();
  Consumer& consumer = found->second;
  consumer.stage = Stage::leaving;
  consumer.left = std::move(done);
  if (!consumer.no_ack && !consumer.buffered.empty()) {
    std::vector<Position> unseen;
    for (const Buffered& d : consumer.buffered) unseen.push_back(d.position);
    consumer.buffered.clear();
    settle(uid, holder, unseen, Settle::unseen);
  }
  const std::uint64_t id = request(uid, holder, [this, holder](QueueError, In&, const BlockRef&) {
    if (const auto at = consumers_.find(holder); at != consumers_.end()) {
      at->second.left_at_home = true;
      finish_leaving(holder);
    }
  });
  Out out = op(Op::unsubscribe);
  out.num(id);
  out.num(uid);
  out.num(holder);
}

void ClientSide::finish_leaving(HolderId holder) {
  const auto found = consumers_.find(holder);
  if (found == consumers_.end() || !found->second.left_at_home || !found->second.buffered.empty()) return;
  auto left = std::move(found->second.left);
  consumers_.erase(found);
  left();
}

void ClientSide::resume(HolderId holder) {
  const auto found = consumers_.find(holder);
  if (found == consumers_.end() || found->second.buffered.empty()) return;
  resumed_.push_back(holder);
  host_.want_pipe_turn();
}

void ClientSide::pump() {
  const auto holders = std::exchange(resumed_, {});
  for (const HolderId holder : holders) {
    const auto found = consumers_.find(holder);
    if (found == consumers_.end()) continue;
    Consumer& consumer = found->second;
    while (!consumer.buffered.empty() && consumer.sink->can_take()) {
      const Buffered next = std::move(consumer.buffered.front());
      consumer.buffered.pop_front();
      take(consumer, holder, next);
    }
    finish_leaving(holder);
  }
}

void ClientSide::take(Consumer& consumer, HolderId holder, const Buffered& b) {
  Delivery d;
  d.holder = holder;
  d.position = b.position;
  d.message = MessageView(b.record);
  d.block = &b.block;
  d.redelivered = b.redelivered;
  d.delivery_count = b.delivery_count;
  consumer.owed += d.message.record_size() + kDeliveryCost;
  consumer.sink->deliver(d);
  if (consumer.owed < options_.consumer_window / 4) return;
  Out out = op(Op::credit);
  out.num(consumer.uid);
  out.num(holder);
  out.num(std::exchange(consumer.owed, 0));
}

bool ClientSide::on_deliver(In& in, const BlockRef& block) {
  const HolderId holder = in.num();
  const Delivery d = take_delivery(in, block);
  if (!in.ok()) return false;
  const auto found = consumers_.find(holder);
  if (found == consumers_.end()) return true;  // released; the home node takes it back
  Consumer& consumer = found->second;
  if (consumer.stage == Stage::leaving && !consumer.no_ack) {
    settle(consumer.uid, holder, {&d.position, 1}, Settle::unseen);
    return true;
  }
  Buffered b{d.position, d.delivery_count, d.redelivered, block, d.message.raw()};
  if (consumer.buffered.empty() && consumer.sink->can_take())
    take(consumer, holder, b);
  else
    consumer.buffered.push_back(std::move(b));
  return true;
}

void ClientSide::settle(metadata::QueueUid uid, HolderId holder, std::span<const Position> positions,
                        Settle how) {
  if (!reachable_ || positions.empty()) return;
  Out out = op(Op::settle);
  out.num(uid);
  out.num(holder);
  out.u8(static_cast<std::uint8_t>(how));
  put_positions(out, positions);
}

void ClientSide::release(metadata::QueueUid uid, HolderId holder) {
  consumers_.erase(holder);
  std::erase_if(requests_, [&](const auto& r) { return r.second.holder == holder && r.second.uid == uid; });
  if (!reachable_) return;
  Out out = op(Op::release);
  out.num(uid);
  out.num(holder);
}

// ---- ends -------------------------------------------------------------------------------------------

void ClientSide::cancel_consumers(const std::function<bool(const Consumer&)>& which) {
  std::vector<Consumer> gone;
  for (auto it = consumers_.begin(); it != consumers_.end();) {
    if (!which(it->second)) {
      ++it;
      continue;
    }
    gone.push_back(std::move(it->second));
    it = consumers_.erase(it);
  }
  for (Consumer& consumer : gone) {
    if (consumer.stage == Stage::leaving)
      consumer.left();
    else if (consumer.stage == Stage::attached)
      consumer.sink->cancelled();  // who only asked hears it as the answer
  }
}

void ClientSide::forget(metadata::QueueUid uid) {
  for (Unanswered& entry : unanswered_)
    for (Part& part : entry.parts)
      if (part.uid == uid) answer_part(entry, part, {});
  tell_answered();
  cancel_consumers([uid](const Consumer& c) { return c.uid == uid && c.stage != Stage::asked; });
  fail_requests([uid](const Request& r) { return r.uid == uid; }, QueueError::gone);
}

void ClientSide::set_reachable(bool reachable) {
  if (reachable_ == reachable) return;
  reachable_ = reachable;
  host_.reachable_changed();
}

void ClientSide::on_loss(Loss loss) {
  last_batch_ = nullptr;
  if (loss == Loss::node_down) set_reachable(false);
  for (Unanswered& entry : unanswered_)
    for (Part& part : entry.parts) {
      if (loss == Loss::started_over || part.done) continue;
      std::vector<std::uint32_t> all;
      for (const RecordRef& r : part.records) all.push_back(r.number);
      for (std::uint32_t i = 0; part.all && i < entry.batch->count; ++i) all.push_back(i);
      answer_part(entry, part, all);
    }
  if (loss != Loss::node_down) resend();  // before anything new
  cancel_consumers([](const Consumer& c) { return c.stage != Stage::asked; });
  fail_requests([](const Request&) { return true; }, QueueError::home_down);
  tell_answered();
}

void ClientSide::resend() {
  for (const Unanswered& entry : unanswered_) {
    bool block = true;
    for (const Part& part : entry.parts) {
      if (part.done) continue;
      write_publish(entry, part, block);
      block = false;
    }
  }
}

bool ClientSide::on_op(Op op, In& in, const BlockRef& block) {
  switch (op) {
    case Op::answered: return on_answered(in);
    case Op::deliver: return on_deliver(in, block);
    case Op::answer: {
      const std::uint64_t id = in.num();
      const auto error = static_cast<QueueError>(in.num(static_cast<std::uint64_t>(QueueError::home_down)));
      const std::string_view value = in.text();
      if (!in.ok()) return false;
      const auto found = requests_.find(id);
      if (found == requests_.end()) return true;  // nobody waits any more
      Answer done = std::move(found->second.done);
      requests_.erase(found);
      // Views into the block, so that a message in the answer can be kept with it.
      In inside(block->bytes().substr(0, static_cast<std::size_t>(value.data() + value.size() - block->data())));
      inside.raw(static_cast<std::size_t>(value.data() - block->data()));
      done(error, inside, block);
      return true;
    }
    case Op::cancelled: {
      const HolderId holder = in.num();
      if (!in.ok()) return false;
      const auto found = consumers_.find(holder);
      if (found == consumers_.end()) return true;
      const Consumer gone = std::move(found->second);
      consumers_.erase(found);
      if (gone.stage == Stage::leaving)
        gone.left();
      else
        gone.sink->cancelled();
      return true;
    }
    default: return false;
  }
}

}  // namespace warren::broker::pipe
