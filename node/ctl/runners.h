#pragma once
// What the commands do that a row of the table cannot say. Each prints and returns the exit code.

namespace warren::ctl {

struct Context;
struct Invocation;

// runners_users.cpp
int run_add_user(Context&, const Invocation&);
int run_with_password(Context&, const Invocation&);
int run_list_limits(Context&, const Invocation&);
int run_hash_password(Context&, const Invocation&);

// runners_objects.cpp
int run_delete_queue(Context&, const Invocation&);
int run_close_all(Context&, const Invocation&);
int run_set_policy(Context&, const Invocation&);
int run_export_definitions(Context&, const Invocation&);
int run_import_definitions(Context&, const Invocation&);
int run_set_memory(Context&, const Invocation&);
int run_set_disk(Context&, const Invocation&);

// runners_cluster.cpp
int run_join_cluster(Context&, const Invocation&);
int run_change_type(Context&, const Invocation&);
int run_force_boot(Context& context, const Invocation& invocation);
int run_forget_node(Context&, const Invocation&);
int run_rename_node(Context&, const Invocation&);
int run_update_nodes(Context&, const Invocation&);
int run_member(Context&, const Invocation&);
int run_grow(Context&, const Invocation&);
int run_explain(Context&, const Invocation&);

// runners_lifecycle.cpp
int run_stop(Context&, const Invocation&);
int run_wait(Context&, const Invocation&);
int run_await_startup(Context&, const Invocation&);
int run_report(Context&, const Invocation&);

// runners_diagnostics.cpp
int run_check_running(Context&, const Invocation&);
int run_is(Context&, const Invocation&);
int run_alarms(Context&, const Invocation&);
int run_listeners(Context&, const Invocation&);
int run_check_ports(Context&, const Invocation&);
int run_cluster_doctor(Context&, const Invocation&);
int run_check_listener(Context&, const Invocation&);
int run_server_version(Context&, const Invocation&);
int run_cookie_hash(Context&, const Invocation&);
int run_resolve(Context&, const Invocation&);
int run_lines(Context&, const Invocation&);
int run_stream(Context&, const Invocation&);
int run_show_object(Context&, const Invocation&);

// show_*.cpp
int run_cluster_status(Context&, const Invocation&);
int run_status(Context&, const Invocation&);
int run_memory_breakdown(Context&, const Invocation&);
int run_environment(Context&, const Invocation&);

// plugins.cpp
int run_plugins_list(Context&, const Invocation&);
int run_plugins_change(Context&, const Invocation&);
int run_plugins_is_enabled(Context&, const Invocation&);
int run_plugins_directories(Context&, const Invocation&);

// runners_local.cpp
int run_help(Context&, const Invocation&);
int run_version(Context&, const Invocation&);
int run_autocomplete(Context&, const Invocation&);
int run_cookie_sources(Context&, const Invocation&);
int run_static_list(Context&, const Invocation&);
int run_eval(Context&, const Invocation&);
int run_no_longer(Context&, const Invocation&);

}  // namespace warren::ctl
