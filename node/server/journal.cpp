#include "node/server/journal.h"

#include "base/bytes.h"

namespace warren::server {

using storage::Durability;
using storage::Keyspace;

std::string queue_state_key(storage::GroupUid uid, std::string_view suffix) {
  std::string key(8, '\0');
  store_be(key.data(), uid);
  key += suffix;
  return key;
}

std::string hard_state_key(storage::GroupUid uid) { return queue_state_key(uid, {}); }

// ---- LocalLog -----------------------------------------------------------------------------------

broker::LogIndex LocalLog::append(std::string head, std::string_view tail, BlockRef keep) {
  const broker::LogIndex index = next_++;
  std::shared_ptr<const void> owner;
  if (keep) {
    Block* raw = keep.detach();
    owner = std::shared_ptr<const void>(raw, [](const void* block) {
      intrusive_ptr_release(static_cast<Block*>(const_cast<void*>(block)));
    });
  }
  journal_.batch_.put_shared(Keyspace::log, storage::log_key(uid_, index), std::move(head), tail,
                             std::move(owner));
  journal_.must_sync_ = true;
  journal_.note(*this);
  journal_.loop_.want_turn();  // also when removals had the log noted in an earlier turn
  return index;
}

broker::LogIndex LocalLog::append_lazy(std::string head) {
  const broker::LogIndex index = next_++;
  journal_.batch_.put(Keyspace::log, storage::log_key(uid_, index), std::move(head));
  journal_.note(*this);
  return index;
}

void LocalLog::read(broker::LogIndex index) { journal_.read(uid_, index); }

void LocalLog::checkpoint(std::vector<std::pair<std::string, std::optional<std::string>>> rows,
                          broker::LogIndex covers, std::vector<broker::LogIndex> live) {
  for (auto& [suffix, value] : rows) {
    if (value)
      journal_.batch_.put(Keyspace::queue_state, queue_state_key(uid_, suffix), std::move(*value));
    else
      journal_.batch_.erase(Keyspace::queue_state, queue_state_key(uid_, suffix));
  }
  std::string covered(8, '\0');
  store_be(covered.data(), covers);
  journal_.batch_.put(Keyspace::hard_state, hard_state_key(uid_), std::move(covered));
  storage::Floor floor;
  floor.checkpoint = covers;
  floor.live = std::make_shared<const std::vector<std::uint64_t>>(std::move(live));
  journal_.open_.floors.push_back({uid_, std::move(floor)});
  journal_.must_sync_ = true;  // a floor may only follow a checkpoint that a crash cannot take back
  journal_.note(*this);
}

// ---- Journal ------------------------------------------------------------------------------------

Journal::Journal(Loop& loop, storage::Store& store, storage::Committer& committer,
                 std::function<void(const Error&)> on_failure)
    : loop_(loop), store_(store), committer_(committer), on_failure_(std::move(on_failure)) {}

void Journal::persist(std::vector<metadata::RowChange> rows, std::function<void()> done) {
  if (rows.empty() && batch_.empty() && in_flight_.empty()) return done();
  for (auto& row : rows) {
    if (row.value)
      batch_.put(Keyspace::meta, std::move(row.key), std::move(*row.value));
    else
      batch_.erase(Keyspace::meta, std::move(row.key));
  }
  // Removals that wait for company must not wait behind whom they are asked for.
  if (!batch_.empty()) must_sync_ = true;
  // With nothing to write it rides behind what is already on its way.
  if (batch_.empty()) {
    in_flight_.back().done.push_back(std::move(done));
    return;
  }
  open_.done.push_back(std::move(done));
  loop_.want_turn();
}

LocalLog& Journal::open(storage::GroupUid uid) {
  auto& log = logs_[uid];
  log = std::make_shared<LocalLog>(*this, uid);
  return *log;
}

void Journal::close(storage::GroupUid uid, bool retire) {
  auto found = logs_.find(uid);
  if (found == logs_.end()) return;
  logs_.erase(found);
  if (!retire) return;
  batch_.put(Keyspace::hard_state, hard_state_key(uid), std::string(kRetired));
  (void)erase_state(uid);  // what it misses, the next start sweeps
  open_.retired.push_back(uid);
  loop_.want_turn();
}

LocalLog* Journal::find(storage::GroupUid uid) const {
  auto found = logs_.find(uid);
  return found == logs_.end() ? nullptr : found->second.get();
}

void Journal::note(LocalLog& log) {
  if (log.in_batch) return;
  log.in_batch = true;
  auto found = logs_.find(log.uid());
  if (found != logs_.end()) open_.logs.emplace_back(found->second, 0);
  loop_.want_turn();
}

void Journal::flush() {
  // A few lazy records wait for company, so that acknowledgements cost no write of their own.
  constexpr std::size_t kLazyBytes = 256 << 10;
  if (must_sync_ || !open_.done.empty())
    submit(Durability::synced);
  else if (batch_.bytes() > kLazyBytes)
    submit(Durability::buffered);
}

void Journal::flush_lazy() {
  if (batch_.empty()) return;
  submit(must_sync_ ? Durability::synced : Durability::buffered);
}

void Journal::submit(Durability durability) {
  for (auto& [log, upto] : open_.logs) {
    log->in_batch = false;
    upto = log->last();
  }
  open_.number = next_number_++;
  open_.bytes = batch_.bytes();
  bytes_in_flight_ += open_.bytes;
  const std::uint64_t number = open_.number;
  in_flight_.push_back(std::move(open_));
  open_ = Ticket{};
  must_sync_ = false;
  storage::WriteBatch batch = std::move(batch_);
  batch_ = storage::WriteBatch{};
  committer_.submit(std::move(batch), durability, [this, number](Result<void> result) {
    loop_.post([this, number, result = std::move(result)] { completed(number, result); });
  });
}

void Journal::completed(std::uint64_t number, const Result<void>& result) {
  loop_.refresh();
  WARREN_ASSERT(!in_flight_.empty() && in_flight_.front().number == number);
  Ticket ticket = std::move(in_flight_.front());
  in_flight_.pop_front();
  bytes_in_flight_ -= ticket.bytes;
  if (!result) return on_failure_(result.error());
  for (auto& floor : ticket.floors) store_.set_floor(floor.uid, std::move(floor.floor));
  for (const auto uid : ticket.retired) store_.retire(uid);
  for (auto& [log, upto] : ticket.logs)
    if (auto queue = log->queue()) queue->on_durable(upto);
  for (auto& done : ticket.done) done();
  if (progress_) progress_();
  loop_.want_turn();
}

// ---- start-up -----------------------------------------------------------------------------------

Result<void> Journal::recover(storage::GroupUid uid, broker::Queue& queue) {
  const std::string prefix = queue_state_key(uid, {});
  auto covered = store_.get(Keyspace::hard_state, hard_state_key(uid));
  if (!covered) return covered.error();
  std::uint64_t checkpoint = 0;
  if (*covered && (*covered)->size() != 8)
    return make_error(Errc::corruption, "the checkpoint of log " + std::to_string(uid) + " is damaged");
  if (*covered) checkpoint = load_be<std::uint64_t>((*covered)->data());
  auto chunks = store_.scan(Keyspace::queue_state, prefix, queue_state_key(uid + 1, {}));
  if (!chunks) return chunks.error();
  std::vector<std::pair<std::string, std::string>> rows;
  for (; (*chunks)->valid(); (*chunks)->next())
    rows.emplace_back((*chunks)->key().substr(8), (*chunks)->value());
  if (auto status = (*chunks)->status(); !status) return status;
  if (auto restored = queue.restore(rows); !restored) return restored;
  auto entries = store_.scan(Keyspace::log, storage::log_key(uid, checkpoint + 1),
                             storage::log_key(uid + 1, 0));
  if (!entries) return entries.error();
  broker::LogIndex last = checkpoint;
  for (; (*entries)->valid(); (*entries)->next()) {
    const auto index = load_be<std::uint64_t>((*entries)->key().data() + 8);
    if (index != last + 1)
      return make_error(Errc::corruption, "log " + std::to_string(uid) + " has a gap: entry " +
                                              std::to_string(last + 1) + " is missing");
    last = index;
    const BlockRef block = Block::copy_of((*entries)->value());
    if (auto replayed = queue.replay(last, block->bytes(), block); !replayed) return replayed;
  }
  if (auto status = (*entries)->status(); !status) return status;
  queue.recovered();
  logs_.at(uid)->continue_at(last + 1);
  // The new checkpoint tells the store what is dead, and spares the next start this replay.
  if (last > checkpoint) queue.checkpoint();
  return {};
}

Result<void> Journal::sweep_retired() {
  auto states = store_.scan(Keyspace::hard_state, {}, {});
  if (!states) return states.error();
  for (; (*states)->valid(); (*states)->next()) {
    if ((*states)->value() != kRetired || (*states)->key().size() != 8) continue;
    const auto uid = load_be<std::uint64_t>((*states)->key().data());
    auto left = store_.scan(Keyspace::log, storage::log_key(uid, 0), storage::log_key(uid + 1, 0));
    if (!left) return left.error();
    if (auto erased = erase_state(uid); !erased) return erased;
    if ((*left)->valid())
      store_.retire(uid);
    else if (auto status = (*left)->status(); !status)
      return status;
    else
      batch_.erase(Keyspace::hard_state, hard_state_key(uid));
  }
  return (*states)->status();
}

Result<void> Journal::retire_others(const std::function<bool(storage::GroupUid)>& known) {
  std::set<storage::GroupUid> gone, retired;
  auto states = store_.scan(Keyspace::hard_state, {}, {});
  if (!states) return states.error();
  for (; (*states)->valid(); (*states)->next()) {
    if ((*states)->key().size() != 8) continue;
    const auto uid = load_be<std::uint64_t>((*states)->key().data());
    if ((*states)->value() == kRetired)
      retired.insert(uid);
    else if (uid != 0 && !known(uid))
      gone.insert(uid);
  }
  if (auto status = (*states)->status(); !status) return status;
  // A log without a checkpoint has no row: from one log to the next.
  for (storage::GroupUid at = 0;;) {
    auto entries = store_.scan(Keyspace::log, storage::log_key(at, 0), {});
    if (!entries) return entries.error();
    if (!(*entries)->valid()) {
      if (auto status = (*entries)->status(); !status) return status;
      break;
    }
    const auto uid = load_be<std::uint64_t>((*entries)->key().data());
    if (!known(uid) && !retired.contains(uid)) gone.insert(uid);
    if (uid == ~storage::GroupUid{0}) break;
    at = uid + 1;
  }
  for (const auto uid : gone) {
    batch_.put(Keyspace::hard_state, hard_state_key(uid), std::string(kRetired));
    if (auto erased = erase_state(uid); !erased) return erased;
    open_.retired.push_back(uid);
  }
  if (!gone.empty()) {
    must_sync_ = true;
    loop_.want_turn();
  }
  return {};
}

Result<void> Journal::erase_state(storage::GroupUid uid) {
  auto rows = store_.scan(Keyspace::queue_state, queue_state_key(uid, {}), queue_state_key(uid + 1, {}));
  if (!rows) return rows.error();
  for (; (*rows)->valid(); (*rows)->next())
    batch_.erase(Keyspace::queue_state, std::string((*rows)->key()));
  return (*rows)->status();
}

void Journal::read(storage::GroupUid uid, broker::LogIndex index) {
  // From the block cache or the operating system's this takes microseconds; a read that must wait
  // for the disc delays this shard, which is the price of keeping the order of answers simple.
  loop_.post([this, uid, index] {
    LocalLog* log = find(uid);
    auto queue = log != nullptr ? log->queue() : nullptr;
    if (!queue) return;
    auto value = store_.get(Keyspace::log, storage::log_key(uid, index));
    if (!value) return queue->on_read(index, nullptr, value.error());
    if (!*value)
      return queue->on_read(index, nullptr,
                            make_error(Errc::corruption, "log entry " + std::to_string(index) +
                                                             " of queue " + std::to_string(uid) +
                                                             " is missing"));
    queue->on_read(index, Block::copy_of(**value), {});
    loop_.want_turn();
  });
}

}  // namespace warren::server
