// A whole broker and two clients on a memory disc. The input is a script of methods with names from
// small pools, so that runs are deep rather than refused at the door; raw bytes are one of the
// moves. Every frame sent is checked (session_world.h), every queue's invariants after every turn.

#include "tests/fuzz/session_world.h"

using namespace warren;
using namespace warren::amqp;
using fuzz::Client;
using fuzz::World;

namespace {

constexpr std::string_view kQueues[] = {"q0", "q1", "q2", "q3", ""};
constexpr std::string_view kExchanges[] = {"",           "amq.direct", "amq.topic", "amq.headers",
                                           "amq.fanout", "x0",         "x1",        "gone"};
constexpr std::string_view kTypes[] = {"direct", "topic", "fanout", "headers", "x-consistent-hash",
                                       "x-modulus-hash", "x-random", "nope"};
constexpr std::string_view kKeys[] = {"q0", "q1", "q2", "a.b", "#", "a.*", "1", "",
                                      "amq.rabbitmq.reply-to"};
constexpr std::string_view kTags[] = {"c0", "c1", ""};

template <std::size_t N>
std::string_view pick(Input& in, const std::string_view (&pool)[N]) {
  return pool[in.below(N)];
}

/// Arguments of queues and exchanges, a few bits each.
std::string arguments(Input& in) {
  FieldTable t;
  const auto bits = in.byte();
  if ((bits & 1) != 0) t.set("x-dead-letter-exchange", std::string(pick(in, kExchanges)));
  if ((bits & 2) != 0) t.set("x-message-ttl", static_cast<std::int32_t>(in.below(4) * 100));
  if ((bits & 4) != 0) t.set("x-max-length", static_cast<std::int32_t>(in.below(4)));
  if ((bits & 8) != 0)
    t.set("x-overflow", in.below(2) == 0 ? "reject-publish" : "reject-publish-dlx");
  if ((bits & 16) != 0) t.set("x-max-priority", static_cast<std::int32_t>(in.below(6)));
  if ((bits & 32) != 0) t.set("x-single-active-consumer", true);
  if ((bits & 64) != 0) t.set("x-queue-type", in.below(2) == 0 ? "quorum" : "classic");
  if ((bits & 128) != 0) {
    t.set("x-dead-letter-routing-key", std::string(pick(in, kKeys)));
    t.set("x-expires", std::int32_t{1000});
    t.set("alternate-exchange", std::string(pick(in, kExchanges)));
    t.set("x-match", in.below(2) == 0 ? "any" : "all");
  }
  return t.encode();
}

std::string properties(Input& in) {
  BasicProperties p;
  const auto bits = in.byte();
  if ((bits & 1) != 0) p.delivery_mode = 2;
  if ((bits & 2) != 0) p.priority = static_cast<std::uint8_t>(in.below(12));
  if ((bits & 4) != 0) p.expiration = std::to_string(in.below(3) * 100);
  if ((bits & 8) != 0) p.headers.emplace().set("CC", FieldArray{std::string(pick(in, kKeys))});
  if ((bits & 16) != 0) {
    if (!p.headers) p.headers.emplace();
    p.headers->set("BCC", FieldArray{std::string(pick(in, kKeys))});
  }
  if ((bits & 32) != 0) p.reply_to = "amq.rabbitmq.reply-to";
  if ((bits & 64) != 0) p.user_id = "guest";
  if ((bits & 128) != 0) p.expiration = "junk";
  return encode_properties(p);
}

void publish(Input& in, std::string& out, std::uint16_t channel) {
  BasicPublish method;
  method.exchange = pick(in, kExchanges);
  method.routing_key = pick(in, kKeys);
  method.mandatory = in.below(2) == 1;
  append_frame(out, channel, method);
  const std::size_t size = in.byte() * std::size_t{in.below(8) == 0 ? 40U : 1U};
  const std::string props = properties(in);
  ByteWriter writer(out);
  const auto raw_frame = [&](std::uint8_t type, auto write) {
    writer.u8(type);
    writer.u16(channel);
    const std::size_t at = out.size();
    writer.u32(0);
    write();
    store_be(out.data() + at, static_cast<std::uint32_t>(out.size() - at - 4));
    writer.u8(kFrameEnd);
  };
  raw_frame(2, [&] {
    writer.u16(60);
    writer.u16(0);
    writer.u64(size);
    writer.bytes(props);
  });
  for (std::size_t left = size; left > 0;) {
    const std::size_t piece = std::min<std::size_t>(left, 1000);
    raw_frame(3, [&] { out.append(piece, 'x'); });
    left -= piece;
  }
}

void declare(Input& in, std::string& out, std::uint16_t channel) {
  const auto bits = in.byte();
  const std::string table = arguments(in);
  if ((bits & 1) != 0) {
    QueueDeclare m;
    m.queue = pick(in, kQueues);
    m.durable = (bits & 2) != 0;
    m.exclusive = (bits & 12) == 12;
    m.auto_delete = (bits & 48) == 48;
    m.passive = (bits & 192) == 192;
    m.arguments.pairs = table;
    return append_frame(out, channel, m);
  }
  ExchangeDeclare m;
  m.exchange = pick(in, kExchanges);
  m.type = pick(in, kTypes);
  m.durable = (bits & 2) != 0;
  m.auto_delete = (bits & 12) == 12;
  m.internal = (bits & 48) == 48;
  m.arguments.pairs = table;
  append_frame(out, channel, m);
}

void bindings(Input& in, std::string& out, std::uint16_t channel) {
  const auto bits = in.byte();
  const std::string table = (bits & 8) != 0 ? arguments(in) : std::string();
  const auto queue = pick(in, kQueues), source = pick(in, kExchanges), key = pick(in, kKeys);
  if ((bits & 3) == 0) {
    ExchangeBind m;
    m.destination = pick(in, kExchanges);
    m.source = source;
    m.routing_key = key;
    return append_frame(out, channel, m);
  }
  if ((bits & 3) == 1) {
    QueueUnbind m;
    m.queue = queue;
    m.exchange = source;
    m.routing_key = key;
    m.arguments.pairs = table;
    return append_frame(out, channel, m);
  }
  QueueBind m;
  m.queue = queue;
  m.exchange = source;
  m.routing_key = key;
  m.arguments.pairs = table;
  append_frame(out, channel, m);
}

void consume(Input& in, std::string& out, std::uint16_t channel) {
  const auto bits = in.byte();
  if ((bits & 1) != 0) {
    BasicQos qos;
    qos.prefetch_count = static_cast<std::uint16_t>(in.below(4));
    qos.global = (bits & 2) != 0;
    append_frame(out, channel, qos);
  }
  FieldTable t;
  if ((bits & 64) != 0) t.set("x-priority", static_cast<std::int32_t>(in.below(3)));
  const std::string table = t.encode();
  BasicConsume m;
  m.queue = (bits & 128) != 0 ? std::string_view("amq.rabbitmq.reply-to") : pick(in, kQueues);
  m.consumer_tag = pick(in, kTags);
  m.no_ack = (bits & 4) != 0 || (bits & 128) != 0;
  m.exclusive = (bits & 24) == 24;
  m.no_wait = (bits & 32) != 0;
  m.arguments.pairs = table;
  append_frame(out, channel, m);
}

void settle(Input& in, std::string& out, std::uint16_t channel) {
  const auto bits = in.byte();
  BasicNack m;
  m.delivery_tag = in.below(10);
  m.multiple = (bits & 1) != 0;
  m.requeue = (bits & 2) != 0;
  if ((bits & 4) != 0) return append_frame(out, channel, m);
  BasicAck ack;
  ack.delivery_tag = m.delivery_tag;
  ack.multiple = m.multiple;
  append_frame(out, channel, ack);
}

void small(Input& in, std::string& out, std::uint16_t channel) {
  switch (in.below(13)) {
    case 0: return append_frame(out, channel, ConfirmSelect{});
    case 1: return append_frame(out, channel, TxSelect{});
    case 2: return append_frame(out, channel, TxCommit{});
    case 3: return append_frame(out, channel, TxRollback{});
    case 4: return append_frame(out, channel, ChannelOpen{});
    case 5: return append_frame(out, channel, ChannelClose{});
    case 6: return append_frame(out, channel, ChannelCloseOk{});
    case 7: return append_frame(out, channel, BasicRecover{in.below(4) != 0});
    case 8: return append_frame(out, channel, BasicGet{0, pick(in, kQueues), in.below(2) == 0});
    case 9: return append_frame(out, channel, BasicCancel{pick(in, kTags), false});
    case 10: return append_frame(out, channel, QueuePurge{0, pick(in, kQueues), false});
    case 11: {
      QueueDelete m;
      m.queue = pick(in, kQueues);
      m.if_unused = in.below(4) == 1;
      m.if_empty = in.below(4) == 1;
      return append_frame(out, channel, m);
    }
    default: {
      ExchangeDelete m;
      m.exchange = pick(in, kExchanges);
      m.if_unused = in.below(4) == 1;
      return append_frame(out, channel, m);
    }
  }
}

/// Moves of the surroundings: time, alarms, flow, policies.
void surroundings(Input& in, broker::Broker& broker, World& world) {
  switch (in.below(5)) {
    case 0:
      world.now += 150;
      broker.on_time(world.now);
      break;
    case 1:
      broker.alarms().set("n", "memory", in.below(3) == 0);
      broker.alarms_changed();
      break;
    case 2:
      world.in_flight = in.below(3) == 0 ? std::uint64_t{1} << 40 : 0;
      broker.check_flow();
      break;
    case 3: {
      metadata::PutPolicy policy;
      policy.def.vhost = "/";
      policy.def.name = "p";
      policy.def.pattern = "^q[0-2]";
      policy.def.apply_to = "queues";
      static const char* kDefinitions[] = {
          "{\"max-length\":1}", "{\"message-ttl\":50,\"dead-letter-exchange\":\"amq.fanout\"}",
          "{\"expires\":200}", "{\"max-length-bytes\":100,\"overflow\":\"reject-publish\"}"};
      policy.def.definition = kDefinitions[in.below(4)];
      broker.apply(policy, [](const Result<void>&) {});
      break;
    }
    default: broker.apply(metadata::DeletePolicy{"/", "p"}, [](const Result<void>&) {});
  }
}

void set_up(broker::Broker& broker, World& world) {
  metadata::VhostDef vhost;
  vhost.name = "/";
  metadata::UserDef user;
  user.name = "guest";
  broker.apply_all({metadata::PutVhost{vhost}, metadata::PutUser{user},
                    metadata::PutPermission{{"guest", "/", ".*", ".*", ".*"}}},
                   [](const Result<void>& result) { FUZZ_CHECK(result.has_value()); });
  world.sync();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, std::min<std::size_t>(size, 1500));
  World world;
  broker::BrokerOptions options;
  options.anonymous_user = "guest";
  options.mechanisms = {"ANONYMOUS"};
  options.queue.checkpoint_bytes = 2000;
  options.queue.resident_bytes_max = 3000;
  options.queue.resident_bytes_min = 500;
  broker::Broker broker(world, options);
  world.broker = &broker;
  set_up(broker, world);
  std::array<std::unique_ptr<Client>, 2> clients;
  while (!in.empty()) {
    const auto move = in.byte();
    auto& client = clients[move & 1];
    if (!client || client->over()) client = std::make_unique<Client>(broker, world);
    std::string& out = client->out;
    const std::uint16_t channel = 1 + ((move >> 1) & 1);
    switch (move >> 3 & 15) {
      case 0:
      case 1:
      case 2: publish(in, out, channel); break;
      case 3:
      case 4: declare(in, out, channel); break;
      case 5: bindings(in, out, channel); break;
      case 6:
      case 7: consume(in, out, channel); break;
      case 8:
      case 9: settle(in, out, channel); break;
      case 10:
      case 11: small(in, out, channel); break;
      case 12: surroundings(in, broker, world); break;
      case 13: world.sync(); break;
      case 14:
        if (in.below(4) == 0) out += in.take(in.below(32));
        else if (in.below(4) == 0) client.reset();
        else client->session().tick();
        break;
      default: break;
    }
    if ((move & 4) != 0) continue;  // this turn is not over yet
    for (auto& each : clients)
      if (each) each->send();
    broker.end_turn();
    for (auto& each : clients)
      if (each) each->receive();
    if (move >= 128) world.sync();
    broker.end_turn();
    for (const auto& [uid, queue] : broker.queues()) queue->check_invariants();
  }
  for (auto& each : clients) each.reset();
  world.sync();
  broker.end_turn();
  return 0;
}
