#pragma once
// The handlers behind the routes (routes.cpp), by the file they live in, and what they share.

#include "node/http/call.h"

namespace warren::http {

// overview.cpp
void overview(const CallRef&);
void list_nodes(const CallRef&);
void get_node(const CallRef&);
void node_memory(const CallRef&);
void get_cluster_name(const CallRef&);
void put_cluster_name(const CallRef&);
void whoami(const CallRef&);
void no_extensions(const CallRef&);
void list_feature_flags(const CallRef&);

// health.cpp
void check_passes(const CallRef&);
void check_alarms(const CallRef&);
void check_local_alarms(const CallRef&);
void check_quorum_critical(const CallRef&);
void check_in_service(const CallRef&);
void check_port_listener(const CallRef&);
void check_protocol_listener(const CallRef&);

// topology.cpp
void list_queues(const CallRef&);
void get_queue(const CallRef&);
void put_queue(const CallRef&);
void delete_queue(const CallRef&);
void purge_queue(const CallRef&);
void queue_actions(const CallRef&);
void list_exchanges(const CallRef&);
void get_exchange(const CallRef&);
void put_exchange(const CallRef&);
void delete_exchange(const CallRef&);
/// The user's permission in the path's vhost; false after a 401.
bool permitted(const CallRef& call, access::Permission permission, access::ResourceKind kind,
               const std::string& name);
/// `arguments` of a body. False after a 400.
bool read_arguments(const CallRef& call, const boost::json::object& body, FieldTable& out);
/// The queue of the path; null after a 404 (none, or its home is down), or a 400 when it is exclusive to a
/// connection.
std::shared_ptr<broker::QueueEndpoint> open_queue(const CallRef& call);
/// What was asked of the queue is answered in time, also when its home hangs.
void expect_home(const CallRef& call, const broker::QueueEndpoint& queue);

// bindings.cpp
void list_bindings(const CallRef&);
void queue_bindings(const CallRef&);
void exchange_source_bindings(const CallRef&);
void exchange_destination_bindings(const CallRef&);
void list_bindings_between(const CallRef&);
void post_binding(const CallRef&);
void get_binding(const CallRef&);
void delete_binding(const CallRef&);
/// Paths call the default exchange amq.default.
std::string exchange_name(const std::string& in_path);

// messages.cpp
void publish(const CallRef&);
void get_messages(const CallRef&);

// connections.cpp
void list_connections(const CallRef&);
void get_connection(const CallRef&);
void delete_connection(const CallRef&);
void delete_user_connections(const CallRef&);
void connection_channels(const CallRef&);
void list_channels(const CallRef&);
void get_channel(const CallRef&);
void list_consumers(const CallRef&);

// users.cpp
void list_users(const CallRef&);
void list_users_without_permissions(const CallRef&);
void get_user(const CallRef&);
void put_user(const CallRef&);
void delete_user(const CallRef&);
void delete_users(const CallRef&);
void list_permissions(const CallRef&);
void get_permission(const CallRef&);
void put_permission(const CallRef&);
void delete_permission(const CallRef&);
void list_topic_permissions(const CallRef&);
void put_topic_permission(const CallRef&);
void delete_topic_permission(const CallRef&);

// vhosts.cpp
void list_vhosts(const CallRef&);
void get_vhost(const CallRef&);
void put_vhost(const CallRef&);
void delete_vhost(const CallRef&);
void protect_vhost(const CallRef&);
void unprotect_vhost(const CallRef&);
void list_vhost_limits(const CallRef&);
void put_vhost_limit(const CallRef&);
void delete_vhost_limit(const CallRef&);
void list_user_limits(const CallRef&);
void put_user_limit(const CallRef&);
void delete_user_limit(const CallRef&);

// policies.cpp
void list_policies(const CallRef&);
void get_policy(const CallRef&);
void put_policy(const CallRef&);
void delete_policy(const CallRef&);
void list_operator_policies(const CallRef&);
void get_operator_policy(const CallRef&);
void put_operator_policy(const CallRef&);
void delete_operator_policy(const CallRef&);
void list_parameters(const CallRef&);
void get_parameter(const CallRef&);
void put_parameter(const CallRef&);
void delete_parameter(const CallRef&);
void list_global_parameters(const CallRef&);
void get_global_parameter(const CallRef&);
void put_global_parameter(const CallRef&);
void delete_global_parameter(const CallRef&);
void get_definitions(const CallRef&);
void post_definitions(const CallRef&);

}  // namespace warren::http
