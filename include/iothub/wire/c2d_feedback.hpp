// What became of cloud-to-device messages, and which files devices have uploaded: what a back end is told.
//
// Source: Microsoft docs "Send cloud-to-device messages from an IoT hub", feedback, and "Upload files with IoT Hub",
// notifications: each message's body is JSON, of feedback an array of up to 64 records.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/result.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

enum class delivery_status : std::uint8_t {
  success,                  // the device completed it
  expired,                  // its time was over before
  delivery_count_exceeded,  // abandoned too often
  rejected,                 // the device rejected it
  purged,                   // somebody emptied the device's queue
  unknown,                  // a word that this library does not know: delivery_feedback::description has it
};
[[nodiscard]] constexpr std::string_view to_string(delivery_status s) noexcept;

struct delivery_feedback {
  std::string original_message_id = {};
  std::string device_id = {};
  std::string device_generation_id = {};
  delivery_status status = delivery_status::unknown;
  std::string description = {};
  utc_time enqueued_time = no_time;  // when it became so
  friend bool operator==(delivery_feedback const&, delivery_feedback const&) = default;
};

// Names a batch or notification until it is completed or abandoned.
struct back_end_lock {
  std::uint64_t connection = 0;
  std::uint32_t delivery = 0;
  friend bool operator==(back_end_lock, back_end_lock) = default;
};

struct feedback_batch {
  std::vector<delivery_feedback> records = {};
  utc_time enqueued_time = no_time;
  back_end_lock lock = {};
};

struct file_notification {
  std::string device_id = {};
  std::string blob_uri = {};
  std::string blob_name = {};
  std::int64_t blob_size = 0;
  utc_time last_updated_time = no_time;
  utc_time enqueued_time = no_time;
  back_end_lock lock = {};
};

// errc::malformed when the text is no array of records.
[[nodiscard]] inline result<std::vector<delivery_feedback>> parse_feedback(std::string_view text);
// errc::malformed when the text is no JSON object.
[[nodiscard]] inline result<file_notification> parse_file_notification(std::string_view text);

// ---------------------------------------------------------------------------------------------------------------------

constexpr std::string_view to_string(delivery_status s) noexcept {
  switch (s) {
    case delivery_status::success: return "Success";
    case delivery_status::expired: return "Expired";
    case delivery_status::delivery_count_exceeded: return "DeliveryCountExceeded";
    case delivery_status::rejected: return "Rejected";
    case delivery_status::purged: return "Purged";
    case delivery_status::unknown: break;
  }
  return "Unknown";
}

namespace detail {

inline std::string text_member(json::value const& object, std::string_view name) {
  auto const* const found = object.find(name);
  return found != nullptr ? std::string{found->as_string().value_or("")} : std::string{};
}
inline utc_time time_member(json::value const& object, std::string_view name) {
  auto const when = parse_iso8601(text_member(object, name));
  return when ? *when : no_time;
}

}  // namespace detail

inline result<std::vector<delivery_feedback>> parse_feedback(std::string_view text) {
  auto const document = json::parse(text);
  if (!document || !document->is_array()) return error{errc::malformed, "the feedback is no JSON array"};
  std::vector<delivery_feedback> all;
  for (json::value const& each : document->elements()) {
    delivery_feedback made;
    made.original_message_id = detail::text_member(each, "originalMessageId");
    made.device_id = detail::text_member(each, "deviceId");
    made.device_generation_id = detail::text_member(each, "deviceGenerationId");
    made.description = detail::text_member(each, "description");
    made.enqueued_time = detail::time_member(each, "enqueuedTimeUtc");
    std::string word = detail::text_member(each, "statusCode");
    if (word.empty()) word = made.description;  // as azure-iot-sdk-c
    for (auto const s : {delivery_status::success, delivery_status::expired, delivery_status::delivery_count_exceeded,
                         delivery_status::rejected, delivery_status::purged})
      if (iequals(to_string(s), word)) made.status = s;
    all.push_back(std::move(made));
  }
  return all;
}

inline result<file_notification> parse_file_notification(std::string_view text) {
  auto const document = json::parse(text);
  if (!document || !document->is_object()) return error{errc::malformed, "the file notification is no JSON object"};
  file_notification made;
  made.device_id = detail::text_member(*document, "deviceId");
  made.blob_uri = detail::text_member(*document, "blobUri");
  made.blob_name = detail::text_member(*document, "blobName");
  made.last_updated_time = detail::time_member(*document, "lastUpdatedTime");
  made.enqueued_time = detail::time_member(*document, "enqueuedTimeUtc");
  if (auto const* const size = document->find("blobSizeInBytes")) made.blob_size = size->as_int().value_or(0);
  return made;
}

}  // namespace v0
}  // namespace iothub
