// The loop: the only place where anything waits. A blocking call is "run the loop until my operation is done", so it
// works alike in real and in virtual time, and also inside a handler.
//
// Theory of operation. A turn waits for the first of: an event from outside, the next deadline, the caller's limit.
// Then it freezes now(), runs what was posted, and steps every participant that was woken before or is due. Whoever is
// woken meanwhile has its step in the next turn. Idle participants are never looked at, so a turn costs what its events
// cost.
//   1. One thread. post() and stop() may be called from others where the loop says so (net::epoll_loop).
//   2. Order is first woken, first stepped; timers before them by deadline, then by the order they were set. Nothing
//      depends on addresses, so in virtual time the same program takes the same steps.
//   3. Runs may nest: step() may call something that runs the loop again. nesting says who is stepped inside. Whoever
//      must wait is stepped after the frame that it waits for has returned.
//   4. A participant may join, leave or be destroyed at any time, on or off the stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <iothub/base/config.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/shared_cell.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/fd_watcher.hpp>
#include <iothub/io/participant.hpp>
#include <iothub/io/timer_wheel.hpp>

namespace iothub {
inline namespace v0 {

class loop : public detail::participant_owner {
 public:
  // Participants that call user code wait when this many runs are nested; other participants go on.
  static constexpr int max_handler_depth = 8;
  // A run that would be nested deeper fails with errc::invalid_state.
  static constexpr int max_depth = 64;

  loop(loop const&) = delete;
  loop& operator=(loop const&) = delete;
  // Asserts that no client is left on it: one that outlives its loop (a fake hub has one) would go on using it.
  inline virtual ~loop();
  // What each client keeps of its loop, to be missed when it is still there at the loop's end.
  class tenancy {
   public:
    explicit tenancy(loop& of) noexcept : loop_{of} { ++of.tenants_; }
    tenancy(tenancy const&) = delete;
    tenancy& operator=(tenancy const&) = delete;
    ~tenancy() { --loop_.tenants_; }

   private:
    loop& loop_;
  };

  // Joins, and is stepped in the next turn. Leaves the loop that it was in before.
  void add(participant& p) noexcept;
  void remove(participant& p) noexcept final;
  // Has the participant stepped in the next turn. One that is not in this loop is ignored. O(1), allocates nothing.
  void wake(participant& p) noexcept;
  // Runs `call` once in the next turn, after what was posted before.
  virtual void post(function<void()> call) { posted_.push_back(std::move(call)); }

  // Ends all runs soon, also nested ones, and every later one until restart(). Safe in other threads where post() is.
  virtual void stop() noexcept { stopped_.store(true); }
  [[nodiscard]] bool stopped() const noexcept { return stopped_.load(); }
  void restart() noexcept { stopped_.store(false); }

  // The same value during a whole turn.
  [[nodiscard]] time_point now() const noexcept { return depth_ == 0 ? read_clock() : now_; }
  [[nodiscard]] virtual utc_time utc_now() const noexcept = 0;

  // Runs turns until done() says true.
  //   errc::timeout    `limit` has come; events due at `limit` itself were still handled
  //   errc::stalled    in virtual time, without a limit: nothing can ever happen; the text says who waits for what
  //   errc::cancelled  stop() was called
  template <class Predicate>
  result<void> run_until(Predicate done, time_point limit = never);
  // Runs for that long; errc::cancelled when stop() was called, errc::stalled as above only for an endless time.
  result<void> run_for(duration time);
  // Runs until something was done, at the latest until `limit`: whether anything was.
  bool run_one(time_point limit = never);
  // Does everything that can be done without waiting: how many turns had work.
  std::size_t poll();

  // When the loop wants to run next, without events from outside: for embedding into another loop. now() when somebody
  // has work already, `never` when there is nothing to wait for.
  [[nodiscard]] time_point next_deadline() const noexcept { return has_work() ? now() : timers_.next_deadline(); }
  // nullptr in virtual time.
  [[nodiscard]] virtual fd_watcher* watcher() noexcept { return nullptr; }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }  // participants
  [[nodiscard]] int depth() const noexcept { return depth_; }        // runs on the stack
  // Who waits for what, of those that say so, in the order they joined; at most `limit` of them.
  [[nodiscard]] std::string describe_waiting(std::size_t limit = 20) const;

 protected:
  explicit loop(time_point start) noexcept : now_{start}, timers_{start} {}

  // For the kinds of loops.
  // Waits for events from outside, at most until `until`; does not wait when that has passed. Wakes the participants
  // concerned and calls set_now(). False: nothing can ever happen.
  virtual bool wait(time_point until) = 0;
  [[nodiscard]] virtual time_point read_clock() const noexcept = 0;
  void set_now(time_point now) noexcept { now_ = now; }
  // Not later than the first deadline, in constant time; advancing to it in a turn makes it more exact.
  [[nodiscard]] time_point next_wakeup() const noexcept { return timers_.next_wakeup(); }
  [[nodiscard]] bool has_work() const noexcept { return ready_.first != nullptr || next_posted_ != posted_.size(); }

 private:
  enum class turn_end : unsigned char { worked, nothing, stalled, stopped };
  struct list {
    participant* first = nullptr;
    participant* last = nullptr;
  };
  // A step on the stack. Whoever removes the participant clears it here.
  class running_step {
   public:
    running_step(loop& l, participant& p) noexcept : loop_{l}, below_{l.running_}, stepped_{&p} {
      l.running_ = this;
      ++p.steps_running_;
    }
    running_step(running_step const&) = delete;
    running_step& operator=(running_step const&) = delete;
    ~running_step() {
      loop_.running_ = below_;
      if (stepped_ != nullptr) loop_.after_step(*stepped_, returned_);
    }
    void returned() noexcept { returned_ = true; }

   private:
    friend class loop;
    loop& loop_;
    running_step* below_;
    participant* stepped_;
    bool returned_ = false;
  };
  class running_loop {
   public:
    explicit running_loop(loop& l) noexcept : loop_{l} {
      if (l.depth_++ == 0) l.now_ = l.read_clock();
    }
    running_loop(running_loop const&) = delete;
    running_loop& operator=(running_loop const&) = delete;
    ~running_loop() { loop_.leave_run(); }

   private:
    loop& loop_;
  };

  template <participant::links participant::*Links>
  static void append(list& to, participant& p) noexcept;
  template <participant::links participant::*Links>
  static void take_out(list& from, participant& p) noexcept;

  turn_end turn(time_point limit);
  void run_posted();
  void step_ready();
  void step(participant& p);
  void after_step(participant& p, bool returned) noexcept;
  void update_deadline(participant& p) noexcept;
  void make_ready(participant& p) noexcept;
  void leave_queue(participant& p) noexcept;
  void leave_run() noexcept;
  [[nodiscard]] bool must_wait(participant& p) noexcept;
  [[nodiscard]] error out_of_time();
  [[nodiscard]] std::string who_waits() const;
  [[nodiscard]] error stall_error() const;

  time_point now_;
  timer_wheel<participant, &participant::timer_> timers_;
  list ready_;
  list postponed_;  // handlers that wait for a less deep run
  list members_;
  std::size_t size_ = 0;
  std::size_t tenants_ = 0;
  lean_vector<function<void()>> posted_;
  std::size_t next_posted_ = 0;
  running_step* running_ = nullptr;
  std::uint32_t turn_ = 0;
  int depth_ = 0;
  detail::shared_cell<bool> stopped_{false};
};

template <class Predicate>
result<void> loop::run_until(Predicate done, time_point limit) {
  if (depth_ >= max_depth) return error{errc::invalid_state, "the loop is run inside too many of its own runs"};
  running_loop const run{*this};
  while (!done()) {
    switch (turn(limit)) {
      case turn_end::stopped: return error{errc::cancelled, "the loop was stopped"};
      case turn_end::stalled: return stall_error();
      case turn_end::nothing:
        if (now_ >= limit) return done() ? result<void>{} : result<void>{out_of_time()};
        break;
      case turn_end::worked:
        if (now_ > limit) return done() ? result<void>{} : result<void>{out_of_time()};
        break;
    }
  }
  return {};
}

inline result<void> loop::run_for(duration time) {
  result<void> ended = run_until([] { return false; }, iothub::add(now(), time));
  if (!ended && ended.error() == errc::timeout) return {};
  return ended;
}

inline bool loop::run_one(time_point limit) {
  if (depth_ >= max_depth) return false;
  running_loop const run{*this};
  for (;;) {
    turn_end const end = turn(limit);
    if (end != turn_end::nothing) return end == turn_end::worked;
    if (now_ >= limit) return false;
  }
}

inline std::size_t loop::poll() {
  std::size_t turns = 0;
  if (depth_ >= max_depth) return turns;
  running_loop const run{*this};
  while (turn(time_point::min()) == turn_end::worked) ++turns;
  return turns;
}

inline loop::~loop() {
  IOTHUB_ASSERT(tenants_ == 0 && "a client outlives its loop, or the fake hub that it belongs to");
  while (members_.first != nullptr) remove(*members_.first);
}

template <participant::links participant::*Links>
void loop::append(list& to, participant& p) noexcept {
  (p.*Links).previous = to.last;
  (p.*Links).next = nullptr;
  (to.last != nullptr ? (to.last->*Links).next : to.first) = &p;
  to.last = &p;
}

template <participant::links participant::*Links>
void loop::take_out(list& from, participant& p) noexcept {
  participant::links& l = p.*Links;
  (l.previous != nullptr ? (l.previous->*Links).next : from.first) = l.next;
  (l.next != nullptr ? (l.next->*Links).previous : from.last) = l.previous;
  l = {};
}

inline void loop::add(participant& p) noexcept {
  if (p.owner_ == this) return;
  if (p.owner_ != nullptr) p.owner_->remove(p);
  p.owner_ = this;
  append<&participant::member_links_>(members_, p);
  ++size_;
  make_ready(p);
}

inline void loop::remove(participant& p) noexcept {
  if (p.owner_ != this) return;
  for (running_step* s = running_; s != nullptr; s = s->below_)
    if (s->stepped_ == &p) s->stepped_ = nullptr;
  leave_queue(p);
  if (timers_.linked(p)) timers_.erase(p);
  take_out<&participant::member_links_>(members_, p);
  --size_;
  p.owner_ = nullptr;
  p.steps_running_ = 0;
  p.woken_while_running_ = false;
}

inline void loop::wake(participant& p) noexcept {
  if (p.owner_ == this) make_ready(p);
}

inline void loop::make_ready(participant& p) noexcept {
  if (p.queue_ != participant::queue::none) return;
  p.queue_ = participant::queue::ready;
  p.woken_in_turn_ = turn_;
  append<&participant::queue_links_>(ready_, p);
}

inline void loop::leave_queue(participant& p) noexcept {
  if (p.queue_ == participant::queue::none) return;
  take_out<&participant::queue_links_>(p.queue_ == participant::queue::ready ? ready_ : postponed_, p);
  p.queue_ = participant::queue::none;
}

inline loop::turn_end loop::turn(time_point limit) {
  if (stopped()) return turn_end::stopped;
  time_point until = time_point::min();
  if (!has_work()) until = next_wakeup() < limit ? next_wakeup() : limit;
  if (!wait(until)) return turn_end::stalled;
  timers_.advance(now_, [this](participant& p) { make_ready(p); });
  if (!has_work()) return stopped() ? turn_end::stopped : turn_end::nothing;
  ++turn_;
  run_posted();
  step_ready();
  return turn_end::worked;
}

inline void loop::run_posted() {
  for (std::size_t left = posted_.size() - next_posted_; left != 0 && next_posted_ != posted_.size(); --left) {
    function<void()> call = std::move(posted_[next_posted_]);
    if (++next_posted_ == posted_.size()) {
      posted_.clear();
      next_posted_ = 0;
    }
    call();
    if (stopped()) return;
  }
}

inline void loop::step_ready() {
  std::uint32_t const this_turn = turn_;
  // The difference stays right when the count of turns wraps; a nested run may have gone on to later turns.
  while (ready_.first != nullptr && static_cast<std::int32_t>(ready_.first->woken_in_turn_ - this_turn) < 0) {
    participant& p = *ready_.first;
    leave_queue(p);
    if (must_wait(p)) continue;
    step(p);
    if (stopped()) return;
  }
}

inline bool loop::must_wait(participant& p) noexcept {
  if (p.steps_running_ != 0 && p.nested() != nesting::reentrant) {
    p.woken_while_running_ = true;
    return true;
  }
  if (depth_ > max_handler_depth && p.nested() == nesting::handler) {
    p.queue_ = participant::queue::postponed;
    append<&participant::queue_links_>(postponed_, p);
    return true;
  }
  return false;
}

inline void loop::step(participant& p) {
  running_step frame{*this, p};
  p.step(now_);
  frame.returned();
}

inline void loop::after_step(participant& p, bool returned) noexcept {
  if (--p.steps_running_ == 0 && exchanged(p.woken_while_running_, false)) make_ready(p);
  if (returned)
    update_deadline(p);
  else
    make_ready(p);
}

inline void loop::update_deadline(participant& p) noexcept {
  time_point const at = p.deadline();
  if (timers_.linked(p)) {
    if (p.timer_.at == at) return;
    timers_.erase(p);
  }
  if (at <= now_)
    make_ready(p);
  else if (at != never)
    timers_.insert(p, at);
}

inline void loop::leave_run() noexcept {
  --depth_;
  if (depth_ > max_handler_depth) return;
  while (postponed_.first != nullptr) {
    participant& p = *postponed_.first;
    leave_queue(p);
    make_ready(p);
  }
}

inline std::string loop::describe_waiting(std::size_t limit) const {
  std::string text;
  std::size_t left = size_;
  for (participant const* p = members_.first; p != nullptr && limit != 0; p = p->member_links_.next, --left) {
    std::string const line = p->describe();
    if (line.empty()) continue;
    if (!text.empty()) text += "; ";
    text += line;
    --limit;
  }
  if (left != 0) text += "; and " + std::to_string(left) + " more";
  return text;
}

inline std::string loop::who_waits() const {
  if (size_ == 0) return "the loop has no participants";
  std::string text = describe_waiting();
  return !text.empty() ? text : "none of the " + std::to_string(size_) + " participants says what it waits for";
}

inline error loop::stall_error() const {
  std::string text =
      has_work() ? "time stands still, since someone is woken again and again: " : "nothing can ever happen any more: ";
  return {errc::stalled, text + who_waits()};
}

inline error loop::out_of_time() {
  std::string text = "it did not happen in time";
  if (watcher() == nullptr && !has_work() && timers_.size() == 0) text += ", and never would have: " + who_waits();
  return {errc::timeout, std::move(text)};
}

}  // namespace v0
}  // namespace iothub
