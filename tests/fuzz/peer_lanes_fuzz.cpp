// The byte stream between nodes: any cutting gives the same frames or the same refusal, and what is
// held never exceeds what came.

#include "cluster/transport/lane_codec.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::transport;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  LaneReader whole, pieces;
  std::vector<LaneFrame> from_whole, from_pieces;
  const bool good = static_cast<bool>(whole.feed(bytes, from_whole));
  bool good_in_pieces = true;
  for (std::size_t at = 0; at < size && good_in_pieces; at += 3)
    good_in_pieces = static_cast<bool>(pieces.feed(bytes.substr(at, 3), from_pieces));
  FUZZ_CHECK(good == good_in_pieces);
  FUZZ_CHECK(from_whole.size() == from_pieces.size());
  FUZZ_CHECK(whole.held_bytes() <= size);
  // What was read can be written and read again.
  LaneWriter writer;
  for (std::size_t i = 0; i < from_whole.size(); ++i) {
    FUZZ_CHECK(from_whole[i].bytes == from_pieces[i].bytes && from_whole[i].lane == from_pieces[i].lane);
    writer.add(from_whole[i].lane, from_whole[i].bytes);
  }
  LaneReader again;
  std::vector<LaneFrame> frames;
  while (!writer.empty()) {
    std::array<std::size_t, kLanes> taken{};
    FUZZ_CHECK(again.feed(writer.next(taken), frames).has_value());
  }
  FUZZ_CHECK(frames.size() == from_whole.size() && again.held_bytes() == 0);
  return 0;
}
