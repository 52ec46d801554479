// One link, either role, Part 2, 2.6: a way for messages in one direction, with credit, between a source and a target.
//
// Theory of operation. The receiver grants credit: how many deliveries it takes. Credit is one number kept by both
// sides, delivery-count + credit, and told in flow frames (2.6.7), so it does not matter which crosses which. A sender
// spends one for each delivery; a delivery leaves in as many transfer frames as the peer's frame size asks for, and
// each frame needs room in the session's window (2.5.6). What the window does not take now leaves by itself when it
// reopens; until then no other delivery of the session begins.
//
// Settlement (2.6.12): an unsettled delivery is remembered until the receiver says what became of it. With
// rcv-settle-mode first its word settles; with second the sender settles in answer, which happens by itself.
//
// Flows and dispositions gather until connection::output() is asked: neighbours with the same outcome leave in one
// frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <iothub/amqp/handler.hpp>
#include <iothub/amqp/performatives.hpp>
#include <iothub/amqp/wire.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// How accept() answers an attach. What is not set is as the peer asked for.
struct attach_answer {
  encoded properties = {};
  encoded offered_capabilities = {};
  encoded desired_capabilities = {};
  // In place of a dynamic address that the peer asked for, or to say what the node really is.
  std::string_view source_address = {};
  std::string_view target_address = {};
  // Each side says its own mode (2.8.2, 2.8.3); what the peer asked of this side is a wish. A sender grants it here. A
  // receiver settles first: azure-eventhub for Python asks for the second mode, but waits for a receiver that settles.
  std::optional<sender_settles> snd_settle_mode = {};
  receiver_settles rcv_settle_mode = receiver_settles::first;
};

// A message to send.
struct outgoing_delivery {
  byte_view payload = {};            // the sections of the message: see message.hpp
  byte_view tag = {};                // up to 32 bytes, unique among the unsettled of the link; empty: one is made
  bool settled = false;              // do not wait for an outcome (where the link's mode leaves the choice)
  std::uint32_t message_format = 0;  // 0: Part 3
  std::uint64_t user = 0;            // comes back with the settlement
};

class link {
 public:
  enum class state_type : std::uint8_t {
    offered,    // the peer asked for it: accept() or refuse()
    attaching,  // this side asked for it
    attached,
    detaching,  // this side left, the peer's answer is awaited
    detached,
  };
  link(amqp::session& parent, std::uint32_t handle, std::string name, link_role role) noexcept
      : parent_{&parent}, name_{std::move(name)}, handle_{handle}, role_{role} {}
  link(link const&) = delete;
  link& operator=(link const&) = delete;

  [[nodiscard]] state_type state() const noexcept { return state_; }
  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  [[nodiscard]] link_role role() const noexcept { return role_; }  // of this side
  [[nodiscard]] bool is_sender() const noexcept { return role_ == link_role::sender; }
  [[nodiscard]] amqp::session& parent() const noexcept { return *parent_; }
  [[nodiscard]] std::uint32_t handle() const noexcept { return handle_; }  // this side's, unique in the session
  [[nodiscard]] sender_settles snd_settle_mode() const noexcept { return snd_mode_; }
  [[nodiscard]] receiver_settles rcv_settle_mode() const noexcept { return rcv_mode_; }
  // Deliveries that are not settled.
  [[nodiscard]] std::uint32_t unsettled() const noexcept { return unsettled_; }

  // For the owner alone: what the link is to it.
  std::uint64_t user = 0;
  void* context = nullptr;

  // --- both roles ----------------------------------------------------------------------------------------------------
  // State `offered` only.
  void accept(attach_answer const& how = {});
  // State `offered` only: answers without source and target, then detaches with the error, as 2.6.3 says. on_detached
  // follows when the peer has answered.
  void refuse(error_view const& why);
  // Leaves, for good (closed) or for now; unsent parts and unsettled deliveries are forgotten. Nothing happens when it
  // was left already.
  void detach(error_view const& why = {}, bool closed = true);

  // --- sender --------------------------------------------------------------------------------------------------------
  [[nodiscard]] std::uint32_t credit() const noexcept { return credit_; }
  // Whether send() would take a message now. When it turns true again on_credit is called.
  [[nodiscard]] bool can_send() noexcept;
  // Takes a message whole and returns its delivery id. errc::not_connected (not attached), errc::outbox_full (no
  // credit, no room in the window, the output or the list of unsettled deliveries: wait for on_credit),
  // errc::too_large (above the peer's max-message-size), errc::invalid_argument (tag above 32 bytes).
  result<std::uint32_t> send(outgoing_delivery const& what);
  // The peer's max-message-size; 0: no limit known.
  [[nodiscard]] std::uint64_t peer_max_message_size() const noexcept { return peer_max_message_size_; }
  // The peer asked for the credit back (2.6.7); it is given back after on_credit.
  [[nodiscard]] bool draining() const noexcept { return drain_; }

  // --- receiver ------------------------------------------------------------------------------------------------------
  // May be called before the link is attached: the credit is told as soon as it is.
  void add_credit(std::uint32_t count);
  // Keeps credit plus unsettled deliveries at `window`, refilled when half of it is used up. 0: by hand again.
  void set_prefetch(std::uint32_t window);
  // Asks the sender to use the credit up or to give it back; on_drained follows.
  void drain();
  // Says what became of a delivery. Ids that are not owed are ignored.
  void settle(std::uint32_t delivery_id, delivery_state const& state = delivery_state::accepted());

 private:
  friend class amqp::session;
  friend class connection;

  [[nodiscard]] bool settles(bool wanted) const noexcept {
    return snd_mode_ == sender_settles::settled || (snd_mode_ == sender_settles::mixed && wanted);
  }
  void send_attach(attach& what);
  void receive_attach(attach const& what);
  void receive_flow(flow const& what);
  void receive_credit(flow const& what);
  void receive_count(flow const& what);
  void receive_transfer(transfer const& what, byte_view payload);
  void begin_delivery(transfer const& what);
  void deliver(byte_view payload);
  void send_flow();
  void want_flow() noexcept;
  void refill() noexcept;
  void fail(violation rule);
  void drop_assembly() noexcept;
  void leave() noexcept;

  amqp::session* parent_;
  std::string name_;
  std::string source_;  // of the peer's attach while it is offered, as encoded
  std::string target_;
  byte_buffer assembly_;  // frames of a delivery that is not complete
  delivery incoming_;     // what its first frame said; the tag is in tag_
  char tag_[32] = {};
  std::uint8_t tag_size_ = 0;
  std::uint32_t handle_;
  std::uint32_t peer_handle_ = 0;
  std::uint32_t initial_count_ = 0;
  std::uint32_t delivery_count_ = 0;
  std::uint32_t credit_ = 0;
  std::uint32_t prefetch_ = 0;
  std::uint32_t unsettled_ = 0;
  std::uint64_t peer_max_message_size_ = 0;
  violation broken_;  // why this side left, where the peer broke a rule
  link_role role_;
  sender_settles snd_mode_ = sender_settles::mixed;
  receiver_settles rcv_mode_ = receiver_settles::first;
  state_type state_ = state_type::detached;
  bool peer_attached_ = false;  // its handle is known
  bool told_ = false;           // the owner knows the link
  bool receiving_ = false;      // inside a delivery of several frames
  bool second_ = false;         // the delivery is to be settled by its sender
  bool flow_due_ = false;
  bool drain_ = false;
  bool blocked_ = false;  // can_send() was false for a reason other than credit
};

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
