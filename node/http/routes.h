#pragma once
// Which request goes where: method, path pattern, who may, handler. All routes stand in one table
// (routes.cpp). Pure but for the handlers it names.

#include "node/http/message.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace warren::http {

class Call;
using CallRef = std::shared_ptr<Call>;
using HandlerFn = void (*)(const CallRef&);

/// The tag a user needs; the names are those of the tags (ACC-03).
enum class Tag : std::uint8_t { management, policymaker, monitoring, administrator };

/// Whether a user with these tags counts as having `wanted`: administrators are all, and every tag of
/// the table but `wanted` itself implies management.
bool tags_allow(const std::vector<std::string>& tags, Tag wanted);

struct Route {
  std::string_view method;
  /// Segments behind /api; ":name" takes any segment under that name. A ":vhost" must exist and be
  /// the user's to see (call.cpp).
  std::string_view pattern;
  Tag tag;
  HandlerFn run;
};

using PathParameters = std::map<std::string, std::string, std::less<>>;

struct Match {
  const Route* route{nullptr};       ///< null: no such path, or not with this method
  PathParameters parameters;
  std::vector<std::string> methods;  ///< the methods that the path has
};

/// Shape: `path` without the leading "api". Literal segments go before parameters in table order.
Match match_route(const std::vector<Route>& table, std::string_view method,
                  const std::vector<std::string>& path);

const std::vector<Route>& all_routes();

}  // namespace warren::http
