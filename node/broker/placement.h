#pragma once
// On which node a new classic queue lives: x-queue-master-locator, the policy's or the setting's word for it
// (RabbitMQ 3.10: client-local, min-masters, random; `balanced` of later ones is min-masters). Pure.

#include "cluster/metadata/catalogue.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace warren::broker {

/// How many queues live on each member, those being placed among them.
std::map<std::uint64_t, std::size_t> queues_by_home(const metadata::Catalogue& catalogue,
                                                    const std::map<std::uint64_t, std::size_t>& placing);

/// The member that the queue goes to. `fit`: members that may have it (running, not in maintenance, with a disc if
/// it is durable), ascending; `self` when there is none. `pick`: any number, the same for the same queue, for random.
std::uint64_t place_queue(std::string_view locator, std::uint64_t self, const std::vector<std::uint64_t>& fit,
                          const std::map<std::uint64_t, std::size_t>& queues, std::uint64_t pick);

}  // namespace warren::broker
