// Scripted peers for MQTT sessions: what one side sends is written down, what the other side would send is typed in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/mqtt/client_event.hpp>
#include <iothub/mqtt/codec.hpp>
#include <iothub/mqtt/server_session.hpp>

namespace iothub_test {

// "10 0e 'MQTT' 04": hex digits, spaces, and text in single quotes.
inline std::string bytes(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    if (text[i] == '\'') {
      for (++i; i < text.size() && text[i] != '\''; ++i) out += text[i];
      continue;
    }
    auto const digit = [&](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
    out += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
    ++i;
  }
  return out;
}

// "4002000a"
inline std::string hex(std::string_view raw) {
  std::string out;
  for (char const each : raw) {
    auto const c = static_cast<unsigned char>(each);
    out += "0123456789abcdef"[c >> 4];
    out += "0123456789abcdef"[c & 15];
  }
  return out;
}

inline std::string encoded(iothub::mqtt::packet const& what) {
  iothub::byte_buffer out;
  encode(what, out);
  return std::string{out.view()};
}

inline iothub::time_point at(double seconds) {
  return iothub::time_point{std::chrono::hours{1}} + iothub::duration{static_cast<std::int64_t>(seconds * 1e6)};
}

// One line per event: "published 7", "message t ok qos1 id10".
inline std::string text(iothub::mqtt::client_event const* e) {
  using kind = iothub::mqtt::client_event_kind;
  if (!e) return "none";
  switch (e->kind) {
    case kind::connected: return e->session_present ? "connected, session kept" : "connected";
    case kind::refused: return "refused " + std::to_string(static_cast<int>(e->code));
    case kind::published: return "published " + std::to_string(e->id);
    case kind::subscribed: {
      std::string out = "subscribed " + std::to_string(e->id) + ":";
      for (unsigned const code : e->granted) out += " " + std::to_string(code);
      return out;
    }
    case kind::unsubscribed: return "unsubscribed " + std::to_string(e->id);
    case kind::message:
      return "message " + std::string{e->publish.topic} + " " + std::string{e->publish.payload} + " qos" +
             std::to_string(e->publish.qos) + (e->publish.dup ? " dup" : "") + (e->publish.retain ? " retain" : "") +
             (e->publish.qos != 0 ? " id" + std::to_string(e->id) : "");
    case kind::closed: return "closed " + std::string{to_string(e->reason.code())};
  }
  return "?";
}

// What a session sent, as bytes.
struct written_down final : iothub::mqtt::packet_sink {
  void send(iothub::mqtt::packet const& what) override { encode(what, out); }
  void end() override { ++ends; }
  void resume() override { ++resumes; }
  [[nodiscard]] std::size_t backlog() const override { return pretended_backlog; }
  // The bytes since the last call, as hex.
  std::string taken() {
    std::string const all = hex(out.view());
    out.clear();
    return all;
  }
  iothub::byte_buffer out;
  std::size_t pretended_backlog = 0;
  int ends = 0;
  int resumes = 0;
};

// The owner of a server session: keeps a log, and by default accepts, acknowledges and grants everything at once.
struct logging_owner final : iothub::mqtt::server_handler {
  void on_connect(iothub::mqtt::connect const& how, iothub::time_point now) override {
    log.push_back("connect " + std::string{how.client_id});
    if (decides && session) session->accept(session_present, now);
  }
  void on_publish(iothub::mqtt::publish const& m, iothub::time_point) override {
    log.push_back("publish " + std::string{m.topic} + " " + std::string{m.payload.substr(0, 16)} + " qos" +
                  std::to_string(m.qos) + (m.dup ? " dup" : "") + (m.retain ? " retain" : ""));
    if (withholds && m.qos == 1) session->withhold(m.id);
    if (acknowledges && m.qos == 1) session->acknowledge(m.id);
  }
  void on_puback(std::uint16_t id, iothub::time_point) override { log.push_back("puback " + std::to_string(id)); }
  void on_subscribe(iothub::mqtt::subscribe const& request, iothub::time_point) override {
    std::string line = "subscribe";
    std::vector<std::uint8_t> codes;
    for (iothub::mqtt::subscription const& each : request.filters) {
      line += " " + std::string{each.filter} + ":" + std::to_string(each.qos);
      codes.push_back(each.qos);
    }
    log.push_back(line);
    session->suback(request.id, codes);
  }
  void on_unsubscribe(iothub::mqtt::unsubscribe const& request, iothub::time_point) override {
    std::string line = "unsubscribe";
    for (std::string_view const name : request.filters) line += " " + std::string{name};
    log.push_back(line);
    session->unsuback(request.id);
  }
  void on_closed(iothub::error const& reason, bool clean, iothub::time_point) override {
    log.push_back(std::string{"closed "} + (clean ? "clean" : std::string{to_string(reason.code())}));
    why = std::string{reason.message()};
  }
  // The lines since the last call.
  std::vector<std::string> taken() { return std::exchange(log, {}); }

  iothub::mqtt::server_session* session = nullptr;
  bool decides = true;
  bool acknowledges = true;
  bool withholds = false;
  bool session_present = false;
  std::string why;
  std::vector<std::string> log;
};

}  // namespace iothub_test
