// The event reader on its loop, apart from its policies.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <iothub/base/borrowed_handler.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/service/amqp_driver.hpp>
#include <iothub/service/event_reader_core.hpp>

namespace iothub {
inline namespace v0 {

class event_reader_driver : public amqp_driver, protected event_reader_host {
 public:
  using event_handler = function<void(hub_event const&)>;
  using notice_handler = function<void(reader_notice const&)>;

  using amqp_driver::amqp_driver;

  result<void> open(duration limit);
  result<hub_event> next(duration limit);
  void on_event(event_handler handler) {
    event_handler_ = std::move(handler);
    has_event_handler_ = static_cast<bool>(event_handler_);
    begin();
    wake_handlers();
  }
  void on_notice(notice_handler handler) {
    notice_handler_ = std::move(handler);
    wake_handlers();
  }
  void begin() {
    closed_ = false;
    core().begin(on().now());
    wake_io();
  }
  void close();
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] event_reader_core& core() noexcept { return *core_; }
  // The range's items.
  void advance();
  [[nodiscard]] maybe<result<hub_event>>& current() noexcept { return current_; }

 protected:
  void start(amqp_port& port, event_source_address source, event_reader_options options) {
    core_ = make_owned<event_reader_core>(port, static_cast<event_reader_host&>(*this), std::move(source),
                                          std::move(options));
    join();
  }
  void step_core(time_point now) override { core_->step(now); }
  inline void start_over(time_point now) override {
    core_->start_over({errc::out_of_memory, "the reader had no memory to go on with its connection"}, now);
  }
  [[nodiscard]] time_point core_deadline() const override { return core_->next_deadline(); }
  [[nodiscard]] std::string describe() const override { return core_->describe(); }
  inline bool handle_one() override;
  void output() override { wake_handlers(); }

 private:
  bool take(hub_event& into) {
    return with_connection([&] { return core().take(into); });
  }

  owned<event_reader_core> core_;
  event_handler event_handler_;
  notice_handler notice_handler_;
  maybe<result<hub_event>> current_;
  bool has_event_handler_ = false;  // while it runs it is out of its place
  bool over_ = false;               // the range
  bool closed_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

inline result<void> event_reader_driver::open(duration limit) {
  frame const f{*this};
  begin();
  auto const opened = [this] { return core().reading() || core().has_errors(); };
  auto ended = wait(opened, add(on().now(), limit));
  if (released()) return ended;
  if (auto wrong = core().take_error()) return *std::move(wrong);
  return ended;
}

inline result<hub_event> event_reader_driver::next(duration limit) {
  frame const f{*this};
  if (has_event_handler_) return error{errc::invalid_state, "events go to the reader's handler"};
  hub_event event;
  wake_io();  // credit may be on its way
  if (take(event)) return event;
  if (auto wrong = core().take_error()) return *std::move(wrong);
  if (closed_) return error{errc::closed, "the reader is closed"};
  if (core().failed()) return error{errc::closed, "the reader has failed; open() begins again"};
  begin();
  auto ended = wait([this] { return closed_ || !core().empty() || core().has_errors(); }, add(on().now(), limit));
  if (released()) return std::move(ended).error();
  if (take(event)) return event;
  if (auto wrong = core().take_error()) return *std::move(wrong);
  if (closed_) return error{errc::closed, "the reader is closed"};
  if (ended.error() == errc::timeout) return error{errc::timeout, "no event came in time"};
  return std::move(ended).error();
}

// The range goes on behind an error of one partition, and ends behind one of the whole reader; stop() and close() end
// it without a word.
inline void event_reader_driver::advance() {
  current_.reset();
  if (over_) return;
  auto next_one = next(duration::max());
  if (!next_one) {
    errc const why = next_one.error().code();
    if (why == errc::cancelled || why == errc::closed) return;
    over_ = core().failed() || why == errc::stalled || why == errc::invalid_state;
  }
  current_.emplace(std::move(next_one));
}

inline void event_reader_driver::close() {
  frame const f{*this};
  wake_io();
  with_connection([this] { core().close(); });
  closed_ = true;
  // The peer is given its time to answer (amqp::connection_options::close_timeout).
  (void)wait([this] { return core().state() == kept_connection::state_type::idle; }, never);
}

inline bool event_reader_driver::handle_one() {
  reader_notice notice;
  if (notice_handler_ && core().take_notice(notice)) {
    detail::borrowed_handler borrowed{notice_handler_, [this] { return &notice_handler_; }};
    borrowed.call()(notice);
    return true;
  }
  hub_event event;
  wake_io();
  if (!event_handler_ || !take(event)) return false;
  struct not_finished_when_it_throws {
    event_reader_core& core;
    bool returned = false;
    ~not_finished_when_it_throws() {
      if (!returned) core.not_finished();
    }
  } guard{core()};
  {
    detail::borrowed_handler borrowed{event_handler_, [this] { return &event_handler_; }};
    borrowed.call()(event);
  }
  guard.returned = true;
  if (released()) return false;
  with_connection([this] { core().finish(); });
  return true;
}

}  // namespace v0
}  // namespace iothub
