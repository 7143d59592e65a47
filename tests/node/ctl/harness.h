#pragma once
// A node that is only a control server with canned answers, and a tool run against it.

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <functional>
#include <map>
#include <sstream>

#include "base/clock.h"
#include "cluster/transport/control_server.h"
#include "cluster/transport/node_registry.h"
#include "node/ctl/context.h"
#include "tests/cluster/transport/support.h"

namespace warren::ctl {

using transport::MemoryLogger;
using transport::TempDir;

/// What the fake node answers to one method.
struct Canned {
  std::vector<json::object> rows{};
  json::value result = json::object{};
  std::optional<Error> error{};
};

class FakeNode final : public transport::Handler {
 public:
  void call(std::string method, json::object args,
            std::shared_ptr<transport::CallSink> sink) override {
    const std::lock_guard guard(lock_);
    calls_.emplace_back(method, args);
    const auto found = answers_.find(method);
    if (found == answers_.end()) return sink->fail(Errc::unsupported, "unknown method " + method);
    for (const json::object& row : found->second.rows) sink->row(row);
    if (found->second.error)
      return sink->fail(found->second.error->code, found->second.error->text);
    sink->done(found->second.result);
  }
  void on(const std::string& method, Canned canned = {}) {
    const std::lock_guard guard(lock_);
    answers_[method] = std::move(canned);
  }
  /// Arguments of the last call of a method.
  json::object args_of(const std::string& method) const {
    const std::lock_guard guard(lock_);
    for (auto call = calls_.rbegin(); call != calls_.rend(); ++call) {
      if (call->first == method) return call->second;
    }
    return {};
  }
  std::size_t call_count() const {
    const std::lock_guard guard(lock_);
    return calls_.size();
  }

 private:
  mutable std::mutex lock_;
  std::map<std::string, Canned> answers_;
  std::vector<std::pair<std::string, json::object>> calls_;
};

/// What a tool printed and how it ended.
struct Printed {
  int exit{-1};
  std::string out;
  std::string err;
};

class CtlTest : public ::testing::Test {
 protected:
  void SetUp() override { start_node("rabbit@localhost", "COOKIECOOKIECOOKIE12"); }

  void start_node(const std::string& name, const std::string& secret) {
    transport::ControlServerOptions options;
    options.address = "127.0.0.1";
    options.cookies = {transport::cookie_of(secret)};
    options.identity = transport::identity(name);
    options.registry = {dir_.path("run")};
    registration_ = {};
    server_ = std::make_unique<transport::ControlServer>(node_, clock_, log_);
    const auto port = server_->start(options);
    ASSERT_TRUE(port) << port.error().text;
    transport::NodeEntry entry;
    entry.name = name;
    entry.port = *port;
    entry.pid = ::getpid();
    auto registered = transport::NodeRegistration::publish(entry, {dir_.path("run")});
    ASSERT_TRUE(registered) << registered.error().text;
    registration_ = std::move(*registered);
    cookie_file_ = dir_.path("cookie");
    ::unlink(cookie_file_.c_str());
    dir_.write("cookie", secret, 0400);
  }

  Printed run(const std::vector<std::string>& args, unsigned scope = kCtl) {
    std::ostringstream out;
    std::ostringstream err;
    std::istringstream in(input_);
    Surroundings world{.out = out, .err = err, .in = in};
    world.short_host = "localhost";
    world.long_host = "localhost.example";
    world.env = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = env_.find(name);
      return found == env_.end() ? std::nullopt : std::optional<std::string>(found->second);
    };
    world.registry =
        tool_registry_.empty() ? std::vector<std::string>{dir_.path("run")} : tool_registry_;
    world.cookie_files = {cookie_file_};
    world.read_password = [&in](const std::string&) {
      std::string line;
      std::getline(in, line);
      return line;
    };
    world.sleep_ms = [](long) {};
    Printed printed;
    printed.exit = warren::ctl::run(world, scope, args);
    printed.out = out.str();
    printed.err = err.str();
    return printed;
  }

  TempDir dir_;
  ManualClock clock_;
  MemoryLogger log_;
  FakeNode node_;
  std::unique_ptr<transport::ControlServer> server_;
  transport::NodeRegistration registration_;
  std::string cookie_file_;
  std::vector<std::string> tool_registry_;
  std::string input_;
  std::map<std::string, std::string> env_;
};

}  // namespace warren::ctl
