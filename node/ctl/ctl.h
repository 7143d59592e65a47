#pragma once
// Entry of rabbitmqctl, rabbitmq-diagnostics, rabbitmq-queues, rabbitmq-plugins, rabbitmq-upgrade
// and rabbitmq-streams: which one it is, the base name of argv[0] says.

namespace warren::ctl {

/// Runs one command line against this process's environment; returns the exit code.
int ctl_main(int argc, char** argv);

}  // namespace warren::ctl
