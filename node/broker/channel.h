#pragma once
// One AMQP channel's meaning: publishing in batches, consuming, settling, topology, transactions.
// channel_publish.cpp, channel_consume.cpp, channel_topology.cpp and channel_tx.cpp hold one area each.

#include "node/amqp/connection.h"
#include "node/amqp/properties.h"
#include "node/broker/broker.h"
#include "node/broker/channel_consumer.h"
#include "node/broker/routing/route_cache.h"
#include "node/broker/session.h"

#include <boost/container/small_vector.hpp>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace warren::broker {

/// Owner: its session's thread.
/// Invariants: 1. a batch is handed to queues only with complete records; 2. outstanding_ holds the
/// batches whose confirms are not sent, in order of their sequence numbers, among them some that
/// were told out of turn (count 0, no block); no batch that may outlive the channel still names it
/// as its publisher; 3. unacked_ is sorted by delivery tag; 4. a record whose body is still
/// arriving takes no more memory than four times what came, and kBlockMax.
class Channel final : public amqp::ChannelHandler, public Publisher {
 public:
  Channel(Session& session, std::uint16_t number);
  ~Channel() override;

  // ---- amqp::ChannelHandler ----
  void on_method(amqp::MethodId id, std::string_view arguments) override;
  void on_publish(std::string_view arguments) override;
  void on_content_header(std::uint64_t body_size, std::string_view props) override;
  void on_content_body(std::string_view bytes) override;
  bool busy() const override { return pending_ > 0; }
  /// Publishes of a commit are on their way: the channel's state is neither before nor behind it.
  bool refuses_commands() const override { return commits_waiting_ > 0 && commit_done_; }
  void on_turn_end() override;
  void on_closed() override;

  // ---- Publisher ----
  void on_settled(PublishBatch& batch) override;

  // ---- for consumers of this channel ----
  bool delivery_allowed() const {
    return session_.output_open() && (shared_prefetch_ == 0 || shared_unacked_ < shared_prefetch_);
  }
  void write_delivery(ChannelConsumer& consumer, const Delivery& delivery);
  void consumer_cancelled(ChannelConsumer& consumer);
  /// A reply for this channel's direct reply-to consumer.
  void deliver_reply(MessageView message, const BlockRef& block);

  /// Sends the confirms that are due. Called at the end of a turn.
  void flush_confirms();
  void resume_consumers();
  /// Closes the channel when a delivery has waited too long for its ack (CNS-22).
  void check_timeouts(Millis now);
  void recheck_permissions();

  struct Info {
    std::uint16_t number;
    std::size_t consumers, unacked, unconfirmed, uncommitted, acks_uncommitted;
    std::size_t batches;      ///< handed to queues, kept for their confirms
    std::size_t batch_bytes;  ///< memory of what is gathered and not handed to queues yet
    std::uint32_t prefetch, global_prefetch;
    bool confirm, transactional;
  };
  Info info() const;
  std::string name() const;
  Session& session() { return session_; }
  bool confirms_due{false};

 private:
  /// A queue this channel publishes to, with what goes there at the end of the turn.
  struct Target {
    std::shared_ptr<QueueEndpoint> queue;
    std::vector<RecordRef> records;
    bool listed{false};
  };
  struct Route {
    boost::container::small_vector<Target*, 4> targets;
    std::string reply_token;  // direct reply-to instead of queues
    bool unreachable{false};  // some queue's node is down: it is left out, and confirms are nacks
    mutable Millis empty_at{0};  // when it was last known to lead nowhere, on this node brought up to date
  };
  struct Unacked {
    std::uint64_t tag;
    HolderId holder;
    Position position;
    QueueEndpoint* queue;  // null = settled already
    bool counted;      // against the shared prefetch
    Millis since;
  };
  struct TxPublish {
    BlockRef block;  // one record
    bool mandatory;
    bool unreachable;         // Route, as it was when the message came
    std::string reply_token;
    std::vector<metadata::QueueUid> queues;
  };
  struct TxSettle {
    std::uint64_t tag;
    bool multiple;
    Settle how;
  };

  // publishing (channel_publish.cpp)
  bool check_publish_exchange(std::string_view exchange, std::string_view key);
  const Route* resolve(std::string_view exchange, std::string_view key);
  Route make_route(std::string_view exchange, std::string_view key,
                   std::span<const std::string_view> extra, std::string_view headers,
                   std::string_view props);
  Target* target(metadata::QueueUid uid);
  bool check_properties(std::string_view props);
  void begin_record(std::string_view props);
  void grow_record(std::size_t more);
  std::string stamped(std::string_view props) const;
  void finish_record();
  void hand_over(const Route& route, std::uint32_t offset);
  bool deliver_reply_to(const std::string& token, MessageView message);
  void return_unroutable(MessageView message);
  void new_batch(std::size_t need);
  void flush_batch();
  void tell_out_of_turn();
  void trace_publish(MessageView message, const Route& route);

  // consuming (channel_consume.cpp)
  void on_qos(std::string_view arguments);
  void on_consume(std::string_view arguments);
  /// Unsubscribes; the consumer, ended or about to be, stays until the queue let it go.
  void leave(ChannelConsumer& consumer, std::function<void()> then);
  void on_subscribed(const std::string& tag, const metadata::QueueDef& def, bool no_ack, bool no_wait,
                     QueueError refused);
  void consume_replies(std::string tag, bool no_ack, bool no_wait);
  void on_cancel(std::string_view arguments);
  void on_get(std::string_view arguments);
  void on_ack(std::string_view arguments);
  void on_nack(std::string_view arguments);
  void on_reject(std::string_view arguments);
  void on_recover(amqp::MethodId id, std::string_view arguments);
  void settle(std::uint64_t tag, bool multiple, Settle how, amqp::MethodId method);
  bool apply_settle(std::uint64_t tag, bool multiple, Settle how);
  void settle_range(std::size_t from, std::size_t to, Settle how);
  void trim_unacked();
  /// Keeps an ended consumer for its deliveries; forgets those that have none left.
  void retire(std::unique_ptr<ChannelConsumer> consumer);
  void remember_got_from(const std::shared_ptr<QueueEndpoint>& queue);

  // topology (channel_topology.cpp)
  void on_exchange_declare(std::string_view arguments);
  void on_exchange_delete(std::string_view arguments);
  void on_exchange_bind(amqp::MethodId id, std::string_view arguments);
  void on_queue_declare(std::string_view arguments);
  void declare_reply_queue(const std::string& name, bool no_wait);
  void create_queue(metadata::QueueDef def, bool no_wait);
  void reply_declare(const std::string& name, bool no_wait);
  void on_queue_bind(amqp::MethodId id, std::string_view arguments);
  void bind(metadata::BindingDef def, bool remove, amqp::MethodId id, bool no_wait);
  void on_queue_purge(std::string_view arguments);
  void on_queue_delete(std::string_view arguments);
  /// The named queue ("" = the last declared); null after an error was raised.
  std::shared_ptr<QueueEndpoint> named_queue(std::string_view name, amqp::MethodId id);
  /// Raises what a queue's answer says (QUE-04, CNS-09); for `name` in this virtual host.
  void queue_error(QueueError refused, const metadata::QueueDef& def, amqp::MethodId id);
  bool resolve_name(std::string& name, amqp::MethodId id);
  bool allowed(access::Permission permission, std::string_view resource, bool exchange,
               amqp::MethodId id);
  bool own_queue(const metadata::QueueDef& def, amqp::MethodId id);

  // transactions (channel_tx.cpp)
  void on_tx(amqp::MethodId id);
  void commit();
  void keep_publish();
  Route route_of(const TxPublish& kept);
  void finish_commit();
  void end_commit();

  template <class Method>
  bool read(std::string_view arguments, Method& method) {
    if (amqp::decode(arguments, method)) return true;
    error(amqp::ReplyCode::frame_error, "cannot decode the arguments", Method::kId);
    return false;
  }
  template <class Method>
  void reply(const Method& method) {
    session_.connection().output().method(number_, method);
    session_.touch();
  }
  void error(amqp::ReplyCode code, std::string text, amqp::MethodId method);
  void error(const Error& error, amqp::MethodId method);
  /// Proposes a command; `then` runs when it is carried out, later frames wait.
  void apply(const metadata::Command& command, amqp::MethodId method, std::function<void()> then);
  /// Later frames wait until the returned function has been called (once).
  std::function<void()> suspend();
  /// A name is unknown here, but another member may know it: waits until this node is not behind, and
  /// does the whole call again. False: it is unknown to all.
  bool look_again();
  void look_for_targets();
  std::weak_ptr<char> alive() const { return alive_; }
  std::string where(std::string_view kind, std::string_view name) const;
  const std::string& vhost_name() const { return session_.vhost_name(); }

  Session& session_;
  Broker& broker_;
  VhostRuntime& vhost_;
  const std::uint16_t number_;
  std::shared_ptr<char> alive_;
  int pending_{0};
  bool in_call_{false};
  amqp::MethodId call_id_{0};         // of the call that is being made; 0 = none
  std::string_view call_arguments_;
  bool looked_again_{false};
  bool closed_{false};
  std::string last_queue_;

  // publishing
  std::map<metadata::QueueUid, std::unique_ptr<Target>> targets_;
  routing::RouteCache<Route> routes_;
  std::vector<Target*> dirty_;
  PublishBatchRef batch_;
  std::size_t next_capacity_{1024};
  std::string exchange_, key_;
  bool mandatory_{false};
  Route own_route_;                    // of a message whose route may not be cached
  const Route* route_{nullptr};
  std::string last_props_;             // checked and scanned already
  amqp::PropertiesScan last_scan_;
  std::uint64_t last_expiration_{kNoExpiration};
  std::uint64_t body_size_{0}, body_left_{0};
  char* body_at_{nullptr};
  char* body_end_{nullptr};            // of the room that the record has so far
  std::uint32_t record_at_{0};
  bool in_record_{false};
  std::deque<PublishBatchRef> outstanding_;
  std::vector<PublishBatchRef> settled_;  // since the last flush_confirms
  std::size_t told_inside_{0};            // batches in outstanding_ that were told out of turn
  bool confirm_{false};
  std::uint64_t next_seq_{1};

  // consuming
  std::map<std::string, std::unique_ptr<ChannelConsumer>, std::less<>> consumers_;
  std::vector<std::unique_ptr<ChannelConsumer>> retired_;  // ended; kept for deliveries not settled
  std::size_t retired_look_{64};       // look through retired_ at this size
  std::deque<Unacked> unacked_;
  std::size_t settled_inside_{0};      // tombstones in unacked_
  std::uint64_t next_tag_{1};
  std::uint32_t prefetch_{0};
  std::uint32_t shared_prefetch_{0}, shared_unacked_{0};
  HolderId get_holder_;
  std::map<metadata::QueueUid, std::shared_ptr<QueueEndpoint>> got_from_;
  std::size_t got_from_look_{64};      // look through got_from_ at this size
  std::string reply_tag_, reply_token_;

  // transactions
  bool tx_{false};
  std::vector<TxPublish> tx_publishes_;
  std::vector<TxSettle> tx_settles_;
  std::uint32_t commits_waiting_{0};
  std::vector<PublishBatchRef> tx_batches_;  // of the commit under way
  std::function<void()> commit_done_;
  bool commit_settles_{false};  // the commit under way also settles
  bool commit_failed_{false};   // some queue refused a part of it
  bool commit_due_{false};      // it waits for the queues' turn only
};

}  // namespace warren::broker
