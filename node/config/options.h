#pragma once
// The groups of the option table; used by option_table.cpp only.

#include "node/config/option_table.h"

namespace warren::config {

const std::vector<OptionSpec>& network_options();
const std::vector<OptionSpec>& limit_options();
const std::vector<OptionSpec>& access_options();
const std::vector<OptionSpec>& oauth2_options();
const std::vector<OptionSpec>& cluster_options();
const std::vector<OptionSpec>& log_options();
const std::vector<OptionSpec>& plugin_options();
const std::vector<OptionSpec>& warren_options();

}  // namespace warren::config
