// expect: https_dialect<H>: H is no HTTP transport; see iothub/policy/http_transport.hpp for what it must offer
#include <iothub/device/https_dialect.hpp>

struct my_http {
  iothub::exchange_id start(iothub::endpoint const&, iothub::http::request&&, iothub::time_point);
  void cancel(iothub::exchange_id);
  void step(iothub::time_point);
#ifdef FIXED
  std::optional<iothub::http_completion> next_completion();
#else
  iothub::http_completion next_completion();
#endif
  iothub::time_point deadline() const;
  void attach(iothub::loop&, iothub::participant&);
};

std::size_t size() { return sizeof(iothub::https_dialect<my_http>); }
