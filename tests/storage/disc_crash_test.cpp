// kill -9 in the middle of writing, again and again on one directory: nothing confirmed is lost.

#include "base/bytes.h"
#include "storage/journal/thread_committer.h"
#include "tests/storage/disc_support.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <condition_variable>
#include <cstdlib>
#include <random>
#include <thread>

extern char** environ;

namespace warren::storage {
namespace {

constexpr auto kLog = Keyspace::log;
constexpr const char* kChildPath = "WARREN_TEST_STORE_CHILD";
constexpr int kConfirmed = 90;  // the descriptor that the child reports on

std::string row_value(std::uint64_t index) {
  return std::to_string(index) + std::string(index * 37 % 5000, static_cast<char>('a' + index % 26));
}

/// Not a test: what the killed process does, as a process of its own. Writes rows behind the last
/// one through the committer and reports the index of each once it is confirmed.
TEST(DiscCrashChild, Writes) {
  const char* path = std::getenv(kChildPath);
  if (path == nullptr) GTEST_SKIP() << "runs as the child of DiscCrashTest";
  NullLogger log;
  DiscOptions options;
  options.path = path;
  options.log_write_buffer_bytes = 1u << 20;  // so that kills also hit flushes
  options.wal_bytes_max = 8u << 20;
  auto opened = open_disc_store(options, log);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().text.c_str());
    ::_exit(3);
  }
  ThreadCommitter committer(**opened, {}, log);
  const auto existing = rows(**opened, kLog);
  std::uint64_t next = existing.empty() ? 1 : load_be<std::uint64_t>(existing.rbegin()->first.data() + 8) + 1;
  (*opened)->floors_loaded();
  std::mutex mutex;
  std::condition_variable room;
  int flying = 0;
  for (;; ++next) {
    {
      std::unique_lock lock(mutex);
      room.wait(lock, [&] { return flying < 16; });
      ++flying;
    }
    committer.submit(one_put(kLog, log_key(1, next), row_value(next)),
                     next % 4 == 0 ? Durability::synced : Durability::buffered,
                     [&, next](Result<void> outcome) {
                       if (!outcome) ::_exit(4);
                       // Written out is enough here: the process dies, not the machine.
                       if (::write(kConfirmed, &next, sizeof next) != sizeof next) ::_exit(5);
                       std::lock_guard lock(mutex);
                       --flying;
                       room.notify_one();
                     });
  }
}

class DiscCrashTest : public DiscTest {
 protected:
  /// Runs the child until it has confirmed `count` rows, kills it, returns the last it confirmed.
  std::uint64_t run_and_kill(int count) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], kConfirmed);
    ::setenv(kChildPath, dir_.store().c_str(), 1);
    std::string program = "/proc/self/exe";
    std::string filter = "--gtest_filter=DiscCrashChild.Writes";
    std::string brief = "--gtest_brief=1";
    char* arguments[] = {program.data(), filter.data(), brief.data(), nullptr};
    pid_t child = 0;
    EXPECT_EQ(::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::unsetenv(kChildPath);
    ::close(ends[1]);
    const std::uint64_t last = read_confirmed(ends[0], count);
    ::kill(child, SIGKILL);
    // What it still confirmed before the signal came counts, too.
    const std::uint64_t later = read_confirmed(ends[0], -1);
    ::close(ends[0]);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    return std::max(last, later);
  }

 private:
  /// Reads `count` numbers, or all there are when negative; returns the last.
  std::uint64_t read_confirmed(int fd, int count) {
    std::uint64_t last = 0;
    while (count != 0) {
      std::uint64_t number = 0;
      std::size_t have = 0;
      while (have < sizeof number) {
        const auto n = ::read(fd, reinterpret_cast<char*>(&number) + have, sizeof number - have);
        if (n <= 0) return last;
        have += static_cast<std::size_t>(n);
      }
      last = number;
      if (count > 0) --count;
    }
    return last;
  }
};

TEST_F(DiscCrashTest, LosesNothingConfirmedWhenKilledAgainAndAgain) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::uint64_t confirmed = 0;
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    confirmed = std::max(confirmed, run_and_kill(1 + static_cast<int>(random() % 1500)));
    auto store = must_open(crash_copy(dir_.store()));
    ASSERT_NE(store, nullptr);
    const auto found = rows(*store, kLog);
    ASSERT_GE(found.size(), confirmed);
    std::uint64_t expected = 0;
    for (const auto& [key, value] : found) {
      ASSERT_EQ(key, log_key(1, ++expected)) << "no gap, no stranger";
      ASSERT_EQ(value, row_value(expected));
    }
    confirmed = expected;  // what was read once must stay
  }
  EXPECT_GT(confirmed, 12u);
}

}  // namespace
}  // namespace warren::storage
