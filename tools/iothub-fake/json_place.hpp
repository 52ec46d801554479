// Where in a JSON text something stands: a value by its path, a byte by its offset. For messages about files.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <iothub/json/value.hpp>

namespace iothub_fake {

struct place {
  std::size_t line = 1;
  std::size_t column = 1;  // in bytes
};

[[nodiscard]] inline place place_at(std::string_view text, std::size_t offset) {
  place at;
  for (std::size_t i = 0; i != offset && i != text.size(); ++i) {
    ++at.column;
    if (text[i] == '\n') at = {at.line + 1, 1};
  }
  return at;
}

// Walks a text that json::parse has accepted. Every step goes to the beginning of a value.
class json_walker {
 public:
  explicit json_walker(std::string_view text) : text_{text} { blanks(); }
  [[nodiscard]] std::size_t offset() const { return at_; }

  // To the last member of that name (the one that counts), or to its name where `at_name`; stays where there is none.
  json_walker& member(std::string_view name, bool at_name = false) {
    std::size_t found = at_;
    each('}', [&] {
      auto const begin = at_;
      skip();
      bool const wanted = iothub::json::parse(text_.substr(begin, at_ - begin)).value() == name;
      blanks();
      ++at_;  // the colon
      blanks();
      if (wanted) found = at_name ? begin : at_;
      skip();
    });
    at_ = found;
    return *this;
  }
  json_walker& element(std::size_t wanted) {
    std::size_t found = at_;
    each(']', [&] {
      if (wanted-- == 0) found = at_;
      skip();
    });
    at_ = found;
    return *this;
  }

 private:
  void blanks() {
    while (at_ < text_.size() && std::string_view{" \t\r\n"}.find(text_[at_]) != std::string_view::npos) ++at_;
  }
  // Calls visit at each item of the container that begins here.
  template <class Visit>
  void each(char closing, Visit visit) {
    if (text_[at_] != '{' && text_[at_] != '[') return;
    ++at_;
    for (blanks(); text_[at_] != closing; blanks()) {
      visit();
      blanks();
      if (text_[at_] == ',') ++at_;
    }
  }
  void skip_string() {
    for (++at_; text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\') ++at_;
    ++at_;
  }
  // Behind the value that begins here.
  void skip() {
    if (text_[at_] == '"') return skip_string();
    if (text_[at_] != '{' && text_[at_] != '[') {
      while (at_ < text_.size() && std::string_view{",]} \t\r\n:"}.find(text_[at_]) == std::string_view::npos) ++at_;
      return;
    }
    int depth = 0;
    do {
      char const c = text_[at_];
      if (c == '"') {
        skip_string();
        continue;
      }
      depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
      ++at_;
    } while (depth != 0);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace iothub_fake
