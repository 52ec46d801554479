#include "world.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include <iothub/simulation.hpp>

#include "../support/failing_allocator.hpp"
#include "app.hpp"
#include "back_end.hpp"
#include "readers.hpp"
#include "wiring.hpp"
#include "wiring_service.hpp"
#include "wiring_values.hpp"

namespace iothub_test {

iothub::device_options device_options_of(script const& s) {
  iothub::device_options o;
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  o.keep_alive = seconds{s.keep_alive};
  o.connect_timeout = seconds{s.connect_timeout};
  o.subscribe_timeout = seconds{s.subscribe_timeout};
  o.connect_limit = seconds{60};
  o.publish_timeout = seconds{s.publish_timeout};
  o.twin_timeout = seconds{s.twin_timeout};
  o.reconnect.min_delay = milliseconds{s.min_delay};
  o.reconnect.base_delay = milliseconds{s.base_delay};
  o.reconnect.max_delay = milliseconds{s.max_delay};
  o.token.lifetime = seconds{s.token};
  o.token.renewal_margin = seconds{s.margin};
  o.outbox.messages = static_cast<std::size_t>(s.outbox);
  o.outbox.bytes = static_cast<std::size_t>(s.outbox_bytes);
  o.inbox = static_cast<std::size_t>(s.inbox);
  o.twin_requests = static_cast<std::size_t>(s.twin_requests);
  return o;
}

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using sim::fault;

// What passes on the line of a reader or a messenger is AMQP, whatever happens.
class watcher final : public sim::line_observer {
 public:
  watcher(stage& on, std::string name) : stage_{on}, name_{std::move(name)} {}

 private:
  void on_attempt(time_point) override {
    stage_.clock();
    stage_.judge.note("attempt", -1, 0, 0, name_);
    seen_ = {};
  }
  void on_up(byte_view frame, time_point) override {
    stage_.clock();
    seen_frame const f = seen_.up(frame);
    stage_.judge.note("frame up", -1, f.delivery, 0, name_ + ": " + std::string{f.name} + " " + f.address);
    if (f.wrong != nullptr) stage_.judge.fail("I18", -1, name_ + " sent what is not AMQP: " + f.wrong);
  }
  void on_down(byte_view frame, time_point) override {
    stage_.clock();
    seen_frame const f = seen_.down(frame);
    stage_.judge.note("frame down", -1, f.delivery, 0, name_ + ": " + std::string{f.name} + " " + f.address);
  }
  void on_gone(time_point) override {
    stage_.clock();
    stage_.judge.note("link gone", -1, 0, 0, name_);
  }
  void on_fault(fault what, time_point) override {
    stage_.clock();
    stage_.judge.note("fault", -1, 0, 0, name_ + " " + std::string{to_string(what)});
  }

  stage& stage_;
  std::string name_;
  amqp_witness seen_;
};

simulation_options options_of(script const& s, hub::log_sink& log) {
  simulation_options o;
  o.seed = s.seed;
  o.tls = s.tls;
  o.hub.start = from_unix_seconds(s.start);
  o.hub.pipes.latency = std::chrono::milliseconds{s.latency};
  o.hub.pipes.jitter = std::chrono::milliseconds{s.jitter};
  o.hub.pipes.max_chunk = static_cast<std::size_t>(s.chunk);
  o.hub.hub.deliver_pending_on_subscribe = true;  // so that what was sent is what arrives
  o.hub.hub.c2d_default_ttl = o.hub.hub.feedback_ttl = std::chrono::hours{24 * 365};
  o.hub.log = &log;
  return o;
}

int number_of(std::string_view id) {
  int d = 0;
  if (id.size() < 2 || id[0] != 'd') return -1;
  for (char const c : id.substr(1)) {
    if (c < '0' || c > '9') return -1;
    d = d * 10 + (c - '0');
  }
  return d;
}

class world final : public stage, private participant, private hub::log_sink {
 public:
  world(script const& s, std::size_t keep)
      : stage{s, keep}, sim{options_of(s, *this)}, back_end_{*this, make_service()}, readers_{*this, book_} {
    sim.hub().loop().add(*this);
    sim.on_key_rotated = [this](std::string_view id) { later(5s, [this, name = std::string{id}] { reprovision(name); }); };
    sim.hub().core().events().observe([this](hub::event_view const& e) {
      test_owns_memory const ours;
      clock();
      auto const whole = e.copy();
      judge.stored(number_of(e.device_id()), whole.content);
      if (script_.readers != 0) book_.wrote(e.partition(), number_of(e.device_id()), whole.content);
    });
    for (int d = 0; d != s.devices; ++d) {
      apps_.push_back(std::make_unique<app>(*this, d));
      judge.wired(d, is_amqp(d) ? seen_as::frames : script_.values != 0 ? seen_as::values : seen_as::packets);
    }
  }

  verdict play();

 private:
  struct promised {
    time_point at;
    function<void()> what;
  };

  // --- stage
  void clock() override { judge.set_time((sim.now() - began_).count()); }
  void later(duration wait, function<void()> what) override {
    promises_.push_back({add(sim.now(), wait), std::move(what)});
    sim.hub().loop().wake(*this);
  }
  void count(fault f) override { own_.add(f); }
  void observe(std::string_view id, sim::line_observer* whom) override { sim.observe(id, whom); }
  void learn_secret(std::string_view id) override {
    if (auto const identity = sim.hub().core().get_identity({std::string{id}, {}}))
      judge.add_secret(identity->authentication.primary_key);
  }
  void drop(std::string_view id) override { (void)sim.hub().disconnect(id); }
  std::optional<std::int64_t> desired_version(std::string const& id) override {
    auto const there = sim.hub().core().get_twin({id, {}});
    if (there) judge.desired_at_hub(number_of(id), there->desired.properties);
    return there ? std::optional{there->desired.version} : std::nullopt;
  }
  std::unique_ptr<any_device> make_device(int number, std::string const& id) override {
    auto const options = device_options_of(script_);
    if (is_amqp(number)) return make_amqp_device(sim.amqp_device(id), options);
    if (script_.values != 0) return make_value_device(sim, id, options);
    return std::make_unique<device_of_bytes>(sim.make_device(id, options));
  }
  sim::station back_end(std::string const& name) override {
    auto at = sim.amqp_back_end(name);
    for (auto const& w : watchers_)
      if (w.first == name) return at;
    watchers_.emplace_back(name, std::make_unique<watcher>(*this, name));
    sim.observe(name, watchers_.back().second.get());
    return at;
  }

  using device_of_bytes = iothub_test::device_of<simulation::device_client>;
  [[nodiscard]] bool is_amqp(int d) const { return script_.amqp != 0 && d % script_.amqp == 0; }
  std::unique_ptr<any_service> make_service() {
    if (script_.values != 0) return make_value_service(sim);
    return std::make_unique<service_of<simulation::service_client>>(sim.connect_service());
  }
  void write(hub::log_entry const& e) override {
    test_owns_memory const ours;
    judge.scan(e.reason);
    judge.note("hub", number_of(e.device_id), 0, 0, std::string{e.event} + " " + std::string{e.reason});
  }
  void step(time_point now) override {
    for (std::size_t i = 0; i != promises_.size();) {
      if (promises_[i].at > now) {
        ++i;
        continue;
      }
      auto what = std::move(promises_[i].what);
      promises_.erase(promises_.begin() + static_cast<std::ptrdiff_t>(i));
      what();
      i = 0;
    }
  }
  [[nodiscard]] time_point deadline() const override {
    time_point first = never;
    for (auto const& p : promises_) first = p.at < first ? p.at : first;
    return first;
  }

  // Runs for so long, or until something is broken.
  void run_for(duration time) {
    (void)sim.run_until([this] { return judge.broken(); }, time);
    clock();
    judge.look_around();
  }
  template <class Done>
  bool run_until(Done done, duration limit) {
    bool const ended = sim.run_until([&] { return judge.broken() || done(); }, limit);
    clock();
    return ended;
  }
  void reprovision(std::string const& id) {
    app& a = *apps_[static_cast<std::size_t>(number_of(id))];
    a.destroy_client();
    a.start();
  }
  void perform(struct step const& t);
  void perform_behind(struct step const& t);
  void desired(int d, std::uint64_t kind);
  void tags(std::string const& id, std::uint64_t kind);
  void message(int d, std::uint64_t kind);
  void end_well();
  micros comes_back();
  void probe();
  void drain();

  // Whoever looks on outlives the clients.
  simulation sim;
  std::vector<promised> promises_;
  sim::fault_counts own_;
  std::vector<std::pair<std::string, std::unique_ptr<watcher>>> watchers_;
  event_book book_;
  std::vector<std::unique_ptr<app>> apps_;
  class back_end back_end_;
  readers readers_;
  time_point began_ = sim.now();
};

// --- what is done in a step

void world::desired(int d, std::uint64_t kind) {
  device_key const key{"d" + std::to_string(d), {}};
  json::value const patch = back_end_.desired_patch(kind);
  if (kind % 3 == 0) return back_end_.update_desired(d, patch);
  auto const before = sim.hub().core().get_twin(key);
  if (!before) return;
  sim.hub().set_desired(key.device_id, patch);
  auto const after = sim.hub().core().get_twin(key);
  judge.desired_asked(d);
  judge.desired_done(d);
  if (after->desired.version != before->desired.version + 1 || after->version != before->version + 1)
    judge.fail("I19", d, "a change of the desired properties raised their version from " +
                             std::to_string(before->desired.version) + " to " + std::to_string(after->desired.version));
}

// A change under a tag that is not the present one is refused and changes nothing; under the present one it gives another.
void world::tags(std::string const& id, std::uint64_t kind) {
  auto& core = sim.hub().core();
  device_key const key{id, {}};
  int const d = number_of(id);
  hub::instant const at = sim.hub().runtime().now();
  auto const before = core.get_twin(key);
  json::value const value{{"t", "tag-" + std::to_string(kind)}};
  hub::twin_update const change{.tags = &value};
  std::string const other = before->etag + "x";
  auto const refused = core.patch_twin(key, change, {if_match_kind::exact, other}, at);
  if (refused || refused.error() != errc::precondition_failed || core.get_twin(key)->version != before->version)
    return judge.fail("I19", d, "a twin was changed under the tag of another");
  auto const changed = core.patch_twin(key, change, {if_match_kind::exact, before->etag}, at);
  if (!changed || changed->etag == before->etag || changed->version != before->version + 1)
    return judge.fail("I19", d, "a change of the tags made no new version with a new tag");
  auto identity = core.get_identity(key);
  std::string const was = identity->etag, wrong = was + "x";
  identity->status_reason = "changed " + std::to_string(kind);
  auto const no = core.put_identity(*identity, {if_match_kind::exact, wrong}, at);
  if (no || no.error() != errc::precondition_failed || core.get_identity(key)->etag != was)
    return judge.fail("I19", d, "an identity was changed under the tag of another");
  auto const yes = core.put_identity(*identity, {if_match_kind::exact, was}, at);
  if (!yes || yes->etag == was || yes->status_reason != identity->status_reason)
    return judge.fail("I19", d, "a change of an identity gave it no new tag");
  if (core.delete_identity(key, {if_match_kind::exact, was}, at) || !core.get_identity(key))
    judge.fail("I19", d, "an identity was deleted under a tag that it had before");
  sim.hub().runtime().touched();
}

void world::message(int d, std::uint64_t kind) {
  std::string const id = "d" + std::to_string(d);
  auto const identity = sim.hub().core().get_identity({id, {}});
  if (!identity || identity->cloud_to_device_message_count >= 50) return;
  iothub::message what;
  auto const n = judge.message_sent(d, kind % 5 == 0, what);
  if (!back_end_.message(d, what, n, kind)) sim.hub().send_c2d(id, std::move(what));
}

// What happens to readers, and on the lines of back ends.
void world::perform_behind(struct step const& t) {
  int const which = -1 - t.device;
  duration const away = std::chrono::milliseconds{t.lasting};
  if (t.what == "reader_stop") return readers_.stop(which, away);
  if (t.what == "reader_crash") return readers_.crash(which, away, t.amount % 2 != 0);
  if (t.what == "store_fails") return which < readers_.count() ? readers_.store_fails(which, 1 + t.amount % 5) : void();
  fault const f = sim::fault_from(t.what);
  if (f == fault::count || layer_of(f) == sim::fault_layer::process) return;
  if (f == fault::stall) judge.stalled(t.lasting * 1000);
  (void)sim.inject(f, which < readers_.count() ? "reader " + std::to_string(which) : "messenger", away, t.amount);
}

void world::perform(struct step const& t) {
  if (t.device < 0) return perform_behind(t);
  if (t.device >= script_.devices) return;
  app& a = *apps_[static_cast<std::size_t>(t.device)];
  if (t.what == "telemetry") return a.send(t.amount);
  if (t.what == "report") return a.report();
  if (t.what == "read_twin") return a.read_twin();
  if (t.what == "connect") return a.connect();
  if (t.what == "flap") return a.flap(t.amount), (void)sim.hub().disconnect(a.id());
  if (t.what == "desired") return desired(t.device, t.amount);
  if (t.what == "method") return back_end_.invoke(t.device, t.amount, t.lasting);
  if (t.what == "c2d") return message(t.device, t.amount);
  if (t.what == "tags") {
    if (sim.hub().core().get_identity({a.id(), {}})) tags(a.id(), t.amount);
    return;
  }
  if (t.what == "look") return back_end_.look(t.device);
  if (t.what == "ask_fault") {
    constexpr char const* kinds[] = {"KillTcp", "ShutDownMqtt", "InvokeThrottling", "InvokeMaxMessageQuota", "InvokeAuthError"};
    constexpr char const* parts[] = {"KillAmqpConnection", "KillAmqpSession", "KillAmqpCBSLinkReq", "KillAmqpCBSLinkResp",
                                     "KillAmqpD2CLink", "KillAmqpC2DLink", "KillAmqpTwinLinkReq", "KillAmqpTwinLinkResp",
                                     "KillAmqpMethodReqLink", "KillAmqpMethodRespLink", "ShutDownAmqp"};
    auto const which = t.amount % 5;
    char const* const kind = which == 1 && is_amqp(t.device) ? parts[t.amount / 5 % std::size(parts)] : kinds[which];
    // With an end of its own: one that kills its connection before it is confirmed does so each time it is sent.
    return a.send(1,
                  {{"AzIoTHub_FaultOperationType", kind},
                   {"AzIoTHub_FaultOperationDelayInSecs", std::to_string(t.amount % 3)},
                   {"AzIoTHub_FaultOperationDurationInSecs", std::to_string(t.lasting / 1000 % 120)}},
                  45);
  }
  fault const f = sim::fault_from(t.what);
  if (f == fault::count) std::fprintf(stderr, "no such step: %s\n", t.what.c_str()), std::abort();
  if (layer_of(f) == sim::fault_layer::process) return a.do_process_fault(f, t.amount);
  if (f == fault::stall) judge.stalled(t.lasting * 1000);
  if (f == fault::telemetry_confirmed_late) judge.may_confirm_late(t.device, t.lasting * 1000);
  if (f == fault::takeover) judge.rival(t.device, t.lasting * 1000);
  if (f == fault::quota_used_up) judge.may_reorder(t.device, t.lasting * 1000);
  (void)sim.inject(f, a.id(), std::chrono::milliseconds{t.lasting}, t.amount);
}

// The liveness phase: no fault any more; all is well soon, and what was promised holds.
void world::end_well() {
  for (auto const& a : apps_) a->calm();
  readers_.calm();
  sim.calm();
  clock();
  judge.note("calm", -1);
  micros const longest = comes_back();
  if (judge.broken()) return;
  auto const devices_settled = [this] {
    for (auto const& a : apps_)
      if (!a->settled()) return false;
    return true;
  };
  // What had begun ends as it has to, an answer that was lost by its time-out; a device that had asked for a fault comes
  // back once more. What a quota withheld, MQTT has no word for: the next connection, which a renewal makes, sends it again.
  duration limit = std::chrono::seconds{script_.twin_timeout + 180} + std::chrono::microseconds{longest};
  micros late = 0;
  for (auto const& a : apps_) late = std::max(late, judge.confirmed_late(a->number()));
  limit += std::chrono::microseconds{late};
  (void)run_until(devices_settled, limit);
  duration more{0};  // looked at now, since a fault that a device asked for may have begun only when it came back
  for (auto const& a : apps_)
    if (judge.was_over_quota(a->number())) more = std::chrono::seconds{std::min(script_.token, script_.publish_timeout)};
  if (more > duration{0} && !judge.broken()) (void)run_until(devices_settled, more);
  limit += more;
  for (auto const& a : apps_)
    if (!a->settled())
      return judge.fail("I13", a->number(), "not well " + std::to_string(limit / 1s) + " s after it came back: " + a->describe());
  // A method call takes 370 s at most; a reader's or messenger's back-off a minute, and its token a renewal.
  limit = 10min;
  (void)run_until([this] { return back_end_.idle() && readers_.settled(); }, limit);
  if (judge.broken()) return;
  if (!readers_.settled())
    return judge.fail("I13", -1, "not all was read " + std::to_string(limit / 1s) + " s after the devices were well: " +
        readers_.describe());
  if (!back_end_.idle()) return judge.fail("I6", -1, "a call of the back end has no outcome");
  run_for(65s);
  if (!judge.broken() && run_until(devices_settled, 2min)) probe();  // a planned reconnect may be under way
  else judge.fail("I13", -1, "a device that was well is not any more");
}

// Every device connects again, within what its back-off and the network allow. How long that may have taken.
micros world::comes_back() {
  std::vector<micros> until;
  micros longest = 0;
  for (auto const& a : apps_) {
    micros const within = judge.well_within(a->number());
    longest = std::max(longest, within);
    until.push_back(judge.now() + within);
  }
  std::vector<bool> there(apps_.size());
  auto const all_there = [&] {
    clock();
    bool all = true;
    for (std::size_t d = 0; d != apps_.size(); ++d) {
      if (!there[d] && judge.now() > until[d])
        judge.fail("I13", static_cast<int>(d), "not connected in bounded time after the last fault: " + apps_[d]->describe());
      there[d] = there[d] || judge.connected(static_cast<int>(d));
      all = all && there[d];
    }
    return all;
  };
  if (!run_until(all_there, std::chrono::microseconds{longest + second})) (void)all_there();
  return longest;
}

// Everything works once more.
void world::probe() {
  judge.note("probe", -1);
  back_end_.forget_answered();
  for (auto const& a : apps_) {
    a->send(1);
    a->report();
    desired(a->number(), 1);
    message(a->number(), 1);
    later(30s, [this, d = a->number()] { back_end_.probe(d); });  // behind the message, as its inbox may have room for one
  }
  run_for(2min);
  // A renewal may have settled messages just now that an abandoned one held back; the hub tells of them 15 s later.
  if (!judge.broken() && judge.awaits_feedback()) (void)run_until([this] { return !judge.awaits_feedback(); }, 1min);
  if (judge.broken()) return;
  drain();
  if (judge.broken()) return;
  if (back_end_.answered() != apps_.size()) return judge.fail("I13", -1, "methods are not answered after the faults");
  if (!readers_.settled()) return judge.fail("I13", -1, "not all was read after the faults: " + readers_.describe());
  for (auto const& a : apps_) {
    if (!judge.idle(a->number())) return judge.fail("I13", a->number(), "operations do not end after the faults: " +
        a->describe());
    auto const t = sim.hub().core().get_twin({a->id(), {}});
    judge.final_twin(a->number(), t->reported.properties, t->desired.properties, t->desired.version);
    judge.final_messages(a->number());
  }
  for (auto const& a : apps_) {
    a->stop_everything();
    a->close_client();
  }
  run_for(1min);
  for (auto const& a : apps_) judge.final_state(a->number());
  for (auto const& a : apps_) a->destroy_client();
  readers_.end();
  back_end_.close();
  run_for(3min);
  // The hub's end of a connection that was cut off for good: until its idle time-out.
  (void)run_until([this] { return sim.hub().pipes().connections().empty(); }, 8min);
  if (!judge.broken() && !sim.hub().pipes().connections().empty())
    judge.fail("I10", -1, std::to_string(sim.hub().pipes().connections().size()) +
        " connections are open after all clients are gone");
}

// A message that a handler abandoned, or for which the inbox had no room, comes again when the connection ends. With each
// connection there are fewer.
void world::drain() {
  auto const waiting = [this](app const& a) {
    auto const t = sim.hub().core().get_identity({a.id(), {}});
    return t ? t->cloud_to_device_message_count : 0u;
  };
  for (auto const& a : apps_) {
    for (std::uint64_t before = waiting(*a), without = 0; before != 0 && !judge.broken();) {
      (void)sim.hub().disconnect(a->id());
      run_for(2s);
      if (!run_until([&] { return a->settled(); }, 3min)) return judge.fail("I13", a->number(),
          "it does not come back: " + a->describe());
      run_for(20s);
      std::uint64_t const now = waiting(*a);
      without = now < before ? 0 : without + 1;
      if (without == 3) judge.fail("I9", a->number(), std::to_string(now) +
          " messages wait at the hub, and three connections took none of them");
      before = now;
    }
  }
}

verdict world::play() {
  for (auto const& a : apps_) a->start();
  back_end_.start();
  readers_.start();
  for (struct step const& t : script_.steps) {
    auto const at = began_ + std::chrono::milliseconds{t.at};
    if (at > sim.now()) run_for(at - sim.now());
    if (judge.broken()) break;
    clock();
    judge.note("step", t.device, t.lasting, static_cast<std::int64_t>(t.amount), t.what);
    perform(t);
    run_for(0s);  // what was refused at once has ended
    for (auto const& a : apps_) a->look();
  }
  auto const calm_at = began_ + std::chrono::milliseconds{script_.length};
  if (!judge.broken() && calm_at > sim.now()) run_for(calm_at - sim.now());
  if (!judge.broken()) end_well();
  verdict v;
  v.broken = judge.invariant();
  v.what = judge.what();
  v.at = judge.at() / 1000;
  v.hash = judge.hash();
  v.events = judge.events();
  v.messages = judge.messages();
  v.duplicates = judge.duplicates();
  v.renewals = judge.renewals();
  v.attempts = judge.attempts();
  v.failures = judge.failures();
  v.device_hours = std::chrono::duration<double, std::ratio<3600>>(sim.now() - began_).count() * script_.devices;
  v.faults = sim.faults();
  v.faults += own_;
  if (script_.start > 2'000'000'000) v.faults.add(fault::clock_edge);
  v.last = judge.last();
  for (auto const& a : apps_) a->stop_everything();
  for (auto const& a : apps_) a->destroy_client();
  readers_.end();
  promises_.clear();
  return v;
}

}  // namespace

verdict run(script const& what, std::size_t keep) {
  world w{what, keep};
#if IOTHUB_EXCEPTIONS
  try {
    return w.play();
  } catch (std::exception const& e) {
    verdict v;
    v.broken = "crash";
    v.what = std::string{"an exception came out of the loop: "} + e.what();
    v.last = w.judge.last();
    return v;
  }
#else
  return w.play();
#endif
}

}  // namespace iothub_test
