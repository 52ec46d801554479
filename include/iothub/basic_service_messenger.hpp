// The service messenger: what a back end says to devices, and what became of it. The alias service_messenger is in
// service_messenger.hpp. It is beside the service client, which speaks HTTPS, because the hub offers these over AMQP
// alone, and who does not use them shall not pay for AMQP when compiling.
//
//   auto messenger = iothub::service_messenger::from_connection_string(text).value();
//   auto id = messenger.send_c2d("pump-7", {.body = "hello"}, {.ack = iothub::feedback_request::full}).value();
//   for (auto& record : messenger.receive_feedback().value().records) …record.original_message_id, record.status…
//
// send_c2d() ends when the hub has the message in the device's queue, or with exactly one of
//   errc::device_not_found      no such device, or it is disabled
//   errc::queue_full            50 messages wait for the device already
//   errc::too_large             above 64 KB
//   errc::bad_request, throttled, quota_exceeded, service_unavailable, server_error   what the hub said
//   errc::unauthorized          the policy, its key or its rights; it ends everything that waits
//   errc::timeout, connection_lost   sent, and nothing came back: whether the hub has it is not known; or never sent
//   errc::invalid_argument, outbox_full, closed, cancelled
// The message gets an id where it has none; the id is what feedback names.
//
// Feedback is one queue of the hub for all of its back ends: a batch goes to one of them, which completes or abandons
// it. One thread: everything here, and everything on the same loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/crypto/crypto.hpp>
#include <iothub/policy/client_handle.hpp>
#include <iothub/policy/amqp_transport.hpp>
#include <iothub/policy/clock.hpp>
#include <iothub/policy/held.hpp>
#include <iothub/service/messenger_driver.hpp>
#include <iothub/service/sas_passes.hpp>

namespace iothub {
inline namespace v0 {

namespace detail {
template <class Transport, class Clock, class Crypto>
class messenger_state;
}  // namespace detail

// Transport, Clock and Crypto are policies: values, or references to what the caller keeps.
template <class Transport, class Clock, class Crypto>
class basic_service_messenger : public client_handle<detail::messenger_state<Transport, Clock, Crypto>> {
  static_assert(amqp_transport<std::remove_reference_t<Transport>>,
                "basic_service_messenger: Transport must be an amqp_transport; see iothub/policy/amqp_transport.hpp");
  static_assert(clock<std::remove_reference_t<Clock>>,
                "basic_service_messenger: Clock must offer `time_point now() const` and `utc_time utc_now() const`");
  static_assert(crypto<std::remove_reference_t<Crypto>>,
                "basic_service_messenger: Crypto must offer signing_key, prepare(), sign() and fill_random(); "
                "see iothub/crypto/crypto.hpp");

 public:
  // On a loop that outlives it. Each source is a policy, a reference to one, or a function that makes one.
  // errc::malformed or invalid_argument: what is wrong with the connection string
  // (HostName=…;SharedAccessKeyName=…;SharedAccessKey=…), the key or an option.
  template <class TransportSource, class ClockSource, class CryptoSource>
  [[nodiscard]] static result<basic_service_messenger> create(loop& on, std::string_view text,
                                                              TransportSource&& transport, ClockSource&& clock,
                                                              CryptoSource&& crypto,
                                                              messenger_options const& options = {}) {
    return make(on, nullptr, text, std::forward<TransportSource>(transport), std::forward<ClockSource>(clock),
                std::forward<CryptoSource>(crypto), options);
  }
  // With a loop of its own, or on one that it shares. errc::io_error: an unreadable CA file.
  [[nodiscard]] static result<basic_service_messenger> from_connection_string(std::string_view text,
                                                                              messenger_options const& options = {})
    requires self_made_amqp<Transport>
  {
    auto own = make_owned<typename back_end_transport<Transport>::loop_type>();
    loop& on = *own;
    return self_made(on, std::move(own), text, options);
  }
  [[nodiscard]] static result<basic_service_messenger> from_connection_string(loop& on, std::string_view text,
                                                                              messenger_options const& options = {})
    requires self_made_amqp<Transport>
  {
    return self_made(on, nullptr, text, options);
  }

  // --- to devices ----------------------------------------------------------------------------------------------------

  // The message's id.
  result<std::string> send_c2d(std::string_view device_id, message what, c2d_send_options const& how = {}) {
    return state().send(device_id, std::move(what), how);
  }
  // The same without waiting: void(result<std::string>), called from the loop, once.
  template <class F>
  void async_send_c2d(std::string_view device_id, message what, c2d_send_options const& how, F completion) {
    state().begin_send(device_id, std::move(what), how, std::move(completion));
  }

  // --- what became of it ---------------------------------------------------------------------------------------------

  // The next batch. errc::timeout when none came within `limit`, unauthorized, closed, cancelled by stop(), stalled in
  // virtual time.
  result<feedback_batch> receive_feedback(duration limit = duration::max()) {
    return state().template receive<feedback_batch>(messenger_core::stream::feedback, limit);
  }
  // Done with it; or it shall come again, to whoever asks next. errc::lock_lost: the connection on which it came is
  // gone.
  result<void> complete(feedback_batch const& what) {
    return settle(messenger_core::stream::feedback, what.lock, true);
  }
  result<void> abandon(feedback_batch const& what) {
    return settle(messenger_core::stream::feedback, what.lock, false);
  }
  // From now on batches go to this handler: void(feedback_batch const&). A batch is completed when it has returned.
  template <class F>
  void on_feedback(F handler) {
    state().on_feedback(std::move(handler));
  }

  // --- files that devices have uploaded; as feedback

  result<file_notification> receive_file_notification(duration limit = duration::max()) {
    return state().template receive<file_notification>(messenger_core::stream::files, limit);
  }
  result<void> complete(file_notification const& what) {
    return settle(messenger_core::stream::files, what.lock, true);
  }
  result<void> abandon(file_notification const& what) {
    return settle(messenger_core::stream::files, what.lock, false);
  }
  template <class F>
  void on_file_notification(F handler) {
    state().on_files(std::move(handler));
  }

  // --- time and running ----------------------------------------------------------------------------------------------

  // Ends everything pending with errc::closed and says good-bye. It stays usable.
  void close() { state().close(); }
  [[nodiscard]] std::size_t pending_operations() const noexcept { return state().core().pending(); }
  [[nodiscard]] std::remove_reference_t<Transport>& transport() noexcept { return state().transport(); }

 private:
  using state_type = detail::messenger_state<Transport, Clock, Crypto>;
  using handle = client_handle<state_type>;
  explicit basic_service_messenger(state_type* of) noexcept : handle{of} {}
  using handle::state;
  result<void> settle(messenger_core::stream of, back_end_lock lock, bool complete) {
    return state().settle(of, lock, complete);
  }
  template <class T, class C, class K>
  static result<basic_service_messenger> make(loop& on, owned<loop> own, std::string_view text, T&& transport,
                                              C&& clock, K&& crypto, messenger_options const& options) {
    if (auto valid = validate(options); !valid) return std::move(valid).error();
    auto connection = parse_service_connection_string(text);
    if (!connection) return std::move(connection).error();
    basic_service_messenger made{new state_type(on, std::move(own), std::forward<T>(transport), std::forward<C>(clock),
                                                std::forward<K>(crypto))};
    if (auto started = made.state().take(*connection, options); !started) return std::move(started).error();
    return made;
  }
  static result<basic_service_messenger> self_made(loop& on, owned<loop> own, std::string_view text,
                                                   messenger_options const& options) {
    using transport = back_end_transport<Transport>;
    trusted_files const files{options.ca_file, options.crl_file};
    if (auto good = transport::check(files, false); !good) return std::move(good).error();
    return make(on, std::move(own), text, [&] { return transport::make(files, false); },
                [&] { return std::remove_reference_t<Clock>{on}; }, [] { return std::remove_reference_t<Crypto>{}; },
                options);
  }
};

// --- bodies ---------------------------------------------------------------------------------------------------------

namespace detail {

template <class Transport, class Clock, class Crypto>
class messenger_state final : private held_policies<Transport, Clock, Crypto>, public messenger_driver {
  using policies = held_policies<Transport, Clock, Crypto>;
  using transport_type = std::remove_reference_t<Transport>;
  using passes_type = sas_passes<std::remove_reference_t<Crypto>&>;

 public:
  template <class T, class C, class K>
  messenger_state(loop& on, owned<loop> own, T&& transport, C&& clock, K&& crypto)
      : policies(std::move(own), std::forward<T>(transport), std::forward<C>(clock), std::forward<K>(crypto)),
        messenger_driver(on) {
    this->transport_.attach(on, this->io());
  }

  result<void> take(connection_string const& connection, messenger_options options) {
    auto passes = passes_type::make(this->crypto_, connection.shared_access_key_name, connection.shared_access_key,
                                    connection.shared_access_signature);
    if (!passes) return std::move(passes).error();
    passes_.emplace(*std::move(passes));
    lifetime_ = options.token_lifetime;
    options.seed = make_seed(options.seed, this->crypto_);
    endpoint hub{connection.connect_host(), options.amqps_port};
    start(port_, std::move(hub), connection.host_name, std::move(options));
    return {};
  }
  [[nodiscard]] transport_type& transport() noexcept { return this->transport_; }

 private:
  ~messenger_state() override { this->transport_.drop(); }

  void step_transport(time_point now) override { this->transport_.step(now); }
  [[nodiscard]] time_point transport_deadline() const override {
    return static_cast<transport_type const&>(this->transport_).deadline();
  }
  result<std::string> sign(sas_form form, std::string_view resource) override {
    return passes_->token(form, resource, utc_now(), lifetime_);
  }
  [[nodiscard]] utc_time utc_now() const override { return this->clock_.utc_now(); }

  amqp_port_of<transport_type> port_{this->transport_};
  std::optional<passes_type> passes_;
  std::chrono::seconds lifetime_{};
};

}  // namespace detail

}  // namespace v0
}  // namespace iothub
