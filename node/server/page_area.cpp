#include "node/server/page_area.h"

#include <set>

namespace warren::server {
namespace {

constexpr Millis kAfterFailure = 5'000;
constexpr Millis kQuiet = 60'000;  // without a write: the next one is worth a line

}  // namespace

Result<std::shared_ptr<PageArea>> PageArea::open(std::string directory, Links links) {
  std::shared_ptr<PageArea> area(new PageArea(std::move(links)));
  storage::ScratchOptions options;
  options.directory = std::move(directory);
  auto scratch = storage::Scratch::open(
      std::move(options),
      [weak = std::weak_ptr(area), &loop = area->links_.loop](std::vector<storage::Scratch::Answer> answers) {
        loop.post([weak, &loop, answers = std::move(answers)]() mutable {
          const auto area = weak.lock();
          if (!area) return;
          loop.refresh();
          std::set<std::shared_ptr<broker::Queue>> writers;
          for (auto& answer : answers)
            if (auto writer = area->answer(std::move(answer))) writers.insert(std::move(writer));
          for (const auto& writer : writers) writer->trim();
          loop.want_turn();
        });
      });
  if (!scratch) return scratch.error();
  area->scratch_ = std::move(*scratch);
  return area;
}

bool PageArea::has_room() const {
  return scratch_->has_room() && links_.loop.steady_ms() >= not_before_ && !links_.disc_is_short();
}

broker::PageId PageArea::write(metadata::QueueUid queue, std::string_view bytes, BlockRef keep) {
  const Millis now = links_.loop.steady_ms();
  if (last_write_ == 0 || now - last_write_ > kQuiet)
    links_.log.info(LogArea::queue,
                    "queues hold more than warren.queues_memory: transient messages are paged out to disc");
  last_write_ = now;
  return scratch_->write(queue, bytes, std::move(keep));
}

void PageArea::read(metadata::QueueUid queue, broker::PageId page, std::size_t bytes) {
  scratch_->read(queue, page, bytes);
}

void PageArea::release(broker::PageId page, std::size_t bytes) { scratch_->release(page, bytes); }

std::shared_ptr<broker::Queue> PageArea::answer(storage::Scratch::Answer answer) {
  const bool failed = !answer.error.empty();
  if (failed && answer.read) {
    links_.log.error(LogArea::queue, "a transient message that was paged out cannot be read: {}", answer.error);
  } else if (failed && links_.loop.steady_ms() >= not_before_) {
    not_before_ = links_.loop.steady_ms() + kAfterFailure;
    links_.log.warning(LogArea::queue, "transient messages stay in memory, paging out fails: {}", answer.error);
  }
  const auto queue = links_.queue(answer.tag);
  if (answer.read) {
    if (!queue) return nullptr;
    Result<void> result;
    if (failed) result = make_error(Errc::io, answer.error);
    queue->on_page_read(answer.page, std::move(answer.block), std::move(result));
    return nullptr;
  }
  if (queue)
    queue->on_page_written(answer.page, !failed);
  else
    scratch_->release(answer.page, answer.bytes);
  return queue;
}

}  // namespace warren::server
