#pragma once
// Topic exchange (EXC-10): bindings are paths in a trie of words; a message walks all paths that
// its key can take at once, so bindings that do not match cost nothing.

#include "node/broker/routing/key_table.h"
#include "node/broker/routing/matcher.h"

namespace warren::broker::routing {

/// A table from (node, word) to the child there; 0 = none. Never walked.
class EdgeTable {
 public:
  std::uint32_t find(std::uint32_t node, std::uint32_t word) const {
    if (slots_.empty()) return 0;
    const std::uint64_t key = key_of(node, word);
    for (std::size_t at = home(key); slots_[at].child != 0; at = (at + 1) & mask())
      if (slots_[at].key == key) return slots_[at].child;
    return 0;
  }
  /// Requires: no such edge yet.
  void insert(std::uint32_t node, std::uint32_t word, std::uint32_t child);
  void erase(std::uint32_t node, std::uint32_t word);

 private:
  struct Slot {
    std::uint64_t key{0};
    std::uint32_t child{0};
  };
  static std::uint64_t key_of(std::uint32_t node, std::uint32_t word) {
    return (std::uint64_t{node} << 32) | word;
  }
  std::size_t mask() const { return slots_.size() - 1; }
  std::size_t home(std::uint64_t key) const {
    return static_cast<std::size_t>(stable_mix(key)) & mask();
  }
  void place(Slot slot);

  std::vector<Slot> slots_;
  std::size_t size_{0};
};

/// Words are what stands between dots; "" has none. `*` is exactly one word, `#` any number
/// of words, also none.
/// Invariants: 1. a node other than the root has targets or children; 2. a "#" node stands for
/// having swallowed any number of words: while active it stays active.
class TopicMatcher final : public Matcher {
 public:
  TopicMatcher();
  bool add(const BindingRef& binding) override;
  bool remove(const BindingRef& binding) override;
  void route(const RouteInput& input, Matches& out) override;
  void each(const UseBinding& use) const override;

  /// Nodes in use, the root among them: 1 when there are no bindings. For tests.
  std::size_t node_count() const { return nodes_.size() - free_.size(); }
  std::size_t word_count() const { return words_.size(); }

 private:
  static constexpr std::uint32_t kRoot = 0;
  static constexpr std::uint32_t kStar = 1;  // numbers of the two special words
  static constexpr std::uint32_t kHash = 2;

  struct Node {
    std::uint64_t mark{0};      // step at which it was last made active
    std::uint32_t star{0}, hash{0};
    std::uint32_t literals{0};  // children by ordinary words
    std::uint32_t parent{0}, word{0};
    bool is_hash{false};
    TargetList targets;
  };
  struct Word {
    std::uint32_t id{0};
    std::uint32_t uses{0};  // edges that carry it
  };

  std::uint32_t child_of(std::uint32_t node, std::string_view word) const;
  std::uint32_t make_child(std::uint32_t node, std::string_view word);
  /// Removes the node and its ancestors as far as they serve nobody.
  void prune(std::uint32_t node, std::string_view pattern);
  void activate(std::uint32_t node);
  void walk(std::string_view key, Matches& out);

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> free_;
  EdgeTable edges_;
  KeyTable<Word> words_;
  std::vector<std::uint32_t> free_words_;
  std::uint32_t next_word_{3};
  // scratch of route()
  std::uint64_t step_{0};
  std::vector<std::uint32_t> active_, next_;
};

}  // namespace warren::broker::routing
