#include "node/access/access.h"
#include "node/access/patterns.h"
#include "node/broker/definitions.h"
#include "node/broker/json_values.h"
#include "node/broker/parameters.h"
#include "node/broker/policy_definition.h"
#include "node/broker/queue_arguments.h"
#include "node/broker/routing/exchange_types.h"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

namespace warren::broker {

namespace json = boost::json;

namespace {

/// Takes a value out of a Result into `to`, or returns its error from the calling function.
#define WARREN_TAKE(to, expression)                  \
  do {                                               \
    auto taken = (expression);                       \
    if (!taken) return taken.error();                \
    (to) = std::move(*taken);                        \
  } while (false)

class Importer {
 public:
  Importer(const json::object& document, const metadata::Catalogue& catalogue,
           const ImportOptions& options)
      : document_(document), work_(catalogue), options_(options) {}

  /// In an order in which each object finds what it refers to.
  Result<std::vector<metadata::Command>> run() {
    struct Section {
      const char* key;
      Result<void> (Importer::*take)(Fields&);
      bool of_cluster;  // not part of one vhost's document
    };
    static constexpr Section kSections[] = {
        {"users", &Importer::user, true},
        {"vhosts", &Importer::vhost, true},
        {"permissions", &Importer::permission, true},
        {"topic_permissions", &Importer::topic_permission, true},
        {"parameters", &Importer::parameter, false},
        {"global_parameters", &Importer::global_parameter, true},
        {"policies", &Importer::policy, false},
        {"exchanges", &Importer::exchange, false},
        {"queues", &Importer::queue, false},
        {"bindings", &Importer::binding, false}};
    for (const auto& [key, take, of_cluster] : kSections) {
      if (of_cluster && !options_.vhost.empty()) continue;
      if (auto ok = each(key, take); !ok) return ok.error();
    }
    return std::move(commands_);
  }

 private:
  Result<void> each(const char* key, Result<void> (Importer::*take)(Fields&)) {
    const json::value* section = document_.if_contains(key);
    if (section == nullptr || section->is_null()) return {};
    const auto* list = section->if_array();
    if (list == nullptr)
      return make_error(Errc::invalid_argument, fmt::format("'{}' is not a list", key));
    for (std::size_t i = 0; i < list->size(); ++i) {
      const auto* object = (*list)[i].if_object();
      std::string what = fmt::format("{}[{}]", key, i);
      if (object == nullptr)
        return make_error(Errc::invalid_argument, what + " is not an object");
      Fields fields(*object, std::move(what));
      if (auto ok = (this->*take)(fields); !ok) return ok;
    }
    return {};
  }

  /// Tries the command on the copy, and keeps it if it changed something.
  Result<void> emit(const Fields& of, metadata::Command command) {
    auto applied = work_.apply(command);
    if (!applied)
      return make_error(applied.error().code,
                        fmt::format("{}: {}", of.what(), applied.error().text));
    if (applied->changed) commands_.push_back(std::move(command));
    return {};
  }
  Error named(const Fields& of, const Error& error) const {
    return make_error(error.code, fmt::format("{}: {}", of.what(), error.text));
  }

  Result<std::string> vhost_of(const Fields& fields) const {
    if (!options_.vhost.empty()) return options_.vhost;
    return fields.text("vhost");
  }
  /// Name and vhost of an object, and from then on errors call it by them.
  Result<void> identify(Fields& fields, const char* kind, std::string& vhost, std::string& name) {
    WARREN_TAKE(name, fields.text("name"));
    WARREN_TAKE(vhost, vhost_of(fields));
    fields.rename(fmt::format("{} '{}' in vhost '{}'", kind, name, vhost));
    return {};
  }

  // ---- one object each ----------------------------------------------------------------------------

  Result<void> user(Fields& fields) {
    metadata::UserDef def;
    WARREN_TAKE(def.name, fields.text("name"));
    fields.rename(fmt::format("user '{}'", def.name));
    const metadata::UserDef* existing = work_.find_user(def.name);
    WARREN_TAKE(def.tags, fields.words("tags"));
    if (fields.find("limits") == nullptr && existing != nullptr) {
      def.limits = existing->limits;
    } else {
      WARREN_TAKE(def.limits, fields.numbers("limits"));
      if (auto ok = access::check_limit_names("user", def.limits); !ok)
        return named(fields, ok.error());
    }
    if (fields.find("password") != nullptr) {
      if (auto ok = plain_password(fields, existing, def); !ok) return ok;
    } else {
      WARREN_TAKE(def.password_hash, fields.text("password_hash", ""));
      WARREN_TAKE(def.hashing_algorithm, fields.text("hashing_algorithm", implied_hashing()));
      if (auto ok = access::check_password_hash(def.hashing_algorithm, def.password_hash); !ok)
        return named(fields, ok.error());
    }
    return emit(fields, metadata::PutUser{std::move(def)});
  }

  Result<void> plain_password(const Fields& fields, const metadata::UserDef* existing,
                              metadata::UserDef& def) {
    std::string password;
    WARREN_TAKE(password, fields.text("password"));
    // The same password again keeps its hash: an import at every start changes nothing.
    if (existing != nullptr && access::verify_password(existing->hashing_algorithm,
                                                       existing->password_hash, password)) {
      def.password_hash = existing->password_hash;
      def.hashing_algorithm = existing->hashing_algorithm;
      return {};
    }
    if (!options_.random) return fields.wrong("a plain password cannot be imported here");
    auto hash = access::hash_password(options_.password_hashing, password, options_.random);
    if (!hash) return named(fields, hash.error());
    def.password_hash = std::move(*hash);
    def.hashing_algorithm = options_.password_hashing;
    return {};
  }

  /// Exports of servers before 3.6 do not say how they hash.
  std::string implied_hashing() const {
    const json::value* version = document_.if_contains("rabbit_version");
    const std::string text =
        version != nullptr && version->is_string() ? to_text(version->get_string()) : "";
    const bool is_old = text.starts_with("2.") || (text.starts_with("3.") && text.size() > 3 &&
                                                   text[3] == '.' && text[2] < '6');
    return is_old ? "rabbit_password_hashing_md5" : options_.password_hashing;
  }

  Result<void> vhost(Fields& fields) {
    std::string name;
    WARREN_TAKE(name, fields.text("name"));
    fields.rename(fmt::format("vhost '{}'", name));
    metadata::VhostDef def;
    if (const auto* existing = work_.find_vhost(name)) def = existing->def;
    def.name = std::move(name);
    json::object facts;
    WARREN_TAKE(facts, fields.object("metadata"));
    for (const Fields& from : {Fields(facts, fields.what()), fields}) {
      WARREN_TAKE(def.description, from.text("description", def.description));
      if (from.find("tags") != nullptr) WARREN_TAKE(def.tags, from.words("tags"));
      WARREN_TAKE(def.default_queue_type,
                  from.text("default_queue_type", def.default_queue_type));
      WARREN_TAKE(def.protected_from_deletion,
                  from.boolean("protected_from_deletion", def.protected_from_deletion));
    }
    if (def.default_queue_type == "undefined") def.default_queue_type.clear();
    if (!def.default_queue_type.empty() && !metadata::parse_queue_type(def.default_queue_type))
      return fields.wrong(fmt::format("unknown queue type '{}'", def.default_queue_type));
    WARREN_TAKE(def.tracing, fields.boolean("tracing", def.tracing));
    if (fields.find("limits") != nullptr) {
      std::map<std::string, std::int64_t> limits;
      WARREN_TAKE(limits, fields.numbers("limits"));
      if (auto ok = access::check_limit_names("vhost", limits); !ok)
        return named(fields, ok.error());
      if (!limits.empty()) def.limits = std::move(limits);  // an empty one says nothing
    }
    return emit(fields, metadata::PutVhost{std::move(def)});
  }

  Result<std::string> pattern(const Fields& fields, const char* key) const {
    auto text = fields.text(key);
    if (!text) return text;
    if (auto ok = access::check_pattern(*text); !ok) return named(fields, ok.error());
    return text;
  }

  Result<void> permission(Fields& fields) {
    metadata::PermissionDef def;
    WARREN_TAKE(def.user, fields.text("user"));
    WARREN_TAKE(def.vhost, fields.text("vhost"));
    fields.rename(fmt::format("permission of user '{}' in vhost '{}'", def.user, def.vhost));
    WARREN_TAKE(def.configure, pattern(fields, "configure"));
    WARREN_TAKE(def.write, pattern(fields, "write"));
    WARREN_TAKE(def.read, pattern(fields, "read"));
    return emit(fields, metadata::PutPermission{std::move(def)});
  }

  Result<void> topic_permission(Fields& fields) {
    metadata::TopicPermissionDef def;
    WARREN_TAKE(def.user, fields.text("user"));
    WARREN_TAKE(def.vhost, fields.text("vhost"));
    WARREN_TAKE(def.exchange, fields.text("exchange"));
    fields.rename(fmt::format("topic permission of user '{}' on exchange '{}' in vhost '{}'",
                              def.user, def.exchange, def.vhost));
    WARREN_TAKE(def.write, pattern(fields, "write"));
    WARREN_TAKE(def.read, pattern(fields, "read"));
    return emit(fields, metadata::PutTopicPermission{std::move(def)});
  }

  Result<void> parameter(Fields& fields) {
    metadata::ParameterDef def;
    WARREN_TAKE(def.component, fields.text("component"));
    if (auto ok = identify(fields, "parameter", def.vhost, def.name); !ok) return ok;
    const json::value* value = fields.find("value");
    if (value == nullptr) return fields.wrong("field 'value' is missing");
    def.value = json::serialize(*value);
    // Components of plugins that this server lacks are kept: they may come back out of an export.
    auto command = make_put_parameter(work_, def, UnknownComponents::keep);
    if (!command) return named(fields, command.error());
    return emit(fields, std::move(*command));
  }

  Result<void> global_parameter(Fields& fields) {
    metadata::ParameterDef def;
    WARREN_TAKE(def.name, fields.text("name"));
    fields.rename(fmt::format("global parameter '{}'", def.name));
    if (def.name == "internal_cluster_id") return {};  // another cluster's
    const json::value* value = fields.find("value");
    if (value == nullptr) return fields.wrong("field 'value' is missing");
    def.value = json::serialize(*value);
    return emit(fields, metadata::PutParameter{std::move(def)});
  }

  Result<void> policy(Fields& fields) {
    metadata::PolicyDef def;
    if (auto ok = identify(fields, "policy", def.vhost, def.name); !ok) return ok;
    if (auto ok = read_policy(fields, def); !ok) return ok;
    return emit(fields, metadata::PutPolicy{std::move(def)});
  }

  Result<void> exchange(Fields& fields) {
    metadata::ExchangeDef def;
    if (auto ok = identify(fields, "exchange", def.vhost, def.name); !ok) return ok;
    if (def.name.empty() || def.name.starts_with("amq.")) return {};
    if (work_.find_exchange(def.vhost, def.name) != nullptr) return {};
    WARREN_TAKE(def.type, fields.text("type"));
    WARREN_TAKE(def.durable, fields.boolean("durable", true));
    WARREN_TAKE(def.auto_delete, fields.boolean("auto_delete", false));
    WARREN_TAKE(def.internal, fields.boolean("internal", false));
    if (auto ok = arguments(fields, def.arguments); !ok) return ok;
    def.user = options_.user;
    if (!routing::known_exchange_type(def.type))
      return fields.wrong(fmt::format("unknown exchange type '{}'", def.type));
    if (auto ok = routing::validate_exchange(def); !ok) return named(fields, ok.error());
    if (auto ok = validate_exchange_arguments(def); !ok) return named(fields, ok.error());
    return emit(fields, metadata::DeclareExchange{std::move(def)});
  }

  Result<void> queue(Fields& fields) {
    metadata::QueueDef def;
    if (auto ok = identify(fields, "queue", def.vhost, def.name); !ok) return ok;
    if (work_.find_queue(def.vhost, def.name) != nullptr) return {};
    WARREN_TAKE(def.durable, fields.boolean("durable", true));
    WARREN_TAKE(def.auto_delete, fields.boolean("auto_delete", false));
    if (auto ok = arguments(fields, def.arguments); !ok) return ok;
    std::string type;
    WARREN_TAKE(type, fields.text("type", ""));
    if (!type.empty() && def.arguments.find("x-queue-type") == nullptr)
      def.arguments.set("x-queue-type", FieldValue(type));
    def.user = options_.user;
    const auto* vhost = work_.find_vhost(def.vhost);
    WARREN_TAKE(def.type, queue_type_of(def, vhost ? vhost->def.default_queue_type : "",
                                        options_.default_queue_type));
    if (auto ok = validate_queue_arguments(def); !ok) return named(fields, ok.error());
    return emit(fields, metadata::DeclareQueue{std::move(def)});
  }

  Result<void> binding(Fields& fields) {
    metadata::BindingDef def;
    WARREN_TAKE(def.source, fields.text("source"));
    WARREN_TAKE(def.destination, fields.text("destination"));
    WARREN_TAKE(def.vhost, vhost_of(fields));
    fields.rename(fmt::format("binding from exchange '{}' to '{}' in vhost '{}'", def.source,
                              def.destination, def.vhost));
    std::string kind;
    WARREN_TAKE(kind, fields.text("destination_type", "queue"));
    if (kind != "queue" && kind != "exchange")
      return fields.wrong(fmt::format("destination_type '{}' is neither queue nor exchange", kind));
    def.to_queue = kind == "queue";
    WARREN_TAKE(def.routing_key, fields.text("routing_key", ""));
    if (auto ok = arguments(fields, def.arguments); !ok) return ok;
    if (def.source.empty()) return {};  // implicit: every queue has it
    const auto* source = work_.find_exchange(def.vhost, def.source);
    const bool reaches = def.to_queue
                             ? work_.find_queue(def.vhost, def.destination) != nullptr
                             : work_.find_exchange(def.vhost, def.destination) != nullptr;
    // Real exports hold bindings whose ends went while they were written.
    if (work_.find_vhost(def.vhost) != nullptr && (source == nullptr || !reaches)) return {};
    if (source != nullptr)
      if (auto ok = routing::validate_binding(*source, def); !ok) return named(fields, ok.error());
    return emit(fields, metadata::Bind{std::move(def)});
  }

  Result<void> arguments(const Fields& fields, FieldTable& to) {
    json::object object;
    WARREN_TAKE(object, fields.object("arguments"));
    auto table = json_to_table(object);
    if (!table) return named(fields, table.error());
    to = std::move(*table);
    return {};
  }

  const json::object& document_;
  metadata::Catalogue work_;
  const ImportOptions& options_;
  std::vector<metadata::Command> commands_;
};

}  // namespace

Result<void> read_policy(const Fields& fields, metadata::PolicyDef& def) {
  WARREN_TAKE(def.pattern, fields.text("pattern"));
  WARREN_TAKE(def.apply_to, fields.text("apply-to", "all"));
  WARREN_TAKE(def.priority, fields.integer("priority", 0));
  const json::value* definition = fields.find("definition");
  if (definition == nullptr) return fields.wrong("field 'definition' is missing");
  def.definition = json::serialize(*definition);
  if (auto ok = validate_policy(def); !ok)
    return make_error(ok.error().code, fmt::format("{}: {}", fields.what(), ok.error().text));
  return {};
}

Result<std::vector<metadata::Command>> import_definitions(std::string_view text,
                                                          const metadata::Catalogue& catalogue,
                                                          const ImportOptions& options) {
  auto document = parse_json(text);
  if (!document) return document.error();
  const auto* object = document->if_object();
  if (object == nullptr)
    return make_error(Errc::invalid_argument, "definitions are not a JSON object");
  if (!options.vhost.empty() && catalogue.find_vhost(options.vhost) == nullptr)
    return make_error(Errc::not_found, fmt::format("no vhost '{}'", options.vhost));
  return Importer(*object, catalogue, options).run();
}

}  // namespace warren::broker
