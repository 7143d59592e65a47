#include "tests/simulation/lanes.h"

namespace warren::simulation {

namespace {

constexpr Micros kPoll = 20'000;
constexpr Micros kResend = 200'000;  // TCP's least

}  // namespace

Lanes::Lanes(World& world, Network& network, int machines, Events events)
    : world_(world), network_(network), machines_(machines), events_(std::move(events)) {
  for (int b = 0; b < machines; ++b) {
    for (int a = 0; a < b; ++a) {
      pairs_.push_back(std::make_unique<Pair>());
      pairs_.back()->slots[0] = a;
      pairs_.back()->slots[1] = b;
    }
  }
  world_.after(kPoll, [this] { poll(); });
}

Lanes::Pair& Lanes::pair_of(int a, int b, int& side_of_a) {
  side_of_a = a < b ? 0 : 1;
  const int low = std::min(a, b);
  const int high = std::max(a, b);
  return *pairs_[static_cast<std::size_t>(high * (high - 1) / 2 + low)];
}

void Lanes::poll() {
  world_.after(kPoll, [this] { poll(); });
  for (auto& each : pairs_) {
    Pair& pair = *each;
    const int a = pair.slots[0];
    const int b = pair.slots[1];
    const bool cut = network_.cut(a, b) || network_.cut(b, a);
    if (!pair.standing) {
      if (!cut && events_.awake(a) && events_.awake(b) && world_.prng.chance(1, 4)) establish(pair);
      continue;
    }
    if (cut && pair.breaks_at == 0) pair.breaks_at = world_.now() + world_.prng.between(100'000, 4'000'000);
    if (cut && world_.now() >= pair.breaks_at) fall(pair);
    if (cut) continue;
    pair.breaks_at = 0;
    for (int side = 0; side < 2; ++side) {
      auto held = std::exchange(pair.sides[side].held, {});
      for (std::string& frame : held) arrive(pair, side, pair.epoch, std::move(frame));
    }
  }
}

void Lanes::establish(Pair& pair) {
  for (int side = 0; side < 2; ++side) tell_down(pair, side);  // of a stream that is replaced
  pair.standing = true;
  pair.breaks_at = 0;
  ++pair.epoch;
  for (int side = 0; side < 2; ++side) {
    pair.ids[side] = events_.id(pair.slots[side]);
    pair.sides[side].held.clear();
    Micros when = world_.now() + world_.prng.between(200, 20'000);
    pair.sides[side].last = when;
    world_.at(when, [this, &pair, side, epoch = pair.epoch] {
      if (pair.standing && pair.epoch == epoch) tell_up(pair, side);
    });
  }
}

/// Both ends notice, each in its time.
void Lanes::fall(Pair& pair) {
  pair.standing = false;
  pair.breaks_at = 0;
  for (int side = 0; side < 2; ++side) {
    world_.after(world_.prng.between(0, 500'000), [this, &pair, side, epoch = pair.epoch] {
      if (pair.sides[side].epoch == epoch) tell_down(pair, side);
    });
  }
}

void Lanes::tell_up(Pair& pair, int side) {
  pair.sides[side].up = true;
  pair.sides[side].epoch = pair.epoch;
  events_.up(pair.slots[side], pair.ids[1 - side]);
}

void Lanes::tell_down(Pair& pair, int side) {
  if (std::exchange(pair.sides[side].up, false)) events_.down(pair.slots[side], pair.ids[1 - side]);
}

void Lanes::stopped(int slot, bool silent) {
  for (int other = 0; other < machines_; ++other) {
    if (other == slot) continue;
    int side = 0;
    Pair& pair = pair_of(slot, other, side);
    pair.standing = false;
    pair.breaks_at = 0;
    pair.sides[side].up = false;
    const bool heard = !silent && !network_.cut(slot, other);
    Micros delay = heard ? world_.prng.between(100, 2'000) : world_.prng.between(100'000, 5'000'000);
    world_.after(delay, [this, &pair, side, epoch = pair.epoch] {
      if (pair.sides[1 - side].epoch == epoch) tell_down(pair, 1 - side);
    });
  }
}

void Lanes::send(int from, int to, std::string frame) {
  int side = 0;
  Pair& pair = pair_of(from, to, side);
  if (!pair.sides[side].up || !pair.standing || pair.sides[side].epoch != pair.epoch) return;
  Micros delay = world_.prng.between(100, 600);
  if (world_.prng.below(1000) < network_.slow_permille) delay += world_.prng.between(1'000, network_.slow_us);
  if (world_.prng.below(1000) < network_.loss_permille) delay += kResend;
  Micros& last = pair.sides[1 - side].last;
  last = std::max(last, world_.now() + delay);
  auto kept = std::make_unique<std::string>(std::move(frame));
  world_.at(last, [this, &pair, side, epoch = pair.epoch, kept = std::move(kept)] {
    arrive(pair, 1 - side, epoch, std::move(*kept));
  });
}

void Lanes::arrive(Pair& pair, int side, std::uint64_t epoch, std::string frame) {
  Side& to = pair.sides[side];
  if (!to.up || to.epoch != epoch) return;
  if (!to.held.empty() || network_.cut(pair.slots[1 - side], pair.slots[side])) {
    if (pair.standing) to.held.push_back(std::move(frame));
    return;
  }
  events_.frame(pair.slots[side], pair.ids[1 - side], frame);
}

}  // namespace warren::simulation
