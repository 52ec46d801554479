// A server's connection takes any bytes: it never crashes, holds its limits, and what it reads does not depend on how
// the bytes were cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/http/server_connection.hpp>

namespace {

using namespace iothub;

struct recorder final : http::request_handler {
  http::ticket on_request(http::request&& what, http::reply_to to, time_point) override {
    if (what.body.size() > 4096) std::abort();
    log += what.method + ' ' + what.target + '\n';
    for (http::header const& field : what.headers) log.append(field.name).append(":").append(field.value).append("\n");
    log += what.body + '\n';
    to.respond(http::response{.status = what.method == "GET" ? 200 : 404, .body = std::move(what.target)});
    return http::answered;
  }
  void on_cancel(http::ticket) override { std::abort(); }
  std::string log;
};

std::string run(std::string_view bytes, std::size_t step) {
  recorder handler;
  http::server_connection server{handler, time_point{}, {.h1 = {.limits = {.max_head = 1024, .max_body = 4096}}}};
  std::string answers;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    server.receive(bytes.substr(at, step), time_point{});
    for (;;) {
      answers += server.output();
      server.consume_output(server.output().size(), time_point{});
      if (server.deadline() == time_point::min())
        server.on_time(time_point{});  // the next of the requests that came together
      else if (server.output().empty())
        break;
    }
  }
  // An interim answer depends on whether the body came along, which HTTP allows.
  for (std::size_t at; (at = answers.find("HTTP/1.1 100 Continue\r\n\r\n")) != std::string::npos;)
    answers.erase(at, 25);
  return handler.log + '\0' + answers;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes{reinterpret_cast<char const*>(data), size};
  std::string const whole = run(bytes, size + 1);
  if (whole != run(bytes, 1) || whole != run(bytes, 5)) std::abort();
  return 0;
}
