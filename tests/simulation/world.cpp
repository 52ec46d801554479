#include "world.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <iothub/simulation.hpp>

#include "oracle.hpp"

namespace iothub_test {
namespace {

using namespace iothub;
using namespace std::chrono_literals;
using sim::fault;

class world;

// One device's application: it connects and stays connected, answers, reports, and makes itself anew when it has to.
class app final : private sim::line_observer {
 public:
  app(world& in, int number);
  app(app const&) = delete;

  void start();
  void close_client();
  void destroy_client();
  void connect();
  void send(std::uint64_t count, property_list extra = {}, std::int64_t seconds = 0);
  void report();
  void read_twin();
  void do_process_fault(fault what, std::uint64_t amount);
  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] std::string const& id() const noexcept { return id_; }
  [[nodiscard]] bool settled() const;
  [[nodiscard]] bool connected() const { return client_ != nullptr && client_->is_connected(); }
  void look();
  void stop_everything() { restarts_ = false; }
  void calm() { armed_.clear(), flaps_ = 0; }
  void flap(std::uint64_t times) { flaps_ = times; }
  [[nodiscard]] std::string describe() const;

 private:
  using client = simulation::device_client;

  void on_attempt(time_point now) override;
  void on_up(byte_view packet, time_point now) override;
  void on_down(byte_view packet, time_point now) override;
  void on_gone(time_point now) override;
  void on_fault(fault what, time_point now) override;

  void on_status(connection_status status, connection_reason why);
  void on_method(method_request const& request, responder answer);
  settlement on_message(c2d_message const& m);
  void on_desired(json::value const& patch, std::int64_t version, desired_scope scope);
  void end(std::uint64_t op, char const* how);
  // Whether a fault of the process was to happen in the next handler.
  bool take(fault what, std::uint64_t* amount = nullptr);
  void maybe_destroy();

  world& world_;
  int number_;
  std::string id_;
  std::unique_ptr<client> client_;
  sim::clock_error right_ = {};
  std::vector<std::pair<fault, std::uint64_t>> armed_;
  std::uint64_t reports_ = 0;
  std::uint64_t flaps_ = 0;
  std::uint64_t incarnation_ = 0;
  bool restarts_ = true;
  bool connecting_ = false;
};

class world final : private participant, private hub::log_sink {
 public:
  world(script const& s, std::size_t keep)
      : script_{s}, judge{s, keep}, sim{options_of(s, *this)}, service_{sim.connect_service()} {
    sim.hub().loop().add(*this);
    sim.on_key_rotated = [this](std::string_view id) { later(5s, [this, name = std::string{id}] { reprovision(name); }); };
    sim.hub().core().events().observe([this](hub::event_view const& e) {
      clock();
      std::string property;
      e.for_each_property([&](hub::property_view const& p) {
        if (p.name == "n") property = p.value;
      });
      judge.stored(device_of(e.device_id()), e.body(), property);
    });
    for (int d = 0; d != s.devices; ++d) apps_.push_back(std::make_unique<app>(*this, d));
  }

  verdict play();

  void clock() { judge.set_time((sim.now() - began_).count()); }
  void later(duration wait, function<void()> what) {
    promises_.push_back({add(sim.now(), wait), std::move(what)});
    sim.hub().loop().wake(*this);
  }
  void count(fault f) { own_.add(f); }
  [[nodiscard]] device_options device_options_of() const;
  [[nodiscard]] script const& script_of() const noexcept { return script_; }
  void learn_secret(std::string_view id) {
    if (auto const identity = sim.hub().core().get_identity({id, {}}))
      judge.add_secret(identity->authentication.primary_key);
  }
  static int device_of(std::string_view id) {
    int d = 0;
    if (id.size() < 2 || id[0] != 'd') return -1;
    for (char const c : id.substr(1)) {
      if (c < '0' || c > '9') return -1;
      d = d * 10 + (c - '0');
    }
    return d;
  }

 private:
  struct promised {
    time_point at;
    function<void()> what;
  };
  static simulation_options options_of(script const& s, world& self) {
    simulation_options o;
    o.seed = s.seed;
    o.tls = s.tls;
    o.hub.start = from_unix_seconds(s.start);
    o.hub.pipes.latency = std::chrono::milliseconds{s.latency};
    o.hub.pipes.jitter = std::chrono::milliseconds{s.jitter};
    o.hub.pipes.max_chunk = static_cast<std::size_t>(s.chunk);
    o.hub.hub.deliver_pending_on_subscribe = true;  // so that what was sent is what arrives
    o.hub.hub.c2d_default_ttl = std::chrono::hours{24 * 365};
    o.hub.log = &self;
    return o;
  }
  void write(hub::log_entry const& e) override {
    judge.scan(e.reason);
    judge.note("hub", device_of(e.device_id), 0, 0, std::string{e.event} + " " + std::string{e.reason});
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
  void reprovision(std::string const& id);
  void perform(struct step const& t);
  void invoke(int d, std::uint64_t kind, std::int64_t lasting);
  void desired(int d, std::uint64_t kind);
  void message(int d, std::uint64_t kind);
  void end_well();
  void probe();
  void probe_method(int d, int tries);

  script const script_;

 public:
  oracle judge;
  simulation sim;

 private:
  simulation::service_client service_;
  std::vector<std::unique_ptr<app>> apps_;
  std::vector<promised> promises_;
  sim::fault_counts own_;
  std::uint64_t changes_ = 0;
  std::size_t service_pending_ = 0, answered_ = 0;
  time_point began_ = sim.now();
};

// --- app

app::app(world& in, int number) : world_{in}, number_{number}, id_{"d" + std::to_string(number)} {}

void app::start() {
  world_.clock();
  client_ = std::make_unique<client>(world_.sim.make_device(id_, world_.device_options_of()));
  world_.learn_secret(id_);
  world_.sim.observe(id_, this);
  world_.judge.client_made(number_);
  ++incarnation_;
  connecting_ = false;
  client_->on_connection_change([this](connection_status s, connection_reason r) { on_status(s, r); });
  for (char const* name : {"echo", "slow"})
    client_->on_method(name, [this](method_request const& r, responder a) { on_method(r, std::move(a)); });
  client_->on_message([this](c2d_message const& m) { return on_message(m); });
  client_->on_desired([this](json::value const& p, std::int64_t v, desired_scope s) { on_desired(p, v, s); });
  connect();
}

void app::connect() {
  if (client_ == nullptr || connecting_) return;
  world_.clock();
  if (client_->status() == connection_status::disconnected) world_.judge.connecting(number_);
  connecting_ = true;
  auto const op = world_.judge.begin(number_, "connect", 70s / 1us);
  client_->async_connect([this, op](result<void> r) {
    connecting_ = false;
    if (!r) world_.judge.scan(r.error().message());
    end(op, r ? "connect ok" : "connect failed");
  });
}

void app::end(std::uint64_t op, char const* how) {
  world_.clock();
  world_.judge.end(number_, op, how);
}

void app::close_client() {
  if (client_ == nullptr) return;
  world_.clock();
  client_->close();
  world_.clock();
  if (client_ != nullptr) world_.judge.client_gone(number_, true);
}

void app::destroy_client() {
  if (client_ == nullptr) return;
  world_.clock();
  world_.judge.client_gone(number_, false);
  auto const gone = std::move(client_);  // client_ is empty while the destructor runs
}

void app::maybe_destroy() {
  if (!take(fault::destroyed_in_handler)) return;
  destroy_client();
  world_.later(1s, [this] {
    if (client_ == nullptr && restarts_) start();
  });
}

void app::on_status(connection_status status, connection_reason why) {
  world_.clock();
  world_.judge.connection(number_, to_string(status), to_string(why));
  if (status == connection_status::connected && flaps_ != 0) {
    --flaps_;
    world_.later(2s, [this] { (void)world_.sim.hub().disconnect(id_); });
  }
  if (status == connection_status::disconnected && restarts_)
    world_.later(30s, [this, n = incarnation_] {
      if (restarts_ && n == incarnation_ && client_ != nullptr && client_->status() == connection_status::disconnected)
        connect();
    });
  maybe_destroy();
}

void app::send(std::uint64_t count, property_list extra, std::int64_t seconds) {
  if (seconds == 0 || seconds > world_.script_of().publish_timeout) seconds = world_.script_of().publish_timeout;
  for (; count != 0 && client_ != nullptr; --count) {
    world_.clock();
    auto const n = world_.judge.sent(number_);
    auto const op = world_.judge.begin(number_, "telemetry", seconds * second);
    iothub::message m{.body = telemetry_body(number_, n), .properties = extra};
    m.properties.push_back({"n", std::to_string(n)});
    client_->async_send_telemetry(std::move(m), std::chrono::seconds{seconds}, [this, n, op](result<void> r) {
      end(op, r ? "telemetry ok" : "telemetry failed");
      world_.judge.send_ended(number_, n, r.has_value(), r ? std::string_view{} : r.error().message());
      if (r.has_value()) maybe_destroy();
    });
  }
}

void app::report() {
  if (client_ == nullptr) return;
  world_.clock();
  auto const n = reports_++;
  auto const op = world_.judge.begin(number_, "report", world_.script_of().twin_timeout * second);
  json::value patch = json::value::make_object();
  patch.set("k" + std::to_string(n % 6), static_cast<std::int64_t>(n));
  world_.judge.report_begun(number_, n);
  client_->async_update_reported_properties(patch, [this, n, op](result<std::int64_t> v) {
    end(op, v ? "report ok" : "report failed");
    if (!v) world_.judge.scan(v.error().message());
    world_.judge.report_ended(number_, n, v.has_value(), v ? *v : 0);
  });
}

void app::read_twin() {
  if (client_ == nullptr) return;
  world_.clock();
  auto const op = world_.judge.begin(number_, "read twin", world_.script_of().twin_timeout * second);
  client_->async_get_twin([this, op](result<device_twin> t) {
    end(op, t ? "twin ok" : "twin failed");
    if (t) world_.judge.twin_read(number_, t->desired.dump() + t->reported.dump());
  });
}

void app::on_method(method_request const& request, responder answer) {
  world_.clock();
  auto const call = request.payload.as_int();
  world_.judge.method_ran(number_, call ? static_cast<std::uint64_t>(*call) : ~std::uint64_t{0});
  std::uint64_t amount = 0;
  if (take(fault::handler_throws)) throw std::runtime_error{"the application is broken"};
  if (take(fault::handler_reenters)) {
    auto const n = world_.judge.sent(number_);
    world_.judge.busy(number_, true);
    auto const sent = client_->send_telemetry(
        {.body = telemetry_body(number_, n), .properties = {{"n", std::to_string(n)}}}, 5s);
    world_.clock();
    world_.judge.busy(number_, false);
    world_.judge.send_ended(number_, n, sent.has_value(), sent ? std::string_view{} : sent.error().message());
  }
  bool const slow = take(fault::handler_slow, &amount);
  if (client_ != nullptr && (slow || request.name == "slow")) {
    if (!slow && call) amount = static_cast<std::uint64_t>(*call) * 7;  // sooner or later, so that links break meanwhile
    client_->after(std::chrono::seconds{1 + amount % 60},
                   [answer = std::move(answer), payload = request.payload]() mutable { answer({.payload = payload}); });
  } else {
    answer({.payload = request.payload});
  }
  maybe_destroy();
}

settlement app::on_message(c2d_message const& m) {
  world_.clock();
  std::string_view const body = m.content.body.bytes();
  std::uint64_t n = 0;
  for (std::size_t at = 1; at < body.size() && body[at] >= '0' && body[at] <= '9'; ++at)
    n = n * 10 + static_cast<std::uint64_t>(body[at] - '0');
  world_.judge.message_seen(number_, n);
  if (take(fault::handler_throws)) throw std::runtime_error{"the application is broken"};
  bool const first = body.find(" once more") == std::string_view::npos || m.delivery_count != 0;
  if (take(fault::destroyed_in_handler)) {
    destroy_client();
    world_.later(1s, [this] {
      if (client_ == nullptr && restarts_) start();
    });
    return settlement::accept;
  }
  if (!first) return settlement::abandon;
  world_.judge.message_accepted(number_, n);
  return settlement::accept;
}

void app::on_desired(json::value const& patch, std::int64_t version, desired_scope scope) {
  world_.clock();
  auto const there = world_.sim.hub().core().get_twin({id_, {}});
  world_.judge.desired_seen(number_, patch, version, scope == desired_scope::whole, there ? there->desired.version : version);
  maybe_destroy();
}

bool app::take(fault what, std::uint64_t* amount) {
  for (std::size_t i = 0; i != armed_.size(); ++i) {
    if (armed_[i].first != what) continue;
    if (amount != nullptr) *amount = armed_[i].second;
    armed_.erase(armed_.begin() + static_cast<std::ptrdiff_t>(i));
    world_.count(what);
    world_.judge.fault(number_, to_string(what));
    return true;
  }
  return false;
}

void app::do_process_fault(fault what, std::uint64_t amount) {
  if (what != fault::client_closed && what != fault::client_destroyed) return armed_.push_back({what, amount});
  if (client_ == nullptr) return;
  world_.count(what);
  world_.judge.fault(number_, to_string(what));
  if (what == fault::client_closed) return close_client();  // the notice of it brings it back
  destroy_client();
  world_.later(std::chrono::seconds{1 + amount % 30}, [this] {
    if (client_ == nullptr && restarts_) start();
  });
}

void app::look() {
  world_.clock();
  world_.judge.count_pending(number_);
}
bool app::settled() const {
  return connected() && world_.judge.idle(number_) && world_.judge.status(number_) == "connected";
}
std::string app::describe() const {
  if (client_ == nullptr) return "no client";
  auto const& why = client_->last_connection_error();
  return "status " + std::string{to_string(client_->status())} + (why ? " (" + std::string{why->message()} + ")" : "") +
         ", pending:" + world_.judge.pending_of(number_);
}

void app::on_attempt(time_point) { world_.clock(), world_.judge.attempt(number_); }
void app::on_up(byte_view packet, time_point) {
  world_.clock();
  world_.judge.up(number_, packet, client_ != nullptr ? unix_seconds(client_->utc_now()) : 0);
}
void app::on_down(byte_view packet, time_point) { world_.clock(), world_.judge.down(number_, packet); }
void app::on_gone(time_point) { world_.clock(), world_.judge.gone(number_); }
void app::on_fault(fault what, time_point) { world_.clock(), world_.judge.fault(number_, to_string(what)); }

// --- world

device_options world::device_options_of() const {
  device_options o;
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  o.keep_alive = seconds{script_.keep_alive};
  o.connect_timeout = seconds{script_.connect_timeout};
  o.subscribe_timeout = seconds{script_.subscribe_timeout};
  o.connect_limit = seconds{60};
  o.publish_timeout = seconds{script_.publish_timeout};
  o.twin_timeout = seconds{script_.twin_timeout};
  o.reconnect.min_delay = milliseconds{script_.min_delay};
  o.reconnect.base_delay = milliseconds{script_.base_delay};
  o.reconnect.max_delay = milliseconds{script_.max_delay};
  o.token.lifetime = seconds{script_.token};
  o.token.renewal_margin = seconds{script_.margin};
  o.outbox.messages = static_cast<std::size_t>(script_.outbox);
  o.outbox.bytes = static_cast<std::size_t>(script_.outbox_bytes);
  o.inbox = static_cast<std::size_t>(script_.inbox);
  o.twin_requests = static_cast<std::size_t>(script_.twin_requests);
  return o;
}

void world::reprovision(std::string const& id) {
  app& a = *apps_[static_cast<std::size_t>(device_of(id))];
  a.destroy_client();
  a.start();
}

void world::invoke(int d, std::uint64_t kind, std::int64_t lasting) {
  method_options how{.response_timeout = std::chrono::seconds{5 + kind % 50},
                     .connect_timeout = std::chrono::seconds{kind % 8 == 7 ? lasting / 1000 % 300 : 0}};
  auto const call = judge.invoked(d, (how.response_timeout + how.connect_timeout + 16s) / 1us);
  char const* const name = kind % 8 == 5 ? "unknown" : kind % 8 == 6 ? "slow" : "echo";
  ++service_pending_;
  service_.async_invoke_method("d" + std::to_string(d), {.name = name, .payload = static_cast<std::int64_t>(call)}, how,
                               [this, call](result<method_response> r) {
                                 clock();
                                 --service_pending_;
                                 bool const echoed = r && r->payload.as_int() == static_cast<std::int64_t>(call);
                                 judge.call_ended(call, r ? r->status : -static_cast<int>(r.error().code()),
                                                  r ? std::string_view{} : r.error().message(), echoed);
                               });
}

void world::desired(int d, std::uint64_t kind) {
  device_key const key{"d" + std::to_string(d), {}};
  json::value patch = json::value::make_object();
  patch.set("p" + std::to_string(kind % 5), kind % 7 == 0 ? json::value{} : json::value{static_cast<std::int64_t>(++changes_)});
  if (kind % 11 == 0) patch.set("deep", json::value{{"x", static_cast<std::int64_t>(changes_)}, {"y" + std::to_string(kind % 3), true}});
  if (kind % 3 == 0) {
    ++service_pending_;
    return service_.async_update_twin(key.device_id, {{"properties", {{"desired", patch}}}}, any_etag,
                                      [this](result<twin> r) {
                                        clock();
                                        --service_pending_;
                                        if (!r) judge.scan(r.error().message());
                                      });
  }
  auto const before = sim.hub().core().get_twin(key);
  if (!before) return;
  sim.hub().set_desired(key.device_id, patch);
  auto const after = sim.hub().core().get_twin(key);
  if (after->desired.version != before->desired.version + 1 || after->version != before->version + 1)
    judge.fail("I19", d, "a change of the desired properties raised their version from " +
                             std::to_string(before->desired.version) + " to " + std::to_string(after->desired.version));
}

void world::message(int d, std::uint64_t kind) {
  std::string const id = "d" + std::to_string(d);
  auto const identity = sim.hub().core().get_identity({id, {}});
  if (!identity || identity->cloud_to_device_message_count >= 50) return;
  auto const n = judge.message_sent(d);
  std::string body = "C" + std::to_string(n);
  if (kind % 5 == 0) body += " once more";
  sim.hub().send_c2d(id, {.body = std::move(body)});
}

void world::perform(struct step const& t) {
  if (t.device < 0 || t.device >= script_.devices) return;
  app& a = *apps_[static_cast<std::size_t>(t.device)];
  if (t.what == "telemetry") return a.send(t.amount);
  if (t.what == "report") return a.report();
  if (t.what == "read_twin") return a.read_twin();
  if (t.what == "connect") return a.connect();
  if (t.what == "flap") return a.flap(t.amount), (void)sim.hub().disconnect(a.id());
  if (t.what == "desired") return desired(t.device, t.amount);
  if (t.what == "method") return invoke(t.device, t.amount, t.lasting);
  if (t.what == "c2d") return message(t.device, t.amount);
  if (t.what == "tags") {
    if (sim.hub().core().get_identity({a.id(), {}}))
      sim.hub().set_tags(a.id(), {{"t", "tag-" + std::to_string(t.amount)}});
    return;
  }
  if (t.what == "look") {
    ++service_pending_;
    return service_.async_get_twin(a.id(), [this](result<twin> r) {
      clock();
      --service_pending_;
      if (!r) judge.scan(r.error().message());
    });
  }
  if (t.what == "ask_fault") {
    constexpr char const* kinds[] = {"KillTcp", "ShutDownMqtt", "InvokeThrottling", "InvokeMaxMessageQuota", "InvokeAuthError"};
    auto const which = t.amount % 5;
    if (which == 3) judge.fault(t.device, "quota_used_up");
    // With an end of its own: one that kills its connection before it is confirmed does so each time it is sent.
    return a.send(1,
                  {{"AzIoTHub_FaultOperationType", kinds[which]},
                   {"AzIoTHub_FaultOperationDelayInSecs", std::to_string(t.amount % 3)},
                   {"AzIoTHub_FaultOperationDurationInSecs", std::to_string(t.lasting / 1000 % 120)}},
                  45);
  }
  fault const f = sim::fault_from(t.what);
  if (f == fault::count) std::fprintf(stderr, "no such step: %s\n", t.what.c_str()), std::abort();
  if (layer_of(f) == sim::fault_layer::process) return a.do_process_fault(f, t.amount);
  (void)sim.inject(f, a.id(), std::chrono::milliseconds{t.lasting}, t.amount);
}

// The liveness phase: no fault any more; all is well soon, and what was promised holds.
void world::end_well() {
  for (auto const& a : apps_) a->calm();
  sim.calm();
  clock();
  judge.note("calm", -1);
  // MQTT has no word for a quota: what was withheld is confirmed only when a new connection sends it again.
  for (duration const wait : {duration{0}, duration{200s}})  // the second for those that a device asked for
    later(wait, [this] {
      for (auto const& a : apps_)
        if (judge.was_over_quota(a->number())) (void)sim.hub().disconnect(a->id());
    });
  auto const settled = [this] {
    for (auto const& a : apps_)
      if (!a->settled()) return false;
    return service_pending_ == 0;
  };
  duration const limit = std::chrono::seconds{script_.keep_alive * 3 / 2 + 30} +
                         std::chrono::milliseconds{std::max<std::int64_t>(script_.max_delay, 60'000)} +
                         std::chrono::seconds{2 * script_.connect_timeout} + 25min;
  run_for(90s);  // what was half-open is noticed
  for (int quiet = 0; quiet != 2 && !judge.broken(); ++quiet) {
    if (!run_until(settled, limit))
      for (auto const& a : apps_)
        if (!a->settled()) {
          judge.fail("I13", a->number(), "not well " + std::to_string(limit / 1s) + " s after the last fault: " + a->describe());
          return;
        }
    run_for(65s);
  }
  if (judge.broken()) return;
  if (service_pending_ != 0) return judge.fail("I6", -1, "a call of the back end has no outcome");
  probe();
}

// A call may meet a planned reconnect: such a one is made again.
void world::probe_method(int d, int tries) {
  ++service_pending_;
  service_.async_invoke_method("d" + std::to_string(d), {.name = "nothing"}, {.response_timeout = 30s},
                               [this, d, tries](result<method_response> r) {
                                 --service_pending_;
                                 clock();
                                 if (r) return void(++answered_);
                                 if (tries == 0 || r.error() != errc::device_offline)
                                   return judge.fail("I13", d, "a method does not get through: " + std::string{r.error().message()});
                                 later(10s, [this, d, tries] { probe_method(d, tries - 1); });
                               });
}

// Everything works once more.
void world::probe() {
  judge.note("probe", -1);
  answered_ = 0;
  for (auto const& a : apps_) {
    a->send(1);
    a->report();
    desired(a->number(), 1);
    message(a->number(), 1);
    probe_method(a->number(), 3);
  }
  run_for(2min);
  if (judge.broken()) return;
  if (answered_ != apps_.size()) return judge.fail("I13", -1, "methods are not answered after the faults");
  for (auto const& a : apps_) {
    if (!judge.idle(a->number())) return judge.fail("I13", a->number(), "operations do not end after the faults: " + a->describe());
    auto const t = sim.hub().core().get_twin({a->id(), {}});
    judge.final_twin(a->number(), t->reported.properties, t->desired.properties, t->desired.version);
    judge.final_messages(a->number(), t->cloud_to_device_message_count);
  }
  for (auto const& a : apps_) {
    a->stop_everything();
    a->close_client();
  }
  run_for(1min);
  for (auto const& a : apps_) a->destroy_client();
  service_.close();
  run_for(3min);
  clock();
  if (!judge.broken() && !sim.hub().pipes().connections().empty())
    judge.fail("I10", -1, std::to_string(sim.hub().pipes().connections().size()) + " connections are open after all clients are gone");
}

verdict world::play() {
  for (auto const& a : apps_) a->start();
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
  promises_.clear();
  for (auto const& a : apps_) a->destroy_client();
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

// Delta debugging (Zeller, Hildebrandt: "Simplifying and Isolating Failure-Inducing Input", 2002) over the steps, then
// over what surrounds them.
script shrink(script const& failing, verdict const& how, int tries) {
  script best = failing;
  auto const still = [&](script const& s) {
    return tries-- > 0 && run(s, 0).broken == how.broken;
  };
  for (std::size_t chunk = best.steps.size(); chunk != 0 && tries > 0; chunk /= 2) {
    for (std::size_t at = 0; at < best.steps.size() && tries > 0;) {
      script less = best;
      auto const end = std::min(at + chunk, less.steps.size());
      less.steps.erase(less.steps.begin() + static_cast<std::ptrdiff_t>(at), less.steps.begin() + static_cast<std::ptrdiff_t>(end));
      if (still(less))
        best = std::move(less);
      else
        at += chunk;
    }
  }
  script const usual;
  for (auto const member : {&script::latency, &script::jitter, &script::chunk, &script::start, &script::inbox, &script::outbox,
                            &script::outbox_bytes, &script::twin_requests, &script::token, &script::margin, &script::max_delay}) {
    script less = best;
    less.*member = member == &script::latency || member == &script::jitter ? 0 : usual.*member;
    if (less.*member != best.*member && still(less)) best = std::move(less);
  }
  int used = 0;
  for (auto const& t : best.steps) used = std::max(used, t.device + 1);
  script less = best;
  less.devices = std::max(used, 1);
  if (less.devices != best.devices && still(less)) best = std::move(less);
  std::int64_t const last = best.steps.empty() ? 0 : best.steps.back().at;
  less = best;
  less.length = last + 1000;
  if (still(less)) best = std::move(less);
  return best;
}

}  // namespace iothub_test
