// A token that is accepted has all its parts inside the input, and opens its own resource and nothing beside it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/wire/sas_token.hpp>

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace iothub;
  std::string const input{reinterpret_cast<char const*>(data), size};
  for (std::string const& token : {input, std::string{sas_scheme}.append(input)}) {
    auto const parsed = parse_sas_token(token);
    if (!parsed) {
      require(parsed.error() == errc::malformed || parsed.error() == errc::too_large);
      continue;
    }
    for (std::string_view part : {parsed->resource, parsed->expiry_text, parsed->policy})
      require(part.empty() ||
              (part.data() >= token.data() && part.data() + part.size() <= token.data() + token.size()));
    require(parsed->expiry >= 0);
    auto const decoded = percent_decode(parsed->resource);
    require(decoded.has_value() || !sas_resource_covers(parsed->resource, "h/devices/d1"));
    if (!decoded || decoded->empty()) continue;
    require(sas_resource_covers(parsed->resource, *decoded));
    require(sas_resource_covers(parsed->resource, *decoded + "/x"));
    require(!sas_resource_covers(parsed->resource, *decoded + "x"));
    require(!sas_resource_covers(parsed->resource, std::string_view{*decoded}.substr(0, decoded->size() - 1)));

    // The same token made by us is read as the same.
    sas_template shape{parsed->resource, percent_decode(parsed->policy).value_or(std::string{})};
    std::string ours;
    shape.append(ours, parsed->signature, parsed->expiry);
    auto const again = parse_sas_token(ours);
    require(!again || (again->resource == parsed->resource && again->signature == parsed->signature &&
                       again->expiry == parsed->expiry));
  }
  return 0;
}
