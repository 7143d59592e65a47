#include "cluster/transport/peer_streams.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "cluster/transport/crypto.h"
#include "cluster/transport/peer_link.h"

namespace warren::transport {
namespace {

grpc::ByteBuffer buffer_of(std::string bytes) {
  // The slice owns the string: no copy of what may be 256 KiB.
  auto* owned = new std::string(std::move(bytes));
  const grpc::Slice slice(
      owned->data(), owned->size(), [](void* text) { delete static_cast<std::string*>(text); },
      owned);
  return grpc::ByteBuffer(&slice, 1);
}

std::string text_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return {};
  std::string text;
  for (const grpc::Slice& slice : slices)
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

}  // namespace

std::string accept_text(const std::string& open, const v1::StreamAccept& accept) {
  std::string text = open;
  ByteWriter to(text);
  to.u64(accept.incarnation());
  to.u32(accept.stream_version());
  return text;
}

// ---- the stream we open

std::shared_ptr<OutStream> OutStream::open(std::shared_ptr<PeerLink> link,
                                           std::shared_ptr<Session> session,
                                           const v1::StreamOpen& open) {
  std::shared_ptr<OutStream> stream(new OutStream(std::move(link), std::move(session)));
  stream->self_ = stream;
  stream->open_bytes_ = open.SerializeAsString();
  stream->context_.AddMetadata(kOpenKey, stream->open_bytes_);
  stream->number_ =
      stream->session_->sign(stream->context_, kStreamMethod, stream->open_bytes_);
  stream->stub_.PrepareBidiStreamingCall(&stream->context_, kStreamMethod, {}, stream.get());
  stream->StartRead(&stream->read_);
  stream->AddHold();  // writes start outside reactions
  stream->StartCall();
  return stream;
}

void OutStream::write(std::string message) {
  written_ = buffer_of(std::move(message));
  StartWrite(&written_);
}

void OutStream::cancel() { context_.TryCancel(); }

Result<std::uint64_t> OutStream::check_accept() const {
  v1::StreamAccept accept;
  if (!accept.ParseFromString(text_of(read_)) || accept.stream_version() != kStreamVersion)
    return make_error(Errc::corruption, "malformed peer stream: bad acceptance");
  const std::string proof = call_proof(session_->proved.key, session_->proved.session_id, number_,
                                       kAcceptLabel, accept_text(open_bytes_, accept));
  if (!equal_secret(proof, accept.proof())) {
    return make_error(Errc::unauthenticated,
                      "the acceptance of the stream does not match its session");
  }
  return accept.incarnation();
}

void OutStream::OnReadDone(bool ok) {
  std::unique_lock guard(link_->lock());
  if (!ok) {
    // Under the lock: from here on the link starts no write of this stream.
    link_->out_ended(this);
    guard.unlock();
    RemoveHold();
    return;
  }
  if (!accepted_) {
    accepted_ = true;
    const Result<std::uint64_t> incarnation = check_accept();
    if (incarnation) {
      link_->out_accepted(this, *incarnation);
    } else {
      own_reason = incarnation.error().text;
      cancel();
    }
  }
  StartRead(&read_);
}

void OutStream::OnWriteDone(bool ok) {
  const std::lock_guard guard(link_->lock());
  link_->out_written(this, ok);
}

void OutStream::OnDone(const grpc::Status& status) {
  {
    const std::lock_guard guard(link_->lock());
    link_->out_done(this, status);
  }
  const std::shared_ptr<OutStream> last = std::move(self_);
}

// ---- the stream we accept

void InStream::accept(const v1::StreamAccept& answer) {
  written_ = buffer_of(answer.SerializeAsString());
  StartWrite(&written_);
}

void InStream::read() { StartRead(&read_); }

void InStream::cancel() {
  if (!ended_) context_->TryCancel();
}

void InStream::end() {
  if (ended_) return;
  ended_ = true;
  Finish({grpc::StatusCode::CANCELLED, "the stream ended"});
}

void InStream::OnReadDone(bool ok) {
  std::vector<LaneFrame> frames;
  Result<> decoded{};
  if (ok) {
    std::vector<grpc::Slice> slices;
    if (!read_.Dump(&slices).ok()) ok = false;
    for (const grpc::Slice& slice : slices) {
      if (!decoded) break;
      decoded = reader_.feed({reinterpret_cast<const char*>(slice.begin()), slice.size()}, frames);
    }
    read_.Clear();
  }
  const std::lock_guard guard(link_->lock());
  if (!ok || !decoded) {
    link_->in_broke(this, decoded ? "its stream ended" : decoded.error().text);
    cancel();
    return end();
  }
  if (link_->in_frames(this, std::move(frames))) StartRead(&read_);
}

void InStream::OnWriteDone(bool ok) {
  if (ok) return;
  const std::lock_guard guard(link_->lock());
  link_->in_broke(this, "its stream ended");
}

void InStream::OnCancel() {
  const std::lock_guard guard(link_->lock());
  link_->in_broke(this, "its connection broke");
  end();
}

void InStream::OnDone() {
  {
    const std::lock_guard guard(link_->lock());
    ended_ = true;
    link_->in_broke(this, "its stream ended");
  }
  const std::shared_ptr<InStream> last = std::move(self_);
}

}  // namespace warren::transport
