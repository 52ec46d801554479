// Whatever parses prints as text that parses to an equal document, and printing that again changes nothing. A second
// parser, nlohmann's, takes and refuses the same texts and finds the same in them; it is known to differ where said.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <nlohmann/json.hpp>

#include <iothub/json/value.hpp>

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

nlohmann::json witness(std::string_view text) { return nlohmann::json::parse(text, nullptr, false); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const input{reinterpret_cast<char const*>(data), size};
  auto const document = iothub::json::parse(input);
  auto const other = witness(input);
  if (!document) {
    // The other takes a NUL for the end of the text, skips a byte order mark, and has no limit of depth.
    require(other.is_discarded() || document.error() == iothub::errc::too_large ||
            input.find('\0') != std::string_view::npos || input.starts_with("\xef\xbb\xbf"));
    return 0;
  }
  auto const text = document->dump();
  require(!other.is_discarded() && witness(text) == other);
  auto const again = iothub::json::parse(text);
  require(again && *again == *document && again->dump() == text);
  auto copy = *document;
  require(copy == *document && *iothub::json::parse(copy.pretty()) == copy);
  return 0;
}
