// The judge: calls of methods, and messages to devices.
#include <algorithm>

#include "oracle.hpp"

namespace iothub_test {

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
      if (c.runs != 1) fail("I5", c.device, "call " + std::to_string(call) + " was answered, and its handler ran " +
          std::to_string(c.runs) + " times");
      return;
    case 500:
      if (!c.threw) wrong(" was answered as if its handler had thrown");
      return;
    case 501:  // another client of the device, which took its place for a while, has no handlers
      if (c.known && (c.runs != 0 || c.began > devices_[i(c.device)].rival_until ||
          (devices_[i(c.device)].how != seen_as::values && c.delivered != 0)))
        fail("I5", c.device, "call " + std::to_string(call) + " has a handler, which did not run");
      return;
    case 503:  // its inbox was full
      if (c.runs != 0 || (devices_[i(c.device)].how != seen_as::values &&
          ++devices_[i(c.device)].turned_away > devices_[i(c.device)].brought))
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
  if (success && m.accepted == 0) fail("I9", d, "feedback says that message " + std::to_string(n) +
      " was taken; no handler took it");
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

}  // namespace iothub_test
