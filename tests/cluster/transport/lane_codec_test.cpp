#include "cluster/transport/lane_codec.h"

#include <gtest/gtest.h>

#include <random>

namespace warren::transport {
namespace {

std::vector<LaneFrame> read_all(LaneReader& reader, const std::string& bytes, std::size_t piece) {
  std::vector<LaneFrame> out;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const Result<> fed = reader.feed(std::string_view(bytes).substr(at, piece), out);
    EXPECT_TRUE(fed) << fed.error().text;
  }
  return out;
}

TEST(LaneCodec, FramesSurviveAnyCutting) {
  std::mt19937 dice(7);
  for (const std::size_t piece : {1u, 3u, 1000u, 1u << 20}) {
    LaneWriter writer;
    std::array<std::vector<std::string>, kLanes> sent, got;
    std::size_t total = 0;
    for (int i = 0; i < 200; ++i) {
      const std::size_t size = i % 50 == 49 ? 700'000 : dice() % 300;
      const auto lane = static_cast<Lane>(dice() % kLanes);
      std::string frame(size, static_cast<char>(dice()));
      sent[static_cast<std::size_t>(lane)].push_back(frame);
      total += size;
      writer.add(lane, std::move(frame));
    }
    LaneReader reader;
    std::size_t taken_total = 0;
    while (!writer.empty()) {
      std::array<std::size_t, kLanes> taken{};
      const std::string message = writer.next(taken);
      ASSERT_FALSE(message.empty());
      ASSERT_LE(message.size(), kMessageBytes + 1024);
      for (const std::size_t bytes : taken) taken_total += bytes;
      for (LaneFrame& frame : read_all(reader, message, piece))
        got[static_cast<std::size_t>(frame.lane)].push_back(std::move(frame.bytes));
    }
    EXPECT_EQ(taken_total, total);
    EXPECT_EQ(sent, got);
    EXPECT_EQ(reader.held_bytes(), 0u);
  }
}

TEST(LaneCodec, ConsensusPassesALargeQueueFrame) {
  LaneWriter writer;
  std::array<std::size_t, kLanes> taken{};
  writer.add(Lane::queues, std::string(10 << 20, 'q'));
  LaneReader reader;
  EXPECT_TRUE(read_all(reader, writer.next(taken), 1 << 20).empty());
  writer.add(Lane::consensus, "vote");
  const auto frames = read_all(reader, writer.next(taken), 1 << 20);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].bytes, "vote");
}

TEST(LaneCodec, NoLaneStarvesAnother) {
  LaneWriter writer;
  std::array<std::size_t, kLanes> taken{};
  writer.add(Lane::consensus, std::string(60 << 20, 'c'));
  writer.add(Lane::metadata, std::string(60 << 10, 'm'));
  writer.add(Lane::queues, std::string(60 << 10, 'q'));
  writer.next(taken);
  EXPECT_GT(taken[0], 100u << 10);
  EXPECT_EQ(taken[1], 60u << 10);
  EXPECT_EQ(taken[2], 60u << 10);
}

TEST(LaneCodec, EmptyFramesAreFramesAndCountAgainstAMessage) {
  LaneWriter writer;
  for (int i = 0; i < 100'000; ++i) writer.add(Lane::metadata, "");
  LaneReader reader;
  std::size_t frames = 0;
  while (!writer.empty()) {
    std::array<std::size_t, kLanes> taken{};
    const std::string message = writer.next(taken);
    ASSERT_LE(message.size(), kMessageBytes + 1024);
    frames += read_all(reader, message, message.size()).size();
  }
  EXPECT_EQ(frames, 100'000u);
}

TEST(LaneCodec, GarbageIsRefusedAndClaimedLengthsTakeNoMemory) {
  const auto refused = [](std::string bytes) {
    LaneReader reader;
    std::vector<LaneFrame> out;
    return !reader.feed(bytes, out);
  };
  EXPECT_TRUE(refused(std::string("\xc3\0\0\0\0", 5))) << "there is no fourth lane";
  EXPECT_TRUE(refused(std::string("\xe0\0\0\0\0", 5))) << "unknown flag";
  EXPECT_TRUE(refused(std::string("\x80\0\0\0\1x", 6))) << "not begun";
  EXPECT_TRUE(refused(std::string("\xc0\xff\xff\xff\xff", 5))) << "too large";
  EXPECT_TRUE(refused(std::string("\x40\0\0\0\2\0\0\0\2xx", 11))) << "all of it, yet not last";
  EXPECT_TRUE(refused(std::string("\x40\0\0\0\0\0\0\0\2", 9))) << "a chunk with nothing in it";
  EXPECT_TRUE(refused(std::string("\x40\0\0\0\1\0\0\0\3x\x40\0\0\0\1\0\0\0\3", 19))) << "begun twice";
  LaneReader reader;
  std::vector<LaneFrame> out;
  EXPECT_TRUE(reader.feed(std::string("\x40\0\0\0\1\4\0\0\0x", 10), out));
  EXPECT_EQ(reader.held_bytes(), 1u);
}

TEST(LaneCodec, RandomBytesNeverCrash) {
  std::mt19937 dice(11);
  for (int round = 0; round < 2000; ++round) {
    LaneReader reader;
    std::vector<LaneFrame> out;
    std::string bytes(dice() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(dice() % 3 == 0 ? dice() : 0);
    (void)reader.feed(bytes, out);
  }
}

}  // namespace
}  // namespace warren::transport
