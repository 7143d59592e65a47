#include "cluster/raft/mutant.h"

namespace warren::raft {

#ifdef WARREN_RAFT_MUTANTS
int active_mutant = 0;
#endif

}  // namespace warren::raft
