// A network in memory: duplex byte pipes between clients and listeners, with the faults of real ones.
//
// Theory of operation. pipe_network plays resolver, listener and wire. A client's pipe_stream opens an endpoint by name
// and port; the listener there gets the other end from accept(). Bytes written at one end arrive at the other after the
// latency; the network is a participant of the loop and wakes whoever waits then, so a stream has a deadline() of its
// own only while a connect is about to fail. Without latency bytes arrive at once and nothing is scheduled.
//   1. Bytes never change their order, nor get lost while the connection lives.
//   2. close() sends what was written, then the end; a peer that writes afterwards fails with errc::connection_lost.
//   3. A held direction delivers nothing, neither bytes nor the end, until it is released: a clog, and together with
//      close() at the other end a half-open connection.
//   4. All randomness comes from the seed in the options.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/bytes.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/slot_map.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/memory/pipe_flow.hpp>
#include <iothub/policy/byte_stream.hpp>

namespace iothub {
inline namespace v0 {
namespace memory {

using connection_id = slot_id;

enum class pipe_direction : unsigned char { to_server = 1, to_client = 2, both = 3 };

class pipe_network;
class pipe_stream;
class pipe_listener;

// Two ends that are connected from the start, without a network: no latency, and neither can be opened again.
std::pair<pipe_stream, pipe_stream> make_pipe(pipe_options const& options = {});

namespace detail {

struct pipe_link {
  pipe_network* network = nullptr;
  connection_id id = 0;
  pipe_options options = {};
  prng random{};
  time_point established = time_point::min();
  std::uint64_t written = 0;
  bool cut = false;    // no more bytes pass; what has arrived may still be read
  int handles = 0;     // streams and backlog entries that point here
  pipe_flow flows[2];  // flows[i] goes to ends[i]; 0 is the client's
  pipe_end ends[2];

  // Wakes an end now, or at `at` when that is later.
  void wake_at(int end, time_point at, time_point now) noexcept;
};

struct pipe_port {
  pipe_network* network = nullptr;
  endpoint at = {};
  struct waiting {
    pipe_link* link;
    time_point arrives;
  };
  std::vector<waiting> backlog = {};
  pipe_end listener = {};
};

}  // namespace detail

// One end of a pipe; a model of byte_stream. The end that accept() gives cannot be opened.
class pipe_stream {
 public:
  explicit pipe_stream(pipe_network& network) noexcept : network_{&network} {}
  pipe_stream(pipe_stream&& other) noexcept;
  pipe_stream& operator=(pipe_stream&& other) noexcept;
  ~pipe_stream() { close(); }

  // Always starts; read() and write() then fail with errc::host_not_found where no listener has that name,
  // errc::connection_refused where it has another port. errc::unsupported on an accepted end, errc::invalid_state when
  // open already.
  result<void> open(endpoint const& where, time_point now);
  io_result read(byte_span into, time_point now);
  io_result write(byte_view from, time_point now);
  void close() noexcept;
  [[nodiscard]] error last_error() const { return last_error_ ? *last_error_ : error{errc::closed}; }
  [[nodiscard]] time_point deadline() const noexcept { return fails_at_; }
  void attach(loop& on, participant& whom) noexcept;

  // The other end was closed or the connection was cut, and word of it has arrived.
  [[nodiscard]] bool peer_left(time_point now) const noexcept {
    if (link_ == nullptr || link_->cut) return link_ != nullptr;
    return link_->ends[1 - end_].closed && !link_->flows[end_].held && link_->flows[end_].last_arrival() <= now;
  }

  // Names the connection for pipe_network's faults; 0 when there is none.
  [[nodiscard]] connection_id id() const noexcept { return link_ != nullptr ? link_->id : 0; }

 private:
  friend class pipe_network;
  friend class pipe_listener;
  friend std::pair<pipe_stream, pipe_stream> make_pipe(pipe_options const& options);
  pipe_stream(detail::pipe_link& link, int end) noexcept : link_{&link}, end_{end} { ++link.handles; }
  io_result fail(error e) {
    last_error_ = std::move(e);
    return {io_status::failed, 0};
  }
  // Still failing to connect, or not open.
  io_result without_link(time_point now) {
    if (!open_error_) return {io_status::failed, 0};
    if (now < fails_at_) return {};
    last_error_ = std::move(open_error_);
    open_error_.reset();
    fails_at_ = never;
    return {io_status::failed, 0};
  }
  [[nodiscard]] std::size_t limit(std::size_t size) noexcept;

  pipe_network* network_ = nullptr;  // null at an accepted end
  detail::pipe_link* link_ = nullptr;
  int end_ = 0;
  detail::pipe_end attached_ = {};
  std::optional<error> open_error_;  // to be told once `fails_at_` has come
  time_point fails_at_ = never;
  std::optional<error> last_error_;
};

// The accepting side of one name and port. Closing it refuses new connections; accepted ones live on.
class pipe_listener {
 public:
  pipe_listener(pipe_listener&&) noexcept = default;
  pipe_listener& operator=(pipe_listener&& other) noexcept {
    close();
    port_ = std::move(other.port_);
    return *this;
  }
  ~pipe_listener() { close(); }

  // The next connection, if one has come.
  [[nodiscard]] std::optional<pipe_stream> accept(time_point now);
  // The participant to wake when there is one.
  void attach(loop& on, participant& whom) noexcept;
  [[nodiscard]] endpoint const& local() const noexcept { return port_->at; }
  void close() noexcept;

 private:
  friend class pipe_network;
  explicit pipe_listener(std::unique_ptr<detail::pipe_port> port) noexcept : port_{std::move(port)} {}
  std::unique_ptr<detail::pipe_port> port_;
};

class pipe_network final : public participant {
 public:
  explicit pipe_network(loop& on, pipe_options options = {}) noexcept : loop_{on}, options_{options} { on.add(*this); }
  inline ~pipe_network() override;

  // The host "*" answers to every name; port 0 takes a free one. errc::already_exists when the endpoint is taken.
  result<pipe_listener> listen(endpoint const& at);

  // For connections opened from now on; their seeds are drawn from `seed` in the order they are opened.
  void set_options(pipe_options options) noexcept {
    options_ = options;
    random_ = prng{options.seed};
  }
  // The next `count` attempts to open fail with errc::connection_refused.
  void refuse(std::size_t count) noexcept { refusals_ = count; }

  // Faults of living connections; an unknown id is ignored. reset() fails both ends with errc::connection_lost and
  // loses what is under way.
  void reset(connection_id id) noexcept;
  void hold(connection_id id, pipe_direction which = pipe_direction::both) noexcept { set_held(id, which, true); }
  void release(connection_id id, pipe_direction which = pipe_direction::both) noexcept { set_held(id, which, false); }
  // Of all living connections.
  void reset_all() noexcept;
  void hold_all(pipe_direction which = pipe_direction::both) noexcept;
  void release_all() noexcept;
  // The living connections, in the order of their places: the same in every run.
  [[nodiscard]] std::vector<connection_id> connections() const;

  inline void step(time_point now) override;
  [[nodiscard]] time_point deadline() const override { return wakeups_.empty() ? never : wakeups_.front().at; }

 private:
  friend class pipe_stream;
  friend class pipe_listener;
  friend struct detail::pipe_link;
  friend std::pair<pipe_stream, pipe_stream> make_pipe(pipe_options const& options);
  // Wakes an end of a link, or with `which` 2 the listener that has it in its backlog.
  struct wakeup {
    time_point at;
    std::uint64_t sequence;
    connection_id link;
    unsigned char which;
    friend bool operator<(wakeup const& a, wakeup const& b) noexcept {
      return a.at != b.at ? a.at < b.at : a.sequence < b.sequence;
    }
  };

  [[nodiscard]] detail::pipe_port* find_port(endpoint const& where) const noexcept;
  [[nodiscard]] bool knows_host(std::string_view host) const noexcept;
  result<detail::pipe_link*> connect(endpoint const& where, time_point now);
  [[nodiscard]] static duration delay(detail::pipe_link& link) noexcept;
  void wake_at(detail::pipe_link& link, unsigned char which, time_point at, time_point now) noexcept;
  // Room for one more, and for both ends of every connection to close without allocating.
  void reserve_wakeups() {
    std::size_t const needed = wakeups_.size() + 1 + 4 * (links_.size() + 1);
    if (wakeups_.capacity() < needed) wakeups_.reserve(2 * needed);
  }
  void wake(detail::pipe_link& link, unsigned char which) const noexcept;
  void set_held(connection_id id, pipe_direction which, bool held) noexcept;
  static void release_handle(detail::pipe_link& link) noexcept;
  static void cut(detail::pipe_link& link) noexcept;
  void schedule(wakeup w) noexcept;

  loop& loop_;
  pipe_options options_;
  prng random_{options_.seed};
  std::vector<detail::pipe_port*> ports_;
  slot_map<detail::pipe_link*> links_;
  std::vector<wakeup> wakeups_;  // a heap, earliest first
  std::uint64_t sequence_ = 0;
  std::size_t refusals_ = 0;
  std::uint16_t next_free_port_ = 49152;
};

}  // namespace memory
}  // namespace v0
}  // namespace iothub

#include <iothub/memory/pipe_bodies.hpp>
