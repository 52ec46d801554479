// The accepting side of a TCP port.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <iothub/base/result.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/net/resolver.hpp>
#include <iothub/net/tcp_stream.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

struct listen_options {
  // An IP address or "localhost", never another name. localhost is 127.0.0.1, and the same port of ::1 where this
  // machine has that: resolvers put ::1 first (RFC 6724), and clients such as Node 18 try nothing else then.
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: the system picks a free one, see tcp_listener::port()
  int backlog = 512;
};

class tcp_listener {
 public:
  // errc::invalid_argument for an address that is none; errc::io_error when the system refuses, with `refused` set to
  // errno: EACCES (a port below 1024 without the right to it), EADDRINUSE, EADDRNOTAVAIL (not an address of this host).
  static result<tcp_listener> listen(listen_options const& options, int* refused = nullptr);

  tcp_listener(tcp_listener&& other) noexcept
      : fd_{std::exchange(other.fd_, -1)},
        address_{other.address_},
        loop_{std::exchange(other.loop_, nullptr)},
        second_{std::move(other.second_)} {}
  tcp_listener& operator=(tcp_listener&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    address_ = other.address_;
    loop_ = std::exchange(other.loop_, nullptr);
    second_ = std::move(other.second_);
    return *this;
  }
  ~tcp_listener() { close(); }

  // The next connection, if one has come; call it until there is none. `now` is there for memory::pipe_listener's sake.
  [[nodiscard]] std::optional<tcp_stream> accept(time_point now = {}) noexcept;
  // The participant to wake when a connection comes. errc::unsupported on a loop in virtual time.
  result<void> attach(loop& on, participant& whom);
  void close() noexcept;

  [[nodiscard]] std::uint16_t port() const noexcept { return address_.port(); }
  [[nodiscard]] ip_address const& address() const noexcept { return address_; }

 private:
  tcp_listener(int fd, ip_address const& at) noexcept : fd_{fd}, address_{at} {}
  static result<tcp_listener> listen_on(listen_options const& options, int* refused);

  int fd_ = -1;
  ip_address address_;
  loop* loop_ = nullptr;
  std::unique_ptr<tcp_listener> second_;  // of localhost: ::1
};

inline result<tcp_listener> tcp_listener::listen(listen_options const& options, int* refused) {
  auto made = listen_on(options, refused);
  if (!made || options.address != "localhost") return made;
  int problem = 0;
  auto other = listen_on({"::1", made->port(), options.backlog}, &problem);
  if (other) made->second_ = std::make_unique<tcp_listener>(std::move(*other));
  // Somebody else's: half of the clients would reach them. A free port was free once, and is told to the clients.
  if (problem != EADDRINUSE || options.port == 0) return made;
  if (refused != nullptr) *refused = problem;
  return std::move(other).error();
}

inline result<tcp_listener> tcp_listener::listen_on(listen_options const& options, int* refused) {
  auto at = ip_address::parse(options.address == "localhost" ? "127.0.0.1" : options.address, options.port);
  if (!at) return error{errc::invalid_argument, "cannot listen on '" + options.address + "': it is no IP address"};
  int problem = 0;
  int const fd = ::socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) problem = errno;
  int const on = 1;
  if (problem == 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (problem == 0 && at->any.sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (problem == 0 && ::bind(fd, &at->any, at->size) != 0) problem = errno;
  if (problem == 0 && ::listen(fd, options.backlog) != 0) problem = errno;
  if (problem == 0 && getsockname(fd, &at->any, &at->size) != 0) problem = errno;
  if (refused != nullptr) *refused = problem;
  if (problem == 0) return tcp_listener{fd, *at};
  if (fd >= 0) ::close(fd);
  return error{errc::io_error, "cannot listen on " + at->to_string() + " port " + std::to_string(options.port) + ": " +
                                   std::strerror(problem)};
}

inline std::optional<tcp_stream> tcp_listener::accept(time_point) noexcept {
  for (;;) {
    int const fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) return tcp_stream{fd};
    if (errno != EINTR && errno != ECONNABORTED) return second_ ? second_->accept() : std::nullopt;
  }
}

inline result<void> tcp_listener::attach(loop& on, participant& whom) {
  if (on.watcher() == nullptr)
    return error{errc::unsupported, "sockets need a loop in real time, such as net::epoll_loop"};
  if (loop_ != nullptr && loop_ != &on) loop_->watcher()->unwatch(fd_);
  loop_ = &on;
  if (second_)
    if (auto watched = second_->attach(on, whom); !watched) return watched;
  return on.watcher()->watch(fd_, fd_interest::read, whom);
}

inline void tcp_listener::close() noexcept {
  second_.reset();
  if (fd_ < 0) return;
  if (loop_ != nullptr) loop_->watcher()->unwatch(fd_);
  ::close(std::exchange(fd_, -1));
}

}  // namespace net
}  // namespace v0
}  // namespace iothub
