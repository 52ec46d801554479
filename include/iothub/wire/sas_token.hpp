// Shared access signatures (Microsoft docs: iot-hub-dev-guide-sas):
//   SharedAccessSignature sr={resource}&sig={signature}&se={expiry}[&skn={policy}]
//
// The signature is HMAC-SHA-256, with the decoded key, over the resource as it stands in the token, a line feed and the
// expiry. Clients percent-encode the same resource differently (upper or lower case digits, more or fewer characters),
// so a verifier signs the text as it came, and decodes it only to see what the token opens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/crypto/crypto.hpp>

namespace iothub {
inline namespace v0 {

// No client makes longer ones: three ids of 128 characters, all of them escaped, and a policy name.
inline constexpr std::size_t max_sas_token_size = 4096;

// A token taken apart; views into its text.
struct sas_token_view {
  std::string_view resource = {};     // as it stands there, percent-encoded
  std::string_view expiry_text = {};  // as it stands there
  std::string_view policy = {};       // percent-encoded; empty when the identity's own key signed
  digest256 signature = {};
  std::int64_t expiry = 0;  // seconds since 1970-01-01T00:00:00Z
};

// errc::malformed: no or another scheme, a field missing or there twice, an expiry that is no whole number of at least
// 0, a signature that is not the base64 of 32 bytes. errc::too_large above max_sas_token_size. Fields may come in any
// order; unknown ones are ignored (unconfirmed for the real hub).
[[nodiscard]] inline result<sas_token_view> parse_sas_token(std::string_view token);

// Whether the token was made with this key, in a time that does not depend on the signature. An error only where the
// crypto policy fails.
template <class Crypto>
[[nodiscard]] result<bool> verify_sas_signature(sas_token_view const& token, Crypto& crypto,
                                                typename Crypto::signing_key& key);

// Whether the resource of a token (percent-encoded) opens `wanted` (not encoded, "host/devices/d1"): it is the same or
// a prefix that ends between two segments. The host compares without case, ids with. Allocates nothing.
[[nodiscard]] inline bool sas_resource_covers(std::string_view resource, std::string_view wanted) noexcept;

// `skew` is how far the other side's clock may be off; about five minutes at the real hub.
[[nodiscard]] inline bool sas_expired(std::int64_t expiry, utc_time now,
                                      std::chrono::seconds skew = std::chrono::seconds{0}) noexcept {
  return expiry <= unix_seconds(now) - skew.count();
}

// What tokens are for: "host/devices/d1/modules/m1", "host/devices/d1" or "host", percent-encoded as Microsoft's docs
// ask for it, with upper-case digits.
[[nodiscard]] inline std::string sas_resource(std::string_view host, std::string_view device_id = {},
                                              std::string_view module_id = {});

// All of a token but expiry and signature, prepared once. For whoever signs elsewhere: ask for string_to_sign(), have
// it signed, and append().
class sas_template {
 public:
  sas_template() = default;
  // `resource` is percent-encoded already, `policy` is not.
  explicit sas_template(std::string_view resource, std::string_view policy = {});

  // Holds until the next call of it.
  [[nodiscard]] std::string_view string_to_sign(std::int64_t expiry);
  // The token for a signature of string_to_sign(expiry); no allocation when `out` has room for size().
  void append(std::string& out, digest256 const& signature, std::int64_t expiry) const;
  // An upper bound of what append() adds.
  [[nodiscard]] std::size_t size() const noexcept;

 private:
  std::string to_sign_;  // resource, line feed, room for the expiry
  std::size_t resource_size_ = 0;
  std::string suffix_;  // "&skn=…" or nothing
};

// ---------------------------------------------------------------------------------------------------------------------

inline constexpr std::string_view sas_scheme = "SharedAccessSignature ";

inline result<sas_token_view> parse_sas_token(std::string_view token) {
  auto const refuse = [](char const* why) { return error{errc::malformed, std::string{"SAS token: "}.append(why)}; };
  if (token.size() > max_sas_token_size) return error{errc::too_large, "SAS token: more than 4096 characters"};
  if (!token.starts_with(sas_scheme)) return refuse("it does not begin with SharedAccessSignature and a blank");
  sas_token_view parsed;
  std::string_view signature;
  splitter fields{token.substr(sas_scheme.size()), '&'};
  std::string_view field;
  while (fields.next(field)) {
    split_pair const pair = split_once(field, '=');
    std::string_view* const place = pair.before == "sr"    ? &parsed.resource
                                    : pair.before == "sig" ? &signature
                                    : pair.before == "se"  ? &parsed.expiry_text
                                    : pair.before == "skn" ? &parsed.policy
                                                           : nullptr;
    if (place == nullptr) continue;
    if (place->data() != nullptr) return refuse("a field is there twice");
    *place = pair.found ? pair.after : std::string_view{""};
  }
  if (parsed.resource.empty()) return refuse("sr is missing");
  if (signature.empty()) return refuse("sig is missing");
  if (parsed.expiry_text.empty()) return refuse("se is missing");
  auto const expiry = parse_int<std::int64_t>(parsed.expiry_text);
  if (!expiry || *expiry < 0) return refuse("se is no whole number of seconds");
  parsed.expiry = *expiry;
  // Each of the 44 characters may be written as an escape of three.
  char decoded[3 * base64_digest_size];
  if (signature.size() > sizeof decoded) return refuse("sig is no signature");
  char const* const end = read_percent(decoded, signature);
  if (end == nullptr || !read_base64_digest({decoded, static_cast<std::size_t>(end - decoded)}, parsed.signature))
    return refuse("sig is no signature");
  return parsed;
}

template <class Crypto>
result<bool> verify_sas_signature(sas_token_view const& token, Crypto& crypto, typename Crypto::signing_key& key) {
  char text[max_sas_token_size + 1];
  if (token.resource.size() + token.expiry_text.size() >= sizeof text) return error{errc::too_large, "SAS token"};
  std::size_t const size = token.resource.copy(text, token.resource.size());
  text[size] = '\n';
  std::size_t const end = size + 1 + token.expiry_text.copy(text + size + 1, token.expiry_text.size());
  auto const made = crypto.sign(key, std::string_view{text, end});
  if (!made) return made.error();
  auto const bytes = [](digest256 const& d) {
    return std::string_view{reinterpret_cast<char const*>(d.data()), d.size()};
  };
  return equal_constant_time(bytes(*made), bytes(token.signature));
}

inline bool sas_resource_covers(std::string_view resource, std::string_view wanted) noexcept {
  std::size_t at = 0;
  bool in_host = true;
  for (std::size_t i = 0; i != resource.size(); ++i, ++at) {
    if (at == wanted.size()) return false;
    char c = resource[i];
    if (c == '%') {
      if (read_percent(&c, resource.substr(i, 3)) == nullptr) return false;
      i += 2;
    }
    if (c == '/') in_host = false;
    if (in_host ? to_lower(c) != to_lower(wanted[at]) : c != wanted[at]) return false;
  }
  return at != 0 && (at == wanted.size() || wanted[at] == '/');
}

inline std::string sas_resource(std::string_view host, std::string_view device_id, std::string_view module_id) {
  std::string resource;
  append_percent(resource, host);
  if (!device_id.empty()) append_percent(resource.append("%2Fdevices%2F"), device_id);
  if (!module_id.empty()) append_percent(resource.append("%2Fmodules%2F"), module_id);
  return resource;
}

inline sas_template::sas_template(std::string_view resource, std::string_view policy)
    : to_sign_{resource}, resource_size_{resource.size()} {
  to_sign_.push_back('\n');
  to_sign_.append(20, '0');
  if (!policy.empty()) append_percent(suffix_.append("&skn="), policy);
}

inline std::string_view sas_template::string_to_sign(std::int64_t expiry) {
  char* const digits = to_sign_.data() + resource_size_ + 1;
  return {to_sign_.data(), static_cast<std::size_t>(write_int(digits, expiry) - to_sign_.data())};
}

inline std::size_t sas_template::size() const noexcept {
  return sas_scheme.size() + 3 + resource_size_ + 5 + 3 * base64_digest_size + 4 + 20 + suffix_.size();
}

inline void sas_template::append(std::string& out, digest256 const& signature, std::int64_t expiry) const {
  char text[base64_digest_size];
  write_base64(text, {reinterpret_cast<char const*>(signature.data()), signature.size()});
  char encoded[3 * base64_digest_size];
  std::size_t const encoded_size = static_cast<std::size_t>(write_percent(encoded, {text, sizeof text}) - encoded);
  out.reserve(out.size() + size());
  out.append(sas_scheme).append("sr=").append(to_sign_, 0, resource_size_);
  out.append("&sig=").append(encoded, encoded_size).append("&se=");
  append_int(out, expiry);
  out.append(suffix_);
}

}  // namespace v0
}  // namespace iothub
