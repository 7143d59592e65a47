#include "storage/disc/wal_scan.h"

#include "base/crc32c.h"
#include "storage/disc/batch_stamp.h"
#include "storage/disc/log_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace warren::storage {
namespace {

constexpr std::size_t kBlock = 32768;
constexpr std::size_t kHeader = 7;
enum FragmentType : unsigned char { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

struct Fragment {
  unsigned char type{};
  std::string_view payload;
  std::size_t end{};  // offset of the byte behind it
};

/// A whole file in memory, read only.
class MappedFile {
 public:
  ~MappedFile() {
    if (data_ != nullptr) ::munmap(data_, size_);
    if (fd_ >= 0) ::close(fd_);
  }
  MappedFile() = default;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  Result<void> open(const std::string& path) {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info {};
    if (fd_ < 0 || ::fstat(fd_, &info) != 0) return failed("read", path);
    if (::fdatasync(fd_) != 0) return failed("sync", path);
    size_ = static_cast<std::size_t>(info.st_size);
    if (size_ == 0) return {};
    void* at = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd_, 0);
    if (at == MAP_FAILED) return failed("map", path);
    data_ = at;
    ::madvise(data_, size_, MADV_SEQUENTIAL);
    return {};
  }
  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  static Error failed(const char* what, const std::string& path) {
    return make_error(Errc::io, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
  }
  int fd_{-1};
  void* data_{nullptr};
  std::size_t size_{0};
};

std::uint32_t load_le32(const char* at) {
  std::uint32_t v;
  std::memcpy(&v, at, sizeof v);
  return v;
}

std::uint32_t masked(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

/// The intact fragment that begins exactly at `at`, if there is one. Requires: at is not within
/// the last six bytes of a block.
std::optional<Fragment> fragment_at(std::string_view file, std::size_t at) {
  const std::size_t block_end = std::min(file.size(), (at / kBlock + 1) * kBlock);
  if (at + kHeader > block_end) return {};
  const std::size_t length = static_cast<unsigned char>(file[at + 4]) |
                             static_cast<std::size_t>(static_cast<unsigned char>(file[at + 5])) << 8;
  const auto type = static_cast<unsigned char>(file[at + 6]);
  if (type < kFull || type > kLast || at + kHeader + length > block_end) return {};
  const auto checked = file.substr(at + 6, 1 + length);
  if (masked(crc32c(0, checked)) != load_le32(file.data() + at)) return {};
  return Fragment{type, checked.substr(1), at + kHeader + length};
}

/// Skips the filler at the end of a block.
std::size_t skip_filler(std::size_t at) {
  return kBlock - at % kBlock < kHeader ? (at / kBlock + 1) * kBlock : at;
}

/// Where a walk over one file stopped, and what it has seen.
struct FileWalk {
  std::size_t good_end{0};  // behind the last intact batch
  bool damaged{false};      // something lies behind good_end
};

class Scanner {
 public:
  Result<WalScan> run(const std::string& directory);

 private:
  Result<void> scan_file(const std::string& path);
  FileWalk walk(std::string_view file);
  bool accept(std::string_view batch, bool may_jump);
  bool later_batch_forbids_cut(std::string_view file, std::size_t from, bool at_tear);
  bool begins_forbidding_batch(std::string_view file, const Fragment& first, bool at_tear) const;

  WalScan out_;
  bool torn_{false};        // the last cut is not (yet) followed by the next batch
  std::uint64_t base_{0};   // of the file being read: batches up to this one are leftovers
};

/// Checks number and link of a batch. Between files a jump forward is possible: files whose rows
/// all reached tables are deleted in any order (what RocksDB replays is checked by ChainCheck).
bool Scanner::accept(std::string_view batch, bool may_jump) {
  const auto stamp = BatchStamp::decode(batch.substr(0, kStampHeadBytes));
  if (!stamp || stamp->number <= base_) return false;
  const bool next = stamp->number == out_.last_number + 1 && stamp->previous == out_.last_check;
  if (!next && !(may_jump && stamp->number > out_.last_number)) return false;
  out_.last_number = stamp->number;
  out_.last_check = stamp_check(batch);
  ++out_.batches;
  return true;
}

FileWalk Scanner::walk(std::string_view file) {
  FileWalk result;
  std::string joined;
  bool inside = false;
  bool may_jump = !torn_;
  std::size_t at = 0;
  while (true) {
    at = skip_filler(at);
    if (at >= file.size()) break;
    const auto fragment = fragment_at(file, at);
    if (!fragment) break;
    const bool starts = fragment->type == kFull || fragment->type == kFirst;
    if (starts == inside) break;
    if (fragment->type == kFull) {
      if (!accept(fragment->payload, may_jump)) break;
    } else {
      if (fragment->type == kFirst) joined.clear();
      joined.append(fragment->payload);
      inside = fragment->type != kLast;
      if (!inside && !accept(joined, may_jump)) break;
    }
    at = fragment->end;
    if (!inside) {
      may_jump = false;
      result.good_end = at;
    }
  }
  result.damaged = result.good_end < file.size() && skip_filler(result.good_end) < file.size();
  return result;
}

/// Whether the batch that begins with `first` proves, or may prove, that the damaged one (number
/// last + 1) was acknowledged. `at_tear`: it begins where the damaged one must begin.
bool Scanner::begins_forbidding_batch(std::string_view file, const Fragment& first,
                                      bool at_tear) const {
  std::string head(first.payload.substr(0, kStampHeadBytes));
  std::size_t at = first.end;
  while (head.size() < kStampHeadBytes) {
    at = skip_filler(at);
    const auto more = at < file.size() ? fragment_at(file, at) : std::nullopt;
    // A beginning of which we cannot tell: the torn batch itself, or else assume the worst.
    if (!more || more->type == kFull || more->type == kFirst) return !at_tear;
    head.append(more->payload.substr(0, kStampHeadBytes - head.size()));
    at = more->end;
  }
  const auto stamp = BatchStamp::decode(head);
  if (!stamp) return true;
  if (stamp->number <= base_) return false;
  const bool is_next = stamp->number == out_.last_number + 1;
  if (at_tear && is_next && stamp->previous == out_.last_check) return false;
  // Numbered like the missing one or before: nothing is missing, or files were mixed up.
  return is_next || stamp->number <= out_.last_number || stamp->synced_through > out_.last_number;
}

/// Looks for intact beginnings of batches behind the damage, at every offset: lengths in damaged
/// bytes cannot be trusted.
bool Scanner::later_batch_forbids_cut(std::string_view file, std::size_t from, bool at_tear) {
  std::size_t at = skip_filler(from);
  const std::size_t tear = at;
  while (at + kHeader <= file.size()) {
    const auto fragment = fragment_at(file, at);
    if (!fragment) {
      ++at;
      continue;
    }
    if ((fragment->type == kFull || fragment->type == kFirst) &&
        begins_forbidding_batch(file, *fragment, at_tear && at == tear)) {
      return true;
    }
    at = fragment->end;
  }
  return false;
}

Result<WalScan> Scanner::run(const std::string& directory) {
  namespace fs = std::filesystem;
  std::vector<std::pair<std::uint64_t, std::string>> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    if (entry.path().extension() != ".log") continue;
    const std::string stem = entry.path().stem().string();
    std::uint64_t number = 0;
    const auto [end, bad] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
    if (bad == std::errc{} && end == stem.data() + stem.size()) {
      files.emplace_back(number, entry.path().string());
    }
  }
  if (failed) return make_error(Errc::io, "cannot list " + directory + ": " + failed.message());
  std::sort(files.begin(), files.end());

  for (const auto& [number, path] : files) {
    if (auto scanned = scan_file(path); !scanned) return scanned.error();
  }
  return out_;
}

Result<void> Scanner::scan_file(const std::string& path) {
  MappedFile file;
  if (auto opened = file.open(path); !opened) return opened.error();
  const auto bytes = file.bytes();
  base_ = read_base(path);
  // Behind a tear only the very next batch goes on: then what was torn is nothing that is missing.
  const FileWalk walked = walk(bytes);
  out_.bytes += walked.good_end;
  const bool goes_on = walked.good_end > 0;
  if (goes_on) torn_ = false;
  if (!walked.damaged) return {};
  const bool tears_here = !torn_;
  torn_ = true;
  out_.cuts.push_back({path, walked.good_end, bytes.size() - walked.good_end, base_ != 0});
  if (!later_batch_forbids_cut(bytes, walked.good_end, tears_here)) return {};
  return make_error(
      Errc::corruption,
      fmt::format("write-ahead log damaged: {} at offset {}: the batch after number {} is not "
                  "intact, but a later one ({}) shows that it had been acknowledged",
                  tears_here ? path : out_.cuts[out_.cuts.size() - 2].file,
                  tears_here ? walked.good_end : out_.cuts[out_.cuts.size() - 2].offset,
                  out_.last_number, path));
}

}  // namespace

Result<WalScan> scan_wal(const std::string& directory) { return Scanner().run(directory); }

}  // namespace warren::storage
