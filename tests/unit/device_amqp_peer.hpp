// The AMQP dialect of a device with a scripted hub at the other end of a wire that is always ready: what it sends is
// written down in words, what it is told is the test's choice.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/message.hpp>
#include <iothub/device/amqp_dialect.hpp>

namespace device_amqp_test {

using namespace iothub;
using namespace std::chrono_literals;
using lines = std::vector<std::string>;
using iothub::message;

inline constexpr std::string_view token_text =
    "SharedAccessSignature sr=hub.example%2Fdevices%2Fd1&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&se=1700003600";

inline std::string print(byte_view payload) {
  amqp::message_view m;
  if (amqp::violation const rule = amqp::read_message(payload, m)) return "broken: " + std::string{rule.what()};
  std::string out;
  if (!m.message_annotations.empty()) out += "A" + amqp::to_text(m.message_annotations) + " ";
  if (!m.application_properties.empty()) out += "P" + amqp::to_text(m.application_properties) + " ";
  if (!m.value.empty()) out += amqp::to_text(m.value);
  amqp::for_each_data(m, [&](byte_view part) { out.append(part); });
  return out;
}

// The hub's half of one connection.
struct peer final : amqp::connection_handler {
  struct seen_attach {
    std::string name, source, target, properties;
    bool device_sends = false;
    int snd = 0, rcv = 0;
    std::map<std::string, std::string> property = {};
  };
  struct seen_message {
    std::string where, text, payload;
    std::uint32_t id = 0;
    amqp::link* from = nullptr;
    bool settled = false;
  };

  std::deque<seen_attach> attaches;
  std::deque<seen_message> messages;     // from the device, without tokens
  std::vector<std::string> tokens;       // "name token"
  std::vector<std::string> dispositions; // "address tag outcome"
  std::string closed;
  amqp::request_status token_answer{200, "OK"};
  bool answers_tokens = true;
  bool accepts_telemetry = true;
  bool answers_put = true;
  std::uint32_t telemetry_credit = 100;
  std::map<std::string, amqp::error_view> refused;  // by address
  std::map<std::string, amqp::link*> to_device;     // links of this side by address
  std::map<std::string, amqp::link*> from_device;
  amqp::session* session = nullptr;
  amqp::cbs_server cbs;
  std::vector<amqp::link*> cbs_links;
  amqp::send_queue put_answers;

  [[nodiscard]] bool is_cbs(amqp::link const& which) const {
    for (auto const* each : cbs_links)
      if (each == &which) return true;
    return false;
  }
  void on_open(amqp::open const&, time_point) override {}
  void on_session(amqp::session& which, time_point) override { session = &which; }
  void on_attach(amqp::link& which, amqp::attach const& how, time_point) override {
    std::string const address{which.is_sender() ? how.source.address : how.target.address};
    if (address == "$cbs") {
      cbs_links.push_back(&which);
      return cbs.attach(which, how);
    }
    seen_attach seen{std::string{how.name}, std::string{how.source.address}, std::string{how.target.address},
                     amqp::to_text(how.properties)};
    seen.device_sends = !which.is_sender();
    seen.snd = static_cast<int>(how.snd_settle_mode);
    seen.rcv = static_cast<int>(how.rcv_settle_mode);
    amqp::reader in{amqp::view_of(how.properties)};
    for (amqp::value_view key, content; in.next(key) && in.next(content);)
      seen.property[std::string{key.content()}] = std::string{content.content()};
    attaches.push_back(std::move(seen));
    if (auto const found = refused.find(address); found != refused.end()) return which.refuse(found->second);
    which.accept();
    if (which.is_sender()) {
      to_device[address] = &which;
    } else {
      from_device[address] = &which;
      if (address.ends_with("/messages/events"))
        which.add_credit(telemetry_credit);
      else
        which.set_prefetch(100);
    }
  }
  void on_transfer(amqp::link& which, amqp::delivery const& what, time_point) override {
    if (is_cbs(which)) {
      if (!answers_tokens) {
        which.settle(what.id);
        tokens.emplace_back("unanswered");
        return;
      }
      return cbs.receive(which, what, [&](amqp::put_token const& request) {
        tokens.push_back(std::string{request.name} + " " + std::string{request.token} + " " + std::string{request.type});
        return token_answer;
      });
    }
    std::string where = "?";
    for (auto const& [address, link] : from_device)
      if (link == &which) where = address;
    messages.push_back({where, print(what.payload), std::string{what.payload}, what.id, &which, what.settled});
    if (answers_put && where.ends_with("/twin")) answer_put(where, what.payload);
    if (!where.ends_with("/messages/events") || accepts_telemetry) which.settle(what.id);
  }
  void answer_put(std::string const& address, byte_view request) {
    amqp::message_view asked;
    if (amqp::read_message(request, asked)) return;
    if (amqp::find(asked.message_annotations, "operation").as_text() != std::string_view{"PUT"}) return;
    auto const annotations = amqp::value::symbol_map({{"status", std::int32_t{200}}});
    amqp::message_view m;
    m.message_annotations = annotations.bytes();
    m.has_properties = true;
    m.properties.correlation_id = asked.properties.correlation_id;
    byte_buffer out;
    amqp::write_message(m, out);
    EXPECT_TRUE(put_answers.push(out.view(), *to_device[address]));  // the credit may still be on its way
  }
  void on_disposition(amqp::link&, amqp::settlement const& what, time_point) override {
    constexpr char const* names[] = {"none", "received", "accepted", "rejected", "released", "modified", "other"};
    dispositions.push_back(std::to_string(what.user) + " " + names[static_cast<int>(what.state.is)] +
                           (what.state.error ? " " + std::string{what.state.error.condition} : ""));
  }
  void on_detached(amqp::link& which, amqp::end_reason const&, time_point) override {
    if (is_cbs(which)) cbs.on_detached(which);
    for (auto* map : {&to_device, &from_device})
      for (auto at = map->begin(); at != map->end();) at = at->second == &which ? map->erase(at) : std::next(at);
  }
  void on_credit(amqp::link& which, time_point) override {
    if (is_cbs(which)) return cbs.on_credit(which);
    if (which.name().ends_with("_TwinReceiverLink")) put_answers.pump(which);
  }
  void on_closed(error const& reason, amqp::error_view const& why, time_point) override {
    closed = std::string{to_string(reason.code())} + (why ? " " + std::string{why.condition} : "");
  }
};

// A model of amqp_transport whose wire is always ready. Each open() meets a hub of its own; the last one is `hub`.
struct wire {
  amqp::connection_options options, server_options{.container_id = "hub", .idle_timeout = 0s};
  std::unique_ptr<peer> hub;
  std::unique_ptr<amqp::connection> client, server;
  void (*prepare)(peer&) = nullptr;
  endpoint where;
  int opened = 0;
  int woken = 0;
  bool cut = false;  // nothing is carried

  result<void> open(endpoint const& at, amqp::connection_options const& how, amqp::sasl_credentials login,
                    amqp::connection_handler& owner, time_point now) {
    where = at;
    ++opened;
    options = how;
    cut = false;
    hub = std::make_unique<peer>();
    if (prepare != nullptr) prepare(*hub);
    client = std::make_unique<amqp::connection>(amqp::connection_role::client, owner, options, now);
    server = std::make_unique<amqp::connection>(amqp::connection_role::server, *hub, server_options, now);
    return client->open(std::move(login), now);
  }
  amqp::connection* connection() { return client.get(); }
  void close() {
    if (client) client->close();
  }
  void drop() {
    if (client && server && server->state() != amqp::connection::state_type::closed)
      server->link_lost(errc::connection_lost, {});
    client.reset();
  }
  void wake() { ++woken; }
  void attach(loop&, participant&) {}
  [[nodiscard]] time_point deadline() const { return never; }
  void step(time_point now) {
    for (bool moved = client && !cut; moved;) {
      client->step(now);
      server->step(now);
      moved = carry(*client, *server, now);
      moved = carry(*server, *client, now) || moved;
    }
  }
  static bool carry(amqp::connection& from, amqp::connection& to, time_point now) {
    std::string const out{from.output()};
    from.consume(out.size());
    if (!out.empty()) to.receive(out, now);
    return !out.empty();
  }
};
static_assert(amqp_transport<wire>);

struct dialect_world {
  wire net;
  amqp_dialect<wire&> speaks{net};
  device_event event;
  time_point now{1h};
  connection_parameters parameters;

  explicit dialect_world(char const* module_id = "") {
    parameters.where = {.host = "gateway.example", .port = 5671};
    parameters.hub = "hub.example";
    parameters.who = {.device_id = "d1", .module_id = module_id};
    parameters.model_id = "dtmi:com:example:T;1";
    parameters.product_info = "acme/1";
    parameters.seed = 7;
  }
  void open(std::string_view token = token_text) {
    EXPECT_TRUE(speaks.open(parameters, token, now));
    step();
  }
  void connect(std::string_view token = token_text) {
    open(token);
    ASSERT_TRUE(next());
    ASSERT_EQ(event.kind, device_event_kind::ready) << (event.outcome ? "" : event.outcome.error().message());
    EXPECT_FALSE(next());
  }
  // Connected, with these features delivered.
  void enable(feature_set which) {
    EXPECT_TRUE(speaks.enable(which, now));
    step();
    feature_set got;
    while (next()) {
      ASSERT_EQ(event.kind, device_event_kind::features_ready);
      EXPECT_TRUE(event.outcome);
      got = got | event.features;
      step();
    }
    EXPECT_EQ(got, which);
  }
  void step() { speaks.step(now); }
  bool next() { return speaks.next_event(event, now); }
  peer& hub() { return *net.hub; }
  std::string error_text() { return event.outcome ? "no error" : std::string{event.outcome.error().message()}; }

  // The hub sends a message on its link at that address.
  void say(std::string const& address, amqp::message_view const& what, std::uint64_t user = 0) {
    byte_buffer out;
    amqp::write_message(what, out);
    amqp::link* const to = hub().to_device[address];
    ASSERT_NE(to, nullptr) << address;
    EXPECT_TRUE(to->send({.payload = out.view(), .user = user}));
    step();
  }
  void call(std::string_view name, std::string_view id, std::string_view payload) {
    amqp::value const correlation{id};
    auto const properties = amqp::value::string_map({{"IoThub-methodname", name}});
    amqp::message_view m;
    m.has_properties = true;
    m.properties.correlation_id = correlation.bytes();
    m.application_properties = properties.bytes();
    m.body = amqp::body_kind::data;
    m.data = payload;
    say("/devices/d1/methods/devicebound", m);
  }
  // The answer to the last twin request, as the hub gives it.
  void answer_twin(int status, std::optional<std::int64_t> version, std::string_view body) {
    ASSERT_FALSE(hub().messages.empty());
    std::string const request = hub().messages.back().payload;
    amqp::message_view asked;
    ASSERT_FALSE(amqp::read_message(request, asked));
    auto const annotations = amqp::value::made([&](amqp::writer& w) {
      auto const begun = w.begin_compound();
      w.symbol("status"), w.int32(status);
      if (version) w.symbol("version"), w.int64(*version);
      w.end_map(begun, version ? 4 : 2);
    });
    amqp::message_view m;
    m.message_annotations = annotations.bytes();
    m.has_properties = true;
    m.properties.correlation_id = asked.properties.correlation_id;
    m.body = amqp::body_kind::data;
    m.data = body;
    say("/devices/d1/twin", m);
  }
};

inline message text(std::string_view body) {
  message m;
  m.body = message_body{body};
  return m;
}

}  // namespace device_amqp_test
