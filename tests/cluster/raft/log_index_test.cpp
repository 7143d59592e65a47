// The run-length log against a plain vector.
#include "cluster/raft/log_index.h"

#include "base/prng.h"

#include <gtest/gtest.h>

namespace warren::raft {
namespace {

struct Plain {
  Index base{0};
  std::vector<Term> terms{0};  ///< terms[0] is the base's
  Index last() const { return base + terms.size() - 1; }
};

void compare(const LogIndex& log, const Plain& plain) {
  ASSERT_EQ(log.base_index(), plain.base);
  ASSERT_EQ(log.last_index(), plain.last());
  ASSERT_EQ(log.last_term(), plain.terms.back());
  for (Index i = plain.base; i <= plain.last(); ++i) ASSERT_EQ(log.term(i), plain.terms[i - plain.base]);
  ASSERT_FALSE(log.term(plain.last() + 1));
  if (plain.base > 0) {
    ASSERT_FALSE(log.term(plain.base - 1));
  }
}

Index dumb_last_at_or_below(const Plain& plain, Index from, Term of) {
  Index at = std::min(from, plain.last());
  while (at > plain.base && plain.terms[at - plain.base] > of) --at;
  return std::max(at, plain.base);
}

TEST(LogIndexTest, BehavesLikeAVector) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Prng prng(seed);
    LogIndex log;
    Plain plain;
    for (int step = 0; step < 300; ++step) {
      switch (prng.below(8)) {
        case 0:
          if (plain.last() > plain.base) {
            Index from = plain.base + 1 + prng.below(plain.last() - plain.base);
            log.truncate(from);
            plain.terms.resize(from - plain.base);
          }
          break;
        case 1: {
          Index to = plain.base + prng.below(plain.last() - plain.base + 1);
          log.compact(to);
          plain.terms.erase(plain.terms.begin(),
                            plain.terms.begin() + static_cast<std::ptrdiff_t>(to - plain.base));
          plain.base = to;
          break;
        }
        default: {
          Term term = plain.terms.back() + (prng.chance(1, 4) ? prng.below(3) : 0);
          log.append(term);
          plain.terms.push_back(term);
        }
      }
      compare(log, plain);
      Index from = plain.base + prng.below(20);
      Term of = prng.below(plain.terms.back() + 2);
      ASSERT_EQ(log.last_at_or_below_term(from, of), dumb_last_at_or_below(plain, from, of))
          << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace warren::raft
