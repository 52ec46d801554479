// HTTP requests and responses as values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/base/config.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

// A view of one field.
struct header {
  std::string_view name = {};
  std::string_view value = {};
  friend bool operator==(header const&, header const&) = default;
};

// Header fields in the order they came; names compare without case (RFC 9110 section 5.1). All of them lie in one
// block, so that a message costs one allocation however many fields it has; views hold until the next change.
class headers {
 public:
  class iterator;

  headers() = default;
  headers(std::initializer_list<header> list) {
    for (header const& field : list) add(field.name, field.value);
  }

  // The first value of that name; empty where there is none (has() tells).
  [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
  [[nodiscard]] bool has(std::string_view name) const noexcept;
  void add(std::string_view name, std::string_view value);
  // Room for so many fields whose names and values have so many characters together.
  void reserve(std::size_t fields, std::size_t characters) { text_.reserve(fields * lengths + characters); }
  // Replaces every field of that name.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  // Keeps the memory.
  void clear() noexcept { text_.clear(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return text_.capacity(); }
  [[nodiscard]] iterator begin() const noexcept;
  [[nodiscard]] iterator end() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;
  friend bool operator==(headers const&, headers const&) = default;

 private:
  using length = std::uint32_t;
  static constexpr std::size_t lengths = 2 * sizeof(length);  // before the name and the value of each field

  std::string text_;
};

class headers::iterator {
 public:
  [[nodiscard]] header operator*() const noexcept {
    return {{at_ + lengths, load(0)}, {at_ + lengths + load(0), load(sizeof(length))}};
  }
  iterator& operator++() noexcept {
    at_ += size();
    return *this;
  }
  friend bool operator==(iterator, iterator) = default;

 private:
  friend class headers;
  explicit iterator(char const* at) noexcept : at_{at} {}
  [[nodiscard]] length load(std::size_t offset) const noexcept {
    length out;
    std::memcpy(&out, at_ + offset, sizeof out);
    return out;
  }
  [[nodiscard]] std::size_t size() const noexcept { return lengths + load(0) + load(sizeof(length)); }

  char const* at_;
};

struct request {
  std::string method = "GET";
  std::string target = "/";  // path and query as on the wire, percent-encoded
  http::headers headers = {};
  std::string body = {};
  friend bool operator==(request const&, request const&) = default;
};

struct response {
  int status = 200;
  std::string reason = {};
  http::headers headers = {};
  std::string body = {};
  friend bool operator==(response const&, response const&) = default;
};

// ---------------------------------------------------------------------------------------------------------------------

inline headers::iterator headers::begin() const noexcept { return iterator{text_.data()}; }
inline headers::iterator headers::end() const noexcept { return iterator{text_.data() + text_.size()}; }

inline std::size_t headers::size() const noexcept {
  std::size_t count = 0;
  for (iterator i = begin(); i != end(); ++i) ++count;
  return count;
}

inline std::string_view headers::get(std::string_view name) const noexcept {
  for (header const& field : *this)
    if (iequals(field.name, name)) return field.value;
  return {};
}

inline bool headers::has(std::string_view name) const noexcept {
  for (header const& field : *this)
    if (iequals(field.name, name)) return true;
  return false;
}

inline void headers::add(std::string_view name, std::string_view value) {
  IOTHUB_ASSERT(name.size() <= ~length{0} && value.size() <= ~length{0});
  length const sizes[] = {static_cast<length>(name.size()), static_cast<length>(value.size())};
  char raw[lengths];
  std::memcpy(raw, sizes, lengths);
  std::size_t const wanted = text_.size() + lengths + name.size() + value.size();
  if (wanted <= text_.capacity()) {
    text_.append(raw, lengths).append(name).append(value);
    return;
  }
  std::string larger;  // the name and the value may be views of fields that are here
  larger.reserve(wanted < 2 * text_.capacity() ? 2 * text_.capacity() : wanted);
  larger.append(text_).append(raw, lengths).append(name).append(value);
  text_ = std::move(larger);
}

inline void headers::set(std::string_view name, std::string_view value) {
  headers changed;
  changed.reserve(0, text_.size() + lengths + name.size() + value.size());
  bool placed = false;
  for (header const& field : *this) {
    if (!iequals(field.name, name)) {
      changed.add(field.name, field.value);
    } else if (!placed) {
      changed.add(field.name, value);
      placed = true;
    }
  }
  if (!placed) changed.add(name, value);
  *this = std::move(changed);
}

inline void headers::remove(std::string_view name) {
  if (!has(name)) return;
  headers changed;
  changed.reserve(0, text_.size());
  for (header const& field : *this)
    if (!iequals(field.name, name)) changed.add(field.name, field.value);
  *this = std::move(changed);
}

}  // namespace http
}  // namespace v0
}  // namespace iothub
