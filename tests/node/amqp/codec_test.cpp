// Method frames: known bytes, and every method there and back.

#include "node/amqp/codec.h"

#include <gtest/gtest.h>

namespace warren::amqp {
namespace {

std::string arguments(std::string_view frame) {
  return std::string(frame.substr(kFrameHeaderBytes + 4, frame.size() - kFrameOverhead - 4));
}

TEST(Codec, WritesTheBytesOfTheSpecification) {
  BasicPublish method;
  method.exchange = "ex";
  method.routing_key = "key";
  method.immediate = true;
  const std::string expected("\x01\x00\x07\x00\x00\x00\x0e\x00\x3c\x00\x28\x00\x00\x02"
                             "ex\x03"
                             "key\x02\xce",
                             22);
  EXPECT_EQ(encode_frame(7, method), expected);
}

TEST(Codec, PacksFlagsFromTheLowestBit) {
  QueueDeclare method;
  method.queue = "q";
  method.durable = true;
  method.no_wait = true;
  const std::string bytes = arguments(encode_frame(1, method));
  EXPECT_EQ(bytes.size(), 2 + 2 + 1 + 4U);
  EXPECT_EQ(bytes[4], 0b10010);
  QueueDeclare back;
  ASSERT_TRUE(decode(bytes, back));
  EXPECT_TRUE(back.durable);
  EXPECT_TRUE(back.no_wait);
  EXPECT_FALSE(back.passive || back.exclusive || back.auto_delete);
}

TEST(Codec, ShortStringsAreCutNotOverrun) {
  const std::string long_text(300, 'x');
  ChannelClose method;
  method.reply_text = long_text;
  ChannelClose back;
  const std::string bytes = arguments(encode_frame(1, method));
  ASSERT_TRUE(decode(bytes, back));
  EXPECT_EQ(back.reply_text.size(), 255U);
}

/// Fills every field with something that is not its default.
struct Filler {
  int n{0};
  template <class... T>
  void operator()(T&... values) {
    (one(values), ...);
  }
  template <class... B>
  void bits(B&... flags) {
    ((flags = (n++ % 3) != 0), ...);
  }
  void one(std::uint8_t& v) { v = static_cast<std::uint8_t>(200 + n++); }
  void one(std::uint16_t& v) { v = static_cast<std::uint16_t>(0xA0B0 + n++); }
  void one(std::uint32_t& v) { v = 0xA0B0C0D0U + static_cast<unsigned>(n++); }
  void one(std::uint64_t& v) { v = 0xA0B0C0D0E0F00102ULL + static_cast<unsigned>(n++); }
  void one(std::string_view& v) { v = n++ % 2 == 0 ? "short" : ""; }
  void one(LongStr& v) { v.text = "a long text"; }
  void one(Table& v) { v.pairs = std::string_view("\1kI\0\0\0\1", 7); }
};

template <class Method>
class EveryMethod : public testing::Test {};
using Methods = testing::Types<
    ConnectionStart, ConnectionStartOk, ConnectionSecure, ConnectionSecureOk, ConnectionTune,
    ConnectionTuneOk, ConnectionOpen, ConnectionOpenOk, ConnectionClose, ConnectionCloseOk,
    ConnectionBlocked, ConnectionUnblocked, ConnectionUpdateSecret, ConnectionUpdateSecretOk,
    ChannelOpen, ChannelOpenOk, ChannelFlow, ChannelFlowOk, ChannelClose, ChannelCloseOk>;
using MoreMethods = testing::Types<
    AccessRequest, AccessRequestOk, ExchangeDeclare, ExchangeDeclareOk, ExchangeDelete,
    ExchangeDeleteOk, ExchangeBind, ExchangeBindOk, ExchangeUnbind, ExchangeUnbindOk, QueueDeclare,
    QueueDeclareOk, QueueBind, QueueBindOk, QueuePurge, QueuePurgeOk, QueueDelete, QueueDeleteOk,
    QueueUnbind, QueueUnbindOk, BasicQos, BasicQosOk, BasicConsume, BasicConsumeOk, BasicCancel,
    BasicCancelOk, BasicPublish, BasicReturn, BasicDeliver, BasicGet, BasicGetOk, BasicGetEmpty,
    BasicAck, BasicReject, BasicRecoverAsync, BasicRecover, BasicRecoverOk, BasicNack, ConfirmSelect,
    ConfirmSelectOk, TxSelect, TxSelectOk, TxCommit, TxCommitOk, TxRollback, TxRollbackOk>;
TYPED_TEST_SUITE(EveryMethod, Methods);
template <class Method>
class EveryOtherMethod : public EveryMethod<Method> {};
TYPED_TEST_SUITE(EveryOtherMethod, MoreMethods);

template <class Method>
void there_and_back() {
  Method method;
  Filler fill;
  method.fields(fill);
  const std::string frame = encode_frame(3, method);
  EXPECT_EQ(frame[0], kFrameMethod);
  EXPECT_EQ(load_be<std::uint16_t>(frame.data() + 1), 3);
  EXPECT_EQ(load_be<std::uint32_t>(frame.data() + 3), frame.size() - kFrameOverhead);
  EXPECT_EQ(load_be<MethodId>(frame.data() + 7), Method::kId);
  const std::string bytes = arguments(frame);
  Method back;
  ASSERT_TRUE(decode(bytes, back));
  EXPECT_EQ(encode_frame(3, back), frame);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    Method part;
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, cut), part)) << cut;
  }
}

TYPED_TEST(EveryMethod, GoesThereAndBack) { there_and_back<TypeParam>(); }
TYPED_TEST(EveryOtherMethod, GoesThereAndBack) { there_and_back<TypeParam>(); }

TEST(ReplyCodes, CloseWhatTheSpecificationSays) {
  for (const auto code : {ReplyCode::content_too_large, ReplyCode::no_consumers,
                          ReplyCode::access_refused, ReplyCode::not_found,
                          ReplyCode::resource_locked, ReplyCode::precondition_failed})
    EXPECT_FALSE(closes_connection(code)) << static_cast<int>(code);
  for (const auto code :
       {ReplyCode::connection_forced, ReplyCode::invalid_path, ReplyCode::frame_error,
        ReplyCode::syntax_error, ReplyCode::command_invalid, ReplyCode::channel_error,
        ReplyCode::unexpected_frame, ReplyCode::resource_error, ReplyCode::not_allowed,
        ReplyCode::not_implemented, ReplyCode::internal_error})
    EXPECT_TRUE(closes_connection(code)) << static_cast<int>(code);
}

}  // namespace
}  // namespace warren::amqp
