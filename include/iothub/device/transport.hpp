// The transport of a device client: a bundle of all that one protocol needs, chosen by its type.
// Models: over_mqtt<MqttTransport> and over_https<HttpTransport>, from which device_transports.hpp and fake_hub.hpp
// make the ones with names: mqtt_over_tls, https, in_process, piped.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <iothub/device/device_options.hpp>
#include <iothub/device/dialect.hpp>

namespace iothub {
inline namespace v0 {

template <class T>
concept offers_dialect = requires(T& t) {
  { t.device_dialect() } -> std::same_as<dialect&>;  // lives as long as the bundle
};
template <class T>
concept knows_its_port = requires(device_options const& options) {
  { T::port(options) } -> std::same_as<std::uint16_t>;  // which of the options' ports to connect to
};
template <class T>
concept device_transport = offers_dialect<T> && knows_its_port<T>;

// A bundle that needs nothing but options, and names the kind of loop it runs on: what from_connection_string() asks
// for. prepare() says what cannot be had, for example an unreadable CA file, before anything is made.
template <class T>
concept self_made_transport = device_transport<T> && requires(device_options const& options) {
  typename T::loop_type;
  { T::prepare(options) } -> std::same_as<result<typename T::prepared>>;
  T(T::prepare(options).value(), options);
};

}  // namespace v0
}  // namespace iothub
