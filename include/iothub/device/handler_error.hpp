// What a handler threw where the library has to go on: a method handler (the caller gets 500) or a handler of messages
// (the message comes again). Nothing else catches what a user's code throws.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include <iothub/base/config.hpp>

namespace iothub {
inline namespace v0 {

enum class handler_kind : std::uint8_t { method, message };

struct handler_error {
  handler_kind kind = handler_kind::method;
  std::string_view name = {};  // of the method; the id of the message, empty where it has none
  std::string_view what = {};  // std::exception::what(); it may say what no stranger should read, so nobody is sent it
};

namespace detail {

#if IOTHUB_EXCEPTIONS
// Inside a catch block: what is being handled.
inline std::string thrown_text() {
  try {
    throw;
  } catch (std::exception const& e) {
    return e.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}
#endif

}  // namespace detail
}  // namespace v0
}  // namespace iothub
