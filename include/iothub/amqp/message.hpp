// Messages, Part 3, 3.2: the sections that a transfer's payload consists of.
//
//   header · delivery-annotations · message-annotations · properties · application-properties · body · footer
//
// each at most once and in this order, but for the body: one or more data sections, or one or more sequences, or one
// value. A message_view names what is in a payload, or what is to be written; its maps are encoded values, read with
// find() and built with amqp::value or, where it must be fast, section by section with a writer:
//
//   writer w{out};
//   w.describe(descriptor::message_annotations);
//   auto const begun = w.begin_compound();
//   w.symbol("x-opt-offset"), w.string("37344");
//   w.end_map(begun, 2);
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
#include <iothub/base/bytes.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// 3.2.1
struct message_header {
  bool durable = false;
  std::optional<std::uint8_t> priority = {};  // 4 where it is not set
  std::optional<std::uint32_t> ttl = {};      // milliseconds
  bool first_acquirer = false;
  std::uint32_t delivery_count = 0;
};

// 3.2.4. Ids are encoded values of one of four types (3.2.11 to 3.2.14): ulong, uuid, binary, string; whoever answers a
// message gives its id back as correlation-id in the same type, which copying the bytes does.
struct message_properties {
  encoded message_id = {};
  byte_view user_id;
  bool has_user_id = false;
  std::string_view to;
  std::string_view subject;
  std::string_view reply_to;
  encoded correlation_id = {};
  std::string_view content_type;
  std::string_view content_encoding;
  std::optional<std::int64_t> absolute_expiry_time = {};  // milliseconds since 1970
  std::optional<std::int64_t> creation_time = {};
  std::string_view group_id;
  std::optional<std::uint32_t> group_sequence = {};
  std::string_view reply_to_group_id;
};

enum class body_kind : std::uint8_t { none, data, sequence, value };

struct message_view {
  bool has_header = false;
  message_header header;
  encoded delivery_annotations = {};  // maps with symbol keys
  encoded message_annotations = {};
  bool has_properties = false;
  message_properties properties;
  encoded application_properties = {};  // map with string keys
  body_kind body = body_kind::none;
  byte_view data;                // of the first data section
  encoded value = {};            // of the value section
  encoded body_sections = {};    // all of the body as it came; when set it is what write_message() writes
  std::uint32_t body_count = 0;  // how many sections it has
  encoded footer = {};
};

// Reads all sections and walks every value in them; an empty payload is a message without sections.
violation read_message(byte_view payload, message_view& into) noexcept;
// Appends the sections that are set.
void write_message(message_view const& what, byte_buffer& out);
void write_properties(message_properties const& what, byte_buffer& out);
// Calls f(byte_view) for each data section of the body.
template <class F>
void for_each_data(message_view const& what, F f);

// A message id as text, for those who keep it as such: strings as they are, ulong in digits, uuid in hex with dashes.
// Empty for binary and for no id.
std::string id_text(encoded id);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline violation check_id(encoded id) noexcept {
  if (id.empty()) return {};
  switch (view_of(id).type()) {
    case kind::uint64:
    case kind::uuid:
    case kind::binary:
    case kind::string: return {};
    default: return "3.2.4: a message id of another type";
  }
}

inline violation read_header(value_view const& list, message_header& into) noexcept {
  field_reader in{list};
  in.flag(into.durable).number(into.priority).number(into.ttl).flag(into.first_acquirer).number(into.delivery_count);
  return in.rule();
}

inline violation read_properties(value_view const& list, message_properties& into) noexcept {
  field_reader in{list};
  in.raw(into.message_id)
      .binary(into.user_id, &into.has_user_id)
      .text(into.to)
      .text(into.subject)
      .text(into.reply_to)
      .raw(into.correlation_id)
      .text(into.content_type)
      .text(into.content_encoding)
      .timestamp(into.absolute_expiry_time)
      .timestamp(into.creation_time)
      .text(into.group_id)
      .number(into.group_sequence)
      .text(into.reply_to_group_id);
  if (in.rule()) return in.rule();
  if (violation const rule = check_id(into.message_id)) return rule;
  return check_id(into.correlation_id);
}

inline violation read_map(value_view const& map, encoded& into) noexcept {
  if (map.type() != kind::map && !map.is_null()) return "3.2: a section that is not a map";
  if (!map.is_null()) into = map.bytes();
  return {};
}

// The place of a section in a message; 0 for what is none.
constexpr unsigned section_rank(descriptor what) noexcept {
  switch (what) {
    case descriptor::header: return 1;
    case descriptor::delivery_annotations: return 2;
    case descriptor::message_annotations: return 3;
    case descriptor::properties: return 4;
    case descriptor::application_properties: return 5;
    case descriptor::data:
    case descriptor::amqp_sequence:
    case descriptor::amqp_value: return 6;
    case descriptor::footer: return 7;
    default: return 0;
  }
}

inline violation read_body(descriptor what, value_view const& content, message_view& into) noexcept {
  body_kind const found = what == descriptor::data            ? body_kind::data
                          : what == descriptor::amqp_sequence ? body_kind::sequence
                                                              : body_kind::value;
  if (into.body != body_kind::none && (into.body != found || found == body_kind::value))
    return "3.2: a body of more than one kind";
  if (found == body_kind::data && content.type() != kind::binary) return "3.2.6: a data section that is not binary";
  if (found == body_kind::sequence && content.type() != kind::list) return "3.2.7: a sequence that is not a list";
  into.body = found;
  if (++into.body_count != 1) return {};
  if (found == body_kind::data) into.data = content.content();
  if (found == body_kind::value) into.value = content.bytes();
  return {};
}

}  // namespace detail

inline violation read_message(byte_view payload, message_view& into) noexcept {
  unsigned last = 0;
  char const* body_begin = nullptr;
  char const* body_end = nullptr;
  while (!payload.empty()) {
    descriptor what = descriptor::none;
    value_view content;
    violation rule;
    std::size_t const size = read_described(payload, what, content, rule);
    if (size == 0) return rule;
    unsigned const rank = detail::section_rank(what);
    if (rank == 0) return "3.2: a section that does not belong into a message";
    if (rank < last || (rank == last && rank != 6)) return "3.2: sections out of order";
    last = rank;
    if ((rule = detail::value_parser::deep(content, 0))) return rule;
    switch (what) {
      case descriptor::header:
        into.has_header = true;
        rule = detail::read_header(content, into.header);
        break;
      case descriptor::delivery_annotations: rule = detail::read_map(content, into.delivery_annotations); break;
      case descriptor::message_annotations: rule = detail::read_map(content, into.message_annotations); break;
      case descriptor::properties:
        into.has_properties = true;
        rule = detail::read_properties(content, into.properties);
        break;
      case descriptor::application_properties: rule = detail::read_map(content, into.application_properties); break;
      case descriptor::footer: rule = detail::read_map(content, into.footer); break;
      default:
        rule = detail::read_body(what, content, into);
        if (!body_begin) body_begin = payload.data();
        body_end = payload.data() + size;
        break;
    }
    if (rule) return rule;
    payload.remove_prefix(size);
  }
  if (body_begin) into.body_sections = {body_begin, static_cast<std::size_t>(body_end - body_begin)};
  return {};
}

inline void write_properties(message_properties const& what, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::properties, list_form::brief};
  fields.raw(what.message_id);
  what.has_user_id ? fields.binary(what.user_id) : fields.null();
  fields.text(what.to)
      .text(what.subject)
      .text(what.reply_to)
      .raw(what.correlation_id)
      .symbol(what.content_type)
      .symbol(what.content_encoding)
      .timestamp(what.absolute_expiry_time)
      .timestamp(what.creation_time)
      .text(what.group_id)
      .uint32(what.group_sequence)
      .text(what.reply_to_group_id)
      .done();
}

inline void write_message(message_view const& what, byte_buffer& out) {
  writer w{out};
  auto const map = [&](descriptor section, encoded content) {
    if (!content.empty()) w.describe(section), w.raw(content);
  };
  if (what.has_header) {
    detail::field_writer fields{out, descriptor::header, list_form::brief};
    fields.flag_if(what.header.durable).uint8(what.header.priority).uint32(what.header.ttl);
    fields.flag_if(what.header.first_acquirer);
    what.header.delivery_count != 0 ? fields.uint32(what.header.delivery_count) : fields.null();
    fields.done();
  }
  map(descriptor::delivery_annotations, what.delivery_annotations);
  map(descriptor::message_annotations, what.message_annotations);
  if (what.has_properties) write_properties(what.properties, out);
  map(descriptor::application_properties, what.application_properties);
  if (!what.body_sections.empty()) {
    out.append(what.body_sections);
  } else if (what.body == body_kind::data) {
    w.describe(descriptor::data), w.binary(what.data);
  } else if (what.body == body_kind::value) {
    w.describe(descriptor::amqp_value), w.raw(what.value);
  }
  map(descriptor::footer, what.footer);
}

template <class F>
void for_each_data(message_view const& what, F f) {
  if (what.body != body_kind::data) return;
  if (what.body_count <= 1) return f(what.data);
  byte_view left = what.body_sections;
  while (!left.empty()) {
    descriptor section = descriptor::none;
    value_view content;
    violation rule;
    std::size_t const size = read_described(left, section, content, rule);
    if (size == 0) return;
    f(content.content());
    left.remove_prefix(size);
  }
}

inline std::string id_text(encoded id) {
  value_view const what = view_of(id);
  std::string text;
  switch (what.type()) {
    case kind::string: text.assign(what.content()); break;
    case kind::uint64: {
      char digits[20];
      char* at = digits + sizeof digits;
      std::uint64_t left = *what.as_uint();
      do *--at = static_cast<char>('0' + left % 10);
      while ((left /= 10) != 0);
      text.assign(at, digits + sizeof digits);
      break;
    }
    case kind::uuid: {
      constexpr char hex[] = "0123456789abcdef";
      for (std::size_t i = 0; i != 16; ++i) {
        auto const byte = static_cast<unsigned char>(what.content()[i]);
        if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
        text.push_back(hex[byte >> 4]);
        text.push_back(hex[byte & 15]);
      }
      break;
    }
    default: break;
  }
  return text;
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
