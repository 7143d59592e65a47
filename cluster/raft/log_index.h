#pragma once
// The shape of a log without its entries: where it starts, where it ends, which term is where.

#include "cluster/raft/types.h"

#include <optional>
#include <vector>

namespace warren::raft {

/// Terms as runs, so that an idle group's log costs 24 bytes however long it is.
/// Invariants: runs ascend in first index and in term; each run starts above the base;
/// last_index() >= base_index().
class LogIndex {
 public:
  LogIndex() = default;
  LogIndex(Index base_index, Term base_term)
      : base_index_(base_index), base_term_(base_term), last_(base_index) {}

  Index base_index() const { return base_index_; }
  Term base_term() const { return base_term_; }
  Index last_index() const { return last_; }
  Term last_term() const { return runs_.empty() ? base_term_ : runs_.back().term; }

  /// Nothing below the base and above the end.
  std::optional<Term> term(Index index) const;
  bool matches(Index index, Term of) const { return term(index) == of; }
  /// Raft's comparison of two logs by their ends (paper 5.4.1).
  bool up_to_date(Index index, Term of) const {
    return of > last_term() || (of == last_term() && index >= last_);
  }
  /// The largest index <= `from` whose term is <= `of`: where a probe should go next.
  Index last_at_or_below_term(Index from, Term of) const;

  /// Requires: of >= last_term().
  void append(Term of);
  /// Drops [from, end]. Requires: base_index() < from.
  void truncate(Index from);
  /// Moves the base up to `to`. Requires: base_index() <= to <= last_index().
  void compact(Index to);
  /// Requires nothing: forgets everything and starts at the given place.
  void reset(Index base_index, Term base_term);

 private:
  struct Run {
    Index first;
    Term term;
  };

  Index base_index_{0};
  Term base_term_{0};
  Index last_{0};
  std::vector<Run> runs_;
};

}  // namespace warren::raft
