// What a node says of itself: status, cluster_status, environment, alarms, listeners, logs, checks.

#include "node/server/admin.h"
#include "node/server/admin_values.h"
#include "node/server/version.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <deque>
#include <fmt/format.h>
#include <fstream>

namespace warren::server {

namespace json = boost::json;

namespace {

void done(AdminCall& call) { call.sink->done(json::object{}); }

json::object totals(AdminCall& call) {
  std::uint64_t connections = 0;
  for (const auto& [id, session] : call.broker().sessions()) connections += session->vhost_name().empty() ? 0 : 1;
  return {{"connection_count", connections}, {"queue_count", call.broker().queues().size()},
          {"virtual_host_count", call.broker().catalogue().vhosts().size()}};
}

json::object memory(AdminCall& call) {
  std::uint64_t queues = 0;
  for (const auto& [uid, queue] : call.broker().queues()) queues += queue->stats().memory_bytes;
  const std::uint64_t rss = call.app->monitor().memory_used();
  return {{"queue_procs", queues}, {"other_system", rss > queues ? rss - queues : 0},
          {"total", json::object{{"rss", rss}, {"allocated", rss}, {"erlang", rss}}}, {"strategy", "rss"}};
}

void status(AdminCall& call) {
  const auto& settings = call.node.settings();
  utsname os{};
  uname(&os);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  json::object tags;
  for (const auto& [key, value] : settings.cluster.node_tags) tags[key] = value;
  json::object out{
      {"node", settings.node_name}, {"app_running", call.app != nullptr}, {"os", os.sysname},
      {"pid", getpid()}, {"product_name", "Warren"}, {"product_version", kVersion},
      {"rabbitmq_version", kCompatible}, {"erlang_version", kRuntime}, {"crypto_lib_version", "OpenSSL 3"},
      {"uptime", (call.node.loop().wall_ms() - call.node.started_wall_ms()) / 1000},
      {"is_under_maintenance", call.app != nullptr && call.app->draining()}, {"run_queue", 0},
      {"processes", json::object{{"used", 1}, {"limit", 1}}},
      {"net_ticktime", 60}, {"tags", tags}, {"alarms", alarms_json(call.node)},
      {"listeners", listeners_json(call.node)}, {"data_directory", settings.data_dir},
      {"raft_data_directory", settings.data_dir + "/store"},
      {"config_files", strings_json(call.node.config().files())},
      {"log_files", strings_json(call.node.log().places())}, {"active_plugins", strings_json(call.node.running_plugins())},
      {"enabled_plugin_file", settings.enabled_plugins_file},
      {"file_descriptors",
       json::object{{"total_limit", static_cast<std::uint64_t>(files.rlim_cur)}, {"total_used", open_files()},
                    {"sockets_limit", static_cast<std::uint64_t>(files.rlim_cur)},
                    {"sockets_used", call.app ? call.broker().sessions().size() : 0}}}};
  if (call.app != nullptr) {
    const auto& monitor = call.app->monitor();
    const auto& limits = monitor.settings();
    out["vm_memory_calculation_strategy"] = "rss";
    out["vm_memory_high_watermark_setting"] =
        limits.memory_absolute ? json::object{{"absolute", *limits.memory_absolute}}
                               : json::object{{"relative", limits.memory_relative}};
    out["vm_memory_high_watermark_limit"] = monitor.memory_limit();
    out["disk_free_limit"] = monitor.disk_limit();
    out["disk_free"] = monitor.disk_free();
    out["memory"] = memory(call);
    out["totals"] = totals(call);
  }
  call.sink->done(out);
}

void environment(AdminCall& call) {
  json::array settings;
  for (const auto& entry : call.node.config().entries())
    settings.push_back(json::object{{"key", entry.key}, {"value", entry.shown()},
                                    {"source", entry.origin.text()}});
  for (const auto& variable : call.node.config().env().variables)
    settings.push_back(json::object{{"key", variable.name}, {"value", variable.value},
                                    {"source", variable.origin.text()}});
  call.sink->done(json::object{{"settings", settings}});
}

void version_info(AdminCall& call) {
  call.sink->done(json::object{{"product_name", "Warren"}, {"product_version", kVersion},
                               {"rabbitmq_version", kCompatible}, {"runtime", kRuntime}});
}

void listeners(AdminCall& call) { call.sink->done(json::object{{"listeners", listeners_json(call.node)}}); }

void alarms(AdminCall& call) {
  call.sink->done(json::object{{"alarms", alarms_json(call.node)}, {"local", alarms_json(call.node)}});
}

void message(AdminCall& call, std::string text) { call.sink->done(json::object{{"message", std::move(text)}}); }

void metadata_initialized(AdminCall& call) {
  if (call.app == nullptr) return call.sink->fail(Errc::unavailable, "the metadata store is not open");
  message(call, "Metadata store on node " + call.node.settings().node_name + " is initialized");
}

void mirror_sync_critical(AdminCall& call) {
  message(call, "Node " + call.node.settings().node_name +
                    " reported no classic mirrored queues without online synchronised mirrors");
}

void quorum_status(AdminCall& call) {
  auto queue = call.broker().queue(call.vhost(), call.text("name"));
  if (!queue)
    return call.sink->fail(Errc::not_found, fmt::format("no queue '{}' in vhost '{}'", call.text("name"), call.vhost()));
  if (queue->def().type != metadata::QueueType::quorum)
    return call.sink->fail(Errc::invalid_argument, "Cannot get quorum status of a classic queue");
  call.sink->row({{"Node Name", call.node.settings().node_name}, {"Raft State", "leader"},
                  {"Membership", "voter"}, {"Term", 1}, {"Machine Version", 1}});
  done(call);
}

// ---- limits and logs ----------------------------------------------------------------------------

/// "1GB", "512MiB" or a number, in bytes.
std::optional<std::int64_t> bytes_of(const json::value* value) {
  if (value == nullptr) return std::nullopt;
  if (value->is_int64()) return value->as_int64();
  if (value->is_uint64()) return static_cast<std::int64_t>(value->as_uint64());
  if (!value->is_string()) return std::nullopt;
  const std::string text(value->as_string());
  std::size_t end = 0;
  std::int64_t number = 0;
  try {
    number = std::stoll(text, &end);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  const std::string unit = text.substr(end);
  static const std::map<std::string, std::int64_t> kUnits{
      {"", 1}, {"B", 1}, {"b", 1}, {"k", 1000}, {"kB", 1000}, {"KB", 1000}, {"kb", 1000}, {"kiB", 1024},
      {"KiB", 1024}, {"M", 1000000}, {"m", 1000000}, {"MB", 1000000}, {"mb", 1000000}, {"MiB", 1 << 20},
      {"G", 1000000000}, {"g", 1000000000}, {"GB", 1000000000}, {"gb", 1000000000}, {"GiB", 1 << 30},
      {"T", 1000000000000}, {"TB", 1000000000000}, {"tb", 1000000000000}, {"TiB", 1LL << 40},
      {"PB", 1000000000000000}, {"PiB", 1LL << 50}};
  const auto found = kUnits.find(unit);
  if (found == kUnits.end() || number < 0 || number > INT64_MAX / found->second) return std::nullopt;
  return number * found->second;
}

std::optional<double> share_of(const json::value* value) {
  if (value == nullptr) return std::nullopt;
  if (value->is_double()) return value->as_double();
  if (value->is_int64()) return static_cast<double>(value->as_int64());
  if (value->is_uint64()) return static_cast<double>(value->as_uint64());
  return std::nullopt;
}

void set_memory_limit(AdminCall& call) {
  const auto relative = share_of(call.args.if_contains("relative"));
  const auto absolute = bytes_of(call.args.if_contains("absolute"));
  if (!relative && !absolute)
    return call.sink->fail(Errc::invalid_argument, "a share of memory or a size such as 1GB is wanted");
  call.app->monitor().set_memory_limit(relative, absolute);
  call.app->check_resources();
  done(call);
}

void set_disk_limit(AdminCall& call) {
  const auto relative = share_of(call.args.if_contains("mem_relative"));
  const auto absolute = bytes_of(call.args.if_contains("absolute"));
  if (!relative && !absolute)
    return call.sink->fail(Errc::invalid_argument, "a size such as 1GB or a multiple of memory is wanted");
  call.app->monitor().set_disk_limit(relative, absolute);
  call.app->check_resources();
  done(call);
}

void set_log_level(AdminCall& call) {
  const auto level = config::parse_log_level(call.text("level"));
  if (!level) return call.sink->fail(Errc::invalid_argument, fmt::format("'{}' is no log level", call.text("level")));
  const std::string category = call.text("category");
  if (category.empty() || category == "default") {
    call.node.log().set_level(*level);
    return done(call);
  }
  const auto area = config::parse_log_area(category);
  if (!area) return call.sink->fail(Errc::invalid_argument, fmt::format("'{}' is no log category", category));
  call.node.log().set_level(*area, *level);
  done(call);
}

void rotate_logs(AdminCall& call) {
  if (auto rotated = call.node.log().rotate(); !rotated)
    return call.sink->fail(rotated.error().code, rotated.error().text);
  done(call);
}

void log_location(AdminCall& call) {
  call.sink->done(json::object{{"locations", strings_json(call.node.log().places())}});
}

void log_tail(AdminCall& call) {
  call.node.log().flush();
  std::ifstream in(call.node.settings().logs.path);
  const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(0, call.number("number", 50)));
  std::deque<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
    if (lines.size() > wanted) lines.pop_front();
  }
  json::array out;
  for (const auto& line : lines) out.push_back(json::string(line));
  call.sink->done(json::object{{"lines", out}});
}

void memory_breakdown(AdminCall& call) {
  json::object parts = memory(call);
  parts.erase("total");
  parts.erase("strategy");
  call.sink->done(json::object{{"memory", parts}, {"total", call.app->monitor().memory_used()}});
}

void cookie_hash(AdminCall& call) {
  call.sink->done(json::object{{"hash", call.node.cookie().erlang_hash()}});
}

void suspend_listeners(AdminCall& call) {
  call.app->suspend_listeners();
  done(call);
}

void resume_listeners(AdminCall& call) {
  if (call.app->draining())
    return call.sink->fail(Errc::conflict, "the node is in maintenance; `rabbitmq-upgrade revive` ends that");
  if (auto resumed = call.app->resume_listeners(); !resumed)
    return call.sink->fail(resumed.error().code, resumed.error().text);
  done(call);
}

void plugins_changed(AdminCall& call) {
  if (auto applied = call.node.plugins_changed(); !applied)
    return call.sink->fail(applied.error().code, applied.error().text);
  call.sink->done(json::object{{"started", json::array{}}, {"stopped", json::array{}}});
}

void list_plugins(AdminCall& call) {
  for (const auto& name : call.node.running_plugins())
    call.sink->row({{"name", name}, {"version", kCompatible}, {"running", true}});
  done(call);
}

void plugin_directories(AdminCall& call) {
  call.sink->done(json::object{{"plugin_archives_directory", ""}, {"plugin_expansion_directory", ""},
                               {"enabled_plugins_file", call.node.settings().enabled_plugins_file}});
}

}  // namespace

void add_status_methods(AdminTable& table) {
  table["status"] = {Needs::nothing, status};
  table["environment"] = {Needs::nothing, environment};
  table["version_info"] = {Needs::nothing, version_info};
  table["listeners"] = {Needs::nothing, listeners};
  table["alarms"] = {Needs::nothing, alarms};
  table["list_deprecated_features"] = {Needs::app, done};
  table["check_virtual_hosts"] = {Needs::app, done};
  table["check_certificate_expiration"] = {Needs::nothing, done};
  table["check_if_metadata_store_initialized"] = {Needs::nothing, metadata_initialized};
  table["check_if_node_is_mirror_sync_critical"] = {Needs::app, mirror_sync_critical};
  table["check_for_quorum_queues_without_an_elected_leader"] = {Needs::app, done};
  table["quorum_status"] = {Needs::app_and_vhost, quorum_status};
  table["set_vm_memory_high_watermark"] = {Needs::app, set_memory_limit};
  table["set_disk_free_limit"] = {Needs::app, set_disk_limit};
  table["set_log_level"] = {Needs::nothing, set_log_level};
  table["rotate_logs"] = {Needs::nothing, rotate_logs};
  table["log_location"] = {Needs::nothing, log_location};
  table["log_tail"] = {Needs::nothing, log_tail};
  table["memory_breakdown"] = {Needs::app, memory_breakdown};
  table["erlang_cookie_hash"] = {Needs::nothing, cookie_hash};
  table["suspend_listeners"] = {Needs::app, suspend_listeners};
  table["resume_listeners"] = {Needs::app, resume_listeners};
  table["force_gc"] = {Needs::nothing, done};
  table["plugins_changed"] = {Needs::nothing, plugins_changed};
  table["list_plugins"] = {Needs::nothing, list_plugins};
  table["plugin_directories"] = {Needs::nothing, plugin_directories};
}

}  // namespace warren::server
