#include "cluster/raft/codec.h"

#include "base/assert.h"

namespace warren::raft {
namespace {

constexpr std::uint8_t kEntryVersion = 1;
/// Least bytes of an entry on the wire: index is implied; term, kind, length.
constexpr std::size_t kWireEntryBytes = 8 + 1 + 4;

struct Encoder {
  ByteWriter out;

  void echo(const Echo& e) {
    out.u64(e.round);
    out.i64(e.sent_ms);
  }
  void operator()(const PreVote& p) {
    out.u64(p.asked);
    out.u64(p.last_index);
    out.u64(p.last_term);
  }
  void operator()(const PreVoteReply& p) {
    out.u64(p.asked);
    out.u8(p.granted);
  }
  void operator()(const Vote& p) {
    out.u64(p.last_index);
    out.u64(p.last_term);
    out.u8(p.transfer);
  }
  void operator()(const VoteReply& p) { out.u8(p.granted); }
  void operator()(const Append& p) {
    WARREN_ASSERT(p.entries.size() == p.last_index - p.prev_index);
    out.u64(p.prev_index);
    out.u64(p.prev_term);
    out.u64(p.commit);
    echo(p.echo);
    out.u32(static_cast<std::uint32_t>(p.entries.size()));
    for (const Entry& entry : p.entries) {
      out.u64(entry.term);
      out.u8(static_cast<std::uint8_t>(entry.kind));
      out.str32(entry.body.bytes);
    }
  }
  void operator()(const AppendReply& p) {
    out.u8(p.ok);
    out.u64(p.match);
    out.u64(p.prev_index);
    out.u64(p.hint_index);
    out.u64(p.hint_term);
    out.u64(p.commit);
    echo(p.echo);
  }
  void operator()(const TimeoutNow&) {}
  void operator()(const SnapshotChunk& p) {
    out.u64(p.transfer);
    out.u64(p.number);
    out.u8(p.last);
    out.u64(p.base.index);
    out.u64(p.base.term);
    out.u64(p.base.config_index);
    out.str32(encode_config(p.base.config));
    out.str32(p.body.bytes);
  }
  void operator()(const SnapshotReply& p) {
    out.u64(p.transfer);
    out.u64(p.next);
  }
  void operator()(const ReadRequest& p) { out.u64(p.ticket); }
  void operator()(const ReadReply& p) {
    out.u64(p.ticket);
    out.u8(p.ok);
    out.u64(p.index);
  }
};

class Decoder {
 public:
  Decoder(ByteReader& in, const std::shared_ptr<const void>& owner) : in_(in), owner_(owner) {}

  /// A boolean is 0 or 1; anything else is damage.
  bool flag() {
    std::uint8_t v = in_.u8();
    if (v > 1) in_.fail();
    return v == 1;
  }
  Echo echo() {
    Echo e;
    e.round = in_.u64();
    e.sent_ms = in_.i64();
    return e;
  }
  void fill(PreVote& p) {
    p.asked = in_.u64();
    p.last_index = in_.u64();
    p.last_term = in_.u64();
  }
  void fill(PreVoteReply& p) {
    p.asked = in_.u64();
    p.granted = flag();
  }
  void fill(Vote& p) {
    p.last_index = in_.u64();
    p.last_term = in_.u64();
    p.transfer = flag();
  }
  void fill(VoteReply& p) { p.granted = flag(); }
  void fill(Append& p) {
    p.prev_index = in_.u64();
    p.prev_term = in_.u64();
    p.commit = in_.u64();
    p.echo = echo();
    std::size_t count = in_.u32();
    if (count > in_.remaining() / kWireEntryBytes || p.prev_index > UINT64_MAX - count) {
      return in_.fail();
    }
    p.last_index = p.prev_index + count;
    p.entries.reserve(count);
    for (std::size_t i = 0; i < count && in_.ok(); ++i) p.entries.push_back(entry(p.prev_index + i + 1));
  }
  void fill(AppendReply& p) {
    p.ok = flag();
    p.match = in_.u64();
    p.prev_index = in_.u64();
    p.hint_index = in_.u64();
    p.hint_term = in_.u64();
    p.commit = in_.u64();
    p.echo = echo();
  }
  void fill(TimeoutNow&) {}
  void fill(SnapshotChunk& p) {
    p.transfer = in_.u64();
    p.number = in_.u64();
    p.last = flag();
    p.base.index = in_.u64();
    p.base.term = in_.u64();
    p.base.config_index = in_.u64();
    auto config = decode_config(in_.str32());
    if (!config) return in_.fail();
    p.base.config = std::move(*config);
    p.body = Slice{owner_, in_.str32()};
  }
  void fill(SnapshotReply& p) {
    p.transfer = in_.u64();
    p.next = in_.u64();
  }
  void fill(ReadRequest& p) { p.ticket = in_.u64(); }
  void fill(ReadReply& p) {
    p.ticket = in_.u64();
    p.ok = flag();
    p.index = in_.u64();
  }

 private:
  Entry entry(Index index) {
    Entry e;
    e.index = index;
    e.term = in_.u64();
    std::uint8_t kind = in_.u8();
    if (kind > static_cast<std::uint8_t>(EntryKind::config)) in_.fail();
    e.kind = static_cast<EntryKind>(kind);
    e.body = Slice{owner_, in_.str32()};
    return e;
  }

  ByteReader& in_;
  const std::shared_ptr<const void>& owner_;
};

template <std::size_t I = 0>
bool fill_payload(std::size_t kind, Decoder& decoder, Payload& payload) {
  if constexpr (I < std::variant_size_v<Payload>) {
    if (kind == I) {
      decoder.fill(payload.emplace<I>());
      return true;
    }
    return fill_payload<I + 1>(kind, decoder, payload);
  } else {
    return false;
  }
}

}  // namespace

void encode_message(const Message& message, std::string& out) {
  ByteWriter writer(out);
  writer.u8(static_cast<std::uint8_t>(message.payload.index() + 1));
  writer.u64(message.from.value);
  writer.u64(message.to.value);
  writer.u64(message.term);
  std::visit(Encoder{writer}, message.payload);
}

Result<Message> decode_message(ByteReader& in, const std::shared_ptr<const void>& owner) {
  std::size_t kind = in.u8();
  Message message;
  message.from = NodeId(in.u64());
  message.to = NodeId(in.u64());
  message.term = in.u64();
  Decoder decoder(in, owner);
  bool known = in.ok() && kind >= 1 && fill_payload(kind - 1, decoder, message.payload);
  if (!known || !in.ok()) {
    in.fail();
    return make_error(Errc::corruption, "raft message: truncated or malformed");
  }
  return message;
}

std::string encode_entry_head(const Entry& entry) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(kEntryVersion);
  writer.u8(static_cast<std::uint8_t>(entry.kind));
  writer.u64(entry.term);
  return out;
}

Result<Entry> decode_stored_entry(Index index, std::string_view bytes,
                                  std::shared_ptr<const void> owner) {
  ByteReader in(bytes);
  std::uint8_t version = in.u8();
  std::uint8_t kind = in.u8();
  Term term = in.u64();
  if (!in.ok() || kind > static_cast<std::uint8_t>(EntryKind::config)) {
    return make_error(Errc::corruption, "log entry: truncated or malformed");
  }
  if (version != kEntryVersion) return make_error(Errc::unsupported, "log entry: foreign version");
  return Entry{index, term, static_cast<EntryKind>(kind),
               Slice{std::move(owner), in.bytes(in.remaining())}};
}

}  // namespace warren::raft
