// The real loop: waits in epoll(7), and knows the time from the system.
//
// post() and stop() may be called from any thread, stop() also from a signal handler. Everything else belongs to the
// thread that runs the loop. To run it inside another loop: wait there until native_handle() is readable or
// next_deadline() has come, then call poll_once().
#pragma once

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

class epoll_loop final : public loop, private fd_watcher {
 public:
  // Where the system refuses the descriptors it needs, watching fails later with errc::io_error; timers work.
  epoll_loop() noexcept;
  inline ~epoll_loop() override;

  inline void post(function<void()> call) override;
  inline void stop() noexcept override;

  [[nodiscard]] utc_time utc_now() const noexcept override { return utc_time{read(CLOCK_REALTIME)}; }
  [[nodiscard]] fd_watcher* watcher() noexcept override { return this; }

  // Readable when poll_once() has something to do.
  [[nodiscard]] int native_handle() const noexcept { return epoll_; }
  // Does what can be done now, without waiting: whether that was anything.
  bool poll_once() { return run_one(time_point::min()); }

 private:
  // What is known of a descriptor; its number is the index.
  struct watched {
    participant* whom = nullptr;
    fd_interest events = fd_interest::none;
  };
  class lock {
   public:
    explicit lock(pthread_mutex_t& mutex) noexcept : mutex_{mutex} { pthread_mutex_lock(&mutex_); }
    lock(lock const&) = delete;
    lock& operator=(lock const&) = delete;
    ~lock() { pthread_mutex_unlock(&mutex_); }

   private:
    pthread_mutex_t& mutex_;
  };

  inline result<void> watch(int fd, fd_interest interest, participant& whom, fd_trigger trigger) override;
  inline void unwatch(int fd) noexcept override;
  [[nodiscard]] inline fd_interest take_events(int fd) noexcept override;

  inline bool wait(time_point until) override;
  [[nodiscard]] time_point read_clock() const noexcept override { return time_point{read(CLOCK_MONOTONIC)}; }
  static duration read(clockid_t which) noexcept {
    timespec t{};
    clock_gettime(which, &t);
    return std::chrono::seconds{t.tv_sec} + std::chrono::duration_cast<duration>(std::chrono::nanoseconds{t.tv_nsec});
  }
  int wait_for_events(epoll_event* events, int size, duration at_most) noexcept;
  void on_event(epoll_event const& event) noexcept;
  void interrupt() noexcept;
  void take_posted();

  int epoll_ = -1;
  int interrupt_ = -1;  // an eventfd
  bool has_pwait2_ = true;
  lean_vector<watched> watched_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;  // guards posted_elsewhere_
  lean_vector<function<void()>> posted_elsewhere_;
};

inline epoll_loop::epoll_loop() noexcept
    : loop{time_point{read(CLOCK_MONOTONIC)}}, epoll_{epoll_create1(EPOLL_CLOEXEC)} {
  interrupt_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = interrupt_;
  if (epoll_ >= 0 && interrupt_ >= 0) epoll_ctl(epoll_, EPOLL_CTL_ADD, interrupt_, &event);
}

inline epoll_loop::~epoll_loop() {
  if (interrupt_ >= 0) ::close(interrupt_);
  if (epoll_ >= 0) ::close(epoll_);
  pthread_mutex_destroy(&mutex_);
}

inline void epoll_loop::post(function<void()> call) {
  {
    lock const guard{mutex_};
    posted_elsewhere_.push_back(std::move(call));
  }
  interrupt();
}

inline void epoll_loop::stop() noexcept {
  loop::stop();
  interrupt();
}

inline void epoll_loop::interrupt() noexcept {
  int const saved = errno;  // may run in a signal handler
  std::uint64_t const one = 1;
  [[maybe_unused]] auto const written = ::write(interrupt_, &one, sizeof one);
  errno = saved;
}

inline void epoll_loop::take_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] auto const got = ::read(interrupt_, &count, sizeof count);
  lean_vector<function<void()>> calls;
  {
    lock const guard{mutex_};
    calls.swap(posted_elsewhere_);
  }
  for (function<void()>& call : calls) loop::post(std::move(call));
}

inline result<void> epoll_loop::watch(int fd, fd_interest interest, participant& whom, fd_trigger trigger) {
  if (interest == fd_interest::none) {
    unwatch(fd);
    return {};
  }
  auto const index = static_cast<std::size_t>(fd);
  if (index >= watched_.size()) watched_.resize(index + 1);
  epoll_event event{};
  if ((static_cast<unsigned>(interest) & static_cast<unsigned>(fd_interest::read)) != 0)
    event.events |= EPOLLIN | EPOLLRDHUP;
  if ((static_cast<unsigned>(interest) & static_cast<unsigned>(fd_interest::write)) != 0) event.events |= EPOLLOUT;
  if (trigger == fd_trigger::edge) event.events |= EPOLLET;
  event.data.fd = fd;
  bool const known = watched_[index].whom != nullptr;
  int done = epoll_ctl(epoll_, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  // The descriptor was closed and its number used again, or the other way round.
  if (done != 0 && known && errno == ENOENT) done = epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  if (done != 0) return error{errc::io_error, std::string{"cannot watch a socket: "} + std::strerror(errno)};
  watched_[index].whom = &whom;
  return {};
}

inline void epoll_loop::unwatch(int fd) noexcept {
  auto const index = static_cast<std::size_t>(fd);
  if (fd < 0 || index >= watched_.size() || watched_[index].whom == nullptr) return;
  watched_[index] = {};
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

inline fd_interest epoll_loop::take_events(int fd) noexcept {
  auto const index = static_cast<std::size_t>(fd);
  if (fd < 0 || index >= watched_.size()) return fd_interest::none;
  return exchanged(watched_[index].events, fd_interest::none);
}

inline void epoll_loop::on_event(epoll_event const& event) noexcept {
  watched& w = watched_[static_cast<std::size_t>(event.data.fd)];
  if (w.whom == nullptr) return;
  auto events = static_cast<unsigned>(w.events);
  if ((event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
    events |= static_cast<unsigned>(fd_interest::read);
  if ((event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) events |= static_cast<unsigned>(fd_interest::write);
  w.events = static_cast<fd_interest>(events);
  wake(*w.whom);
}

inline int epoll_loop::wait_for_events(epoll_event* events, int size, duration at_most) noexcept {
  if (epoll_ < 0) {
    timespec const pause{0, at_most > duration{0} ? 1'000'000 : 0};
    nanosleep(&pause, nullptr);
    return 0;
  }
  if (at_most == duration{0}) return epoll_wait(epoll_, events, size, 0);
  if (at_most == duration::max()) return epoll_wait(epoll_, events, size, -1);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
  if (has_pwait2_) {
    timespec const limit{static_cast<time_t>(at_most.count() / 1'000'000), at_most.count() % 1'000'000 * 1000};
    int const got = epoll_pwait2(epoll_, events, size, &limit, nullptr);
    if (got >= 0 || (errno != ENOSYS && errno != EPERM)) return got;
    has_pwait2_ = false;
  }
#endif
  constexpr duration longest = std::chrono::hours{1};
  auto const whole = std::chrono::ceil<std::chrono::milliseconds>(at_most < longest ? at_most : longest);
  return epoll_wait(epoll_, events, size, static_cast<int>(whole.count()));
}

inline bool epoll_loop::wait(time_point until) {
  constexpr int batch = 128;
  epoll_event events[batch];
  time_point const start = read_clock();
  duration const at_most = until <= start ? duration{0} : until == never ? duration::max() : until - start;
  int const got = wait_for_events(events, batch, at_most);
  set_now(at_most == duration{0} ? start : read_clock());
  for (int i = 0; i < got; ++i)
    if (events[i].data.fd == interrupt_)
      take_posted();
    else
      on_event(events[i]);
  return true;
}

}  // namespace net
}  // namespace v0
}  // namespace iothub
