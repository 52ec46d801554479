// $management of the event endpoint: what partitions there are, and how far each is. A request and its answer:
//
//   operation=READ, type=com.microsoft:eventhub, name=ENTITY        name, type, created_at, partition_count,
//                                                                  partition_ids
//   operation=READ, type=com.microsoft:partition, ..., partition=N  begin_sequence_number, last_enqueued_..., is_empty
//
// Source: @azure/event-hubs managementClient.ts, azure-eventhub _consumer_client.py, azure-event-hubs-node
// managementClient.ts: types and spelling are what they read. The answer goes to the link whose target the request's
// reply-to names.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/send_queue.hpp>
#include <iothub/hub/amqp_face_interface.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class amqp_management_node final : public amqp_node {
 public:
  static result<std::unique_ptr<amqp_node>> open(amqp_face& face, amqp_address const& where, amqp::link& which,
                                                 amqp::attach const& how, instant at);

  void start(instant) override {
    if (!link_.is_sender()) link_.set_prefetch(64);
  }
  inline void on_transfer(amqp::delivery const& what, instant at) override;
  void on_credit(instant) override { waiting_.pump(link_); }
  result<void> permitted(instant at) override { return allowed(face_, at); }

 private:
  amqp_management_node(amqp_face& face, amqp::link& link, std::string reply_to)
      : amqp_node{face, link}, reply_to_{std::move(reply_to)} {}
  // A token for any part of the endpoint will do: clients show one for the entity, for $management, or for a partition.
  static result<void> allowed(amqp_face& face, instant at) {
    std::string const whole{face.front_.entity()};
    auto good = face.claims_.events(whole, at);
    if (!good) good = face.claims_.events(whole + "/$management", at);
    if (!good) good = face.claims_.events("$management", at);
    return good;
  }
  amqp_management_node* reply_node(std::string_view reply_to);
  void read_hub(amqp::writer& w, std::string_view name) const;
  void read_partition(amqp::writer& w, std::string_view name, std::uint32_t partition, std::string_view id) const;

  std::string reply_to_;
  amqp::send_queue waiting_;
};

// ---------------------------------------------------------------------------------------------------------------------

inline result<std::unique_ptr<amqp_node>> amqp_management_node::open(amqp_face& face, amqp_address const& where,
                                                                     amqp::link& which, amqp::attach const& how,
                                                                     instant at) {
  if (auto ok = allowed(face, at); !ok) return std::move(ok).error();
  if (!where.entity.empty() && !face.front_.is_entity(where.entity))
    return hub::refuse(errc::not_found, 404000, "there is no entity of that name; the hub's is its own name");
  return std::unique_ptr<amqp_node>{new amqp_management_node{face, which, std::string{how.target.address}}};
}

inline amqp_management_node* amqp_management_node::reply_node(std::string_view reply_to) {
  amqp_management_node* fallback = nullptr;
  for (auto const& each : face_.nodes_) {
    auto* const node = dynamic_cast<amqp_management_node*>(each.get());
    if (node == nullptr || !node->link_.is_sender()) continue;
    if (!reply_to.empty() && node->reply_to_ == reply_to) return node;
    if (fallback == nullptr || &node->link_.parent() == &link_.parent()) fallback = node;
  }
  return fallback;
}

inline void amqp_management_node::read_hub(amqp::writer& w, std::string_view name) const {
  auto const partitions = face_.front_.core_.events().partitions();
  std::vector<std::string> ids;
  for (std::uint32_t i = 0; i != partitions; ++i) ids.push_back(std::to_string(i));
  auto const begun = w.begin_compound();
  w.string("name"), w.string(name);
  w.string("type"), w.string("com.microsoft:eventhub");
  w.string("created_at"), w.timestamp(to_timestamp(face_.front_.created_));
  w.string("partition_count"), w.int32(static_cast<std::int32_t>(partitions));
  w.string("partition_ids"), w.string_array(ids);
  w.end_map(begun, 10);
}

inline void amqp_management_node::read_partition(amqp::writer& w, std::string_view name, std::uint32_t partition,
                                                 std::string_view id) const {
  event_log const& log = face_.front_.core_.events();
  std::int64_t last = static_cast<std::int64_t>(log.next(partition)) - 1;
  std::string offset = "-1";
  utc_time enqueued = no_time;
  log.newest(partition, [&](event_view const& event) {
    offset = std::to_string(event.offset());
    enqueued = event.enqueued_time();
  });
  bool const empty = log.first(partition) == log.next(partition);
  auto const begun = w.begin_compound();
  w.string("name"), w.string(name);
  w.string("type"), w.string("com.microsoft:partition");
  w.string("partition"), w.string(id);
  w.string("begin_sequence_number"), w.int64(static_cast<std::int64_t>(log.first(partition)));
  w.string("last_enqueued_sequence_number"), w.int64(last);
  w.string("last_enqueued_offset"), w.string(offset);
  w.string("last_enqueued_time_utc"), w.timestamp(to_timestamp(enqueued));
  w.string("is_partition_empty"), w.boolean(empty);
  w.end_map(begun, 16);
}

inline void amqp_management_node::on_transfer(amqp::delivery const& what, instant at) {
  amqp::message_view message;
  if (amqp::read_message(what.payload, message) || message.properties.message_id.empty())
    return face_.reject(link_, what.id, error{errc::bad_request, "this is no request"}, at);
  link_.settle(what.id);
  amqp_management_node* const to = reply_node(message.properties.reply_to);
  if (to == nullptr) return;
  auto const properties = amqp::view_of(message.application_properties);
  auto const text = [&](std::string_view key) { return text_of(amqp::find(properties, key)); };
  std::string const type = text("type");
  std::string const name = text("name");
  std::string const id = text("partition");
  auto const partition = parse_int<std::uint32_t>(id);
  byte_buffer& out = face_.front_.scratch_;
  out.clear();
  amqp::encoded const message_id = message.properties.message_id;
  amqp::writer w{out};
  bool const partitioned = type == "com.microsoft:partition";
  if (!iequals(text("operation"), "READ") || (!partitioned && type != "com.microsoft:eventhub")) {
    amqp::write_response(message_id,
                         {501, "the operation is READ, of com.microsoft:eventhub or com.microsoft:partition"}, out);
  } else if (!face_.front_.is_entity(name)) {
    amqp::write_response(message_id, {404, "there is no entity of that name; the hub's is its own name"}, out);
  } else if (partitioned && (!partition || *partition >= face_.front_.core_.events().partitions())) {
    amqp::write_response(message_id, {404, "there is no such partition"}, out);
  } else {
    amqp::write_response_head(message_id, {200, "OK"}, out);
    w.describe(amqp::descriptor::amqp_value);
    partitioned ? read_partition(w, name, *partition, id) : read_hub(w, name);
  }
  if (!to->waiting_.push(out.view(), to->link_))
    to->link_.detach({amqp::condition::resource_limit_exceeded, "too many answers wait for credit"});
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub

#include <iothub/hub/amqp_face.hpp>  // whoever includes this first gets the bodies too
