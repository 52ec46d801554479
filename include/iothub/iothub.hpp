// The device client and the service client with their real transports: MQTT over TLS for devices, HTTPS for back ends.
//
//   iothub::device_client     iothub/device_client.hpp has its documentation
//   iothub::service_client    iothub/service_client.hpp
//   net::stop_on_signals      iothub/net/signals.hpp: Ctrl-C ends a program in order
//
// Needs OpenSSL and libcurl. For a hub in your unit tests include iothub/fake_hub.hpp instead, which includes this.
#pragma once

#include <iothub/base/config.hpp>
#include <iothub/device/method_dispatcher.hpp>
#include <iothub/device/twin_patch_builder.hpp>
#include <iothub/device_client.hpp>
#include <iothub/device_transports.hpp>
#include <iothub/net/signals.hpp>
#include <iothub/service_client.hpp>
#include <iothub/service_client_https.hpp>
#include <iothub/version.hpp>
