// Joins a core of the back end's AMQP side to a loop, apart from its transport, which a class template supplies.
//
//   - Two participants: one for transport, core and deadlines, which goes on inside a handler that blocks; one for
//     handlers, so that those of one client never nest.
//   - Whoever is on the stack holds a frame. The handle may go away at any time, in a handler too; the state follows
//     when the last frame has returned.
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
#include <iothub/io/loop.hpp>
#include <iothub/io/participant.hpp>

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

class amqp_driver {
 public:
  explicit amqp_driver(loop& on) noexcept : loop_{on} {}
  amqp_driver(amqp_driver const&) = delete;
  amqp_driver& operator=(amqp_driver const&) = delete;

  [[nodiscard]] loop& on() noexcept { return loop_; }
  // Called by the handle: at once when nothing of this client is on the stack, else when the last frame returns.
  void release() noexcept {
    released_ = true;
    loop_.remove(io_);
    loop_.remove(handlers_);
    if (frames_ == 0) delete this;
  }
  template <class Run>
  auto run(Run run) -> decltype(run()) {
    frame const f{*this};
    return run();
  }

 protected:
  class frame {
   public:
    explicit frame(amqp_driver& d) noexcept : driver_{d} { ++d.frames_; }
    frame(frame const&) = delete;
    frame& operator=(frame const&) = delete;
    ~frame() {
      if (--driver_.frames_ == 0 && driver_.released_) delete &driver_;
    }

   private:
    amqp_driver& driver_;
  };

  virtual ~amqp_driver() = default;
  virtual void step_transport(time_point now) = 0;
  [[nodiscard]] virtual time_point transport_deadline() const = 0;
  virtual void step_core(time_point now) = 0;
  // An exception (no memory) left the core or the transport while they used the connection: it has to be made again.
  virtual void start_over(time_point now) = 0;
  [[nodiscard]] virtual time_point core_deadline() const = 0;
  [[nodiscard]] virtual std::string describe() const = 0;
  // Calls one handler, or does nothing and returns false.
  virtual bool handle_one() = 0;

  void join() {
    loop_.add(io_);
    loop_.add(handlers_);
  }
  [[nodiscard]] participant& io() noexcept { return io_; }
  void wake_io() noexcept { loop_.wake(io_); }
  void wake_handlers() noexcept { loop_.wake(handlers_); }
  [[nodiscard]] bool released() const noexcept { return released_; }
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
    auto ended = loop_.run_until([&] { return released_ || done(); }, limit);
    if (released_) return error{errc::closed, "the client was destroyed meanwhile"};
    return ended;
  }

 private:
  class io_part final : public participant {
   public:
    explicit io_part(amqp_driver& d) noexcept : driver_{d} {}
    void step(time_point now) override {
      frame const f{driver_};
      if (driver_.in_doubt_) driver_.start_over(now);
      driver_.in_doubt_ = true;
      driver_.step_core(now);  // what is due is said before what came is answered
      driver_.step_transport(now);
      driver_.step_core(now);
      driver_.in_doubt_ = false;
    }
    [[nodiscard]] time_point deadline() const override {
      if (driver_.in_doubt_) return time_point::min();
      time_point const core = driver_.core_deadline();
      time_point const transport = driver_.transport_deadline();
      return core < transport ? core : transport;
    }
    [[nodiscard]] std::string describe() const override { return driver_.describe(); }

   private:
    amqp_driver& driver_;
  };
  class handler_part final : public participant {
   public:
    explicit handler_part(amqp_driver& d) noexcept : driver_{d} {}
    void step(time_point) override {
      frame const f{driver_};
      for (int budget = 64; !driver_.released_ && driver_.handle_one(); --budget)
        if (budget == 0) return driver_.wake_handlers();
    }
    [[nodiscard]] time_point deadline() const override { return never; }
    [[nodiscard]] nesting nested() const noexcept override { return nesting::handler; }

   private:
    amqp_driver& driver_;
  };

  loop& loop_;
  loop::tenancy tenancy_{loop_};
  io_part io_{*this};
  handler_part handlers_{*this};
  int frames_ = 0;
  bool in_doubt_ = false;  // an exception left what used the connection, or it is used now
  bool released_ = false;
};

}  // namespace v0
}  // namespace iothub
