// A hub core with its faces, a clock that stands still, and scripted peers that speak packets and requests to them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <iothub/crypto/seeded.hpp>
#include <iothub/hub/http_face.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/hub/mqtt_face.hpp>
#include <iothub/hub/security.hpp>
#include <iothub/memory/virtual_clock.hpp>
#include <iothub/mqtt/server_connection.hpp>
#include <iothub/wire/sas_signer.hpp>

namespace hub_face_test {

using namespace iothub;
using namespace std::chrono_literals;

struct log_lines final : hub::log_sink {
  void write(hub::log_entry const& entry) override {
    lines.push_back(std::string{entry.event} + " " + std::string{entry.device_id} + ": " + std::string{entry.reason});
  }
  [[nodiscard]] bool has(std::string_view part) const {
    for (auto const& line : lines)
      if (line.find(part) != std::string::npos) return true;
    return false;
  }
  std::vector<std::string> lines = {};
};

class test_hub final : public hub::face_host {
 public:
  explicit test_hub(hub::options options = {}, hub::http_face_options http_options = {})
      : core{with_name(std::move(options)), security, &log},
        mqtt{core, *this, &log},
        http{core, *this, std::move(http_options), &log} {}

  [[nodiscard]] hub::instant now() const { return at(clock.now()); }
  // Lets time pass and everything happen that is due meanwhile.
  void advance(duration time) {
    clock.advance(time);
    mqtt.on_time(clock.now());
    core.on_time(now());
  }
  device_identity create(std::string_view id, identity_status status = identity_status::enabled) {
    return core.put_identity({.device_id = std::string{id}, .status = status}, {}, now()).value();
  }
  device_identity create(std::string_view id, std::string_view module) {
    return core.put_identity({.device_id = std::string{id}, .module_id = std::string{module}}, {}, now()).value();
  }
  [[nodiscard]] std::string key_of(std::string_view id, std::string_view module = {}) {
    return core.get_identity({std::string{id}, std::string{module}}).value().authentication.primary_key;
  }
  [[nodiscard]] std::string token(sas_options const& options, std::string_view key) {
    auto signer =
        basic_sas_signer<memory::virtual_clock&, seeded_crypto>::make(clock, seeded_crypto{1}, secret{key}, options);
    return signer.value().token().value();
  }
  [[nodiscard]] std::string device_token(std::string_view id, std::chrono::seconds lifetime = 3600s) {
    return token({.host_name = "hub.example", .device_id = std::string{id}, .lifetime = lifetime}, key_of(id));
  }
  [[nodiscard]] std::string service_token(std::string_view policy = "iothubowner") {
    return token({.host_name = "hub.example", .policy = std::string{policy}}, core.find_policy(policy)->primary_key);
  }

  memory::virtual_clock clock;
  hub::policy_security<seeded_crypto> security{seeded_crypto{7}};
  log_lines log;
  hub::hub_core core;
  hub::mqtt_front mqtt;
  hub::http_face http;
  int touches = 0;

 private:
  static hub::options with_name(hub::options options) {
    options.hostname = "hub.example";
    return options;
  }
  [[nodiscard]] utc_time wall_clock() const override { return clock.utc_now(); }
  void core_touched() override { ++touches; }
};

// One MQTT connection, byte for byte; what comes back is told as text, one line a packet.
class test_device {
 public:
  explicit test_device(test_hub& hub)
      : hub_{hub}, face_{hub.mqtt}, connection_{face_, hub.mqtt.session_options(), hub.clock.now()} {
    face_.attach(connection_.session());
  }
  void send(mqtt::packet const& what) {
    byte_buffer bytes;
    mqtt::encode(what, bytes);
    send_bytes(bytes.view());
  }
  void send_bytes(std::string_view bytes) { connection_.receive(bytes, hub_.clock.now()); }
  // What the hub sent since the last call.
  std::vector<std::string> take() {
    connection_.step(hub_.clock.now());
    std::vector<std::string> lines;
    mqtt::packet what;
    mqtt::filter_scratch scratch;
    for (;;) {
      auto const found = mqtt::decode(connection_.output(), 1u << 20, what, scratch);
      if (found.status != mqtt::decode_status::complete) break;
      lines.push_back(print(what));
      if (what.type == mqtt::packet_type::publish) last_id = what.publish.id;
      connection_.consume(found.size);
    }
    if (connection_.finished() && !told_end_) {
      told_end_ = true;
      lines.push_back("end");
    }
    return lines;
  }
  // CONNECT as that device, with its own token.
  std::vector<std::string> connect(std::string_view id, bool clean = false) {
    auto const user = "hub.example/" + std::string{id} + "/?api-version=2021-04-12";
    auto const token = hub_.device_token(id);
    send(mqtt::connect{.client_id = id,
                       .username = user,
                       .password = token,
                       .has_username = true,
                       .has_password = true,
                       .clean_session = clean,
                       .keep_alive = keep_alive});
    return take();
  }
  std::vector<std::string> subscribe(std::string_view filter, std::uint8_t qos = 1) {
    mqtt::subscription const filters[] = {{filter, qos}};
    send(mqtt::subscribe{.id = ++next_id_, .filters = filters});
    return take();
  }
  std::vector<std::string> publish(std::string_view topic, std::string_view payload = {}, std::uint8_t qos = 1) {
    send(mqtt::publish{
        .topic = topic, .payload = payload, .id = static_cast<std::uint16_t>(qos ? ++next_id_ : 0), .qos = qos});
    return take();
  }
  void puback(std::uint16_t id) { send(mqtt::packet{mqtt::packet_type::puback, id}); }
  void lose() { connection_.link_lost(error{errc::connection_lost, "reset"}, hub_.clock.now()); }
  [[nodiscard]] bool alive() { return take(), !connection_.finished(); }

  std::uint16_t keep_alive = 240;
  std::uint16_t last_id = 0;

 private:
  static std::string print(mqtt::packet const& what) {
    switch (what.type) {
      case mqtt::packet_type::connack:
        return "connack " + std::to_string(static_cast<int>(what.connack.code)) +
               (what.connack.session_present ? " present" : "");
      case mqtt::packet_type::publish: {
        std::string line = "publish q" + std::to_string(what.publish.qos);
        if (what.publish.dup) line += " dup";
        if (what.publish.retain) line += " retain";
        return line + " " + std::string{what.publish.topic} + " " + std::string{what.publish.payload};
      }
      case mqtt::packet_type::puback: return "puback";
      case mqtt::packet_type::suback: {
        std::string line = "suback";
        for (auto const code : what.suback.codes) line += " " + std::to_string(code);
        return line;
      }
      case mqtt::packet_type::unsuback: return "unsuback";
      case mqtt::packet_type::pingresp: return "pingresp";
      default: return "packet " + std::to_string(static_cast<int>(what.type));
    }
  }

  test_hub& hub_;
  hub::mqtt_face face_;
  mqtt::server_connection connection_;
  std::uint16_t next_id_ = 0;
  bool told_end_ = false;
};

using lines = std::vector<std::string>;

}  // namespace hub_face_test
