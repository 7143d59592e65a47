// What an app keeps on disc: its store opened and closed, queues brought up from it, checkpoints, logs of queues.
#include "node/server/app.h"

#include "storage/disc/disc_store.h"
#include "storage/journal/thread_committer.h"
#include "storage/memory/memory_store.h"

#include <filesystem>

namespace warren::server {

Result<void> App::open_store() {
  std::error_code ec;
  std::filesystem::create_directories(settings_.data_dir, ec);
  if (identity_.ram) {
    store_ = std::make_unique<storage::MemoryStore>();
  } else {
    storage::DiscOptions options;
    options.path = settings_.data_dir + "/store";
    options.log_write_buffer_bytes = static_cast<std::size_t>(settings_.storage.write_buffer);
    options.block_cache_bytes = static_cast<std::size_t>(settings_.storage.block_cache);
    options.on_broken = [this](const std::string& why) {
      loop_.post([this, why] { on_failure_(make_error(Errc::io, why)); });
    };
    auto opened = storage::open_disc_store(std::move(options), log_);
    if (!opened) return opened.error();
    store_ = std::move(*opened);
    auto pages = PageArea::open(settings_.data_dir + "/scratch",
                                {loop_, log_, [this](metadata::QueueUid uid) { return broker_->queue(uid); },
                                 [this] { return monitor_.disk_alarm(); }});
    if (!pages) return pages.error();
    pages_ = std::move(*pages);
  }
  committer_ = std::make_unique<storage::ThreadCommitter>(*store_, storage::CommitterOptions{}, log_);
  return {};
}

/// The catalogue is complete: now each durable queue from its checkpoint and the records behind it.
Result<void> App::bring_up() {
  restoring_ = true;
  broker_->bring_up();
  restoring_ = false;
  if (restore_error_) return *restore_error_;
  if (auto swept = journal_->sweep_retired(); !swept) return swept;
  // What was deleted while this node was down, or just before it fell.
  auto retired = journal_->retire_others([this](storage::GroupUid uid) {
    return uid >= kMetadataGroup || broker_->queues().contains(uid);
  });
  if (!retired) return retired;
  store_->floors_loaded();
  return {};
}

void App::write_checkpoints() {
  if (stopping_) return;
  for (const auto& [uid, queue] : broker_->queues())
    if (queue->def().durable) queue->checkpoint();
  auto both = std::make_shared<int>(2);
  const auto done = [this, both] {
    if (--*both == 0) store_->floors_current();
  };
  group_->replica().write_checkpoints(done);
  journal_->when_durable(done);
  loop_.want_turn();
}

/// Requires: down_, and nothing of the journal's is under way.
void App::close_store() {
  loop_.post([this] {
    store_->on_floors_wanted(nullptr);
    store_->close();
    auto done = std::move(stopped_);
    stopped_ = nullptr;
    done();
  });
}

broker::QueueLog* App::open_log(metadata::QueueUid uid) { return &journal_->open(uid); }

void App::attach_queue(metadata::QueueUid uid, std::shared_ptr<broker::Queue> queue) {
  journal_->find(uid)->attach(queue);
  if (!restoring_) {
    queue->recovered();
    store_->set_floor(uid, {});
    return;
  }
  if (auto recovered = journal_->recover(uid, *queue); !recovered && !restore_error_)
    restore_error_ = make_error(recovered.error().code, "queue '" + queue->def().name + "' in vhost '" +
                                                            queue->def().vhost +
                                                            "': " + recovered.error().text);
}

void App::close_log(metadata::QueueUid uid, bool retire) { journal_->close(uid, retire); }

}  // namespace warren::server
