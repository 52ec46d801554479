// What every consumer project builds: a device and a back end on the in-process hub.
#include <iothub/fake_hub.hpp>

#include <cstdio>

int other_file();  // the same headers in a second translation unit

int main() {
  iothub::fake_hub hub;
  auto device = hub.connect_device("consumer");
  device.on_method("ping", [](iothub::method_request const&) -> iothub::method_response {
    return {.status = 200, .payload = {{"pong", true}}};
  });
  auto service = hub.connect_service();
  auto reply = service.invoke_method("consumer", {.name = "ping"});
  if (!reply || reply->status != 200 || other_file() != 204) return 1;
  std::puts("consumer: OK");
  return 0;
}
