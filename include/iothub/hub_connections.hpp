// The hub on streams of bytes: accepted connections that speak MQTT, HTTP or AMQP to it, over pipes, TCP or TLS alike.
//
// Theory of operation. A stream_server takes connections from a listener and keeps each as a participant of the loop: a
// stream and a protocol core, with bytes carried between them a bounded amount per step. What a peer can make the hub
// hold is bounded: by the protocol's limits per connection, by max_connections in all. Whatever goes wrong on a
// connection, exceptions included, ends that connection and nothing else.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <iothub/amqp/connection.hpp>
#include <iothub/http/server_connection.hpp>
#include <iothub/hub/amqp_face.hpp>
#include <iothub/hub/http_face.hpp>
#include <iothub/hub/log.hpp>
#include <iothub/hub/mqtt_face.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/mqtt/server_connection.hpp>
#include <iothub/policy/byte_stream.hpp>

namespace iothub {
inline namespace v0 {

// --- protocols ------------------------------------------------------------------------------------------------------

// What a served connection speaks. `service` is what all of its kind share; `wake` is called when output came about
// outside of a step.
class mqtt_protocol {
 public:
  using service = hub::mqtt_front;
  mqtt_protocol(service& front, function<void()> wake, time_point now, std::string)
      : face_{front, std::move(wake)}, connection_{face_, front.session_options(), now} {
    face_.attach(connection_.session());
  }

  [[nodiscard]] bool wants_input() const noexcept { return connection_.room() != 0; }
  void receive(byte_view bytes, time_point now) { connection_.receive(bytes, now); }
  void receive_end(time_point now) { connection_.link_lost(error{errc::connection_lost, "the peer closed"}, now); }
  void lost(error why, time_point now) { connection_.link_lost(std::move(why), now); }
  [[nodiscard]] byte_view output() const noexcept { return connection_.output(); }
  void consume_output(std::size_t size, time_point) { connection_.consume(size); }
  void on_time(time_point now) { connection_.step(now); }
  // Nothing will be added to the output.
  [[nodiscard]] bool ending() const noexcept { return connection_.finished(); }
  [[nodiscard]] bool finished() const noexcept { return ending() && output().empty(); }
  [[nodiscard]] time_point deadline() const noexcept { return connection_.deadline(); }
  [[nodiscard]] error const* rejected() const noexcept { return nullptr; }  // the face logs its refusals

 private:
  class waking_face final : public hub::mqtt_face {
   public:
    waking_face(hub::mqtt_front& front, function<void()> wake) : mqtt_face{front}, wake_{std::move(wake)} {}

   private:
    void output_made() override { wake_(); }
    function<void()> wake_;
  };
  waking_face face_;
  mqtt::server_connection connection_;
};

class http_protocol {
 public:
  using service = hub::http_face;
  http_protocol(service& face, function<void()> wake, time_point now, std::string peer)
      : connection_{face, now, {.first_timeout = face.options().first_request_wait}, std::move(peer)} {
    connection_.on_output(std::move(wake));
  }

  [[nodiscard]] bool wants_input() const noexcept { return connection_.wants_input(); }
  void receive(byte_view bytes, time_point now) { connection_.receive(bytes, now); }
  void receive_end(time_point now) { connection_.receive_end(now); }
  void lost(error const&, time_point now) { connection_.receive_end(now); }
  [[nodiscard]] byte_view output() const noexcept { return connection_.output(); }
  void consume_output(std::size_t size, time_point now) { connection_.consume_output(size, now); }
  void on_time(time_point now) { connection_.on_time(now); }
  [[nodiscard]] bool finished() const noexcept { return connection_.finished(); }
  [[nodiscard]] time_point deadline() const noexcept { return connection_.deadline(); }
  [[nodiscard]] error const* rejected() const noexcept { return connection_.rejected(); }

 private:
  http::server_connection connection_;
};

class amqp_protocol {
 public:
  using service = hub::amqp_front;
  amqp_protocol(service& front, function<void()> wake, time_point now, std::string peer)
      : face_{front, std::move(wake), std::move(peer)},
        connection_{amqp::connection_role::server, face_, front.connection_options(), now},
        last_{now} {
    face_.attach(connection_);
  }
  amqp_protocol(amqp_protocol const&) = delete;
  amqp_protocol& operator=(amqp_protocol const&) = delete;
  ~amqp_protocol() { face_.retire(); }  // while the links are there, which the face's nodes look at

  [[nodiscard]] bool wants_input() const noexcept { return connection_.room() != 0; }
  void receive(byte_view bytes, time_point now) { connection_.receive(bytes, last_ = now); }
  void receive_end(time_point now) { lost(error{errc::connection_lost, "the peer closed"}, now); }
  void lost(error why, time_point now) { connection_.link_lost(std::move(why), last_ = now); }
  [[nodiscard]] byte_view output() { return connection_.output(); }
  void consume_output(std::size_t size, time_point) {
    std::size_t const limit = connection_.options().max_backlog;
    bool const full = connection_.output().size() > limit;
    connection_.consume(size);
    if (full && connection_.output().size() <= limit) face_.wake();  // links waited for room: another turn
  }
  void on_time(time_point now) {
    last_ = now;
    face_.on_time(now);
    connection_.step(now);
  }
  [[nodiscard]] bool ending() const noexcept { return connection_.finished(); }
  [[nodiscard]] bool finished() { return ending() && connection_.output().empty(); }
  [[nodiscard]] time_point deadline() const noexcept {
    time_point const own = face_.deadline();
    time_point const wire = connection_.deadline();
    return own < wire ? own : wire;
  }
  [[nodiscard]] error const* rejected() const noexcept { return nullptr; }  // the face logs its refusals

 private:
  class waking_face final : public hub::amqp_face {
   public:
    waking_face(hub::amqp_front& front, function<void()> wake, std::string peer)
        : amqp_face{front, std::move(peer)}, wake_{std::move(wake)} {}
    void wake() {
      if (wake_) wake_();
    }
    void retire() {
      wake_ = {};  // nobody will fetch what is still said
      release();
    }

   private:
    void output_made() override { wake(); }
    function<void()> wake_;
  };
  waking_face face_;
  amqp::connection connection_;
  time_point last_ = {};
};

// --- connections ----------------------------------------------------------------------------------------------------

struct stream_server_options {
  std::size_t max_connections = 10'000;                   // further ones are closed at once
  duration handshake_timeout = std::chrono::seconds{15};  // streams with a handshake: until it is done
  duration write_timeout = std::chrono::seconds{60};      // without the peer taking a byte of what there is for it
  // For a peer to take the rest when its connection is over, and to be read to the end when it left while reading was
  // paused.
  duration linger_timeout = std::chrono::seconds{2};
  hub::log_sink* log = nullptr;
  std::string name = "connection";  // for the log and the stall report: "MQTT", "HTTPS"
};

// Listener: accept(now) gives an optional stream, attach(loop, participant). Wrap: makes of an accepted stream the one
// that is served (TLS over TCP), or returns it as it is.
template <class Listener, class Protocol, class Wrap>
class stream_server final : private participant {
  using accepted = typename std::remove_cvref_t<decltype(std::declval<Listener&>().accept(time_point{}))>::value_type;
  using stream_type = std::remove_cvref_t<decltype(std::declval<Wrap&>()(std::declval<accepted&&>()))>;

 public:
  // The loop, the service and what `wrap` refers to must outlive the server.
  stream_server(loop& on, Listener listener, typename Protocol::service& service, Wrap wrap,
                stream_server_options options = {})
      : loop_{on},
        listener_{std::move(listener)},
        service_{service},
        wrap_{std::move(wrap)},
        options_{std::move(options)} {}
  ~stream_server() override { listener_.close(); }

  // errc::io_error when the system does not let the listener be watched.
  result<void> start() {
    loop_.add(*this);
    if constexpr (std::is_void_v<decltype(listener_.attach(loop_, static_cast<participant&>(*this)))>) {
      listener_.attach(loop_, *this);
      return {};
    } else {
      return listener_.attach(loop_, *this);
    }
  }
  // Accepts nothing more and closes every connection in order: what is to be sent goes out as far as it can at once.
  void stop(time_point now) {
    listener_.close();
    for (auto const& each : connections_) each->stop(now);
  }
  [[nodiscard]] Listener& listener() noexcept { return listener_; }
  [[nodiscard]] std::size_t connections() const noexcept { return connections_.size() - ended_.size(); }

 private:
  static constexpr int accepts_per_step = 64;
  static constexpr int reads_per_step = 8;
  static constexpr std::size_t read_size = 16 * 1024;

  class connection final : public participant {
   public:
    connection(stream_server& server, std::size_t place, stream_type stream, std::string peer, time_point now)
        : server_{server},
          place_{place},
          peer_{peer},
          handshake_limit_{has_handshake ? add(now, server.options_.handshake_timeout) : never},
          stream_{std::move(stream)},
          protocol_{server.service_, [this] { server_.loop_.wake(*this); }, now, std::move(peer)} {
      stream_.attach(server.loop_, *this);
    }
    [[nodiscard]] std::size_t place() const noexcept { return place_; }
    void move_to(std::size_t place) noexcept { place_ = place; }
    void stop(time_point now) {
      if (ended_) return;
      protocol_.on_time(now);
      if (write_all(now)) end({}, now);
    }

   private:
    static constexpr bool has_handshake = requires(stream_type const& s) {
      { s.established() } -> std::convertible_to<bool>;
    };
    [[nodiscard]] bool shaking_hands() const {
      if constexpr (has_handshake) return !stream_.established();
      return false;
    }

    void step(time_point now) override {
      if (ended_) return;
#if IOTHUB_EXCEPTIONS
      try {
        pump(now);
      } catch (std::bad_alloc const&) {
        abandon("out of memory", now);
      } catch (std::exception const& e) {
        abandon(e.what(), now);
      }
#else
      pump(now);
#endif
    }
    [[nodiscard]] time_point deadline() const override {
      if (ended_) return never;
      time_point first = protocol_.deadline();
      if (time_point const at = stream_.deadline(); at < first) first = at;
      if (shaking_hands() && handshake_limit_ < first) first = handshake_limit_;
      if (time_point const at = write_limit(); at < first) first = at;
      if (time_point const at = linger_limit(); at < first) first = at;
      if (time_point const at = left_limit(); at < first) first = at;
      return first;
    }
    [[nodiscard]] std::string describe() const override {
      return "the hub's " + server_.options_.name + " connection waits for its peer";
    }

    void pump(time_point now) {
      protocol_.on_time(now);
      for (int i = 0; i != reads_per_step; ++i) {
        bool const wanted = protocol_.wants_input();
        bool const read = read_some(now);
        if (ended_ || !write_all(now)) return;
        // Input may be wanted again now that output is gone, and nobody would wake this for it.
        if (!read && (wanted || !protocol_.wants_input())) break;
        if (i + 1 == reads_per_step) server_.loop_.wake(*this);
      }
      if (left_limit() <= now) {
        left_since_ = never;
        told_end_ = true;
        protocol_.receive_end(now);
      }
      if (protocol_.finished()) {
        if (error const* const why = protocol_.rejected()) server_.log(peer_, why->message(), now);
        return end({}, now);
      }
      if (shaking_hands() && handshake_limit_ <= now) return end("the TLS handshake took too long", now);
      if constexpr (requires { protocol_.ending(); })
        if (ending_since_ == never && protocol_.ending()) ending_since_ = now;
      if (write_limit() <= now) return end("the peer took nothing for too long", now);
      if (linger_limit() <= now) return end("the peer did not take the rest", now);
    }
    [[nodiscard]] time_point write_limit() const noexcept {
      return add(blocked_since_, server_.options_.write_timeout);
    }
    [[nodiscard]] time_point linger_limit() const noexcept {
      return add(ending_since_, server_.options_.linger_timeout);
    }
    // The peer closed its side, but what it sent before is not wanted yet: it may be soon, else it is given up.
    [[nodiscard]] time_point left_limit() const noexcept { return add(left_since_, server_.options_.linger_timeout); }
    // False when there is nothing to read now, or nobody who wants it.
    bool read_some(time_point now) {
      if (!protocol_.wants_input()) {
        if constexpr (requires { stream_.peer_left(now); })
          if (left_since_ == never && !told_end_ && stream_.peer_left(now)) left_since_ = now;
        return false;
      }
      left_since_ = never;  // if it is so, reading will tell, behind the last byte
      char bytes[read_size];
      io_result const got = stream_.read(bytes, now);
      switch (got.status) {
        case io_status::done: protocol_.receive({bytes, got.size}, now); return true;
        case io_status::would_block: return false;
        case io_status::end: told_end_ = true, protocol_.receive_end(now); return false;
        case io_status::failed: break;
      }
      auto why = stream_.last_error();
      std::string const reason{why.message()};
      protocol_.lost(std::move(why), now);
      end(reason, now);
      return false;
    }
    // False when the stream broke.
    bool write_all(time_point now) {
      while (!protocol_.output().empty()) {
        io_result const put = stream_.write(protocol_.output(), now);
        if (put.status == io_status::would_block) {
          if (blocked_since_ == never) blocked_since_ = now;
          return true;
        }
        blocked_since_ = never;
        if (put.status != io_status::done) {
          auto why = stream_.last_error();
          std::string const reason{why.message()};
          protocol_.lost(std::move(why), now);
          end(reason, now);
          return false;
        }
        protocol_.consume_output(put.size, now);
      }
      return true;
    }
    void end(std::string_view why, time_point now) {
      if (std::exchange(ended_, true)) return;
      server_.on_ended(*this);  // first: the rest may throw
      stream_.close();
      if (why.empty()) return;
      protocol_.lost(error{errc::connection_lost, std::string{why}}, now);
      server_.log(peer_, why, now);
    }
#if IOTHUB_EXCEPTIONS
    // end() after an exception, when the next one may be near.
    void abandon(std::string_view why, time_point now) noexcept {
      try {
        end(why, now);
      } catch (...) {  // the connection is closed and will be removed; only the words are lost
      }
    }
#endif

    stream_server& server_;
    std::size_t place_;
    std::string peer_;
    time_point handshake_limit_;
    stream_type stream_;
    Protocol protocol_;
    time_point blocked_since_ = never;  // when the peer last took something, while there is more
    time_point ending_since_ = never;   // when the protocol had said its last word
    time_point left_since_ = never;     // when the peer was seen to have closed its side, while reading is paused
    bool told_end_ = false;             // the protocol knows of it
    bool ended_ = false;
  };

  void step(time_point now) override {
    for (auto const* gone : std::exchange(ended_, {})) remove(gone->place());
    for (int i = 0; i != accepts_per_step; ++i) {
      auto stream = listener_.accept(now);
      if (!stream) return;
      if (connections_.size() >= options_.max_connections) {
        log({}, "too many connections; this one is closed", now);
        continue;
      }
#if IOTHUB_EXCEPTIONS
      try {
        take(std::move(*stream), now);
      } catch (std::bad_alloc const&) {
        log({}, "out of memory; the connection is closed", now);
      } catch (std::exception const& e) {
        log({}, e.what(), now);
      }
#else
      take(std::move(*stream), now);
#endif
    }
    loop_.wake(*this);
  }
  [[nodiscard]] time_point deadline() const override {
    return never;
  }

  void take(accepted&& stream, time_point now) {
    std::string peer;
    if constexpr (requires { stream.peer()->to_string(); })
      if (auto const address = stream.peer()) peer = address->to_string();
    connections_.reserve(connections_.size() + 1);
    ended_.reserve(connections_.size() + 1);
    connections_.push_back(
        std::make_unique<connection>(*this, connections_.size(), wrap_(std::move(stream)), std::move(peer), now));
    loop_.add(*connections_.back());
  }
  // A connection ends inside its own step: it is destroyed in the server's next one.
  void on_ended(connection& gone) {
    ended_.push_back(&gone);
    loop_.wake(*this);
  }
  void remove(std::size_t place) {
    if (place + 1 != connections_.size()) {
      std::swap(connections_[place], connections_.back());
      connections_[place]->move_to(place);
    }
    connections_.pop_back();
  }
  void log(std::string_view peer, std::string_view reason, time_point now) {
    if (options_.log == nullptr) return;
    auto const text = options_.name + (peer.empty() ? "" : " from ") + std::string{peer} + ": " + std::string{reason};
    options_.log->write({hub::log_level::info, {now, loop_.utc_now()}, "connection", {}, {}, text});
  }

  loop& loop_;
  Listener listener_;
  typename Protocol::service& service_;
  Wrap wrap_;
  stream_server_options options_;
  std::vector<std::unique_ptr<connection>> connections_;
  std::vector<connection*> ended_;
};

// For streams that are served as they are accepted.
struct as_accepted {
  template <class Stream>
  Stream operator()(Stream&& stream) const {
    return std::forward<Stream>(stream);
  }
};

}  // namespace v0
}  // namespace iothub
