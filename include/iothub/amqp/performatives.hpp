// The nine performatives, Part 2, 2.7: views into the frame that they came in, or into what is to be sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <iothub/amqp/fields.hpp>
#include <iothub/amqp/reader.hpp>
#include <iothub/amqp/terminus.hpp>
#include <iothub/amqp/types.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// 2.7.1
struct open {
  std::string_view container_id;
  std::string_view hostname;
  std::uint32_t max_frame_size = 0xffffffff;
  std::uint16_t channel_max = 0xffff;
  std::uint32_t idle_time_out = 0;  // milliseconds; 0: none
  encoded outgoing_locales = {};
  encoded incoming_locales = {};
  encoded offered_capabilities = {};
  encoded desired_capabilities = {};
  encoded properties = {};
};

// 2.7.2
struct begin {
  std::optional<std::uint16_t> remote_channel = {};  // set: the answer to a begin on that channel
  std::uint32_t next_outgoing_id = 0;
  std::uint32_t incoming_window = 0;
  std::uint32_t outgoing_window = 0;
  std::uint32_t handle_max = 0xffffffff;
  encoded offered_capabilities = {};
  encoded desired_capabilities = {};
  encoded properties = {};
};

// 2.8.1 to 2.8.3
enum class link_role : std::uint8_t { sender = 0, receiver = 1 };
enum class sender_settles : std::uint8_t { unsettled = 0, settled = 1, mixed = 2 };
enum class receiver_settles : std::uint8_t { first = 0, second = 1 };

// 2.7.3. The role is that of the peer who sends it.
struct attach {
  std::string_view name;
  std::uint32_t handle = 0;
  link_role role = link_role::sender;
  sender_settles snd_settle_mode = sender_settles::mixed;
  receiver_settles rcv_settle_mode = receiver_settles::first;
  bool has_source = false;  // without: there is no such node, a detach follows (2.6.3)
  bool has_target = false;
  amqp::source source = {};
  amqp::target target = {};
  encoded raw_source = {};  // as they came; when set they are what encode() writes
  encoded raw_target = {};
  encoded unsettled = {};
  bool incomplete_unsettled = false;
  std::optional<std::uint32_t> initial_delivery_count = {};  // of a sender
  std::uint64_t max_message_size = 0;                        // 0: no limit
  encoded offered_capabilities = {};
  encoded desired_capabilities = {};
  encoded properties = {};
};

// 2.7.4
struct flow {
  std::optional<std::uint32_t> next_incoming_id = {};
  std::uint32_t incoming_window = 0;
  std::uint32_t next_outgoing_id = 0;
  std::uint32_t outgoing_window = 0;
  std::optional<std::uint32_t> handle = {};  // without: about the session only
  std::optional<std::uint32_t> delivery_count = {};
  std::optional<std::uint32_t> link_credit = {};
  std::optional<std::uint32_t> available = {};
  bool drain = false;
  bool echo = false;
  encoded properties = {};
};

// 2.7.5. The payload follows in the frame.
struct transfer {
  std::uint32_t handle = 0;
  std::optional<std::uint32_t> delivery_id = {};
  byte_view delivery_tag;
  bool has_delivery_tag = false;
  std::optional<std::uint32_t> message_format = {};
  std::optional<bool> settled = {};
  bool more = false;
  std::optional<std::uint8_t> rcv_settle_mode = {};
  encoded state = {};
  bool resume = false;
  bool aborted = false;
  bool batchable = false;
};

// 2.7.6. The role is that of the peer who sends it: a receiver tells outcomes, a sender settles in answer.
struct disposition {
  link_role role = link_role::sender;
  std::uint32_t first = 0;
  std::uint32_t last = 0;  // as first where it is not sent
  bool settled = false;
  delivery_state state = {};
  bool batchable = false;
};

// 2.7.7
struct detach {
  std::uint32_t handle = 0;
  bool closed = false;
  error_view error = {};
};

// 2.7.8, 2.7.9
struct end {
  error_view error = {};
};
struct close {
  error_view error = {};
};

// The performative at the front of a frame's body, and the payload behind it.
struct performative {
  descriptor what = descriptor::none;
  value_view fields;
  byte_view payload;
};
violation read_performative(byte_view body, performative& into) noexcept;

// From the list of fields. `into` should be fresh: absent fields keep what it has.
violation decode(value_view const& fields, open& into) noexcept;
violation decode(value_view const& fields, begin& into) noexcept;
violation decode(value_view const& fields, attach& into) noexcept;
violation decode(value_view const& fields, flow& into) noexcept;
violation decode(value_view const& fields, transfer& into) noexcept;
violation decode(value_view const& fields, disposition& into) noexcept;
violation decode(value_view const& fields, detach& into) noexcept;
violation decode(value_view const& fields, end& into) noexcept;
violation decode(value_view const& fields, close& into) noexcept;

// The described list, without a frame around it.
void encode(open const& what, list_form form, byte_buffer& out);
void encode(begin const& what, list_form form, byte_buffer& out);
void encode(attach const& what, list_form form, byte_buffer& out);
void encode(flow const& what, list_form form, byte_buffer& out);
void encode(transfer const& what, list_form form, byte_buffer& out);
void encode(disposition const& what, list_form form, byte_buffer& out);
void encode(detach const& what, list_form form, byte_buffer& out);
void encode(end const& what, list_form form, byte_buffer& out);
void encode(close const& what, list_form form, byte_buffer& out);

// ---------------------------------------------------------------------------------------------------------------------

inline violation read_performative(byte_view body, performative& into) noexcept {
  violation rule;
  std::size_t const size = read_described(body, into.what, into.fields, rule);
  if (size == 0) return rule;
  if (into.what == descriptor::none || into.fields.type() != kind::list)
    return {condition::framing_error, "2.3.2: a frame whose body is not a performative"};
  into.payload = body.substr(size);
  return {};
}

inline violation decode(value_view const& fields, open& into) noexcept {
  detail::field_reader in{fields};
  bool present = false;
  in.text(into.container_id, &present)
      .text(into.hostname)
      .number(into.max_frame_size)
      .number(into.channel_max)
      .number(into.idle_time_out)
      .raw(into.outgoing_locales)
      .raw(into.incoming_locales)
      .raw(into.offered_capabilities)
      .raw(into.desired_capabilities)
      .raw(into.properties);
  in.require(present);
  return in.rule();
}

inline violation decode(value_view const& fields, begin& into) noexcept {
  detail::field_reader in{fields};
  std::optional<std::uint32_t> id;
  std::optional<std::uint32_t> incoming;
  std::optional<std::uint32_t> outgoing;
  in.number(into.remote_channel)
      .number(id)
      .number(incoming)
      .number(outgoing)
      .number(into.handle_max)
      .raw(into.offered_capabilities)
      .raw(into.desired_capabilities)
      .raw(into.properties);
  in.require(id && incoming && outgoing);
  if (in.rule()) return in.rule();
  into.next_outgoing_id = *id;
  into.incoming_window = *incoming;
  into.outgoing_window = *outgoing;
  return {};
}

inline violation decode(value_view const& fields, attach& into) noexcept {
  detail::field_reader in{fields};
  bool named = false;
  std::optional<std::uint32_t> handle;
  std::optional<bool> role;
  in.text(into.name, &named)
      .number(handle)
      .flag(role)
      .choice(into.snd_settle_mode, 3)
      .choice(into.rcv_settle_mode, 2)
      .raw(into.raw_source)
      .raw(into.raw_target)
      .raw(into.unsettled)
      .flag(into.incomplete_unsettled)
      .number(into.initial_delivery_count)
      .number(into.max_message_size)
      .raw(into.offered_capabilities)
      .raw(into.desired_capabilities)
      .raw(into.properties);
  in.require(named && handle && role);
  if (in.rule()) return in.rule();
  into.handle = *handle;
  into.role = *role ? link_role::receiver : link_role::sender;
  into.has_source = !into.raw_source.empty();
  into.has_target = !into.raw_target.empty();
  if (into.has_source)
    if (violation const rule = decode(into.raw_source, into.source)) return rule;
  if (into.has_target) return decode(into.raw_target, into.target);
  return {};
}

inline violation decode(value_view const& fields, flow& into) noexcept {
  detail::field_reader in{fields};
  std::optional<std::uint32_t> incoming;
  std::optional<std::uint32_t> id;
  std::optional<std::uint32_t> outgoing;
  in.number(into.next_incoming_id)
      .number(incoming)
      .number(id)
      .number(outgoing)
      .number(into.handle)
      .number(into.delivery_count)
      .number(into.link_credit)
      .number(into.available)
      .flag(into.drain)
      .flag(into.echo)
      .raw(into.properties);
  in.require(incoming && id && outgoing);
  if (in.rule()) return in.rule();
  into.incoming_window = *incoming;
  into.next_outgoing_id = *id;
  into.outgoing_window = *outgoing;
  return {};
}

inline violation decode(value_view const& fields, transfer& into) noexcept {
  detail::field_reader in{fields};
  std::optional<std::uint32_t> handle;
  in.number(handle)
      .number(into.delivery_id)
      .binary(into.delivery_tag, &into.has_delivery_tag)
      .number(into.message_format)
      .flag(into.settled)
      .flag(into.more)
      .number(into.rcv_settle_mode)
      .raw(into.state)
      .flag(into.resume)
      .flag(into.aborted)
      .flag(into.batchable);
  in.require(handle.has_value());
  if (in.rule()) return in.rule();
  into.handle = *handle;
  if (into.delivery_tag.size() > 32) return {condition::invalid_field, "2.8.7: a delivery tag above 32 bytes"};
  return {};
}

inline violation decode(value_view const& fields, disposition& into) noexcept {
  detail::field_reader in{fields};
  std::optional<bool> role;
  std::optional<std::uint32_t> first;
  std::optional<std::uint32_t> last;
  encoded state;
  in.flag(role).number(first).number(last).flag(into.settled).raw(state).flag(into.batchable);
  in.require(role && first);
  if (in.rule()) return in.rule();
  into.role = *role ? link_role::receiver : link_role::sender;
  into.first = *first;
  into.last = last.value_or(*first);
  return state.empty() ? violation{} : decode(state, into.state);
}

namespace detail {
inline violation decode_error(field_reader& in, error_view& into) noexcept {
  encoded const why = in.raw();
  if (in.rule() || why.empty()) return in.rule();
  return decode(why, into);
}
inline void encode_error(field_writer& fields, error_view const& why, list_form form) {
  if (why)
    encode(why, form, fields.field());
  else
    fields.null();
}
}  // namespace detail

inline violation decode(value_view const& fields, detach& into) noexcept {
  detail::field_reader in{fields};
  std::optional<std::uint32_t> handle;
  in.number(handle).flag(into.closed);
  in.require(handle.has_value());
  if (in.rule()) return in.rule();
  into.handle = *handle;
  return detail::decode_error(in, into.error);
}

inline violation decode(value_view const& fields, end& into) noexcept {
  detail::field_reader in{fields};
  return detail::decode_error(in, into.error);
}
inline violation decode(value_view const& fields, close& into) noexcept {
  detail::field_reader in{fields};
  return detail::decode_error(in, into.error);
}

// Limits are written even where they are the default: clients exist that compare with them unread (list_form::full).
inline void encode(open const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::open, form};
  fields.string(what.container_id)
      .text(what.hostname)
      .uint32(what.max_frame_size)
      .uint16(what.channel_max)
      .uint32(what.idle_time_out != 0 ? std::optional{what.idle_time_out} : std::nullopt)
      .raw(what.outgoing_locales)
      .raw(what.incoming_locales)
      .raw(what.offered_capabilities)
      .raw(what.desired_capabilities)
      .raw(what.properties)
      .done();
}

inline void encode(begin const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::begin, form};
  fields.uint16(what.remote_channel)
      .uint32(what.next_outgoing_id)
      .uint32(what.incoming_window)
      .uint32(what.outgoing_window)
      .uint32(what.handle_max)
      .raw(what.offered_capabilities)
      .raw(what.desired_capabilities)
      .raw(what.properties)
      .done();
}

inline void encode(attach const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::attach, form};
  fields.string(what.name)
      .uint32(what.handle)
      .flag(what.role == link_role::receiver)
      .uint8(static_cast<std::uint8_t>(what.snd_settle_mode))
      .uint8(static_cast<std::uint8_t>(what.rcv_settle_mode));
  if (what.raw_source.empty() && what.has_source)
    encode(what.source, form, fields.field());
  else
    fields.raw(what.raw_source);
  if (what.raw_target.empty() && what.has_target)
    encode(what.target, form, fields.field());
  else
    fields.raw(what.raw_target);
  fields.raw(what.unsettled)
      .flag_if(what.incomplete_unsettled)
      .uint32(what.initial_delivery_count)
      .uint64(what.max_message_size != 0 ? std::optional{what.max_message_size} : std::nullopt)
      .raw(what.offered_capabilities)
      .raw(what.desired_capabilities)
      .raw(what.properties)
      .done();
}

inline void encode(flow const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::flow, form};
  fields.uint32(what.next_incoming_id)
      .uint32(what.incoming_window)
      .uint32(what.next_outgoing_id)
      .uint32(what.outgoing_window)
      .uint32(what.handle)
      .uint32(what.delivery_count)
      .uint32(what.link_credit)
      .uint32(what.available)
      .flag_if(what.drain)
      .flag_if(what.echo)
      .raw(what.properties)
      .done();
}

inline void encode(transfer const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::transfer, form};
  fields.uint32(what.handle).uint32(what.delivery_id);
  what.has_delivery_tag ? fields.binary(what.delivery_tag) : fields.null();
  fields.uint32(what.message_format)
      .flag(what.settled)
      .flag(what.more)
      .uint8(what.rcv_settle_mode)
      .raw(what.state)
      .flag_if(what.resume)
      .flag_if(what.aborted)
      .flag_if(what.batchable)
      .done();
}

inline void encode(disposition const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::disposition, form};
  fields.flag(what.role == link_role::receiver)
      .uint32(what.first)
      .uint32(what.last != what.first || form == list_form::full ? std::optional{what.last} : std::nullopt)
      .flag(what.settled);
  if (what.state.is == outcome::none || what.state.is == outcome::other)
    fields.null();
  else
    encode(what.state, form, fields.field());
  fields.flag_if(what.batchable).done();
}

inline void encode(detach const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::detach, form};
  fields.uint32(what.handle).flag(what.closed);
  detail::encode_error(fields, what.error, form);
  fields.done();
}

inline void encode(end const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::end, form};
  detail::encode_error(fields, what.error, form);
  fields.done();
}
inline void encode(close const& what, list_form form, byte_buffer& out) {
  detail::field_writer fields{out, descriptor::close, form};
  detail::encode_error(fields, what.error, form);
  fields.done();
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
