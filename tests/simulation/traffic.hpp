// What is sent in a run: each message is a function of its number, so that who reads it knows what it has to be.
#pragma once

#include <cstdint>
#include <string>

#include <iothub/json/value.hpp>
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

// Report number n: one key, or several, or some below others, or keys that go.
inline constexpr char const* report_leaves[] = {"k0", "k1", "k2", "k3", "k4", "k5", "deep.a0", "deep.a1", "deep.b.c0",
    "deep.b.c1"};
inline constexpr std::size_t report_leaf_count = 10;
struct report_patch {
  iothub::json::value patch = iothub::json::value::make_object();
  std::uint32_t sets = 0, removes = 0;  // leaves, a bit for each
};
inline report_patch report_of(std::uint64_t n) {
  report_patch r;
  auto const value = static_cast<std::int64_t>(n);
  auto const flat = [&](std::uint64_t k) { r.patch.set("k" + std::to_string(k), value), r.sets |= 1u << k; };
  if (n % 5 != 3) flat(n % 6);
  if (n % 5 == 1) flat((n + 1) % 6), flat((n + 2) % 6);
  if (n % 5 == 2) {  // a level down, and two
    r.patch.set("deep", {{"a" + std::to_string(n % 2), value}, {"b", {{"c" + std::to_string(n / 2 % 2), value}}}});
    r.sets |= 1u << (6 + n % 2) | 1u << (8 + n / 2 % 2);
  }
  if (n % 5 == 3) {  // null takes away (RFC 7396): a leaf, a branch, or all that is below
    r.patch.set("k" + std::to_string(n % 6), iothub::json::value{});
    r.removes |= 1u << n % 6;
    if (n % 2 == 0) r.patch.set("deep", {{"b", iothub::json::value{}}}), r.removes |= 3u << 8;
    if (n % 4 == 1) r.patch.set("deep", iothub::json::value{}), r.removes |= 15u << 6;
  }
  return r;
}

// Message number n to a device.
inline iothub::message c2d_message_of(int device, std::uint64_t n, bool once_more) {
  iothub::message m{.body = "C" + std::to_string(n) + (once_more ? " once more" : "")};
  m.message_id = "m" + std::to_string(device) + "." + std::to_string(n);
  if (n % 3 == 1) m.properties.push_back({"a b&=/%", "#+$?" + std::to_string(n)});
  if (n % 4 == 2) m.content_type = "text/plain", m.correlation_id = "c " + std::to_string(n);
  return m;
}

// In what two messages differ; null: in nothing.
inline char const* difference(iothub::message const& a, iothub::message const& b) {
  if (a.body.bytes() != b.body.bytes()) return "the body";
  if (a.properties != b.properties) return "the properties";
  if (a.message_id != b.message_id) return "message_id";
  if (a.correlation_id != b.correlation_id) return "correlation_id";
  if (a.content_type != b.content_type) return "content_type";
  if (a.content_encoding != b.content_encoding) return "content_encoding";
  return a == b ? nullptr : "a system property";
}

}  // namespace iothub_test
