// Feedback and file notifications on their way to back ends: a message goes to one receiver and is kept until that says
// what became of it.
//
// Microsoft docs "Send cloud-to-device messages from an IoT hub", feedback: one message is a JSON array; it is sent
// when 64 records are there or 15 seconds after the last one; the receiver completes it, or it comes again after the
// lock time-out (60 s), at most ten times. "Upload files with IoT Hub": a notification is a message of its own, with
// the same lock and the same bound. Both live for an hour (options::feedback_ttl). Records stay with the core until
// somebody receives.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/iso8601.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/json/value.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

struct service_message {
  std::uint64_t id = 0;
  std::string body = {};  // JSON
  utc_time made = {};
  utc_time ends = utc_time::max();
  std::uint32_t deliveries = 0;
};

// A link that takes them.
class service_receiver {
 public:
  // Sends it, or returns false: not now. The answer goes to service_messages::settled().
  virtual bool take(service_message const& what) = 0;
  // Where it does not, a message is done when it was taken.
  [[nodiscard]] virtual bool answers() const noexcept = 0;

 protected:
  ~service_receiver() = default;
};

// Messages in the order in which they were made, each with one of the receivers or with none.
class service_messages {
 public:
  static constexpr std::chrono::seconds lock{60};
  static constexpr std::uint32_t max_deliveries = 10;

  virtual void on_time(instant at) = 0;
  void add(service_receiver& who) { receivers_.push_back(&who); }
  // What it had comes back.
  void remove(service_receiver& who) noexcept;
  void settled(std::uint64_t id, bool done) noexcept;

 protected:
  service_messages() = default;
  ~service_messages() = default;

  [[nodiscard]] bool has_receivers() const noexcept { return !receivers_.empty(); }
  // Gives what waits to those who take it; false: nobody takes more.
  bool offer_all(instant at);
  // Adds one, and the same for it.
  bool make(std::string body, utc_time ends, instant at);
  [[nodiscard]] time_point locked_until() const noexcept;
  // One has no receiver; it is offered again when one may take more, so no clock helps.
  [[nodiscard]] bool one_waits() const noexcept;

 private:
  struct entry {
    service_message message = {};
    service_receiver* holder = nullptr;
    time_point locked_until = never;
  };
  bool offer(entry& what, instant at);
  void release(std::size_t index) noexcept;

  std::vector<service_receiver*> receivers_;
  std::deque<entry> entries_;
  std::uint64_t last_id_ = 0;
};

class feedback_batches final : public service_messages {
 public:
  static constexpr std::size_t batch_size = 64;
  static constexpr std::chrono::seconds batch_wait{15};

  explicit feedback_batches(hub_core& core) noexcept : core_{core} {}

  // Sends what can be sent. Call it when a receiver may take more, too.
  inline void on_time(instant at) override;
  [[nodiscard]] time_point deadline() const noexcept;

 private:
  void collect(instant at);

  hub_core& core_;
  std::vector<feedback_record> records_;  // of the batch that is being made
  time_point last_made_ = {};
  bool made_any_ = false;
};

class file_notifications final : public service_messages {
 public:
  explicit file_notifications(hub_core& core) noexcept : core_{core} {}

  inline void on_time(instant at) override;
  [[nodiscard]] time_point deadline() const noexcept { return locked_until(); }

 private:
  hub_core& core_;
};

// The record as Microsoft's documentation prints it. azure-iot-sdk-c reads the status from `description`.
[[nodiscard]] inline json::value to_json(feedback_record const& record) {
  std::string_view const status = to_string(record.status);
  return {{"originalMessageId", record.original_message_id},
          {"description", status},
          {"deviceGenerationId", record.device_generation_id},
          {"deviceId", record.device_id},
          {"enqueuedTimeUtc", to_iso8601(record.enqueued_time, 7)},
          {"statusCode", status}};
}

// The notification as Microsoft's documentation prints it.
[[nodiscard]] inline json::value to_json(file_notification const& file) {
  std::string updated = to_iso8601(file.last_updated, 0);
  if (updated.ends_with('Z')) updated.replace(updated.size() - 1, 1, "+00:00");
  return {{"deviceId", file.device_id},
          {"blobUri", file.blob_uri},
          {"blobName", file.blob_name},
          {"lastUpdatedTime", updated},
          {"blobSizeInBytes", static_cast<std::int64_t>(file.blob_size)},
          {"enqueuedTimeUtc", to_iso8601(file.enqueued_time, 7)}};
}

// ---------------------------------------------------------------------------------------------------------------------

inline void service_messages::release(std::size_t index) noexcept {
  entry& e = entries_[index];
  e.holder = nullptr;
  e.locked_until = never;
  if (e.message.deliveries >= max_deliveries) entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index));
}

inline void service_messages::remove(service_receiver& who) noexcept {
  for (std::size_t i = receivers_.size(); i-- != 0;)
    if (receivers_[i] == &who) receivers_.erase(receivers_.begin() + static_cast<std::ptrdiff_t>(i));
  for (std::size_t i = entries_.size(); i-- != 0;)
    if (entries_[i].holder == &who) release(i);
}

inline void service_messages::settled(std::uint64_t id, bool done) noexcept {
  for (std::size_t i = 0; i != entries_.size(); ++i) {
    if (entries_[i].message.id != id || entries_[i].holder == nullptr) continue;
    if (done)
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
    else
      release(i);
    return;
  }
}

inline bool service_messages::offer(entry& what, instant at) {
  for (std::size_t i = 0; i != receivers_.size(); ++i) {
    service_receiver* const to = receivers_[i];
    if (!to->take(what.message)) continue;
    what.holder = to;
    what.locked_until = to->answers() ? iothub::add(at.now, lock) : at.now;
    what.message.deliveries = to->answers() ? what.message.deliveries + 1 : max_deliveries;
    receivers_.erase(receivers_.begin() + static_cast<std::ptrdiff_t>(i));  // the next one is another's turn
    receivers_.push_back(to);
    return true;
  }
  return false;
}

inline bool service_messages::offer_all(instant at) {
  for (std::size_t i = entries_.size(); i-- != 0;)
    if (entries_[i].holder != nullptr && entries_[i].locked_until <= at.now) release(i);
  for (std::size_t i = entries_.size(); i-- != 0;)
    if (entries_[i].holder == nullptr && entries_[i].message.ends <= at.utc)
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
  for (entry& each : entries_)
    if (each.holder == nullptr && !offer(each, at)) return false;
  return true;
}

inline bool service_messages::make(std::string body, utc_time ends, instant at) {
  entries_.push_back({{++last_id_, std::move(body), at.utc, ends, 0}, nullptr, never});
  return offer(entries_.back(), at);
}

inline time_point service_messages::locked_until() const noexcept {
  time_point due = never;
  for (entry const& each : entries_)
    if (each.holder != nullptr && each.locked_until < due) due = each.locked_until;
  return due;
}

inline bool service_messages::one_waits() const noexcept {
  for (entry const& each : entries_)
    if (each.holder == nullptr) return true;
  return false;
}

inline void feedback_batches::collect(instant at) {
  auto const ttl = core_.options().feedback_ttl;
  for (;;) {
    for (feedback_record& each : core_.take_feedback(batch_size - records_.size()))
      if (each.enqueued_time + ttl > at.utc) records_.push_back(std::move(each));
    if (records_.empty()) return;
    if (records_.size() != batch_size && made_any_ && at.now < iothub::add(last_made_, batch_wait)) return;
    json::value list = json::value::make_array();
    for (feedback_record const& each : records_) list.push_back(to_json(each));
    utc_time const ends = records_.front().enqueued_time + ttl;
    records_.clear();
    last_made_ = at.now;
    made_any_ = true;
    if (!make(list.dump(), ends, at)) return;
  }
}

inline void feedback_batches::on_time(instant at) {
  if (offer_all(at) && has_receivers()) collect(at);
}

inline time_point feedback_batches::deadline() const noexcept {
  bool const can_go = !records_.empty() && has_receivers() && !one_waits();
  time_point const batch = can_go ? iothub::add(last_made_, batch_wait) : never;
  time_point const lock_end = locked_until();
  return batch < lock_end ? batch : lock_end;
}

inline void file_notifications::on_time(instant at) {
  if (!offer_all(at) || !has_receivers()) return;
  auto const ttl = core_.options().feedback_ttl;
  for (;;) {
    auto const next = core_.take_file_notifications(1);
    if (next.empty()) return;
    if (next[0].enqueued_time + ttl <= at.utc) continue;
    if (!make(to_json(next[0]).dump(), next[0].enqueued_time + ttl, at)) return;
  }
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
