// What a dialect tells the device core, as values: the same for every protocol.
#pragma once

#include <cstdint>
#include <string_view>

#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// What a device must ask the hub for before it gets any of it.
enum class feature : std::uint8_t {
  methods = 1,             // direct methods are delivered
  twin = 2,                // answers to get_twin and patch_reported
  desired_properties = 4,  // notices of changes of the desired properties
  messages = 8,            // cloud-to-device messages
};

class feature_set {
 public:
  constexpr feature_set() noexcept = default;
  constexpr feature_set(feature f) noexcept : bits_{static_cast<std::uint8_t>(f)} {}  // NOLINT: one is a set
  [[nodiscard]] constexpr bool has(feature f) const noexcept { return (bits_ & static_cast<std::uint8_t>(f)) != 0; }
  [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
  friend constexpr feature_set operator|(feature_set a, feature_set b) noexcept {
    return feature_set{static_cast<std::uint8_t>(a.bits_ | b.bits_)};
  }
  friend constexpr feature_set operator-(feature_set a, feature_set b) noexcept {
    return feature_set{static_cast<std::uint8_t>(a.bits_ & ~b.bits_)};
  }
  friend constexpr bool operator==(feature_set, feature_set) = default;

 private:
  explicit constexpr feature_set(std::uint8_t bits) noexcept : bits_{bits} {}
  std::uint8_t bits_ = 0;
};
constexpr feature_set operator|(feature a, feature b) noexcept { return feature_set{a} | feature_set{b}; }

enum class device_event_kind : std::uint8_t {
  none,
  ready,              // the hub accepted the connection
  closed,             // the connection, or the attempt, ended unasked; `outcome` says why
  features_ready,     // `features` are delivered from now on; or `outcome` says why they are not
  telemetry_settled,  // `ticket`; `outcome`
  twin_received,      // `ticket`; `outcome`, and `payload`: {"desired":{…},"reported":{…}}
  patch_settled,      // `ticket`; `outcome`, and `version` of the reported properties
  desired_changed,    // `payload`: the patch as JSON; `version`, 0 where the protocol did not say
  method_called,      // `name`, `rid`, `payload`
  message_received,   // `message`; `ticket` settles it
  token_renewed,      // the answer to renew(): `outcome`
};

// Names what an answer belongs to, chosen by the dialect. Never 0; unique among what is pending.
using ticket = std::uint32_t;

// The views hold until the next call of any member of the dialect.
struct device_event {
  device_event_kind kind = device_event_kind::none;
  bool session_present = false;
  feature_set features = {};
  iothub::ticket ticket = 0;
  std::int64_t version = 0;
  std::string_view name = {};
  std::string_view rid = {};
  std::string_view payload = {};
  owned<c2d_message> message = {};
  result<void> outcome = {};
};

}  // namespace v0
}  // namespace iothub
