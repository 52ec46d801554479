// expect: the completion of async_x is called as void(iothub::result<T>), where result<T> is what x gives
#include <iothub/crypto/seeded.hpp>
#include <iothub/policy/stream_http.hpp>
#include <iothub/service_client.hpp>

struct http_values {
  iothub::exchange_id start(iothub::endpoint const&, iothub::http::request&&, iothub::time_point);
  void cancel(iothub::exchange_id);
  void step(iothub::time_point);
  std::optional<iothub::http_completion> next_completion();
  iothub::time_point deadline() const;
  void attach(iothub::loop&, iothub::participant&);
};
using client = iothub::basic_service_client<http_values&, iothub::loop_clock, iothub::seeded_crypto>;

void use(client& service) {
#ifdef FIXED
  service.async_get_twin("d", [](iothub::result<iothub::twin>) {});
#else
  service.async_get_twin("d", [](iothub::result<int>) {});
#endif
}
