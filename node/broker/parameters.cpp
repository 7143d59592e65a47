#include "node/broker/parameters.h"

#include "node/access/access.h"
#include "node/broker/definitions.h"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace warren::broker {

namespace {

using metadata::ParameterDef;

constexpr std::string_view kVhostLimits = "vhost-limits";
constexpr std::string_view kOperatorPolicy = "operator_policy";
constexpr std::string_view kComponents[] = {"shovel", "federation-upstream",
                                            "federation-upstream-set", "federation"};

Error no_parameter(std::string_view vhost, std::string_view component, std::string_view name) {
  return make_error(Errc::not_found, fmt::format("no parameter '{}' of component '{}' in vhost '{}'",
                                                 name, component, vhost));
}

Result<metadata::Command> put_limits(const metadata::Vhost& vhost, const ParameterDef& parameter,
                                     const boost::json::value& value) {
  boost::json::object object{{"limits", value}};
  const Fields fields(object, "vhost limits");
  if (parameter.name != "limits")
    return fields.wrong(fmt::format("the parameter is called 'limits', not '{}'", parameter.name));
  auto limits = fields.numbers("limits");
  if (!limits) return limits.error();
  if (auto ok = access::check_limit_names("vhost", *limits); !ok) return ok.error();
  metadata::PutVhost put{vhost.def};
  put.def.limits = std::move(*limits);
  return metadata::Command(std::move(put));
}

Result<metadata::Command> put_policy(const ParameterDef& parameter,
                                     const boost::json::value& value) {
  if (!value.is_object())
    return make_error(Errc::invalid_argument, "the value of a policy is a JSON object");
  metadata::PutPolicy put;
  put.def.vhost = parameter.vhost;
  put.def.name = parameter.name;
  put.def.is_operator = parameter.component == kOperatorPolicy;
  const Fields fields(value.get_object(), fmt::format("policy '{}'", parameter.name));
  if (auto ok = read_policy(fields, put.def); !ok) return ok.error();
  return metadata::Command(std::move(put));
}

}  // namespace

Result<metadata::Command> make_put_parameter(const metadata::Catalogue& catalogue,
                                             const ParameterDef& parameter,
                                             UnknownComponents unknown) {
  auto value = parse_json(parameter.value);
  if (!value) return value.error();
  if (parameter.vhost.empty()) return metadata::Command(metadata::PutParameter{parameter});
  const metadata::Vhost* vhost = catalogue.find_vhost(parameter.vhost);
  if (vhost == nullptr)
    return make_error(Errc::not_found, fmt::format("no vhost '{}'", parameter.vhost));
  if (parameter.component == kVhostLimits) return put_limits(*vhost, parameter, *value);
  if (parameter.component == kOperatorPolicy || parameter.component == "policy")
    return put_policy(parameter, *value);
  const bool is_known = std::find(std::begin(kComponents), std::end(kComponents),
                                  parameter.component) != std::end(kComponents);
  if (!is_known && unknown == UnknownComponents::refuse)
    return make_error(Errc::invalid_argument,
                      fmt::format("component {} not found", parameter.component));
  const bool takes_list = parameter.component == "federation-upstream-set";
  if (is_known && !value->is_object() && !(takes_list && value->is_array()))
    return make_error(Errc::invalid_argument,
                      fmt::format("the value of a {} is a JSON {}", parameter.component,
                                  takes_list ? "list" : "object"));
  return metadata::Command(metadata::PutParameter{parameter});
}

Result<metadata::Command> put_parameter_command(const metadata::Catalogue& catalogue,
                                                const ParameterDef& parameter) {
  return make_put_parameter(catalogue, parameter, UnknownComponents::refuse);
}

Result<metadata::Command> delete_parameter_command(const metadata::Catalogue& catalogue,
                                                   std::string_view vhost,
                                                   std::string_view component,
                                                   std::string_view name) {
  if (component == kVhostLimits) {
    const metadata::Vhost* found = catalogue.find_vhost(vhost);
    if (found == nullptr) return make_error(Errc::not_found, fmt::format("no vhost '{}'", vhost));
    if (found->def.limits.empty() || name != "limits") return no_parameter(vhost, component, name);
    metadata::PutVhost put{found->def};
    put.def.limits.clear();
    return metadata::Command(std::move(put));
  }
  if (component == kOperatorPolicy || component == "policy")
    return metadata::Command(metadata::DeletePolicy{std::string(vhost), std::string(name),
                                                    component == kOperatorPolicy});
  return metadata::Command(
      metadata::DeleteParameter{std::string(vhost), std::string(component), std::string(name)});
}

}  // namespace warren::broker
