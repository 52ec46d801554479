// The judge: the frames of a device over AMQP.
#include <iothub/wire/sas_token.hpp>

#include "oracle.hpp"

namespace iothub_test {

namespace {
// The number behind the first `stop` in a body, or at its second place.
std::uint64_t number_after(std::string_view body, std::size_t at) {
  std::uint64_t n = 0;
  for (; at < body.size() && body[at] >= '0' && body[at] <= '9'; ++at) n = n * 10 + static_cast<std::uint64_t>(body[at] - '0');
  return n;
}
std::string_view token_in(std::string_view body) {
  auto const at = body.find("SharedAccessSignature ");
  if (at == std::string_view::npos) return {};
  auto end = at;
  while (end < body.size() && body[end] >= 32 && body[end] < 127) ++end;
  return body.substr(at, end - at);
}
}  // namespace

void oracle::up_frame(int d, device_state& x, std::string_view bytes, std::int64_t client_utc) {
  seen_frame const f = x.witness.up(bytes);
  note("frame up", d, f.delivery, 0, std::string{f.name} + " " + f.address);
  if (f.wrong != nullptr) return fail("I18", d, std::string{"the client sent what is not AMQP: "} + f.wrong);
  if (x.must_end && f.name != "close" && f.name != "end" && f.name != "empty") return fail("I18", d,
      "the client goes on after what is not AMQP");
  if (f.name == "end") x.must_end = false;  // the rule was one of the session's: the hub's answer is waited for
  if (x.link_open) silence(d, x);
  x.last_up = now_;
  x.up_buffer_connect = false;
  switch (f.what) {
    case seen_frame::kind::closed:
      if (f.accepted) x.said_goodbye = true;
      return;
    case seen_frame::kind::token: {
      auto const token = iothub::parse_sas_token(token_in(f.body));
      if (!token) return fail("I16", d, "put-token without a token");
      if (token->expiry <= (x.link_open ? client_utc : x.asked_utc)) return fail("I16", d, "put-token with an expired token");
      x.token_ends = x.link_open ? now_ + (token->expiry - client_utc) * second
                                 : x.attempted_at + (token->expiry - x.asked_utc) * second;
      if (x.link_open) ++renewals_;
      return;
    }
    case seen_frame::kind::telemetry: {
      std::size_t const stop = f.body.find('.');
      std::uint64_t const n = stop == std::string_view::npos ? x.sends.size() : number_after(f.body, stop + 1);
      if (n >= x.sends.size()) return fail("I2", d, "telemetry that nobody sent");
      if (!x.sent_on_link.insert(n).second) return fail("I3", d, "message " + std::to_string(n) +
          " was sent twice on one connection");
      if (x.sends[n].ended) fail("I3", d, "message " + std::to_string(n) + " has ended and was sent again");
      return;
    }
    case seen_frame::kind::method_answer: {
      auto const found = x.rids.find(f.correlation);
      if (found == x.rids.end()) return fail("I5", d, "an answer to a call that this connection never had");
      if (found->second-- <= 0) return fail("I5", d, "a second answer to one call");
      return;
    }
    case seen_frame::kind::settled:
      for (std::size_t k = 0; k != x.owed.size();) {
        auto const [delivery, n] = x.owed[k];
        if (delivery - f.delivery > f.last - f.delivery) {
          ++k;
          continue;
        }
        x.owed.erase(x.owed.begin() + static_cast<std::ptrdiff_t>(k));
        if (f.accepted && n < x.messages.size() && x.messages[n].accepted == 0)
          return fail("I9", d, "message " + std::to_string(n) + " was completed before its handler accepted it");
      }
      return;
    default: return;
  }
}

void oracle::down_frame(int d, device_state& x, std::string_view bytes) {
  seen_frame const f = x.witness.down(bytes);
  note("frame down", d, f.delivery, 0, std::string{f.name} + " " + f.address);
  x.last_down = now_;
  if (x.must_end) return;
  switch (f.what) {
    case seen_frame::kind::attached:
      if (x.link_open || f.address.find("/messages/events") == std::string::npos) return;
      x.link_open = true;
      x.link_since = now_;
      x.sent_on_link.clear();
      return;
    case seen_frame::kind::call: return call_delivered(d, x, f.correlation, f.body);
    case seen_frame::kind::message: ++x.brought, x.owed.emplace_back(f.delivery, number_after(f.body, 1)); return;
    default: return;
  }
}

// The hub says how long it waits (Part 2, 2.4.5); the client, as its dialect has it, for twice the keep-alive.
void oracle::frame_silence(int d, device_state& x) {
  if (x.must_end && now_ > x.last_down + 5 * second + stood_still(x.last_down)) return fail("I18", d,
      "a connection lives on after what is not AMQP");
  micros const patience = static_cast<micros>(x.witness.hub_patience()) * 1000;
  if (patience != 0 && now_ - x.last_up > patience + second + stood_still(x.last_up))
    fail("I14", d, "nothing was sent for " + std::to_string((now_ - x.last_up) / second) + " s");
  if (script_.keep_alive != 0 && now_ - x.last_down > 2 * script_.keep_alive * second + 31 * second + stood_still(x.last_down))
    fail("I14", d, "a dead link was not noticed for " + std::to_string((now_ - x.last_down) / second) + " s");
}

}  // namespace iothub_test
