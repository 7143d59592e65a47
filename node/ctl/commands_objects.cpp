// Listings of queues, exchanges, connections and the commands on them.
#include "node/ctl/command.h"
#include "node/ctl/runners.h"

namespace warren::ctl {
namespace {

constexpr unsigned kBoth = kCtl | kDiagnostics;

constexpr std::string_view kQueueColumns =
    "name durable=bool auto_delete=bool arguments=table policy operator_policy "
    "effective_policy_definition=json pid=pid owner_pid=pid exclusive=bool "
    "exclusive_consumer_pid=pid "
    "exclusive_consumer_tag messages_ready=number messages_unacknowledged=number messages=number "
    "messages_ready_ram=number messages_unacknowledged_ram=number messages_ram=number "
    "messages_persistent=number message_bytes=number message_bytes_ready=number "
    "message_bytes_unacknowledged=number message_bytes_ram=number message_bytes_persistent=number "
    "head_message_timestamp=number disk_reads=number disk_writes=number consumers=number "
    "consumer_utilisation=number consumer_capacity=number memory=number state=atom type=atom "
    "leader=atom "
    "members=atoms online=atoms slave_pids=pids synchronised_slave_pids=pids mirror_pids=pids "
    "synchronised_mirror_pids=pids vhost stale_since=number";

const Command kTable[] = {
    {.name = "list_queues",
     .scopes = kBoth | kQueues,
     .group = Group::observe,
     .summary = "Lists queues and their properties",
     .arguments = "columns*",
     .options = "online! offline! local!",
     .flags = kApp | kVhost | kRows | kTimeout60,
     .banner = "Listing queues for vhost {vhost} ...",
     .columns = kQueueColumns,
     .default_columns = "name messages",
     .old_banner = "Listing queues ..."},
    {.name = "list_unresponsive_queues",
     .scopes = kBoth | kQueues,
     .group = Group::observe,
     .summary = "Lists the queues that do not answer within --queue-timeout seconds",
     .arguments = "columns*",
     .options = "local! queue-timeout=int all!",
     .flags = kApp | kVhost | kRows | kTimeout60,
     .banner = "Listing unresponsive queues for vhost {vhost} ...",
     .columns = kQueueColumns,
     .default_columns = "name"},
    {.name = "list_exchanges",
     .scopes = kBoth,
     .group = Group::observe,
     .summary = "Lists exchanges",
     .arguments = "columns*",
     .flags = kApp | kVhost | kRows,
     .banner = "Listing exchanges for vhost {vhost} ...",
     .columns = "name type=atom durable=bool auto_delete=bool internal=bool arguments=table policy "
                "user_who_performed_action vhost",
     .default_columns = "name type",
     .old_banner = "Listing exchanges ..."},
    {.name = "list_bindings",
     .scopes = kBoth,
     .group = Group::observe,
     .summary = "Lists all bindings of a virtual host",
     .arguments = "columns*",
     .flags = kApp | kVhost | kRows,
     .banner = "Listing bindings for vhost {vhost}...",
     .columns = "source_name source_kind=atom destination_name destination_kind=atom routing_key "
                "arguments=table vhost",
     .default_columns =
         "source_name source_kind destination_name destination_kind routing_key arguments",
     .old_banner = "Listing bindings ..."},
    {.name = "list_connections",
     .scopes = kBoth,
     .group = Group::observe,
     .summary = "Lists AMQP 0-9-1 connections",
     .arguments = "columns*",
     .flags = kApp | kRows,
     .banner = "Listing connections ...",
     .columns =
         "pid=pid name port=number host=host peer_port=number peer_host=host ssl=bool "
         "ssl_protocol=atom "
         "ssl_key_exchange=atom ssl_cipher=atom ssl_hash=atom peer_cert_subject peer_cert_issuer "
         "peer_cert_validity state=atom channels=number protocol auth_mechanism user vhost "
         "timeout=number "
         "frame_max=number channel_max=number client_properties=table recv_oct=number "
         "recv_cnt=number "
         "send_oct=number send_cnt=number send_pend=number connected_at=number user_provided_name "
         "node=atom",
     .default_columns = "user peer_host peer_port state"},
    {.name = "list_channels",
     .scopes = kBoth,
     .group = Group::observe,
     .summary = "Lists channels",
     .arguments = "columns*",
     .flags = kApp | kRows,
     .banner = "Listing channels ...",
     .columns =
         "pid=pid connection=pid name number=number user vhost transactional=bool confirm=bool "
         "consumer_count=number messages_unacknowledged=number messages_uncommitted=number "
         "acks_uncommitted=number messages_unconfirmed=number prefetch_count=number "
         "global_prefetch_count=number state=atom node=atom",
     .default_columns = "pid user consumer_count messages_unacknowledged"},
    {.name = "list_consumers",
     .scopes = kBoth,
     .group = Group::observe,
     .summary = "Lists the consumers of a virtual host",
     .arguments = "columns*",
     .flags = kApp | kVhost | kRows,
     .banner = "Listing consumers in vhost {vhost} ...",
     .columns = "queue_name channel_pid=pid consumer_tag ack_required=bool prefetch_count=number "
                "active=bool "
                "activity_status=atom arguments=table vhost",
     .default_columns =
         "queue_name channel_pid consumer_tag ack_required prefetch_count active arguments"},
    {.name = "purge_queue",
     .group = Group::queues,
     .summary = "Removes every ready message of a queue",
     .arguments = "name",
     .flags = kApp | kVhost | kCheck,
     .banner = "Purging queue '{name}' in vhost '{vhost}' ..."},
    {.name = "pause_queue",
     .group = Group::queues,
     .summary = "Holds the deliveries of a queue back; its consumers stay",
     .arguments = "name",
     .flags = kApp | kVhost | kCheck,
     .banner = "Pausing queue '{name}' in vhost '{vhost}' ..."},
    {.name = "resume_queue",
     .group = Group::queues,
     .summary = "Lets a paused queue deliver again",
     .arguments = "name",
     .flags = kApp | kVhost | kCheck,
     .banner = "Resuming queue '{name}' in vhost '{vhost}' ..."},
    {.name = "delete_queue",
     .group = Group::queues,
     .summary = "Deletes a queue",
     .arguments = "name",
     .options = "if-empty!,e if-unused!,u force!",
     .flags = kApp | kVhost,
     .run = run_delete_queue},
    {.name = "close_connection",
     .group = Group::operations,
     .summary = "Closes one connection; its client is told the reason",
     .arguments = "pid reason",
     .flags = kApp,
     .banner = "Closing connection {pid}, reason: {reason}..."},
    {.name = "close_all_connections",
     .group = Group::operations,
     .summary = "Closes all connections of a virtual host, or of the whole node",
     .arguments = "reason",
     .options = "limit=int global! per-connection-delay=int",
     .flags = kApp | kVhost,
     .run = run_close_all},
    {.name = "close_all_user_connections",
     .group = Group::operations,
     .summary = "Closes all connections of one user",
     .arguments = "username reason",
     .flags = kApp,
     .banner = "Closing connections of user {username}, reason: {reason}..."},
    {.name = "list_node_auth_attempt_stats",
     .scopes = kBoth,
     .group = Group::observe,
     .summary = "Lists how many logins succeeded and failed on the node",
     .options = "by-source!",
     .flags = kApp | kRows | kFixed,
     .banner = "Listing authentication attempts for node {node} ...",
     .columns = "remote_address username protocol auth_attempts=number auth_attempts_failed=number "
                "auth_attempts_succeeded=number",
     .default_columns = "protocol auth_attempts auth_attempts_failed auth_attempts_succeeded"},
};

}  // namespace

std::span<const Command> object_commands() { return kTable; }

}  // namespace warren::ctl
