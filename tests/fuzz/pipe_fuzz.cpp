// What a peer may send over the pipes: frames of any kind, and messages inside a session that
// stands. Two nodes, real queues, nothing but the bytes is hostile.

#include "node/broker/pipe/pipes.h"
#include "tests/fuzz/fuzz.h"

using namespace warren;
using namespace warren::broker;

namespace {

class Wire final : public replica::Transport {
 public:
  void send(raft::NodeId, std::string frame) override { sent.push_back(std::move(frame)); }
  std::size_t unsent_bytes(raft::NodeId) const override { return 0; }
  std::vector<std::string> sent;
};

class World final : public QueueHost, public pipe::PipeHost {
 public:
  World() {
    def.vhost = "/";
    def.name = "q";
    def.uid = 7;
    def.durable = false;
    queue = std::make_shared<Queue>(def, QueueSettings{}, *this, nullptr, budget, options);
    remote_def = def;
    remote_def.uid = 8;
    remote_def.home = 2;
  }
  Millis wall_ms() const override { return 1'000'000; }
  Millis steady_ms() const override { return now; }
  void want_pump(QueueEndpoint&) override { pump = true; }
  void want_timer(QueueEndpoint&, Millis) override {}
  void dead_letter(QueueEndpoint&, const Delivery&, DeathReason) override {}
  void want_delete(QueueEndpoint&, std::string_view) override {}

  std::shared_ptr<Queue> local_queue(metadata::QueueUid uid) override { return uid == 7 ? queue : nullptr; }
  void want_pipe_turn() override {}
  void deliver_reply(std::string_view, MessageView message, const BlockRef&) override {
    (void)message.body();
  }
  bool reply_known(std::string_view token) override { return token.size() % 2 == 0; }
  void node_alarms(const std::string&, const std::vector<std::string>&) override {}
  void reachable_changed() override {}
  void window_opened() override {}
  std::string name_of(pipe::MemberId) override { return "rabbit@n2"; }
  Millis pipe_now() const override { return now; }
  Logger& pipe_log() override { return null; }

  Millis now{1};
  bool pump{false};
  NullLogger null;
  MemoryBudget budget;
  QueueOptions options;
  metadata::QueueDef def, remote_def;
  std::shared_ptr<Queue> queue;
};

class Sink final : public ConsumerSink {
 public:
  bool can_take() const override { return taken++ % 3 != 0; }
  void deliver(const Delivery& delivery) override { (void)delivery.message.body(); }
  void cancelled() override {}
  mutable unsigned taken{0};
};

std::string framed(pipe::FrameKind kind, std::uint64_t seq, std::string_view payload) {
  pipe::Frame frame;
  frame.kind = kind;
  frame.from = {50, 1};
  frame.about = {40, 1};
  frame.seq = seq;
  frame.payload = payload;
  return pipe::encode_frame(frame);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto frame = pipe::decode_frame(bytes)) {
    const std::string encoded = pipe::encode_frame(*frame);
    const auto again = pipe::decode_frame(encoded);
    FUZZ_CHECK(again && again->seq == frame->seq && again->payload == frame->payload);
  }
  World world;
  Wire wire;
  Sink sink;
  pipe::Pipes pipes(world, {});
  pipes.start(40, wire);
  pipes.on_peer_up(2);
  pipes.on_frame(2, framed(pipe::FrameKind::hello, 0, {}));
  auto remote = pipes.remote(world.remote_def);
  ConsumerSpec spec;
  spec.holder = 3;
  remote->subscribe(spec, sink, [](QueueError) {});
  remote->get(4, false, [](const GetResult&) {});
  remote->ask_stats([](const Asked<QueueStats>&) {});
  remote->ask_consumers([](const Asked<std::vector<ConsumerInfo>>&) {});
  PublishBatchRef batch(new PublishBatch(nullptr));
  batch->block = Block::make(64);
  append_record(*batch->block, RecordHeader{}, "", "k", std::string_view("\0\0", 2));
  batch->count = 1;
  batch->expect();
  const RecordRef record{0, 0};
  remote->publish(*batch, {&record, 1});
  batch->answered();
  pipes.flush();
  // Two messages, then the same bytes as a frame.
  pipes.on_frame(2, framed(pipe::FrameKind::data, 1, bytes.substr(0, size / 2)));
  pipes.on_frame(2, framed(pipe::FrameKind::data, 2, bytes.substr(size / 2)));
  pipes.on_frame(2, framed(pipe::FrameKind::data, 3, bytes));
  if (std::exchange(world.pump, false)) world.queue->pump();
  remote->resume(3);
  pipes.pump();
  pipes.flush();
  world.queue->check_invariants();
  pipes.on_frame(2, bytes);
  world.now += 20'000;
  pipes.tick();
  pipes.on_node_down(2);
  FUZZ_CHECK(batch->settled());
  world.queue->check_invariants();
  return 0;
}
