// expect: basic_service_client: Http must be an http_transport
#include <iothub/crypto/seeded.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/service_client.hpp>

struct my_http {
  iothub::exchange_id start(iothub::endpoint const&, iothub::http::request&&, iothub::time_point);
#ifdef FIXED
  void cancel(iothub::exchange_id);
#endif
  void step(iothub::time_point);
  std::optional<iothub::http_completion> next_completion();
  iothub::time_point deadline() const;
  void attach(iothub::loop&, iothub::participant&);
};

using client = iothub::basic_service_client<my_http, iothub::loop_clock, iothub::seeded_crypto>;
bool works(client& service) { return service.get_device("d").has_value(); }
