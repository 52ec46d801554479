// The judge: what applications, back ends and the hub's log say.
#include "oracle.hpp"

#include <algorithm>
#include <cstdio>

namespace iothub_test {

namespace {
// In what two messages differ; null: in nothing.
char const* difference(iothub::message const& a, iothub::message const& b) {
  if (a.body.bytes() != b.body.bytes()) return "the body";
  if (a.properties != b.properties) return "the properties";
  if (a.message_id != b.message_id) return "message_id";
  if (a.correlation_id != b.correlation_id) return "correlation_id";
  if (a.content_type != b.content_type) return "content_type";
  if (a.content_encoding != b.content_encoding) return "content_encoding";
  return a == b ? nullptr : "a system property";
}
}  // namespace

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
    fail("I11", d, std::to_string(x.outbox_messages) + " messages are pending, the outbox may hold " + std::to_string(script_.outbox));
  if (x.outbox_bytes > static_cast<std::size_t>(script_.outbox_bytes))
    fail("I11", d, std::to_string(x.outbox_bytes) + " bytes are pending, the outbox may hold " + std::to_string(script_.outbox_bytes));
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
  x.sends[n].ended = x.sends[n].threw = true;  // it stays among the open ones, since it may be sent for as long as there are
}

void oracle::connection(int d, std::string_view status, std::string_view reason) {
  device_state& x = devices_[i(d)];
  note("status", d, 0, 0, std::string{status} + " " + std::string{reason});
  if (!x.exists) return fail("I10", d, "a client that was destroyed tells \"" + std::string{status} + "\"");
  bool legal = status != x.status;
  if (x.status == "disconnected") legal = status == "connecting";
  if (x.status == "connected") legal = status == "retrying" || status == "disconnected" || (status == "connecting" && reason == "token_renewal");
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
  if (body.empty() || body[0] != 'T' || at == std::string_view::npos) return fail("I2", d, "an event that nobody sent: " + std::string{body.substr(0, 40)});
  for (++at; at < body.size() && body[at] >= '0' && body[at] <= '9'; ++at) n = n * 10 + static_cast<std::uint64_t>(body[at] - '0');
  note("stored", d, static_cast<std::int64_t>(n));
  if (n >= x.sends.size()) return fail("I2", d, "message " + std::to_string(n) + " is in the log and was never sent");
  send& s = x.sends[n];
  if (auto const what = difference(m, telemetry_message(d, n, s.extra)); what != nullptr)
    return fail("I2", d, "message " + std::to_string(n) + " is not what was sent: " + what);
  asked_fault(d, s.extra);
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

// --- twin

void oracle::report_ended(int d, std::uint64_t n, bool ok, std::int64_t version) {
  device_state& x = devices_[i(d)];
  note(ok ? "reported" : "report failed", d, static_cast<std::int64_t>(n), version);
  if (!ok || (x.anew_at != 0 && x.link_since <= x.anew_at)) return;  // the latter: it was of the device that was deleted
  x.reports[n] = 1;
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
  // Patch by patch the handler's document is what the hub's was.
  if (version == at_hub && !x.made_anew && x.doc != x.at_hub)
    fail("I8", d, "at version " + std::to_string(version) + " the handler has " + x.doc.dump() + ", the hub " + x.at_hub.dump());
  if (patch.dump().find("tag-") != std::string::npos) fail("I19", d, "tags reached the device");
}

void oracle::twin_read(int d, std::string const& document) {
  if (document.find("tag-") != std::string::npos) fail("I19", d, "tags reached the device");
}

// The hub has what all confirmed patches make, one after the other, and any of the others: a leaf is of the newest patch
// that is known to be there, or of a newer one; and where one leaf of a patch is there, the whole patch is.
void oracle::final_reported(int d, device_state& x, iothub::json::value const& reported) {
  std::vector<std::int64_t> there;  // -1: no such leaf
  std::vector<report_patch> patches;
  for (std::uint64_t n = 0; n != x.reports.size(); ++n) patches.push_back(report_of(n));
  for (std::size_t k = 0; k != report_leaf_count; ++k) {
    iothub::json::value const* at = &reported;
    for (std::string_view name = report_leaves[k]; !name.empty();) {
      auto const stop = name.find('.');
      at = &(*at)[std::string{name.substr(0, stop)}];
      name = stop == std::string_view::npos ? std::string_view{} : name.substr(stop + 1);
    }
    auto const number = at->as_int();
    there.push_back(number ? *number : -1);
    if (!number && !at->is_null()) return fail("I7", d, std::string{report_leaves[k]} + " is " + at->dump());
    if (!number) continue;
    auto const n = static_cast<std::uint64_t>(*number);
    if (n >= patches.size() || (patches[n].sets >> k & 1) == 0)
      return fail("I7", d, std::string{report_leaves[k]} + " has a value that was never sent");
    if (x.reports[n] == 0) x.reports[n] = 1;
  }
  for (std::size_t k = 0; k != report_leaf_count; ++k) {
    std::int64_t newest = -1, remover = -1;
    for (std::uint64_t n = 0; n != patches.size(); ++n) {
      if (((patches[n].sets | patches[n].removes) >> k & 1) != 0 && x.reports[n] == 1) newest = static_cast<std::int64_t>(n);
      if ((patches[n].removes >> k & 1) != 0) remover = static_cast<std::int64_t>(n);
    }
    bool const fits = there[k] >= 0 ? there[k] >= newest : newest < 0 || remover >= newest;
    if (!fits)
      return fail("I7", d, std::string{report_leaves[k]} + " is " + (there[k] < 0 ? "not there" : std::to_string(there[k])) +
                               ", and patch " + std::to_string(newest) + " is known to be");
  }
}

void oracle::final_twin(int d, iothub::json::value const& reported, iothub::json::value const& desired, std::int64_t version) {
  device_state& x = devices_[i(d)];
  final_reported(d, x, reported);
  // One more with each change, and no other way.
  if (x.anew_at == 0 && (version - 1 > x.desired_asked || version - 1 < x.desired_done))
    fail("I19", d, "the desired version is " + std::to_string(version) + " after " + std::to_string(x.desired_done) + " to " +
                       std::to_string(x.desired_asked) + " changes");
  if (version > 1 && x.last_desired != version)
    fail("I8", d, "the hub's desired version is " + std::to_string(version) + ", the handler saw " + std::to_string(x.last_desired));
  if (x.has_doc && x.doc != desired) fail("I8", d, "the handler has " + x.doc.dump() + ", the hub " + desired.dump());
}

// --- methods

std::uint64_t oracle::invoked(int d, micros limit, bool known) {
  calls_.push_back({d, now_, limit, known});
  note("invoke", d, static_cast<std::int64_t>(calls_.size() - 1));
  ++messages_;
  return calls_.size() - 1;
}

void oracle::method_ran(int d, std::uint64_t call) {
  note("method runs", d, static_cast<std::int64_t>(call));
  if (call >= calls_.size() || calls_[call].device != d) return fail("I5", d, "a call that nobody made");
  if (!calls_[call].known) return fail("I5", d, "a handler ran for another's call");
  if (devices_[i(d)].how == seen_as::values) calls_[call].delivered = 1;  // which is not seen, and may be once
  if (++calls_[call].runs > calls_[call].delivered)
    fail("I5", d, "the handler ran " + std::to_string(calls_[call].runs) + " times for call " + std::to_string(call) +
                      ", which was delivered " + std::to_string(calls_[call].delivered) + " times");
}

// What a back end may be told: the device's own answer, or why there is none.
void oracle::call_ended(std::uint64_t call, iothub::result<iothub::method_response> const& r) {
  using iothub::errc;
  call_state& c = calls_[call];
  int const status = r ? r->status : -static_cast<int>(r.error().code());
  note("invoked", c.device, static_cast<std::int64_t>(call), status, r ? std::string_view{} : r.error().message());
  if (!r) scan(r.error().message());
  auto const wrong = [&](std::string what) { fail("I6", c.device, "call " + std::to_string(call) + what); };
  if (c.ended) return wrong(" has two outcomes");
  c.ended = true;
  if (now_ > c.began + c.limit + slack(c.began)) return wrong(" took " + std::to_string((now_ - c.began) / second) + " s");
  if (!r) {
    switch (r.error().code()) {
      case errc::device_offline: case errc::device_not_found: case errc::device_timeout: case errc::timeout:
      case errc::throttled: case errc::service_unavailable: case errc::server_error: case errc::not_connected:
      case errc::connection_refused: case errc::connection_lost: case errc::host_not_found: case errc::tls_failed:
      case errc::certificate_rejected: case errc::protocol_error: case errc::malformed: case errc::closed:
      case errc::io_error: case errc::too_large: return;  // the last: a header that no answer has
      default: return wrong(" ended as none can: " + std::string{to_string(r.error().code())});
    }
  }
  bool const echoed = r->payload.as_int() == static_cast<std::int64_t>(call);
  switch (status) {
    case 200:
      if (!c.known || !echoed) return wrong(" was answered with another's answer");
      if (c.runs != 1) fail("I5", c.device, "call " + std::to_string(call) + " was answered, and its handler ran " + std::to_string(c.runs) + " times");
      return;
    case 500:
      if (!c.threw) wrong(" was answered as if its handler had thrown");
      return;
    case 501:  // another client of the device, which took its place for a while, has no handlers
      if (c.known && (c.runs != 0 || c.began > devices_[i(c.device)].rival_until || (devices_[i(c.device)].how != seen_as::values && c.delivered != 0)))
        fail("I5", c.device, "call " + std::to_string(call) + " has a handler, which did not run");
      return;
    case 503:  // its inbox was full
      if (c.runs != 0 || (devices_[i(c.device)].how != seen_as::values && ++devices_[i(c.device)].turned_away > devices_[i(c.device)].brought))
        wrong(" was turned away without a reason");
      return;
    default: return wrong(" was answered with " + std::to_string(status));
  }
}

bool oracle::all_calls_ended() const {
  for (auto const& c : calls_)
    if (!c.ended) return false;
  return true;
}

// --- cloud to device

std::uint64_t oracle::message_sent(int d, bool once_more, iothub::message& into) {
  device_state& x = devices_[i(d)];
  x.messages.push_back({});
  x.messages.back().once_more = once_more;
  std::uint64_t const n = x.messages.size() - 1;
  into = c2d_message_of(d, n, once_more);
  note("c2d", d, static_cast<std::int64_t>(n));
  ++messages_;
  return n;
}

std::uint64_t oracle::message_seen(int d, iothub::message const& m) {
  std::string_view const body = m.body.bytes();
  std::uint64_t n = 0;
  for (std::size_t at = 1; at < body.size() && body[at] >= '0' && body[at] <= '9'; ++at)
    n = n * 10 + static_cast<std::uint64_t>(body[at] - '0');
  note("c2d seen", d, static_cast<std::int64_t>(n));
  device_state& x = devices_[i(d)];
  if (n >= x.messages.size()) return fail("I2", d, "a message that nobody sent"), n;
  auto sent = c2d_message_of(d, n, x.messages[n].once_more);
  sent.to = m.to;  // the hub's own, or the messenger's
  std::string const own = "/devices/d" + std::to_string(d) + "/messages/";
  if (auto const what = difference(m, sent); what != nullptr)
    fail("I2", d, "message " + std::to_string(n) + " to the device is not what was sent: " + what);
  if (!m.to.empty() && m.to != own + "deviceBound" && m.to != own + "devicebound") fail("I19", d, "a message to " + m.to);
  ++x.messages[n].seen;
  return n;
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

// Nothing waits at the hub any more.
void oracle::final_messages(int d) {
  device_state& x = devices_[i(d)];
  for (std::uint64_t n = 0; n != x.messages.size(); ++n) {
    c2d const& m = x.messages[n];
    if (!m.excused && m.accepted == 0)
      return fail("I9", d, "message " + std::to_string(n) + " is gone from the hub, and was never accepted");
    if (lacks_feedback(m)) return fail("I9", d, "message " + std::to_string(n) + " was accepted, and no feedback of it came");
  }
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
