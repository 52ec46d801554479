// What stands between a back end and its stream: requests that a busy, broken or strange server answers in its own way.
//
// A request that a fault takes is either never passed on, or passed on and its real answer thrown away, so that the
// caller cannot know whether it was carried out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/policy/byte_stream.hpp>
#include <iothub/simulation/http_date.hpp>
#include <iothub/simulation/line.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

template <class Next>
class http_wire {
 public:
  template <class... Arguments>
  explicit http_wire(line& on, Arguments&&... arguments) : line_{&on}, next_{std::forward<Arguments>(arguments)...} {}

  result<void> open(endpoint const& where, time_point now) {
    reset();
    return next_.open(where, now);
  }
  io_result write(byte_view from, time_point now) {
    if (over_) return {io_status::failed, 0};
    from_client_.append(from);
    while (std::size_t const size = request_size(from_client_.view())) {
      request(from_client_.view().substr(0, size), now);
      from_client_.consume(size);
    }
    if (!flush(now)) return {io_status::failed, 0};
    return {io_status::done, from.size()};
  }
  io_result read(byte_span into, time_point now) {
    flush(now);
    if (!made_up_.empty()) {
      std::size_t const size = into.size() < made_up_.size() ? into.size() : made_up_.size();
      for (std::size_t i = 0; i != size; ++i) into[i] = made_up_.view()[i];
      made_up_.consume(size);
      return {io_status::done, size};
    }
    if (over_) return {io_status::end, 0};
    return next_.read(into, now);
  }
  void close() {
    next_.close();
    reset();
  }
  [[nodiscard]] error last_error() const {
    return over_ ? error{errc::connection_lost, "the server closed the connection"} : error{next_.last_error()};
  }
  [[nodiscard]] time_point deadline() const { return next_.deadline(); }
  void attach(loop& on, participant& whom) { next_.attach(on, whom); }

 private:
  void reset() {
    from_client_ = {};
    to_hub_ = {};
    made_up_ = {};
    over_ = false;
  }
  bool flush(time_point now) {
    while (!to_hub_.empty()) {
      io_result const moved = next_.write(to_hub_.view(), now);
      if (moved.status == io_status::would_block) return true;
      if (moved.status != io_status::done) return false;
      to_hub_.consume(moved.size);
    }
    return true;
  }
  // 0: not all of it is there. This library's client sends Content-Length, never chunks.
  static std::size_t request_size(byte_view bytes) {
    std::size_t const head = bytes.find("\r\n\r\n");
    if (head == byte_view::npos) return 0;
    std::size_t body = 0;
    for (std::size_t at = 0; at < head;) {
      std::size_t const end = bytes.find("\r\n", at);
      byte_view const field = bytes.substr(at, end - at);
      std::size_t const colon = field.find(':');
      if (colon != byte_view::npos && iequals(field.substr(0, colon), "content-length"))
        if (auto const size = parse_int<std::size_t>(trim(field.substr(colon + 1)))) body = *size;
      at = end + 2;
    }
    return bytes.size() >= head + 4 + body ? head + 4 + body : 0;
  }

  void request(byte_view what, time_point now) {
    armed_fault f;
    if (line_->take(fault::http_reset)) {
      to_hub_.append(what);
      return line_->reset_at(iothub::add(now, std::chrono::milliseconds{500}));
    }
    if (line_->take(fault::http_throttled_seconds)) return answer("429 Too Many Requests", "Retry-After: 7\r\n", now);
    if (line_->take(fault::http_throttled_date))
      return answer("429 Too Many Requests",
                    "Retry-After: " + http_date(line_->utc_now() + std::chrono::seconds{30}) + "\r\n", now);
    if (line_->take(fault::http_throttled_nonsense))
      return answer("429 Too Many Requests", "Retry-After: soon\r\nRetry-After: -1\r\n", now);
    if (line_->take(fault::http_unavailable)) return answer("503 Service Unavailable", "Retry-After: 2\r\n", now);
    if (line_->take(fault::http_redirect))
      return answer("307 Temporary Redirect", "Location: https://elsewhere.example/\r\n", now);
    if (line_->take(fault::http_empty_answer)) return answer("200 OK", "", now);
    if (line_->take(fault::http_continue)) {
      made_up_.append("HTTP/1.1 100 Continue\r\n\r\n");
      to_hub_.append(what);
      return wake(now);
    }
    if (line_->take(fault::http_body_cut, f)) {
      if (f.amount % 2 == 0) to_hub_.append(what);
      return last_word("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"deviceId\":", now);
    }
    if (line_->take(fault::http_length_wrong))
      return last_word("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"deviceId\":\"d\"}", now);
    if (line_->take(fault::http_header_huge))
      return last_word("HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'x') + "\r\nContent-Length: 0\r\n\r\n", now);
    to_hub_.append(what);
  }
  void answer(std::string_view status, std::string_view fields, time_point now) {
    made_up_.append(std::string{"HTTP/1.1 "}.append(status).append("\r\n").append(fields).append(
        "Content-Length: 0\r\n\r\n"));
    wake(now);
  }
  // After it the server closes the connection.
  void last_word(std::string_view bytes, time_point now) {
    flush(now);
    made_up_.append(bytes);
    over_ = true;
    wake(now);
  }
  void wake(time_point now) { line_->wake_client_at(now); }

  line* line_;
  byte_buffer from_client_, to_hub_, made_up_;
  bool over_ = false;
  Next next_;
};

}  // namespace sim
}  // namespace v0
}  // namespace iothub
