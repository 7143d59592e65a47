// Majority and membership arithmetic against a dumb model that tries every subset.
#include "cluster/raft/config.h"
#include "cluster/raft/quorum.h"

#include "base/prng.h"

#include <gtest/gtest.h>

#include <bit>
#include <map>

namespace warren::raft {
namespace {

NodeId node(std::uint64_t id) { return NodeId(id); }

bool majority_of(const std::vector<NodeId>& half, std::uint32_t set) {
  std::size_t in = 0;
  for (NodeId n : half) in += (set >> n.value) & 1;
  return half.empty() || in * 2 > half.size();
}

Config random_config(Prng& prng) {
  Config config;
  for (std::uint64_t id = 1; id <= 9; ++id) {
    if (prng.chance(1, 2)) config.voters.push_back(node(id));
    if (prng.chance(1, 3)) config.outgoing.push_back(node(id));
  }
  if (config.voters.empty()) config.voters.push_back(node(3));
  return config;
}

TEST(QuorumTest, AgreesWithEverySubset) {
  Prng prng(20261122);
  for (int round = 0; round < 300; ++round) {
    Config config = random_config(prng);
    for (int trial = 0; trial < 20; ++trial) {
      auto set = static_cast<std::uint32_t>(prng.below(1024));
      bool expected = majority_of(config.voters, set) && majority_of(config.outgoing, set);
      EXPECT_EQ(has_quorum(config, [&](NodeId n) { return (set >> n.value) & 1; }), expected);
    }
  }
}

TEST(QuorumTest, CommitIsTheLargestIndexThatAQuorumHolds) {
  Prng prng(7);
  for (int round = 0; round < 500; ++round) {
    Config config = random_config(prng);
    std::map<NodeId, Index> match;
    for (std::uint64_t id = 1; id <= 9; ++id) match[node(id)] = prng.below(12);
    Index dumb = 0;
    for (Index i = 0; i < 12; ++i) {
      if (has_quorum(config, [&](NodeId n) { return match[n] >= i; })) dumb = i;
    }
    EXPECT_EQ(quorum_value<Index>(config, [&](NodeId n) { return match[n]; }), dumb);
  }
}

TEST(QuorumTest, TallyIsLostExactlyWhenNoCompletionCouldWin) {
  Prng prng(9);
  for (int round = 0; round < 500; ++round) {
    Config config = random_config(prng);
    auto yes = static_cast<std::uint32_t>(prng.below(1024));
    auto no = static_cast<std::uint32_t>(prng.below(1024)) & ~yes;
    auto ballot = [&](NodeId n) -> std::optional<bool> {
      if ((yes >> n.value) & 1) return true;
      if ((no >> n.value) & 1) return false;
      return std::nullopt;
    };
    auto quorum = [&](std::uint32_t set) {
      return majority_of(config.voters, set) && majority_of(config.outgoing, set);
    };
    Tally expected = quorum(yes) ? Tally::won : quorum(~no) ? Tally::pending : Tally::lost;
    EXPECT_EQ(tally(config, ballot), expected);
  }
}

TEST(QuorumTest, SingleServerChangesAlwaysOverlap) {
  // Thesis 4.1: any majority of the old and any of the new membership share a server.
  for (std::uint32_t old_set = 1; old_set < 128; ++old_set) {
    for (int bit = 0; bit < 7; ++bit) {
      std::uint32_t new_set = old_set ^ (1u << bit);
      if (new_set == 0) continue;
      int need = std::popcount(old_set) / 2 + 1 + std::popcount(new_set) / 2 + 1;
      EXPECT_GT(need, std::popcount(old_set | new_set));
    }
  }
}

TEST(ConfigTest, PlansSingleStepsDirectlyAndLargerOnesJointly) {
  Config three = make_config({node(1), node(2), node(3)});
  Config four = make_config({node(4), node(1), node(2), node(3)});
  EXPECT_EQ(*next_config(three, four), four);
  Config swapped = make_config({node(1), node(4), node(5)}, {node(2)});
  Config joint = *next_config(three, swapped);
  EXPECT_TRUE(joint.joint());
  EXPECT_EQ(joint.outgoing, three.voters);
  EXPECT_TRUE(joint.learners.empty()) << "node 2 still votes in the old half";
  EXPECT_FALSE(next_config(joint, three));
  EXPECT_FALSE(next_config(three, Config{}));
}

TEST(ConfigTest, RoundTripsAndRefusesDamage) {
  Config config = make_config({node(5), node(1)}, {node(9)});
  std::string bytes = encode_config(config);
  EXPECT_EQ(*decode_config(bytes), config);
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_config(bytes.substr(0, n)));
  EXPECT_FALSE(decode_config(bytes + "x"));
  bytes[0] = 9;
  EXPECT_EQ(decode_config(bytes).error().code, Errc::unsupported);
  EXPECT_FALSE(decode_config(encode_config(Config{{node(2), node(1)}, {}, {}})));
  EXPECT_FALSE(decode_config(encode_config(Config{{node(1)}, {}, {node(1)}})));
}

}  // namespace
}  // namespace warren::raft
