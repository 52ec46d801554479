// method_dispatcher alone: from the name of a direct method to its handler, whatever brings the call. The same object
// then serves a device of the fake hub, and of the hub that IOTHUB_DEVICE_CONNECTION_STRING names, if it is set.
#include "environment.hpp"

#include <chrono>
#include <cstdio>
#include <iothub/fake_hub.hpp>

using namespace std::chrono_literals;

namespace {

void print(char const* where, iothub::method_response const& answer) {
  std::printf("%-10s %d %s\n", where, answer.status, answer.payload.dump().c_str());
}

// Any device hands all its calls to one dispatcher.
template <class DeviceClient>
void serve(DeviceClient& device, iothub::method_dispatcher& methods) {
  device.on_unknown_method([&methods](iothub::method_request const& request, iothub::responder respond) {
    methods.dispatch(request, std::move(respond));
  });
}

}  // namespace

int main(int argc, char** argv) {
  example::usage(argc, argv, 0,
                 "standalone_method_dispatcher\n"
                 "Needs nothing; with IOTHUB_DEVICE_CONNECTION_STRING it also serves that device.");
  iothub::method_dispatcher methods;
  methods.on("add", [](iothub::method_request const& request) -> iothub::method_response {
    auto const a = request.payload["a"].as_int(), b = request.payload["b"].as_int();
    if (!a || !b) return {.status = 400, .payload = {{"message", "a and b are whole numbers"}}};
    return {.payload = *a + *b};
  });

  // Alone: a call comes as text, from a serial line for example, and the answer goes to whoever asked.
  auto const call = [&methods](char const* name, char const* payload) {
    methods.dispatch(name, payload, iothub::responder{[](iothub::method_response&& answer) {
                       print("alone", answer);
                       return iothub::result<void>{};
                     }});
  };
  call("add", R"({"a":2,"b":3})");
  call("add", R"({"a":2})");
  call("add", "no JSON");
  call("subtract", "{}");

  // With the fake hub.
  iothub::fake_hub hub;
  auto device = hub.connect_device("calculator");
  serve(device, methods);
  auto const reply = hub.connect_service().invoke_method(
      "calculator", {.name = "add", .payload = {{"a", 20}, {"b", 22}}}, {.connect_timeout = 5s});
  if (!reply || reply->payload != 42)
    return example::failed("the fake hub's answer", reply ? iothub::errc::bad_device_response : reply.error());
  print("fake hub", *reply);

  // With the real transport: serves calls of "add" until Ctrl-C.
  if (!example::is_set("IOTHUB_DEVICE_CONNECTION_STRING")) return 0;
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto real = example::device(loop);
  serve(real, methods);
  if (auto connected = real.connect(); !connected)
    return loop.stopped() ? 0 : example::failed("cannot connect", connected.error());
  std::puts("real hub   call the method \"add\"; Ctrl-C ends");
  real.run_until([] { return false; });
  return 0;
}
