// Feedback on its way to back ends: records become batches, a batch goes to one receiver and is kept until it says what
// became of it.
//
// Microsoft docs "Send cloud-to-device messages from an IoT hub", feedback: one message is a JSON array; it is sent when
// 64 records are there or 15 seconds after the last one; the receiver completes it, or it comes again after the lock
// time-out (60 s), at most ten times. Records stay with the core until somebody receives.
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

struct feedback_batch {
  std::uint64_t id = 0;
  std::string body = {};  // JSON
  utc_time made = {};
  std::uint32_t deliveries = 0;
};

// A link that takes batches.
class feedback_receiver {
 public:
  // Sends it, or returns false: not now. The answer goes to feedback_batches::settled().
  virtual bool take(feedback_batch const& what) = 0;
  // Where it does not, a batch is done when it was taken.
  [[nodiscard]] virtual bool answers() const noexcept = 0;

 protected:
  ~feedback_receiver() = default;
};

class feedback_batches {
 public:
  static constexpr std::size_t batch_size = 64;
  static constexpr std::chrono::seconds batch_wait{15};
  static constexpr std::chrono::seconds lock{60};
  static constexpr std::uint32_t max_deliveries = 10;

  explicit feedback_batches(hub_core& core) noexcept : core_{core} {}

  void add(feedback_receiver& who) { receivers_.push_back(&who); }
  // What it had comes back.
  void remove(feedback_receiver& who) noexcept;
  void settled(std::uint64_t id, bool done) noexcept;

  // Sends what can be sent. Call it when a receiver may take more, too.
  void on_time(instant at);
  [[nodiscard]] time_point deadline() const noexcept;

 private:
  struct entry {
    feedback_batch batch = {};
    feedback_receiver* holder = nullptr;
    time_point locked_until = never;
  };
  void collect(instant at);
  void make_batch(instant at);
  bool offer(entry& what, instant at);
  void release(std::size_t index) noexcept;

  hub_core& core_;
  std::vector<feedback_receiver*> receivers_;
  std::vector<feedback_record> records_;  // of the batch that is being made
  std::deque<entry> batches_;
  time_point last_made_ = {};
  bool made_any_ = false;
  std::uint64_t last_id_ = 0;
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

// ---------------------------------------------------------------------------------------------------------------------

inline void feedback_batches::release(std::size_t index) noexcept {
  entry& e = batches_[index];
  e.holder = nullptr;
  e.locked_until = never;
  if (e.batch.deliveries >= max_deliveries) batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(index));
}

inline void feedback_batches::remove(feedback_receiver& who) noexcept {
  for (std::size_t i = receivers_.size(); i-- != 0;)
    if (receivers_[i] == &who) receivers_.erase(receivers_.begin() + static_cast<std::ptrdiff_t>(i));
  for (std::size_t i = batches_.size(); i-- != 0;)
    if (batches_[i].holder == &who) release(i);
}

inline void feedback_batches::settled(std::uint64_t id, bool done) noexcept {
  for (std::size_t i = 0; i != batches_.size(); ++i) {
    if (batches_[i].batch.id != id || batches_[i].holder == nullptr) continue;
    if (done)
      batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(i));
    else
      release(i);
    return;
  }
}

inline bool feedback_batches::offer(entry& what, instant at) {
  for (std::size_t i = 0; i != receivers_.size(); ++i) {
    feedback_receiver* const to = receivers_[i];
    if (!to->take(what.batch)) continue;
    what.holder = to;
    what.locked_until = to->answers() ? iothub::add(at.now, lock) : at.now;
    what.batch.deliveries = to->answers() ? what.batch.deliveries + 1 : max_deliveries;
    receivers_.erase(receivers_.begin() + static_cast<std::ptrdiff_t>(i));  // the next one is another's turn
    receivers_.push_back(to);
    return true;
  }
  return false;
}

inline void feedback_batches::make_batch(instant at) {
  json::value list = json::value::make_array();
  for (feedback_record const& each : records_) list.push_back(to_json(each));
  records_.clear();
  last_made_ = at.now;
  made_any_ = true;
  batches_.push_back({{++last_id_, list.dump(), at.utc, 0}, nullptr, never});
}

inline void feedback_batches::collect(instant at) {
  for (;;) {
    for (feedback_record& each : core_.take_feedback(batch_size - records_.size())) records_.push_back(std::move(each));
    if (records_.empty()) return;
    if (records_.size() != batch_size && made_any_ && at.now < iothub::add(last_made_, batch_wait)) return;
    make_batch(at);
    if (!offer(batches_.back(), at)) return;
  }
}

inline void feedback_batches::on_time(instant at) {
  bool blocked = false;
  for (std::size_t i = batches_.size(); i-- != 0;)
    if (batches_[i].holder != nullptr && batches_[i].locked_until <= at.now) release(i);
  for (entry& each : batches_)
    if (!blocked && each.holder == nullptr) blocked = !offer(each, at);
  if (!blocked && !receivers_.empty()) collect(at);
}

inline time_point feedback_batches::deadline() const noexcept {
  time_point due = never;
  if (!records_.empty() && !receivers_.empty()) due = iothub::add(last_made_, batch_wait);
  for (entry const& each : batches_)
    if (each.holder != nullptr && each.locked_until < due) due = each.locked_until;
  return due;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
