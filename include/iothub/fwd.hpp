// Forward declarations of the names that appear in other people's headers. Costs next to nothing to include.
#pragma once

#include <cstdint>

namespace iothub {
inline namespace v0 {

namespace json {
class value;
}

enum class errc : std::uint8_t;
class error;
template <class T>
class result;
template <class Signature>
class function;

class loop;
class participant;

struct message;
struct c2d_message;
struct method_request;
struct method_response;
struct device_twin;
struct twin;
struct device_identity;

struct device_options;
class dialect;
class device_core;
class responder;
class method_dispatcher;
class twin_patch_builder;
class any_device_client;

template <class Transport, class Clock, class Crypto>
class basic_device_client;
template <class Transport, class Clock, class Crypto>
class basic_service_client;

}  // namespace v0
}  // namespace iothub
