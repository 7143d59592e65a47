#include "node/perf/perf.h"

#include "node/perf/load.h"
#include "node/perf/options.h"

#include <boost/json.hpp>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace warren::perf {

namespace {

void print_latency(const char* what, const Histogram& h) {
  if (h.count() == 0) return;
  std::printf("%-10s p50 %.0f us, p95 %.0f, p99 %.0f, p99.9 %.0f, max %.0f us\n", what,
              static_cast<double>(h.at(0.5)) / 1e3, static_cast<double>(h.at(0.95)) / 1e3,
              static_cast<double>(h.at(0.99)) / 1e3, static_cast<double>(h.at(0.999)) / 1e3,
              static_cast<double>(h.at(1.0)) / 1e3);
}

boost::json::object latency_json(const Histogram& h) {
  boost::json::object out;
  out["count"] = h.count();
  for (const auto& [name, q] : {std::pair{"p50_ns", 0.5}, {"p95_ns", 0.95}, {"p99_ns", 0.99},
                                {"p999_ns", 0.999}, {"max_ns", 1.0}})
    out[name] = h.count() == 0 ? 0 : h.at(q);
  return out;
}

double rate(std::uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

bool write_json(const Options& o, const Totals& t) {
  boost::json::object out{{"published", t.published}, {"confirmed", t.confirmed},
                          {"rejected", t.rejected}, {"returned", t.returned},
                          {"received", t.received}, {"redelivered", t.redelivered},
                          {"lost", t.lost}, {"duplicates", t.duplicates},
                          {"misordered", t.misordered}, {"publish_seconds", t.publish_seconds},
                          {"receive_seconds", t.receive_seconds},
                          {"publish_rate", rate(t.published, t.publish_seconds)},
                          {"receive_rate", rate(t.received, t.receive_seconds)},
                          {"deliver_latency", latency_json(t.deliver_latency)},
                          {"confirm_latency", latency_json(t.confirm_latency)},
                          {"failure", t.failure}};
  const std::string text = boost::json::serialize(out) + "\n";
  if (o.json == "-") return std::fputs(text.c_str(), stdout) >= 0;
  std::ofstream file(o.json);
  file << text;
  return static_cast<bool>(file.flush());
}

}  // namespace

int perf_main(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && (args[0] == "--help" || args[0] == "-?")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  auto options = parse_options(args);
  if (!options) {
    std::fprintf(stderr, "Error: %s\n%s", options.error().text.c_str(), kUsage);
    return 64;
  }
  std::uint64_t published = 0, received = 0;
  const auto progress = [&](const Totals& t) {
    if (!options->quiet)
      std::fprintf(stderr, "sent %llu msg/s, received %llu msg/s, waiting %lld\n",
                   static_cast<unsigned long long>(t.published - published),
                   static_cast<unsigned long long>(t.received - received),
                   static_cast<long long>(t.published) - static_cast<long long>(t.received));
    published = t.published;
    received = t.received;
  };
  const Totals t = run_load(*options, progress);
  if (options->json != "-") {
    std::printf("published %llu in %.2f s (%.0f msg/s), received %llu in %.2f s (%.0f msg/s)\n",
                static_cast<unsigned long long>(t.published), t.publish_seconds,
                rate(t.published, t.publish_seconds), static_cast<unsigned long long>(t.received),
                t.receive_seconds, rate(t.received, t.receive_seconds));
    std::printf("confirmed %llu, rejected %llu, returned %llu, redelivered %llu\n",
                static_cast<unsigned long long>(t.confirmed), static_cast<unsigned long long>(t.rejected),
                static_cast<unsigned long long>(t.returned), static_cast<unsigned long long>(t.redelivered));
    print_latency("delivery", t.deliver_latency);
    print_latency("confirm", t.confirm_latency);
    std::printf("lost %llu, duplicates %llu, out of order %llu\n",
                static_cast<unsigned long long>(t.lost), static_cast<unsigned long long>(t.duplicates),
                static_cast<unsigned long long>(t.misordered));
  }
  bool ok = t.failure.empty() && t.lost == 0 && t.duplicates == 0 && t.misordered == 0;
  if (!t.failure.empty()) std::fprintf(stderr, "Error: %s\n", t.failure.c_str());
  if (!options->json.empty() && !write_json(*options, t)) {
    std::fprintf(stderr, "Error: cannot write %s\n", options->json.c_str());
    ok = false;
  }
  return ok ? 0 : 70;
}

}  // namespace warren::perf
