// The driver of a device client: joins the core to a loop and to the user's handlers. Not a template; what depends on
// policies (tokens, the wall clock) is behind two virtual functions, filled in by device_client.hpp.
//
// Theory of operation. Two participants share the state.
//   - The I/O participant steps the core, hands over tokens, and wakes the other when there is something to tell.
//   - The handler participant runs user code: actions of the core in their order, then timers. The loop never steps it
//     while its own step is on the stack, which is the whole of the rule "handlers of one client never nest". A
//     blocking call inside a handler runs the loop, so I/O goes on and all else waits in the core's bounded inbox.
//   - A blocking call waits for its own operation, whose end is taken out of turn.
//   - Whoever is on the stack (handlers, blocking calls) holds a frame. The handle may go away at any time; the state
//     follows when the last frame has returned.
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
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/slot_map.hpp>
#include <iothub/base/time.hpp>
#include <iothub/device/device_core.hpp>
#include <iothub/device/method_dispatcher.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/io/participant.hpp>

namespace iothub {
inline namespace v0 {

using timer_id = std::uint64_t;

class device_driver {
 public:
  using completion = function<void(device_action&)>;

  device_driver(loop& on, dialect& speaks, connection_parameters parameters, device_options const& options,
                std::uint64_t seed);
  device_driver(device_driver const&) = delete;
  device_driver& operator=(device_driver const&) = delete;
  // Called by the handle: at once when nothing of this client is on the stack, else when the last frame returns.
  void release() noexcept;

  // Runs start(id) and the loop until that operation has ended.
  template <class Start>
  device_action wait_for(Start start);
  // Runs start(id); `done` is called from the loop, once.
  template <class Start>
  void begin(completion done, Start start);

  // The verbs of the core, for `start` above.
  [[nodiscard]] device_core& core() noexcept { return core_; }
  [[nodiscard]] device_core const& core() const noexcept { return core_; }
  [[nodiscard]] loop& on() noexcept { return loop_; }
  [[nodiscard]] loop const& on() const noexcept { return loop_; }
  void enable(feature what);
  void close();

  template <class Run>
  auto run(Run run) -> decltype(run()) {  // with a frame, so that a handler may destroy the client meanwhile
    frame const f{*this};
    return run();
  }

  timer_id add_timer(duration wait, duration period, function<void()> call);
  bool cancel_timer(timer_id id);

  method_dispatcher methods;
  function<void(desired_update const&)> on_desired;
  function<settlement(c2d_message const&)> on_message;
  function<void(connection_status, connection_reason)> on_connection;

 protected:
  struct token_grant {
    std::string token = {};
    duration lifetime = {};
  };
  inline virtual ~device_driver();
  virtual result<token_grant> mint_token() = 0;
  // Joins the loop; the transport is there.
  void start(dialect& speaks);

 private:
  class io_part final : public participant {
   public:
    explicit io_part(device_driver& d) noexcept : driver_{d} {}
    void step(time_point now) override { driver_.step_io(now); }
    [[nodiscard]] time_point deadline() const override { return driver_.core_.deadline(); }
    [[nodiscard]] std::string describe() const override { return driver_.core_.describe(); }

   private:
    device_driver& driver_;
  };
  class handler_part final : public participant {
   public:
    explicit handler_part(device_driver& d) noexcept : driver_{d} {}
    void step(time_point now) override { driver_.step_handlers(now); }
    [[nodiscard]] time_point deadline() const override { return driver_.timer_deadline(); }
    [[nodiscard]] std::string describe() const override { return driver_.describe_timers(); }
    [[nodiscard]] nesting nested() const noexcept override { return nesting::handler; }

   private:
    device_driver& driver_;
  };
  class frame {
   public:
    explicit frame(device_driver& d) noexcept : driver_{d} { ++d.frames_; }
    frame(frame const&) = delete;
    frame& operator=(frame const&) = delete;
    ~frame() {
      if (--driver_.frames_ == 0 && driver_.released_) delete &driver_;
    }

   private:
    device_driver& driver_;
  };
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
  struct timer {
    timer_id id = 0;
    time_point at = never;
    duration period = {};
    function<void()> call = {};
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

  void step_io(time_point now);
  void step_handlers(time_point now);
  void collect_blocked();
  void dispatch(device_action a);
  void dispatch_method(device_action& a);
  void dispatch_message(device_action& a);
  result<void> answer(call_id call, method_response&& response);
  bool run_due_timer(time_point now);
  [[nodiscard]] time_point timer_deadline() const noexcept;
  [[nodiscard]] std::string describe_timers() const;

  loop& loop_;
  loop::tenancy tenancy_{loop_};
  device_core core_;
  io_part io_{*this};
  handler_part handlers_{*this};
  slot_map<completion> operations_;
  blocked* blocked_ = nullptr;
  std::uint64_t last_blocked_ = 0;
  lean_vector<timer> timers_;
  timer_id last_timer_ = 0;
  answer_desk* desk_ = nullptr;
  std::string scratch_;
  int frames_ = 0;
  int handler_frames_ = 0;
  bool released_ = false;
};

// --- implementation -------------------------------------------------------------------------------------------------

inline device_driver::device_driver(loop& on, dialect& speaks, connection_parameters parameters,
                                    device_options const& options, std::uint64_t seed)
    : loop_{on}, core_{speaks, std::move(parameters), options, seed} {}

inline void device_driver::start(dialect& speaks) {
  speaks.attach(loop_, io_);
  loop_.add(io_);
  loop_.add(handlers_);
}

inline device_driver::~device_driver() {
  if (desk_ == nullptr) return;
  desk_->driver = nullptr;
  let_go(desk_);
}

inline void device_driver::release() noexcept {
  released_ = true;
  core_.abandon(loop_.now());
  loop_.remove(handlers_);  // no user code from now on
  if (frames_ == 0) delete this;
}

template <class Start>
device_action device_driver::wait_for(Start start) {
  frame const f{*this};
  blocked b;
  // Ids of the slot map never reach the upper half: its generations would have to pass 2^31 first.
  b.id = (std::uint64_t{1} << 63) | ++last_blocked_;
  blocked_entry const entry{*this, b};
  loop_.wake(io_);  // also when start() throws
  start(b.id);
  collect_blocked();
  auto ended = loop_.run_until([&] { return b.done || released_; });
  if (b.done) return std::move(b.action);
  device_action none;
  none.outcome = released_ ? result<void>{error{errc::closed, "the client was destroyed meanwhile"}} : std::move(ended);
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
  loop_.wake(io_);
  start(id);
  guard.started = true;
  if (core_.has_action()) loop_.wake(handlers_);
}

inline void device_driver::enable(feature what) {
  loop_.wake(io_);
  if (what == feature::methods && desk_ == nullptr) desk_ = new answer_desk{this, 1};
  core_.enable(what, loop_.now());
  if (core_.has_action()) loop_.wake(handlers_);
}

inline void device_driver::close() {
  frame const f{*this};
  loop_.wake(io_);
  loop_.wake(handlers_);
  core_.close(loop_.now());
  collect_blocked();
  if (handler_frames_ != 0) return;  // told when that handler has returned
  (void)loop_.run_until([this] { return released_ || !core_.has_action(); }, loop_.now());
}

inline void device_driver::step_io(time_point now) {
  frame const f{*this};  // a policy that the user wrote may do away with the client
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
  if (core_.has_action() && !released_) loop_.wake(handlers_);
}

inline void device_driver::collect_blocked() {
  for (blocked* b = blocked_; b != nullptr; b = b->below)
    if (!b->done) b->done = core_.take_outcome(b->id, b->action);
}

inline void device_driver::step_handlers(time_point now) {
  frame const f{*this};
  struct counted {
    explicit counted(int& n) noexcept : count{n} { ++count; }
    counted(counted const&) = delete;
    counted& operator=(counted const&) = delete;
    ~counted() { --count; }
    int& count;
  } const inside{handler_frames_};
  // Enough for what a burst of confirmations leads to: what is sent meanwhile goes out in one write. Then I/O goes on.
  for (int budget = 128; core_.has_action() && !released_; --budget) {
    if (budget == 0) return loop_.wake(handlers_);
    dispatch(core_.next_action());
  }
  // Only those that are due now: a timer set by a timer for this very moment has its turn in the next step.
  for (std::size_t left = timers_.size(); left != 0 && !released_ && run_due_timer(now); --left) {
  }
  if (!released_) loop_.wake(io_);
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
  if (desk_->driver == nullptr || desk_->driver->released_)
    return error{errc::closed, "the client that was called is gone"};
  return desk_->driver->answer(call_, std::move(response));
}

inline result<void> device_driver::answer(call_id call, method_response&& response) {
  time_point const now = loop_.now();
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
  loop_.wake(io_);
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
  if (released_) return;
  (void)core_.settle_message(a.connection, a.where, how, loop_.now());
  if (thrown)
    methods.report({.kind = handler_kind::message, .name = a.message->content.message_id, .what = *thrown});
}

inline timer_id device_driver::add_timer(duration wait, duration period, function<void()> call) {
  timer t;
  t.id = ++last_timer_;
  t.at = add(loop_.now(), wait > duration{0} ? wait : duration{0});
  t.period = period;
  t.call = std::move(call);
  timers_.push_back(std::move(t));
  loop_.wake(handlers_);
  return last_timer_;
}

inline bool device_driver::cancel_timer(timer_id id) {
  for (std::size_t i = 0; i != timers_.size(); ++i) {
    if (timers_[i].id != id) continue;
    timers_.erase(timers_.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
  }
  return false;
}

// Runs the earliest timer that is due; false when none is.
inline bool device_driver::run_due_timer(time_point now) {
  std::size_t first = timers_.size();
  for (std::size_t i = 0; i != timers_.size(); ++i)
    if (timers_[i].at <= now && (first == timers_.size() || timers_[i].at < timers_[first].at)) first = i;
  if (first == timers_.size()) return false;
  timer_id const id = timers_[first].id;
  if (timers_[first].period <= duration{0}) {
    function<void()> call = std::move(timers_[first].call);
    timers_.erase(timers_.begin() + static_cast<std::ptrdiff_t>(first));
    call();
    return true;
  }
  // A late one does not catch up: the next is one period from when this was due, but never in the past.
  time_point const next = add(timers_[first].at, timers_[first].period);
  timers_[first].at = next > now ? next : add(now, timers_[first].period);
  detail::borrowed_handler borrowed{timers_[first].call, [this, id]() -> function<void()>* {
                                      for (timer& t : timers_)
                                        if (t.id == id) return &t.call;
                                      return nullptr;
                                    }};
  borrowed.call()();
  return true;
}

inline time_point device_driver::timer_deadline() const noexcept {
  time_point earliest = never;
  for (timer const& t : timers_)
    if (t.at < earliest) earliest = t.at;
  return earliest;
}

inline std::string device_driver::describe_timers() const {
  if (timers_.empty()) return {};
  return "device " + core_.parameters().who.device_id + " waits for a timer";
}

}  // namespace v0
}  // namespace iothub
