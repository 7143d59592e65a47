// Users and their permissions.

#include "cluster/metadata/applier.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace warren::metadata {

namespace {

bool before(const TopicPermissionDef& a, const TopicPermissionDef& b) {
  return std::tie(a.vhost, a.exchange) < std::tie(b.vhost, b.exchange);
}

}  // namespace

Result<void> Applier::require_user(std::string_view name) {
  if (c_.users_.find(name) != c_.users_.end()) return {};
  return make_error(Errc::not_found, fmt::format("no user '{}'", name));
}

Result<void> Applier::operator()(const PutUser& command) {
  const UserDef& def = command.def;
  if (def.name.empty()) return make_error(Errc::invalid_argument, "a user needs a name");
  auto [at, is_new] = c_.users_.try_emplace(def.name, def);
  if (!is_new && command.must_be_new)
    return make_error(Errc::already_exists, fmt::format("user '{}' exists already", def.name));
  if (!is_new && at->second == def) return {};
  at->second = def;
  put_row(def);
  effect(UserChanged{def.name});
  return {};
}

Result<void> Applier::operator()(const DeleteUser& command) {
  if (auto ok = require_user(command.name); !ok) return ok;
  for (const auto& [vhost, unused] : c_.vhosts_) {
    const auto at = c_.permissions_.find({vhost, command.name});
    if (at == c_.permissions_.end()) continue;
    erase_row(at->second);
    c_.permissions_.erase(at);
  }
  if (const auto at = c_.topic_permissions_.find(command.name);
      at != c_.topic_permissions_.end()) {
    for (const auto& permission : at->second) erase_row(permission);
    c_.topic_permissions_.erase(at);
  }
  const auto at = c_.users_.find(command.name);
  erase_row(at->second);
  c_.users_.erase(at);
  effect(UserChanged{command.name});
  return {};
}

Result<void> Applier::operator()(const PutPermission& command) {
  const PermissionDef& def = command.def;
  if (auto ok = require_user(def.user); !ok) return ok;
  if (auto vhost = require_vhost(def.vhost); !vhost) return vhost.error();
  auto [at, is_new] = c_.permissions_.try_emplace({def.vhost, def.user}, def);
  if (!is_new && at->second == def) return {};
  at->second = def;
  put_row(def);
  effect(UserChanged{def.user});
  return {};
}

Result<void> Applier::operator()(const DeletePermission& command) {
  if (auto ok = require_user(command.user); !ok) return ok;
  if (auto vhost = require_vhost(command.vhost); !vhost) return vhost.error();
  const auto at = c_.permissions_.find({command.vhost, command.user});
  if (at == c_.permissions_.end()) return {};
  erase_row(at->second);
  c_.permissions_.erase(at);
  effect(UserChanged{command.user});
  return {};
}

Result<void> Applier::operator()(const PutTopicPermission& command) {
  const TopicPermissionDef& def = command.def;
  if (auto ok = require_user(def.user); !ok) return ok;
  if (auto vhost = require_vhost(def.vhost); !vhost) return vhost.error();
  auto& list = c_.topic_permissions_[def.user];
  const auto at = std::lower_bound(list.begin(), list.end(), def, before);
  if (at == list.end() || before(def, *at)) {
    list.insert(at, def);
  } else {
    if (*at == def) return {};
    *at = def;
  }
  put_row(def);
  effect(UserChanged{def.user});
  return {};
}

Result<void> Applier::operator()(const DeleteTopicPermission& command) {
  if (auto ok = require_user(command.user); !ok) return ok;
  if (auto vhost = require_vhost(command.vhost); !vhost) return vhost.error();
  const auto group = c_.topic_permissions_.find(command.user);
  if (group == c_.topic_permissions_.end()) return {};
  const auto is_meant = [&](const TopicPermissionDef& permission) {
    return permission.vhost == command.vhost &&
           (command.exchange.empty() || permission.exchange == command.exchange);
  };
  bool any = false;
  for (const auto& permission : group->second)
    if (is_meant(permission)) {
      any = true;
      erase_row(permission);
    }
  if (!any) return {};
  std::erase_if(group->second, is_meant);
  if (group->second.empty()) c_.topic_permissions_.erase(group);
  effect(UserChanged{command.user});
  return {};
}

}  // namespace warren::metadata
