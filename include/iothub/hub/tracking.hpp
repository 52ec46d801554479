// Tracking ids: what an answer of the hub carries so that its operator finds it again. They guard nothing, so they come
// from a small seeded generator, and a simulation repeats them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/error.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/base/uuid.hpp>
#include <iothub/wire/status_map.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// 8-4-4-4-12 hexadecimal digits.
class tracking_id {
 public:
  tracking_id() noexcept = default;
  explicit tracking_id(byte_view random) noexcept { write_uuid(text_, random); }
  [[nodiscard]] std::string_view view() const noexcept { return {text_, uuid_size}; }
  operator std::string_view() const noexcept { return view(); }  // NOLINT

 private:
  char text_[uuid_size] = {};
};

class tracking_ids {
 public:
  explicit tracking_ids(std::uint64_t seed = 1) noexcept : random_{seed} {}
  [[nodiscard]] tracking_id next() {
    char bytes[uuid_bytes];
    random_.fill(bytes);
    return tracking_id{{bytes, sizeof bytes}};
  }

 private:
  prng random_;
};

[[nodiscard]] inline std::string without_dashes(std::string_view uuid) {
  std::string text;
  for (char c : uuid)
    if (c != '-') text += c;
  return text;
}

// The core's error as the hub says it to the outside. One without a six-digit code gets the usual one of its kind.
[[nodiscard]] inline hub_error outward(error const& why, std::string_view request_id, utc_time now) {
  int const code = why.hub_code() != 0 ? why.hub_code() : hub_code_of(why.code());
  return {.code = code != 0 ? code : 500001,
          .message = std::string{why.message()},
          .tracking_id = without_dashes(request_id),
          .time = now};
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
