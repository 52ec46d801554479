// Tokens of a back end in both of their forms, from one policy and its key.
//
//   IoT Hub     sr=host, HMAC key: the bytes that the base64 text stands for
//   Event Hubs  sr=sb://host/entity, HMAC key: the text itself (Microsoft docs "Authenticate access to Event Hubs with
//               shared access signatures"; @azure/core-amqp and azure-eventhub compute it so)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/base64.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/base/time.hpp>
#include <iothub/wire/sas_token.hpp>

namespace iothub {
inline namespace v0 {

enum class sas_form : std::uint8_t { iot_hub, event_hubs };

// Crypto may be a reference.
template <class Crypto>
class sas_passes {
 public:
  // Either a policy and its key (base64 text), or a token that somebody else made, which is shown as it is.
  // errc::malformed when the key is not base64 (IoT Hub); what the crypto policy says of it.
  static result<sas_passes> make(Crypto crypto, std::string_view policy, secret const& key, secret const& ready_made) {
    sas_passes made{std::forward<Crypto>(crypto), policy, ready_made.clone()};
    if (!ready_made.empty()) return made;
    auto text = made.crypto_.prepare(key.reveal());
    if (!text) return std::move(text).error();
    made.keys_[static_cast<std::size_t>(sas_form::event_hubs)].emplace(*std::move(text));
    auto bytes = from_base64(key.reveal());
    if (!bytes || bytes->empty()) return error{errc::malformed, "the shared access key is not base64"};
    auto prepared = made.crypto_.prepare(*bytes);
    wipe(*bytes);
    if (!prepared) return std::move(prepared).error();
    made.keys_[static_cast<std::size_t>(sas_form::iot_hub)].emplace(*std::move(prepared));
    return made;
  }

  // Whether tokens of either form can be made here.
  [[nodiscard]] bool has_key() const noexcept { return ready_made_.empty(); }
  // `resource` is not encoded.
  result<std::string> token(sas_form form, std::string_view resource, utc_time now, std::chrono::seconds lifetime) {
    if (!has_key()) return std::string{ready_made_.reveal()};
    std::string encoded;
    append_percent(encoded, resource);
    sas_template shape{encoded, policy_};
    std::int64_t const expiry = unix_seconds(now) + lifetime.count();
    auto const signature = crypto_.sign(*keys_[static_cast<std::size_t>(form)], shape.string_to_sign(expiry));
    if (!signature) return signature.error();
    std::string text;
    shape.append(text, *signature, expiry);
    return text;
  }
  [[nodiscard]] std::remove_reference_t<Crypto>& crypto() noexcept { return crypto_; }

 private:
  using signing_key = typename std::remove_reference_t<Crypto>::signing_key;
  sas_passes(Crypto crypto, std::string_view policy, secret ready_made)
      : crypto_{std::forward<Crypto>(crypto)}, policy_{policy}, ready_made_{std::move(ready_made)} {}

  Crypto crypto_;
  std::string policy_;
  secret ready_made_;
  std::optional<signing_key> keys_[2];
};

}  // namespace v0
}  // namespace iothub
