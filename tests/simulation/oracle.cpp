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
  if (device >= 0 && i(device) < devices_.size()) bounds(device, devices_[i(device)]);
  for (char const c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 1099511628211u;
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

micros oracle::stood_still(micros since) const noexcept {
  micros sum = 0;
  for (stall const& s : stalls_)
    if (s.to >= since) sum += s.to - std::max(s.from, since);
  return sum;
}

// What has to hold at every event. A message that the outbox refused is told of at the same moment, but where a handler
// waits for a call of its own.
void oracle::bounds(int d, device_state& x) {
  if (x.token_ends != 0 && x.link_open && now_ > x.token_ends) outlived(d, x);
  if (now_ <= x.last_send || x.busy || now_ <= x.busy_until || (!stalls_.empty() && now_ <= stalls_.back().to)) return;
  if (x.outbox_messages > static_cast<std::size_t>(script_.outbox))
    fail("I11", d, std::to_string(x.outbox_messages) + " messages are pending, the outbox may hold " +
        std::to_string(script_.outbox));
  if (x.outbox_bytes > static_cast<std::size_t>(script_.outbox_bytes))
    fail("I11", d, std::to_string(x.outbox_bytes) + " bytes are pending, the outbox may hold " +
        std::to_string(script_.outbox_bytes));
}

// A planned reconnect waits for what is in flight, and for half of the margin for what a handler has.
void oracle::outlived(int d, device_state& x) {
  // Over AMQP the new token is shown on the same connection, which is not good where nobody has answered since.
  if (x.how == seen_as::frames && x.last_down < x.token_ends - script_.margin * second) return;
  micros const more = std::max<micros>(0, 10 * second - script_.margin * second / 2);
  if (now_ > x.token_ends + more + slack(x.attempted_at))
    fail("I16", d, "a connection goes on " + std::to_string((now_ - x.token_ends) / second) + " s after its token has expired");
}

void oracle::leaves_outbox(device_state& x, send& s) {
  if (s.size == 0) return;
  --x.outbox_messages;
  x.outbox_bytes -= s.size;
  s.size = 0;
}

void oracle::client_made(int d) {
  device_state& x = devices_[i(d)];
  note("client", d);
  x.status = "disconnected";
  x.exists = true;
  x.ids.clear();
  x.confirmed.clear();
  x.pending.clear();
  for (auto const n : x.open_sends) leaves_outbox(x, x.sends[n]);
  x.open_sends.clear();
  x.last_desired = 0;
  x.has_doc = false;
  x.link_open = false;
  x.attempts_unproven = 0;
  x.waits = 0;
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
  x.exists = closed_in_order;  // a destructor tells nobody: what it leaves must not end later (docs/guarantees.md)
  x.pending.clear();
  for (auto const n : x.open_sends) leaves_outbox(x, x.sends[n]);
  x.confirmed.clear();
}

// All clients were closed, and everything that waited was told.
void oracle::final_state(int d) {
  device_state& x = devices_[i(d)];
  if (x.status != "disconnected") fail("I17", d, "the last notice of a client that was closed is \"" + x.status + "\"");
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

std::uint64_t oracle::sent(int d, iothub::message& into, iothub::property_list const& extra) {
  device_state& x = devices_[i(d)];
  std::uint64_t const n = x.sends.size();
  into = telemetry_message(d, n, extra);
  send s;
  s.began = x.last_send = now_;
  s.extra = extra;
  // What the hub counts (Microsoft docs, "Quotas and throttling"): the body, the values of system properties, names and
  // values of the others.
  s.size = into.body.bytes().size() + into.message_id.size() + into.correlation_id.size() + into.content_type.size() +
           into.content_encoding.size();
  for (auto const& p : into.properties) s.size += p.name.size() + p.value.size();
  for (auto const& p : extra)  // it asks for a fault, with a limit of 45 s of its own
    if (p.name.find("InSecs") != std::string::npos)
      x.asked_until = std::max(x.asked_until, now_ + 45 * second) + std::atoi(p.value.c_str()) * second;
  ++x.outbox_messages;
  x.outbox_bytes += s.size;
  x.sends.push_back(std::move(s));
  x.open_sends.insert(n);
  ++messages_;
  note("send", d, static_cast<std::int64_t>(n));
  return n;
}

void oracle::send_ended(int d, std::uint64_t n, bool ok, std::string_view why) {
  device_state& x = devices_[i(d)];
  send& s = x.sends[n];
  if (s.ended) return fail("I10", d, "message " + std::to_string(n) + " ended a second time");
  note(ok ? "sent" : "send failed", d, static_cast<std::int64_t>(n), 0, why);
  scan(why);
  s.ended = true;
  s.ok = ok;
  leaves_outbox(x, s);
  x.open_sends.erase(n);
  failures_ += !ok;
  if (ok && s.stored == 0) fail("I1", d, "message " + std::to_string(n) + " was reported sent and is not in the hub's log");
}

void oracle::send_threw(int d, std::uint64_t n) {
  note("send threw", d, static_cast<std::int64_t>(n));
  device_state& x = devices_[i(d)];
  leaves_outbox(x, x.sends[n]);
  x.sends[n].ended = x.sends[n].threw = true;
  x.open_sends.erase(n);
}

void oracle::connection(int d, std::string_view status, std::string_view reason) {
  device_state& x = devices_[i(d)];
  note("status", d, 0, 0, std::string{status} + " " + std::string{reason});
  if (!x.exists) return fail("I10", d, "a client that was destroyed tells \"" + std::string{status} + "\"");
  bool legal = status != x.status;
  if (x.status == "disconnected") legal = status == "connecting";
  if (x.status == "connected")
    legal = status == "retrying" || status == "disconnected" || (status == "connecting" && reason == "token_renewal");
  if (x.status == "connecting") legal = status == "connected" || status == "retrying" || status == "disconnected";
  if (x.status == "retrying") legal = status == "connected" || status == "disconnected";
  if (!legal) fail("I17", d, "from " + x.status + " to " + std::string{status} + " (" + std::string{reason} + ")");
  x.status = status;
  if (status == "retrying") x.told_lost_at = now_;
  if (status == "connected") {
    x.told_connected_at = now_;
    if (x.how == seen_as::values) x.link_open = true, x.link_since = now_;
    renewals_ += reason == "token_renewal";
    bool const late = x.busy || now_ <= x.busy_until;  // it may be told of an earlier connection
    if (x.how == seen_as::frames && x.link_open && x.witness.links_attached() < 6 && !late)
      fail("I17", d, "connected was told with " + std::to_string(x.witness.links_attached()) + " of 6 links attached");
    if (x.how == seen_as::packets && x.link_open && x.filters < 4 && !late)
      fail("I17", d, "connected was told with " + std::to_string(x.filters) + " of 4 subscriptions");
  }
}

std::string oracle::pending_of(int d) const {
  std::string text;
  for (auto const& [op, o] : devices_[i(d)].pending) text += std::string{" "} + o.what + "#" + std::to_string(op);
  return text.substr(0, 300);
}

// --- telemetry at the hub

// The message asks the hub to refuse what comes, for a while.
void oracle::asked_fault(int d, iothub::property_list const& extra) {
  micros lasting = 0;
  bool refuses = false;
  for (auto const& p : extra) {
    if (p.name == "AzIoTHub_FaultOperationType")
      refuses = p.value == "InvokeMaxMessageQuota" || (p.value == "InvokeThrottling" && devices_[i(d)].how == seen_as::frames);
    else if (p.name.find("InSecs") != std::string::npos)
      lasting += std::atoi(p.value.c_str()) * second;
  }
  if (refuses) may_reorder(d, lasting);
}

void oracle::stored(int d, iothub::message const& m) {
  if (d < 0 || i(d) >= devices_.size()) return fail("I2", d, "an event of a device that is none");
  device_state& x = devices_[i(d)];
  std::string_view const body = m.body.bytes();
  std::uint64_t n = 0;
  std::size_t at = body.find('.');
  if (body.empty() || body[0] != 'T' || at == std::string_view::npos)
    return fail("I2", d, "an event that nobody sent: " + std::string{body.substr(0, 40)});
  for (++at; at < body.size() && body[at] >= '0' && body[at] <= '9'; ++at)
    n = n * 10 + static_cast<std::uint64_t>(body[at] - '0');
  note("stored", d, static_cast<std::int64_t>(n));
  if (n >= x.sends.size()) return fail("I2", d, "message " + std::to_string(n) + " is in the log and was never sent");
  send& s = x.sends[n];
  if (auto const what = difference(m, telemetry_message(d, n, s.extra)); what != nullptr)
    return fail("I2", d, "message " + std::to_string(n) + " is not what was sent: " + what);
  asked_fault(d, s.extra);
  if (s.threw && x.how != seen_as::values)  // as values the hub is in the call
    return fail("I2", d, "message " + std::to_string(n) + " is in the hub's log, and the call that sent it threw");
  ++s.stored;
  if (s.stored > s.breaks + 1)
    fail("I3", d, "message " + std::to_string(n) + " is stored " + std::to_string(s.stored) + " times, its link broke " +
                      std::to_string(s.breaks) + " times");
  if (s.stored != 1) return void(++duplicates_);
  // The hub may have refused what was there before the fault ended.
  if (x.any_stored && n < x.newest_stored && s.began > x.order_excused_until && x.refusals_due-- == 0)
    fail("I4", d, "message " + std::to_string(n) + " came first after message " + std::to_string(x.newest_stored));
  if (!x.any_stored || n > x.newest_stored) x.newest_stored = n;
  x.any_stored = true;
}

// --- faults

void oracle::fault(int d, std::string_view what) {
  note("fault", d, 0, 0, what);
  if (d < 0 || i(d) >= devices_.size()) return;
  device_state& x = devices_[i(d)];
  // Over AMQP the hub refuses one message, whenever it comes, and takes those behind it.
  if (what == "telemetry_throttled" && x.how == seen_as::frames) ++x.refusals_due;
  if (what == "illegal_packet" || what.substr(0, 4) == "tls_") x.asked_for_less = true;
  if (what == "illegal_packet") x.must_end = true;
  if (what == "packet_unexpected" || what == "connack_wrong") x.made_up = true;  // the next packet is not the hub's
  if (what == "allocation_failure") x.out_of_memory = x.link_open;
  if (what == "messages_expired" || what == "messages_used_up")  // what waited at the hub has left it
    for (auto& m : x.messages)
      if (m.accepted == 0) m.excused = m.gone = true;
  if (what == "device_deleted") {
    x.made_anew = true;
    x.anew_at = now_;
    x.last_reported_version = 0;
    for (auto& m : x.messages) m.excused = m.gone = true;
    std::fill(x.reports.begin(), x.reports.end(), '\0');
  }
}

void oracle::stalled(micros lasting) {
  stalls_.push_back({now_, now_ + lasting});
}

void oracle::rival(int d, micros lasting) {
  device_state& x = devices_[i(d)];
  x.rival_until = std::max(x.rival_until, now_ + lasting + stood_still(now_));
}

void oracle::may_confirm_late(int d, micros lasting) {
  device_state& x = devices_[i(d)];
  x.confirmed_late = std::max(x.confirmed_late, lasting);
}

void oracle::may_reorder(int d, micros lasting) {
  device_state& x = devices_[i(d)];
  x.order_excused_until = std::max(x.order_excused_until, now_ + lasting);
}

// --- text that leaves the library

void oracle::scan(std::string_view text) {
  if (text.find("sig=") != std::string_view::npos || text.find("SharedAccessKey=") != std::string_view::npos)
    return fail("I16", -1, "a text holds a token or a key");
  if (text.size() < 20) return;
  for (auto const& s : secrets_)
    if (text.find(s) != std::string_view::npos) return fail("I16", -1, "a text holds a device's key");
}

}  // namespace iothub_test
