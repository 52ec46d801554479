// What is sent in a run: each message is a function of its number, so that who reads it knows what it has to be.
#pragma once

#include <cstdint>
#include <string>

#include <iothub/wire/models.hpp>

namespace iothub_test {

// What message number n of a device looks like.
inline std::string telemetry_body(int device, std::uint64_t n) {
  std::string body = "T" + std::to_string(device) + "." + std::to_string(n) + ".";
  for (std::uint64_t i = 0, x = n * 2654435761u + 1; i != (n % 17 == 16 ? 3000 : n % 40); ++i, x = x * 48271 % 2147483647)
    body += static_cast<char>(x & 255);
  return body;
}

// The whole message. Most have nothing but a number; some have what an application may add, hard to quote at times.
inline iothub::message telemetry_message(int device, std::uint64_t n, iothub::property_list const& extra = {}) {
  iothub::message m{.body = telemetry_body(device, n), .properties = extra};
  m.properties.push_back({"n", std::to_string(n)});
  if (n % 4 == 1) m.message_id = "id-" + std::to_string(n);
  if (n % 5 == 2) m.content_type = "application/json", m.content_encoding = "utf-8";
  if (n % 7 == 3) m.correlation_id = "a/b " + std::to_string(n);
  if (n % 11 == 4) m.properties.push_back({"a b&=/%", "#+$?\xc3\xa9"});
  if (n % 13 == 5) m.properties.push_back({"empty", ""});
  return m;
}

// Message number n to a device.
inline iothub::message c2d_message_of(int device, std::uint64_t n, bool once_more) {
  iothub::message m{.body = "C" + std::to_string(n) + (once_more ? " once more" : "")};
  m.message_id = "m" + std::to_string(device) + "." + std::to_string(n);
  if (n % 3 == 1) m.properties.push_back({"a b&=/%", "#+$?" + std::to_string(n)});
  if (n % 4 == 2) m.content_type = "text/plain", m.correlation_id = "c " + std::to_string(n);
  return m;
}

}  // namespace iothub_test
