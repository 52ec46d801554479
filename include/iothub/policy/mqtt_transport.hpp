// The MQTT transport policy: one MQTT 3.1.1 session, client role. A user may plug in another client library here, and
// the in-process hub needs no bytes behind it.
// Models: stream_mqtt<ByteStream> (real bytes) and memory::direct_mqtt<Peer> (values straight into the hub).
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/participant.hpp>
#include <iothub/mqtt/client_event.hpp>
#include <iothub/mqtt/packet.hpp>
#include <iothub/policy/endpoint.hpp>

namespace iothub {
inline namespace v0 {

// open() starts to connect and sends CONNECT; the outcome comes as an event (connected, refused or closed). It may be
// called again after closed; publishes at QoS 1 that were not acknowledged stay with the session and are sent again
// after the next `connected`: with DUP and their packet ids when the server kept the session, as new ones otherwise.
// publish() at QoS 1 returns the packet id (never 0), at QoS 0 returns 0. It fails with errc::not_connected,
// errc::outbox_full (no free packet id or above the in-flight limit), errc::too_large. The views may die after the
// call. `published` with that id follows once, however many connections later.
// abandon(id) stops re-sending that publish; its id stays reserved until the server acknowledges it or the session
// ends. acknowledge(id) sends the PUBACK of a received QoS 1 message; ids of an earlier connection are ignored.
// close(): graceful sends DISCONNECT first; abort does not. After either no event follows.
// step(now) moves bytes; next_event() gives the events that came, whose views hold until the next call of any member.
template <class M>
concept mqtt_transport =
    requires(M& m, M const& c, endpoint const& where, mqtt::connect const& how, mqtt::publish const& message,
             std::span<mqtt::subscription const> filters, std::span<std::string_view const> names, std::uint16_t id,
             time_point now, mqtt::close_mode mode, loop& on, participant& whom) {
      { m.open(where, how, now) } -> std::same_as<result<void>>;
      { m.publish(message, now) } -> std::same_as<result<std::uint16_t>>;
      { m.subscribe(filters, now) } -> std::same_as<result<std::uint16_t>>;
      { m.unsubscribe(names, now) } -> std::same_as<result<std::uint16_t>>;
      { m.acknowledge(id, now) } -> std::same_as<void>;
      { m.abandon(id) } -> std::same_as<void>;
      { m.close(mode, now) } -> std::same_as<void>;
      { m.step(now) } -> std::same_as<void>;
      { m.next_event() } -> std::same_as<mqtt::client_event const*>;  // nullptr: none
      { c.deadline() } -> std::same_as<time_point>;
      { m.attach(on, whom) } -> std::same_as<void>;
    };

}  // namespace v0
}  // namespace iothub
