#include "storage/journal/inline_committer.h"

#include <utility>
#include <vector>

namespace warren::storage {

void InlineCommitter::submit(WriteBatch batch, Durability durability, Done done) {
  if (stopped_) {
    if (done) done(make_error(Errc::cancelled, "the committer has stopped"));
    return;
  }
  queue_.push_back(Item{std::move(batch), durability, std::move(done)});
  if (mode_ == Mode::immediate && !pumping_) {
    while (!queue_.empty()) pump();
  }
}

std::size_t InlineCommitter::pump() {
  if (queue_.empty() || pumping_) return 0;
  pumping_ = true;
  WriteBatch group;
  auto durability = Durability::buffered;
  std::vector<Done> dones;
  for (auto& item : queue_) {
    group.append(std::move(item.batch));
    if (item.durability == Durability::synced) durability = Durability::synced;
    dones.push_back(std::move(item.done));
  }
  queue_.clear();
  Result<void> outcome = make_error(Errc::io, "an earlier write failed");
  if (!failed_) outcome = store_.write(group, durability);
  if (!outcome) failed_ = true;
  for (auto& done : dones) {
    if (done) done(outcome);
  }
  pumping_ = false;
  return dones.size();
}

void InlineCommitter::stop() {
  while (!queue_.empty() && pump() > 0) {
  }
  stopped_ = true;
}

std::size_t InlineCommitter::pending_bytes() const {
  std::size_t sum = 0;
  for (const auto& item : queue_) sum += item.batch.bytes();
  return sum;
}

}  // namespace warren::storage
