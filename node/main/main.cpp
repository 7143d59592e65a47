// The one program: a node when called as rabbitmq-server (or `warren server`), a tool by its other
// names. The composition root.

#include "node/config/config.h"
#include "node/http/management.h"
#include "node/server/node.h"

#ifdef WARREN_WITH_CTL
#include "node/ctl/ctl.h"
#endif
#ifdef WARREN_WITH_PERF
#include "node/perf/perf.h"
#endif

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

// jemalloc reads this before main: memory goes back to the system behind a backlog, though not
// between two bursts (page faults were a tenth of a durable message's cost), and few arenas keep an
// idle node small. Harmless with other allocators.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "background_thread:true,narenas:2,dirty_decay_ms:30000";
}

namespace {

constexpr std::string_view kUsage =
    "usage: rabbitmq-server [-detached] [-n NODE] [--set key=value ...]\n"
    "       warren server|ctl|perf ...\n";

/// As a daemon: no terminal, own session, output to nowhere. The parent returns at once.
bool detach() {
  const pid_t child = fork();
  if (child < 0) return false;
  if (child > 0) _exit(0);
  setsid();
  const int null = open("/dev/null", O_RDWR);
  if (null >= 0)
    for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  return true;
}

int server_main(const std::vector<std::string>& args) {
  bool detached = false;
  std::string node;
  std::vector<warren::config::Override> overrides;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "-detached" || arg == "--detached") {
      detached = true;
    } else if ((arg == "-n" || arg == "--node") && i + 1 < args.size()) {
      node = args[++i];
    } else if (arg == "--set" && i + 1 < args.size() && args[i + 1].find('=') != std::string::npos) {
      const std::string& pair = args[++i];
      const auto at = pair.find('=');
      overrides.emplace_back(pair.substr(0, at), pair.substr(at + 1));
    } else if (arg == "-h" || arg == "--help") {
      std::fputs(kUsage.data(), stdout);
      return 0;
    } else {
      std::fprintf(stderr, "Error: unknown argument '%s'\n%s", arg.c_str(), kUsage.data());
      return 64;
    }
  }
  // Every connection is a descriptor: take all that the system allows.
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  auto config = warren::config::load_this_config(overrides, node);
  if (!config) {
    std::fprintf(stderr, "\nBOOT FAILED\n===========\nError: %s\n\n", config.error().text.c_str());
    return 78;
  }
  if (detached && !detach()) {
    std::perror("Error: cannot detach");
    return 71;
  }
  warren::server::Node running(std::move(*config));
  warren::http::Management management(running);
  running.on_plugins([&management](const auto& plugins) { return management.apply(plugins); });
  return running.run();
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view name = argc > 0 ? argv[0] : "warren";
  if (const auto slash = name.rfind('/'); slash != std::string_view::npos) name.remove_prefix(slash + 1);
  std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  if (name == "rabbitmq-server") return server_main(args);
  if (name == "warren") {
    const std::string word = args.empty() ? "" : args.front();
    if (word == "server") return server_main({args.begin() + 1, args.end()});
#ifdef WARREN_WITH_PERF
    if (word == "perf") return warren::perf::perf_main(argc - 1, argv + 1);
#endif
    if (word != "ctl" ) {
      std::fputs(kUsage.data(), word == "--help" || word == "-h" ? stdout : stderr);
      return word == "--help" || word == "-h" ? 0 : 64;
    }
    // `warren ctl list_queues` is rabbitmqctl list_queues.
    static char rabbitmqctl[] = "rabbitmqctl";
    argv[1] = rabbitmqctl;
    ++argv;
    --argc;
  }
#ifdef WARREN_WITH_CTL
  return warren::ctl::ctl_main(argc, argv);
#else
  std::fputs("Error: this build has no command-line tools\n", stderr);
  return 64;
#endif
}
