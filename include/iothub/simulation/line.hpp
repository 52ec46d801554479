// One client's way to the hub: what is wrong with it now, and who watches what passes.
//
// Theory of operation. A line outlives its connections. Faults are armed on it and wait there for what they need (an
// attempt, a packet of the right kind); the streams of the client ask take() at that moment. What has to happen later
// (a hold that ends, a reset that waits until the peer has read) is the line's own: it is a participant of the loop
// with a small list of what is due. Nothing here is random: what a fault does in detail is in its numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <iothub/base/bytes.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/simulation/fault.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

// Sees a line from outside: packets whole, as they leave the client and as they are handed to it. Must only look.
class line_observer {
 public:
  virtual void on_attempt(time_point now) = 0;                 // the client asks for a connection
  virtual void on_up(byte_view packet, time_point now) = 0;    // an MQTT packet, or bytes that frame as none
  virtual void on_down(byte_view packet, time_point now) = 0;
  virtual void on_gone(time_point now) = 0;                    // the client closed, or was told of the end
  virtual void on_fault(fault what, time_point now) = 0;       // it happens now
  virtual void on_goodbye(time_point) {}                       // the client says so, and there are no bytes to show it

 protected:
  ~line_observer() = default;
};

struct armed_fault {
  fault what = fault::count;
  duration lasting{0};
  std::uint64_t amount = 0;  // what it means depends on the kind: bytes, a place in a packet, which variant
};

class line final : public participant {
 public:
  line(loop& on, memory::pipe_network& network, fault_counts& counts) : loop_{on}, network_{network}, counts_{counts} {
    on.add(*this);
  }

  // --- for whoever makes trouble

  // It happens at the next occasion, once. Those that need no occasion (holds, resets of the present connection)
  // happen now when there is a connection, and wait for one otherwise.
  void arm(fault what, duration lasting, std::uint64_t amount);
  // No fault waits or lasts any longer. Bytes that were held are let go.
  void calm();
  void observe(line_observer* whom) noexcept { observer_ = whom; }
  // What makes the hub lose its end: for half-open connections.
  function<void()> drop_at_hub;
  // With TLS; then the ports of servers that are bad, in the order of the faults from tls_wrong_name on, 0
  // where there is none. Without TLS connections go to the hub's plain ports.
  bool secure = false;
  static constexpr std::size_t bad_servers = 8;
  std::uint16_t bad_ports[bad_servers] = {};
  // Packets and requests pass as values (value_wire.hpp), so that nothing can be held; and whether the hub is down,
  // which pipes find out by themselves.
  bool values = false;
  bool peer_away = false;
  static constexpr memory::connection_id no_pipe = ~memory::connection_id{0};

  // --- for the client's streams

  [[nodiscard]] memory::pipe_network& network() noexcept { return network_; }
  [[nodiscard]] line_observer* observer() const noexcept { return observer_; }
  [[nodiscard]] bool waits(fault what) const noexcept;
  // The oldest that waits for this occasion; counts it.
  bool take(fault what, armed_fault& into);
  bool take(fault what) {
    armed_fault unused;
    return take(what, unused);
  }
  [[nodiscard]] bool lasts(fault what, time_point now) const noexcept;
  // The same, where it makes a difference now: the first time it counts.
  [[nodiscard]] bool meets(fault what, time_point now);
  [[nodiscard]] std::uint64_t amount(fault what) const noexcept;
  // A connection of the client was opened, or ended.
  void opened(memory::connection_id id, participant* whom, time_point now);
  void gone(time_point now) noexcept;
  // The client's participant has to look again, then.
  void wake_client_at(time_point when);
  // Resets the present connection at `when`; what the hub sends until then does not arrive.
  void reset_at(time_point when);
  // The client gave this pipe up, but what it wrote is still on its way: arrives at `when`.
  void keep(memory::pipe_stream pipe, time_point when);
  [[nodiscard]] time_point now() const { return loop_.now(); }
  [[nodiscard]] utc_time utc_now() const { return loop_.utc_now(); }

  // --- what is known of it: kept by the streams
  struct knowledge {
    std::uint64_t attempts = 0;        // to connect
    std::uint64_t connects = 0;        // that the hub accepted
    time_point last_attempt = time_point::min();
    bool connected = false;            // the hub accepted the present connection
    std::size_t unacknowledged = 0;    // PUBLISHes at QoS 1 of the present connection without PUBACK
  };
  knowledge known = {};
  void count(fault what) {
    counts_.add(what);
    if (observer_ != nullptr) observer_->on_fault(what, loop_.now());
  }

  inline void step(time_point now) override;
  [[nodiscard]] inline time_point deadline() const override;

 private:
  enum class job : std::uint8_t { wake_client, release_up, release_down, reset, end_zombie };
  struct due {
    time_point at;
    job what;
    memory::connection_id id;
  };
  struct lasting {
    fault what;
    time_point until;
    std::uint64_t amount;
    bool counted = false;
  };
  struct zombie {
    memory::connection_id id;
    memory::pipe_stream pipe;
  };
  void hold(memory::pipe_direction which = memory::pipe_direction::both) {
    network_.hold(current_, which);
    if (held_.empty() || held_.back() != current_) held_.push_back(current_);
  }
  void later(time_point at, job what) { due_.push_back({at, what, current_}), loop_.wake(*this); }
  bool apply(armed_fault const& f, time_point now);
  void run(due const& d);

  loop& loop_;
  memory::pipe_network& network_;
  fault_counts& counts_;
  line_observer* observer_ = nullptr;
  std::vector<armed_fault> armed_;
  std::vector<lasting> lasting_;
  std::vector<due> due_;
  std::vector<zombie> zombies_;
  std::vector<memory::connection_id> held_;  // some are over, some go on at the hub without their client
  memory::connection_id current_ = 0;
  participant* client_ = nullptr;
};

// ---------------------------------------------------------------------------------------------------------------------

inline void line::arm(fault what, duration lasting_for, std::uint64_t amount) {
  armed_fault const f{what, lasting_for, amount};
  if (!apply(f, loop_.now())) armed_.push_back(f);
}

// What needs no occasion; false: it has to wait.
inline bool line::apply(armed_fault const& f, time_point now) {
  if (values && f.what != fault::outage) return false;
  switch (f.what) {
    case fault::outage:
      lasting_.push_back({f.what, iothub::add(now, f.lasting), f.amount, current_ != 0 && !values});
      if (values) wake_client_at(now);
      if (!lasting_.back().counted) return true;  // meets a connection, or an attempt at one, later
      count(f.what);
      hold();
      if (f.amount % 2 == 0) later(iothub::add(now, f.lasting), job::release_up);
      if (f.amount % 2 == 0) later(iothub::add(now, f.lasting), job::release_down);
      return true;
    case fault::partial_io:
    case fault::slow_peer:
    case fault::zero_window:
      if (current_ == 0) return false;
      lasting_.push_back({f.what, iothub::add(now, f.lasting), f.amount});
      wake_client_at(iothub::add(now, f.lasting));
      return true;
    case fault::half_open:
      if (current_ == 0) return false;
      hold(memory::pipe_direction::to_client);
      if (drop_at_hub) drop_at_hub();
      count(f.what);
      return true;
    case fault::black_hole_up:
    case fault::black_hole_down: {
      if (current_ == 0) return false;
      bool const up = f.what == fault::black_hole_up;
      hold(up ? memory::pipe_direction::to_server : memory::pipe_direction::to_client);
      if (f.lasting > duration{0}) later(iothub::add(now, f.lasting), up ? job::release_up : job::release_down);
      count(f.what);
      return true;
    }
    case fault::latency_spike:
    case fault::clog:
      if (current_ == 0) return false;
      hold();
      later(iothub::add(now, f.lasting), job::release_up);
      later(iothub::add(now, f.lasting), job::release_down);
      count(f.what);
      return true;
    default: return false;
  }
}

inline bool line::waits(fault what) const noexcept {
  for (armed_fault const& f : armed_)
    if (f.what == what) return true;
  return false;
}
inline bool line::take(fault what, armed_fault& into) {
  for (std::size_t i = 0; i != armed_.size(); ++i) {
    if (armed_[i].what != what) continue;
    into = armed_[i];
    armed_.erase(armed_.begin() + static_cast<std::ptrdiff_t>(i));
    count(what);
    return true;
  }
  return false;
}
inline bool line::lasts(fault what, time_point now) const noexcept {
  for (lasting const& l : lasting_)
    if (l.what == what && l.until > now) return true;
  return false;
}
inline bool line::meets(fault what, time_point now) {
  for (lasting& l : lasting_) {
    if (l.what != what || l.until <= now) continue;
    if (!std::exchange(l.counted, true)) count(what);
    return true;
  }
  return false;
}
inline std::uint64_t line::amount(fault what) const noexcept {
  for (lasting const& l : lasting_)
    if (l.what == what) return l.amount;
  return 0;
}

inline void line::opened(memory::connection_id id, participant* whom, time_point now) {
  current_ = id;
  client_ = whom;
  // Those that waited for a connection. A copy: applying one may arm nothing, but a dropped link may open the next.
  auto waiting = std::exchange(armed_, {});
  for (armed_fault const& f : waiting)
    if (!apply(f, now)) armed_.push_back(f);
}
inline void line::gone(time_point now) noexcept {
  current_ = 0;
  known.connected = false;
  known.unacknowledged = 0;
  if (observer_ != nullptr) observer_->on_gone(now);
}
inline void line::wake_client_at(time_point when) {
  later(when, job::wake_client);
}
inline void line::reset_at(time_point when) {
  if (current_ == 0) return;
  network_.hold(current_, memory::pipe_direction::to_client);
  later(when, job::reset);
}
inline void line::keep(memory::pipe_stream pipe, time_point when) {
  memory::connection_id const id = pipe.id();
  pipe.attach(loop_, *this);
  zombies_.push_back({id, std::move(pipe)});
  due_.push_back({when, job::release_up, id});
  due_.push_back({iothub::add(when, std::chrono::seconds{1}), job::end_zombie, id});
  loop_.wake(*this);
}

inline void line::run(due const& d) {
  switch (d.what) {
    case job::wake_client:
      if (client_ != nullptr && current_ != 0) loop_.wake(*client_);
      return;
    case job::release_up: return network_.release(d.id, memory::pipe_direction::to_server);
    case job::release_down: return network_.release(d.id, memory::pipe_direction::to_client);
    case job::reset: return network_.reset(d.id);
    case job::end_zombie:
      for (std::size_t i = 0; i != zombies_.size(); ++i) {
        if (zombies_[i].id != d.id) continue;
        zombies_.erase(zombies_.begin() + static_cast<std::ptrdiff_t>(i));
        return;
      }
  }
}

inline void line::step(time_point now) {
  for (std::size_t i = 0; i != due_.size();) {
    if (due_[i].at > now) {
      ++i;
      continue;
    }
    due const d = due_[i];
    due_.erase(due_.begin() + static_cast<std::ptrdiff_t>(i));
    run(d);
    i = 0;  // running may add
  }
  std::erase_if(lasting_, [now](lasting const& l) { return l.until <= now; });
}
inline time_point line::deadline() const {
  time_point first = never;
  for (due const& d : due_) first = d.at < first ? d.at : first;
  return first;
}

inline void line::calm() {
  armed_.clear();
  lasting_.clear();
  auto const left = std::exchange(due_, {});
  for (due const& d : left) {
    if (d.what == job::wake_client)
      due_.push_back(d);  // packets may still be on their way
    else
      run(d);
  }
  zombies_.clear();
  for (memory::connection_id const id : std::exchange(held_, {})) network_.release(id);
  if (current_ != 0) network_.release(current_);
  if (current_ != 0 && client_ != nullptr) loop_.wake(*client_);
}

}  // namespace sim
}  // namespace v0
}  // namespace iothub
