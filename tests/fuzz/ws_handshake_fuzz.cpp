// Both sides of the opening handshake take any bytes of HTTP. A server that agrees gives an answer that a client takes;
// a stream whose server says anything at all ends or goes on, and gives its reader no more than came.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/http/h1_connection.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/policy/ws_stream.hpp>
#include <iothub/ws/handshake.hpp>

namespace {

using namespace iothub;

void server(std::string_view bytes) {
  http::h1_connection h1{http::h1_role::server};
  h1.receive(bytes);
  while (h1.next() == http::h1_event::request) {
    auto const what = h1.take_request();
    std::string_view const known[] = {"mqtt", "AMQPWSB10"};
    auto const subprotocol = ws::choose_subprotocol(what, known);
    if (auto const checked = ws::check_request(what); !checked) {
      if (checked.error().http_status() < 400) std::abort();
      (void)h1.send(http::response{.status = 400});
      continue;
    }
    auto const answer = ws::make_response(what, subprotocol);
    if (!ws::check_response(answer, trim(what.headers.get("Sec-WebSocket-Key")), subprotocol)) std::abort();
    if (!h1.send(answer)) (void)h1.send(http::response{.status = 500});
  }
}

void client(std::string_view bytes) {
  memory::virtual_loop loop;
  memory::pipe_network network{loop};
  auto listener = network.listen({"h", 80}).value();
  ws_stream_options how{.path = "/", .subprotocol = "mqtt"};
  how.random = [](byte_span into) -> result<void> {
    std::string_view const nonce = "the sample nonce";
    nonce.copy(into.data(), into.size());
    return {};
  };
  ws_stream<memory::pipe_stream> subject{std::move(how), memory::pipe_stream{network}};
  if (!subject.open({"h", 80}, loop.now())) std::abort();
  auto peer = listener.accept(loop.now());
  if (!peer) std::abort();
  for (std::string_view rest = bytes; !rest.empty();) {
    auto const put = peer->write(rest, loop.now());
    if (put.status != io_status::done) break;
    rest.remove_prefix(put.size);
  }
  std::size_t got = 0;
  for (int i = 0; i != 1000; ++i) {
    char into[300];
    auto const read = subject.read(into, loop.now());
    if (read.status == io_status::failed && subject.last_error().message().empty()) std::abort();
    if (read.status != io_status::done) break;
    got += read.size;
    (void)subject.write("x", loop.now());
  }
  if (got > bytes.size()) std::abort();
  subject.close();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes{reinterpret_cast<char const*>(data), size};
  server(bytes);
  client(bytes);
  // Behind a good handshake, so that the fuzzer gets to the frames.
  client(
      std::string{"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"}
          .append(bytes));
  return 0;
}
