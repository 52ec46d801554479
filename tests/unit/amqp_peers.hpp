// Two AMQP connections back to back, and the words that their tests share.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/message.hpp>
#include <iothub/amqp/value.hpp>

namespace amqp_test {

using namespace iothub;

// "00 53 10" as bytes; blanks are ignored.
inline std::string bytes(std::string_view hex) {
  std::string out;
  int high = -1;
  for (char const c : hex) {
    int const digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<char>(high << 4 | digit));
      high = -1;
    }
  }
  return out;
}

inline std::string hex(byte_view what) {
  std::string out;
  for (char const c : what) {
    if (!out.empty()) out.push_back(' ');
    amqp::detail::append_hex(out, {&c, 1});
  }
  return out;
}

template <class T>
std::string encoded(T const& what, amqp::list_form form = amqp::list_form::brief) {
  byte_buffer out;
  amqp::encode(what, form, out);
  return std::string{out.view()};
}

// A frame around a body.
inline std::string framed(std::uint16_t channel, std::string_view body,
                          amqp::frame_type type = amqp::frame_type::amqp) {
  byte_buffer out;
  std::size_t const begun = amqp::begin_frame(type, channel, out);
  out.append(body);
  amqp::end_frame(begun, out);
  return std::string{out.view()};
}

inline std::string to_string(amqp::outcome what) {
  constexpr char const* names[] = {"none", "received", "accepted", "rejected", "released", "modified", "other"};
  return names[static_cast<int>(what)];
}

// Writes down what it is told, one line each, and does what the test hooks into it.
struct recorder final : amqp::connection_handler {
  std::vector<std::string> log;
  std::vector<std::string> payloads;
  std::vector<amqp::link*> links;  // attached or offered
  std::vector<amqp::session*> sessions;
  std::function<std::optional<amqp::sasl_code>(amqp::sasl_login const&)> sasl;
  std::function<void(amqp::link&, amqp::attach const&)> attach;
  std::function<void(amqp::link&)> credit;
  std::function<void(amqp::link&, amqp::delivery const&)> transfer;
  std::function<void(amqp::link&, amqp::settlement const&)> disposition;

  void add(std::string line) { log.push_back(std::move(line)); }
  std::string take() {
    std::string out;
    for (std::string const& line : log) out.append(out.empty() ? "" : " | ").append(line);
    log.clear();
    return out;
  }

  std::optional<amqp::sasl_code> on_sasl(amqp::sasl_login const& who, time_point) override {
    add("sasl " + std::string{amqp::to_string(who.mechanism)} + " " + std::string{who.user});
    return sasl ? sasl(who) : amqp::sasl_code::ok;
  }
  void on_open(amqp::open const& peer, time_point) override { add("open " + std::string{peer.container_id}); }
  void on_session(amqp::session& which, time_point) override {
    sessions.push_back(&which);
    add("session");
  }
  void on_begun(amqp::session& which, time_point) override {
    sessions.push_back(&which);
    add("begun");
  }
  void on_attach(amqp::link& which, amqp::attach const& how, time_point) override {
    links.push_back(&which);
    add("attach " + std::string{which.name()});
    if (attach)
      attach(which, how);
    else
      which.accept();
  }
  void on_attached(amqp::link& which, amqp::attach const&, time_point) override {
    links.push_back(&which);
    add("attached " + std::string{which.name()});
  }
  void on_credit(amqp::link& which, time_point) override {
    add("credit " + std::string{which.name()} + " " + std::to_string(which.credit()));
    if (credit) credit(which);
  }
  void on_drained(amqp::link& which, time_point) override { add("drained " + std::string{which.name()}); }
  void on_transfer(amqp::link& which, amqp::delivery const& what, time_point) override {
    add("transfer " + std::string{which.name()} + " " + std::to_string(what.id) + (what.settled ? " settled" : ""));
    payloads.emplace_back(what.payload);
    if (transfer) transfer(which, what);
  }
  void on_disposition(amqp::link& which, amqp::settlement const& what, time_point) override {
    add("disposition " + std::string{which.name()} + " " + std::to_string(what.id) + " " + to_string(what.state.is) +
        (what.settled ? " settled" : "") + (what.state.error ? " " + std::string{what.state.error.condition} : ""));
    if (disposition) disposition(which, what);
  }
  void on_detached(amqp::link& which, amqp::end_reason const& why, time_point) override {
    add("detached " + std::string{which.name()} + by(why));
  }
  void on_ended(amqp::session&, amqp::end_reason const& why, time_point) override { add("ended" + by(why)); }
  void on_closed(iothub::error const& reason, amqp::error_view const& peer, time_point) override {
    add("closed " + std::string{to_string_of(reason)} + (peer ? " " + std::string{peer.condition} : ""));
  }

  static std::string_view to_string_of(iothub::error const& e) { return iothub::to_string(e.code()); }
  static std::string by(amqp::end_reason const& why) {
    constexpr char const* names[] = {" by this side", " by peer", " by session", " by connection"};
    std::string out = names[static_cast<int>(why.by)];
    if (why.error) out.append(" ").append(why.error.condition);
    return out;
  }
};

inline amqp::connection_options named(std::string name) {
  amqp::connection_options o;
  o.container_id = std::move(name);
  return o;
}

// A client and a server with a wire between them that delivers pieces of `piece` bytes.
struct pair {
  amqp::connection_options client_options;
  amqp::connection_options server_options;
  time_point now{};
  recorder c;
  recorder s;
  amqp::connection client;
  amqp::connection server;
  std::size_t piece;
  std::size_t frames_to_client = 0;

  explicit pair(std::size_t piece_size = 1u << 20, amqp::connection_options for_client = named("client"),
                amqp::connection_options for_server = named("server"))
      : client_options{std::move(for_client)},
        server_options{std::move(for_server)},
        client{amqp::connection_role::client, c, client_options, now},
        server{amqp::connection_role::server, s, server_options, now},
        piece{piece_size} {}

  // Moves what one side has to say; whether there was anything.
  bool move(amqp::connection& from, amqp::connection& to) {
    std::string const out{from.output()};
    from.consume(out.size());
    for (std::size_t at = 0; at < out.size(); at += piece) to.receive(std::string_view{out}.substr(at, piece), now);
    return !out.empty();
  }
  void run() {
    for (bool moved = true; moved;) {
      client.step(now);
      server.step(now);
      moved = move(client, server);
      moved = move(server, client) || moved;
      if (client.deadline() <= now || server.deadline() <= now) moved = true;
    }
  }
  // Opens the connection and one session; the logs are empty afterwards.
  amqp::session& connect() {
    EXPECT_TRUE(client.open({}, now).has_value());
    run();
    auto made = client.begin();
    EXPECT_TRUE(made.has_value());
    run();
    c.log.clear();
    s.log.clear();
    return **made;
  }
  // A link from the client, attached. The logs are empty afterwards.
  amqp::link& attach(amqp::session& on, amqp::link_role role, std::string name,
                     amqp::sender_settles snd = amqp::sender_settles::mixed,
                     amqp::receiver_settles rcv = amqp::receiver_settles::first) {
    amqp::attach how;
    how.name = name;
    how.role = role;
    how.snd_settle_mode = snd;
    how.rcv_settle_mode = rcv;
    how.has_source = how.has_target = true;
    how.source = amqp::source::at("from");
    how.target = amqp::target::at("to");
    auto made = on.attach(how);
    EXPECT_TRUE(made.has_value());
    run();
    c.log.clear();
    s.log.clear();
    return **made;
  }
};

}  // namespace amqp_test
