// Users, permissions and topic permissions.

#include "node/http/call.h"
#include "node/http/handlers.h"
#include "node/server/admin_values.h"

namespace warren::http {

namespace json = boost::json;

namespace {

json::object numbers(const std::map<std::string, std::int64_t>& limits) {
  json::object out;
  for (const auto& [name, value] : limits) out[name] = value;
  return out;
}

json::object user_json(const metadata::UserDef& user) {
  return {{"name", user.name}, {"password_hash", user.password_hash},
          {"hashing_algorithm", user.hashing_algorithm}, {"tags", server::strings_json(user.tags)},
          {"limits", numbers(user.limits)}};
}

json::object permission_json(const metadata::PermissionDef& p) {
  return {{"user", p.user}, {"vhost", p.vhost}, {"configure", p.configure}, {"write", p.write}, {"read", p.read}};
}

json::object topic_json(const metadata::TopicPermissionDef& p) {
  return {{"user", p.user}, {"vhost", p.vhost}, {"exchange", p.exchange}, {"write", p.write}, {"read", p.read}};
}

const metadata::UserDef* user_of(const CallRef& call) {
  const auto* user = call->broker().catalogue().find_user(call->at("user"));
  if (user == nullptr) call->not_found();
  return user;
}

/// Whether the row is of the vhost and user that the path names, if it names them.
template <class Row>
bool concerns(const CallRef& call, const Row& row) {
  return (!call->parameters.contains("vhost") || row.vhost == call->at("vhost")) &&
         (!call->parameters.contains("user") || row.user == call->at("user"));
}

}  // namespace

void list_users(const CallRef& call) {
  json::array out;
  for (const auto& [name, user] : call->broker().catalogue().users()) out.push_back(user_json(user));
  call->list(std::move(out));
}

void list_users_without_permissions(const CallRef& call) {
  std::set<std::string> with;
  for (const auto& p : call->broker().catalogue().permissions()) with.insert(p.user);
  json::array out;
  for (const auto& [name, user] : call->broker().catalogue().users())
    if (!with.contains(name)) out.push_back(user_json(user));
  call->list(std::move(out));
}

void get_user(const CallRef& call) {
  if (const auto* user = user_of(call)) call->ok(user_json(*user));
}

void put_user(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  if (!body.contains("tags")) return call->fail(400, "bad_request", "key_missing: tags");
  const bool existed = call->broker().catalogue().find_user(call->at("user")) != nullptr;
  body["username"] = call->at("user");
  call->run("put_user", body, [call, existed] { call->created_or_updated(existed); });
}

void delete_user(const CallRef& call) {
  if (user_of(call) != nullptr)
    call->run("delete_user", {{"username", call->at("user")}}, [call] { call->no_content(); });
}

void delete_users(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  const auto* users = body.if_contains("users");
  if (users == nullptr || !users->is_array()) return call->fail(400, "bad_request", "users is no list");
  std::vector<metadata::Command> commands;
  for (const auto& name : users->as_array())
    if (name.is_string() && call->broker().catalogue().find_user(name.as_string()) != nullptr)
      commands.push_back(metadata::DeleteUser{std::string(name.as_string())});
  call->broker().apply_all(commands, [call](Result<void> result) {
    if (!result) return call->fail(result.error());
    call->no_content();
  });
}

// ---- permissions --------------------------------------------------------------------------------

void list_permissions(const CallRef& call) {
  if (call->parameters.contains("user") && user_of(call) == nullptr) return;
  json::array out;
  for (const auto& p : call->broker().catalogue().permissions())
    if (concerns(call, p)) out.push_back(permission_json(p));
  call->list(std::move(out));
}

void get_permission(const CallRef& call) {
  const auto* p = call->broker().catalogue().find_permission(call->at("user"), call->at("vhost"));
  if (p == nullptr) return call->not_found();
  call->ok(permission_json(*p));
}

void put_permission(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  for (const char* key : {"configure", "write", "read"})
    if (!body.contains(key)) return call->fail(400, "bad_request", std::string("key_missing: ") + key);
  const bool existed = call->broker().catalogue().find_permission(call->at("user"), call->at("vhost")) != nullptr;
  body["username"] = call->at("user");
  body["vhost"] = call->at("vhost");
  call->run("set_permissions", body, [call, existed] { call->created_or_updated(existed); });
}

void delete_permission(const CallRef& call) {
  if (call->broker().catalogue().find_permission(call->at("user"), call->at("vhost")) == nullptr)
    return call->not_found();
  call->run("clear_permissions", {{"username", call->at("user")}, {"vhost", call->at("vhost")}},
            [call] { call->no_content(); });
}

void list_topic_permissions(const CallRef& call) {
  if (call->parameters.contains("user") && user_of(call) == nullptr) return;
  json::array out;
  for (const auto& p : call->broker().catalogue().topic_permissions())
    if (concerns(call, p) && (!call->parameters.contains("exchange") || p.exchange == call->at("exchange")))
      out.push_back(topic_json(p));
  call->list(std::move(out));
}

void put_topic_permission(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  const auto* exchange = body.if_contains("exchange");
  if (exchange == nullptr || !exchange->is_string()) return call->fail(400, "bad_request", "key_missing: exchange");
  const bool existed = call->broker().catalogue().find_topic_permission(
                           call->at("user"), call->at("vhost"), std::string(exchange->as_string())) != nullptr;
  body["username"] = call->at("user");
  body["vhost"] = call->at("vhost");
  call->run("set_topic_permissions", body, [call, existed] { call->created_or_updated(existed); });
}

void delete_topic_permission(const CallRef& call) {
  call->run("clear_topic_permissions",
            {{"username", call->at("user")}, {"vhost", call->at("vhost")}, {"exchange", call->at("exchange")}},
            [call] { call->no_content(); });
}

}  // namespace warren::http
