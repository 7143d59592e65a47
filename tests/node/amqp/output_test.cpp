// Output: what goes in comes out, in order, whatever is sent by reference and however it is taken.

#include "base/prng.h"
#include "tests/node/amqp/connection_fixture.h"

namespace warren::amqp::test {
namespace {

std::string drain(Output& output, Prng& random) {
  std::string bytes;
  while (!output.empty()) {
    std::vector<std::string_view> pieces(1 + random.below(4));
    const std::size_t n = output.gather(pieces);
    std::string here;
    for (std::size_t i = 0; i < n; ++i) here += pieces[i];
    const std::size_t take = 1 + random.below(here.size());
    bytes += here.substr(0, take);
    output.consume(take);
  }
  return bytes;
}

TEST(Output, KeepsOrderAndBytes) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Prng random(seed);
    Output output;
    std::string expected, got;
    for (int i = 0; i < 60; ++i) {
      const std::string text(random.below(6'000), static_cast<char>('a' + i % 26));
      switch (random.below(4)) {
        case 0: output.append(text), expected += text; break;
        case 1: {
          const BlockRef block = Block::copy_of("head" + text);
          output.append_shared(block, block->bytes().substr(4));
          expected += text;
          break;
        }
        case 2: {
          std::memcpy(output.reserve(text.size()), text.data(), text.size());
          expected += text;
          break;
        }
        default: {
          if (output.empty()) break;
          std::string_view piece;
          ASSERT_EQ(output.gather({&piece, 1}), 1U);
          const std::size_t n = 1 + random.below(piece.size());
          got += piece.substr(0, n);
          output.consume(n);
        }
      }
      ASSERT_EQ(output.size(), expected.size() - got.size());
    }
    got += drain(output, random);
    ASSERT_EQ(got, expected);
    EXPECT_TRUE(output.empty());
  }
}

TEST(Output, HoldsNoBlockOnceEverythingIsSent) {
  Output output;
  const BlockRef block = Block::copy_of(std::string(10'000, 'x'));
  output.content(1, std::string_view("\0\0", 2), block->bytes(), 131072, block);
  EXPECT_TRUE(block->shared());
  output.consume(output.size());
  EXPECT_FALSE(block->shared());
}

TEST(Output, LargeBodiesAreNotCopied) {
  Output output;
  const BlockRef block = Block::copy_of(std::string(300'000, 'x'));
  output.content(1, std::string_view("\0\0", 2), block->bytes(), 131072, block);
  std::string_view pieces[16];
  const std::size_t n = output.gather(pieces);
  std::size_t shared = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (pieces[i].data() >= block->data() && pieces[i].data() < block->data() + block->size())
      shared += pieces[i].size();
  EXPECT_EQ(shared, 300'000U);
}

TEST(Output, ContentIsCutToTheFrameSize) {
  for (const std::size_t size : {0, 1, 2047, 2048, 4088, 4089, 8176, 8177, 50'000}) {
    for (const bool shared : {false, true}) {
      Output output;
      std::string body(size, '\0');
      for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>(i * 31);
      const BlockRef block = Block::copy_of(body);
      const std::string props("\x10\x00\x02", 3);
      output.content(5, props, block->bytes(), 4096, shared ? block : BlockRef{});
      const auto frames = parse_frames(take_output(output));
      ASSERT_EQ(frames.size(), 1 + (size + 4087) / 4088) << size;
      EXPECT_EQ(frames[0].type, kFrameHeader);
      EXPECT_EQ(load_be<std::uint64_t>(frames[0].payload.data() + 4), size);
      EXPECT_EQ(load_be<std::uint16_t>(frames[0].payload.data()), 60);
      EXPECT_EQ(frames[0].payload.substr(12), props);
      std::string got;
      for (std::size_t i = 1; i < frames.size(); ++i) {
        EXPECT_EQ(frames[i].type, kFrameBody);
        EXPECT_EQ(frames[i].channel, 5);
        EXPECT_LE(frames[i].payload.size() + kFrameOverhead, 4096U);
        got += frames[i].payload;
      }
      EXPECT_EQ(got, body);
    }
  }
}

}  // namespace
}  // namespace warren::amqp::test
