#include "node/broker/placement.h"

#include <algorithm>

namespace warren::broker {

std::map<std::uint64_t, std::size_t> queues_by_home(const metadata::Catalogue& catalogue,
                                                    const std::map<std::uint64_t, std::size_t>& placing) {
  std::map<std::uint64_t, std::size_t> out = placing;
  for (const auto& [name, vhost] : catalogue.vhosts())
    for (const auto& [queue_name, queue] : vhost.queues) ++out[queue.home];
  return out;
}

std::uint64_t place_queue(std::string_view locator, std::uint64_t self, const std::vector<std::uint64_t>& fit,
                          const std::map<std::uint64_t, std::size_t>& queues, std::uint64_t pick) {
  if (fit.empty()) return self;
  const bool here = std::find(fit.begin(), fit.end(), self) != fit.end();
  if (locator == "min-masters" || locator == "balanced") {
    const auto count = [&](std::uint64_t member) {
      const auto found = queues.find(member);
      return found == queues.end() ? 0 : found->second;
    };
    return *std::min_element(fit.begin(), fit.end(), [&](auto a, auto b) { return count(a) < count(b); });
  }
  if (locator == "random" || !here) return fit[pick % fit.size()];
  return self;
}

}  // namespace warren::broker
