#include "node/ctl/ctl.h"

#include <netdb.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <thread>

#include "cluster/transport/node_registry.h"
#include "cluster/transport/tls.h"
#include "node/config/node_env.h"
#include "node/ctl/context.h"

namespace warren::ctl {
namespace {

std::string host_name() {
  char name[256] = "localhost";
  ::gethostname(name, sizeof name - 1);
  return name;
}

/// The canonical name of this host; resolving may take time, so only when the name has no domain.
std::string long_name(const std::string& host) {
  if (host.find('.') != std::string::npos) return host;
  addrinfo hints{};
  hints.ai_flags = AI_CANONNAME;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return host;
  const std::string name = found->ai_canonname == nullptr ? host : found->ai_canonname;
  ::freeaddrinfo(found);
  return name;
}

std::string read_line(const std::string& prompt) {
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  termios before{};
  if (terminal && ::tcgetattr(STDIN_FILENO, &before) == 0) {
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    std::cout << prompt << std::flush;
  }
  std::string line;
  std::getline(std::cin, line);
  if (terminal) {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    std::cout << "\n";
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

/// Variables, rabbitmq-env.conf and the files that follow from them, as the node itself finds them.
/// A bad setting must not keep the tools from running: it is said, and the variables alone are
/// used.
void use_settings(Surroundings& world) {
  world.env = environment;
  world.cookie_files = transport::CookieSearch::from_environment().files;
  auto settings = config::this_node_env();
  if (!settings) {
    world.err << "Warning: " << settings.error().text << "\n";
    return;
  }
  world.cookie_files = {settings->cookie_file};
  world.plugins_file = settings->enabled_plugins_file;
  world.env = [variables = config::process_environment(), node = std::move(*settings)](
                  const std::string& name) { return config::look_up(variables, node, name); };
  const auto tls = transport::use_tls(
      transport::tls_files([&](const std::string& name) { return world.env(name).value_or(""); }));
  if (!tls) world.err << "Warning: " << tls.error().text << "\n";
}

bool wants_long_names(const Surroundings& world, const std::vector<std::string>& args) {
  for (const std::string& arg : args) {
    if (arg == "-l" || arg == "--longnames") return true;
  }
  return world.env("RABBITMQ_USE_LONGNAME").value_or("") == "true";
}

}  // namespace

int ctl_main(int argc, char** argv) {
  const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::string host = host_name();
  Surroundings world{.out = std::cout, .err = std::cerr, .in = std::cin};
  world.out_is_tty = ::isatty(STDOUT_FILENO) == 1;
  world.in_is_tty = ::isatty(STDIN_FILENO) == 1;
  world.short_host = host.substr(0, host.find('.'));
  use_settings(world);
  world.long_host = wants_long_names(world, args) ? long_name(host) : host;
  world.registry = transport::registry_directories();
  world.data_dir = [](const std::string& node) {
    const auto settings = config::this_node_env(node);
    return settings ? settings->data_dir : std::string();
  };
  world.read_password = read_line;
  world.sleep_ms = [](long ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); };
  int code = kExitSoftware;
  try {
    code = run(world, scope_of(argc > 0 ? argv[0] : ""), args);
  } catch (const std::exception& error) {
    std::cerr << "Error:\nthis tool failed: " << error.what() << "\n";
  }
  std::cout.flush();
  return code;
}

}  // namespace warren::ctl
