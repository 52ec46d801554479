// The event reader with its real transport, AMQP over TLS: iothub/basic_event_reader.hpp has its documentation. With it
// come checkpoints in a file (iothub/file_checkpoint_store.hpp). Needs OpenSSL.
#pragma once

#include <iothub/back_end_transports.hpp>
#include <iothub/basic_event_reader.hpp>
#include <iothub/crypto/openssl.hpp>
#include <iothub/file_checkpoint_store.hpp>
#include <iothub/policy/loop_clock.hpp>

namespace iothub {
inline namespace v0 {

using event_reader = basic_event_reader<back_end_amqp, loop_clock, openssl_crypto>;

}  // namespace v0
}  // namespace iothub
