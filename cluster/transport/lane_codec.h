#pragma once
// The bytes of a peer stream: frames of three lanes, cut into chunks and interleaved so that a large
// frame of one lane does not hold up the others. Pure: no sockets, no threads.
//
//   chunk = head (bits 0-1 lane, bit 6 first of its frame, bit 7 last) . u32 length
//           . u32 frame length, in a first chunk that is not the last . bytes

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace warren::transport {

/// What frames are about; in order of precedence.
enum class Lane : std::uint8_t { consensus = 0, metadata = 1, queues = 2 };
inline constexpr std::size_t kLanes = 3;
const char* lane_name(Lane lane);

/// The largest frame a stream carries.
inline constexpr std::size_t kFrameMaxBytes = 65u << 20;
/// What one write to the network may hold.
inline constexpr std::size_t kMessageBytes = 256u << 10;

/// Frames waiting for the network, per lane.
/// Owner: one thread or lock at a time.
class LaneWriter {
 public:
  /// Requires: frame.size() <= kFrameMaxBytes.
  void add(Lane lane, std::string frame);
  bool empty() const { return waiting_ == 0; }
  /// Bytes added and not yet taken by next().
  std::size_t bytes(Lane lane) const { return lanes_[index(lane)].bytes; }
  /// The next write, at most about kMessageBytes. Each lane that has something gets its share, the
  /// rest goes by precedence. `taken` gets the frame bytes of each lane in it.
  std::string next(std::array<std::size_t, kLanes>& taken);
  void clear();

 private:
  struct Waiting {
    std::deque<std::string> frames;
    std::size_t offset{0};  ///< of the first frame: what is already sent
    std::size_t bytes{0};
  };
  static std::size_t index(Lane lane) { return static_cast<std::size_t>(lane); }
  /// Moves up to about `budget` bytes of a lane; answers how many.
  std::size_t put(std::size_t lane, std::size_t budget, std::string& to);

  std::array<Waiting, kLanes> lanes_;
  std::size_t waiting_{0};  ///< frames, whole or in part
};

/// One frame that arrived whole.
struct LaneFrame {
  Lane lane{Lane::consensus};
  std::string bytes;
};

/// Puts frames together again from any pieces of the byte stream.
class LaneReader {
 public:
  /// Appends the frames completed by `bytes`. After an error the stream is of no more use.
  /// Errors: corruption (unknown lane, chunk out of place, lengths that do not fit).
  Result<> feed(std::string_view bytes, std::vector<LaneFrame>& out);
  /// Bytes held of frames that are not whole yet.
  std::size_t held_bytes() const;

 private:
  struct Partial {
    std::string bytes;
    std::size_t total{0};
    bool open{false};
  };
  Result<> take_head();
  void take_body(std::string_view& bytes, std::vector<LaneFrame>& out);

  std::array<Partial, kLanes> lanes_;
  std::string head_;
  std::size_t left_{0};  ///< bytes of the current chunk still to come
  std::size_t lane_{0};
  bool in_body_{false};
  bool last_{false};
};

}  // namespace warren::transport
