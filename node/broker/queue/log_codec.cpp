#include "node/broker/queue/log_codec.h"

#include "base/bytes.h"

namespace warren::broker::codec {
namespace {

constexpr Position kPositionLimit = std::uint64_t{1} << 48;

void put(std::string& out, std::uint64_t v) {
  while (v >= 0x80) {
    out.push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  out.push_back(static_cast<char>(v));
}

std::uint64_t take(ByteReader& in) {
  std::uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t b = in.u8();
    if (!in.ok()) return 0;
    if (shift == 63 && b > 1) break;
    v |= std::uint64_t{b & 0x7fu} << shift;
    if ((b & 0x80) == 0) return v;
  }
  in.fail();
  return 0;
}

std::string head(Kind kind) {
  return {static_cast<char>(kVersion), static_cast<char>(kind)};
}

Error damaged(const char* what) {
  return make_error(Errc::corruption, std::string("queue log: damaged ") + what);
}

ByteReader body_of(std::string_view record) {
  return ByteReader(record.substr(std::min<std::size_t>(2, record.size())));
}

void put_ranges(std::string& out, const std::vector<Range>& ranges, Position from) {
  put(out, ranges.size());
  for (const Range& r : ranges) {
    put(out, r.first - from);
    put(out, r.end - r.first);
    from = r.end;
  }
}

std::vector<Range> take_ranges(ByteReader& in, Position from) {
  std::vector<Range> out;
  const std::uint64_t n = take(in);
  if (n > in.remaining()) in.fail();
  for (std::uint64_t i = 0; i < n && in.ok(); ++i) {
    const std::uint64_t gap = take(in), size = take(in);
    if (gap >= kPositionLimit || size == 0 || size >= kPositionLimit) in.fail();
    out.push_back({from + gap, from + gap + size});
    from = out.back().end;
    if (from >= kPositionLimit) in.fail();
  }
  return out;
}

void put_counts(std::string& out, const std::vector<std::pair<Position, std::uint32_t>>& counts,
                Position from) {
  put(out, counts.size());
  for (const auto& [position, count] : counts) {
    put(out, position - from);
    put(out, count);
    from = position;
  }
}

std::vector<std::pair<Position, std::uint32_t>> take_counts(ByteReader& in, Position from) {
  std::vector<std::pair<Position, std::uint32_t>> out;
  const std::uint64_t n = take(in);
  if (n > in.remaining()) in.fail();
  for (std::uint64_t i = 0; i < n && in.ok(); ++i) {
    const std::uint64_t gap = take(in), count = take(in);
    if (gap >= kPositionLimit || count > ~std::uint32_t{0}) in.fail();
    from += gap;
    if (from >= kPositionLimit) in.fail();
    out.emplace_back(from, static_cast<std::uint32_t>(count));
  }
  return out;
}

}  // namespace

std::string encode_enqueue(Position first, std::uint32_t count, Position watermark) {
  std::string out = head(Kind::enqueue);
  put(out, first);
  put(out, count);
  put(out, watermark);
  return out;
}

std::string encode_remove(Gone why, std::uint64_t body_bytes, const std::vector<Range>& ranges) {
  std::string out = head(Kind::remove);
  out.push_back(static_cast<char>(why));
  put(out, body_bytes);
  put_ranges(out, ranges, 0);
  return out;
}

std::string encode_returned(const std::vector<std::pair<Position, std::uint32_t>>& counts) {
  std::string out = head(Kind::returned);
  put_counts(out, counts, 0);
  return out;
}

std::string encode_watermark(Position watermark) {
  std::string out = head(Kind::watermark);
  put(out, watermark);
  return out;
}

Result<Kind> kind_of(std::string_view record) {
  if (record.size() < 2) return damaged("record");
  if (static_cast<std::uint8_t>(record[0]) != kVersion)
    return make_error(Errc::unsupported, "queue log: record of an unknown version");
  const auto kind = static_cast<std::uint8_t>(record[1]);
  if (kind < 1 || kind > static_cast<std::uint8_t>(Kind::settings))
    return make_error(Errc::unsupported, "queue log: record of an unknown kind");
  return static_cast<Kind>(kind);
}

Result<Enqueue> decode_enqueue(std::string_view record) {
  ByteReader in = body_of(record);
  Enqueue out;
  out.first = take(in);
  const std::uint64_t count = take(in);
  out.watermark = take(in);
  if (!in.ok() || count == 0 || count > Run::kMaxCount || out.first == 0 ||
      out.first + count >= kPositionLimit || out.watermark >= kPositionLimit)
    return damaged("enqueue record");
  out.count = static_cast<std::uint32_t>(count);
  out.head_bytes = record.size() - in.remaining();
  return out;
}

Result<Remove> decode_remove(std::string_view record) {
  ByteReader in = body_of(record);
  Remove out;
  out.why = static_cast<Gone>(in.u8());
  out.body_bytes = take(in);
  out.ranges = take_ranges(in, 0);
  if (!in.ok() || !in.at_end()) return damaged("remove record");
  return out;
}

Result<Returned> decode_returned(std::string_view record) {
  ByteReader in = body_of(record);
  Returned out{take_counts(in, 0)};
  if (!in.ok() || !in.at_end()) return damaged("return record");
  return out;
}

Result<Position> decode_watermark(std::string_view record) {
  ByteReader in = body_of(record);
  const Position out = take(in);
  if (!in.ok() || !in.at_end() || out >= kPositionLimit) return damaged("watermark record");
  return out;
}

std::string chunk_key(std::uint64_t chunk) {
  std::string key = "c";
  ByteWriter(key).u64(chunk);
  return key;
}

std::string encode_head_row(const HeadRow& row) {
  std::string out(1, static_cast<char>(kVersion));
  put(out, row.covers);
  put(out, row.next);
  put(out, row.watermark);
  put(out, row.live);
  put(out, row.live_bytes);
  put(out, row.any_expiration ? 1 : 0);
  return out;
}

Result<HeadRow> decode_head_row(std::string_view value) {
  ByteReader in(value);
  if (in.u8() != kVersion)
    return make_error(Errc::unsupported, "queue checkpoint: head row of an unknown version");
  HeadRow row;
  row.covers = take(in);
  row.next = take(in);
  row.watermark = take(in);
  row.live = take(in);
  row.live_bytes = take(in);
  row.any_expiration = (take(in) & 1) != 0;
  if (!in.ok() || row.next >= kPositionLimit) return damaged("checkpoint head");
  return row;
}

namespace {
enum EntryFlags : std::uint8_t { kPartial = 1, kLevels = 2, kTransients = 4, kCounts = 8 };
}

std::string encode_chunk_row(const std::vector<EntryRow>& entries) {
  std::string out(1, static_cast<char>(kVersion));
  put(out, entries.size());
  LogIndex index = 0;
  Position end = 0;
  for (const EntryRow& e : entries) {
    put(out, e.index - index);
    put(out, e.first - end);
    put(out, e.count);
    put(out, e.bytes);
    index = e.index;
    end = e.first + e.count;
    const int flags = (e.live.empty() ? 0 : kPartial) | (e.levels.empty() ? 0 : kLevels) |
                      (e.transients.empty() ? 0 : kTransients) | (e.counts.empty() ? 0 : kCounts);
    out.push_back(static_cast<char>(flags));
    if (flags & kPartial) put_ranges(out, e.live, e.first);
    if (flags & kLevels) {
      put(out, e.levels.size());
      out.append(reinterpret_cast<const char*>(e.levels.data()), e.levels.size());
    }
    if (flags & kTransients) {
      put(out, e.transients.size());
      for (const auto& t : e.transients) {
        put(out, t.ordinal);
        put(out, t.body_bytes);
      }
    }
    if (flags & kCounts) put_counts(out, e.counts, e.first);
  }
  return out;
}

namespace {

bool take_entry(ByteReader& in, LogIndex& index, Position& end, EntryRow& e) {
  const std::uint64_t index_gap = take(in), gap = take(in), count = take(in), bytes = take(in);
  const std::uint8_t flags = in.u8();
  if (!in.ok() || index_gap == 0 || index_gap >= kPositionLimit || gap >= kPositionLimit ||
      count == 0 || count > Run::kMaxCount || bytes > kMaxRecordBytes)
    return false;
  e.index = index += index_gap;
  e.first = end + gap;
  e.count = static_cast<std::uint32_t>(count);
  e.bytes = static_cast<std::uint32_t>(bytes);
  end = e.first + e.count;
  if (end >= kPositionLimit || e.index >= kPositionLimit || e.first == 0) return false;
  if (flags & kPartial) {
    e.live = take_ranges(in, e.first);
    if (e.live.empty() || e.live.back().end > end) return false;
  }
  if (flags & kLevels) {
    const std::uint64_t n = take(in);
    if (n != 1 && n != e.count) return false;
    const auto levels = in.bytes(n);
    e.levels.assign(levels.begin(), levels.end());
  }
  if (flags & kTransients) {
    const std::uint64_t n = take(in);
    if (n > e.count) return false;
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t ordinal = take(in), body = take(in);
      if (ordinal >= e.count || body > ~std::uint32_t{0}) return false;
      e.transients.push_back(
          {static_cast<std::uint32_t>(ordinal), static_cast<std::uint32_t>(body)});
    }
  }
  if (flags & kCounts) {
    e.counts = take_counts(in, e.first);
    if (!e.counts.empty() && e.counts.back().first >= end) return false;
  }
  return in.ok();
}

}  // namespace

Result<std::vector<EntryRow>> decode_chunk_row(std::string_view value) {
  ByteReader in(value);
  if (in.u8() != kVersion)
    return make_error(Errc::unsupported, "queue checkpoint: chunk row of an unknown version");
  const std::uint64_t n = take(in);
  if (!in.ok() || n > (1u << kChunkBits)) return damaged("checkpoint chunk");
  std::vector<EntryRow> out;
  LogIndex index = 0;
  Position end = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    EntryRow e;
    if (!take_entry(in, index, end, e)) return damaged("checkpoint chunk");
    out.push_back(std::move(e));
  }
  if (!in.at_end()) return damaged("checkpoint chunk");
  return out;
}

}  // namespace warren::broker::codec
