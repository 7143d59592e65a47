#include "node/perf/options.h"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <cstdlib>
#include <functional>
#include <map>

namespace warren::perf {

const char* const kUsage =
    "usage: warren perf [options]\n"
    "  -h, --uri URI            amqp://user:password@host:port/vhost (default amqp://guest:guest@127.0.0.1)\n"
    "  -x, --producers N        publishing connections (1)      -y, --consumers N   consuming ones (1)\n"
    "  -u, --queue NAME         queue, or stem of several (perf)    --queues N      how many (1)\n"
    "  -s, --size BYTES         body size (16; from 16 on order, loss and duplicates are checked)\n"
    "  -e, --exchange NAME      exchange to publish to          -t, --type TYPE     its type (direct)\n"
    "  -k, --routing-key KEY    (the queue's name)                  --queue-type T  classic, quorum\n"
    "      --fanout N           one fanout exchange to N queues     --topic N       N topic bindings\n"
    "      --durable            durable queues                  -f, --persistent    delivery mode 2\n"
    "  -a, --autoack            no acknowledgements             -A, --ack-every N   multiple acks (1)\n"
    "  -q, --qos N              prefetch (0 = none)             -c, --confirm N     window of N (0 = off)\n"
    "  -r, --rate R             messages/s of each producer     -z, --time S        seconds (10)\n"
    "  -C, --messages N         per producer instead of a time      --drain         publish all, then consume\n"
    "      --keep               leave queues behind                 --json FILE     result as JSON\n"
    "      --wait S             seconds for what is still on its way at the end (10)\n"
    "      --quiet              no progress line\n";

namespace {

Result<void> set_uri(Options& o, const std::string& text) {
  auto uri = boost::urls::parse_uri(text);
  if (!uri || uri->scheme() != "amqp")
    return make_error(Errc::invalid_argument, "'" + text + "' is no amqp:// URI");
  if (!uri->host().empty()) o.host = uri->host();
  if (uri->has_port()) o.port = uri->port_number();
  if (uri->has_userinfo()) {
    o.user = uri->user();
    o.password = uri->password();
  }
  const std::string path = uri->path();
  if (path.size() > 1) o.vhost = path.substr(1);
  return {};
}

template <class T>
Result<void> set_number(T& to, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || *end != '\0' || value < 0)
    return make_error(Errc::invalid_argument, "'" + text + "' is not a number of at least 0");
  to = static_cast<T>(value);
  return {};
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& args) {
  Options o;
  using WithValue = std::function<Result<void>(const std::string&)>;
  const auto number = [](auto& to) -> WithValue {
    return [&to](const std::string& text) { return set_number(to, text); };
  };
  const auto text = [](std::string& to) -> WithValue {
    return [&to](const std::string& value) -> Result<void> {
      to = value;
      return {};
    };
  };
  std::map<std::string, WithValue> valued{
      {"-h", [&o](const std::string& v) { return set_uri(o, v); }},
      {"-x", number(o.producers)}, {"-y", number(o.consumers)}, {"-u", text(o.queue)},
      {"--queues", number(o.queues)}, {"-s", number(o.size_bytes)}, {"-e", text(o.exchange)},
      {"-t", text(o.exchange_type)}, {"-k", text(o.routing_key)},
      {"--queue-type", text(o.queue_type)}, {"--fanout", number(o.fanout)},
      {"--topic", number(o.topic_bindings)}, {"-A", number(o.ack_every)}, {"-q", number(o.prefetch)},
      {"-c", number(o.confirm_window)}, {"-r", number(o.rate)}, {"-z", number(o.seconds)},
      {"-C", number(o.messages)}, {"--json", text(o.json)}, {"--wait", number(o.drain_wait)}};
  const std::map<std::string, std::string> longs{
      {"--uri", "-h"}, {"--producers", "-x"}, {"--consumers", "-y"}, {"--queue", "-u"},
      {"--size", "-s"}, {"--exchange", "-e"}, {"--type", "-t"}, {"--routing-key", "-k"},
      {"--ack-every", "-A"}, {"--qos", "-q"}, {"--confirm", "-c"}, {"--rate", "-r"},
      {"--time", "-z"}, {"--messages", "-C"}};
  const std::map<std::string, bool*> flags{
      {"-a", &o.auto_ack}, {"--autoack", &o.auto_ack}, {"--durable", &o.durable},
      {"-f", &o.persistent}, {"--persistent", &o.persistent}, {"--drain", &o.drain},
      {"--keep", &o.keep}, {"--quiet", &o.quiet}};
  for (std::size_t i = 0; i < args.size(); ++i) {
    std::string name = args[i];
    if (auto flag = flags.find(name); flag != flags.end()) {
      *flag->second = true;
      continue;
    }
    if (auto full = longs.find(name); full != longs.end()) name = full->second;
    auto option = valued.find(name);
    if (option == valued.end())
      return make_error(Errc::invalid_argument, "unknown option '" + args[i] + "'");
    if (i + 1 == args.size())
      return make_error(Errc::invalid_argument, "option '" + args[i] + "' needs a value");
    if (auto set = option->second(args[++i]); !set)
      return make_error(Errc::invalid_argument, args[i - 1] + ": " + set.error().text);
  }
  if (o.queues < 1 || o.ack_every < 1) return make_error(Errc::invalid_argument, "--queues and -A are at least 1");
  if (o.fanout > 0 && o.exchange.empty()) o.exchange = "perf.fanout", o.exchange_type = "fanout";
  if (o.topic_bindings > 0 && o.exchange.empty()) o.exchange = "perf.topic", o.exchange_type = "topic";
  if (o.fanout > 0) o.queues = o.fanout, o.consumers = o.consumers == 1 ? o.fanout : o.consumers;
  return o;
}

}  // namespace warren::perf
