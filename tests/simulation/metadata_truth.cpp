#include "tests/simulation/metadata_truth.h"

#include <algorithm>

namespace warren::simulation {

void RowMirror::apply(const std::vector<metadata::RowChange>& changes) {
  for (const auto& [key, value] : changes) {
    const auto at = rows_.find(key);
    if (at != rows_.end()) hash_ ^= mix(hash_bytes(key), hash_bytes(at->second));
    if (value) {
      hash_ ^= mix(hash_bytes(key), hash_bytes(*value));
      rows_.insert_or_assign(key, *value);
    } else if (at != rows_.end()) {
      rows_.erase(at);
    }
  }
}

void Origins::set(std::uint64_t origin, std::uint64_t incarnation, std::uint64_t sequence) {
  auto& at = all_[origin];
  if (at.second != 0) hash_ ^= mix(mix(origin, at.first), at.second);
  at = {incarnation, sequence};
  hash_ ^= mix(mix(origin, at.first), at.second);
}

std::pair<std::uint64_t, std::uint64_t> Origins::of(std::uint64_t origin) const {
  const auto at = all_.find(origin);
  return at == all_.end() ? std::pair<std::uint64_t, std::uint64_t>{} : at->second;
}

void MetadataTruth::entry(Index index, Term term, std::string_view body) {
  if (index <= last()) return;
  auto batch = metadata::decode_batch(body);
  if (!batch) checker_.fail("metadata-readable", fmt::format("index {}: {}", index, batch.error().text));
  const metadata::BatchHead& head = batch->head;
  auto [incarnation, sequence] = origins_.of(head.origin);
  if (head.incarnation > incarnation) sequence = 0;
  if (head.incarnation >= incarnation && head.sequence == sequence + 1) {
    origins_.set(head.origin, head.incarnation, head.sequence);
    metadata::QueueUid uid = head.uid_base;
    for (metadata::BatchPart& part : batch->parts) {
      const PartId id{head.origin, head.incarnation, part.number};
      Outcome outcome{index, term, hash_bytes(body), carry_out(part, uid)};
      const bool fresh = outcomes_.insert_or_assign(id, std::move(outcome)).second;
      if (!fresh && !repeatable_.contains(id)) {
        checker_.fail("effective-once", fmt::format("change {} of n{} took effect again at index {}",
                                                    part.number, head.origin, index));
      }
      if (refused_.contains(id)) {
        checker_.fail("refused-stays-out", fmt::format("change {} of n{} is at index {}, its caller was told that "
                                                       "nothing was changed", part.number, head.origin, index));
      }
    }
  }
  if (auto broken = catalogue_.check_invariants()) {
    checker_.fail("catalogue-invariants", fmt::format("at index {}: {}", index, *broken));
  }
  digests_.emplace_back(index, metadata_digest(rows_, origins_));
}

std::vector<Result<void>> MetadataTruth::carry_out(metadata::BatchPart& part, metadata::QueueUid& uid) {
  std::vector<Result<void>> results;
  std::optional<Error> failed;
  for (metadata::Command& command : part.commands) {
    if (auto* declare = std::get_if<metadata::DeclareQueue>(&command)) declare->def.uid = uid++;
    if (failed) {
      results.emplace_back(*failed);
      continue;
    }
    auto applied = catalogue_.apply(command);
    if (!applied) {
      failed = applied.error();
      if (failed->text.find("is in use") != std::string::npos) checker_.fail("uid-once", failed->text);
      results.emplace_back(*failed);
      continue;
    }
    rows_.apply(applied->rows);
    for (const auto& effect : applied->effects) {
      const auto* put = std::get_if<metadata::QueuePut>(&effect);
      if (put != nullptr && !uids_.insert(put->def.uid).second) {
        checker_.fail("uid-once", fmt::format("uid {} was given to two queues", put->def.uid));
      }
    }
    results.emplace_back();
  }
  return results;
}

std::uint64_t MetadataTruth::digest_at(Index index) const {
  auto behind = std::upper_bound(digests_.begin(), digests_.end(), index,
                                 [](Index i, const auto& entry) { return i < entry.first; });
  if (behind == digests_.begin()) return metadata_digest({}, {});
  return std::prev(behind)->second;
}

const MetadataTruth::Outcome* MetadataTruth::outcome(const PartId& id) const {
  const auto at = outcomes_.find(id);
  return at == outcomes_.end() ? nullptr : &at->second;
}

void MetadataTruth::refused(const PartId& id) {
  if (outcome(id) != nullptr) {
    checker_.fail("refused-stays-out", fmt::format("change {} of n{} was made, its caller is told that nothing "
                                                   "was changed", id.number, id.origin));
  }
  refused_.insert(id);
}

}  // namespace warren::simulation
