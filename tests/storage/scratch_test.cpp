// Scratch space over a real directory. The thread inside is awaited by counting answers.
#include "storage/scratch/scratch.h"

#include "base/prng.h"
#include "tests/storage/disc_support.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace warren::storage {
namespace {

namespace fs = std::filesystem;

class ScratchTest : public ::testing::Test {
 protected:
  void SetUp() override { options_.directory = dir_.path() + "/scratch"; }
  void TearDown() override { scratch_.reset(); }

  void open() {
    auto opened = Scratch::open(options_, [this](std::vector<Scratch::Answer> some) {
      const std::lock_guard lock(mutex_);
      for (auto& answer : some) answers_.push_back(std::move(answer));
      came_.notify_all();
    });
    ASSERT_TRUE(opened) << opened.error().text;
    scratch_ = std::move(*opened);
  }
  Scratch::PageId write(std::string_view bytes, std::uint64_t tag = 1) {
    BlockRef block = Block::copy_of(bytes);
    const std::string_view kept = block->bytes();
    return scratch_->write(tag, kept, std::move(block));
  }
  /// The next `n` answers.
  std::vector<Scratch::Answer> take(std::size_t n) {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return answers_.size() >= n; });
    std::vector<Scratch::Answer> out(std::make_move_iterator(answers_.begin()),
                                     std::make_move_iterator(answers_.begin() + static_cast<long>(n)));
    answers_.erase(answers_.begin(), answers_.begin() + static_cast<long>(n));
    return out;
  }
  Scratch::Answer read(Scratch::PageId page, std::size_t bytes) {
    scratch_->read(7, page, bytes);
    return std::move(take(1).front());
  }
  /// Everything asked so far is done.
  void settle() {
    const auto page = write("x");
    take(1);
    scratch_->release(page, 1);
  }
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(options_.directory))
      out.push_back(entry.path().filename().string());
    return out;
  }

  TempDir dir_;
  ScratchOptions options_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<Scratch::Answer> answers_;
  std::unique_ptr<Scratch> scratch_;
};

TEST_F(ScratchTest, PagesComeBackAsTheyWent) {
  options_.file_bytes = 1 << 16;
  open();
  Prng rng(3);
  std::vector<std::pair<Scratch::PageId, std::string>> pages;
  for (int i = 0; i < 300; ++i) {
    std::string bytes(1 + rng.below(rng.chance(1, 20) ? 200000 : 2000), '\0');
    for (char& c : bytes) c = static_cast<char>(rng.below(256));
    const auto page = write(bytes, static_cast<std::uint64_t>(i));
    pages.emplace_back(page, std::move(bytes));
  }
  const auto written = take(300);
  for (std::size_t i = 0; i < written.size(); ++i) {
    EXPECT_EQ(written[i].page, pages[i].first);
    EXPECT_EQ(written[i].tag, i);
    EXPECT_EQ(written[i].error, "");
    EXPECT_FALSE(written[i].read);
  }
  for (const auto& [page, bytes] : pages) {
    const auto answer = read(page, bytes.size());
    ASSERT_TRUE(answer.block) << answer.error;
    EXPECT_EQ(answer.block->bytes(), bytes);
    EXPECT_TRUE(answer.read);
  }
}

TEST_F(ScratchTest, AFileGoesWithItsLastPage) {
  options_.file_bytes = 1000;
  open();
  std::vector<Scratch::PageId> pages;
  for (int i = 0; i < 20; ++i) pages.push_back(write(std::string(400, 'a')));
  take(20);
  EXPECT_GT(files().size(), 5u);
  for (const auto page : pages) scratch_->release(page, 400);
  settle();
  EXPECT_LE(files().size(), 1u);
  EXPECT_EQ(scratch_->stats().live_bytes, 0u);
}

TEST_F(ScratchTest, OneOldPageDoesNotPinItsFile) {
  options_.hole_bytes = 64 << 10;
  open();
  std::vector<Scratch::PageId> pages;
  for (int i = 0; i < 512; ++i) pages.push_back(write(std::string(8000, 'a')));
  take(512);
  ::sync();
  const std::uint64_t before = directory_bytes(options_.directory);
  for (std::size_t i = 0; i < pages.size(); ++i)
    if (i != 200) scratch_->release(pages[i], 8000);
  settle();
  const std::uint64_t after = directory_bytes(options_.directory);
  if (after >= before) GTEST_SKIP() << "this file system punches no holes";
  EXPECT_LT(after, before / 8);
  const auto answer = read(pages[200], 8000);
  ASSERT_TRUE(answer.block) << answer.error;
  EXPECT_EQ(answer.block->bytes(), std::string(8000, 'a'));
}

TEST_F(ScratchTest, DamageIsAnErrorNotAMessage) {
  open();
  const auto page = write("a page of some bytes");
  take(1);
  {
    std::fstream file(options_.directory + "/" + files().front(), std::ios::in | std::ios::out);
    file.seekp(20);
    file.put('X');
  }
  const auto answer = read(page, 20);
  EXPECT_FALSE(answer.block);
  EXPECT_NE(answer.error.find("damaged"), std::string::npos) << answer.error;
  const auto wrong = read(page, 19);
  EXPECT_FALSE(wrong.block);
}

TEST_F(ScratchTest, AFailedWriteIsAnsweredAsSuch) {
  open();
  fs::remove_all(options_.directory);
  const auto page = write("nowhere to go");
  const auto answers = take(1);
  EXPECT_EQ(answers.front().page, page);
  EXPECT_NE(answers.front().error.find("cannot open"), std::string::npos);
  scratch_->release(page, 13);
  fs::create_directory(options_.directory);
  const auto again = write("here");
  EXPECT_EQ(take(1).front().error, "");
  EXPECT_TRUE(read(again, 4).block);
}

TEST_F(ScratchTest, StartsEmptyAndTouchesOnlyItsOwn) {
  fs::create_directories(options_.directory);
  std::ofstream(options_.directory + "/17.page") << "of a former life";
  std::ofstream(options_.directory + "/notes.txt") << "somebody's";
  open();
  EXPECT_EQ(files(), std::vector<std::string>{"notes.txt"});
}

TEST_F(ScratchTest, SaysWhenItIsBusy) {
  options_.waiting_bytes_max = 1;
  open();
  EXPECT_TRUE(scratch_->has_room());
  {
    const std::lock_guard lock(mutex_);  // the thread cannot answer
    write("abc");
    while (!scratch_->has_room()) std::this_thread::yield();  // written; it answers, and waits for us
    write("def");
    EXPECT_FALSE(scratch_->has_room());
  }
  take(2);
  EXPECT_TRUE(scratch_->has_room());
}

TEST_F(ScratchTest, ADirectoryThatCannotBeIsAnError) {
  std::ofstream(dir_.path() + "/file") << "x";
  options_.directory = dir_.path() + "/file/scratch";
  const auto opened = Scratch::open(options_, [](auto) {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::io);
}

}  // namespace
}  // namespace warren::storage
