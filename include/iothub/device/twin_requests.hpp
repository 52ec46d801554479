// The caller's own twin operations: reading it, and patching the reported properties.
//
// Rules. Each ends exactly once: answered, timed out, failed or closed. They are sent in the order they were given and
// may overlap. One that was under way when the connection broke is sent again on the next: reading changes nothing, and
// a merge patch that is applied twice in order leaves what it leaves when applied once (RFC 7396), though the version
// rises twice. After a time-out the outcome is unknown.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/device/device_event.hpp>
#include <iothub/device/fifo.hpp>
#include <iothub/device/outbox.hpp>

namespace iothub {
inline namespace v0 {

class twin_requests {
 public:
  struct request {
    operation_id id = 0;
    time_point deadline = never;
    ticket where = 0;        // 0: not sent on this connection
    bool is_patch = false;
    std::string patch = {};
  };

  explicit twin_requests(std::size_t limit) noexcept : limit_{limit} {}

  [[nodiscard]] result<void> add(request r) {
    if (requests_.size() >= limit_)
      return error{errc::outbox_full, "as many twin operations are pending as device_options.twin_requests allows"};
    requests_.push(std::move(r));
    return {};
  }
  // The first that waits; nullptr when none does. Holds until the next non-const call.
  [[nodiscard]] request* waiting() noexcept {
    for (std::size_t i = 0; i != requests_.size(); ++i)
      if (requests_[i].where == 0) return &requests_[i];
    return nullptr;
  }
  // The operation answered under this ticket; 0 when it has ended before.
  [[nodiscard]] operation_id settle(ticket where) {
    for (std::size_t i = 0; i != requests_.size(); ++i)
      if (requests_[i].where == where) return end(i);
    return 0;
  }
  void forget(operation_id id) noexcept {
    for (std::size_t i = 0; i != requests_.size(); ++i)
      if (requests_[i].id == id) return requests_.erase(i);
  }
  [[nodiscard]] operation_id fail(request const& r) {
    for (std::size_t i = 0; i != requests_.size(); ++i)
      if (&requests_[i] == &r) return end(i);
    return 0;
  }
  [[nodiscard]] operation_id expire(time_point now) {
    for (std::size_t i = 0; i != requests_.size(); ++i)
      if (requests_[i].deadline <= now) return end(i);
    return 0;
  }
  [[nodiscard]] operation_id abort_one() { return requests_.empty() ? 0 : end(0); }
  void offline() noexcept {
    for (std::size_t i = 0; i != requests_.size(); ++i) requests_[i].where = 0;
  }
  [[nodiscard]] std::size_t size() const noexcept { return requests_.size(); }
  [[nodiscard]] std::size_t in_flight() const noexcept {
    std::size_t n = 0;
    for (std::size_t i = 0; i != requests_.size(); ++i) n += requests_[i].where != 0;
    return n;
  }
  [[nodiscard]] time_point deadline() const noexcept {
    time_point earliest = never;
    for (std::size_t i = 0; i != requests_.size(); ++i)
      if (requests_[i].deadline < earliest) earliest = requests_[i].deadline;
    return earliest;
  }

 private:
  operation_id end(std::size_t i) noexcept {
    operation_id const id = requests_[i].id;
    requests_.erase(i);
    return id;
  }

  std::size_t limit_;
  detail::fifo<request> requests_;
};

}  // namespace v0
}  // namespace iothub
