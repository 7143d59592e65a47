// cluster_status: headings for people, Erlang terms for old scripts, JSON for new ones.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "node/ctl/context.h"
#include "node/ctl/format.h"
#include "node/ctl/runners.h"
#include "node/ctl/show.h"

namespace warren::ctl {
namespace {

json::array list_at(const json::value& status, std::string_view key) {
  const json::value* value = find_at(status, key);
  return value != nullptr && value->is_array() ? value->get_array() : json::array();
}

json::object map_at(const json::value& status, std::string_view key) {
  const json::value* value = find_at(status, key);
  return value != nullptr && value->is_object() ? value->get_object() : json::object();
}

std::string string_of(const json::value& value) { return plain_text(value); }

std::vector<Term> atoms(const json::array& names) {
  std::vector<Term> out;
  for (const json::value& name : names) out.push_back(Term::atom(string_of(name)));
  return out;
}

Term nodes_term(const json::value& status) {
  std::vector<Term> kinds{Term::pair("disc", Term::list(atoms(list_at(status, "disk_nodes"))))};
  const json::array ram = list_at(status, "ram_nodes");
  if (!ram.empty()) kinds.push_back(Term::pair("ram", Term::list(atoms(ram))));
  return Term::pair("nodes", Term::list(std::move(kinds)));
}

/// One pair per running node, with its alarms.
Term alarms_term(const json::value& status) {
  std::vector<Term> nodes;
  for (const json::value& node : list_at(status, "running_nodes")) {
    std::vector<Term> alarms;
    for (const json::value& alarm : list_at(status, "alarms")) {
      if (text_at(alarm, "node") != string_of(node)) continue;
      alarms.push_back(
          Term::tuple({Term::atom("resource_limit"), Term::atom(text_at(alarm, "resource")),
                       Term::atom(string_of(node))}));
    }
    nodes.push_back(Term::pair(string_of(node), Term::list(std::move(alarms))));
  }
  return Term::pair("alarms", Term::list(std::move(nodes)));
}

Term partitions_term(const json::value& status) {
  std::vector<Term> all;
  for (const auto& item : map_at(status, "partitions")) {
    all.push_back(Term::pair(item.key(), item.value().is_array()
                                             ? Term::list(atoms(item.value().get_array()))
                                             : Term::list()));
  }
  return Term::pair("partitions", Term::list(std::move(all)));
}

Term listeners_term(const json::value& status) {
  std::vector<Term> nodes;
  for (const auto& item : map_at(status, "listeners")) {
    std::vector<Term> all;
    if (item.value().is_array()) {
      for (const json::value& listener : item.value().get_array()) {
        all.push_back(Term::tuple({Term::atom("listener"), Term::atom(item.key()),
                                   Term::atom(text_at(listener, "protocol")),
                                   Term::string(text_at(listener, "interface")),
                                   Term::number(std::to_string(number_at(listener, "port")))}));
      }
    }
    nodes.push_back(Term::pair(item.key(), Term::list(std::move(all))));
  }
  return Term::pair("listeners", Term::list(std::move(nodes)));
}

Term versions_term(const json::value& status) {
  std::vector<Term> nodes;
  for (const auto& item : map_at(status, "versions")) {
    std::vector<Term> map;
    if (item.value().is_object()) {
      for (const auto& fact : item.value().get_object()) {
        map.push_back(Term::atom(fact.key()));
        map.push_back(Term::binary(string_of(fact.value())));
      }
    }
    nodes.push_back(Term::pair(item.key(), Term::map(std::move(map))));
  }
  return Term::pair("versions", Term::list(std::move(nodes)));
}

Term maintenance_term(const json::value& status) {
  std::vector<Term> nodes;
  for (const auto& item : map_at(status, "maintenance_status")) {
    nodes.push_back(Term::pair(item.key(), Term::binary(string_of(item.value()))));
  }
  return Term::pair("maintenance_status", Term::list(std::move(nodes)));
}

Term flags_term(const json::value& status) {
  std::vector<Term> flags;
  for (const json::value& flag : list_at(status, "feature_flags")) {
    flags.push_back(
        Term::list({Term::pair("name", Term::atom(text_at(flag, "name"))),
                    Term::pair("desc", Term::binary(text_at(flag, "desc"))),
                    Term::pair("doc_url", Term::binary(text_at(flag, "doc_url"))),
                    Term::pair("state", Term::atom(text_at(flag, "state"))),
                    Term::pair("stability", Term::atom(text_at(flag, "stability"))),
                    Term::pair("provided_by", Term::atom(text_at(flag, "provided_by")))}));
  }
  return Term::pair("feature_flags", Term::list(std::move(flags)));
}

bool app_stopped(const json::value& status) {
  const json::value* running = find_at(status, "app_running");
  return running != nullptr && running->is_bool() && !running->get_bool();
}

/// The sections of the text form, in their fixed order.
class Sections {
 public:
  Sections(std::string& out, bool bold) : out_(out), bold_(bold) {}

  void add(std::string_view title, const std::string& lines) {
    out_ += bold_ ? fmt::format("\x1b[1m{}\x1b[0m", title) : std::string(title);
    out_ += "\n\n" + (lines.empty() ? "(none)\n" : lines) + "\n";
  }

 private:
  std::string& out_;
  bool bold_;
};

std::string each(const json::array& items) {
  std::string out;
  for (const json::value& item : items) out += string_of(item) + "\n";
  return out;
}

std::string basics(const json::value& status) {
  std::string out = "Cluster name: " + text_at(status, "cluster_name") + "\n";
  if (app_stopped(status))
    out += fmt::format("The broker on {} is stopped (start it with start_app)\n",
                       text_at(status, "asked_node"));
  if (const json::value* lose = find_at(status, "can_lose")) {
    const std::string text = text_at(*lose, "text");
    out += "Fault tolerance: " +
           (text.empty() ? fmt::format("metadata can lose {} disc node(s), queues can lose {}",
                                       number_at(*lose, "metadata"), number_at(*lose, "queues"))
                         : text) +
           "\n";
  }
  return out;
}

std::string version_lines(const json::value& status) {
  std::string out;
  for (const auto& item : map_at(status, "versions")) {
    out += fmt::format("{}: {} {} on Erlang {}\n", std::string_view(item.key()),
                       text_at(item.value(), "rabbitmq_name"),
                       text_at(item.value(), "rabbitmq_version"),
                       text_at(item.value(), "erlang_version"));
  }
  return out;
}

std::string partition_lines(const json::value& status) {
  std::string out;
  for (const auto& item : map_at(status, "partitions")) {
    std::string others;
    if (item.value().is_array()) {
      for (const json::value& node : item.value().get_array())
        others += (others.empty() ? "" : ", ") + string_of(node);
    }
    out +=
        fmt::format("Node {} cannot communicate with {}\n", std::string_view(item.key()), others);
  }
  return out;
}

}  // namespace

std::string text_at(const json::value& object, std::string_view key) {
  const json::value* value = find_at(object, key);
  return value == nullptr || value->is_null() ? std::string() : string_of(*value);
}

std::int64_t number_at(const json::value& object, std::string_view key) {
  const json::value* value = find_at(object, key);
  if (value == nullptr) return 0;
  if (value->is_int64()) return value->get_int64();
  if (value->is_uint64()) return static_cast<std::int64_t>(value->get_uint64());
  return value->is_double() ? static_cast<std::int64_t>(value->get_double()) : 0;
}

const json::value* find_at(const json::value& object, std::string_view key) {
  const json::object* found = object.if_object();
  return found == nullptr ? nullptr : found->if_contains(key);
}

std::string alarm_line(const json::value& alarm) {
  const std::string resource = text_at(alarm, "resource");
  const std::string what = resource == "memory" ? "Memory"
                           : resource == "disk" ? "Free disk space"
                                                : resource;
  return fmt::format("{} alarm on node {}", what, text_at(alarm, "node"));
}

std::string listener_line(const json::value& listener, bool with_node) {
  return fmt::format("{}nterface: {}, port: {}, protocol: {}, purpose: {}",
                     with_node ? fmt::format("Node: {}, i", text_at(listener, "node")) : "I",
                     text_at(listener, "interface"), number_at(listener, "port"),
                     text_at(listener, "protocol"), text_at(listener, "purpose"));
}

Term cluster_status_term(const json::value& status, bool full) {
  if (app_stopped(status)) return Term::list({nodes_term(status), alarms_term(status)});
  std::vector<Term> parts{
      nodes_term(status),
      Term::pair("running_nodes", Term::list(atoms(list_at(status, "running_nodes")))),
      Term::pair("cluster_name", Term::binary(text_at(status, "cluster_name"))),
      partitions_term(status), alarms_term(status)};
  if (full) {
    if (find_at(status, "listeners") != nullptr) parts.push_back(listeners_term(status));
    if (find_at(status, "versions") != nullptr) parts.push_back(versions_term(status));
    if (find_at(status, "maintenance_status") != nullptr) parts.push_back(maintenance_term(status));
    if (find_at(status, "feature_flags") != nullptr) parts.push_back(flags_term(status));
  }
  return Term::list(std::move(parts));
}

std::string cluster_status_text(const json::value& status, bool bold) {
  std::string out;
  Sections sections(out, bold);
  sections.add("Basics", basics(status));
  sections.add("Disk Nodes", each(list_at(status, "disk_nodes")));
  if (const json::array ram = list_at(status, "ram_nodes"); !ram.empty())
    sections.add("RAM Nodes", each(ram));
  // By name; the term and JSON forms have the asked node last, as RabbitMQ 3.10.8 does.
  json::array running = list_at(status, "running_nodes");
  std::sort(running.begin(), running.end(), [](const json::value& a, const json::value& b) {
    return string_of(a) < string_of(b);
  });
  sections.add("Running Nodes", each(running));
  if (find_at(status, "versions") != nullptr) sections.add("Versions", version_lines(status));
  if (find_at(status, "maintenance_status") != nullptr) {
    std::string lines;
    for (const auto& item : map_at(status, "maintenance_status")) {
      lines += fmt::format("Node: {}, status: {}\n", std::string_view(item.key()),
                           string_of(item.value()));
    }
    sections.add("Maintenance status", lines);
  }
  std::string alarms;
  for (const json::value& alarm : list_at(status, "alarms")) alarms += alarm_line(alarm) + "\n";
  sections.add("Alarms", alarms);
  if (find_at(status, "partitions") != nullptr)
    sections.add("Network Partitions", partition_lines(status));
  if (find_at(status, "listeners") != nullptr) {
    std::string lines;
    for (const auto& item : map_at(status, "listeners")) {
      if (!item.value().is_array()) continue;
      for (const json::value& listener : item.value().get_array()) {
        json::object named = listener.is_object() ? listener.get_object() : json::object();
        named["node"] = item.key();
        lines += listener_line(named, true) + "\n";
      }
    }
    sections.add("Listeners", lines);
  }
  if (find_at(status, "feature_flags") != nullptr) {
    std::string lines;
    for (const json::value& flag : list_at(status, "feature_flags")) {
      lines += fmt::format("Flag: {}, state: {}\n", text_at(flag, "name"), text_at(flag, "state"));
    }
    sections.add("Feature flags", lines);
  }
  out.pop_back();
  return out;
}

int run_cluster_status(Context& context, const Invocation& invocation) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  const Outcome outcome = ask(context, invocation, {{"timeout_ms", timeout_of(invocation)}});
  if (outcome.exit != kExitOk) return outcome.exit;
  if (invocation.globals.formatter == "erlang" ||
      (invocation.globals.legacy && invocation.globals.formatter.empty())) {
    context.world.out << pretty(cluster_status_term(outcome.result, !invocation.globals.legacy))
                      << "\n";
    return kExitOk;
  }
  if (print_formatted(context, invocation, outcome.result)) return kExitOk;
  context.world.out << cluster_status_text(outcome.result, context.world.out_is_tty);
  return kExitOk;
}

}  // namespace warren::ctl
