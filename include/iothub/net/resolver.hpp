// Addresses of a host name. getaddrinfo(3) has no form that does not block, so it runs on a thread of its own, and the
// answer comes through an eventfd. A thread that hangs outlives its lookup without harm: what the two share belongs to
// the last of them.
#pragma once

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/shared_cell.hpp>
#include <iothub/io/loop.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

// An IPv4 or IPv6 address with a port.
struct ip_address {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  socklen_t size = 0;

  ip_address() noexcept : v6{} {}
  // "127.0.0.1", "::1" or "[::1]"; nothing for a name.
  static maybe<ip_address> parse(std::string_view text, std::uint16_t port) noexcept;
  [[nodiscard]] std::uint16_t port() const noexcept {
    return ntohs(any.sa_family == AF_INET ? v4.sin_port : v6.sin6_port);
  }
  [[nodiscard]] bool is_loopback() const noexcept;
  [[nodiscard]] std::string to_string() const;  // "127.0.0.1", "::1"; without the port
};

// One lookup.
class resolver {
 public:
  resolver() noexcept = default;
  resolver(resolver&& other) noexcept
      : shared_{exchanged(other.shared_, nullptr)}, watcher_{exchanged(other.watcher_, nullptr)} {}
  resolver& operator=(resolver&& other) noexcept {
    cancel();
    shared_ = exchanged(other.shared_, nullptr);
    watcher_ = exchanged(other.watcher_, nullptr);
    return *this;
  }
  ~resolver() { cancel(); }

  // errc::io_error when there are no threads or descriptors left.
  result<void> start(std::string const& host, std::uint16_t port);
  // Names who is woken when the answer is there.
  result<void> attach(fd_watcher& watcher, participant& whom);
  // The addresses in the system's order, at least one, or errc::host_not_found; nothing while the answer is not there.
  maybe<result<lean_vector<ip_address>>> answer();
  void cancel() noexcept;
  [[nodiscard]] bool running() const noexcept { return shared_ != nullptr; }

 private:
  struct shared {
    iothub::detail::shared_cell<int> holders{2};
    iothub::detail::shared_cell<bool> done{false};
    std::string host;
    std::string service;
    int event = -1;
    int outcome = 0;
    addrinfo* found = nullptr;
    shared() = default;
    shared(shared const&) = delete;
    shared& operator=(shared const&) = delete;
    ~shared() {
      if (found != nullptr) freeaddrinfo(found);
      if (event >= 0) ::close(event);
    }
  };
  static void let_go(shared* s) noexcept {
    if (s->holders.subtract(1) == 0) delete s;
  }
  static void* look_up(void* argument) noexcept;
  static int start_thread(shared* s) noexcept;

  shared* shared_ = nullptr;
  fd_watcher* watcher_ = nullptr;
};

inline maybe<ip_address> ip_address::parse(std::string_view text, std::uint16_t port) noexcept {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  char copy[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof copy) return {};
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  ip_address out;
  if (inet_pton(AF_INET, copy, &out.v4.sin_addr) == 1) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(port);
    out.size = sizeof out.v4;
    return out;
  }
  out.v6 = {};
  if (inet_pton(AF_INET6, copy, &out.v6.sin6_addr) != 1) return {};
  out.v6.sin6_family = AF_INET6;
  out.v6.sin6_port = htons(port);
  out.size = sizeof out.v6;
  return out;
}

inline bool ip_address::is_loopback() const noexcept {
  if (any.sa_family == AF_INET) return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

inline std::string ip_address::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (any.sa_family == AF_INET)
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  else
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  return text;
}

inline result<void> resolver::start(std::string const& host, std::uint16_t port) {
  cancel();
  owned<shared> s{new shared{}};
  s->host = host;
  s->service = std::to_string(port);
  s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int const problem = s->event < 0 ? errno : start_thread(s.get());
  if (problem != 0) return error{errc::io_error, "cannot look up " + host + ": " + std::strerror(problem)};
  shared_ = s.release();
  return {};
}

// Signals are for the threads of the program, not for this one.
inline int resolver::start_thread(shared* s) noexcept {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  int const problem = pthread_create(&thread, &attributes, &look_up, s);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return problem;
}

inline void* resolver::look_up(void* argument) noexcept {
  auto* const s = static_cast<shared*>(argument);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  s->outcome = getaddrinfo(s->host.c_str(), s->service.c_str(), &hints, &s->found);
  s->done.store(true);
  std::uint64_t const one = 1;
  [[maybe_unused]] auto const written = ::write(s->event, &one, sizeof one);
  let_go(s);
  return nullptr;
}

inline result<void> resolver::attach(fd_watcher& watcher, participant& whom) {
  if (shared_ == nullptr) return {};
  watcher_ = &watcher;
  return watcher.watch(shared_->event, fd_interest::read, whom);
}

inline maybe<result<lean_vector<ip_address>>> resolver::answer() {
  if (shared_ == nullptr || !shared_->done.load()) return {};
  lean_vector<ip_address> addresses;
  for (addrinfo const* a = shared_->found; a != nullptr; a = a->ai_next) {
    ip_address one;
    if (a->ai_addrlen > sizeof one.v6) continue;
    std::memcpy(&one.v6, a->ai_addr, a->ai_addrlen);
    one.size = a->ai_addrlen;
    addresses.push_back(one);
  }
  error e{errc::host_not_found, "there is no host " + shared_->host};
  if (shared_->outcome != 0 && shared_->outcome != EAI_NONAME)
    e = error{errc::host_not_found, "cannot look up " + shared_->host + ": " + gai_strerror(shared_->outcome)};
  cancel();
  if (addresses.empty()) return result<lean_vector<ip_address>>{std::move(e)};
  return result<lean_vector<ip_address>>{std::move(addresses)};
}

inline void resolver::cancel() noexcept {
  if (shared_ == nullptr) return;
  if (watcher_ != nullptr) watcher_->unwatch(shared_->event);
  watcher_ = nullptr;
  let_go(exchanged(shared_, nullptr));
}

}  // namespace net
}  // namespace v0
}  // namespace iothub
