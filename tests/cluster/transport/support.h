#pragma once
// Shared by the transport's tests: a temporary directory, cookies, a logger that remembers.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/transport/cookie.h"
#include "cluster/transport/handshake.h"

namespace warren::transport {

class TempDir {
 public:
  TempDir() {
    std::string form = (std::filesystem::temp_directory_path() / "warren-test-XXXXXX").string();
    path_ = ::mkdtemp(form.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string path(const std::string& name = {}) const {
    return name.empty() ? path_ : path_ + "/" + name;
  }
  std::string write(const std::string& name, const std::string& text, unsigned mode = 0600) const {
    std::ofstream(path(name)) << text;
    ::chmod(path(name).c_str(), mode);
    return path(name);
  }

 private:
  std::string path_;
};

class MemoryLogger final : public Logger {
 public:
  bool enabled(LogLevel, LogArea) const override { return true; }
  void write(LogLevel, LogArea, std::string_view line) override {
    const std::lock_guard guard(lock_);
    lines_ += std::string(line) + "\n";
  }
  std::string lines() const {
    const std::lock_guard guard(lock_);
    return lines_;
  }

 private:
  mutable std::mutex lock_;
  std::string lines_;
};

inline Cookie cookie_of(const std::string& secret) {
  Cookie cookie;
  cookie.secret = secret;
  cookie.source = "option --erlang-cookie";
  return cookie;
}

inline PeerIdentity identity(const std::string& name, const std::string& role = "node") {
  PeerIdentity id;
  id.node_name = name;
  id.role = role;
  id.product_version = "0.1.0";
  return id;
}

}  // namespace warren::transport
