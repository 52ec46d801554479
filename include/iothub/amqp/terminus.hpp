// What performatives are made of: errors, outcomes of deliveries, sources and targets. Part 2, 2.8.14; Part 3, 3.4 and
// 3.5. Views into what was read, or into what is to be written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <iothub/amqp/fields.hpp>
#include <iothub/amqp/reader.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/amqp/writer.hpp>
#include <iothub/base/error.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// Part 2, 2.8.14. An empty condition: no error.
struct error_view {
  std::string_view condition;
  std::string_view description;
  encoded info = {};  // map with symbol keys

  explicit operator bool() const noexcept { return !condition.empty(); }
  friend bool operator==(error_view const&, error_view const&) = default;
};

// What the receiver says of a delivery, Part 3, 3.4.
enum class outcome : std::uint8_t {
  none,
  received,  // part of it (3.4.1): not an outcome yet
  accepted,
  rejected,  // invalid: do not send it again
  released,  // not looked at: send it again
  modified,
  other,  // a state that this library does not know, for example one of a transaction
};

struct delivery_state {
  outcome is = outcome::none;
  error_view error = {};             // rejected
  bool delivery_failed = false;      // modified
  bool undeliverable_here = false;   // modified
  encoded annotations = {};          // modified
  std::uint32_t section_number = 0;  // received
  std::uint64_t section_offset = 0;  // received
  encoded raw = {};                  // the state as it came; never written

  // Part 3, 3.4: one of the states after which nothing changes any more.
  [[nodiscard]] bool terminal() const noexcept { return is >= outcome::accepted && is <= outcome::modified; }

  static delivery_state accepted() noexcept { return of(outcome::accepted); }
  static delivery_state released() noexcept { return of(outcome::released); }
  static delivery_state rejected(error_view why = {}) noexcept {
    delivery_state state = of(outcome::rejected);
    state.error = why;
    return state;
  }
  static delivery_state modified(bool failed, bool undeliverable) noexcept {
    delivery_state state = of(outcome::modified);
    state.delivery_failed = failed;
    state.undeliverable_here = undeliverable;
    return state;
  }

 private:
  static delivery_state of(outcome which) noexcept {
    delivery_state state;
    state.is = which;
    return state;
  }
};

// Part 3, 3.5.5. What a node holds longer than a link lasts.
enum class terminus_durability : std::uint8_t { none, configuration, unsettled_state };

// Part 3, 3.5.3.
struct source {
  std::string_view address;
  bool has_address = false;  // a null address asks for a dynamic node, or names none
  terminus_durability durable = terminus_durability::none;
  std::string_view expiry_policy;  // empty: session-end
  std::uint32_t timeout = 0;       // seconds
  bool dynamic = false;
  encoded dynamic_node_properties = {};
  std::string_view distribution_mode;  // "move", "copy"
  encoded filter = {};                 // map of symbol to described value
  encoded default_outcome = {};
  encoded outcomes = {};
  encoded capabilities = {};

  static source at(std::string_view address) noexcept {
    source s;
    s.address = address;
    s.has_address = true;
    return s;
  }
};

// Part 3, 3.5.4.
struct target {
  std::string_view address;
  bool has_address = false;
  terminus_durability durable = terminus_durability::none;
  std::string_view expiry_policy;
  std::uint32_t timeout = 0;
  bool dynamic = false;
  encoded dynamic_node_properties = {};
  encoded capabilities = {};

  static target at(std::string_view address) noexcept {
    target t;
    t.address = address;
    t.has_address = true;
    return t;
  }
};

violation decode(encoded value, error_view& into) noexcept;
violation decode(encoded value, delivery_state& into) noexcept;
violation decode(encoded value, source& into) noexcept;
// A coordinator of transactions (Part 4) is no target here: `not-implemented`.
violation decode(encoded value, target& into) noexcept;

void encode(error_view const& what, list_form form, byte_buffer& out);
void encode(delivery_state const& what, list_form form, byte_buffer& out);
void encode(source const& what, list_form form, byte_buffer& out);
void encode(target const& what, list_form form, byte_buffer& out);

// The peer's error as one of this library: its own sentence, and the code that fits the condition. Conditions that the
// standard does not define give errc::server_error.
errc to_errc(std::string_view condition) noexcept;
inline iothub::error to_error(error_view const& what) {
  std::string text{what.condition};
  if (!what.description.empty()) text.append(": ").append(what.description);
  return {to_errc(what.condition), std::move(text)};
}

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {
// The list behind a described value that must have this descriptor.
inline violation open_composite(encoded value, descriptor wanted, value_view& list) noexcept {
  if (descriptor_of(view_of(value), list) != wanted) return {condition::decode_error, "1.4: another type was expected"};
  return {};
}
}  // namespace detail

inline violation decode(encoded value, error_view& into) noexcept {
  value_view list;
  if (violation const rule = detail::open_composite(value, descriptor::error, list)) return rule;
  detail::field_reader in{list};
  bool present = false;
  in.text(into.condition, &present).text(into.description).raw(into.info);
  in.require(present);
  return in.rule();
}

inline violation decode(encoded value, delivery_state& into) noexcept {
  value_view list;
  into.raw = value;
  detail::field_reader const none{list};
  switch (descriptor_of(view_of(value), list)) {
    case descriptor::accepted: into.is = outcome::accepted; return {};
    case descriptor::released: into.is = outcome::released; return {};
    case descriptor::rejected: {
      into.is = outcome::rejected;
      detail::field_reader in{list};
      encoded const why = in.raw();
      if (in.rule() || why.empty()) return in.rule();
      return decode(why, into.error);
    }
    case descriptor::modified: {
      into.is = outcome::modified;
      detail::field_reader in{list};
      in.flag(into.delivery_failed).flag(into.undeliverable_here).raw(into.annotations);
      return in.rule();
    }
    case descriptor::received: {
      into.is = outcome::received;
      detail::field_reader in{list};
      in.number(into.section_number).number(into.section_offset);
      return in.rule();
    }
    default: into.is = outcome::other; return {};
  }
}

inline violation decode(encoded value, source& into) noexcept {
  value_view list;
  if (violation const rule = detail::open_composite(value, descriptor::source, list)) return rule;
  detail::field_reader in{list};
  in.text(into.address, &into.has_address)
      .choice(into.durable, 3)
      .text(into.expiry_policy)
      .number(into.timeout)
      .flag(into.dynamic)
      .raw(into.dynamic_node_properties)
      .text(into.distribution_mode)
      .raw(into.filter)
      .raw(into.default_outcome)
      .raw(into.outcomes)
      .raw(into.capabilities);
  return in.rule();
}

inline violation decode(encoded value, target& into) noexcept {
  value_view list;
  if (descriptor_of(view_of(value), list) == descriptor::coordinator)
    return {condition::not_implemented, "Part 4: transactions are not supported"};
  if (violation const rule = detail::open_composite(value, descriptor::target, list)) return rule;
  detail::field_reader in{list};
  in.text(into.address, &into.has_address)
      .choice(into.durable, 3)
      .text(into.expiry_policy)
      .number(into.timeout)
      .flag(into.dynamic)
      .raw(into.dynamic_node_properties)
      .raw(into.capabilities);
  return in.rule();
}

inline void encode(error_view const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::error, form};
  fields.symbol(what.condition).text(what.description).raw(what.info).done();
}

inline void encode(delivery_state const& what, list_form form, byte_buffer& out) {
  switch (what.is) {
    case outcome::none:
    case outcome::other: writer{out}.null(); return;
    case outcome::accepted: detail::field_writer{out, descriptor::accepted, form}.done(); return;
    case outcome::released: detail::field_writer{out, descriptor::released, form}.done(); return;
    case outcome::rejected: {
      detail::field_writer fields{out, descriptor::rejected, form};
      what.error ? encode(what.error, form, fields.field()) : static_cast<void>(fields.null());
      return fields.done();
    }
    case outcome::modified: {
      detail::field_writer fields{out, descriptor::modified, form};
      fields.flag_if(what.delivery_failed).flag_if(what.undeliverable_here).raw(what.annotations).done();
      return;
    }
    case outcome::received: {
      detail::field_writer fields{out, descriptor::received, form};
      fields.uint32(what.section_number).uint64(what.section_offset).done();
      return;
    }
  }
}

inline void encode(source const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::source, form};
  what.has_address ? fields.string(what.address) : fields.null();
  if (what.durable == terminus_durability::none)
    fields.null();
  else
    fields.uint32(static_cast<std::uint32_t>(what.durable));
  fields.symbol(what.expiry_policy);
  what.timeout != 0 ? fields.uint32(what.timeout) : fields.null();
  fields.flag_if(what.dynamic)
      .raw(what.dynamic_node_properties)
      .symbol(what.distribution_mode)
      .raw(what.filter)
      .raw(what.default_outcome)
      .raw(what.outcomes)
      .raw(what.capabilities)
      .done();
}

inline void encode(target const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::target, form};
  what.has_address ? fields.string(what.address) : fields.null();
  if (what.durable == terminus_durability::none)
    fields.null();
  else
    fields.uint32(static_cast<std::uint32_t>(what.durable));
  fields.symbol(what.expiry_policy);
  what.timeout != 0 ? fields.uint32(what.timeout) : fields.null();
  fields.flag_if(what.dynamic).raw(what.dynamic_node_properties).raw(what.capabilities).done();
}

inline errc to_errc(std::string_view name) noexcept {
  struct row {
    std::string_view condition;
    errc code;
  };
  constexpr row rows[] = {
      {condition::unauthorized_access, errc::unauthorized},
      {condition::not_found, errc::not_found},
      {condition::resource_deleted, errc::not_found},
      {condition::resource_limit_exceeded, errc::quota_exceeded},
      {condition::precondition_failed, errc::precondition_failed},
      {condition::not_allowed, errc::forbidden},
      {condition::not_implemented, errc::unsupported},
      {condition::illegal_state, errc::bad_request},
      {condition::invalid_field, errc::bad_request},
      {condition::decode_error, errc::bad_request},
      {condition::frame_size_too_small, errc::bad_request},
      {condition::framing_error, errc::bad_request},
      {condition::window_violation, errc::bad_request},
      {condition::errant_link, errc::bad_request},
      {condition::handle_in_use, errc::bad_request},
      {condition::unattached_handle, errc::bad_request},
      {condition::transfer_limit_exceeded, errc::bad_request},
      {condition::message_size_exceeded, errc::too_large},
      {condition::connection_forced, errc::service_unavailable},
      {condition::detach_forced, errc::service_unavailable},
      {condition::resource_locked, errc::service_unavailable},
      {condition::link_stolen, errc::already_exists},
  };
  for (row const& each : rows)
    if (each.condition == name) return each.code;
  return errc::server_error;
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
