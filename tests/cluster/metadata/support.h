#pragma once
// Short ways to write commands in these tests.

#include "cluster/metadata/catalogue.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace warren::metadata {

inline Command put_vhost(std::string name) {
  PutVhost c;
  c.def.name = std::move(name);
  return c;
}
inline Command put_user(std::string name) {
  PutUser c;
  c.def.name = std::move(name);
  return c;
}
inline ExchangeDef exchange(std::string name, bool durable = true, bool auto_delete = false) {
  ExchangeDef def;
  def.vhost = "/";
  def.name = std::move(name);
  def.type = "direct";
  def.durable = durable;
  def.auto_delete = auto_delete;
  return def;
}
inline QueueDef queue(std::string name, bool durable = true) {
  QueueDef def;
  def.vhost = "/";
  def.name = std::move(name);
  def.durable = durable;
  return def;
}
inline BindingDef binding(std::string source, std::string destination, std::string key = "",
                          bool to_queue = true) {
  BindingDef def;
  def.vhost = "/";
  def.source = std::move(source);
  def.destination = std::move(destination);
  def.routing_key = std::move(key);
  def.to_queue = to_queue;
  return def;
}

/// A catalogue together with the store that keeps its rows.
struct Node {
  Catalogue catalogue;
  std::map<std::string, std::string> rows;

  Result<Applied> apply(const Command& command) {
    auto applied = catalogue.apply(command);
    if (!applied) return applied;
    for (const auto& change : applied->rows) {
      if (change.value)
        rows[change.key] = *change.value;
      else
        rows.erase(change.key);
    }
    return applied;
  }
  Applied must(const Command& command) {
    auto applied = apply(command);
    if (!applied) {
      ADD_FAILURE() << applied.error().text;
      return {};
    }
    return *applied;
  }
  Errc fails(const Command& command) {
    auto applied = apply(command);
    if (applied) {
      ADD_FAILURE() << "was expected to fail";
      return Errc::internal;
    }
    return applied.error().code;
  }
  /// What a restart of this node brings back.
  Node restarted() const {
    Node fresh;
    for (const auto& [key, value] : rows) {
      auto ok = fresh.catalogue.restore_row(key, value);
      EXPECT_TRUE(ok) << ok.error().text;
    }
    fresh.catalogue.restored();
    EXPECT_TRUE(fresh.catalogue.restore_problems().empty());
    fresh.rows = rows;
    return fresh;
  }
};

inline Node node_with_vhost() {
  Node node;
  node.must(put_vhost("/"));
  return node;
}

}  // namespace warren::metadata
