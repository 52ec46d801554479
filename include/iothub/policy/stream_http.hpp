// An HTTP transport over any byte stream: HTTP/1.1 with a small pool of kept connections.
//
// Theory of operation. A connection carries one exchange at a time, so as many exchanges as connections run at once; an
// exchange takes an idle connection to its endpoint, else a new one, else waits its turn behind max_connections. An
// idle connection is watched: when its peer ends it, it is dropped at once, so that no request is written to the dead.
// The race that remains (the peer closes while a request is on its way) is repaired by a second try for GET and HEAD
// alone; anything else ends with errc::connection_lost, since it may have been carried out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <iothub/base/bytes.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/base/undo.hpp>
#include <iothub/http/h1_connection.hpp>
#include <iothub/http/message.hpp>
#include <iothub/http/url.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/byte_stream.hpp>
#include <iothub/policy/endpoint.hpp>
#include <iothub/policy/http_transport.hpp>

namespace iothub {
inline namespace v0 {

struct stream_http_options {
  http::h1_limits limits = {};
  std::size_t max_connections = 16;                      // to one endpoint; further exchanges wait
  duration exchange_timeout = std::chrono::minutes{11};  // from start() on; a direct method may take 300 s + 300 s
  duration idle_timeout = std::chrono::seconds{60};      // an unused connection is closed
};

// Makes the streams where Stream needs no argument; else pass a callable that returns one.
template <class Stream>
struct default_stream_factory {
  Stream operator()() const { return Stream{}; }
};

template <byte_stream Stream, class Factory = default_stream_factory<Stream>>
class stream_http {
 public:
  explicit stream_http(Factory make = {}, stream_http_options options = {})
      : make_(std::move(make)), options_{options} {}

  // The outcomes of an exchange, beside the stream's own errors: errc::timeout, errc::connection_lost,
  // errc::protocol_error and errc::too_large for a response that breaks HTTP or its limits, errc::invalid_argument for
  // a request that cannot be written.
  exchange_id start(endpoint const& where, http::request&& what, time_point now);
  void cancel(exchange_id id);
  void step(time_point now);
  std::optional<http_completion> next_completion();
  [[nodiscard]] time_point deadline() const noexcept;
  void attach(loop& on, participant& whom);

  // Open connections, idle ones too.
  [[nodiscard]] std::size_t connections() const noexcept { return pool_.size(); }

 private:
  struct exchange {
    exchange_id id = 0;  // 0: none
    endpoint where = {};
    http::request what = {};
    time_point until = never;
  };
  struct connection {
    connection(Factory& make, stream_http_options const& options)
        : stream(make()), h1{http::h1_role::client, {.limits = options.limits}} {}
    Stream stream;
    http::h1_connection h1;
    exchange now_running = {};
    endpoint where = {};
    time_point idle_until = never;
    bool reused = false;     // an exchange was completed before this one
    bool answering = false;  // a byte of the response came
    bool dead = false;
  };
  static constexpr std::size_t read_size = 16 * 1024;
  static constexpr int reads_per_step = 16;

  void assign(time_point now);
  connection* find_connection(endpoint const& where, time_point now, error& problem);
  void begin(connection& c, exchange& e);
  void drive(connection& c, time_point now);
  std::optional<error> write(connection& c, time_point now);
  bool read(connection& c, time_point now);
  bool take_events(connection& c, time_point now);
  void lose(connection& c, error why);
  void finish(connection& c, result<http::response> outcome, time_point now);
  void complete(exchange_id id, result<http::response> outcome) {
    done_.push_back(http_completion{.id = id, .outcome = std::move(outcome)});
  }
  void expire(time_point now);
  void drop_dead() noexcept;
  void wake() noexcept {
    if (loop_ != nullptr) loop_->wake(*participant_);
  }

  Factory make_;
  stream_http_options options_;
  std::vector<std::unique_ptr<connection>> pool_;
  std::vector<exchange> waiting_;
  std::vector<http_completion> done_;
  exchange_id last_id_ = 0;
  loop* loop_ = nullptr;
  participant* participant_ = nullptr;
};

// ---------------------------------------------------------------------------------------------------------------------

template <byte_stream Stream, class Factory>
exchange_id stream_http<Stream, Factory>::start(endpoint const& where, http::request&& what, time_point now) {
  waiting_.push_back(exchange{
      .id = last_id_ + 1, .where = where, .what = std::move(what), .until = add(now, options_.exchange_timeout)});
  wake();  // it goes out in step(): a call that throws has sent nothing
  return ++last_id_;
}

template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::cancel(exchange_id id) {
  for (std::size_t i = 0; i != waiting_.size(); ++i)
    if (waiting_[i].id == id) return void(waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i)));
  for (std::size_t i = 0; i != done_.size(); ++i)
    if (done_[i].id == id) return void(done_.erase(done_.begin() + static_cast<std::ptrdiff_t>(i)));
  for (auto& c : pool_) {
    if (c->now_running.id != id) continue;
    c->now_running = {};
    c->dead = true;
  }
  drop_dead();
  wake();  // whoever waits may have the place
}

template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::step(time_point now) {
  expire(now);
  for (std::size_t i = 0; i != pool_.size(); ++i) drive(*pool_[i], now);
  drop_dead();
  assign(now);
}

template <byte_stream Stream, class Factory>
std::optional<http_completion> stream_http<Stream, Factory>::next_completion() {
  if (done_.empty()) return std::nullopt;
  std::optional<http_completion> out{std::move(done_.front())};
  done_.erase(done_.begin());
  return out;
}

template <byte_stream Stream, class Factory>
time_point stream_http<Stream, Factory>::deadline() const noexcept {
  time_point first = never;
  auto const earlier = [&first](time_point t) { first = t < first ? t : first; };
  for (exchange const& e : waiting_) earlier(e.until);
  for (auto const& c : pool_) {
    earlier(c->stream.deadline());
    earlier(c->now_running.id != 0 ? c->now_running.until : c->idle_until);
  }
  return first;
}

template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::attach(loop& on, participant& whom) {
  loop_ = &on;
  participant_ = &whom;
  for (auto& c : pool_) c->stream.attach(on, whom);
}

// Gives connections to those who wait, in their order; one endpoint that is full does not hold up another.
template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::assign(time_point now) {
  for (std::size_t i = 0; i != waiting_.size();) {
    error problem{errc::outbox_full};
    connection* const c = find_connection(waiting_[i].where, now, problem);
    if (c == nullptr && problem == errc::outbox_full) {
      ++i;
      continue;
    }
    if (c == nullptr)
      complete(waiting_[i].id, std::move(problem));
    else
      begin(*c, waiting_[i]);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    if (c != nullptr) drive(*c, now);
  }
  drop_dead();
}

template <byte_stream Stream, class Factory>
auto stream_http<Stream, Factory>::find_connection(endpoint const& where, time_point now, error& problem)
    -> connection* {
  std::size_t open = 0;
  for (auto& c : pool_) {
    if (c->dead || !(c->where == where)) continue;
    ++open;
    if (c->now_running.id != 0) continue;
    drive(*c, now);  // sees whether the peer has closed it
    if (!c->dead) return c.get();
    --open;
  }
  if (open >= options_.max_connections) return nullptr;
  auto fresh = std::make_unique<connection>(make_, options_);
  fresh->where = where;
  if (loop_ != nullptr) fresh->stream.attach(*loop_, *participant_);
  if (auto opened = fresh->stream.open(where, now); !opened) {
    problem = std::move(opened).error();
    return nullptr;
  }
  pool_.push_back(std::move(fresh));
  return pool_.back().get();
}

template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::begin(connection& c, exchange& e) {
  undo back{[&]() noexcept { c.dead = true; }};  // what is in its output may be half a request
  if (auto sent = c.h1.send(e.what, http::authority(e.where.host, e.where.port)); !sent) {
    complete(e.id, std::move(sent).error());
    back.dismiss();
    c.dead = !c.reused;
    return;
  }
  back.dismiss();
  c.now_running = std::move(e);
  c.answering = false;
}

template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::drive(connection& c, time_point now) {
  if (c.dead) return;
  std::optional<error> broken = write(c, now);
  // A server that refuses a request may answer and close before it has read all: its answer is what counts.
  if (read(c, now) && broken) lose(c, std::move(*broken));
}

template <byte_stream Stream, class Factory>
std::optional<error> stream_http<Stream, Factory>::write(connection& c, time_point now) {
  while (!c.h1.output().empty()) {
    io_result const moved = c.stream.write(c.h1.output(), now);
    if (moved.status == io_status::would_block) break;
    if (moved.status != io_status::done) return c.stream.last_error();
    c.h1.consume_output(moved.size);
  }
  return std::nullopt;
}

template <byte_stream Stream, class Factory>
bool stream_http<Stream, Factory>::read(connection& c, time_point now) {
  for (int count = 0; count != reads_per_step; ++count) {
    io_result const moved = c.stream.read(c.h1.prepare(read_size), now);
    switch (moved.status) {
      case io_status::would_block: return true;
      case io_status::failed: return lose(c, c.stream.last_error()), false;
      case io_status::end: c.h1.receive_end(); break;
      case io_status::done:
        c.h1.commit(moved.size);
        c.answering = true;
        break;
    }
    if (!take_events(c, now)) return false;
    if (moved.status == io_status::end) return c.dead = true, false;
  }
  wake();
  return true;
}

// False when the connection is over.
template <byte_stream Stream, class Factory>
bool stream_http<Stream, Factory>::take_events(connection& c, time_point now) {
  for (;;) {
    switch (c.h1.next()) {
      case http::h1_event::response: finish(c, c.h1.take_response(), now); break;
      case http::h1_event::failed: return lose(c, c.h1.last_error()), false;
      case http::h1_event::closed:
      case http::h1_event::upgraded: return c.dead = true, false;
      default: return true;
    }
  }
}

template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::lose(connection& c, error why) {
  c.dead = true;
  exchange e = std::exchange(c.now_running, {});
  if (e.id == 0) return;
  bool const safe = e.what.method == "GET" || e.what.method == "HEAD";
  if (c.reused && !c.answering && safe && why == errc::connection_lost) {
    waiting_.insert(waiting_.begin(), std::move(e));
    wake();
  } else {
    complete(e.id, std::move(why));
  }
}

template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::finish(connection& c, result<http::response> outcome, time_point now) {
  complete(c.now_running.id, std::move(outcome));
  c.now_running = {};
  c.reused = true;
  c.idle_until = add(now, options_.idle_timeout);
  if (!c.h1.reusable()) c.dead = true;
  c.h1.shrink(0);
}

template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::expire(time_point now) {
  for (std::size_t i = 0; i != waiting_.size();) {
    if (waiting_[i].until > now) {
      ++i;
      continue;
    }
    complete(waiting_[i].id, error{errc::timeout, "no connection was free in time"});
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (auto& c : pool_) {
    if (c->now_running.id == 0) {
      c->dead = c->dead || c->idle_until <= now;
    } else if (c->now_running.until <= now) {
      complete(c->now_running.id, error{errc::timeout, "HTTP: no response from " + c->where.host + " in time"});
      c->now_running = {};
      c->dead = true;
    }
  }
}

template <byte_stream Stream, class Factory>
void stream_http<Stream, Factory>::drop_dead() noexcept {
  for (std::size_t i = pool_.size(); i-- != 0;) {
    if (!pool_[i]->dead) continue;
    pool_[i]->stream.close();
    pool_.erase(pool_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace v0
}  // namespace iothub
