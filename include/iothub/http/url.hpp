// https URLs and request targets: taken apart, and built with percent-encoding.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/hex.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/result.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

// An absolute https URL (RFC 3986 section 3, RFC 9110 section 4.2.2).
struct url {
  std::string host = {};  // lower case as it came or not; an IPv6 address without its brackets
  std::uint16_t port = 443;
  std::string target = "/";  // path and query, as written
  friend bool operator==(url const&, url const&) = default;
};

// errc::malformed for anything but https://host[:port][/path][?query]. User names are refused (RFC 9110 section 4.2.4),
// and so is a fragment, since it never goes on the wire.
[[nodiscard]] inline result<url> parse_url(std::string_view text);

// What goes into the Host field: brackets around an IPv6 address, no port where it is 443 (RFC 9110 section 7.2).
[[nodiscard]] inline std::string authority(std::string_view host, std::uint16_t port);

// A request target cut at the first question mark.
struct target_parts {
  std::string_view path = {};
  std::string_view query = {};
  friend bool operator==(target_parts const&, target_parts const&) = default;
};
[[nodiscard]] constexpr target_parts split_target(std::string_view target) noexcept {
  split_pair const cut = split_once(target, '?');
  return {cut.before, cut.after};
}

// The path's segments, decoded one by one: "/devices/a%2Fb" is {"devices", "a/b"}. A slash at the end counts for
// nothing (some service clients send "/devices/?api-version=..."). errc::malformed where an escape is broken, or stands
// for something that is no clean text.
[[nodiscard]] inline result<std::vector<std::string>> path_segments(std::string_view path);

// The value of the first parameter of that name, decoded; nothing where there is none or its escapes are broken. Names
// compare exactly. A plus sign is a plus sign.
[[nodiscard]] inline std::optional<std::string> query_value(std::string_view query, std::string_view name);

// Builds a request target: target_builder{}.segment("twins").segment(id).query("api-version", "2021-04-12").take()
class target_builder {
 public:
  target_builder& segment(std::string_view text) {
    target_ += '/';
    append_percent(target_, text);
    return *this;
  }
  target_builder& query(std::string_view name, std::string_view value) {
    target_ += has_query_ ? '&' : '?';
    has_query_ = true;
    append_percent(target_, name);
    target_ += '=';
    append_percent(target_, value);
    return *this;
  }
  [[nodiscard]] std::string take() {
    if (target_.empty() || target_.front() != '/') target_.insert(target_.begin(), '/');
    return std::move(target_);
  }

 private:
  std::string target_;
  bool has_query_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// Registered names and addresses as they occur in TLS certificates; no escapes, no user information.
constexpr bool is_host_char(char c, bool bracketed) noexcept {
  if (bracketed) return hex_value(c) >= 0 || c == ':' || c == '.';
  return is_alnum(c) || c == '.' || c == '-' || c == '_';
}

inline result<void> parse_authority(std::string_view text, url& out) {
  bool const bracketed = !text.empty() && text.front() == '[';
  std::size_t end = bracketed ? text.find(']') : text.find(':');
  if (bracketed && end == std::string_view::npos)
    return error{errc::malformed, "URL: an address lacks its closing bracket"};
  std::string_view const host = bracketed ? text.substr(1, end - 1) : text.substr(0, end);
  if (host.empty()) return error{errc::malformed, "URL: the host name is empty"};
  for (char c : host)
    if (!is_host_char(c, bracketed)) return error{errc::malformed, "URL: a character that no host name has"};
  std::string_view rest = end == std::string_view::npos ? std::string_view{} : text.substr(end + (bracketed ? 1 : 0));
  if (!rest.empty()) {
    auto const port = rest.front() == ':' ? parse_int<std::uint16_t>(rest.substr(1)) : maybe<std::uint16_t>{};
    if (!port || *port == 0) return error{errc::malformed, "URL: the port is not a number from 1 to 65535"};
    out.port = *port;
  }
  out.host = host;
  return {};
}

}  // namespace detail

inline result<url> parse_url(std::string_view text) {
  constexpr std::string_view scheme = "https://";
  if (!istarts_with(text, scheme)) return error{errc::malformed, "URL: it does not start with https://"};
  text.remove_prefix(scheme.size());
  std::size_t const end = text.find_first_of("/?#");
  url out;
  if (auto done = detail::parse_authority(text.substr(0, end), out); !done) return std::move(done).error();
  if (end == std::string_view::npos) return out;
  text.remove_prefix(end);
  for (char c : text)
    if (c <= 0x20 || c == 0x7f || c == '#' || static_cast<unsigned char>(c) > 0x7f)
      return error{errc::malformed, "URL: a character that must be percent-encoded, or a fragment"};
  out.target = text.front() == '/' ? std::string{text} : '/' + std::string{text};
  return out;
}

inline std::string authority(std::string_view host, std::uint16_t port) {
  bool const bracket = host.find(':') != std::string_view::npos;
  std::string out;
  out.reserve(host.size() + 8);
  if (bracket) out += '[';
  out += host;
  if (bracket) out += ']';
  if (port != 443) {
    out += ':';
    append_int(out, port);
  }
  return out;
}

inline result<std::vector<std::string>> path_segments(std::string_view path) {
  std::vector<std::string> out;
  if (path.empty() || path.front() != '/') return error{errc::malformed, "the path does not start with a slash"};
  path.remove_prefix(1);
  if (!path.empty() && path.back() == '/') path.remove_suffix(1);
  if (path.empty()) return out;
  splitter parts{path, '/'};
  for (std::string_view part; parts.next(part);) {
    auto decoded = percent_decode_text(part);
    if (!decoded) return std::move(decoded).error();
    out.push_back(std::move(*decoded));
  }
  return out;
}

inline std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  splitter parts{query, '&'};
  for (std::string_view part; parts.next(part);) {
    split_pair const pair = split_once(part, '=');
    if (!percent_equals(pair.before, name)) continue;
    auto decoded = percent_decode(pair.after);
    if (!decoded) return std::nullopt;
    return std::move(*decoded);
  }
  return std::nullopt;
}

}  // namespace http
}  // namespace v0
}  // namespace iothub
