// Publishing: from basic.publish frames to batches in queues, and back to confirms.

#include "node/broker/channel.h"
#include "node/broker/dead_letter.h"
#include "node/broker/delivery_headers.h"

#include <algorithm>

namespace warren::broker {

using amqp::BasicPublish;
using amqp::ReplyCode;

namespace {

// Large enough to make full log entries and amortise everything per batch; small enough that a
// batch stays in the second-level cache between the reader and the consumers.
constexpr std::size_t kBlockMax = 128 << 10;
constexpr std::size_t kBlockMin = 1024;

}  // namespace

void Channel::on_publish(std::string_view arguments) {
  in_call_ = true;
  call_id_ = BasicPublish::kId;
  call_arguments_ = arguments;
  in_record_ = false;
  BasicPublish method;
  if (!read(arguments, method)) {
    in_call_ = false;
    call_id_ = 0;
    return;
  }
  const bool same = method.routing_key == key_ && method.exchange == exchange_;
  if (!same) {
    exchange_.assign(method.exchange);
    key_.assign(method.routing_key);
  }
  mandatory_ = method.mandatory;
  if (method.immediate)
    error(ReplyCode::not_implemented, "immediate=true", BasicPublish::kId);
  else
    route_ = resolve(exchange_, key_);
  if (route_ != nullptr && route_->targets.empty()) [[unlikely]]
    look_for_targets();
  in_call_ = false;
  call_id_ = 0;
}

/// A queue or binding may just have been made through another node. Looked up again at most every tenth of
/// a second per route, so that who publishes to nobody does not pay for it each time.
void Channel::look_for_targets() {
  const Route& route = *route_;
  if (!route.reply_token.empty() || route.unreachable || &route == &own_route_) return;
  constexpr Millis kEvery = 100;
  const Millis now = broker_.steady_ms();
  if (!looked_again_ && route.empty_at != 0 && now - route.empty_at < kEvery) return;
  if (look_again())
    route_ = nullptr;  // done again when this node is up to date
  else
    route.empty_at = std::max<Millis>(now, 1);
}

/// The cached or fresh route; null after an error was raised.
const Channel::Route* Channel::resolve(std::string_view exchange, std::string_view key) {
  const std::uint64_t version = broker_.route_version(vhost_);
  if (Route* hit = routes_.find(version, exchange, key)) return hit;
  if (!check_publish_exchange(exchange, key)) return nullptr;
  if (targets_.size() > 4096) {
    if (batch_) flush_batch();
    routes_.clear();
    targets_.clear();
  }
  if (vhost_.router.depends_on_headers(exchange)) {
    own_route_ = Route{};
    return &own_route_;  // made when the properties are here
  }
  return &routes_.put(version, exchange, key, make_route(exchange, key, {}, {}, {}));
}

bool Channel::check_publish_exchange(std::string_view exchange, std::string_view key) {
  if (exchange.empty()) {
    if (key.starts_with(kReplyToPrefix)) return true;
    return allowed(access::Permission::write, exchange, true, BasicPublish::kId);
  }
  const auto* def = broker_.catalogue().find_exchange(vhost_name(), exchange);
  if (def == nullptr) {
    error(ReplyCode::not_found, "no " + where("exchange", exchange), BasicPublish::kId);
    return false;
  }
  if (!allowed(access::Permission::write, exchange, true, BasicPublish::kId)) return false;
  if (def->internal) {
    error(ReplyCode::access_refused, "cannot publish to internal " + where("exchange", exchange),
          BasicPublish::kId);
    return false;
  }
  if (def->type != "topic") return true;
  auto granted = broker_.access().require_topic(session_.who(), vhost_name(), exchange, key,
                                                access::Permission::write);
  if (!granted) error(ReplyCode::access_refused, granted.error().text, BasicPublish::kId);
  return granted.has_value();
}

Channel::Target* Channel::target(metadata::QueueUid uid) {
  auto& slot = targets_[uid];
  if (!slot) {
    auto queue = broker_.endpoint(uid);
    if (!queue) {
      targets_.erase(uid);
      return nullptr;
    }
    slot = std::make_unique<Target>();
    slot->queue = std::move(queue);
  }
  return slot.get();
}

Channel::Route Channel::make_route(std::string_view exchange, std::string_view key,
                                   std::span<const std::string_view> extra,
                                   std::string_view headers, std::string_view props) {
  Route route;
  if (exchange.empty() && key.starts_with(kReplyToPrefix)) {
    route.reply_token = key;
    return route;
  }
  std::vector<metadata::QueueUid> uids;
  vhost_.router.route(exchange, key, extra, headers, uids, props);
  for (const auto uid : uids)
    if (Target* t = target(uid)) {
      if (t->queue->reachable())
        route.targets.push_back(t);
      else
        route.unreachable = true;
    }
  return route;
}

void Channel::on_content_header(std::uint64_t body_size, std::string_view props) {
  if (route_ == nullptr || closed_) return;
  in_call_ = true;
  body_size_ = body_left_ = body_size;
  if (body_size > broker_.options().max_message_size) {
    error(ReplyCode::precondition_failed,
          "message size " + std::to_string(body_size) + " is larger than configured max size " +
              std::to_string(broker_.options().max_message_size),
          BasicPublish::kId);
  } else if (props == last_props_ || check_properties(props)) {
    begin_record(props);
    if (in_record_ && body_left_ == 0) finish_record();
  }
  in_call_ = false;
}

/// Scans and validates; remembers the bytes, since most publishers send the same ones again.
bool Channel::check_properties(std::string_view props) {
  last_props_.clear();
  amqp::PropertiesScan scan;
  if (!amqp::scan_properties(props, scan)) {
    error(ReplyCode::syntax_error, "malformed properties", BasicPublish::kId);
    return false;
  }
  last_expiration_ = kNoExpiration;
  if (scan.has(amqp::kFlagExpiration)) {
    auto expiration = amqp::parse_expiration(scan.expiration);
    if (!expiration) {
      error(ReplyCode::precondition_failed, expiration.error().text, BasicPublish::kId);
      return false;
    }
    last_expiration_ = *expiration;
  }
  if (scan.has(amqp::kFlagUserId)) {
    auto allowed = broker_.access().check_user_id(session_.who(), scan.user_id);
    if (!allowed) {
      error(ReplyCode::precondition_failed, allowed.error().text, BasicPublish::kId);
      return false;
    }
  }
  last_props_.assign(props);
  amqp::scan_properties(last_props_, last_scan_);
  return true;
}

/// Opens the record in the batch's block. Properties that must be changed are changed here.
void Channel::begin_record(std::string_view props) {
  const amqp::PropertiesScan& scan = last_scan_;
  std::string changed;
  if (route_ == &own_route_ || scan.has_extra_keys) [[unlikely]] {
    std::vector<std::string_view> extra;
    if (scan.has_extra_keys) {
      if (auto keys = collect_extra_keys(scan.headers, extra); !keys)
        return error(ReplyCode::precondition_failed, keys.error().text, BasicPublish::kId);
    }
    if (targets_.size() > 4096) {  // the route at hand is made anew just below
      if (batch_) flush_batch();
      routes_.clear();
      targets_.clear();
    }
    Route made = make_route(exchange_, key_, extra, scan.headers, props);
    own_route_ = std::move(made);
    route_ = &own_route_;
    if (scan.has_extra_keys) {
      if (auto stripped = without_bcc(props)) {
        changed = std::move(*stripped);
        props = changed;
      }
    }
  }
  if (broker_.options().stamp_time || broker_.options().stamp_node) [[unlikely]] {
    changed = stamped(props);
    props = changed;
  }
  if (scan.reply_to == kReplyTo) [[unlikely]] {
    if (reply_token_.empty())
      return error(ReplyCode::precondition_failed, "fast reply consumer does not exist",
                   BasicPublish::kId);
    auto properties = amqp::decode_properties(props);
    properties->reply_to = reply_token_;
    changed = amqp::encode_properties(*properties);
    props = changed;
  }
  // A large body has a block of its own, which grows with what arrives: its size is only a claim.
  const std::size_t front = record_bytes(exchange_.size(), key_.size(), props.size(), 0);
  const std::size_t need = front + body_size_;
  const std::size_t now = need <= kBlockMax ? need : std::max(front, kBlockMax);
  if (!batch_ || batch_->block->room() < now || (need > now && batch_->block->size() > 0))
    new_batch(now);
  RecordHeader header{};
  header.body_size = static_cast<std::uint32_t>(body_size_);
  header.priority = scan.priority;
  header.flags = static_cast<std::uint8_t>((scan.persistent() ? kPersistent : 0) |
                                           (scan.has_headers ? kHasHeaders : 0));
  header.timestamp_ms = static_cast<std::uint64_t>(broker_.wall_ms());
  header.expiration_ms = last_expiration_;
  record_at_ = static_cast<std::uint32_t>(batch_->block->size());
  body_at_ = append_record(*batch_->block, header, exchange_, key_, props, now - front);
  body_end_ = body_at_ + (now - front);
  in_record_ = true;
}

/// Room for `more` bytes of a body that does not fit yet. Growing fourfold copies a third of it.
void Channel::grow_record(std::size_t more) {
  Block& old = *batch_->block;
  const auto done = static_cast<std::size_t>(body_at_ - old.data());
  const std::size_t whole = done + body_left_;
  const std::size_t capacity = std::min(whole, std::max(old.capacity() * 4, done + more));
  BlockRef grown = Block::make(capacity);
  std::memcpy(grown->append(capacity), old.data(), done);
  batch_->block = std::move(grown);
  body_at_ = batch_->block->data() + done;
  body_end_ = batch_->block->data() + capacity;
}

/// The properties with the time of arrival and this node's name, as configured (PUB-16).
std::string Channel::stamped(std::string_view props) const {
  const auto& options = broker_.options();
  auto properties = amqp::decode_properties(props);
  if (!properties) return std::string(props);
  FieldTable headers = properties->headers.value_or(FieldTable{});
  const Millis now = broker_.wall_ms();
  if (options.stamp_time && (*options.stamp_time || !properties->timestamp)) {
    properties->timestamp = static_cast<std::uint64_t>(now) / 1000;
    headers.set("timestamp_in_ms", FieldValue(static_cast<std::int64_t>(now)));
  }
  if (options.stamp_node && (*options.stamp_node || headers.find("x-routed-by") == nullptr))
    headers.set("x-routed-by", FieldValue(options.node_name));
  properties->headers = std::move(headers);
  return amqp::encode_properties(*properties);
}

void Channel::new_batch(std::size_t need) {
  if (batch_) {
    flush_batch();
    next_capacity_ = kBlockMax;
  }
  batch_ = PublishBatchRef(new PublishBatch(this));
  batch_->block = Block::make(std::max(need, next_capacity_));
  batch_->first_seq = confirm_ ? next_seq_ : 0;
}

void Channel::on_content_body(std::string_view bytes) {
  if (!in_record_) return;
  in_call_ = true;
  if (bytes.size() > static_cast<std::size_t>(body_end_ - body_at_)) [[unlikely]]
    grow_record(bytes.size());
  std::memcpy(body_at_, bytes.data(), bytes.size());
  body_at_ += bytes.size();
  body_left_ -= bytes.size();
  if (body_left_ == 0) finish_record();
  in_call_ = false;
}

void Channel::finish_record() {
  in_record_ = false;
  ++broker_.totals.published;
  if (tx_) [[unlikely]] return keep_publish();
  hand_over(*route_, record_at_);
  if (confirm_) ++next_seq_;
  ++batch_->count;
}

void Channel::hand_over(const Route& route, std::uint32_t offset) {
  const RecordRef ref{batch_->count, offset};
  for (Target* t : route.targets) {
    if (!t->listed) {
      t->listed = true;
      dirty_.push_back(t);
    }
    t->records.push_back(ref);
  }
  if (vhost_.tracing) [[unlikely]]
    trace_publish(MessageView(batch_->block->data() + offset), route);
  if (route.unreachable) [[unlikely]] batch_->reject(ref.number);
  if (!route.targets.empty()) return;
  const MessageView message(batch_->block->data() + offset);
  if (!route.reply_token.empty()) {
    if (deliver_reply_to(route.reply_token, message)) return;
  }
  if (mandatory_)
    return_unroutable(message);
  else
    ++broker_.totals.unroutable_dropped;
}

/// False when the requester is known to be gone.
bool Channel::deliver_reply_to(const std::string& token, MessageView message) {
  if (Channel* requester = broker_.replies().find(token)) {
    requester->deliver_reply(message, batch_->block);
    return true;
  }
  const std::uint64_t member = reply_member(token);
  return member != 0 && member != broker_.options().self && broker_.pipes().reply(member, token, message);
}

void Channel::return_unroutable(MessageView message) {
  ++broker_.totals.unroutable_returned;
  amqp::BasicReturn method;
  method.reply_code = static_cast<std::uint16_t>(ReplyCode::no_route);
  method.reply_text = "NO_ROUTE";
  method.exchange = message.exchange();
  method.routing_key = message.routing_key();
  reply(method);
  session_.connection().output().content(number_, message.props(), message.body(),
                                         session_.connection().frame_max(), nullptr);
}

/// Hands every complete record to its queues. A record still being read moves to a fresh batch.
void Channel::flush_batch() {
  std::string partial;
  if (in_record_) {
    if (record_at_ == 0) return;
    const Block& block = *batch_->block;
    const auto done = static_cast<std::size_t>(body_at_ - (block.data() + record_at_));
    partial.assign(block.data() + record_at_, done);
    batch_->block->shrink_to(record_at_);
  }
  PublishBatchRef batch = std::move(batch_);
  batch_.reset();
  if (batch->count > 0) {
    // A block that stayed mostly empty would pin its slack for as long as a message waits.
    const std::size_t used = batch->block->size();
    next_capacity_ = std::clamp(used * 2, kBlockMin, kBlockMax);
    if (used * 2 < batch->block->capacity()) batch->block = Block::copy_of(batch->block->bytes());
    // Only who still listens may be told: see on_closed.
    if (batch->first_seq != 0)
      outstanding_.push_back(batch);
    else if (batch->in_tx)
      ++commits_waiting_, tx_batches_.push_back(batch);
    else
      batch->abandon();
    batch->expect();
    for (Target* t : dirty_) {
      t->listed = false;
      t->queue->publish(*batch, t->records);
      if (!broker_.is_home(t->queue->def())) broker_.published_to(session_, t->queue->def().home);
      t->records.clear();
    }
    dirty_.clear();
    batch->answered();
  }
  if (in_record_) {
    const std::size_t whole = MessageView(partial.data()).record_size();
    batch_ = PublishBatchRef(new PublishBatch(this));
    batch_->block = Block::make(std::max(whole, kBlockMax));
    batch_->first_seq = confirm_ ? next_seq_ : 0;
    char* at = batch_->block->append(whole);
    std::memcpy(at, partial.data(), partial.size());
    record_at_ = 0;
    body_at_ = at + partial.size();
    body_end_ = at + whole;
  }
}

void Channel::trace_publish(MessageView message, const Route& route) {
  std::vector<std::string> queues;
  for (const Target* t : route.targets) queues.push_back(t->queue->def().name);
  broker_.trace_publish(vhost_, session_, number_, message, queues);
}

// ---- confirms ---------------------------------------------------------------------------------

void Channel::on_settled(PublishBatch& batch) {
  if (batch.in_tx) {
    commit_failed_ |= !batch.rejected.empty();
    if (--commits_waiting_ == 0) finish_commit();
    return;
  }
  if (batch.first_seq == 0) return;
  settled_.emplace_back(&batch);
  if (!confirms_due) session_.touch_channel(number_);
  confirms_due = true;
}

void Channel::flush_confirms() {
  confirms_due = false;
  if (commit_due_) [[unlikely]] end_commit();
  auto& out = session_.connection().output();
  // Everything settled from the front on is one multiple ack up to the first rejection.
  std::uint64_t last = 0;
  std::uint64_t first = 0;
  const auto send_run = [&] {
    if (last == 0) return;
    out.method(number_, amqp::BasicAck{last, last != first});
    last = first = 0;
  };
  while (!outstanding_.empty() && outstanding_.front()->settled()) {
    PublishBatch& batch = *outstanding_.front();
    broker_.totals.confirmed += batch.count;
    std::sort(batch.rejected.begin(), batch.rejected.end());
    auto refused = batch.rejected.begin();
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      if (batch.rejected.empty()) {
        if (first == 0) first = batch.first_seq;
        last = batch.first_seq + batch.count - 1;
        break;
      }
      const std::uint64_t seq = batch.first_seq + i;
      if (refused != batch.rejected.end() && *refused == i) {
        while (refused != batch.rejected.end() && *refused == i) ++refused;
        send_run();
        out.method(number_, amqp::BasicNack{seq, false, false});
      } else {
        if (first == 0) first = seq;
        last = seq;
      }
    }
    if (batch.count == 0) --told_inside_;
    batch.count = 0;
    outstanding_.pop_front();
  }
  send_run();
  tell_out_of_turn();
}

/// Behind a batch that still waits, single acks: a slow queue must not hold the others' confirms.
/// Looks only at what was settled since the last time, however long the line is.
void Channel::tell_out_of_turn() {
  auto& out = session_.connection().output();
  std::erase_if(settled_, [](const PublishBatchRef& batch) { return batch->count == 0; });
  std::sort(settled_.begin(), settled_.end(),
            [](const auto& a, const auto& b) { return a->first_seq < b->first_seq; });
  for (const PublishBatchRef& entry : settled_) {
    PublishBatch& batch = *entry;
    broker_.totals.confirmed += batch.count;
    std::sort(batch.rejected.begin(), batch.rejected.end());
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      const std::uint64_t seq = batch.first_seq + i;
      if (std::binary_search(batch.rejected.begin(), batch.rejected.end(), i))
        out.method(number_, amqp::BasicNack{seq, false, false});
      else
        out.method(number_, amqp::BasicAck{seq, false});
    }
    batch.count = 0;  // told; it leaves the line with those before it, or when half of it is told
    batch.rejected.clear();
    batch.block.reset();
    ++told_inside_;
  }
  settled_.clear();
  if (told_inside_ > 64 && told_inside_ > outstanding_.size() / 2) {
    std::erase_if(outstanding_, [](const PublishBatchRef& batch) { return batch->count == 0; });
    told_inside_ = 0;
  }
}

}  // namespace warren::broker
