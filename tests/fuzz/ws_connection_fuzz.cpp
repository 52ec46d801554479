// A WebSocket connection of either role takes any bytes: it never crashes, hands on no more than came, and what it says
// and hands on does not depend on how the bytes were cut. The first byte chooses the role.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/ws/connection.hpp>

namespace {

using namespace iothub;

struct outcome {
  std::string stream;
  std::string said;
  std::string end;
  friend bool operator==(outcome const&, outcome const&) = default;
};

outcome run(ws::role who, std::string_view bytes, std::size_t step) {
  ws::connection subject{who, [](byte_span into) -> result<void> {
                           for (char& each : into) each = '\x55';
                           return {};
                         }};
  outcome out;
  std::size_t came = 0;
  for (; !bytes.empty(); bytes.remove_prefix(bytes.size() < step ? bytes.size() : step)) {
    std::string memory{bytes.substr(0, step)};
    came += memory.size();
    out.stream.append(memory, 0, subject.receive(memory, memory.data()));
    if (out.stream.size() > came || subject.output().size() > 8192) std::abort();
  }
  // What it says is for the other role to read, and is in order.
  while (!subject.output().empty()) {
    out.said += subject.output();
    subject.consume_output(subject.output().size());
  }
  if (subject.over() && !subject.closing()) std::abort();
  if (subject.broken() != nullptr) out.end = subject.broken()->message();
  if (subject.peer_closed()) out.end += std::to_string(subject.peer_code()) + std::string{subject.peer_reason()};
  if (subject.closing() && subject.send("x")) std::abort();
  ws::connection peer{who == ws::role::client ? ws::role::server : ws::role::client};
  std::string heard = out.said;
  if (peer.receive(heard, heard.data()) != 0 || peer.broken() != nullptr) std::abort();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  auto const who = data[0] % 2 == 0 ? ws::role::client : ws::role::server;
  std::string_view const bytes{reinterpret_cast<char const*>(data) + 1, size - 1};
  outcome const whole = run(who, bytes, size);
  for (std::size_t step : {1u, 3u, 16u}) {
    outcome const cut = run(who, bytes, step);
    // Only the number of pongs may differ, and it does not: nothing is taken from the output meanwhile.
    if (!(whole == cut)) std::abort();
  }
  return 0;
}
