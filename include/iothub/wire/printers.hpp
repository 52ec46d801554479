// How GoogleTest shows the values of failing expectations. Found by name look-up; needs no header of GoogleTest.
#pragma once

#include <ostream>

#include <iothub/base/error.hpp>
#include <iothub/base/result.hpp>
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
inline void PrintTo(device_twin const& t, std::ostream* out) {
  PrintTo(t.desired, &(*out << "desired "));
  PrintTo(t.reported, &(*out << ", reported "));
}
inline void PrintTo(twin const& t, std::ostream* out) {
  PrintTo(t.desired, &(*out << "twin of " << t.device_id << " with tags " << t.tags.dump() << ", desired "));
  PrintTo(t.reported, &(*out << ", reported "));
}
inline void PrintTo(result<void> const& r, std::ostream* out) {
  if (r) return void(*out << "done");
  PrintTo(r.error(), out);
}
// Of what is printable, above: its value or the error.
template <class T>
auto PrintTo(result<T> const& r, std::ostream* out) -> decltype(PrintTo(*r, out)) {
  if (r)
    PrintTo(*r, out);
  else
    PrintTo(r.error(), out);
}

namespace json {

inline void PrintTo(value const& v, std::ostream* out) {
  *out << v.dump();
}

}  // namespace json
}  // namespace v0
}  // namespace iothub
