// Every reader of a file, on mangled files: it answers or refuses, it never crashes or hangs.

#include <gtest/gtest.h>

#include <random>

#include "node/config/config.h"

namespace warren::config {
namespace {

constexpr const char* kConf =
    "# c\nlisteners.tcp.1 = 127.0.0.1:5672\nheartbeat = 5 # x\ndefault_pass = 'a#b'\n"
    "log.file.rotation.date = $W5D16\ndisk_free_limit.absolute = 50MB\nmqtt.x = $(HOME)\n"
    "vm_memory_high_watermark.relative = 0.4\nloopback_users.a\\.b = true\n";
constexpr const char* kEnvConf =
    "# c\nexport NODENAME=rabbit@h\nNODE_PORT='5673' MOTD_FILE=\"x \\\" ${HOME:-y} $A\"\n[ -f x ] "
    "&& . "
    "y\nA=`b`\\\n";
constexpr const char* kTerms =
    "%% c\n[{rabbit,[{tcp_listeners,[5673,{\"::1\",1}]},{default_user,<<\"k\">>},{disk_free_limit,"
    "{mem_relative,1.5}},{cluster_nodes,{['a@b'],ram}},{log,[{file,[{level,debug}]}]}]},{kernel,[]}"
    "].\n";

std::string mangled(std::string text, std::mt19937_64& random) {
  static constexpr std::string_view kSpice = "=#'\"$(){}[]<>,.%\\\n\0\xff `;~-:9e";
  const auto pick = [&](std::size_t below) { return random() % std::max<std::size_t>(below, 1); };
  for (std::size_t i = 0, edits = 1 + pick(6); i < edits && !text.empty(); ++i) {
    const std::size_t at = pick(text.size());
    switch (pick(4)) {
      case 0: text.erase(at, 1 + pick(8)); break;
      case 1: text.insert(at, 1, kSpice[pick(kSpice.size())]); break;
      case 2: text[at] = kSpice[pick(kSpice.size())]; break;
      default: text.insert(at, text.substr(pick(text.size()), pick(40))); break;
    }
  }
  return text;
}

TEST(MangledFilesTest, AreAnsweredOrRefused) {
  const std::uint64_t seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random{seed};
  const EnvView env{{"HOME", "/home/k"}};
  HostInfo host;
  host.short_name = "h";
  host.home = "/home/k";
  int loaded = 0;
  int refused = 0;
  for (int round = 0; round < 600; ++round) {
    MemoryFiles files;
    // One file is mangled in each round, so that each is reached; none in round 0.
    const auto text = [&](int turn, const char* whole) {
      return round > 0 && round % 3 == turn ? mangled(whole, random) : std::string{whole};
    };
    files.add("/etc/rabbitmq/rabbitmq.conf", text(0, kConf));
    files.add("/etc/rabbitmq/rabbitmq-env.conf", text(1, kEnvConf));
    files.add("/etc/rabbitmq/advanced.config", text(2, kTerms));
    auto node = resolve_node_env(env, files, host);
    if (!node) {
      EXPECT_FALSE(node.error().text.empty());
      node = resolve_node_env(env, MemoryFiles{}, host);
    }
    const auto config = load_config(env, files, node.value());
    (config ? loaded : refused) += 1;
    if (round == 0) {
      EXPECT_TRUE(config.has_value()) << config.error().text;
    }
    if (!config) {
      EXPECT_FALSE(config.error().text.empty());
    }
  }
  // Both must happen, else the mangling tests nothing.
  EXPECT_GT(refused, 50);
  EXPECT_GT(loaded, 50);
}

}  // namespace
}  // namespace warren::config
