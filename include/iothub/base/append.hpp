// Writing through a plain pointer into either kind of owned bytes: room for the worst case is made once, what was not
// needed is given back. This is how the text builders get by without a check per character.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <iothub/base/bytes.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

// Room for `size` more bytes; settle() says where the content ends.
inline char* grow(std::string& out, std::size_t size) {
  std::size_t const before = out.size();
  out.resize(before + size);
  return out.data() + before;
}
inline void settle(std::string& out, char const*, char const* end) {
  out.resize(static_cast<std::size_t>(end - out.data()));
}
inline char* grow(byte_buffer& out, std::size_t size) {
  return out.prepare(size).data();
}
inline void settle(byte_buffer& out, char const* begin, char const* end) noexcept {
  out.commit(static_cast<std::size_t>(end - begin));
}

inline char* put(char* out, std::string_view text) noexcept {
  return out + text.copy(out, text.size());
}

}  // namespace detail
}  // namespace v0
}  // namespace iothub
