#include "tests/simulation/toy_machine.h"

#include "base/bytes.h"

#include <charconv>

namespace warren::simulation {

void ToyMachine::apply(const replica::Command& command) {
  std::string_view text = command.body.bytes;
  std::uint64_t body = hash_bytes(text);
  if (command.index <= last_) {
    checker_.fail("apply-order", fmt::format("node {} group {} applied {} after {}", node_.value,
                                             group_, command.index, last_));
  }
  last_ = command.index;
  digest_ = mix(digest_ ^ body, command.index);
  if (!text.empty() && text.front() == '+') {
    waiting_[command.index] = body;
    dirty_.insert(command.index);
  } else if (!text.empty()) {
    Index index = 0;
    std::from_chars(text.data() + 1, text.data() + text.size(), index);
    if (waiting_.erase(index) > 0) dirty_.insert(index);
  }
  checker_.applied(node_, group_, command.index, command.term, body, digest_);
}

void ToyMachine::checkpoint(replica::RowSink& rows) {
  std::string head;
  ByteWriter out(head);
  out.u64(last_);
  out.u64(digest_);
  rows.put("h", std::move(head));
  for (Index index : dirty_) {
    std::string key = "w";
    ByteWriter(key).u64(index);
    auto found = waiting_.find(index);
    if (found == waiting_.end()) {
      rows.erase(key);
      continue;
    }
    std::string value;
    ByteWriter(value).u64(found->second);
    rows.put(key, std::move(value));
  }
  dirty_.clear();
}

std::vector<Index> ToyMachine::live() const {
  std::vector<Index> out;
  for (const auto& [index, body] : waiting_) out.push_back(index);
  return out;
}

Result<void> ToyMachine::restore(const replica::RowSource& rows, Index index) {
  last_ = 0;
  digest_ = 0;
  waiting_.clear();
  dirty_.clear();
  auto read = rows.each([&](std::string_view key, std::string_view value) -> Result<void> {
    ByteReader in(value);
    if (key == "h") {
      last_ = in.u64();
      digest_ = in.u64();
    } else if (key.size() == 9) {
      waiting_[load_be<std::uint64_t>(key.data() + 1)] = in.u64();
    }
    if (!in.ok()) return make_error(Errc::corruption, "toy: malformed row");
    return {};
  });
  if (!read) return read;
  for (const auto& [at, body] : waiting_) {
    auto entry = rows.entry(at);
    if (!entry) return entry.error();
    if (hash_bytes(entry->bytes) != body) return make_error(Errc::corruption, "toy: wrong body");
  }
  checker_.restored(node_, group_, index, digest_);
  return {};
}

}  // namespace warren::simulation
