// The service messenger on its loop, apart from its policies.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/borrowed_handler.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/undo.hpp>
#include <iothub/base/uuid.hpp>
#include <iothub/service/amqp_driver.hpp>
#include <iothub/service/messenger_core.hpp>

namespace iothub {
inline namespace v0 {

class messenger_driver : public amqp_driver, protected messenger_host {
 public:
  using stream = messenger_core::stream;
  using sent_handler = function<void(result<std::string>)>;
  using feedback_handler = function<void(feedback_batch const&)>;
  using files_handler = function<void(file_notification const&)>;

  using amqp_driver::amqp_driver;

  result<std::string> send(std::string_view device_id, message&& what, c2d_send_options const& how);
  void begin_send(std::string_view device_id, message&& what, c2d_send_options const& how, sent_handler done);
  template <class T>
  result<T> receive(stream from, duration limit);
  void on_feedback(feedback_handler handler) {
    feedback_ = std::move(handler);
    has_feedback_ = static_cast<bool>(feedback_);
    listen(stream::feedback);
  }
  void on_files(files_handler handler) {
    files_ = std::move(handler);
    has_files_ = static_cast<bool>(files_);
    listen(stream::files);
  }
  result<void> settle(stream from, back_end_lock lock, bool complete) {
    return with_connection([&] { return core_->settle(from, lock, complete); });
  }
  void close();
  [[nodiscard]] messenger_core& core() noexcept { return *core_; }

 protected:
  void start(amqp_port& port, endpoint hub, std::string resource, messenger_options options) {
    random_ = prng{options.seed};
    core_ = make_owned<messenger_core>(port, static_cast<messenger_host&>(*this), std::move(hub), std::move(resource),
                                       std::move(options));
    join();
  }
  void step_core(time_point now) override { core_->step(now); }
  inline void start_over(time_point now) override {
    core_->start_over({errc::out_of_memory, "the messenger had no memory to go on with its connection"}, now);
  }
  [[nodiscard]] time_point core_deadline() const override { return core_->next_deadline(); }
  [[nodiscard]] std::string describe() const override { return core_->describe(); }
  inline bool handle_one() override;
  inline void outcome(std::uint64_t id, result<void> what) override;
  void output() override { wake_handlers(); }

 private:
  struct waiter {  // lives on the stack of a blocking call
    maybe<result<void>> outcome = {};
  };
  struct open_send {
    std::uint64_t id = 0;
    std::string message_id = {};
    waiter* blocked = nullptr;
    sent_handler done = {};
  };
  struct finished_send {
    sent_handler done = {};
    result<std::string> outcome = std::string{};
  };
  void listen(stream from) {
    closed_ = false;
    wake_io();
    wake_handlers();
    with_connection([&] { core_->receive(from, on().now()); });
  }
  // At the back of those that are open, or an error.
  inline result<std::uint64_t> submit(std::string_view device_id, message& what, c2d_send_options const& how,
                                      open_send&& place);
  void name(message& what) {
    if (!what.message_id.empty()) return;
    char bytes[uuid_bytes];
    random_.fill(bytes);
    what.message_id = to_uuid({bytes, sizeof bytes});
  }
  // Completes what a handler took, when it has returned; a handler that throws leaves it to the hub's lock time-out.
  template <class T, class Handler>
  bool hand_out(stream from, Handler& handler) {
    T what;
    if (!handler || !core_->take(what)) return false;
    {
      detail::borrowed_handler borrowed{handler, [&handler] { return &handler; }};
      borrowed.call()(static_cast<T const&>(what));
    }
    if (released()) return true;
    wake_io();
    (void)settle(from, what.lock, true);
    return true;
  }

  owned<messenger_core> core_;
  std::deque<open_send> open_;
  std::deque<finished_send> finished_;
  feedback_handler feedback_;
  files_handler files_;
  bool has_feedback_ = false;  // a handler that runs is out of its place
  bool has_files_ = false;
  prng random_{0};
  bool closed_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

inline result<std::uint64_t> messenger_driver::submit(std::string_view device_id, message& what,
                                                      c2d_send_options const& how, open_send&& place) {
  name(what);
  open_.push_back(std::move(place));  // first: a call that throws has sent nothing
  undo back{[this]() noexcept { open_.pop_back(); }};
  auto const id = core_->send(device_id, what, how, on().now());
  if (!id) return id;
  back.dismiss();
  open_.back().id = *id;
  wake_io();
  return id;
}

inline result<std::string> messenger_driver::send(std::string_view device_id, message&& what,
                                                  c2d_send_options const& how) {
  frame const f{*this};
  waiter w;
  auto const id = submit(device_id, what, how, {.blocked = &w});
  if (!id) return id.error();
  undo const at_last{[this, &id]() noexcept {  // also when an exception leaves the loop
    core_->forget(*id);
    for (std::size_t i = 0; i != open_.size(); ++i)
      if (open_[i].id == *id) {
        open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      }
  }};
  auto ended = wait([&] { return w.outcome.has_value(); }, never);
  if (w.outcome) {
    if (!*w.outcome) return std::move(w.outcome->error());
    return std::move(what.message_id);
  }
  return std::move(ended).error();
}

inline void messenger_driver::begin_send(std::string_view device_id, message&& what, c2d_send_options const& how,
                                         sent_handler done) {
  auto const id = submit(device_id, what, how, {});
  if (!id) {
    finished_.push_back({std::move(done), id.error()});
    return wake_handlers();
  }
  open_.back().message_id = std::move(what.message_id);
  open_.back().done = std::move(done);
}

inline void messenger_driver::outcome(std::uint64_t id, result<void> what) {
  for (std::size_t i = 0; i != open_.size(); ++i) {
    if (open_[i].id != id) continue;
    open_send& ended = open_[i];
    if (ended.blocked != nullptr) {
      ended.blocked->outcome.emplace(std::move(what));
    } else {
      finished_send& told = finished_.emplace_back();  // room first: behind this nothing fails
      told.done = std::move(ended.done);
      if (what)
        told.outcome = std::move(ended.message_id);
      else
        told.outcome = std::move(what).error();
      wake_handlers();
    }
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

template <class T>
result<T> messenger_driver::receive(stream from, duration limit) {
  frame const f{*this};
  if (from == stream::feedback ? has_feedback_ : has_files_)
    return error{errc::invalid_state, "that goes to the messenger's handler"};
  T what;
  if (core_->take(what)) return what;
  if (auto wrong = core_->take_error(from)) return *std::move(wrong);
  closed_ = false;
  wake_io();
  with_connection([&] { core_->receive(from, on().now()); });
  auto ended = wait([&] { return closed_ || core_->has(from); }, add(on().now(), limit));
  if (released()) return std::move(ended).error();
  if (core_->take(what)) return what;
  if (auto wrong = core_->take_error(from)) return *std::move(wrong);
  if (closed_) return error{errc::closed, "the messenger was closed"};
  if (ended.error() == errc::timeout) return error{errc::timeout, "nothing came in time"};
  return std::move(ended).error();
}

inline void messenger_driver::close() {
  frame const f{*this};
  wake_io();
  with_connection([this] { core_->close(); });
  closed_ = true;
  (void)wait([this] { return core_->state() == kept_connection::state_type::idle; }, never);
}

inline bool messenger_driver::handle_one() {
  if (!finished_.empty()) {
    finished_send next = std::move(finished_.front());
    finished_.pop_front();
    next.done(std::move(next.outcome));
    return true;
  }
  return hand_out<feedback_batch>(stream::feedback, feedback_) || hand_out<file_notification>(stream::files, files_);
}

}  // namespace v0
}  // namespace iothub
