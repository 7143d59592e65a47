// status, memory_breakdown, environment.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ostream>

#include "node/ctl/context.h"
#include "node/ctl/runners.h"
#include "node/ctl/show.h"

namespace warren::ctl {
namespace {

constexpr std::pair<std::string_view, double> kUnits[] = {
    {"bytes", 1},       {"kb", 1e3},           {"mb", 1e6},
    {"gb", 1e9},        {"tb", 1e12},          {"kib", 1024.0},
    {"mib", 1048576.0}, {"gib", 1073741824.0}, {"tib", 1099511627776.0}};

double unit_size(std::string_view unit) {
  for (const auto& [name, size] : kUnits) {
    if (name == unit) return size;
  }
  return 1e9;
}

/// Rounded, at least one decimal, no zeros at the end: 0.1262, 0.05, 0.0.
std::string decimal(double value, int digits) {
  std::string text = fmt::format("{:.{}f}", value, digits);
  while (text.back() == '0' && text[text.size() - 2] != '.') text.pop_back();
  return text;
}

std::string size_text(std::int64_t bytes, std::string_view unit) {
  if (unit == "bytes") return fmt::format("{} bytes", bytes);
  return fmt::format("{} {}", decimal(static_cast<double>(bytes) / unit_size(unit), 4), unit);
}

double total_of(const json::value& memory) {
  const json::value* total = find_at(memory, "total");
  if (total == nullptr) return 0;
  if (!total->is_object()) return static_cast<double>(number_at(memory, "total"));
  const std::string strategy = text_at(memory, "strategy");
  return static_cast<double>(number_at(*total, strategy.empty() ? "rss" : strategy));
}

std::string stars(const json::value& status, std::string_view key) {
  std::string out;
  const json::value* items = find_at(status, key);
  if (items == nullptr || !items->is_array()) return out;
  for (const json::value& item : items->get_array()) {
    out +=
        " * " + (item.is_string() ? std::string(item.get_string()) : json::serialize(item)) + "\n";
  }
  return out;
}

/// Lines "Title: value" for the keys that are there.
class Page {
 public:
  Page(const json::value& status, bool bold) : status_(status), bold_(bold) {}

  void heading(std::string_view title) {
    if (!out_.empty()) out_ += "\n";
    out_ += (bold_ ? fmt::format("\x1b[1m{}\x1b[0m", title) : std::string(title)) + "\n\n";
  }
  void fact(std::string_view title, std::string_view key) {
    if (find_at(status_, key) != nullptr) line(title, text_at(status_, key));
  }
  void line(std::string_view title, std::string_view value) {
    out_ += fmt::format("{}: {}\n", title, value);
  }
  void text(std::string_view lines) { out_ += lines; }
  bool has(std::string_view key) const { return find_at(status_, key) != nullptr; }
  std::string take() { return std::move(out_); }

 private:
  const json::value& status_;
  bool bold_;
  std::string out_;
};

void put_runtime(Page& page, const json::value& status) {
  page.heading("Runtime");
  page.fact("OS PID", "pid");
  page.fact("OS", "os");
  page.fact("Uptime (seconds)", "uptime");
  page.fact("Is under maintenance?", "is_under_maintenance");
  page.fact("RabbitMQ version", "rabbitmq_version");
  page.fact("RabbitMQ release series support status", "release_series_support_status");
  page.fact("Node name", "node");
  page.fact("Erlang configuration", "erlang_version");
  page.fact("Crypto library", "crypto_lib_version");
  if (const json::value* processes = find_at(status, "processes")) {
    page.line("Erlang processes", fmt::format("{} used, {} limit", number_at(*processes, "used"),
                                              number_at(*processes, "limit")));
  }
  page.fact("Scheduler run queue", "run_queue");
  page.fact("Cluster heartbeat timeout (net_ticktime)", "net_ticktime");
  const json::value* running = find_at(status, "app_running");
  if (running != nullptr && running->is_bool() && !running->get_bool()) {
    page.line("Broker", "stopped (start it with start_app)");
  }
}

std::string watermark_text(const json::value& status, std::string_view unit) {
  const json::value* setting = find_at(status, "vm_memory_high_watermark_setting");
  const std::string computed = size_text(number_at(status, "vm_memory_high_watermark_limit"), unit);
  if (setting == nullptr) return computed;
  if (find_at(*setting, "relative") != nullptr) {
    return fmt::format("{} of available memory, computed to: {}", text_at(*setting, "relative"),
                       computed);
  }
  return fmt::format("{}, computed to: {}", text_at(*setting, "absolute"), computed);
}

void put_memory(Page& page, const json::value& status, std::string_view unit) {
  const json::value* memory = find_at(status, "memory");
  if (memory == nullptr) return;
  page.heading("Memory");
  page.line("Total memory used", size_text(static_cast<std::int64_t>(total_of(*memory)), unit));
  page.fact("Calculation strategy", "vm_memory_calculation_strategy");
  if (page.has("vm_memory_high_watermark_limit"))
    page.line("Memory high watermark setting", watermark_text(status, unit));
  page.text("\n" + memory_lines(*memory, unit, true));
}

void put_resources(Page& page, const json::value& status, std::string_view unit) {
  if (const json::value* files = find_at(status, "file_descriptors")) {
    page.heading("File Descriptors");
    page.text(fmt::format("Total: {}, limit: {}\nSockets: {}, limit: {}\n",
                          number_at(*files, "total_used"), number_at(*files, "total_limit"),
                          number_at(*files, "sockets_used"), number_at(*files, "sockets_limit")));
  }
  if (page.has("disk_free")) {
    page.heading("Free Disk Space");
    page.line("Low free disk space watermark",
              size_text(number_at(status, "disk_free_limit"), unit));
    page.line("Free disk space", size_text(number_at(status, "disk_free"), unit));
  }
  if (const json::value* totals = find_at(status, "totals")) {
    page.heading("Totals");
    page.line("Connection count", text_at(*totals, "connection_count"));
    page.line("Queue count", text_at(*totals, "queue_count"));
    page.line("Virtual host count", text_at(*totals, "virtual_host_count"));
  }
}

std::string setting_unit(const Invocation& invocation) {
  std::string unit = invocation.text("unit");
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return unit.empty() ? "gb" : unit;
}

}  // namespace

bool known_unit(std::string_view unit) {
  return std::any_of(std::begin(kUnits), std::end(kUnits),
                     [&](const auto& known) { return known.first == unit; });
}

std::string memory_lines(const json::value& memory, std::string_view unit, bool with_space) {
  std::vector<std::pair<std::string, std::int64_t>> parts;
  if (const json::object* object = memory.if_object()) {
    for (const auto& item : *object) {
      if (item.key() == "total" || item.key() == "strategy" || !item.value().is_number()) continue;
      parts.emplace_back(item.key(), number_at(memory, item.key()));
    }
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  const double total = total_of(memory);
  std::string out;
  for (const auto& [name, bytes] : parts) {
    const double share = total > 0 ? static_cast<double>(bytes) / total * 100 : 0;
    out += fmt::format("{}: {} ({}{}%)\n", name, size_text(bytes, unit), decimal(share, 2),
                       with_space ? " " : "");
  }
  return out;
}

std::string status_text(const json::value& status, std::string_view unit, bool bold) {
  Page page(status, bold);
  put_runtime(page, status);
  page.heading("Plugins");
  page.fact("Enabled plugin file", "enabled_plugin_file");
  page.text("Enabled plugins:\n\n" + stars(status, "active_plugins"));
  if (page.has("data_directory")) {
    page.heading("Data directory");
    page.fact("Node data directory", "data_directory");
    page.fact("Raft data directory", "raft_data_directory");
  }
  if (page.has("config_files")) {
    page.heading("Config files");
    page.text(stars(status, "config_files"));
  }
  if (page.has("log_files")) {
    page.heading("Log file(s)");
    page.text(stars(status, "log_files"));
  }
  page.heading("Alarms");
  std::string alarms;
  if (const json::value* all = find_at(status, "alarms"); all != nullptr && all->is_array()) {
    for (const json::value& alarm : all->get_array()) alarms += alarm_line(alarm) + "\n";
  }
  page.text(alarms.empty() ? "(none)\n" : alarms);
  put_memory(page, status, unit);
  put_resources(page, status, unit);
  page.heading("Listeners");
  if (const json::value* all = find_at(status, "listeners"); all != nullptr && all->is_array()) {
    for (const json::value& listener : all->get_array())
      page.text(listener_line(listener, false) + "\n");
  }
  return page.take();
}

int run_status(Context& context, const Invocation& invocation) {
  const std::string unit = setting_unit(invocation);
  if (!known_unit(unit)) {
    return usage_error(context, invocation,
                       "Error (argument validation): unit '" + unit +
                           "' is not supported. Please use one of: bytes, mb, gb");
  }
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  const Outcome outcome = ask(context, invocation, {{"timeout_ms", timeout_of(invocation)}});
  if (outcome.exit != kExitOk) return outcome.exit;
  if (print_formatted(context, invocation, outcome.result)) return kExitOk;
  context.world.out << status_text(outcome.result, unit, context.world.out_is_tty);
  return kExitOk;
}

int run_memory_breakdown(Context& context, const Invocation& invocation) {
  const std::string unit = setting_unit(invocation);
  if (!known_unit(unit)) {
    return usage_error(context, invocation,
                       "Error (argument validation): unit '" + unit +
                           "' is not supported. Please use one of: bytes, mb, gb");
  }
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  const Outcome outcome = ask(context, invocation, {{"timeout_ms", timeout_of(invocation)}});
  if (outcome.exit != kExitOk) return outcome.exit;
  if (print_formatted(context, invocation, outcome.result)) return kExitOk;
  const json::value* memory = find_at(outcome.result, "memory");
  if (memory == nullptr || !memory->is_object()) return kExitOk;
  json::object whole = memory->get_object();
  if (const json::value* total = find_at(outcome.result, "total")) whole["total"] = *total;
  context.world.out << memory_lines(whole, unit, false);
  return kExitOk;
}

/// Every effective setting: key, value and where it came from.
int run_environment(Context& context, const Invocation& invocation) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  const Outcome outcome = ask(context, invocation, {{"timeout_ms", timeout_of(invocation)}});
  if (outcome.exit != kExitOk) return outcome.exit;
  const json::value* settings = find_at(outcome.result, "settings");
  if (invocation.globals.formatter == "erlang" && settings != nullptr && settings->is_array()) {
    std::vector<Term> pairs;
    for (const json::value& setting : settings->get_array()) {
      const json::value* value = find_at(setting, "value");
      const std::string text = value == nullptr     ? ""
                               : value->is_string() ? std::string(value->get_string())
                                                    : json::serialize(*value);
      pairs.push_back(Term::tuple({Term::atom(text_at(setting, "key")), Term::binary(text)}));
    }
    context.world.out << pretty(Term::list({Term::pair("rabbit", Term::list(std::move(pairs)))}))
                      << "\n";
    return kExitOk;
  }
  if (print_formatted(context, invocation, outcome.result)) return kExitOk;
  if (settings == nullptr || !settings->is_array()) return kExitOk;
  std::size_t width = 0;
  for (const json::value& setting : settings->get_array())
    width = std::max(width, text_at(setting, "key").size());
  for (const json::value& setting : settings->get_array()) {
    context.world.out << fmt::format("{:<{}} = {}   # {}\n", text_at(setting, "key"), width,
                                     text_at(setting, "value"), text_at(setting, "source"));
  }
  return kExitOk;
}

}  // namespace warren::ctl
