// A connection string that is accepted prints to one that means the same, and no error ever repeats what was in it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/wire/connection_string.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

void check(result<connection_string> const& parsed,
           result<connection_string> (*parse)(std::string_view, unknown_names)) {
  if (!parsed) {
    require(parsed.error() == errc::malformed && parsed.error().message().size() < 200);
    return;
  }
  secret const printed = parsed->print();
  auto const again = parse(printed.reveal(), unknown_names::refuse);
  require(again.has_value() && again->print().reveal() == printed.reveal());
  require(parsed->x509 + !parsed->shared_access_key.empty() + !parsed->shared_access_signature.empty() == 1);
  require(!parsed->host_name.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const text{reinterpret_cast<char const*>(data), size};
  for (auto unknown : {unknown_names::refuse, unknown_names::ignore}) {
    check(parse_device_connection_string(text, unknown), parse_device_connection_string);
    check(parse_service_connection_string(text, unknown), parse_service_connection_string);
  }
  return 0;
}
