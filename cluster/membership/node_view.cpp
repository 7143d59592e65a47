#include "cluster/membership/node_view.h"

#include <boost/json.hpp>

namespace warren::membership {

namespace json = boost::json;

namespace {

constexpr std::size_t kMembersMax = 1024;
constexpr std::size_t kNameMax = 255;
constexpr std::size_t kFlagsMax = 1024;

std::string text_of(const json::object& from, const char* key) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool flag_of(const json::object& from, const char* key) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

/// An id of 16 bytes in hexadecimal; `may_lack`: or none.
Result<std::string> id_of(const json::object& from, const char* key, bool may_lack) {
  const std::string text = text_of(from, key);
  if (text.empty() && may_lack) return std::string();
  auto bytes = from_hex(text);
  if (!bytes || bytes->size() != kIdBytes)
    return make_error(Errc::invalid_argument, std::string("'") + key + "' is no id of 16 bytes");
  return *bytes;
}

Result<std::string> name_of(const json::object& from, const char* key) {
  std::string name = text_of(from, key);
  if (name.empty() || name.size() > kNameMax || name.find('@') == std::string::npos)
    return make_error(Errc::invalid_argument, std::string("'") + key + "' is no node name");
  return name;
}

Error strange(const char* what) {
  return make_error(Errc::corruption, std::string("the peer's answer is not understood: ") + what);
}

}  // namespace

json::array members_to_json(const std::vector<metadata::MemberDef>& members) {
  json::array out;
  for (const auto& member : members)
    out.push_back(json::object{
        {"name", member.name}, {"node_id", to_hex(member.node_id)}, {"ram", member.ram}});
  return out;
}

Result<std::vector<metadata::MemberDef>> members_from_json(const json::value& value) {
  const json::array* list = value.if_array();
  if (list == nullptr || list->size() > kMembersMax) return strange("members");
  std::vector<metadata::MemberDef> out;
  for (const auto& item : *list) {
    const json::object* from = item.if_object();
    if (from == nullptr) return strange("a member");
    auto id = id_of(*from, "node_id", false);
    auto name = name_of(*from, "name");
    if (!id || !name) return strange("a member");
    out.push_back({member_number(*id), *id, *name, flag_of(*from, "ram")});
  }
  return out;
}

json::object to_json(const NodeView& view) {
  return {{"name", view.name}, {"node_id", to_hex(view.node_id)}, {"cluster_id", to_hex(view.cluster_id)},
          {"cluster_name", view.cluster_name}, {"version", view.version}, {"ram", view.ram},
          {"app_running", view.app_running}, {"joining", view.joining},
          {"members", members_to_json(view.members)}, {"flags", to_json(view.flags)}};
}

json::object to_json(const FlagView& view) {
  const auto names = [](const Flags& flags) {
    json::array out;
    for (const auto& name : flags) out.push_back(json::value(name));
    return out;
  };
  return {{"version", view.version}, {"known", names(view.known)}, {"required", names(view.required)},
          {"enabled", names(view.enabled)}};
}

Result<FlagView> flag_view_from_json(const std::string& node, const json::value& value) {
  const json::object* from = value.if_object();
  if (from == nullptr) return strange("feature flags");
  FlagView view{node, text_of(*from, "version"), {}, {}, {}};
  for (const auto& [key, into] : {std::pair{"known", &view.known}, {"required", &view.required}, {"enabled", &view.enabled}}) {
    const json::value* names = from->if_contains(key);
    const json::array* list = names == nullptr ? nullptr : names->if_array();
    if (list == nullptr || list->size() > kFlagsMax) return strange("feature flags");
    for (const auto& name : *list) {
      if (!name.is_string() || name.get_string().size() > kNameMax) return strange("feature flags");
      into->emplace(name.get_string());
    }
  }
  return view;
}

Result<NodeView> view_from_json(const json::value& value) {
  const json::object* from = value.if_object();
  if (from == nullptr) return strange("no object");
  NodeView view;
  auto name = name_of(*from, "name");
  auto node_id = id_of(*from, "node_id", false);
  auto cluster_id = id_of(*from, "cluster_id", true);
  if (!name || !node_id || !cluster_id) return strange("identity");
  view.name = *name;
  view.node_id = *node_id;
  view.cluster_id = *cluster_id;
  view.cluster_name = text_of(*from, "cluster_name");
  view.version = text_of(*from, "version");
  view.ram = flag_of(*from, "ram");
  view.app_running = flag_of(*from, "app_running");
  view.joining = flag_of(*from, "joining");
  const json::value* members = from->if_contains("members");
  if (members == nullptr) return strange("members");
  auto list = members_from_json(*members);
  if (!list) return list.error();
  view.members = std::move(*list);
  const json::value* flags = from->if_contains("flags");
  if (flags == nullptr) return strange("feature flags");
  auto known = flag_view_from_json(view.name, *flags);
  if (!known) return known.error();
  view.flags = std::move(*known);
  return view;
}

json::object to_json(const Admission& admission) {
  return {{"cluster_id", to_hex(admission.cluster_id)}, {"cluster_name", admission.cluster_name},
          {"members", members_to_json(admission.members)}};
}

Result<Admission> admission_from_json(const json::value& value) {
  const json::object* from = value.if_object();
  if (from == nullptr) return strange("no object");
  auto id = id_of(*from, "cluster_id", false);
  const json::value* members = from->if_contains("members");
  if (!id || members == nullptr) return strange("cluster");
  auto list = members_from_json(*members);
  if (!list) return list.error();
  return Admission{*id, text_of(*from, "cluster_name"), std::move(*list)};
}

json::object to_json(const JoinRequest& request) {
  return {{"name", request.name}, {"node_id", to_hex(request.node_id)}, {"ram", request.ram},
          {"replaces", to_hex(request.replaces)}, {"flags", to_json(request.flags)}};
}

Result<JoinRequest> join_request_from_json(const json::object& args) {
  JoinRequest out;
  auto name = name_of(args, "name");
  if (!name) return name.error();
  auto id = id_of(args, "node_id", false);
  if (!id) return id.error();
  auto replaces = id_of(args, "replaces", true);
  if (!replaces) return replaces.error();
  out.name = *name;
  out.node_id = *id;
  out.replaces = *replaces;
  out.ram = flag_of(args, "ram");
  const json::value* flags = args.if_contains("flags");
  auto known = flag_view_from_json(out.name, flags == nullptr ? json::value() : *flags);
  if (!known) return make_error(Errc::invalid_argument, known.error().text);
  out.flags = std::move(*known);
  return out;
}

}  // namespace warren::membership
