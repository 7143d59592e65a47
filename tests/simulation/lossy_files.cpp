#include "tests/simulation/lossy_files.h"

#include "cluster/raft/mutant.h"
#include "tests/simulation/world.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace warren::simulation {
namespace {

namespace fs = std::filesystem;

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_log(const std::string& name) { return name.ends_with(".log"); }
rocksdb::IOStatus gone() { return rocksdb::IOStatus::IOError("the machine is off"); }

}  // namespace

class LossyFiles::File final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  File(std::unique_ptr<rocksdb::FSWritableFile> file, LossyFiles& files, std::shared_ptr<State> state,
       bool log)
      : FSWritableFileOwnerWrapper(std::move(file)), files_(files), state_(std::move(state)), log_(log) {}

  using FSWritableFileOwnerWrapper::Append;
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (auto alive = files_.step(); !alive.ok()) return alive;
    std::lock_guard lock(files_.mutex_);
    rocksdb::Slice part = data;
    const bool fails = log_ && std::exchange(files_.fail_append_, files_.fail_append_ && !log_);
    if (fails) part = rocksdb::Slice(data.data(), data.size() * files_.fail_share_ / 256);
    auto status = FSWritableFileOwnerWrapper::Append(part, options, debug);
    if (status.ok()) state_->written += part.size();
    if (!fails) return status;
    return files_.fail_full_ ? rocksdb::IOStatus::NoSpace("disc full") : rocksdb::IOStatus::IOError("EIO");
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  rocksdb::IOStatus Truncate(std::uint64_t size, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
    if (files_.dead()) return gone();
    return FSWritableFileOwnerWrapper::Truncate(size, options, debug);
  }
  // A memory file system would really take the room.
  void PrepareWrite(std::size_t, std::size_t, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {}
  rocksdb::IOStatus Allocate(std::uint64_t, std::uint64_t, const rocksdb::IOOptions&,
                             rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    if (auto alive = files_.step(); !alive.ok()) return alive;
    std::lock_guard lock(files_.mutex_);
    const bool lies = log_ && (WARREN_MUTANT(23) || WARREN_MUTANT(24));
    if (files_.syncing_ && !lies) state_->synced = state_->written;
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    return Sync(options, debug);
  }
  rocksdb::IOStatus RangeSync(std::uint64_t, std::uint64_t, const rocksdb::IOOptions&,
                              rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }

 private:
  LossyFiles& files_;
  std::shared_ptr<State> state_;
  const bool log_;
};

class LossyFiles::Directory final : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(std::unique_ptr<rocksdb::FSDirectory> target, LossyFiles& files)
      : FSDirectoryWrapper(std::move(target)), files_(files) {}
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    if (auto alive = files_.step(); !alive.ok()) return alive;
    std::lock_guard lock(files_.mutex_);
    if (!files_.syncing_) return rocksdb::IOStatus::OK();
    for (auto& [name, state] : files_.files_) state->named = true;
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus FsyncWithDirOptions(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug,
                                        const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, debug);
  }

 private:
  LossyFiles& files_;
};

LossyFiles::LossyFiles() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}

rocksdb::IOStatus LossyFiles::step() {
  if (left_.load() == INT64_MAX) return rocksdb::IOStatus::OK();
  return left_.fetch_sub(1) > 0 ? rocksdb::IOStatus::OK() : gone();
}

void LossyFiles::fail_next_append(bool full, std::uint8_t share) {
  std::lock_guard lock(mutex_);
  fail_append_ = true;
  fail_full_ = full;
  fail_share_ = share;
}

void LossyFiles::track(const std::string& name, std::string older, bool named,
                       std::unique_ptr<rocksdb::FSWritableFile>* file) {
  auto state = std::make_shared<State>();
  state->older = std::move(older);
  state->named = named;
  {
    std::lock_guard lock(mutex_);
    files_[name] = state;
  }
  *file = std::make_unique<File>(std::move(*file), *this, std::move(state), is_log(name));
}

rocksdb::IOStatus LossyFiles::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                              std::unique_ptr<rocksdb::FSWritableFile>* result,
                                              rocksdb::IODebugContext* debug) {
  if (auto alive = step(); !alive.ok()) return alive;
  auto status = target()->NewWritableFile(name, options, result, debug);
  if (status.ok()) track(name, {}, false, result);
  return status;
}

rocksdb::IOStatus LossyFiles::ReuseWritableFile(const std::string& name, const std::string& old,
                                                const rocksdb::FileOptions& options,
                                                std::unique_ptr<rocksdb::FSWritableFile>* result,
                                                rocksdb::IODebugContext* debug) {
  if (auto alive = step(); !alive.ok()) return alive;
  std::string older = content(old);
  auto status = target()->ReuseWritableFile(name, old, options, result, debug);
  // The file itself is on the disc; a name that is lost would be the old one, which holds nothing either.
  if (status.ok()) track(name, std::move(older), true, result);
  return status;
}

rocksdb::IOStatus LossyFiles::NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                           std::unique_ptr<rocksdb::FSDirectory>* result,
                                           rocksdb::IODebugContext* debug) {
  auto status = target()->NewDirectory(name, options, result, debug);
  if (status.ok()) *result = std::make_unique<Directory>(std::move(*result), *this);
  return status;
}

rocksdb::IOStatus LossyFiles::DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                                         rocksdb::IODebugContext* debug) {
  if (auto alive = step(); !alive.ok()) return alive;
  auto status = target()->DeleteFile(name, options, debug);
  std::lock_guard lock(mutex_);
  if (status.ok()) files_.erase(name);
  return status;
}

rocksdb::IOStatus LossyFiles::RenameFile(const std::string& from, const std::string& to,
                                         const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) {
  if (auto alive = step(); !alive.ok()) return alive;
  auto status = target()->RenameFile(from, to, options, debug);
  std::lock_guard lock(mutex_);
  auto found = files_.find(from);
  if (!status.ok() || found == files_.end()) return status;
  files_[to] = std::move(found->second);
  files_.erase(from);
  return status;
}

LossyFiles::Position LossyFiles::log_end() const {
  std::lock_guard lock(mutex_);
  for (auto at = files_.rbegin(); at != files_.rend(); ++at) {
    if (is_log(at->first)) return {at->first, at->second->written};
  }
  return {};
}

void LossyFiles::lose(std::uint64_t random, bool power) {
  std::lock_guard lock(mutex_);
  for (auto& [name, state] : files_) {
    Prng prng(random ^ hash_bytes(fs::path(name).filename().string()));
    std::error_code failed;
    std::uint64_t keep = state->written;
    if (power) {
      // Nothing, a part or all of what was not synced had reached the disc.
      std::uint64_t loose = state->written - state->synced;
      std::uint64_t dice = prng.below(4);
      keep = state->synced + (dice == 0 ? 0 : dice == 1 ? loose : prng.below(loose + 1));
      if (!state->named && prng.chance(1, 2)) {
        fs::remove(name, failed);
        continue;
      }
    }
    if (!fs::exists(name, failed)) continue;
    if (state->older.size() <= keep) {
      fs::resize_file(name, keep, failed);
      continue;
    }
    std::string bytes = content(name).substr(0, keep) + state->older.substr(keep);
    std::ofstream(name, std::ios::binary | std::ios::trunc) << bytes;
  }
  files_.clear();
}

}  // namespace warren::simulation
