// How GoogleTest shows the values of failing expectations. Found by name look-up; needs no header of GoogleTest.
#pragma once

#include <ostream>

#include <iothub/base/error.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

inline void PrintTo(errc code, std::ostream* out) {
  *out << to_string(code);
}
inline void PrintTo(error const& e, std::ostream* out) {
  *out << to_string(e.code()) << ": " << e.message();
}
inline void PrintTo(property const& p, std::ostream* out) {
  *out << p.name;
  if (p.has_value) *out << '=' << p.value;
}
inline void PrintTo(message const& m, std::ostream* out) {
  *out << "message \"" << m.body.bytes() << '"';
  for (property const& p : m.properties) {
    *out << ' ';
    PrintTo(p, out);
  }
}
inline void PrintTo(method_response const& r, std::ostream* out) {
  *out << r.status << ' ' << r.payload.dump();
}
inline void PrintTo(twin_section const& s, std::ostream* out) {
  *out << "version " << s.version << ' ' << s.properties.dump();
}

namespace json {

inline void PrintTo(value const& v, std::ostream* out) {
  *out << v.dump();
}

}  // namespace json
}  // namespace v0
}  // namespace iothub
