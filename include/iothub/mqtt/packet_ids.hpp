// The packet ids in use on one side of a session (2.3.1): 16 bits, never 0. Ids are given out in cyclic order, so those
// in use lie in a short window of the circle; one bit per id of that window is all there is. Up to 64 ids the bits are
// inside the object, an idle session owns no memory. Taking and releasing are O(1) amortised; only when ids of all of
// the circle are in use, at most 1024 words are searched for a free one.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <iothub/base/config.hpp>
#include <iothub/base/owned.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

class packet_ids {
 public:
  static constexpr std::size_t max_in_use = 65535;

  [[nodiscard]] std::size_t size() const noexcept { return used_; }
  [[nodiscard]] bool contains(std::uint16_t id) const noexcept {
    return static_cast<std::uint16_t>(id - base_) < span_ && bit(id);
  }

  // An id that is not in use (MQTT-2.3.1-2), or 0 when all 65535 are.
  std::uint16_t take() {
    if (used_ == max_in_use) return 0;
    auto id = static_cast<std::uint16_t>(base_ + span_);
    if (span_ == circle) {
      id = search(id);
      base_ = static_cast<std::uint16_t>(id + 1);  // a window of the whole circle may begin anywhere
    } else {
      if (id == 0) {  // 0 is no id; its bit stays clear
        widen(span_ + 1);
        id = 1;
        if (span_ == circle) return take();
      }
      widen(span_ + 1);
    }
    set(id);
    return id;
  }
  // Marks a given id as used, for a message that keeps its id from an earlier connection; false when it was in use.
  bool reserve(std::uint16_t id) {
    IOTHUB_ASSERT(id != 0);
    if (contains(id)) return false;
    if (used_ == 0) {
      base_ = id;
      span_ = 0;
    }
    std::size_t const place = static_cast<std::uint16_t>(id - base_);
    if (place >= span_) widen(place + 1);
    set(id);
    return true;
  }
  // The final acknowledgement came (MQTT-2.3.1-3); false when the id was not in use.
  bool release(std::uint16_t id) noexcept {
    if (!contains(id)) return false;
    word(id) &= ~mask(id);
    --used_;
    if (used_ == 0) {
      base_ = static_cast<std::uint16_t>(base_ + span_);
      span_ = 0;
      words_.reset();
      bits_ = 64;
      small_ = 0;
      return true;
    }
    while (!bit(base_)) {
      ++base_;
      --span_;
    }
    return true;
  }
  // Releases all; the next id is still the one that would have been next.
  void clear() noexcept {
    base_ = static_cast<std::uint16_t>(base_ + span_);
    span_ = used_ = 0;
    words_.reset();
    bits_ = 64;
    small_ = 0;
  }

 private:
  static constexpr std::uint32_t circle = 65536;

  static std::uint64_t mask(std::uint16_t id) noexcept { return std::uint64_t{1} << (id & 63u); }
  std::uint64_t& word(std::uint16_t id) noexcept { return words_ ? words_[(id & (bits_ - 1)) >> 6] : small_; }
  [[nodiscard]] bool bit(std::uint16_t id) const noexcept {
    return ((words_ ? words_[(id & (bits_ - 1)) >> 6] : small_) & mask(id)) != 0;
  }
  void set(std::uint16_t id) noexcept {
    word(id) |= mask(id);
    ++used_;
  }
  // The window becomes `span` ids long; its bits are spread over twice as many as long as they do not fit.
  void widen(std::size_t span) {
    if (span > bits_) {
      std::uint32_t fresh_bits = bits_;
      while (fresh_bits < span) fresh_bits *= 2;
      owned<std::uint64_t[]> fresh{new std::uint64_t[fresh_bits / 64]{}};
      for (std::uint32_t i = 0; i < span_; ++i) {
        auto const id = static_cast<std::uint16_t>(base_ + i);
        if (bit(id)) fresh[(id & (fresh_bits - 1)) >> 6] |= mask(id);
      }
      words_ = std::move(fresh);
      bits_ = fresh_bits;
    }
    span_ = static_cast<std::uint32_t>(span);
  }
  // Whole circle only: the first free id at or after `from`. One is free, since used_ < 65535 was checked.
  [[nodiscard]] std::uint16_t search(std::uint16_t from) const noexcept {
    std::size_t at = from >> 6;
    std::uint64_t skip = mask(from) - 1;  // bits before `from` in its word count as used, once
    for (;; at = (at + 1) & 1023, skip = 0) {
      std::uint64_t const used = words_[at] | skip | (at == 0 ? 1u : 0u);
      if (~used != 0) return static_cast<std::uint16_t>(at * 64 + static_cast<unsigned>(std::countr_one(used)));
    }
  }

  owned<std::uint64_t[]> words_;  // bit `id & (bits_ - 1)`, when more than 64 are needed
  std::uint64_t small_ = 0;
  std::uint32_t bits_ = 64;
  std::uint32_t span_ = 0;  // ids in the window, up to the whole circle
  std::uint32_t used_ = 0;
  std::uint16_t base_ = 1;  // the first id of the window
};

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
