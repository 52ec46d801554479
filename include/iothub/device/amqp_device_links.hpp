// The links of a device on one AMQP connection, without I/O: what amqp_dialect.hpp puts a transport under.
//
// Sources: Microsoft docs "Communicate with your IoT hub by using the AMQP protocol"; azure-iot-sdk-node
// device/transport/amqp (amqp.ts, amqp_twin_client.ts, amqp_device_method_client.ts) and what it was seen to send;
// azure-iot-sdk-csharp AmqpIot for what that leaves open.
//
// Theory of operation. One session. Its links, by what a device asks for:
//   $cbs       always first where there is a token: put-token, and again in time before the token ends
//   telemetry  sender    /devices/{id}/messages/events, unsettled: the hub's word on each message is its outcome. The
//                        connection counts as ready when it is attached, since a hub knows a device by its links
//   messages   receiver  /devices/{id}/messages/devicebound: accepted, rejected and released settle a message
//   methods    both      /devices/{id}/methods/devicebound: correlation-id names the call, IoThub-methodname the
//                        method, IoThub-status the outcome
//   twin       both      /devices/{id}/twin: annotations operation and resource ask, status and version answer; a
//                        notice of desired properties comes without a correlation-id
// The two links of methods and of twin bear one channel-correlation-id. What is not telemetry or a message goes
// settled: it ends with the connection, as the core wants it.
//
// A link that the hub detaches ends the connection: the core has one way to come back, which brings all links. An
// attach that the hub refuses fails the feature that wanted it. Telemetry without an outcome is kept and sent again on
// the next connection, in its order; AMQP has no mark for that, so a message may be stored twice, as over MQTT.
//
// What the hub can make a device hold is bounded by credit: it is given back as the core takes events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/message.hpp>
#include <iothub/amqp/send_queue.hpp>
#include <iothub/amqp/value.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/base/undo.hpp>
#include <iothub/base/uuid.hpp>
#include <iothub/device/amqp_device_message.hpp>
#include <iothub/device/device_event.hpp>
#include <iothub/device/dialect.hpp>
#include <iothub/device/fifo.hpp>
#include <iothub/version.hpp>
#include <iothub/wire/amqp_conditions.hpp>
#include <iothub/wire/api_version.hpp>
#include <iothub/wire/status_map.hpp>
#include <iothub/wire/sas_token.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

class amqp_device_links final : private amqp::connection_handler {
 public:
  // How many method calls, twin answers or notices may be on their way to the core, each.
  static constexpr std::uint32_t window = 64;
  // Messages that the core has not settled: as many as the hub keeps for a device.
  static constexpr std::uint32_t message_window = 50;
  // Twin operations whose answers are known when they come.
  static constexpr std::size_t most_twin_requests = 256;
  // For one put-token on a connection that works; the first has the core's connect_timeout.
  static constexpr duration renewal_timeout = std::chrono::seconds{30};

  [[nodiscard]] amqp::connection_handler& handler() noexcept { return *this; }

  // A connection that was just opened with handler() as its owner.
  void begin(amqp::connection& wire, connection_parameters const& how, std::string_view token);
  // It is over: nothing of it will be told. Telemetry without an outcome stays for the next.
  void forget() noexcept;
  void forget_telemetry() noexcept { sent_.clear(); }
  // Nothing that happens from now on is told.
  void mute() noexcept { over_ = true; }

  // --- verbs, as dialect.hpp has them --------------------------------------------------------------------------------
  result<void> enable(feature_set features);
  result<ticket> send_telemetry(message const& what);
  void abandon_telemetry(ticket which);
  result<ticket> get_twin() { return request_twin(request_kind::get, " "); }
  result<ticket> patch_reported(std::string_view patch) { return request_twin(request_kind::patch, patch); }
  result<void> answer_method(std::string_view rid, int status, std::string_view payload);
  result<void> settle_message(ticket which, settlement how);
  result<void> renew(std::string_view token, time_point now);

  void on_time(time_point now);
  [[nodiscard]] time_point deadline() const { return events_.empty() ? cbs_.deadline() : time_point::min(); }
  bool next_event(device_event& event);
  // Telemetry that waits for its outcome.
  [[nodiscard]] std::size_t unsettled() const noexcept { return sent_.size(); }

 private:
  enum place : std::uint8_t {
    telemetry,
    messages,
    methods_out,
    methods_in,
    twin_out,
    twin_in,
    places,
  };
  enum class request_kind : std::uint8_t { get, patch, follow_desired };

  struct pending {
    device_event_kind kind = device_event_kind::none;
    place credit = places;  // whose credit it holds
    feature_set features = {};
    iothub::ticket ticket = 0;
    std::int64_t version = 0;
    std::size_t name = 0;  // sizes of the front parts of `text`: name, rid, then the payload
    std::size_t rid = 0;
    std::string text = {};
    owned<c2d_message> message = {};
    result<void> outcome = {};
  };
  struct sent_message {
    iothub::ticket ticket = 0;
    bool on_wire = false;  // on this connection
    std::string payload = {};
  };
  struct twin_request {
    iothub::ticket ticket = 0;
    request_kind kind = request_kind::get;
    std::string id = {};
  };
  struct held_message {
    iothub::ticket ticket = 0;
    std::uint32_t delivery = 0;
  };

  // --- amqp::connection_handler
  inline void on_open(amqp::open const& peer, time_point now) override;
  inline void on_begun(amqp::session& which, time_point now) override;
  inline void on_attached(amqp::link& which, amqp::attach const& answer, time_point now) override;
  inline void on_credit(amqp::link& which, time_point now) override;
  inline void on_transfer(amqp::link& which, amqp::delivery const& what, time_point now) override;
  inline void on_disposition(amqp::link& which, amqp::settlement const& what, time_point now) override;
  inline void on_detached(amqp::link& which, amqp::end_reason const& why, time_point now) override;
  inline void on_ended(amqp::session& which, amqp::end_reason const& why, time_point now) override;
  inline void on_closed(error const& reason, amqp::error_view const& peer, time_point now) override;

  void attach(place where);
  void attach_or_fail(place where);
  void features_may_be_ready();
  void feature_is_ready(feature which, result<void> outcome = {});
  void on_token(amqp::cbs_client::outcome done);
  void on_message(amqp::link& from, amqp::delivery const& what);
  void on_method(amqp::message_view const& from);
  void on_twin(amqp::message_view const& from);
  void on_twin_answer(twin_request const& request, amqp::message_view const& from);
  result<ticket> request_twin(request_kind kind, std::string_view body);
  void send_kept();
  void consumed(place where);
  void fail(error why);

  [[nodiscard]] bool ready() const noexcept { return ready_ && !over_; }
  [[nodiscard]] bool attached(place where) const noexcept { return (attached_ & 1u << where) != 0; }
  [[nodiscard]] static place place_of(amqp::link const& which) noexcept {
    return which.user == 0 || which.user > places ? places : static_cast<place>(which.user - 1);
  }
  [[nodiscard]] static std::string_view name_of(place where) noexcept;
  [[nodiscard]] static error error_of(std::string what, amqp::error_view const& peer);
  [[nodiscard]] error lost(std::string what, amqp::error_view const& peer) const;
  [[nodiscard]] std::string new_uuid();
  [[nodiscard]] ticket next_ticket() noexcept {
    if (++last_ticket_ == 0) last_ticket_ = 1;
    return last_ticket_;
  }
  void done_with_scratch() noexcept {
    scratch_.clear();
    scratch_.shrink(4096);
  }
  pending& push(device_event_kind kind) {
    pending& made = events_.push({});
    made.kind = kind;
    return made;
  }

  amqp::connection* wire_ = nullptr;
  amqp::session* session_ = nullptr;
  amqp::link* links_[places] = {};
  amqp::cbs_client cbs_;
  std::uint64_t first_token_ = 0;  // 0: none was needed
  std::string audience_;
  std::string path_;         // "/devices/d1"
  std::string client_version_;
  std::string model_id_;
  std::string link_stem_;    // names of links are unique among all connections
  amqp::send_queue methods_queue_;
  amqp::send_queue twin_queue_;
  prng random_;

  fifo<sent_message> sent_;  // in the order in which they were given
  lean_vector<twin_request> twin_requests_;
  lean_vector<held_message> held_;
  fifo<pending> events_;
  pending current_;  // views of the last event are into it
  byte_buffer scratch_;
  ticket last_ticket_ = 0;
  std::uint32_t owed_credit_[places] = {};
  feature_set wanted_ = {};
  feature_set told_ = {};
  std::uint8_t attached_ = 0;
  bool ready_ = false;
  bool following_ = false;  // the hub was asked for notices of desired properties
  bool over_ = true;
};

}  // namespace detail
}  // namespace v0
}  // namespace iothub

#include <iothub/device/amqp_device_links_bodies.hpp>
#include <iothub/device/amqp_device_links_messages.hpp>
