// HTTP requests and responses as values.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

struct header {
  std::string name = {};
  std::string value = {};
  friend bool operator==(header const&, header const&) = default;
};

// Header fields in the order they came; names compare without case (RFC 9110 section 5.1).
class headers {
 public:
  headers() = default;
  headers(std::initializer_list<header> list) : list_{list} {}

  // The first value of that name; empty where there is none (has() tells).
  [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
  [[nodiscard]] bool has(std::string_view name) const noexcept;
  void add(std::string name, std::string value);
  void reserve(std::size_t size) { list_.reserve(size); }
  // Replaces every field of that name.
  void set(std::string_view name, std::string value);
  void remove(std::string_view name);
  [[nodiscard]] auto begin() const noexcept { return list_.begin(); }
  [[nodiscard]] auto end() const noexcept { return list_.end(); }
  [[nodiscard]] std::size_t size() const noexcept { return list_.size(); }
  friend bool operator==(headers const&, headers const&) = default;

 private:
  std::vector<header> list_;
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

inline std::string_view headers::get(std::string_view name) const noexcept {
  for (header const& field : list_)
    if (iequals(field.name, name)) return field.value;
  return {};
}

inline bool headers::has(std::string_view name) const noexcept {
  for (header const& field : list_)
    if (iequals(field.name, name)) return true;
  return false;
}

inline void headers::add(std::string name, std::string value) {
  list_.push_back(header{std::move(name), std::move(value)});
}

inline void headers::set(std::string_view name, std::string value) {
  for (std::size_t i = 0; i != list_.size(); ++i) {
    if (!iequals(list_[i].name, name)) continue;
    list_[i].value = std::move(value);
    for (std::size_t j = list_.size() - 1; j != i; --j)
      if (iequals(list_[j].name, name)) list_.erase(list_.begin() + static_cast<std::ptrdiff_t>(j));
    return;
  }
  add(std::string{name}, std::move(value));
}

inline void headers::remove(std::string_view name) {
  for (std::size_t i = list_.size(); i-- != 0;)
    if (iequals(list_[i].name, name)) list_.erase(list_.begin() + static_cast<std::ptrdiff_t>(i));
}

}  // namespace http
}  // namespace v0
}  // namespace iothub
