// What all example programs take from their environment. The library itself reads one variable, SSL_CERT_FILE.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/iothub.hpp>

namespace example {

inline constexpr int usage_error = 2;

// One sentence on stderr, and the exit status for a call that cannot work.
[[noreturn]] inline void refuse(std::string_view sentence) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(sentence.size()), sentence.data());
  std::exit(usage_error);
}

// --help prints the text and ends the program; more arguments than it takes, or an option that it has not, are refused.
inline void usage(int argc, char** argv, int most, char const* text) {
  for (int i = 1; i < argc; ++i) {
    std::string_view const argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::printf("usage: %s\n", text);
      std::exit(0);
    }
    if (i > most || argument.starts_with("--")) {
      std::string_view const all = text;
      refuse("What is \"" + std::string{argument} + "\"? usage: " + std::string{all.substr(0, all.find('\n'))});
    }
  }
}

inline bool is_set(char const* variable) {
  char const* const value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

// The value of IOTHUB_DEVICE_CONNECTION_STRING or IOTHUB_SERVICE_CONNECTION_STRING.
inline std::string connection_string(char const* variable) {
  if (!is_set(variable))
    refuse(std::string{"Set "} + variable + " to a connection string: the Azure portal shows it, and so does `iothub-fake connstr`.");
  return std::getenv(variable);
}

// A port for a hub that is not on the usual one: IOTHUB_MQTT_PORT, IOTHUB_AMQPS_PORT, IOTHUB_HTTPS_PORT.
inline std::uint16_t port(char const* variable, std::uint16_t usual) {
  if (!is_set(variable)) return usual;
  char const* const value = std::getenv(variable);
  auto const number = iothub::parse_int<std::uint16_t>(value);
  if (!number || *number == 0) refuse(std::string{variable} + " is no port: " + value);
  return *number;
}

inline iothub::device_options device_options() {
  iothub::device_options options;
  options.mqtt_port = port("IOTHUB_MQTT_PORT", options.mqtt_port);
  options.amqps_port = port("IOTHUB_AMQPS_PORT", options.amqps_port);
  options.https_port = port("IOTHUB_HTTPS_PORT", options.https_port);
  return options;
}

// The device of IOTHUB_DEVICE_CONNECTION_STRING. Ctrl-C stops `loop`, and with it every blocking call.
inline iothub::device_client device(iothub::net::epoll_loop& loop) {
  auto client = iothub::device_client::from_connection_string(loop, connection_string("IOTHUB_DEVICE_CONNECTION_STRING"),
                                                              device_options());
  if (!client) refuse(client.error().message());
  return std::move(*client);
}

inline iothub::service_options service_options() {
  iothub::service_options options;
  options.https_port = port("IOTHUB_HTTPS_PORT", options.https_port);
  return options;
}

// The back end of IOTHUB_SERVICE_CONNECTION_STRING.
inline iothub::service_client service(iothub::net::epoll_loop& loop) {
  auto client = iothub::service_client::from_connection_string(
      loop, connection_string("IOTHUB_SERVICE_CONNECTION_STRING"), service_options());
  if (!client) refuse(client.error().message());
  return std::move(*client);
}

// Why it did not work, with what the hub's operator would ask for; gives the exit status.
inline int failed(char const* what, iothub::error const& why) {
  std::fprintf(stderr, "%s: %s (%s)\n", what, std::string{why.message()}.c_str(), std::string{to_string(why.code())}.c_str());
  if (!why.tracking_id().empty()) std::fprintf(stderr, "tracking id: %s\n", std::string{why.tracking_id()}.c_str());
  return 1;
}

}  // namespace example
