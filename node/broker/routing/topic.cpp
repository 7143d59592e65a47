#include "node/broker/routing/topic.h"

#include "base/assert.h"

namespace warren::broker::routing {

namespace {

/// Calls use(word) for each word; "" has none, "." has two empty ones (EXC-10).
template <class Use>
void each_word(std::string_view key, Use use) {
  if (key.empty()) return;
  std::size_t from = 0;
  for (;;) {
    const std::size_t dot = key.find('.', from);
    if (dot == std::string_view::npos) break;
    use(key.substr(from, dot - from));
    from = dot + 1;
  }
  use(key.substr(from));
}

}  // namespace

void EdgeTable::place(Slot slot) {
  std::size_t at = home(slot.key);
  while (slots_[at].child != 0) at = (at + 1) & mask();
  slots_[at] = slot;
}

void EdgeTable::insert(std::uint32_t node, std::uint32_t word, std::uint32_t child) {
  if ((size_ + 1) * 2 > slots_.size()) {
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(old.empty() ? 8 : old.size() * 2, Slot{});
    for (const Slot& slot : old)
      if (slot.child != 0) place(slot);
  }
  place({key_of(node, word), child});
  ++size_;
}

void EdgeTable::erase(std::uint32_t node, std::uint32_t word) {
  const std::uint64_t key = key_of(node, word);
  std::size_t at = home(key);
  while (slots_[at].key != key || slots_[at].child == 0) {
    WARREN_ASSERT(slots_[at].child != 0);
    at = (at + 1) & mask();
  }
  for (std::size_t next = (at + 1) & mask(); slots_[next].child != 0; next = (next + 1) & mask()) {
    if (((next - home(slots_[next].key)) & mask()) < ((next - at) & mask())) continue;
    slots_[at] = slots_[next];
    at = next;
  }
  slots_[at] = {};
  --size_;
}

TopicMatcher::TopicMatcher() : nodes_(1) {}

std::uint32_t TopicMatcher::child_of(std::uint32_t node, std::string_view word) const {
  if (word == "*") return nodes_[node].star;
  if (word == "#") return nodes_[node].hash;
  const Word* known = words_.find(word);
  return known == nullptr ? 0 : edges_.find(node, known->id);
}

std::uint32_t TopicMatcher::make_child(std::uint32_t parent, std::string_view word) {
  std::uint32_t child;
  if (free_.empty()) {
    child = static_cast<std::uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    child = free_.back();
    free_.pop_back();
    nodes_[child] = Node{};
  }
  nodes_[child].parent = parent;
  if (word == "*") {
    nodes_[child].word = kStar;
    nodes_[parent].star = child;
  } else if (word == "#") {
    nodes_[child].word = kHash;
    nodes_[child].is_hash = true;
    nodes_[parent].hash = child;
  } else {
    Word& entry = words_[word];
    if (entry.uses++ == 0) {
      if (free_words_.empty()) {
        entry.id = next_word_++;
      } else {
        entry.id = free_words_.back();
        free_words_.pop_back();
      }
    }
    nodes_[child].word = entry.id;
    ++nodes_[parent].literals;
    edges_.insert(parent, entry.id, child);
  }
  return child;
}

bool TopicMatcher::add(const BindingRef& b) {
  std::uint32_t node = kRoot;
  each_word(b.key, [&](std::string_view word) {
    const std::uint32_t child = child_of(node, word);
    node = child != 0 ? child : make_child(node, word);
  });
  return nodes_[node].targets.add(b.dest, b.args);
}

bool TopicMatcher::remove(const BindingRef& b) {
  std::uint32_t node = kRoot;
  bool found = true;
  each_word(b.key, [&](std::string_view word) {
    if (!found) return;
    node = child_of(node, word);
    found = node != 0;
  });
  if (!found || !nodes_[node].targets.remove(b.dest, b.args)) return false;
  prune(node, b.key);
  return true;
}

void TopicMatcher::prune(std::uint32_t node, std::string_view pattern) {
  while (node != kRoot) {
    Node& n = nodes_[node];
    if (!n.targets.empty() || n.star != 0 || n.hash != 0 || n.literals != 0) return;
    const std::size_t dot = pattern.rfind('.');
    const std::string_view word =
        dot == std::string_view::npos ? pattern : pattern.substr(dot + 1);
    Node& parent = nodes_[n.parent];
    if (n.word == kStar) {
      parent.star = 0;
    } else if (n.word == kHash) {
      parent.hash = 0;
    } else {
      edges_.erase(n.parent, n.word);
      --parent.literals;
      Word* entry = words_.find(word);
      WARREN_ASSERT(entry != nullptr && entry->id == n.word);
      if (--entry->uses == 0) {
        free_words_.push_back(entry->id);
        words_.erase(word);
      }
    }
    free_.push_back(node);
    node = n.parent;
    pattern = dot == std::string_view::npos ? std::string_view{} : pattern.substr(0, dot);
  }
}

void TopicMatcher::activate(std::uint32_t node) {
  // A "#" child may swallow nothing, so it is reached together with its parent.
  for (; node != 0 && nodes_[node].mark != step_; node = nodes_[node].hash) {
    nodes_[node].mark = step_;
    next_.push_back(node);
  }
}

void TopicMatcher::walk(std::string_view key, Matches& out) {
  ++step_;
  next_.clear();
  next_.push_back(kRoot);
  activate(nodes_[kRoot].hash);
  each_word(key, [&](std::string_view word) {
    if (next_.empty()) return;
    active_.swap(next_);
    next_.clear();
    ++step_;
    const Word* known = words_.find(word);
    for (const std::uint32_t at : active_) {
      const Node& node = nodes_[at];
      if (node.is_hash) activate(at);
      if (node.star != 0) activate(node.star);
      if (known != nullptr && node.literals != 0) activate(edges_.find(at, known->id));
    }
  });
  for (const std::uint32_t at : next_) nodes_[at].targets.give(out);
}

void TopicMatcher::route(const RouteInput& input, Matches& out) {
  if (node_count() == 1 && nodes_[kRoot].targets.empty()) return;
  input.each_key([&](std::string_view key) { walk(key, out); });
}

void TopicMatcher::each(const UseBinding& use) const {
  for (const Node& node : nodes_) node.targets.each(use);
}

}  // namespace warren::broker::routing
