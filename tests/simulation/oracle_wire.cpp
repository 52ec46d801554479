// The judge: what passes on the lines.
#include "oracle.hpp"

#include <algorithm>

#include <iothub/wire/sas_token.hpp>

namespace iothub_test {

// --- every kind of connection

void oracle::attempt(int d, std::int64_t client_utc) {
  device_state& x = devices_[i(d)];
  note("attempt", d);
  ++attempts_;
  // A good-bye frees the next attempt where a token had to be renewed, and nowhere else; over AMQP that needs none.
  micros const renewal = x.token_ends - script_.margin * second * 3 / 2 - second;
  bool const planned = x.said_goodbye && x.how != seen_as::frames && x.token_ends != 0 && now_ >= renewal;
  if (x.explicit_connect) {
    x.attempts_unproven = 0;
    x.waits = 0;
    x.gaps.clear();
  } else if (!planned) {
    micros const gap = now_ - x.gone_at;
    if (gap < script_.min_delay * 1000)
      fail("I12", d, "an attempt " + std::to_string(gap / 1000) + " ms after the last failure");
    backoff(d, x, std::max(x.gone_at, x.told_lost_at));
  }
  x.explicit_connect = x.said_goodbye = false;
  x.up_buffer_connect = true;
  x.link_open = x.must_end = x.asked_for_less = false;
  x.attempted_at = now_;
  x.asked_utc = client_utc;
  // Until the token itself is seen.
  x.token_ends = now_ + script_.token * second;
  x.owed.clear();
  x.rids.clear();
  x.filters = 0;
  x.asked.clear();
  x.witness = {};
  x.brought = x.turned_away = 0;
}

void oracle::gone(int d) {
  device_state& x = devices_[i(d)];
  note("link gone", d);
  if (x.link_open) {
    silence(d, x);
    if (now_ - x.link_since >= 60 * second) {  // proven
      x.attempts_unproven = 0;
      x.gaps.clear();
    }
    if (x.status == "connected" && now_ - x.told_connected_at >= 60 * second) x.waits = 0;
  }
  for (auto const& [id, n] : x.ids)
    if (n < x.sends.size()) ++x.sends[n].breaks;
  if (x.how != seen_as::packets)
    for (auto const n : x.open_sends) ++x.sends[n].breaks;
  if (std::exchange(x.out_of_memory, false))
    for (send& each : x.sends) each.unsure = each.unsure || !each.ended || each.threw;
  x.link_open = x.made_up = false;
  x.gone_at = now_;
}

void oracle::up(int d, std::string_view bytes, std::int64_t client_utc) {
  device_state& x = devices_[i(d)];
  if (x.how == seen_as::frames) return up_frame(d, x, bytes, client_utc);
  seen_packet const p = read_packet(bytes, sender::client);
  std::string text{p.type == 3 ? p.topic : std::string_view{}};
  for (auto const filter : p.filters)
    if (p.type == 8) text.append(text.empty() ? "" : " ").append(filter);
  note("up", d, p.type, p.id, text);
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
    case 10:
      if (x.ids.count(p.id) != 0 || x.asked.count(p.id) != 0) fail("I15", d, "a SUBSCRIBE has a packet id that is in flight");
      x.subscribed = x.subscribed || p.type == 8;
      x.asked[p.id] = p.filters.size();
      return;
    case 14: x.said_goodbye = true; return;
    default: return;
  }
}

void oracle::down(int d, std::string_view bytes) {
  device_state& x = devices_[i(d)];
  if (x.how == seen_as::frames) return down_frame(d, x, bytes);
  seen_packet const p = read_packet(bytes, sender::hub);
  note("down", d, p.type, p.id, p.type == 3 ? p.topic : std::string_view{});
  x.last_down = now_;
  if (p.wrong != nullptr || (!x.link_open && p.type != 2)) x.asked_for_less = true;
  if (x.must_end) return;
  bool const made_up = std::exchange(x.made_up, false);
  if (p.wrong != nullptr) {
    if (!made_up) fail("I18", d, std::string{"the hub sent what is not MQTT: "} + p.wrong);
    return;
  }
  // a client ends the connection there, and reads no further
  switch (p.type) {
    case 2:
      if (x.link_open && !made_up) return fail("I18", d, "MQTT-3.2.0-2: the hub sent a second CONNACK");
      if (p.code != 0) x.asked_for_less = true;
      if (p.code != 0 || x.link_open) return;
      x.link_open = true;
      x.subscribed = false;
      x.link_since = x.last_up = now_;
      x.session_present = p.session_present;
      x.sent_on_link.clear();
      if (!p.session_present)
        for (auto it = x.ids.begin(); it != x.ids.end();) it = x.sends[it->second].ended ? x.ids.erase(it) : std::next(it);
      return;
    case 3: return down_publish(d, x, p);
    case 4:
      if (auto const it = x.ids.find(p.id); it != x.ids.end()) {
        if (it->second < x.sends.size() && !x.sends[it->second].ended) x.confirmed.emplace_back(it->second, now_);
        x.ids.erase(it);
      } else if (!made_up) {
        fail("I18", d, "MQTT-3.3.4-1: a PUBACK for packet id " + std::to_string(p.id) + ", which is not in flight");
      }
      return;
    case 11:
      x.asked.erase(p.id);
      return;
    case 9: {
      auto const asked = x.asked.find(p.id);
      if (made_up && (asked == x.asked.end() || asked->second != p.codes.size())) return;
      if (asked == x.asked.end()) return fail("I18", d, "MQTT-3.8.4-2: a SUBACK for packet id " + std::to_string(p.id) +
          ", which is not in flight");
      if (asked->second != p.codes.size()) return fail("I18", d, "MQTT-3.8.4-5: a SUBACK with another number of codes");
      for (int const code : p.codes) x.filters += code < 0x80, x.asked_for_less = x.asked_for_less || code >= 0x80;
      x.asked.erase(asked);
      return;
    }
    default: return;
  }
}

void oracle::look_around() {
  for (std::size_t d = 0; d != devices_.size(); ++d)
    if (devices_[d].link_open) silence(static_cast<int>(d), devices_[d]);
}

void oracle::backoff(int d, device_state& x, micros from) {
  micros const gap = now_ - from;
  auto const ceiling = [](std::int64_t base, std::int64_t most, unsigned n) {
    for (; n != 0 && base < most; --n) base *= 2;
    return std::min(base, most) * 1000;
  };
  // No longer than the ceiling; where the hub asked for less, or may have, that of a throttled client.
  micros most = ceiling(script_.base_delay, script_.max_delay, x.waits);
  if (x.asked_for_less || x.how != seen_as::packets) most = std::max(most, ceiling(5'000, 60'000, x.waits));
  ++x.waits;
  if (gap > most + second + stood_still(from))
    fail("I12", d, "wait " + std::to_string(x.waits) + " was " + std::to_string(gap / 1000) + " ms; it may be " +
        std::to_string(most / 1000));
  ++x.attempts_unproven;
  micros const cap = ceiling(script_.base_delay, script_.max_delay, static_cast<unsigned>(x.attempts_unproven - 1));
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

// A connection that is dead is noticed by keep-alive; an attempt comes to its end; then one wait of the back-off, and an
// attempt that nothing disturbs: three round trips, and three more each for TLS and for AMQP's links. An application that
// was told "disconnected" comes back after half a minute, and one whose client was destroyed, too.
micros oracle::well_within(int d) const {
  device_state const& x = devices_[i(d)];
  micros const trip = 2 * (script_.latency + script_.jitter) * 1000;
  micros const handshake = 9 * trip + 5 * second;
  micros cap = script_.max_delay * 1000;
  if (x.asked_for_less || x.how != seen_as::packets) cap = std::max(cap, 60 * second);
  micros limit = cap + handshake;
  if (x.link_open && x.how == seen_as::frames) limit += 2 * script_.keep_alive * second + 31 * second;
  if (x.link_open && x.how == seen_as::packets) limit += script_.keep_alive * second * 3 / 2 + 31 * second;
  if (!x.link_open || x.status != "connected") limit += (script_.connect_timeout + script_.subscribe_timeout) * second;
  bool gives_up = x.status == "disconnected";  // or has, or a connect() that has a limit does
  for (auto const& [op, o] : x.pending) gives_up = gives_up || std::string_view{o.what} == "connect";
  if (gives_up) limit += 31 * second;
  // What it asked the hub for itself is done to it in clear weather as well; then it waits once more, as one that is throttled.
  if (x.asked_until > now_) limit += x.asked_until - now_ + std::max(cap, 60 * second) + handshake;
  return limit;
}

void oracle::silence(int d, device_state& x) {
  if (x.how == seen_as::frames) return frame_silence(d, x);
  if (x.how == seen_as::values) return;
  if (x.must_end && now_ > x.last_down + 5 * second + stood_still(x.last_down)) return fail("I18", d,
      "MQTT-4.8.0-1: a connection lives on after what is not MQTT");
  std::erase_if(x.confirmed, [&](auto const& c) { return x.sends[c.first].ended || x.busy; });
  if (!x.confirmed.empty() && now_ > x.confirmed[0].second + 30 * second + stood_still(x.confirmed[0].second))
    return fail("I10", d, "message " + std::to_string(x.confirmed[0].first) + " was confirmed by the hub " +
                              std::to_string((now_ - x.confirmed[0].second) / second) + " s ago, and its sender still waits");
  if (!x.subscribed && now_ > x.link_since + 5 * second + stood_still(x.link_since) && !x.must_end)
    fail("I17", d, "connected for " + std::to_string((now_ - x.link_since) / second) +
        " s without a SUBSCRIBE: nothing from the hub can come");
  if (script_.keep_alive == 0) return;
  if (now_ - x.last_up > script_.keep_alive * second + second + stood_still(x.last_up))
    fail("I14", d, "nothing was sent for " + std::to_string((now_ - x.last_up) / second) + " s");
  micros const heard = x.last_down > x.link_since ? x.last_down : x.link_since;
  if (now_ - heard > script_.keep_alive * second * 3 / 2 + 31 * second + stood_still(heard))
    fail("I14", d, "a dead link was not noticed for " + std::to_string((now_ - heard) / second) + " s");
}

void oracle::up_connect(int d, device_state& x, seen_packet const& p, std::int64_t client_utc) {
  x.up_buffer_connect = false;
  if (p.client_id != "d" + std::to_string(d)) return fail("I18", d, "another's client id");
  auto const token = iothub::parse_sas_token(p.password);
  if (!token) return fail("I16", d, "CONNECT without a token");
  if (token->expiry <= client_utc) return fail("I16", d, "CONNECT with an expired token");
  x.token_ends = x.attempted_at + (token->expiry - x.asked_utc) * second;
  if (p.keep_alive != script_.keep_alive) fail("I14", d, "another keep-alive than was asked for");
}

void oracle::up_publish(int d, device_state& x, seen_packet const& p) {
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

void oracle::up_telemetry(int d, device_state& x, seen_packet const& p) {
  if (p.qos != 1) return fail("I1", d, "telemetry goes out at QoS 0, which the hub never confirms");
  std::uint64_t n = 0;
  std::size_t at = p.payload.find('.');
  for (at = at == std::string_view::npos ? p.payload.size() : at + 1; at < p.payload.size() && p.payload[at] >= '0' &&
      p.payload[at] <= '9'; ++at)
    n = n * 10 + static_cast<std::uint64_t>(p.payload[at] - '0');
  if (x.asked.count(p.id) != 0) return fail("I15", d, "a PUBLISH has the packet id of a SUBSCRIBE that is in flight");
  auto const [it, fresh] = x.ids.try_emplace(p.id, n);
  if (!fresh && it->second != n)
    return fail("I15", d, "packet id " + std::to_string(p.id) + " of message " + std::to_string(it->second) +
                              " is in flight and was used for message " + std::to_string(n));
  bool const before = !x.sent_on_session.insert(n).second;
  if (!x.sent_on_link.insert(n).second) return fail("I3", d, "message " + std::to_string(n) +
      " was sent twice on one connection");
  bool const unsure = n < x.sends.size() && x.sends[n].unsure;
  if (!before && p.dup && !unsure) fail("I3", d, "MQTT-3.3.1-1: the first sending of a message has DUP");
  if (before && x.session_present && !p.dup)
    fail("I3", d, "MQTT-3.3.1-1: message " + std::to_string(n) + " was sent again in the same session without DUP");
  if (before && n < x.sends.size() && x.sends[n].ended)
    fail("I3", d, "message " + std::to_string(n) + " has ended and was sent again");
}

void oracle::up_puback(int d, device_state& x, std::uint16_t id) {
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

void oracle::down_publish(int d, device_state& x, seen_packet const& p) {
  std::string_view const topic = p.topic;
  if (topic.substr(0, 8) == "devices/") {
    std::string const own = "devices/d" + std::to_string(d) + "/messages/devicebound/";
    if (topic.substr(0, own.size()) != own) return fail("I19", d, "a message of another device");
    std::uint64_t n = 0;
    for (std::size_t at = 1; at < p.payload.size() && p.payload[at] >= '0' && p.payload[at] <= '9'; ++at)
      n = n * 10 + static_cast<std::uint64_t>(p.payload[at] - '0');
    ++x.brought;
    if (p.qos == 1) x.owed.emplace_back(p.id, n);
    return;
  }
  constexpr std::string_view request = "$iothub/methods/POST/";
  if (topic.substr(0, request.size()) != request) return;
  auto const at = topic.find("$rid=");
  if (at != std::string_view::npos) call_delivered(d, x, std::string{topic.substr(at + 5)}, p.payload);
}

void oracle::call_delivered(int d, device_state& x, std::string rid, std::string_view payload) {
  ++x.brought;
  if (++x.rids[std::move(rid)] > 1) fail("I19", d, "the hub sent one call twice");
  std::uint64_t call = 0;
  for (char const c : payload)
    if (c >= '0' && c <= '9') call = call * 10 + static_cast<std::uint64_t>(c - '0');
  if (call < calls_.size() && calls_[call].device == d) ++calls_[call].delivered;
}

}  // namespace iothub_test
