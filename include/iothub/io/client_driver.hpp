// What the state of every client has in common: its place on a loop, and its end.
//
//   - Two participants share the state. One does I/O and keeps time, and goes on inside a handler that blocks. The
//     other runs the user's code; the loop never steps it while its own step is on the stack, so handlers of one client
//     never nest.
//   - Whoever is on the stack (a handler, a blocking call, a policy that the user wrote) holds a frame. The handle may
//     go away at any time; the state follows when the last frame has returned.
#pragma once

#include <string>

#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/io/participant.hpp>

namespace iothub {
inline namespace v0 {

class client_driver {
 public:
  client_driver(client_driver const&) = delete;
  client_driver& operator=(client_driver const&) = delete;

  [[nodiscard]] loop& on() noexcept { return loop_; }
  [[nodiscard]] loop const& on() const noexcept { return loop_; }
  // Called by the handle: at once when nothing of this client is on the stack, else when the last frame returns.
  void release() noexcept {
    released_ = true;
    abandon();
    loop_.remove(io_);
    loop_.remove(handlers_);  // no user code from now on
    if (frames_ == 0) delete this;
  }
  template <class Run>
  auto run(Run run) -> decltype(run()) {  // with a frame, so that a handler may destroy the client meanwhile
    frame const f{*this};
    return run();
  }

 protected:
  class frame {
   public:
    explicit frame(client_driver& d) noexcept : driver_{d} { ++d.frames_; }
    frame(frame const&) = delete;
    frame& operator=(frame const&) = delete;
    ~frame() {
      if (--driver_.frames_ == 0 && driver_.released_) delete &driver_;
    }

   private:
    client_driver& driver_;
  };

  explicit client_driver(loop& on) noexcept : loop_{on} {}
  virtual ~client_driver() = default;

  // As of participant; both are stepped with a frame.
  virtual void step_io(time_point now) = 0;
  [[nodiscard]] virtual time_point io_deadline() const = 0;
  [[nodiscard]] virtual std::string describe() const = 0;
  virtual void step_handlers(time_point now) = 0;
  [[nodiscard]] virtual time_point handler_deadline() const { return never; }
  [[nodiscard]] virtual std::string describe_handlers() const { return {}; }
  // The handle has gone: nothing that is under way will be told to anybody.
  virtual void abandon() noexcept {}

  void join() noexcept {
    loop_.add(io_);
    loop_.add(handlers_);
  }
  [[nodiscard]] participant& io() noexcept { return io_; }
  void wake_io() noexcept { loop_.wake(io_); }
  void wake_handlers() noexcept { loop_.wake(handlers_); }
  [[nodiscard]] bool released() const noexcept { return released_; }
  // A handler is on the stack: another runs when it has returned.
  [[nodiscard]] bool in_handler() const noexcept { return handlers_.running(); }

 private:
  class io_part final : public participant {
   public:
    explicit io_part(client_driver& d) noexcept : driver_{d} {}
    void step(time_point now) override {
      frame const f{driver_};
      driver_.step_io(now);
    }
    [[nodiscard]] time_point deadline() const override { return driver_.io_deadline(); }
    [[nodiscard]] std::string describe() const override { return driver_.describe(); }

   private:
    client_driver& driver_;
  };
  class handler_part final : public participant {
   public:
    explicit handler_part(client_driver& d) noexcept : driver_{d} {}
    void step(time_point now) override {
      frame const f{driver_};
      struct counted {
        explicit counted(int& n) noexcept : count{n} { ++count; }
        counted(counted const&) = delete;
        counted& operator=(counted const&) = delete;
        ~counted() { --count; }
        int& count;
      } const inside{running_};  // goes before the frame, which may end all of this
      driver_.step_handlers(now);
    }
    [[nodiscard]] time_point deadline() const override { return driver_.handler_deadline(); }
    [[nodiscard]] std::string describe() const override { return driver_.describe_handlers(); }
    [[nodiscard]] nesting nested() const noexcept override { return nesting::handler; }
    [[nodiscard]] bool running() const noexcept { return running_ != 0; }

   private:
    client_driver& driver_;
    int running_ = 0;
  };

  loop& loop_;
  loop::tenancy tenancy_{loop_};
  io_part io_{*this};
  handler_part handlers_{*this};
  int frames_ = 0;
  bool released_ = false;
};

}  // namespace v0
}  // namespace iothub
