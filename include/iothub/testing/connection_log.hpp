// What became of one device's connections in a simulation, seen from outside: when it tried, when the hub took it, when
// a connection was lost, and what passed. Watches the line, so the logic under test keeps its own handlers.
//
//   iothub::testing::connection_log log;
//   sim.observe("pump-7", &log);                   // before the client connects; simulation_test::watch() does it
//   ...
//   EXPECT_THAT(log, BackoffWithin(100ms, 5min));  // matchers: gmock_simulation.hpp
//
// For devices on MQTT. It must live as long as it observes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/iso8601.hpp>
#include <iothub/base/time.hpp>
#include <iothub/simulation/fault.hpp>
#include <iothub/simulation/line.hpp>

namespace iothub {
inline namespace v0 {
namespace testing {

class connection_log final : public sim::line_observer {
 public:
  enum class kind : std::uint8_t { attempt, accepted, refused, goodbye, lost, fault };
  struct entry {
    time_point at;
    kind what;
    sim::fault cause = sim::fault::count;  // of kind::fault
    bool session_present = false;          // of kind::accepted
  };

  // A call of a method, as it reached the device.
  struct call {
    time_point at;
    std::string name;
    std::string payload = {};
    std::string request_id = {};
    int status = 0;  // of the answer
    time_point answered = never;
  };

  // All of it, in order.
  [[nodiscard]] std::vector<entry> const& entries() const noexcept { return entries_; }
  [[nodiscard]] bool connected() const noexcept { return open_; }
  [[nodiscard]] std::uint64_t attempts() const noexcept { return attempts_; }
  // Connections that the hub took; all but the first are reconnects.
  [[nodiscard]] std::uint64_t connects() const noexcept { return connects_; }
  [[nodiscard]] std::uint64_t reconnects() const noexcept { return connects_ == 0 ? 0 : connects_ - 1; }
  // Those that followed a DISCONNECT of the client's own: renewals of tokens, and close() with connect().
  [[nodiscard]] std::uint64_t planned_reconnects() const noexcept { return planned_; }
  // Whether the hub still had the session of before, at the last connection.
  [[nodiscard]] bool session_present() const noexcept { return session_present_; }
  // Between the end of a connection or attempt and the next attempt, planned reconnects aside.
  [[nodiscard]] std::vector<duration> const& waits() const noexcept { return waits_; }
  [[nodiscard]] std::vector<time_point> const& attempt_times() const noexcept { return times_; }
  // PUBLISH packets that carried telemetry, those that were sent again included; calls that came, answers that went.
  [[nodiscard]] std::uint64_t telemetry_packets() const noexcept { return telemetry_; }
  [[nodiscard]] std::uint64_t method_calls() const noexcept { return calls_; }
  [[nodiscard]] std::uint64_t method_answers() const noexcept { return answers_; }
  [[nodiscard]] std::vector<call> const& calls() const noexcept { return each_call_; }
  // How often it connected with another SAS token than before.
  [[nodiscard]] std::uint64_t renewed_tokens() const noexcept { return tokens_ == 0 ? 0 : tokens_ - 1; }

  inline void on_attempt(time_point now) override;
  inline void on_up(byte_view packet, time_point now) override;
  inline void on_down(byte_view packet, time_point now) override;
  inline void on_gone(time_point now) override;
  inline void on_fault(sim::fault what, time_point now) override { add({now, kind::fault, what}); }

  // The last `count` things, a line each: with the seconds since the first, or with the time of day where `origin` is
  // what the clocks of people showed at time_point{}, as simulation::history() has it.
  [[nodiscard]] std::string text(std::size_t count = 40, std::optional<utc_time> origin = {}) const;
  friend void PrintTo(connection_log const& log, std::ostream* out) {
    *out << "a line with " << log.attempts() << " attempts, " << log.connects() << " connections, "
         << (log.connected() ? "connected" : "not connected");
  }

 private:
  void add(entry e) {
    entries_.push_back(e);
  }
  // The topic of a PUBLISH; empty for what is none. The bytes were made by a codec, and are only looked at.
  static std::string_view topic_of(byte_view packet) noexcept;
  inline void called(std::string_view topic, byte_view packet, time_point now);
  inline void answered(std::string_view topic, time_point now);

  std::vector<entry> entries_;
  std::vector<duration> waits_;
  std::vector<time_point> times_;
  std::vector<call> each_call_;
  std::string token_end_;  // of the last token: its "se="
  std::uint64_t tokens_ = 0;
  std::uint64_t attempts_ = 0, connects_ = 0, planned_ = 0, telemetry_ = 0, calls_ = 0, answers_ = 0;
  time_point gone_at_ = never;
  bool open_ = false, goodbye_ = false, planned_attempt_ = false, session_present_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

inline std::string_view connection_log::topic_of(byte_view packet) noexcept {
  if (packet.empty() || (static_cast<unsigned char>(packet[0]) >> 4) != 3) return {};
  std::size_t at = 1;
  while (at < packet.size() && at < 5 && (static_cast<unsigned char>(packet[at]) & 0x80) != 0) ++at;
  ++at;
  if (at + 2 > packet.size()) return {};
  std::size_t const size = static_cast<std::size_t>(static_cast<unsigned char>(packet[at])) << 8 |
                           static_cast<unsigned char>(packet[at + 1]);
  if (at + 2 + size > packet.size()) return {};
  return packet.substr(at + 2, size);
}

inline void connection_log::on_attempt(time_point now) {
  ++attempts_;
  times_.push_back(now);
  planned_attempt_ = goodbye_ && connects_ != 0;
  if (gone_at_ != never && !goodbye_) waits_.push_back(now - gone_at_);
  goodbye_ = false;
  open_ = false;
  add({now, kind::attempt});
}
inline void connection_log::on_up(byte_view packet, time_point now) {
  if (packet.empty()) return;
  if (static_cast<unsigned char>(packet[0]) >> 4 == 14) goodbye_ = true, add({now, kind::goodbye});
  // The expiry is what differs from token to token, and no secret.
  if (auto const at = packet[0] == 0x10 ? packet.find("&se=") : packet.npos; at != packet.npos) {
    std::string_view const end = packet.substr(at + 4, packet.substr(at + 4).find_first_not_of("0123456789"));
    tokens_ += end != token_end_;
    token_end_ = end;
  }
  std::string_view const topic = topic_of(packet);
  telemetry_ += topic.find("/messages/events/") != std::string_view::npos;
  if (topic.rfind("$iothub/methods/res/", 0) == 0) ++answers_, answered(topic, now);
}
inline void connection_log::on_down(byte_view packet, time_point now) {
  if (packet.size() == 4 && packet[0] == 0x20 && packet[1] == 2 && !open_) {  // CONNACK
    open_ = packet[3] == 0;
    session_present_ = open_ && packet[2] == 1;
    connects_ += open_;
    planned_ += open_ && planned_attempt_;
    add({now, open_ ? kind::accepted : kind::refused, sim::fault::count, session_present_});
  }
  std::string_view const topic = topic_of(packet);
  if (topic.rfind("$iothub/methods/POST/", 0) == 0) ++calls_, called(topic, packet, now);
}
// "$iothub/methods/POST/name/?$rid=1", and the answer: "$iothub/methods/res/200/?$rid=1".
inline void connection_log::called(std::string_view topic, byte_view packet, time_point now) {
  std::string_view const rest = topic.substr(21);
  auto const end = rest.find("/?$rid=");
  call c{now, std::string{rest.substr(0, end)}};
  if (end != rest.npos) c.request_id = rest.substr(end + 7);
  auto const behind = static_cast<std::size_t>(topic.data() - packet.data()) + topic.size();
  c.payload = packet.substr(behind + ((packet[0] & 6) != 0 ? 2 : 0));
  each_call_.push_back(std::move(c));
}
inline void connection_log::answered(std::string_view topic, time_point now) {
  std::string_view const rest = topic.substr(20);
  auto const end = rest.find("/?$rid=");
  if (end == rest.npos) return;
  for (std::size_t i = each_call_.size(); i-- != 0;) {
    call& c = each_call_[i];
    if (c.answered != never || c.request_id != rest.substr(end + 7)) continue;
    c.answered = now;
    for (char const digit : rest.substr(0, end)) c.status = c.status * 10 + (digit - '0');
    return;
  }
}
inline void connection_log::on_gone(time_point now) {
  gone_at_ = now;
  open_ = false;
  add({now, kind::lost});
}

inline std::string connection_log::text(std::size_t count, std::optional<utc_time> origin) const {
  constexpr std::string_view names[] = {"attempt", "accepted", "refused", "disconnects", "line ends", "fault "};
  std::string all;
  for (std::size_t i = entries_.size() > count ? entries_.size() - count : 0; i != entries_.size(); ++i) {
    entry const& e = entries_[i];
    auto const ms = (e.at - entries_[0].at).count() / 1000;
    std::string number = std::to_string(ms / 1000) + "." + std::to_string(1000 + ms % 1000).substr(1);
    if (origin)
      all += "  " + to_iso8601(*origin + e.at.time_since_epoch()) + " ";
    else
      all += std::string(number.size() < 14 ? 14 - number.size() : 0, ' ') + number + " s  ";
    all += names[static_cast<std::size_t>(e.what)];
    if (e.what == kind::fault) all += to_string(e.cause);
    if (e.what == kind::accepted) all += e.session_present ? ", session present" : ", no session";
    all += '\n';
  }
  return all;
}

}  // namespace testing
}  // namespace v0
}  // namespace iothub
