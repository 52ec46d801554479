// Any text where PEM is wanted: as certificates to trust, as revocation lists, as a client's and as a server's
// certificate and key. It is refused with an error that says which of them and holds nothing of a key, or it works; what
// OpenSSL thinks of it does not stay behind in its queue of errors.
#include <openssl/err.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/net/certificate_authority.hpp>
#include <iothub/net/tls_context.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

// A part of the input that could be of a key: so long, and without a blank, which this library's own words have.
bool tells_of(std::string_view message, std::string_view input) {
  constexpr std::size_t line = 24;
  if (message.size() < line) return false;
  for (std::size_t at = 0; at + line <= message.size(); ++at)
    if (auto const part = message.substr(at, line);
        part.find(' ') == std::string_view::npos && input.find(part) != std::string_view::npos)
      return true;
  return false;
}

template <class Result>
void judge(Result const& made, std::string_view input) {
  require(ERR_peek_error() == 0);
  if (made) return;
  require(made.error() == errc::malformed || made.error() == errc::invalid_argument || made.error() == errc::tls_failed);
  require(!made.error().message().empty() && !tells_of(made.error().message(), input));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static auto const good = net::make_certificate_authority({}, from_unix_seconds(1'700'000'000)).value();
  std::string const text{reinterpret_cast<char const*>(data), size};
  // With a certificate of its own a client's context is not one of those that are kept for all.
  judge(net::tls_context::client({{.ca_pem = text}, good.chain_pem, good.private_key_pem}), text);
  judge(net::tls_context::client({{.ca_pem = good.ca_pem, .crl_pem = text}, good.chain_pem, good.private_key_pem}), text);
  judge(net::tls_context::client({{.ca_pem = good.ca_pem}, text, good.private_key_pem}), text);
  judge(net::tls_context::client({{.ca_pem = good.ca_pem}, good.chain_pem, text}), text);
  judge(net::tls_context::server({.certificate_pem = text, .private_key_pem = text}), text);
  return 0;
}
