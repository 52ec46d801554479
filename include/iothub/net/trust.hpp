// Whom a TLS client trusts. One rule for both stacks, the TLS stream and libcurl (which does not read SSL_CERT_FILE by
// itself): what the options name, else the file that the environment variable SSL_CERT_FILE names, else the system's
// own certificates. The first of these that is given replaces the others. There is no way to trust everybody.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/result.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

struct trust_options {
  std::string ca_file = {};  // a file of PEM certificates
  std::string ca_pem = {};   // PEM certificates; both may be given and count together
  friend bool operator==(trust_options const&, trust_options const&) = default;
};

// The certificates to trust. Empty stands for the system's own.
struct trust {
  std::string pem = {};
  std::string origin = {};  // for messages: the file name, "the options" or "the system"
  [[nodiscard]] bool is_system() const noexcept { return pem.empty(); }
};

// How the name of a certificate is compared (RFC 6125): with its alternative names only, a * for a whole label. These are
// X509_CHECK_FLAG_NEVER_CHECK_SUBJECT and _NO_PARTIAL_WILDCARDS of <openssl/x509v3.h>, which would cost each user's
// compiler more than the rest of this header; x509_builder.hpp compares them with the originals.
inline constexpr unsigned host_check_flags = 0x20 | 0x4;

// What a message about a rejected certificate ends with: most often the wrong CA is trusted.
[[nodiscard]] inline std::string trust_note(std::string_view origin) {
  return std::string{" (trusting "}.append(origin).append("; the option ca_file or SSL_CERT_FILE names another CA)");
}

// errc::io_error for a file that is missing or cannot be read, errc::malformed for one that holds no PEM certificate;
// the message names the file.
[[nodiscard]] inline result<trust> resolve_trust(trust_options const& options);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline result<std::string> read_certificates(std::string const& name) {
  constexpr std::size_t limit = 16u * 1024 * 1024;
  std::FILE* const file = std::fopen(name.c_str(), "rbe");
  int problem = file == nullptr ? errno : 0;
  std::string text;
  char part[4096];
  while (problem == 0 && text.size() <= limit) {
    std::size_t const size = std::fread(part, 1, sizeof part, file);
    if (std::ferror(file) != 0) problem = errno;
    if (size == 0) break;
    text.append(part, size);
  }
  if (file != nullptr) std::fclose(file);
  if (problem != 0) return error{errc::io_error, "cannot read the CA file " + name + ": " + std::strerror(problem)};
  if (text.size() > limit) return error{errc::too_large, "the CA file " + name + " is larger than 16 MB"};
  return text;
}

inline bool has_certificate(std::string_view pem) noexcept {
  return pem.find("-----BEGIN CERTIFICATE-----") != std::string_view::npos ||
         pem.find("-----BEGIN TRUSTED CERTIFICATE-----") != std::string_view::npos;
}

}  // namespace detail

inline result<trust> resolve_trust(trust_options const& options) {
  std::string file = options.ca_file;
  if (file.empty() && options.ca_pem.empty()) {
    char const* const from_environment = std::getenv("SSL_CERT_FILE");  // NOLINT(concurrency-mt-unsafe)
    if (from_environment != nullptr) file = from_environment;
    if (file.empty()) return trust{.origin = "the system"};
  }
  trust out{.pem = options.ca_pem, .origin = "the options"};
  if (!out.pem.empty() && !detail::has_certificate(out.pem))
    return error{errc::malformed, "the CA text in the options holds no PEM certificate"};
  if (file.empty()) return out;
  auto text = detail::read_certificates(file);
  if (!text) return std::move(text).error();
  if (!detail::has_certificate(*text))
    return error{errc::malformed, "the CA file " + file + " holds no PEM certificate"};
  if (!out.pem.empty()) out.pem += '\n';
  out.pem += *text;
  out.origin = std::move(file);
  return out;
}

}  // namespace net
}  // namespace v0
}  // namespace iothub
