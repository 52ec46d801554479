// Invariant: a text is a query or is refused with a position inside it (or just behind); a query that parsed can be
// evaluated over any row, and paging through it ends and gives what one page gives.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/crypto/seeded.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/json/parse.hpp>

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct fleet {
  iothub::hub::policy_security<iothub::seeded_crypto> keys{iothub::seeded_crypto{1}};
  iothub::hub::hub_core hub{{}, keys};
  fleet() {
    auto const patch = iothub::json::parse(R"({"a":1,"b":"x","c":{"d":[1,true],"e":2.5}})").value();
    for (char const* id : {"d1", "d2", "d3"}) {
      iothub::device_identity wanted;
      wanted.device_id = id;
      (void)hub.put_identity(wanted, {}, {});
      (void)hub.patch_twin({id, {}}, {&patch, &patch}, iothub::hub::unconditional, {});
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static fleet const devices;
  std::string_view const text{reinterpret_cast<char const*>(data), size};
  auto const whole = devices.hub.query(text, 1000, {});
  if (!whole) {
    require(whole.error() == iothub::errc::bad_request && !whole.error().message().empty());
    return 0;
  }
  std::string paged, at_once;
  for (auto const& item : whole->items) item.append_to(at_once);
  std::string continuation;
  for (int pages = 0; pages == 0 || !continuation.empty(); ++pages) {
    require(pages < 10);
    auto const page = devices.hub.query(text, 1, continuation);
    require(page.has_value() && page->items.size() <= 1);
    for (auto const& item : page->items) item.append_to(paged);
    continuation = page->continuation;
  }
  require(paged == at_once);
  return 0;
}
