// Every method that a client may send: what decodes encodes to a frame that decodes equal.

#include "node/amqp/codec.h"
#include "tests/fuzz/fuzz.h"

using namespace warren::amqp;

namespace {

template <class Method>
void check(std::string_view arguments) {
  Method method;
  if (!decode(arguments, method)) return;
  const std::string frame = encode_frame(7, method);
  FUZZ_CHECK(frame.size() >= kFrameHeaderBytes + 4 + 1);
  const std::string_view inner =
      std::string_view(frame).substr(kFrameHeaderBytes + 4, frame.size() - kFrameHeaderBytes - 5);
  Method again;
  FUZZ_CHECK(decode(inner, again));
  FUZZ_CHECK(encode_frame(7, again) == frame);
}

template <class... Methods>
void check_one(unsigned which, std::string_view arguments) {
  unsigned at = 0;
  (void)((at++ == which % sizeof...(Methods) ? (check<Methods>(arguments), true) : false) || ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const auto which = in.byte();
  check_one<
            ConnectionStart, ConnectionStartOk, ConnectionSecure, ConnectionSecureOk,
            ConnectionTune, ConnectionTuneOk, ConnectionOpen, ConnectionOpenOk, ConnectionClose,
            ConnectionCloseOk, ConnectionBlocked, ConnectionUnblocked, ConnectionUpdateSecret,
            ConnectionUpdateSecretOk, ChannelOpen, ChannelOpenOk, ChannelFlow, ChannelFlowOk,
            ChannelClose, ChannelCloseOk, AccessRequest, AccessRequestOk, ExchangeDeclare,
            ExchangeDeclareOk, ExchangeDelete, ExchangeDeleteOk, ExchangeBind, ExchangeBindOk,
            ExchangeUnbind, ExchangeUnbindOk, QueueDeclare, QueueDeclareOk, QueueBind,
            QueueBindOk, QueuePurge, QueuePurgeOk, QueueDelete, QueueDeleteOk, QueueUnbind,
            QueueUnbindOk, BasicQos, BasicQosOk, BasicConsume, BasicConsumeOk, BasicCancel,
            BasicCancelOk, BasicPublish, BasicReturn, BasicDeliver, BasicGet, BasicGetOk,
            BasicGetEmpty, BasicAck, BasicReject, BasicRecoverAsync, BasicRecover,
            BasicRecoverOk, BasicNack, ConfirmSelect, ConfirmSelectOk, TxSelect, TxSelectOk,
            TxCommit, TxCommitOk, TxRollback, TxRollbackOk>(which, in.rest());
  return 0;
}
