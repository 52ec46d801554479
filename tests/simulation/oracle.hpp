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
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/json/value.hpp>
#include <iothub/wire/sas_token.hpp>

#include "promises.hpp"
#include "script.hpp"
#include "strict_mqtt.hpp"

namespace iothub_test {

using micros = std::int64_t;
inline constexpr micros second = 1'000'000;

// What message number n of a device looks like.
inline std::string telemetry_body(int device, std::uint64_t n) {
  std::string body = "T" + std::to_string(device) + "." + std::to_string(n) + ".";
  for (std::uint64_t i = 0, x = n * 2654435761u + 1; i != (n % 17 == 16 ? 3000 : n % 40); ++i, x = x * 48271 % 2147483647)
    body += static_cast<char>(x & 255);
  return body;
}

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

  void fail(char const* invariant, int device, std::string what) {
    if (broken()) return;
    invariant_ = invariant;
    what_ = (device >= 0 ? "d" + std::to_string(device) + ": " : std::string{}) + std::move(what);
    broken_at_ = now_;
    note("BROKEN", device, 0, 0, what_);
  }

  // --- every event goes through here
  void note(char const* what, int device, std::int64_t a = 0, std::int64_t b = 0, std::string_view text = {}) {
    ++count_;
    mix(static_cast<std::uint64_t>(now_));
    for (char const* c = what; *c != 0; ++c) hash_ = (hash_ ^ static_cast<unsigned char>(*c)) * 1099511628211u;
    mix(static_cast<std::uint64_t>(device) << 48 ^ static_cast<std::uint64_t>(a) << 20 ^ static_cast<std::uint64_t>(b));
    if (live_trace != nullptr) std::fprintf(live_trace, "%s\n", event_line(now_, device, what, a, b, text.substr(0, 300)).c_str());
    if (keep_ == 0) return;
    if (ring_.size() < keep_) ring_.emplace_back();
    event& e = ring_[next_++ % keep_];
    e = {now_, what, device, a, b, std::string{text.substr(0, 300)}};
  }
  [[nodiscard]] std::vector<std::string> last() const {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i != ring_.size(); ++i) {
      event const& e = ring_[(next_ + i) % ring_.size()];
      lines.push_back(event_line(e.at, e.device, e.what, e.a, e.b, e.text));
    }
    return lines;
  }

  // --- the application's side of a device
  void client_made(int d) {
    device_state& x = devices_[i(d)];
    note("client", d);
    x.status = "disconnected";
    x.ids.clear();
    x.pending.clear();
    x.last_desired = 0;
    x.has_doc = false;
    x.link_open = false;
    x.attempts_unproven = 0;
    x.gaps.clear();
    x.explicit_connect = true;
    x.sent_on_session.clear();
    x.last_reported_version = 0;
    x.busy = false;
  }
  void client_gone(int d, bool closed_in_order) {
    device_state& x = devices_[i(d)];
    note("client gone", d, closed_in_order);
    if (closed_in_order && !x.pending.empty())
      fail("I10", d, "close() left " + std::to_string(x.pending.size()) + " operations without an end");
    x.pending.clear();
  }
  void connecting(int d) {
    note("connect()", d);
    devices_[i(d)].explicit_connect = true;
  }
  std::uint64_t begin(int d, char const* what, micros limit) {
    std::uint64_t const op = ++last_op_;
    devices_[i(d)].pending[op] = {now_, limit, what};
    note(what, d, static_cast<std::int64_t>(op));
    return op;
  }
  // False when this operation was not pending: a second end.
  void end(int d, std::uint64_t op, char const* how) {
    device_state& x = devices_[i(d)];
    auto const found = x.pending.find(op);
    note(how, d, static_cast<std::int64_t>(op));
    if (found == x.pending.end()) return fail("I10", d, "operation " + std::to_string(op) + " ended a second time");
    operation const o = found->second;
    x.pending.erase(found);
    if (now_ > o.began + o.limit + slack(o.began))
      fail("I10", d, std::string{o.what} + " " + std::to_string(op) + " ended " +
                         std::to_string((now_ - o.began) / second) + " s after it began");
  }
  std::uint64_t sent(int d) {
    device_state& x = devices_[i(d)];
    std::uint64_t const n = x.sends.size();
    x.sends.push_back({});
    ++messages_;
    note("send", d, static_cast<std::int64_t>(n));
    return n;
  }
  void send_ended(int d, std::uint64_t n, bool ok, std::string_view why) {
    device_state& x = devices_[i(d)];
    send& s = x.sends[n];
    note(ok ? "sent" : "send failed", d, static_cast<std::int64_t>(n), 0, why);
    scan(why);
    s.ended = true;
    s.ok = ok;
    failures_ += !ok;
    if (ok && s.stored == 0) fail("I1", d, "message " + std::to_string(n) + " was reported sent and is not in the hub's log");
  }
  // While a handler of this device waits, the ends of refused messages wait as well.
  void busy(int d, bool on) { devices_[i(d)].busy = on; }
  void count_pending(int d) {
    std::size_t messages = 0;
    for (auto const& [op, o] : devices_[i(d)].pending) messages += std::string_view{o.what} == "telemetry";
    if (devices_[i(d)].busy || now_ <= stalled_at_) return;
    if (messages > static_cast<std::size_t>(script_.outbox))
      fail("I11", d, std::to_string(messages) + " messages are pending, the outbox may hold " + std::to_string(script_.outbox));
  }
  void connection(int d, std::string_view status, std::string_view reason) {
    device_state& x = devices_[i(d)];
    note("status", d, 0, 0, std::string{status} + " " + std::string{reason});
    bool legal = status != x.status;
    if (x.status == "disconnected") legal = status == "connecting";
    if (x.status == "connected") legal = status == "retrying" || status == "disconnected" || (status == "connecting" && reason == "token_renewal");
    if (x.status == "connecting") legal = status == "connected" || status == "retrying" || status == "disconnected";
    if (x.status == "retrying") legal = status == "connected" || status == "disconnected";
    if (!legal) fail("I17", d, "from " + x.status + " to " + std::string{status} + " (" + std::string{reason} + ")");
    x.status = status;
    if (status == "connected") {
      renewals_ += reason == "token_renewal";
      if (x.link_open && x.filters < 4 && now_ > x.link_since + second)
        fail("I17", d, "connected was told with " + std::to_string(x.filters) + " of 4 subscriptions");
    }
  }
  // Its quota was used up at some time: the hub withheld confirmations.
  [[nodiscard]] bool was_over_quota(int d) const { return devices_[i(d)].order_excused; }
  [[nodiscard]] std::string const& status(int d) const { return devices_[i(d)].status; }
  [[nodiscard]] bool idle(int d) const { return devices_[i(d)].pending.empty(); }
  [[nodiscard]] std::string pending_of(int d) const {
    std::string text;
    for (auto const& [op, o] : devices_[i(d)].pending) text += std::string{" "} + o.what + "#" + std::to_string(op);
    return text.substr(0, 300);
  }

  // --- telemetry at the hub
  void stored(int d, std::string_view body, std::string_view property) {
    if (d < 0 || i(d) >= devices_.size()) return fail("I2", d, "an event of a device that is none");
    device_state& x = devices_[i(d)];
    std::uint64_t n = 0;
    std::size_t at = body.find('.');
    if (body.empty() || body[0] != 'T' || at == std::string_view::npos) return fail("I2", d, "an event that nobody sent: " + std::string{body.substr(0, 40)});
    for (++at; at < body.size() && body[at] >= '0' && body[at] <= '9'; ++at) n = n * 10 + static_cast<std::uint64_t>(body[at] - '0');
    note("stored", d, static_cast<std::int64_t>(n));
    if (n >= x.sends.size()) return fail("I2", d, "message " + std::to_string(n) + " is in the log and was never sent");
    if (body != telemetry_body(d, n) || property != std::to_string(n))
      return fail("I2", d, "message " + std::to_string(n) + " is not what was sent");
    send& s = x.sends[n];
    ++s.stored;
    if (s.stored > s.breaks + 1)
      fail("I3", d, "message " + std::to_string(n) + " is stored " + std::to_string(s.stored) + " times, its link broke " +
                        std::to_string(s.breaks) + " times");
    if (s.stored != 1) return void(++duplicates_);
    if (x.any_stored && n < x.newest_stored && !x.order_excused)
      fail("I4", d, "message " + std::to_string(n) + " came first after message " + std::to_string(x.newest_stored));
    if (!x.any_stored || n > x.newest_stored) x.newest_stored = n;
    x.any_stored = true;
  }

  // --- twin
  void report_begun(int d, std::uint64_t n) { devices_[i(d)].reports[n % 6].sent.insert(static_cast<std::int64_t>(n)); }
  void report_ended(int d, std::uint64_t n, bool ok, std::int64_t version) {
    device_state& x = devices_[i(d)];
    note(ok ? "reported" : "report failed", d, static_cast<std::int64_t>(n), version);
    if (!ok) return;
    auto& key = x.reports[n % 6];
    if (static_cast<std::int64_t>(n) > key.confirmed) key.confirmed = static_cast<std::int64_t>(n);
    // Answers may come in another order than the patches were applied in.
    if (n < x.last_reported) return;
    if (version <= x.last_reported_version)
      fail("I7", d, "the version of the reported properties went from " + std::to_string(x.last_reported_version) + " to " + std::to_string(version));
    x.last_reported = n;
    x.last_reported_version = version;
  }
  void desired_seen(int d, iothub::json::value const& patch, std::int64_t version, bool whole, std::int64_t at_hub) {
    device_state& x = devices_[i(d)];
    note(whole ? "desired whole" : "desired", d, version, at_hub, patch.dump());
    bool const rises = version > x.last_desired || (whole && (version == x.last_desired || x.made_anew));
    if (!rises) fail("I8", d, "desired version " + std::to_string(version) + " came after " + std::to_string(x.last_desired));
    if (version > at_hub && !x.made_anew) fail("I8", d, "desired version " + std::to_string(version) + " was never at the hub");
    if (!whole && x.has_doc && !x.made_anew && version != x.last_desired + 1)
      fail("I8", d, "the patch to version " + std::to_string(version) + " was applied to " + std::to_string(x.last_desired));
    if (whole || !x.has_doc)
      x.doc = whole ? patch : iothub::json::value::make_object();
    if (!whole) merge(x.doc, patch);
    x.has_doc = true;
    if (whole && x.link_since > x.anew_at) x.made_anew = false;  // before, it may be what was under way
    x.last_desired = version;
    if (patch.dump().find("tag-") != std::string::npos) fail("I19", d, "tags reached the device");
  }
  void twin_read(int d, std::string const& document) {
    if (document.find("tag-") != std::string::npos) fail("I19", d, "tags reached the device");
  }
  void final_twin(int d, iothub::json::value const& reported, iothub::json::value const& desired, std::int64_t version) {
    device_state& x = devices_[i(d)];
    for (std::size_t k = 0; k != 6; ++k) {
      auto const& key = x.reports[k];
      auto const& value = reported["k" + std::to_string(k)];
      std::int64_t const there = value.as_int() ? *value.as_int() : -1;
      if (there >= 0 && key.sent.count(there) == 0) fail("I7", d, "k" + std::to_string(k) + " has a value that was never sent");
      if (there < key.confirmed)
        fail("I7", d, "k" + std::to_string(k) + " is " + std::to_string(there) + " at the hub, " + std::to_string(key.confirmed) + " was confirmed");
    }
    if (version > 1 && x.last_desired != version)
      fail("I8", d, "the hub's desired version is " + std::to_string(version) + ", the handler saw " + std::to_string(x.last_desired));
    if (x.has_doc && x.doc != desired) fail("I8", d, "the handler has " + x.doc.dump() + ", the hub " + desired.dump());
  }

  // --- methods
  std::uint64_t invoked(int d, micros limit) {
    calls_.push_back({d, now_, limit, 0, 0, false});
    note("invoke", d, static_cast<std::int64_t>(calls_.size() - 1));
    ++messages_;
    return calls_.size() - 1;
  }
  void method_ran(int d, std::uint64_t call) {
    note("method runs", d, static_cast<std::int64_t>(call));
    if (call >= calls_.size() || calls_[call].device != d) return fail("I5", d, "a call that nobody made");
    if (++calls_[call].runs > calls_[call].delivered)
      fail("I5", d, "the handler ran " + std::to_string(calls_[call].runs) + " times for call " + std::to_string(call) +
                        ", which was delivered " + std::to_string(calls_[call].delivered) + " times");
  }
  void call_ended(std::uint64_t call, int status, std::string_view why, bool echoed) {
    call_state& c = calls_[call];
    note("invoked", c.device, static_cast<std::int64_t>(call), status, why);
    scan(why);
    if (c.ended) return fail("I6", c.device, "call " + std::to_string(call) + " has two outcomes");
    c.ended = true;
    if (now_ > c.began + c.limit + slack(c.began))
      fail("I6", c.device, "call " + std::to_string(call) + " took " + std::to_string((now_ - c.began) / second) + " s");
    if (status == 200 && (!echoed || c.runs == 0)) fail("I6", c.device, "call " + std::to_string(call) + " was answered with another's answer");
  }
  [[nodiscard]] bool all_calls_ended() const {
    for (auto const& c : calls_)
      if (!c.ended) return false;
    return true;
  }

  // --- cloud to device
  std::uint64_t message_sent(int d) {
    device_state& x = devices_[i(d)];
    x.messages.push_back({});
    note("c2d", d, static_cast<std::int64_t>(x.messages.size() - 1));
    ++messages_;
    return x.messages.size() - 1;
  }
  void message_seen(int d, std::uint64_t n) {
    note("c2d seen", d, static_cast<std::int64_t>(n));
    device_state& x = devices_[i(d)];
    if (n >= x.messages.size()) return fail("I2", d, "a message that nobody sent");
    ++x.messages[n].seen;
  }
  void message_accepted(int d, std::uint64_t n) { ++devices_[i(d)].messages[n].accepted; }
  // `waiting`: how many the hub still holds for it.
  void final_messages(int d, std::size_t waiting) {
    device_state& x = devices_[i(d)];
    std::size_t missing = 0;
    std::uint64_t which = 0;
    for (std::uint64_t n = 0; n != x.messages.size(); ++n)
      if (!x.messages[n].excused && x.messages[n].accepted == 0) ++missing, which = n;
    if (missing > waiting)
      fail("I9", d, std::to_string(missing) + " messages were never accepted (message " + std::to_string(which) +
                        " among them), and the hub holds " + std::to_string(waiting));
  }

  // --- faults
  void fault(int d, std::string_view what) {
    note("fault", d, 0, 0, what);
    if (what == "stall") stalled_at_ = now_;
    if (d < 0 || i(d) >= devices_.size()) return;
    device_state& x = devices_[i(d)];
    if (what == "quota_used_up") x.order_excused = true;
    if (what == "illegal_packet") x.must_end = true;
    if (what == "device_deleted") {
      x.made_anew = true;
      x.anew_at = now_;
      x.last_reported_version = 0;
      for (auto& m : x.messages) m.excused = true;
      for (auto& key : x.reports) key.confirmed = -1;
    }
  }

  // --- the wire
  void attempt(int d) {
    device_state& x = devices_[i(d)];
    note("attempt", d);
    ++attempts_;
    if (x.explicit_connect) {
      x.attempts_unproven = 0;
      x.gaps.clear();
    } else if (!x.said_goodbye) {
      micros const gap = now_ - x.gone_at;
      if (gap < script_.min_delay * 1000)
        fail("I12", d, "an attempt " + std::to_string(gap / 1000) + " ms after the last failure");
      backoff(d, x, gap);
    }
    x.explicit_connect = x.said_goodbye = false;
    x.up_buffer_connect = true;
    x.link_open = x.must_end = false;
    x.owed.clear();
    x.rids.clear();
    x.filters = 0;
    x.asked.clear();
  }
  void gone(int d) {
    device_state& x = devices_[i(d)];
    note("link gone", d);
    if (x.link_open) {
      silence(d, x);
      if (now_ - x.link_since >= 60 * second) {  // proven
        x.attempts_unproven = 0;
        x.gaps.clear();
      }
    }
    for (auto const& [id, n] : x.ids)
      if (n < x.sends.size()) ++x.sends[n].breaks;
    x.link_open = false;
    x.gone_at = now_;
  }
  void up(int d, std::string_view bytes, std::int64_t client_utc) {
    device_state& x = devices_[i(d)];
    seen_packet const p = read_packet(bytes, true);
    note("up", d, p.type, p.id, p.type == 3 ? p.topic : std::string_view{});
    if (p.wrong != nullptr) return fail("I18", d, std::string{"the client sent what is not MQTT: "} + p.wrong);
    if (x.up_buffer_connect != (p.type == 1)) return fail("I18", d, "MQTT-3.1.0-1: CONNECT comes first and once");
    if (x.must_end) return fail("I18", d, "MQTT-4.8.0-1: the client goes on after what is not MQTT");
    if (x.link_open) silence(d, x);
    x.last_up = now_;
    switch (p.type) {
      case 1: return up_connect(d, x, p, client_utc);
      case 3: return up_publish(d, x, p);
      case 4: return up_puback(d, x, p.id);
      case 8:
        if (x.ids.count(p.id) != 0) fail("I15", d, "a SUBSCRIBE has the packet id of a message in flight");
        x.asked[p.id] = p.filters.size();
        return;
      case 14: x.said_goodbye = true; return;
      default: return;
    }
  }
  void down(int d, std::string_view bytes) {
    device_state& x = devices_[i(d)];
    seen_packet const p = read_packet(bytes, false);
    note("down", d, p.type, p.id, p.type == 3 ? p.topic : std::string_view{});
    x.last_down = now_;
    if (p.wrong != nullptr || x.must_end) return;  // a client ends the connection there, and reads no further
    switch (p.type) {
      case 2:
        if (p.code != 0 || x.link_open) return;
        x.link_open = true;
        x.link_since = x.last_up = now_;
        x.session_present = p.session_present;
        x.sent_on_link.clear();
        if (!p.session_present)
          for (auto it = x.ids.begin(); it != x.ids.end();) it = x.sends[it->second].ended ? x.ids.erase(it) : std::next(it);
        return;
      case 3: return down_publish(d, x, p);
      case 4: x.ids.erase(p.id); return;
      case 9: {
        auto const asked = x.asked.find(p.id);
        if (asked == x.asked.end() || asked->second != p.codes.size()) return;
        for (int const code : p.codes) x.filters += code < 0x80;
        x.asked.erase(asked);
        return;
      }
      default: return;
    }
  }
  // From time to time: what cannot be seen at an event.
  void look_around() {
    for (std::size_t d = 0; d != devices_.size(); ++d)
      if (devices_[d].link_open) silence(static_cast<int>(d), devices_[d]);
  }

  // --- text that leaves the library
  void add_secret(std::string secret) { secrets_.insert(std::move(secret)); }
  void scan(std::string_view text) {
    if (text.find("sig=") != std::string_view::npos || text.find("SharedAccessKey=") != std::string_view::npos)
      return fail("I16", -1, "a text holds a token or a key");
    if (text.size() < 20) return;
    for (auto const& s : secrets_)
      if (text.find(s) != std::string_view::npos) return fail("I16", -1, "a text holds a device's key");
  }

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
    std::uint64_t stored = 0, breaks = 0;
  };
  struct report_key {
    std::set<std::int64_t> sent;
    std::int64_t confirmed = -1;
  };
  struct c2d {
    std::uint64_t seen = 0, accepted = 0;
    bool excused = false;
  };
  struct call_state {
    int device;
    micros began, limit;
    std::uint64_t delivered, runs;
    bool ended;
  };
  struct device_state {
    std::string status = "disconnected";
    std::map<std::uint64_t, operation> pending;
    std::vector<send> sends;
    bool any_stored = false, order_excused = false;
    std::uint64_t newest_stored = 0;
    report_key reports[6];
    std::uint64_t last_reported = 0;
    std::int64_t last_reported_version = 0;
    iothub::json::value doc;
    bool has_doc = false, made_anew = false;
    std::int64_t last_desired = 0;
    std::vector<c2d> messages;
    // the link
    bool explicit_connect = true, said_goodbye = false, up_buffer_connect = false, link_open = false, session_present = false,
         must_end = false, busy = false;
    micros anew_at = 0, gone_at = 0, link_since = 0, last_up = 0, last_down = 0;
    std::map<std::uint16_t, std::uint64_t> ids;     // in flight: packet id, message
    std::set<std::uint64_t> sent_on_session;        // messages that went out once
    std::set<std::uint64_t> sent_on_link;
    std::vector<std::pair<std::uint16_t, std::uint64_t>> owed;  // packet id, message
    std::map<std::string, int> rids;                // delivered on this connection, and how often unanswered
    std::map<std::uint16_t, std::size_t> asked;
    std::size_t filters = 0;
    int attempts_unproven = 0;
    std::vector<micros> gaps;
  };

  static std::size_t i(int d) noexcept { return static_cast<std::size_t>(d); }
  void mix(std::uint64_t v) noexcept {
    for (int k = 0; k != 8; ++k, v >>= 8) hash_ = (hash_ ^ (v & 255)) * 1099511628211u;
  }
  // While the process stood still nothing could be done.
  [[nodiscard]] micros slack(micros since) const noexcept { return stalled_at_ >= since ? 2 * 3600 * second : 2 * second; }
  static void merge(iothub::json::value& into, iothub::json::value const& patch);

  void backoff(int d, device_state& x, micros gap) {
    ++x.attempts_unproven;
    micros cap = script_.base_delay * 1000;
    for (int n = 1; n < x.attempts_unproven && cap < script_.max_delay * 1000; ++n) cap *= 2;
    if (cap > script_.max_delay * 1000) cap = script_.max_delay * 1000;
    if (cap < script_.max_delay * 1000) return;
    // Twelve waits drawn evenly up to `cap` sum up to less than one of them once in 479 million times.
    x.gaps.push_back(gap);
    if (x.gaps.size() < 12) return;
    micros sum = 0;
    for (std::size_t k = x.gaps.size() - 12; k != x.gaps.size(); ++k) sum += x.gaps[k];
    if (sum < cap)
      fail("I12", d, "the last 12 of " + std::to_string(x.attempts_unproven) + " waits were " + std::to_string(sum / 1000) +
                         " ms together; one alone may be " + std::to_string(cap / 1000));
  }
  void silence(int d, device_state& x) {
    if (x.must_end && now_ > x.last_down + 5 * second) return fail("I18", d, "MQTT-4.8.0-1: a connection lives on after what is not MQTT");
    if (script_.keep_alive == 0 || stalled_at_ >= x.last_up || stalled_at_ >= x.last_down) return;
    if (now_ - x.last_up > script_.keep_alive * second + second)
      fail("I14", d, "nothing was sent for " + std::to_string((now_ - x.last_up) / second) + " s");
    micros const heard = x.last_down > x.link_since ? x.last_down : x.link_since;
    if (now_ - heard > script_.keep_alive * second * 3 / 2 + 31 * second)
      fail("I14", d, "a dead link was not noticed for " + std::to_string((now_ - heard) / second) + " s");
  }
  void up_connect(int d, device_state& x, seen_packet const& p, std::int64_t client_utc) {
    x.up_buffer_connect = false;
    if (p.client_id != "d" + std::to_string(d)) return fail("I18", d, "another's client id");
    auto const token = iothub::parse_sas_token(p.password);
    if (!token) return fail("I16", d, "CONNECT without a token");
    if (token->expiry <= client_utc) return fail("I16", d, "CONNECT with an expired token");
    if (p.keep_alive != script_.keep_alive) fail("I14", d, "another keep-alive than was asked for");
  }
  void up_publish(int d, device_state& x, seen_packet const& p) {
    std::string const own = "devices/d" + std::to_string(d) + "/messages/events/";
    if (p.topic.substr(0, own.size()) == own) return up_telemetry(d, x, p);
    if (p.qos != 0) return fail("I18", d, "QoS 1 on a topic that is not telemetry");
    constexpr std::string_view response = "$iothub/methods/res/";
    if (p.topic.substr(0, response.size()) == response) {
      auto const at = p.topic.find("$rid=");
      std::string const rid{at == std::string_view::npos ? std::string_view{} : p.topic.substr(at + 5)};
      auto const found = x.rids.find(rid);
      if (found == x.rids.end()) return fail("I5", d, "an answer to a call that this connection never had");
      if (found->second-- <= 0) return fail("I5", d, "a second answer to one call");
      return;
    }
    if (p.topic.substr(0, 13) != "$iothub/twin/") fail("I18", d, "a strange topic: " + std::string{p.topic});
  }
  void up_telemetry(int d, device_state& x, seen_packet const& p) {
    if (p.qos != 1) return fail("I3", d, "telemetry at QoS 0");
    std::uint64_t n = 0;
    std::size_t at = p.payload.find('.');
    for (at = at == std::string_view::npos ? p.payload.size() : at + 1; at < p.payload.size() && p.payload[at] >= '0' && p.payload[at] <= '9'; ++at)
      n = n * 10 + static_cast<std::uint64_t>(p.payload[at] - '0');
    auto const [it, fresh] = x.ids.try_emplace(p.id, n);
    if (!fresh && it->second != n)
      return fail("I15", d, "packet id " + std::to_string(p.id) + " of message " + std::to_string(it->second) +
                                " is in flight and was used for message " + std::to_string(n));
    bool const before = !x.sent_on_session.insert(n).second;
    if (!x.sent_on_link.insert(n).second) return fail("I3", d, "message " + std::to_string(n) + " was sent twice on one connection");
    if (!before && p.dup) fail("I3", d, "MQTT-3.3.1-1: the first sending of a message has DUP");
    if (before && x.session_present && !p.dup)
      fail("I3", d, "MQTT-3.3.1-1: message " + std::to_string(n) + " was sent again in the same session without DUP");
    if (before && n < x.sends.size() && x.sends[n].ended) fail("I3", d, "message " + std::to_string(n) + " has ended and was sent again");
  }
  void up_puback(int d, device_state& x, std::uint16_t id) {
    for (std::size_t k = 0; k != x.owed.size(); ++k) {
      if (x.owed[k].first != id) continue;
      std::uint64_t const n = x.owed[k].second;
      x.owed.erase(x.owed.begin() + static_cast<std::ptrdiff_t>(k));
      if (n < x.messages.size() && x.messages[n].accepted == 0)
        fail("I9", d, "message " + std::to_string(n) + " was acknowledged before its handler accepted it");
      return;
    }
    fail("I9", d, "a PUBACK for what was never received");
  }
  void down_publish(int d, device_state& x, seen_packet const& p) {
    std::string_view const topic = p.topic;
    if (topic.substr(0, 8) == "devices/") {
      std::string const own = "devices/d" + std::to_string(d) + "/messages/devicebound/";
      if (topic.substr(0, own.size()) != own) return fail("I19", d, "a message of another device");
      std::uint64_t n = 0;
      for (std::size_t at = 1; at < p.payload.size() && p.payload[at] >= '0' && p.payload[at] <= '9'; ++at)
        n = n * 10 + static_cast<std::uint64_t>(p.payload[at] - '0');
      if (p.qos == 1) x.owed.emplace_back(p.id, n);
      return;
    }
    constexpr std::string_view request = "$iothub/methods/POST/";
    if (topic.substr(0, request.size()) != request) return;
    auto const at = topic.find("$rid=");
    if (at == std::string_view::npos) return;
    if (++x.rids[std::string{topic.substr(at + 5)}] > 1) fail("I19", d, "the hub sent one call twice");
    std::uint64_t call = 0;
    for (char const c : p.payload)
      if (c >= '0' && c <= '9') call = call * 10 + static_cast<std::uint64_t>(c - '0');
    if (call < calls_.size() && calls_[call].device == d) ++calls_[call].delivered;
  }

  script const& script_;
  std::size_t keep_;
  std::vector<device_state> devices_;
  std::vector<call_state> calls_;
  std::set<std::string> secrets_;
  std::vector<event> ring_;
  std::size_t next_ = 0;
  micros now_ = 0;
  micros stalled_at_ = -1;
  std::uint64_t last_op_ = 0, count_ = 0, messages_ = 0, duplicates_ = 0, renewals_ = 0, attempts_ = 0, failures_ = 0;
  std::uint64_t hash_ = 14695981039346656037u;
  std::string invariant_, what_;
  micros broken_at_ = 0;
};

// RFC 7396, once more.
inline void oracle::merge(iothub::json::value& into, iothub::json::value const& patch) {
  if (!patch.is_object()) {
    into = patch;
    return;
  }
  if (!into.is_object()) into = iothub::json::value::make_object();
  for (auto const& m : patch.members()) {
    if (m.value().is_null())
      into.erase(m.key());
    else
      merge(into[m.key()], m.value());
  }
}

}  // namespace iothub_test
