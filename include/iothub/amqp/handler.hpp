// What a connection tells its owner, and the options that both roles share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <iothub/amqp/performatives.hpp>
#include <iothub/amqp/sasl.hpp>
#include <iothub/amqp/terminus.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/amqp/value.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

class connection;
class session;
class link;

// One options object may serve many connections; it must outlive them.
struct connection_options {
  std::string container_id = "iothub";
  std::string hostname = {};  // client: the host asked for, in `open` and in SASL
  // A larger frame from the peer ends the connection before anything is allocated for it; this side sends none above
  // the smaller of the two peers' values. At least 512 (2.4.1).
  std::uint32_t max_frame_size = 65'536;
  // Highest channel and handle number that the peer may use (2.4.1, 2.5.1): one session more than channel_max.
  std::uint16_t channel_max = 255;
  std::uint32_t handle_max = 255;
  // Transfer frames that a session takes before it must say so again (2.5.6).
  std::uint32_t incoming_window = 2048;
  // A larger message from the peer ends its link with message-size-exceeded. 0 is not "unlimited" here.
  std::uint64_t max_message_size = 1u << 20;
  // Bytes of messages in several frames that are not complete yet, all links together; more end the connection.
  std::size_t max_assembling = 1u << 22;
  // Deliveries of a session, each direction for itself, that are not settled. link::send() says errc::outbox_full
  // above; a peer that goes above ends its session.
  std::uint32_t max_unsettled = 16'384;
  // link::can_send() is false, and room() is 0, while the output holds more than this.
  std::size_t max_backlog = 1u << 20;
  // The connection ends when nothing came for this long; half of it is announced (2.4.5). 0: waits for ever.
  duration idle_timeout = std::chrono::seconds{120};
  // A peer that wants to hear something more often than this is refused (2.4.5).
  duration min_peer_idle_timeout = std::chrono::milliseconds{100};
  // From the first byte to the peer's `open`, and from this side's `close`, or the `end` of a session, to the peer's.
  duration open_timeout = std::chrono::seconds{60};
  duration close_timeout = std::chrono::seconds{10};
  // list_form::full for servers that azure-eventhub for Python connects to.
  list_form lists = list_form::brief;
  value properties = {};            // symbol map, sent in `open`
  value offered_capabilities = {};  // symbols, sent in `open`
  value desired_capabilities = {};
  // Server: mechanisms offered, in the fixed order MSSBCBS, PLAIN, ANONYMOUS, EXTERNAL; none: no SASL layer.
  sasl_mechanisms sasl = all_sasl_mechanisms;
  // Server: may a peer start with the plain AMQP header and no SASL at all? Azure's Node clients do.
  bool accept_without_sasl = true;
  // A link is attached although the peer's answer names no source or target. The standard says that a detach follows
  // (2.6.3), and without this option nothing is told until it does; some servers leave a terminus out of good answers.
  bool accept_missing_terminus = false;
};

// One message that came, whole.
struct delivery {
  std::uint32_t id = 0;
  byte_view tag;      // at most 32 bytes
  byte_view payload;  // the sections of the message: see message.hpp
  std::uint32_t message_format = 0;
  bool settled = false;  // the sender does not want to know
};

// What became of a delivery that this side sent (or, with rcv-settle-mode second, received).
struct settlement {
  std::uint32_t id = 0;
  std::uint64_t user = 0;  // outgoing_delivery::user of send()
  delivery_state state = {};
  bool settled = false;  // nothing more is told about this delivery
};

// Why a link or a session is over.
enum class ended_by : std::uint8_t {
  this_side,   // detach(), refuse() or end(), answered by the peer; or the peer broke a rule of the link or session
  peer,        // with its error, where it gave one
  session,     // of a link: its session ended
  connection,  // the connection ended: on_closed follows and says why
};
struct end_reason {
  ended_by by = ended_by::peer;
  error_view error = {};
};

// Implemented by the owner, one handler per connection. Views hold during the call only. A callback may call any verb
// of connection, session and link, but not receive(), step(), link_lost() or output(), and must not destroy the
// connection. References to links and sessions hold until their on_detached or on_ended has returned, each of which
// comes exactly once for every one that was made known to the owner or made by it, whoever ended it.
class connection_handler {
 public:
  // Server: a client showed who it is. Answer now, or return nothing and call connection::sasl_outcome() later; until
  // then no byte of it is read. Everything but `ok` ends the connection. Where the client starts without SASL this is
  // not called at all: connection::mechanism() is none then.
  inline virtual std::optional<sasl_code> on_sasl(sasl_login const& who, time_point now);
  // The peer's `open` came, ours was sent: sessions may be begun.
  virtual void on_open(open const& peer, time_point now) = 0;
  // The peer began a session; it is answered already. Call end() to refuse it.
  inline virtual void on_session(session& which, time_point now);
  // The peer answered begin().
  inline virtual void on_begun(session& which, time_point now);
  // The peer wants a link; which.role() is this side's. Answer with accept() or refuse(), now or later. The default
  // refuses.
  inline virtual void on_attach(link& which, attach const& how, time_point now);
  // The peer answered session::attach() and has the node.
  inline virtual void on_attached(link& which, attach const& answer, time_point now);
  // A sender may send: called when can_send() may have become true (credit came, a window opened, the output drained).
  inline virtual void on_credit(link& which, time_point now);
  // A receiver's drain() is answered: the sender has nothing more now.
  inline virtual void on_drained(link& which, time_point now);
  // A message came on a receiver. Settle it with link::settle(), now or later, unless it came settled.
  virtual void on_transfer(link& which, delivery const& what, time_point now) = 0;
  // On a sender: the receiver said something about a delivery. Where it said the outcome and waits for this side to
  // settle (rcv-settle-mode second) the answer is sent after the call. On a receiver with that mode: the sender
  // settled.
  inline virtual void on_disposition(link& which, settlement const& what, time_point now);
  virtual void on_detached(link& which, end_reason const& why, time_point now) = 0;
  inline virtual void on_ended(session& which, end_reason const& why, time_point now);
  // The connection is over; on_detached and on_ended of what it had came before. `reason`: errc::closed (close() of
  // either side, without an error), what to_error() makes of the peer's error (`peer` holds it), errc::unauthorized
  // (SASL), errc::unsupported (no common SASL mechanism), errc::protocol_error (the peer broke a rule),
  // errc::timeout (open_timeout, close_timeout, idle_timeout), or what was given to link_lost().
  virtual void on_closed(iothub::error const& reason, error_view const& peer, time_point now) = 0;

 protected:
  connection_handler() = default;
  connection_handler(connection_handler const&) = default;
  connection_handler& operator=(connection_handler const&) = default;
  ~connection_handler() = default;
};

// ---------------------------------------------------------------------------------------------------------------------

inline std::optional<sasl_code> connection_handler::on_sasl(sasl_login const&, time_point) {
  return sasl_code::auth;
}
inline void connection_handler::on_session(session&, time_point) {}
inline void connection_handler::on_begun(session&, time_point) {}
inline void connection_handler::on_attached(link&, attach const&, time_point) {}
inline void connection_handler::on_credit(link&, time_point) {}
inline void connection_handler::on_drained(link&, time_point) {}
inline void connection_handler::on_disposition(link&, settlement const&, time_point) {}
inline void connection_handler::on_ended(session&, end_reason const&, time_point) {}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
