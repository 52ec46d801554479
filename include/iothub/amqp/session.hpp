// One session, either role, Part 2, 2.5: a pair of channels that numbers transfers both ways, and the links on it.
//
// Theory of operation. Each side has a channel of its own number for the session, told in begin frames. Transfer frames
// are numbered; each side says in flow frames how many more it takes (2.5.6). Links have a handle on each side in the
// same manner. Deliveries are numbered over all links of the session, so dispositions name ranges of ids here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <iothub/amqp/handler.hpp>
#include <iothub/amqp/link.hpp>
#include <iothub/amqp/performatives.hpp>
#include <iothub/amqp/unsettled.hpp>
#include <iothub/amqp/wire.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

class session {
 public:
  enum class state_type : std::uint8_t {
    beginning,  // this side sent begin
    begun,
    ending,  // this side sent end, the peer's answer is awaited; what comes is thrown away
    ended,
  };
  session(detail::wire& shared, std::uint16_t channel) noexcept : wire_{&shared}, channel_{channel} {}
  session(session const&) = delete;
  session& operator=(session const&) = delete;

  [[nodiscard]] state_type state() const noexcept { return state_; }
  [[nodiscard]] std::uint16_t channel() const noexcept { return channel_; }  // this side's, unique in the connection

  // For the owner alone.
  std::uint64_t user = 0;
  void* context = nullptr;

  // Asks for a link. `how.role` is this side's; name, source and target, modes, properties and capabilities are taken,
  // the rest is filled in. A sender starts with delivery count 0 unless `how` says otherwise. Fails with
  // errc::not_connected, errc::invalid_argument (a name in use for this role), errc::quota_exceeded (no handle left).
  result<link*> attach(amqp::attach const& how);
  // Ends the session with all its links. Nothing happens when it was ended already.
  void end(error_view const& why = {});

  // The links, in the order of their handles on this side.
  template <class F>
  void for_each_link(F f) {
    for (std::size_t i = 0; i < links_.size(); ++i)
      if (links_[i]) f(*links_[i]);
  }

 private:
  friend class link;
  friend class connection;

  struct pending_transfer {  // the part of a delivery that the peer's window has no room for yet
    link* owner = nullptr;
    byte_buffer rest;
  };
  struct pending_disposition {
    disposition what;
    bool used = false;
  };

  void send_begin(std::optional<std::uint16_t> remote_channel);
  void receive_begin(amqp::begin const& what) noexcept;
  void receive(performative const& what);
  void receive_attach(amqp::attach const& what);
  void receive_flow(flow const& what);
  void receive_transfer(transfer const& what, byte_view payload);
  void receive_disposition(disposition const& what);
  void told_outcome(detail::unsettled_entry& entry, disposition const& what);
  void told_settled(detail::unsettled_entry& entry, disposition const& what);
  void receive_detach(detach const& what);
  void finish(ended_by by, error_view const& why);

  [[nodiscard]] link* by_peer_handle(std::uint32_t handle) noexcept {
    return handle < by_peer_.size() ? by_peer_[handle] : nullptr;
  }
  link* new_link(std::string_view name, link_role role);
  [[nodiscard]] link* find(std::string_view name, link_role role, link::state_type state) noexcept;
  void bind(link& which, std::uint32_t peer_handle);
  void release(link& which, ended_by by, error_view const& why);

  [[nodiscard]] bool window_open() const noexcept { return !pending_.owner && peer_window_ != 0; }
  void make_room(std::size_t payload);
  void send_parts(link& which, transfer const* first, byte_view& payload);
  void resume_pending();
  void say(disposition const& what);
  void flush_disposition();
  void flush();
  void fill(flow& into) noexcept;
  void want_flush() noexcept {
    dirty_ = true;
    wire_->dirty = true;
  }
  void fail(violation rule);

  detail::wire* wire_;
  std::vector<std::unique_ptr<link>> links_;     // by this side's handle
  std::vector<link*> by_peer_;                   // by the peer's handle
  std::vector<std::unique_ptr<link>> finished_;  // released in this turn
  detail::unsettled_list sent_;
  detail::unsettled_list received_;
  pending_transfer pending_;
  pending_disposition disposition_;
  std::uint32_t peer_handle_max_ = 0;
  // 2.5.6, this side's view.
  std::uint32_t next_outgoing_id_ = 0;
  std::uint32_t next_incoming_id_ = 0;
  std::uint32_t window_left_ = 0;  // frames that the peer may still send
  std::uint32_t peer_window_ = 0;  // frames that this side may still send
  std::uint32_t next_delivery_id_ = 0;
  std::uint32_t next_peer_delivery_id_ = 0;
  violation broken_;
  std::uint16_t channel_;
  std::uint16_t peer_channel_ = 0;
  state_type state_ = state_type::beginning;
  bool peer_begun_ = false;  // its channel is known
  bool told_ = false;        // the owner knows the session
  bool peer_delivered_ = false;
  bool flow_due_ = false;
  bool dirty_ = false;
};

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
