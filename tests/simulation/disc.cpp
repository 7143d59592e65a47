#include "tests/simulation/disc.h"

#include "base/bytes.h"
#include "cluster/raft/mutant.h"
#include "cluster/replica/records.h"

#include <algorithm>
#include <iterator>

namespace warren::simulation {
namespace {

using storage::Keyspace;

}  // namespace

class RowsIterator final : public storage::Iterator {
 public:
  using At = std::map<std::string, std::string, std::less<>>::const_iterator;
  RowsIterator(const Disc& disc, Keyspace space, At at, At end)
      : disc_(disc), space_(space), at_(at), end_(end) {}
  bool valid() const override { return at_ != end_ && !disc_.unreadable(space_, at_->first); }
  void next() override { ++at_; }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }
  Result<void> status() const override {
    if (at_ == end_ || !disc_.unreadable(space_, at_->first)) return {};
    return make_error(Errc::corruption, "disc: checksum of a row");
  }

 private:
  const Disc& disc_;
  Keyspace space_;
  At at_, end_;
};

Result<void> Disc::write(const storage::WriteBatch& batch, storage::Durability) {
  apply(batch);
  return {};
}

Result<std::optional<std::string>> Disc::get(Keyspace space, std::string_view key) const {
  auto found = rows(space).find(key);
  if (found == rows(space).end()) return std::optional<std::string>{};
  if (unreadable(space, key)) return make_error(Errc::corruption, "disc: checksum of a row");
  return std::optional<std::string>{found->second};
}

Result<std::unique_ptr<storage::Iterator>> Disc::scan(Keyspace space, std::string_view from,
                                                      std::string_view to) const {
  const Rows& in = rows(space);
  auto end = to.empty() ? in.end() : in.lower_bound(to);
  return std::unique_ptr<storage::Iterator>(new RowsIterator(*this, space, in.lower_bound(from), end));
}

void Disc::set_floor(storage::GroupUid uid, storage::Floor floor) {
  // "May vanish at any time": mostly at once, sometimes later, so that nothing can rely on either.
  if (world_.prng.chance(1, 4)) return;
  storage::Floor before = std::exchange(floors_[uid], floor);
  if (floor.checkpoint < before.checkpoint) {
    floors_[uid] = before;
    return;
  }
  auto lives = [&](std::uint64_t index) {
    return floor.live && std::binary_search(floor.live->begin(), floor.live->end(), index);
  };
  // What lived under the former floor, and what came behind it.
  if (before.live) {
    for (std::uint64_t index : *before.live) {
      if (!lives(index)) drop(storage::log_key(uid, index));
    }
  }
  Rows& log = rows(Keyspace::log);
  auto end = log.upper_bound(storage::log_key(uid, floor.checkpoint));
  for (auto at = log.upper_bound(storage::log_key(uid, before.checkpoint)); at != end;) {
    auto here = at++;
    if (!lives(load_be<std::uint64_t>(here->first.data() + 8))) {
      rotten_.erase({Keyspace::log, here->first});
      log.erase(here);
    }
  }
}

void Disc::drop(const std::string& key) {
  rotten_.erase({Keyspace::log, key});
  rows(Keyspace::log).erase(key);
}

void Disc::retire(storage::GroupUid uid) {
  Rows& log = rows(Keyspace::log);
  log.erase(log.lower_bound(storage::log_key(uid, 0)),
            log.upper_bound(storage::log_key(uid, UINT64_MAX)));
  std::erase_if(rotten_, [&](const Key& at) {
    return at.space == Keyspace::log && load_be<std::uint64_t>(at.key.data()) == uid;
  });
}

void Disc::submit(storage::WriteBatch batch, storage::Durability, Done done) {
  if (broken_) return done(make_error(Errc::io, "disc: broken"));
  queue_.push_back({std::move(batch), std::move(done)});
  kick();
}

std::int64_t Disc::stalled_ms() const {
  return inflight_.empty() ? 0 : (world_.now() - inflight_since_) / 1000;
}

void Disc::kick() {
  if (!inflight_.empty() || queue_.empty()) return;
  std::move(queue_.begin(), queue_.end(), std::back_inserter(inflight_));
  queue_.clear();
  inflight_since_ = world_.now();
  Micros latency = world_.prng.between(200, 900);
  if (world_.prng.chance(1, 100)) latency += world_.prng.between(2'000, 20'000);
  Micros end = std::max(world_.now() + latency, stall_until_);
  finish_at(end);
}

void Disc::finish_at(Micros when) {
  world_.at(when, [this, sync = ++sync_] {
    if (sync == sync_) finish();
  });
}

void Disc::finish() {
  std::vector<Pending> done = std::exchange(inflight_, {});
  bool full = world_.now() < full_until_;
  if (std::exchange(fail_next_, false) || full) {
    // The failed write may have reached the disc or not; nobody may rely on either.
    broken_ = !WARREN_MUTANT(8);
    std::move(queue_.begin(), queue_.end(), std::back_inserter(done));
    queue_.clear();
    for (Pending& p : done) p.done(make_error(Errc::io, full ? "disc: full" : "disc: write failed"));
    return;
  }
  for (Pending& p : done) apply(p.batch);
  ++stats_.syncs;
  for (Pending& p : done) p.done({});
  kick();
}

void Disc::apply(const storage::WriteBatch& batch) {
  std::vector<Undo> undo;
  bool remember = WARREN_MUTANT(17);
  for (const auto& op : batch.ops()) {
    Rows& in = rows(op.space);
    if (!rotten_.empty()) rotten_.erase({op.space, op.key});
    if (remember) {
      auto found = in.find(op.key);
      undo.push_back({op.space, op.key, found == in.end() ? std::nullopt
                                                          : std::optional(found->second)});
    }
    if (op.erase) {
      in.erase(op.key);
    } else {
      std::string value = op.head;
      value.append(op.tail);
      in[op.key] = std::move(value);
    }
  }
  if (!remember) return;
  undo_.push_back(std::move(undo));
  if (undo_.size() > 4) undo_.pop_front();
}

void Disc::crash() {
  ++sync_;
  floors_.clear();
  if (!inflight_.empty() && world_.prng.chance(1, 2)) {
    for (Pending& p : inflight_) apply(p.batch);
  }
  inflight_.clear();
  queue_.clear();
  broken_ = false;
  fail_next_ = false;
  stall_until_ = 0;
  for (; WARREN_MUTANT(17) && !undo_.empty(); undo_.pop_back()) {
    for (auto u = undo_.back().rbegin(); u != undo_.back().rend(); ++u) {
      if (u->before) {
        rows(u->space)[u->key] = *u->before;
      } else {
        rows(u->space).erase(u->key);
      }
    }
  }
}

bool Disc::damage(storage::GroupUid group) {
  auto found = rows(Keyspace::hard_state).find(replica::group_key(group));
  if (found == rows(Keyspace::hard_state).end()) return false;
  found->second.resize(found->second.size() / 2);
  return true;
}

bool Disc::rot() {
  std::vector<Key> all;
  for (Keyspace space : {Keyspace::log, Keyspace::queue_state}) {
    for (const auto& [key, value] : rows(space)) all.push_back({space, key});
  }
  if (all.empty()) return false;
  rotten_.insert(all[world_.prng.below(all.size())]);
  return true;
}

void Disc::age(storage::GroupUid group) {
  auto found = rows(Keyspace::hard_state).find(replica::group_key(group));
  if (found == rows(Keyspace::hard_state).end()) return;
  std::string& record = found->second;
  auto read = replica::decode_record(record);
  if (!read || read->staged || record.front() != 2) return;
  record.front() = 1;
  record.pop_back();
}

void Disc::wipe() {
  for (Rows& in : spaces_) in.clear();
  rotten_.clear();
  floors_.clear();
  undo_.clear();
}

std::optional<Disc::Extent> Disc::extent(storage::GroupUid group) const {
  auto found = rows(Keyspace::hard_state).find(replica::group_key(group));
  if (found == rows(Keyspace::hard_state).end()) return std::nullopt;
  // Asked for with every acknowledgement: only the two fields are read, not the whole record.
  ByteReader in(found->second);
  in.u8();
  Extent out{in.u64(), 0};
  in.bytes(4 * 8);  // staging uid, term, vote, commit
  out.base = in.u64();
  if (!in.ok()) return std::nullopt;
  return out;
}

bool Disc::holds(storage::GroupUid group, std::uint64_t index) const {
  auto where = extent(group);
  if (!where) return false;
  return where->base >= index ||
         rows(Keyspace::log).contains(storage::log_key(where->log_uid, index));
}

}  // namespace warren::simulation
