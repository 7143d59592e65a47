// Messages survive the wire, and damaged bytes are refused without harm.
#include "cluster/raft/codec.h"

#include "base/prng.h"

#include <gtest/gtest.h>

namespace warren::raft {
namespace {

std::vector<Message> samples() {
  LogBase base{9, 3, make_config({NodeId(1), NodeId(2)}, {NodeId(3)}), 4};
  std::vector<Payload> payloads{
      PreVote{4, 10, 3},
      PreVoteReply{4, true},
      Vote{10, 3, true},
      VoteReply{false},
      Append{7, 2, 9, 8, {5, -6},
             {Entry{8, 2, EntryKind::noop, {}}, Entry{9, 3, EntryKind::data, Slice::of("body")}}},
      AppendReply{true, 9, 7, 6, 2, 8, {1, 2}},
      TimeoutNow{},
      SnapshotChunk{77, 3, true, base, Slice::of("rows")},
      SnapshotReply{77, 4},
      ReadRequest{12},
      ReadReply{12, true, 9}};
  std::vector<Message> out;
  for (Payload& p : payloads) out.push_back({NodeId(1), NodeId(2), 5, std::move(p)});
  return out;
}

TEST(RaftCodecTest, EveryMessageRoundTrips) {
  for (const Message& m : samples()) {
    std::string bytes, again;
    encode_message(m, bytes);
    ByteReader in(bytes);
    auto decoded = decode_message(in, nullptr);
    ASSERT_TRUE(decoded) << message_name(m);
    EXPECT_TRUE(in.at_end());
    EXPECT_EQ(decoded->payload.index(), m.payload.index());
    encode_message(*decoded, again);
    EXPECT_EQ(again, bytes) << message_name(m);
  }
}

TEST(RaftCodecTest, EveryTruncationIsRefused) {
  for (const Message& m : samples()) {
    std::string bytes;
    encode_message(m, bytes);
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      ByteReader in(std::string_view(bytes).substr(0, n));
      EXPECT_FALSE(decode_message(in, nullptr)) << message_name(m) << " cut at " << n;
    }
  }
}

TEST(RaftCodecTest, RandomDamageNeverHarms) {
  Prng prng(11);
  for (int round = 0; round < 20'000; ++round) {
    auto all = samples();
    std::string bytes;
    encode_message(all[prng.below(all.size())], bytes);
    for (int flips = 0; flips < 3; ++flips) {
      bytes[prng.below(bytes.size())] = static_cast<char>(prng.below(256));
    }
    ByteReader in(bytes);
    auto decoded = decode_message(in, nullptr);
    if (!decoded) continue;
    std::string again;
    encode_message(*decoded, again);
    EXPECT_LE(again.size(), bytes.size());
  }
}

TEST(RaftCodecTest, AnImpossibleEntryCountIsRefusedBeforeMemoryIsTaken) {
  std::string bytes;
  encode_message({NodeId(1), NodeId(2), 5, Append{0, 0, 0, 0, {}, {}}}, bytes);
  for (std::size_t i = bytes.size() - 4; i < bytes.size(); ++i) bytes[i] = '\xff';
  ByteReader in(bytes);
  EXPECT_EQ(decode_message(in, nullptr).error().code, Errc::corruption);
}

}  // namespace
}  // namespace warren::raft
