// Records and checkpoint rows of a queue's log: decoders bear anything and are stable; a ledger
// restored from whatever they accept keeps its invariants.

#include "node/broker/queue/ledger.h"
#include "node/broker/queue/log_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace warren;
using namespace warren::broker;

namespace {

class NoLog final : public QueueLog {
 public:
  LogIndex append(std::string, std::string_view, BlockRef) override { return ++last_; }
  LogIndex append_lazy(std::string) override { return ++last_; }
  void read(LogIndex) override {}
  void checkpoint(std::vector<std::pair<std::string, std::optional<std::string>>>, LogIndex,
                  std::vector<LogIndex>) override {}

 private:
  LogIndex last_{1'000'000};
};

void codec_is_stable(std::string_view bytes) {
  if (const auto head = codec::decode_head_row(bytes)) {
    const auto again = codec::decode_head_row(codec::encode_head_row(*head));
    FUZZ_CHECK(again.has_value() && again->next == head->next && again->live == head->live);
  }
  if (const auto chunk = codec::decode_chunk_row(bytes)) {
    const auto again = codec::decode_chunk_row(codec::encode_chunk_row(*chunk));
    FUZZ_CHECK(again.has_value() && again->size() == chunk->size());
  }
  const auto kind = codec::kind_of(bytes);
  if (!kind) return;
  switch (*kind) {
    case codec::Kind::enqueue: (void)codec::decode_enqueue(bytes); break;
    case codec::Kind::remove:
      if (const auto r = codec::decode_remove(bytes)) {
        const auto again =
            codec::decode_remove(codec::encode_remove(r->why, r->body_bytes, r->ranges));
        FUZZ_CHECK(again.has_value() && again->ranges.size() == r->ranges.size());
      }
      break;
    case codec::Kind::returned:
      if (const auto r = codec::decode_returned(bytes))
        FUZZ_CHECK(codec::decode_returned(codec::encode_returned(r->counts)).has_value());
      break;
    case codec::Kind::watermark: (void)codec::decode_watermark(bytes); break;
    case codec::Kind::settings: break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  codec_is_stable(bytes);

  Input in(data, size);
  NoLog log;
  QueueOptions options;
  MemoryBudget budget;
  Ledger ledger(&log, nullptr, 1, options, budget, true);
  std::vector<std::pair<std::string, std::string>> rows;
  for (auto n = in.below(3); n > 0; --n) {
    const auto key = in.byte();
    rows.emplace_back(key == 0 ? codec::head_key() : codec::chunk_key(key - 1U),
                      std::string(in.text()));
  }
  if (!ledger.restore(rows)) return 0;
  LogIndex index = 0;
  while (!in.empty()) {
    index += 1 + in.below(4);
    const unsigned levels = 1 + (index % 3 == 0 ? 10 : 0);
    if (!ledger.replay(index, in.text(), levels)) return 0;
  }
  const IntervalSet live = ledger.recovered();
  ledger.check_invariants();
  (void)live;
  return 0;
}
