#pragma once
// The places where a catalogued Raft bug can be switched on, so that the simulator can prove that
// it would notice. In every shipped build the condition is the constant false.

namespace warren::raft {

#ifdef WARREN_RAFT_MUTANTS
/// The bug that is switched on; 0 is none. Owner: the one thread of the mutant gate.
extern int active_mutant;
#define WARREN_MUTANT(number) (::warren::raft::active_mutant == (number))
#else
#define WARREN_MUTANT(number) false
#endif

}  // namespace warren::raft
