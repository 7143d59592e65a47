#include "storage/api/store.h"

#include "base/bytes.h"

#include <iterator>
#include <utility>

namespace warren::storage {

std::string log_key(GroupUid uid, std::uint64_t index) {
  std::string key(16, '\0');
  store_be(key.data(), uid);
  store_be(key.data() + 8, index);
  return key;
}

void WriteBatch::put(Keyspace space, std::string key, std::string value) {
  bytes_ += key.size() + value.size();
  ops_.push_back(Op{space, false, std::move(key), std::move(value), {}, nullptr});
}

void WriteBatch::put_shared(Keyspace space, std::string key, std::string head,
                            std::string_view tail, std::shared_ptr<const void> owner) {
  bytes_ += key.size() + head.size() + tail.size();
  ops_.push_back(Op{space, false, std::move(key), std::move(head), tail, std::move(owner)});
}

void WriteBatch::erase(Keyspace space, std::string key) {
  bytes_ += key.size();
  ops_.push_back(Op{space, true, std::move(key), {}, {}, nullptr});
}

void WriteBatch::append(WriteBatch&& other) {
  bytes_ += other.bytes_;
  ops_.insert(ops_.end(), std::make_move_iterator(other.ops_.begin()),
              std::make_move_iterator(other.ops_.end()));
  other.clear();
}

void WriteBatch::clear() {
  ops_.clear();
  bytes_ = 0;
}

}  // namespace warren::storage
