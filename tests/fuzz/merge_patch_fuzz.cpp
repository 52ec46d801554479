// A document and a patch, of which the first line is the patch: a second implementation of RFC 7396, nlohmann's, gives
// the same, both forms of ours do, and to patch again changes nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <iothub/json/merge_patch.hpp>
#include <iothub/json/value.hpp>

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace iothub;
  std::string_view const input{reinterpret_cast<char const*>(data), size};
  std::size_t const line = input.find('\n');
  if (line == std::string_view::npos) return 0;
  auto const patch = json::parse(input.substr(0, line)), target = json::parse(input.substr(line + 1));
  if (!patch || !target) return 0;
  json::value copied = *target;
  json::merge_patch(copied, *patch);
  json::value moved = *target, taken = *patch;
  json::merge_patch(moved, std::move(taken));
  require(copied == moved && copied.dump() == moved.dump());

  auto other = nlohmann::json::parse(target->dump());
  other.merge_patch(nlohmann::json::parse(patch->dump()));
  require(nlohmann::json::parse(copied.dump()) == other);

  json::merge_patch(moved, *patch);
  require(moved == copied);
  return 0;
}
