// Writing through a plain pointer into any kind of owned bytes: room for the worst case is made once, what was not
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

// Text for the time of one function: on the stack while the worst case fits into N bytes, else on the heap.
template <std::size_t N>
class short_text {
 public:
  short_text() noexcept {}  // few_ is left as it is
  short_text(short_text const&) = delete;
  short_text& operator=(short_text const&) = delete;

  [[nodiscard]] std::string_view view() const noexcept {
    return many_.empty() ? std::string_view{few_, size_} : std::string_view{many_};
  }
  friend char* grow(short_text& out, std::size_t size) {
    if (out.many_.empty() && size <= N - out.size_) return out.few_ + out.size_;
    if (out.many_.empty()) out.many_.assign(out.few_, out.size_);
    return detail::grow(out.many_, size);
  }
  friend void settle(short_text& out, char const* begin, char const* end) {
    if (out.many_.empty())
      out.size_ = static_cast<std::size_t>(end - out.few_);
    else
      detail::settle(out.many_, begin, end);
  }

 private:
  char few_[N];
  std::size_t size_ = 0;
  std::string many_;  // empty: the text is in few_
};

inline char* put(char* out, std::string_view text) noexcept {
  return out + text.copy(out, text.size());
}

}  // namespace detail
}  // namespace v0
}  // namespace iothub
