// A hub core with its faces on a loop: what fake_hub and hub_server have in common.
//
// Theory of operation. The core and the faces take the time as an argument and wait for nothing. This joins them to a
// loop: it is the participant whose deadline is theirs, and it reads the wall clock for them. Each call that a face
// makes into the core wakes it, so that a deadline that moved is seen before the loop waits again.
#pragma once

#include <string>
#include <utility>

#include <iothub/hub/amqp_front.hpp>
#include <iothub/hub/http_face.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/hub/mqtt_face.hpp>
#include <iothub/hub/security.hpp>
#include <iothub/hub/websocket_front.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/endpoint.hpp>

namespace iothub {
inline namespace v0 {

// Crypto may be a value or a reference. The loop must outlive the runtime, and the runtime all connections to it.
template <class Crypto>
class hub_runtime final : private participant, private hub::face_host {
 public:
  hub_runtime(loop& on, Crypto crypto, hub::options settings, hub::log_sink* log = nullptr,
              hub::http_face_options http = {})
      : loop_{on},
        security_{std::forward<Crypto>(crypto)},
        core_{std::move(settings), security_, log},
        mqtt_{core_, *this, log},
        http_{core_, *this, std::move(http), log},
        amqp_{core_, *this, security_, log},
        web_{http_, mqtt_, amqp_, *this, log} {
    on.add(*this);
  }

  [[nodiscard]] loop& on() noexcept { return loop_; }
  [[nodiscard]] hub::hub_core& core() noexcept { return core_; }
  [[nodiscard]] hub::mqtt_front& mqtt() noexcept { return mqtt_; }
  [[nodiscard]] hub::http_face& http() noexcept { return http_; }
  [[nodiscard]] hub::amqp_front& amqp() noexcept { return amqp_; }
  // The HTTP face with what is behind a WebSocket handshake.
  [[nodiscard]] hub::websocket_front& web() noexcept { return web_; }
  // Both readings of the clock, for calls of the core. Say touched() after such a call.
  [[nodiscard]] hub::instant now() const { return at(loop_.now()); }
  void touched() { core_touched(); }

 private:
  [[nodiscard]] utc_time wall_clock() const override { return loop_.utc_now(); }
  void core_touched() override { loop_.wake(*this); }

  void step(time_point now) override {
    mqtt_.on_time(now);
    core_.on_time(at(now));
    amqp_.on_time(now);
  }
  [[nodiscard]] time_point deadline() const override {
    time_point const core = core_.deadline();
    time_point const mqtt = mqtt_.deadline();
    time_point const amqp = amqp_.deadline();
    time_point const first = core < mqtt ? core : mqtt;
    return first < amqp ? first : amqp;
  }

  loop& loop_;
  hub::policy_security<Crypto> security_;
  hub::hub_core core_;
  hub::mqtt_front mqtt_;
  hub::http_face http_;
  hub::amqp_front amqp_;
  hub::websocket_front web_;
};

// The runtime's MQTT side as the peer of memory::direct_mqtt.
class direct_mqtt_peer {
 public:
  explicit direct_mqtt_peer(hub::mqtt_front& front) noexcept : front_{&front} {}
  [[nodiscard]] mqtt::server_session* accept(endpoint const&, mqtt::packet_sink& to_client, time_point now) {
    return refusing_ ? nullptr : &front_->open_link(to_client, now);
  }
  void release(mqtt::server_session& session) { front_->close_link(session); }
  // While it refuses, nobody listens: every connection fails with errc::connection_refused.
  void refuse(bool on) noexcept { refusing_ = on; }

 private:
  hub::mqtt_front* front_;
  bool refusing_ = false;
};

}  // namespace v0
}  // namespace iothub
