// Frames and records: what comes from a peer or the disc is checked before it is believed.
#include "cluster/replica/frame.h"
#include "cluster/replica/records.h"

#include "base/prng.h"

#include <gtest/gtest.h>

namespace warren::replica {
namespace {

Frame sample() {
  Frame frame;
  frame.head = {5, raft::NodeId(1), raft::NodeId(2), 9};
  frame.heartbeat = Heartbeat{100, 7};
  frame.reply = HeartbeatReply{90, 8};
  raft::Append append{3, 2, 4, 3, {1, 2}, {raft::Entry{4, 2, raft::EntryKind::data, raft::Slice::of("x")}}};
  frame.messages.push_back({77, {raft::NodeId(1), raft::NodeId(2), 2, append}});
  frame.messages.push_back({78, {raft::NodeId(1), raft::NodeId(2), 2, raft::TimeoutNow{}}});
  return frame;
}

Result<Frame> decode(std::string bytes) {
  return decode_frame(std::make_shared<const std::string>(std::move(bytes)));
}

TEST(FrameTest, RoundTrips) {
  auto frame = decode(encode_frame(sample()));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->head, sample().head);
  EXPECT_EQ(frame->heartbeat, sample().heartbeat);
  EXPECT_EQ(frame->reply, sample().reply);
  ASSERT_EQ(frame->messages.size(), 2u);
  EXPECT_EQ(std::get<raft::Append>(frame->messages[0].message.payload).entries[0].body.bytes, "x");
}

TEST(FrameTest, EveryTruncationAndAnyTrailingByteIsRefused) {
  std::string bytes = encode_frame(sample());
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode(bytes.substr(0, n))) << n;
  EXPECT_FALSE(decode(bytes + "x"));
}

TEST(FrameTest, AForeignVersionSaysSo) {
  std::string bytes = encode_frame(sample());
  bytes[2] = 99;
  EXPECT_EQ(decode(bytes).error().code, Errc::unsupported);
}

TEST(FrameTest, RandomDamageNeverHarms) {
  Prng prng(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = encode_frame(sample());
    for (int flips = 0; flips < 3; ++flips) {
      bytes[prng.below(bytes.size())] = static_cast<char>(prng.below(256));
    }
    if (auto frame = decode(bytes)) (void)encode_frame(*frame);
  }
}

TEST(RecordTest, RoundTripsAndRefusesEveryTruncation) {
  GroupRecord record;
  record.log_uid = 3;
  record.staging_uid = kLocalUid + 4;
  record.hard = {7, raft::NodeId(2), 11};
  record.base = {9, 6, raft::make_config({raft::NodeId(1), raft::NodeId(2)}), 4};
  std::string bytes = encode_record(record);
  EXPECT_EQ(*decode_record(bytes), record);
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_record(bytes.substr(0, n)));
  EXPECT_FALSE(decode_record(bytes + "x"));
}

TEST(RecordTest, AMalformedSnapshotPieceWritesNothingUseful) {
  storage::WriteBatch batch;
  EXPECT_FALSE(write_piece("garbage", nullptr, 5, batch));
}

}  // namespace
}  // namespace warren::replica
