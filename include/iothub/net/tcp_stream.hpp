// A TCP connection as a byte stream.
//
// open() looks the name up and tries its addresses one after the other, each with a time limit, so that a dead first
// address costs seconds, not minutes. It needs a loop that watches sockets; without any it can be polled.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/net/resolver.hpp>
#include <iothub/policy/byte_stream.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

struct tcp_options {
  duration resolve_timeout = std::chrono::seconds{10};
  duration address_timeout = std::chrono::seconds{10};  // for one address, when there are others to try
  duration connect_timeout = std::chrono::seconds{30};  // for all of them
};

class tcp_stream {
 public:
  explicit tcp_stream(tcp_options const& options = {}) noexcept : options_{options} {}
  tcp_stream(tcp_stream&& other) noexcept { *this = std::move(other); }
  tcp_stream& operator=(tcp_stream&& other) noexcept;
  ~tcp_stream() { close(); }

  // Fails later with errc::host_not_found, connection_refused, timeout (an address did not answer), not_connected (no
  // route), io_error. At once: errc::invalid_argument for an empty name or one with a NUL, errc::invalid_state when
  // open already, errc::unsupported on a loop in virtual time.
  result<void> open(endpoint const& where, time_point now);
  io_result read(byte_span into, time_point now);
  io_result write(byte_view from, time_point now);
  void close() noexcept;
  [[nodiscard]] error last_error() const { return last_error_ ? *last_error_ : error{errc::closed}; }
  [[nodiscard]] time_point deadline() const noexcept { return deadline_; }
  void attach(loop& on, participant& whom);

  // The peer has closed its side or the connection is broken, be there bytes to read before that or not.
  [[nodiscard]] bool peer_left(time_point) const noexcept {
    pollfd end{fd_, POLLRDHUP, 0};
    return state_ == state::open && ::poll(&end, 1, 0) == 1;
  }

  [[nodiscard]] int native_handle() const noexcept { return fd_; }
  // Of the other side; nothing while not connected.
  [[nodiscard]] maybe<ip_address> peer() const noexcept;

 private:
  friend class tcp_listener;
  enum class state : unsigned char { closed, resolving, connecting, open };

  // Takes over a socket that accept() gave.
  explicit tcp_stream(int fd) noexcept : fd_{fd}, state_{state::open} { set_no_delay(); }

  void progress(time_point now);
  void try_next_address(time_point now);
  void start_connect(ip_address const& to, time_point now);
  [[nodiscard]] maybe<int> connect_outcome() const noexcept;
  void address_failed(int problem, time_point now);
  void watch();
  void set_no_delay() noexcept {
    int const on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  void close_socket() noexcept;
  void fail(error e) noexcept;
  [[nodiscard]] io_result lost(int problem, char const* doing);
  static errc code_of(int problem) noexcept;

  tcp_options options_ = {};
  int fd_ = -1;
  state state_ = state::closed;
  endpoint where_ = {};
  resolver resolver_;
  lean_vector<ip_address> addresses_;
  std::size_t next_address_ = 0;
  time_point give_up_at_ = never;
  time_point deadline_ = never;
  loop* loop_ = nullptr;
  participant* whom_ = nullptr;
  maybe<error> last_error_;
};

inline tcp_stream& tcp_stream::operator=(tcp_stream&& other) noexcept {
  if (this == &other) return *this;
  close();
  options_ = other.options_;
  fd_ = exchanged(other.fd_, -1);
  state_ = exchanged(other.state_, state::closed);
  where_ = std::move(other.where_);
  resolver_ = std::move(other.resolver_);
  addresses_ = std::move(other.addresses_);
  next_address_ = other.next_address_;
  give_up_at_ = other.give_up_at_;
  deadline_ = exchanged(other.deadline_, never);
  loop_ = other.loop_;
  whom_ = other.whom_;
  last_error_ = std::move(other.last_error_);
  return *this;
}

inline result<void> tcp_stream::open(endpoint const& where, time_point now) {
  if (state_ != state::closed) return error{errc::invalid_state, "the connection is open already"};
  if (where.host.empty() || where.host.find('\0') != std::string::npos || where.port == 0)
    return error{errc::invalid_argument, "there is no host or port to connect to"};
  if (loop_ != nullptr && loop_->watcher() == nullptr)
    return error{errc::unsupported, "sockets need a loop in real time, such as net::epoll_loop"};
  last_error_.reset();
  where_ = where;
  addresses_.clear();
  next_address_ = 0;
  if (auto const literal = ip_address::parse(where.host, where.port)) {
    addresses_.push_back(*literal);
    give_up_at_ = iothub::add(now, options_.connect_timeout);
    try_next_address(now);
    return {};
  }
  auto started = resolver_.start(where.host, where.port);
  if (!started) return started;
  state_ = state::resolving;
  deadline_ = iothub::add(now, options_.resolve_timeout);
  if (loop_ != nullptr) return resolver_.attach(*loop_->watcher(), *whom_);
  return {};
}

inline void tcp_stream::progress(time_point now) {
  if (state_ == state::resolving) {
    if (auto answer = resolver_.answer()) {
      if (!*answer) return fail(std::move(*answer).error());
      addresses_ = *std::move(*answer);
      give_up_at_ = iothub::add(now, options_.connect_timeout);
      try_next_address(now);
    } else if (now >= deadline_) {
      fail({errc::timeout, "looking up " + where_.host + " took too long"});
    }
  }
  if (state_ != state::connecting) return;
  if (auto const outcome = connect_outcome()) {
    if (*outcome != 0) return address_failed(*outcome, now);
    state_ = state::open;
    deadline_ = never;
    addresses_ = {};
  } else if (now >= deadline_) {
    address_failed(ETIMEDOUT, now);
  }
}

inline void tcp_stream::try_next_address(time_point now) {
  start_connect(addresses_[next_address_++], now);
}

inline void tcp_stream::start_connect(ip_address const& to, time_point now) {
  state_ = state::connecting;
  deadline_ = give_up_at_;
  time_point const one = iothub::add(now, options_.address_timeout);
  if (next_address_ != addresses_.size() && one < deadline_) deadline_ = one;
  fd_ = ::socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return address_failed(errno, now);
  set_no_delay();
  if (::connect(fd_, &to.any, to.size) != 0 && errno != EINPROGRESS) return address_failed(errno, now);
  watch();
}

// Nothing while it is under way, else errno or 0.
inline maybe<int> tcp_stream::connect_outcome() const noexcept {
  pollfd ready{fd_, POLLOUT, 0};
  if (::poll(&ready, 1, 0) == 0) return {};
  int problem = 0;
  socklen_t size = sizeof problem;
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &problem, &size) != 0) return errno;
  return problem;
}

inline void tcp_stream::address_failed(int problem, time_point now) {
  close_socket();
  if (next_address_ != addresses_.size() && now < give_up_at_) return try_next_address(now);
  std::string text =
      "cannot connect to " + where_.host + ":" + std::to_string(where_.port) + ": " + std::strerror(problem);
  if (addresses_.size() > 1) text += " (the last of " + std::to_string(next_address_) + " addresses tried)";
  fail({code_of(problem), std::move(text)});
}

inline errc tcp_stream::code_of(int problem) noexcept {
  switch (problem) {
    case ECONNREFUSED: return errc::connection_refused;
    case ETIMEDOUT: return errc::timeout;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL: return errc::not_connected;
    case ECONNRESET:
    case EPIPE: return errc::connection_lost;
    default: return errc::io_error;
  }
}

inline void tcp_stream::fail(error e) noexcept {
  close();
  last_error_ = std::move(e);
  if (whom_ != nullptr) loop_->wake(*whom_);  // it may have failed inside open(), with nothing to wait for
}

inline io_result tcp_stream::lost(int problem, char const* doing) {
  std::string text = std::string{"the connection broke while "} + doing + ": " + std::strerror(problem);
  close();
  last_error_ = error{errc::connection_lost, std::move(text)};
  return {io_status::failed, 0};
}

inline io_result tcp_stream::read(byte_span into, time_point now) {
  if (state_ != state::open) progress(now);
  if (state_ != state::open) return {state_ == state::closed ? io_status::failed : io_status::would_block, 0};
  for (;;) {
    ssize_t const got = ::recv(fd_, into.data(), into.size(), 0);
    if (got > 0) return {io_status::done, static_cast<std::size_t>(got)};
    if (got == 0) return {into.empty() ? io_status::would_block : io_status::end, 0};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    if (errno != EINTR) return lost(errno, "reading");
  }
}

inline io_result tcp_stream::write(byte_view from, time_point now) {
  if (state_ != state::open) progress(now);
  if (state_ != state::open) return {state_ == state::closed ? io_status::failed : io_status::would_block, 0};
  if (from.empty()) return {};
  for (;;) {
    ssize_t const put = ::send(fd_, from.data(), from.size(), MSG_NOSIGNAL);
    if (put >= 0) return {io_status::done, static_cast<std::size_t>(put)};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    if (errno != EINTR) return lost(errno, "writing");
  }
}

inline void tcp_stream::close_socket() noexcept {
  if (fd_ < 0) return;
  if (loop_ != nullptr && loop_->watcher() != nullptr) loop_->watcher()->unwatch(fd_);
  ::close(exchanged(fd_, -1));
}

inline void tcp_stream::close() noexcept {
  resolver_.cancel();
  close_socket();
  state_ = state::closed;
  deadline_ = never;
  last_error_.reset();
}

inline void tcp_stream::attach(loop& on, participant& whom) {
  if (loop_ != nullptr && loop_ != &on && fd_ >= 0 && loop_->watcher() != nullptr) loop_->watcher()->unwatch(fd_);
  loop_ = &on;
  whom_ = &whom;
  if (on.watcher() == nullptr) return;
  if (state_ == state::resolving && !resolver_.attach(*on.watcher(), whom)) on.wake(whom);
  watch();
}

// A socket that cannot be watched (no memory) fails at once, since nobody would ever be woken for it.
inline void tcp_stream::watch() {
  if (fd_ < 0 || loop_ == nullptr || loop_->watcher() == nullptr) return;
  auto watched = loop_->watcher()->watch(fd_, fd_interest::both, *whom_);
  if (!watched) fail(std::move(watched).error());
}

inline maybe<ip_address> tcp_stream::peer() const noexcept {
  ip_address out;
  out.size = sizeof out.v6;
  if (fd_ < 0 || getpeername(fd_, &out.any, &out.size) != 0) return {};
  return out;
}

static_assert(byte_stream<tcp_stream>);

}  // namespace net
}  // namespace v0
}  // namespace iothub
