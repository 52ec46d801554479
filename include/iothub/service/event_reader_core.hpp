// The event reader without its loop: receivers for the partitions of an event endpoint, and what is known about each.
//
// Theory of operation. On an IoT hub's own address a link to "/messages/events/$management" is answered with a redirect
// to the event endpoint (Microsoft docs "Communicate with your IoT hub by using the AMQP protocol"; azure-event-hubs-node
// client.ts); from then on, and at once where the endpoint's own connection string is used:
//   1. $management says which partitions there are. Where a reader begins with "the latest" it also says which event
//      that is, so that what comes between two connections is not skipped: from here on the reader has a number.
//   2. A receiver is attached for each partition that is this reader's: all, those that were named, or the share that
//      its claims give it. Its filter is the position behind the last event that was received, not handed out: what is
//      in the inbox survives a reconnect.
//   3. Credit is given by hand: as many events are on their way or in the inbox as `prefetch` says, never more.
//   4. Sequence numbers of a partition rise by one. A gap is what retention dropped: the event behind it says how many.
// A receiver that is refused for good (no such consumer group, stolen by a higher owner level) ends its partition; the
// others go on. Everything else is tried again with back-off.
//
// Duplicates. Within one reader: none. After a restart: events behind the last checkpoint. When a partition changes
// hands: what the former owner had not checkpointed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/amqp/cbs.hpp>
#include <iothub/base/ascii.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/service/event_balance.hpp>
#include <iothub/service/event_message.hpp>
#include <iothub/service/event_reader_options.hpp>
#include <iothub/service/event_source.hpp>
#include <iothub/service/kept_connection.hpp>
#include <iothub/service/sas_passes.hpp>

namespace iothub {
inline namespace v0 {

// What happens beside events; told in the order in which it happened.
struct reader_notice {
  enum class kind : std::uint8_t {
    connected,          // the endpoint is there; receivers follow
    disconnected,       // why; it is tried again
    partition_opened,   // events of the partition may come
    partition_lost,     // another reader has it now; why: link_stolen
    partition_ended,    // why: it is not tried again
    events_missed,      // count: retention dropped them before they were read
    checkpoint_failed,  // why: the store said no; it is tried again
    failed,             // why: the reader is over
  };
  kind what = kind::connected;
  std::string partition = {};
  error why = errc::closed;
  std::uint64_t count = 0;
};

// Makes tokens and tells the wall clock: what the core needs of its policies.
class event_reader_host {
 public:
  virtual result<std::string> sign(sas_form form, std::string_view resource) = 0;
  [[nodiscard]] virtual utc_time utc_now() const = 0;
  virtual void output() = 0;  // an event, a notice or an error has come

 protected:
  ~event_reader_host() = default;
};

class event_reader_core final : public kept_connection {
 public:
  event_reader_core(amqp_port& port, event_reader_host& host, event_source_address source, event_reader_options options);

  // Begins, also again after it failed.
  void begin(time_point now);
  void step(time_point now);
  [[nodiscard]] time_point next_deadline() const noexcept;

  // The next event; false when there is none. The one before it is finished.
  bool take(hub_event& into);
  // The event that was taken last is finished: a checkpoint may say so.
  void finish();
  [[nodiscard]] bool empty() const noexcept { return inbox_.empty(); }
  bool take_notice(reader_notice& into);
  // What went wrong, once: a partition that ended, an attempt to connect before the first that worked, the end of all.
  maybe<error> take_error();
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  // The receivers of all partitions that are this reader's are there.
  [[nodiscard]] bool reading() const noexcept;
  [[nodiscard]] bool has_errors() const noexcept { return !errors_.empty(); }

  // Saves where it is, as far as events are finished. The first error of the store, when there is one.
  result<void> save();
  result<void> save(hub_event const& what);
  // Saves, gives its claims up, and says good-bye.
  void close();

  [[nodiscard]] std::string const& entity() const noexcept { return entity_; }
  [[nodiscard]] std::string const& name() const noexcept { return options_.reader_name; }
  // Those that are this reader's now.
  [[nodiscard]] std::vector<std::string> partitions() const;
  [[nodiscard]] std::uint64_t events() const noexcept { return taken_; }
  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }
  [[nodiscard]] std::string describe() const;

 private:
  struct partition {
    std::string id = {};
    event_position from = {};
    std::int64_t received = -1;        // sequence number; -1: not known
    std::string received_offset = {};  // empty: not known
    event_checkpoint done = {};        // the last finished event
    amqp::link* link = nullptr;
    std::int64_t level = 0;        // of the claim
    std::uint64_t term = 0;        // counts how often it was assigned
    std::uint32_t pending = 0;     // events in the inbox and in the user's hand
    std::uint32_t used = 0;        // credit to give again
    std::uint32_t attempts = 0;    // in vain
    time_point retry_at = time_point::min();
    bool assigned = false;
    bool over = false;
    bool dirty = false;            // `done` is not saved
    bool resolve = false;          // where "latest" is has to be asked
    bool asked = false;
    bool ever_attached = false;
  };
  struct entry {
    hub_event event;
    std::size_t partition;
    std::uint64_t term;
  };
  struct request {
    std::uint64_t id;
    std::string partition;  // empty: about the hub
    time_point give_up;
    bool sent = false;
  };
  static kept_connection_options connection_options(event_reader_options const& from, std::uint64_t seed);

  result<amqp_pass> make_pass(time_point now) override;
  void on_ready(time_point now) override;
  void on_down(error const& why, time_point now) override;
  void link_attached(amqp::link& which, amqp::attach const& how, time_point now) override;
  void link_credit(amqp::link& which, time_point now) override;
  void link_transfer(amqp::link& which, amqp::delivery const& what, time_point now) override;
  void link_detached(amqp::link& which, amqp::end_reason const& why, time_point now) override;

  void attach_redirect();
  void redirected(amqp::error_view const& to);
  void ask(std::string partition_id, time_point now);
  result<void> attach_management();
  void pump_requests();
  void answered(amqp::message_view const& message, time_point now);
  void know_partitions(amqp::value_view const& body, time_point now);
  void know_end(partition& p, amqp::value_view const& body, bool good);
  void end_management();
  void arrange(time_point now);
  void assign(partition& p, std::int64_t level, std::vector<event_checkpoint> const& known);
  void balance(time_point now);
  void lose(partition& p, error why);
  void open_receivers(time_point now);
  void open_receiver(partition& p, time_point now);
  void receiver_ended(partition& p, error why, time_point now);
  void on_event(partition& p, amqp::link& from, amqp::delivery const& what);
  void used_one(partition& p);
  void completed(partition& p);
  result<void> save(partition& p, event_checkpoint what);
  void tell(reader_notice::kind what, std::string_view partition_id, error why = errc::closed, std::uint64_t count = 0);
  void give_up(error why);
  [[nodiscard]] event_scope scope() const { return {entity_, options_.consumer_group}; }

  static constexpr std::size_t max_notices = 1000;
  static constexpr std::uint32_t redirect_patience = 3;  // attempts in vain before the hub is asked again
  static constexpr std::uint64_t redirect_mark = 1, management_mark = 2, receiver_mark = 3;

  event_reader_host& host_;
  event_source_address source_;
  event_reader_options options_;
  std::string entity_;
  bool from_hub_;
  std::deque<partition> partitions_;  // links hold their places
  std::deque<entry> inbox_;
  std::deque<reader_notice> notices_;
  std::deque<error> errors_;
  maybe<std::pair<std::size_t, std::uint64_t>> in_hand_;
  hub_event in_hand_mark_;  // partition, offset and sequence number of it
  std::vector<request> requests_;
  amqp::link* management_out_ = nullptr;
  amqp::link* management_in_ = nullptr;
  std::uint64_t last_request_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t missed_ = 0;
  std::uint32_t downs_ = 0;
  std::uint64_t links_made_ = 0;
  time_point balance_at_ = never;
  time_point save_at_ = never;
  bool ever_ready_ = false;
  bool failed_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

inline kept_connection_options event_reader_core::connection_options(event_reader_options const& from,
                                                                     std::uint64_t seed) {
  kept_connection_options made;
  made.amqp.container_id = from.reader_name;
  made.amqp.open_timeout = from.connect_timeout;
  made.amqp.idle_timeout = from.idle_timeout;
  made.amqp.incoming_window = 5000;
  made.sasl = from.sasl;
  made.token_timeout = from.token_timeout;
  made.retry = from.retry;
  made.seed = seed;
  return made;
}

inline event_reader_core::event_reader_core(amqp_port& port, event_reader_host& host, event_source_address source,
                                            event_reader_options options)
    : kept_connection{port, amqp_side::event_reader, connection_options(options, options.seed)},
      host_{host},
      source_{std::move(source)},
      options_{std::move(options)},
      entity_{source_.entity},
      from_hub_{source_.entity.empty()} {
  for (auto const& each : options_.partitions) partitions_.emplace_back().id = each;
}

inline void event_reader_core::begin(time_point now) {
  if (state() != state_type::idle) return;
  failed_ = false;
  downs_ = 0;
  for (partition& p : partitions_) p.over = false, p.attempts = 0, p.retry_at = time_point::min();
  start(source_.where, now);
  if (from_hub_) entity_.clear();
}

inline void event_reader_core::tell(reader_notice::kind what, std::string_view partition_id, error why,
                                    std::uint64_t count) {
  if (notices_.size() == max_notices) notices_.pop_front();
  notices_.push_back({what, std::string{partition_id}, std::move(why), count});
  host_.output();
}

inline void event_reader_core::give_up(error why) {
  failed_ = true;
  tell(reader_notice::kind::failed, {}, why);
  errors_.push_back(std::move(why));
  stop();
}

// --- the connection --------------------------------------------------------------------------------------------------

inline result<amqp_pass> event_reader_core::make_pass(time_point now) {
  bool const endpoint = !entity_.empty();
  std::string resource = endpoint ? "sb://" + peer().host + '/' + entity_ : peer().host;
  auto token = host_.sign(endpoint ? sas_form::event_hubs : sas_form::iot_hub, resource);
  if (!token) return std::move(token).error();
  std::chrono::seconds const margin =
      options_.token_margin.count() != 0 ? options_.token_margin : options_.token_lifetime / 5;
  time_point const renew = source_.signature.empty() ? add(now, options_.token_lifetime - margin) : never;
  return amqp_pass{std::move(resource), *std::move(token), renew};
}

inline void event_reader_core::on_ready(time_point now) {
  if (entity_.empty()) return attach_redirect();
  ever_ready_ = true;
  downs_ = 0;
  proved_good();
  tell(reader_notice::kind::connected, {});
  if (partitions_.empty()) return ask({}, now);
  arrange(now);
}

inline void event_reader_core::on_down(error const& why, time_point) {
  management_out_ = management_in_ = nullptr;
  requests_.clear();
  for (partition& p : partitions_) p.link = nullptr, p.asked = false;
  ++downs_;
  if (is_auth(why) || is_usage(why) || why == errc::not_found || why == errc::forbidden || why == errc::bad_request)
    return give_up(why);
  tell(reader_notice::kind::disconnected, {}, why);
  if (!ever_ready_) errors_.push_back(why);
  if (from_hub_ && !entity_.empty() && downs_ >= redirect_patience) {  // perhaps it has moved
    entity_.clear();
    move_to(source_.where);
  }
}

inline void event_reader_core::attach_redirect() {
  amqp::attach how;
  how.name = "events-redirect";
  how.role = amqp::link_role::receiver;
  how.has_source = how.has_target = true;
  how.source = amqp::source::at("/messages/events/$management");
  how.target = amqp::target::at("events-redirect");
  auto made = session()->attach(how);
  if (!made) return fail(std::move(made).error());
  (*made)->user = redirect_mark;
  wake();
}

// The error's info: hostname, port, and address = amqps://HOST:PORT/ENTITY/$management.
inline void event_reader_core::redirected(amqp::error_view const& to) {
  auto const hostname = amqp::find(to.info, "hostname").as_text();
  auto const address = amqp::find(to.info, "address").as_text();
  auto const port = amqp::find(to.info, "port").as_uint();
  std::string_view path = address ? *address : std::string_view{};
  if (std::size_t const scheme = path.find("://"); scheme != std::string_view::npos) {
    path.remove_prefix(scheme + 3);
    std::size_t const slash = path.find('/');
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash);
  }
  while (path.starts_with('/')) path.remove_prefix(1);
  std::string_view const name = path.substr(0, path.find('/'));
  if (!hostname || hostname->empty() || name.empty() || (port && (*port == 0 || *port > 65'535)))
    return give_up({errc::protocol_error, "the hub's redirect does not say where its event endpoint is"});
  entity_ = name;
  move_to({std::string{*hostname}, port ? static_cast<std::uint16_t>(*port) : source_.where.port});
}

inline void event_reader_core::link_attached(amqp::link& which, amqp::attach const&, time_point) {
  if (which.user == redirect_mark) return fail({errc::protocol_error, "the hub did not redirect to its event endpoint"});
  if (which.user == management_mark) return pump_requests();
  if (which.context == nullptr) return;
  auto& p = *static_cast<partition*>(which.context);
  p.attempts = 0;
  p.ever_attached = true;
  tell(reader_notice::kind::partition_opened, p.id);
}
inline void event_reader_core::link_credit(amqp::link&, time_point) {
  pump_requests();
}
inline void event_reader_core::link_transfer(amqp::link& which, amqp::delivery const& what, time_point now) {
  if (which.user == management_mark) {
    amqp::message_view message;
    bool const good = !amqp::read_message(what.payload, message);
    if (!what.settled) which.settle(what.id);
    if (good) answered(message, now);
    return;
  }
  if (which.context != nullptr) on_event(*static_cast<partition*>(which.context), which, what);
}

inline void event_reader_core::link_detached(amqp::link& which, amqp::end_reason const& why, time_point now) {
  error const told =
      why.error ? to_error(why.error) : error{errc::connection_lost, "the server ended the link without a reason"};
  switch (which.user) {
    case redirect_mark:
      if (why.error.condition == amqp::condition::link_redirect) return redirected(why.error);
      if (why.by != amqp::ended_by::this_side) fail(told);
      return;
    case management_mark: {
      bool const wanted = &which == management_out_ || &which == management_in_;
      if (&which == management_out_) management_out_ = nullptr;
      if (&which == management_in_) management_in_ = nullptr;
      if (wanted && !requests_.empty()) fail(told);
      return;
    }
    default: break;
  }
  if (which.context == nullptr) return;
  auto& p = *static_cast<partition*>(which.context);
  if (p.link != &which) return;
  p.link = nullptr;
  receiver_ended(p, told, now);
}

// --- $management -----------------------------------------------------------------------------------------------------

inline void event_reader_core::ask(std::string partition_id, time_point now) {
  requests_.push_back({++last_request_, std::move(partition_id), add(now, options_.token_timeout)});
  if (management_out_ == nullptr)
    if (auto made = attach_management(); !made) return fail(std::move(made).error());
  pump_requests();
}

inline result<void> event_reader_core::attach_management() {
  std::string const reply_to = "management-" + std::to_string(++links_made_);
  amqp::attach how;
  how.has_source = how.has_target = true;
  auto const attach = [&](amqp::link_role role, std::string_view name, std::string_view from,
                          std::string_view to) -> result<amqp::link*> {
    how.name = name;
    how.role = role;
    how.source = amqp::source::at(from);
    how.target = amqp::target::at(to);
    auto made = session()->attach(how);
    if (made) (*made)->user = management_mark;
    return made;
  };
  auto in = attach(amqp::link_role::receiver, reply_to, "$management", reply_to);
  if (!in) return std::move(in).error();
  management_in_ = *in;
  management_in_->set_prefetch(50);
  auto out = attach(amqp::link_role::sender, reply_to + "-requests", reply_to, "$management");
  if (!out) return std::move(out).error();
  management_out_ = *out;
  wake();
  return {};
}

inline void event_reader_core::pump_requests() {
  if (management_out_ == nullptr || management_in_ == nullptr) return;
  if (management_in_->state() != amqp::link::state_type::attached) return;
  for (request& each : requests_) {
    if (each.sent || !management_out_->can_send()) continue;
    amqp::value const id{std::to_string(each.id)};
    amqp::message_view message;
    message.has_properties = true;
    message.properties.message_id = id.bytes();
    message.properties.to = "$management";
    message.properties.reply_to = management_in_->name();
    auto const words = each.partition.empty()
                           ? amqp::value::string_map({{"operation", "READ"},
                                                      {"name", entity_},
                                                      {"type", "com.microsoft:eventhub"}})
                           : amqp::value::string_map({{"operation", "READ"},
                                                      {"name", entity_},
                                                      {"type", "com.microsoft:partition"},
                                                      {"partition", each.partition}});
    message.application_properties = words.bytes();
    message.body = amqp::body_kind::data;
    message.data = "[]";  // as @azure/event-hubs
    byte_buffer bytes;
    amqp::write_message(message, bytes);
    if (!management_out_->send({.payload = bytes.view(), .settled = true})) return;
    each.sent = true;
    wake();
  }
}

inline void event_reader_core::answered(amqp::message_view const& message, time_point now) {
  std::string const id = amqp::id_text(message.properties.correlation_id);
  std::size_t at = 0;
  while (at != requests_.size() && std::to_string(requests_[at].id) != id) ++at;
  if (at == requests_.size()) return;
  request const asked = std::move(requests_[at]);
  requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(at));
  amqp::request_status const status = amqp::read_status(message);
  bool const good = status.code >= 200 && status.code < 300;
  amqp::value_view const body = amqp::view_of(message.value);
  if (asked.partition.empty()) {
    if (!good) {
      errc const code = status.code == 404                         ? errc::not_found
                        : status.code == 401 || status.code == 403 ? errc::unauthorized
                        : status.code == 429                       ? errc::throttled
                                                                   : errc::service_unavailable;
      return fail({code, std::string{"the event endpoint does not say what partitions it has: "}.append(status.description)});
    }
    know_partitions(body, now);
  } else {
    for (partition& p : partitions_)
      if (p.id == asked.partition) know_end(p, body, good);
    open_receivers(now);
  }
  if (requests_.empty()) end_management();
}

inline void event_reader_core::know_partitions(amqp::value_view const& body, time_point now) {
  amqp::value_view const ids = amqp::find(body, "partition_ids");
  if (ids.type() == amqp::kind::array) {
    amqp::array_reader each{ids};
    amqp::value_view id;
    while (each.next(id))
      if (auto const text = id.as_text()) partitions_.emplace_back().id = *text;
  } else if (auto const one = ids.as_text()) {
    partitions_.emplace_back().id = *one;
  }
  if (partitions_.empty()) return fail({errc::protocol_error, "the event endpoint names no partitions"});
  arrange(now);
}

inline void event_reader_core::know_end(partition& p, amqp::value_view const& body, bool good) {
  p.asked = p.resolve = false;
  auto const last = amqp::find(body, "last_enqueued_sequence_number").as_int();
  if (!good || !last) return;  // the endpoint's own idea of the end has to do
  p.from = *last < 0 ? event_position::earliest() : event_position::sequence_number(*last);
  p.received = *last;
}

inline void event_reader_core::end_management() {
  if (auto* const out = std::exchange(management_out_, nullptr)) out->detach();
  if (auto* const in = std::exchange(management_in_, nullptr)) in->detach();
}

// --- which partitions ------------------------------------------------------------------------------------------------

inline void event_reader_core::arrange(time_point now) {
  if (options_.checkpoints != nullptr && options_.checkpoint_interval > duration{0} && save_at_ == never)
    save_at_ = add(now, options_.checkpoint_interval);
  if (options_.share_partitions) {
    balance(now);
    return open_receivers(now);
  }
  std::vector<event_checkpoint> known;
  bool needed = false;
  for (partition const& p : partitions_) needed = needed || !p.assigned;
  if (needed && options_.checkpoints != nullptr) {
    auto read = options_.checkpoints->checkpoints(scope());
    if (!read) return give_up(std::move(read).error());  // beginning somewhere else would skip or repeat
    known = *std::move(read);
  }
  for (partition& p : partitions_)
    if (!p.assigned) assign(p, 0, known);
  open_receivers(now);
}

inline void event_reader_core::assign(partition& p, std::int64_t level, std::vector<event_checkpoint> const& known) {
  p.assigned = true;
  p.over = false;
  p.level = level;
  ++p.term;
  p.pending = p.used = p.attempts = 0;
  p.retry_at = time_point::min();
  p.from = options_.start;
  p.received = -1;
  p.received_offset.clear();
  p.done = {p.id, {}, -1, level};
  p.dirty = false;
  p.resolve = options_.start.what == event_position::by::latest;
  if (options_.start.what == event_position::by::sequence_number)
    p.received = options_.start.number - (options_.start.inclusive ? 1 : 0);
  for (auto const& each : known)
    if (each.partition == p.id && each.sequence_number >= 0) {
      p.received = each.sequence_number;
      p.received_offset = each.offset;
      p.done = each;
      p.done.level = level;
      p.resolve = false;
      p.from = event_position::sequence_number(each.sequence_number);
    }
}

inline void event_reader_core::balance(time_point now) {
  balance_at_ = add(now, options_.claim_interval);
  auto const trouble = [&](error const& why) { tell(reader_notice::kind::checkpoint_failed, {}, why); };
  auto const claims = options_.checkpoints->claims(scope());
  if (!claims) return trouble(claims.error());
  std::vector<std::string> ids;
  for (partition const& p : partitions_) ids.push_back(p.id);
  auto const wanted =
      balance_partitions(ids, *claims, options_.reader_name, host_.utc_now(), options_.claim_expiry);
  std::vector<partition const*> kept;
  std::vector<event_checkpoint> known;
  bool loaded = false;
  for (auto const& want : wanted) {
    auto const done = options_.checkpoints->claim(scope(), want.made, want.expected);
    if (!done && done.error() != errc::precondition_failed) trouble(done.error());
    if (!done && done.error() == errc::precondition_failed) continue;
    for (partition& p : partitions_) {
      if (p.id != want.made.partition) continue;
      if (p.assigned && (p.level == want.made.level || !done)) kept.push_back(&p);
      if (p.assigned || !done) continue;
      if (!loaded) {
        auto read = options_.checkpoints->checkpoints(scope());
        if (!read) return trouble(read.error());  // claimed, but not opened: the next look finds it
        known = *std::move(read);
        loaded = true;
      }
      assign(p, want.made.level, known);
      kept.push_back(&p);
    }
  }
  for (partition& p : partitions_) {
    bool mine = false;
    for (auto const* each : kept) mine = mine || each == &p;
    if (p.assigned && !mine) lose(p, {errc::link_stolen, "another reader claimed the partition"});
  }
}

// Not this reader's any more. What was not handed out is the new owner's, who begins behind the last checkpoint.
inline void event_reader_core::lose(partition& p, error why) {
  p.assigned = false;
  p.asked = false;
  p.pending = p.used = 0;
  ++p.term;
  if (p.link != nullptr) std::exchange(p.link, nullptr)->detach();
  std::size_t const place = [&] {
    for (std::size_t i = 0;; ++i)
      if (&partitions_[i] == &p) return i;
  }();
  std::deque<entry> kept;
  for (entry& each : inbox_)
    if (each.partition != place) kept.push_back(std::move(each));
  inbox_ = std::move(kept);
  tell(reader_notice::kind::partition_lost, p.id, std::move(why));
  wake();
}

// --- receivers -------------------------------------------------------------------------------------------------------

inline void event_reader_core::open_receivers(time_point now) {
  if (session() == nullptr || entity_.empty()) return;
  for (partition& p : partitions_) {
    if (!p.assigned || p.over || p.link != nullptr || p.asked || p.retry_at > now) continue;
    if (session() == nullptr) return;
    if (p.resolve) {
      p.asked = true;
      ask(p.id, now);
    } else {
      open_receiver(p, now);
    }
  }
}

inline void event_reader_core::open_receiver(partition& p, time_point now) {
  event_position at = p.from;
  if (!p.received_offset.empty()) {
    at = event_position::offset(p.received_offset);
  } else if (p.received >= 0) {
    at = event_position::sequence_number(p.received);
  }
  constexpr std::uint64_t selector_filter = 0x0000468C'00000004;  // the registered code of the selector filter
  auto const filter = amqp::value::symbol_map(
      {{"apache.org:selector-filter:string", amqp::value::made([&](amqp::writer& w) {
          w.describe(static_cast<amqp::descriptor>(selector_filter));
          w.string(at.selector());
        })}});
  auto const properties = options_.share_partitions || options_.owner_level
                              ? amqp::value::symbol_map({{"com.microsoft:receiver-name", options_.reader_name},
                                                         {"com.microsoft:epoch", options_.owner_level.value_or(p.level)}})
                              : amqp::value::symbol_map({{"com.microsoft:receiver-name", options_.reader_name}});
  std::string const address = entity_ + "/ConsumerGroups/" + options_.consumer_group + "/Partitions/" + p.id;
  std::string const name = options_.reader_name + '-' + p.id + '-' + std::to_string(++links_made_);
  amqp::attach how;
  how.name = name;
  how.role = amqp::link_role::receiver;
  how.has_source = how.has_target = true;
  how.source = amqp::source::at(address);
  how.source.filter = filter.bytes();
  how.target = amqp::target::at(options_.reader_name);
  how.properties = properties.bytes();
  auto made = session()->attach(how);
  if (!made) return receiver_ended(p, std::move(made).error(), now);
  p.link = *made;
  p.link->user = receiver_mark;
  p.link->context = &p;
  p.used = 0;
  if (p.pending < options_.prefetch) p.link->add_credit(options_.prefetch - p.pending);
  wake();
}

inline void event_reader_core::receiver_ended(partition& p, error why, time_point now) {
  bool final = why == errc::link_stolen || why == errc::not_found || why == errc::bad_request ||
               why == errc::forbidden || why == errc::unsupported || (why == errc::quota_exceeded && !p.ever_attached);
  if (why == errc::link_stolen && options_.share_partitions) return lose(p, std::move(why));
  if (why == errc::unauthorized) {
    if (p.ever_attached) {  // the token's time is over, or the key's: a new connection will tell
      p.ever_attached = false;
      return fail(std::move(why));
    }
    return give_up(std::move(why));
  }
  if (!final) {
    p.retry_at = add(now, back_off(p.attempts++));
    return;
  }
  p.over = true;
  tell(reader_notice::kind::partition_ended, p.id, why);
  bool any = false;
  for (partition const& each : partitions_) any = any || (each.assigned && !each.over);
  if (!any && !options_.share_partitions) return give_up(std::move(why));
  errors_.push_back(std::move(why));
}

inline void event_reader_core::on_event(partition& p, amqp::link& from, amqp::delivery const& what) {
  entry made{{}, 0, p.term};
  bool const good = read_event(what.payload, made.event);
  if (!what.settled) from.settle(what.id);
  if (p.link != &from) return;
  hub_event& e = made.event;
  e.partition = p.id;
  if (good && e.sequence_number >= 0) {
    if (p.received >= 0 && e.sequence_number > p.received + 1) {
      e.missed_before = static_cast<std::uint64_t>(e.sequence_number - p.received - 1);
      missed_ += e.missed_before;
      tell(reader_notice::kind::events_missed, p.id, errc::closed, e.missed_before);
    }
    p.received = e.sequence_number;
    p.received_offset = e.offset;
  }
  if (!good || (!options_.device_id.empty() && e.device_id != options_.device_id)) {
    used_one(p);
    if (p.pending == 0) completed(p);
    return;
  }
  while (&partitions_[made.partition] != &p) ++made.partition;
  ++p.pending;
  inbox_.push_back(std::move(made));
  host_.output();
}

inline void event_reader_core::used_one(partition& p) {
  ++p.used;
  if (p.link == nullptr || p.used < (options_.prefetch + 1) / 2) return;
  p.link->add_credit(std::exchange(p.used, 0u));
  wake();
}

// Everything that was received is finished.
inline void event_reader_core::completed(partition& p) {
  if (p.received < 0 || p.received == p.done.sequence_number) return;
  p.done = {p.id, p.received_offset, p.received, p.level};
  p.dirty = true;
}

inline bool event_reader_core::take(hub_event& into) {
  finish();
  if (inbox_.empty()) return false;
  entry next = std::move(inbox_.front());
  inbox_.pop_front();
  in_hand_ = std::pair{next.partition, next.term};
  in_hand_mark_.offset = next.event.offset;
  in_hand_mark_.sequence_number = next.event.sequence_number;
  into = std::move(next.event);
  ++taken_;
  return true;
}

inline void event_reader_core::finish() {
  if (!in_hand_) return;
  auto const [place, term] = *in_hand_;
  in_hand_.reset();
  partition& p = partitions_[place];
  if (p.term != term) return;
  --p.pending;
  used_one(p);
  if (p.pending == 0) return completed(p);
  p.done = {p.id, in_hand_mark_.offset, in_hand_mark_.sequence_number, p.level};
  p.dirty = true;
}

inline bool event_reader_core::take_notice(reader_notice& into) {
  if (notices_.empty()) return false;
  into = std::move(notices_.front());
  notices_.pop_front();
  return true;
}

inline maybe<error> event_reader_core::take_error() {
  if (errors_.empty()) return {};
  error next = std::move(errors_.front());
  errors_.pop_front();
  return next;
}

inline bool event_reader_core::reading() const noexcept {
  if (session() == nullptr || entity_.empty() || partitions_.empty()) return false;
  for (partition const& p : partitions_) {
    if (!p.assigned && !options_.share_partitions) return false;
    if (p.assigned && !p.over &&
        (p.link == nullptr || p.link->state() != amqp::link::state_type::attached))
      return false;
  }
  return true;
}

inline std::vector<std::string> event_reader_core::partitions() const {
  std::vector<std::string> ids;
  for (partition const& p : partitions_)
    if (p.assigned && !p.over) ids.push_back(p.id);
  return ids;
}

// --- checkpoints -----------------------------------------------------------------------------------------------------

inline result<void> event_reader_core::save(partition& p, event_checkpoint what) {
  auto saved = options_.checkpoints->save(scope(), what);
  if (saved) return saved;
  if (saved.error() == errc::lock_lost && options_.share_partitions && p.assigned) {
    lose(p, saved.error());
    return {};
  }
  tell(reader_notice::kind::checkpoint_failed, p.id, saved.error());
  return saved;
}

inline result<void> event_reader_core::save() {
  if (options_.checkpoints == nullptr) return {};
  result<void> first;
  for (partition& p : partitions_) {
    if (!p.dirty || !p.assigned) continue;
    p.dirty = false;
    auto saved = save(p, p.done);
    if (saved) continue;
    p.dirty = true;
    if (first) first = std::move(saved);
  }
  return first;
}

inline result<void> event_reader_core::save(hub_event const& what) {
  if (options_.checkpoints == nullptr)
    return error{errc::invalid_state, "the reader has no checkpoint store (event_reader_options.checkpoints)"};
  for (partition& p : partitions_)
    if (p.id == what.partition)
      return p.assigned ? save(p, {p.id, what.offset, what.sequence_number, p.level})
                        : result<void>{error{errc::lock_lost, "the partition is not this reader's any more"}};
  return error{errc::invalid_argument, "the event is of no partition of this reader"};
}

inline void event_reader_core::close() {
  finish();
  (void)save();
  if (options_.share_partitions && !entity_.empty())
    for (partition& p : partitions_) {
      if (!p.assigned) continue;
      partition_claim const mine{p.id, options_.reader_name, p.level, host_.utc_now()};
      partition_claim free = mine;
      free.owner.clear();
      (void)options_.checkpoints->claim(scope(), free, mine);
    }
  for (partition& p : partitions_) p.assigned = false, p.link = nullptr, ++p.term;
  inbox_.clear();
  balance_at_ = save_at_ = never;
  leave();
}

// --- time ------------------------------------------------------------------------------------------------------------

inline void event_reader_core::step(time_point now) {
  on_time(now);
  if (state() == state_type::idle) return;
  for (request const& each : requests_)
    if (each.give_up <= now) return fail({errc::timeout, "the event endpoint did not answer on $management"});
  if (balance_at_ <= now) {
    balance(now);
    open_receivers(now);
  }
  if (save_at_ <= now) {
    (void)save();
    save_at_ = add(now, options_.checkpoint_interval);
  }
  for (partition const& p : partitions_)
    if (p.assigned && !p.over && p.link == nullptr && !p.asked && p.retry_at <= now) return open_receivers(now);
}

inline time_point event_reader_core::next_deadline() const noexcept {
  time_point due = deadline();
  auto const at = [&](time_point t) {
    if (t < due) due = t;
  };
  for (request const& each : requests_) at(each.give_up);
  if (state() == state_type::idle) return due;
  at(balance_at_);
  bool dirty = false;
  for (partition const& p : partitions_) {
    dirty = dirty || p.dirty;
    if (state() == state_type::ready && p.assigned && !p.over && p.link == nullptr && !p.asked &&
        p.retry_at != time_point::min())
      at(p.retry_at);
  }
  if (dirty) at(save_at_);
  return due;
}

inline std::string event_reader_core::describe() const {
  switch (state()) {
    case state_type::idle: return {};
    case state_type::ready:
      return "an event reader waits for " + peer().host + (entity_.empty() ? " to redirect it" : " to send events");
    case state_type::leaving: return "an event reader waits for " + peer().host + " to say good-bye";
    default: return "an event reader connects to " + peer().host;
  }
}

}  // namespace v0
}  // namespace iothub
