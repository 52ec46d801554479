// A small seeded generator for jitter and simulated ids; never for keys. The same seed gives the same numbers with
// every compiler and library, which <random>'s distributions do not promise. The algorithms are xoshiro256** 1.0 seeded
// by SplitMix64, both of Blackman and Vigna, in the public domain.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include <iothub/base/bytes.hpp>
#include <iothub/base/config.hpp>

namespace iothub {
inline namespace v0 {

// A model of std::uniform_random_bit_generator.
class prng {
 public:
  using result_type = std::uint64_t;

  explicit constexpr prng(std::uint64_t seed = 0) noexcept {
    for (auto& word : state_) {
      seed += 0x9e3779b97f4a7c15u;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
  }

  static constexpr std::uint64_t min() noexcept { return 0; }
  static constexpr std::uint64_t max() noexcept { return std::numeric_limits<std::uint64_t>::max(); }

  constexpr std::uint64_t operator()() noexcept {
    std::uint64_t const out = rotate(state_[1] * 5, 7) * 9;
    std::uint64_t const t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return out;
  }

  // 0 to limit - 1, each equally likely; limit is at least 1.
  constexpr std::uint64_t below(std::uint64_t limit) noexcept {
    IOTHUB_ASSERT(limit != 0);
    std::uint64_t mask = limit - 1;
    for (unsigned shift = 1; shift != 64; shift *= 2) mask |= mask >> shift;
    for (;;) {
      std::uint64_t const value = (*this)() & mask;
      if (value < limit) return value;
    }
  }
  // low to high, both included.
  constexpr std::int64_t between(std::int64_t low, std::int64_t high) noexcept {
    IOTHUB_ASSERT(low <= high);
    std::uint64_t const width = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    std::uint64_t const step = width == max() ? (*this)() : below(width + 1);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + step);
  }
  // 0 up to but not including 1.
  constexpr double unit() noexcept { return static_cast<double>((*this)() >> 11) * 0x1p-53; }
  // True `part` times out of `whole` in the long run.
  constexpr bool chance(std::uint64_t part, std::uint64_t whole) noexcept { return below(whole) < part; }

  constexpr void fill(byte_span into) noexcept {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i != into.size(); ++i) {
      if (i % 8 == 0) word = (*this)();
      into[i] = static_cast<char>(static_cast<unsigned char>(word >> (i % 8 * 8)));
    }
  }

 private:
  static constexpr std::uint64_t rotate(std::uint64_t x, int k) noexcept { return (x << k) | (x >> (64 - k)); }
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace v0
}  // namespace iothub
