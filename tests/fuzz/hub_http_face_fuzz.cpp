// The owner of a hub asks it anything: the first line is method and target, the second an If-Match, the rest the body.
// Every request gets one answer, whose body is JSON or empty, and none leaves anything pending but method calls.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../unit/hub_face_test_peer.hpp"

namespace {

using namespace hub_face_test;

struct collector final : http::reply_sink {
  void respond(std::uint64_t, http::response&& answer) override {
    ++answers;
    if (answer.status < 200 || answer.status > 599) std::abort();
    if (!answer.body.empty() && !json::parse(answer.body)) std::abort();
    for (auto const& field : answer.headers)
      if (field.value.find_first_of(std::string_view{"\r\n\0", 3}) != std::string::npos) std::abort();
  }
  int answers = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  test_hub hub;
  hub.create("d1");
  auto const first = split_once({reinterpret_cast<char const*>(data), size}, '\n');
  auto const second = split_once(first.after, '\n');
  auto const line = split_once(first.before, ' ');
  collector sink;
  auto const pending =
      hub.http.on_request({std::string{line.before},
                           std::string{line.after},
                           {{"Authorization", hub.service_token()}, {"If-Match", std::string{second.before}}},
                           std::string{second.after}},
                          {&sink, 1}, hub.clock.now());
  if ((pending == http::answered) != (sink.answers == 1)) std::abort();
  hub.advance(700s);
  if (sink.answers != 1 || hub.http.pending_calls() != 0) std::abort();
  return 0;
}
