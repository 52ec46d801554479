// A client's connection takes any bytes as the answer to its request: it never crashes, holds its limits, and what it
// reads does not depend on how the bytes were cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/http/h1_connection.hpp>

namespace {

using namespace iothub;

std::string run(std::string_view bytes, std::size_t step, std::string_view method) {
  http::h1_connection client{http::h1_role::client, {.limits = {.max_head = 1024, .max_body = 4096}}};
  std::string log;
  if (!client.send(http::request{.method = std::string{method}}, "h")) std::abort();
  client.consume_output(client.output().size());
  for (std::size_t at = 0; at <= bytes.size(); at += step) {
    if (at + step > bytes.size()) {
      client.receive(bytes.substr(at));
      client.receive_end();
    } else {
      client.receive(bytes.substr(at, step));
    }
    for (;;) {
      http::h1_event const event = client.next();
      if (event == http::h1_event::none) break;
      if (event == http::h1_event::response) {
        http::response const seen = client.take_response();
        if (seen.body.size() > 4096) std::abort();
        log += std::to_string(seen.status) + seen.reason + '\n';
        for (http::header const& field : seen.headers) log.append(field.name).append(":").append(field.value).append("\n");
        log += seen.body;
        return log;  // what follows answers nothing: when that is noticed depends on when it comes
      }
      if (event == http::h1_event::failed) log += client.last_error().message();
      return log;
    }
  }
  return log;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes{reinterpret_cast<char const*>(data), size};
  for (std::string_view method : {"GET", "HEAD"}) {
    std::string const whole = run(bytes, size + 1, method);
    if (whole != run(bytes, 1, method) || whole != run(bytes, 5, method)) std::abort();
  }
  return 0;
}
