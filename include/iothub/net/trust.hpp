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
  // Certificate revocation lists, PEM, likewise. Off when there are none, as in browsers. With one, each certificate of
  // a chain is looked up, and is refused too when its issuer's list is missing or out of date (RFC 5280 section 6.3).
  // They are read once; a program that lives longer than its lists makes its client anew.
  std::string crl_file = {};
  std::string crl_pem = {};
  friend bool operator==(trust_options const&, trust_options const&) = default;
};

// The certificates to trust. Empty stands for the system's own.
struct trust {
  std::string pem = {};
  std::string origin = {};  // for messages: the file name, "the options" or "the system"
  std::string crl_pem = {};
  std::string crl_origin = {};
  [[nodiscard]] bool is_system() const noexcept { return pem.empty(); }
};

// How the name of a certificate is compared (RFC 6125): with its alternative names only, a * for a whole label. These
// are X509_CHECK_FLAG_NEVER_CHECK_SUBJECT and _NO_PARTIAL_WILDCARDS of <openssl/x509v3.h>, which would cost each user's
// compiler more than the rest of this header; x509_builder.hpp compares them with the originals.
inline constexpr unsigned host_check_flags = 0x20 | 0x4;

// What a message about a rejected certificate ends with: most often the wrong CA is trusted.
[[nodiscard]] inline std::string trust_note(std::string_view origin) {
  return std::string{" (trusting "}.append(origin).append("; the option ca_file or SSL_CERT_FILE names another CA)");
}

// errc::io_error for a file that is missing or cannot be read, errc::malformed for one that holds no PEM certificate or
// no PEM revocation list; the message names the file.
[[nodiscard]] inline result<trust> resolve_trust(trust_options const& options);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// `what`: "CA" or "CRL", for messages.
inline result<std::string> read_trust_file(std::string const& name, std::string const& what) {
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
  if (problem != 0)
    return error{errc::io_error, "cannot read the " + what + " file " + name + ": " + std::strerror(problem)};
  if (text.size() > limit) return error{errc::too_large, "the " + what + " file " + name + " is larger than 16 MB"};
  return text;
}

inline bool has_certificate(std::string_view pem) noexcept {
  return pem.find("-----BEGIN CERTIFICATE-----") != std::string_view::npos ||
         pem.find("-----BEGIN TRUSTED CERTIFICATE-----") != std::string_view::npos;
}
inline bool has_revocations(std::string_view pem) noexcept {
  return pem.find("-----BEGIN X509 CRL-----") != std::string_view::npos;
}

// The options' text and the file's together; `origin` is the file's name, where there is one.
inline result<void> gather_pem(std::string const& text, std::string const& file, std::string const& what,
                               std::string const& kind, bool (&holds)(std::string_view) noexcept, std::string& pem,
                               std::string& origin) {
  if (!text.empty() && !holds(text))
    return error{errc::malformed, "the " + what + " text in the options holds no PEM " + kind};
  pem = text;
  if (!text.empty()) origin = "the options";
  if (file.empty()) return {};
  auto read = read_trust_file(file, what);
  if (!read) return std::move(read).error();
  if (!holds(*read)) return error{errc::malformed, "the " + what + " file " + file + " holds no PEM " + kind};
  if (!pem.empty()) pem += '\n';
  pem += *read;
  origin = file;
  return {};
}

}  // namespace detail

inline result<trust> resolve_trust(trust_options const& options) {
  std::string file = options.ca_file;
  if (file.empty() && options.ca_pem.empty()) {
    char const* const from_environment = std::getenv("SSL_CERT_FILE");  // NOLINT(concurrency-mt-unsafe)
    if (from_environment != nullptr) file = from_environment;
  }
  trust out{.origin = "the system"};
  auto good =
      detail::gather_pem(options.ca_pem, file, "CA", "certificate", detail::has_certificate, out.pem, out.origin);
  if (good)
    good = detail::gather_pem(options.crl_pem, options.crl_file, "CRL", "revocation list", detail::has_revocations,
                              out.crl_pem, out.crl_origin);
  if (!good) return std::move(good).error();
  return out;
}

}  // namespace net
}  // namespace v0
}  // namespace iothub
