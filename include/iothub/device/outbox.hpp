// The outbox: telemetry from the moment it was given until it ended, exactly once, as confirmed, timed out, failed or
// closed.
//
// Rules. Messages are handed to the dialect in the order they were given. A message leaves the outbox when the dialect
// settled it or when its time was up, whichever comes first; a settlement that comes later finds nothing. The bounds
// count everything that has not ended, handed over or not. Memory for the message itself is held only while it waits:
// what was handed over is the dialect's to keep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/device/device_event.hpp>
#include <iothub/device/device_options.hpp>
#include <iothub/device/fifo.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// Names a pending operation of a client; chosen by whoever starts it, never 0.
using operation_id = std::uint64_t;

class outbox {
 public:
  explicit outbox(outbox_options const& limits) noexcept : limits_{limits} {}

  // errc::outbox_full above a bound.
  [[nodiscard]] result<void> admit(std::size_t size) const;
  // The next add_sent() cannot fail.
  void make_room() { entries_.make_room(); }
  // Both need an admit() before. add_sent() is for a message that the dialect took at once.
  void add_waiting(operation_id id, message&& what, std::size_t size, time_point deadline);
  void add_sent(operation_id id, ticket where, std::size_t size, time_point deadline);

  // The message to hand over next; nullptr when none waits.
  [[nodiscard]] message const* waiting();
  void waiting_sent(ticket where);                    // waiting() was taken by the dialect
  [[nodiscard]] operation_id waiting_failed();        // waiting() was refused for good

  // The operation that ended with this ticket; 0 when it has ended before.
  [[nodiscard]] operation_id settle(ticket where);
  // One operation whose time is up, 0 when there is none; `where` is its ticket, 0 when it was never handed over.
  [[nodiscard]] operation_id expire(time_point now, ticket& where);
  // Any operation, oldest first; 0 when empty. `where` is its ticket, 0 when it was never handed over.
  [[nodiscard]] operation_id abort_one(ticket& where);
  [[nodiscard]] operation_id abort_one() {
    ticket unused = 0;
    return abort_one(unused);
  }

  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }
  [[nodiscard]] std::size_t waiting_count() const noexcept { return count_ - in_flight_; }
  // No later than the earliest deadline.
  [[nodiscard]] time_point deadline() const noexcept { return count_ == 0 ? never : next_deadline_; }

 private:
  struct entry {
    operation_id id = 0;  // 0: ended, kept until it is at the front
    time_point deadline = never;
    owned<message> what = {};
    std::uint32_t size = 0;
    ticket where = 0;
  };
  void add(entry e);
  operation_id end(entry& e) noexcept;
  void tidy() noexcept;

  outbox_options limits_;
  detail::fifo<entry> entries_;
  std::size_t first_waiting_ = 0;  // entries before it are not waiting
  std::size_t count_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t bytes_ = 0;
  time_point next_deadline_ = never;
};

// --- implementation -------------------------------------------------------------------------------------------------

inline result<void> outbox::admit(std::size_t size) const {
  if (count_ >= limits_.messages)
    return error{errc::outbox_full, "the outbox holds as many messages as device_options.outbox.messages allows"};
  if (bytes_ + size > limits_.bytes)
    return error{errc::outbox_full, "the outbox holds as many bytes as device_options.outbox.bytes allows"};
  return {};
}

inline void outbox::add(entry e) {
  time_point const deadline = e.deadline;
  std::size_t const size = e.size;
  entries_.push(std::move(e));
  next_deadline_ = count_ == 0 || deadline < next_deadline_ ? deadline : next_deadline_;
  ++count_;
  bytes_ += size;
}

inline void outbox::add_waiting(operation_id id, message&& what, std::size_t size, time_point deadline) {
  entry e{.id = id, .deadline = deadline, .what = make_owned<message>(std::move(what)),
          .size = static_cast<std::uint32_t>(size), .where = 0};
  add(std::move(e));
}

inline void outbox::add_sent(operation_id id, ticket where, std::size_t size, time_point deadline) {
  IOTHUB_ASSERT(waiting_count() == 0);
  entry e{.id = id, .deadline = deadline, .what = {}, .size = static_cast<std::uint32_t>(size), .where = where};
  add(std::move(e));
  ++in_flight_;
  first_waiting_ = entries_.size();
}

inline message const* outbox::waiting() {
  while (first_waiting_ < entries_.size()) {
    entry const& e = entries_[first_waiting_];
    if (e.id != 0 && e.where == 0) return e.what.get();
    ++first_waiting_;
  }
  return nullptr;
}

inline void outbox::waiting_sent(ticket where) {
  entry& e = entries_[first_waiting_++];
  IOTHUB_ASSERT(e.id != 0 && where != 0);
  e.where = where;
  e.what.reset();
  ++in_flight_;
}

inline operation_id outbox::waiting_failed() {
  operation_id const id = end(entries_[first_waiting_]);
  tidy();
  return id;
}

inline operation_id outbox::settle(ticket where) {
  // Acknowledgements come in the order of sending, so the first one looked at is nearly always the one.
  for (std::size_t i = 0; i != entries_.size(); ++i) {
    entry& e = entries_[i];
    if (e.id == 0 || e.where != where) continue;
    operation_id const id = end(e);
    tidy();
    return id;
  }
  return 0;
}

inline operation_id outbox::expire(time_point now, ticket& where) {
  if (count_ == 0 || now < next_deadline_) return 0;
  time_point earliest = never;
  for (std::size_t i = 0; i != entries_.size(); ++i) {
    entry& e = entries_[i];
    if (e.id == 0) continue;
    if (e.deadline <= now) {
      where = e.where;
      operation_id const id = end(e);
      tidy();
      return id;
    }
    if (e.deadline < earliest) earliest = e.deadline;
  }
  next_deadline_ = earliest;
  return 0;
}

inline operation_id outbox::abort_one(ticket& where) {
  for (std::size_t i = 0; i != entries_.size(); ++i) {
    if (entries_[i].id == 0) continue;
    where = entries_[i].where;
    operation_id const id = end(entries_[i]);
    tidy();
    return id;
  }
  return 0;
}

inline operation_id outbox::end(entry& e) noexcept {
  --count_;
  bytes_ -= e.size;
  if (e.where != 0) --in_flight_;
  e.what.reset();
  return exchanged(e.id, 0);
}

inline void outbox::tidy() noexcept {
  while (!entries_.empty() && entries_.front().id == 0) {
    entries_.drop_front();
    if (first_waiting_ != 0) --first_waiting_;
  }
}

}  // namespace v0
}  // namespace iothub
