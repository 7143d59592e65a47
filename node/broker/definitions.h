#pragma once
// Definitions: the whole topology as one JSON document, in the shape RabbitMQ's tools write and read
// (3.x and 4.x). Pure: text in, commands out, and back.

#include "base/release.h"
#include "base/result.h"
#include "cluster/metadata/catalogue.h"
#include "node/access/passwords.h"

#include <boost/json/value.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace warren::broker {

struct ProductInfo {
  std::string compatible_version{"3.10.8"};  ///< what tools that know RabbitMQ are to think of
  std::string name{"Warren"};
  std::string version{release().version};
};

/// All of the catalogue but exclusive queues and what RabbitMQ predeclares.
std::string export_definitions(const metadata::Catalogue& catalogue, const ProductInfo& product);
/// One vhost's part: without users and permissions, objects without their vhost.
/// Errors: not_found.
Result<std::string> export_vhost_definitions(const metadata::Catalogue& catalogue,
                                             std::string_view vhost, const ProductInfo& product);

struct ImportOptions {
  std::string vhost;           ///< import into this one only; "" = a document of a whole cluster
  std::string user;            ///< who imports: owner of the declared objects
  access::RandomBytes random;  ///< salts of users that come with a plain password; may be empty
  std::string password_hashing{access::kDefaultHashing};
  std::string default_queue_type{"classic"};
};

/// Turns a document into the commands that are still needed, in an order that applies: an import of
/// what exists already gives none. Existing queues and exchanges are left as they are, users,
/// policies and parameters are replaced, vhosts keep what the document does not mention.
/// All or nothing: the commands were tried on a copy of the catalogue.
/// Errors: invalid_argument (not JSON, wrong shape, refused values), not_found (a vhost or exchange
///         that neither catalogue nor document has), exhausted, each naming the object.
Result<std::vector<metadata::Command>> import_definitions(std::string_view json,
                                                          const metadata::Catalogue& catalogue,
                                                          const ImportOptions& options);

// ---- values ---------------------------------------------------------------------------------------

/// JSON as AMQP arguments: integers become `l`, numbers with a fraction `d`.
/// Errors: invalid_argument (names over 255 bytes, integers over 63 bits).
Result<FieldTable> json_to_table(const boost::json::object& object);
boost::json::object table_to_json(const FieldTable& table);

// ---- parameters -----------------------------------------------------------------------------------

/// The command behind set_parameter; limits of vhosts and operator policies live elsewhere than
/// other parameters, but are set and shown as such.
/// Errors: invalid_argument (unknown component, not JSON, refused value), not_found (vhost).
Result<metadata::Command> put_parameter_command(const metadata::Catalogue& catalogue,
                                                const metadata::ParameterDef& parameter);
/// Errors: not_found.
Result<metadata::Command> delete_parameter_command(const metadata::Catalogue& catalogue,
                                                   std::string_view vhost,
                                                   std::string_view component,
                                                   std::string_view name);
/// All parameters with a vhost, limits of vhosts among them.
std::vector<metadata::ParameterDef> listed_parameters(const metadata::Catalogue& catalogue);

}  // namespace warren::broker
