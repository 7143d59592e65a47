// Writes the binary part of corpus/: fuzz_corpus <corpus folder>. Run by hand when a format gains a
// kind worth starting from; what it writes is committed.

#include "cluster/metadata/catalogue.h"
#include "cluster/raft/codec.h"
#include "cluster/replica/frame.h"
#include "cluster/replica/records.h"
#include "node/amqp/codec.h"
#include "node/amqp/properties.h"
#include "node/broker/message.h"
#include "node/broker/queue/log_codec.h"

#include <filesystem>
#include <fstream>

namespace {

using namespace warren;

std::filesystem::path root;

void seed(const std::string& harness, const std::string& name, std::string_view bytes) {
  std::filesystem::create_directories(root / harness);
  std::ofstream(root / harness / name, std::ios::binary) << bytes;
}

std::string sized(std::string_view bytes) {
  return std::string(1, static_cast<char>(bytes.size())) + std::string(bytes.substr(0, 255));
}

FieldTable every_tag() {
  FieldTable t;
  t.set("V", FieldValue{});
  t.set("t", true);
  t.set("b", std::int8_t{-1});
  t.set("B", std::uint8_t{255});
  t.set("s", std::int16_t{-2});
  t.set("u", std::uint16_t{2});
  t.set("I", std::int32_t{-3});
  t.set("i", std::uint32_t{3});
  t.set("l", std::int64_t{4});
  t.set("f", 1.5F);
  t.set("d", -2.5);
  t.set("D", FieldDecimal{2, 314});
  t.set("T", FieldTimestamp{1'700'000'000});
  t.set("S", "text");
  t.set("x", FieldBytes{"bytes"});
  t.set("A", FieldArray{FieldValue("a"), FieldValue(std::int32_t{1}), FieldValue(FieldArray{})});
  FieldTable inner;
  inner.set("k", "v");
  t.set("F", inner);
  return t;
}

amqp::BasicProperties every_property() {
  amqp::BasicProperties p;
  p.content_type = p.content_encoding = p.correlation_id = p.reply_to = "x";
  p.message_id = p.type = p.user_id = p.app_id = p.cluster_id = "y";
  p.headers = every_tag();
  p.headers->set("CC", FieldArray{FieldValue("k1")});
  p.headers->set("BCC", FieldArray{FieldValue("k2")});
  p.delivery_mode = 2;
  p.priority = 5;
  p.expiration = "60000";
  p.timestamp = 1;
  return p;
}

void tables_and_properties() {
  seed("field_table", "every_tag", every_tag().encode());
  amqp::BasicProperties small;
  small.delivery_mode = 2;
  seed("properties", "none", std::string(2, '\0'));
  seed("properties", "delivery_mode", amqp::encode_properties(small));
  seed("properties", "all", amqp::encode_properties(every_property()));
  seed("properties", "two_flag_words", std::string("\x08\x01\0\0\5", 5));
  seed("dead_letter", "all",
       std::string("\2\6orders\3key") + amqp::encode_properties(every_property()));
  seed("dead_letter", "none", std::string("\0\0\0\0\0", 5));
  FieldTable arguments;
  arguments.set("x-match", "any-with-x");
  arguments.set("a", std::int32_t{7});
  arguments.set("b", FieldValue{});
  FieldTable headers;
  headers.set("a", 7.0);
  seed("headers", "number", sized(arguments.encode()) + headers.encode());
  arguments.set("x-match", "all");
  headers.set("b", "text");
  seed("headers", "all", sized(arguments.encode()) + headers.encode());
  seed("topic", "mixed", std::string("\0\3a.#\1\5*.b.#\3\5a.b.c\2\3a.#\3\3a.b", 25));
}

template <class Method>
std::string frame(std::uint16_t channel, Method method) {
  return amqp::encode_frame(channel, method);
}

std::string raw_frame(std::uint8_t type, std::uint16_t channel, std::string_view payload) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(type);
  out.u16(channel);
  out.str32(payload);
  out.u8(amqp::kFrameEnd);
  return bytes;
}

void connections() {
  amqp::BasicPublish publish;
  publish.exchange = "amq.direct";
  publish.routing_key = "k";
  std::string header;
  ByteWriter out(header);
  out.u16(60);
  out.u16(0);
  out.u64(5);
  out.bytes(amqp::encode_properties(every_property()));
  const std::string content = frame(1, publish) + raw_frame(2, 1, header) +
                              raw_frame(3, 1, "hel") + raw_frame(3, 1, "lo");
  amqp::QueueDeclare declare;
  declare.queue = "q";
  amqp::BasicAck ack;
  amqp::ChannelClose close_channel;
  amqp::ConnectionClose close;
  const std::string script("\4\1\2\0\1", 5);  // length, then what handlers do
  const auto with = [&](char mode, std::string_view stream) {
    return std::string(1, mode) + script + std::string(stream);
  };
  seed("connection", "header_only", with(0, std::string("AMQP\0\0\x09\x01", 8)));
  seed("connection", "publish", with(1, content));
  seed("connection", "publish_in_pieces", with(1 | 2 | (3 << 3), content + content));
  seed("connection", "methods", with(1 | 4, frame(1, declare) + frame(1, ack) + content));
  seed("connection", "close", with(1, frame(1, close_channel) + frame(1, amqp::ChannelOpen{}) +
                                          raw_frame(8, 0, "") + frame(0, close)));
  seed("methods", "declare", "\x1e" + frame(1, declare).substr(11));
  seed("methods", "publish", "\x2e" + frame(1, publish).substr(11));
}

void queue_logs() {
  using namespace warren::broker;
  const auto block = Block::make(1000);
  for (int i = 0; i < 2; ++i) {
    RecordHeader h{};
    h.flags = kPersistent;
    h.body_size = 4;
    h.expiration_ms = kNoExpiration;
    std::memcpy(append_record(*block, h, "x", "key", std::string_view("\x10\0\2", 3)), "body", 4);
  }
  const std::string enqueue = codec::encode_enqueue(1, 2, 0) + std::string(block->bytes());
  const std::string remove = codec::encode_remove(codec::Gone::settled, 4, {Range{1, 2}});
  const std::string returned = codec::encode_returned({{2, 3}});
  seed("queue_log", "records",
       std::string(1, '\0') + "\1" + sized(enqueue) + "\1" + sized(remove) + "\1" +
           sized(returned) + "\1" + sized(codec::encode_watermark(3)));
  codec::HeadRow head;
  head.covers = 1;
  head.next = 3;
  head.live = 2;
  head.live_bytes = 8;
  codec::EntryRow entry;
  entry.index = 1;
  entry.first = 1;
  entry.count = 2;
  entry.bytes = 8;
  seed("queue_log", "rows",
       std::string("\2") + std::string(1, '\0') + sized(codec::encode_head_row(head)) + "\1" +
           sized(codec::encode_chunk_row({entry})));
  seed("queue_log", "enqueue", enqueue);
  seed("queue_log", "remove", remove);
}

void catalogues() {
  using namespace warren::metadata;
  Catalogue catalogue;
  std::string all(1, '\1');
  const auto add = [&](const Command& command) {
    (void)catalogue.apply(command);
    all += sized(encode_command(command));
  };
  VhostDef vhost;
  vhost.name = "/";
  add(PutVhost{vhost});
  ExchangeDef exchange;
  exchange.vhost = "/";
  exchange.name = "x";
  exchange.type = "topic";
  add(DeclareExchange{exchange});
  QueueDef queue;
  queue.vhost = "/";
  queue.name = "q";
  queue.arguments.set("x-max-length", std::int32_t{10});
  add(DeclareQueue{queue});
  BindingDef binding;
  binding.vhost = "/";
  binding.source = "x";
  binding.destination = "q";
  binding.routing_key = "a.#";
  add(Bind{binding});
  UserDef user;
  user.name = "guest";
  user.tags = {"administrator"};
  add(PutUser{user});
  add(PutPermission{{"guest", "/", ".*", ".*", ".*"}});
  PolicyDef policy;
  policy.vhost = "/";
  policy.name = "p";
  policy.pattern = "^q";
  policy.apply_to = "queues";
  policy.definition = "{\"max-length\":5}";
  add(PutPolicy{policy});
  add(PutParameter{{"/", "c", "n", "1"}});
  seed("catalogue", "commands", all);
  add(Unbind{binding});
  add(DeleteQueue{"/", "q", 0});
  add(DeleteExchange{"/", "x", false});
  seed("catalogue", "commands_and_back", all);
  std::string rows(1, '\0');
  for (const RowChange& row : catalogue.rows())
    if (row.value) rows += sized(row.key) + sized(*row.value);
  seed("catalogue", "rows", rows);
}

void rafts() {
  using namespace warren::raft;
  std::string all;
  const auto add = [&](Payload payload) {
    Message m;
    m.payload = std::move(payload);
    encode_message(m, all);
  };
  add(PreVote{});
  add(PreVoteReply{});
  add(Vote{});
  add(VoteReply{});
  add(Append{});
  add(AppendReply{});
  add(TimeoutNow{});
  add(SnapshotChunk{});
  add(SnapshotReply{});
  add(ReadRequest{});
  add(ReadReply{});
  seed("raft_codec", "messages", all);
  seed("raft_codec", "entry", encode_entry_head(Entry{}) + "body");
}

void replicas() {
  using namespace warren::replica;
  Frame frame;
  frame.head = {5, raft::NodeId(2), raft::NodeId(1), 50};
  frame.heartbeat = Heartbeat{1, 2};
  frame.reply = HeartbeatReply{3, 4};
  raft::Message vote;
  vote.payload = raft::Vote{9, 3, false};
  frame.messages.push_back({7, vote});
  seed("raft_frame", "all", encode_frame(frame));
  GroupRecord record;
  record.log_uid = 7;
  record.base = {5, 2, raft::make_config({raft::NodeId(1), raft::NodeId(2)}, {raft::NodeId(3)}), 1};
  const std::string plain = encode_record(record);
  seed("raft_record", "plain", "\1" + plain);
  seed("raft_record", "first_version", "\1\1" + plain.substr(1, plain.size() - 2));
  record.staged = std::make_shared<const raft::StagedSnapshot>(
      raft::StagedSnapshot{raft::NodeId(1), 3, 4, 5, record.base});
  seed("raft_record", "staged", "\1" + encode_record(record));
  seed("raft_record", "config", std::string(1, '\0') + raft::encode_config(record.base.config));
  std::string piece;
  ByteWriter out(piece);
  out.u8('r');
  out.str32("key");
  out.str32("value");
  out.u8('e');
  out.str32(std::string(7, '\0') + "\5");
  out.str32(raft::encode_entry_head(raft::Entry{}) + "body");
  seed("raft_piece", "both", piece);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  root = argv[1];
  tables_and_properties();
  connections();
  queue_logs();
  catalogues();
  rafts();
  replicas();
  return 0;
}
