// Exchanges, queues and bindings: checks, then a command to the catalogue.

#include "node/broker/channel.h"
#include "node/broker/queue_arguments.h"

#include <algorithm>

namespace warren::broker {

using access::Permission;
using amqp::MethodId;
using amqp::ReplyCode;

namespace {

/// Names lose line breaks, as clients of RabbitMQ are used to (EXC-04, QUE-03).
std::string clean(std::string_view name) {
  std::string out(name);
  std::erase_if(out, [](char c) { return c == '\r' || c == '\n'; });
  return out;
}

}  // namespace

// ---- names and locks ----------------------------------------------------------------------------

bool Channel::resolve_name(std::string& name, MethodId id) {
  if (!name.empty()) return true;
  if (last_queue_.empty()) {
    error(ReplyCode::not_found, "no previously declared queue", id);
    return false;
  }
  name = last_queue_;
  return true;
}

bool Channel::own_queue(const metadata::QueueDef& def, MethodId id) {
  // Numbers of connections are a node's own: another node's may be the same.
  if (!def.exclusive || (def.owner_connection == session_.id() && broker_.is_home(def))) return true;
  error(ReplyCode::resource_locked,
        "cannot obtain exclusive access to locked " + where("queue", def.name) +
            ". It could be originally declared on another connection or the exclusive property value "
            "does not match that of the original declaration.",
        id);
  return false;
}

std::shared_ptr<QueueEndpoint> Channel::named_queue(std::string_view name, MethodId id) {
  auto queue = broker_.endpoint(vhost_name(), name);
  if (!queue) {
    error(ReplyCode::not_found, "no " + where("queue", name), id);
    return nullptr;
  }
  if (!own_queue(queue->def(), id)) return nullptr;
  if (queue->reachable()) return queue;
  queue_error(QueueError::home_down, queue->def(), id);
  return nullptr;
}

void Channel::queue_error(QueueError refused, const metadata::QueueDef& def, MethodId id) {
  if (refused == QueueError::exclusive_use)
    return error(ReplyCode::access_refused, where("queue", def.name) + " in exclusive use", id);
  if (refused == QueueError::home_down)
    return error(ReplyCode::not_found, broker_.home_down_text(def), id);
  error(ReplyCode::not_found, "no " + where("queue", def.name), id);
}

// ---- exchanges ----------------------------------------------------------------------------------

void Channel::on_exchange_declare(std::string_view arguments) {
  amqp::ExchangeDeclare method;
  if (!read(arguments, method)) return;
  const MethodId id = method.kId;
  const std::string name = clean(method.exchange);
  const auto* existing = broker_.catalogue().find_exchange(vhost_name(), name);
  const bool no_wait = method.no_wait;
  const auto ok = [this, no_wait] {
    if (!no_wait) reply(amqp::ExchangeDeclareOk{});
  };
  if (method.passive) {
    if (name.empty() || existing == nullptr)
      return name.empty() ? error(ReplyCode::access_refused,
                                  "operation not permitted on the default exchange", id)
                          : error(ReplyCode::not_found, "no " + where("exchange", name), id);
    return ok();
  }
  if (name.empty())
    return error(ReplyCode::access_refused, "operation not permitted on the default exchange", id);
  if (!allowed(Permission::configure, name, true, id)) return;
  auto table = FieldTable::decode(method.arguments.pairs);
  if (!table) return error(ReplyCode::syntax_error, "malformed arguments", id);
  metadata::ExchangeDef def;
  def.vhost = vhost_name();
  def.name = name;
  def.type = method.type;
  def.durable = method.durable;
  def.auto_delete = method.auto_delete;
  def.internal = method.internal;
  def.arguments = std::move(*table);
  def.user = session_.user();
  if (!routing::known_exchange_type(def.type))
    // 3.10 closes the connection (503), 4.x the channel; the milder answer serves both.
    return error(ReplyCode::precondition_failed, "invalid exchange type '" + def.type + "'", id);
  if (existing != nullptr) {
    if (auto same = check_equivalence(*existing, def); !same) return error(same.error(), id);
    return ok();
  }
  if (name.starts_with("amq."))
    return error(ReplyCode::access_refused,
                 "exchange name '" + name + "' contains reserved prefix 'amq.*'", id);
  if (auto valid = routing::validate_exchange(def); !valid) return error(valid.error(), id);
  if (auto valid = validate_exchange_arguments(def); !valid) return error(valid.error(), id);
  if (const auto alternate = text_argument(def.arguments, "alternate-exchange"))
    if (!allowed(Permission::read, name, true, id) ||
        !allowed(Permission::write, std::string(*alternate), true, id))
      return;
  apply(metadata::DeclareExchange{std::move(def)}, id, ok);
}

void Channel::on_exchange_delete(std::string_view arguments) {
  amqp::ExchangeDelete method;
  if (!read(arguments, method)) return;
  const std::string name = clean(method.exchange);
  const bool no_wait = method.no_wait;
  if (name.empty())
    return error(ReplyCode::access_refused, "operation not permitted on the default exchange", method.kId);
  if (name.starts_with("amq."))
    return error(ReplyCode::access_refused,
                 "deletion of system " + where("exchange", name) + " not allowed", method.kId);
  if (!allowed(Permission::configure, name, true, method.kId)) return;
  const auto ok = [this, no_wait] {
    if (!no_wait) reply(amqp::ExchangeDeleteOk{});
  };
  if (broker_.catalogue().find_exchange(vhost_name(), name) == nullptr)
    return look_again() ? void() : ok();
  apply(metadata::DeleteExchange{vhost_name(), name, method.if_unused}, method.kId, ok);
}

void Channel::on_exchange_bind(MethodId id, std::string_view arguments) {
  amqp::ExchangeBind method;  // unbind has the same fields
  if (!read(arguments, method)) return;
  metadata::BindingDef def;
  def.vhost = vhost_name();
  def.source = clean(method.source);
  def.destination = clean(method.destination);
  def.to_queue = false;
  def.routing_key = method.routing_key;
  auto table = FieldTable::decode(method.arguments.pairs);
  if (!table) return error(ReplyCode::syntax_error, "malformed arguments", id);
  def.arguments = std::move(*table);
  if (def.source.empty() || def.destination.empty())
    return error(ReplyCode::access_refused, "operation not permitted on the default exchange", id);
  bind(std::move(def), id == amqp::ExchangeUnbind::kId, id, method.no_wait);
}

// ---- queues -------------------------------------------------------------------------------------

void Channel::on_queue_declare(std::string_view arguments) {
  amqp::QueueDeclare method;
  if (!read(arguments, method)) return;
  const MethodId id = method.kId;
  std::string name = clean(method.queue);
  const bool no_wait = method.no_wait;
  if (name == kReplyTo || name.starts_with(kReplyToPrefix)) {
    return declare_reply_queue(name, no_wait);
  }
  if (method.passive) {
    auto queue = named_queue(name, id);  // here "" is not the last queue (QUE-02)
    if (!queue) return;
    last_queue_ = name;
    return reply_declare(name, no_wait);
  }
  auto table = FieldTable::decode(method.arguments.pairs);
  if (!table) return error(ReplyCode::syntax_error, "malformed arguments", id);
  metadata::QueueDef def;
  def.vhost = vhost_name();
  def.durable = method.durable;
  def.exclusive = method.exclusive;
  def.auto_delete = method.auto_delete;
  def.arguments = std::move(*table);
  def.user = session_.user();
  def.owner_connection = method.exclusive ? session_.id() : 0;
  def.home = broker_.options().self;
  const bool generated = name.empty();
  if (!generated && name.starts_with("amq."))  // even one that exists (QUE-03)
    return error(ReplyCode::access_refused,
                 "queue name '" + name + "' contains reserved prefix 'amq.*'", id);
  if (generated) name = broker_.random_name("amq.gen-");
  def.name = name;
  const auto* vhost = broker_.catalogue().find_vhost(vhost_name());
  const auto type = queue_type_of(def, vhost == nullptr ? "" : vhost->def.default_queue_type,
                                  broker_.options().default_queue_type);
  if (!type) return error(type.error(), id);
  def.type = *type;
  if (generated && def.type != metadata::QueueType::classic &&
      text_argument(def.arguments, "x-queue-type"))
    return error(ReplyCode::precondition_failed,
                 "cannot declare a server-named queue of type " + std::string(queue_type_name(def.type)),
                 id);
  if (!allowed(Permission::configure, name, false, id)) return;
  if (auto existing = broker_.endpoint(vhost_name(), name)) {
    if (!own_queue(existing->def(), id)) return;
    if (!existing->reachable()) return queue_error(QueueError::home_down, existing->def(), id);
    if (auto same = check_equivalence(existing->def(), def); !same) {
      if (same.error().code == Errc::already_exists)  // locked, not inequivalent (QUE-05)
        return error(ReplyCode::resource_locked, same.error().text, id);
      return error(same.error(), id);
    }
    existing->touched();
    last_queue_ = name;
    return reply_declare(name, no_wait);
  }
  create_queue(std::move(def), no_wait);
}

/// Tells whether a requester is still there (CNS-24).
void Channel::declare_reply_queue(const std::string& name, bool no_wait) {
  const auto answer = [this, name, no_wait](bool known) {
    if (!known) return error(ReplyCode::not_found, "no " + where("queue", name), amqp::QueueDeclare::kId);
    amqp::QueueDeclareOk ok;
    ok.queue = name;
    ok.consumer_count = 1;
    if (!no_wait) reply(ok);
  };
  const std::uint64_t member = reply_member(name);
  if (name == kReplyTo || broker_.replies().find(name) != nullptr) return answer(true);
  if (member == 0 || member == broker_.options().self) return answer(false);
  broker_.pipes().ask_reply(member, name, [alive = alive(), answer, resume = suspend()](bool known) {
    if (alive.expired()) return;
    answer(known);
    resume();
  });
}

void Channel::create_queue(metadata::QueueDef def, bool no_wait) {
  const MethodId id = amqp::QueueDeclare::kId;
  if (auto valid = validate_queue_arguments(def); !valid) return error(valid.error(), id);
  if (const auto dlx = text_argument(def.arguments, "x-dead-letter-exchange"))
    if (!allowed(Permission::read, def.name, false, id) || !allowed(Permission::write, std::string(*dlx), true, id))
      return;
  last_queue_ = def.name;
  const std::string name = def.name;
  apply(metadata::DeclareQueue{std::move(def)}, id,
        [this, name, no_wait] { reply_declare(name, no_wait); });
}

void Channel::reply_declare(const std::string& name, bool no_wait) {
  if (no_wait) return;
  const auto answer = [this, name](const QueueDepth& depth) {
    amqp::QueueDeclareOk ok;
    ok.queue = name;
    ok.message_count = static_cast<std::uint32_t>(std::min<std::uint64_t>(depth.ready, UINT32_MAX));
    ok.consumer_count = static_cast<std::uint32_t>(depth.consumers);
    reply(ok);
  };
  auto queue = broker_.endpoint(vhost_name(), name);
  if (!queue) return answer({});
  QueueEndpoint& endpoint = *queue;
  endpoint.ask_depth([this, alive = alive(), queue, answer,
                      resume = suspend()](const Asked<QueueDepth>& depth) {
    if (alive.expired()) return;
    if (depth.error == QueueError::none)
      answer(depth.value);
    else
      queue_error(depth.error, queue->def(), amqp::QueueDeclare::kId);
    resume();
  });
}

void Channel::on_queue_bind(MethodId id, std::string_view arguments) {
  metadata::BindingDef def;
  def.vhost = vhost_name();
  std::string_view pairs;
  bool no_wait = false;
  if (id == amqp::QueueBind::kId) {
    amqp::QueueBind method;
    if (!read(arguments, method)) return;
    def.destination = clean(method.queue);
    def.source = clean(method.exchange);
    def.routing_key = method.routing_key;
    pairs = method.arguments.pairs;
    no_wait = method.no_wait;
  } else {
    amqp::QueueUnbind method;
    if (!read(arguments, method)) return;
    def.destination = clean(method.queue);
    def.source = clean(method.exchange);
    def.routing_key = method.routing_key;
    pairs = method.arguments.pairs;
  }
  auto table = FieldTable::decode(pairs);
  if (!table) return error(ReplyCode::syntax_error, "malformed arguments", id);
  def.arguments = std::move(*table);
  const bool unnamed = def.destination.empty();
  if (!resolve_name(def.destination, id)) return;
  if (unnamed && def.routing_key.empty()) def.routing_key = def.destination;
  if (def.destination == kReplyTo || def.destination.starts_with(kReplyToPrefix))
    return error(ReplyCode::access_refused, "operation not permitted on " + def.destination, id);
  if (def.source.empty())
    return error(ReplyCode::access_refused, "operation not permitted on the default exchange", id);
  bind(std::move(def), id == amqp::QueueUnbind::kId, id, no_wait);
}

void Channel::bind(metadata::BindingDef def, bool remove, MethodId id, bool no_wait) {
  if (!allowed(Permission::write, def.destination, !def.to_queue, id)) return;
  if (!allowed(Permission::read, def.source, true, id)) return;
  const auto* source = broker_.catalogue().find_exchange(vhost_name(), def.source);
  const bool queue_there = def.to_queue &&
                           broker_.catalogue().find_queue(vhost_name(), def.destination) != nullptr;
  const bool there = def.to_queue
                         ? queue_there
                         : broker_.catalogue().find_exchange(vhost_name(), def.destination) != nullptr;
  const auto ok = [this, remove, to_queue = def.to_queue, no_wait] {
    if (no_wait) return;
    if (to_queue && remove) reply(amqp::QueueUnbindOk{});
    if (to_queue && !remove) reply(amqp::QueueBindOk{});
    if (!to_queue && remove) reply(amqp::ExchangeUnbindOk{});
    if (!to_queue && !remove) reply(amqp::ExchangeBindOk{});
  };
  if (!there) {
    if (remove) return look_again() ? void() : ok();
    return error(ReplyCode::not_found,
                 "no " + where(def.to_queue ? "queue" : "exchange", def.destination), id);
  }
  if (source == nullptr) {
    if (remove) return look_again() ? void() : ok();
    return error(ReplyCode::not_found, "no " + where("exchange", def.source), id);
  }
  if (def.to_queue &&
      !own_queue(*broker_.catalogue().find_queue(vhost_name(), def.destination), id))
    return;
  if (auto queue = def.to_queue ? broker_.endpoint(vhost_name(), def.destination) : nullptr;
      queue && !queue->reachable())
    return queue_error(QueueError::home_down, queue->def(), id);
  if (source->type == "topic") {
    auto granted = broker_.access().require_topic(session_.who(), vhost_name(), def.source,
                                                  def.routing_key, Permission::read);
    if (!granted) return error(granted.error(), id);
  }
  if (remove) return apply(metadata::Unbind{std::move(def)}, id, ok);
  if (auto valid = routing::validate_binding(*source, def); !valid) return error(valid.error(), id);
  apply(metadata::Bind{std::move(def)}, id, ok);
}

void Channel::on_queue_purge(std::string_view arguments) {
  amqp::QueuePurge method;
  if (!read(arguments, method)) return;
  std::string name = clean(method.queue);
  if (!resolve_name(name, method.kId) || !allowed(Permission::read, name, false, method.kId)) return;
  auto queue = named_queue(name, method.kId);
  if (!queue) return;
  if (queue->def().type == metadata::QueueType::stream)
    return error(ReplyCode::not_implemented, "purge of a stream: " + where("queue", name), method.kId);
  const bool no_wait = method.no_wait;
  QueueEndpoint& endpoint = *queue;
  endpoint.purge([this, alive = alive(), queue, no_wait,
                  resume = suspend()](const Asked<std::uint64_t>& removed) {
    if (alive.expired()) return;
    amqp::QueuePurgeOk ok;
    ok.message_count = static_cast<std::uint32_t>(removed.value);
    if (removed.error != QueueError::none)
      queue_error(removed.error, queue->def(), amqp::QueuePurge::kId);
    else if (!no_wait)
      reply(ok);
    resume();
  });
}

void Channel::on_queue_delete(std::string_view arguments) {
  amqp::QueueDelete method;
  if (!read(arguments, method)) return;
  const MethodId id = method.kId;
  std::string name = clean(method.queue);
  if (!resolve_name(name, id)) return;
  if (!allowed(Permission::configure, name, false, id)) return;
  const bool no_wait = method.no_wait;
  const auto ok = [this, no_wait](std::uint64_t messages) {
    amqp::QueueDeleteOk done;
    done.message_count = static_cast<std::uint32_t>(messages);
    if (!no_wait) reply(done);
  };
  auto queue = broker_.endpoint(vhost_name(), name);
  if (!queue) return look_again() ? void() : ok(0);
  if (!own_queue(queue->def(), id)) return;
  if (!queue->reachable()) return queue_error(QueueError::home_down, queue->def(), id);
  if (queue->def().type == metadata::QueueType::quorum && (method.if_unused || method.if_empty))
    return error(ReplyCode::not_implemented,
                 "cannot delete " + where("queue", name) +
                     ". queue.delete operations with if-unused or if-empty flag set are not "
                     "supported by quorum queues",
                 id);
  QueueEndpoint& endpoint = *queue;
  endpoint.ask_depth([this, alive = alive(), queue, ok, if_unused = method.if_unused,
                      if_empty = method.if_empty, resume = suspend()](const Asked<QueueDepth>& depth) {
    if (alive.expired()) return;
    const auto& def = queue->def();
    const std::uint64_t count = depth.value.ready;
    if (depth.error != QueueError::none)
      queue_error(depth.error, def, amqp::QueueDelete::kId);
    else if (if_unused && depth.value.consumers > 0)
      error(ReplyCode::precondition_failed, where("queue", def.name) + " in use", amqp::QueueDelete::kId);
    else if (if_empty && count > 0)
      error(ReplyCode::precondition_failed, where("queue", def.name) + " not empty", amqp::QueueDelete::kId);
    else
      apply(metadata::DeleteQueue{def.vhost, def.name, def.uid}, amqp::QueueDelete::kId,
            [ok, count] { ok(count); });
    resume();
  });
}

}  // namespace warren::broker
