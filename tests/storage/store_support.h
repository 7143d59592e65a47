#pragma once
// What the storage tests share: temporary directories, short ways to read and write.

#include "storage/api/store.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace warren::storage {

class TempDir {
 public:
  TempDir() {
    // Memory where there is some: a crash of the process is the same there, and a sync is cheap.
    std::error_code ignored;
    const bool shm = ::access("/dev/shm", W_OK) == 0;
    const auto base = shm ? std::filesystem::path("/dev/shm")
                          : std::filesystem::temp_directory_path(ignored);
    std::string form = (base / "warren-store-XXXXXX").string();
    path_ = ::mkdtemp(form.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string store() const { return path_ + "/store"; }

 private:
  std::string path_;
};

inline WriteBatch one_put(Keyspace space, std::string key, std::string value) {
  WriteBatch batch;
  batch.put(space, std::move(key), std::move(value));
  return batch;
}

inline std::optional<std::string> read(const Store& store, Keyspace space, std::string_view key) {
  auto row = store.get(space, key);
  EXPECT_TRUE(row.has_value()) << (row ? "" : row.error().text);
  return row ? *row : std::nullopt;
}

inline std::map<std::string, std::string> rows(const Store& store, Keyspace space,
                                               std::string_view from = {},
                                               std::string_view to = {}) {
  std::map<std::string, std::string> out;
  auto walk = store.scan(space, from, to);
  EXPECT_TRUE(walk.has_value()) << (walk ? "" : walk.error().text);
  if (!walk) return out;
  std::string last;
  for (; (*walk)->valid(); (*walk)->next()) {
    EXPECT_TRUE(out.empty() || last < (*walk)->key());
    last = (*walk)->key();
    out.emplace(last, (*walk)->value());
  }
  EXPECT_TRUE((*walk)->status().has_value());
  return out;
}

}  // namespace warren::storage
