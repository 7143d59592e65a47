#pragma once
// Which nodes run on this host: each running node keeps a small locked file, so that tools find its
// port by name alone. Plays the part that a port mapper plays elsewhere, without a process of its
// own.
//
// A file's lock is held by the node for its life; the kernel lets go of it however the node ends,
// so an unlocked file is a node that is gone.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace warren::transport {

/// What a node tells the tools of its own host.
struct NodeEntry {
  std::string name;       ///< rabbit@host
  std::uint16_t port{0};  ///< inter-node port
  std::uint16_t amqp_port{0};
  long pid{0};
  std::string cookie_file;  ///< empty when the cookie came from elsewhere
  std::string file;         ///< of the entry itself; set by readers
};

/// Directories in the order they are tried: $WARREN_RUN_DIR alone when set; else /run/warren,
/// $XDG_RUNTIME_DIR/warren, /tmp/warren-nodes-<uid>.
std::vector<std::string> registry_directories();

/// Holds this node's entry until destroyed.
class NodeRegistration {
 public:
  /// Writes and locks the entry in the first directory that can be written.
  /// Errors: already_exists when a running node has this name (with its pid); io when no directory
  /// works.
  static Result<NodeRegistration> publish(const NodeEntry& entry,
                                          const std::vector<std::string>& directories);
  NodeRegistration() = default;
  ~NodeRegistration();
  NodeRegistration(NodeRegistration&& from) noexcept;
  NodeRegistration& operator=(NodeRegistration&& from) noexcept;

  const std::string& file() const { return file_; }

 private:
  NodeRegistration(int fd, std::string file) : fd_(fd), file_(std::move(file)) {}
  int fd_{-1};
  std::string file_;
};

/// The running node of that name, if its entry is found.
std::optional<NodeEntry> find_node(const std::string& name,
                                   const std::vector<std::string>& directories);
/// Every running node, by name. Users other than root see their own directories and the shared one.
std::vector<NodeEntry> list_nodes(const std::vector<std::string>& directories);

}  // namespace warren::transport
