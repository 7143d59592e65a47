#include "cluster/metadata/types.h"

namespace warren::metadata {

const char* queue_type_name(QueueType type) {
  switch (type) {
    case QueueType::classic: return "classic";
    case QueueType::quorum: return "quorum";
    case QueueType::stream: return "stream";
  }
  return "unknown";
}

std::optional<QueueType> parse_queue_type(std::string_view name) {
  if (name == "classic") return QueueType::classic;
  if (name == "quorum") return QueueType::quorum;
  if (name == "stream") return QueueType::stream;
  return std::nullopt;
}

}  // namespace warren::metadata
