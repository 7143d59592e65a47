#pragma once
// A node's scratch space: pages that leave memory and need not survive the process.
// Owner: one thread calls (the loop's); a thread inside does all reading and writing of files.

#include "base/block.h"
#include "base/result.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace warren::storage {

struct ScratchOptions {
  std::string directory;
  /// A file is not begun on beyond this many bytes. At most 64 MiB: a page id holds the offset in 22 bits.
  std::uint32_t file_bytes{64u << 20};
  /// More than this on its way to the disc and `has_room` says no.
  std::size_t waiting_bytes_max{8u << 20};
  /// Released neighbours of this size are given back to the file system before their file ends.
  std::uint32_t hole_bytes{1u << 20};
};

struct ScratchStats {
  std::uint64_t files{0};
  std::uint64_t live_bytes{0};     ///< of pages written and not released, as they lie in files
  std::uint64_t written_bytes{0};  ///< ever
};

/// Numbered files written from front to end and never over again; a file whose pages are all released
/// is deleted, and long released stretches of the others are punched out. Nothing is ever synced.
/// Invariants: 1. answers come in the order of what was asked; 2. a page is read as it was written or
/// as an error (CRC-32C over bytes, length and id); 3. ids are never given twice.
/// Bounds: `waiting_bytes_max` and one page of memory; 32 files open at once; 2^26 files in a life, then has_room ends.
class Scratch {
 public:
  using PageId = std::uint64_t;  ///< below 2^48, never 0
  struct Answer {
    std::uint64_t tag;  ///< as given with the question
    PageId page;
    std::size_t bytes;
    bool read;          ///< else written
    BlockRef block;     ///< read: the bytes, nothing when that failed
    std::string error;  ///< "" = success
  };
  /// Called on the inner thread with one or more answers: post and return.
  using Sink = std::function<void(std::vector<Answer>)>;

  /// Makes the directory, empties it of what a former life left and starts the thread.
  /// Errors: io.
  static Result<std::unique_ptr<Scratch>> open(ScratchOptions options, Sink sink);
  /// Ends the thread; what is under way is not answered any more. Deletes the files.
  ~Scratch();

  bool has_room() const;
  /// Shape: 1 byte .. 2^27 bytes, kept alive by `keep`.
  PageId write(std::uint64_t tag, std::string_view bytes, BlockRef keep);
  /// Requires: the page's write was answered with success, and it is not released.
  void read(std::uint64_t tag, PageId page, std::size_t bytes);
  /// Requires: the page's write was answered.
  void release(PageId page, std::size_t bytes);
  ScratchStats stats() const;

 private:
  enum class Kind : std::uint8_t { write, read, punch, remove };
  struct Job {
    Kind kind;
    std::uint32_t file{0};
    std::uint32_t offset{0};  ///< in bytes
    std::uint32_t bytes{0};   ///< of the page, or to punch
    std::uint64_t tag{0};
    BlockRef keep;
    std::string_view data;
  };
  /// What the caller's side knows of a file.
  struct File {
    std::uint64_t live{0};
    std::uint64_t end{0};
    struct Gap {
      std::uint64_t end;
      std::uint64_t punched;
    };
    std::map<std::uint64_t, Gap> gaps;  ///< released stretches by their begin
  };

  Scratch(ScratchOptions options, Sink sink);
  void ask(Job job);
  void forget(std::uint32_t number);
  void run();
  void work(std::vector<Job>& jobs, std::vector<Answer>& answers);
  std::size_t write_some(std::vector<Job>& jobs, std::size_t from, std::vector<Answer>& answers);
  Answer read_one(const Job& job);
  int descriptor(std::uint32_t file, bool create, std::string& error);
  std::string path(std::uint32_t file) const;

  const ScratchOptions options_;
  const Sink sink_;

  // the caller's
  std::map<std::uint32_t, File> files_;
  std::uint32_t current_{1};
  std::uint64_t live_bytes_{0}, written_bytes_{0};

  std::atomic<std::size_t> waiting_bytes_{0};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job> jobs_;  // under mutex_
  bool stopping_{false};   // under mutex_

  std::map<std::uint32_t, int> open_files_;  // the thread's own
  std::thread thread_;
};

}  // namespace warren::storage
