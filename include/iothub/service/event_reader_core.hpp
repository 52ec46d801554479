// The event reader without its loop: receivers for the partitions of an event endpoint, and what is known about each.
//
// Theory of operation. On an IoT hub's own address a link to "/messages/events/$management" is answered with a redirect
// to the event endpoint (Microsoft docs "Communicate with your IoT hub by using the AMQP protocol";
// azure-event-hubs-node client.ts); from then on, and at once where the endpoint's own connection string is used:
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
  event_reader_core(amqp_port& port, event_reader_host& host, event_source_address source,
                    event_reader_options options);

  // Begins, also again after it failed.
  void begin(time_point now);
  void step(time_point now);
  [[nodiscard]] time_point next_deadline() const noexcept;

  // The next event; false when there is none. The one before it is finished.
  bool take(hub_event& into);
  // The event that was taken last is finished: a checkpoint may say so.
  void finish();
  // It will not be: its handler threw. No checkpoint says that it is, unless one behind a later event does.
  void not_finished() noexcept { in_hand_failed_ = true; }
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

  inline result<amqp_pass> make_pass(time_point now) override;
  inline void on_ready(time_point now) override;
  inline void on_down(error const& why, time_point now) override;
  inline void link_attached(amqp::link& which, amqp::attach const& how, time_point now) override;
  inline void link_credit(amqp::link& which, time_point now) override;
  inline void link_transfer(amqp::link& which, amqp::delivery const& what, time_point now) override;
  inline void link_detached(amqp::link& which, amqp::end_reason const& why, time_point now) override;

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
  [[nodiscard]] event_scope scope() const { return {home_, options_.consumer_group}; }

  static constexpr std::size_t max_notices = 1000;
  static constexpr std::uint32_t redirect_patience = 3;  // attempts in vain before the hub is asked again
  static constexpr std::uint64_t redirect_mark = 1, management_mark = 2, receiver_mark = 3;

  event_reader_host& host_;
  event_source_address source_;
  event_reader_options options_;
  std::string entity_;  // empty: the hub is asked where its endpoint is
  std::string home_;    // the last that was known: where the partitions are, and what checkpoints are of
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
  bool in_hand_failed_ = false;
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
      home_{source_.entity},
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
  stop();
  errors_.push_back(why);
  tell(reader_notice::kind::failed, {}, std::move(why));
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
  if (is_final(why)) return give_up(why);
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
  if (home_ != name) {
    (void)save();
    home_ = name;
  }
  entity_ = name;
  move_to({std::string{*hostname}, port ? static_cast<std::uint16_t>(*port) : source_.where.port});
}

inline void event_reader_core::link_attached(amqp::link& which, amqp::attach const&, time_point) {
  if (which.user == redirect_mark)
    return fail({errc::protocol_error, "the hub did not redirect to its event endpoint"});
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
  error const told = to_error(why, "the server ended the link without a reason");
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

}  // namespace v0
}  // namespace iothub

#include <iothub/service/event_reader_partitions.hpp>
#include <iothub/service/event_reader_receivers.hpp>
