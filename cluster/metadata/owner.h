#pragma once
// Who keeps the catalogue of a node: the broker, which also carries out what follows from a change.
// The replicated machine applies through this, so that the catalogue is in memory once.

#include "cluster/metadata/catalogue.h"

namespace warren::metadata {

/// Owner: the loop's thread.
class CatalogueOwner {
 public:
  virtual ~CatalogueOwner() = default;
  virtual const Catalogue& catalogue() const = 0;
  /// Applies a committed command and carries out its effects. `ours`: this node proposed it.
  virtual Result<Applied> commit(const Command& command, bool ours) = 0;
  /// Becomes another catalogue (a checkpoint or a snapshot), and carries out the difference.
  virtual void replace(Catalogue next) = 0;
};

}  // namespace warren::metadata
