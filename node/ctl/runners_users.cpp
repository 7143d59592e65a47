// Passwords and limits.
#include <fmt/format.h>

#include <ostream>

#include "cluster/transport/crypto.h"
#include "node/ctl/context.h"
#include "node/ctl/format.h"
#include "node/ctl/runners.h"

namespace warren::ctl {
namespace {

/// The password from the line, or asked for, or read from the input.
/// Returns kExitOk or the exit code.
int take_password(Context& context, const Invocation& invocation, json::object& args) {
  if (args.contains("password")) return kExitOk;
  const std::string password =
      context.world.read_password(context.world.in_is_tty ? "Password: " : "");
  if (password.empty()) {
    context.world.err << "Error:\nPassword is not provided via argument or stdin\n";
    return kExitData;
  }
  args["password"] = password;
  (void)invocation;
  return kExitOk;
}

}  // namespace

int run_with_password(Context& context, const Invocation& invocation) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  json::object args = call_args(invocation);
  if (!args.contains("password")) print_own_banner(context, invocation);
  if (const int failed = take_password(context, invocation, args); failed != kExitOk) return failed;
  return run_plain(context, invocation, std::move(args));
}

int run_add_user(Context& context, const Invocation& invocation) {
  if (!invocation.flag("pre_hashed_password")) return run_with_password(context, invocation);
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  json::object args = call_args(invocation);
  if (const int failed = take_password(context, invocation, args); failed != kExitOk) return failed;
  rename_key(args, "password", "password_hash");
  args.erase("pre_hashed_password");
  return run_plain(context, invocation, std::move(args));
}

/// One user or virtual host: its limits as an object; all of them: a table.
int run_list_limits(Context& context, const Invocation& invocation) {
  const bool users = invocation.command->name == "list_user_limits";
  const bool global = invocation.flag("global");
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  json::object args = call_args(invocation);
  args.erase("user");
  if (users && !global) {
    const std::string user = invocation.text("user");
    args["username"] = user.empty() ? "guest" : user;
  }
  if (global) {
    print_banner(context, invocation,
                 users ? "Listing limits for all users ..." : "Listing limits for all vhosts ...");
    return run_plain(context, invocation, std::move(args));
  }
  json::object limits;
  const std::string owner =
      users ? std::string(args.at("username").as_string()) : invocation.globals.vhost;
  print_banner(context, invocation,
               fmt::format("Listing limits for {} \"{}\" ...", users ? "user" : "vhost", owner));
  const Outcome outcome = ask(context, invocation, std::move(args), [&](const json::object& row) {
    if (const json::value* value = row.if_contains("limits");
        value != nullptr && value->is_object()) {
      for (const auto& limit : value->get_object()) limits[limit.key()] = limit.value();
    }
  });
  if (outcome.exit != kExitOk) return outcome.exit;
  if (!print_formatted(context, invocation, limits))
    context.world.out << json::serialize(limits) << "\n";
  return kExitOk;
}

/// base64(salt + sha256(salt + password)), as definitions files have it.
int run_hash_password(Context& context, const Invocation& invocation) {
  json::object args = invocation.args;
  if (const int failed = take_password(context, invocation, args); failed != kExitOk) return failed;
  const std::string password(args.at("password").as_string());
  const std::string salt = transport::random_bytes(4);
  if (!invocation.globals.quiet && !invocation.globals.silent)
    context.world.out << "Will hash password\n";
  context.world.out << transport::to_base64(salt + transport::sha256(salt + password)) << "\n";
  return kExitOk;
}

}  // namespace warren::ctl
