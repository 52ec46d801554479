// Reads HTTP/1.1 messages (RFC 9112): an incremental parser for both roles.
//
// Theory of operation. The parser takes bytes off the front of a buffer and moves through
//     head -> [ sized body | chunk size -> chunk data -> chunk end -> ... -> trailers | body until close ] -> message
// A head or a trailer section is looked at only when it is whole, and a whole message is handed on, body included,
// since everything an IoT hub says fits the limits below. What it accepts does not depend on how the bytes were cut.
//
// Two readers of one connection that disagree about where a message ends let a stranger smuggle requests. So whatever
// could be read in two ways is an error here, also where RFC 9112 would allow a repair: a second Content-Length, even
// the same (section 6.3), Content-Length beside Transfer-Encoding (6.1), any coding but one "chunked", line folding
// (5.2), a line that ends in LF alone (2.2), blanks before a colon (5.1), control characters in a value (RFC 9110 5.5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/config.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/hex.hpp>
#include <iothub/http/h1_syntax.hpp>
#include <iothub/http/message.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

struct h1_limits {
  std::size_t max_head = 16 * 1024;  // bytes of a start line with all its fields; of all trailers; of chunk extensions
  std::size_t max_fields = 128;      // header fields of a message
  std::size_t max_body = 1024 * 1024;  // bytes, chunks put together
};

// What the head of a message says about its connection.
struct h1_head {
  bool keep_alive = false;        // the sender is ready to go on; HTTP/1.0 never is, here
  bool upgrade = false;           // the sender offers or accepts another protocol
  bool expects_continue = false;  // a request whose sender waits for 100 before it sends the body
  bool has_body = false;
};

class h1_parser {
 public:
  enum class outcome : unsigned char { need_data, head, message, failed };

  h1_parser(h1_role reader, h1_limits limits) noexcept : limits_{limits}, reader_{reader} {}

  // Consumes from the front of `in`. `head` comes once per message, before its body; `message` when it is whole: take
  // it with request() or response(), then restart(). After `failed` nothing helps.
  [[nodiscard]] outcome parse(byte_buffer& in);
  // The peer will send no more: ends a body that runs until close. Everything else that is incomplete has failed.
  [[nodiscard]] outcome end_of_input();

  // Client role: the next response answers a HEAD request and thus has no body, whatever its fields say.
  void expect_no_body(bool none) noexcept { no_body_ = none; }
  void restart() noexcept;
  // The connection's own verdict, from outside the grammar of one message: fails with that text.
  outcome refuse(char const* what, errc code = errc::protocol_error, int status = 400) {
    return fail(status, code, what);
  }

  [[nodiscard]] http::request& request() noexcept { return request_; }
  [[nodiscard]] http::response& response() noexcept { return response_; }
  [[nodiscard]] h1_head const& head() const noexcept { return head_; }
  // Some bytes of the message were seen, but not all.
  [[nodiscard]] bool in_message() const noexcept { return state_ != state::head || line_start_ != 0 || scanned_ != 0; }
  [[nodiscard]] iothub::error const& last_error() const noexcept { return *error_; }
  // What a server answers to the broken request before it closes.
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  enum class state : unsigned char {
    head,
    sized,
    chunk_size,
    chunk_data,
    chunk_end,
    trailers,
    until_close,
    whole,
    failed
  };
  enum class scan : unsigned char { partial, whole, failed };

  outcome fail(int status, errc code, char const* what);
  scan find_block(byte_view in, std::size_t& size);
  outcome read_head(byte_buffer& in);
  bool read_start_line(std::string_view line);
  bool read_request_line(std::string_view line);
  bool read_status_line(std::string_view line);
  bool read_version(std::string_view text);
  bool read_fields(std::string_view block, headers* into);
  bool normalize_target();
  bool read_framing();
  bool expect_body(std::uint64_t size);
  outcome read_sized(byte_buffer& in);
  outcome read_chunk_size(byte_buffer& in);
  bool parse_chunk_line(std::string_view line);
  outcome read_chunk_data(byte_buffer& in);
  outcome read_chunk_end(byte_buffer& in);
  outcome read_trailers(byte_buffer& in);
  outcome read_until_close(byte_buffer& in);
  [[nodiscard]] headers& fields() noexcept { return reader_ == h1_role::server ? request_.headers : response_.headers; }
  [[nodiscard]] std::string& body() noexcept { return reader_ == h1_role::server ? request_.body : response_.body; }

  http::request request_;
  http::response response_;
  std::optional<iothub::error> error_;
  h1_limits limits_;
  std::uint64_t remaining_ = 0;  // bytes of the sized body or of the chunk
  std::size_t scanned_ = 0;      // how far the buffer was searched for the end of a line
  std::size_t line_start_ = 0;
  std::size_t extension_bytes_ = 0;  // of chunk extensions and blank lines, which carry nothing
  int status_ = 0;
  h1_role reader_;
  state state_ = state::head;
  h1_head head_;
  bool old_version_ = false;
  bool no_body_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

inline void h1_parser::restart() noexcept {
  IOTHUB_ASSERT(state_ == state::whole);
  request_ = {};
  response_ = {};
  head_ = {};
  extension_bytes_ = 0;
  old_version_ = no_body_ = false;
  state_ = state::head;
}

inline h1_parser::outcome h1_parser::fail(int status, errc code, char const* what) {
  state_ = state::failed;
  status_ = status;
  error_ = iothub::error{code, what};
  return outcome::failed;
}

inline h1_parser::outcome h1_parser::parse(byte_buffer& in) {
  for (;;) {
    state const before = state_;
    outcome done = outcome::need_data;
    switch (state_) {
      case state::head: done = read_head(in); break;
      case state::sized: done = read_sized(in); break;
      case state::chunk_size: done = read_chunk_size(in); break;
      case state::chunk_data: done = read_chunk_data(in); break;
      case state::chunk_end: done = read_chunk_end(in); break;
      case state::trailers: done = read_trailers(in); break;
      case state::until_close: return read_until_close(in);
      case state::whole: return outcome::message;
      case state::failed: return outcome::failed;
    }
    if (done != outcome::need_data || state_ == before) return done;
  }
}

inline h1_parser::outcome h1_parser::end_of_input() {
  if (state_ == state::failed) return outcome::failed;
  if (state_ == state::until_close) state_ = state::whole;
  if (state_ == state::whole) return outcome::message;
  if (!in_message()) return outcome::need_data;
  return fail(400, errc::connection_lost, "HTTP: the connection ended in the middle of a message");
}

// Looks for the empty line that ends a head or the trailers, line by line, going on where it stopped the last time.
inline h1_parser::scan h1_parser::find_block(byte_view in, std::size_t& size) {
  for (;;) {
    std::size_t const end = in.find('\n', scanned_);
    if ((end == byte_view::npos ? in.size() : end + 1) > limits_.max_head) {
      fail(431, errc::too_large, "HTTP: the header block is larger than its limit");
      return scan::failed;
    }
    if (end == byte_view::npos) {
      scanned_ = in.size();
      return scan::partial;
    }
    if (end == line_start_ || in[end - 1] != '\r') {
      fail(400, errc::protocol_error, "HTTP: a line ends in LF without CR");
      return scan::failed;
    }
    bool const empty = end == line_start_ + 1;
    scanned_ = line_start_ = end + 1;
    if (empty) {
      size = end + 1;
      scanned_ = line_start_ = 0;
      return scan::whole;
    }
  }
}

inline h1_parser::outcome h1_parser::read_head(byte_buffer& in) {
  std::size_t size = 0;
  switch (find_block(in.view(), size)) {
    case scan::partial: return outcome::need_data;
    case scan::failed: return outcome::failed;
    case scan::whole: break;
  }
  if (size == 2 && reader_ == h1_role::server) {  // a blank line before a request is skipped (RFC 9112 section 2.2)
    in.consume(size);
    if (++extension_bytes_ > 8) return fail(400, errc::protocol_error, "HTTP: nothing but blank lines");
    return read_head(in);
  }
  std::string_view const block = in.view().substr(0, size - 2);
  std::size_t const line = block.find('\n') + 1;
  bool const good = read_start_line(block.substr(0, line < 2 ? 0 : line - 2)) &&
                    read_fields(block.substr(line), &fields()) && read_framing();
  in.consume(size);
  return good ? outcome::head : outcome::failed;
}

inline bool h1_parser::read_start_line(std::string_view line) {
  return reader_ == h1_role::server ? read_request_line(line) : read_status_line(line);
}

inline bool h1_parser::read_version(std::string_view text) {
  if (text.size() != 8 || text.substr(0, 5) != "HTTP/" || !is_digit(text[5]) || text[6] != '.' || !is_digit(text[7]))
    return fail(400, errc::protocol_error, "HTTP: the start line has no HTTP version"), false;
  if (text[5] != '1') return fail(505, errc::protocol_error, "HTTP: a version other than 1.x"), false;
  old_version_ = text[7] == '0';
  return true;
}

// method SP target SP version (RFC 9112 section 3)
inline bool h1_parser::read_request_line(std::string_view line) {
  split_pair const first = split_once(line, ' ');
  split_pair const second = split_once(first.after, ' ');
  if (!is_token(first.before) || !is_target(second.before))
    return fail(400, errc::protocol_error, "HTTP: the request line is broken"), false;
  if (!read_version(second.after)) return false;
  request_.method = first.before;
  request_.target = second.before;
  return true;
}

// version SP status [SP reason] (RFC 9112 section 4)
inline bool h1_parser::read_status_line(std::string_view line) {
  split_pair const first = split_once(line, ' ');
  split_pair const second = split_once(first.after, ' ');
  if (!read_version(first.before)) return false;
  auto const status = parse_int<int>(second.before);
  if (second.before.size() != 3 || !status || *status < 100 || *status > 599 || !is_field_value(second.after))
    return fail(400, errc::protocol_error, "HTTP: the status line is broken"), false;
  response_.status = *status;
  response_.reason = second.after;
  return true;
}

inline bool h1_parser::read_fields(std::string_view block, headers* into) {
  std::size_t count = 0;
  while (!block.empty()) {
    std::size_t const end = block.find('\n');
    std::string_view const line = block.substr(0, end - 1);  // find_block saw CR and LF at the end of each
    block.remove_prefix(end + 1);
    split_pair const field = split_once(line, ':');
    if (!field.found || !is_token(field.before))
      return fail(400, errc::protocol_error, "HTTP: a header line without a proper name"), false;
    std::string_view const value = trim(field.after);
    if (!is_field_value(value))
      return fail(400, errc::protocol_error, "HTTP: a control character in a header value"), false;
    if (++count > limits_.max_fields) return fail(431, errc::too_large, "HTTP: too many header fields"), false;
    if (into != nullptr) into->add(field.before, value);
  }
  return true;
}

// Both target forms that reach an origin server become path and query; in the absolute form the authority replaces the
// Host field (RFC 9112 section 3.2.2).
inline bool h1_parser::normalize_target() {
  std::string& target = request_.target;
  if (target.front() == '/' || (target == "*" && request_.method == "OPTIONS")) return true;
  std::size_t const scheme = istarts_with(target, "https://") ? 8u : istarts_with(target, "http://") ? 7u : 0u;
  std::size_t const path = scheme == 0 ? 0 : target.find_first_of("/?", scheme);
  if (scheme == 0 || path == scheme || target.size() == scheme)
    return fail(400, errc::protocol_error, "HTTP: a request target that is neither a path nor a URL"), false;
  request_.headers.set("Host",
                       std::string_view{target}.substr(scheme, path == std::string::npos ? path : path - scheme));
  if (path == std::string::npos)
    target = "/";
  else
    target.erase(0, path);
  if (target.front() != '/') target.insert(target.begin(), '/');
  return true;
}

// Where the message ends (RFC 9112 section 6.3), and what becomes of the connection after it (section 9.3).
inline bool h1_parser::read_framing() {
  std::size_t lengths = 0, codings = 0, hosts = 0;
  for (header const& field : fields()) {
    lengths += iequals(field.name, "Content-Length");
    codings += iequals(field.name, "Transfer-Encoding");
    hosts += iequals(field.name, "Host");
  }
  bool const server = reader_ == h1_role::server;
  if (server && (hosts > 1 || (hosts == 0 && !old_version_)))
    return fail(400, errc::protocol_error, "HTTP: a request needs exactly one Host field"), false;
  if (server && !normalize_target()) return false;
  if (server && old_version_) request_.headers.remove("Upgrade");  // to be ignored there (RFC 9110 section 7.8)
  if (lengths > 1) return fail(400, errc::protocol_error, "HTTP: more than one Content-Length"), false;
  if (codings != 0 && lengths != 0)
    return fail(400, errc::protocol_error, "HTTP: both Content-Length and Transfer-Encoding"), false;
  if (codings != 0 && old_version_)
    return fail(400, errc::protocol_error, "HTTP: Transfer-Encoding in an HTTP/1.0 message"), false;
  if (codings > 1 || (codings == 1 && !iequals(fields().get("Transfer-Encoding"), "chunked")))
    return fail(501, errc::protocol_error, "HTTP: a transfer coding other than chunked"), false;

  head_.keep_alive = !old_version_ && !list_has(fields(), "Connection", "close");
  int const status = response_.status;
  head_.upgrade = !old_version_ && fields().has("Upgrade") && list_has(fields(), "Connection", "upgrade");
  head_.expects_continue = server && !old_version_ && iequals(fields().get("Expect"), "100-continue");
  if (server && fields().has("Expect") && !head_.expects_continue)
    return fail(417, errc::protocol_error, "HTTP: an expectation other than 100-continue"), false;

  std::uint64_t length = 0;
  if (lengths == 1) {
    std::string_view const text = fields().get("Content-Length");
    auto const number = parse_int<std::uint64_t>(text);
    if (!number || text.size() > 19)
      return fail(400, errc::protocol_error, "HTTP: the Content-Length is no number"), false;
    length = *number;
  }
  if (!server && (no_body_ || status < 200 || status == 204 || status == 304)) {
    state_ = state::whole;
  } else if (codings == 1) {
    state_ = state::chunk_size;
  } else if (lengths == 1 || server) {
    if (!expect_body(length)) return false;
    remaining_ = length;
    state_ = length == 0 ? state::whole : state::sized;
  } else {
    head_.keep_alive = false;
    state_ = state::until_close;
  }
  head_.has_body = state_ != state::whole;
  return true;
}

// Refuses before anything is stored; never reserves more than the limit, and little of what is only announced.
inline bool h1_parser::expect_body(std::uint64_t size) {
  if (size > limits_.max_body - body().size())
    return fail(413, errc::too_large, "HTTP: the body is larger than its limit"), false;
  constexpr std::size_t believed = 64 * 1024;
  if (body().empty()) body().reserve(size < believed ? static_cast<std::size_t>(size) : believed);
  return true;
}

inline h1_parser::outcome h1_parser::read_sized(byte_buffer& in) {
  byte_view const all = in.view();
  byte_view const part = all.substr(0, remaining_ < all.size() ? static_cast<std::size_t>(remaining_) : all.size());
  body().append(part);
  remaining_ -= part.size();
  in.consume(part.size());
  if (remaining_ == 0) state_ = state::whole;
  return state_ == state::whole ? outcome::message : outcome::need_data;
}

// size [BWS ; extensions] CRLF (RFC 9112 section 7.1)
inline h1_parser::outcome h1_parser::read_chunk_size(byte_buffer& in) {
  std::size_t const end = in.view().find('\n', scanned_);
  std::size_t const size = end == byte_view::npos ? in.size() : end + 1;
  if (size + extension_bytes_ > limits_.max_head)
    return fail(400, errc::too_large, "HTTP: chunk extensions larger than their limit");
  if (end == byte_view::npos) {
    scanned_ = in.size();
    return outcome::need_data;
  }
  scanned_ = 0;
  if (end == 0 || in.view()[end - 1] != '\r')
    return fail(400, errc::protocol_error, "HTTP: a chunk size ends in LF without CR");
  if (!parse_chunk_line(in.view().substr(0, end - 1))) return outcome::failed;
  in.consume(size);
  state_ = remaining_ == 0 ? state::trailers : state::chunk_data;
  return outcome::need_data;
}

inline bool h1_parser::parse_chunk_line(std::string_view line) {
  std::size_t digits = 0;
  std::uint64_t size = 0;
  while (digits != line.size() && hex_value(line[digits]) >= 0) {
    if (size >> 56 != 0) return fail(413, errc::too_large, "HTTP: a chunk is larger than the limit of the body"), false;
    size = size * 16 + static_cast<std::uint64_t>(hex_value(line[digits++]));
  }
  std::string_view const rest = line.substr(digits);
  if (digits == 0 || !is_field_value(rest) || (!rest.empty() && trim(rest).substr(0, 1) != ";"))
    return fail(400, errc::protocol_error, "HTTP: a chunk size is no hexadecimal number"), false;
  if (!expect_body(size)) return false;
  extension_bytes_ += rest.size();
  remaining_ = size;
  return true;
}

inline h1_parser::outcome h1_parser::read_chunk_data(byte_buffer& in) {
  byte_view const all = in.view();
  byte_view const part = all.substr(0, remaining_ < all.size() ? static_cast<std::size_t>(remaining_) : all.size());
  body().append(part);
  remaining_ -= part.size();
  in.consume(part.size());
  if (remaining_ == 0) state_ = state::chunk_end;
  return outcome::need_data;
}

inline h1_parser::outcome h1_parser::read_chunk_end(byte_buffer& in) {
  byte_view const bytes = in.view();
  if ((!bytes.empty() && bytes[0] != '\r') || (bytes.size() > 1 && bytes[1] != '\n'))
    return fail(400, errc::protocol_error, "HTTP: a chunk is longer than its size");
  if (bytes.size() < 2) return outcome::need_data;
  in.consume(2);
  state_ = state::chunk_size;
  return outcome::need_data;
}

// Trailers are checked and dropped (RFC 9112 section 7.1.2): nothing here has a use for them.
inline h1_parser::outcome h1_parser::read_trailers(byte_buffer& in) {
  std::size_t size = 0;
  switch (find_block(in.view(), size)) {
    case scan::partial: return outcome::need_data;
    case scan::failed: return outcome::failed;
    case scan::whole: break;
  }
  if (!read_fields(in.view().substr(0, size - 2), nullptr)) return outcome::failed;
  in.consume(size);
  state_ = state::whole;
  return outcome::message;
}

inline h1_parser::outcome h1_parser::read_until_close(byte_buffer& in) {
  if (!expect_body(in.size())) return outcome::failed;
  body().append(in.view());
  in.consume(in.size());
  return outcome::need_data;
}

}  // namespace http
}  // namespace v0
}  // namespace iothub
