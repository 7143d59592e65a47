#include "node/config/advanced.h"

namespace warren::config {

Result<AdvancedText> parse_advanced(std::string_view, const std::string& file) {
  return make_error(Errc::unsupported,
                    file + ": Erlang terms are not read; write the same as rabbitmq.conf");
}

}  // namespace warren::config
