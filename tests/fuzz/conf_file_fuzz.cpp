// rabbitmq.conf and advanced.config: any text gives lines or an error that says where.

#include "node/config/advanced.h"
#include "node/config/conf_file.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const EnvView env = {{"HOME", "/root"}, {"EMPTY", ""}};
  const auto conf = parse_conf(text, "f.conf", env);
  if (conf) {
    for (const ConfLine& line : conf->lines) {
      FUZZ_CHECK(!line.key.empty() && line.line >= 1);
      FUZZ_CHECK(line.file == "f.conf");
    }
  } else {
    FUZZ_CHECK(conf.error().text.find("f.conf") != std::string::npos);
  }
  const auto advanced = parse_advanced(text, "a.config");
  if (!advanced) FUZZ_CHECK(!advanced.error().text.empty());
  return 0;
}
