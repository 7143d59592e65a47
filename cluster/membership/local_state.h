#pragma once
// What a node itself knows of its identity and its cluster, in one file of its data directory. The
// catalogue is the truth while the app runs; this is what is known without it: whom to call at start,
// and what to answer while the app is stopped. RAM nodes keep nothing else on disc.

#include "base/result.h"
#include "cluster/metadata/types.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace warren::membership {

inline constexpr std::size_t kIdBytes = 16;

/// Invariants: `node_id` has 16 bytes; a founded cluster has an id of 16 bytes and lists this node.
struct LocalState {
  std::string node_id;
  std::uint64_t incarnation{0};  ///< grows with each start of the process
  std::string cluster_id;        ///< "" = never founded or joined anything
  std::string cluster_name;
  bool ram{false};
  /// The data belong to a cluster that was left: wipe them before anything else. Survives a crash
  /// between the decision and the wiping.
  bool wipe{false};
  /// This node's store holds the metadata group: if it is found missing, it was lost.
  bool synced{false};
  /// The node id under which a join was begun, and the cluster that was asked, which may list it by now;
  /// that one is asked again with the same id after a crash, any other with another.
  std::string joining_as;
  std::string joining_cluster;
  /// An operator's last resort (recovery.h), for the next start: go on without the others, ...
  bool force_boot{false};
  std::vector<std::string> forget;  ///< ... or without these, by name
  /// The next start takes the metadata group over for this node alone, and the others off its list.
  bool taking_over{false};
  std::vector<metadata::MemberDef> members;  ///< as last known, this node among them
  std::vector<std::string> flags;  ///< feature flags that are on, as last known
  std::string release;             ///< the one that used the data directory last; "" = of before this was kept

  bool founded() const { return !cluster_id.empty(); }
  bool alone() const { return members.size() <= 1; }
  bool operator==(const LocalState&) const = default;
};

/// The number by which consensus knows a node: the first 8 bytes of its id, never 0.
std::uint64_t member_number(std::string_view node_id);
/// The number of a cluster, in the same way.
inline std::uint64_t cluster_number(std::string_view cluster_id) { return member_number(cluster_id); }

/// Random bytes of an id whose number is not 0. `random` fills 16 bytes.
std::string make_id(const std::function<void(char*, std::size_t)>& random);

std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view text);

std::string encode(const LocalState& state);
/// Errors: corruption, unsupported (a newer format), each naming what is wrong.
Result<LocalState> decode(std::string_view text);

/// The right to write a data directory's state: held by a node for its life, by a tool while it changes the
/// state of a stopped one. The kernel lets go of it however the holder ends.
class StateLock {
 public:
  /// Errors: conflict when another process holds it; io.
  static Result<StateLock> take(const std::string& data_dir);
  StateLock() = default;
  ~StateLock();
  StateLock(StateLock&& from) noexcept : fd_(std::exchange(from.fd_, -1)) {}
  StateLock& operator=(StateLock&& from) noexcept {
    std::swap(fd_, from.fd_);
    return *this;
  }

 private:
  explicit StateLock(int fd) : fd_(fd) {}
  int fd_{-1};
};

/// The file of a data directory. Owner: the node's main thread.
class StateFile {
 public:
  explicit StateFile(std::string data_dir) : directory_(std::move(data_dir)) {}

  std::string path() const { return directory_ + "/cluster.json"; }
  /// Nothing when there is none yet. Errors: io, corruption (never read as "nothing here").
  Result<std::optional<LocalState>> read() const;
  /// Written aside, synced, moved, directory synced: a crash leaves the old or the new one. Keeps the
  /// owner of the old one, since a tool may write it as another user.
  Result<void> write(const LocalState& state) const;

 private:
  std::string directory_;
};

}  // namespace warren::membership
