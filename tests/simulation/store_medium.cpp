// The shipped store over real files in a temporary folder, opened by the shipped recovery after every
// crash, and beside it the rows it must hold: those that were synced, in the order of the batches, then
// perhaps some of what was not synced, and nothing else.
#include "cluster/raft/mutant.h"
#include "cluster/replica/records.h"
#include "storage/disc/disc_store_impl.h"
#include "tests/simulation/lossy_files.h"
#include "tests/simulation/medium.h"

#include "base/bytes.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>
#include <vector>

namespace warren::simulation {
namespace {

namespace fs = std::filesystem;
using storage::Keyspace;

std::string fresh_folder() {
  static std::atomic<std::uint64_t> next{0};
  std::error_code failed;
  fs::path base = fs::is_directory("/dev/shm", failed) && ::access("/dev/shm", W_OK) == 0
                      ? fs::path("/dev/shm")
                      : fs::temp_directory_path();
  return (base / fmt::format("warren-simulate-{}-{}", ::getpid(), ++next)).string();
}

NullLogger& silent() {
  static NullLogger instance;
  return instance;
}

class StoreMedium final : public Medium {
 public:
  explicit StoreMedium(World& world) : world_(world), folder_(fresh_folder()) {}
  ~StoreMedium() override {
    switch_off();
    std::error_code failed;
    fs::remove_all(folder_, failed);
  }

  Result<void> open() override;
  Result<std::optional<std::string>> get(Keyspace space, std::string_view key) const override;
  Result<std::unique_ptr<storage::Iterator>> scan(Keyspace space, std::string_view from,
                                                  std::string_view to) const override {
    return store_->scan(space, from, to);
  }
  void set_floor(storage::GroupUid uid, storage::Floor floor) override;
  void retire(storage::GroupUid uid) override;
  void floors_loaded() override { store_->floors_loaded(); }
  Result<void> apply(const storage::WriteBatch& group, storage::Durability durability) override;
  void apply_and_fail(const storage::WriteBatch& group, bool full) override;
  void crash(const storage::WriteBatch* group) override;
  bool tidy() override;
  bool damage(storage::GroupUid) override;
  bool rot() override;
  bool rotten() const override { return rotten_; }
  void age(storage::GroupUid group) override;
  void wipe() override;
  bool holds(storage::GroupUid group, std::uint64_t index) const override { return rows_.holds(group, index); }

 private:
  storage::DiscStore& shipped() { return static_cast<storage::DiscStore&>(*store_); }
  /// Every file is let go of; what is written while closing is lost.
  void switch_off();
  Result<void> reopen();
  bool dead(std::string_view log_key) const;
  std::string difference(const Rows& wanted) const;
  void verify();
  void adopt();
  bool flip();

  World& world_;
  const std::string folder_;
  std::shared_ptr<LossyFiles> files_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<storage::Store> store_;
  Rows rows_;
  std::deque<Rows> maybe_;  ///< rows with the first, second, ... unsynced group
  std::set<storage::GroupUid> retired_;
  std::vector<LossyFiles::Position> begins_;  ///< of the batches since the folder was wiped
  bool rotten_{false};
};

Result<void> StoreMedium::open() {
  if (store_) return {};
  return reopen();
}

Result<void> StoreMedium::reopen() {
  files_ = std::make_shared<LossyFiles>();
  env_ = rocksdb::NewCompositeEnv(files_);
  storage::DiscOptions options;
  options.path = folder_ + "/store";
  options.log_write_buffer_bytes = 8u << 20;
  options.wal_bytes_max = 64u << 20;
  options.reclaim_interval = {};
  auto opened = storage::open_disc_store_on(env_.get(), options, silent());
  if (!opened) {
    switch_off();
    return opened.error();
  }
  store_ = std::move(*opened);
  return {};
}

void StoreMedium::switch_off() {
  if (files_) files_->die();
  store_.reset();
  env_.reset();
}

Result<std::optional<std::string>> StoreMedium::get(Keyspace space, std::string_view key) const {
  auto found = store_->get(space, key);
  const Rows::Space& in = rows_.of(space);
  auto wanted = in.find(key);
  if (found && wanted != in.end() && !WARREN_MUTANT(24) && (!*found || **found != wanted->second)) {
    throw Violation{"store-reads-back", fmt::format("a row of keyspace {} is {}", static_cast<int>(space),
                                                    *found ? "another" : "not there")};
  }
  return found;
}

void StoreMedium::set_floor(storage::GroupUid uid, storage::Floor floor) {
  store_->set_floor(uid, floor);
  rows_.set_floor(uid, std::move(floor), nullptr);
}

void StoreMedium::retire(storage::GroupUid uid) {
  store_->retire(uid);
  rows_.retire(uid);
  retired_.insert(uid);
}

Result<void> StoreMedium::apply(const storage::WriteBatch& group, storage::Durability durability) {
  begins_.push_back(files_->log_end());
  auto written = store_->write(group, durability);
  if (!written) {
    if (files_->dead()) return written;  // died while tidying: its end is on the way
    throw Violation{"store-works", written.error().text};
  }
  if (durability == storage::Durability::synced) {
    for (Rows& more : maybe_) rows_ = std::move(more);
    maybe_.clear();
    rows_.apply(group);
  } else {
    maybe_.push_back(maybe_.empty() ? rows_ : maybe_.back());
    maybe_.back().apply(group);
  }
  return {};
}

void StoreMedium::apply_and_fail(const storage::WriteBatch& group, bool full) {
  std::uint64_t dice = world_.prng.below(256);
  if (!store_ || files_->dead()) return;
  maybe_.push_back(maybe_.empty() ? rows_ : maybe_.back());
  maybe_.back().apply(group);
  files_->fail_next_append(full, static_cast<std::uint8_t>(dice));
  if (store_->write(group, storage::Durability::synced)) {
    throw Violation{"store-fails-stop", "a write that failed was answered with success"};
  }
}

void StoreMedium::crash(const storage::WriteBatch* group) {
  bool power = world_.prng.chance(2, 3);
  bool begun = group && world_.prng.chance(2, 3);
  std::uint64_t random = world_.prng.next();
  if (!store_) return;
  if (begun && !files_->dead()) {
    begins_.push_back(files_->log_end());
    files_->stop_syncing();
    if (store_->write(*group, storage::Durability::synced)) {
      maybe_.push_back(maybe_.empty() ? rows_ : maybe_.back());
      maybe_.back().apply(*group);
    }
  }
  switch_off();
  files_->lose(random, power);
  auto opened = reopen();
  if (opened) return verify();
  if (!rotten_) throw Violation{"no-silent-shrink", "an undamaged store does not open: " + opened.error().text};
}

bool StoreMedium::dead(std::string_view key) const {
  auto uid = load_be<std::uint64_t>(key.data());
  if (retired_.contains(uid)) return true;
  const storage::Floor* floor = rows_.floor_of(uid);
  auto index = load_be<std::uint64_t>(key.data() + 8);
  if (!floor || index > floor->checkpoint) return false;
  return !floor->live || !std::binary_search(floor->live->begin(), floor->live->end(), index);
}

/// What the store holds other than `wanted`; dead rows may be there or not.
std::string StoreMedium::difference(const Rows& wanted) const {
  for (int i = 0; i < storage::kKeyspaceCount; ++i) {
    auto space = static_cast<Keyspace>(i);
    const Rows::Space& rows = wanted.of(space);
    auto at = rows.begin();
    auto scanned = store_->scan(space, "", "");
    if (!scanned) return scanned.error().text;
    storage::Iterator& it = **scanned;
    for (; it.valid(); it.next()) {
      if (at != rows.end() && at->first < it.key()) return fmt::format("a row of keyspace {} is gone", i);
      if (at == rows.end() || at->first != it.key()) {
        if (space != Keyspace::log || !dead(it.key())) return fmt::format("a row too many in keyspace {}", i);
        continue;
      }
      if (at->second != it.value()) return fmt::format("a row of keyspace {} has another value", i);
      ++at;
    }
    if (auto ended = it.status(); !ended) return ended.error().text;
    if (at != rows.end()) return fmt::format("the last row of keyspace {} is gone", i);
  }
  return {};
}

/// Takes the rows as the store has them: for the mutant that is to be noticed by the cluster alone.
void StoreMedium::adopt() {
  rows_.clear();
  for (int i = 0; i < storage::kKeyspaceCount; ++i) {
    auto space = static_cast<Keyspace>(i);
    auto scanned = store_->scan(space, "", "");
    for (; scanned && (*scanned)->valid(); (*scanned)->next()) {
      rows_.of(space)[std::string((*scanned)->key())] = (*scanned)->value();
    }
  }
  maybe_.clear();
}

void StoreMedium::verify() {
  if (WARREN_MUTANT(24)) return adopt();
  std::string why = difference(rows_);
  while (!why.empty() && !maybe_.empty()) {
    rows_ = std::move(maybe_.front());
    maybe_.pop_front();
    if (difference(rows_).empty()) why.clear();
  }
  maybe_.clear();
  if (!why.empty()) throw Violation{"synced-is-kept", why};
}

/// Writes the tables that are due, and sometimes compacts; at times the machine dies at some step of it.
bool StoreMedium::tidy() {
  bool dies = world_.prng.chance(1, 40);  // each costs a second's sleep of a thread
  auto steps = static_cast<std::int64_t>(1 + world_.prng.below(60));
  std::uint64_t what = world_.prng.below(3);
  if (!store_ || files_->dead()) return true;
  if (dies) files_->die_in(steps);
  Result<void> done = what == 0 ? shipped().flush_log() : shipped().flush_all();
  if (done && what == 2) done = shipped().compact_log();
  if (files_->dead()) return false;
  // Threads of the store may still be at work on files: the machine dies now rather than at some moment.
  if (dies) return false;
  if (!done) throw Violation{"store-works", done.error().text};
  return true;
}

/// A bit of a batch that a later one shows to have been synced: recovery must refuse it.
bool StoreMedium::flip() {
  std::vector<std::pair<LossyFiles::Position, std::uint64_t>> places;  // and the end of each
  for (std::size_t i = 0; i + 2 < begins_.size(); ++i) {
    std::error_code failed;
    const auto& [file, offset] = begins_[i];
    if (begins_[i + 1].file != file || begins_[i + 2].file != file) continue;
    if (begins_[i + 2].offset > fs::file_size(file, failed) || failed) continue;
    places.emplace_back(begins_[i], begins_[i + 1].offset);
  }
  std::uint64_t random = world_.prng.next();
  if (places.empty()) return false;
  Prng prng(random);
  const auto& [at, end] = places[prng.below(places.size())];
  // The first bytes are a header, never the filler at the end of a block... unless a block ends there.
  constexpr std::uint64_t kBlock = 32768, kHeader = 7;
  std::uint64_t offset = at.offset + prng.below(end - at.offset);
  if (kBlock - offset % kBlock < kHeader) offset = at.offset;
  if (kBlock - offset % kBlock < kHeader) return false;
  std::fstream file(at.file, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  int byte = file.get();
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ (1 << prng.below(8))));
  return file.good();
}

bool StoreMedium::damage(storage::GroupUid) {
  switch_off();
  files_->lose(0, false);
  if (!flip()) return false;
  return true;
}

/// Only in the write-ahead log: the next start meets it.
bool StoreMedium::rot() {
  if (!store_ || files_->dead() || !flip()) return false;
  rotten_ = true;
  return true;
}

void StoreMedium::age(storage::GroupUid group) {
  std::string* record = rows_.record(group);
  if (!record || !store_) return;
  auto aged = aged_record(*record);
  if (!aged) return;
  storage::WriteBatch batch;
  batch.put(Keyspace::hard_state, replica::group_key(group), std::move(*aged));
  (void)apply(batch, storage::Durability::synced);
}

void StoreMedium::wipe() {
  switch_off();
  std::error_code failed;
  fs::remove_all(folder_, failed);
  rows_.clear();
  maybe_.clear();
  retired_.clear();
  begins_.clear();
  rotten_ = false;
}

}  // namespace

std::unique_ptr<Medium> make_store_medium(World& world) { return std::make_unique<StoreMedium>(world); }

}  // namespace warren::simulation
