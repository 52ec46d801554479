// The device core: everything that is true of a device client whatever protocol it speaks.
//
// Theory of operation. Verbs queue, step() moves, next_action() tells. The core holds no socket, no clock, no key and
// no callback: time is an argument, bytes are the dialect's, tokens are asked for (token_wanted), and operations are
// named by ids that the driver chose.
//   1. One connection at a time, in the phases token, opening, enabling, connected; waiting between two attempts.
//   2. "connected" is said only when every feature that was ever asked for is enabled again on the new connection.
//   3. A lost connection is retried by reconnect_schedule, until close(), a limit of the options, or an error that only
//      a person can mend; then everything pending fails with that error.
//   4. A token is renewed by a planned reconnect: open method calls and unsettled messages are waited for as long as
//      the token allows, then nothing new is handed over until what is in flight is settled, then the connection
//      changes. Where the dialect can show a new token on the old connection nothing of this happens: it is shown, and
//      tried again when the hub does not take it.
//   5. Each operation ends in exactly one action: outbox, twin_requests and the connects are the only places where an
//      operation lives, and ending one removes it from there.
//   6. Where an exception (no memory) leaves the core, what it was about may be half done: the connection is in doubt,
//      and the next step ends it as the network would, and comes back. Operations are ended one by one, each when there
//      is room to say so; the next step goes on where memory ran out.
//   7. Method calls and messages belong to their connection. Those that still wait for a handler when it ends are
//      dropped: the hub has forgotten the calls and sends the messages again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/device/device_action.hpp>
#include <iothub/device/device_event.hpp>
#include <iothub/device/device_options.hpp>
#include <iothub/device/dialect.hpp>
#include <iothub/device/fifo.hpp>
#include <iothub/device/method_calls.hpp>
#include <iothub/device/outbox.hpp>
#include <iothub/device/reconnect.hpp>
#include <iothub/device/token_renewal.hpp>
#include <iothub/device/twin_requests.hpp>
#include <iothub/device/twin_sync.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/message_properties.hpp>

namespace iothub {
inline namespace v0 {

class device_core {
 public:
  // What the core keeps of device_options: the strings are the dialect's and the transport's.
  struct settings {
    duration connect_timeout = std::chrono::seconds{60};
    duration subscribe_timeout = std::chrono::seconds{10};
    duration connect_limit = std::chrono::seconds{60};
    duration publish_timeout = std::chrono::seconds{10};
    duration twin_timeout = std::chrono::seconds{60};
    duration give_up_after = duration{0};
    duration renewal_margin = std::chrono::seconds{600};
    duration settle_limit = std::chrono::seconds{10};
    std::size_t inbox = 64;
  };

  // The dialect must outlive the core.
  device_core(dialect& speaks, connection_parameters parameters, device_options const& options, std::uint64_t seed);
  device_core(device_core const&) = delete;
  device_core& operator=(device_core const&) = delete;

  // --- verbs: each operation ends in one operation_done, never inside the call ---------------------------------------

  // Ends when connected, or with the error of the last attempt once connect_limit has passed or trying is useless.
  void connect(operation_id id, time_point now);
  // Says goodbye to the hub and ends everything pending with errc::closed. connect() may follow.
  void close(time_point now);
  // Says goodbye and tells nobody: for a driver that goes away.
  void abandon(time_point now) noexcept;
  // errc::too_large, outbox_full, not_connected (nothing is tried: see connection_status::disconnected), timeout (the
  // outcome is unknown once the message was handed over; sending it again may make a duplicate), closed, or what the
  // hub said.
  void send_telemetry(operation_id id, message const& what, std::optional<duration> timeout, time_point now);
  void send_telemetry(operation_id id, message&& what, std::optional<duration> timeout, time_point now);
  void get_twin(operation_id id, time_point now);
  void patch_reported(operation_id id, std::string patch, time_point now);
  // From now on, on this and every later connection. One that the protocol has not makes connect() fail with
  // errc::unsupported, since the device could never do what it was written for.
  void enable(feature what, time_point now);
  // errc::not_connected when the call's connection is gone, errc::invalid_state when it was answered already.
  result<void> answer_method(call_id call, int status, std::string_view payload, time_point now);
  // A message of an earlier connection is left alone: the hub has taken it back already.
  result<void> settle_message(std::uint32_t connection, ticket where, settlement how, time_point now);

  // --- tokens --------------------------------------------------------------------------------------------------------

  // After each verb and step: when true, the driver calls supply_token().
  [[nodiscard]] bool token_wanted() const noexcept { return phase_ == phase::token || renewal_token_wanted_; }
  // A lifetime of zero: this token cannot be renewed, or there is none.
  void supply_token(result<std::string> token, duration lifetime, time_point now);

  // --- running -------------------------------------------------------------------------------------------------------

  void step(time_point now);
  [[nodiscard]] time_point deadline() const;
  [[nodiscard]] bool has_action() const noexcept { return !actions_.empty(); }
  [[nodiscard]] device_action next_action();
  // The end of one operation out of turn, for a caller that blocks on it; false when it has not ended yet.
  [[nodiscard]] bool take_outcome(operation_id id, device_action& into);

  [[nodiscard]] connection_status status() const noexcept { return status_; }
  // Of the last attempt or connection that failed.
  [[nodiscard]] std::optional<error> const& last_error() const noexcept { return last_error_; }
  [[nodiscard]] std::size_t pending_telemetry() const noexcept { return outbox_.size(); }
  [[nodiscard]] std::size_t pending_operations() const noexcept {
    return outbox_.size() + twin_requests_.size() + connects_.size();
  }
  [[nodiscard]] std::size_t open_method_calls() const noexcept { return calls_.size(); }
  [[nodiscard]] std::int64_t desired_version() const noexcept { return twin_sync_.version(); }
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] connection_parameters const& parameters() const noexcept { return parameters_; }

 private:
  // Whether there is nothing left to do: the message was sent or refused.
  void ask_twin(twin_requests::request r, char const* without_connection, time_point now);
  bool send_at_once(operation_id id, message const& what, time_point deadline, time_point now);
  // On the stack while the connection is used: one that is left by an exception puts it in doubt.
  class using_connection {
   public:
    explicit using_connection(device_core& core) noexcept : core_{core}, before_{core.in_doubt_} {
      core.in_doubt_ = true;
    }
    using_connection(using_connection const&) = delete;
    using_connection& operator=(using_connection const&) = delete;
    void all_went_well() noexcept { core_.in_doubt_ = before_; }

   private:
    device_core& core_;
    bool before_;
  };
  void end_what_is_left();
  enum class phase : std::uint8_t { closed, token, opening, enabling, connected, waiting };
  [[nodiscard]] bool trying() const noexcept { return phase_ != phase::closed; }

  void begin_attempt() noexcept;
  void on_event(device_event& e, time_point now);
  void on_ready(time_point now);
  void on_features_ready(device_event& e, time_point now);
  void on_twin_received(device_event& e, time_point now);
  void on_patch_settled(device_event& e);
  void on_desired_changed(device_event& e);
  void on_method_called(device_event& e, time_point now);
  void on_message_received(device_event& e);
  void become_connected(time_point now);
  void end_connects();
  void link_down(error why, connection_reason reason, time_point now);
  void leave_connection(time_point now);
  void fail_all(error why, connection_reason reason);
  void abort_operations(error const& why);
  void drop_inbox() noexcept;

  void on_time(time_point now);
  void expire_operations(time_point now);
  void run_renewal(time_point now);
  void renew_in_place(result<std::string> token, duration lifetime, time_point now);
  void on_token_renewed(device_event& e, time_point now);
  void reconnect_for_renewal(time_point now);
  [[nodiscard]] bool in_flight() const noexcept;

  void pump(time_point now);
  void pump_if_sure(time_point now);
  void pump_features(time_point now);
  void pump_telemetry(time_point now);
  void pump_twin(time_point now);
  void pump_desired();

  void finish(operation_id id, result<void> outcome);
  void set_status(connection_status status, connection_reason reason);
  static connection_reason reason_of(error const& why, bool was_connected) noexcept;

  dialect& dialect_;
  settings settings_;
  connection_parameters parameters_;

  phase phase_ = phase::closed;
  connection_status status_ = connection_status::disconnected;
  connection_reason attempt_reason_ = connection_reason::opened;
  bool more_ = false;                  // the last step had more to do
  bool in_doubt_ = false;              // the connection is used, or an exception left the core while it was
  bool closed_by_user_ = false;
  bool desired_in_actions_ = false;    // at most one waits there; the rest waits in twin_sync, which is bounded
  bool renewing_ = false;
  bool holding_ = false;               // renewal: nothing new is handed over
  bool renewal_token_wanted_ = false;  // renewal in place
  std::uint32_t connection_ = 0;       // counts connections
  std::uint32_t unsettled_ = 0;        // messages the handler has not finished with
  std::uint32_t inbox_ = 0;            // calls and messages among the actions
  time_point phase_deadline_ = never;
  time_point connect_deadline_ = never;
  time_point down_since_ = never;
  time_point feature_deadline_ = never;
  time_point renewal_hard_ = never;
  time_point hold_until_ = never;
  duration renewed_lifetime_ = {};     // of the token that is being shown
  time_point renewed_at_ = never;      // when it was minted

  feature_set wanted_ = {};
  feature_set asked_ = {};
  feature_set enabled_ = {};

  outbox outbox_;
  twin_requests twin_requests_;
  twin_sync twin_sync_;
  method_calls calls_;
  reconnect_schedule reconnect_;
  token_renewal renewal_;
  detail::fifo<operation_id> connects_;
  detail::fifo<device_action> actions_;
  detail::fifo<device_action> held_;   // messages that came before anybody asked for them
  std::optional<error> last_error_;
};

}  // namespace v0
}  // namespace iothub

#include <iothub/device/device_core_verbs.hpp>   // bodies: what the driver calls
#include <iothub/device/device_core_events.hpp>  // bodies: what the dialect says, and time
