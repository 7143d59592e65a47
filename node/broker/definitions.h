#pragma once
// STUB
#include "cluster/metadata/catalogue.h"
#include <functional>
#include <span>
namespace warren::broker {
inline Result<std::vector<metadata::Command>> read_definitions_path(const std::string&, const metadata::Catalogue&, std::function<void(std::span<char>)>) { return std::vector<metadata::Command>{}; }
}
