// Who may do what: shared access policies, SAS tokens, permissions per operation.
//
// Microsoft docs "Control access to IoT Hub by using shared access signatures": a token names a resource, and opens it
// and everything below it, by whole segments; it is signed by one of the two keys of a policy (then `skn` names it) or
// of the identity itself. The signature is made over the resource as it was sent, still encoded, since each SDK encodes
// it in its own way. A clock may be about five minutes off (notes to error 401003): options::token_skew.
// A refusal says why in its text; the text never holds any part of a key or a token but the policy's name.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/hub/identity_record.hpp>
#include <iothub/hub/registry.hpp>
#include <iothub/hub/security.hpp>
#include <iothub/hub/types.hpp>
#include <iothub/wire/sas_token.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Service-side operations, as far as their permissions differ or may come to differ.
enum class operation : std::uint8_t {
  read_identity,
  write_identity,
  delete_identity,
  read_device_statistics,
  read_service_statistics,  // ServiceConnect is unconfirmed for the real hub
  read_twin,
  write_twin,
  query,
  invoke_method,
  send_c2d,
  receive_feedback,
  purge_c2d,                // ServiceConnect is unconfirmed for the real hub
  read_events,
};

// Microsoft docs: "Control access to IoT Hub by using shared access signatures", permissions.
constexpr permission required(operation what) noexcept {
  switch (what) {
    case operation::read_identity:
    case operation::read_device_statistics: return permission::registry_read;
    case operation::write_identity:
    case operation::delete_identity: return permission::registry_write;
    default: return permission::service_connect;
  }
}

constexpr std::uint8_t bits(permission p) noexcept { return static_cast<std::uint8_t>(p); }

// A shared access policy: a name, what it allows, and two keys of which either signs.
struct access_policy {
  std::string name = {};
  std::uint8_t permissions = 0;  // bits(permission) or-ed; the write permission implies read
  std::string primary_key = {};  // base64
  std::string secondary_key = {};
  [[nodiscard]] bool allows(permission p) const noexcept {
    std::uint8_t have = permissions;
    if ((have & bits(permission::registry_write)) != 0)
      have = static_cast<std::uint8_t>(have | bits(permission::registry_read));
    return (have & bits(p)) != 0;
  }
};

class access_control {
 public:
  access_control(options const& settings, security& keys, registry& identities);

  [[nodiscard]] std::vector<access_policy> const& policies() const noexcept { return policies_; }
  [[nodiscard]] access_policy const* find_policy(std::string_view name) const noexcept;
  [[nodiscard]] bool is_host(std::string_view host) const noexcept;

  result<grant> authorize_device(key_view who, std::string_view token, instant at);
  result<grant> authorize_service(operation what, std::string_view path, std::string_view token, instant at);

 private:
  // Service endpoints say 401002, device endpoints 401003.
  struct refusal_code {
    int hub_code;
    error operator()(std::string why) const { return refuse(errc::unauthorized, hub_code, std::move(why)); }
  };
  struct policy_keys {
    key_slot keys[2];
  };

  void add_policy(std::string_view name, std::uint8_t permissions, std::string_view primary);
  result<void> check_time(sas_token_view const& token, refusal_code refused, utc_time now) const;
  result<void> check_resource(sas_token_view const& token, std::string_view path, refusal_code refused);
  result<grant> check_policy(sas_token_view const& token, std::string_view path, permission needed,
                             refusal_code refused, instant at);
  result<void> check_signature(sas_token_view const& token, key_slot (&keys)[2], refusal_code refused);
  result<bool> signs(key_slot& key, sas_token_view const& token);
  result<identity_record*> signer_of(sas_token_view const& token, key_view who);

  options const& settings_;
  security& keys_;
  registry& identities_;
  std::vector<access_policy> policies_;
  std::vector<policy_keys> policy_keys_;  // beside policies_
  std::string text_;                      // reused: what is signed, what is compared
};

// --------------------------------------------------------------------------------------------------------------------

inline access_control::access_control(options const& settings, security& keys, registry& identities)
    : settings_{settings}, keys_{keys}, identities_{identities} {
  if (!settings.builtin_policies) return;
  auto const all = static_cast<std::uint8_t>(bits(permission::registry_read) | bits(permission::registry_write) |
                                             bits(permission::service_connect) | bits(permission::device_connect));
  add_policy("iothubowner", all, settings.owner_key);
  add_policy("service", bits(permission::service_connect), {});
  add_policy("device", bits(permission::device_connect), {});
  add_policy("registryRead", bits(permission::registry_read), {});
  add_policy("registryReadWrite", bits(permission::registry_write), {});
}

inline void access_control::add_policy(std::string_view name, std::uint8_t permissions, std::string_view primary) {
  policy_keys slots;
  for (auto& slot : slots.keys) {
    slot.bytes.assign(32, '\0');
    if (!keys_.fill_random({slot.bytes.data(), slot.bytes.size()})) slot.bytes.clear();
  }
  if (!primary.empty()) {
    auto bytes = from_base64(primary);
    slots.keys[0].bytes = bytes ? std::move(*bytes) : std::string{};
  }
  policies_.push_back({std::string{name}, permissions, to_base64(slots.keys[0].bytes), to_base64(slots.keys[1].bytes)});
  policy_keys_.push_back(std::move(slots));
}

inline access_policy const* access_control::find_policy(std::string_view name) const noexcept {
  for (auto const& p : policies_)
    if (p.name == name) return &p;
  return nullptr;
}

inline bool access_control::is_host(std::string_view host) const noexcept {
  // A port may follow; a bare IPv6 address has more than one colon.
  std::size_t const colon = host.rfind(':');
  if (colon != std::string_view::npos && (host.find(':') == colon || host.substr(0, colon).ends_with(']'))) {
    if (host.find_first_not_of("0123456789", colon + 1) != std::string_view::npos) return false;
    host = host.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (iequals(host, settings_.hostname)) return true;
  for (std::string_view const alias : settings_.host_aliases) {
    if (iequals(host, alias)) return true;
    if (!alias.starts_with("*.") || host.size() < alias.size()) continue;
    if (iequals(host.substr(host.size() - alias.size() + 1), alias.substr(1))) return true;
  }
  return false;
}

inline result<void> access_control::check_time(sas_token_view const& token, refusal_code refused, utc_time now) const {
  if (!sas_expired(token.expiry, now, settings_.token_skew)) return {};
  return refused("token expired by " + std::to_string(unix_seconds(now) - token.expiry) + " s");
}

inline result<void> access_control::check_resource(sas_token_view const& token, std::string_view path,
                                                   refusal_code refused) {
  std::string_view const resource = token.resource;
  std::size_t end = 0;
  while (end != resource.size() && resource[end] != '/' && !istarts_with(resource.substr(end), "%2f")) ++end;
  auto host = percent_decode(resource.substr(0, end));
  if (!host || !is_host(*host)) return refused("token is for another hub");
  text_.assign(*host).push_back('/');
  text_.append(path);
  if (!sas_resource_covers(resource, text_)) return refused("token is for another resource");
  return {};
}

inline result<bool> access_control::signs(key_slot& key, sas_token_view const& token) {
  if (key.bytes.empty()) return false;
  if (!key.prepared) {
    auto prepared = keys_.prepare(key.bytes);
    if (!prepared) return std::move(prepared).error();
    key.prepared = std::move(*prepared);
  }
  text_.assign(token.resource).push_back('\n');
  text_.append(token.expiry_text);
  auto const made = key.prepared->sign(text_);
  if (!made) return made.error();
  auto const bytes = [](digest256 const& d) {
    return std::string_view{reinterpret_cast<char const*>(d.data()), d.size()};
  };
  return equal_constant_time(bytes(*made), bytes(token.signature));
}

inline result<void> access_control::check_signature(sas_token_view const& token, key_slot (&keys)[2],
                                                    refusal_code refused) {
  for (auto& key : keys) {
    auto good = signs(key, token);
    if (!good) return std::move(good).error();
    if (*good) return {};
  }
  return refused("wrong key: the signature is of neither key");
}

inline result<grant> access_control::check_policy(sas_token_view const& token, std::string_view path,
                                                  permission needed, refusal_code refused, instant at) {
  auto const name = percent_decode(token.policy);
  std::size_t i = 0;
  while (i != policies_.size() && !(name && policies_[i].name == *name)) ++i;
  if (i == policies_.size()) return refused("unknown policy");
  if (auto ok = check_resource(token, path, refused); !ok) return std::move(ok).error();
  if (auto ok = check_signature(token, policy_keys_[i].keys, refused); !ok) return std::move(ok).error();
  if (auto ok = check_time(token, refused, at.utc); !ok) return std::move(ok).error();
  if (!policies_[i].allows(needed)) return refused("policy '" + policies_[i].name + "' does not allow it");
  return grant{auth_scope::hub, from_unix_seconds(token.expiry), policies_[i].name};
}

// The identity whose own key must have signed: the module's when the token names a module, else the device's.
inline result<identity_record*> access_control::signer_of(sas_token_view const& token, key_view who) {
  if (who.module_id.empty()) return identities_.get(who);
  text_.assign("devices/").append(who.device_id);
  std::string const device = text_;
  bool const names_device = check_resource(token, device, {401003}).has_value();
  if (names_device && settings_.device_token_opens_modules) return identities_.get({who.device_id, {}});
  return identities_.get(who);
}

inline result<grant> access_control::authorize_device(key_view who, std::string_view token, instant at) {
  constexpr refusal_code refused{401003};
  auto parsed = parse_sas_token(token);
  if (!parsed) return refused("token is malformed: " + std::string{parsed.error().message()});
  std::string path{"devices/"};
  path.append(who.device_id);
  if (!who.module_id.empty()) path.append("/modules/").append(who.module_id);

  auto outcome = [&]() -> result<grant> {
    if (!parsed->policy.empty()) {
      // Who has a policy's key may know what there is.
      auto allowed = check_policy(*parsed, path, permission::device_connect, refused, at);
      if (!allowed) return allowed;
      if (auto known = identities_.get(who); !known) return std::move(known).error();
      return allowed;
    }
    if (auto known = identities_.get(who); !known) return std::move(known).error();
    if (auto ok = check_resource(*parsed, path, refused); !ok) return std::move(ok).error();
    auto signer = signer_of(*parsed, who);
    if (!signer) return std::move(signer).error();
    if ((*signer)->type != authentication_type::sas) return refused("the identity does not use keys");
    if (auto ok = check_signature(*parsed, (*signer)->keys, refused); !ok) return std::move(ok).error();
    if (auto ok = check_time(*parsed, refused, at.utc); !ok) return std::move(ok).error();
    auto const scope = (*signer)->is_module() ? auth_scope::module : auth_scope::device;
    return grant{scope, from_unix_seconds(parsed->expiry), {}};
  }();
  // Whether an identity is disabled is told only to those who hold its key.
  if (!outcome) return outcome;
  identity_record const* const device = identities_.find({who.device_id, {}});
  if (device != nullptr && device->status == identity_status::disabled)
    return refuse(errc::device_disabled, 403012, "Device '" + std::string{who.device_id} + "' is disabled");
  return outcome;
}

inline result<grant> access_control::authorize_service(operation what, std::string_view path, std::string_view token,
                                                       instant at) {
  constexpr refusal_code refused{401002};
  auto parsed = parse_sas_token(token);
  if (!parsed) return refused("token is malformed: " + std::string{parsed.error().message()});
  if (parsed->policy.empty()) return refused("token names no policy");
  return check_policy(*parsed, path, required(what), refused, at);
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
