// What decodes encodes back: base64 to the very same text, since each byte string has one spelling; percent-encoding to
// a text that decodes to the same. Nothing is written beyond what is promised. OpenSSL agrees about base64.
#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/base/base64.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/utf8.hpp>

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}

std::string openssl_base64(std::string const& bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  int const size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<unsigned char const*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}
// It counts the padding as zeros.
bool openssl_reads(std::string const& text, std::string const& bytes) {
  std::string out(text.size() / 4 * 3 + 1, '\0');
  int const size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<unsigned char const*>(text.data()), static_cast<int>(text.size()));
  return size >= 0 && static_cast<std::size_t>(size) == text.size() / 4 * 3 && out.compare(0, bytes.size(), bytes) == 0;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace iothub;
  std::string const text{reinterpret_cast<char const*>(data), size};
  std::string const in_base64 = to_base64(text);
  require(from_base64(in_base64).value() == text && in_base64 == openssl_base64(text));
  if (auto const bytes = from_base64(text)) require(to_base64(*bytes) == text && openssl_reads(text, *bytes));

  std::string const encoded = percent_encode(text);
  require(encoded.size() == percent_encoded_size(text) && is_clean_text(encoded));
  require(percent_decode(encoded).value() == text && percent_equals(encoded, text));
  auto const decoded = percent_decode(text);
  require(percent_decode_text(text).has_value() == (decoded && is_clean_text(*decoded)));
  if (decoded) {
    require(percent_equals(text, *decoded));
    std::string in_place = text;
    char const* const end = read_percent(in_place.data(), in_place);
    require(std::string_view(in_place.data(), static_cast<std::size_t>(end - in_place.data())) == *decoded);
  }
  require(!is_clean_text(text) || (is_mqtt_text(text) && is_utf8(text)));
  if (auto const time = parse_iso8601(text)) {
    utc_time const earliest = from_unix_seconds(-62'135'596'800);
    if (*time >= earliest && *time < from_unix_seconds(253'402'300'800))
      require(parse_iso8601(to_iso8601(*time, 7)).value() == *time);
  }
  return 0;
}
