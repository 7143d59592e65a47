#include "storage/scratch/scratch.h"

#include "base/bytes.h"
#include "base/crc32c.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <span>

namespace warren::storage {
namespace {

constexpr unsigned kUnitBits = 22;
constexpr std::uint64_t kUnit = 16;
constexpr std::uint32_t kFiles = (1u << 26) - 1;
constexpr std::size_t kHead = 16;  // checksum (4), length (4), page (8); big-endian
constexpr std::string_view kSuffix = ".page";
constexpr std::array<char, kUnit> kZeros{};

std::uint64_t page_id(std::uint32_t file, std::uint64_t offset) {
  return (std::uint64_t{file} << kUnitBits) | (offset / kUnit);
}
std::uint32_t file_of(std::uint64_t page) { return static_cast<std::uint32_t>(page >> kUnitBits); }
std::uint32_t offset_of(std::uint64_t page) {
  return static_cast<std::uint32_t>((page & ((1u << kUnitBits) - 1)) * kUnit);
}
/// What a page takes in its file.
std::uint64_t room_of(std::size_t bytes) { return (kHead + bytes + kUnit - 1) / kUnit * kUnit; }

std::array<char, kHead> head_of(std::uint64_t page, std::string_view bytes) {
  std::array<char, kHead> head{};
  store_be(head.data() + 4, static_cast<std::uint32_t>(bytes.size()));
  store_be(head.data() + 8, page);
  const std::uint32_t crc = crc32c(crc32c(0, {head.data() + 4, kHead - 4}), bytes);
  store_be(head.data(), crc);
  return head;
}

/// "<number>.page", and nothing else, is ours.
bool is_ours(const std::string& name) {
  if (name.size() <= kSuffix.size() || !name.ends_with(kSuffix)) return false;
  return std::all_of(name.begin(), name.end() - static_cast<std::ptrdiff_t>(kSuffix.size()),
                     [](char c) { return c >= '0' && c <= '9'; });
}

Result<void> empty(const std::string& directory) {
  std::error_code ec;
  std::filesystem::create_directories(directory, ec);
  if (ec) return make_error(Errc::io, fmt::format("cannot make {}: {}", directory, ec.message()));
  std::filesystem::directory_iterator at(directory, ec), end;
  for (; !ec && at != end; at.increment(ec))
    if (is_ours(at->path().filename().string())) {
      std::filesystem::remove(at->path(), ec);
      if (ec) break;
    }
  if (ec) return make_error(Errc::io, fmt::format("cannot empty {}: {}", directory, ec.message()));
  return {};
}

}  // namespace

Result<std::unique_ptr<Scratch>> Scratch::open(ScratchOptions options, Sink sink) {
  WARREN_ASSERT(options.file_bytes <= kUnit << kUnitBits);
  if (auto emptied = empty(options.directory); !emptied) return emptied.error();
  return std::unique_ptr<Scratch>(new Scratch(std::move(options), std::move(sink)));
}

Scratch::Scratch(ScratchOptions options, Sink sink)
    : options_(std::move(options)), sink_(std::move(sink)), thread_([this] { run(); }) {}

Scratch::~Scratch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  for (const auto& [number, fd] : open_files_) ::close(fd);
  (void)empty(options_.directory);  // what stays goes at the next start
}

// ---- the caller's side --------------------------------------------------------------------------

bool Scratch::has_room() const {
  return current_ < kFiles &&
         waiting_bytes_.load(std::memory_order_relaxed) < options_.waiting_bytes_max;
}

Scratch::PageId Scratch::write(std::uint64_t tag, std::string_view bytes, BlockRef keep) {
  WARREN_ASSERT(!bytes.empty() && bytes.size() <= std::size_t{1} << 27);
  File* file = &files_[current_];
  if (file->end >= options_.file_bytes) {
    const std::uint32_t full = current_++;
    if (file->live == 0) forget(full);
    file = &files_[current_];
  }
  Job job{.kind = Kind::write};
  job.file = current_;
  job.offset = static_cast<std::uint32_t>(file->end);
  job.bytes = static_cast<std::uint32_t>(bytes.size());
  job.tag = tag;
  job.keep = std::move(keep);
  job.data = bytes;
  const PageId page = page_id(current_, file->end);
  const std::uint64_t room = room_of(bytes.size());
  file->end += room;
  file->live += room;
  live_bytes_ += room;
  written_bytes_ += room;
  waiting_bytes_.fetch_add(bytes.size(), std::memory_order_relaxed);
  ask(std::move(job));
  return page;
}

void Scratch::read(std::uint64_t tag, PageId page, std::size_t bytes) {
  Job job{.kind = Kind::read};
  job.file = file_of(page);
  job.offset = offset_of(page);
  job.bytes = static_cast<std::uint32_t>(bytes);
  job.tag = tag;
  ask(std::move(job));
}

void Scratch::release(PageId page, std::size_t bytes) {
  const std::uint32_t number = file_of(page);
  const auto found = files_.find(number);
  const std::uint64_t room = room_of(bytes);
  WARREN_ASSERT(found != files_.end() && found->second.live >= room);
  File& file = found->second;
  file.live -= room;
  live_bytes_ -= room;
  if (file.live == 0 && (number != current_ || file.end >= options_.hole_bytes)) {
    if (number == current_) ++current_;
    return forget(number);
  }
  std::uint64_t begin = offset_of(page), end = begin + room, punched = 0;
  auto next = file.gaps.lower_bound(begin);
  if (next != file.gaps.end() && next->first == end) {
    end = next->second.end;
    punched += next->second.punched;
    next = file.gaps.erase(next);
  }
  if (next != file.gaps.begin() && std::prev(next)->second.end == begin) {
    next = std::prev(next);
    begin = next->first;
    punched += next->second.punched;
    file.gaps.erase(next);
  }
  if (end - begin - punched >= options_.hole_bytes) {
    Job job{.kind = Kind::punch};
    job.file = number;
    job.offset = static_cast<std::uint32_t>(begin);
    job.bytes = static_cast<std::uint32_t>(end - begin);
    ask(std::move(job));
    punched = end - begin;
  }
  file.gaps.insert({begin, {end, punched}});
}

void Scratch::forget(std::uint32_t number) {
  files_.erase(number);
  Job job{.kind = Kind::remove};
  job.file = number;
  ask(std::move(job));
}

ScratchStats Scratch::stats() const { return {files_.size(), live_bytes_, written_bytes_}; }

void Scratch::ask(Job job) {
  bool idle = false;
  {
    const std::lock_guard lock(mutex_);
    idle = jobs_.empty();
    jobs_.push_back(std::move(job));
  }
  if (idle) wake_.notify_one();
}

// ---- the thread ---------------------------------------------------------------------------------

void Scratch::run() {
  std::vector<Job> jobs;
  std::vector<Answer> answers;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      jobs.swap(jobs_);
    }
    work(jobs, answers);
    jobs.clear();
    if (!answers.empty()) sink_(std::move(answers));
    answers.clear();
  }
}

void Scratch::work(std::vector<Job>& jobs, std::vector<Answer>& answers) {
  for (std::size_t i = 0; i < jobs.size();) {
    Job& job = jobs[i];
    std::string ignored;
    switch (job.kind) {
      case Kind::write:
        i += write_some(jobs, i, answers);
        continue;
      case Kind::read:
        answers.push_back(read_one(job));
        break;
      case Kind::punch:
        // A file system that cannot keeps the bytes until the file goes.
        if (const int fd = descriptor(job.file, false, ignored); fd >= 0)
          (void)::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, job.offset, job.bytes);
        break;
      case Kind::remove:
        if (const auto found = open_files_.find(job.file); found != open_files_.end()) {
          ::close(found->second);
          open_files_.erase(found);
        }
        (void)::unlink(path(job.file).c_str());
        break;
    }
    ++i;
  }
}

/// Writes what lies side by side in one call; answers how many jobs that were.
std::size_t Scratch::write_some(std::vector<Job>& jobs, std::size_t from,
                                std::vector<Answer>& answers) {
  constexpr std::size_t kTogether = 128;
  constexpr std::size_t kBytes = 1 << 20;
  std::array<std::array<char, kHead>, kTogether> heads;
  std::vector<iovec> parts;
  const auto add = [&parts](const char* data, std::size_t n) {
    if (n != 0) parts.push_back({const_cast<char*>(data), n});
  };
  std::size_t n = 0, pages = 0;
  std::uint64_t end = jobs[from].offset;
  for (; from + n < jobs.size() && n < kTogether && (n == 0 || end - jobs[from].offset < kBytes); ++n) {
    const Job& job = jobs[from + n];
    if (job.kind != Kind::write || job.file != jobs[from].file || job.offset != end) break;
    heads[n] = head_of(page_id(job.file, job.offset), job.data);
    add(heads[n].data(), kHead);
    add(job.data.data(), job.data.size());
    add(kZeros.data(), room_of(job.bytes) - kHead - job.bytes);
    end += room_of(job.bytes);
    pages += job.bytes;
  }
  std::string error;
  const int fd = descriptor(jobs[from].file, true, error);
  std::span<iovec> left(parts);
  for (off_t at = jobs[from].offset; fd >= 0 && error.empty() && !left.empty();) {
    const ssize_t got = ::pwritev(fd, left.data(), static_cast<int>(left.size()), at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      error = fmt::format("cannot write {}: {}", path(jobs[from].file), std::strerror(got < 0 ? errno : EIO));
      break;
    }
    at += got;
    for (auto done = static_cast<std::size_t>(got); done != 0;) {
      const std::size_t step = std::min(done, left.front().iov_len);
      left.front().iov_base = static_cast<char*>(left.front().iov_base) + step;
      left.front().iov_len -= step;
      done -= step;
      if (left.front().iov_len == 0) left = left.subspan(1);
    }
  }
  for (std::size_t i = from; i < from + n; ++i) {
    answers.push_back(
        {jobs[i].tag, page_id(jobs[i].file, jobs[i].offset), jobs[i].bytes, false, {}, error});
    jobs[i].keep.reset();
  }
  waiting_bytes_.fetch_sub(pages, std::memory_order_relaxed);
  return n;
}

Scratch::Answer Scratch::read_one(const Job& job) {
  const PageId page = page_id(job.file, job.offset);
  Answer answer{job.tag, page, job.bytes, true, {}, {}};
  const int fd = descriptor(job.file, false, answer.error);
  if (fd < 0) return answer;
  std::array<char, kHead> head{};
  BlockRef block = Block::make(job.bytes);
  char* const data = block->append(job.bytes);
  const std::array<iovec, 2> parts{{{head.data(), kHead}, {data, job.bytes}}};
  ssize_t got = 0;
  do {
    got = ::preadv(fd, parts.data(), 2, job.offset);
  } while (got < 0 && errno == EINTR);
  if (got < 0)
    answer.error = fmt::format("cannot read {}: {}", path(job.file), std::strerror(errno));
  else if (static_cast<std::size_t>(got) != kHead + job.bytes || head != head_of(page, {data, job.bytes}))
    answer.error = fmt::format("{} is damaged at {}", path(job.file), job.offset);
  else
    answer.block = std::move(block);
  return answer;
}

int Scratch::descriptor(std::uint32_t file, bool create, std::string& error) {
  if (const auto found = open_files_.find(file); found != open_files_.end()) return found->second;
  const int fd = ::open(path(file).c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
  constexpr std::size_t kOpenFiles = 32;
  if (fd >= 0 && open_files_.size() >= kOpenFiles) {
    ::close(open_files_.begin()->second);  // the oldest is opened again when it is read
    open_files_.erase(open_files_.begin());
  }
  if (fd < 0)
    error = fmt::format("cannot open {}: {}", path(file), std::strerror(errno));
  else
    open_files_.emplace(file, fd);
  return fd;
}

std::string Scratch::path(std::uint32_t file) const {
  return fmt::format("{}/{}{}", options_.directory, file, kSuffix);
}

}  // namespace warren::storage
