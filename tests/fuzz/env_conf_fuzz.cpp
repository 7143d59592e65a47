// rabbitmq-env.conf: shell syntax read without a shell.

#include "node/config/env_conf.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const EnvView env = {{"HOME", "/root"}, {"A", "$B"}, {"EMPTY", ""}};
  const auto conf = parse_env_conf(text, "env.conf", env);
  if (conf) {
    for (const auto& [name, value] : conf->values) {
      FUZZ_CHECK(!name.empty() && name.find_first_of(" =\n") == std::string::npos);
      FUZZ_CHECK(value.line >= 1);
    }
  } else {
    FUZZ_CHECK(conf.error().text.find("env.conf") != std::string::npos);
  }
  return 0;
}
