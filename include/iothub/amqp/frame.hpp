// Frames and protocol headers, Part 2, 2.2 and 2.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <iothub/amqp/types.hpp>
#include <iothub/base/bytes.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// What stands in front of a layer, Part 2, 2.2: "AMQP", an id, version 1.0.0. Id 2 announces TLS inside the connection
// (Part 5, 5.2.1); it is refused here, since TLS belongs below.
enum class protocol_id : std::uint8_t { amqp = 0, tls = 2, sasl = 3 };
inline constexpr std::size_t protocol_header_size = 8;

enum class frame_type : std::uint8_t { amqp = 0, sasl = 1 };
inline constexpr std::size_t frame_header_size = 8;

// One frame. An empty body is a heartbeat (2.4.5).
struct frame {
  frame_type type = frame_type::amqp;
  std::uint16_t channel = 0;
  byte_view body;  // behind the extended header
};

enum class read_status : std::uint8_t { need_more, complete, broken };

struct frame_read {
  read_status status = read_status::need_more;
  std::size_t size = 0;  // bytes used, when complete
  violation rule = {};
};

// The protocol header at the front of the bytes. Broken as soon as one byte cannot be right; a version other than 1.0.0
// is broken too.
frame_read read_protocol_header(byte_view bytes, protocol_id& into) noexcept;
void write_protocol_header(protocol_id id, byte_buffer& out);

// The frame at the front of the bytes. Its size is checked as soon as it is there, so nobody waits for, or makes room
// for, a frame above `max_frame_size`.
frame_read read_frame(byte_view bytes, std::size_t max_frame_size, frame& into) noexcept;

// Begins a frame at the end of `out`; returns where. The body follows, then end_frame() writes the size.
std::size_t begin_frame(frame_type type, std::uint16_t channel, byte_buffer& out);
void end_frame(std::size_t begun, byte_buffer& out) noexcept;

// ---------------------------------------------------------------------------------------------------------------------

inline frame_read read_protocol_header(byte_view bytes, protocol_id& into) noexcept {
  constexpr char start[] = {'A', 'M', 'Q', 'P'};
  constexpr char version[] = {1, 0, 0};
  for (std::size_t i = 0; i != 4 && i != bytes.size(); ++i)
    if (bytes[i] != start[i]) return {read_status::broken, 0, {condition::framing_error, "2.2: this is not AMQP"}};
  if (bytes.size() > 4) {
    if (bytes[4] != 0 && bytes[4] != 2 && bytes[4] != 3)
      return {read_status::broken, 0, {condition::framing_error, "2.2: an unknown protocol id"}};
    into = static_cast<protocol_id>(bytes[4]);
  }
  for (std::size_t i = 5; i < protocol_header_size && i < bytes.size(); ++i)
    if (bytes[i] != version[i - 5])
      return {read_status::broken, 0, {condition::framing_error, "2.2: a version other than 1.0.0"}};
  if (bytes.size() < protocol_header_size) return {};
  return {read_status::complete, protocol_header_size, {}};
}

inline void write_protocol_header(protocol_id id, byte_buffer& out) {
  char const header[] = {'A', 'M', 'Q', 'P', static_cast<char>(id), 1, 0, 0};
  out.append({header, sizeof header});
}

inline frame_read read_frame(byte_view bytes, std::size_t max_frame_size, frame& into) noexcept {
  if (bytes.size() < 4) return {};
  std::size_t const size = detail::load32(bytes.data());
  if (size < frame_header_size)
    return {read_status::broken, 0, {condition::framing_error, "2.3.1: a frame smaller than its header"}};
  if (size > max_frame_size)
    return {read_status::broken, 0, {condition::framing_error, "2.3.1: a frame above the maximum frame size"}};
  if (bytes.size() < frame_header_size) return {};
  std::size_t const body = 4 * static_cast<std::size_t>(static_cast<unsigned char>(bytes[4]));
  if (body < frame_header_size)
    return {read_status::broken, 0, {condition::framing_error, "2.3.1: a data offset inside the header"}};
  if (body > size) return {read_status::broken, 0, {condition::framing_error, "2.3.1: a data offset behind the frame"}};
  if (static_cast<unsigned char>(bytes[5]) > 1)
    return {read_status::broken, 0, {condition::framing_error, "2.3.1: an unknown frame type"}};
  if (bytes.size() < size) return {};
  into.type = static_cast<frame_type>(bytes[5]);
  into.channel = detail::load16(bytes.data() + 6);
  into.body = bytes.substr(body, size - body);
  return {read_status::complete, size, {}};
}

inline std::size_t begin_frame(frame_type type, std::uint16_t channel, byte_buffer& out) {
  std::size_t const begun = out.size();
  char* const at = out.prepare(frame_header_size).data();
  detail::store32(at, 0);
  at[4] = 2;
  at[5] = static_cast<char>(type);
  detail::store16(at + 6, channel);
  out.commit(frame_header_size);
  return begun;
}

inline void end_frame(std::size_t begun, byte_buffer& out) noexcept {
  std::size_t const size = out.size() - begun;
  detail::store32(out.prepare(0).data() - size, static_cast<std::uint32_t>(size));
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
