// The fields of composite types (Part 1, 1.4): a described list whose items have a meaning by their place.
//
// Reading is tolerant as the standard asks: a list may be shorter than its type has fields, a missing field is null, a
// null field keeps its default, fields behind the known ones are ignored; integers of any width are taken where the
// value fits, and symbols and strings for one another, since not every peer tells them apart. Writing leaves trailing
// nulls out, or writes the whole list (list_form).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <iothub/amqp/reader.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/amqp/writer.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {
namespace detail {

class field_reader {
 public:
  explicit field_reader(value_view const& list) noexcept : in_{list} {
    if (list.type() != kind::list) rule_ = "1.4: a composite type that is not a list";
  }

  // The next field as it is.
  encoded raw() noexcept { return next() ? item_.bytes() : encoded{}; }
  value_view const* next() noexcept {
    if (rule_) return nullptr;
    if (!in_.next(item_)) {
      rule_ = in_.rule();
      return nullptr;
    }
    return item_.is_null() ? nullptr : &item_;
  }

  field_reader& text(std::string_view& into, bool* present = nullptr) noexcept {
    if (next()) {
      if (auto const found = item_.as_text()) {
        into = *found;
        if (present) *present = true;
      } else {
        wrong();
      }
    }
    return *this;
  }
  field_reader& binary(byte_view& into, bool* present = nullptr) noexcept {
    if (next()) {
      if (auto const found = item_.as_binary()) {
        into = *found;
        if (present) *present = true;
      } else {
        wrong();
      }
    }
    return *this;
  }
  field_reader& flag(bool& into) noexcept {
    if (next()) {
      if (auto const found = item_.as_bool())
        into = *found;
      else
        wrong();
    }
    return *this;
  }
  field_reader& flag(std::optional<bool>& into) noexcept {
    if (next()) {
      into = item_.as_bool();
      if (!into) wrong();
    }
    return *this;
  }
  template <class T>
  field_reader& number(T& into) noexcept {
    if (next()) {
      auto const found = item_.as_uint();
      if (found && *found <= static_cast<std::uint64_t>(static_cast<T>(~T{0})))
        into = static_cast<T>(*found);
      else
        wrong();
    }
    return *this;
  }
  template <class T>
  field_reader& number(std::optional<T>& into) noexcept {
    if (next()) {
      auto const found = item_.as_uint();
      if (found && *found <= static_cast<std::uint64_t>(static_cast<T>(~T{0})))
        into = static_cast<T>(*found);
      else
        wrong();
    }
    return *this;
  }
  field_reader& timestamp(std::optional<std::int64_t>& into) noexcept {
    if (next()) {
      into = item_.as_timestamp();
      if (!into) into = item_.as_int();
      if (!into) wrong();
    }
    return *this;
  }
  field_reader& raw(encoded& into) noexcept {
    into = raw();
    return *this;
  }
  // An enumeration of `count` values from 0.
  template <class E>
  field_reader& choice(E& into, unsigned count) noexcept {
    if (next()) {
      auto const found = item_.as_uint();
      if (found && *found < count)
        into = static_cast<E>(*found);
      else
        wrong();
    }
    return *this;
  }
  void require(bool present) noexcept {
    if (!present && !rule_) rule_ = {condition::invalid_field, "1.4: a mandatory field is missing"};
  }
  [[nodiscard]] violation rule() const noexcept { return rule_; }

 private:
  void wrong() noexcept { rule_ = {condition::invalid_field, "1.4: a field of another type"}; }

  reader in_;
  value_view item_;
  violation rule_;
};

// Writes one described list. Nulls are held back until a field follows them, or until done() in list_form::full.
class field_writer {
 public:
  field_writer(byte_buffer& out, descriptor what, list_form form) : out_{out}, form_{form} {
    out_.describe(what);
    begun_ = out_.begin_compound();
  }

  field_writer& null() noexcept {
    ++held_;
    return *this;
  }
  field_writer& text(std::string_view value) { return value.empty() ? null() : string(value); }
  field_writer& string(std::string_view value) { return out().string(value), *this; }
  field_writer& symbol(std::string_view value) { return value.empty() ? null() : (out().symbol(value), *this); }
  field_writer& binary(byte_view value) { return out().binary(value), *this; }
  field_writer& flag(bool value) { return out().boolean(value), *this; }
  field_writer& flag(std::optional<bool> value) { return value ? flag(*value) : null(); }
  // True is written, false is the default.
  field_writer& flag_if(bool value) { return value ? flag(true) : null(); }
  field_writer& uint8(std::uint8_t value) { return out().uint8(value), *this; }
  field_writer& uint16(std::uint16_t value) { return out().uint16(value), *this; }
  field_writer& uint32(std::uint32_t value) { return out().uint32(value), *this; }
  field_writer& uint64(std::uint64_t value) { return out().uint64(value), *this; }
  field_writer& uint8(std::optional<std::uint8_t> value) { return value ? uint8(*value) : null(); }
  field_writer& uint16(std::optional<std::uint16_t> value) { return value ? uint16(*value) : null(); }
  field_writer& uint32(std::optional<std::uint32_t> value) { return value ? uint32(*value) : null(); }
  field_writer& uint64(std::optional<std::uint64_t> value) { return value ? uint64(*value) : null(); }
  field_writer& timestamp(std::optional<std::int64_t> value) {
    return value ? (out().timestamp(*value), *this) : null();
  }
  field_writer& raw(encoded value) { return value.empty() ? null() : (out().raw(value), *this); }
  // For a field that writes itself: the caller appends exactly one value to it.
  byte_buffer& field() { return out().buffer(); }

  void done() {
    if (form_ == list_form::full) flush();
    out_.end_list(begun_, count_);
  }

 private:
  writer& out() {
    flush();
    ++count_;
    return out_;
  }
  void flush() {
    for (; held_ != 0; --held_, ++count_) out_.null();
  }

  writer out_;
  writer::mark begun_;
  std::uint32_t count_ = 0;
  std::uint32_t held_ = 0;
  list_form form_;
};

}  // namespace detail
}  // namespace amqp
}  // namespace v0
}  // namespace iothub
