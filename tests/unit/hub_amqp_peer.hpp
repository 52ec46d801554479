// A hub core with its AMQP front, a clock that stands still, and a scripted client on a wire of bytes.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/amqp/message.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/hub/amqp_face.hpp>

#include "hub_world.hpp"

namespace hub_amqp_test {

using namespace iothub;
using namespace std::chrono_literals;
using hub_test::world;

inline hub::options small_hub() {
  hub::options o = hub_test::plain_options();
  o.retention.partitions = 2;
  return o;
}

struct amqp_world final : world, hub::face_host {
  explicit amqp_world(hub::options o = small_hub()) : world{std::move(o)}, front{hub, *this, keys, &log} {}

  using world::at;
  hub::amqp_front front;

  [[nodiscard]] utc_time wall_clock() const override { return at.utc; }
  void core_touched() override {}

  void pass(duration by) {
    advance(by);
    front.on_time(at.now);
  }
  std::string service_token(std::string_view policy = "iothubowner", std::int64_t lifetime = 3600) {
    return token(hub.find_policy(policy)->primary_key, "h.azure-devices.net", lifetime, policy);
  }
  std::string device_token(std::string_view id, std::int64_t lifetime = 3600) {
    return token(key_of(id), "h.azure-devices.net%2Fdevices%2F" + std::string{id}, lifetime);
  }
  std::string key_of(std::string_view id) {
    return hub.get_identity({std::string{id}, {}}).value().authentication.primary_key;
  }
  // Event Hubs' way: the text of the key signs.
  std::string events_token(std::string_view resource, std::string_view policy = "iothubowner",
                           std::int64_t lifetime = 3600) {
    std::string const key = hub.find_policy(policy)->primary_key;
    return token(to_base64(key), percent_encode(resource), lifetime, policy);
  }
  // An event of a device, straight into the log.
  void event(std::uint32_t partition, std::string_view body, std::string_view device = "d1") {
    hub::d2c_message what;
    what.body = body;
    hub.events().append(partition, {.device_id = device, .generation = 7}, what, at.utc);
  }
};

// One side of a message for people: "id=.. to=.. ct=.. {annotations} {properties} body".
inline std::string print(byte_view payload) {
  amqp::message_view m;
  if (amqp::violation const rule = amqp::read_message(payload, m)) return "broken: " + std::string{rule.what()};
  std::string out;
  auto const add = [&](std::string_view name, std::string_view text) {
    if (!text.empty()) out.append(out.empty() ? "" : " ").append(name).append(text);
  };
  if (!m.properties.message_id.empty()) add("id=", amqp::to_text(m.properties.message_id));
  if (!m.properties.correlation_id.empty()) add("cid=", amqp::to_text(m.properties.correlation_id));
  add("uid=", m.properties.user_id);
  add("to=", m.properties.to);
  add("ct=", m.properties.content_type);
  add("ce=", m.properties.content_encoding);
  if (!m.delivery_annotations.empty()) add("D", amqp::to_text(m.delivery_annotations));
  if (!m.message_annotations.empty()) add("A", amqp::to_text(m.message_annotations));
  if (!m.application_properties.empty()) add("P", amqp::to_text(m.application_properties));
  if (!amqp::view_of(m.value).is_null()) add("", amqp::to_text(m.value));
  std::string body;
  amqp::for_each_data(m, [&](byte_view part) { body.append(part); });
  add("", body);
  return out;
}

struct client_face : hub::amqp_face {
  using amqp_face::amqp_face;
};

// A client connection and the hub's side of it.
class amqp_client final : public amqp::connection_handler {
 public:
  struct received {
    std::string text;
    std::uint32_t id;
    std::string tag;
    std::string payload;
  };

  explicit amqp_client(amqp_world& w, amqp::sasl_credentials with = {})
      : w_{w},
        options_{.container_id = "client", .hostname = "h.azure-devices.net"},
        face_{w.front},
        server_{amqp::connection_role::server, face_, w.front.connection_options(), w.at.now},
        client_{amqp::connection_role::client, *this, options_, w.at.now} {
    face_.attach(server_);
    EXPECT_TRUE(client_.open(std::move(with), w.at.now).has_value());
    run();
    if (client_.state() != amqp::connection::state_type::open) return;
    session = client_.begin().value();
    run();
  }
  ~amqp_client() { server_.link_lost(errc::connection_lost, w_.at.now); }

  void run() {
    for (bool moved = true; moved;) {
      w_.front.on_time(w_.at.now);
      face_.on_time(w_.at.now);
      client_.step(w_.at.now);
      server_.step(w_.at.now);
      moved = move(client_, server_);
      moved = move(server_, client_) || moved;
    }
  }
  // Lets time pass, with the heartbeats that belong to it.
  void pass(duration by) {
    for (; by > duration{}; by -= 30s) {
      w_.pass(by < 30s ? by : 30s);
      run();
    }
  }
  [[nodiscard]] bool open() const { return client_.state() == amqp::connection::state_type::open; }
  [[nodiscard]] amqp::connection& connection() { return client_; }
  [[nodiscard]] amqp::connection& server() { return server_; }
  [[nodiscard]] time_point face_deadline() const { return face_.deadline(); }

  // The status of the answer, "200 OK".
  std::string put_token(std::string_view audience, std::string_view token,
                        std::string_view type = "servicebus.windows.net:sastoken") {
    amqp::link* const in = link("$cbs", amqp::link_role::receiver, "cbs-reply");
    amqp::link* const out = link("$cbs", amqp::link_role::sender);
    amqp::value const id{"put-1"};
    byte_buffer message;
    amqp::put_token request;
    request.type = type;
    request.name = audience;
    request.token = token;
    request.message_id = id.bytes();
    request.reply_to = "cbs-reply";
    amqp::write_put_token(request, message);
    send(out, message.view());
    auto const got = take(in);
    return got.size() == 1 ? got[0].text : "answers: " + std::to_string(got.size());
  }

  // A link to or from an address; the same one when it is there already. Credit is given in plenty.
  amqp::link* link(std::string_view address, amqp::link_role role, std::string_view local = "here",
                   amqp::value const& filter = {}, amqp::value const& properties = {}, std::uint32_t credit = 1000,
                   amqp::value const& desired = {}) {
    std::string const name = std::string{address} + (role == amqp::link_role::sender ? ">" : "<");
    if (auto const found = links_.find(name); found != links_.end() && local != "another") return found->second;
    amqp::attach how;
    std::string const own_name = name + std::to_string(++count_);
    how.name = own_name;
    how.role = role;
    how.has_source = how.has_target = true;
    how.source = amqp::source::at(role == amqp::link_role::sender ? local : address);
    how.target = amqp::target::at(role == amqp::link_role::sender ? address : local);
    if (!filter.is_null()) how.source.filter = filter.bytes();
    how.properties = properties.bytes();
    how.desired_capabilities = desired.bytes();
    amqp::link* const made = session->attach(how).value();
    links_[name] = made;
    if (role == amqp::link_role::receiver && credit != 0) made->add_credit(credit);
    run();
    return made;
  }
  amqp::link* receiver(std::string_view address) { return link(address, amqp::link_role::receiver); }
  amqp::link* sender(std::string_view address) { return link(address, amqp::link_role::sender); }

  // The outcome of a message, "accepted" or "rejected amqp:not-found: text".
  std::string send(amqp::link* to, byte_view message, std::uint32_t format = 0) {
    outcome_ = "none";
    amqp::outgoing_delivery what;
    what.payload = message;
    what.message_format = format;
    auto const sent = to->send(what);
    if (!sent) return "not sent: " + std::string{sent.error().message()};
    run();
    return outcome_;
  }
  std::string send(amqp::link* to, amqp::message_view const& message) {
    byte_buffer out;
    amqp::write_message(message, out);
    return send(to, out.view());
  }

  // What came on a link since the last call.
  std::vector<received> take(amqp::link* from) { return std::exchange(came_[from], {}); }
  std::vector<std::string> texts(amqp::link* from) {
    std::vector<std::string> out;
    for (auto& each : take(from)) out.push_back(std::move(each.text));
    return out;
  }
  std::vector<std::string> bodies(amqp::link* from) {
    std::vector<std::string> out;
    for (auto const& each : take(from)) {
      amqp::message_view m;
      EXPECT_FALSE(amqp::read_message(each.payload, m));
      out.emplace_back(m.data);
    }
    return out;
  }
  // How a link ended: "amqp:not-found: text"; empty while it lives. The names of all that ended.
  std::string ended(std::string_view address) {
    for (auto const& [name, why] : ended_)
      if (name.substr(0, address.size()) == address) return why;
    return {};
  }
  std::string info;  // of the last detach
  std::string closed;
  std::vector<std::string> order;  // of what came
  amqp::session* session = nullptr;

  // --- amqp::connection_handler
  void on_open(amqp::open const&, time_point) override {}
  void on_transfer(amqp::link& which, amqp::delivery const& what, time_point) override {
    order.emplace_back("transfer");
    came_[&which].push_back({print(what.payload), what.id, std::string{what.tag}, std::string{what.payload}});
  }
  void on_disposition(amqp::link&, amqp::settlement const& what, time_point) override {
    order.emplace_back("settled");
    outcome_ = what.state.is == amqp::outcome::accepted   ? "accepted"
               : what.state.is == amqp::outcome::rejected ? "rejected"
                                                          : "other";
    if (what.state.error)
      outcome_.append(" ").append(what.state.error.condition).append(": ").append(what.state.error.description);
  }
  void on_detached(amqp::link& which, amqp::end_reason const& why, time_point) override {
    ended_.emplace_back(which.name(), std::string{why.error.condition} + ": " + std::string{why.error.description});
    info = amqp::to_text(why.error.info);
    for (auto i = links_.begin(); i != links_.end();) i = i->second == &which ? links_.erase(i) : std::next(i);
  }
  void on_closed(error const& reason, amqp::error_view const&, time_point) override {
    closed = to_string(reason.code());
  }

 private:
  bool move(amqp::connection& from, amqp::connection& to) {
    std::string const out{from.output()};
    from.consume(out.size());
    if (!out.empty()) to.receive(out, w_.at.now);
    return !out.empty();
  }

  amqp_world& w_;
  amqp::connection_options options_;
  client_face face_;
  amqp::connection server_;
  amqp::connection client_;
  std::map<std::string, amqp::link*> links_;
  std::map<amqp::link*, std::vector<received>> came_;
  std::vector<std::pair<std::string, std::string>> ended_;
  std::string outcome_;
  int count_ = 0;
};

inline amqp::value filter(std::string_view text) {
  return amqp::value::symbol_map({{"apache.org:selector-filter:string",
                                   amqp::value::described("apache.org:selector-filter:string", amqp::value{text})}});
}

}  // namespace hub_amqp_test
