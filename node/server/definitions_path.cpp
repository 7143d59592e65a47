#include "node/server/definitions_path.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace warren::server {

namespace {

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    return make_error(Errc::io, "definitions file " + path + " cannot be read");
  return text.str();
}

Result<std::vector<std::string>> files_at(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> out;
  for (auto at = std::filesystem::directory_iterator(path, error);
       !error && at != std::filesystem::directory_iterator(); at.increment(error))
    if (at->path().extension() == ".json") out.push_back(at->path().string());
  if (error)
    return make_error(Errc::io, "definitions folder " + path + ": " + error.message());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

Result<std::vector<metadata::Command>> read_definitions_path(const std::string& path,
                                                             metadata::Catalogue catalogue,
                                                             const broker::ImportOptions& options) {
  auto files = files_at(path);
  if (!files) return files.error();
  std::vector<metadata::Command> all;
  for (const auto& file : *files) {
    auto text = read_file(file);
    if (!text) return text.error();
    auto commands = broker::import_definitions(*text, catalogue, options);
    if (!commands)
      return make_error(commands.error().code, file + ": " + commands.error().text);
    for (auto& command : *commands) {
      (void)catalogue.apply(command);  // the import has tried it already
      all.push_back(std::move(command));
    }
  }
  return all;
}

}  // namespace warren::server
