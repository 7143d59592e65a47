#include "node/broker/pipe/wire.h"

namespace warren::broker::pipe {

std::uint64_t In::num() {
  std::uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t b = in_.u8();
    if (!in_.ok()) return 0;
    if (shift == 63 && b > 1) break;
    v |= std::uint64_t{b & 0x7fu} << shift;
    if ((b & 0x80) == 0) return v;
  }
  in_.fail();
  return 0;
}

// ---- frames ---------------------------------------------------------------------------------------

namespace {

constexpr std::uint8_t kAsk = 1, kMore = 2;

}  // namespace

std::string encode_frame(const Frame& frame) {
  std::string bytes;
  bytes.reserve(60 + frame.payload.size());
  Out out(bytes);
  out.u8(kVersion);
  out.u8(static_cast<std::uint8_t>(frame.kind));
  out.u8(static_cast<std::uint8_t>((frame.ask ? kAsk : 0) | (frame.more ? kMore : 0)));
  out.fixed(frame.from.incarnation);
  out.num(frame.from.session);
  out.fixed(frame.about.incarnation);
  out.num(frame.about.session);
  out.num(frame.seq);
  out.num(frame.received);
  out.raw(frame.payload);
  return bytes;
}

std::optional<Frame> decode_frame(std::string_view bytes) {
  In in(bytes);
  if (in.u8() != kVersion) return std::nullopt;
  Frame frame;
  const std::uint8_t kind = in.u8();
  const std::uint8_t flags = in.u8();
  frame.from.incarnation = in.fixed();
  frame.from.session = in.num();
  frame.about.incarnation = in.fixed();
  frame.about.session = in.num();
  frame.seq = in.num();
  frame.received = in.num();
  if (!in.ok() || kind < 1 || kind > 3) return std::nullopt;
  frame.kind = static_cast<FrameKind>(kind);
  frame.ask = (flags & kAsk) != 0;
  frame.more = (flags & kMore) != 0;
  frame.payload = in.raw(in.remaining());
  if (frame.kind != FrameKind::data && !frame.payload.empty()) return std::nullopt;
  if (frame.kind == FrameKind::data && frame.seq == 0) return std::nullopt;
  return frame;
}

// ---- operations -------------------------------------------------------------------------------------

void put_positions(Out& out, std::span<const Position> positions) {
  out.num(positions.size());
  Position last = 0;
  for (const Position p : positions) {  // mostly neighbours, either way
    const auto step = static_cast<std::int64_t>(p - last);
    out.num((static_cast<std::uint64_t>(step) << 1) ^ static_cast<std::uint64_t>(step >> 63));
    last = p;
  }
}

std::vector<Position> take_positions(In& in) {
  std::vector<Position> out;
  const std::uint64_t n = in.num(std::min<std::uint64_t>(kPositionsMax, in.remaining()));
  out.reserve(n);
  Position last = 0;
  for (std::uint64_t i = 0; i < n && in.ok(); ++i) {
    const std::uint64_t coded = in.num();
    last += (coded >> 1) ^ (~(coded & 1) + 1);
    out.push_back(last);
  }
  return out;
}

void put_consumer(Out& out, const ConsumerSpec& spec) {
  out.num(spec.holder);
  out.text(spec.tag);
  out.u8(static_cast<std::uint8_t>((spec.no_ack ? 1 : 0) | (spec.exclusive ? 2 : 0)));
  out.num(static_cast<std::uint32_t>(spec.priority));
  out.num(spec.prefetch);
  out.text(spec.arguments.encode());
  out.text(spec.channel_name);
  out.text(spec.user);
  out.num(spec.connection);
}

ConsumerSpec take_consumer(In& in) {
  ConsumerSpec spec;
  spec.holder = in.num();
  spec.tag = in.text();
  const std::uint8_t flags = in.u8();
  spec.no_ack = (flags & 1) != 0;
  spec.exclusive = (flags & 2) != 0;
  spec.priority = static_cast<std::int32_t>(in.num(UINT32_MAX));
  spec.prefetch = static_cast<std::uint32_t>(in.num(UINT32_MAX));
  auto arguments = FieldTable::decode(in.text());
  if (arguments)
    spec.arguments = std::move(*arguments);
  else
    in.fail();
  spec.channel_name = in.text();
  spec.user = in.text();
  spec.connection = in.num();
  return spec;
}

void put_delivery(Out& out, const Delivery& delivery) {
  out.num(delivery.position);
  out.u8(static_cast<std::uint8_t>((delivery.redelivered ? 1 : 0) | (delivery.delivery_count > 0 ? 2 : 0)));
  if (delivery.delivery_count > 0) out.num(delivery.delivery_count);
  out.raw(delivery.message.record());
}

Delivery take_delivery(In& in, const BlockRef& block) {
  Delivery d;
  d.position = in.num();
  const std::uint8_t flags = in.u8();
  d.redelivered = (flags & 1) != 0;
  if ((flags & 2) != 0) d.delivery_count = static_cast<std::uint32_t>(in.num(UINT32_MAX));
  if (!in.ok()) return d;
  const auto message = record_at(*block, in.offset());
  if (!message) {
    in.fail();
    return d;
  }
  d.message = *message;
  d.block = &block;
  in.raw(message->record_size());
  return d;
}

void put_stats(Out& out, const QueueStats& s) {
  for (const std::uint64_t v : {s.ready, s.unacked, s.ready_bytes, s.unacked_bytes, s.persistent,
                                s.persistent_bytes, s.ready_ram, s.unacked_ram, s.bytes_ram,
                                s.memory_bytes, s.consumers})
    out.num(v);
  out.u8(s.head_timestamp ? 1 : 0);
  out.num(s.head_timestamp.value_or(0));
  out.text(s.exclusive_consumer_tag);
  out.text(s.single_active_tag);
  out.text(s.state);
  out.num(static_cast<std::uint64_t>(s.idle_since));
  const QueueCounters& c = s.counters;
  for (const std::uint64_t v :
       {c.publish, c.deliver, c.deliver_no_ack, c.get, c.get_no_ack, c.get_empty, c.redeliver, c.ack,
        c.dead_letter_expired, c.dead_letter_maxlen, c.dead_letter_rejected, c.dead_letter_limit,
        c.dropped})
    out.num(v);
}

QueueStats take_stats(In& in) {
  QueueStats s;
  for (std::uint64_t* v : {&s.ready, &s.unacked, &s.ready_bytes, &s.unacked_bytes, &s.persistent,
                           &s.persistent_bytes, &s.ready_ram, &s.unacked_ram, &s.bytes_ram,
                           &s.memory_bytes, &s.consumers})
    *v = in.num();
  const bool timestamp = in.u8() != 0;
  const std::uint64_t at = in.num();
  if (timestamp) s.head_timestamp = at;
  s.exclusive_consumer_tag = in.text();
  s.single_active_tag = in.text();
  s.state = in.text();
  s.idle_since = static_cast<Millis>(in.num());
  QueueCounters& c = s.counters;
  for (std::uint64_t* v :
       {&c.publish, &c.deliver, &c.deliver_no_ack, &c.get, &c.get_no_ack, &c.get_empty, &c.redeliver,
        &c.ack, &c.dead_letter_expired, &c.dead_letter_maxlen, &c.dead_letter_rejected,
        &c.dead_letter_limit, &c.dropped})
    *v = in.num();
  return s;
}

void put_infos(Out& out, const std::vector<ConsumerInfo>& infos) {
  out.num(infos.size());
  for (const ConsumerInfo& info : infos) {
    put_consumer(out, info.spec);
    out.num(info.spec.node);
    out.u8(info.active ? 1 : 0);
    out.text(info.activity_status);
    out.num(info.unacked);
  }
}

std::vector<ConsumerInfo> take_infos(In& in) {
  std::vector<ConsumerInfo> infos;
  const std::uint64_t n = in.num(in.remaining());
  for (std::uint64_t i = 0; i < n && in.ok(); ++i) {
    ConsumerInfo info;
    info.spec = take_consumer(in);
    info.spec.node = in.num();
    info.active = in.u8() != 0;
    info.activity_status = in.text();
    info.unacked = static_cast<std::uint32_t>(in.num(UINT32_MAX));
    infos.push_back(std::move(info));
  }
  return infos;
}

std::optional<MessageView> record_at(const Block& block, std::uint64_t offset) {
  const std::string_view bytes = block.bytes();
  if (offset > bytes.size() || !MessageView::valid(bytes.substr(offset))) return std::nullopt;
  return MessageView(block.data() + offset);
}

bool all_records(const Block& block, std::vector<RecordRef>& out) {
  std::uint64_t offset = 0;
  while (offset < block.size()) {
    const auto message = record_at(block, offset);
    if (!message) return false;
    out.push_back({static_cast<std::uint32_t>(out.size()), static_cast<std::uint32_t>(offset)});
    offset += message->record_size();
  }
  return true;
}

}  // namespace warren::broker::pipe
