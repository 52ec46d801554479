// What the libcurl transport needs to know of libcurl: its start, its errors, its TLS.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include <curl/curl.h>
#include <openssl/opensslv.h>

#include <iothub/base/ascii.hpp>
#include <iothub/base/config.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/url.hpp>

namespace iothub {
inline namespace v0 {
namespace net {
namespace detail {

inline void curl_start_up() {
  static CURLcode const done = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)done;
}

// Whether libcurl's TLS objects are those of the OpenSSL that this program is built with.
inline bool curl_shares_openssl() {
  static bool const shares = [] {
    char const* const text = curl_version_info(CURLVERSION_NOW)->ssl_version;
    std::string_view const name = text == nullptr ? std::string_view{} : std::string_view{text};
    return name.substr(0, 8) == "OpenSSL/" && name.size() > 8 && name[8] - '0' == OPENSSL_VERSION_MAJOR;
  }();
  return shares;
}

inline errc from_curl(CURLcode code) noexcept {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return errc::host_not_found;
    case CURLE_COULDNT_CONNECT: return errc::connection_refused;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR: return errc::certificate_rejected;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_USE_SSL_FAILED: return errc::tls_failed;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT: return errc::io_error;
    case CURLE_OPERATION_TIMEDOUT: return errc::timeout;
    case CURLE_FILESIZE_EXCEEDED: return errc::too_large;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING: return errc::protocol_error;
    case CURLE_URL_MALFORMAT: return errc::invalid_argument;
    default: return errc::connection_lost;
  }
}

// http://[user[:password]@]host[:port][/]. libcurl takes more, and what it cannot read for a name that nobody knows.
inline bool is_proxy(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  if (!istarts_with(text, scheme)) return false;
  text.remove_prefix(scheme.size());
  std::string_view const tail = text.substr(std::min(text.find_first_of("/?#"), text.size()));
  text.remove_suffix(tail.size());
  if (auto const at = text.rfind('@'); at != std::string_view::npos) text.remove_prefix(at + 1);
  auto const rest = http::parse_url(std::string{"https://"}.append(text).append(tail));
  return rest && rest->target == "/";
}

// Runs what libcurl called. Only memory can run out in there, and that must not cross libcurl's frames.
template <class Act, class Fail>
auto guarded(Act const& act, [[maybe_unused]] Fail const& fail) noexcept {
#if IOTHUB_EXCEPTIONS
  try {
    return act();
  } catch (...) {
    return fail();
  }
#else
  return act();
#endif
}

inline long milliseconds(duration d) noexcept {
  auto const count = std::chrono::ceil<std::chrono::milliseconds>(d).count();
  return count > 0x7fffffff ? 0x7fffffffL : static_cast<long>(count < 1 ? 1 : count);
}

}  // namespace detail

}  // namespace net
}  // namespace v0
}  // namespace iothub
