// The driver of a device client: joins the core to a loop and to the user's handlers. Not a template; what depends on
// policies (tokens, the wall clock) is behind two virtual functions, filled in by device_client.hpp.
//
// Theory of operation (client_driver.hpp has what all clients share).
//   - I/O steps the core, hands over tokens, and wakes the handlers when there is something to tell.
//   - Handlers are actions of the core in their order, then timers. A blocking call inside a handler runs the loop, so
//     I/O goes on and all else waits in the core's bounded inbox.
//   - A blocking call waits for its own operation, whose end is taken out of turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/slot_map.hpp>
#include <iothub/base/time.hpp>
#include <iothub/device/device_core.hpp>
#include <iothub/device/method_dispatcher.hpp>
#include <iothub/device/timer_list.hpp>
#include <iothub/io/client_driver.hpp>
#include <iothub/io/loop.hpp>

namespace iothub {
inline namespace v0 {

class device_driver : public client_driver {
 public:
  using completion = function<void(device_action&)>;

  device_driver(loop& on, dialect& speaks, connection_parameters parameters, device_options const& options,
                std::uint64_t seed);

  // Runs start(id) and the loop until that operation has ended.
  template <class Start>
  device_action wait_for(Start start);
  // Runs start(id); `done` is called from the loop, once.
  template <class Start>
  void begin(completion done, Start start);

  // The verbs of the core, for `start` above.
  [[nodiscard]] device_core& core() noexcept { return core_; }
  [[nodiscard]] device_core const& core() const noexcept { return core_; }
  void enable(feature what);
  void close();

  timer_id add_timer(duration wait, duration period, function<void()> call) {
    timer_id const made = timers_.add(iothub::add(on().now(), wait > duration{0} ? wait : duration{0}), period,
                                      std::move(call));
    wake_handlers();
    return made;
  }
  bool cancel_timer(timer_id id) { return timers_.cancel(id); }

  method_dispatcher methods;
  function<void(desired_update const&)> on_desired;
  function<settlement(c2d_message const&)> on_message;
  function<void(connection_status, connection_reason)> on_connection;

 protected:
  struct token_grant {
    std::string token = {};
    duration lifetime = {};
  };
  inline ~device_driver() override;
  virtual result<token_grant> mint_token() = 0;
  // Joins the loop; the transport is there.
  void start(dialect& speaks);

 private:
  // An operation that a blocking call waits for; lives on its stack.
  struct blocked {
    operation_id id = 0;
    blocked* below = nullptr;
    bool done = false;
    device_action action = {};
  };
  class blocked_entry {
   public:
    explicit blocked_entry(device_driver& d, blocked& b) noexcept : driver_{d}, blocked_{b} {
      b.below = exchanged(d.blocked_, &b);
    }
    blocked_entry(blocked_entry const&) = delete;
    blocked_entry& operator=(blocked_entry const&) = delete;
    ~blocked_entry() { driver_.blocked_ = blocked_.below; }

   private:
    device_driver& driver_;
    blocked& blocked_;
  };
  // What responders hold on to; outlives the driver while one is kept.
  struct answer_desk {
    device_driver* driver = nullptr;
    std::size_t holders = 0;
  };
  class answer_target {
   public:
    answer_target(answer_desk& desk, call_id call) noexcept : desk_{&desk}, call_{call} { ++desk.holders; }
    answer_target(answer_target&& other) noexcept : desk_{exchanged(other.desk_, nullptr)}, call_{other.call_} {}
    answer_target& operator=(answer_target&&) = delete;
    ~answer_target() { let_go(desk_); }
    result<void> operator()(method_response&& response);

   private:
    answer_desk* desk_;
    call_id call_;
  };
  static void let_go(answer_desk* desk) noexcept {
    if (desk != nullptr && --desk->holders == 0) delete desk;
  }

  inline void step_io(time_point now) override;
  [[nodiscard]] time_point io_deadline() const override { return core_.deadline(); }
  [[nodiscard]] std::string describe() const override { return core_.describe(); }
  inline void step_handlers(time_point now) override;
  [[nodiscard]] time_point handler_deadline() const override { return timers_.deadline(); }
  [[nodiscard]] inline std::string describe_handlers() const override;
  void abandon() noexcept override { core_.abandon(on().now()); }
  void collect_blocked();
  void dispatch(device_action a);
  void dispatch_method(device_action& a);
  void dispatch_message(device_action& a);
  result<void> answer(call_id call, method_response&& response);

  device_core core_;
  slot_map<completion> operations_;
  blocked* blocked_ = nullptr;
  std::uint64_t last_blocked_ = 0;
  timer_list timers_;
  answer_desk* desk_ = nullptr;
  std::string scratch_;
};

// --- implementation -------------------------------------------------------------------------------------------------

inline device_driver::device_driver(loop& on, dialect& speaks, connection_parameters parameters,
                                    device_options const& options, std::uint64_t seed)
    : client_driver{on}, core_{speaks, std::move(parameters), options, seed} {}

inline void device_driver::start(dialect& speaks) {
  speaks.attach(on(), io());
  join();
}

inline device_driver::~device_driver() {
  if (desk_ == nullptr) return;
  desk_->driver = nullptr;
  let_go(desk_);
}

template <class Start>
device_action device_driver::wait_for(Start start) {
  frame const f{*this};
  blocked b;
  // Ids of the slot map never reach the upper half: its generations would have to pass 2^31 first.
  b.id = (std::uint64_t{1} << 63) | ++last_blocked_;
  blocked_entry const entry{*this, b};
  wake_io();  // also when start() throws
  start(b.id);
  collect_blocked();
  auto ended = on().run_until([&] { return b.done || released(); });
  if (b.done) return std::move(b.action);
  if (released()) ended = error{errc::closed, "the client was destroyed meanwhile"};
  device_action none;
  none.outcome = std::move(ended);
  return none;
}

template <class Start>
void device_driver::begin(completion done, Start start) {
  operation_id const id = operations_.emplace(std::move(done));
  struct forgotten_when_not_started {  // a call that throws tells nobody
    slot_map<completion>& operations;
    operation_id id;
    bool started = false;
    ~forgotten_when_not_started() {
      if (!started) operations.erase(id);
    }
  } guard{operations_, id};
  wake_io();
  start(id);
  guard.started = true;
  if (core_.has_action()) wake_handlers();
}

inline void device_driver::enable(feature what) {
  wake_io();
  if (what == feature::methods && desk_ == nullptr) desk_ = new answer_desk{this, 1};
  core_.enable(what, on().now());
  if (core_.has_action()) wake_handlers();
}

inline void device_driver::close() {
  frame const f{*this};
  wake_io();
  wake_handlers();
  core_.close(on().now());
  collect_blocked();
  if (in_handler()) return;  // told when that handler has returned
  (void)on().run_until([this] { return released() || !core_.has_action(); }, on().now());
}

inline void device_driver::step_io(time_point now) {
  core_.step(now);
  // Each turn of this loop ends one attempt or starts one, so it is short: a failed mint waits for its back-off.
  while (core_.token_wanted()) {
    auto grant = mint_token();
    if (grant)
      core_.supply_token(std::move(grant->token), grant->lifetime, now);
    else
      core_.supply_token(std::move(grant).error(), duration{0}, now);
    core_.step(now);
  }
  collect_blocked();
  if (core_.has_action() && !released()) wake_handlers();
}

inline void device_driver::collect_blocked() {
  for (blocked* b = blocked_; b != nullptr; b = b->below)
    if (!b->done) b->done = core_.take_outcome(b->id, b->action);
}

inline void device_driver::step_handlers(time_point now) {
  // Enough for what a burst of confirmations leads to: what is sent meanwhile goes out in one write. Then I/O goes on.
  for (int budget = 128; core_.has_action() && !released(); --budget) {
    if (budget == 0) return wake_handlers();
    dispatch(core_.next_action());
  }
  // Only those that are due now: a timer set by a timer for this very moment has its turn in the next step.
  for (std::size_t left = timers_.size(); left != 0 && !released() && timers_.run_due(now); --left) {
  }
  if (!released()) wake_io();
}

inline void device_driver::dispatch(device_action a) {
  switch (a.kind) {
    case device_action_kind::operation_done:
      if (auto done = operations_.take(a.operation)) (*done)(a);
      return;
    case device_action_kind::connection_changed: {
      if (!on_connection) return;
      detail::borrowed_handler borrowed{on_connection, [this] { return &on_connection; }};
      return borrowed.call()(a.status, a.reason);
    }
    case device_action_kind::desired_changed: {
      if (!on_desired) return;
      detail::borrowed_handler borrowed{on_desired, [this] { return &on_desired; }};
      return borrowed.call()(a.desired);
    }
    case device_action_kind::method_called: return dispatch_method(a);
    case device_action_kind::message_received: return dispatch_message(a);
  }
}

inline void device_driver::dispatch_method(device_action& a) {
  // A session that the hub stored may bring calls to a client that never set a handler.
  if (desk_ == nullptr) desk_ = new answer_desk{this, 1};
  responder answer{answer_target{*desk_, a.call}};
  if (!a.outcome) return method_dispatcher::refuse_payload(std::move(answer));
  methods.dispatch(a.request, std::move(answer));
}

inline result<void> device_driver::answer_target::operator()(method_response&& response) {
  if (desk_->driver == nullptr || desk_->driver->released())
    return error{errc::closed, "the client that was called is gone"};
  return desk_->driver->answer(call_, std::move(response));
}

inline result<void> device_driver::answer(call_id call, method_response&& response) {
  time_point const now = on().now();
  scratch_.clear();
  response.payload.append_to(scratch_);
  result<void> outcome;
  if (scratch_.size() > max_method_payload_size) {
    (void)core_.answer_method(call, 500, R"({"message":"the answer is above 128 KB"})", now);
    outcome = error{errc::too_large, "the payload of a method response is above 128 KB"};
  } else {
    outcome = core_.answer_method(call, response.status, scratch_, now);
  }
  if (scratch_.capacity() > 256) std::string{}.swap(scratch_);
  wake_io();
  return outcome;
}

inline void device_driver::dispatch_message(device_action& a) {
  if (!on_message) return;
  settlement how = settlement::abandon;
  maybe<std::string> thrown;
  {
    detail::borrowed_handler borrowed{on_message, [this] { return &on_message; }};
#if IOTHUB_EXCEPTIONS
    try {
      how = borrowed.call()(*a.message);
    } catch (...) {  // not handled: it comes again
      thrown = detail::thrown_text();
    }
#else
    how = borrowed.call()(*a.message);
#endif
  }
  if (released()) return;
  (void)core_.settle_message(a.connection, a.where, how, on().now());
  if (thrown)
    methods.report({.kind = handler_kind::message, .name = a.message->content.message_id, .what = *thrown});
}

inline std::string device_driver::describe_handlers() const {
  if (timers_.empty()) return {};
  return "device " + core_.parameters().who.device_id + " waits for a timer";
}

}  // namespace v0
}  // namespace iothub
