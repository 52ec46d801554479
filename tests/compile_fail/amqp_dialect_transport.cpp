// expect: amqp_dialect<T>: T is no AMQP transport; see iothub/policy/amqp_transport.hpp for what it must offer
#include <iothub/device/amqp_dialect.hpp>

struct my_amqp {
  iothub::result<void> open(iothub::endpoint const&, iothub::amqp::connection_options const&,
                            iothub::amqp::sasl_credentials, iothub::amqp::connection_handler&, iothub::time_point);
  iothub::amqp::connection* connection();
  void close();
#ifdef FIXED
  void drop();
#endif
  void step(iothub::time_point);
  void wake();
  iothub::time_point deadline() const;
  void attach(iothub::loop&, iothub::participant&);
};

iothub::dialect& speak(iothub::amqp_dialect<my_amqp>& dialect) { return dialect; }
std::size_t size() { return sizeof(iothub::amqp_dialect<my_amqp>); }
