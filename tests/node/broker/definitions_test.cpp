// Export and import of definitions; row ids are those of the acceptance list.

#include "node/broker/definitions.h"

#include "base/prng.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace warren::broker {
namespace {

using testing::HasSubstr;

constexpr const char kRealExport[] =
#include "tests/node/broker/definitions_3_10.inc"
    ;

ImportOptions with_random() {
  ImportOptions options;
  options.random = [](std::span<std::uint8_t> salt) {
    for (auto& byte : salt) byte = 9;
  };
  return options;
}

void must_apply(metadata::Catalogue& catalogue, const std::vector<metadata::Command>& commands) {
  for (const auto& command : commands) {
    auto applied = catalogue.apply(command);
    ASSERT_TRUE(applied) << applied.error().text;
  }
}

metadata::Catalogue imported(std::string_view text, const ImportOptions& options = with_random()) {
  metadata::Catalogue catalogue;
  auto commands = import_definitions(text, catalogue, options);
  if (!commands) {
    ADD_FAILURE() << commands.error().text;
    return catalogue;
  }
  must_apply(catalogue, *commands);
  return catalogue;
}

std::string refusal(std::string_view text, const metadata::Catalogue& catalogue = {}) {
  auto commands = import_definitions(text, catalogue, with_random());
  if (commands) return "accepted";
  return commands.error().text;
}

TEST(Definitions, POL08_a_real_export_arrives_whole) {
  const metadata::Catalogue catalogue = imported(kRealExport);
  EXPECT_EQ(catalogue.users().size(), 2u);
  EXPECT_EQ(catalogue.find_user("guest")->tags, std::vector<std::string>{"administrator"});
  EXPECT_TRUE(access::verify_password(catalogue.find_user("guest")->hashing_algorithm,
                                      catalogue.find_user("guest")->password_hash, "guest"));
  EXPECT_EQ(catalogue.find_user("u")->limits.at("max-channels"), 1);
  EXPECT_EQ(catalogue.vhosts().size(), 4u);
  EXPECT_EQ(catalogue.find_vhost("lim")->def.limits.at("max-connections"), 0);
  EXPECT_EQ(catalogue.find_vhost("pp")->def.limits.at("max-queues"), 10);
  EXPECT_EQ(catalogue.find_vhost("pp")->policies.size(), 4u);
  EXPECT_EQ(catalogue.find_vhost("pp")->operator_policies.at("op").priority, 1);
  EXPECT_EQ(catalogue.find_queue("pp", "qq")->type, metadata::QueueType::quorum);
  EXPECT_EQ(catalogue.find_queue("pp", "s")->type, metadata::QueueType::stream);
  const FieldTable& arguments = catalogue.find_queue("pp", "args")->arguments;
  EXPECT_EQ(*arguments.find("x-message-ttl"), FieldValue(std::int64_t{60000}));
  EXPECT_EQ(*arguments.find("big"), FieldValue(std::int64_t{1} << 40));
  EXPECT_EQ(*arguments.find("f"), FieldValue(1.5));
  EXPECT_EQ(*arguments.find("b"), FieldValue(true));
  EXPECT_EQ(arguments.find("arr")->as_array()->size(), 2u);
  EXPECT_EQ(*arguments.find("tab")->as_table()->find("k"), FieldValue(std::int64_t{1}));
  EXPECT_EQ(catalogue.bindings_to("pp", "args", true).size(), 1u);
  EXPECT_EQ(catalogue.bindings_from("pp", "amq.topic").size(), 1u);
  EXPECT_EQ(catalogue.find_topic_permission("guest", "pp", "amq.topic")->write, "^a");
  std::set<std::string> components;
  for (const auto& parameter : catalogue.parameters()) components.insert(parameter.component);
  EXPECT_EQ(components, (std::set<std::string>{"", "federation-upstream", "shovel"}));
  EXPECT_EQ(catalogue.check_invariants(), std::nullopt);
}

/// JSON text with the keys of all objects in order.
std::string canonical(const boost::json::value& value) {
  std::string out;
  if (const auto* object = value.if_object()) {
    std::map<std::string, std::string> sorted;
    for (const auto& [name, field] : *object) sorted[std::string(name)] = canonical(field);
    for (const auto& [name, field] : sorted) out += name + "=" + field + " ";
    return "{" + out + "}";
  }
  if (const auto* array = value.if_array()) {
    for (const auto& item : *array) out += canonical(item) + ",";
    return "[" + out + "]";
  }
  return boost::json::serialize(value);
}

/// The document as sorted entries per key, so that order plays no part.
std::map<std::string, std::multiset<std::string>> entries(const std::string& text) {
  std::map<std::string, std::multiset<std::string>> out;
  const auto document = boost::json::parse(text);
  for (const auto& [key, value] : document.as_object()) {
    if (!value.is_array()) continue;
    auto& list = out[std::string(key)];
    for (const auto& item : value.get_array()) list.insert(canonical(item));
  }
  return out;
}

TEST(Definitions, POL07_what_was_imported_is_exported) {
  const auto ours = entries(export_definitions(imported(kRealExport), {}));
  const auto theirs = entries(kRealExport);
  for (const auto& [key, list] : theirs) {
    if (key == "global_parameters" || key == "vhosts" || key == "queues") continue;
    EXPECT_EQ(ours.at(key), list) << key;
  }
  EXPECT_EQ(ours.at("global_parameters").size() + 1, theirs.at("global_parameters").size());
  EXPECT_EQ(ours.at("vhosts").size(), theirs.at("vhosts").size());
  EXPECT_EQ(ours.at("queues").size(), theirs.at("queues").size());
}

TEST(Definitions, POL07_round_trip_is_idempotent) {
  const metadata::Catalogue first = imported(kRealExport);
  const std::string text = export_definitions(first, {});
  const metadata::Catalogue second = imported(text);
  EXPECT_EQ(export_definitions(second, {}), text);
  const auto again = import_definitions(text, second, with_random());
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->empty());
}

TEST(Definitions, POL08_keys) {
  const auto document =
      boost::json::parse(export_definitions(imported(kRealExport), {})).as_object();
  for (const char* key :
       {"rabbit_version", "rabbitmq_version", "product_name", "product_version", "users", "vhosts",
        "permissions", "topic_permissions", "parameters", "global_parameters", "policies", "queues",
        "exchanges", "bindings"})
    EXPECT_TRUE(document.contains(key)) << key;
}

TEST(Definitions, exclusive_queues_and_their_bindings_stay_out) {
  metadata::Catalogue catalogue = imported(R"({"vhosts":[{"name":"/"}]})");
  metadata::DeclareQueue exclusive;
  exclusive.def.vhost = "/";
  exclusive.def.name = "mine";
  exclusive.def.exclusive = true;
  exclusive.def.owner_connection = 1;
  metadata::Bind bind;
  bind.def.vhost = "/";
  bind.def.source = "amq.direct";
  bind.def.destination = "mine";
  must_apply(catalogue, {exclusive, bind});
  const auto document = boost::json::parse(export_definitions(catalogue, {})).as_object();
  EXPECT_TRUE(document.at("queues").as_array().empty());
  EXPECT_TRUE(document.at("bindings").as_array().empty());
  EXPECT_TRUE(document.at("exchanges").as_array().empty());
}

TEST(Definitions, POL07_one_vhost_alone) {
  const metadata::Catalogue whole = imported(kRealExport);
  EXPECT_EQ(export_vhost_definitions(whole, "nope", {}).error().code, Errc::not_found);
  const std::string text = *export_vhost_definitions(whole, "pp", {});
  const auto document = boost::json::parse(text).as_object();
  EXPECT_FALSE(document.contains("users"));
  EXPECT_FALSE(document.at("queues").as_array().at(0).as_object().contains("vhost"));

  metadata::Catalogue other = imported(R"({"vhosts":[{"name":"copy"}]})");
  ImportOptions into = with_random();
  into.vhost = "copy";
  auto commands = import_definitions(text, other, into);
  ASSERT_TRUE(commands) << commands.error().text;
  must_apply(other, *commands);
  EXPECT_EQ(other.find_vhost("copy")->queues.size(), whole.find_vhost("pp")->queues.size());
  EXPECT_EQ(other.find_vhost("copy")->bindings.size(), whole.find_vhost("pp")->bindings.size());
  EXPECT_EQ(other.find_vhost("copy")->def.limits, whole.find_vhost("pp")->def.limits);
  into.vhost = "missing";
  EXPECT_EQ(import_definitions(text, other, into).error().code, Errc::not_found);
}

TEST(Definitions, POL08_old_exports) {
  const metadata::Catalogue catalogue = imported(R"({
    "rabbit_version": "3.5.7",
    "users": [{"name": "old", "password_hash": "AQIDBDgk9ci8Lfh6CKE9Y0AUfmU=",
               "tags": "administrator, custom"},
              {"name": "none", "password_hash": "", "tags": ""}],
    "vhosts": [{"name": "/"}],
    "permissions": [{"user": "old", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    "policies": [{"vhost": "/", "name": "ha", "pattern": "^ha\\.", "apply-to": "all",
                  "definition": {"ha-mode": "all", "ha-sync-mode": "automatic"}, "priority": 0}],
    "queues": [{"name": "ha.q", "vhost": "/", "durable": true, "auto_delete": false,
                "arguments": {"x-queue-mode": "lazy"}}],
    "exchanges": [{"name": "x", "vhost": "/", "type": "headers", "durable": true,
                   "auto_delete": false, "internal": false, "arguments": []}],
    "bindings": [{"source": "x", "vhost": "/", "destination": "ha.q", "destination_type": "queue",
                  "routing_key": "", "arguments": {"x-match": "any", "k": "v"}},
                 {"source": "", "vhost": "/", "destination": "ha.q", "destination_type": "queue",
                  "routing_key": "ha.q", "arguments": {}},
                 {"source": "x", "vhost": "/", "destination": "gone", "destination_type": "queue",
                  "routing_key": "", "arguments": {}}]})");
  const auto* user = catalogue.find_user("old");
  EXPECT_EQ(user->tags, (std::vector<std::string>{"administrator", "custom"}));
  EXPECT_TRUE(access::verify_password(user->hashing_algorithm, user->password_hash, "secret"));
  EXPECT_EQ(catalogue.find_vhost("/")->bindings.size(), 1u);
  EXPECT_EQ(catalogue.find_vhost("/")->policies.size(), 1u);
}

TEST(Definitions, POL08_exports_of_4x) {
  const metadata::Catalogue catalogue = imported(R"({
    "rabbitmq_version": "4.1.0", "rabbit_version": "4.1.0", "product_name": "RabbitMQ",
    "rabbitmq_definition_format": "cluster", "original_cluster_name": "rabbit@a",
    "explanation": "Definitions of cluster 'rabbit@a'",
    "users": [{"name": "u", "password_hash": "", "hashing_algorithm":
               "rabbit_password_hashing_sha256", "tags": ["management"], "limits": {}}],
    "vhosts": [{"name": "/", "description": "Default", "tags": ["t"], "default_queue_type":
                "quorum", "metadata": {"description": "Default", "tags": ["t"],
                "default_queue_type": "quorum"}, "protected_from_deletion": true, "limits": []}],
    "permissions": [], "topic_permissions": [], "parameters": [],
    "global_parameters": [{"name": "cluster_tags", "value": []},
                          {"name": "internal_cluster_id", "value": "rabbitmq-cluster-id-x"}],
    "policies": [{"vhost": "/", "name": "p", "pattern": ".*", "apply-to": "quorum_queues",
                  "definition": {"delivery-limit": 20, "target-group-size": 5}, "priority": 7}],
    "queues": [{"name": "c", "vhost": "/", "durable": true, "auto_delete": false,
                "arguments": {"x-queue-type": "classic", "x-queue-version": 2,
                              "x-queue-leader-locator": "balanced"}},
               {"name": "d", "vhost": "/", "durable": true, "auto_delete": false,
                "type": "stream", "arguments": {}},
               {"name": "e", "vhost": "/", "durable": true, "auto_delete": false,
                "arguments": {}}],
    "exchanges": [], "bindings": []})");
  EXPECT_EQ(catalogue.find_vhost("/")->def.description, "Default");
  EXPECT_TRUE(catalogue.find_vhost("/")->def.protected_from_deletion);
  EXPECT_EQ(catalogue.find_queue("/", "c")->type, metadata::QueueType::classic);
  EXPECT_EQ(catalogue.find_queue("/", "d")->type, metadata::QueueType::stream);
  EXPECT_EQ(catalogue.find_queue("/", "e")->type, metadata::QueueType::quorum);
  EXPECT_EQ(catalogue.parameters().size(), 1u);
  const std::string text = export_definitions(catalogue, {});
  EXPECT_EQ(export_definitions(imported(text), {}), text);
}

TEST(Definitions, plain_passwords_are_hashed_and_kept_when_they_are_the_same) {
  const char* text = R"({"users":[{"name":"u","password":"secret","tags":["management"]}]})";
  metadata::Catalogue catalogue = imported(text);
  const auto* user = catalogue.find_user("u");
  EXPECT_TRUE(access::verify_password(user->hashing_algorithm, user->password_hash, "secret"));
  ImportOptions other_salt = with_random();
  other_salt.random = [](std::span<std::uint8_t> salt) { salt[0] = 77; };
  EXPECT_TRUE(import_definitions(text, catalogue, other_salt)->empty());
  EXPECT_THAT(import_definitions(text, {}, ImportOptions{}).error().text,
              HasSubstr("plain password"));
}

TEST(Definitions, what_exists_is_left_or_merged) {
  metadata::Catalogue catalogue = imported(R"({
    "vhosts": [{"name":"/","description":"kept","limits":{"max-queues":5}}],
    "queues": [{"name":"q","vhost":"/","durable":true}]})");
  const auto commands = import_definitions(
      R"({"vhosts":[{"name":"/"}],"queues":[{"name":"q","vhost":"/","durable":false}]})",
      catalogue, with_random());
  ASSERT_TRUE(commands);
  EXPECT_TRUE(commands->empty());
}

TEST(Definitions, POL07_refusals_name_the_object) {
  const metadata::Catalogue catalogue = imported(R"({"vhosts":[{"name":"/"}]})");
  const std::pair<const char*, const char*> cases[] = {
      {"{", "not JSON"},
      {"[]", "definitions are not a JSON object"},
      {R"({"users":5})", "'users' is not a list"},
      {R"({"users":[5]})", "users[0] is not an object"},
      {R"({"users":[{"tags":[]}]})", "users[0]: field 'name' is missing"},
      {R"({"users":[{"name":"u","password_hash":"%%"}]})", "user 'u': the password hash"},
      {R"({"users":[{"name":"u","tags":[1]}]})", "user 'u': field 'tags'"},
      {R"({"queues":[{"name":"q","vhost":"nope"}]})", "queue 'q' in vhost 'nope': no vhost 'nope'"},
      {R"({"queues":[{"name":"q"}]})", "queues[0]: field 'vhost' is missing"},
      {R"({"queues":[{"name":"q","vhost":"/","durable":"yes"}]})",
       "queue 'q' in vhost '/': field 'durable'"},
      {R"({"queues":[{"name":"q","vhost":"/","arguments":{"x-message-ttl":-1}}]})",
       "queue 'q' in vhost '/': invalid arg 'x-message-ttl'"},
      {R"({"queues":[{"name":"q","vhost":"/","arguments":{"a":18446744073709551615}}]})",
       "queue 'q' in vhost '/': argument 'a'"},
      {R"({"exchanges":[{"name":"x","vhost":"/","type":"nope"}]})",
       "exchange 'x' in vhost '/': unknown exchange type 'nope'"},
      {R"({"exchanges":[{"name":"x","vhost":"/"}]})",
       "exchange 'x' in vhost '/': field 'type' is missing"},
      {R"({"permissions":[{"user":"u","vhost":"/","configure":"","write":"","read":""}]})",
       "permission of user 'u' in vhost '/': no user 'u'"},
      {R"({"permissions":[{"user":"u","vhost":"/","configure":"(","write":"","read":""}]})",
       "permission of user 'u' in vhost '/': regular expression"},
      {R"({"policies":[{"name":"p","vhost":"/","pattern":"(","definition":{"max-length":1}}]})",
       "policy 'p' in vhost '/': pattern"},
      {R"({"policies":[{"name":"p","vhost":"/","pattern":"x","definition":{"bogus":1}}]})",
       "policy 'p' in vhost '/': not recognised policy settings: bogus"},
      {R"({"parameters":[{"name":"limits","vhost":"/","component":"vhost-limits","value":{"a":1}}]})",
       "parameter 'limits' in vhost '/': unknown vhost limit 'a'"},
      {R"({"bindings":[{"source":"x","vhost":"nope","destination":"q"}]})",
       "binding from exchange 'x' to 'q' in vhost 'nope': no vhost 'nope'"},
      {R"({"bindings":[{"source":"amq.headers","vhost":"/","destination":"amq.direct",
          "destination_type":"exchange","arguments":{"x-match":"foo"}}]})",
       "binding from exchange 'amq.headers' to 'amq.direct' in vhost '/'"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_THAT(refusal(text, catalogue), HasSubstr(expected)) << text;
}

TEST(Definitions, take_any_bytes) {
  Prng random(31);
  const std::string sample = kRealExport;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = sample;
    for (std::uint64_t n = random.below(5) + 1; n > 0; --n) {
      const auto at = random.below(bytes.size());
      if (random.chance(1, 3))
        bytes.erase(at, random.below(30));
      else
        bytes[at] = "{}[]\",:0-ntx\xff"[random.below(13)];
    }
    const auto commands = import_definitions(bytes, {}, with_random());
    if (!commands) continue;
    metadata::Catalogue catalogue;
    must_apply(catalogue, *commands);
    (void)export_definitions(catalogue, {});
  }
}

TEST(Parameters, POL10_limits_and_policies_are_parameters) {
  metadata::Catalogue catalogue = imported(R"({"vhosts":[{"name":"/"}]})");
  const auto put = [&](const char* component, const char* name, const char* value) {
    auto command = put_parameter_command(catalogue, {"/", component, name, value});
    if (!command) return command.error().text;
    must_apply(catalogue, {*command});
    return std::string("ok");
  };
  EXPECT_EQ(put("vhost-limits", "limits", R"({"max-queues":1})"), "ok");
  EXPECT_EQ(catalogue.find_vhost("/")->def.limits.at("max-queues"), 1);
  ASSERT_EQ(listed_parameters(catalogue).size(), 1u);
  EXPECT_EQ(listed_parameters(catalogue)[0].value, R"({"max-queues":1})");
  must_apply(catalogue, {*delete_parameter_command(catalogue, "/", "vhost-limits", "limits")});
  EXPECT_TRUE(listed_parameters(catalogue).empty());
  EXPECT_EQ(delete_parameter_command(catalogue, "/", "vhost-limits", "limits").error().code,
            Errc::not_found);
  EXPECT_EQ(put("operator_policy", "op", R"({"pattern":"x","definition":{"max-length":1}})"), "ok");
  EXPECT_EQ(catalogue.find_vhost("/")->operator_policies.size(), 1u);
  EXPECT_EQ(put("no-such", "n", R"({"a":1})"), "component no-such not found");
  EXPECT_THAT(put("shovel", "n", "{"), HasSubstr("not JSON"));
  EXPECT_THAT(put("shovel", "n", "5"), HasSubstr("JSON object"));
  EXPECT_EQ(put("shovel", "n", R"({"src-uri":"amqp://"})"), "ok");
  EXPECT_EQ(listed_parameters(catalogue).size(), 1u);
}

}  // namespace
}  // namespace warren::broker
