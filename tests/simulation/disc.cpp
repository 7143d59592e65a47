#include "tests/simulation/disc.h"

#include "base/bytes.h"
#include "cluster/raft/mutant.h"
#include "cluster/replica/records.h"

#include <algorithm>
#include <iterator>

namespace warren::simulation {
namespace {

using storage::Keyspace;

class RowsIterator final : public storage::Iterator {
 public:
  using At = std::map<std::string, std::string, std::less<>>::const_iterator;
  RowsIterator(At at, At end) : at_(at), end_(end) {}
  bool valid() const override { return at_ != end_; }
  void next() override { ++at_; }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }
  Result<void> status() const override { return {}; }

 private:
  At at_, end_;
};

}  // namespace

Result<void> Disc::write(const storage::WriteBatch& batch, storage::Durability) {
  apply(batch);
  return {};
}

Result<std::optional<std::string>> Disc::get(Keyspace space, std::string_view key) const {
  auto found = rows(space).find(key);
  if (found == rows(space).end()) return std::optional<std::string>{};
  return std::optional<std::string>{found->second};
}

Result<std::unique_ptr<storage::Iterator>> Disc::scan(Keyspace space, std::string_view from,
                                                      std::string_view to) const {
  const Rows& in = rows(space);
  auto end = to.empty() ? in.end() : in.lower_bound(to);
  return std::unique_ptr<storage::Iterator>(new RowsIterator(in.lower_bound(from), end));
}

void Disc::set_floor(storage::GroupUid uid, storage::Floor floor) {
  // "May vanish at any time": mostly at once, sometimes later, so that nothing can rely on either.
  if (world_.prng.chance(1, 4)) return;
  Rows& log = rows(Keyspace::log);
  auto end = log.upper_bound(storage::log_key(uid, floor.checkpoint));
  for (auto at = log.lower_bound(storage::log_key(uid, 0)); at != end;) {
    auto index = load_be<std::uint64_t>(at->first.data() + 8);
    bool live = floor.live && std::binary_search(floor.live->begin(), floor.live->end(), index);
    at = live ? std::next(at) : log.erase(at);
  }
}

void Disc::retire(storage::GroupUid uid) {
  Rows& log = rows(Keyspace::log);
  log.erase(log.lower_bound(storage::log_key(uid, 0)),
            log.upper_bound(storage::log_key(uid, UINT64_MAX)));
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
  world_.at(end, [this, life = life_] {
    if (life == life_) finish();
  });
}

void Disc::finish() {
  std::vector<Pending> done = std::exchange(inflight_, {});
  if (std::exchange(fail_next_, false)) {
    // The failed write may have reached the disc or not; nobody may rely on either.
    broken_ = !WARREN_MUTANT(8);
    std::move(queue_.begin(), queue_.end(), std::back_inserter(done));
    queue_.clear();
    for (Pending& p : done) p.done(make_error(Errc::io, "disc: write failed"));
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
  ++life_;
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

void Disc::wipe() {
  for (Rows& in : spaces_) in.clear();
  undo_.clear();
}

bool Disc::holds(storage::GroupUid group, std::uint64_t index) const {
  auto found = rows(Keyspace::hard_state).find(replica::group_key(group));
  if (found == rows(Keyspace::hard_state).end()) return false;
  auto record = replica::decode_record(found->second);
  if (!record) return false;
  if (record->base.index >= index) return true;
  return rows(Keyspace::log).contains(storage::log_key(record->log_uid, index));
}

}  // namespace warren::simulation
