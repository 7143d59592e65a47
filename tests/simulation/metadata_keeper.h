#pragma once
// The catalogue of a simulated node, with what a node makes of effects and a store of rows: both must
// always say the same as the catalogue itself.

#include "cluster/metadata/owner.h"
#include "tests/simulation/metadata_truth.h"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>

namespace warren::simulation {

/// What a broker would have built from effects alone.
class EffectMirror {
 public:
  /// The first thing that cannot be carried out, or nothing.
  std::optional<std::string> apply(const metadata::Effect& effect);
  std::optional<std::string> difference_to(const metadata::Catalogue& catalogue) const;

 private:
  using Name = std::pair<std::string, std::string>;  // (vhost, name)

  std::optional<std::string> bind(const metadata::BindingDef& def);
  void drop_bindings(const std::string& vhost, const std::string& name, bool queue);
  void drop_vhost(const std::string& name);

  std::set<std::string> vhosts_;
  std::map<Name, metadata::ExchangeDef> exchanges_;
  std::map<Name, metadata::QueueDef> queues_;
  std::map<std::pair<std::string, metadata::BindingKey>, metadata::BindingDef> bindings_;
};

class Keeper final : public metadata::CatalogueOwner {
 public:
  using Hook = std::function<void(const metadata::Effect&)>;

  Keeper(Checker& checker, NodeId node, Hook hook) : checker_(checker), node_(node), hook_(std::move(hook)) {}

  const metadata::Catalogue& catalogue() const override { return catalogue_; }
  Result<metadata::Applied> commit(const metadata::Command& command, bool ours) override;
  void replace(metadata::Catalogue next) override;

  const RowMirror& rows() const { return rows_; }
  /// Throws unless rows, effects and invariants agree with the catalogue.
  void check_all();

 private:
  void carry_out(const std::vector<metadata::Effect>& effects);

  Checker& checker_;
  NodeId node_;
  Hook hook_;
  metadata::Catalogue catalogue_;
  RowMirror rows_;
  EffectMirror effects_;
  std::uint64_t commits_{0};
};

}  // namespace warren::simulation
