// A hierarchical timer wheel: the deadlines of a hundred thousand participants, exact to the microsecond.
//
// Theory of operation. A deadline is read as eleven digits of six bits, and so is the wheel's own time. A node is kept
// on the level of the highest digit in which the two differ, in the slot of that digit; on level 0 a slot is a single
// microsecond. When time enters a slot of a higher level, its nodes are dealt out to lower levels. Two rules follow:
//   1. Every node of a lower level is due before every node of a higher one.
//   2. Nodes with equal deadlines are always in the same slot, so they come out in the order they went in.
// Hence the order of expiry depends on the calls alone: deadline first, then insertion. Inserting and erasing take
// constant time, and a node is dealt out at most once per level. The links are in the nodes; the wheel never allocates.
#pragma once

#include <cstddef>
#include <cstdint>

#include <iothub/base/config.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

template <class Node>
struct timer_links {
  static constexpr std::uint16_t unlinked = 0xffff;
  Node* previous = nullptr;
  Node* next = nullptr;
  time_point at = never;
  std::uint16_t slot = unlinked;
};

}  // namespace detail

// `Links` is the member of Node that belongs to this wheel.
template <class Node, detail::timer_links<Node> Node::*Links>
class timer_wheel {
 public:
  explicit timer_wheel(time_point start = time_point{}) noexcept : current_{key(start)} {}
  timer_wheel(timer_wheel const&) = delete;
  timer_wheel& operator=(timer_wheel const&) = delete;

  // A deadline that has passed already is due with the next advance().
  void insert(Node& node, time_point at) noexcept {
    IOTHUB_ASSERT(!linked(node));
    (node.*Links).at = at;
    link(node);
    ++size_;
  }
  void erase(Node& node) noexcept {
    IOTHUB_ASSERT(linked(node));
    unlink(node);
    --size_;
  }
  [[nodiscard]] static bool linked(Node const& node) noexcept {
    return (node.*Links).slot != detail::timer_links<Node>::unlinked;
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  // Takes out every node that is due at `now` and hands it to expired(Node&), earliest first. Time never goes back.
  // `expired` must not call this wheel.
  template <class Expired>
  void advance(time_point now, Expired&& expired) {
    std::uint64_t const end = key(now);
    while (used_levels_ != 0) {
      unsigned const level = lowest_bit(used_levels_);
      unsigned const slot = lowest_bit(used_slots_[level]);
      Node* const first = heads_[level * slots + slot];
      if (level == 0 || (first->*Links).next == first) {  // one microsecond, or one node: nothing to deal out
        std::uint64_t const due = level == 0 ? start_of(level, slot) : key((first->*Links).at);
        if (due > end) {
          if (start_of(level, slot) <= end) deal_out_at(end, level * slots + slot);
          break;
        }
        current_ = due;
        expire_slot(level * slots + slot, expired);
      } else {
        if (start_of(level, slot) > end) break;
        current_ = start_of(level, slot);
        deal_out(level * slots + slot);
      }
    }
    if (end > current_) current_ = end;
  }

  // Not later than the first deadline, in constant time: advancing to it either expires a node or makes the next answer
  // more exact, at most once per level. `never` when the wheel is empty.
  [[nodiscard]] time_point next_wakeup() const noexcept {
    if (used_levels_ == 0) return never;
    unsigned const level = lowest_bit(used_levels_);
    unsigned const slot = lowest_bit(used_slots_[level]);
    Node const* const first = heads_[level * slots + slot];
    return (first->*Links).next == first ? (first->*Links).at : time(start_of(level, slot));
  }
  // The first deadline itself; reads all nodes of one slot.
  [[nodiscard]] time_point next_deadline() const noexcept {
    if (used_levels_ == 0) return never;
    unsigned const level = lowest_bit(used_levels_);
    Node const* const first = heads_[level * slots + lowest_bit(used_slots_[level])];
    time_point earliest = (first->*Links).at;
    for (Node const* node = (first->*Links).next; node != first; node = (node->*Links).next)
      if ((node->*Links).at < earliest) earliest = (node->*Links).at;
    return earliest;
  }

 private:
  static constexpr unsigned digit_bits = 6;
  static constexpr unsigned slots = 1U << digit_bits;
  static constexpr unsigned levels = 11;  // 66 bits
  static constexpr std::uint64_t sign = std::uint64_t{1} << 63;

  // Times as unsigned numbers in the same order.
  static std::uint64_t key(time_point t) noexcept {
    return static_cast<std::uint64_t>(t.time_since_epoch().count()) ^ sign;
  }
  static time_point time(std::uint64_t k) noexcept {
    return time_point{duration{static_cast<duration::rep>(k ^ sign)}};
  }
  static unsigned lowest_bit(std::uint64_t bits) noexcept { return static_cast<unsigned>(__builtin_ctzll(bits)); }

  // The first microsecond of a slot, as the wheel's time stands.
  [[nodiscard]] std::uint64_t start_of(unsigned level, unsigned slot) const noexcept {
    unsigned const shift = level * digit_bits;
    std::uint64_t const above = shift + digit_bits >= 64 ? 0 : current_ >> (shift + digit_bits) << (shift + digit_bits);
    return above | std::uint64_t{slot} << shift;
  }

  void link(Node& node) noexcept {
    std::uint64_t k = key((node.*Links).at);
    if (k < current_) k = current_;
    std::uint64_t const difference = k ^ current_;
    unsigned const level =
        difference == 0 ? 0 : (63U - static_cast<unsigned>(__builtin_clzll(difference))) / digit_bits;
    unsigned const slot = static_cast<unsigned>(k >> (level * digit_bits)) & (slots - 1);
    used_levels_ |= 1U << level;
    used_slots_[level] |= std::uint64_t{1} << slot;
    unsigned const at = level * slots + slot;
    (node.*Links).slot = static_cast<std::uint16_t>(at);
    Node*& head = heads_[at];
    if (head == nullptr) {
      (node.*Links).previous = (node.*Links).next = head = &node;
      return;
    }
    Node* const last = (head->*Links).previous;
    (node.*Links).previous = last;
    (node.*Links).next = head;
    (last->*Links).next = (head->*Links).previous = &node;
  }

  void unlink(Node& node) noexcept {
    auto& links = node.*Links;
    unsigned const at = links.slot;
    if (links.next == &node) {
      empty_slot(at);
    } else {
      (links.previous->*Links).next = links.next;
      (links.next->*Links).previous = links.previous;
      if (heads_[at] == &node) heads_[at] = links.next;
    }
    links.slot = detail::timer_links<Node>::unlinked;
  }
  void empty_slot(unsigned at) noexcept {
    heads_[at] = nullptr;
    used_slots_[at / slots] &= ~(std::uint64_t{1} << (at % slots));
    if (used_slots_[at / slots] == 0) used_levels_ &= ~(1U << (at / slots));
  }

  template <class Visit>
  void take_slot(unsigned at, Visit&& visit) {
    Node* const first = heads_[at];
    empty_slot(at);
    (((first->*Links).previous)->*Links).next = nullptr;
    for (Node* node = first; node != nullptr;) {
      Node* const next = (node->*Links).next;
      (node->*Links).slot = detail::timer_links<Node>::unlinked;
      visit(*node);
      node = next;
    }
  }
  template <class Expired>
  void expire_slot(unsigned at, Expired& expired) {
    take_slot(at, [&](Node& node) {
      --size_;
      expired(node);
    });
  }
  void deal_out_at(std::uint64_t now, unsigned at) noexcept {
    current_ = now;
    deal_out(at);
  }
  void deal_out(unsigned at) noexcept {
    take_slot(at, [this](Node& node) { link(node); });
  }

  std::uint64_t current_;
  std::uint32_t used_levels_ = 0;
  std::uint64_t used_slots_[levels] = {};
  Node* heads_[levels * slots] = {};
  std::size_t size_ = 0;
};

}  // namespace v0
}  // namespace iothub
