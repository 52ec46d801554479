// Bodies of simulation. Include simulation.hpp instead.
#pragma once

#include <iothub/simulation.hpp>

namespace iothub {
inline namespace v0 {

namespace detail {
inline fake_hub_options hub_options_of(simulation_options const& o, prng& dice) {
  fake_hub_options made = o.hub;
  made.seed = dice();
  made.pipes.seed = dice();
  return made;
}
}  // namespace detail

inline simulation::simulation(simulation_options options)
    : options_{std::move(options)},
      openssl_{options_.tls ? std::optional<sim::seeded_openssl>{options_.seed} : std::nullopt},
      dice_{options_.seed},
      makes_{dice_()},
      hub_{detail::hub_options_of(options_, dice_)} {
  hub_.loop().add(*this);
  hub_.faults().on_effect = [this](hub::fault_effect const& e) {
    if (e.tag != 0) happened(static_cast<sim::fault>(e.tag - 1), find(e.who.device_id));
    for (std::size_t i = 0; i != std::size(hub::requested_faults); ++i)
      if (!e.asked.empty() && hub::requested_faults[i].name == e.asked)
        happened(static_cast<sim::fault>(static_cast<std::size_t>(sim::fault::asked_kill_tcp) + i),
                 find(e.who.device_id));
  };
  if (options_.hub.pipes.latency > duration{0}) counts_.add(sim::fault::latency);
  places_.push_back(std::make_unique<device_place>("", hub_.loop(), hub_.pipes(), counts_));
  places_[0]->way.secure = options_.tls;
  draw_next(now());
}

// --- clients

inline net::tls_context const* simulation::context() {
  if (!options_.tls) return nullptr;
  if (trust_) return &*trust_;
  std::string const ca = hub_.ca_pem();
  openssl_->begin_again(options_.seed + 1);
  auto const bad = sim::bad_certificates::make(hub_.core().options().hostname, utc_now());
  trust_ = net::tls_context::client({.trust = {.ca_pem = ca + bad.ca_pem}}).value();
  for (auto const& server : bad.servers) {
    auto listener = hub_.pipes().listen({"*", 0}).value();
    bad_ports_[bad_.size()] = listener.local().port;
    sim::wrap_tls wrap{
        net::tls_context::server({.certificate_pem = server.chain_pem, .private_key_pem = server.key_pem}).value()};
    auto const first = static_cast<std::size_t>(sim::fault::tls_wrong_name);
    sim::spoil(wrap.context, static_cast<sim::fault>(first + bad_.size()));
    bad_.push_back(std::make_unique<bad_server>(hub_.loop(), std::move(listener), hub_.runtime().mqtt(), wrap,
                                                stream_server_options{.log = options_.hub.log, .name = "bad"}));
    bad_.back()->start().value();
  }
  openssl_->begin_again(options_.seed + 2);
  return &*trust_;
}

inline simulation::device_place* simulation::find(std::string_view id) noexcept {
  for (auto const& p : places_)
    if (p->id == id) return p.get();
  return nullptr;
}

inline simulation::device_place& simulation::place(std::string_view id) {
  if (device_place* const known = find(id)) return *known;
  context();
  places_.push_back(std::make_unique<device_place>(std::string{id}, hub_.loop(), hub_.pipes(), counts_));
  device_place& made = *places_.back();
  made.wrong.since = now();
  made.way.secure = options_.tls;
  for (std::size_t i = 0; i != sim::line::bad_servers; ++i) made.way.bad_ports[i] = bad_ports_[i];
  made.way.drop_at_hub = [this, name = made.id] { hub_.disconnect(name); };
  return made;
}

inline simulation::device_client simulation::make_client(device_place& at, std::string_view id, device_options how) {
  if (how.seed == 0) how.seed = makes_();
  auto const connection = parse_device_connection_string(hub_.connection_string_for(id)).value();
  auto const* const tls = context();
  return device_client::create(
             hub_.loop(), connection,
             [&at, tls] { return device_stream{mqtt::client_options{}, at.way, at.way, tls}; },
             sim::device_clock{hub_.loop(), at.wrong}, seeded_crypto{makes_()}, how)
      .value();
}

inline simulation::device_client simulation::make_device(std::string_view id, std::optional<device_options> options) {
  device_place& at = place(id);
  device_key const key{std::string{id}, {}};
  if (!hub_.core().get_identity(key)) hub_.create_device(id);
  return make_client(at, id, options ? *std::move(options) : options_.hub.device);
}

inline sim::station simulation::device_station(std::string_view id) {
  device_place& at = place(id);
  device_key const key{std::string{id}, {}};
  if (!hub_.core().get_identity(key)) hub_.create_device(id);
  auto const seed = makes_();
  return {&hub_.loop(), &at.way, &at.wrong, context(), hub_.connection_string_for(id), seed, makes_()};
}
inline sim::station simulation::back_end_station(std::string_view name, std::string_view policy) {
  device_place& at = place(name);
  at.device = false;
  at.way.drop_at_hub = {};
  auto const seed = makes_();
  return {&hub_.loop(), &at.way, &at.wrong, context(), hub_.service_connection_string(policy), seed, makes_()};
}

template <class Client>
Client simulation::make_value_device(std::string_view id, std::optional<device_options> options) {
  sim::station const at = device_station(id);
  device_options how = options ? *std::move(options) : options_.hub.device;
  if (how.seed == 0) how.seed = at.seed;
  return Client::create(
             *at.on, parse_device_connection_string(at.connection).value(),
             [this, way = at.way] { return value_transport{*way, hub_.direct_peer()}; },
             sim::device_clock{*at.on, *at.wrong}, seeded_crypto{at.crypto_seed}, how)
      .value();
}
template <class Client>
Client simulation::connect_value_service(std::string_view policy) {
  service_options how = options_.hub.service;
  if (how.seed == 0) how.seed = makes_();
  places_[0]->way.values = true;
  return Client::create(hub_.loop(), hub_.service_connection_string(policy),
                        [this] { return value_http_transport{places_[0]->way, hub_.runtime().http()}; },
                        loop_clock{hub_.loop()}, seeded_crypto{makes_()}, how)
      .value();
}

inline simulation::service_client simulation::connect_service(std::string_view policy) {
  service_options how = options_.hub.service;
  if (how.seed == 0) how.seed = makes_();
  using transport = stream_http<sim::http_wire<sim::secure_stream>, make_http_wire>;
  auto const* const tls = context();
  return service_client::create(hub_.loop(), hub_.service_connection_string(policy),
                                [this, tls] { return transport{make_http_wire{&places_[0]->way, tls}}; },
                                loop_clock{hub_.loop()}, seeded_crypto{makes_()}, how)
      .value();
}

// --- trouble

inline void simulation::note(sim::fault what, std::string_view id) {
  history_.push_back(to_iso8601(utc_now()) + " " + std::string{sim::to_string(what)} + (id.empty() ? "" : " ") +
                     std::string{id});
}

inline void simulation::happened(sim::fault what, device_place const* whom) {
  counts_.add(what);
  if (whom != nullptr && whom->way.observer() != nullptr) whom->way.observer()->on_fault(what, now());
}

inline bool simulation::inject(sim::fault what, std::string_view id, duration lasting, std::uint64_t amount) {
  device_place* const at = find(id);
  if (at == nullptr || what >= sim::fault::count) return false;
  switch (layer_of(what)) {
    case sim::fault_layer::asked:
    case sim::fault_layer::process: return false;
    case sim::fault_layer::hub: return at_hub(what, *at, lasting, amount);
    case sim::fault_layer::clock: return to_clock(what, *at, lasting, amount);
    case sim::fault_layer::tls:
      if (!options_.tls) return false;
      break;
    case sim::fault_layer::http:
      note(what, {});
      places_[0]->way.arm(what, lasting, amount);
      return true;
    default: break;
  }
  note(what, id);
  if (what == sim::fault::clog || what == sim::fault::outage) {
    // Many at once; a clog is freed one by one, the later ones first.
    bool const all = what == sim::fault::clog || amount % 2 == 0;
    std::int64_t order = 1;
    for (auto i = places_.size(); i-- != 0;) {
      if (!all && places_[i].get() != at) continue;
      places_[i]->way.arm(what, what == sim::fault::clog ? lasting * order / 4 : lasting, amount);
      if (order < 16) ++order;
    }
    return true;
  }
  at->way.arm(what, lasting, amount);
  return true;
}

inline hub::fault_rule simulation::rule_of(sim::fault what, hub::fault_point where, std::string const& id,
                                           std::uint64_t times) {
  hub::fault_rule rule;
  rule.where = where;
  rule.device_id = id;
  rule.times = times;
  rule.tag = static_cast<std::uint32_t>(what) + 1;
  return rule;
}
inline void simulation::reject(hub::fault_rule rule, errc code, int hub_code) {
  rule.code = code;
  rule.hub_code = hub_code;
  hub_.faults().add(std::move(rule));
}

inline void simulation::stop_hub(duration lasting) {
  hub_away_ = true;
  hub_.pipes().refuse(~std::size_t{0});
  hub_.pipes().reset_all();
  for (auto const& p : places_) {
    if (!p->way.values) continue;
    p->way.peer_away = true;
    p->way.wake_client_at(now());
  }
  later(lasting, [this] { start_hub(); });
}
inline void simulation::start_hub() {
  hub_away_ = false;
  hub_.pipes().refuse(0);
  for (auto const& p : places_) p->way.peer_away = false;
}

inline void simulation::bring_back(device_place& d) {
  if (d.id.empty() || !d.device) return;
  device_key const key{d.id, {}};
  auto identity = hub_.core().get_identity(key);
  if (!identity) {
    device_identity what{.device_id = d.id};
    what.authentication.primary_key = d.primary_key;
    what.authentication.secondary_key = d.primary_key;
    hub_.create_device(what);
  } else if (identity->status == identity_status::disabled) {
    hub_.set_status(d.id, identity_status::enabled);
  }
}

inline bool simulation::at_hub(sim::fault what, device_place& d, duration lasting, std::uint64_t amount) {
  using sim::fault;
  using point = hub::fault_point;
  bool const everybody = what == fault::hub_restart || what == fault::hub_restart_forgets || what == fault::failover;
  if (!everybody && (d.id.empty() || !d.device)) return false;
  device_key const key{d.id, {}};
  auto const known = everybody ? result<device_identity>{device_identity{}} : hub_.core().get_identity(key);
  if (!known) return false;  // deleted for now
  std::uint64_t const times = 1 + amount % 5;
  // Those that wait for something to be done at the hub count then (fault_plan::on_effect).
  bool when_it_applies =
      (what >= fault::connect_throttled && what <= fault::token_refused) || what == fault::takeover;
  switch (what) {
    case fault::hub_restart: stop_hub(lasting); break;
    case fault::hub_restart_forgets:
      stop_hub(lasting);
      // Once the connections that were just reset are gone.
      later(duration{1}, [this] {
        hub_.core().forget_sessions();
        hub_.runtime().mqtt().forget_sessions();
      });
      break;
    case fault::failover:
      when_it_applies = true;  // never, where nobody is connected
      for (auto const& p : places_) when_it_applies = when_it_applies && !p->way.known.connected;
      hub_.core().drop_all(error{errc::connection_lost, "the hub fails over"}, hub_.runtime().now());
      hub_.runtime().touched();
      break;
    case fault::link_dropped:
      if (!hub_.disconnect(d.id)) return false;
      break;
    case fault::connect_throttled: reject(rule_of(what, point::connect, d.id, times), errc::throttled); break;
    case fault::telemetry_throttled: reject(rule_of(what, point::send_telemetry, d.id, 1), errc::throttled); break;
    case fault::quota_used_up: {
      hub::fault_rule rule = rule_of(what, point::send_telemetry, d.id, times);
      rule.until = add(now(), lasting);
      reject(std::move(rule), errc::quota_exceeded);
      // MQTT has no word for it: the PUBACK is withheld. Only a new connection sends the message again.
      later(lasting, [this, id = d.id] { hub_.disconnect(id); });
      break;
    }
    case fault::telemetry_confirmed_late: {
      hub::fault_rule rule = rule_of(what, point::send_telemetry, d.id, times);
      rule.rejects = false;
      rule.delay = lasting;
      hub_.faults().add(std::move(rule));
      break;
    }
    case fault::server_error:
      reject(rule_of(what, amount % 2 == 0 ? point::patch_reported : point::get_device_twin, d.id, times),
             errc::server_error);
      break;
    case fault::token_refused: reject(rule_of(what, point::connect, d.id, 1), errc::unauthorized, 401003); break;
    case fault::token_expired:
      if (!hub_.core().expire_token(key, hub_.runtime().now())) return false;
      hub_.runtime().touched();
      break;
    case fault::messages_expired:
    case fault::messages_used_up: {
      auto const why = what == fault::messages_expired ? hub::feedback_status::expired
                                                       : hub::feedback_status::delivery_count_exceeded;
      when_it_applies = hub_.core().give_up_c2d(d.id, why, hub_.runtime().now()) == 0;  // else never
      hub_.runtime().touched();
      break;
    }
    case fault::device_deleted:
      d.primary_key = known->authentication.primary_key;
      hub_.delete_device(d.id);
      later(lasting, [this, &d] { bring_back(d); });
      break;
    case fault::device_disabled:
      hub_.set_status(d.id, identity_status::disabled);
      later(lasting, [this, &d] { bring_back(d); });
      break;
    case fault::key_rotated: {
      auto changed = *known;
      std::string fresh(32, '\0');
      dice_.fill({fresh.data(), fresh.size()});
      changed.authentication.primary_key = to_base64(fresh);
      changed.authentication.secondary_key = changed.authentication.primary_key;
      hub_.core().put_identity(changed, hub::unconditional, hub_.runtime().now()).value();
      hub_.runtime().touched();
      happened(what, &d);
      note(what, d.id);
      if (on_key_rotated) on_key_rotated(d.id);
      return true;
    }
    case fault::takeover: {
      device_place& elsewhere = place(d.id + " (rival)");
      elsewhere.way.drop_at_hub = {};
      elsewhere.device = false;
      rival_.emplace(make_client(elsewhere, d.id, {}));
      rival_->async_connect([this, &d](result<void> connected) {
        if (connected) happened(sim::fault::takeover, &d);
      });
      later(lasting, [this] { rival_.reset(); });
      break;
    }
    default: return false;
  }
  note(what, d.id);
  if (when_it_applies) return true;
  if (!everybody) return happened(what, &d), true;
  counts_.add(what);
  for (auto const& p : places_)
    if (p->way.observer() != nullptr) p->way.observer()->on_fault(what, now());
  return true;
}

inline bool simulation::to_clock(sim::fault what, device_place& d, duration lasting, std::uint64_t amount) {
  using sim::fault;
  duration const off = std::chrono::seconds{amount % 86400 == 0 ? 86400 : amount % 86400};
  switch (what) {
    case fault::clock_offset: d.wrong.offset = amount % 2 == 0 ? off : -off; break;
    case fault::clock_forward: d.wrong.offset += off; break;
    case fault::clock_back: d.wrong.offset -= off; break;
    case fault::clock_drift:
      d.wrong.since = now();
      d.wrong.drift_ppm = static_cast<std::int32_t>(amount % 401) - 200;
      if (d.wrong.drift_ppm == 0) d.wrong.drift_ppm = 200;
      break;
    case fault::clock_edge:  // shortly before the last second of a 32-bit clock
      hub_.loop().set_utc(from_unix_seconds(2'147'483'647 - static_cast<std::int64_t>(amount % 600)));
      break;
    case fault::leap_second: hub_.loop().set_utc(hub_.loop().utc_now() - std::chrono::seconds{1}); break;
    case fault::stall: hub_.loop().stall(lasting); break;
    default: return false;
  }
  happened(what, &d);
  note(what, d.id);
  return true;
}

inline void simulation::set_weather(sim::fault_profile const& profile) {
  options_.faults = profile;
  draw_next(now());
  hub_.loop().wake(*this);
}

inline void simulation::calm() {
  set_weather(sim::calm_weather());
  auto promised_now = std::exchange(promises_, {});
  for (auto& p : promised_now) p.what();
  start_hub();
  rival_.reset();
  hub_.faults().clear();
  for (auto const& p : places_) {
    p->way.calm();
    p->wrong.offset = duration{0};
    p->wrong.drift_ppm = 0;
    bring_back(*p);
  }
}

inline bool simulation::settle(duration limit) {
  calm();
  time_point const began = now();
  run_for(std::chrono::minutes{5});
  return run_until(
      [&] {
        for (auto const& p : places_) {
          auto const& known = p->way.known;
          if (p->id.empty() || !p->device) continue;
          if (!known.connected && known.last_attempt > began) return false;
          if (known.unacknowledged != 0) return false;
        }
        return true;
      },
      limit);
}

inline std::vector<std::string> simulation::bodies(std::string_view id, bool distinct) const {
  std::vector<std::string> all;
  for (auto const& e : hub_.events()) {
    if (e.source.device_id != id) continue;
    std::string body{e.content.body.bytes()};
    bool known = false;
    if (distinct)
      for (auto const& other : all) known = known || other == body;
    if (!known) all.push_back(std::move(body));
  }
  return all;
}

// --- time

inline void simulation::step(time_point now) {
  for (std::size_t i = 0; i != promises_.size();) {
    if (promises_[i].at > now) {
      ++i;
      continue;
    }
    auto const due = promises_.begin() + static_cast<std::ptrdiff_t>(i);
    auto what = std::move(due->what);
    promises_.erase(due);
    what();
    i = 0;
  }
  if (now < next_) return;
  draw_next(now);
  sim::fault const what = sim::draw_fault(dice_, options_.faults);
  std::size_t const which = places_.size() > 1 ? 1 + static_cast<std::size_t>(dice_.below(places_.size() - 1)) : 0;
  duration const lasting = sim::draw_lasting(dice_, options_.faults.shortest, options_.faults.longest);
  std::uint64_t const amount = dice_();
  if (which != 0) inject(what, places_[which]->id, lasting, amount);
}
inline time_point simulation::deadline() const {
  time_point first = next_;
  for (auto const& p : promises_) first = p.at < first ? p.at : first;
  return first;
}

}  // namespace v0
}  // namespace iothub
