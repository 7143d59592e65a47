#pragma once
// Definitions from disc at start-up: one file, or all .json files of a folder in order of name.

#include "base/result.h"
#include "node/broker/definitions.h"

#include <string>
#include <vector>

namespace warren::server {

/// The commands that the documents at `path` still need; the later sees what the earlier added.
/// Errors: io (cannot be read), and those of import_definitions, each naming the file.
Result<std::vector<metadata::Command>> read_definitions_path(const std::string& path,
                                                             metadata::Catalogue catalogue,
                                                             const broker::ImportOptions& options);

}  // namespace warren::server
