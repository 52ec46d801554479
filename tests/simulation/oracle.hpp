// The judge of a simulated run. It sees what goes in and out: calls and callbacks of the clients, packets on the lines,
// events in the hub's log. It never asks a client what it thinks. The first invariant that does not hold ends the run.
//
//   I1  what was reported sent is in the hub's log          I10 everything pending ends, exactly once, in time
//   I2  nothing is there that was not sent, bit by bit       I11 the outbox keeps its bounds
//   I3  duplicates and DUP only where a link broke          I12 reconnects keep to the back-off
//   I4  first appearances keep the order of sending         I13 when the faults end, all is well again in bounded time
//   I5  one handler run and one answer for each call        I14 keep-alive: silence is bounded, dead links are noticed
//   I6  one outcome for each call, in time                  I15 packet ids: never 0, never shared
//   I7  reported properties are those that were confirmed   I16 no expired token, no secret in any text
//   I8  desired properties arrive, in order, the last one   I17 connection notices make sense
//   I9  messages are settled after their handler, none lost I18 every packet is MQTT, by a second decoder
//   I19 the hub keeps its own rules                         I20 the same seed gives the same run (see main.cpp)
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/json/value.hpp>
#include <iothub/wire/sas_token.hpp>

#include "promises.hpp"
#include "script.hpp"
#include "strict_amqp.hpp"
#include "strict_mqtt.hpp"
#include "traffic.hpp"

namespace iothub_test {

using micros = std::int64_t;
inline constexpr micros second = 1'000'000;

// What can be seen of a device's connection.
enum class seen_as : std::uint8_t { packets, frames, values };

class oracle {
 public:
  explicit oracle(script const& s, std::size_t keep) : script_{s}, keep_{keep}, devices_(static_cast<std::size_t>(s.devices)) {}

  [[nodiscard]] bool broken() const noexcept { return !invariant_.empty(); }
  [[nodiscard]] std::string const& invariant() const noexcept { return invariant_; }
  [[nodiscard]] std::string const& what() const noexcept { return what_; }
  [[nodiscard]] micros at() const noexcept { return broken_at_; }
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  [[nodiscard]] std::uint64_t events() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
  // Events that are in the hub's log for the second time or more; planned renewals of tokens; attempts to connect.
  [[nodiscard]] std::uint64_t duplicates() const noexcept { return duplicates_; }
  [[nodiscard]] std::uint64_t renewals() const noexcept { return renewals_; }
  [[nodiscard]] std::uint64_t attempts() const noexcept { return attempts_; }
  // The messages that failed, as their senders were told.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }
  void set_time(micros now) noexcept { now_ = now; }

  void fail(char const* invariant, int device, std::string what);

  // --- every event goes through here
  void note(char const* what, int device, std::int64_t a = 0, std::int64_t b = 0, std::string_view text = {});
  [[nodiscard]] std::vector<std::string> last() const;

  // --- the application's side of a device
  void wired(int d, seen_as how) { devices_[i(d)].how = how; }
  void client_made(int d);
  void client_gone(int d, bool closed_in_order);
  void final_state(int d);
  void connecting(int d);
  std::uint64_t begin(int d, char const* what, micros limit);
  // False when this operation was not pending: a second end.
  void end(int d, std::uint64_t op, char const* how);
  // `into`: the message, which is sent then.
  std::uint64_t sent(int d, iothub::message& into, iothub::property_list const& extra = {});
  void send_ended(int d, std::uint64_t n, bool ok, std::string_view why);
  // While a handler of this device waits, the ends of refused messages wait as well.
  void busy(int d, bool on) {
    devices_[i(d)].busy = on;
    if (!on) devices_[i(d)].busy_until = now_;
  }
  // The call threw: it never has an outcome.
  void send_threw(int d, std::uint64_t n);
  void look(int d) { bounds(d, devices_[i(d)]); }
  void connection(int d, std::string_view status, std::string_view reason);
  // Its quota was used up at some time: the hub withheld confirmations, which come when another connection sends again
  // what they are about.
  [[nodiscard]] bool was_over_quota(int d) const { return devices_[i(d)].order_excused_until >= 0; }
  [[nodiscard]] std::string const& status(int d) const { return devices_[i(d)].status; }
  [[nodiscard]] micros now() const noexcept { return now_; }
  [[nodiscard]] bool connected(int d) const { return devices_[i(d)].status == "connected" && devices_[i(d)].link_open; }
  // How long it may take from now on, when no fault is left, until it is connected.
  [[nodiscard]] micros well_within(int d) const;
  [[nodiscard]] bool idle(int d) const { return devices_[i(d)].pending.empty(); }
  [[nodiscard]] std::string pending_of(int d) const;

  // --- telemetry at the hub
  void stored(int d, iothub::message const& m);

  // --- twin
  void report_begun(int d, std::uint64_t n) {
    if (auto& all = devices_[i(d)].reports; all.size() <= n) all.resize(n + 1);
  }
  void report_ended(int d, std::uint64_t n, bool ok, std::int64_t version);
  void desired_seen(int d, iothub::json::value const& patch, std::int64_t version, bool whole, std::int64_t at_hub);
  void twin_read(int d, std::string const& document);
  // What the hub has, at a version, when the handler is told of one.
  void desired_at_hub(int d, iothub::json::value desired) { devices_[i(d)].at_hub = std::move(desired); }
  // A back end changes the desired properties; it is told that they are.
  void desired_asked(int d) { ++devices_[i(d)].desired_asked; }
  void desired_done(int d) { ++devices_[i(d)].desired_done; }
  void final_twin(int d, iothub::json::value const& reported, iothub::json::value const& desired, std::int64_t version);

  // --- methods
  // `known`: the device has a handler of that name.
  std::uint64_t invoked(int d, micros limit, bool known);
  void method_ran(int d, std::uint64_t call);
  void method_threw(std::uint64_t call) { if (call < calls_.size()) calls_[call].threw = true; }
  void call_ended(std::uint64_t call, iothub::result<iothub::method_response> const& r);
  [[nodiscard]] bool all_calls_ended() const;

  // --- cloud to device
  std::uint64_t message_sent(int d, bool once_more, iothub::message& into);
  std::uint64_t message_seen(int d, iothub::message const& m);
  void message_accepted(int d, std::uint64_t n) { ++devices_[i(d)].messages[n].accepted; }
  // A messenger sends it: it may be lost until that says that the hub has it. Feedback is asked for, or not.
  void message_by_messenger(int d, std::uint64_t n, bool wants_feedback);
  void message_taken(int d, std::uint64_t n, bool ok, std::string_view why);
  void feedback(int d, std::uint64_t n, bool success);
  // Is there a message that was accepted and asked for feedback, of which none has come?
  [[nodiscard]] bool awaits_feedback() const;
  void final_messages(int d);

  // --- faults
  void fault(int d, std::string_view what);
  // The process stands still from now on.
  void stalled(micros lasting);
  // Until then the hub may refuse a message of the device, and take one behind it.
  void may_reorder(int d, micros lasting);
  // Confirmations of telemetry may be that much later.
  void may_confirm_late(int d, micros lasting);
  [[nodiscard]] micros confirmed_late(int d) const { return devices_[i(d)].confirmed_late; }
  // Another client of the same device connects.
  void rival(int d, micros lasting);

  // --- the wire
  void attempt(int d, std::int64_t client_utc);
  void gone(int d);
  void goodbye(int d) { devices_[i(d)].said_goodbye = true; }
  void up(int d, std::string_view bytes, std::int64_t client_utc);
  void down(int d, std::string_view bytes);
  // From time to time: what cannot be seen at an event.
  void look_around();

  // --- text that leaves the library
  void add_secret(std::string secret) { secrets_.insert(std::move(secret)); }
  void scan(std::string_view text);

 private:
  struct event {
    micros at;
    char const* what;
    int device;
    std::int64_t a, b;
    std::string text;
  };
  struct operation {
    micros began, limit;
    char const* what;
  };
  struct send {
    bool ended = false, ok = false;
    bool threw = false;   // nobody is told how it ends, and the hub never sees it (docs/guarantees.md)
    bool unsure = false;  // memory ran out in the connection: it may or may not have tried to send it
    std::uint64_t stored = 0, breaks = 0;
    micros began = 0;
    std::size_t size = 0;        // as the outbox counts, while it may be there
    iothub::property_list extra = {};
  };
  struct c2d {
    std::uint64_t seen = 0, accepted = 0;
    bool excused = false;  // it may be lost
    bool wants_feedback = false, taken = false;
    bool gone = false;     // its device was deleted
    bool once_more = false;
    std::uint64_t feedback = 0;
  };
  static bool lacks_feedback(c2d const& m);
  struct call_state {
    int device;
    micros began, limit;
    bool known;
    std::uint64_t delivered = 0, runs = 0;
    bool threw = false, ended = false;
  };
  struct device_state {
    std::string status = "disconnected";
    std::map<std::uint64_t, operation> pending;
    std::vector<send> sends;
    bool any_stored = false, exists = false, made_up = false;
    micros asked_until = 0;  // a fault that it asked for may last so long
    micros confirmed_late = 0, order_excused_until = -1, rival_until = -1;
    std::size_t refusals_due = 0;
    std::uint64_t brought = 0, turned_away = 0;  // calls and messages to it; calls that found its inbox full
    std::size_t outbox_messages = 0, outbox_bytes = 0;
    micros last_send = 0;
    std::uint64_t newest_stored = 0;
    std::vector<char> reports;  // by number: 1: it is known to be at the hub; 2: a part of it may be
    std::uint64_t last_reported = 0;
    std::int64_t last_reported_version = 0;
    iothub::json::value doc, at_hub;
    std::int64_t desired_asked = 0, desired_done = 0;
    bool has_doc = false, made_anew = false;
    std::int64_t last_desired = 0;
    std::vector<c2d> messages;
    // the link
    seen_as how = seen_as::packets;
    amqp_witness witness = {};
    std::set<std::uint64_t> open_sends;  // of whatever connection
    bool explicit_connect = true, said_goodbye = false, up_buffer_connect = false, link_open = false, session_present = false,
         must_end = false, busy = false, subscribed = false;
    micros anew_at = 0, gone_at = 0, link_since = 0, last_up = 0, last_down = 0, busy_until = 0;
    bool out_of_memory = false;  // in a call into the client, on this connection
    std::map<std::uint16_t, std::uint64_t> ids;     // in flight: packet id, message
    std::set<std::uint64_t> sent_on_session;        // messages that went out once
    std::set<std::uint64_t> sent_on_link;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> owed;  // packet id or delivery, message
    std::map<std::string, int> rids;                // delivered on this connection, and how often unanswered
    std::map<std::uint16_t, std::size_t> asked;
    std::vector<std::pair<std::uint64_t, micros>> confirmed;    // messages with their PUBACK, since when
    std::size_t filters = 0;
    int attempts_unproven = 0;   // at most so many, and
    unsigned waits = 0;          // at least: as the application can know
    bool asked_for_less = false;  // the hub has, or broke its protocol
    std::vector<micros> gaps;
    micros attempted_at = 0, token_ends = 0, told_connected_at = 0, told_lost_at = 0;
    std::int64_t asked_utc = 0;
  };

  static std::size_t i(int d) noexcept { return static_cast<std::size_t>(d); }
  void mix(std::uint64_t v) noexcept;
  // While the process stood still nothing could be done: for how long since then?
  [[nodiscard]] micros stood_still(micros since) const noexcept;
  [[nodiscard]] micros slack(micros since) const noexcept { return 2 * second + stood_still(since); }
  void bounds(int d, device_state& x);
  void outlived(int d, device_state& x);
  void final_reported(int d, device_state& x, iothub::json::value const& reported);
  void asked_fault(int d, iothub::property_list const& extra);
  void leaves_outbox(device_state& x, send& s);
  static void merge(iothub::json::value& into, iothub::json::value const& patch);

  void backoff(int d, device_state& x, micros from);
  void silence(int d, device_state& x);
  void up_connect(int d, device_state& x, seen_packet const& p, std::int64_t client_utc);
  void up_publish(int d, device_state& x, seen_packet const& p);
  void up_telemetry(int d, device_state& x, seen_packet const& p);
  void up_puback(int d, device_state& x, std::uint16_t id);
  void down_publish(int d, device_state& x, seen_packet const& p);
  void up_frame(int d, device_state& x, std::string_view bytes, std::int64_t client_utc);
  void down_frame(int d, device_state& x, std::string_view bytes);
  void frame_silence(int d, device_state& x);
  void call_delivered(int d, device_state& x, std::string rid, std::string_view payload);

  script const& script_;
  std::size_t keep_;
  std::vector<device_state> devices_;
  std::vector<call_state> calls_;
  std::set<std::string> secrets_;
  std::vector<event> ring_;
  std::size_t next_ = 0;
  micros now_ = 0, moment_ = -1;
  std::uint64_t at_moment_ = 0;  // events
  struct stall {
    micros from, to;
  };
  std::vector<stall> stalls_;
  std::uint64_t last_op_ = 0, count_ = 0, messages_ = 0, duplicates_ = 0, renewals_ = 0, attempts_ = 0, failures_ = 0;
  std::uint64_t hash_ = 14695981039346656037u;
  std::string invariant_, what_;
  micros broken_at_ = 0;
};

}  // namespace iothub_test
