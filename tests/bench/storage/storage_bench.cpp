// What a synced write of large log values costs, through our store and through RocksDB alone.
// usage: storage_bench <dir> open | storage_bench <dir> <store|raw|committer> <value KiB> <values per sync> <total MiB>

#include "base/log.h"
#include "storage/disc/disc_store.h"
#include "storage/journal/thread_committer.h"

#include <fmt/core.h>
#include <rocksdb/db.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace warren;
using namespace warren::storage;

double cpu_of(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; }
double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Plan {
  std::string dir;
  std::string mode;
  std::size_t value_bytes{};
  std::size_t per_sync{};
  std::size_t total_bytes{};
};

struct Meter {
  rusage begin{};
  double began{now()};
  std::vector<double> waits;
  Meter() { ::getrusage(RUSAGE_SELF, &begin); }
  void print(const Plan& plan, std::size_t bytes, std::uint64_t flushed) {
    rusage end{};
    ::getrusage(RUSAGE_SELF, &end);
    const double wall = now() - began;
    const double user = cpu_of(end.ru_utime) - cpu_of(begin.ru_utime);
    const double sys = cpu_of(end.ru_stime) - cpu_of(begin.ru_stime);
    const double gb = static_cast<double>(bytes) / 1e9;
    std::sort(waits.begin(), waits.end());
    const auto at = [&](double q) {
      return waits.empty() ? 0.0 : waits[static_cast<std::size_t>(q * static_cast<double>(waits.size() - 1))] * 1e6;
    };
    fmt::print("{:9} {:4} KiB x {:2}: {:6.0f} MB/s  cpu {:.2f} s/GB (user {:.2f} sys {:.2f})  sync p50 {:.0f} p99 {:.0f} us"
               "  faults {:.0f}/MB  flushed {:.1f} %  rss {} MiB\n",
               plan.mode, plan.value_bytes >> 10, plan.per_sync, gb * 1e3 / wall, (user + sys) / gb, user / gb, sys / gb,
               at(0.5), at(0.99), static_cast<double>(end.ru_minflt - begin.ru_minflt) / (gb * 1e3),
               100.0 * static_cast<double>(flushed) / static_cast<double>(bytes), end.ru_maxrss >> 10);
  }
};

/// A batch whose values share one body, as a queue's blocks do.
WriteBatch make_batch(const Plan& plan, std::uint64_t& index, const std::shared_ptr<std::string>& body) {
  WriteBatch batch;
  for (std::size_t i = 0; i < plan.per_sync; ++i) {
    batch.put_shared(Keyspace::log, log_key(1, ++index), "head", *body, body);
  }
  return batch;
}

void run_store(const Plan& plan, Store& store) {
  const auto body = std::make_shared<std::string>(plan.value_bytes, 'x');
  for (std::size_t i = 0; i < body->size(); ++i) (*body)[i] = static_cast<char>(i * 2654435761u >> 13);
  store.floors_loaded();
  std::uint64_t index = 0;
  // A consumer sixteen entries behind, and a checkpoint whenever the store asks for one.
  std::atomic<std::uint64_t> consumed{0};
  store.on_floors_wanted([&] {
    store.set_floor(1, Floor{consumed.load(), nullptr});
    store.floors_current();
  });
  Meter meter;
  std::size_t bytes = 0;
  NullLogger log;
  const auto advance = [&](std::size_t written) {
    bytes += written;
    consumed = index > 16 ? index - 16 : 0;
  };
  if (plan.mode == "committer") {
    CommitterOptions how;
    ThreadCommitter committer(store, how, log);
    std::atomic<std::size_t> flying{0};
    while (bytes < plan.total_bytes) {
      while (flying.load() > 4u << 20) std::this_thread::sleep_for(std::chrono::microseconds(50));
      auto batch = make_batch(plan, index, body);
      const std::size_t n = batch.bytes();
      flying += n;
      committer.submit(std::move(batch), Durability::synced, [&, n](Result<void>) { flying -= n; });
      advance(n);
    }
    committer.stop();
    const auto stats = committer.stats();
    fmt::print("submissions {} writes {} wakes {}\n", stats.submissions, stats.writes, stats.wakes);
  } else {
    while (bytes < plan.total_bytes) {
      const auto batch = make_batch(plan, index, body);
      const double began = now();
      if (auto written = store.write(batch, Durability::synced); !written) std::abort();
      meter.waits.push_back(now() - began);
      advance(batch.bytes());
    }
  }
  meter.print(plan, bytes, store.stats().log_bytes_flushed);
  store.on_floors_wanted(nullptr);
}

void run_raw(const Plan& plan) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 64u << 20;
  options.max_write_buffer_number = 4;
  rocksdb::DB* db = nullptr;
  if (!rocksdb::DB::Open(options, plan.dir, &db).ok()) std::abort();
  const std::string body(plan.value_bytes, 'x');
  rocksdb::WriteOptions sync;
  sync.sync = true;
  std::uint64_t index = 0;
  std::size_t bytes = 0;
  Meter meter;
  while (bytes < plan.total_bytes) {
    rocksdb::WriteBatch batch;
    for (std::size_t i = 0; i < plan.per_sync; ++i) batch.Put(log_key(1, ++index), body);
    const double began = now();
    if (!db->Write(sync, &batch).ok()) std::abort();
    meter.waits.push_back(now() - began);
    bytes += plan.per_sync * (body.size() + 16);
  }
  meter.print(plan, bytes, 0);
  delete db;
}

/// How long an open takes and what an idle store occupies.
int run_open(const std::string& dir) {
  NullLogger log;
  DiscOptions options;
  options.path = dir;
  const double began = now();
  auto store = open_disc_store(options, log);
  if (!store) {
    fmt::print("{}\n", store.error().text);
    return 1;
  }
  fmt::print("open {:.0f} ms\n", (now() - began) * 1e3);
  std::FILE* status = std::fopen("/proc/self/status", "r");
  char line[256];
  while (status != nullptr && std::fgets(line, sizeof line, status) != nullptr) {
    const std::string text = line;
    if (text.starts_with("VmRSS") || text.starts_with("RssAnon") || text.starts_with("Threads")) {
      fmt::print("{}", text);
    }
  }
  if (status != nullptr) std::fclose(status);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[2]) == "open") return run_open(argv[1]);
  if (argc < 6) {
    fmt::print("usage: storage_bench <dir> <store|raw|committer> <value KiB> <values per sync> <total MiB>\n");
    return 1;
  }
  const Plan plan{argv[1], argv[2], std::strtoull(argv[3], nullptr, 10) << 10,
                  std::strtoull(argv[4], nullptr, 10), std::strtoull(argv[5], nullptr, 10) << 20};
  std::filesystem::remove_all(plan.dir);
  if (plan.mode == "raw") {
    run_raw(plan);
  } else {
    NullLogger log;
    DiscOptions options;
    options.path = plan.dir;
    auto store = open_disc_store(options, log);
    if (!store) {
      fmt::print("{}\n", store.error().text);
      return 1;
    }
    run_store(plan, **store);
  }
  std::filesystem::remove_all(plan.dir);
  return 0;
}
