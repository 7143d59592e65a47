// Reading and writing bytes, blocks, random numbers.

#include "base/block.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/prng.h"
#include "base/result.h"
#include "base/strong_id.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>
#include <type_traits>
#include <vector>

namespace warren {
namespace {

TEST(Bytes, AreBigEndian) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(0x01);
  out.u16(0x0203);
  out.u32(0x04050607);
  out.u64(0x08090A0B0C0D0E0FULL);
  for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], static_cast<char>(i + 1));
  EXPECT_EQ(bytes.size(), 15U);
}

TEST(Bytes, EveryTypeThereAndBack) {
  std::string bytes;
  ByteWriter out(bytes);
  out.i8(-1);
  out.i16(-2);
  out.i32(-3);
  out.i64(-4);
  out.f32(1.5F);
  out.f64(-2.25);
  out.str8("short");
  out.str32("long");
  ByteReader in(bytes);
  EXPECT_EQ(in.i8(), -1);
  EXPECT_EQ(in.i16(), -2);
  EXPECT_EQ(in.i32(), -3);
  EXPECT_EQ(in.i64(), -4);
  EXPECT_EQ(in.f32(), 1.5F);
  EXPECT_EQ(in.f64(), -2.25);
  EXPECT_EQ(in.str8(), "short");
  EXPECT_EQ(in.str32(), "long");
  EXPECT_TRUE(in.ok());
  EXPECT_TRUE(in.at_end());
}

TEST(Bytes, ReadersNeverPassTheEnd) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u64(~0ULL);
  out.str32("text");
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    // A copy of exactly that size, so that a sanitizer sees a byte too many.
    const std::vector<char> exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    ByteReader in(std::string_view(exact.data(), exact.size()));
    (void)in.u64();
    (void)in.str32();
    EXPECT_FALSE(in.ok()) << cut;
    EXPECT_TRUE(in.at_end());
    EXPECT_EQ(in.u32(), 0U) << "zeros once it failed";
    EXPECT_EQ(in.str8(), "");
  }
}

TEST(Bytes, LengthsThatWouldOverflowAreRefused) {
  ByteReader in(std::string_view("\xff\xff\xff\xff" "abc", 7));
  EXPECT_EQ(in.str32(), "");
  EXPECT_FALSE(in.ok());
}

TEST(Bytes, AFailureIsNotForgotten) {
  ByteReader in("ab");
  (void)in.u32();
  EXPECT_EQ(in.remaining(), 0U);
  EXPECT_FALSE(in.ok());
}

// ---- blocks -----------------------------------------------------------------------------------------

TEST(Blocks, GrowToTheirCapacityAndNoFurther) {
  auto block = Block::make(10);
  std::memcpy(block->append(4), "abcd", 4);
  EXPECT_EQ(block->room(), 6U);
  std::memcpy(block->append(6), "efghij", 6);
  EXPECT_EQ(block->bytes(), "abcdefghij");
  EXPECT_EQ(block->room(), 0U);
  block->shrink_to(3);
  EXPECT_EQ(block->bytes(), "abc");
  EXPECT_DEATH((void)block->append(8), "n <= room");
  EXPECT_DEATH(block->shrink_to(4), "size <= size_");
}

TEST(Blocks, KnowWhetherTheyAreShared) {
  auto block = Block::copy_of("bytes");
  EXPECT_FALSE(block->shared());
  {
    const BlockRef other = block;
    EXPECT_TRUE(block->shared());
  }
  EXPECT_FALSE(block->shared());
}

TEST(Blocks, MayBeReleasedOnAnyThread) {
  auto block = Block::copy_of("bytes");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([copy = block] {
      for (int n = 0; n < 1000; ++n) BlockRef again = copy;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(block->bytes(), "bytes");
}

TEST(Blocks, EmptyOnesAreFine) { EXPECT_EQ(Block::copy_of("")->bytes(), ""); }

// ---- random numbers ---------------------------------------------------------------------------------

TEST(Prng, IsTheSameOnEveryBuild) {
  Prng random(1);
  EXPECT_EQ(random.next(), 0x910A2DEC89025CC1ULL);
  EXPECT_EQ(random.next(), 0xBEEB8DA1658EEC67ULL);
}

TEST(Prng, StaysInsideItsBounds) {
  Prng random(7);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto n = random.below(10);
    ASSERT_LT(n, 10U);
    seen.insert(n);
    const auto m = random.between(-3, 3);
    ASSERT_GE(m, -3);
    ASSERT_LE(m, 3);
    ASSERT_FALSE(random.chance(0, 5));
    ASSERT_TRUE(random.chance(5, 5));
  }
  EXPECT_EQ(seen.size(), 10U);
  EXPECT_EQ(random.below(0), 0U);
}

// ---- the rest ---------------------------------------------------------------------------------------

TEST(ManualClock, MovesBothTimesAndJumpsOne) {
  ManualClock clock;
  const Millis steady = clock.steady_ms(), wall = clock.wall_ms();
  clock.advance(5);
  clock.jump_wall(-100);
  EXPECT_EQ(clock.steady_ms(), steady + 5);
  EXPECT_EQ(clock.wall_ms(), wall + 5 - 100);
}

TEST(StrongId, KeepsKindsApart) {
  using A = StrongId<struct ATag>;
  using B = StrongId<struct BTag>;
  static_assert(!std::is_convertible_v<A, B>);
  static_assert(!std::is_convertible_v<std::uint64_t, A>);
  EXPECT_LT(A(1), A(2));
  EXPECT_EQ(A(1).next(), A(2));
  EXPECT_EQ(std::hash<A>{}(A(9)), std::hash<A>{}(A(9)));
}

TEST(Result, NamesItsCodes) {
  std::set<std::string> names;
  for (int code = 1; code <= 14; ++code) names.insert(errc_name(static_cast<Errc>(code)));
  EXPECT_EQ(names.size(), 14U);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_STREQ(errc_name(static_cast<Errc>(99)), "unknown");
  const Result<int> failed = make_error(Errc::not_found, "no such thing");
  EXPECT_FALSE(failed);
  EXPECT_THROW((void)failed.value(), std::runtime_error);
}

}  // namespace
}  // namespace warren
