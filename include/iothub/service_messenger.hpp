// The service messenger with its real transport, AMQP over TLS: iothub/basic_service_messenger.hpp has its
// documentation. Needs OpenSSL.
#pragma once

#include <iothub/back_end_transports.hpp>
#include <iothub/basic_service_messenger.hpp>
#include <iothub/crypto/openssl.hpp>
#include <iothub/policy/loop_clock.hpp>

namespace iothub {
inline namespace v0 {

using service_messenger = basic_service_messenger<back_end_amqp, loop_clock, openssl_crypto>;

}  // namespace v0
}  // namespace iothub
