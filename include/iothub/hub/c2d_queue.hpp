// The queue of one device's cloud-to-device messages and each message's way through it.
//
// Microsoft docs "Send cloud-to-device messages from IoT Hub", message life cycle: enqueued -> invisible (locked) ->
// completed; abandon or a lock that expires -> enqueued; reject, expiry or too many deliveries -> dead-lettered. The
// order of the queue is the order of sending, also for a message that comes back. Only an explicit abandon raises the
// delivery count (2026 wording; options::count_every_return has the older one). A message on a live connection (MQTT)
// is locked until it is settled or the connection ends; one that was fetched (HTTPS) for options::c2d_lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

struct c2d_entry {
  c2d_message message = {};
  utc_time expires_at = no_time;
  time_point locked_until = {};  // the epoch: not locked; never: by a live connection
  bool seen = false;             // handed to the device at least once
  [[nodiscard]] bool locked() const noexcept { return locked_until != time_point{}; }
};

// What the caller has to do about entries that left the queue.
struct c2d_departed {
  c2d_entry entry;
  feedback_status status;
};

class c2d_queue {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] std::vector<c2d_entry> const& entries() const noexcept { return entries_; }

  c2d_entry& push(c2d_entry entry) {
    entry.message.sequence_number = ++last_sequence_;
    entries_.push_back(std::move(entry));
    return entries_.back();
  }
  [[nodiscard]] std::uint64_t last_sequence() const noexcept { return last_sequence_; }

  // The oldest message that waits and was sent after `after`; null when there is none.
  [[nodiscard]] c2d_entry* next(std::uint64_t after = 0) noexcept {
    for (auto& e : entries_)
      if (!e.locked() && e.message.sequence_number > after) return &e;
    return nullptr;
  }
  [[nodiscard]] c2d_entry* find_locked(std::string_view lock_token) noexcept {
    for (auto& e : entries_)
      if (e.locked() && e.message.lock_token == lock_token) return &e;
    return nullptr;
  }
  c2d_entry take(c2d_entry& entry) {
    auto const index = static_cast<std::size_t>(&entry - entries_.data());
    c2d_entry out = std::move(entry);
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index));
    return out;
  }

  // Puts a locked message back; true when its deliveries are used up and it must leave instead.
  static bool unlock(c2d_entry& e, bool count, options const& settings) noexcept {
    e.locked_until = {};
    e.message.lock_token.clear();
    if (count) ++e.message.delivery_count;
    return e.message.delivery_count >= settings.limits.c2d_max_delivery_count;
  }

  // Lets locks and messages expire; `all_connection_locks`: the live connection ended. Departed ones are appended.
  void settle_time(instant at, bool all_connection_locks, options const& settings,
                   std::vector<c2d_departed>& departed) {
    for (std::size_t i = 0; i != entries_.size();) {
      c2d_entry& e = entries_[i];
      bool const returns = e.locked_until == never ? all_connection_locks : e.locked() && e.locked_until <= at.now;
      bool const used_up = returns && unlock(e, settings.count_every_return, settings);
      bool const expired = !e.locked() && e.expires_at <= at.utc;
      if (!used_up && !expired) {
        ++i;
        continue;
      }
      auto const why = used_up ? feedback_status::delivery_count_exceeded : feedback_status::expired;
      departed.push_back({take(e), why});
    }
  }

  // When settle_time() has something to do.
  [[nodiscard]] time_point deadline(instant at) const noexcept {
    time_point due = never;
    for (auto const& e : entries_) {
      time_point const own = e.locked() ? e.locked_until : add(at.now, wait_for(e.expires_at, at.utc));
      if (own < due) due = own;
    }
    return due;
  }

  std::vector<c2d_entry> take_all() noexcept { return std::exchange(entries_, {}); }

 private:
  static duration wait_for(utc_time then, utc_time now) noexcept {
    if (then == utc_time::max()) return duration::max();
    return then > now ? then - now : duration{};
  }

  std::vector<c2d_entry> entries_;
  std::uint64_t last_sequence_ = 0;
};

// Does the sender of the message want to hear of this end? A purge is told to everybody who asked for anything.
[[nodiscard]] constexpr bool wants_feedback(feedback_request ack, feedback_status status) noexcept {
  switch (ack) {
    case feedback_request::none: return false;
    case feedback_request::full: return true;
    case feedback_request::positive: return status == feedback_status::success || status == feedback_status::purged;
    case feedback_request::negative: return status != feedback_status::success;
  }
  return false;
}

// The size of a message by the hub's formula.
[[nodiscard]] inline std::size_t size_of(message const& m) noexcept {
  std::size_t size = m.body.size() + m.message_id.size() + m.correlation_id.size() + m.user_id.size() +
                     m.content_type.size() + m.content_encoding.size() + m.to.size();
  for (auto const& p : m.properties) size += p.name.size() + p.value.size();
  return size;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
