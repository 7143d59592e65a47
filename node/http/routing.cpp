// How a path finds its route, and what tags allow.

#include "node/http/routes.h"

#include <algorithm>

namespace warren::http {

bool tags_allow(const std::vector<std::string>& tags, Tag wanted) {
  const auto has = [&tags](std::string_view tag) {
    return std::find(tags.begin(), tags.end(), tag) != tags.end();
  };
  if (has("administrator")) return true;
  switch (wanted) {
    case Tag::management: return has("management") || has("policymaker") || has("monitoring");
    case Tag::policymaker: return has("policymaker");
    case Tag::monitoring: return has("monitoring");
    case Tag::administrator: return false;
  }
  return false;
}

namespace {

bool fits(std::string_view pattern, const std::vector<std::string>& path, PathParameters& parameters) {
  for (const auto& segment : path) {
    if (pattern.empty()) return false;
    pattern.remove_prefix(1);  // the slash
    const auto end = std::min(pattern.find('/'), pattern.size());
    const std::string_view wanted = pattern.substr(0, end);
    pattern.remove_prefix(end);
    if (wanted.starts_with(':'))
      parameters[std::string(wanted.substr(1))] = segment;
    else if (wanted != segment)
      return false;
  }
  return pattern.empty();
}

}  // namespace

Match match_route(const std::vector<Route>& table, std::string_view method,
                  const std::vector<std::string>& path) {
  Match match;
  std::string_view taken;  // the first pattern that fits owns the path
  for (const auto& route : table) {
    PathParameters parameters;
    if ((!taken.empty() && route.pattern != taken) || !fits(route.pattern, path, parameters)) continue;
    taken = route.pattern;
    match.methods.emplace_back(route.method);
    if (route.method != method) continue;
    match.route = &route;
    match.parameters = std::move(parameters);
  }
  return match;
}

}  // namespace warren::http
