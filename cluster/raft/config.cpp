#include "cluster/raft/config.h"

#include "base/bytes.h"

#include <iterator>

namespace warren::raft {
namespace {

constexpr std::uint8_t kConfigVersion = 1;

void tidy(std::vector<NodeId>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

bool strictly_ascending(const std::vector<NodeId>& list) {
  return std::adjacent_find(list.begin(), list.end(), std::greater_equal<>()) == list.end();
}

void put_list(ByteWriter& out, const std::vector<NodeId>& list) {
  out.u8(static_cast<std::uint8_t>(list.size()));
  for (NodeId node : list) out.u64(node.value);
}

std::vector<NodeId> take_list(ByteReader& in) {
  std::vector<NodeId> list;
  std::size_t count = in.u8();
  for (std::size_t i = 0; i < count && in.ok(); ++i) list.emplace_back(in.u64());
  return list;
}

std::size_t difference(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  std::vector<NodeId> out;
  std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out.size();
}

}  // namespace

std::vector<NodeId> Config::members() const {
  std::vector<NodeId> all = voters;
  all.insert(all.end(), outgoing.begin(), outgoing.end());
  all.insert(all.end(), learners.begin(), learners.end());
  tidy(all);
  return all;
}

Config make_config(std::vector<NodeId> voters, std::vector<NodeId> learners) {
  tidy(voters);
  tidy(learners);
  return Config{std::move(voters), {}, std::move(learners)};
}

Result<void> check_config(const Config& config) {
  for (const auto* list : {&config.voters, &config.outgoing, &config.learners}) {
    if (!strictly_ascending(*list)) {
      return make_error(Errc::invalid_argument, "membership: a list is not strictly ascending");
    }
    if (!list->empty() && list->front() == kNoNode) {
      return make_error(Errc::invalid_argument, "membership: node id 0");
    }
    if (list->size() > kMaxMembers) {
      return make_error(Errc::invalid_argument, "membership: more members than allowed");
    }
  }
  for (NodeId node : config.learners) {
    if (config.is_voter(node)) {
      return make_error(Errc::invalid_argument, "membership: a learner also votes");
    }
  }
  if (config.joint() && config.voters.empty()) {
    return make_error(Errc::invalid_argument, "membership: joint without incoming voters");
  }
  return {};
}

std::string encode_config(const Config& config) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(kConfigVersion);
  put_list(writer, config.voters);
  put_list(writer, config.outgoing);
  put_list(writer, config.learners);
  return out;
}

Result<Config> decode_config(std::string_view bytes) {
  ByteReader in(bytes);
  if (std::uint8_t version = in.u8(); in.ok() && version != kConfigVersion) {
    return make_error(Errc::unsupported, "membership: foreign version");
  }
  Config config;
  config.voters = take_list(in);
  config.outgoing = take_list(in);
  config.learners = take_list(in);
  if (!in.ok() || !in.at_end()) {
    return make_error(Errc::corruption, "membership: wrong length");
  }
  if (auto checked = check_config(config); !checked) {
    return make_error(Errc::corruption, checked.error().text);
  }
  return config;
}

Result<Config> next_config(const Config& current, const Config& target) {
  if (current.joint()) return make_error(Errc::conflict, "a membership change is under way");
  if (target.joint()) return make_error(Errc::invalid_argument, "target membership is joint");
  if (target.voters.empty()) return make_error(Errc::invalid_argument, "target has no voter");
  if (auto checked = check_config(target); !checked) return checked.error();
  if (difference(current.voters, target.voters) <= 1) return target;
  Config joint = target;
  joint.outgoing = current.voters;
  // Somebody who goes from voter to learner stays out of `learners` until the old half is gone.
  std::erase_if(joint.learners, [&](NodeId node) { return joint.is_voter(node); });
  return joint;
}

Config leave_joint(const Config& joint) {
  Config out = joint;
  out.outgoing.clear();
  return out;
}

}  // namespace warren::raft
