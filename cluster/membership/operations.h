#pragma once
// What an operator asks of the membership, as sequences of questions to other nodes and steps on this
// one: join, reset, change of type, update of the known nodes, and the first start. Pure: the node does the
// steps and brings the answers. One operation at a time; each is safe to repeat after a crash.

#include "base/clock.h"
#include "cluster/membership/discovery.h"
#include "cluster/membership/node_view.h"
#include "cluster/membership/recovery.h"

#include <boost/json.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace warren::membership {

using Done = std::function<void(Result<std::string>)>;  ///< a text for the operator, or ""

/// What the operations need of the node. Answers may come at once or later, on the owner's thread.
class OperationsEnv {
 public:
  using Answer = std::function<void(Result<boost::json::value>)>;

  virtual ~OperationsEnv() = default;
  virtual const std::string& self_name() const = 0;
  virtual const LocalState& state() const = 0;
  /// Makes the state durable and this node's identity that of the state. Errors: io.
  virtual Result<void> put_state(LocalState state) = 0;
  /// Deletes what the node stored, apart from the state file. Requires: the app is stopped.
  virtual Result<void> wipe_data() = 0;
  virtual std::string new_id() = 0;
  virtual void ask(const std::string& node, std::string method, boost::json::object args, Millis deadline,
                   Answer answer) = 0;
  virtual void after(Millis delay, std::function<void()> then) = 0;
  /// The app without listeners: the member votes and applies, clients do not get in.
  virtual void start_quietly(std::function<void(Result<void>)> done) = 0;
  virtual void stop_quietly(std::function<void()> done) = 0;
  /// Durable queues that live only here and hold messages. Requires: started quietly.
  virtual std::vector<std::string> queues_with_messages() const = 0;
  virtual void say(const std::string& text) = 0;   ///< progress, for the log
  virtual void warn(const std::string& text) = 0;  ///< what nobody may overlook there
};

struct OperationsOptions {
  Millis probe_ms{2'000};    ///< one question
  Millis command_ms{30'000};  ///< a change of the membership, until the group has followed
  Millis retry_ms{500};      ///< between two rounds of the first start
  std::int64_t retries{10};  ///< rounds of the first start; negative = for ever
};

/// Where the names of a first start's peers come from: asked anew for every round.
struct PeerSource {
  using Found = std::function<void(Result<std::vector<std::string>>)>;
  std::function<void(Found)> find;
  bool grows{false};         ///< names may be missing at first (DNS): see complete()
  std::size_t size_hint{0};  ///< so many there are to be; 0 = unknown
};

/// Owner: the node's loop.
class Operations {
 public:
  Operations(OperationsEnv& env, OperationsOptions options) : env_(env), options_(options) {}

  // All require that the app is stopped. Errors: conflict while another operation is under way.
  void join(const std::string& target, bool ram, Done done);
  /// `force`: without a word to anybody.
  void reset(bool force, Done done);
  void change_type(bool to_ram, Done done);
  /// Takes the list of members from `seed`, which must list this node.
  void update_nodes(const std::string& seed, Done done);
  /// First start: founds or joins according to the configured peers; nothing when already in a cluster.
  void form(const std::vector<std::string>& configured, bool ram, Done done);
  void form(PeerSource source, bool ram, Done done);
  /// Carries out what force_boot or forget_cluster_node --offline asked of this start: asks the others
  /// whether it is needed, and if so makes the state that of a node that goes on alone.
  void recover(Done done);
  /// Asks the reachable members whether this node is still one. Errors: inconsistent_cluster.
  /// Takes over whom the list names now.
  void check_membership(Done done);

  bool busy() const { return busy_; }
  /// What an operation under way is doing, for status; "" when none is.
  const std::string& doing() const { return doing_; }

 private:
  using Views = std::vector<PeerAnswer>;

  Done begin(std::string what, Done done);
  void probe(const std::vector<std::string>& nodes, std::function<void(Views)> done);
  void leave(std::function<void(Result<void>)> done);
  void leave_as_voter(const std::string& through, std::function<void(Result<void>)> done);
  Result<void> begin_join(const std::string& cluster_id);
  Result<void> check_admission(const Admission& admission);
  void enter(const std::string& target, const std::string& cluster_id, bool ram, const std::string& replaces,
             Done done);
  Result<void> become(LocalState state);
  Result<void> start_anew();
  void change_type_through(const std::string& through, bool to_ram, Done done);
  void form_round(std::shared_ptr<const PeerSource> source, bool ram, std::int64_t left, Done done);
  void form_step(const std::vector<std::string>& names, bool may_found, bool ram, const Views& answers,
                 const std::function<void(const std::string&)>& again, const Done& done);
  std::vector<std::string> others() const;
  FlagView own_flags() const;
  bool runs_here(const PeerAnswer& answer) const;
  Result<void> learn(std::vector<metadata::MemberDef> now);

  OperationsEnv& env_;
  OperationsOptions options_;
  bool busy_{false};
  std::string doing_;
};

}  // namespace warren::membership
