// Queues, connections, policies, definitions, limits of the node.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <istream>
#include <iterator>
#include <ostream>
#include <sstream>

#include "node/ctl/context.h"
#include "node/ctl/runners.h"

namespace warren::ctl {
namespace {

int run_with_banner(Context& context, const Invocation& invocation, const std::string& banner,
                    json::object args) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  print_banner(context, invocation, banner);
  return run_plain(context, invocation, std::move(args));
}

bool as_number(const std::string& text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// "1GB" stays text, "1000" becomes a number; the node knows the units.
json::value size_value(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return json::value(text);
}

bool looks_like_size(const std::string& text) {
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0;
}

}  // namespace

int run_delete_queue(Context& context, const Invocation& invocation) {
  json::object args = call_args(invocation);
  const bool empty = invocation.flag("if_empty");
  const bool unused = invocation.flag("if_unused");
  std::string when;
  if (empty && unused) when = "if queue is empty and if queue is unused ";
  if (empty && !unused) when = "if queue is empty ";
  if (!empty && unused) when = "if queue is unused ";
  return run_with_banner(context, invocation,
                         "Deleting queue '{name}' on vhost '{vhost}' " + when + "...",
                         std::move(args));
}

int run_close_all(Context& context, const Invocation& invocation) {
  json::object args = call_args(invocation);
  rename_key(args, "per_connection_delay", "per_connection_delay_ms");
  const std::string banner =
      invocation.flag("global")
          ? "Closing all connections to node {node} (across all vhosts), reason: {reason}..."
          : "Closing all connections in vhost {vhost}, reason: {reason}...";
  return run_with_banner(context, invocation, banner, std::move(args));
}

int run_set_policy(Context& context, const Invocation& invocation) {
  Invocation complete = invocation;
  if (!complete.args.contains("priority")) complete.args["priority"] = 0;
  if (!complete.args.contains("apply_to")) complete.args["apply_to"] = "all";
  return run_plain(context, complete);
}

int run_export_definitions(Context& context, const Invocation& invocation) {
  const std::string file = invocation.text("file").empty() ? "-" : invocation.text("file");
  if (const std::string format = invocation.text("format"); !format.empty() && format != "json") {
    return usage_error(context, invocation,
                       "Error (argument validation): only --format json is supported");
  }
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  if (file != "-")
    print_banner(context, invocation, "Exporting definitions in JSON to a file at \"{file}\" ...");
  json::object args{{"timeout_ms", timeout_of(invocation)}};
  const Outcome outcome = ask(context, invocation, std::move(args));
  if (outcome.exit != kExitOk) return outcome.exit;
  const std::string text = json::serialize(outcome.result);
  if (file == "-") {
    context.world.out << text << "\n";
    return kExitOk;
  }
  // Password hashes are in it: for the owner only.
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written = fd >= 0 &&
                       ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (written) return kExitOk;
  context.world.err << "Error:\ncannot write " << file << "\n";
  return kExitData;
}

int run_import_definitions(Context& context, const Invocation& invocation) {
  const std::string file = invocation.text("file");
  std::string text;
  if (file.empty() || file == "-") {
    text.assign(std::istreambuf_iterator<char>(context.world.in), {});
  } else {
    std::ifstream in(file, std::ios::binary);
    if (!in) {
      context.world.err << "Error:\nFile " << file << " does not exist or cannot be read\n";
      return kExitData;
    }
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  boost::system::error_code error;
  json::value definitions = json::parse(text, error);
  if (error || !definitions.is_object()) {
    context.world.err << "Error:\nFailed to decode definitions: not a JSON object"
                      << (error ? ": " + error.message() : std::string()) << "\n";
    return kExitData;
  }
  json::object args{{"definitions", std::move(definitions)},
                    {"skip_if_unchanged", invocation.flag("skip_if_unchanged")},
                    {"timeout_ms", timeout_of(invocation)}};
  return run_with_banner(context, invocation,
                         file.empty() || file == "-"
                             ? "Importing definitions in JSON from standard input ..."
                             : "Importing definitions in JSON from a file at \"{file}\" ...",
                         std::move(args));
}

int run_set_memory(Context& context, const Invocation& invocation) {
  const std::string value = invocation.text("value");
  const std::string amount = invocation.text("amount");
  json::object args{{"timeout_ms", timeout_of(invocation)}};
  if (value == "absolute") {
    if (!looks_like_size(amount)) {
      return usage_error(context, invocation,
                         "Error (argument validation): absolute needs a size, such as 1GB");
    }
    args["absolute"] = size_value(amount);
    return run_with_banner(context, invocation,
                           "Setting memory threshold on {node} to {amount} bytes ...",
                           std::move(args));
  }
  double fraction = 0;
  if (!amount.empty() || !as_number(value, fraction)) {
    return usage_error(context, invocation,
                       "Error (argument validation): The argument must be a number");
  }
  if (fraction < 0 || fraction > 1) {
    return usage_error(
        context, invocation,
        "Error (argument validation): The threshold should be a fraction between 0.0 and 1.0");
  }
  args["relative"] = fraction;
  return run_with_banner(context, invocation, "Setting memory threshold on {node} to {value} ...",
                         std::move(args));
}

int run_set_disk(Context& context, const Invocation& invocation) {
  const std::string value = invocation.text("value");
  const std::string amount = invocation.text("amount");
  json::object args{{"timeout_ms", timeout_of(invocation)}};
  double fraction = 0;
  if (value == "mem_relative") {
    if (!as_number(amount, fraction) || fraction < 0) {
      return usage_error(context, invocation,
                         "Error (argument validation): mem_relative needs a number");
    }
    args["mem_relative"] = fraction;
    return run_with_banner(context, invocation,
                           "Setting disk free limit on {node} to {amount} times the total RAM ...",
                           std::move(args));
  }
  if (!amount.empty() || !looks_like_size(value)) {
    return usage_error(context, invocation,
                       "Error (argument validation): a size is needed, such as 1GB");
  }
  args["absolute"] = size_value(value);
  return run_with_banner(context, invocation,
                         "Setting disk free limit on {node} to {value} bytes ...", std::move(args));
}

}  // namespace warren::ctl
