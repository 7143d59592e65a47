#pragma once
// What configuration is read from: variables, files, the host's names. All injectable, so that
// tests need neither a process environment nor a disc. Owner: the thread that starts the node.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace warren::config {

/// Environment variables by full name (`RABBITMQ_NODE_PORT`).
using EnvView = std::map<std::string, std::string, std::less<>>;

/// The variables of this process.
EnvView process_environment();

/// Read access to files, and the one question about writing that the choice of defaults needs.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  /// Errors: not_found when there is no such file, io when it cannot be read.
  virtual Result<std::string> read(const std::string& path) const = 0;
  virtual bool exists(const std::string& path) const = 0;
  virtual bool is_directory(const std::string& path) const = 0;
  /// Names (not paths) in a directory, sorted by byte; empty when there is none.
  virtual std::vector<std::string> list(const std::string& directory) const = 0;
  /// Whether a file may be made there, the directory itself being made if need be.
  virtual bool can_write_into(const std::string& directory) const = 0;
  /// Whether this process may read the file.
  virtual bool can_read(const std::string& path) const = 0;
};

/// The real file system.
const FileSystem& os_files();

/// Files in memory, for tests. A directory exists when a file lies below it or when it was made.
class MemoryFiles final : public FileSystem {
 public:
  void add(const std::string& path, std::string text) { files_[path] = std::move(text); }
  void make_writable(const std::string& directory) { writable_.push_back(directory); }

  Result<std::string> read(const std::string& path) const override;
  bool exists(const std::string& path) const override;
  bool is_directory(const std::string& path) const override;
  std::vector<std::string> list(const std::string& directory) const override;
  bool can_write_into(const std::string& directory) const override;
  bool can_read(const std::string& path) const override { return files_.contains(path); }

 private:
  std::map<std::string, std::string, std::less<>> files_;
  std::vector<std::string> writable_;
};

/// Who and where this process is.
struct HostInfo {
  std::string short_name;  ///< host name up to the first dot
  std::function<std::string()>
      full_name;     ///< fully qualified; asked only for long names (may use DNS)
  std::string home;  ///< $HOME, else the home of the user's entry
  bool is_root{false};
  bool home_redirected{false};  ///< $HOME is not the user's own, as in tests and containers
};

/// Asks the operating system. `env` gives HOME.
HostInfo host_info(const EnvView& env);

/// Where a value came from.
enum class OriginKind { default_value, environment, env_conf, file, command };

/// The source of one effective value, as `rabbitmqctl environment` shows it.
struct Origin {
  OriginKind kind{OriginKind::default_value};
  std::string detail;  ///< variable name, file:line, or the command's name

  std::string text() const;
};

}  // namespace warren::config
