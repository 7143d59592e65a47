#pragma once
// Every method of AMQP 0-9-1 with RabbitMQ's extensions, each described once: its number and its
// fields in wire order. codec.h turns the description into decoding and encoding: v(x...) visits
// values, v.bits(b...) the flags that share one octet.
// Source: AMQP 0-9-1 reference part 1; connection 60, 61, 70, 71, confirm, basic.nack and the
// bindings between exchanges as RabbitMQ defines them.

#include "node/amqp/constants.h"

#include <string_view>

namespace warren::amqp {

/// Long string: led by a 32-bit length.
struct LongStr {
  std::string_view text;
};
/// Field table: its pairs, without the length.
struct Table {
  std::string_view pairs;
};

// ---- connection (10) -------------------------------------------------------------------------

struct ConnectionStart {
  static constexpr MethodId kId = method_id(10, 10);
  std::uint8_t version_major{}, version_minor{9};
  Table server_properties;
  LongStr mechanisms, locales;
  template <class V>
  void fields(V& v) {
    v(version_major, version_minor, server_properties, mechanisms, locales);
  }
};

struct ConnectionStartOk {
  static constexpr MethodId kId = method_id(10, 11);
  Table client_properties;
  std::string_view mechanism;
  LongStr response;
  std::string_view locale;
  template <class V>
  void fields(V& v) {
    v(client_properties, mechanism, response, locale);
  }
};

struct ConnectionSecure {
  static constexpr MethodId kId = method_id(10, 20);
  LongStr challenge;
  template <class V>
  void fields(V& v) {
    v(challenge);
  }
};

struct ConnectionSecureOk {
  static constexpr MethodId kId = method_id(10, 21);
  LongStr response;
  template <class V>
  void fields(V& v) {
    v(response);
  }
};

struct ConnectionTune {
  static constexpr MethodId kId = method_id(10, 30);
  std::uint16_t channel_max{};
  std::uint32_t frame_max{};
  std::uint16_t heartbeat{};
  template <class V>
  void fields(V& v) {
    v(channel_max, frame_max, heartbeat);
  }
};

struct ConnectionTuneOk {
  static constexpr MethodId kId = method_id(10, 31);
  std::uint16_t channel_max{};
  std::uint32_t frame_max{};
  std::uint16_t heartbeat{};
  template <class V>
  void fields(V& v) {
    v(channel_max, frame_max, heartbeat);
  }
};

struct ConnectionOpen {
  static constexpr MethodId kId = method_id(10, 40);
  std::string_view virtual_host, reserved_1;
  bool reserved_2{};
  template <class V>
  void fields(V& v) {
    v(virtual_host, reserved_1);
    v.bits(reserved_2);
  }
};

struct ConnectionOpenOk {
  static constexpr MethodId kId = method_id(10, 41);
  std::string_view reserved_1;
  template <class V>
  void fields(V& v) {
    v(reserved_1);
  }
};

struct ConnectionClose {
  static constexpr MethodId kId = method_id(10, 50);
  std::uint16_t reply_code{};
  std::string_view reply_text;
  std::uint16_t class_id{}, failing_method{};
  template <class V>
  void fields(V& v) {
    v(reply_code, reply_text, class_id, failing_method);
  }
};

struct ConnectionCloseOk {
  static constexpr MethodId kId = method_id(10, 51);
  template <class V>
  void fields(V&) {}
};

struct ConnectionBlocked {
  static constexpr MethodId kId = method_id(10, 60);
  std::string_view reason;
  template <class V>
  void fields(V& v) {
    v(reason);
  }
};

struct ConnectionUnblocked {
  static constexpr MethodId kId = method_id(10, 61);
  template <class V>
  void fields(V&) {}
};

struct ConnectionUpdateSecret {
  static constexpr MethodId kId = method_id(10, 70);
  LongStr new_secret;
  std::string_view reason;
  template <class V>
  void fields(V& v) {
    v(new_secret, reason);
  }
};

struct ConnectionUpdateSecretOk {
  static constexpr MethodId kId = method_id(10, 71);
  template <class V>
  void fields(V&) {}
};

// ---- channel (20) ----------------------------------------------------------------------------

struct ChannelOpen {
  static constexpr MethodId kId = method_id(20, 10);
  std::string_view reserved_1;
  template <class V>
  void fields(V& v) {
    v(reserved_1);
  }
};

struct ChannelOpenOk {
  static constexpr MethodId kId = method_id(20, 11);
  LongStr reserved_1;
  template <class V>
  void fields(V& v) {
    v(reserved_1);
  }
};

struct ChannelFlow {
  static constexpr MethodId kId = method_id(20, 20);
  bool active{};
  template <class V>
  void fields(V& v) {
    v.bits(active);
  }
};

struct ChannelFlowOk {
  static constexpr MethodId kId = method_id(20, 21);
  bool active{};
  template <class V>
  void fields(V& v) {
    v.bits(active);
  }
};

struct ChannelClose {
  static constexpr MethodId kId = method_id(20, 40);
  std::uint16_t reply_code{};
  std::string_view reply_text;
  std::uint16_t class_id{}, failing_method{};
  template <class V>
  void fields(V& v) {
    v(reply_code, reply_text, class_id, failing_method);
  }
};

struct ChannelCloseOk {
  static constexpr MethodId kId = method_id(20, 41);
  template <class V>
  void fields(V&) {}
};

// ---- access, left over from 0-9 (30) ---------------------------------------------------------

struct AccessRequest {
  static constexpr MethodId kId = method_id(30, 10);
  std::string_view realm;
  bool exclusive{}, passive{}, active{}, write{}, read{};
  template <class V>
  void fields(V& v) {
    v(realm);
    v.bits(exclusive, passive, active, write, read);
  }
};

struct AccessRequestOk {
  static constexpr MethodId kId = method_id(30, 11);
  std::uint16_t ticket{1};
  template <class V>
  void fields(V& v) {
    v(ticket);
  }
};

// ---- exchange (40) ---------------------------------------------------------------------------

struct ExchangeDeclare {
  static constexpr MethodId kId = method_id(40, 10);
  std::uint16_t ticket{};
  std::string_view exchange, type;
  bool passive{}, durable{}, auto_delete{}, internal{}, no_wait{};
  Table arguments;
  template <class V>
  void fields(V& v) {
    v(ticket, exchange, type);
    v.bits(passive, durable, auto_delete, internal, no_wait);
    v(arguments);
  }
};

struct ExchangeDeclareOk {
  static constexpr MethodId kId = method_id(40, 11);
  template <class V>
  void fields(V&) {}
};

struct ExchangeDelete {
  static constexpr MethodId kId = method_id(40, 20);
  std::uint16_t ticket{};
  std::string_view exchange;
  bool if_unused{}, no_wait{};
  template <class V>
  void fields(V& v) {
    v(ticket, exchange);
    v.bits(if_unused, no_wait);
  }
};

struct ExchangeDeleteOk {
  static constexpr MethodId kId = method_id(40, 21);
  template <class V>
  void fields(V&) {}
};

struct ExchangeBind {
  static constexpr MethodId kId = method_id(40, 30);
  std::uint16_t ticket{};
  std::string_view destination, source, routing_key;
  bool no_wait{};
  Table arguments;
  template <class V>
  void fields(V& v) {
    v(ticket, destination, source, routing_key);
    v.bits(no_wait);
    v(arguments);
  }
};

struct ExchangeBindOk {
  static constexpr MethodId kId = method_id(40, 31);
  template <class V>
  void fields(V&) {}
};

struct ExchangeUnbind {
  static constexpr MethodId kId = method_id(40, 40);
  std::uint16_t ticket{};
  std::string_view destination, source, routing_key;
  bool no_wait{};
  Table arguments;
  template <class V>
  void fields(V& v) {
    v(ticket, destination, source, routing_key);
    v.bits(no_wait);
    v(arguments);
  }
};

struct ExchangeUnbindOk {
  static constexpr MethodId kId = method_id(40, 51);
  template <class V>
  void fields(V&) {}
};

// ---- queue (50) ------------------------------------------------------------------------------

struct QueueDeclare {
  static constexpr MethodId kId = method_id(50, 10);
  std::uint16_t ticket{};
  std::string_view queue;
  bool passive{}, durable{}, exclusive{}, auto_delete{}, no_wait{};
  Table arguments;
  template <class V>
  void fields(V& v) {
    v(ticket, queue);
    v.bits(passive, durable, exclusive, auto_delete, no_wait);
    v(arguments);
  }
};

struct QueueDeclareOk {
  static constexpr MethodId kId = method_id(50, 11);
  std::string_view queue;
  std::uint32_t message_count{}, consumer_count{};
  template <class V>
  void fields(V& v) {
    v(queue, message_count, consumer_count);
  }
};

struct QueueBind {
  static constexpr MethodId kId = method_id(50, 20);
  std::uint16_t ticket{};
  std::string_view queue, exchange, routing_key;
  bool no_wait{};
  Table arguments;
  template <class V>
  void fields(V& v) {
    v(ticket, queue, exchange, routing_key);
    v.bits(no_wait);
    v(arguments);
  }
};

struct QueueBindOk {
  static constexpr MethodId kId = method_id(50, 21);
  template <class V>
  void fields(V&) {}
};

struct QueuePurge {
  static constexpr MethodId kId = method_id(50, 30);
  std::uint16_t ticket{};
  std::string_view queue;
  bool no_wait{};
  template <class V>
  void fields(V& v) {
    v(ticket, queue);
    v.bits(no_wait);
  }
};

struct QueuePurgeOk {
  static constexpr MethodId kId = method_id(50, 31);
  std::uint32_t message_count{};
  template <class V>
  void fields(V& v) {
    v(message_count);
  }
};

struct QueueDelete {
  static constexpr MethodId kId = method_id(50, 40);
  std::uint16_t ticket{};
  std::string_view queue;
  bool if_unused{}, if_empty{}, no_wait{};
  template <class V>
  void fields(V& v) {
    v(ticket, queue);
    v.bits(if_unused, if_empty, no_wait);
  }
};

struct QueueDeleteOk {
  static constexpr MethodId kId = method_id(50, 41);
  std::uint32_t message_count{};
  template <class V>
  void fields(V& v) {
    v(message_count);
  }
};

struct QueueUnbind {
  static constexpr MethodId kId = method_id(50, 50);
  std::uint16_t ticket{};
  std::string_view queue, exchange, routing_key;
  Table arguments;
  template <class V>
  void fields(V& v) {
    v(ticket, queue, exchange, routing_key, arguments);
  }
};

struct QueueUnbindOk {
  static constexpr MethodId kId = method_id(50, 51);
  template <class V>
  void fields(V&) {}
};

// ---- basic (60) ------------------------------------------------------------------------------

struct BasicQos {
  static constexpr MethodId kId = method_id(60, 10);
  std::uint32_t prefetch_size{};
  std::uint16_t prefetch_count{};
  bool global{};
  template <class V>
  void fields(V& v) {
    v(prefetch_size, prefetch_count);
    v.bits(global);
  }
};

struct BasicQosOk {
  static constexpr MethodId kId = method_id(60, 11);
  template <class V>
  void fields(V&) {}
};

struct BasicConsume {
  static constexpr MethodId kId = method_id(60, 20);
  std::uint16_t ticket{};
  std::string_view queue, consumer_tag;
  bool no_local{}, no_ack{}, exclusive{}, no_wait{};
  Table arguments;
  template <class V>
  void fields(V& v) {
    v(ticket, queue, consumer_tag);
    v.bits(no_local, no_ack, exclusive, no_wait);
    v(arguments);
  }
};

struct BasicConsumeOk {
  static constexpr MethodId kId = method_id(60, 21);
  std::string_view consumer_tag;
  template <class V>
  void fields(V& v) {
    v(consumer_tag);
  }
};

struct BasicCancel {
  static constexpr MethodId kId = method_id(60, 30);
  std::string_view consumer_tag;
  bool no_wait{};
  template <class V>
  void fields(V& v) {
    v(consumer_tag);
    v.bits(no_wait);
  }
};

struct BasicCancelOk {
  static constexpr MethodId kId = method_id(60, 31);
  std::string_view consumer_tag;
  template <class V>
  void fields(V& v) {
    v(consumer_tag);
  }
};

struct BasicPublish {
  static constexpr MethodId kId = method_id(60, 40);
  std::uint16_t ticket{};
  std::string_view exchange, routing_key;
  bool mandatory{}, immediate{};
  template <class V>
  void fields(V& v) {
    v(ticket, exchange, routing_key);
    v.bits(mandatory, immediate);
  }
};

struct BasicReturn {
  static constexpr MethodId kId = method_id(60, 50);
  std::uint16_t reply_code{};
  std::string_view reply_text, exchange, routing_key;
  template <class V>
  void fields(V& v) {
    v(reply_code, reply_text, exchange, routing_key);
  }
};

struct BasicDeliver {
  static constexpr MethodId kId = method_id(60, 60);
  std::string_view consumer_tag;
  std::uint64_t delivery_tag{};
  bool redelivered{};
  std::string_view exchange, routing_key;
  template <class V>
  void fields(V& v) {
    v(consumer_tag, delivery_tag);
    v.bits(redelivered);
    v(exchange, routing_key);
  }
};

struct BasicGet {
  static constexpr MethodId kId = method_id(60, 70);
  std::uint16_t ticket{};
  std::string_view queue;
  bool no_ack{};
  template <class V>
  void fields(V& v) {
    v(ticket, queue);
    v.bits(no_ack);
  }
};

struct BasicGetOk {
  static constexpr MethodId kId = method_id(60, 71);
  std::uint64_t delivery_tag{};
  bool redelivered{};
  std::string_view exchange, routing_key;
  std::uint32_t message_count{};
  template <class V>
  void fields(V& v) {
    v(delivery_tag);
    v.bits(redelivered);
    v(exchange, routing_key, message_count);
  }
};

struct BasicGetEmpty {
  static constexpr MethodId kId = method_id(60, 72);
  std::string_view reserved_1;
  template <class V>
  void fields(V& v) {
    v(reserved_1);
  }
};

struct BasicAck {
  static constexpr MethodId kId = method_id(60, 80);
  std::uint64_t delivery_tag{};
  bool multiple{};
  template <class V>
  void fields(V& v) {
    v(delivery_tag);
    v.bits(multiple);
  }
};

struct BasicReject {
  static constexpr MethodId kId = method_id(60, 90);
  std::uint64_t delivery_tag{};
  bool requeue{};
  template <class V>
  void fields(V& v) {
    v(delivery_tag);
    v.bits(requeue);
  }
};

struct BasicRecoverAsync {
  static constexpr MethodId kId = method_id(60, 100);
  bool requeue{};
  template <class V>
  void fields(V& v) {
    v.bits(requeue);
  }
};

struct BasicRecover {
  static constexpr MethodId kId = method_id(60, 110);
  bool requeue{};
  template <class V>
  void fields(V& v) {
    v.bits(requeue);
  }
};

struct BasicRecoverOk {
  static constexpr MethodId kId = method_id(60, 111);
  template <class V>
  void fields(V&) {}
};

struct BasicNack {
  static constexpr MethodId kId = method_id(60, 120);
  std::uint64_t delivery_tag{};
  bool multiple{}, requeue{};
  template <class V>
  void fields(V& v) {
    v(delivery_tag);
    v.bits(multiple, requeue);
  }
};

// ---- confirm (85) ----------------------------------------------------------------------------

struct ConfirmSelect {
  static constexpr MethodId kId = method_id(85, 10);
  bool no_wait{};
  template <class V>
  void fields(V& v) {
    v.bits(no_wait);
  }
};

struct ConfirmSelectOk {
  static constexpr MethodId kId = method_id(85, 11);
  template <class V>
  void fields(V&) {}
};

// ---- tx (90) ---------------------------------------------------------------------------------

struct TxSelect {
  static constexpr MethodId kId = method_id(90, 10);
  template <class V>
  void fields(V&) {}
};

struct TxSelectOk {
  static constexpr MethodId kId = method_id(90, 11);
  template <class V>
  void fields(V&) {}
};

struct TxCommit {
  static constexpr MethodId kId = method_id(90, 20);
  template <class V>
  void fields(V&) {}
};

struct TxCommitOk {
  static constexpr MethodId kId = method_id(90, 21);
  template <class V>
  void fields(V&) {}
};

struct TxRollback {
  static constexpr MethodId kId = method_id(90, 30);
  template <class V>
  void fields(V&) {}
};

struct TxRollbackOk {
  static constexpr MethodId kId = method_id(90, 31);
  template <class V>
  void fields(V&) {}
};

}  // namespace warren::amqp
