#pragma once
// The configuration for people: `rabbitmqctl environment`, and docs/configuration.md. Pure.

#include <string>
#include <vector>

#include "node/config/config.h"

namespace warren::config {

/// One line of `rabbitmqctl environment`.
struct ListedSetting {
  std::string key;
  std::string value;
  std::string source;  ///< default | env VAR | env file:line NAME | file:line | command ...
};

/// Every variable and every option with its effective value and where it came from; secrets hidden.
std::vector<ListedSetting> list_settings(const Config& config);

/// docs/configuration.md, made from the two tables.
std::string configuration_page();

}  // namespace warren::config
