// A GoogleMock matcher for shared access signatures, for tests of who makes them.
//
//   EXPECT_THAT(token, SasIs(sas_state::valid, {.key = key, .resource = "hub.azure-devices.net/devices/pump"}));
#pragma once

#include <gmock/gmock.h>

#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>

#include <iothub/base/base64.hpp>
#include <iothub/base/time.hpp>
#include <iothub/crypto/seeded.hpp>
#include <iothub/wire/sas_token.hpp>

namespace iothub {
inline namespace v0 {
namespace testing {

enum class sas_state { valid, malformed, wrong_resource, wrong_key, expired };
[[nodiscard]] constexpr std::string_view to_string(sas_state s) noexcept {
  constexpr std::string_view names[] = {"valid", "malformed", "for another resource", "signed with another key",
                                        "expired"};
  return names[static_cast<std::size_t>(s)];
}
inline void PrintTo(sas_state s, std::ostream* out) {
  *out << to_string(s);
}
struct sas_check {
  std::string key = {};       // in base64, as connection strings have it
  std::string resource = {};  // what the token has to open, not encoded: host/devices/id
  utc_time now = from_unix_seconds(1'704'067'200);  // where virtual time begins
};

// What a token is worth. Of several things that are wrong the first in the order of sas_state.
[[nodiscard]] inline sas_state judge_sas(std::string_view token, sas_check const& how) {
  auto const parsed = parse_sas_token(token);
  if (!parsed) return sas_state::malformed;
  if (!sas_resource_covers(parsed->resource, how.resource)) return sas_state::wrong_resource;
  seeded_crypto crypto;
  auto const raw = from_base64(how.key);
  auto key = crypto.prepare(raw ? *raw : std::string{});
  if (!raw || !key || !verify_sas_signature(*parsed, crypto, *key).value_or(false)) return sas_state::wrong_key;
  return sas_expired(parsed->expiry, how.now) ? sas_state::expired : sas_state::valid;
}

namespace detail {
MATCHER_P2(sas_is, wanted, how,
           std::string{"is a token that is "} + (negation ? "not " : "") + std::string{to_string(wanted)}) {
  sas_state const there = judge_sas(arg, how);
  *result_listener << "which is " << to_string(there);
  return there == wanted;
}
}  // namespace detail
[[nodiscard]] inline auto SasIs(sas_state wanted, sas_check const& how) {
  return detail::sas_is(wanted, how);
}

}  // namespace testing
}  // namespace v0
}  // namespace iothub
