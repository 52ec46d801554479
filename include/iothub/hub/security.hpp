// The hub's view of cryptography: a run-time interface, so that the hub core is no template, and a model of it over any
// crypto policy.
#pragma once

#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/crypto/crypto.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// A keyed HMAC-SHA-256 state, prepared once per key and kept by the hub beside the identity.
class prepared_key {
 public:
  virtual ~prepared_key() = default;
  [[nodiscard]] virtual result<digest256> sign(std::string_view text) = 0;
};

class security {
 public:
  [[nodiscard]] virtual result<std::unique_ptr<prepared_key>> prepare(std::string_view key_bytes) = 0;
  [[nodiscard]] virtual result<void> fill_random(byte_span into) = 0;

 protected:
  ~security() = default;
};

// Crypto may be a value or a reference (`policy_security<seeded_crypto&>`). Prepared keys refer to the policy inside,
// so this must outlive the hub.
template <class Crypto>
  requires crypto<std::remove_reference_t<Crypto>>
class policy_security final : public security {
 public:
  policy_security() = default;
  explicit policy_security(Crypto policy) : policy_{std::forward<Crypto>(policy)} {}

  result<std::unique_ptr<prepared_key>> prepare(std::string_view key_bytes) override {
    auto key = policy_.prepare(key_bytes);
    if (!key) return std::move(key).error();
    return std::unique_ptr<prepared_key>{new keyed{policy_, std::move(*key)}};
  }
  result<void> fill_random(byte_span into) override { return policy_.fill_random(into); }

 private:
  using policy_type = std::remove_reference_t<Crypto>;
  class keyed final : public prepared_key {
   public:
    keyed(policy_type& policy, typename policy_type::signing_key&& key) : policy_{policy}, key_{std::move(key)} {}
    result<digest256> sign(std::string_view text) override { return policy_.sign(key_, text); }

   private:
    policy_type& policy_;
    typename policy_type::signing_key key_;
  };

  Crypto policy_;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
