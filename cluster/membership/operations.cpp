#include "cluster/membership/operations.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::membership {

namespace json = boost::json;

// ---- steps that several operations share -------------------------------------------------------------

/// Marks the operation as under way; gives the answer's way back. Empty when one is already.
Done Operations::begin(std::string what, Done done) {
  if (busy_) {
    done(make_error(Errc::conflict, "another change of the membership is under way: " + doing_));
    return nullptr;
  }
  busy_ = true;
  doing_ = std::move(what);
  return [this, done = std::move(done)](Result<std::string> result) {
    busy_ = false;
    doing_.clear();
    done(std::move(result));
  };
}

std::vector<std::string> Operations::others() const {
  std::vector<std::string> names;
  for (const auto& member : env_.state().members)
    if (member.node_id != env_.state().node_id) names.push_back(member.name);
  return names;
}

FlagView Operations::own_flags() const {
  return flag_view(release(), env_.self_name(), env_.state().flags);
}

/// A node of a name that we know may have been reset meanwhile: its word counts only in our cluster.
bool Operations::runs_here(const PeerAnswer& answer) const {
  return answer.view && answer.view->app_running && answer.view->cluster_id == env_.state().cluster_id;
}

void Operations::probe(const std::vector<std::string>& nodes, std::function<void(Views)> done) {
  if (nodes.empty()) return done({});
  struct Round {
    Views answers;
    std::size_t left{0};
    std::function<void(Views)> done;
  };
  auto round = std::make_shared<Round>();
  round->left = nodes.size();
  round->done = std::move(done);
  for (const auto& node : nodes) round->answers.push_back({node, std::nullopt, "no answer"});
  for (std::size_t i = 0; i < nodes.size(); ++i)
    env_.ask(nodes[i], "cluster_probe", {}, options_.probe_ms, [round, i](Result<json::value> answer) {
      PeerAnswer& into = round->answers[i];
      auto view = answer ? view_from_json(*answer) : Result<NodeView>(answer.error());
      if (view)
        into.view = std::move(*view);
      else
        into.failure = view.error().text;
      if (--round->left == 0) round->done(std::move(round->answers));
    });
}

/// The node becomes what `state` says, with nothing of what it stored before. The wipe is written down
/// with the new identity, so that a crash in between is made good at the next start.
Result<void> Operations::become(LocalState state) {
  state.incarnation = env_.state().incarnation;
  state.joining_as.clear();
  state.joining_cluster.clear();
  state.wipe = true;
  if (auto put = env_.put_state(state); !put) return put;
  if (auto wiped = env_.wipe_data(); !wiped) return wiped;
  state.wipe = false;
  return env_.put_state(std::move(state));
}

Result<void> Operations::start_anew() {
  LocalState fresh;
  fresh.node_id = env_.new_id();
  return become(std::move(fresh));
}

/// Writes down under which id this node asks to be let in. An id that another cluster may list already stays
/// there: a node that is found in two clusters looks as if it had gone on without the first.
Result<void> Operations::begin_join(const std::string& cluster_id) {
  if (!env_.state().joining_as.empty() && env_.state().joining_cluster == cluster_id) return {};
  LocalState state = env_.state();
  state.joining_as = env_.new_id();
  state.joining_cluster = cluster_id;
  return env_.put_state(std::move(state));
}

/// Who let us in may belong to another cluster than when it was asked first: then our id is spent.
Result<void> Operations::check_admission(const Admission& admission) {
  if (admission.cluster_id == env_.state().joining_cluster) {
    const auto& list = admission.members;
    const bool listed = std::any_of(list.begin(), list.end(), [&](const auto& member) {
      return member.node_id == env_.state().joining_as;
    });
    if (listed) return {};
    return make_error(Errc::conflict, "this node was forgotten again before it was told; try again");
  }
  LocalState state = env_.state();
  state.joining_as.clear();
  state.joining_cluster.clear();
  if (auto put = env_.put_state(std::move(state)); !put) return put;
  return make_error(Errc::conflict, "the node that was asked was reset meanwhile; try again");
}

/// Asks `target`, of that cluster, to take this node in under a new identity, then becomes that.
void Operations::enter(const std::string& target, const std::string& cluster_id, bool ram,
                       const std::string& replaces, Done done) {
  if (auto begun = begin_join(cluster_id); !begun) return done(begun.error());
  const JoinRequest request{env_.self_name(), env_.state().joining_as, ram, replaces, own_flags()};
  env_.ask(target, "member_join", to_json(request), options_.command_ms,
           [this, ram, done = std::move(done)](Result<json::value> answer) {
             if (!answer) return done(answer.error());
             auto admission = admission_from_json(*answer);
             if (!admission) return done(admission.error());
             if (auto same = check_admission(*admission); !same) return done(same.error());
             LocalState state;
             state.node_id = env_.state().joining_as;
             state.cluster_id = admission->cluster_id;
             state.cluster_name = admission->cluster_name;
             state.ram = ram;
             state.members = admission->members;
             if (auto became = become(std::move(state)); !became) return done(became.error());
             done(std::string());
           });
}

// ---- leaving -------------------------------------------------------------------------------------------

/// Has this node taken off the list by a member that runs. Alone there is nothing to do.
void Operations::leave(std::function<void(Result<void>)> done) {
  if (env_.state().alone()) return done({});
  if (auto may = may_leave(env_.state()); !may) return done(may);
  probe(others(), [this, done = std::move(done)](Views answers) {
    std::string through, failures;
    for (const auto& answer : answers) {
      if (runs_here(answer)) {
        const auto& list = answer.view->members;
        const bool listed = std::any_of(list.begin(), list.end(), [&](const auto& member) {
          return member.node_id == env_.state().node_id;
        });
        if (!listed) return done({});  // forgotten already
        if (through.empty()) through = answer.name;
      }
      failures += fmt::format("; {}: {}", answer.name, !answer.view                 ? answer.failure
                                                       : answer.view->app_running ? "it is in another cluster"
                                                                                  : "its broker is stopped");
    }
    if (through.empty())
      return done(make_error(Errc::unavailable, "no_running_cluster_nodes: You cannot leave a cluster if no "
                                                "online nodes are present" + failures));
    if (!env_.state().ram) return leave_as_voter(through, done);
    env_.ask(through, "member_leave", {{"node_id", to_hex(env_.state().node_id)}}, options_.command_ms,
             [done](Result<json::value> answer) {
               if (!answer) return done(answer.error());
               done({});
             });
  });
}

/// A disc node votes on its own leaving: without it two disc nodes would have no majority.
void Operations::leave_as_voter(const std::string& through, std::function<void(Result<void>)> done) {
  env_.start_quietly([this, through, done = std::move(done)](Result<void> started) {
    if (!started) return done(started);
    env_.ask(through, "member_leave", {{"node_id", to_hex(env_.state().node_id)}}, options_.command_ms,
             [this, done](Result<json::value> answer) {
               env_.stop_quietly([answer = std::move(answer), done] {
                 if (!answer) return done(answer.error());
                 done({});
               });
             });
  });
}

void Operations::reset(bool force, Done done) {
  done = begin(force ? "force_reset" : "reset", std::move(done));
  if (!done) return;
  const auto finish = [this, done](Result<void> left) {
    if (left) left = start_anew();
    if (!left) return done(left.error());
    done(std::string());
  };
  if (force) return finish({});
  leave(finish);
}

// ---- joining -------------------------------------------------------------------------------------------

void Operations::join(const std::string& target, bool ram, Done done) {
  done = begin("join_cluster " + target, std::move(done));
  if (!done) return;
  if (target == env_.self_name())
    return done(make_error(Errc::invalid_argument,
                           "cannot_cluster_node_with_itself: cannot cluster node with itself: " + target));
  env_.ask(target, "cluster_probe", {}, options_.probe_ms,
           [this, target, ram, done = std::move(done)](Result<json::value> answer) {
             if (!answer) return done(unreachable(target, answer.error()));
             auto view = view_from_json(*answer);
             if (!view) return done(view.error());
             auto verdict = may_join(env_.state(), env_.self_name(), *view);
             if (!verdict) return done(verdict.error());
             if (*verdict == JoinVerdict::already_member)
               return done(std::string("The node is already a member of this cluster"));
             leave([this, target, cluster = view->cluster_id, ram, done](Result<void> left) {
               if (!left) return done(left.error());
               enter(target, cluster, ram, {}, done);
             });
           });
}

// ---- change of type ------------------------------------------------------------------------------------

void Operations::change_type(bool to_ram, Done done) {
  done = begin("change_cluster_node_type", std::move(done));
  if (!done) return;
  auto verdict = may_change_type(env_.state(), to_ram);
  if (!verdict) return done(verdict.error());
  if (*verdict == TypeVerdict::is_already)
    return done(std::string("Node type is already ") + (to_ram ? "ram" : "disc"));
  probe(others(), [this, to_ram, done = std::move(done)](Views answers) {
    for (const auto& answer : answers)
      if (runs_here(answer)) return change_type_through(answer.name, to_ram, done);
    done(make_error(Errc::unavailable, "no_online_cluster_nodes: Could not find any online cluster nodes. If "
                                       "the cluster has changed, you can use the 'update_cluster_nodes' command."));
  });
}

/// The node comes back as another member of the same name: what it voted is lost with its memory or disc.
void Operations::change_type_through(const std::string& through, bool to_ram, Done done) {
  const std::string old_id = env_.state().node_id;
  if (!to_ram) return enter(through, env_.state().cluster_id, false, old_id, std::move(done));
  env_.start_quietly([this, through, old_id, done = std::move(done)](Result<void> started) {
    if (!started) return done(started.error());
    const auto queues = env_.queues_with_messages();
    const auto stop = [this, done](Result<std::string> result) {
      env_.stop_quietly([done, result = std::move(result)]() mutable { done(std::move(result)); });
    };
    if (!queues.empty()) {
      std::string names;
      for (const auto& name : queues) names += (names.empty() ? "" : ", ") + name;
      return stop(make_error(Errc::conflict, "a RAM node keeps no messages on disc, and these queues hold some "
                                             "here: " + names + ". Consume, move or delete them first."));
    }
    if (auto begun = begin_join(env_.state().cluster_id); !begun) return stop(begun.error());
    const JoinRequest request{env_.self_name(), env_.state().joining_as, true, old_id, own_flags()};
    env_.ask(through, "member_join", to_json(request), options_.command_ms,
             [this, stop, done](Result<json::value> answer) {
               auto admission = answer ? admission_from_json(*answer) : Result<Admission>(answer.error());
               if (!admission) return stop(admission.error());
               if (auto same = check_admission(*admission); !same) return stop(same.error());
               env_.stop_quietly([this, done, admission = std::move(*admission)] {
                 LocalState state;
                 state.node_id = env_.state().joining_as;
                 state.cluster_id = admission.cluster_id;
                 state.cluster_name = admission.cluster_name;
                 state.ram = true;
                 state.members = admission.members;
                 if (auto became = become(std::move(state)); !became) return done(became.error());
                 done(std::string());
               });
             });
  });
}

// ---- the rest ------------------------------------------------------------------------------------------

void Operations::update_nodes(const std::string& seed, Done done) {
  done = begin("update_cluster_nodes", std::move(done));
  if (!done) return;
  env_.ask(seed, "cluster_probe", {}, options_.probe_ms,
           [this, seed, done = std::move(done)](Result<json::value> answer) {
             if (!answer) return done(unreachable(seed, answer.error()));
             auto view = view_from_json(*answer);
             if (!view) return done(view.error());
             const bool listed = std::any_of(view->members.begin(), view->members.end(), [&](const auto& m) {
               return m.node_id == env_.state().node_id;
             });
             if (!listed || view->cluster_id != env_.state().cluster_id)
               return done(inconsistent(env_.self_name(), seed));
             LocalState state = env_.state();
             state.members = view->members;
             if (auto put = env_.put_state(std::move(state)); !put) return done(put.error());
             done(std::string());
           });
}

void Operations::form(const std::vector<std::string>& configured, bool ram, Done done) {
  if (!env_.state().founded() && ram && configured.empty())
    return done(make_error(Errc::invalid_argument,
                           "cannot_create_standalone_ram_node: a RAM node needs a cluster to join at its first "
                           "start; configure peers, or start it as a disc node and join"));
  form(PeerSource{[configured](const PeerSource::Found& found) { found(configured); }}, ram, std::move(done));
}

void Operations::form(PeerSource source, bool ram, Done done) {
  if (env_.state().founded()) return done(std::string());
  done = begin("first start", std::move(done));
  if (!done) return;
  form_round(std::make_shared<const PeerSource>(std::move(source)), ram, options_.retries, std::move(done));
}

void Operations::form_round(std::shared_ptr<const PeerSource> source, bool ram, std::int64_t left, Done done) {
  const auto again = [=, this](const std::string& why) {
    if (left == 0) return done(make_error(Errc::unavailable, "peer discovery gave up: this node " + why));
    env_.after(options_.retry_ms, [=, this] { form_round(source, ram, left < 0 ? left : left - 1, done); });
  };
  source->find([=, this](Result<std::vector<std::string>> names) {
    if (!names && names.error().code == Errc::invalid_argument) return done(names.error());
    if (!names) {
      env_.say("peer discovery: " + names.error().text);
      return again("found no peers: " + names.error().text);
    }
    const bool may_found = !source->grows || complete(*names, env_.self_name(), source->size_hint);
    probe(peers_to_ask(*names, env_.self_name()), [=, this, known = *names](const Views& answers) {
      form_step(known, may_found, ram, answers, again, done);
    });
  });
}

void Operations::form_step(const std::vector<std::string>& names, bool may_found, bool ram, const Views& answers,
                           const std::function<void(const std::string&)>& again, const Done& done) {
  if (auto split = split_clusters(answers)) return done(make_error(Errc::conflict, *split));
  const auto step = next_discovery_step(names, env_.self_name(), ram, answers, may_found);
  env_.say("peer discovery: this node " + step.text);
  if (step.kind == DiscoveryStep::Kind::found) {
    LocalState state = env_.state();
    state.cluster_id = env_.new_id();
    state.cluster_name = env_.self_name();
    state.members = {{member_number(state.node_id), state.node_id, env_.self_name(), false}};
    if (auto put = env_.put_state(std::move(state)); !put) return done(put.error());
    return done(std::string());
  }
  if (step.kind == DiscoveryStep::Kind::wait) return again(step.text);
  std::string cluster;
  for (const auto& answer : answers)
    if (answer.name == step.target && answer.view) cluster = answer.view->cluster_id;
  enter(step.target, cluster, ram, {}, [=](Result<std::string> entered) {
    if (entered) return done(std::string());
    again("could not join " + step.target + ": " + entered.error().text);
  });
}

void Operations::recover(Done done) {
  if (!env_.state().force_boot && env_.state().forget.empty()) return done(std::string());
  probe(others(), [this, done = std::move(done)](Views answers) {
    const Recovery plan = plan_recovery(env_.state(), env_.self_name(), answers);
    if (plan.kind == Recovery::Kind::alone) {
      env_.warn(plan.text);
      const auto put = env_.put_state(taken_over(env_.state(), env_.new_id()));
      return put ? done(std::string()) : done(put.error());
    }
    env_.say(plan.text);
    if (!env_.state().force_boot) return done(std::string());  // who is to be forgotten waits for a majority
    LocalState state = env_.state();
    state.force_boot = false;
    const auto put = env_.put_state(std::move(state));
    return put ? done(std::string()) : done(put.error());
  });
}

/// The list as a member that runs has it: whoever we knew may have gone, or come back under another id, and
/// then nobody would ever tell us. Who is not on it may still be counted, and stays until the catalogue is here.
Result<void> Operations::learn(std::vector<metadata::MemberDef> now) {
  LocalState state = env_.state();
  for (auto& member : state.members) {
    const bool there = std::any_of(now.begin(), now.end(), [&](const auto& other) {
      return other.id == member.id || other.name == member.name;
    });
    if (!there) now.push_back(std::move(member));
  }
  state.members = std::move(now);
  if (state == env_.state()) return {};
  return env_.put_state(std::move(state));
}

/// A member of our cluster that runs and knows us settles it. One that runs in another cluster but is, by
/// its id, the member we know went on without us. A stranger under a member's name says nothing.
void Operations::check_membership(Done done) {
  if (env_.state().alone()) return done(std::string());
  probe(others(), [this, done = std::move(done)](Views answers) {
    const LocalState& self = env_.state();
    std::string agrees, gone_on, text = "no other member answers";
    std::vector<metadata::MemberDef> now;
    for (const auto& answer : answers) {
      text += fmt::format("; {}: {}", answer.name, answer.view ? "its broker is stopped" : answer.failure);
      if (!answer.view) continue;
      const auto& list = answer.view->members;
      const bool listed = std::any_of(list.begin(), list.end(), [&](const auto& member) {
        return member.node_id == self.node_id;
      });
      const bool member = std::any_of(self.members.begin(), self.members.end(), [&](const auto& known) {
        return known.node_id == answer.view->node_id;
      });
      const bool same = answer.view->cluster_id == self.cluster_id;
      // Who went on without us says so also while its broker is stopped or not up yet: what is left must not become a
      // second cluster meanwhile.
      if (!same && member) gone_on = answer.name;
      if (!same || !answer.view->app_running) continue;
      if (!listed) return done(inconsistent(env_.self_name(), answer.name));
      if (auto fit = flags_fit(own_flags(), answer.view->flags); !fit) return done(fit.error());
      agrees = answer.name;
      now = list;
    }
    if (!agrees.empty()) {
      const auto put = learn(std::move(now));
      return put ? done(agrees) : done(put.error());
    }
    if (!gone_on.empty()) return done(left_behind(env_.self_name(), gone_on));
    done(make_error(Errc::unavailable, text));
  });
}

}  // namespace warren::membership
