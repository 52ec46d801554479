// The device client.
//
//   auto device = iothub::device_client::from_connection_string(text).value();
//   device.on_method("reboot", [](iothub::method_request const&) { return iothub::method_response{.status = 200}; });
//   device.connect().value();
//   device.send_telemetry({.body = {{"temperature", 21.5}}}).value();
//
// Each operation has two forms: x(…) blocks, which means that it runs the loop until the operation has ended, and
// async_x(…, completion) returns at once; its completion is called from the loop, exactly once, never inside the call.
// Handlers, completions and timers of one client never nest. A blocking call inside a handler is fine: meanwhile bytes
// move, and further handlers wait. For slow work keep the responder of a method call, or set a timer, and return.
// A handler may destroy its client. The destructor calls no user code and says goodbye to the hub.
// One thread: everything here, and everything on the same loop; only stop() may be called from others, where the loop
// says so. An exception that leaves a completion, a timer, or a handler of desired properties or connection changes
// leaves the call that ran the loop; one that leaves a method handler is answered 500, and a message whose handler
// throws is not acknowledged: on_handler_error() is told what those two threw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/base/time.hpp>
#include <iothub/crypto/crypto.hpp>
#include <iothub/device/device_driver.hpp>
#include <iothub/device/device_options.hpp>
#include <iothub/device/transport.hpp>
#include <iothub/policy/client_handle.hpp>
#include <iothub/policy/clock.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/wire/connection_string.hpp>
#include <iothub/wire/sas_signer.hpp>
#include <iothub/wire/sas_token.hpp>

namespace iothub {
inline namespace v0 {

// What on_desired() takes: (patch, version), or (properties, version, scope) to tell a patch from a whole document.
template <class F>
concept desired_handler = std::is_invocable_v<F&, json::value const&, std::int64_t> ||
                          std::is_invocable_v<F&, json::value const&, std::int64_t, desired_scope>;
// What on_message() takes: returns nothing (accepted) or a settlement.
template <class F>
concept message_handler = std::is_invocable_r_v<settlement, F&, c2d_message const&> ||
                          std::is_same_v<std::invoke_result_t<F&, c2d_message const&>, void>;
template <class F>
concept connection_handler = std::is_invocable_v<F&, connection_status, connection_reason>;

namespace detail {

template <class Transport, class Clock, class Crypto>
class device_state;

}  // namespace detail

// Transport, Clock and Crypto are policies: values, or references to what the caller keeps.
template <class Transport, class Clock, class Crypto>
class basic_device_client : public client_handle<detail::device_state<Transport, Clock, Crypto>> {
  static_assert(offers_dialect<std::remove_reference_t<Transport>>,
                "basic_device_client: Transport has no member `dialect& device_dialect()`; "
                "wrap an MQTT transport in over_mqtt<M> and an HTTP transport in over_https<H>");
  static_assert(knows_its_port<std::remove_reference_t<Transport>>,
                "basic_device_client: Transport has no member `static std::uint16_t port(device_options const&)`");
  static_assert(clock<std::remove_reference_t<Clock>>,
                "basic_device_client: Clock must offer `time_point now() const` and `utc_time utc_now() const`");
  static_assert(crypto<std::remove_reference_t<Crypto>>,
                "basic_device_client: Crypto must offer signing_key, prepare(), sign() and fill_random(); "
                "see iothub/crypto/crypto.hpp");

 public:
  using transport_type = Transport;
  using clock_type = Clock;
  using crypto_type = Crypto;

  // --- making one ----------------------------------------------------------------------------------------------------

  // On a loop that outlives the client. Each source is a policy, a reference to one, or a function that makes one.
  // errc::malformed, invalid_argument or unsupported: what is wrong with the connection string, the key or an option.
  template <class TransportSource, class ClockSource, class CryptoSource>
  [[nodiscard]] static result<basic_device_client> create(loop& on, connection_string const& connection,
                                                          TransportSource&& transport, ClockSource&& clock,
                                                          CryptoSource&& crypto, device_options const& options = {});

  // With a loop of its own, for transports that need nothing but options (mqtt_over_tls).
  [[nodiscard]] static result<basic_device_client> from_connection_string(std::string_view text,
                                                                          device_options const& options = {})
    requires self_made_transport<Transport>;
  // The same on a loop that it shares, which outlives it.
  [[nodiscard]] static result<basic_device_client> from_connection_string(loop& on, std::string_view text,
                                                                          device_options const& options = {})
    requires self_made_transport<Transport>;

  // --- connecting ----------------------------------------------------------------------------------------------------

  // Returns when the hub has accepted the connection and all subscriptions. Failures that may pass are retried for
  // options.connect_limit; then, or when trying is useless, the error of the last attempt: errc::unauthorized,
  // certificate_rejected, service_unavailable (also a disabled device), host_not_found, connection_refused, timeout, …
  // Set the handlers before: what waits at the hub (messages, desired properties) comes as soon as it is subscribed.
  // Later losses are retried in the background, a certificate that is not good any more too; see
  // on_connection_change(). Asked again while it is still trying (from a timer, or by async_connect()), all calls end
  // together, at the limit of the last.
  result<void> connect();
  template <class F>
  void async_connect(F completion);
  // Ends everything pending with errc::closed, runs those completions, and says goodbye. connect() may follow.
  void close() { state().close(); }

  [[nodiscard]] connection_status status() const noexcept { return state().core().status(); }
  [[nodiscard]] bool is_connected() const noexcept { return status() == connection_status::connected; }
  // Why the last attempt or connection failed; nothing after a success.
  [[nodiscard]] std::optional<error> const& last_connection_error() const noexcept {
    return state().core().last_error();
  }
  // handler(connection_status, connection_reason). "connected" comes when all subscriptions are in place again.
  template <class F>
  void on_connection_change(F handler) {
    static_assert(connection_handler<F>,
                  "on_connection_change: the handler is called as void(connection_status, connection_reason)");
    if constexpr (connection_handler<F>)
      state().on_connection = std::move(handler);
  }

  // --- telemetry -----------------------------------------------------------------------------------------------------

  // Ends when the hub has confirmed the message. While the connection is lost it waits in the outbox. errc::timeout
  // (after options.publish_timeout, or `timeout`): not confirmed in time; unless the text says that it was never sent,
  // it may have been stored all the same, and sending it again may make a duplicate. errc::outbox_full, too_large,
  // invalid_argument (a property), not_connected (connect() first), closed. A message that cannot be sent at once is
  // kept: moved when it may be, else copied.
  result<void> send_telemetry(message const& what, std::optional<duration> timeout = {});
  result<void> send_telemetry(message&& what, std::optional<duration> timeout = {});
  template <class F>
  void async_send_telemetry(message const& what, F completion) {
    async_send_telemetry(what, std::nullopt, std::move(completion));
  }
  template <class F>
  void async_send_telemetry(message&& what, F completion) {
    async_send_telemetry(std::move(what), std::nullopt, std::move(completion));
  }
  template <class F>
  void async_send_telemetry(message const& what, std::optional<duration> timeout, F completion);
  template <class F>
  void async_send_telemetry(message&& what, std::optional<duration> timeout, F completion);

  // --- direct methods ------------------------------------------------------------------------------------------------

  // The handler for one method, replacing the one before: method_response(method_request const&), or
  // void(method_request const&, responder) to answer later. Unknown methods are answered 501, a throwing handler 500.
  template <class F>
  void on_method(std::string_view name, F handler) {
    state().methods.on(name, std::move(handler));
    state().enable(feature::methods);
  }
  // For all names without a handler of their own.
  template <class F>
  void on_unknown_method(F handler) {
    state().methods.on_unknown(std::move(handler));
    state().enable(feature::methods);
  }

  // handler(handler_error const&) is told what a handler of methods or messages threw. Without one the text is lost:
  // set it at least in tests.
  template <class F>
  void on_handler_error(F handler) {
    static_assert(std::is_invocable_v<F&, handler_error const&>,
                  "on_handler_error: the handler is called as void(handler_error const&)");
    if constexpr (std::is_invocable_v<F&, handler_error const&>) state().methods.on_error(std::move(handler));
  }

  // --- device twin ---------------------------------------------------------------------------------------------------

  // errc::timeout after options.twin_timeout, throttled, server_error, not_connected, closed.
  result<device_twin> get_twin();
  template <class F>
  void async_get_twin(F completion);
  // Merges a patch into the reported properties (null removes) and gives their new version. errc::bad_request when it
  // breaks a rule of the hub (twin_patch_builder says which beforehand); errc::timeout: the outcome is unknown.
  result<std::int64_t> update_reported_properties(json::value const& patch);
  template <class F>
  void async_update_reported_properties(json::value const& patch, F completion);
  // Called for each change of the desired properties, in order of their versions; after a connect with all of them, if
  // they changed meanwhile or are not known yet. A handler with a third parameter is told which of the two it is: a
  // patch is to be merged, a whole document replaces.
  template <class F>
  void on_desired(F handler);

  // --- cloud-to-device messages --------------------------------------------------------------------------------------

  // handler(c2d_message const&) returns nothing, or a settlement. The hub forgets a message when the handler has
  // returned (or returned settlement::accept), and not before: one whose handler throws, abandons or is cut short by a
  // lost connection comes again, so a handler may see the same message twice. The hub keeps messages for a device,
  // whether it is connected and has subscribed or not, until they expire; setting a handler subscribes.
  template <class F>
  void on_message(F handler);

  // --- time and running ----------------------------------------------------------------------------------------------

  // Calls once, `wait` from now. The call is a handler like any other.
  template <class F>
  timer_id after(duration wait, F call) {
    static_assert(std::is_invocable_v<F&>, "after: what a timer calls takes no argument");
    if constexpr (std::is_invocable_v<F&>) return state().add_timer(wait, duration{0}, std::move(call));
    return {};
  }
  // Calls every `period`, the first time one period from now. A late call does not make the next ones catch up.
  template <class F>
  timer_id every(duration period, F call) {
    static_assert(std::is_invocable_v<F&>, "every: what a timer calls takes no argument");
    if constexpr (std::is_invocable_v<F&>)
      return state().add_timer(period, period > duration{0} ? period : duration{1}, std::move(call));
    return {};
  }
  bool cancel_timer(timer_id id) { return state().cancel_timer(id); }

  [[nodiscard]] time_point now() const { return state().clock().now(); }
  [[nodiscard]] utc_time utc_now() const { return state().clock().utc_now(); }

  // --- what is pending -----------------------------------------------------------------------------------------------

  // Telemetry that has not ended yet, waiting or handed over.
  [[nodiscard]] std::size_t pending_telemetry() const noexcept { return state().core().pending_telemetry(); }
  // Telemetry, twin operations and connects.
  [[nodiscard]] std::size_t pending_operations() const noexcept { return state().core().pending_operations(); }
  [[nodiscard]] bool is_busy() const noexcept { return pending_operations() != 0; }

  [[nodiscard]] std::string const& device_id() const noexcept { return state().core().parameters().who.device_id; }
  [[nodiscard]] std::string const& module_id() const noexcept { return state().core().parameters().who.module_id; }
  [[nodiscard]] std::remove_reference_t<Transport>& transport() noexcept { return state().transport(); }
  [[nodiscard]] std::remove_reference_t<Crypto>& get_crypto() noexcept { return state().get_crypto(); }

 private:
  using state_type = detail::device_state<Transport, Clock, Crypto>;
  using handle = client_handle<state_type>;
  explicit basic_device_client(state_type* of) noexcept : handle{of} {}
  static result<basic_device_client> make(loop& on, owned<loop> own, std::string_view text,
                                          device_options const& options);
  using handle::state;
};

}  // namespace v0
}  // namespace iothub

#include <iothub/device_client_state.hpp>  // the pinned state, and the bodies of the above
