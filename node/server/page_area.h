#pragma once
// Where bodies of messages that are not logged go when queues have more than `warren.queues_memory`:
// the node's scratch space, asked and answered on the loop.

#include "base/log.h"
#include "node/broker/broker.h"
#include "node/server/loop.h"
#include "storage/scratch/scratch.h"

#include <functional>
#include <memory>
#include <string>

namespace warren::server {

/// Owner: the app, through a shared pointer; answers that come after it are dropped.
class PageArea final : public broker::QueuePages, public std::enable_shared_from_this<PageArea> {
 public:
  struct Links {
    Loop& loop;
    Logger& log;
    std::function<std::shared_ptr<broker::Queue>(metadata::QueueUid)> queue;  ///< null = it is gone
    std::function<bool()> disc_is_short;
  };
  /// Errors: io, when `directory` cannot be made or emptied.
  static Result<std::shared_ptr<PageArea>> open(std::string directory, Links links);

  bool has_room() const override;
  broker::PageId write(metadata::QueueUid queue, std::string_view bytes, BlockRef keep) override;
  void read(metadata::QueueUid queue, broker::PageId page, std::size_t bytes) override;
  void release(broker::PageId page, std::size_t bytes) override;

 private:
  explicit PageArea(Links links) : links_(std::move(links)) {}
  /// The queue that may go on writing, if any.
  std::shared_ptr<broker::Queue> answer(storage::Scratch::Answer answer);

  Links links_;
  std::unique_ptr<storage::Scratch> scratch_;
  Millis not_before_{0};  ///< after a failed write
  Millis last_write_{0};
};

}  // namespace warren::server
