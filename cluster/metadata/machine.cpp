#include "cluster/metadata/machine.h"

#include "base/bytes.h"
#include "cluster/raft/mutant.h"

namespace warren::metadata {

namespace {

/// Rows of origins; no row of the catalogue begins with this.
constexpr char kOriginRow = '~';

std::string origin_key(std::uint64_t origin) {
  std::string key(1, kOriginRow);
  ByteWriter(key).u64(origin);
  return key;
}

}  // namespace

std::optional<std::uint64_t> Machine::applied_sequence(std::uint64_t origin,
                                                       std::uint64_t incarnation) const {
  const auto at = origins_.find(origin);
  if (at == origins_.end() || incarnation > at->second.incarnation) return 0;
  if (incarnation < at->second.incarnation) return std::nullopt;
  return at->second.sequence;
}

void Machine::apply(const replica::Command& entry) {
  auto batch = decode_batch(entry.body.bytes);
  if (!batch) return hooks_.unreadable(batch.error());
  const BatchHead& head = batch->head;
  const auto applied = applied_sequence(head.origin, head.incarnation);
  const bool again = WARREN_MUTANT(34) && applied && head.sequence == *applied;
  if (!again && (!applied || head.sequence != *applied + 1)) return;  // sent twice, or its predecessor was lost
  origins_[head.origin] = {head.incarnation, head.sequence};
  std::string value;
  ByteWriter out(value);
  out.u64(head.incarnation);
  out.u64(head.sequence);
  changed_.insert_or_assign(origin_key(head.origin), std::move(value));
  const bool ours = head.origin == self_ && head.incarnation == incarnation_;
  QueueUid next_uid = head.uid_base;
  std::vector<PartResults> results;
  for (BatchPart& part : batch->parts) results.push_back(carry_out(part, next_uid, ours));
  if (ours) hooks_.decided(head.sequence, std::move(results));
}

PartResults Machine::carry_out(BatchPart& part, QueueUid& next_uid, bool ours) {
  PartResults out{part.number, {}};
  std::optional<Error> failed;
  for (Command& command : part.commands) {
    if (auto* declare = std::get_if<DeclareQueue>(&command)) declare->def.uid = next_uid++;
    if (failed) {
      out.results.push_back(*failed);
      continue;
    }
    auto applied = owner_.commit(command, ours);
    if (!applied) {
      failed = applied.error();
      out.results.push_back(*failed);
      continue;
    }
    for (RowChange& row : applied->rows)
      changed_.insert_or_assign(std::move(row.key), std::move(row.value));
    out.results.emplace_back();
  }
  return out;
}

void Machine::checkpoint(replica::RowSink& rows) {
  for (auto& [key, value] : changed_) {
    if (value)
      rows.put(key, std::move(*value));
    else
      rows.erase(key);
  }
  changed_.clear();
}

Result<void> Machine::restore(const replica::RowSource& rows, raft::Index) {
  Catalogue next;
  std::map<std::uint64_t, Origin> origins;
  auto read = rows.each([&](std::string_view key, std::string_view value) -> Result<void> {
    if (key.empty() || key.front() != kOriginRow) return next.restore_row(key, value);
    if (key.size() != 9 || value.size() != 16)
      return make_error(Errc::corruption, "metadata row of an origin: malformed");
    ByteReader in(value);
    Origin& origin = origins[load_be<std::uint64_t>(key.data() + 1)];
    origin.incarnation = in.u64();
    origin.sequence = in.u64();
    return {};
  });
  if (!read) return read;
  next.restored();
  if (!next.restore_problems().empty())
    return make_error(Errc::corruption, "the stored metadata are damaged: " + next.restore_problems().front());
  if (WARREN_MUTANT(31)) origins.clear();
  origins_ = std::move(origins);
  changed_.clear();
  owner_.replace(std::move(next));
  const auto own = applied_sequence(self_, incarnation_);
  if (own && *own != 0) hooks_.skipped_to(*own);
  return {};
}

}  // namespace warren::metadata
