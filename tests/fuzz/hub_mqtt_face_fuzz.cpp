// A connected device sends the hub any bytes: nothing crashes, another device stays connected, and what the hub answers
// and keeps does not depend on how the bytes were cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../unit/hub_face_test_peer.hpp"

namespace {

using namespace hub_face_test;

std::string run(std::string_view bytes, std::size_t step) {
  test_hub hub;
  hub.create("d1");
  hub.create("d2");
  test_device bystander{hub}, device{hub};
  bystander.connect("d2");
  device.connect("d1");
  std::string seen;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    device.send_bytes(bytes.substr(at, step));
    for (auto const& line : device.take()) seen += line + '\n';
  }
  if (!bystander.alive()) std::abort();
  for (auto const& event : hub.core.events().all()) {
    if (event.source.device_id != "d1") std::abort();
    seen += event.content.body.bytes();
    for (auto const& p : event.content.properties) seen += p.name + '=' + p.value + '\n';
  }
  return seen + hub.core.get_twin({"d1", {}}).value().reported.dump();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes{reinterpret_cast<char const*>(data), size};
  std::string const whole = run(bytes, size + 1);
  if (whole != run(bytes, 1) || whole != run(bytes, 7)) std::abort();
  return 0;
}
