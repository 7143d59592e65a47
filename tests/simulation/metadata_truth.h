#pragma once
// What the log of the metadata group says, carried out once more beside all members: the oracle to
// which each of them, and each answer to a client, is compared. Shares nothing with metadata::Machine.

#include "cluster/metadata/batch.h"
#include "tests/simulation/checker.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace warren::simulation {

/// One change that a client asked for: the part of some batch.
struct PartId {
  std::uint64_t origin{0};
  std::uint64_t incarnation{0};
  std::uint32_t number{0};
  auto operator<=>(const PartId&) const = default;
};

/// Rows as a store would hold them, with a hash that costs nothing to keep.
class RowMirror {
 public:
  void apply(const std::vector<metadata::RowChange>& changes);
  std::uint64_t hash() const { return hash_; }
  const std::map<std::string, std::string>& rows() const { return rows_; }

 private:
  std::map<std::string, std::string> rows_;
  std::uint64_t hash_{0};
};

/// Which batch of each member was the last; same shape in the oracle and in what is seen of a machine.
class Origins {
 public:
  void set(std::uint64_t origin, std::uint64_t incarnation, std::uint64_t sequence);
  std::pair<std::uint64_t, std::uint64_t> of(std::uint64_t origin) const;
  const auto& all() const { return all_; }
  std::uint64_t hash() const { return hash_; }

 private:
  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> all_;
  std::uint64_t hash_{0};
};

class MetadataTruth {
 public:
  struct Outcome {
    Index index{0};
    Term term{0};
    std::uint64_t body{0};
    std::vector<Result<void>> results;
  };

  explicit MetadataTruth(Checker& checker) : checker_(checker) {}

  /// A member is about to apply this; counts once per index.
  void entry(Index index, Term term, std::string_view body);
  /// Digest of a member that carried out everything up to here.
  std::uint64_t digest_at(Index index) const;
  /// What became of a change; null while the log does not hold it.
  const Outcome* outcome(const PartId& id) const;
  /// This one may take effect more than once: the last counts.
  void may_repeat(const PartId& id) { repeatable_.insert(id); }
  /// A caller was told for certain that this did not happen.
  void refused(const PartId& id);

  const metadata::Catalogue& catalogue() const { return catalogue_; }
  const RowMirror& rows() const { return rows_; }
  const Origins& origins() const { return origins_; }
  Index last() const { return digests_.empty() ? 0 : digests_.back().first; }

 private:
  std::vector<Result<void>> carry_out(metadata::BatchPart& part, metadata::QueueUid& uid);

  Checker& checker_;
  metadata::Catalogue catalogue_;
  RowMirror rows_;
  Origins origins_;
  std::map<PartId, Outcome> outcomes_;
  std::set<PartId> refused_;
  std::set<PartId> repeatable_;
  std::set<metadata::QueueUid> uids_;
  std::vector<std::pair<Index, std::uint64_t>> digests_;
};

/// Never equal for different states, as far as a run can tell.
inline std::uint64_t metadata_digest(const RowMirror& rows, const Origins& origins) {
  return mix(rows.hash(), origins.hash());
}

}  // namespace warren::simulation
