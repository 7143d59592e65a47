// Producers and consumers: frames out, frames in.

#include "node/perf/load.h"

#include <algorithm>
#include <ctime>

namespace warren::perf {

namespace {

constexpr std::size_t kOutMax = 128 << 10;   // one write's worth
constexpr std::size_t kStamp = 16;           // sequence number and time in front of the body

}  // namespace

std::uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000ULL + static_cast<std::uint64_t>(t.tv_nsec);
}

Producer::Producer(Client client, const Options& options, std::uint32_t number, std::string key)
    : client_(std::move(client)), options_(options), number_(number) {
  amqp::BasicPublish publish;
  publish.exchange = options.exchange;
  publish.routing_key = key;
  amqp::append_frame(template_, 1, publish);
  key_at_ = template_.size() - 2 - key.size();
  ByteWriter out(template_);
  out.u8(amqp::kFrameHeader);
  out.u16(1);
  out.u32(options.persistent ? 15 : 14);
  out.u32(60U << 16);
  out.u64(options.size_bytes);
  out.u16(options.persistent ? 0x1000 : 0);
  if (options.persistent) out.u8(2);
  out.u8(amqp::kFrameEnd);
  std::size_t left = options.size_bytes;
  constexpr std::size_t kPart = 131072 - amqp::kFrameOverhead;
  bool first = true;
  while (left > 0) {
    const std::size_t part = std::min(left, kPart);
    out.u8(amqp::kFrameBody);
    out.u16(1);
    out.u32(static_cast<std::uint32_t>(part));
    if (first) body_at_ = template_.size();
    first = false;
    template_.append(part, 'x');
    out.u8(amqp::kFrameEnd);
    left -= part;
  }
}

bool Producer::done(std::uint64_t deadline_ns) const {
  return options_.messages > 0 ? next_seq_ >= options_.messages : now_ns() >= deadline_ns;
}

std::uint64_t Producer::next_due() const {
  if (options_.rate <= 0 || started_ == 0) return 0;
  return started_ + static_cast<std::uint64_t>(static_cast<double>(next_seq_) * 1e9 / options_.rate);
}

void Producer::append_message(std::uint64_t stamp) {
  const std::size_t at = out_.size();
  out_.append(template_);
  if (options_.topic_bindings > 0) {
    // Keys of fixed width, so that the template stays as it is: a.NNNNNN.z
    char digits[16];
    std::snprintf(digits, sizeof digits, "%06u",
                  static_cast<unsigned>((next_seq_ * 7919) % static_cast<unsigned>(options_.topic_bindings)));
    std::memcpy(out_.data() + at + key_at_ + 2, digits, 6);
  }
  if (options_.size_bytes >= kStamp) {
    store_be(out_.data() + at + body_at_, (static_cast<std::uint64_t>(number_) << 44) | next_seq_);
    store_be(out_.data() + at + body_at_ + 8, stamp);
  }
  ++next_seq_;
}

bool Producer::publish(std::uint64_t now, std::uint64_t deadline_ns, Totals& totals) {
  if (started_ == 0) started_ = now;
  if (out_at_ == out_.size()) {
    out_.clear();
    out_at_ = 0;
    const std::uint64_t before = next_seq_;
    while (out_.size() < kOutMax) {
      if (options_.messages > 0 ? next_seq_ >= options_.messages : now >= deadline_ns) break;
      if (options_.confirm_window > 0 &&
          unconfirmed() >= static_cast<std::uint64_t>(options_.confirm_window))
        break;
      const std::uint64_t due = next_due();
      if (due > now) break;
      const std::uint64_t stamp = due == 0 ? now : due;
      if (options_.confirm_window > 0) sent_at_.emplace_back(next_seq_ + 1, stamp);
      append_message(stamp);
    }
    totals.published += next_seq_ - before;
  }
  return client_.write_some(out_, out_at_);
}

void Producer::settle(std::uint64_t tag, bool multiple, bool ack, std::uint64_t now, Totals& totals) {
  const auto count = [&](std::uint64_t sent) {
    ++settled_;
    ++(ack ? totals.confirmed : totals.rejected);
    totals.confirm_latency.add(now - std::min(now, sent));
  };
  while (multiple && !sent_at_.empty() && sent_at_.front().first <= tag) {
    if (sent_at_.front().second != 0) count(sent_at_.front().second);
    sent_at_.pop_front();
  }
  if (multiple) return;
  if (!sent_at_.empty() && tag >= sent_at_.front().first) {
    auto& entry = sent_at_[tag - sent_at_.front().first];
    if (entry.second != 0) count(entry.second);
    entry.second = 0;  // stays in line until those before it are done
  }
  while (!sent_at_.empty() && sent_at_.front().second == 0) sent_at_.pop_front();
}

bool Producer::receive(Totals& totals) {
  if (!client_.fill()) return false;
  const std::uint64_t now = now_ns();
  Client::Frame frame;
  while (client_.next_frame(frame)) {
    if (frame.type != amqp::kFrameMethod || frame.payload.size() < 4) continue;
    const auto id = load_be<amqp::MethodId>(frame.payload.data());
    if (id == amqp::BasicAck::kId) {
      amqp::BasicAck ack;
      amqp::decode(frame.payload.substr(4), ack);
      settle(ack.delivery_tag, ack.multiple, true, now, totals);
    } else if (id == amqp::BasicNack::kId) {
      amqp::BasicNack nack;
      amqp::decode(frame.payload.substr(4), nack);
      settle(nack.delivery_tag, nack.multiple, false, now, totals);
    } else if (id == amqp::BasicReturn::kId) {
      ++totals.returned;
    } else if (id == amqp::ConnectionClose::kId || id == amqp::ChannelClose::kId) {
      amqp::ConnectionClose close;
      amqp::decode(frame.payload.substr(4), close);
      totals.failure = std::to_string(close.reply_code) + " " + std::string(close.reply_text);
      return false;
    }
  }
  return true;
}

bool Consumer::receive(const std::function<void(std::string_view, bool)>& on_message,
                       std::string& failure) {
  if (!client_.fill()) return false;
  Client::Frame frame;
  while (client_.next_frame(frame)) {
    if (frame.type == amqp::kFrameMethod && frame.payload.size() >= 4) {
      const auto id = load_be<amqp::MethodId>(frame.payload.data());
      if (id == amqp::BasicDeliver::kId) {
        amqp::BasicDeliver deliver;
        amqp::decode(frame.payload.substr(4), deliver);
        last_tag_ = deliver.delivery_tag;
        redelivered_ = deliver.redelivered;
      } else if (id == amqp::ConnectionClose::kId || id == amqp::ChannelClose::kId) {
        amqp::ConnectionClose close;
        amqp::decode(frame.payload.substr(4), close);
        failure = std::to_string(close.reply_code) + " " + std::string(close.reply_text);
        return false;
      }
      continue;
    }
    bool complete = false;
    if (frame.type == amqp::kFrameHeader) {
      body_left_ = load_be<std::uint64_t>(frame.payload.data() + 4);
      body_.clear();
      complete = body_left_ == 0;
    } else if (frame.type == amqp::kFrameBody) {
      if (body_.size() < kStamp) body_.append(frame.payload.substr(0, kStamp - body_.size()));
      body_left_ -= std::min<std::uint64_t>(body_left_, frame.payload.size());
      complete = body_left_ == 0;
    }
    if (!complete) continue;
    on_message(body_, redelivered_);
    if (!options_.auto_ack && ++unacked_ >= options_.ack_every) acknowledge_rest();
  }
  return flush();
}

void Consumer::acknowledge_rest() {
  if (unacked_ == 0) return;
  amqp::append_frame(out_, 1, amqp::BasicAck{last_tag_, unacked_ > 1});
  unacked_ = 0;
}

bool Consumer::flush() {
  const bool ok = client_.write_some(out_, out_at_);
  if (out_at_ == out_.size()) {
    out_.clear();
    out_at_ = 0;
  }
  return ok;
}

}  // namespace warren::perf
