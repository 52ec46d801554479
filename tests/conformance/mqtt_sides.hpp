// The two sides under test, each against a peer that is bytes typed in by hand and a small reader of its own: nothing
// here encodes or decodes with the library.
//
// Each test of this folder is named after a normative statement of MQTT 3.1.1 (appendix B). The comment above it begins
// with the verdict, "Kept." or "Not offered.", and is the row's last column in docs/mqtt-conformance.md, which
// tools/mqtt_conformance.py makes.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/mqtt/client_session.hpp>
#include <iothub/mqtt/decoder.hpp>
#include <iothub/mqtt/server_connection.hpp>

#include "../unit/hub_face_test_peer.hpp"
#include "mqtt_peers.hpp"

namespace mqtt_conformance {

using namespace iothub;
using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;
using hub_face_test::test_hub;
using iothub_test::at;
using iothub_test::bytes;
using iothub_test::hex;
using testing::ElementsAre;
using testing::IsEmpty;
using lines = std::vector<std::string>;

// --- bytes ----------------------------------------------------------------------------------------------------------

inline std::string number(unsigned value) {  // 1.5.2: big-endian
  return {static_cast<char>(value >> 8), static_cast<char>(value & 255)};
}
inline std::string field(std::string_view text) {  // 1.5.3
  return number(static_cast<unsigned>(text.size())).append(text);
}
inline std::string packet_of(unsigned first, std::string_view body) {  // 2.2
  std::string out(1, static_cast<char>(first));
  std::size_t left = body.size();
  do {
    out += static_cast<char>((left & 127) | (left > 127 ? 128 : 0));
    left >>= 7;
  } while (left != 0);
  return out.append(body);
}
inline std::string connect_of(unsigned flags, std::string_view payload, unsigned keep_alive = 60) {  // 3.1
  return packet_of(0x10, field("MQTT") + '\4' + static_cast<char>(flags) + number(keep_alive).append(payload));
}
inline std::string publish_of(unsigned first, std::string_view topic, unsigned id, std::string_view payload) {  // 3.3
  return packet_of(first, field(topic) + ((first & 6) != 0 ? number(id) : "") + std::string{payload});
}
inline std::string subscribe_of(unsigned id, std::vector<std::pair<std::string_view, int>> const& filters) {  // 3.8
  std::string body = number(id);
  for (auto const& [filter, qos] : filters) body += field(filter) + static_cast<char>(qos);
  return packet_of(0x82, body);
}
inline std::string unsubscribe_of(unsigned id, std::vector<std::string_view> const& filters) {  // 3.10
  std::string body = number(id);
  for (auto const filter : filters) body += field(filter);
  return packet_of(0xA2, body);
}

// What a server sent, one line a packet: "connack 1 0", "publish q1 dup #7 some/topic/ payload". Of a topic what is
// before its properties.
inline lines read_packets(std::string_view raw) {
  lines out;
  auto const byte = [&](std::size_t i) { return i < raw.size() ? static_cast<unsigned char>(raw[i]) : 0u; };
  auto const id_at = [&](std::size_t i) { return std::to_string(byte(i) << 8 | byte(i + 1)); };
  while (!raw.empty()) {
    std::size_t length = 0, at = 1;
    for (unsigned shift = 0; at < 6; shift += 7) {
      length |= std::size_t{byte(at) & 127u} << shift;
      if (byte(at++) < 128) break;
    }
    if (at + length > raw.size()) return out.push_back("cut " + hex(raw)), out;
    unsigned const first = byte(0);
    std::string line;
    if (first == 0x20 && length == 2) {
      line = "connack " + std::to_string(byte(at)) + ' ' + std::to_string(byte(at + 1));
    } else if (first >> 4 == 3) {
      std::size_t const size = byte(at) << 8 | byte(at + 1);
      auto const topic = raw.substr(at + 2, size);
      unsigned const qos = first >> 1 & 3;
      line = "publish q" + std::to_string(qos) + ((first & 8) != 0 ? " dup" : "") + ((first & 1) != 0 ? " retain" : "");
      if (qos != 0) line += " #" + id_at(at + 2 + size);
      std::size_t const head = 2 + size + (qos != 0 ? 2 : 0);
      line.append(" ").append(topic.substr(0, topic.find_first_of("%?"))).append(" ");
      line.append(raw.substr(at + head, length - head));
    } else if ((first == 0x40 || first == 0xB0) && length == 2) {
      line = (first == 0x40 ? "puback " : "unsuback ") + id_at(at);
    } else if (first == 0x90 && length >= 3) {
      line = "suback " + id_at(at) + ":";
      for (std::size_t i = 2; i != length; ++i) line += ' ' + std::to_string(byte(at + i));
    } else if (first == 0xD0 && length == 0) {
      line = "pingresp";
    } else {
      line = "packet " + hex(raw.substr(0, at + length));
    }
    out.push_back(std::move(line));
    raw.remove_prefix(at + length);
  }
  return out;
}

// --- our client against a scripted server ---------------------------------------------------------------------------

// What the client said to a verb; a test may leave it unread.
struct said : result<std::uint16_t> {
  said(result<std::uint16_t> from) : result<std::uint16_t>{std::move(from)} {}  // NOLINT
};

// The name of the error; a wrong success is a failure of the test that asks, not the end of the program.
template <class Result>
std::string why(Result const& from) {
  return from ? "no error" : std::string{to_string(from.error().code())};
}

struct client_side {
  explicit client_side(mqtt::client_options const& options = {}) : session{sink, options} {}

  static mqtt::connect how(bool clean = false, std::uint16_t keep_alive = 60) {
    mqtt::connect c;
    c.client_id = "dev";
    c.clean_session = clean;
    c.keep_alive = keep_alive;
    return c;
  }
  // The events that these bytes of the server cause, one after another.
  std::string told(std::string_view raw, double seconds = 0) {
    input.append(raw);
    std::string out;
    mqtt::packet what;
    for (;;) {
      auto const found = input.next(what);
      if (found == mqtt::decode_status::need_more || closed()) return out;
      auto const* const e =
          found == mqtt::decode_status::complete ? session.receive(what, at(seconds)) : session.broken(input.rule());
      if (e != nullptr) out.append(out.empty() ? "" : "; ").append(iothub_test::text(e));
      if (e != nullptr && acknowledges && e->kind == mqtt::client_event_kind::message && e->publish.qos == 1)
        session.acknowledge(e->id, at(seconds));
    }
  }
  // Bytes as bytes() reads them.
  std::string says(std::string_view script, double seconds = 0) { return told(bytes(script), seconds); }
  // CONNECT, and CONNACK with this session-present flag.
  std::string connect(bool present = false, bool clean = false) {
    input.reset();
    EXPECT_TRUE(session.open(how(clean), at(0)));
    sink.taken();
    return says(present ? "20 02 01 00" : "20 02 00 00");
  }
  void lose() { (void)session.link_lost(errc::connection_lost); }
  said publish(std::string_view topic, std::string_view payload, std::uint8_t qos = 1, bool dup = false) {
    mqtt::publish p;
    p.topic = topic;
    p.payload = payload;
    p.qos = qos;
    p.dup = dup;
    return session.publish(p, at(0));
  }
  said subscribe(std::string_view filter, std::uint8_t qos = 1) {
    mqtt::subscription const one{filter, qos};
    return session.subscribe({&one, 1}, at(0));
  }
  said unsubscribe(std::string_view filter) { return session.unsubscribe({&filter, 1}, at(0)); }
  // Bytes since the last call, as hex.
  std::string sent() { return sink.taken(); }
  [[nodiscard]] bool closed() const { return session.state() == mqtt::client_session::state_type::closed; }

  iothub_test::written_down sink;
  mqtt::client_session session;
  mqtt::decoder input{1u << 20};
  bool acknowledges = true;
};

// Does a connected client end the connection over these bytes, without an answer?
inline bool client_drops(std::string_view raw) {
  client_side client;
  client.connect();
  return client.told(raw) == "closed protocol_error" && client.closed() && client.sent().empty() &&
         client.sink.ends == 1;
}

// --- our server against a scripted client ---------------------------------------------------------------------------

constexpr std::string_view hello = "10 0e 0004 'MQTT' 04 02 003c 0002 'c1'";

// One connection; its owner keeps a log and accepts, grants and acknowledges everything unless told otherwise.
struct server_side {
  server_side() { owner.session = &link.session(); }
  // What the server answers, as hex.
  std::string told(std::string_view raw, double seconds = 0) {
    link.receive(raw, at(seconds));
    return answer();
  }
  std::string says(std::string_view script, double seconds = 0) { return told(bytes(script), seconds); }
  std::string answer() {
    std::string const out = hex(link.output());
    link.consume(link.output().size());
    return out;
  }
  void connect() {
    EXPECT_EQ(says(hello), "20020000");
    owner.log.clear();
  }
  [[nodiscard]] bool ended() const { return link.finished(); }

  mqtt::server_options options;
  iothub_test::logging_owner owner;
  mqtt::server_connection link{owner, options, at(0)};
};

// Does a server end a fresh connection, or one with CONNECT behind it, over these bytes, without an answer?
inline bool server_drops_first(std::string_view raw) {
  server_side server;
  return server.told(raw).empty() && server.ended() && server.owner.taken() == lines{"closed protocol_error"};
}
inline bool server_drops(std::string_view raw) {
  server_side server;
  server.connect();
  return server.told(raw).empty() && server.ended() && server.owner.taken() == lines{"closed protocol_error"};
}

// --- the whole hub against a scripted device ------------------------------------------------------------------------

constexpr std::string_view c2d_d1 = "devices/d1/messages/devicebound/#";
constexpr std::string_view c2d_topic_d1 = "devices/d1/messages/devicebound/";
constexpr std::string_view events_d1 = "devices/d1/messages/events/";
constexpr std::string_view methods = "$iothub/methods/POST/#";
constexpr std::string_view desired_changes = "$iothub/twin/PATCH/properties/desired/#";

struct will_text {
  std::string_view topic = {};
  std::string_view payload = {};
  unsigned flags = 0x04;  // the Will's bits of the connect flags
};

struct hub_world : hub::method_caller {
  explicit hub_world(hub::options options = {}) : hub{std::move(options)} {
    for (auto const id : {"d1", "d2"}) hub.create(id);
  }
  void on_method_outcome(hub::method_ticket, result<method_response>) override {}

  // CONNECT of a device with its own token.
  std::string connect_bytes(std::string_view id, bool clean = false, unsigned keep_alive = 240, will_text will = {}) {
    std::string payload = field(id);
    if (!will.topic.empty()) payload += field(will.topic) + field(will.payload);
    payload += field("hub.example/" + std::string{id} + "/?api-version=2021-04-12") + field(hub.device_token(id));
    return connect_of(0xC0u | (clean ? 2u : 0u) | (will.topic.empty() ? 0u : will.flags), payload, keep_alive);
  }
  void send_c2d(std::string_view id, std::string_view body) {
    hub.core.send_c2d(id, {.content = {.body = message_body{body}}}, hub.now()).value();
  }
  bool invoke(std::string_view id = "d1") {
    return hub.core.invoke_method({std::string{id}, {}}, {.name = "reboot"}, {}, *this, hub.now()).has_value();
  }
  void desire(int value) {
    json::value const patch{{"a", value}};
    hub.core.patch_twin({"d1", {}}, {.desired = &patch}, hub::unconditional, hub.now()).value();
  }
  lines events() {  // bodies of what reached the built-in endpoint
    lines out;
    for (auto const& e : hub.core.events().all()) out.emplace_back(e.content.body.bytes());
    return out;
  }
  std::size_t waiting(std::string_view id = "d1") {  // cloud-to-device messages that are not settled
    return hub.core.get_identity({std::string{id}, {}}).value().cloud_to_device_message_count;
  }

  test_hub hub;
};

struct hub_link {
  explicit hub_link(hub_world& w)
      : world{w}, face{w.hub.mqtt}, connection{face, w.hub.mqtt.session_options(), w.hub.clock.now()} {
    face.attach(connection.session());
  }
  // What the hub answers, a line per packet, and "end" once when it has ended the connection.
  lines says(std::string_view raw) {
    connection.receive(raw, world.hub.clock.now());
    return hears();
  }
  lines hears() {
    connection.step(world.hub.clock.now());
    lines out = read_packets(connection.output());
    connection.consume(connection.output().size());
    if (connection.finished() && !std::exchange(told_end, true)) out.push_back("end");
    return out;
  }
  lines connect(std::string_view id = "d1", bool clean = false, will_text will = {}) {
    return says(world.connect_bytes(id, clean, 240, will));
  }
  lines subscribe(std::string_view filter, int qos = 1) { return says(subscribe_of(1, {{filter, qos}})); }
  void puback(unsigned id) { says(packet_of(0x40, number(id))); }
  void lose() { connection.link_lost(error{errc::connection_lost, "reset"}, world.hub.clock.now()); }

  hub_world& world;
  hub::mqtt_face face;
  mqtt::server_connection connection;
  bool told_end = false;
};

inline std::string c2d(std::string_view what, std::string_view body, std::string_view id = "d1") {
  return "publish " + std::string{what} + " devices/" + std::string{id} + "/messages/devicebound/ " + std::string{body};
}

}  // namespace mqtt_conformance
