// The judge: what applications, back ends and the hub's log say.
#include "oracle.hpp"

#include <algorithm>
#include <cstdio>

namespace iothub_test {

void oracle::fail(char const* invariant, int device, std::string what) {
  if (broken()) return;
  invariant_ = invariant;
  what_ = (device >= 0 ? "d" + std::to_string(device) + ": " : std::string{}) + std::move(what);
  broken_at_ = now_;
  note("BROKEN", device, 0, 0, what_);
}

// --- every event goes through here

void oracle::mix(std::uint64_t v) noexcept {
  for (int k = 0; k != 8; ++k, v >>= 8) hash_ = (hash_ ^ (v & 255)) * 1099511628211u;
}

void oracle::note(char const* what, int device, std::int64_t a, std::int64_t b, std::string_view text) {
  ++count_;
  if (now_ != moment_) moment_ = now_, at_moment_ = 0;
  if (++at_moment_ == 500'000) fail("I13", device, "half a million events at one moment: something goes round in circles");
  if (at_moment_ > 1'000'000) std::abort();  // and does not come out
  mix(static_cast<std::uint64_t>(now_));
  for (char const* c = what; *c != 0; ++c) hash_ = (hash_ ^ static_cast<unsigned char>(*c)) * 1099511628211u;
  mix(static_cast<std::uint64_t>(device) << 48 ^ static_cast<std::uint64_t>(a) << 20 ^ static_cast<std::uint64_t>(b));
  if (live_trace != nullptr) std::fprintf(live_trace, "%s\n", event_line(now_, device, what, a, b, text.substr(0, 300)).c_str());
  if (keep_ == 0) return;
  if (ring_.size() < keep_) ring_.emplace_back();
  event& e = ring_[next_++ % keep_];
  e = {now_, what, device, a, b, std::string{text.substr(0, 300)}};
}

std::vector<std::string> oracle::last() const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i != ring_.size(); ++i) {
    event const& e = ring_[(next_ + i) % ring_.size()];
    lines.push_back(event_line(e.at, e.device, e.what, e.a, e.b, e.text));
  }
  return lines;
}

// --- the application's side of a device

void oracle::client_made(int d) {
  device_state& x = devices_[i(d)];
  note("client", d);
  x.status = "disconnected";
  x.ids.clear();
  x.confirmed.clear();
  x.pending.clear();
  x.open_sends.clear();
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

void oracle::client_gone(int d, bool closed_in_order) {
  device_state& x = devices_[i(d)];
  note("client gone", d, closed_in_order);
  if (closed_in_order && !x.pending.empty())
    fail("I10", d, "close() left " + std::to_string(x.pending.size()) + " operations without an end");
  x.pending.clear();
  x.confirmed.clear();
}

void oracle::connecting(int d) {
  note("connect()", d);
  devices_[i(d)].explicit_connect = true;
}

std::uint64_t oracle::begin(int d, char const* what, micros limit) {
  std::uint64_t const op = ++last_op_;
  devices_[i(d)].pending[op] = {now_, limit, what};
  note(what, d, static_cast<std::int64_t>(op));
  return op;
}

void oracle::end(int d, std::uint64_t op, char const* how) {
  device_state& x = devices_[i(d)];
  auto const found = x.pending.find(op);
  note(how, d, static_cast<std::int64_t>(op));
  if (found == x.pending.end()) return fail("I10", d, "operation " + std::to_string(op) + " ended a second time");
  operation const o = found->second;
  x.pending.erase(found);
  // While a handler waited for a call of its own, other callbacks had to wait.
  if (now_ > std::max(o.began + o.limit, x.busy_until) + slack(o.began))
    fail("I10", d, std::string{o.what} + " " + std::to_string(op) + " ended " +
                       std::to_string((now_ - o.began) / second) + " s after it began");
}

std::uint64_t oracle::sent(int d) {
  device_state& x = devices_[i(d)];
  std::uint64_t const n = x.sends.size();
  x.sends.push_back({});
  x.open_sends.insert(n);
  ++messages_;
  note("send", d, static_cast<std::int64_t>(n));
  return n;
}

void oracle::send_ended(int d, std::uint64_t n, bool ok, std::string_view why) {
  device_state& x = devices_[i(d)];
  send& s = x.sends[n];
  note(ok ? "sent" : "send failed", d, static_cast<std::int64_t>(n), 0, why);
  scan(why);
  s.ended = true;
  s.ok = ok;
  x.open_sends.erase(n);
  failures_ += !ok;
  if (ok && s.stored == 0) fail("I1", d, "message " + std::to_string(n) + " was reported sent and is not in the hub's log");
}

void oracle::send_threw(int d, std::uint64_t n) {
  note("send threw", d, static_cast<std::int64_t>(n));
  device_state& x = devices_[i(d)];
  x.sends[n].ended = x.sends[n].threw = true;  // it stays among the open ones, since it may be sent for as long as there are
}

void oracle::count_pending(int d) {
  std::size_t messages = 0;
  for (auto const& [op, o] : devices_[i(d)].pending) messages += std::string_view{o.what} == "telemetry";
  if (devices_[i(d)].busy || now_ <= stalled_at_) return;
  if (messages > static_cast<std::size_t>(script_.outbox))
    fail("I11", d, std::to_string(messages) + " messages are pending, the outbox may hold " + std::to_string(script_.outbox));
}

void oracle::connection(int d, std::string_view status, std::string_view reason) {
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
    if (x.how == seen_as::values) x.link_open = true, x.link_since = now_;
    renewals_ += reason == "token_renewal";
    if (x.how == seen_as::frames && x.link_open && x.witness.links_attached() < 6 && now_ > x.link_since + second)
      fail("I17", d, "connected was told with " + std::to_string(x.witness.links_attached()) + " of 6 links attached");
    if (x.how == seen_as::packets && x.link_open && x.filters < 4 && now_ > x.link_since + second)
      fail("I17", d, "connected was told with " + std::to_string(x.filters) + " of 4 subscriptions");
  }
}

std::string oracle::pending_of(int d) const {
  std::string text;
  for (auto const& [op, o] : devices_[i(d)].pending) text += std::string{" "} + o.what + "#" + std::to_string(op);
  return text.substr(0, 300);
}

// --- telemetry at the hub

void oracle::stored(int d, std::string_view body, std::string_view property) {
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

void oracle::report_ended(int d, std::uint64_t n, bool ok, std::int64_t version) {
  device_state& x = devices_[i(d)];
  note(ok ? "reported" : "report failed", d, static_cast<std::int64_t>(n), version);
  if (!ok || (x.anew_at != 0 && x.link_since <= x.anew_at)) return;  // the latter: it was of the device that was deleted
  auto& key = x.reports[n % 6];
  if (static_cast<std::int64_t>(n) > key.confirmed) key.confirmed = static_cast<std::int64_t>(n);
  // Answers may come in another order than the patches were applied in.
  if (n < x.last_reported) return;
  if (version <= x.last_reported_version)
    fail("I7", d, "the version of the reported properties went from " + std::to_string(x.last_reported_version) + " to " + std::to_string(version));
  x.last_reported = n;
  x.last_reported_version = version;
}

void oracle::desired_seen(int d, iothub::json::value const& patch, std::int64_t version, bool whole, std::int64_t at_hub) {
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

void oracle::twin_read(int d, std::string const& document) {
  if (document.find("tag-") != std::string::npos) fail("I19", d, "tags reached the device");
}

void oracle::final_twin(int d, iothub::json::value const& reported, iothub::json::value const& desired, std::int64_t version) {
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

std::uint64_t oracle::invoked(int d, micros limit) {
  calls_.push_back({d, now_, limit, 0, 0, false});
  note("invoke", d, static_cast<std::int64_t>(calls_.size() - 1));
  ++messages_;
  return calls_.size() - 1;
}

void oracle::method_ran(int d, std::uint64_t call) {
  note("method runs", d, static_cast<std::int64_t>(call));
  if (call >= calls_.size() || calls_[call].device != d) return fail("I5", d, "a call that nobody made");
  if (devices_[i(d)].how == seen_as::values) calls_[call].delivered = 1;  // which is not seen, and may be once
  if (++calls_[call].runs > calls_[call].delivered)
    fail("I5", d, "the handler ran " + std::to_string(calls_[call].runs) + " times for call " + std::to_string(call) +
                      ", which was delivered " + std::to_string(calls_[call].delivered) + " times");
}

void oracle::call_ended(std::uint64_t call, int status, std::string_view why, bool echoed) {
  call_state& c = calls_[call];
  note("invoked", c.device, static_cast<std::int64_t>(call), status, why);
  scan(why);
  if (c.ended) return fail("I6", c.device, "call " + std::to_string(call) + " has two outcomes");
  c.ended = true;
  if (now_ > c.began + c.limit + slack(c.began))
    fail("I6", c.device, "call " + std::to_string(call) + " took " + std::to_string((now_ - c.began) / second) + " s");
  if (status == 200 && (!echoed || c.runs == 0)) fail("I6", c.device, "call " + std::to_string(call) + " was answered with another's answer");
}

bool oracle::all_calls_ended() const {
  for (auto const& c : calls_)
    if (!c.ended) return false;
  return true;
}

// --- cloud to device

std::uint64_t oracle::message_sent(int d) {
  device_state& x = devices_[i(d)];
  x.messages.push_back({});
  note("c2d", d, static_cast<std::int64_t>(x.messages.size() - 1));
  ++messages_;
  return x.messages.size() - 1;
}

void oracle::message_seen(int d, std::uint64_t n) {
  note("c2d seen", d, static_cast<std::int64_t>(n));
  device_state& x = devices_[i(d)];
  if (n >= x.messages.size()) return fail("I2", d, "a message that nobody sent");
  ++x.messages[n].seen;
}

void oracle::message_by_messenger(int d, std::uint64_t n, bool wants_feedback) {
  c2d& m = devices_[i(d)].messages[n];
  m.excused = true;
  m.wants_feedback = wants_feedback;
}

void oracle::message_taken(int d, std::uint64_t n, bool ok, std::string_view why) {
  note(ok ? "c2d taken" : "c2d failed", d, static_cast<std::int64_t>(n), 0, why);
  scan(why);
  c2d& m = devices_[i(d)].messages[n];
  if (m.taken) return fail("I6", d, "the sending of message " + std::to_string(n) + " has two outcomes");
  m.taken = ok;
  if (ok && !m.gone) m.excused = false;
}

void oracle::feedback(int d, std::uint64_t n, bool success) {
  note("feedback", d, static_cast<std::int64_t>(n), success);
  device_state& x = devices_[i(d)];
  if (n >= x.messages.size()) return fail("I2", d, "feedback of a message that nobody sent");
  c2d& m = x.messages[n];
  if (!m.wants_feedback) return fail("I9", d, "feedback of message " + std::to_string(n) + ", for which nobody asked");
  ++m.feedback;
  if (success && m.accepted == 0) fail("I9", d, "feedback says that message " + std::to_string(n) + " was taken; no handler took it");
}

bool oracle::lacks_feedback(c2d const& m) { return m.wants_feedback && m.taken && !m.gone && m.accepted != 0 && m.feedback == 0; }

bool oracle::awaits_feedback() const {
  for (device_state const& x : devices_)
    if (std::any_of(x.messages.begin(), x.messages.end(), lacks_feedback)) return true;
  return false;
}

void oracle::final_messages(int d, std::size_t waiting) {
  device_state& x = devices_[i(d)];
  std::size_t missing = 0;
  std::uint64_t which = 0;
  for (std::uint64_t n = 0; n != x.messages.size(); ++n)
    if (!x.messages[n].excused && x.messages[n].accepted == 0) ++missing, which = n;
  if (missing > waiting)
    fail("I9", d, std::to_string(missing) + " messages were never accepted (message " + std::to_string(which) +
                      " among them), and the hub holds " + std::to_string(waiting));
  for (std::uint64_t n = 0; n != x.messages.size(); ++n) {
    if (waiting == 0 && lacks_feedback(x.messages[n]))
      return fail("I9", d, "message " + std::to_string(n) + " was accepted, and no feedback of it came");
  }
}

// --- faults

void oracle::fault(int d, std::string_view what) {
  note("fault", d, 0, 0, what);
  if (what == "stall") stalled_at_ = now_;
  if (d < 0 || i(d) >= devices_.size()) return;
  device_state& x = devices_[i(d)];
  if (what == "quota_used_up") x.order_excused = true;
  // Over AMQP the hub refuses one message and takes those behind it.
  if (what == "telemetry_throttled" && x.how == seen_as::frames) x.order_excused = true;
  if (what == "illegal_packet") x.must_end = true;
  if (what == "allocation_failure") x.out_of_memory = x.link_open;
  if (what == "device_deleted") {
    x.made_anew = true;
    x.anew_at = now_;
    x.last_reported_version = 0;
    for (auto& m : x.messages) m.excused = m.gone = true;
    for (auto& key : x.reports) key.confirmed = -1;
  }
}

// --- text that leaves the library

void oracle::scan(std::string_view text) {
  if (text.find("sig=") != std::string_view::npos || text.find("SharedAccessKey=") != std::string_view::npos)
    return fail("I16", -1, "a text holds a token or a key");
  if (text.size() < 20) return;
  for (auto const& s : secrets_)
    if (text.find(s) != std::string_view::npos) return fail("I16", -1, "a text holds a device's key");
}

// RFC 7396, once more.
void oracle::merge(iothub::json::value& into, iothub::json::value const& patch) {
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
