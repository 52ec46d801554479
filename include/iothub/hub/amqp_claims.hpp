// What an AMQP connection may do: the tokens that it showed, by SASL PLAIN or on $cbs.
//
// Three kinds of proof, and how each is checked:
//   an identity's own SAS   sr=host/devices/D[/modules/M], the key as bytes        hub_core::authorize_device
//   a policy's SAS          sr=host[/...], skn, the key as bytes                   hub_core::authorize_service
//   an Event Hubs SAS       sr=sb://host/entity[/...], skn; the HMAC key is the TEXT of the key, not its bytes
//                           (Microsoft docs "Authenticate access to Event Hubs with shared access signatures";
//                           @azure/core-amqp and azure-eventhub compute it so); the bytes are taken too
// or, for Event Hubs over SASL PLAIN, a policy's name and the text of its key.
//
// A token is checked when it comes, so that its sender is told, and again when a link is attached, for what that link
// does: what it opens is written in the token, the audience that came beside it only says which older one it replaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/hub/amqp_address.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/hub/security.hpp>
#include <iothub/wire/sas_token.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// The policies' keys in the form in which Event Hubs clients use them; one for all connections.
class amqp_policy_keys {
 public:
  // Both must outlive it.
  amqp_policy_keys(hub_core& core, security& keys) noexcept : core_{core}, keys_{keys} {}

  // The policy that signed; errc::unauthorized (401002).
  result<access_policy const*> signer_of(sas_token_view const& token, instant at);
  // The policy of that name, when `key` is the text of one of its keys.
  result<access_policy const*> holder_of(std::string_view name, std::string_view key) const;

 private:
  struct slots {
    access_policy const* policy;
    std::unique_ptr<prepared_key> keys[4];  // text and bytes of both
  };
  result<slots*> of(access_policy const& policy);

  hub_core& core_;
  security& keys_;
  std::vector<slots> prepared_;
};

class amqp_claims {
 public:
  // No client needs more on one connection: Event Hubs clients put one for each partition that they read.
  static constexpr std::size_t max_claims = 256;

  amqp_claims(hub_core& core, amqp_policy_keys& keys) noexcept : core_{core}, keys_{keys} {}

  [[nodiscard]] bool empty() const noexcept { return claims_.empty(); }
  // A SAS token in any of the forms; errc::unauthorized (401002, 401003), device_not_found (404001), …,
  // quota_exceeded (403005: too many on one connection). What it replaces has the same audience.
  result<void> add(std::string_view audience, std::string_view token, instant at);
  // SASL PLAIN with an identity or policy and a token (Microsoft docs, "Communicate ... by using the AMQP protocol"):
  // "policy@sas.root.hub", "device@sas.hub"; or the way of Event Hubs, a policy and its key.
  result<void> add_login(std::string_view user, std::string_view password, instant at);

  // May the connection act as this identity?
  result<grant> device(device_key const& who, instant at);
  // May it do this? `path` as in hub_core::authorize_service.
  result<void> service(operation what, std::string_view path, instant at);
  // May it read that path of the event endpoint ("entity/ConsumerGroups/...")?
  result<void> events(std::string_view path, instant at);

  // Forgets what ended; true when something did.
  bool expire(instant at);
  [[nodiscard]] time_point deadline() const noexcept { return deadline_; }

 private:
  enum class proof : std::uint8_t { device, policy, events };
  struct claim {
    proof kind = proof::device;
    device_key who = {};                    // device: whom the token names
    std::string audience = {};
    secret token = {};                      // of a device or policy
    access_policy const* policy = nullptr;  // events
    std::string path = {};                  // events: what the token opens; empty: all
    time_point ends = never;
  };

  result<void> check_events(sas_token_view const& token, std::string resource, claim& made, instant at);
  result<grant> check(sas_token_view const& token, std::string_view text, claim& made, instant at);
  result<void> keep(claim made, std::string_view audience, std::string_view token);
  [[nodiscard]] time_point end_of(utc_time expires_at, instant at) const noexcept;
  void set_deadline() noexcept;

  hub_core& core_;
  amqp_policy_keys& keys_;
  std::vector<claim> claims_;
  time_point deadline_ = never;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline error no_claim(int hub_code) {
  return refuse(errc::unauthorized, hub_code, "no token was shown on this connection that allows it");
}

// Is `path` below `prefix` by whole segments? The entity and the fixed words have no case.
constexpr bool path_covers(std::string_view prefix, std::string_view path) noexcept {
  return istarts_with(path, prefix) &&
         (prefix.empty() || path.size() == prefix.size() || path[prefix.size()] == '/');
}

// The identity that a resource names, "host/devices/D[/modules/M]"; empty where it names none.
inline device_key identity_in(std::string_view resource) {
  auto const plain = percent_decode(resource);
  if (!plain) return {};
  std::size_t const slash = plain->find('/');
  address_segments const s{slash == std::string::npos ? std::string_view{}
                                                      : std::string_view{*plain}.substr(slash + 1)};
  if (s.count < 2 || !iequals(s.at[0], "devices")) return {};
  bool const module = s.count >= 4 && s.count <= 8 && iequals(s.at[2], "modules");
  // Some encode an id before they encode the whole.
  return {decoded_id(s.at[1]), module ? decoded_id(s.at[3]) : std::string{}};
}

}  // namespace detail

inline result<amqp_policy_keys::slots*> amqp_policy_keys::of(access_policy const& policy) {
  for (auto& each : prepared_)
    if (each.policy == &policy) return &each;
  slots made{&policy, {}};
  std::string_view const texts[2] = {policy.primary_key, policy.secondary_key};
  for (std::size_t i = 0; i != 2; ++i) {
    if (texts[i].empty()) continue;
    auto as_text = keys_.prepare(texts[i]);
    if (!as_text) return std::move(as_text).error();
    made.keys[i] = std::move(*as_text);
    auto bytes = from_base64(texts[i]);
    if (!bytes || bytes->empty()) continue;
    auto as_bytes = keys_.prepare(*bytes);
    wipe(*bytes);
    if (!as_bytes) return std::move(as_bytes).error();
    made.keys[2 + i] = std::move(*as_bytes);
  }
  prepared_.push_back(std::move(made));
  return &prepared_.back();
}

inline result<access_policy const*> amqp_policy_keys::signer_of(sas_token_view const& token, instant at) {
  auto const refused = [](std::string why) { return hub::refuse(errc::unauthorized, 401002, std::move(why)); };
  auto const name = percent_decode(token.policy);
  access_policy const* const policy = name ? core_.find_policy(*name) : nullptr;
  if (policy == nullptr) return refused("unknown policy");
  auto prepared = of(*policy);
  if (!prepared) return std::move(prepared).error();
  std::string text{token.resource};
  text.append("\n").append(token.expiry_text);
  std::string_view const wanted{reinterpret_cast<char const*>(token.signature.data()), token.signature.size()};
  for (auto const& key : (*prepared)->keys) {
    if (!key) continue;
    auto const made = key->sign(text);
    if (!made) return made.error();
    if (!equal_constant_time({reinterpret_cast<char const*>(made->data()), made->size()}, wanted)) continue;
    if (!sas_expired(token.expiry, at.utc, core_.options().token_skew)) return policy;
    return refused("token expired by " + std::to_string(unix_seconds(at.utc) - token.expiry) + " s");
  }
  return refused("wrong key: the signature is of neither key");
}

inline result<access_policy const*> amqp_policy_keys::holder_of(std::string_view name, std::string_view key) const {
  access_policy const* const policy = core_.find_policy(name);
  if (policy != nullptr && !key.empty() &&
      (equal_constant_time(policy->primary_key, key) || equal_constant_time(policy->secondary_key, key)))
    return policy;
  return refuse(errc::unauthorized, 401002, "unknown policy or wrong key");
}

inline time_point amqp_claims::end_of(utc_time expires_at, instant at) const noexcept {
  auto const grace = core_.options().token_grace;
  if (expires_at >= utc_time::max() - grace) return never;
  utc_time const end = expires_at + grace;
  return iothub::add(at.now, end > at.utc ? end - at.utc : duration{});
}

inline void amqp_claims::set_deadline() noexcept {
  deadline_ = never;
  for (claim const& each : claims_)
    if (each.ends < deadline_) deadline_ = each.ends;
}

inline result<void> amqp_claims::keep(claim made, std::string_view audience, std::string_view token) {
  made.audience = audience;
  if (made.kind != proof::events) made.token = secret{token};
  for (claim& each : claims_) {
    if (each.audience != audience) continue;
    each = std::move(made);
    set_deadline();
    return {};
  }
  if (claims_.size() >= max_claims) return refuse(errc::quota_exceeded, 403005, "too many tokens on one connection");
  claims_.push_back(std::move(made));
  set_deadline();
  return {};
}

inline result<void> amqp_claims::check_events(sas_token_view const& token, std::string resource, claim& made,
                                              instant at) {
  if (!core_.is_host(host_of_address(resource)))
    return refuse(errc::unauthorized, 401002, "token is for another hub");
  auto signer = keys_.signer_of(token, at);
  if (!signer) return std::move(signer).error();
  made.kind = proof::events;
  made.policy = *signer;
  made.path = path_of_address(resource);
  made.ends = end_of(from_unix_seconds(token.expiry), at);
  return {};
}

inline result<grant> amqp_claims::check(sas_token_view const& token, std::string_view text, claim& made, instant at) {
  device_key const who = detail::identity_in(token.resource);
  if (token.policy.empty() || !who.device_id.empty()) {
    if (who.device_id.empty()) return refuse(errc::unauthorized, 401003, "token names neither policy nor identity");
    made.kind = proof::device;
    made.who = who;
    return core_.authorize_device(who, text, at);
  }
  made.kind = proof::policy;
  auto const plain = percent_decode(token.resource);
  return core_.authorize_service(operation::send_c2d, path_of_address("sb://" + (plain ? *plain : std::string{})), text,
                                 at);
}

inline result<void> amqp_claims::add(std::string_view audience, std::string_view token, instant at) {
  auto const parsed = parse_sas_token(token);
  if (!parsed)
    return refuse(errc::unauthorized, 401002, "token is malformed: " + std::string{parsed.error().message()});
  claim made;
  auto resource = percent_decode(parsed->resource);
  if (resource && resource->find("://") != std::string::npos) {
    if (auto good = check_events(*parsed, std::move(*resource), made, at); !good) return good;
  } else {
    auto const good = check(*parsed, token, made, at);
    if (!good) return good.error();
    made.ends = end_of(good->expires_at, at);
  }
  return keep(std::move(made), audience, token);
}

inline result<void> amqp_claims::add_login(std::string_view user, std::string_view password, instant at) {
  std::size_t const mark = user.rfind('@');
  std::string_view const realm = mark == std::string_view::npos ? std::string_view{} : user.substr(mark + 1);
  if (!istarts_with(realm, "sas.")) {
    auto policy = keys_.holder_of(user, password);
    if (!policy) return std::move(policy).error();
    claim made;
    made.kind = proof::events;
    made.policy = *policy;
    return keep(std::move(made), {}, {});
  }
  auto const parsed = parse_sas_token(password);
  if (!parsed)
    return refuse(errc::unauthorized, 401002, "token is malformed: " + std::string{parsed.error().message()});
  std::string const name = detail::decoded_id(user.substr(0, mark));
  bool const root = istarts_with(realm, "sas.root.");
  claim made;
  auto good = [&]() -> result<grant> {
    if (root) {
      auto const policy = percent_decode(parsed->policy);
      if (!policy || *policy != name) return refuse(errc::unauthorized, 401002, "token is of another policy");
      return check(*parsed, password, made, at);
    }
    made.kind = proof::device;
    auto const [device, module, both] = split_once(name, '/');
    made.who = {std::string{device}, both ? std::string{module} : std::string{}};
    return core_.authorize_device({device, both ? module : std::string_view{}}, password, at);
  }();
  if (!good) return std::move(good).error();
  made.ends = end_of(good->expires_at, at);
  return keep(std::move(made), {}, password);
}

// A device that asks for another one is not told whether that one is there; who holds a policy's key may know. The
// token that names the identity is tried first: a gateway has one for each of its devices, and each that fails is
// logged.
inline result<grant> amqp_claims::device(device_key const& who, instant at) {
  result<grant> outcome = detail::no_claim(401003);
  for (bool const named : {true, false})
    for (claim const& each : claims_) {
      if (each.kind == proof::events || (each.kind == proof::device && each.who == who) != named) continue;
      outcome = core_.authorize_device(who, each.token.reveal(), at);
      if (outcome) return outcome;
      if (each.kind == proof::device && outcome.error() != errc::device_disabled) outcome = detail::no_claim(401003);
    }
  return outcome;
}

inline result<void> amqp_claims::service(operation what, std::string_view path, instant at) {
  error why = detail::no_claim(401002);
  for (claim const& each : claims_) {
    if (each.kind == proof::events) {
      if (each.policy->allows(required(what)) && each.path.empty()) return {};
      continue;
    }
    auto const good = core_.authorize_service(what, path, each.token.reveal(), at);
    if (good) return {};
    why = good.error();
  }
  return why;
}

inline result<void> amqp_claims::events(std::string_view path, instant at) {
  for (claim const& each : claims_)
    if (each.kind == proof::events && each.policy->allows(required(operation::read_events)) &&
        detail::path_covers(each.path, path))
      return {};
  error why = detail::no_claim(401002);
  for (claim const& each : claims_) {
    if (each.kind != proof::policy) continue;
    auto const good = core_.authorize_service(operation::read_events, "messages/events", each.token.reveal(), at);
    if (good) return {};
    why = good.error();
  }
  return why;
}

inline bool amqp_claims::expire(instant at) {
  if (deadline_ > at.now) return false;
  for (std::size_t i = claims_.size(); i-- != 0;)
    if (claims_[i].ends <= at.now) claims_.erase(claims_.begin() + static_cast<std::ptrdiff_t>(i));
  set_deadline();
  return true;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
