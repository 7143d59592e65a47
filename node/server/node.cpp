#include "node/server/node.h"

#include "cluster/transport/tls.h"
#include "node/config/erlang_terms.h"
#include "node/server/admin.h"
#include "node/server/version.h"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace warren::server {

namespace fs = std::filesystem;

namespace {

constexpr int kLockAttempts = 20;
constexpr std::chrono::milliseconds kLockPause{50};

void random_bytes(char* into, std::size_t size) {
  for (std::size_t got = 0; got < size;) {
    const ssize_t n = getrandom(into + got, size - got, 0);
    if (n > 0) got += static_cast<std::size_t>(n);
  }
}

}  // namespace

Node::Node(config::Config config)
    : config_(std::move(config)),
      settings_(config::make_settings(config_)),
      signals_(loop_.io()) {}

Node::~Node() = default;

int Node::run() {
  booting_ = true;
  started_wall_ms_ = loop_.wall_ms();
  if (auto ready = prepare(); !ready) {
    fail(ready.error());
    return exit_code_;
  }
  print_banner();
  await_signals();
  start_app(StartMode::serve, [this](const Result<void>& started) {
    booting_ = false;
    if (stopping_) return;
    if (!started) {
      fail(started.error());
      return loop_.stop();
    }
    write_pid_file();
    std::printf(" completed with 0 plugins.\n");
    std::fflush(stdout);
    log_->info(LogArea::general, "Server startup complete; node {} is up", settings_.node_name);
  });
  loop_.run();
  cluster_->stop();
  if (exit_code_ != 0) return exit_code_;
  control_->stop();
  if (!settings_.keep_pid_file) {
    std::error_code ignored;
    fs::remove(settings_.pid_file, ignored);
  }
  log_->flush();
  return exit_code_;
}

Result<void> Node::prepare() {
  std::error_code ec;
  fs::create_directories(settings_.data_dir, ec);
  if (ec)
    return make_error(Errc::io, "cannot make the data directory " + settings_.data_dir + ": " + ec.message());
  if (!settings_.logs.path.empty())
    fs::create_directories(fs::path(settings_.logs.path).parent_path(), ec);
  auto log = config::LogSink::open(settings_.logs, settings_.node_name);
  if (!log) return log.error();
  log_ = std::move(*log);
  for (const auto& line : config_.warnings()) log_->warning(LogArea::general, "{}", line);

  transport::CookieSearch search;
  if (settings_.cookie) search.environment = *settings_.cookie;
  search.files = {settings_.cookie_file};
  search.create = true;
  auto cookie = transport::find_cookie(search);
  if (!cookie) return cookie.error();
  cookie_ = std::move(*cookie);
  if (!cookie_.warning.empty()) log_->warning(LogArea::general, "{}", cookie_.warning);

  const auto tls = transport::tls_files([this, environment = config::process_environment()](const std::string& name) {
    return config::look_up(environment, config_.env(), name).value_or("");
  });
  if (auto used = transport::use_tls(tls); !used) return used;
  if (!tls.empty()) log_->info(LogArea::cluster, "other nodes and the tools must use TLS, certificate {}", tls.certificate);

  if (auto loaded = load_identity(); !loaded) return loaded;
  control_ = std::make_unique<transport::ControlServer>(*this, loop_, *log_);
  transport::ControlServerOptions options;
  if (!settings_.cluster.dist_address.empty()) options.address = settings_.cluster.dist_address;
  options.port = settings_.cluster.dist_port;
  options.cookies = {cookie_};
  options.identity = identity_;
  options.memory_quota_bytes = 16U << 20;
  cluster_ = std::make_unique<ClusterService>(*this);
  cluster_->open(identity_, {cookie_});
  options.modules = {cluster_->module()};
  options.on_cookies = [this](std::vector<transport::Cookie> cookies) {
    loop_.post([this, cookies = std::move(cookies)] { cluster_->cookies_changed(cookies); });
  };
  auto port = control_->start(std::move(options));
  if (!port) return port.error();
  cluster_->serve(*port);

  transport::NodeEntry entry;
  entry.name = settings_.node_name;
  entry.port = *port;
  entry.amqp_port = settings_.listeners.empty() ? std::uint16_t{0} : settings_.listeners.front().port;
  entry.pid = getpid();
  entry.cookie_file = cookie_.file;
  auto registered = transport::NodeRegistration::publish(entry, transport::registry_directories());
  if (!registered) {
    if (registered.error().code == Errc::already_exists) return registered.error();
    log_->warning(LogArea::general, "tools of this host must be told the port: {}", registered.error().text);
  } else {
    registration_ = std::move(*registered);
  }
  return {};
}

/// Who this node is and where it belongs (architecture §3): read, or made with the data directory.
Result<void> Node::load_identity() {
  // A tool holds it for moments only.
  auto lock = membership::StateLock::take(settings_.data_dir);
  for (int again = 0; !lock && lock.error().code == Errc::conflict && again < kLockAttempts; ++again) {
    std::this_thread::sleep_for(kLockPause);
    lock = membership::StateLock::take(settings_.data_dir);
  }
  if (!lock) return lock.error();
  state_lock_ = std::move(*lock);
  membership::StateFile file(settings_.data_dir);
  auto stored = file.read();
  if (!stored) return stored.error();
  if (*stored) {
    state_ = std::move(**stored);
  } else {
    state_.node_id = membership::make_id(random_bytes);
  }
  if (auto may = membership::may_use_data(release(), state_.flags, state_.release); !may)
    return make_error(may.error().code, may.error().text + " (" + settings_.data_dir + ")");
  state_.release = release().version;
  ++state_.incarnation;
  if (auto written = file.write(state_); !written) return written;
  identity_.node_name = settings_.node_name;
  identity_.product_version = release().version;
  identity_.node_id = state_.node_id;
  identity_.cluster_id = membership::to_hex(state_.cluster_id);
  return {};
}

void Node::write_pid_file() {
  if (settings_.pid_file.empty()) return;
  std::ofstream out(settings_.pid_file, std::ios::trunc);
  out << getpid() << "\n";
  if (!out) log_->warning(LogArea::general, "cannot write the pid file {}", settings_.pid_file);
}

void Node::print_banner() {
  std::printf("\n  Warren %s (RabbitMQ %s compatible)\n\n", kVersion.data(), kCompatible);
  std::printf("  Node:        %s\n", settings_.node_name.c_str());
  std::printf("  Data:        %s\n", settings_.data_dir.c_str());
  std::printf("  Logs:       ");
  for (const auto& place : log_->places()) std::printf(" %s", place.c_str());
  std::printf("\n  Config:     ");
  if (config_.files().empty()) std::printf(" (none)");
  for (const auto& file : config_.files()) std::printf(" %s", file.c_str());
  std::printf("\n\n  Starting broker...");
  std::fflush(stdout);
}

void Node::await_signals() {
  signals_.add(SIGINT);
  signals_.add(SIGTERM);
  signals_.add(SIGHUP);
  signals_.async_wait([this](boost::system::error_code ec, int number) {
    if (ec) return;
    if (number == SIGHUP) {
      if (auto rotated = log_->rotate(); !rotated)
        log_->error(LogArea::general, "{}", rotated.error().text);
      return await_signals();
    }
    shut_down(number == SIGINT ? "SIGINT" : "SIGTERM");
  });
}

void Node::fail(const Error& error) {
  if (log_) {
    log_->error(LogArea::general, "BOOT FAILED: {}", error.text);
    log_->flush();
  }
  std::fprintf(stderr, "\nBOOT FAILED\n===========\nError: %s\n\n", error.text.c_str());
  exit_code_ = error.code == Errc::invalid_argument || error.code == Errc::not_found ? 78 : 1;
  if (control_) control_->stop();
}

Result<void> Node::put_local_state(membership::LocalState state) {
  state.release = release().version;
  if (auto written = membership::StateFile(settings_.data_dir).write(state); !written) return written;
  state_ = std::move(state);
  identity_.node_id = state_.node_id;
  identity_.cluster_id = membership::to_hex(state_.cluster_id);
  control_->sessions().set_self(identity_);
  cluster_->identity_changed(identity_);
  return {};
}

void Node::start_app(StartMode mode, std::function<void(Result<void>)> done) {
  if (app_running_) return done({});
  start_waiters_.push_back(std::move(done));
  if (start_waiters_.size() > 1) return;  // on its way
  if (app_) return app_started(make_error(Errc::conflict, "the broker on this node stops; try again"));
  cluster_->before_app([this, mode](const Result<void>& ready) {
    if (!ready) return app_started(ready);
    launch(mode);
  });
}

void Node::launch(StartMode mode) {
  if (started_before_) {
    // What the last app proposed must not be taken for the first proposals of this one.
    membership::LocalState next = state_;
    ++next.incarnation;
    if (auto put = put_local_state(std::move(next)); !put) return app_started(put);
  }
  started_before_ = true;
  AppIdentity identity;
  identity.self = raft::NodeId(membership::member_number(state_.node_id));
  identity.cluster = membership::cluster_number(state_.cluster_id);
  identity.incarnation = state_.incarnation;
  identity.joins = !state_.alone();
  identity.synced = state_.synced;
  identity.taking_over = state_.taking_over;
  identity.ram = state_.ram;
  identity.serves = mode == StartMode::serve;
  identity.consensus = &cluster_->net().lane(transport::Lane::consensus);
  identity.in_maintenance = [this](std::uint64_t member) { return cluster_->in_maintenance(member); };
  identity.queues = &cluster_->net().lane(transport::Lane::queues);
  identity.metadata = &cluster_->net().lane(transport::Lane::metadata);
  app_ = std::make_unique<App>(loop_, settings_, identity, *log_, [this](const Error& error) {
    // Fail-stop: nothing that was not synced may be confirmed, so nothing more is said at all.
    log_->error(LogArea::storage, "the store failed, the node stops at once: {}", error.text);
    log_->flush();
    std::fprintf(stderr, "the store failed: %s\n", error.text.c_str());
    std::_Exit(1);
  });
  // An app that fails to start calls from its own members.
  app_->start([this, mode, which = app_.get()](Result<void> result) {
    // The state file follows the catalogue; a crash in between leaves it behind.
    if (result) result = membership::may_use_data(release(), which->broker().catalogue().cluster().flags, "");
    if (result) {
      which->broker().on_members([this] { cluster_->members_changed(); });
      cluster_->app_started();
      app_running_ = mode == StartMode::serve;
      return cluster_->await_vote([this, result] { app_started(result); });
    }
    loop_.post([this, which, result] {
      drop_app(which);
      app_started(result);
    });
  });
  if (!app_running_) cluster_->app_opened();
}

void Node::app_started(const Result<void>& result) {
  if (app_running_) {
    if (auto plugins = plugins_changed(); !plugins)
      log_->error(LogArea::general, "plugins: {}", plugins.error().text);
    // Lines are logged on any thread; the exchange belongs to the loop.
    log_->set_exchange_hook([this](LogLevel level, LogArea, std::string line) {
      loop_.post([this, level, line = std::move(line)]() mutable {
        if (app_running_) app_->publish_log_line(level, std::move(line));
      });
    });
  }
  for (auto& done : std::exchange(start_waiters_, {})) done(result);
}

std::vector<std::string> Node::enabled_plugins() const {
  if (settings_.enabled_plugins) return *settings_.enabled_plugins;
  std::ifstream in(settings_.enabled_plugins_file);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  std::vector<std::string> names;
  auto term = config::parse_term(text, settings_.enabled_plugins_file);
  if (term && term->is_list())
    for (const auto& item : term->items) names.push_back(item.text);
  return names;
}

Result<void> Node::plugins_changed() {
  if (!app_running_) return {};
  const auto names = enabled_plugins();
  app_->apply_plugins(names);
  running_plugins_.clear();
  for (const auto& name : names) {
    if (name == "rabbitmq_event_exchange" || name == "rabbitmq_management") running_plugins_.push_back(name);
    if (name == "rabbitmq_management")
      for (const char* part : {"rabbitmq_management_agent", "rabbitmq_web_dispatch"}) running_plugins_.emplace_back(part);
  }
  if (!plugins_hook_) return {};
  return plugins_hook_(names);
}

void Node::stop_app(std::function<void()> done) {
  if (!app_) return done();
  if (app_running_ && plugins_hook_) (void)plugins_hook_({});
  running_plugins_.clear();
  app_running_ = false;
  app_->stop([this, which = app_.get(), done = std::move(done)] {
    // The app is on the stack of whoever tells us; it goes with the next turn.
    loop_.post([this, which, done] {
      drop_app(which);
      done();
    });
  });
}

void Node::drop_app(const App* which) {
  if (app_.get() != which) return;
  loop_.on_turn([] {});
  cluster_->app_stopped();
  app_.reset();
}

void Node::shut_down(const std::string& why) {
  if (stopping_) return;
  stopping_ = true;
  log_->info(LogArea::general, "node {} stops: {}", settings_.node_name, why);
  stop_app([this] { loop_.stop(); });
}

void Node::call(std::string method, boost::json::object args,
                std::shared_ptr<transport::CallSink> sink) {
  auto work = [this, method = std::move(method), args = std::move(args), sink = std::move(sink)]() mutable {
    loop_.refresh();
    handle_admin_call(*this, method, args, sink);
    loop_.want_turn();
  };
  loop_.post(std::move(work));
}

}  // namespace warren::server
