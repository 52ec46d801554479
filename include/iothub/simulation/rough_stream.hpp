// A byte stream over a pipe with the faults of TCP and of name look-up: what a line says is wrong, happens here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/policy/byte_stream.hpp>
#include <iothub/simulation/line.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

class rough_stream {
 public:
  explicit rough_stream(line& on) : line_{&on}, pipe_{on.network()} {}
  rough_stream(rough_stream&& other) noexcept
      : line_{other.line_},
        pipe_{std::move(other.pipe_)},
        loop_{other.loop_},
        whom_{other.whom_},
        where_{other.where_},
        state_{std::exchange(other.state_, state::closed)},
        at_{std::exchange(other.at_, never)},
        rest_{other.rest_},
        late_until_{std::exchange(other.late_until_, never)},
        last_error_{std::move(other.last_error_)} {}
  rough_stream& operator=(rough_stream&&) = delete;
  ~rough_stream() { close(); }

  result<void> open(endpoint where, time_point now) {
    if (state_ != state::closed) return error{errc::invalid_state, "the stream is open already"};
    last_error_.reset();
    where_ = where;
    line_->known.last_attempt = now;
    ++line_->known.attempts;
    if (line_->observer() != nullptr) line_->observer()->on_attempt(now);
    return start(now);
  }

  io_result read(byte_span into, time_point now) {
    if (!ready(now)) return stuck();
    if (state_ == state::ending) {
      if (rest_ == 0) {
        pipe_.close();
        return {io_status::end, 0};
      }
      if (into.size() > rest_) into = into.first(rest_);
    }
    if (state_ == state::alerting) {
      constexpr byte_view alert{"\x15\x03\x03\x00\x02\x02\x28", 7};  // fatal, handshake_failure (RFC 8446, section 6)
      std::size_t size = 0;
      while (size != into.size() && rest_ != alert.size()) into[size++] = alert[rest_++];
      if (size != 0) return {io_status::done, size};
      pipe_.close();
      return {io_status::end, 0};
    }
    if (line_->meets(fault::slow_peer, now)) {
      if (now < next_byte_) return {};
      into = into.first(1);
      next_byte_ = iothub::add(now, slow_pace());
      line_->wake_client_at(next_byte_);
    }
    io_result const got = pipe_.read(into.first(chunk(into.size(), now)), now);
    if (state_ == state::ending) {
      rest_ -= got.size;
      if (got.status == io_status::would_block) rest_ = 0, line_->wake_client_at(now);
    }
    return check(got);
  }
  io_result write(byte_view from, time_point now) {
    if (!ready(now)) return stuck();
    if (state_ == state::ending || state_ == state::alerting) return {};
    if (line_->meets(fault::zero_window, now)) return {};
    return check(pipe_.write(from.substr(0, chunk(from.size(), now)), now));
  }
  void close() noexcept {
    if (state_ == state::closed) return;
    state_ = state::closed;
    if (late_until_ != never && pipe_.id() != 0)
      line_->keep(std::move(pipe_), std::exchange(late_until_, never));
    pipe_.close();
    if (loop_ != nullptr) pipe_.attach(*loop_, *whom_);
    at_ = late_until_ = never;
    next_byte_ = time_point::min();
    line_->gone(line_->now());
  }
  [[nodiscard]] error last_error() const { return last_error_ ? *last_error_ : error{errc::closed}; }
  [[nodiscard]] time_point deadline() const noexcept {
    return state_ == state::failing || state_ == state::waiting ? at_ : pipe_.deadline();
  }
  void attach(loop& on, participant& whom) noexcept {
    loop_ = &on;
    whom_ = &whom;
    pipe_.attach(on, whom);
  }

  [[nodiscard]] line& on() noexcept { return *line_; }

 private:
  enum class state : std::uint8_t {
    closed,
    failing,  // the attempt fails at at_
    lost,     // the attempt is never answered
    waiting,  // connects at at_: a first address did not answer
    open,
    ending,   // after rest_ bytes the peer's end is told, whatever is under way
    alerting, // a fatal TLS alert is told, then the end
    failed,
  };

  result<void> start(time_point now) {
    using std::chrono::milliseconds;
    using std::chrono::seconds;
    if (line_->meets(fault::outage, now)) {
      if (line_->amount(fault::outage) % 3 == 0)
        return fail_at(iothub::add(now, milliseconds{20}), errc::not_connected, "there is no route to the hub");
      state_ = state::lost;
      return {};
    }
    if (line_->take(fault::connect_refused))
      return fail_at(iothub::add(now, milliseconds{30}), errc::connection_refused, "nobody listens there");
    if (line_->take(fault::connect_unreachable))
      return fail_at(iothub::add(now, milliseconds{1}), errc::not_connected, "there is no route to the hub");
    if (line_->take(fault::dns_not_found))
      return fail_at(iothub::add(now, milliseconds{15}), errc::host_not_found, "there is no such host");
    if (line_->take(fault::dns_empty))
      return fail_at(iothub::add(now, milliseconds{15}), errc::host_not_found, "the host has no address");
    if (line_->take(fault::dns_timed_out))
      return fail_at(iothub::add(now, seconds{30}), errc::timeout, "looking up the host took too long");
    // Resolvers keep an answer: the first attempt after a move still goes to where nobody is.
    if (line_->take(fault::dns_address_changed))
      return fail_at(iothub::add(now, milliseconds{40}), errc::connection_refused, "the hub has moved");
    if (line_->take(fault::connect_timed_out)) {
      state_ = state::lost;
      return {};
    }
    if (line_->take(fault::dns_ipv6_dead)) {
      state_ = state::waiting;
      at_ = iothub::add(now, milliseconds{250});  // the Connection Attempt Delay of RFC 8305, section 8
      return {};
    }
    if (line_->take(fault::dns_first_address_dead)) {
      state_ = state::waiting;
      at_ = iothub::add(now, seconds{5});
      return {};
    }
    return connect(now);
  }
  result<void> connect(time_point now) {
    endpoint where = where_;
    bool const mqtt = where.port == 8883, amqp = where.port == 5671;
    if (!line_->secure)
      where.port = mqtt ? 1883 : amqp ? 5672 : 80;
    else
      for (std::size_t i = 0; (mqtt || amqp) && i != line::bad_servers; ++i)
        if (line_->bad_ports[i] != 0 &&
            line_->take(static_cast<fault>(static_cast<std::size_t>(fault::tls_wrong_name) + i)))
          where.port = line_->bad_ports[i];
    auto opened = pipe_.open(where, now);
    if (!opened) return opened;
    state_ = state::open;
    armed_fault late;
    bool const held = pipe_.id() != 0 && line_->take(fault::late_data_after_close, late);
    if (held) {
      late_until_ = iothub::add(now, late.lasting);
      line_->network().hold(pipe_.id(), memory::pipe_direction::to_server);
    }
    if (pipe_.id() != 0) line_->opened(pipe_.id(), whom_, now);
    if (line_->secure && pipe_.id() != 0 && line_->take(fault::tls_stops_after_hello))
      line_->network().hold(pipe_.id(), memory::pipe_direction::to_client);
    return {};
  }
  result<void> fail_at(time_point when, errc code, char const* text) {
    state_ = state::failing;
    at_ = when;
    last_error_.emplace(code, text);
    return {};
  }
  // Whether there is a connection to use.
  bool ready(time_point now) {
    if (state_ == state::waiting && now >= at_) {
      at_ = never;
      if (auto opened = connect(now); !opened) {
        last_error_ = opened.error();
        state_ = state::failed;
      }
    }
    if (state_ == state::failing && now >= at_) {
      state_ = state::failed;
      at_ = never;
    }
    if (state_ == state::open) {
      armed_fault f;
      if (line_->take(fault::end_with_unread_data, f)) {
        state_ = state::ending;
        rest_ = static_cast<std::size_t>(f.amount % 64);
      } else if (line_->secure && line_->take(fault::tls_truncated)) {
        state_ = state::ending;
        rest_ = 0;
      } else if (line_->secure && line_->take(fault::tls_alert)) {
        state_ = state::alerting;
        rest_ = 0;
      }
    }
    return state_ == state::open || state_ == state::ending || state_ == state::alerting;
  }
  [[nodiscard]] io_result stuck() const noexcept {
    return state_ == state::failed || state_ == state::closed ? io_result{io_status::failed, 0} : io_result{};
  }
  io_result check(io_result moved) {
    if (moved.status == io_status::failed) {
      state_ = state::failed;
      last_error_ = pipe_.last_error();
    }
    return moved;
  }
  [[nodiscard]] std::size_t chunk(std::size_t size, time_point now) {
    if (size < 2 || !line_->meets(fault::partial_io, now)) return size;
    std::size_t const most = 1 + static_cast<std::size_t>(line_->amount(fault::partial_io) % 16);
    std::size_t const one = 1 + turn_++ % most;
    return size < one ? size : one;
  }
  [[nodiscard]] duration slow_pace() const noexcept {
    return std::chrono::milliseconds{1 + static_cast<int>(line_->amount(fault::slow_peer) % 1000)};
  }

  line* line_;
  memory::pipe_stream pipe_;
  loop* loop_ = nullptr;
  participant* whom_ = nullptr;
  endpoint where_;
  state state_ = state::closed;
  time_point at_ = never;
  time_point next_byte_ = time_point::min();
  std::size_t rest_ = 0;
  std::size_t turn_ = 0;
  time_point late_until_ = never;
  std::optional<error> last_error_;
};

static_assert(byte_stream<rough_stream>);

}  // namespace sim
}  // namespace v0
}  // namespace iothub
