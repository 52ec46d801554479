// A dialect that does what the test says and writes down what the core wants: the peer of every device core test.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/device/device_core.hpp>
#include <iothub/io/loop.hpp>

namespace iothub_test {

using namespace std::chrono_literals;

class scripted_dialect final : public iothub::dialect {
 public:
  // One line per verb, for example "send a" or "enable 3".
  std::vector<std::string> calls;
  iothub::dialect_capabilities can{.features = iothub::feature::methods | iothub::feature::twin |
                                               iothub::feature::desired_properties | iothub::feature::messages};
  iothub::errc refuse_send = iothub::errc{};  // non-zero: send_telemetry() fails with it
  iothub::errc refuse_renew = iothub::errc{}; // the same of renew()
  iothub::errc refuse_twin = iothub::errc{};  // the same of get_twin() and patch_reported()
  bool stays_silent = false;                  // no automatic `ready` and `features_ready`
  bool confirms = false;                      // settles each message at once, answers each patch

  std::vector<std::string> take_calls() { return std::exchange(calls, {}); }

  // --- what the peer says
  void say(iothub::device_event_kind kind, iothub::result<void> outcome = {}) {
    scripted e;
    e.kind = kind;
    e.outcome = std::move(outcome);
    events_.push_back(std::move(e));
    if (loop_ != nullptr) loop_->wake(*whom_);
  }
  void ready() { say(iothub::device_event_kind::ready); }
  void drop(iothub::errc why = iothub::errc::connection_lost) { say(iothub::device_event_kind::closed, iothub::error{why}); }
  void settle(iothub::ticket where, iothub::result<void> outcome = {}) {
    say(iothub::device_event_kind::telemetry_settled, std::move(outcome));
    events_.back().where = where;
  }
  void twin(iothub::ticket where, std::string text) {
    say(iothub::device_event_kind::twin_received);
    events_.back().where = where;
    events_.back().payload = std::move(text);
  }
  void twin_fails(iothub::ticket where, iothub::errc why) {
    say(iothub::device_event_kind::twin_received, iothub::error{why});
    events_.back().where = where;
  }
  void patched(iothub::ticket where, std::int64_t version) {
    say(iothub::device_event_kind::patch_settled);
    events_.back().where = where;
    events_.back().version = version;
  }
  void notice(std::string patch, std::int64_t version) {
    say(iothub::device_event_kind::desired_changed);
    events_.back().payload = std::move(patch);
    events_.back().version = version;
  }
  void method(std::string name, std::string rid, std::string payload = "null") {
    say(iothub::device_event_kind::method_called);
    events_.back().name = std::move(name);
    events_.back().rid = std::move(rid);
    events_.back().payload = std::move(payload);
  }
  void message(iothub::ticket where, std::string body) {
    say(iothub::device_event_kind::message_received);
    events_.back().where = where;
    events_.back().payload = std::move(body);
  }
  void features_ready(iothub::feature_set which, iothub::result<void> outcome = {}) {
    say(iothub::device_event_kind::features_ready, std::move(outcome));
    events_.back().features = which;
  }

  // --- dialect
  [[nodiscard]] iothub::dialect_capabilities capabilities() const noexcept override { return can; }
  iothub::result<void> open(iothub::connection_parameters const&, std::string_view token, iothub::time_point) override {
    calls.push_back("open " + std::string{token});
    if (!stays_silent) ready();
    return {};
  }
  void close(iothub::dialect_close mode, iothub::time_point) override {
    calls.emplace_back(mode == iothub::dialect_close::graceful ? "close" : "abort");
    events_.clear();
  }
  iothub::result<void> enable(iothub::feature_set which, iothub::time_point) override {
    std::string line = "enable";
    if (which.has(iothub::feature::methods)) line += " methods";
    if (which.has(iothub::feature::twin)) line += " twin";
    if (which.has(iothub::feature::desired_properties)) line += " desired";
    if (which.has(iothub::feature::messages)) line += " messages";
    calls.push_back(std::move(line));
    if (!stays_silent) features_ready(which);
    return {};
  }
  iothub::result<iothub::ticket> send_telemetry(iothub::message const& what, iothub::time_point) override {
    if (refuse_send != iothub::errc{}) return refuse_send;
    calls.push_back("send " + std::string{what.body.bytes()});
    ++last_;
    if (confirms) settle(last_);
    return last_;
  }
  void abandon_telemetry(iothub::ticket which) override { calls.push_back("abandon " + std::to_string(which)); }
  iothub::result<iothub::ticket> get_twin(iothub::time_point) override {
    if (refuse_twin != iothub::errc{}) return refuse_twin;
    calls.emplace_back("get_twin");
    return ++last_;
  }
  iothub::result<iothub::ticket> patch_reported(std::string_view patch, iothub::time_point) override {
    if (refuse_twin != iothub::errc{}) return refuse_twin;
    calls.push_back("patch " + std::string{patch});
    ++last_;
    if (confirms) patched(last_, 2);
    return last_;
  }
  iothub::result<void> answer_method(std::string_view rid, int status, std::string_view payload,
                                     iothub::time_point) override {
    calls.push_back("answer " + std::string{rid} + " " + std::to_string(status) + " " + std::string{payload});
    return {};
  }
  iothub::result<void> settle_message(iothub::ticket which, iothub::settlement how, iothub::time_point) override {
    calls.push_back((how == iothub::settlement::accept ? "accept " : "leave ") + std::to_string(which));
    return {};
  }
  iothub::result<void> renew(std::string_view token, iothub::time_point) override {
    calls.push_back("renew " + std::string{token});
    if (refuse_renew != iothub::errc{}) return refuse_renew;
    if (!stays_silent) say(iothub::device_event_kind::token_renewed);
    return {};
  }
  void step(iothub::time_point) override {}
  bool next_event(iothub::device_event& event, iothub::time_point) override {
    if (events_.empty()) return false;
    current_ = std::move(events_.front());
    events_.erase(events_.begin());
    event = iothub::device_event{};
    event.kind = current_.kind;
    event.features = current_.features;
    event.ticket = current_.where;
    event.version = current_.version;
    event.name = current_.name;
    event.rid = current_.rid;
    event.payload = current_.payload;
    event.outcome = std::move(current_.outcome);
    if (event.kind == iothub::device_event_kind::message_received) {
      event.message = iothub::make_owned<iothub::c2d_message>();
      event.message->content.body = iothub::message_body{current_.payload};
    }
    return true;
  }
  [[nodiscard]] iothub::time_point deadline() const override {
    return events_.empty() ? iothub::never : iothub::time_point::min();
  }
  void attach(iothub::loop& on, iothub::participant& whom) override {
    loop_ = &on;
    whom_ = &whom;
  }

 private:
  struct scripted {
    iothub::device_event_kind kind = iothub::device_event_kind::none;
    iothub::feature_set features = {};
    iothub::ticket where = 0;
    std::int64_t version = 0;
    std::string name = {};
    std::string rid = {};
    std::string payload = {};
    iothub::result<void> outcome = {};
  };
  std::vector<scripted> events_;
  scripted current_;
  iothub::ticket last_ = 0;
  iothub::loop* loop_ = nullptr;
  iothub::participant* whom_ = nullptr;
};

// A core, its peer, and a clock that the test moves.
struct core_world {
  explicit core_world(iothub::device_options const& o = {}, std::uint64_t seed = 7)
      : core{peer, parameters(), o, seed} {}

  static iothub::connection_parameters parameters() {
    iothub::connection_parameters p;
    p.where = {.host = "hub.example", .port = 8883};
    p.hub = "hub.example";
    p.who = {.device_id = "d1", .module_id = ""};
    return p;
  }

  // Lets everything happen that can happen now; tokens are "t1", "t2", … with the options' lifetime.
  void settle() {
    for (int i = 0; i != 20; ++i) {
      core.step(now);
      if (core.token_wanted()) core.supply_token("t" + std::to_string(++tokens), token_lifetime, now);
      while (core.has_action()) log(core.next_action());
    }
  }
  // Moves to the next thing that is due, and lets it happen.
  iothub::duration jump() {
    iothub::time_point const at = core.deadline();
    iothub::duration const waited = at - now;
    if (at != iothub::never && at > now) now = at;
    settle();
    return waited;
  }
  void run(iothub::duration time) {
    iothub::time_point const end = now + time;
    while (core.deadline() <= end) {
      if (core.deadline() > now) now = core.deadline();
      settle();
    }
    now = end;
    settle();
  }
  void connect() {
    core.connect(1, now);
    settle();
    events.clear();
    peer.calls.clear();
  }

  void log(iothub::device_action a) {
    using iothub::device_action_kind;
    switch (a.kind) {
      case device_action_kind::connection_changed:
        events.push_back(std::string{to_string(a.status)} + " " + std::string{to_string(a.reason)});
        break;
      case device_action_kind::operation_done: {
        std::string line = std::to_string(a.operation) + " ";
        line += a.outcome ? std::string{"ok"} : std::string{to_string(a.outcome.error().code())};
        if (a.version != 0) line += " v" + std::to_string(a.version);
        if (a.twin) line += " " + a.twin->desired.dump() + a.twin->reported.dump();
        events.push_back(std::move(line));
        break;
      }
      case device_action_kind::method_called:
        last_call = a.call;
        events.push_back("call " + a.request.name + " " + a.request.payload.dump());
        break;
      case device_action_kind::desired_changed:
        events.push_back((a.desired.scope == iothub::desired_scope::whole ? "whole " : "patch ") +
                         a.desired.properties.dump() + " v" + std::to_string(a.desired.version));
        break;
      case device_action_kind::message_received:
        last_connection = a.connection;
        events.push_back("message " + std::string{a.message->content.body.bytes()});
        break;
    }
  }
  std::vector<std::string> take_events() { return std::exchange(events, {}); }

  scripted_dialect peer;
  iothub::device_core core;
  iothub::time_point now{1h};
  iothub::duration token_lifetime = 3600s;
  int tokens = 0;
  std::vector<std::string> events;
  iothub::call_id last_call = 0;
  std::uint32_t last_connection = 0;
};

inline iothub::message text_message(std::string text) {
  iothub::message m;
  m.body = iothub::message_body{std::move(text)};
  return m;
}

using lines = std::vector<std::string>;

}  // namespace iothub_test
