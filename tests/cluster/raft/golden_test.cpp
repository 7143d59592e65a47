// Conversations of cores as text: golden/*.txt hold commands and what follows from them, down to
// which message waits for which write. WARREN_REWRITE=1 writes the files anew from what happens.
#include "lab.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace warren::raft::testing {
namespace {

std::string list(const std::vector<NodeId>& nodes) {
  std::vector<std::uint64_t> ids;
  for (NodeId node : nodes) ids.push_back(node.value);
  return fmt::format("{}", fmt::join(ids, ","));
}

std::string text_of(const Config& config) {
  std::string out = "voters=" + list(config.voters);
  if (config.joint()) out += " outgoing=" + list(config.outgoing);
  if (!config.learners.empty()) out += " learners=" + list(config.learners);
  return out;
}

std::string text_of(const Entry& entry) {
  switch (entry.kind) {
    case EntryKind::noop: return fmt::format("{}/{} noop", entry.index, entry.term);
    case EntryKind::data: return fmt::format("{}/{} {}", entry.index, entry.term, entry.body.bytes);
    case EntryKind::config:
      return fmt::format("{}/{} {}", entry.index, entry.term, text_of(*decode_config(entry.body.bytes)));
  }
  return "?";
}

struct PayloadText {
  std::string operator()(const PreVote& p) { return fmt::format("asked={} last={}/{}", p.asked, p.last_index, p.last_term); }
  std::string operator()(const PreVoteReply& p) { return fmt::format("asked={} {}", p.asked, p.granted ? "granted" : "refused"); }
  std::string operator()(const Vote& p) { return fmt::format("last={}/{}{}", p.last_index, p.last_term, p.transfer ? " transfer" : ""); }
  std::string operator()(const VoteReply& p) { return p.granted ? "granted" : "refused"; }
  std::string operator()(const Append& p) {
    return fmt::format("prev={}/{} last={} commit={}", p.prev_index, p.prev_term, p.last_index, p.commit);
  }
  std::string operator()(const AppendReply& p) {
    if (p.ok) return fmt::format("ok match={} commit={}", p.match, p.commit);
    return fmt::format("refused prev={} hint={}/{}", p.prev_index, p.hint_index, p.hint_term);
  }
  std::string operator()(const TimeoutNow&) { return ""; }
  std::string operator()(const SnapshotChunk& p) {
    return fmt::format("transfer={} number={}{} base={}/{}", p.transfer, p.number, p.last ? " last" : "", p.base.index, p.base.term);
  }
  std::string operator()(const SnapshotReply& p) { return fmt::format("transfer={} next={}", p.transfer, p.next); }
  std::string operator()(const ReadRequest& p) { return fmt::format("ticket={}", p.ticket); }
  std::string operator()(const ReadReply& p) { return fmt::format("ticket={} {} index={}", p.ticket, p.ok ? "ok" : "refused", p.index); }
};

std::string text_of(const Message& m) {
  std::string payload = std::visit(PayloadText{}, m.payload);
  return fmt::format("{} to={} term={}{}{}", message_name(m), m.to.value, m.term, payload.empty() ? "" : " ", payload);
}

/// Runs the commands of one file; each answers with text.
class Script {
 public:
  std::string run(const std::string& line) {
    std::istringstream in(line);
    std::string verb;
    in >> verb;
    words_.clear();
    for (std::string word; in >> word;) words_.push_back(word);
    if (verb == "cluster") return lab_ = std::make_unique<Lab>(int_at(0), value("learners").empty() ? 0 : std::stoi(value("learners"))), state();
    if (verb == "state") return state();
    if (verb == "elect") return lab_->elect(int_at(0)), state();
    if (verb == "run") return lab_->run(int_at(0)), state();
    if (verb == "settle") return lab_->settle(), state();
    if (verb == "isolate") return lab_->isolate(int_at(0)), "";
    if (verb == "cut") return lab_->cut(int_at(0), int_at(1)), "";
    if (verb == "heal") return lab_->heal(), "";
    if (verb == "hold") return lab_->at(int_at(0)).disc_holds = true, "";
    if (verb == "release") return lab_->at(int_at(0)).disc_holds = false, "";
    if (verb == "crash") return lab_->crash(int_at(0)), state();
    if (verb == "forget") return lab_->forget(int_at(0)), state();
    if (verb == "join") return lab_->add(NodeId(static_cast<std::uint64_t>(int_at(0)))), state();
    if (verb == "restarted") return lab_->core(int_at(0)).peer_restarted(NodeId(static_cast<std::uint64_t>(int_at(1)))), output(int_at(0));
    if (verb == "suspect") return lab_->core(int_at(0)).peer_suspected(NodeId(static_cast<std::uint64_t>(int_at(1))), 0), "";
    if (verb == "compact") return lab_->core(int_at(0)).compact(lab_->core(int_at(0)).applied_index()), state();
    if (verb == "propose") return outcome(lab_->propose(int_at(0), words_.at(1))) + output(int_at(0));
    if (verb == "transfer") return outcome(lab_->core(int_at(0)).transfer(NodeId(static_cast<std::uint64_t>(int_at(1))))) + output(int_at(0));
    if (verb == "read") return lab_->core(int_at(0)).read(1), output(int_at(0));
    if (verb == "change") return change();
    if (verb == "tick") return tick();
    if (verb == "sync") return sync(int_at(0));
    if (verb == "stored") return lab_->core(int_at(0)).chunk_stored(NodeId(static_cast<std::uint64_t>(int_at(1))), number("transfer"), number("number")), output(int_at(0));
    if (verb == "step") return step();
    if (verb == "refusals") return refusals(int_at(0));
    return "unknown command\n";
  }

 private:
  int int_at(std::size_t at) { return std::stoi(words_.at(at)); }
  std::string value(const std::string& key) {
    for (const std::string& word : words_) {
      if (word.rfind(key + "=", 0) == 0) return word.substr(key.size() + 1);
    }
    return "";
  }
  bool has(const std::string& flag) { return std::find(words_.begin(), words_.end(), flag) != words_.end(); }
  std::uint64_t number(const std::string& key) {
    std::string text = value(key);
    return text.empty() ? 0 : std::stoull(text);
  }
  /// "index/term".
  std::pair<std::uint64_t, std::uint64_t> place(const std::string& key) {
    std::string text = value(key);
    std::size_t slash = text.find('/');
    if (slash == std::string::npos) return {0, 0};
    return {std::stoull(text.substr(0, slash)), std::stoull(text.substr(slash + 1))};
  }
  std::vector<NodeId> nodes(const std::string& key) {
    std::vector<NodeId> out;
    std::istringstream in(value(key));
    for (std::string id; std::getline(in, id, ',');) out.emplace_back(std::stoull(id));
    return out;
  }

  template <class T>
  std::string outcome(const Result<T>& result) {
    return result ? "" : "refused: " + result.error().text + "\n";
  }

  std::string change() {
    Core& core = lab_->core(int_at(0));
    auto changed = core.change_config(core.term(), make_config(nodes("voters"), nodes("learners")));
    return outcome(changed) + output(int_at(0));
  }

  std::string tick() {
    lab_->now += int_at(1);
    lab_->core(int_at(0)).tick(lab_->now);
    return output(int_at(0));
  }

  std::string sync(int id) {
    Member& m = lab_->at(id);
    if (m.unwritten.empty()) return "nothing to write\n";
    lab_->sync_one(m);
    std::string out;
    for (const Message& sent : lab_->wire) out += "sent " + text_of(sent) + "\n";
    lab_->wire.clear();
    return out + output(id);
  }

  std::string step() {
    int from = int_at(0), to = int_at(1);
    std::string kind = words_.at(2);
    Payload payload;
    if (kind == "pre_vote") payload = PreVote{number("asked"), place("last").first, place("last").second};
    if (kind == "pre_vote_reply") payload = PreVoteReply{number("asked"), has("granted")};
    if (kind == "vote") payload = Vote{place("last").first, place("last").second, has("transfer")};
    if (kind == "vote_reply") payload = VoteReply{has("granted")};
    if (kind == "timeout_now") payload = TimeoutNow{};
    if (kind == "append_reply") payload = AppendReply{has("ok"), number("match"), number("prev"), place("hint").first, place("hint").second, 0, {}};
    if (kind == "snapshot_chunk") {
      LogBase base{place("base").first, place("base").second, make_config(nodes("voters")), 1};
      payload = SnapshotChunk{number("transfer"), number("number"), has("last"), base, Slice::of("piece")};
    }
    if (kind == "append") {
      auto [prev, prev_term] = place("prev");
      std::vector<Entry> entries;
      std::istringstream in(value("entries"));  // term:body,term:body
      for (std::string one; std::getline(in, one, ',');) {
        std::size_t colon = one.find(':');
        entries.push_back(data(prev + entries.size() + 1, std::stoull(one.substr(0, colon)), one.substr(colon + 1)));
      }
      payload = append(prev, prev_term, number("commit"), std::move(entries));
    }
    lab_->core(to).step(message(from, to, number("term"), std::move(payload)));
    return output(to);
  }

  /// What a member wants done now, in the order that binds its shell.
  std::string output(int id) {
    Member& m = lab_->at(id);
    std::size_t writes = m.unwritten.size(), held = m.held.size(), wire = lab_->wire.size();
    std::size_t chunks = m.chunks.size(), snapshots = m.snapshots.size(), reads = m.reads.size();
    lab_->collect(m);
    std::string out;
    for (std::size_t i = writes; i < m.unwritten.size(); ++i) {
      const Write& w = m.unwritten[i];
      out += fmt::format("write {}: term={} vote={} commit={}", w.seq.value, w.hard.term, w.hard.vote.value, w.hard.commit);
      if (w.install) out += fmt::format(" install={}/{}", w.install->index, w.install->term);
      if (w.truncate_from) out += fmt::format(" truncate={}", *w.truncate_from);
      for (const Entry& entry : w.append) out += " [" + text_of(entry) + "]";
      out += "\n";
    }
    for (std::size_t i = wire; i < lab_->wire.size(); ++i) out += "now " + text_of(lab_->wire[i]) + "\n";
    for (std::size_t i = held; i < m.held.size(); ++i) {
      out += fmt::format("after write {}: {}\n", m.held[i].after.value, text_of(m.held[i].message));
    }
    for (std::size_t i = chunks; i < m.chunks.size(); ++i) out += fmt::format("store chunk {}\n", m.chunks[i].chunk.number);
    for (std::size_t i = snapshots; i < m.snapshots.size(); ++i) out += fmt::format("stream a snapshot to {}\n", m.snapshots[i].to.value);
    for (std::size_t i = reads; i < m.reads.size(); ++i) out += fmt::format("read {} at {}\n", m.reads[i].ok ? "granted" : "refused", m.reads[i].index);
    return out;
  }

  std::string state() {
    std::string out;
    for (auto& [id, m] : lab_->members) {
      const Core& c = *m.core;
      out += fmt::format("n{} {} term={} vote={} leader={} log={}..{} durable={} commit={} {}", id, role_name(c.role()), c.term(),
                         c.vote().value, c.leader().value, c.log().base_index(), c.log().last_index(), c.durable_index(),
                         c.commit_index(), text_of(c.config()));
      if (!m.applied.empty()) out += fmt::format(" applied={}", fmt::join(m.applied, ","));
      out += "\n";
    }
    return out;
  }

  std::string refusals(int id) {
    std::string out;
    for (int i = 0; i < static_cast<int>(Refusal::count); ++i) {
      auto why = static_cast<Refusal>(i);
      if (lab_->core(id).refused(why)) out += fmt::format("{} {}\n", refusal_name(why), lab_->core(id).refused(why));
    }
    return out;
  }

  std::unique_ptr<Lab> lab_;
  std::vector<std::string> words_;
};

/// One file: comments, and blocks of a command, "----" and the expected text up to an empty line.
std::string replay(const std::string& content) {
  Script script;
  std::istringstream in(content);
  std::string out, line;
  while (std::getline(in, line)) {
    if (line.empty() || line[0] == '#') {
      out += line + "\n";
      continue;
    }
    std::string answer = script.run(line);
    out += line + "\n----\n" + answer;
    // Skip what the file has to say about it; the empty line that ends it is kept.
    while (std::getline(in, line) && !line.empty()) {
    }
    out += "\n";
  }
  return out;
}

TEST(GoldenTest, ConversationsAreAsWritten) {
  std::filesystem::path folder = std::filesystem::path(WARREN_GOLDEN_DIR);
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(file.path());
    std::string content{std::istreambuf_iterator<char>(in), {}};
    std::string now = replay(content);
    ++files;
    if (std::getenv("WARREN_REWRITE")) {
      std::ofstream(file.path()) << now;
    } else {
      EXPECT_EQ(now, content) << file.path() << "\nWARREN_REWRITE=1 writes it anew; then read the difference";
    }
  }
  EXPECT_GE(files, 6);
}

}  // namespace
}  // namespace warren::raft::testing
