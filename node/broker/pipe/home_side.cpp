#include "node/broker/pipe/home_side.h"

#include <algorithm>
#include <utility>

namespace warren::broker::pipe {

namespace {

constexpr std::size_t kDeliveryCost = 64;  // as the client's node counts

}  // namespace

bool HomeConsumer::can_take() const { return used_ < room_ && side_.link_has_room(holder_); }

void HomeConsumer::deliver(const Delivery& delivery) {
  used_ += delivery.message.record_size() + kDeliveryCost;
  side_.write_delivery(holder_, delivery);
}

void HomeConsumer::cancelled() { side_.write_cancelled(holder_); }  // the end of this object

HomeBatch::HomeBatch(HomeSide& side, std::uint64_t id, BlockRef block)
    : side_(side), id_(id), batch_(new PublishBatch(this)) {
  batch_->block = std::move(block);
  batch_->expect();  // ours, until the last of its queues is named
}

void HomeBatch::on_settled(PublishBatch& batch) { side_.settled(id_, batch); }  // the same here

Out HomeSide::op(Op op) {
  if (link_.full()) link_.cut();
  if (link_.out().empty()) host_.want_pipe_turn();
  Out out(link_.out());
  out.u8(static_cast<std::uint8_t>(op));
  return out;
}

void HomeSide::answer(std::uint64_t request, QueueError error, std::string_view value) {
  Out out = op(Op::answer);
  out.num(request);
  out.num(static_cast<std::uint64_t>(error));
  out.text(value);
}

// ---- queues that may not be known yet -----------------------------------------------------------------

void HomeSide::with_queue(metadata::QueueUid uid, std::size_t bytes, Work work) {
  const auto waiting = parked_.find(uid);
  auto queue = host_.local_queue(uid);
  if (queue && waiting == parked_.end()) return work(queue);
  if (parked_bytes_ + bytes > options_.parked_bytes) return work(nullptr);
  parked_[uid].push_back({std::move(work), host_.pipe_now() + options_.parked_ms, bytes});
  parked_bytes_ += bytes;
}

void HomeSide::in_session(metadata::QueueUid uid, Work work) {
  with_queue(uid, 128, [this, session = session_, work = std::move(work)](const auto& queue) {
    if (session == session_) work(queue);
  });
}

void HomeSide::queue_appeared(metadata::QueueUid uid) {
  const auto found = parked_.find(uid);
  if (found == parked_.end()) return;
  auto all = std::move(found->second);
  parked_.erase(found);
  const auto queue = host_.local_queue(uid);
  for (Parked& parked : all) {
    parked_bytes_ -= parked.bytes;
    parked.work(queue);
  }
}

void HomeSide::tick(Millis now) {
  std::vector<metadata::QueueUid> late;
  for (const auto& [uid, all] : parked_)
    if (!all.empty() && all.front().until <= now) late.push_back(uid);
  for (const auto uid : late) queue_appeared(uid);  // with null: it never came
}

// ---- publishing ---------------------------------------------------------------------------------------

void HomeSide::finish_batch() {
  if (repeated_ != 0) {
    if (!pending_.contains(repeated_)) answers_.push_back(repeated_);
    repeated_ = 0;
  }
  if (HomeBatch* batch = std::exchange(open_, nullptr)) batch->batch().answered();
}

bool HomeSide::on_block(In& in) {
  finish_batch();
  const std::uint64_t id = in.num();
  const std::uint64_t behind = in.num();
  const std::string_view bytes = in.text();
  if (!in.ok() || id == 0 || behind >= id) return false;
  // Everything below was heard of: the peer waits for it no longer.
  refusals_.erase(refusals_.begin(), refusals_.lower_bound(id - behind));
  if (id <= last_id_) {
    repeated_ = id;
    return true;
  }
  last_id_ = id;
  auto batch = std::make_unique<HomeBatch>(*this, id, Block::copy_of(bytes));
  open_ = batch.get();
  pending_.emplace(id, std::move(batch));
  return true;
}

bool HomeSide::on_publish(In& in) {
  const metadata::QueueUid uid = in.num();
  const std::uint64_t n = in.num(in.remaining());
  std::vector<RecordRef> records;
  std::uint64_t number = 0, offset = 0;
  for (std::uint64_t i = 0; i < n && in.ok(); ++i) {
    number += in.num(UINT32_MAX);
    offset += in.num(UINT32_MAX);
    if (open_ != nullptr && !record_at(*open_->batch().block, offset)) in.fail();
    if (number > UINT32_MAX) in.fail();
    records.push_back({static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(offset)});
  }
  if (!in.ok()) return false;
  if (repeated_ != 0) return true;
  if (open_ == nullptr) return false;
  PublishBatchRef batch(&open_->batch());
  if (n == 0 && !all_records(*batch->block, records)) return false;
  batch->count = std::max(batch->count, records.empty() ? 0 : records.back().number + 1);
  if (auto queue = host_.local_queue(uid); queue && !parked_.contains(uid)) {
    queue->publish(*batch, records);
    return true;
  }
  batch->expect();
  with_queue(uid, batch->block->size(), [batch, records = std::move(records)](const auto& queue) {
    if (queue)
      queue->publish(*batch, records);
    else
      for (const RecordRef& r : records) batch->reject(r.number);
    batch->answered();
  });
  return true;
}

void HomeSide::settled(std::uint64_t id, PublishBatch& batch) {
  if (!batch.rejected.empty()) {
    std::sort(batch.rejected.begin(), batch.rejected.end());
    refusals_[id] = std::move(batch.rejected);
  }
  answers_.push_back(id);
  host_.want_pipe_turn();
  pending_.erase(id);
}

void HomeSide::end_turn() {
  if (!starved_.empty() && link_.retained_bytes() < options_.link_window / 2)
    for (const HolderId holder : std::exchange(starved_, {}))
      if (const auto found = consumers_.find(holder); found != consumers_.end())
        if (auto queue = host_.local_queue(found->second->uid())) queue->resume(mapped(holder));
  if (answers_.empty() || !link_.open()) return;
  Out out = op(Op::answered);
  out.num(answers_.size());
  for (const std::uint64_t id : answers_) {
    out.num(id);
    const auto refused = refusals_.find(id);
    out.num(refused == refusals_.end() ? 0 : refused->second.size());
    if (refused == refusals_.end()) continue;
    for (const std::uint32_t number : refused->second) out.num(number);
  }
  answers_.clear();
}

// ---- consuming ----------------------------------------------------------------------------------------

bool HomeSide::take_holder(In& in, HolderId& holder) const {
  holder = in.num((HolderId{1} << kHolderBits) - 1);
  return in.ok();
}

bool HomeSide::link_has_room(HolderId holder) {
  if (link_.retained_bytes() < options_.link_window) return true;
  starved_.insert(holder);
  return false;
}

void HomeSide::write_delivery(HolderId holder, const Delivery& delivery) {
  Out out = op(Op::deliver);
  out.num(holder);
  put_delivery(out, delivery);
}

void HomeSide::write_cancelled(HolderId holder) {
  Out out = op(Op::cancelled);
  out.num(holder);
  consumers_.erase(holder);
}

bool HomeSide::on_subscribe(In& in) {
  const std::uint64_t request = in.num();
  const metadata::QueueUid uid = in.num();
  ConsumerSpec spec = take_consumer(in);
  if (!in.ok() || spec.holder >> kHolderBits != 0 || consumers_.contains(spec.holder)) return false;
  const HolderId holder = spec.holder;
  spec.holder = mapped(holder);
  spec.node = peer_;
  auto consumer = std::make_unique<HomeConsumer>(*this, uid, holder, options_.consumer_window);
  HomeConsumer& sink = *consumer;
  consumers_.emplace(holder, std::move(consumer));
  in_session(uid, [this, request, uid, holder, &sink, spec](const std::shared_ptr<Queue>& queue) {
    if (!consumers_.contains(holder)) return answer(request, QueueError::gone);  // given up meanwhile
    const QueueError error = queue ? queue->subscribe(spec, sink) : QueueError::gone;
    if (error == QueueError::none)
      used_.insert(uid);
    else
      consumers_.erase(holder);
    answer(request, error);
  });
  return true;
}

bool HomeSide::on_get(In& in) {
  const std::uint64_t request = in.num();
  const metadata::QueueUid uid = in.num();
  HolderId holder = 0;
  if (!take_holder(in, holder)) return false;
  const bool no_ack = in.u8() != 0;
  if (!in.ok()) return false;
  in_session(uid, [this, request, uid, holder, no_ack](const std::shared_ptr<Queue>& queue) {
    if (!queue) return answer(request, QueueError::gone);
    used_.insert(uid);
    queue->get(mapped(holder), no_ack, [this, request, session = session_](const GetResult& got) {
      if (session != session_) return;
      std::string value;
      Out out(value);
      out.num(got.remaining);
      out.u8(got.delivery ? 1 : 0);
      if (got.delivery) put_delivery(out, *got.delivery);
      answer(request, got.error, value);
    });
  });
  return true;
}

bool HomeSide::on_settle(In& in) {
  const metadata::QueueUid uid = in.num();
  HolderId holder = 0;
  if (!take_holder(in, holder)) return false;
  const auto how = static_cast<Settle>(in.num(static_cast<std::uint64_t>(Settle::unseen)));
  auto positions = take_positions(in);
  if (!in.ok()) return false;
  // Nothing is held in a queue that is not known, and nothing of it was delivered.
  if (auto queue = host_.local_queue(uid)) queue->settle(mapped(holder), positions, how);
  return true;
}

bool HomeSide::on_ask(In& in) {
  const std::uint64_t request = in.num();
  const metadata::QueueUid uid = in.num();
  const std::uint8_t what = in.u8();
  if (!in.ok() || what < 1 || what > static_cast<std::uint8_t>(Question::resume)) return false;
  in_session(uid, [this, request, question = static_cast<Question>(what)](const auto& queue) {
    if (!queue) return answer(request, QueueError::gone);
    std::string value;
    Out out(value);
    switch (question) {
      case Question::depth: {
        const QueueDepth depth = queue->depth();
        out.num(depth.ready);
        out.num(depth.consumers);
        break;
      }
      case Question::stats: put_stats(out, queue->stats()); break;
      case Question::consumers: put_infos(out, queue->consumers()); break;
      case Question::purge: queue->purge([&](const Asked<std::uint64_t>& n) { out.num(n.value); }); break;
      case Question::touched: queue->touched(); break;
      case Question::pause: queue->set_paused(true); break;
      case Question::resume: queue->set_paused(false); break;
    }
    answer(request, QueueError::none, value);
  });
  return true;
}

bool HomeSide::on_op(Op op, In& in) {
  if (op == Op::publish) return on_publish(in);
  if (op == Op::block) return on_block(in);
  finish_batch();
  switch (op) {
    case Op::subscribe: return on_subscribe(in);
    case Op::get: return on_get(in);
    case Op::settle: return on_settle(in);
    case Op::ask: return on_ask(in);
    case Op::unsubscribe: {
      const std::uint64_t request = in.num();
      const metadata::QueueUid uid = in.num();
      HolderId holder = 0;
      if (!take_holder(in, holder)) return false;
      if (auto queue = host_.local_queue(uid)) queue->unsubscribe(mapped(holder));
      consumers_.erase(holder);
      answer(request, QueueError::none);
      return true;
    }
    case Op::credit: {
      const metadata::QueueUid uid = in.num();
      HolderId holder = 0;
      if (!take_holder(in, holder)) return false;
      const std::uint64_t bytes = in.num();
      const auto found = consumers_.find(holder);
      if (!in.ok() || found == consumers_.end()) return in.ok();
      found->second->credit(bytes);
      if (auto queue = host_.local_queue(uid)) queue->resume(mapped(holder));
      return true;
    }
    case Op::release: {
      const metadata::QueueUid uid = in.num();
      HolderId holder = 0;
      if (!take_holder(in, holder)) return false;
      if (auto queue = host_.local_queue(uid)) queue->release(mapped(holder));
      consumers_.erase(holder);
      return true;
    }
    default: return false;
  }
}

// ---- sessions -----------------------------------------------------------------------------------------

void HomeSide::on_open(std::uint64_t slot) {
  base_ = slot << kHolderBits;
  if (incarnation_ == link_.peer_incarnation()) return;
  forget_publisher();
  incarnation_ = link_.peer_incarnation();
}

void HomeSide::forget_publisher() {
  open_ = nullptr;
  repeated_ = 0;
  pending_.clear();  // what is on its way into queues stays; nobody hears of it
  refusals_.clear();
  answers_.clear();
  last_id_ = 0;
}

void HomeSide::on_loss(Loss) {
  finish_batch();
  ++session_;
  for (const auto uid : std::exchange(used_, {}))
    if (auto queue = host_.local_queue(uid)) queue->release_range(base_, base_ + (HolderId{1} << kHolderBits));
  consumers_.clear();
  starved_.clear();
}

}  // namespace warren::broker::pipe
