#pragma once
// Internal events as messages (EXC-18): what happens in the broker is published to the topic exchange
// amq.rabbitmq.event of the default virtual host, while that exchange exists.

#include "base/field_table.h"
#include "cluster/metadata/catalogue.h"

#include <string>
#include <string_view>

namespace warren::broker {

class Broker;
class Session;

inline constexpr std::string_view kEventExchange = "amq.rabbitmq.event";

/// Owner: the broker. Loss: events are not confirmed and not replayed.
class Events {
 public:
  explicit Events(Broker& broker) : broker_(broker) {}

  /// False = nothing listens; callers need not build the data.
  bool on() const;
  /// Publishes one event. Shape: data in the headers, timestamp in ms beside it, empty body.
  void emit(std::string_view key, FieldTable data);

  /// What a command is about to change that its effects will not tell: call before it is applied,
  /// and emit what it gives when it succeeded.
  std::vector<std::pair<std::string, FieldTable>> of_command(const metadata::Command& command) const;
  void of_effect(const metadata::Effect& effect, bool fresh);

  void connection(const Session& session, bool created);
  void channel(const Session& session, std::uint16_t number, bool created);
  void consumer(const Session& session, std::uint16_t channel, const std::string& tag,
                const metadata::QueueDef& queue, bool ack_required, bool created);
  void login(const Session& session, std::string_view user, bool success, std::string_view why);
  void alarm(const std::string& node, const std::string& resource, bool set);

 private:
  Broker& broker_;
};

}  // namespace warren::broker
