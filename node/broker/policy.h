#pragma once
// STUB
#include "cluster/metadata/catalogue.h"
#include "node/broker/queue_settings.h"
namespace warren::broker {
inline const metadata::PolicyDef* policy_for_queue(const std::map<std::string, metadata::PolicyDef, std::less<>>&, const metadata::QueueDef&) { return nullptr; }
inline const metadata::PolicyDef* policy_for_exchange(const std::map<std::string, metadata::PolicyDef, std::less<>>&, const metadata::ExchangeDef&) { return nullptr; }
inline QueueSettings effective_settings(const metadata::QueueDef&, const metadata::PolicyDef*, const metadata::PolicyDef*) { return {}; }
inline std::optional<std::string> alternate_exchange(const metadata::ExchangeDef& d, const metadata::PolicyDef*) { auto* v = d.arguments.find("alternate-exchange"); if (!v) return std::nullopt; auto s = v->as_string(); return s ? std::optional<std::string>(*s) : std::nullopt; }
inline Result<void> check_equivalence(const metadata::QueueDef&, const metadata::QueueDef&) { return {}; }
inline Result<void> check_equivalence(const metadata::ExchangeDef&, const metadata::ExchangeDef&) { return {}; }
inline Result<void> validate_queue_arguments(const metadata::QueueDef&) { return {}; }
}
