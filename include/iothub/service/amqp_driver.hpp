// Joins a core of the back end's AMQP side to a loop, apart from its transport, which a class template supplies.
// client_driver.hpp has what all clients share.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/client_driver.hpp>
#include <iothub/io/loop.hpp>

namespace iothub {
inline namespace v0 {

// The files that a transport made here trusts; see event_reader_options.
struct trusted_files {
  std::string const& ca_file;
  std::string const& crl_file;
};
// How an AMQP transport is made from nothing but what there is to know; specialised for those for which that is
// possible.
template <class Transport>
struct back_end_transport;
template <class Transport>
concept self_made_amqp = requires(trusted_files const& files, bool plain) {
  typename back_end_transport<Transport>::loop_type;
  { back_end_transport<Transport>::check(files, plain) } -> std::same_as<result<void>>;
  { back_end_transport<Transport>::make(files, plain) } -> std::same_as<Transport>;
};

class amqp_driver : public client_driver {
 public:
  explicit amqp_driver(loop& on) noexcept : client_driver{on} {}

 protected:
  virtual void step_transport(time_point now) = 0;
  [[nodiscard]] virtual time_point transport_deadline() const = 0;
  virtual void step_core(time_point now) = 0;
  // An exception (no memory) left the core or the transport while they used the connection: it has to be made again.
  virtual void start_over(time_point now) = 0;
  [[nodiscard]] virtual time_point core_deadline() const = 0;
  // Calls one handler, or does nothing and returns false.
  virtual bool handle_one() = 0;

  // Runs what uses the connection; an exception puts it in doubt.
  template <class Call>
  auto with_connection(Call call) -> decltype(call()) {
    bool const before = exchanged(in_doubt_, true);
    if constexpr (std::is_void_v<decltype(call())>) {
      call();
      in_doubt_ = before;
    } else {
      auto outcome = call();
      in_doubt_ = before;
      return outcome;
    }
  }
  // Runs the loop until done(), at most until `limit`. Errors as of loop::run_until, errc::closed when the client was
  // destroyed meanwhile. The caller holds a frame.
  template <class Done>
  result<void> wait(Done done, time_point limit) {
    auto ended = on().run_until([&] { return released() || done(); }, limit);
    if (released()) return error{errc::closed, "the client was destroyed meanwhile"};
    return ended;
  }

 private:
  void step_io(time_point now) override {
    if (in_doubt_) start_over(now);
    in_doubt_ = true;
    step_core(now);  // what is due is said before what came is answered
    step_transport(now);
    step_core(now);
    in_doubt_ = false;
  }
  [[nodiscard]] time_point io_deadline() const override {
    if (in_doubt_) return time_point::min();
    time_point const core = core_deadline();
    time_point const transport = transport_deadline();
    return core < transport ? core : transport;
  }
  void step_handlers(time_point) override {
    for (int budget = 64; !released() && handle_one(); --budget)
      if (budget == 0) return wake_handlers();
  }

  bool in_doubt_ = false;  // an exception left what used the connection, or it is used now
};

}  // namespace v0
}  // namespace iothub
