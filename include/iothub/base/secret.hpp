// A holder for keys and tokens. It cannot be copied or printed, leaves nothing behind when moved, and overwrites its
// bytes before their memory is given back. The bytes always live on the heap: the buffer inside a std::string would
// stay behind in every place the string was moved from.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/owned.hpp>

namespace iothub {
inline namespace v0 {

// Overwrites bytes in a way that no compiler takes for useless.
inline void wipe(char* bytes, std::size_t size) noexcept {
  char volatile* p = bytes;
  for (std::size_t i = 0; i != size; ++i) p[i] = 0;
}
// Overwrites all a string has, spare room included, and empties it.
inline void wipe(std::string& text) noexcept {
  text.resize(text.capacity());
  wipe(text.data(), text.size());
  text.clear();
}

class secret {
 public:
  secret() noexcept = default;
  explicit secret(std::string_view bytes)
      : bytes_{bytes.empty() ? nullptr : new char[bytes.size()]}, size_{bytes.size()} {
    if (size_ != 0) std::memcpy(bytes_.get(), bytes.data(), size_);
  }
  // Takes the bytes over and wipes where they came from.
  explicit secret(std::string&& bytes) : secret{std::string_view{bytes}} { wipe(bytes); }
  explicit secret(char const* text) : secret{std::string_view{text}} {}
  secret(secret&& other) noexcept : bytes_{std::move(other.bytes_)}, size_{exchanged(other.size_, 0)} {}
  secret& operator=(secret&& other) noexcept {
    if (this == &other) return *this;
    clear();
    bytes_ = std::move(other.bytes_);
    size_ = exchanged(other.size_, 0);
    return *this;
  }
  ~secret() { clear(); }

  // The bytes, for as long as this holds them. Whoever copies them cares for the copy.
  [[nodiscard]] std::string_view reveal() const noexcept { return {bytes_.get(), size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  // A copy is made by name, never by accident.
  [[nodiscard]] secret clone() const { return secret{reveal()}; }
  void clear() noexcept {
    wipe(bytes_.get(), size_);
    bytes_.reset();
    size_ = 0;
  }

 private:
  owned<char[]> bytes_;
  std::size_t size_ = 0;
};

}  // namespace v0
}  // namespace iothub
