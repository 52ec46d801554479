// What the hub does where the real service leaves a choice, and every limit it keeps. Each switch says its default and,
// where the service's own behaviour is not documented, that it is unconfirmed for the real hub.
// Sources: Microsoft docs "IoT Hub quotas and throttling", "Communicate with IoT Hub using the MQTT protocol",
// "Send cloud-to-device messages from IoT Hub", "Troubleshoot IoT Hub error codes".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Both readings of the clock, always handed in together: `now` drives timers, `utc` dates things.
struct instant {
  time_point now = {};
  utc_time utc = {};
};

enum class on_offence : std::uint8_t { close, tolerate };

struct limits {
  std::size_t d2c_message = 262'144;         // body, system property values, application property names and values
  std::size_t c2d_message = 65'536;
  // What a device over MQTT gets of it in the topic, percent-encoded (MQTT 3.1.1, 1.5.3: 65,535 bytes in all; the hub
  // adds `to`). What is longer is refused when it is sent: it could never leave the queue. Unconfirmed for the real
  // hub.
  std::size_t c2d_topic = 65'000;
  std::uint32_t c2d_queue = 50;              // messages waiting per device
  std::uint32_t c2d_max_delivery_count = 10; // 1 to 100
  std::size_t method_payload = 131'072;      // JSON bytes, each way
  std::uint32_t methods_in_flight = 100;     // per device; the service's own number is not documented
  std::size_t twin_section = 32'768;         // desired, reported
  std::size_t twin_tags = 8'192;
  std::uint32_t twin_depth = 10;
  std::size_t twin_name = 1'024;
  std::size_t twin_string = 4'096;
  std::size_t query_text = 8'192;
  std::uint32_t query_depth = 64;            // nesting of an expression
  std::uint32_t modules_per_device = 50;
  std::size_t devices = 1'000'000;           // devices and modules together
  // Kept until they are read, and so many file notifications; older ones are forgotten.
  std::size_t feedback_records = 10'000;
  std::size_t dead_letters = 1'000;          // kept for tests to look at
};

// How much of the built-in endpoint's events is kept: the oldest go first, when either bound is passed.
struct retention {
  std::uint32_t partitions = 4;              // at least 1
  std::size_t events = 1'000'000;            // per partition
  std::size_t bytes = std::size_t{64} << 20; // per partition, what the hub keeps of an event beside its body included
};

// What goes to the built-in endpoint. Telemetry does by default and nothing else, as in a hub without routes of its
// own; the others come as a route of that source would send them there (Microsoft docs "Azure IoT Hub non-telemetry
// event schemas").
struct event_routes {
  bool telemetry = true;
  bool twin = false;        // changes of twins
  bool lifecycle = false;   // identities made and deleted
  bool connection = false;  // devices and modules that connect and go, over MQTT and AMQP
};

// The owner key of iothub-fake unless it is told another. It is public, so it protects nothing: a hub that others can
// reach from their machines refuses it.
inline constexpr std::string_view well_known_owner_key = "aW90aHViLWZha2Ugd2VsbC1rbm93biBvd25lciBrZXk=";

struct options {
  std::string hostname = "localhost";        // the hub's own name; the part before the first dot is the hub's name
  std::vector<std::string> host_aliases = {"127.0.0.1", "::1", "localhost"};  // also accepted in tokens, with any port;
                                                                               // "*.example": every name below

  hub::limits limits = {};
  hub::retention retention = {};
  hub::event_routes routes = {};

  // --- access
  bool builtin_policies = true;              // iothubowner, service, device, registryRead, registryReadWrite
  std::string owner_key = {};                // base64 primary key of iothubowner; empty: made at random as all others
  std::chrono::seconds token_skew{300};      // a token is still taken that long after its expiry
  std::chrono::seconds token_grace{600};     // a live connection is dropped that long after the token's expiry
  bool device_token_opens_modules = true;    // by the prefix rule; unconfirmed for the real hub

  // --- MQTT face (read by the face; kept here so that one struct holds every switch)
  // The host in the user name of CONNECT has to be the hub's or an alias, with any port; behind a gateway
  // (GatewayHostName) it still names the hub. False: it may be any.
  bool check_mqtt_host = true;
  on_offence publish_qos2 = on_offence::close;        // tolerate: PUBACK
  on_offence unknown_topic = on_offence::close;       // tolerate: taken as telemetry
  on_offence over_quota = on_offence::tolerate;       // tolerate: PUBACK withheld; close: the connection ends
  std::uint8_t disabled_device_code = 3;              // CONNACK return code: 3 or 5
  bool twin_error_body = true;                        // JSON body on twin errors; false: empty, as older hubs
  std::chrono::seconds keep_alive_cap{1767};
  // How long a connection may live without a CONNECT; over AMQP without `open`, and then without a token (the latter is
  // unconfirmed for the real hub).
  std::chrono::seconds connect_wait{60};

  // --- twins
  bool refuse_hash_in_twin_names = true;     // Azure IoT Edge's validator refuses '#', and blanks of any kind
  bool twin_size_as_json = false;            // true: the printed length counts, as in Azure IoT Edge

  // --- cloud to device
  std::chrono::seconds c2d_default_ttl{3600};
  std::chrono::seconds c2d_lock{60};
  std::chrono::seconds feedback_ttl{3600};   // feedback and file notifications that nobody takes are gone after that
  bool count_every_return = false;           // false: only an explicit abandon raises the delivery count
  // False: over MQTT a device gets only what was sent after its first subscription (Microsoft docs "Communicate with an
  // IoT hub using the MQTT protocol", Receiving cloud-to-device messages: "the device starts to receive only
  // cloud-to-device messages that were sent to it after the time of the subscription"). The log has an entry "skipped".
  bool deliver_pending_on_subscribe = false;
  bool clean_session_purges_queue = false;

  // --- faults
  // AzIoTHub_FaultOperation* in telemetry, for what the sender does itself and for an hour at most. A hub that other
  // machines reach should not honour them.
  bool honour_fault_properties = true;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
