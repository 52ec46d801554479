// The hub's HTTPS port on streams of bytes: HTTP, and behind an upgrade MQTT or AMQP in WebSocket frames. A protocol
// for stream_server (hub_connections.hpp).
//
// Theory of operation. A connection begins as HTTP. Requests that are WebSocket handshakes are judged by the front;
// when one is let in, its 101 is the last that HTTP sends, and a tunnel takes over: the same MQTT or AMQP protocol that
// the hub's own ports have, with frames around it. Output is put into frames as it is taken, so the inner protocol's
// limits hold as they are. When the inner protocol is over, or the peer broke a rule of WebSocket, a close frame is
// sent and the peer has two seconds to close (RFC 6455 section 7.1.1): closing at once would make TCP tear the last
// words out of its hands.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <iothub/base/maybe.hpp>
#include <iothub/hub/websocket_front.hpp>
#include <iothub/hub_connections.hpp>
#include <iothub/ws/connection.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

// What is behind an upgrade; the members are those of a stream_server's protocol.
class websocket_tunnel {
 public:
  virtual ~websocket_tunnel() = default;
  [[nodiscard]] virtual bool wants_input() const = 0;
  virtual void receive(byte_view bytes, time_point now) = 0;
  virtual void receive_end(time_point now) = 0;
  virtual void lost(error why, time_point now) = 0;
  [[nodiscard]] virtual byte_view output() = 0;
  virtual void consume_output(std::size_t size, time_point now) = 0;
  virtual void on_time(time_point now) = 0;
  [[nodiscard]] virtual bool finished() = 0;
  [[nodiscard]] virtual time_point deadline() const = 0;
  [[nodiscard]] virtual error const* rejected() const = 0;
};

template <class Protocol>
class websocket_tunnel_of final : public websocket_tunnel {
 public:
  // `first` goes out before everything else.
  websocket_tunnel_of(typename Protocol::service& front, function<void()> wake, time_point now, std::string peer,
                      byte_view first)
      : inner_{front, std::move(wake), now, std::move(peer)}, now_{now} {
    first_.append(first);
  }

  [[nodiscard]] bool wants_input() const override { return wire_.closing() || inner_.wants_input(); }
  void receive(byte_view bytes, time_point now) override {
    now_ = now;
    char payload[4096];
    for (; !bytes.empty(); bytes.remove_prefix(bytes.size() < sizeof payload ? bytes.size() : sizeof payload)) {
      std::size_t const size = wire_.receive(bytes.substr(0, sizeof payload), payload);
      if (size != 0) inner_.receive({payload, size}, now);
    }
    if (wire_.over() && !told_) {
      told_ = true;
      if (wire_.broken() != nullptr)
        inner_.lost(*wire_.broken(), now);
      else
        inner_.receive_end(now);
    }
    settle();
  }
  void receive_end(time_point now) override { lost(error{errc::connection_lost, "the peer closed"}, now); }
  void lost(error why, time_point now) override {
    now_ = now;
    gone_ = true;
    if (!std::exchange(told_, true)) inner_.lost(std::move(why), now);
  }

  [[nodiscard]] byte_view output() override {
    if (gone_) return {};
    if (!first_.empty()) return first_.view();
    if (wire_.output().empty() && !wire_.closing()) {
      byte_view const next = inner_.output().substr(0, max_payload);
      if (!next.empty() && wire_.send(next)) inner_.consume_output(next.size(), now_);
    }
    return wire_.output();
  }
  void consume_output(std::size_t size, time_point now) override {
    now_ = now;
    if (!first_.empty()) {
      first_.consume(size);
      first_.shrink();
    } else {
      wire_.consume_output(size);
      wire_.shrink(keep);
    }
    settle();
  }
  void on_time(time_point now) override {
    now_ = now;
    inner_.on_time(now);
    settle();
  }
  [[nodiscard]] bool finished() override {
    if (gone_ || now_ >= closing_limit()) return true;
    return wire_.peer_closed() && wire_.output().empty() && first_.empty();
  }
  [[nodiscard]] time_point deadline() const override {
    time_point const inner = inner_.deadline();
    return inner < closing_limit() ? inner : closing_limit();
  }
  [[nodiscard]] error const* rejected() const override { return wire_.broken(); }

 private:
  static constexpr std::size_t max_payload = 16 * 1024;
  static constexpr std::size_t keep = 512;
  static constexpr duration close_wait = std::chrono::seconds{2};

  [[nodiscard]] time_point closing_limit() const noexcept { return add(closing_since_, close_wait); }
  void settle() {
    if (inner_.ending() && inner_.output().empty()) wire_.close();
    if (wire_.closing() && closing_since_ == never) closing_since_ = now_;
  }

  Protocol inner_;
  ws::connection wire_{ws::role::server};
  byte_buffer first_;
  time_point now_;
  time_point closing_since_ = never;
  bool told_ = false;  // the inner protocol knows that nothing more will come
  bool gone_ = false;  // the stream below has ended
};

}  // namespace detail

class web_protocol final : private http::request_handler {
 public:
  using service = hub::websocket_front;
  web_protocol(service& front, function<void()> wake, time_point now, std::string peer)
      : front_{front}, wake_{std::move(wake)} {
    http::server_options how;
    how.first_timeout = front.http().options().first_request_wait;
    http_.emplace(static_cast<http::request_handler&>(*this), now, how, std::move(peer));
    http_->on_output([this] { wake_(); });
  }

  [[nodiscard]] bool wants_input() const { return tunnel_ ? tunnel_->wants_input() : http_->wants_input(); }
  void receive(byte_view bytes, time_point now) {
    if (tunnel_) return tunnel_->receive(bytes, now);
    http_->receive(bytes, now);
    settle(now);
  }
  void receive_end(time_point now) { tunnel_ ? tunnel_->receive_end(now) : http_->receive_end(now); }
  void lost(error why, time_point now) { tunnel_ ? tunnel_->lost(std::move(why), now) : http_->receive_end(now); }
  [[nodiscard]] byte_view output() { return tunnel_ ? tunnel_->output() : http_->output(); }
  void consume_output(std::size_t size, time_point now) {
    if (tunnel_) return tunnel_->consume_output(size, now);
    http_->consume_output(size, now);
    settle(now);
  }
  void on_time(time_point now) {
    if (tunnel_) return tunnel_->on_time(now);
    http_->on_time(now);
    settle(now);
  }
  [[nodiscard]] bool finished() { return tunnel_ ? tunnel_->finished() : http_->finished(); }
  [[nodiscard]] time_point deadline() const { return tunnel_ ? tunnel_->deadline() : http_->deadline(); }
  [[nodiscard]] error const* rejected() const { return tunnel_ ? tunnel_->rejected() : http_->rejected(); }

 private:
  [[nodiscard]] http::ticket on_request(http::request&& what, http::reply_to to, time_point now) override {
    auto judged = front_.judge(what, to.peer(), now);
    if (!judged) return front_.http().on_request(std::move(what), to, now);
    kind_ = judged->kind;
    to.respond(std::move(judged->answer));
    return http::answered;
  }
  void on_cancel(http::ticket pending) override { front_.http().on_cancel(pending); }

  // Once the 101 is written, HTTP has nothing to say any more.
  void settle(time_point now) {
    if (!http_->upgraded()) return;
    std::string const peer{http_->peer()};
    byte_buffer const early = http_->take_input();
    auto wake = [this] { wake_(); };
    if (kind_ == hub::websocket_kind::mqtt)
      tunnel_ =
          std::make_unique<detail::websocket_tunnel_of<mqtt_protocol>>(front_.mqtt(), wake, now, peer, http_->output());
    else
      tunnel_ =
          std::make_unique<detail::websocket_tunnel_of<amqp_protocol>>(front_.amqp(), wake, now, peer, http_->output());
    http_.reset();
    if (!early.empty()) tunnel_->receive(early.view(), now);
  }

  service& front_;
  function<void()> wake_;
  hub::websocket_kind kind_ = hub::websocket_kind::none;
  maybe<http::server_connection> http_;  // until an upgrade
  std::unique_ptr<detail::websocket_tunnel> tunnel_;
};

}  // namespace v0
}  // namespace iothub
