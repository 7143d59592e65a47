#pragma once
// Short forms for routing tests: a router whose queues have uids by their order of declaration.

#include "node/broker/routing/vhost_router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace warren::broker::routing {

class RouterFixture : public ::testing::Test {
 protected:
  using Names = std::vector<std::string>;

  static metadata::ExchangeDef exchange_def(std::string name, std::string type,
                                            FieldTable arguments = {}) {
    metadata::ExchangeDef def;
    def.name = std::move(name);
    def.type = std::move(type);
    def.arguments = std::move(arguments);
    return def;
  }
  static metadata::BindingDef binding(std::string source, std::string destination,
                                      std::string key = "", FieldTable arguments = {},
                                      bool to_queue = true) {
    metadata::BindingDef def;
    def.source = std::move(source);
    def.destination = std::move(destination);
    def.routing_key = std::move(key);
    def.arguments = std::move(arguments);
    def.to_queue = to_queue;
    return def;
  }
  static FieldTable table(std::vector<FieldTable::Entry> entries) {
    FieldTable t;
    t.entries() = std::move(entries);
    return t;
  }

  void exchange(std::string name, std::string type,
                std::optional<std::string> alternate = std::nullopt) {
    router.put_exchange(exchange_def(std::move(name), std::move(type)), std::move(alternate));
  }
  void queue(const std::string& name) {
    const QueueUid uid = names.size() + 1;
    names.push_back(name);
    router.put_queue(name, uid);
  }
  void bind(std::string source, std::string queue, std::string key = "", FieldTable args = {}) {
    router.bind(binding(std::move(source), std::move(queue), std::move(key), std::move(args)));
  }
  void bind_exchange(std::string source, std::string destination, std::string key = "") {
    router.bind(binding(std::move(source), std::move(destination), std::move(key), {}, false));
  }
  /// Names of the queues reached, sorted; a queue given twice is there twice.
  Names route(std::string_view exchange, std::string_view key, const FieldTable& headers = {},
              std::vector<std::string_view> extra = {}, std::string_view properties = {}) {
    std::vector<QueueUid> out;
    last = router.route(exchange, key, extra, headers.encode(), out, properties);
    Names reached;
    for (const QueueUid uid : out) reached.push_back(names.at(uid - 1));
    std::sort(reached.begin(), reached.end());
    return reached;
  }

  VhostRouter router;
  Names names;
  Routed last{Routed::ok};
};

}  // namespace warren::broker::routing
