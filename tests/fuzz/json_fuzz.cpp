// Whatever parses prints as text that parses to an equal document, and printing that again changes nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <iothub/json/value.hpp>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const document = iothub::json::parse({reinterpret_cast<char const*>(data), size});
  if (!document) return 0;
  auto const text = document->dump();
  auto const again = iothub::json::parse(text);
  if (!again || !(*again == *document) || again->dump() != text) std::abort();
  auto copy = *document;
  if (!(copy == *document) || !(*iothub::json::parse(copy.pretty()) == copy)) std::abort();
  return 0;
}
