// Bodies of amqp_face.hpp.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/hub/amqp_device.hpp>
#include <iothub/hub/amqp_events.hpp>
#include <iothub/hub/amqp_face_interface.hpp>
#include <iothub/hub/amqp_management.hpp>
#include <iothub/hub/amqp_service.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

inline amqp_face::amqp_face(amqp_front& front, std::string peer)
    : front_{front}, claims_{front.core_, front.policy_keys_}, peer_{std::move(peer)} {}

inline amqp_face::~amqp_face() { release(); }

inline void amqp_face::release() noexcept {
  work_.clear();
  working_.clear();
  nodes_.clear();
}

// --- work ------------------------------------------------------------------------------------------------------------

inline void amqp_face::work_for(amqp_node& node) {
  if (std::exchange(node.has_work_, true)) return;
  // There is room for every node: whoever appended an event can do nothing about a reader's memory.
  work_.push_back(&node);
  output_made();
}

inline void amqp_face::settle_later(amqp::link& which, std::uint32_t delivery, time_point due) {
  later_.push_back({due, &which, delivery});
  output_made();
}

inline void amqp_face::on_time(time_point now) {
  if (broken_) connection_->link_lost(errc::out_of_memory, now);
  if (claims_.deadline() <= now) {
    instant const at = touched(now);
    if (claims_.expire(at)) detach_unpermitted(at);
    weigh(now);
  }
  if (token_due_ <= now) {
    token_due_ = never;
    log(log_level::warning, touched(now), "refused", "no token was shown on the connection in time");
    connection_->close({amqp::condition::unauthorized_access, "no token was shown in time"});
  }
  for (std::size_t i = 0; i < later_.size();) {
    if (later_[i].due > now) {
      ++i;
      continue;
    }
    later_settlement const done = later_[i];
    later_.erase(later_.begin() + static_cast<std::ptrdiff_t>(i));
    done.link->settle(done.delivery);
  }
  if (work_.empty() && working_.empty()) return;
  instant const at = touched(now);
  if (!working_.empty()) work_through(at);  // an exception left it in the middle
  working_.swap(work_);
  work_through(at);
}

inline void amqp_face::work_through(instant at) {
  for (std::size_t i = 0; i != working_.size(); ++i) {
    amqp_node* const node = std::exchange(working_[i], nullptr);
    if (node == nullptr) continue;  // it went meanwhile
    node->has_work_ = false;
    node->work(at);
  }
  working_.clear();
}

inline time_point amqp_face::deadline() const noexcept {
  time_point due = claims_.deadline() < token_due_ ? claims_.deadline() : token_due_;
  for (auto const& each : later_)
    if (each.due < due) due = each.due;
  return due;
}

inline void amqp_face::detach_unpermitted(instant at) {
  for (auto const& each : nodes_) {
    if (each->link_.state() != amqp::link::state_type::attached) continue;
    auto const good = each->permitted(at);
    if (!good) each->link_.detach(refusal(good.error()).view());
  }
}

// --- who it is -------------------------------------------------------------------------------------------------------

inline std::optional<amqp::sasl_code> amqp_face::on_sasl(amqp::sasl_login const& who, time_point now) {
  if (who.mechanism != amqp::sasl_mechanism::plain) return amqp::sasl_code::ok;  // claims follow on $cbs
  instant const at = touched(now);
  auto const good = claims_.add_login(who.user, who.password, at);
  if (good) return amqp::sasl_code::ok;
  log(log_level::warning, at, "refused", good.error().message());
  return amqp::sasl_code::auth;
}

inline void amqp_face::on_open(amqp::open const& peer, time_point now) {
  weigh(now);
  peer_host_ = host_of_address("amqp://" + std::string{peer.hostname});
}

inline amqp::request_status amqp_face::put_token(amqp::put_token const& request, instant at) {
  constexpr std::string_view types[] = {"servicebus.windows.net:sastoken", "azure-devices.net:sastoken", "jwt",
                                        "bearer"};
  bool known = false;
  for (auto const each : types) known = known || iequals(each, request.type);
  if (!known) return {400, "this type of token is not supported"};
  auto const good = claims_.add(request.name, request.token, at);
  if (good) {
    weigh(at.now);
    renew_devices(at);
    return {200, "OK"};
  }
  log(log_level::warning, at, "refused", good.error().message());
  if (good.error() == errc::quota_exceeded) return {403, "too many tokens on one connection"};
  // One answer for an unknown identity and for a wrong key: who has none is not told what there is. The log knows.
  return {401, "Token or Certificate is invalid."};
}

inline void amqp_face::weigh(time_point now) noexcept {
  bool const stranger = claims_.empty();
  token_due_ = stranger ? add(now, connection_->options().open_timeout) : never;
  connection_->limit_assembling(stranger ? stranger_bytes : connection_->options().max_assembling);
}

inline void amqp_face::log(log_level level, instant at, std::string_view event, std::string_view reason) {
  if (peer_.empty()) return front_.log(level, at, event, {}, reason);
  front_.log(level, at, event, {}, std::string{reason}.append(" (from ").append(peer_).append(")"));
}

inline void amqp_face::cut_off(std::string_view why, instant at) {
  log(log_level::warning, at, "refused", why);
  connection_->close({amqp::condition::resource_limit_exceeded, why});
}

// --- sessions --------------------------------------------------------------------------------------------------------

inline void amqp_face::on_session(amqp::session&, time_point now) {
  if (++sessions_ > stranger_sessions && claims_.empty())
    cut_off("too many sessions on a connection without a token", touched(now));
}

inline void amqp_face::on_ended(amqp::session&, amqp::end_reason const&, time_point) { --sessions_; }

// --- links -----------------------------------------------------------------------------------------------------------

inline void amqp_face::on_attach(amqp::link& which, amqp::attach const& how, time_point now) {
  instant const at = touched(now);
  if (++links_ > stranger_links && claims_.empty())
    return cut_off("too many links on a connection without a token", at);
  // The node is where messages of this side come from, or where the peer's go to.
  bool const named =
      which.is_sender() ? how.has_source && how.source.has_address : how.has_target && how.target.has_address;
  auto const where = parse_amqp_address(!named             ? std::string_view{}
                                        : which.is_sender() ? how.source.address
                                                            : how.target.address);
  if (where.place == amqp_place::cbs) {
    if (cbs_links_ == max_cbs_links)
      return refuse(which, hub::refuse(errc::quota_exceeded, 403005, "too many links of $cbs on one connection"), at);
    which.user = cbs_mark;
    ++cbs_links_;
    return cbs_.attach(which, how);
  }
  if (where.place == amqp_place::hub_events) return redirect(which, where, at);
  auto made = open_node(where, which, how, at);
  if (!made) return refuse(which, made.error(), at);
  amqp_node& node = **made;
  node.place_in_face_ = nodes_.size();
  if (work_.capacity() <= nodes_.size()) work_.reserve(2 * nodes_.size() + 1);
  if (working_.capacity() <= nodes_.size()) working_.reserve(2 * nodes_.size() + 1);
  nodes_.push_back(std::move(*made));
  which.context = &node;
  which.accept(node.answer());
  node.start(at);
}

inline result<std::unique_ptr<amqp_node>> amqp_face::open_node(amqp_address const& where, amqp::link& which,
                                                               amqp::attach const& how, instant at) {
  auto const direction = [&](bool right) -> result<void> {
    if (right) return {};
    return error{errc::forbidden, "links of this address go the other way"};
  };
  switch (where.place) {
    case amqp_place::management: return amqp_management_node::open(*this, where, which, how, at);
    case amqp_place::events:
      if (auto ok = direction(which.is_sender()); !ok) return std::move(ok).error();
      return amqp_event_node::open(*this, where, which, how, at);
    case amqp_place::send_c2d:
      if (auto ok = direction(!which.is_sender()); !ok) return std::move(ok).error();
      return amqp_send_node::open(*this, which, at);
    case amqp_place::feedback:
    case amqp_place::file_notifications:
      if (auto ok = direction(which.is_sender()); !ok) return std::move(ok).error();
      return amqp_feedback_node::open(*this, where, which, at);
    case amqp_place::device_events:
    case amqp_place::device_c2d:
      if (auto ok = direction(which.is_sender() == (where.place == amqp_place::device_c2d)); !ok)
        return std::move(ok).error();
      return open_device_node(where, which, how, at);
    case amqp_place::device_methods:
    case amqp_place::device_twin: return open_device_node(where, which, how, at);
    default: return hub::refuse(errc::not_found, 404000, "there is no node of that address");
  }
}

inline void amqp_face::refuse(amqp::link& which, error const& why, instant at) {
  log(log_level::warning, at, "refused", why.message());
  refuse(which, refusal(why).view(), at);
}

// A refused link is there until the peer agrees (AMQP 1.0 Part 2, 2.6.3), which costs it nothing.
inline void amqp_face::refuse(amqp::link& which, amqp::error_view const& why, instant at) {
  if (refused_links_ == max_refused_links) return cut_off("too many refused links that the peer does not let go", at);
  which.user = refused_mark;
  ++refused_links_;
  which.refuse(why);
}

// azure-event-hubs-node client_from_connection_string and azure-iot-cli read `address`: the first wants ":5671/" in
// front of the entity, the second the second part of the path.
inline void amqp_face::redirect(amqp::link& which, amqp_address const& where, instant at) {
  // azure-event-hubs-node shows a token for "sb://host/messages/events/$management", signed the way of IoT Hub.
  if (auto const good = claims_.events(where.path, at); !good) return refuse(which, good.error(), at);
  std::string const host = front_.core_.is_host(peer_host_) ? peer_host_ : front_.core_.options().hostname;
  std::string address = "amqps://" + host + ':' + std::to_string(front_.port_) + '/';
  address.append(front_.entity()).append("/").append(where.rest);
  auto const info = amqp::value::symbol_map({{"hostname", host},
                                             {"network-host", host},
                                             {"port", std::uint32_t{front_.port_}},
                                             {"address", address}});
  refuse(which, {amqp::condition::link_redirect, "the event endpoint is " + address, info.bytes()}, at);
}

inline void amqp_face::on_credit(amqp::link& which, time_point now) {
  if (which.user == cbs_mark) return cbs_.on_credit(which);
  if (amqp_node* const node = node_of(which)) node->on_credit(touched(now));
}

inline void amqp_face::on_transfer(amqp::link& which, amqp::delivery const& what, time_point now) {
  instant const at = touched(now);
  if (which.user == cbs_mark)
    return cbs_.receive(which, what, [&](amqp::put_token const& request) { return put_token(request, at); });
  if (amqp_node* const node = node_of(which)) node->on_transfer(what, at);
}

inline void amqp_face::on_disposition(amqp::link& which, amqp::settlement const& what, time_point now) {
  if (amqp_node* const node = node_of(which)) node->on_settled(what, touched(now));
}

inline void amqp_face::on_detached(amqp::link& which, amqp::end_reason const&, time_point now) {
  --links_;
  if (which.user == refused_mark) --refused_links_;
  if (which.user == cbs_mark) {
    --cbs_links_;
    return cbs_.on_detached(which);
  }
  for (std::size_t i = later_.size(); i-- != 0;)
    if (later_[i].link == &which) later_.erase(later_.begin() + static_cast<std::ptrdiff_t>(i));
  amqp_node* const node = node_of(which);
  if (node == nullptr) return;
  [[maybe_unused]] instant const at = touched(now);
  std::replace(working_.begin(), working_.end(), node, static_cast<amqp_node*>(nullptr));
  if (node->has_work_)
    for (auto& each : work_)
      if (each == node) {
        each = work_.back();
        work_.pop_back();
        break;
      }
  std::size_t const place = node->place_in_face_;
  auto const gone = std::move(nodes_[place]);
  if (place + 1 != nodes_.size()) {
    nodes_[place] = std::move(nodes_.back());
    nodes_[place]->place_in_face_ = place;
  }
  nodes_.pop_back();
}

inline void amqp_face::on_closed(error const& reason, amqp::error_view const&, time_point now) {
  token_due_ = never;
  if (reason == errc::closed || reason == errc::connection_lost) return;  // whoever has the stream knows of that
  log(log_level::info, front_.host_.at(now), "closed", reason.message());
}

inline void amqp_face::reject(amqp::link& which, std::uint32_t delivery, error const& why, instant at) {
  log(log_level::warning, at, "rejected", why.message());
  which.settle(delivery, amqp::delivery_state::rejected(refusal(why).view()));
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
