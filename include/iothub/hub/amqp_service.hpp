// Links of back ends: cloud-to-device messages, feedback, file notifications.
//
// Sending. The address of the link says nothing about the device: properties.to does, as
// "/devices/D/messages/devicebound". Refusals are outcomes of the message with a condition (Microsoft docs "Send
// cloud-to-device messages from an IoT hub"; azure-iot-sdk-node amqp_service_errors.ts).
// Receiving. azure-iot-sdk-csharp takes the delivery tag for a lock token and wants it to be a GUID, with content-type,
// user-id and the annotation iothub-enqueuedtime.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/amqp/message.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/hub/amqp_face_interface.hpp>
#include <iothub/hub/amqp_message.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class amqp_send_node final : public amqp_node {
 public:
  static result<std::unique_ptr<amqp_node>> open(amqp_face& face, amqp::link& which, instant at) {
    if (auto ok = face.claims_.service(operation::send_c2d, "messages/devicebound", at); !ok)
      return std::move(ok).error();
    return std::unique_ptr<amqp_node>{new amqp_send_node{face, which}};
  }
  void start(instant) override { link_.set_prefetch(100); }
  void on_transfer(amqp::delivery const& what, instant at) override {
    auto const sent = send(what, at);
    if (sent)
      link_.settle(what.id);
    else
      face_.reject(link_, what.id, sent.error(), at);
  }
  result<void> permitted(instant at) override {
    return face_.claims_.service(operation::send_c2d, "messages/devicebound", at);
  }

 private:
  amqp_send_node(amqp_face& face, amqp::link& link) : amqp_node{face, link} {}
  result<void> send(amqp::delivery const& what, instant at);
};

// Feedback or file notifications.
class amqp_feedback_node final : public amqp_node, public service_receiver {
 public:
  static result<std::unique_ptr<amqp_node>> open(amqp_face& face, amqp_address const& where, amqp::link& which,
                                                 instant at) {
    if (auto ok = face.claims_.service(operation::receive_feedback, permission_path, at); !ok)
      return std::move(ok).error();
    return std::unique_ptr<amqp_node>{new amqp_feedback_node{face, which, where.place == amqp_place::feedback}};
  }
  ~amqp_feedback_node() override { messages_.remove(*this); }
  void start(instant at) override {
    messages_.add(*this);
    messages_.on_time(at);
  }
  void on_credit(instant at) override { messages_.on_time(at); }
  void on_settled(amqp::settlement const& what, instant at) override {
    if (!what.state.terminal() && !what.settled) return;
    bool const done = what.state.is == amqp::outcome::accepted || what.state.is == amqp::outcome::rejected;
    messages_.settled(what.user, done);
    messages_.on_time(at);
  }
  result<void> permitted(instant at) override {
    return face_.claims_.service(operation::receive_feedback, permission_path, at);
  }

  inline bool take(service_message const& what) override;
  [[nodiscard]] bool answers() const noexcept override {
    return link_.snd_settle_mode() != amqp::sender_settles::settled;
  }

 private:
  static constexpr std::string_view permission_path = "messages/servicebound/feedback";

  amqp_feedback_node(amqp_face& face, amqp::link& link, bool feedback)
      : amqp_node{face, link},
        messages_{feedback ? static_cast<service_messages&>(face.front_.feedback_) : face.front_.files_},
        content_type_{feedback ? "application/vnd.microsoft.iothub.feedback.json"
                               : "application/vnd.microsoft.iothub.filenotification.json"} {}

  service_messages& messages_;
  std::string_view content_type_;
};

// ---------------------------------------------------------------------------------------------------------------------

inline result<void> amqp_send_node::send(amqp::delivery const& what, instant at) {
  c2d_send made;
  amqp::message_view view;
  if (amqp::violation const rule = amqp::read_message(what.payload, view))
    return hub::refuse(errc::bad_request, 400004, std::string{rule.what()});
  if (auto read = read_amqp_message(view, made.content); !read) return read;
  auto const where = parse_amqp_address(made.content.to);
  if (where.place != amqp_place::device_c2d)
    return hub::refuse(errc::bad_request, 400003, "Amqp Message.Properties.To must contain the device identifier");
  if (!where.who.module_id.empty())
    return hub::refuse(errc::bad_request, 400003, "cloud-to-device messages cannot be sent to a module");
  if (auto const ack = text_of(amqp::find(view.application_properties, "iothub-ack")); !ack.empty()) {
    constexpr std::pair<std::string_view, feedback_request> words[] = {{"none", feedback_request::none},
                                                                       {"positive", feedback_request::positive},
                                                                       {"negative", feedback_request::negative},
                                                                       {"full", feedback_request::full}};
    bool known = false;
    for (auto const& [word, request] : words)
      if (iequals(ack, word)) known = true, made.ack = request;
    if (!known) return hub::refuse(errc::bad_request, 400004, "iothub-ack is none of none, positive, negative, full");
  }
  // Some clients write the id as it is, and an id may look as if it were encoded.
  auto const segments = detail::address_segments{where.path};
  auto sent = face_.front_.core_.send_c2d(where.who.device_id, made, at);
  if (!sent && sent.error() == errc::device_not_found && segments.at[1] != where.who.device_id)
    sent = face_.front_.core_.send_c2d(segments.at[1], std::move(made), at);
  if (!sent) return std::move(sent).error();
  return {};
}

inline bool amqp_feedback_node::take(service_message const& what) {
  if (!link_.can_send()) return false;
  amqp_front& front = face_.front_;
  byte_buffer& out = front.scratch_;
  out.clear();
  auto const annotations =
      amqp::value::symbol_map({{"iothub-enqueuedtime", amqp::value::timestamp(to_timestamp(what.made))}});
  amqp::message_view message;
  message.message_annotations = annotations.bytes();
  message.has_properties = true;
  message.properties.user_id = front.entity();
  message.properties.has_user_id = true;
  message.properties.content_type = content_type_;
  message.body = amqp::body_kind::data;
  message.data = what.body;
  amqp::write_message(message, out);
  char tag[uuid_bytes];
  prng{what.id * 0x9e3779b97f4a7c15u + what.deliveries}.fill(tag);
  amqp::outgoing_delivery sent;
  sent.payload = out.view();
  sent.tag = {tag, sizeof tag};
  sent.user = what.id;
  if (!link_.send(sent)) return false;
  face_.output_made();
  return true;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub

#include <iothub/hub/amqp_face.hpp>  // whoever includes this first gets the bodies too
