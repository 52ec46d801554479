// Mints SAS tokens and says when the next one is due. Usable alone, with any clock and any crypto:
//
//   auto signer = iothub::basic_sas_signer<my_clock&, iothub::openssl_crypto>::make(
//       clock, {}, iothub::secret{key}, {.host_name = "h.azure-devices.net", .device_id = "d1"}).value();
//   std::string token = signer.token().value();
//
// Whether a token is still good is judged by the clock's utc_now(): a device whose clock is wrong makes tokens that the
// hub refuses, and cannot know it.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/base64.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/base/time.hpp>
#include <iothub/crypto/crypto.hpp>
#include <iothub/policy/clock.hpp>
#include <iothub/wire/sas_token.hpp>

namespace iothub {
inline namespace v0 {

struct sas_options {
  std::string host_name = {};  // the hub, also when a gateway stands before it
  std::string device_id = {};  // empty: the whole hub, with a policy
  std::string module_id = {};
  std::string policy = {};  // the name of the key; empty for an identity's own
  // How long a token is good. The official SDKs take an hour.
  std::chrono::seconds lifetime{3600};
  // How long before its end the next one is due; less than the lifetime. Zero stands for a fifth of it, as in
  // azure-iot-sdk-c.
  std::chrono::seconds margin{0};
};

// `Clock` and `Crypto` are values or references.
template <class Clock, class Crypto>
requires clock<std::remove_reference_t<Clock>> && crypto<std::remove_reference_t<Crypto>>
class basic_sas_signer {
 public:
  using signing_key = typename std::remove_reference_t<Crypto>::signing_key;

  // errc::malformed when the key is not base64; errc::invalid_argument for a lifetime below a second, a margin that is
  // not below it, or no host name; else what the crypto policy says of the key.
  [[nodiscard]] static result<basic_sas_signer> make(Clock clock, Crypto crypto, secret const& key,
                                                     sas_options options);

  // A new token, good from now for the lifetime. Allocates the string and nothing else.
  [[nodiscard]] result<std::string> token() {
    std::string text;
    if (auto made = append_token(text); !made) return std::move(made).error();
    return text;
  }
  // The same behind `out`; no allocation when it has room for token_size().
  [[nodiscard]] result<void> append_token(std::string& out);
  [[nodiscard]] std::size_t token_size() const noexcept { return shape_.size(); }

  // When the token that was made last ends, and when the next one should be made; the beginning of time before the
  // first.
  [[nodiscard]] utc_time expires_at() const noexcept { return from_unix_seconds(expiry_); }
  [[nodiscard]] utc_time renew_at() const noexcept { return from_unix_seconds(expiry_ - margin_.count()); }
  [[nodiscard]] bool renewal_due() const { return clock_.utc_now() >= renew_at(); }

 private:
  basic_sas_signer(Clock clock, Crypto crypto, signing_key key, sas_template shape, sas_options const& options)
      : clock_{std::forward<Clock>(clock)},
        crypto_{std::forward<Crypto>(crypto)},
        key_{std::move(key)},
        shape_{std::move(shape)},
        lifetime_{options.lifetime},
        margin_{options.margin.count() == 0 ? options.lifetime / 5 : options.margin} {}

  Clock clock_;
  Crypto crypto_;
  signing_key key_;
  sas_template shape_;
  std::chrono::seconds lifetime_;
  std::chrono::seconds margin_;
  std::int64_t expiry_ = -62'135'596'800;  // 0001-01-01
};

// ---------------------------------------------------------------------------------------------------------------------

template <class Clock, class Crypto>
requires clock<std::remove_reference_t<Clock>> && crypto<std::remove_reference_t<Crypto>>
    result<basic_sas_signer<Clock, Crypto>> basic_sas_signer<Clock, Crypto>::make(Clock clock, Crypto crypto,
                                                                                  secret const& key,
                                                                                  sas_options options) {
  if (options.host_name.empty()) return error{errc::invalid_argument, "SAS signer: there is no host name"};
  if (options.lifetime.count() < 1) return error{errc::invalid_argument, "SAS signer: a lifetime below one second"};
  if (options.margin.count() < 0 || options.margin >= options.lifetime)
    return error{errc::invalid_argument, "SAS signer: the margin is not below the lifetime"};
  auto bytes = from_base64(key.reveal());
  if (!bytes || bytes->empty()) return error{errc::malformed, "SAS signer: the key is not base64"};
  auto prepared = crypto.prepare(*bytes);
  wipe(*bytes);
  if (!prepared) return std::move(prepared).error();
  sas_template shape{sas_resource(options.host_name, options.device_id, options.module_id), options.policy};
  return basic_sas_signer{std::forward<Clock>(clock), std::forward<Crypto>(crypto), *std::move(prepared),
                          std::move(shape), options};
}

template <class Clock, class Crypto>
requires clock<std::remove_reference_t<Clock>> && crypto<std::remove_reference_t<Crypto>> result<void>
basic_sas_signer<Clock, Crypto>::append_token(std::string& out) {
  std::int64_t const expiry = unix_seconds(clock_.utc_now()) + lifetime_.count();
  auto const signature = crypto_.sign(key_, shape_.string_to_sign(expiry));
  if (!signature) return signature.error();
  shape_.append(out, *signature, expiry);
  expiry_ = expiry;
  return {};
}

}  // namespace v0
}  // namespace iothub
