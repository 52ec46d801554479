// Tracking ids: what an answer of the hub carries so that its operator finds it again. They guard nothing, so
// they come from a small seeded generator and a simulation repeats them.
#pragma once

#include <cstdint>
#include <string>

#include <iothub/base/error.hpp>
#include <iothub/base/hex.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/base/uuid.hpp>
#include <iothub/json/value.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class tracking_ids {
 public:
  explicit tracking_ids(std::uint64_t seed = 1) noexcept : random_{seed} {}
  // 8-4-4-4-12 hexadecimal digits.
  [[nodiscard]] std::string next() {
    char bytes[uuid_bytes];
    random_.fill(bytes);
    return to_uuid({bytes, sizeof bytes});
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

// 03/14/2024 09:54:49
[[nodiscard]] inline std::string us_timestamp(utc_time t) {
  auto const iso = to_iso8601(t, 0);
  return iso.substr(5, 2) + "/" + iso.substr(8, 2) + "/" + iso.substr(0, 4) + " " + iso.substr(11, 8);
}

// The body of a failed twin operation, and what the newer service endpoints put into "Message":
//   {"errorCode":400004,"trackingId":"…-TimeStamp:…","message":"…","timestampUtc":"…"}
[[nodiscard]] inline json::value error_object(error const& why, std::string const& tracking_id, utc_time now) {
  int const code = why.hub_code() != 0 ? why.hub_code() : 500001;
  return {{"errorCode", code},
          {"trackingId", without_dashes(tracking_id) + "-TimeStamp:" + us_timestamp(now)},
          {"message", why.message()},
          {"timestampUtc", to_iso8601(now, 7)}};
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
