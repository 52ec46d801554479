// A hub, its clock and recording links and callers: what the tests of the hub core start from.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include <iothub/crypto/seeded.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/json/parse.hpp>
#include <iothub/wire/sas_token.hpp>

namespace hub_test {

namespace ih = iothub::hub;
using iothub::errc;
using iothub::json::value;
using std::chrono::milliseconds;
using std::chrono::seconds;

// 2024-01-01T00:00:00Z
inline constexpr iothub::utc_time start = iothub::from_unix_seconds(1'704'067'200);

inline value parse(std::string_view text) { return iothub::json::parse(text).value(); }

struct recording_link final : ih::device_link {
  struct call {
    ih::method_ticket ticket;
    std::string name;
    std::string payload;
  };
  struct c2d {
    std::string body;
    std::string lock_token;
    bool redelivered;
  };
  std::vector<call> calls;
  std::vector<c2d> messages;
  std::vector<std::string> desired;  // "version patch"
  std::vector<iothub::error> drops;

  void deliver_method(ih::method_delivery const& m) override {
    calls.push_back({m.ticket, std::string{m.name}, m.payload.dump()});
  }
  void deliver_c2d(iothub::c2d_message const& m, bool redelivered) override {
    messages.push_back({std::string{m.content.body.bytes()}, m.lock_token, redelivered});
  }
  void deliver_desired(std::int64_t version, value const& patch) override {
    desired.push_back(std::to_string(version) + " " + patch.dump());
  }
  void on_drop(iothub::error const& why) override { drops.push_back(why); }
};

struct recording_caller final : ih::method_caller {
  std::vector<std::pair<ih::method_ticket, std::string>> outcomes;  // "200 {...}" or "404103 text"
  void on_method_outcome(ih::method_ticket ticket, iothub::result<iothub::method_response> outcome) override {
    outcomes.emplace_back(ticket, outcome ? std::to_string(outcome->status) + " " + outcome->payload.dump()
                                          : std::to_string(outcome.error().hub_code()) + " " +
                                                std::string{outcome.error().message()});
  }
};

struct recording_log final : ih::log_sink {
  std::vector<std::string> lines;  // "event device reason"
  void write(ih::log_entry const& e) override {
    std::string line{e.event};
    line.append(" ").append(e.device_id).append(" ").append(e.reason);
    lines.push_back(std::move(line));
  }
};

inline ih::options plain_options() {
  ih::options o;
  o.hostname = "h.azure-devices.net";
  return o;
}

struct world {
  ih::policy_security<iothub::seeded_crypto> keys{iothub::seeded_crypto{7}};
  recording_log log;
  ih::hub_core hub;
  ih::instant at{iothub::time_point{seconds{1000}}, start};

  explicit world(ih::options o = plain_options()) : hub{std::move(o), keys, &log} {}

  // Goes forward in time, stopping at every deadline on the way.
  void advance(iothub::duration by) {
    iothub::time_point const end = at.now + by;
    while (hub.deadline() <= end) {
      step_to(hub.deadline());
      hub.on_time(at);
    }
    step_to(end);
  }
  void step_to(iothub::time_point when) {
    if (when <= at.now) return;
    at.utc += when - at.now;
    at.now = when;
  }

  iothub::device_identity create(std::string id, std::string module_id = {}) {
    iothub::device_identity wanted;
    wanted.device_id = std::move(id);
    wanted.module_id = std::move(module_id);
    return hub.put_identity(wanted, {}, at).value();
  }
  // Connects with a token that never ends.
  ih::connected connect(ih::device_link& link, std::string id, bool clean = false, iothub::message const* will = nullptr) {
    ih::connect_options how;
    how.clean_session = clean;
    how.will = will;
    return hub.connect(link, {std::move(id), {}}, {}, how, at).value();
  }
  std::string token(std::string_view key_base64, std::string_view resource, std::int64_t lifetime = 3600,
                    std::string_view policy = {}) {
    auto bytes = iothub::from_base64(key_base64).value();
    iothub::seeded_crypto crypto;
    auto key = crypto.prepare(bytes).value();
    iothub::sas_template shape{resource, policy};
    std::int64_t const expiry = iothub::unix_seconds(at.utc) + lifetime;
    std::string out;
    shape.append(out, crypto.sign(key, shape.string_to_sign(expiry)).value(), expiry);
    return out;
  }
  std::uint64_t send_c2d(std::string_view id, std::string_view body,
                         iothub::feedback_request ack = iothub::feedback_request::none) {
    ih::c2d_send what;
    what.content.body = iothub::message_body{body};
    what.content.message_id = body;
    what.ack = ack;
    return hub.send_c2d(id, std::move(what), at).value();
  }
};

inline std::vector<std::string> bodies(recording_link const& link) {
  std::vector<std::string> out;
  for (auto const& m : link.messages) out.push_back(m.body);
  return out;
}

template <class Result>
int hub_code(Result const& r) {
  return r ? 0 : r.error().hub_code();
}
template <class Result>
std::string text_of(Result const& r) {
  return r ? std::string{"no error"} : std::string{r.error().message()};
}

}  // namespace hub_test
