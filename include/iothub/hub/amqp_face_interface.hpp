// One AMQP connection, as IoT Hub serves it: who may attach which link, and nodes behind the links that do what the
// address says. What is allowed and what it does is the core's.
//
// Sources: Microsoft docs "Communicate with your IoT hub by using the Advanced Message Queuing Protocol" and "Read
// device-to-cloud messages from the built-in endpoint"; what clients send and expect: azure-iot-sdk-node (amqp.ts,
// amqp_twin_client.ts, amqp_device_method_client.ts), azure-iot-sdk-csharp AmqpIot, azure-event-hubs-node,
// @azure/event-hubs, azure-eventhub for Python.
//
// Rules
//   1. A connection may start with SASL or without; what it may do is shown by tokens (amqp_claims.hpp), not by SASL.
//   2. A link without permission, or to an address that means nothing here, is answered without its terminus and
//      detached with a condition (AMQP 1.0 Part 2, 2.6.3); the connection goes on.
//   3. The event endpoint's name at the IoT hub ("/messages/events/...") is a redirect to the endpoint itself.
//   4. When a token ends and no newer one came, the links that it opened are detached with unauthorized-access.
//   5. Before the first good token, and again when the last one has ended, a connection is a stranger's: it has time
//      for a token, few sessions and links, and room for a message of a token's size; going above ends it.
//   6. Links of several devices may be on one connection; each device is connected while it has a link.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/send_queue.hpp>
#include <iothub/hub/amqp_address.hpp>
#include <iothub/hub/amqp_claims.hpp>
#include <iothub/hub/amqp_front.hpp>
#include <iothub/hub/amqp_words.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class amqp_device;

// What is behind one link. It lives from accept() to on_detached.
class amqp_node {
 public:
  amqp_node(amqp_face& face, amqp::link& link) noexcept : face_{face}, link_{link} {}
  amqp_node(amqp_node const&) = delete;
  amqp_node& operator=(amqp_node const&) = delete;
  virtual ~amqp_node() = default;

  // How the attach is answered.
  [[nodiscard]] virtual amqp::attach_answer answer() {
    // azure-eventhub for Python takes the properties of the answer for a map, without looking whether there are any.
    static amqp::value const none = amqp::value::symbol_map({});
    amqp::attach_answer how;
    how.properties = none.bytes();
    if (link_.snd_settle_mode() == amqp::sender_settles::settled) how.snd_settle_mode = amqp::sender_settles::settled;
    return how;
  }
  // The link is attached.
  virtual void start(instant) {}
  virtual void on_transfer(amqp::delivery const&, instant) {}
  virtual void on_credit(instant) {}
  virtual void on_settled(amqp::settlement const&, instant) {}
  // It asked for work (amqp_face::work_for), and this is its turn.
  virtual void work(instant) {}
  // A token ended: is the link still allowed?
  virtual result<void> permitted(instant) { return {}; }

  [[nodiscard]] amqp::link& link() noexcept { return link_; }

 protected:
  friend class amqp_face;
  amqp_face& face_;
  amqp::link& link_;
  std::size_t place_in_face_ = 0;  // where amqp_face::nodes_ has it
  bool has_work_ = false;
};

// The connection that is put before it is told by attach(), before the first byte; it must live as long as bytes come.
class amqp_face : public amqp::connection_handler {
 public:
  // `peer` is for the log.
  explicit amqp_face(amqp_front& front, std::string peer = {});
  amqp_face(amqp_face const&) = delete;
  amqp_face& operator=(amqp_face const&) = delete;
  ~amqp_face();
  // Ends what the links were for. To be called before the connection that was attached is destroyed.
  void release() noexcept;
  void attach(amqp::connection& connection) noexcept { connection_ = &connection; }

  // What was to be done outside of the connection's callbacks. Call it before connection::step().
  void on_time(time_point now);
  [[nodiscard]] time_point deadline() const noexcept;

  // --- amqp::connection_handler
  inline std::optional<amqp::sasl_code> on_sasl(amqp::sasl_login const& who, time_point now) override;
  inline void on_open(amqp::open const& peer, time_point now) override;
  inline void on_session(amqp::session& which, time_point now) override;
  inline void on_ended(amqp::session& which, amqp::end_reason const& why, time_point now) override;
  inline void on_attach(amqp::link& which, amqp::attach const& how, time_point now) override;
  inline void on_credit(amqp::link& which, time_point now) override;
  inline void on_transfer(amqp::link& which, amqp::delivery const& what, time_point now) override;
  inline void on_disposition(amqp::link& which, amqp::settlement const& what, time_point now) override;
  inline void on_detached(amqp::link& which, amqp::end_reason const& why, time_point now) override;
  inline void on_closed(error const& reason, amqp::error_view const& peer, time_point now) override;

 protected:
  // Something was sent, or there is work, from outside of the connection's own calls.
  virtual void output_made() {}

 private:
  friend class amqp_node;
  friend class amqp_front;
  friend class amqp_event_node;
  friend class amqp_management_node;
  friend class amqp_send_node;
  friend class amqp_feedback_node;
  friend class amqp_device;
  friend class amqp_device_node;
  friend class amqp_telemetry_node;

  struct later_settlement {
    time_point due;
    amqp::link* link;
    std::uint32_t delivery;
  };
  // link::user of the links of $cbs, and of those that were refused and not let go by the peer yet.
  static constexpr std::uint64_t cbs_mark = 1, refused_mark = 2;
  // Of a stranger; clients use one session and the two links of $cbs.
  static constexpr std::size_t stranger_sessions = 8, stranger_links = 16, stranger_bytes = 64 * 1024;
  static constexpr std::size_t max_cbs_links = 32, max_refused_links = 256;
  static constexpr std::size_t max_device_links = 32;  // of one identity, which has use for seven

  result<std::unique_ptr<amqp_node>> open_node(amqp_address const& where, amqp::link& which, amqp::attach const& how,
                                               instant at);
  result<std::unique_ptr<amqp_node>> open_device_node(amqp_address const& where, amqp::link& which,
                                                      amqp::attach const& how, instant at);
  result<amqp_device*> device_of(device_key who, std::string_view address, std::string_view model_id, instant at);
  void refuse(amqp::link& which, error const& why, instant at);
  void refuse(amqp::link& which, amqp::error_view const& why, instant at);
  // Ends the connection of a stranger who asks for too much, or of a peer who lets no refused link go.
  void cut_off(std::string_view why, instant at);
  void log(log_level level, instant at, std::string_view event, std::string_view reason);
  // Whether it is a stranger's has changed, perhaps.
  void weigh(time_point now) noexcept;
  void redirect(amqp::link& which, amqp_address const& where, instant at);
  amqp::request_status put_token(amqp::put_token const& request, instant at);
  void detach_unpermitted(instant at);
  bool end_shared(amqp_device const& whose, link_part what, amqp::error_view const& why);
  void renew_devices(instant at);

  void work_for(amqp_node& node);
  void work_through(instant at);
  void settle_later(amqp::link& which, std::uint32_t delivery, time_point due);
  // Settles as rejected with what the core said.
  void reject(amqp::link& which, std::uint32_t delivery, error const& why, instant at);
  [[nodiscard]] amqp_refusal refusal(error const& why) { return {why, hub::without_dashes(front_.tracking_.next())}; }
  [[nodiscard]] instant touched(time_point now) {
    now_ = now;
    front_.host_.core_touched();
    return front_.host_.at(now);
  }
  [[nodiscard]] static amqp_node* node_of(amqp::link& which) noexcept {
    return static_cast<amqp_node*>(which.context);
  }

  amqp_front& front_;
  amqp::connection* connection_ = nullptr;
  amqp_claims claims_;
  amqp::cbs_server cbs_;
  std::string peer_;
  std::string peer_host_;  // as its `open` asked for
  std::size_t sessions_ = 0, links_ = 0, cbs_links_ = 0, refused_links_ = 0;  // that are there now
  std::vector<std::unique_ptr<amqp_node>> nodes_;
  std::map<device_key, std::unique_ptr<amqp_device>> devices_;
  std::vector<amqp_node*> work_, working_;  // asked for; and of this turn
  std::vector<later_settlement> later_;
  time_point token_due_ = never;  // when a connection that shows none is closed
  time_point now_ = {};  // of the last call, for what goes without one
  bool broken_ = false;  // no memory to end a link in order: the connection ends
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
