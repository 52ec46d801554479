// The state and the rules of an IoT hub: identities, access, twins, direct methods, cloud-to-device messages,
// telemetry, queries. Sans-I/O: typed values in, typed values out, the time is an argument, nothing here knows a topic,
// a path or a header. The faces (MQTT, HTTP) translate and hold no rules.
//
// Rules of use
// - One thread. Nothing blocks. Every member that takes an `instant` may call device_links, method_callers, the log
//   sink and the event observer; these must only queue and never call back into the hub.
// - After every call that takes an instant, deadline() may have changed; call on_time() when it is reached.
// - References and views that come out hold until the next non-const call.
// - An error carries the hub's six-digit code in error::hub_code() and its HTTP status; its text is the sentence that
//   the service would send. It never holds a key or a token.
// - Theory of operation: one record per identity (identity_record.hpp) holds all of it. A record has one timer, the
//   earliest of its token's end, its message locks and its message expiries; method calls have their own. What changes
//   a record ends with set_timer(record); outcomes of method calls go out last, when the state is consistent again.
// - `now` never goes back. `utc` may jump: it only dates things and judges expiries.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/prng.hpp>
#include <iothub/base/uuid.hpp>
#include <iothub/hub/access.hpp>
#include <iothub/hub/event_log.hpp>
#include <iothub/hub/fault_plan.hpp>
#include <iothub/hub/identity_record.hpp>
#include <iothub/hub/link.hpp>
#include <iothub/hub/log.hpp>
#include <iothub/hub/method_router.hpp>
#include <iothub/hub/options.hpp>
#include <iothub/hub/query.hpp>
#include <iothub/hub/registry.hpp>
#include <iothub/hub/security.hpp>
#include <iothub/hub/twin_rows.hpp>
#include <iothub/hub/twin_store.hpp>
#include <iothub/hub/types.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/models.hpp>
#include <iothub/wire/status_map.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Who keeps something by identity beside the core. Must not call back into the hub.
class identity_watcher {
 public:
  virtual void on_identity_removed(device_key const& gone) = 0;

 protected:
  ~identity_watcher() = default;
};

class hub_core {
 public:
  // `keys` and `log` must outlive the hub. Policies are made at once; where no random bytes are to be had, those keys
  // stay empty and sign nothing.
  hub_core(hub::options settings, security& keys, log_sink* log = nullptr);
  hub_core(hub_core const&) = delete;
  hub_core& operator=(hub_core const&) = delete;
  ~hub_core();  // every link is detached, without a call

  [[nodiscard]] hub::options const& options() const noexcept;
  [[nodiscard]] time_point deadline() const;
  void on_time(instant at);

  // --- access -------------------------------------------------------------------------------------------------------
  // A device (or module) presents a SAS token. errc::unauthorized (401003: malformed, expired by N s, wrong key, wrong
  // resource, no DeviceConnect), device_not_found (404001), module_not_found (404010), device_disabled (403012).
  // The reason is also logged as "refused".
  result<grant> authorize_device(key_view who, std::string_view token, instant at);
  // A back end does. `path` is the decoded path without a leading slash ("twins/d1/methods"), for the prefix rule.
  // errc::unauthorized (401002) for every refusal, also for a missing permission.
  result<grant> authorize_service(operation what, std::string_view path, std::string_view token, instant at);
  [[nodiscard]] std::vector<access_policy> const& policies() const noexcept;
  [[nodiscard]] access_policy const* find_policy(std::string_view name) const noexcept;
  // Is this one of the hub's names (ASCII case and a port do not matter)?
  [[nodiscard]] bool is_host(std::string_view host) const noexcept;

  // --- identities ---------------------------------------------------------------------------------------------------
  // PUT. Absent condition: create, or errc::already_exists (409001, 409301). `*` or an ETag: update, or
  // device_not_found / module_not_found, or precondition_failed (412001). errc::bad_request (400004): id, key or
  // thumbprint out of form. Read-only fields of `wanted` are ignored. Disabling drops the device's connections.
  result<device_identity> put_identity(device_identity const& wanted, if_match condition, instant at);
  result<device_identity> get_identity(key_view key) const;
  // DELETE; a device's modules go with it, connections are dropped, pending calls end with device_not_found.
  result<void> delete_identity(key_view key, if_match condition, instant at);
  // Devices in the order of their ids; `top` outside 1 to 1000 means 1000.
  [[nodiscard]] std::vector<device_identity> list_devices(std::size_t top = 1000) const;
  result<std::vector<device_identity>> list_modules(std::string_view device_id) const;
  [[nodiscard]] registry_statistics statistics() const noexcept;
  [[nodiscard]] std::uint64_t connected_devices() const noexcept;  // modules are not counted

  // --- connections --------------------------------------------------------------------------------------------------
  // Attaches the link. An older link of the same identity is dropped first (errc::connection_lost, 400027) and its will
  // published. With a kept session queued cloud-to-device messages are delivered from inside this call.
  // errc::device_not_found, module_not_found, device_disabled; whatever the fault plan says.
  result<connected> connect(device_link& link, key_view who, grant const& with, connect_options const& how,
                            instant at);
  void disconnect(device_link& link, ending how, instant at);
  // A new token came on the connection (AMQP): its end counts from now on.
  void renew(device_link& link, grant const& with, instant at);
  // Keep-alive traffic that is nothing else (PINGREQ): moves lastActivityTime.
  void touch(device_link& link, instant at);

  void listen_methods(device_link& link, bool on, instant at);
  void listen_desired(device_link& link, bool on, instant at);
  // Turned on, messages that wait are delivered from inside this call: the face's SUBACK must be queued before. With
  // c2d_mode::fetched nothing is delivered: device_link::c2d_waits() says when receive_c2d() has something.
  void listen_c2d(device_link& link, c2d_mode mode, instant at);

  // --- telemetry ----------------------------------------------------------------------------------------------------
  // errc::too_large (413001): close an MQTT connection. errc::throttled, quota_exceeded, unauthorized: by fault plan.
  result<receipt> send_telemetry(device_link& link, d2c_message const& what, instant at);
  // Without a connection (HTTPS): the same for an authorized identity.
  result<receipt> send_telemetry(key_view who, grant const& with, d2c_message const& what, instant at);

  // --- twin, device side --------------------------------------------------------------------------------------------
  result<device_twin_view> get_device_twin(device_link& link, instant at);
  // The new version of the reported section. errc::bad_request (400004), nothing applied; precondition_failed (412001)
  // when `expected` (Java's $version) is not the present version.
  result<std::int64_t> patch_reported(device_link& link, json::value const& patch, std::optional<std::int64_t> expected,
                                      instant at);

  // --- twin, service side -------------------------------------------------------------------------------------------
  result<twin> get_twin(key_view key) const;
  // errc::device_not_found, module_not_found, precondition_failed (412001), bad_request (400004). One update raises
  // version and etag by one, however many sections it has. A listening device gets the desired patch.
  result<twin> patch_twin(key_view key, twin_update const& update, if_match condition, instant at);
  // Replaces the sections that are given (whether an omitted one is cleared is unconfirmed for the real hub: kept).
  result<twin> replace_twin(key_view key, twin_update const& update, if_match condition, instant at);

  // --- direct methods -----------------------------------------------------------------------------------------------
  // A ticket: the outcome comes to `caller`, which must live until then or cancel. An error: refused at once, no
  // outcome follows: device_not_found, module_not_found, bad_request (400004: name, time-outs), too_large (413001),
  // device_offline (404103: offline or not listening, and no connect_timeout), forbidden (403800: too many in flight).
  result<method_ticket> invoke_method(key_view key, method_request const& request,
                                      method_options const& how, method_caller& caller, instant at);
  void cancel_method(method_ticket ticket);
  // A late or unknown ticket is ignored.
  void answer_method(device_link& link, method_ticket ticket, method_response response, instant at);
  // The device's answer was not JSON, or too large, or its status no number: the caller gets bad_device_response.
  void answer_method_badly(device_link& link, method_ticket ticket, std::string_view why, instant at);

  // --- cloud to device ----------------------------------------------------------------------------------------------
  // The sequence number. errc::device_not_found, bad_request (400003: a module), queue_full (403004), too_large
  // (413001), forbidden (403009: expiry in the past; unconfirmed for the real hub).
  result<std::uint64_t> send_c2d(std::string_view device_id, c2d_send what, instant at);
  // HTTPS and AMQP: takes the next message under a lock of options::c2d_lock. None: an empty optional.
  result<std::optional<c2d_message>> receive_c2d(std::string_view device_id, instant at);
  // errc::lock_lost (412002) when that lock is gone.
  result<void> settle_c2d(device_link& link, std::string_view lock_token, settlement how, instant at);
  result<void> settle_c2d(std::string_view device_id, std::string_view lock_token, settlement how, instant at);
  // How many messages were thrown away.
  result<std::uint32_t> purge_c2d(std::string_view device_id, instant at);
  // Takes the oldest feedback records out.
  std::vector<feedback_record> take_feedback(std::size_t at_most = 64);

  // --- file uploads -------------------------------------------------------------------------------------------------
  // Puts a notification in for the back ends that listen for them. errc::device_not_found.
  result<void> notify_of_file(file_notification what, instant at);
  // Takes the oldest notifications out.
  std::vector<file_notification> take_file_notifications(std::size_t at_most = 64);

  // --- queries ------------------------------------------------------------------------------------------------------
  // One page. `page_size` 0: 100; at most 1000. `continuation` as the page before gave it, with the same text.
  // errc::bad_request (400006) with the position, bad_request (400004) for a continuation that is none.
  result<query_page> query(std::string_view text, std::size_t page_size, std::string_view continuation) const;

  // --- for tests and later faces ------------------------------------------------------------------------------------
  [[nodiscard]] event_log& events() noexcept { return events_; }
  [[nodiscard]] event_log const& events() const noexcept { return events_; }
  [[nodiscard]] fault_plan& faults() noexcept { return faults_; }
  // The hub ends the connection of an identity (maintenance, say); false when it has none.
  bool drop(key_view who, error reason, instant at);
  // The token of its connection has expired; false when it has no connection.
  bool expire_token(key_view who, instant at);
  // The messages that wait for a device, and that no connection has, leave its queue for this reason; how many.
  std::size_t give_up_c2d(std::string_view device_id, feedback_status why, instant at);
  // The same for every connection.
  void drop_all(error const& reason, instant at);
  // Forgets who holds a session and listens for messages, of all who are not connected. Messages stay.
  void forget_sessions();
  // Told of every identity that goes, modules included; removed by itself. Must be gone before the hub is.
  void watch_identities(identity_watcher& whom) { watchers_.push_back(&whom); }
  void unwatch_identities(identity_watcher& whom) noexcept;
  struct dead_letter {
    std::string device_id;
    c2d_message message;
    feedback_status status;
  };
  [[nodiscard]] std::deque<dead_letter> const& dead_letters() const noexcept { return dead_letters_; }

 private:
  friend class device_link;
  struct timer {
    time_point due;
    std::uint64_t serial;
    identity_record* record;
    friend bool operator<(timer const& a, timer const& b) noexcept {
      return a.due != b.due ? a.due < b.due : a.serial < b.serial;
    }
  };
  // One of each kind for an identity at a time.
  struct scheduled_fault {
    device_key who;
    requested_kind kind;
    link_part part;
    duration lasting;
    std::string_view type;  // one of requested_faults, or empty
  };
  using fault_schedule = std::multimap<time_point, scheduled_fault>;

  // --- general
  void log(log_level level, instant at, std::string_view event, key_view who, std::string_view reason = {});
  result<void> check_fault(fault_point where, key_view who, instant at);
  result<identity_record*> attached(device_link& link, fault_point where, instant at);
  void set_timer(identity_record& record, instant at);
  void run_timer(identity_record& record, instant at);
  void schedule(identity_record const& record, requested_fault const& asked, instant at);
  void run_scheduled(scheduled_fault const& fault, instant at);
  static error fault_refusal(fault_decision const& decision, fault_point where);
  void give_outcomes();

  // --- connections
  [[nodiscard]] bool is_disabled(identity_record const& record) const noexcept;
  error disabled(identity_record const& record) const;
  void set_drop(identity_record& record, grant const& with, instant at);
  void attach(device_link& link, identity_record& record, grant const& with, connect_options const& how, instant at);
  void cut(identity_record& record, instant at) noexcept;
  void clear_up(identity_record& record, ending how, instant at);
  template <class Deliver>
  void deliver_or_drop(identity_record& record, instant at, Deliver deliver);
  void drop_record(identity_record& record, error const& reason, instant at);
  void forget(device_link& link) noexcept;
  void remove(identity_record& record, instant at);
  template <class Visit>
  void for_device_and_modules(std::string_view device_id, Visit&& visit);

  // --- telemetry
  result<receipt> take_telemetry(identity_record& record, auth_scope scope, d2c_message const& what, instant at);
  void publish_will(identity_record& record, message const& will, instant at);
  void keep_telemetry(identity_record const& record, auth_scope scope, d2c_message const& what, instant at);

  // --- events of the hub itself (hub_core_events.hpp); each does nothing where no route wants it
  void tell_twin_updated(identity_record const& record, json::value const* tags, json::value const* desired,
                         json::value const* reported, instant at);
  void tell_twin_replaced(identity_record const& record, instant at);
  void tell_lifecycle(identity_record const& record, std::string_view operation, instant at);
  void tell_connection(identity_record const& record, std::string_view operation, instant at);
  void tell(identity_record const& record, event_kind kind, std::string_view schema, std::string_view operation,
            json::value const& body, instant at);

  // --- twins
  struct twin_change {
    json::value const* tags = nullptr;
    json::value const* desired = nullptr;
    json::value stripped = {};  // what `desired` points to when bookkeeping had to go
    std::int64_t tags_size = 0;
    std::int64_t desired_size = 0;
  };
  result<identity_record*> writable_twin(key_view key, if_match condition, instant at);
  static void strip(twin_change& change);

  // --- methods
  result<void> check_method(method_request const& request, method_options const& how) const;
  void deliver(method_ticket ticket, pending_call& call, method_request const& request, instant at);
  pending_call* answered(device_link& link, method_ticket ticket);

  // --- cloud to device
  void deliver_pending(identity_record& record, instant at);
  bool deliver_next(identity_record& record, std::uint64_t after);
  void settle_time(identity_record& record, bool connection_ended, instant at);
  void depart(identity_record& record, c2d_entry entry, feedback_status status, instant at);
  result<void> settle(identity_record& record, std::string_view lock_token, settlement how, instant at);
  std::string new_lock_token();

  hub::options settings_;
  security& keys_;
  log_sink* log_;
  registry registry_;
  access_control access_;
  event_log events_;
  method_router methods_;
  fault_plan faults_;
  std::set<timer> timers_;
  std::vector<identity_watcher*> watchers_;
  fault_schedule scheduled_;
  std::map<std::pair<device_key, requested_kind>, fault_schedule::iterator> scheduled_by_;
  std::deque<feedback_record> feedback_;
  std::deque<file_notification> files_;
  std::deque<dead_letter> dead_letters_;
  prng tokens_;
  std::uint64_t connected_ = 0;
  std::uint64_t connection_epoch_ = 0;   // of the sequence numbers of connection events
  std::uint64_t connection_events_ = 0;
  instant last_ = {};  // for a link that goes without saying so
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub

