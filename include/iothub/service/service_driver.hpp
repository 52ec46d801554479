// The driver of a service client: carries requests over an HTTP transport, on a loop. Not a template; what depends on
// policies is behind virtual functions, filled in by service_client.hpp.
//
// Theory of operation (client_driver.hpp has what all clients share).
//   - I/O steps the transport and ends operations: by their answer, by their deadline, or it sends them again.
//   - Handlers are completions, in the order in which operations ended.
//   - A blocking call waits for its own operation, whose end is handed to it directly; so it works inside a completion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/message.hpp>
#include <iothub/http/retry_after.hpp>
#include <iothub/io/client_driver.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/io/participant.hpp>
#include <iothub/io/retry.hpp>
#include <iothub/policy/endpoint.hpp>
#include <iothub/policy/http_transport.hpp>
#include <iothub/service/service_options.hpp>

namespace iothub {
inline namespace v0 {

class service_driver : public client_driver {
 public:
  using completion = function<void(result<http::response>&&)>;
  struct submission {
    http::request request = {};
    bool only_reads = false;
    duration hub_time = {};
  };

  service_driver(loop& on, std::string host, service_options options, std::uint64_t seed)
      : client_driver{on},
        hub_{.host = std::move(host), .port = options.https_port},
        options_{std::move(options)},
        seed_{seed} {}

  // Sends the request and runs the loop until it has ended.
  result<http::response> wait_for(submission&& what);
  // Sends it; `done` is called from the loop, once.
  void begin(submission&& what, completion done);
  // Calls `done` from the loop with this error.
  void refuse(error why, completion done);
  // Ends all that is pending with errc::closed, and runs those completions unless this is inside one.
  void close();

  [[nodiscard]] std::string const& host() const noexcept { return hub_.host; }
  [[nodiscard]] std::size_t pending() const noexcept { return operations_.size(); }

 protected:
  // The HTTP policy.
  virtual exchange_id start_exchange(endpoint const& where, http::request&& what, time_point now) = 0;
  virtual void cancel_exchange(exchange_id id) = 0;
  virtual void step_transport(time_point now) = 0;
  virtual std::optional<http_completion> next_completion() = 0;
  [[nodiscard]] virtual time_point transport_deadline() const = 0;
  virtual void attach_transport(loop& on, participant& whom) = 0;
  // The value of the Authorization header; the view holds until the next call.
  virtual result<std::string_view> authorization() = 0;
  // Joins the loop; the transport is there.
  void start() {
    attach_transport(on(), io());
    join();
  }

 private:
  // Where a blocking call waits; lives on its stack.
  struct waiter {
    maybe<result<http::response>> outcome = {};
  };
  struct operation {
    http::request request = {};    // complete while it may be sent again, else method and target, for messages
    bool may_repeat = false;
    std::uint32_t attempts = 1;
    exchange_id exchange = 0;      // 0: waits for retry_at
    time_point retry_at = never;
    time_point deadline = never;
    waiter* blocked = nullptr;
    completion done = {};
  };
  struct finished {
    completion done;
    result<http::response> outcome;
  };

  result<void> add(submission&& what, waiter* blocked, completion&& done, time_point now);
  result<exchange_id> send(http::request&& request, time_point now);
  inline void step_io(time_point now) override;
  [[nodiscard]] inline time_point io_deadline() const override;
  [[nodiscard]] inline std::string describe() const override;
  inline void step_handlers(time_point now) override;
  void abandon() noexcept override { cancel_all(); }
  void collect(time_point now);
  void on_answer(std::size_t index, result<http::response>&& outcome, time_point now);
  [[nodiscard]] maybe<time_point> retry_time(operation const& o, result<http::response> const& outcome,
                                                     time_point now) const;
  void on_time(time_point now);
  void finish(std::size_t index, result<http::response>&& outcome);
  void make_room();
  // "GET /devices/d1"
  static std::string name_of(http::request const& what) {
    return what.method + " " + what.target.substr(0, what.target.find('?'));
  }
  void forget(waiter const& w) noexcept;
  void cancel_all() noexcept;

  endpoint hub_;
  service_options options_;
  std::uint64_t seed_;
  std::uint64_t retries_ = 0;
  lean_vector<operation> operations_;
  lean_vector<finished> finished_;  // completions to run
  http::request spare_;  // of an operation that ended: its memory is used again
  std::size_t next_finished_ = 0;
};

// --- bodies ---------------------------------------------------------------------------------------------------------

inline void service_driver::cancel_all() noexcept {
  for (auto const& o : operations_)
    if (o.exchange != 0) cancel_exchange(o.exchange);
  operations_.clear();
}

inline result<http::response> service_driver::wait_for(submission&& what) {
  frame const f{*this};
  waiter w;
  struct forgotten_at_last {  // also when an exception leaves the loop
    service_driver& driver;
    waiter const& w;
    ~forgotten_at_last() { driver.forget(w); }
  } const guard{*this, w};
  time_point const now = on().now();
  if (auto added = add(std::move(what), &w, {}, now); !added) return std::move(added).error();
  collect(now);  // a transport in process has answered already
  if (w.outcome) return *std::move(w.outcome);
  wake_io();
  auto ended = on().run_until([&] { return w.outcome.has_value() || released(); });
  if (w.outcome) return *std::move(w.outcome);
  if (released()) return error{errc::closed, "the client was destroyed meanwhile"};
  return std::move(ended).error();
}

inline void service_driver::begin(submission&& what, completion done) {
  if (auto added = add(std::move(what), nullptr, std::move(done), on().now()); !added)
    refuse(std::move(added).error(), std::move(done));
  wake_io();
}

inline void service_driver::refuse(error why, completion done) {
  make_room();
  finished_.push_back({std::move(done), std::move(why)});
  wake_handlers();
}

inline void service_driver::close() {
  frame const f{*this};
  while (!operations_.empty()) {
    auto const& last = operations_.front();
    if (last.exchange != 0) cancel_exchange(last.exchange);
    finish(0, error{errc::closed, "the client was closed"});
  }
  if (in_handler()) return;  // told when that completion has returned
  (void)on().run_until([this] { return released() || next_finished_ == finished_.size(); }, on().now());
}

// For one more operation and for the ends of all: nothing may fail between sending and remembering, or when one ends.
inline void service_driver::make_room() {
  auto const at_least = [](auto& list, std::size_t size) {
    if (list.capacity() < size) list.reserve(size < 2 * list.capacity() ? 2 * list.capacity() : size);
  };
  at_least(operations_, operations_.size() + 1);
  at_least(finished_, finished_.size() + operations_.size() + 2);
}

// `done` stays the caller's when this fails.
inline result<void> service_driver::add(submission&& what, waiter* blocked, completion&& done, time_point now) {
  if (operations_.size() >= options_.max_pending)
    return error{errc::outbox_full, "too many operations are pending (service_options.max_pending)"};
  make_room();
  operation o;
  o.request = std::move(spare_);
  o.may_repeat = what.only_reads && options_.read_retries != 0;
  if (o.may_repeat) {
    o.request = what.request;
  } else {
    o.request.method.assign(what.request.method);
    o.request.target.assign(what.request.target);
    o.request.headers.clear();
    o.request.body.clear();
  }
  o.deadline = iothub::add(now, what.hub_time > duration{0} ? what.hub_time + options_.method_margin
                                                            : options_.request_timeout);
  auto sent = send(std::move(what.request), now);
  if (!sent) return std::move(sent).error();
  o.exchange = *sent;
  o.blocked = blocked;
  o.done = std::move(done);
  operations_.push_back(std::move(o));
  return {};
}

inline result<exchange_id> service_driver::send(http::request&& request, time_point now) {
  auto token = authorization();
  if (!token) return std::move(token).error();
  request.headers.add("Authorization", *token);
  request.headers.add("User-Agent", options_.user_agent);
  return start_exchange(hub_, std::move(request), now);
}

inline void service_driver::step_io(time_point now) {
  step_transport(now);
  if (released()) return;
  collect(now);
  on_time(now);
}

inline void service_driver::collect(time_point now) {
  while (auto ended = next_completion()) {
    std::size_t at = 0;
    while (at != operations_.size() && operations_[at].exchange != ended->id) ++at;
    if (at != operations_.size()) on_answer(at, std::move(ended->outcome), now);
  }
}

inline void service_driver::on_answer(std::size_t index, result<http::response>&& outcome, time_point now) {
  operation& o = operations_[index];
  auto const again = retry_time(o, outcome, now);
  if (!again) return finish(index, std::move(outcome));
  o.exchange = 0;
  o.retry_at = *again;
  ++o.attempts;
  ++retries_;
}

// When to send it again; nothing when this answer is the last word.
inline maybe<time_point> service_driver::retry_time(operation const& o, result<http::response> const& outcome,
                                                            time_point now) const {
  if (!o.may_repeat || o.attempts > options_.read_retries) return {};
  bool const busy = outcome && (outcome->status == 429 || outcome->status == 503);
  bool const broken = !outcome && outcome.error() == errc::connection_lost;
  if (!busy && !broken) return {};
  duration wait = retry_delay(options_.retry, o.attempts - 1, seed_ + retries_);
  if (busy)
    if (auto const asked = http::retry_after(outcome->headers, on().utc_now())) wait = *asked;
  time_point const at = iothub::add(now, wait);
  if (at >= o.deadline) return {};
  return at;
}

inline void service_driver::on_time(time_point now) {
  for (std::size_t i = 0; i != operations_.size();) {
    operation& o = operations_[i];
    if (o.deadline <= now) {
      if (o.exchange != 0) cancel_exchange(o.exchange);
      std::string text =
          hub_.host + " did not answer " + name_of(o.request) + " in time; whether it was done is not known";
      finish(i, error{errc::timeout, std::move(text)});
      continue;
    }
    if (o.retry_at <= now) {
      auto sent = send(http::request{o.request}, now);
      if (!sent) {
        finish(i, std::move(sent).error());
        continue;
      }
      o.retry_at = never;
      o.exchange = *sent;
      wake_io();  // it may be answered already
    }
    ++i;
  }
}

inline void service_driver::finish(std::size_t index, result<http::response>&& outcome) {
  operation o = std::move(operations_[index]);
  operations_.erase(operations_.begin() + static_cast<std::ptrdiff_t>(index));
  if (!o.may_repeat) spare_ = std::move(o.request);
  if (o.blocked != nullptr) {
    o.blocked->outcome.emplace(std::move(outcome));
    return;
  }
  finished_.push_back({std::move(o.done), std::move(outcome)});  // there is room: add() saw to it
  wake_handlers();
}

inline void service_driver::step_handlers(time_point) {
  for (int budget = 32; next_finished_ != finished_.size() && !released(); --budget) {
    if (budget == 0) return wake_handlers();
    finished next = std::move(finished_[next_finished_]);
    if (++next_finished_ == finished_.size()) {
      finished_.clear();
      next_finished_ = 0;
    }
    next.done(std::move(next.outcome));
  }
}

inline void service_driver::forget(waiter const& w) noexcept {
  for (std::size_t i = 0; i != operations_.size(); ++i) {
    if (operations_[i].blocked != &w) continue;
    if (operations_[i].exchange != 0) cancel_exchange(operations_[i].exchange);
    operations_.erase(operations_.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

inline time_point service_driver::io_deadline() const {
  time_point first = transport_deadline();
  for (auto const& o : operations_) {
    if (o.deadline < first) first = o.deadline;
    if (o.retry_at < first) first = o.retry_at;
  }
  return first;
}

inline std::string service_driver::describe() const {
  if (operations_.empty()) return {};
  std::string text = "a service client waits for " + hub_.host + " to answer " + name_of(operations_.front().request);
  if (operations_.size() > 1) text += " and " + std::to_string(operations_.size() - 1) + " more";
  return text;
}

}  // namespace v0
}  // namespace iothub
