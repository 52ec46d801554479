// Sections 6 and 7: WebSockets and byte streams; and what our device client does with messages that it did not ask for.
#include "mqtt_sides.hpp"

#include <iothub/device/mqtt_dialect.hpp>
#include <iothub/hub_runtime.hpp>
#include <iothub/hub_websocket.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/policy/stream_mqtt.hpp>
#include <iothub/policy/ws_stream.hpp>

#include "talker.hpp"

using namespace mqtt_conformance;

namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using plain_talker = iothub_test::talker<memory::pipe_stream>;
using socket_talker = iothub_test::talker<ws_stream<memory::pipe_stream>>;

// A stream that moves so many bytes a call, and keeps what the client wrote.
struct dripping_stream {
  result<void> open(endpoint const&, time_point) { return {}; }
  io_result read(byte_span into, time_point) {
    std::size_t const size = std::min({chunk, into.size(), to_client.size()});
    to_client.copy(into.data(), size);
    to_client.erase(0, size);
    return {size == 0 ? io_status::would_block : io_status::done, size};
  }
  io_result write(byte_view from, time_point) {
    std::size_t const size = std::min(chunk, from.size());
    from_client.append(from.substr(0, size));
    return {io_status::done, size};
  }
  void close() {}
  [[nodiscard]] error last_error() const { return errc::connection_lost; }
  [[nodiscard]] time_point deadline() const { return never; }
  void attach(loop&, participant&) {}

  std::size_t chunk = SIZE_MAX;
  std::string to_client = {};
  std::string from_client = {};
};

// The example of RFC 6455 section 1.3; masks of zeros leave payloads as they are.
constexpr std::string_view key_line = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
constexpr std::string_view agreed =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
result<void> sample_nonce(byte_span into) {
  std::string_view const bytes = into.size() == ws::key_bytes ? "the sample nonce"sv : "\0\0\0\0"sv;
  bytes.copy(into.data(), into.size());
  return {};
}
std::string handshake(std::string_view subprotocol = "mqtt") {
  std::string out{"GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"};
  out.append("Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n").append(key_line);
  return out.append("Sec-WebSocket-Protocol: ").append(subprotocol).append("\r\n\r\n");
}
std::string frame(unsigned first, std::string_view payload, bool from_client = true) {
  std::string out(1, static_cast<char>(first));
  out += static_cast<char>((from_client ? 0x80u : 0u) | (payload.size() < 126 ? payload.size() : 126u));
  if (payload.size() >= 126) out += number(static_cast<unsigned>(payload.size()));
  return out.append(from_client ? "\0\0\0\0"sv : ""sv).append(payload);
}

// The hub's HTTPS port, without TLS.
struct websocket_hub {
  websocket_hub() { server.start().value(); }
  std::string connect_bytes(std::string_view id) {
    runtime.core().put_identity({.device_id = std::string{id}}, {}, runtime.now()).value();
    auto const key = runtime.core().get_identity({std::string{id}, {}}).value().authentication.primary_key;
    memory::virtual_clock const clock{runtime.now().utc, runtime.now().now};
    auto signer = basic_sas_signer<memory::virtual_clock, seeded_crypto>::make(
        clock, seeded_crypto{1}, secret{key}, {.host_name = "hub", .device_id = std::string{id}});
    return connect_of(0xC2, field(id) + field("hub/" + std::string{id} + "/?api-version=2021-04-12") +
                                field(signer.value().token().value()));
  }

  memory::virtual_loop loop;
  memory::pipe_network network{loop};
  hub_runtime<seeded_crypto> runtime{
      loop, seeded_crypto{1}, {.hostname = "hub"}, nullptr, {.hosts = hub::host_filter{{"localhost", "hub"}}}};
  stream_server<memory::pipe_listener, web_protocol, as_accepted> server{
      loop, network.listen({"hub", 443}).value(), runtime.web(), {}, {.name = "HTTPS"}};
  plain_talker peer = [this] {
    memory::pipe_stream stream{network};
    stream.open({"hub", 443}, loop.now()).value();
    return plain_talker{loop, std::move(stream)};
  }();

  std::string says(std::string_view bytes) {
    peer.received.clear();
    peer.say(bytes);
    EXPECT_TRUE(loop.run_for(1s));
    return peer.received;
  }
};

// Our WebSocket stream, and a server that is typed in.
struct websocket_client {
  websocket_client() {
    client.stream.open({"hub", 443}, loop.now()).value();
    EXPECT_TRUE(loop.run_for(1s));
    server.emplace(loop, *listener.accept(loop.now()));
    EXPECT_TRUE(loop.run_for(1s));
  }
  void says(std::string_view bytes) {
    server->say(bytes);
    EXPECT_TRUE(loop.run_for(1s));
  }

  memory::virtual_loop loop;
  memory::pipe_network network{loop};
  memory::pipe_listener listener = network.listen({"hub", 443}).value();
  socket_talker client{loop, ws_stream<memory::pipe_stream>{
                                 {.path = "/$iothub/websocket", .subprotocol = "mqtt", .random = sample_nonce},
                                 memory::pipe_stream{network}}};
  std::optional<plain_talker> server;
};

}  // namespace

// Kept. The device client acknowledges messages of topics that it never asked for, and passes them over. One exception,
// on
// purpose: a cloud-to-device message whose properties cannot be read is not what was sent, and stays with the hub.
TEST(MqttConformance, MQTT_4_5_0_2) {
  dripping_stream stream;
  stream_mqtt<dripping_stream&> transport{mqtt::client_options{}, stream};
  mqtt_dialect<stream_mqtt<dripping_stream&>&> device{transport};
  connection_parameters how;
  how.where = {"hub.example", 8883};
  how.hub = "hub.example";
  how.who = {"d1", {}};
  ASSERT_TRUE(device.open(how, "token", at(0)));
  lines told;
  auto const turn = [&](std::string_view bytes) {
    stream.to_client += bytes;
    stream.from_client.clear();
    device_event event;
    for (int i = 0; i != 3; ++i) {
      device.step(at(0));
      while (device.next_event(event, at(0))) told.push_back(std::to_string(static_cast<int>(event.kind)));
    }
  };
  turn("\x20\2\0\0"sv);
  EXPECT_EQ(told.size(), 1u) << "connected";
  for (auto const topic : {"devices/d2/messages/devicebound/", "foo", "$iothub/methods/POST/", "$iothub/twin/res/?"}) {
    turn(publish_of(0x32, topic, 9, "x"));
    EXPECT_EQ(stream.from_client, "\x40\2\0\x9"sv) << topic;
  }
  EXPECT_EQ(told.size(), 1u) << "nothing for the application";
  turn(publish_of(0x32, "devices/d1/messages/devicebound/a=%zz", 10, "x"));
  EXPECT_EQ(stream.from_client, "");
}

// Kept. A text frame ends the connection on both sides, with code 1003.
TEST(MqttConformance, MQTT_6_0_0_1) {
  websocket_hub hub;
  ASSERT_THAT(hub.says(handshake()), StartsWith("HTTP/1.1 101 "));
  EXPECT_EQ(hub.says(frame(0x82, hub.connect_bytes("d1"))), frame(0x82, "\x20\2\0\0"sv, false));
  EXPECT_THAT(hub.says(frame(0x81, "\xc0\0"sv)), testing::AllOf(StartsWith("\x88"), HasSubstr("\x03\xeb")));
  hub.says("");
  hub.says("");
  EXPECT_TRUE(hub.peer.ended);
  websocket_client world;
  world.says(std::string{agreed} + "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
  world.says(frame(0x81, "\x20\2\0\0"sv, false));
  ASSERT_TRUE(world.client.failed);
  EXPECT_EQ(*world.client.failed, errc::unsupported);
  EXPECT_EQ(world.client.received, "");
  EXPECT_THAT(world.server->received, HasSubstr("\x03\xeb"));
}

// Kept. Packets are cut and joined by frames at will, on both sides.
TEST(MqttConformance, MQTT_6_0_0_2) {
  for (std::size_t const step : {1u, 7u, 100u}) {
    websocket_hub hub;
    hub.says(handshake());
    auto const packets = hub.connect_bytes("d1") + "\xc0\0\xc0\0"s;
    std::string frames;
    for (std::size_t at = 0; at < packets.size(); at += step) frames += frame(0x82, packets.substr(at, step));
    auto const answer = hub.says(frames);
    std::string payload;
    for (std::size_t at = 0; at + 2 <= answer.size(); at += 2 + static_cast<unsigned char>(answer[at + 1]))
      payload += answer.substr(at + 2, static_cast<unsigned char>(answer[at + 1]));
    EXPECT_EQ(payload, "\x20\2\0\0\xd0\0\xd0\0"s) << step;
  }
  websocket_client world;
  world.says(std::string{agreed} + "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
  world.says(frame(0x82, "\x20"sv, false) + frame(0x02, "\2"sv, false) + frame(0x80, "\0\0\xd0"sv, false) +
             frame(0x82, "\0\x40\2\0\1"sv, false));
  EXPECT_EQ(world.client.received, "\x20\2\0\0\xd0\0\x40\2\0\1"s);
}

// Kept. The client offers mqtt, and goes away from a server that agrees to another name or to none.
TEST(MqttConformance, MQTT_6_0_0_3) {
  for (auto const name : {"mqtt", "mqttv3.1", ""}) {
    websocket_client world;
    EXPECT_THAT(world.server->received, HasSubstr("\r\nSec-WebSocket-Protocol: mqtt\r\n"));
    std::string const line = *name == '\0' ? "" : "Sec-WebSocket-Protocol: " + std::string{name} + "\r\n";
    world.says(std::string{agreed} + line + "\r\n");
    EXPECT_EQ(world.client.stream.established(), name == "mqtt"sv) << name;
    EXPECT_EQ(world.client.failed.has_value(), name != "mqtt"sv) << name;
  }
}

// Kept. The hub answers with mqtt, also where it is not the first that is offered, and takes no WebSocket without it.
TEST(MqttConformance, MQTT_6_0_0_4) {
  for (auto const offered : {"mqtt", "mqttv3.1, mqtt"}) {
    websocket_hub hub;
    EXPECT_THAT(hub.says(handshake(offered)), EndsWith("\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")) << offered;
  }
  websocket_hub hub;
  EXPECT_THAT(hub.says(handshake("mqttv3.1")), StartsWith("HTTP/1.1 400 "));
}

// Not offered. IoT Hub is no broker that forwards to others (Microsoft docs: iot-mqtt-connect-to-iot-hub): it dials
// nobody, and all that it sends are a server's packets.
TEST(MqttConformance, MQTT_7_0_0_1) {
  hub_world w;
  hub_link device{w};
  w.hub.advance(59s);
  EXPECT_THAT(device.hears(), IsEmpty()) << "the client begins";
  device.connect();
  device.subscribe(methods);
  w.invoke();
  lines const said = device.says(publish_of(0x32, events_d1, 5, "x") + unsubscribe_of(6, {methods}) + "\xc0\0"s);
  EXPECT_THAT(said, ElementsAre(StartsWith("publish q0 "), "puback 5", "unsuback 6", "pingresp"));
  for (auto const packet : {"10 0e 0004 'MQTT' 04 02 003c 0002 'c1'", "82 06 0001 0001 'a' 01", "c0 00", "e0 00"})
    EXPECT_TRUE(client_drops(bytes(packet))) << "nor does a client take another's: " << packet;
}

// Kept. Packets of the standard are all that either side needs; what is IoT Hub's own stands in user names and topics.
TEST(MqttConformance, MQTT_7_0_0_2) {
  hub_world w;
  hub_link device{w};
  EXPECT_THAT(device.connect(), ElementsAre("connack 0 0"));
  EXPECT_THAT(device.says(subscribe_of(1, {{methods, 1}})), ElementsAre("suback 1: 1"));
  EXPECT_THAT(device.says(publish_of(0x32, events_d1, 2, "x")), ElementsAre("puback 2"));
  EXPECT_EQ(w.events(), lines{"x"});
  client_side client;
  EXPECT_EQ(client.connect(), "connected");
  client.subscribe("any/+/topic");
  EXPECT_EQ(client.says("90 03 0001 00"), "subscribed 1: 0");
  client.publish("any", "x");
  EXPECT_EQ(client.says("40 02 0002"), "published 2");
  EXPECT_EQ(client.sent(), hex(subscribe_of(1, {{"any/+/topic", 1}}) + publish_of(0x32, "any", 2, "x")));
}

// Kept. The server takes a stream of bytes in pieces of any size, and says the same to each.
TEST(MqttConformance, MQTT_7_1_1_1) {
  auto const stream = bytes(hello) + subscribe_of(1, {{"a", 1}}) + publish_of(0x32, "t", 2, std::string(300, 'x')) +
                      "\xc0\0"s + publish_of(0x32, "t", 3, "") + "\xe0\0"s;
  for (std::size_t const step : {1u, 2u, 3u, 64u, 1000u}) {
    server_side server;
    std::string answers;
    for (std::size_t from = 0; from < stream.size(); from += step) answers += server.told(stream.substr(from, step));
    EXPECT_EQ(answers,
              "2002000090030001014002"
              "0002"
              "d000"
              "40020003")
        << step;
    EXPECT_EQ(server.owner.taken().size(), 5u) << step;
  }
}

// Kept. The client speaks over any byte stream, in pieces of any size, and says the same over each.
TEST(MqttConformance, MQTT_7_1_2_1) {
  for (std::size_t const step : {1u, 2u, 3u, 64u, 1000u}) {
    dripping_stream stream{.chunk = step};
    stream_mqtt<dripping_stream&> client{mqtt::client_options{}, stream};
    ASSERT_TRUE(client.open({"hub", 8883}, client_side::how(), at(0)));
    std::string told;
    auto const turn = [&] {
      client.step(at(0));
      while (auto const* const e = client.next_event()) told += iothub_test::text(e) + "; ";
    };
    stream.to_client = "\x20\2\0\0"s;
    turn();
    ASSERT_TRUE(client.publish({.topic = "t", .payload = std::string(300, 'x'), .qos = 1}, at(0)));
    stream.to_client = "\x40\2\0\1"s + publish_of(0x30, "t", 0, std::string(300, 'y'));
    turn();
    EXPECT_EQ(told, "connected; published 1; message t " + std::string(300, 'y') + " qos0; ") << step;
    EXPECT_EQ(stream.from_client,
              bytes("10 0f 0004 'MQTT' 04 00 003c 0003 'dev'") + publish_of(0x32, "t", 1, std::string(300, 'x')))
        << step;
  }
}
