// The service messenger without its loop: cloud-to-device messages out, feedback and file notifications in.
//
// Theory of operation. One connection to the hub, made when it is needed first, with a link for each of the three that
// is used (Microsoft docs "Communicate with your IoT hub by using the AMQP protocol", service client):
//   sender    "/messages/devicebound"; properties.to names the device, the disposition is the outcome
//   receivers "/messages/serviceBound/feedback" and ".../filenotifications"
//
// A message is queued, then sent once, and its outcome is told exactly once: accepted; refused, with the hub's reason;
// timeout or connection_lost where it was sent and nothing came back: then nobody knows whether the hub has it, and it
// is not sent again. What was not sent yet waits through reconnects until its time is over. A refusal that concerns the
// connection (wrong key, no right to send) ends everything that waits.
//
// What is received is locked by the hub until it is completed or abandoned, on the connection on which it came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/maybe.hpp>
#include <iothub/service/c2d_message.hpp>
#include <iothub/service/event_message.hpp>
#include <iothub/service/kept_connection.hpp>
#include <iothub/service/messenger_options.hpp>
#include <iothub/service/sas_passes.hpp>
#include <iothub/wire/c2d_feedback.hpp>
#include <iothub/wire/connection_string.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/message_properties.hpp>

namespace iothub {
inline namespace v0 {

class messenger_host {
 public:
  virtual result<std::string> sign(sas_form form, std::string_view resource) = 0;
  [[nodiscard]] virtual utc_time utc_now() const = 0;
  virtual void outcome(std::uint64_t id, result<void> what) = 0;  // of send(), exactly once
  virtual void output() = 0;  // feedback, a notification or an error has come

 protected:
  ~messenger_host() = default;
};

class messenger_core final : public kept_connection {
 public:
  enum class stream : std::uint8_t { feedback, files };

  messenger_core(amqp_port& port, messenger_host& host, endpoint hub, std::string resource, messenger_options options);

  // Queues it. errc::invalid_argument (device id), outbox_full. `what` has a message id.
  result<std::uint64_t> send(std::string_view device_id, message const& what, c2d_send_options const& how,
                             time_point now);
  // The caller does not want to know any more; what was not sent is not.
  void forget(std::uint64_t id) noexcept;
  // From now on batches, or notifications, are received.
  void receive(stream what, time_point now);
  bool take(feedback_batch& into);
  bool take(file_notification& into);
  maybe<error> take_error(stream of);
  // errc::lock_lost: the connection on which it came is gone, the hub delivers it again.
  result<void> settle(stream of, back_end_lock lock, bool complete);

  void step(time_point now);
  [[nodiscard]] time_point next_deadline() const noexcept;
  // Ends everything that waits with errc::closed, and says good-bye.
  void close();
  [[nodiscard]] std::size_t pending() const noexcept { return sends_.size(); }
  [[nodiscard]] bool has(stream of) const noexcept {
    return (of == stream::feedback ? !batches_.empty() : !files_.empty()) ||
           !receivers_[static_cast<std::size_t>(of)].errors.empty();
  }
  [[nodiscard]] std::string describe() const;

 private:
  struct sending {
    std::uint64_t id = 0;
    std::string payload = {};  // empty when it was sent
    time_point give_up = never;
    bool sent = false;
  };
  struct receiver {
    bool wanted = false;
    bool attached = false;
    amqp::link* link = nullptr;
    time_point retry_at = time_point::min();
    std::uint32_t attempts = 0;
    std::deque<error> errors = {};
  };
  static kept_connection_options connection_options(messenger_options const& from);

  inline result<amqp_pass> make_pass(time_point now) override;
  inline void on_ready(time_point now) override;
  inline void on_down(error const& why, time_point now) override;
  inline void link_attached(amqp::link& which, amqp::attach const& how, time_point now) override;
  inline void link_credit(amqp::link& which, time_point now) override;
  inline void link_transfer(amqp::link& which, amqp::delivery const& what, time_point now) override;
  inline void link_disposition(amqp::link& which, amqp::settlement const& what, time_point now) override;
  inline void link_detached(amqp::link& which, amqp::end_reason const& why, time_point now) override;

  void connect(time_point now) {
    if (state() == state_type::idle) start(hub_, now);
  }
  void open_links(time_point now);
  amqp::link* attach(std::string_view name, amqp::link_role role, std::string_view address);
  void pump();
  void finish(std::uint64_t id, result<void> what);
  void fail_sends(error const& why, bool also_queued);
  void fail_all(error const& why);
  receiver& of(stream which) noexcept { return receivers_[static_cast<std::size_t>(which)]; }

  messenger_host& host_;
  endpoint hub_;
  std::string resource_;
  messenger_options options_;
  std::deque<sending> sends_;
  amqp::link* sender_ = nullptr;
  bool sender_attached_ = false;
  time_point sender_retry_ = time_point::min();
  std::uint32_t sender_attempts_ = 0;
  receiver receivers_[2];
  std::deque<feedback_batch> batches_;
  std::deque<file_notification> files_;
  std::uint64_t last_id_ = 0;
  std::uint64_t connections_ = 0;
  std::uint64_t links_made_ = 0;
};

// ---------------------------------------------------------------------------------------------------------------------

inline kept_connection_options messenger_core::connection_options(messenger_options const& from) {
  kept_connection_options made;
  made.amqp.container_id = "iothub-messenger";
  made.amqp.open_timeout = from.connect_timeout;
  made.amqp.idle_timeout = from.idle_timeout;
  made.sasl = from.sasl;
  made.token_timeout = from.token_timeout;
  made.retry = from.retry;
  made.seed = from.seed;
  return made;
}

inline messenger_core::messenger_core(amqp_port& port, messenger_host& host, endpoint hub, std::string resource,
                                      messenger_options options)
    : kept_connection{port, amqp_side::back_end, connection_options(options)},
      host_{host},
      hub_{std::move(hub)},
      resource_{std::move(resource)},
      options_{std::move(options)} {}

// --- sending ---------------------------------------------------------------------------------------------------------

inline result<std::uint64_t> messenger_core::send(std::string_view device_id, message const& what,
                                                  c2d_send_options const& how, time_point now) {
  if (!is_valid_id(device_id)) return error{errc::invalid_argument, "that is no device id"};
  if (sends_.size() >= options_.max_pending)
    return error{errc::outbox_full, "too many messages wait for their outcome (messenger_options.max_pending)"};
  byte_buffer bytes;
  write_c2d_message(device_id, what, how.ack, bytes);
  connect(now);
  sends_.push_back({last_id_ + 1, std::string{bytes.view()}, add(now, how.timeout)});  // behind this nothing throws
  ++last_id_;
  wake();  // it is sent in step(): no outcome comes before the caller knows the id
  return last_id_;
}

inline void messenger_core::forget(std::uint64_t id) noexcept {
  for (std::size_t i = 0; i != sends_.size(); ++i)
    if (sends_[i].id == id) {
      sends_.erase(sends_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
}

inline void messenger_core::pump() {
  if (sender_ == nullptr) return;
  for (std::size_t i = 0; i < sends_.size();) {
    sending& each = sends_[i];
    if (each.sent) {
      ++i;
      continue;
    }
    amqp::outgoing_delivery what;
    what.payload = each.payload;
    what.user = each.id;
    auto const gone = sender_->send(what);
    if (gone) {
      each.sent = true;
      std::string{}.swap(each.payload);
      wake();
      ++i;
    } else if (gone.error() == errc::too_large) {
      finish(each.id, error{errc::too_large, "the message is larger than the hub takes"});
    } else {
      return;  // on_credit follows
    }
  }
}

inline void messenger_core::finish(std::uint64_t id, result<void> what) {
  for (sending const& each : sends_)
    if (each.id == id) {
      host_.outcome(id, std::move(what));
      return forget(id);  // then: whoever must tell needs room for it
    }
}

inline void messenger_core::fail_sends(error const& why, bool also_queued) {
  for (std::size_t i = 0; i < sends_.size();) {
    if (!sends_[i].sent && !also_queued) {
      ++i;
      continue;
    }
    bool const unknown = sends_[i].sent;
    finish(sends_[i].id,
           unknown ? error{why == errc::closed ? errc::closed : errc::connection_lost,
                           std::string{"whether the hub has the message is not known: "}.append(why.message())}
                   : why);
  }
}

inline void messenger_core::fail_all(error const& why) {
  fail_sends(why, true);
  for (receiver& each : receivers_)
    if (each.wanted) {
      each.wanted = false;
      each.errors.push_back(why);
    }
  host_.output();
}

inline void messenger_core::link_disposition(amqp::link& which, amqp::settlement const& what, time_point) {
  if (&which != sender_ || !(what.state.terminal() || what.settled)) return;
  switch (what.state.is) {
    case amqp::outcome::rejected:
      return finish(what.user, what.state.error
                                   ? to_error(what.state.error)
                                   : error{errc::bad_request, "the hub rejected the message without a reason"});
    case amqp::outcome::released:
    case amqp::outcome::modified:
      return finish(what.user, error{errc::service_unavailable, "the hub did not take the message"});
    default: return finish(what.user, {});
  }
}

// --- receiving -------------------------------------------------------------------------------------------------------

inline void messenger_core::receive(stream what, time_point now) {
  receiver& r = of(what);
  if (r.wanted) return;
  connect(now);
  r.wanted = true;
  r.attempts = 0;
  r.retry_at = now;
  open_links(now);
}

inline bool messenger_core::take(feedback_batch& into) {
  if (batches_.empty()) return false;
  into = std::move(batches_.front());
  batches_.pop_front();
  return true;
}
inline bool messenger_core::take(file_notification& into) {
  if (files_.empty()) return false;
  into = std::move(files_.front());
  files_.pop_front();
  return true;
}
inline maybe<error> messenger_core::take_error(stream which) {
  auto& errors = of(which).errors;
  if (errors.empty()) return {};
  error next = std::move(errors.front());
  errors.pop_front();
  return next;
}

inline result<void> messenger_core::settle(stream which, back_end_lock lock, bool complete) {
  amqp::link* const link = of(which).link;
  if (link == nullptr || lock.connection != link->user)
    return error{errc::lock_lost, "the connection on which it came is gone; the hub delivers it again"};
  link->settle(lock.delivery, complete ? amqp::delivery_state::accepted() : amqp::delivery_state::released());
  wake();
  return {};
}

inline void messenger_core::link_transfer(amqp::link& which, amqp::delivery const& what, time_point) {
  bool const feedback = &which == of(stream::feedback).link;
  if (!feedback && &which != of(stream::files).link) return;
  amqp::message_view m;
  bool good = !amqp::read_message(what.payload, m);
  if (good) {
    std::string const body = detail::body_of(m);
    back_end_lock const lock{which.user, what.id};
    if (feedback) {
      auto records = parse_feedback(body);
      if ((good = records.has_value())) {
        feedback_batch made{*std::move(records), no_time, lock};
        if (auto const when = amqp::find(m.message_annotations, "iothub-enqueuedtime").as_timestamp())
          made.enqueued_time = detail::from_amqp_time(*when);
        batches_.push_back(std::move(made));
      }
    } else {
      auto made = parse_file_notification(body);
      if ((good = made.has_value())) {
        made->lock = lock;
        files_.push_back(*std::move(made));
      }
    }
  }
  if (!good) return which.settle(what.id, amqp::delivery_state::rejected());
  host_.output();
}

// --- links -----------------------------------------------------------------------------------------------------------

inline amqp::link* messenger_core::attach(std::string_view name, amqp::link_role role, std::string_view address) {
  std::string const unique = std::string{name} + '-' + std::to_string(++links_made_);
  amqp::attach how;
  how.name = unique;
  how.role = role;
  how.has_source = how.has_target = true;
  how.source = amqp::source::at(role == amqp::link_role::sender ? std::string_view{unique} : address);
  how.target = amqp::target::at(role == amqp::link_role::sender ? address : std::string_view{unique});
  auto made = session()->attach(how);
  if (!made) {
    fail(std::move(made).error());
    return nullptr;
  }
  wake();
  return *made;
}

inline void messenger_core::open_links(time_point now) {
  if (session() == nullptr) return;
  if (sender_ == nullptr && !sends_.empty() && sender_retry_ <= now)
    sender_ = attach("devicebound", amqp::link_role::sender, "/messages/devicebound");
  constexpr std::string_view addresses[] = {"/messages/serviceBound/feedback",
                                            "/messages/serviceBound/filenotifications"};
  constexpr std::string_view names[] = {"feedback", "files"};
  for (std::size_t i = 0; i != 2; ++i) {
    receiver& r = receivers_[i];
    if (!r.wanted || r.link != nullptr || r.retry_at > now || session() == nullptr) continue;
    r.link = attach(names[i], amqp::link_role::receiver, addresses[i]);
    if (r.link == nullptr) return;
    r.link->user = ++connections_;
    r.link->set_prefetch(options_.feedback_window);
  }
}

inline void messenger_core::on_ready(time_point now) {
  open_links(now);
}
inline void messenger_core::link_attached(amqp::link& which, amqp::attach const&, time_point) {
  proved_good();
  if (&which == sender_) sender_attempts_ = 0, sender_attached_ = true;
  for (receiver& each : receivers_)
    if (each.link == &which) each.attempts = 0, each.attached = true;
  pump();
}
inline void messenger_core::link_credit(amqp::link&, time_point) {
  pump();
}

inline void messenger_core::link_detached(amqp::link& which, amqp::end_reason const& why, time_point now) {
  error const told = to_error(why, "the server ended the link without a reason");
  auto const ended_token = [&](bool& attached) {  // its time is over, or the key's: a new connection will tell
    return std::exchange(attached, false) && told == errc::unauthorized;
  };
  if (&which == sender_) {
    sender_ = nullptr;
    if (ended_token(sender_attached_)) return fail({errc::connection_lost, std::string{told.message()}});
    fail_sends(told, is_final(told));
    sender_retry_ = add(now, back_off(sender_attempts_++));
  }
  for (receiver& each : receivers_) {
    if (each.link != &which) continue;
    each.link = nullptr;
    if (ended_token(each.attached)) return fail({errc::connection_lost, std::string{told.message()}});
    if (is_final(told)) {
      each.wanted = false;
      each.errors.push_back(told);
      host_.output();
    }
    each.retry_at = add(now, back_off(each.attempts++));
  }
}

inline void messenger_core::on_down(error const& why, time_point) {
  sender_ = nullptr;
  sender_retry_ = time_point::min();
  for (receiver& each : receivers_) each.link = nullptr, each.retry_at = time_point::min();
  batches_.clear();  // their locks are gone: the hub delivers them again
  files_.clear();
  fail_sends(why, false);
  if (is_final(why)) {
    fail_all(why);
    return stop();
  }
  if (sends_.empty() && !receivers_[0].wanted && !receivers_[1].wanted) stop();  // until it is needed again
}

inline result<amqp_pass> messenger_core::make_pass(time_point now) {
  auto token = host_.sign(sas_form::iot_hub, resource_);
  if (!token) return std::move(token).error();
  std::chrono::seconds const margin =
      options_.token_margin.count() != 0 ? options_.token_margin : options_.token_lifetime / 5;
  return amqp_pass{resource_, *std::move(token), add(now, options_.token_lifetime - margin)};
}

// --- time ------------------------------------------------------------------------------------------------------------

inline void messenger_core::step(time_point now) {
  on_time(now);
  for (std::size_t i = 0; i < sends_.size();) {
    if (sends_[i].give_up > now) {
      ++i;
      continue;
    }
    finish(sends_[i].id,
           error{errc::timeout, sends_[i].sent ? "the hub did not answer in time; whether it has the message "
                                                 "is not known"
                                               : "the message could not be sent in time"});
  }
  open_links(now);
  pump();
}

inline time_point messenger_core::next_deadline() const noexcept {
  time_point due = deadline();
  auto const at = [&](time_point t) {
    if (t < due) due = t;
  };
  for (sending const& each : sends_) at(each.give_up);
  if (session() == nullptr) return due;
  if (sender_ == nullptr && !sends_.empty()) at(sender_retry_);
  for (receiver const& each : receivers_)
    if (each.wanted && each.link == nullptr) at(each.retry_at);
  return due;
}

inline void messenger_core::close() {
  fail_all({errc::closed, "the messenger was closed"});
  for (receiver& each : receivers_) each.link = nullptr, each.wanted = false, each.errors.clear();
  sender_ = nullptr;
  batches_.clear();
  files_.clear();
  leave();
}

inline std::string messenger_core::describe() const {
  if (state() == state_type::idle) return {};
  std::string text = "a service messenger waits for " + hub_.host;
  if (!sends_.empty()) return text + " to take " + std::to_string(sends_.size()) + " message(s)";
  return text + (receivers_[0].wanted ? " to send feedback" : "");
}

}  // namespace v0
}  // namespace iothub
