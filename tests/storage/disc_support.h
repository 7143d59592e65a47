#pragma once
// What the tests of the disc store share: opening, copies of a directory as a crash leaves it,
// damage to its files.

#include "storage/disc/disc_store_impl.h"
#include "tests/storage/store_support.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace warren::storage {

/// Keeps warnings and errors for a test to look at.
class RecordingLogger final : public Logger {
 public:
  bool enabled(LogLevel level, LogArea) const override { return level >= LogLevel::warning; }
  void write(LogLevel, LogArea, std::string_view line) override {
    std::lock_guard lock(mutex_);
    lines_.emplace_back(line);
  }
  bool has(std::string_view part) const {
    std::lock_guard lock(mutex_);
    return std::any_of(lines_.begin(), lines_.end(),
                       [&](const auto& line) { return line.find(part) != std::string::npos; });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

class DiscTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Store>> open_at(const std::string& path) {
    DiscOptions options;
    options.path = path;
    options.log_write_buffer_bytes = 8u << 20;
    options.reclaim_interval = {};
    options.on_broken = [this](const std::string&) { ++broken_; };
    return open_disc_store_on(env_, options, log_);
  }
  /// Requires that it opens.
  std::unique_ptr<Store> must_open(const std::string& path) {
    auto opened = open_at(path);
    EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error().text);
    return opened ? std::move(*opened) : nullptr;
  }
  static DiscStore& disc(Store& store) { return dynamic_cast<DiscStore&>(store); }

  /// The directory as kill -9 would leave it now.
  std::string crash_copy(const std::string& from) {
    const std::filesystem::path to = dir_.path() + "/copy" + std::to_string(++copies_);
    std::filesystem::create_directory(to);
    for (const auto& entry : std::filesystem::directory_iterator(from)) {
      std::error_code vanished;  // RocksDB removes its obsolete files in the background
      std::filesystem::copy_file(entry.path(), to / entry.path().filename(), vanished);
    }
    return to;
  }
  static void remove(const std::string& path) { std::filesystem::remove_all(path); }

  static std::vector<std::string> files(const std::string& path, const std::string& extension) {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.path().extension() == extension) out.push_back(entry.path().string());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  static std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void replace(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  /// The last log file that holds anything.
  static std::string last_wal(const std::string& path) {
    std::string out;
    for (const auto& file : files(path, ".log")) {
      if (std::filesystem::file_size(file) > 0) out = file;
    }
    return out;
  }

  TempDir dir_;
  RecordingLogger log_;
  rocksdb::Env* env_{nullptr};
  std::atomic<int> broken_{0};
  int copies_{0};
};

}  // namespace warren::storage
