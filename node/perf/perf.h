#pragma once
// `warren perf`: a load generator for AMQP 0-9-1 brokers, ours and others.

namespace warren::perf {

/// Runs one workload and prints a report; returns the exit code (0 = ran and verified).
int perf_main(int argc, char** argv);

}  // namespace warren::perf
