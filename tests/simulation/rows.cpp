#include "tests/simulation/rows.h"

#include "base/bytes.h"
#include "cluster/replica/records.h"

#include <algorithm>
#include <utility>

namespace warren::simulation {

using storage::Keyspace;

void Rows::apply(const storage::WriteBatch& batch) {
  for (const auto& op : batch.ops()) {
    Space& in = of(op.space);
    if (op.erase) {
      in.erase(op.key);
    } else {
      std::string value = op.head;
      value.append(op.tail);
      in[op.key] = std::move(value);
    }
  }
}

void Rows::clear() {
  for (Space& in : spaces_) in.clear();
  floors_.clear();
}

bool Rows::set_floor(storage::GroupUid uid, storage::Floor floor,
                     const std::function<void(const std::string&)>& dropped) {
  storage::Floor before = std::exchange(floors_[uid], floor);
  if (floor.checkpoint < before.checkpoint) {
    floors_[uid] = before;
    return false;
  }
  auto lives = [&](std::uint64_t index) {
    return floor.live && std::binary_search(floor.live->begin(), floor.live->end(), index);
  };
  Space& log = of(Keyspace::log);
  // What lived under the former floor, and what came behind it.
  if (before.live) {
    for (std::uint64_t index : *before.live) {
      if (lives(index)) continue;
      std::string key = storage::log_key(uid, index);
      if (dropped) dropped(key);
      log.erase(key);
    }
  }
  auto end = log.upper_bound(storage::log_key(uid, floor.checkpoint));
  for (auto at = log.upper_bound(storage::log_key(uid, before.checkpoint)); at != end;) {
    auto here = at++;
    if (lives(load_be<std::uint64_t>(here->first.data() + 8))) continue;
    if (dropped) dropped(here->first);
    log.erase(here);
  }
  return true;
}

void Rows::retire(storage::GroupUid uid) {
  Space& log = of(Keyspace::log);
  log.erase(log.lower_bound(storage::log_key(uid, 0)), log.upper_bound(storage::log_key(uid, UINT64_MAX)));
}

const storage::Floor* Rows::floor_of(storage::GroupUid uid) const {
  auto found = floors_.find(uid);
  return found == floors_.end() ? nullptr : &found->second;
}

std::string* Rows::record(storage::GroupUid group) {
  auto found = of(Keyspace::hard_state).find(replica::group_key(group));
  return found == of(Keyspace::hard_state).end() ? nullptr : &found->second;
}

std::optional<Rows::Extent> Rows::extent(storage::GroupUid group) const {
  auto found = of(Keyspace::hard_state).find(replica::group_key(group));
  if (found == of(Keyspace::hard_state).end()) return std::nullopt;
  // Asked for with every acknowledgement: only the two fields are read, not the whole record.
  ByteReader in(found->second);
  in.u8();
  Extent out{in.u64(), 0};
  in.bytes(4 * 8);  // staging uid, term, vote, commit
  out.base = in.u64();
  if (!in.ok()) return std::nullopt;
  return out;
}

bool Rows::holds(storage::GroupUid group, std::uint64_t index) const {
  auto where = extent(group);
  if (!where) return false;
  return where->base >= index || of(Keyspace::log).contains(storage::log_key(where->log_uid, index));
}

std::optional<std::string> aged_record(const std::string& record) {
  auto read = replica::decode_record(record);
  if (!read || read->staged || record.front() != 2) return std::nullopt;
  std::string out = record;
  out.front() = 1;
  out.pop_back();
  return out;
}

}  // namespace warren::simulation
