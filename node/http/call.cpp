// How a request is let in, finds its handler and is answered.

#include "node/http/call.h"

#include "node/http/listing.h"
#include "node/http/page.h"
#include "node/server/admin.h"

#include <boost/asio/steady_timer.hpp>

#include <chrono>

namespace warren::http {

namespace json = boost::json;

namespace {

/// Keeps what a control method answers.
class Collector final : public transport::CallSink {
 public:
  explicit Collector(std::function<void(Collector&)> on_end) : on_end_(std::move(on_end)) {}

  bool row(const json::object& row) override {
    if (!ended) rows.push_back(row);
    return !ended;
  }
  void done(const json::value& value) override {
    if (ended) return;
    result = value;
    finish();
  }
  void fail(Errc code, std::string text) override {
    if (ended) return;
    error = Error{code, std::move(text)};
    finish();
  }
  bool closed() const override { return ended; }
  Millis deadline_ms() const override { return 0; }
  const transport::PeerIdentity& peer() const override { return peer_; }

  bool ended{false};
  json::array rows;
  json::value result;
  std::optional<Error> error;

 private:
  void finish() {
    ended = true;
    if (on_end_) on_end_(*this);
  }

  std::function<void(Collector&)> on_end_;
  transport::PeerIdentity peer_;
};

std::shared_ptr<Collector> collect(server::Node& node, std::string_view method, const json::object& args,
                                   std::function<void(Collector&)> on_end) {
  auto sink = std::make_shared<Collector>(std::move(on_end));
  server::handle_admin_call(node, std::string(method), args, sink);
  return sink;
}

}  // namespace

std::string Call::at(std::string_view name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

bool Call::sees(std::string_view vhost) {
  return has_tag(Tag::monitoring) || broker().access().can_access_vhost(user, vhost);
}

std::vector<std::string> Call::vhosts() {
  if (parameters.contains("vhost")) return {at("vhost")};
  std::vector<std::string> out;
  for (const auto& [name, vhost] : broker().catalogue().vhosts())
    if (sees(name)) out.push_back(name);
  return out;
}

void Call::respond(Response response) {
  if (!answer_) return;
  auto answer = std::move(answer_);
  answer_ = nullptr;
  answer(std::move(response));
}

void Call::ok(const json::value& value) {
  Response response;
  response.body = json::serialize(shape_object(value, request));
  respond(std::move(response));
}

void Call::list(json::array rows) {
  auto shaped = shape_rows(std::move(rows), request);
  if (!shaped) return fail(shaped.error());
  Response response;
  response.body = json::serialize(*shaped);
  respond(std::move(response));
}

void Call::created_or_updated(bool existed) {
  Response response;
  response.status = existed ? 204 : 201;
  respond(std::move(response));
}

void Call::no_content() { created_or_updated(true); }

void Call::fail(int status, std::string_view error, std::string_view reason) {
  respond(error_response(status, error, reason));
}

void Call::fail(const Error& error) {
  switch (error.code) {
    case Errc::not_found: return fail(404, "Object Not Found", error.text);
    case Errc::permission_denied:
    case Errc::unauthenticated: return fail(401, "not_authorised", error.text);
    case Errc::unavailable:
    case Errc::timeout: return fail(503, "unavailable", error.text);
    case Errc::unsupported: return fail(501, "not_implemented", error.text);
    case Errc::io:
    case Errc::corruption:
    case Errc::internal: return fail(500, "internal_error", error.text);
    default: return fail(400, "bad_request", error.text);
  }
}

void Call::not_found() { fail(404, "Object Not Found", "Not Found"); }

json::array Call::rows(std::string_view method, const json::object& args) {
  return std::move(collect(node, method, args, nullptr)->rows);
}

json::value Call::result(std::string_view method, const json::object& args) {
  return std::move(collect(node, method, args, nullptr)->result);
}

void Call::gather(const Question& question, Then then) {
  collect(node, question.method, question.args, [self = shared_from_this(), then = std::move(then)](Collector& got) {
    if (got.error) return self->fail(*got.error);
    if (self->node.app() == nullptr) return self->fail(503, "unavailable", "the broker on this node stops");
    then(std::move(got.rows));
  });
}

void Call::gather(const Question& one, const Question& other,
                  std::function<void(json::array, json::array)> then) {
  struct Both {
    std::optional<json::array> first, second;
    std::function<void(json::array, json::array)> then;
    void look() {
      if (first && second) std::exchange(then, nullptr)(std::move(*first), std::move(*second));
    }
  };
  auto both = std::make_shared<Both>();
  both->then = std::move(then);
  gather(one, [both](json::array rows) {
    both->first = std::move(rows);
    both->look();
  });
  gather(other, [both](json::array rows) {
    both->second = std::move(rows);
    both->look();
  });
}

void Call::ask(const std::string& member, const std::string& method,
               std::function<void(Result<json::value>)> then) {
  if (member != node.settings().node_name) {
    const Millis limit = node.settings().cluster.status_timeout_ms * 9 / 10;
    return node.cluster().ask(member, method, {}, limit,
                              [self = shared_from_this(), then = std::move(then)](Result<json::value> answer) {
                                then(std::move(answer));
                              });
  }
  collect(node, method, {}, [self = shared_from_this(), then = std::move(then)](Collector& got) {
    then(got.error ? Result<json::value>(*got.error) : Result<json::value>(std::move(got.result)));
  });
}

json::object Call::scope() const {
  const auto vhost = parameters.find("vhost");
  if (vhost == parameters.end()) return {{"all_vhosts", true}};
  return {{"vhost", vhost->second}};
}

void Call::give_up_in_time(std::string text) {
  if (answered()) return;
  heard_ms = node.loop().steady_ms();
  watch(std::move(text));
}

void Call::watch(std::string text) {
  const Millis end = heard_ms + node.settings().cluster.status_timeout_ms * 9 / 10;
  const std::chrono::milliseconds wait(end - node.loop().steady_ms());
  auto timer = std::make_shared<boost::asio::steady_timer>(node.loop().io(), wait);
  timer->async_wait([timer, before = heard_ms, call = weak_from_this(),
                     text = std::move(text)](boost::system::error_code ec) {
    const auto self = call.lock();
    if (!self || ec || self->answered()) return;
    self->node.loop().refresh();
    if (self->heard_ms != before) return self->watch(text);
    self->fail(503, "unavailable", text);
  });
}

void Call::run(std::string_view method, const json::object& args, std::function<void()> then) {
  collect(node, method, args, [self = shared_from_this(), then = std::move(then)](Collector& got) {
    if (got.error) return self->fail(*got.error);
    then();
  });
}

void Call::apply(const metadata::Command& command, std::function<void()> then) {
  broker().apply(command, [self = shared_from_this(), then = std::move(then)](Result<void> result) {
    if (!result) return self->fail(result.error());
    then();
  });
}

bool Call::read_body(json::object& out) {
  if (request.body.empty()) return true;
  boost::system::error_code ec;
  auto value = json::parse(request.body, ec);
  if (!ec && value.is_object()) {
    out = std::move(value.as_object());
    return true;
  }
  fail(400, "bad_request", ec ? "the body is no JSON" : "the body is no JSON object");
  return false;
}

// ---- letting in ---------------------------------------------------------------------------------

Response error_response(int status, std::string_view error, std::string_view reason) {
  Response response;
  response.status = status;
  response.body = json::serialize(json::object{{"error", error}, {"reason", reason}});
  return response;
}

namespace {

Result<access::Identity> authenticate(server::Node& node, const Request& request) {
  broker::Broker& broker = node.app()->broker();
  const std::int64_t now_s = broker.wall_ms() / 1000;
  if (const auto token = parse_bearer(request.authorization))
    return broker.access().authenticate("", *token, request.loopback, now_s);
  const auto login = parse_basic(request.authorization);
  if (!login) return make_error(Errc::unauthenticated, "no credentials");
  return broker.access().authenticate(login->first, login->second, request.loopback, now_s);
}

Response login_failed() {
  Response response = error_response(401, "not_authorised", "Login failed");
  response.headers.emplace_back("www-authenticate", "Basic realm=\"RabbitMQ Management\"");
  return response;
}

/// A vhost of the path must exist, and be one the user may look into or work in. False: answered.
bool vhost_allowed(Call& call, const Route& route) {
  if (!call.parameters.contains("vhost")) return true;
  const std::string vhost = call.at("vhost");
  if (call.broker().catalogue().find_vhost(vhost) == nullptr) {
    call.not_found();
    return false;
  }
  const bool enters = call.broker().access().can_access_vhost(call.user, vhost);
  const bool allowed = route.tag == Tag::administrator ||
                       (route.tag == Tag::policymaker && call.has_tag(Tag::administrator)) ||
                       (call.request.method == "GET" ? call.sees(vhost) : enters);
  if (!allowed) call.fail(401, "not_authorised", "User not authorised to access virtual host");
  return allowed;
}

void dispatch(const CallRef& call) {
  const std::vector<std::string> path(call->request.path.begin() + 1, call->request.path.end());
  Match match = match_route(all_routes(), call->request.method, path);
  if (match.route == nullptr) {
    if (match.methods.empty()) return call->not_found();
    Response response = error_response(405, "method_not_allowed", "Method Not Allowed");
    std::string allow;
    for (const auto& method : match.methods) allow += method + ", ";
    response.headers.emplace_back("allow", allow + "OPTIONS");
    if (call->request.method == "OPTIONS") {
      response.status = 200;
      response.body.clear();
    }
    return call->respond(std::move(response));
  }
  call->parameters = std::move(match.parameters);
  if (!call->has_tag(match.route->tag))
    return call->fail(401, "not_authorised", "User lacks the tag that this needs");
  if (vhost_allowed(*call, *match.route)) match.route->run(call);
}

}  // namespace

bool credentials_ok(server::Node& node, const Request& request) {
  return node.app() != nullptr && authenticate(node, request).has_value();
}

void handle(server::Node& node, Request request, std::function<void(Response)> answer) {
  const std::string& prefix = node.settings().http.path_prefix;
  if (!prefix.empty() && !request.path.empty() && "/" + request.path.front() == prefix)
    request.path.erase(request.path.begin());
  if (request.path.empty() && request.method == "GET") return answer(page_response());
  auto call = std::make_shared<Call>(node, std::move(request), std::move(answer));
  const Request& asked = call->request;
  if (asked.path.empty() || asked.path.front() != "api") return call->not_found();
  if (node.app() == nullptr) return call->fail(503, "unavailable", "the broker on this node is stopped");
  if (asked.method != "OPTIONS") {
    auto user = authenticate(node, asked);
    if (!user) {
      if (!asked.authorization.empty())
        node.log().warning(LogArea::general, "HTTP access denied: {}", user.error().text);
      return call->respond(login_failed());
    }
    call->user = std::move(*user);
    call->tags = call->broker().access().tags(call->user);
  } else {
    call->tags = {"administrator"};  // OPTIONS reaches no handler, only the list of methods
  }
  dispatch(call);
}

}  // namespace warren::http
