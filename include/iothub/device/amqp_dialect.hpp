// The AMQP 1.0 dialect of a device: amqp_device_links.hpp, which says what is sent where, on an AMQP transport.
//
// What differs from MQTT, as far as a program can see it:
//   - a message can be rejected (dead-lettered) and abandoned (it comes again at once, up to the hub's delivery count);
//   - one that is not settled comes again when its lock at the hub has ended, on the same connection;
//   - the hub says why it refuses a message, a link or a connection; a disabled device is refused like one with wrong
//     credentials, so that it stops trying;
//   - tokens are renewed without a new connection;
//   - there is no stored session: while a device is away the hub keeps its messages all the same, and telemetry without
//     an outcome is sent again by this side; close() forgets it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/amqp/connection.hpp>
#include <iothub/base/result.hpp>
#include <iothub/device/amqp_device_links.hpp>
#include <iothub/device/device_options.hpp>
#include <iothub/device/dialect.hpp>
#include <iothub/device/transport.hpp>
#include <iothub/policy/amqp_transport.hpp>
#include <iothub/policy/held.hpp>

namespace iothub {
inline namespace v0 {

// T is the transport, or a reference to one.
template <class T>
class amqp_dialect final : public dialect {
  static_assert(amqp_transport<std::remove_reference_t<T>>,
                "amqp_dialect<T>: T is no AMQP transport; see iothub/policy/amqp_transport.hpp for what it must offer");

 public:
  // From a transport, a reference to one, or a function that makes one in its place.
  template <class Source>
    requires(!std::is_same_v<std::remove_cvref_t<Source>, amqp_dialect>)
  explicit amqp_dialect(Source&& transport) : transport_(detail::make_policy<T>(std::forward<Source>(transport))) {}

  [[nodiscard]] std::remove_reference_t<T>& transport() noexcept { return transport_; }

  [[nodiscard]] dialect_capabilities capabilities() const noexcept override {
    return {.features = feature::methods | feature::twin | feature::desired_properties | feature::messages,
            .reject_message = true,
            .abandon_message = true,
            .renews_in_place = true};
  }
  inline result<void> open(connection_parameters const& how, std::string_view token, time_point now) override;
  inline void close(dialect_close mode, time_point now) override;
  result<void> enable(feature_set features, time_point) override { return woken(links_.enable(features)); }
  result<ticket> send_telemetry(message const& what, time_point) override { return woken(links_.send_telemetry(what)); }
  void abandon_telemetry(ticket which) override { links_.abandon_telemetry(which); }
  result<ticket> get_twin(time_point) override { return woken(links_.get_twin()); }
  result<ticket> patch_reported(std::string_view patch, time_point) override {
    return woken(links_.patch_reported(patch));
  }
  result<void> answer_method(std::string_view rid, int status, std::string_view payload, time_point) override {
    return woken(links_.answer_method(rid, status, payload));
  }
  result<void> settle_message(ticket which, settlement how, time_point) override {
    return woken(links_.settle_message(which, how));
  }
  result<void> renew(std::string_view token, time_point now) override { return woken(links_.renew(token, now)); }
  void step(time_point now) override {
    links_.on_time(now);
    transport_.step(now);
  }
  inline bool next_event(device_event& event, time_point now) override;
  [[nodiscard]] time_point deadline() const override {
    time_point const wire = transport_.deadline();
    time_point const own = links_.deadline();
    return own < wire ? own : wire;
  }
  void attach(loop& on, participant& whom) override { transport_.attach(on, whom); }

 private:
  // What a verb sent leaves in the next step. One that sent nothing must not wake: the core tries again in every step,
  // and would never rest.
  template <class R>
  R woken(R outcome) {
    if (outcome || links_.deadline() == time_point::min()) transport_.wake();
    return outcome;
  }

  detail::amqp_device_links links_;
  T transport_;  // behind the links, whose callbacks it calls
};

// --- implementation -------------------------------------------------------------------------------------------------

template <class T>
result<void> amqp_dialect<T>::open(connection_parameters const& how, std::string_view token, time_point now) {
  transport_.drop();
  links_.forget();
  amqp::connection_options options;
  options.container_id = how.who.module_id.empty() ? how.who.device_id : how.who.device_id + "/" + how.who.module_id;
  options.hostname = how.hub;
  options.idle_timeout = 2 * how.keep_alive;
  // The largest message of IoT Hub, and what stands around its body.
  options.max_message_size = 262'144 + 16'384;
  // As azure-iot-sdk-node and -csharp: no SASL layer, a token or the certificate of TLS says who it is.
  if (auto opened = transport_.open(how.where, options, {}, links_.handler(), now); !opened) return opened;
  links_.begin(*transport_.connection(), how, token);
  return {};
}

template <class T>
void amqp_dialect<T>::close(dialect_close mode, time_point now) {
  links_.mute();
  if (mode == dialect_close::graceful) {
    links_.forget_telemetry();
    transport_.close();
    transport_.step(now);
  }
  transport_.drop();
  links_.forget();
}

template <class T>
bool amqp_dialect<T>::next_event(device_event& event, time_point) {
  if (!links_.next_event(event)) return false;
  if (event.kind == device_event_kind::closed) {
    transport_.drop();
    links_.forget();
  } else {
    transport_.wake();  // credit may have been given back
  }
  return true;
}

// The bundle that makes a device client of an AMQP transport, or of a reference to one.
template <class T>
class over_amqp {
 public:
  template <class Source>
    requires(!std::is_same_v<std::remove_cvref_t<Source>, over_amqp>)
  explicit over_amqp(Source&& transport) : dialect_(std::forward<Source>(transport)) {}

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  [[nodiscard]] std::remove_reference_t<T>& transport() noexcept { return dialect_.transport(); }
  static std::uint16_t port(device_options const& options) noexcept { return options.amqps_port; }

 private:
  amqp_dialect<T> dialect_;
};

}  // namespace v0
}  // namespace iothub
