// The kinds of trouble that a simulation can make, each with a name and a counter of how often it really happened.
//
// "Really" is the point: a fault is counted where it takes effect, not where it was ordered, so that a test which asks
// that each kind was reached cannot be fooled by an order that nothing came along to meet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iothub {
inline namespace v0 {
namespace sim {

enum class fault : std::uint8_t {
  // TCP: of one device's connection, or of the attempt to make one
  connect_refused,        // the next attempt is refused
  connect_timed_out,      // the next attempt is never answered
  connect_unreachable,    // the next attempt finds no route
  reset_before_packet,    // the connection is reset instead of sending the next packet
  reset_inside_packet,    // ... in the middle of it
  reset_after_packet,     // ... when the peer has it, and before the client hears of that
  half_open,              // the hub is gone and nothing says so
  black_hole_up,          // what the client sends does not arrive for a while, or ever
  black_hole_down,        // what the hub sends does not
  partial_io,             // reads and writes move a few bytes at a time for a while
  slow_peer,              // the hub's bytes come one by one for a while
  zero_window,            // the hub takes nothing for a while
  end_with_unread_data,   // the connection ends in order, with bytes of the hub still under way
  latency,                // every byte takes its time, each piece another (an option of the whole run)
  latency_spike,          // both directions stand still for a moment
  clog,                   // many connections stand still and are freed one by one in another order
  late_data_after_close,  // bytes of a connection that the client gave up reach the hub after the next one is made
  outage,                 // no way to the hub for a while
  // TLS
  tls_stops_after_hello, tls_wrong_name, tls_expired, tls_not_yet_valid, tls_unknown_authority, tls_self_signed,
  tls_wrong_usage,
  tls_too_old,            // the next server speaks nothing above TLS 1.1
  tls_renegotiation,      // the next server speaks TLS 1.2, and asks for a second handshake
  tls_alert, tls_truncated,
  // names
  dns_not_found, dns_timed_out, dns_empty, dns_first_address_dead, dns_address_changed,
  dns_ipv6_dead,          // an IPv6 address comes first, where nobody is (RFC 8305)
  // MQTT, legal
  publish_doubled,        // the hub's next message at QoS 1 comes twice, with DUP
  puback_late,            // the next PUBACKs do not come before the connection is lost
  puback_lost,            // the next PUBACK is lost together with its connection
  suback_refused,         // the next SUBACK has the code 0x80
  suback_late,            // the next SUBACK comes after other packets
  connack_1, connack_2, connack_3, connack_4, connack_5,
  connack_lost,           // the next CONNACK never comes
  session_forgotten,      // the next CONNACK says that there is no session
  session_invented,       // the next CONNACK says that there is one
  pingresp_missing,       // the next PINGRESP never comes
  packets_joined,         // packets of the hub are held for a moment and come in one piece
  twin_answer_late,       // the next answer about a twin comes after other packets
  twin_answer_unknown,    // an answer to a request that was never made
  illegal_packet,         // bytes that no correct hub sends: hostile_packets.hpp has them
  connack_wrong,          // something else comes in place of the next CONNACK
  packet_unexpected,      // a packet for which nobody asked, and which may do no harm
  method_late,            // the next method call comes after other packets, its caller may have given up
  method_answer_late,     // the answer to the next one reaches the hub so
  settlement_lost,        // the next message's settlement is lost with the connection: the hub's lock on it ends
  // the hub
  hub_restart, hub_restart_forgets,  // away for a while; and it has lost its MQTT sessions
  failover,               // every connection is dropped at once
  link_dropped,           // one is
  connect_throttled, telemetry_throttled, quota_used_up, telemetry_confirmed_late, server_error,
  token_refused, device_deleted, device_disabled, key_rotated, takeover,
  token_expired,          // the hub ends the connection, since the token on it has expired
  messages_expired, messages_used_up,  // messages that wait at the hub leave it, as after their time or ten deliveries
  // the hub, asked by a device's telemetry: the types of AzIoTHub_FaultOperationType, in the order of
  // hub::requested_faults. For a test to send.
  asked_kill_tcp, asked_shut_down_mqtt, asked_shut_down_amqp, asked_throttling, asked_quota, asked_auth_error,
  asked_kill_connection, asked_kill_session, asked_kill_cbs_requests, asked_kill_cbs_answers, asked_kill_telemetry,
  asked_kill_c2d, asked_kill_twin_requests, asked_kill_twin_answers, asked_kill_method_requests,
  asked_kill_method_answers,
  // HTTP, towards back ends
  http_throttled_seconds, http_throttled_date, http_throttled_nonsense, http_unavailable, http_continue, http_body_cut,
  http_length_wrong, http_header_huge, http_redirect, http_empty_answer, http_reset,
  // clocks
  clock_offset, clock_forward, clock_back, clock_drift, clock_edge,
  leap_second,            // the same second comes twice, on all wall clocks
  stall,
  // the process: for a test to do, since it is the test that owns the client
  client_closed, client_destroyed, destroyed_in_handler, handler_throws, handler_slow, handler_reenters,
  allocation_failure,     // memory runs out in a call into the client
  count
};
inline constexpr std::size_t fault_kinds = static_cast<std::size_t>(fault::count);

enum class fault_layer : std::uint8_t { tcp, tls, dns, mqtt, hub, asked, http, clock, process };

[[nodiscard]] constexpr fault_layer layer_of(fault f) noexcept {
  if (f <= fault::outage) return fault_layer::tcp;
  if (f <= fault::tls_truncated) return fault_layer::tls;
  if (f <= fault::dns_ipv6_dead) return fault_layer::dns;
  if (f <= fault::settlement_lost) return fault_layer::mqtt;
  if (f <= fault::messages_used_up) return fault_layer::hub;
  if (f <= fault::asked_kill_method_answers) return fault_layer::asked;
  if (f <= fault::http_reset) return fault_layer::http;
  return f <= fault::stall ? fault_layer::clock : fault_layer::process;
}

[[nodiscard]] constexpr std::string_view to_string(fault f) noexcept {
  constexpr std::array<std::string_view, fault_kinds> names{
      "connect_refused", "connect_timed_out", "connect_unreachable", "reset_before_packet", "reset_inside_packet",
      "reset_after_packet", "half_open", "black_hole_up", "black_hole_down", "partial_io", "slow_peer", "zero_window",
      "end_with_unread_data", "latency", "latency_spike", "clog", "late_data_after_close", "outage",
      "tls_stops_after_hello", "tls_wrong_name", "tls_expired", "tls_not_yet_valid", "tls_unknown_authority",
      "tls_self_signed", "tls_wrong_usage", "tls_too_old", "tls_renegotiation", "tls_alert", "tls_truncated",
      "dns_not_found", "dns_timed_out", "dns_empty", "dns_first_address_dead", "dns_address_changed", "dns_ipv6_dead",
      "publish_doubled", "puback_late", "puback_lost", "suback_refused", "suback_late", "connack_1", "connack_2",
      "connack_3", "connack_4", "connack_5", "connack_lost", "session_forgotten", "session_invented",
      "pingresp_missing", "packets_joined", "twin_answer_late", "twin_answer_unknown", "illegal_packet",
      "connack_wrong", "packet_unexpected", "method_late", "method_answer_late", "settlement_lost",
      "hub_restart", "hub_restart_forgets", "failover", "link_dropped", "connect_throttled", "telemetry_throttled",
      "quota_used_up", "telemetry_confirmed_late", "server_error", "token_refused", "device_deleted",
      "device_disabled", "key_rotated", "takeover", "token_expired", "messages_expired", "messages_used_up",
      "asked_kill_tcp", "asked_shut_down_mqtt", "asked_shut_down_amqp", "asked_throttling", "asked_quota",
      "asked_auth_error", "asked_kill_connection", "asked_kill_session", "asked_kill_cbs_requests",
      "asked_kill_cbs_answers", "asked_kill_telemetry", "asked_kill_c2d", "asked_kill_twin_requests",
      "asked_kill_twin_answers", "asked_kill_method_requests", "asked_kill_method_answers",
      "http_throttled_seconds", "http_throttled_date", "http_throttled_nonsense", "http_unavailable", "http_continue",
      "http_body_cut", "http_length_wrong", "http_header_huge", "http_redirect", "http_empty_answer", "http_reset",
      "clock_offset", "clock_forward", "clock_back", "clock_drift", "clock_edge", "leap_second", "stall",
      "client_closed", "client_destroyed", "destroyed_in_handler", "handler_throws", "handler_slow",
      "handler_reenters", "allocation_failure"};
  return f < fault::count ? names[static_cast<std::size_t>(f)] : std::string_view{"unknown"};
}
// fault::count for a name that is none.
[[nodiscard]] constexpr fault fault_from(std::string_view name) noexcept {
  for (std::size_t i = 0; i != fault_kinds; ++i)
    if (to_string(static_cast<fault>(i)) == name) return static_cast<fault>(i);
  return fault::count;
}

// How often each kind happened.
class fault_counts {
 public:
  void add(fault f) noexcept { ++counts_[static_cast<std::size_t>(f)]; }
  [[nodiscard]] std::uint64_t operator[](fault f) const noexcept { return counts_[static_cast<std::size_t>(f)]; }
  [[nodiscard]] std::uint64_t total() const noexcept {
    std::uint64_t sum = 0;
    for (std::uint64_t const n : counts_) sum += n;
    return sum;
  }
  [[nodiscard]] std::size_t kinds() const noexcept {
    std::size_t n = 0;
    for (std::uint64_t const c : counts_) n += c != 0;
    return n;
  }
  fault_counts& operator+=(fault_counts const& other) noexcept {
    for (std::size_t i = 0; i != fault_kinds; ++i) counts_[i] += other.counts_[i];
    return *this;
  }
  friend bool operator==(fault_counts const&, fault_counts const&) = default;

 private:
  std::array<std::uint64_t, fault_kinds> counts_{};
};

}  // namespace sim
}  // namespace v0
}  // namespace iothub
