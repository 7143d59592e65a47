// Users, permissions, virtual hosts and their limits.

#include "node/access/passwords.h"
#include "node/server/admin.h"
#include "node/server/admin_values.h"

#include <fmt/format.h>

namespace warren::server {

namespace json = boost::json;

namespace {

void done(AdminCall& call) { call.sink->done(json::object{}); }

/// Applies a command and answers.
void apply(AdminCall& call, const metadata::Command& command) {
  call.broker().apply(command, [sink = call.sink](Result<void> result) {
    if (!result) return sink->fail(result.error().code, result.error().text);
    sink->done(json::object{});
  });
}

void apply_each(AdminCall& call, const std::vector<metadata::Command>& commands) {
  call.broker().apply_all(commands, [sink = call.sink](Result<void> result) {
    if (!result) return sink->fail(result.error().code, result.error().text);
    sink->done(json::object{});
  });
}

/// The named user; null after the call was failed.
const metadata::UserDef* user_of(AdminCall& call) {
  const std::string name = call.text("username");
  const auto* user = call.broker().catalogue().find_user(name);
  if (user == nullptr) call.sink->fail(Errc::not_found, fmt::format("User \"{}\" does not exist", name));
  return user;
}

std::vector<std::string> texts(AdminCall& call, std::string_view key) {
  std::vector<std::string> out;
  if (const auto* value = call.args.if_contains(key); value != nullptr && value->is_array())
    for (const auto& item : value->as_array())
      if (item.is_string()) out.emplace_back(item.as_string());
  return out;
}

Result<std::string> hashed(AdminCall& call, const std::string& algorithm, const std::string& user,
                           const std::string& password) {
  access::CredentialRule rule;
  const auto& settings = call.node.settings().access;
  if (settings.password_check == "min_password_length") {
    rule.kind = access::CredentialRule::Kind::min_password_length;
    rule.min_length = static_cast<std::size_t>(settings.password_min_length);
  } else if (settings.password_check == "regexp" || settings.password_check == "password_regexp") {
    rule.kind = access::CredentialRule::Kind::regexp;
    rule.pattern = settings.password_regexp;
  }
  if (auto valid = access::validate_credentials(rule, user, password); !valid) return valid.error();
  return access::hash_password(algorithm, password, [&](std::span<std::uint8_t> into) {
    call.app->random({reinterpret_cast<char*>(into.data()), into.size()});
  });
}

// ---- users --------------------------------------------------------------------------------------

void list_users(AdminCall& call) {
  for (const auto& [name, user] : call.broker().catalogue().users())
    if (!call.sink->row({{"user", name}, {"tags", strings_json(user.tags)}})) return;
  done(call);
}

void add_user(AdminCall& call) {
  metadata::UserDef user;
  user.name = call.text("username");
  if (call.broker().catalogue().find_user(user.name) != nullptr)
    return call.sink->fail(Errc::already_exists, fmt::format("User \"{}\" already exists", user.name));
  user.hashing_algorithm = call.text("hashing_algorithm", call.node.settings().access.password_hashing);
  user.password_hash = call.text("password_hash");
  if (user.password_hash.empty()) {
    auto hash = hashed(call, user.hashing_algorithm, user.name, call.text("password"));
    if (!hash) return call.sink->fail(hash.error().code, hash.error().text);
    user.password_hash = *hash;
  } else if (auto valid = access::check_password_hash(user.hashing_algorithm, user.password_hash); !valid) {
    return call.sink->fail(valid.error().code, valid.error().text);
  }
  apply(call, metadata::PutUser{std::move(user), true});
}

/// Makes or replaces a user in one step, as the management API does; "tags" also as words with commas.
void put_user(AdminCall& call) {
  metadata::UserDef user;
  if (const auto* found = call.broker().catalogue().find_user(call.text("username"))) user = *found;
  user.name = call.text("username");
  user.tags = texts(call, "tags");
  for (std::string_view left = call.args.contains("tags") && call.args.at("tags").is_string()
                                   ? std::string_view(call.args.at("tags").as_string()) : "";
       !left.empty();) {
    const auto comma = std::min(left.find(','), left.size());
    if (comma > 0) user.tags.emplace_back(left.substr(0, comma));
    left.remove_prefix(std::min(comma + 1, left.size()));
  }
  user.hashing_algorithm = call.text("hashing_algorithm", call.node.settings().access.password_hashing);
  user.password_hash = call.text("password_hash");
  if (call.args.contains("password")) {
    auto hash = hashed(call, user.hashing_algorithm, user.name, call.text("password"));
    if (!hash) return call.sink->fail(hash.error().code, hash.error().text);
    user.password_hash = *hash;
  } else if (!user.password_hash.empty()) {
    if (auto valid = access::check_password_hash(user.hashing_algorithm, user.password_hash); !valid)
      return call.sink->fail(valid.error().code, valid.error().text);
  }
  apply(call, metadata::PutUser{std::move(user), false});
}

void delete_user(AdminCall& call) {
  if (const auto* user = user_of(call)) apply(call, metadata::DeleteUser{user->name});
}

void change_password(AdminCall& call) {
  const auto* found = user_of(call);
  if (found == nullptr) return;
  metadata::UserDef user = *found;
  user.hashing_algorithm = call.node.settings().access.password_hashing;
  auto hash = hashed(call, user.hashing_algorithm, user.name, call.text("password"));
  if (!hash) return call.sink->fail(hash.error().code, hash.error().text);
  user.password_hash = *hash;
  apply(call, metadata::PutUser{std::move(user), false});
}

void clear_password(AdminCall& call) {
  const auto* found = user_of(call);
  if (found == nullptr) return;
  metadata::UserDef user = *found;
  user.password_hash.clear();
  apply(call, metadata::PutUser{std::move(user), false});
}

void authenticate_user(AdminCall& call) {
  auto user = call.broker().access().authenticate(call.text("username"), call.text("password"), true,
                                                   call.broker().wall_ms() / 1000);
  if (!user) return call.sink->fail(Errc::unauthenticated, "invalid credentials");
  done(call);
}

void set_user_tags(AdminCall& call) {
  const auto* found = user_of(call);
  if (found == nullptr) return;
  metadata::UserDef user = *found;
  user.tags = texts(call, "tags");
  apply(call, metadata::PutUser{std::move(user), false});
}

// ---- permissions --------------------------------------------------------------------------------

/// The three patterns of a permission, checked.
bool patterns_ok(AdminCall& call, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    auto valid = access::check_pattern(call.text(key));
    if (valid) continue;
    call.sink->fail(Errc::invalid_argument, fmt::format("invalid {} pattern '{}': {}", key, call.text(key),
                                                        valid.error().text));
    return false;
  }
  return true;
}

void set_permissions(AdminCall& call) {
  if (user_of(call) == nullptr || !patterns_ok(call, {"configure", "write", "read"})) return;
  apply(call, metadata::PutPermission{{call.text("username"), call.vhost(), call.text("configure"),
                                       call.text("write"), call.text("read")}});
}

void set_permissions_globally(AdminCall& call) {
  if (user_of(call) == nullptr || !patterns_ok(call, {"configure", "write", "read"})) return;
  std::vector<metadata::Command> commands;
  for (const auto& [name, vhost] : call.broker().catalogue().vhosts())
    commands.push_back(metadata::PutPermission{{call.text("username"), name, call.text("configure"),
                                                call.text("write"), call.text("read")}});
  apply_each(call, commands);
}

void clear_permissions(AdminCall& call) {
  if (user_of(call) == nullptr) return;
  if (call.broker().catalogue().find_permission(call.text("username"), call.vhost()) == nullptr) return done(call);
  apply(call, metadata::DeletePermission{call.text("username"), call.vhost()});
}

void list_permissions(AdminCall& call) {
  for (const auto& p : call.broker().catalogue().permissions())
    if (p.vhost == call.vhost())
      call.sink->row({{"user", p.user}, {"configure", p.configure}, {"write", p.write}, {"read", p.read}});
  done(call);
}

void list_user_permissions(AdminCall& call) {
  if (user_of(call) == nullptr) return;
  for (const auto& p : call.broker().catalogue().permissions())
    if (p.user == call.text("username"))
      call.sink->row({{"vhost", p.vhost}, {"configure", p.configure}, {"write", p.write}, {"read", p.read}});
  done(call);
}

void set_topic_permissions(AdminCall& call) {
  if (user_of(call) == nullptr || !patterns_ok(call, {"write", "read"})) return;
  apply(call, metadata::PutTopicPermission{{call.text("username"), call.vhost(), call.text("exchange"),
                                            call.text("write"), call.text("read")}});
}

void clear_topic_permissions(AdminCall& call) {
  if (user_of(call) == nullptr) return;
  apply(call, metadata::DeleteTopicPermission{call.text("username"), call.vhost(), call.text("exchange")});
}

void list_topic_permissions(AdminCall& call) {
  for (const auto& p : call.broker().catalogue().topic_permissions())
    if (p.vhost == call.vhost())
      call.sink->row({{"user", p.user}, {"exchange", p.exchange}, {"write", p.write}, {"read", p.read}});
  done(call);
}

void list_user_topic_permissions(AdminCall& call) {
  if (user_of(call) == nullptr) return;
  for (const auto& p : call.broker().catalogue().topic_permissions())
    if (p.user == call.text("username"))
      call.sink->row({{"vhost", p.vhost}, {"exchange", p.exchange}, {"write", p.write}, {"read", p.read}});
  done(call);
}

// ---- virtual hosts ------------------------------------------------------------------------------

void list_vhosts(AdminCall& call) {
  for (const auto& [name, vhost] : call.broker().catalogue().vhosts()) {
    const auto& def = vhost.def;
    const std::string& node = call.node.settings().node_name;
    call.sink->row({{"name", name}, {"description", def.description}, {"tags", strings_json(def.tags)},
                    {"default_queue_type", def.default_queue_type.empty() ? "undefined" : def.default_queue_type},
                    {"protected_from_deletion", def.protected_from_deletion}, {"tracing", def.tracing},
                    {"cluster_state", json::object{{node, "running"}}},
                    {"metadata", json::object{{"description", def.description}, {"tags", strings_json(def.tags)}}}});
  }
  done(call);
}

void change_vhost(AdminCall& call, const std::string& name,
                  const std::function<void(metadata::VhostDef&)>& change) {
  const auto* vhost = call.broker().catalogue().find_vhost(name);
  if (vhost == nullptr)
    return call.sink->fail(Errc::not_found, fmt::format("Virtual host '{}' does not exist", name));
  metadata::VhostDef def = vhost->def;
  change(def);
  apply(call, metadata::PutVhost{std::move(def)});
}

void read_vhost_metadata(AdminCall& call, metadata::VhostDef& def) {
  if (call.args.contains("description")) def.description = call.text("description");
  if (call.args.contains("tags")) def.tags = texts(call, "tags");
  if (call.args.contains("default_queue_type")) def.default_queue_type = call.text("default_queue_type");
}

void add_vhost(AdminCall& call) {
  metadata::VhostDef def;
  def.name = call.text("name");
  if (const auto* existing = call.broker().catalogue().find_vhost(def.name)) def = existing->def;
  read_vhost_metadata(call, def);
  const auto& type = def.default_queue_type;
  if (!type.empty() && type != "classic" && type != "quorum" && type != "stream" && type != "undefined")
    return call.sink->fail(Errc::invalid_argument, fmt::format("Unsupported queue type: '{}'", type));
  apply(call, metadata::PutVhost{std::move(def)});
}

void delete_vhost(AdminCall& call) { apply(call, metadata::DeleteVhost{call.text("name")}); }

void update_vhost_metadata(AdminCall& call) {
  change_vhost(call, call.text("name"), [&](metadata::VhostDef& def) { read_vhost_metadata(call, def); });
}

template <bool on>
void protect(AdminCall& call) {
  change_vhost(call, call.text("name"), [](metadata::VhostDef& def) { def.protected_from_deletion = on; });
}

template <bool on>
void trace(AdminCall& call) {
  change_vhost(call, call.vhost(), [](metadata::VhostDef& def) { def.tracing = on; });
}

// ---- limits -------------------------------------------------------------------------------------

/// A JSON object of integers.
Result<std::map<std::string, std::int64_t>> limits_of(AdminCall& call, const char* kind) {
  std::map<std::string, std::int64_t> limits;
  const auto* value = call.args.if_contains("definition");
  if (value == nullptr || !value->is_object())
    return make_error(Errc::invalid_argument, "the definition is no JSON object");
  for (const auto& [name, limit] : value->as_object()) {
    if (!limit.is_int64() && !limit.is_uint64())
      return make_error(Errc::invalid_argument, fmt::format("the value of '{}' is no integer", std::string_view(name)));
    limits[name] = limit.is_int64() ? limit.as_int64() : static_cast<std::int64_t>(limit.as_uint64());
  }
  if (auto valid = access::check_limit_names(kind, limits); !valid) return valid.error();
  return limits;
}

json::object limits_json(const std::map<std::string, std::int64_t>& limits) {
  json::object out;
  for (const auto& [name, limit] : limits) out[name] = limit;
  return out;
}

void set_user_limits(AdminCall& call) {
  const auto* found = user_of(call);
  if (found == nullptr) return;
  auto limits = limits_of(call, "user");
  if (!limits) return call.sink->fail(limits.error().code, limits.error().text);
  metadata::UserDef user = *found;
  for (const auto& [name, limit] : *limits) user.limits[name] = limit;
  apply(call, metadata::PutUser{std::move(user), false});
}

void clear_user_limits(AdminCall& call) {
  const auto* found = user_of(call);
  if (found == nullptr) return;
  metadata::UserDef user = *found;
  const std::string which = call.text("limit", "all");
  if (which == "all")
    user.limits.clear();
  else
    user.limits.erase(which);
  apply(call, metadata::PutUser{std::move(user), false});
}

void list_user_limits(AdminCall& call) {
  if (!call.flag("global") && call.args.contains("username") && user_of(call) == nullptr) return;
  for (const auto& [name, user] : call.broker().catalogue().users()) {
    if (!call.flag("global") && name != call.text("username", name)) continue;
    if (!user.limits.empty()) call.sink->row({{"user", name}, {"limits", limits_json(user.limits)}});
  }
  done(call);
}

void set_vhost_limits(AdminCall& call) {
  auto limits = limits_of(call, "vhost");
  if (!limits) return call.sink->fail(limits.error().code, limits.error().text);
  change_vhost(call, call.vhost(), [&](metadata::VhostDef& def) { def.limits = *limits; });
}

void clear_vhost_limits(AdminCall& call) {
  change_vhost(call, call.vhost(), [](metadata::VhostDef& def) { def.limits.clear(); });
}

void list_vhost_limits(AdminCall& call) {
  for (const auto& [name, vhost] : call.broker().catalogue().vhosts())
    if ((call.flag("global") || name == call.vhost()) && !vhost.def.limits.empty())
      call.sink->row({{"vhost", name}, {"limits", limits_json(vhost.def.limits)}});
  done(call);
}

}  // namespace

void add_access_methods(AdminTable& table) {
  const auto app = [&table](const char* name, void (*run)(AdminCall&)) { table[name] = {Needs::app, run}; };
  const auto in_vhost = [&table](const char* name, void (*run)(AdminCall&)) {
    table[name] = {Needs::app_and_vhost, run};
  };
  app("list_users", list_users);
  app("add_user", add_user);
  app("put_user", put_user);
  app("delete_user", delete_user);
  app("change_password", change_password);
  app("clear_password", clear_password);
  app("authenticate_user", authenticate_user);
  app("set_user_tags", set_user_tags);
  app("set_user_limits", set_user_limits);
  app("clear_user_limits", clear_user_limits);
  app("list_user_limits", list_user_limits);
  in_vhost("set_permissions", set_permissions);
  app("set_permissions_globally", set_permissions_globally);
  in_vhost("clear_permissions", clear_permissions);
  in_vhost("list_permissions", list_permissions);
  app("list_user_permissions", list_user_permissions);
  in_vhost("set_topic_permissions", set_topic_permissions);
  in_vhost("clear_topic_permissions", clear_topic_permissions);
  in_vhost("list_topic_permissions", list_topic_permissions);
  app("list_user_topic_permissions", list_user_topic_permissions);
  app("list_vhosts", list_vhosts);
  app("add_vhost", add_vhost);
  app("delete_vhost", delete_vhost);
  app("update_vhost_metadata", update_vhost_metadata);
  app("set_vhost_tags", update_vhost_metadata);
  app("enable_vhost_deletion_protection", protect<true>);
  app("disable_vhost_deletion_protection", protect<false>);
  in_vhost("restart_vhost", done);
  in_vhost("trace_on", trace<true>);
  in_vhost("trace_off", trace<false>);
  in_vhost("set_vhost_limits", set_vhost_limits);
  in_vhost("clear_vhost_limits", clear_vhost_limits);
  app("list_vhost_limits", list_vhost_limits);
}

}  // namespace warren::server
