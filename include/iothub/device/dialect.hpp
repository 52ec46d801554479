// A dialect turns the verbs of the device core into the topics, links or requests of one protocol, and what comes back
// into events. It keeps no rule about retries, time-outs or order: those live in the core, once for all protocols.
//
// Contract. open() starts one connection; its outcome is an event, `ready` or `closed`. Until `ready` no other verb is
// called. Telemetry that was handed over and not settled when a connection ends stays with the dialect if the protocol
// can carry it over (MQTT at QoS 1, AMQP), and is settled by a later connection under the same ticket; other dialects
// settle it as failed. Everything else ends with the connection: no event for it follows, and the core asks again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/device/device_event.hpp>
#include <iothub/io/participant.hpp>
#include <iothub/policy/endpoint.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// What this protocol can do. A verb it cannot do fails at once with errc::unsupported.
struct dialect_capabilities {
  feature_set features = {};
  bool reject_message = false;   // MQTT: only accept, or no answer at all
  bool abandon_message = false;
  bool renews_in_place = false;  // renew(): a new token without a new connection
};

// Who connects where. The hub's name may differ from the host that is connected to (a gateway).
struct connection_parameters {
  endpoint where = {};
  std::string hub = {};            // HostName of the connection string
  device_key who = {};
  std::string model_id = {};
  std::string product_info = {};
  std::chrono::seconds keep_alive{240};
  std::uint64_t seed = 0;          // for names that no other connection should have
};

enum class settlement : std::uint8_t {
  accept,   // handled: the hub forgets the message
  reject,   // dead-lettered by the hub, where the protocol can say so
  abandon,  // comes again: at once where the protocol can say so, else on the next connection
};

enum class dialect_close : std::uint8_t { graceful, abort };

class dialect {
 public:
  dialect() noexcept = default;
  dialect(dialect const&) = delete;
  dialect& operator=(dialect const&) = delete;
  virtual ~dialect() = default;

  [[nodiscard]] virtual dialect_capabilities capabilities() const noexcept = 0;

  // `token` is a SAS token, or empty where the transport proves the identity (X.509).
  virtual result<void> open(connection_parameters const& how, std::string_view token, time_point now) = 0;
  virtual void close(dialect_close mode, time_point now) = 0;  // no event of this connection follows

  virtual result<void> enable(feature_set features, time_point now) = 0;
  // errc::outbox_full: not now, ask again when one was settled.
  virtual result<ticket> send_telemetry(message const& what, time_point now) = 0;
  // The caller no longer waits for that one: it is not sent again.
  virtual void abandon_telemetry(ticket which) = 0;
  virtual result<ticket> get_twin(time_point now) = 0;
  virtual result<ticket> patch_reported(std::string_view patch, time_point now) = 0;
  virtual result<void> answer_method(std::string_view rid, int status, std::string_view payload, time_point now) = 0;
  virtual result<void> settle_message(ticket which, settlement how, time_point now) = 0;

  // Where capabilities().renews_in_place: shows a new token on the connection that is ready; `token_renewed` follows.
  inline virtual result<void> renew(std::string_view token, time_point now);

  // Moves bytes and handles time.
  virtual void step(time_point now) = 0;
  // The next event into `event`, which is reset first; false when there is none.
  virtual bool next_event(device_event& event, time_point now) = 0;
  [[nodiscard]] virtual time_point deadline() const = 0;
  virtual void attach(loop& on, participant& whom) = 0;
};

// ---------------------------------------------------------------------------------------------------------------------

inline result<void> dialect::renew(std::string_view, time_point) {
  return error{errc::unsupported, "over this protocol a token is renewed by a new connection"};
}

}  // namespace v0
}  // namespace iothub
