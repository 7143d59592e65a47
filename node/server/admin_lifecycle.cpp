// The life of node and app: ping, stop, stop_app, start_app, is_running, await_startup.

#include "node/server/admin.h"

#include <unistd.h>

namespace warren::server {

namespace json = boost::json;

namespace {

void done(AdminCall& call) { call.sink->done(json::object{}); }

void stop(AdminCall& call) {
  call.sink->done(json::object{{"pid", getpid()}});
  call.node.shut_down("asked by an operator");
}

void stop_app(AdminCall& call) {
  call.node.stop_app([sink = call.sink] { sink->done(json::object{}); });
}

void start_app(AdminCall& call) {
  call.node.start_app(StartMode::serve, [sink = call.sink](const Result<void>& started) {
    if (!started) return sink->fail(started.error().code, started.error().text);
    sink->done(json::object{});
  });
}

void is_running(AdminCall& call) {
  call.sink->done(json::object{{"result", call.app != nullptr && !call.node.booting()}});
}

void is_booting(AdminCall& call) { call.sink->done(json::object{{"result", call.node.booting()}}); }

void await_startup(AdminCall& call) {
  if (call.app != nullptr) return done(call);
  call.sink->fail(Errc::timeout, "the broker on this node is not running");
}

}  // namespace

void add_lifecycle_methods(AdminTable& table) {
  table["ping"] = {Needs::nothing, done};
  table["stop"] = {Needs::nothing, stop};
  table["shutdown"] = {Needs::nothing, stop};
  table["stop_app"] = {Needs::nothing, stop_app};
  table["start_app"] = {Needs::nothing, start_app};
  table["is_running"] = {Needs::nothing, is_running};
  table["is_booting"] = {Needs::nothing, is_booting};
  table["await_startup"] = {Needs::nothing, await_startup};
}

}  // namespace warren::server
