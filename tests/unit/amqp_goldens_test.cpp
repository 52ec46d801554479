// What Microsoft's SDKs were seen to send over AMQP, put on a wire to our server: it must see every field of it.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/connection.hpp>

#include "amqp_peers.hpp"
#include "test_data.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::value;

std::string text(json::value const& record, char const* name) {
  auto const found = record[name].as_string();
  return found ? std::string{*found} : std::string{};
}

// A map of the record, with keys and values as an SDK writes them.
std::string map_of(json::value const& members, bool symbol_keys) {
  if (!members.is_object() || members.size() == 0) return {};
  byte_buffer out;
  amqp::writer w{out};
  auto const begun = w.begin_compound();
  std::uint32_t count = 0;
  for (auto const& member : members.members()) {
    auto const content = member.value().as_string();
    if (!content) continue;
    symbol_keys ? w.symbol(member.key()) : w.string(member.key());
    w.string(*content);
    count += 2;
  }
  w.end_map(begun, count);
  return std::string{out.view()};
}

void expect_map(byte_view what, json::value const& members) {
  if (!members.is_object()) return;
  for (auto const& member : members.members())
    if (auto const content = member.value().as_string()) {
      EXPECT_EQ(amqp::find(what, member.key()).as_text(), *content) << member.key();
    }
}

// One attach or transfer after the other on one session, as the records have them.
struct replay : pair {
  json::value current;
  int attaches = 0;
  int transfers = 0;

  using pair::pair;

  void on_attach(amqp::link& which, amqp::attach const& how) {
    ++attaches;
    bool const sends = text(current, "role") == "sender";
    EXPECT_EQ(which.is_sender(), !sends);
    EXPECT_EQ(how.source.address, text(current, "source"));
    EXPECT_EQ(how.target.address, text(current, "target"));
    expect_map(how.properties, current["properties"]);
    expect_map(how.source.filter, current["source_filter"]);
    if (auto const mode = current["snd_settle_mode"].as_int()) {
      EXPECT_EQ(static_cast<int>(how.snd_settle_mode), *mode);
    }
    if (!which.is_sender()) which.add_credit(100);
    which.accept();
  }

  void on_transfer(amqp::link& which, amqp::delivery const& what) {
    ++transfers;
    amqp::message_view message;
    EXPECT_FALSE(amqp::read_message(what.payload, message));
    json::value const& properties = current["properties"];
    EXPECT_EQ(amqp::id_text(message.properties.message_id), text(properties, "message_id"));
    EXPECT_EQ(amqp::id_text(message.properties.correlation_id), text(properties, "correlation_id"));
    EXPECT_EQ(message.properties.to, text(properties, "to"));
    EXPECT_EQ(message.properties.reply_to, text(properties, "reply_to"));
    EXPECT_EQ(message.properties.content_type, text(properties, "content_type"));
    EXPECT_EQ(message.properties.content_encoding, text(properties, "content_encoding"));
    expect_map(message.application_properties, current["application_properties"]);
    expect_map(message.message_annotations, current["message_annotations"]);
    if (text(current, "bodyKind") == "0x75") {
      EXPECT_EQ(message.data, text(current, "body"));
    }
    which.settle(what.id);
  }

  amqp::link* attach_from(amqp::session& on, json::value const& record) {
    std::string const name = text(record, "name") + std::to_string(attaches);
    std::string const properties = map_of(record["properties"], true);
    std::string const filter = map_of(record["source_filter"], true);
    std::string const source = text(record, "source");
    std::string const target = text(record, "target");
    amqp::attach how;
    how.name = name;
    how.role = text(record, "role") == "sender" ? amqp::link_role::sender : amqp::link_role::receiver;
    if (auto const mode = record["snd_settle_mode"].as_int())
      how.snd_settle_mode = static_cast<amqp::sender_settles>(*mode);
    how.has_source = how.has_target = true;
    how.source = amqp::source::at(source);
    how.source.filter = filter;
    how.target = amqp::target::at(target);
    how.properties = properties;
    auto made = on.attach(how);
    EXPECT_TRUE(made.has_value());
    return made ? *made : nullptr;
  }

  static std::string message_from(json::value const& record) {
    json::value const& from = record["properties"];
    value const id{text(from, "message_id")};
    value const correlation{text(from, "correlation_id")};
    std::string const application = map_of(record["application_properties"], false);
    std::string const annotations = map_of(record["message_annotations"], true);
    std::string const body = text(record, "body");
    std::string const to = text(from, "to");
    std::string const reply_to = text(from, "reply_to");
    std::string const content_type = text(from, "content_type");
    std::string const content_encoding = text(from, "content_encoding");
    amqp::message_view message;
    message.has_properties = true;
    if (from["message_id"].is_string()) message.properties.message_id = id.bytes();
    if (from["correlation_id"].is_string()) message.properties.correlation_id = correlation.bytes();
    message.properties.to = to;
    message.properties.reply_to = reply_to;
    message.properties.content_type = content_type;
    message.properties.content_encoding = content_encoding;
    message.application_properties = application;
    message.message_annotations = annotations;
    message.body = amqp::body_kind::data;
    message.data = body;
    byte_buffer out;
    amqp::write_message(message, out);
    return std::string{out.view()};
  }
};

TEST(AmqpGoldens, OurServerSeesWhatTheSdksSend) {
  json::value const all = iothub_test::load("goldens.json");
  amqp::connection_options full = named("server");
  full.lists = amqp::list_form::full;
  full.max_frame_size = 512;
  replay p{1u << 20, named("client"), full};
  p.s.attach = [&](amqp::link& which, amqp::attach const& how) { p.on_attach(which, how); };
  p.s.transfer = [&](amqp::link& which, amqp::delivery const& what) { p.on_transfer(which, what); };
  amqp::session& on = p.connect();
  amqp::link* sender = nullptr;
  for (json::value const& record : all.elements()) {
    if (text(record, "protocol") != "amqp") continue;
    std::string const event = text(record, "event");
    p.current = record;
    if (event == "attach") {
      amqp::link* const made = p.attach_from(on, record);
      ASSERT_NE(made, nullptr);
      p.run();
      EXPECT_EQ(made->state(), amqp::link::state_type::attached);
      if (made->is_sender()) sender = made;
    } else if (event == "transfer" && sender) {
      std::string const message = replay::message_from(record);
      ASSERT_TRUE(sender->send({.payload = message}).has_value());
      p.run();
    }
  }
  EXPECT_GT(p.attaches, 30);
  EXPECT_GT(p.transfers, 15);
}

}  // namespace
