// An AMQP transport behind a border that costs no template: what the cores of the back end call.
#pragma once

#include <utility>

#include <iothub/amqp/connection.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/policy/amqp_transport.hpp>
#include <iothub/policy/endpoint.hpp>

namespace iothub {
inline namespace v0 {

// As the concept amqp_transport says of each.
class amqp_port {
 public:
  virtual result<void> open(endpoint const& where, amqp::connection_options const& how, amqp::sasl_credentials login,
                            amqp::connection_handler& owner, time_point now) = 0;
  virtual amqp::connection* connection() = 0;
  virtual void close() = 0;
  virtual void drop() = 0;
  virtual void wake() = 0;

 protected:
  ~amqp_port() = default;
};

template <class Transport>
class amqp_port_of final : public amqp_port {
 public:
  explicit amqp_port_of(Transport& over) noexcept : over_{over} {}
  result<void> open(endpoint const& where, amqp::connection_options const& how, amqp::sasl_credentials login,
                    amqp::connection_handler& owner, time_point now) override {
    return over_.open(where, how, std::move(login), owner, now);
  }
  amqp::connection* connection() override { return over_.connection(); }
  void close() override { over_.close(); }
  void drop() override { over_.drop(); }
  void wake() override { over_.wake(); }

 private:
  Transport& over_;
};

}  // namespace v0
}  // namespace iothub
