// Keeps a device up with its desired properties, whatever is lost in between.
//
// Theory of operation. Notices of changes may get lost: none is kept while the device is away, and they come at QoS 0.
// Versions of the desired properties always rise, by one per change. Hence (Microsoft docs: "Understand and use device
// twins", device reconnection flow): on each connection subscribe first, then read the twin; notices that come before
// the answer wait; those not above the version of the answer are dropped, the others follow in order. A notice that
// is not the successor of what is known shows a loss: the twin is read again.
//
// What was set while the device was away is handed over as the whole document, since the answer cannot say what was
// removed. The first document of all is handed over too, unless it is empty. A version lower than the known one after
// a reconnect means that the twin was made anew, and is handed over whole; so does the same version with other
// properties, which is why the properties are kept, and cost nothing where there are none.
#pragma once

#include <cstddef>
#include <utility>

#include <iothub/base/time.hpp>
#include <iothub/device/device_event.hpp>
#include <iothub/device/fifo.hpp>
#include <iothub/device/twin_document.hpp>
#include <iothub/json/merge_patch.hpp>
#include <iothub/json/value.hpp>

namespace iothub {
inline namespace v0 {

class twin_sync {
 public:
  // Notices are subscribed on a new connection; the twin has to be read.
  void online(time_point now) noexcept;
  void offline() noexcept;

  [[nodiscard]] bool wants_twin(time_point now) const noexcept {
    return state_ == state::wanted && now >= retry_at_;
  }
  void twin_asked(ticket where, time_point give_up_at) noexcept;
  // Whether an answer with this ticket belongs here.
  [[nodiscard]] bool waits_for(ticket where) const noexcept { return state_ == state::asked && where_ == where; }
  void on_twin(twin_section&& desired, time_point now);
  void on_failure(time_point retry_at) noexcept;

  void on_notice(desired_update&& notice);

  [[nodiscard]] bool has_next() const noexcept { return !ready_.empty(); }
  // The next update for the handler; false when there is none.
  [[nodiscard]] bool next(desired_update& into);

  // When on_time() has something to do.
  [[nodiscard]] time_point deadline() const noexcept;
  // True when the answer took too long: the caller counts it as a failure.
  [[nodiscard]] bool timed_out(time_point now) const noexcept { return state_ == state::asked && now >= give_up_at_; }
  [[nodiscard]] std::int64_t version() const noexcept { return known_; }

 private:
  enum class state : std::uint8_t { offline, wanted, asked, current };
  static constexpr std::size_t most_queued = 32;
  void deliver_early();
  void deliver(desired_update&& update);
  [[nodiscard]] bool same_as_known(json::value const& properties) const noexcept {
    return properties.empty() ? properties_.empty() : properties == properties_;
  }
  void want(time_point at) noexcept {
    state_ = state::wanted;
    retry_at_ = at;
  }

  state state_ = state::offline;
  bool lost_ = false;         // notices were dropped for want of room: what is known is not what the hub has
  ticket where_ = 0;
  std::int64_t known_ = 0;    // version after everything in ready_ was handled; 0: nothing yet
  json::value properties_;    // at that version; null: none
  time_point retry_at_ = never;
  time_point give_up_at_ = never;
  detail::fifo<desired_update> early_;  // notices while the twin is not read yet
  detail::fifo<desired_update> ready_;
};

// --- implementation -------------------------------------------------------------------------------------------------

inline void twin_sync::online(time_point now) noexcept {
  early_.clear();
  want(now);
}

inline void twin_sync::offline() noexcept {
  early_.clear();
  state_ = state::offline;
}

inline void twin_sync::twin_asked(ticket where, time_point give_up_at) noexcept {
  state_ = state::asked;
  where_ = where;
  give_up_at_ = give_up_at;
}

inline void twin_sync::on_failure(time_point retry_at) noexcept { want(retry_at); }

inline void twin_sync::on_twin(twin_section&& desired, time_point now) {
  state_ = state::current;
  bool const first = known_ == 0;
  bool const worth =
      first ? !desired.properties.empty() : desired.version != known_ || lost_ || !same_as_known(desired.properties);
  known_ = desired.version;
  if (worth) {
    properties_ = desired.properties.empty() ? json::value{} : desired.properties;
    ready_.clear();  // the whole replaces whatever still waited
    desired_update whole;
    whole.properties = std::move(desired.properties);
    whole.version = desired.version;
    whole.scope = desired_scope::whole;
    ready_.push(std::move(whole));
  }
  lost_ = false;
  deliver_early();
  // A notice that does not follow the twin just read: a hub that goes on so must not keep the device asking.
  if (state_ == state::wanted) retry_at_ = add(now, std::chrono::seconds{1});
}

inline void twin_sync::on_notice(desired_update&& notice) {
  if (state_ == state::offline) return;
  if (state_ == state::current) return deliver(std::move(notice));
  if (early_.size() == most_queued) {
    // The oldest goes; the gap that it leaves is seen when the rest is handed over.
    early_.drop_front();
  }
  early_.push(std::move(notice));
}

inline void twin_sync::deliver_early() {
  while (!early_.empty() && state_ == state::current) {
    if (early_.front().version - 1 > known_) return want(time_point::min());
    deliver(early_.take());
  }
}

inline void twin_sync::deliver(desired_update&& update) {
  if (update.version <= known_) return;
  if (update.version - 1 > known_ || ready_.size() == most_queued) {
    if (ready_.size() == most_queued) {
      ready_.clear();
      lost_ = true;
    }
    early_.push(std::move(update));
    return want(time_point::min());
  }
  known_ = update.version;
  json::merge_patch(properties_, update.properties);
  ready_.push(std::move(update));
}

inline bool twin_sync::next(desired_update& into) {
  if (ready_.empty()) return false;
  into = ready_.take();
  return true;
}

inline time_point twin_sync::deadline() const noexcept {
  if (state_ == state::wanted) return retry_at_;
  if (state_ == state::asked) return give_up_at_;
  return never;
}

}  // namespace v0
}  // namespace iothub
