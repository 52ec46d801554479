// The service client: what a back end does with a hub.
//
//   auto service = iothub::service_client::from_connection_string(text).value();
//   auto identity = service.create_device("thermostat-1").value();
//   auto reply = service.invoke_method("thermostat-1", {.name = "reboot"}, {.response_timeout = 10s});
//
// Each operation has two forms: x(…) blocks, which means that it runs the loop until the operation has ended, and
// async_x(…, completion) returns at once; its completion is called from the loop with the same result, exactly once,
// never inside the call. Completions of one client never nest; a blocking call inside one is fine. A completion may
// destroy the client. The destructor calls no user code and gives up what is pending.
// One thread: everything here, and everything on the same loop.
//
// Errors of every operation. Before anything is sent: errc::invalid_argument, too_large, outbox_full. On the way:
// host_not_found, connection_refused, connection_lost, tls_failed, certificate_rejected, timeout (the outcome is
// unknown), closed. From the hub: unauthorized (a wrong key or policy), throttled, service_unavailable, bad_request,
// quota_exceeded, server_error, and those that are named below; error::tracking_id() is what its operator asks for.
//
// The alias service_client, with libcurl, is in service_client_https.hpp; iothub.hpp has all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <iothub/base/exchange.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/base/time.hpp>
#include <iothub/crypto/crypto.hpp>
#include <iothub/fwd.hpp>
#include <iothub/policy/client_handle.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/policy/clock.hpp>
#include <iothub/policy/held.hpp>
#include <iothub/policy/http_transport.hpp>
#include <iothub/service/pager.hpp>
#include <iothub/service/service_core.hpp>
#include <iothub/service/service_driver.hpp>
#include <iothub/service/service_options.hpp>
#include <iothub/version.hpp>
#include <iothub/wire/connection_string.hpp>
#include <iothub/wire/sas_signer.hpp>

namespace iothub {
inline namespace v0 {

// How an HTTP transport is made from nothing but options; specialised for those for which that is possible, with
// loop_type, static result<void> check(service_options const&) and static Http make(service_options const&).
template <class Http>
struct service_transport;
template <class Http>
concept self_made_http = requires(service_options const& options) {
  typename service_transport<Http>::loop_type;
  { service_transport<Http>::check(options) } -> std::same_as<result<void>>;
  { service_transport<Http>::make(options) } -> std::same_as<Http>;
};

namespace detail {
template <class Http, class Clock, class Crypto>
class service_state;
}  // namespace detail

// Http, Clock and Crypto are policies: values, or references to what the caller keeps.
template <class Http, class Clock, class Crypto>
class basic_service_client : public client_handle<detail::service_state<Http, Clock, Crypto>> {
  static_assert(http_transport<std::remove_reference_t<Http>>,
                "basic_service_client: Http must be an http_transport; see iothub/policy/http_transport.hpp");
  static_assert(clock<std::remove_reference_t<Clock>>,
                "basic_service_client: Clock must offer `time_point now() const` and `utc_time utc_now() const`");
  static_assert(crypto<std::remove_reference_t<Crypto>>,
                "basic_service_client: Crypto must offer signing_key, prepare(), sign() and fill_random(); "
                "see iothub/crypto/crypto.hpp");

 public:
  using transport_type = Http;
  using clock_type = Clock;
  using crypto_type = Crypto;

  // --- making one ----------------------------------------------------------------------------------------------------

  // On a loop that outlives the client. Each source is a policy, a reference to one, or a function that makes one.
  // errc::malformed or invalid_argument: what is wrong with the connection string, the key or an option.
  template <class HttpSource, class ClockSource, class CryptoSource>
  [[nodiscard]] static result<basic_service_client> create(loop& on, connection_string const& connection,
                                                           HttpSource&& http, ClockSource&& clock,
                                                           CryptoSource&& crypto, service_options const& options = {}) {
    return make(on, nullptr, connection, std::forward<HttpSource>(http), std::forward<ClockSource>(clock),
                std::forward<CryptoSource>(crypto), options);
  }
  // The same from the text of a connection string: HostName=…;SharedAccessKeyName=…;SharedAccessKey=…
  template <class HttpSource, class ClockSource, class CryptoSource>
  [[nodiscard]] static result<basic_service_client> create(loop& on, std::string_view text, HttpSource&& http,
                                                           ClockSource&& clock, CryptoSource&& crypto,
                                                           service_options const& options = {}) {
    auto connection = parse_service_connection_string(text);
    if (!connection) return std::move(connection).error();
    return make(on, nullptr, *connection, std::forward<HttpSource>(http), std::forward<ClockSource>(clock),
                std::forward<CryptoSource>(crypto), options);
  }
  // With a loop of its own, for transports that need nothing but options. errc::io_error: an unreadable CA file.
  [[nodiscard]] static result<basic_service_client> from_connection_string(std::string_view text,
                                                                           service_options const& options = {})
    requires self_made_http<Http>
  {
    auto own = make_owned<typename service_transport<Http>::loop_type>();
    loop& on = *own;
    return self_made(on, std::move(own), text, options);
  }
  // The same on a loop that it shares, which outlives it and is of the kind that the transport wants.
  [[nodiscard]] static result<basic_service_client> from_connection_string(loop& on, std::string_view text,
                                                                           service_options const& options = {})
    requires self_made_http<Http>
  {
    return self_made(on, nullptr, text, options);
  }

  // --- identities ----------------------------------------------------------------------------------------------------

  // A new device; the hub makes both keys unless the identity brings some. errc::already_exists.
  result<device_identity> create_device(std::string_view device_id) {
    return run(service_core::create_identity({.device_id = std::string{device_id}}));
  }
  result<device_identity> create_device(device_identity const& what) {
    return run(service_core::create_identity(what));
  }
  template <class F>
  void async_create_device(device_identity const& what, F completion) {
    begin(service_core::create_identity(what), std::move(completion));
  }
  // errc::device_not_found.
  result<device_identity> get_device(std::string_view device_id) { return run(service_core::get_identity(device_id)); }
  template <class F>
  void async_get_device(std::string_view device_id, F completion) {
    begin(service_core::get_identity(device_id), std::move(completion));
  }
  // At most `top` devices, 1 to 1000. There is no paging here: for more, query.
  result<std::vector<device_identity>> list_devices(int top = 1000) { return run(service_core::list_devices(top)); }
  template <class F>
  void async_list_devices(int top, F completion) {
    begin(service_core::list_devices(top), std::move(completion));
  }
  // Writes what may be changed: status and its reason, authentication, capabilities, scopes. errc::precondition_failed
  // when somebody else changed it since it was read; etag_match::any overwrites. errc::device_not_found.
  result<device_identity> update_device(device_identity const& what, etag_match match = etag_match::same) {
    return run(service_core::update_identity(what, match));
  }
  template <class F>
  void async_update_device(device_identity const& what, etag_match match, F completion) {
    begin(service_core::update_identity(what, match), std::move(completion));
  }
  // With its modules and its twin. errc::device_not_found, precondition_failed.
  result<void> delete_device(std::string_view device_id, std::string_view etag = any_etag) {
    return run(service_core::delete_identity(device_id, {}, etag));
  }
  template <class F>
  void async_delete_device(std::string_view device_id, std::string_view etag, F completion) {
    begin(service_core::delete_identity(device_id, {}, etag), std::move(completion));
  }

  // --- module identities; errors as for devices, and errc::module_not_found

  result<device_identity> create_module(std::string_view device_id, std::string_view module_id) {
    return run(need_module(module_id) ? service_core::create_identity({.device_id = std::string{device_id},
                                                                       .module_id = std::string{module_id}})
                                      : no_module());
  }
  result<device_identity> create_module(device_identity const& what) {
    return run(need_module(what.module_id) ? service_core::create_identity(what) : no_module());
  }
  template <class F>
  void async_create_module(device_identity const& what, F completion) {
    begin(need_module(what.module_id) ? service_core::create_identity(what) : no_module(), std::move(completion));
  }
  result<device_identity> get_module(std::string_view device_id, std::string_view module_id) {
    return run(need_module(module_id) ? service_core::get_identity(device_id, module_id) : no_module());
  }
  template <class F>
  void async_get_module(std::string_view device_id, std::string_view module_id, F completion) {
    begin(need_module(module_id) ? service_core::get_identity(device_id, module_id) : no_module(),
          std::move(completion));
  }
  result<std::vector<device_identity>> list_modules(std::string_view device_id) {
    return run(service_core::list_modules(device_id));
  }
  template <class F>
  void async_list_modules(std::string_view device_id, F completion) {
    begin(service_core::list_modules(device_id), std::move(completion));
  }
  result<device_identity> update_module(device_identity const& what, etag_match match = etag_match::same) {
    return run(need_module(what.module_id) ? service_core::update_identity(what, match) : no_module());
  }
  template <class F>
  void async_update_module(device_identity const& what, etag_match match, F completion) {
    begin(need_module(what.module_id) ? service_core::update_identity(what, match) : no_module(),
          std::move(completion));
  }
  result<void> delete_module(std::string_view device_id, std::string_view module_id,
                             std::string_view etag = any_etag) {
    if (!need_module(module_id)) return no_module().error();  // never the whole device by mistake
    return run(service_core::delete_identity(device_id, module_id, etag));
  }
  template <class F>
  void async_delete_module(std::string_view device_id, std::string_view module_id, std::string_view etag,
                           F completion) {
    begin(need_module(module_id) ? service_core::delete_identity(device_id, module_id, etag)
                                 : result<service_call<void>>{no_module().error()},
          std::move(completion));
  }

  // --- how many devices there are, enabled and disabled, and how many are connected; a hub may count late

  result<registry_statistics> get_registry_statistics() { return run(service_core::get_registry_statistics()); }
  template <class F>
  void async_get_registry_statistics(F completion) {
    begin(service_core::get_registry_statistics(), std::move(completion));
  }
  result<service_statistics> get_service_statistics() { return run(service_core::get_service_statistics()); }
  template <class F>
  void async_get_service_statistics(F completion) {
    begin(service_core::get_service_statistics(), std::move(completion));
  }

  // --- twins ---------------------------------------------------------------------------------------------------------

  // errc::device_not_found, module_not_found.
  result<twin> get_twin(std::string_view device_id) { return run(service_core::get_twin(device_id)); }
  result<twin> get_twin(std::string_view device_id, std::string_view module_id) {
    return run(service_core::get_twin(device_id, module_id));
  }
  template <class F>
  void async_get_twin(std::string_view device_id, F completion) {
    begin(service_core::get_twin(device_id), std::move(completion));
  }
  template <class F>
  void async_get_twin(std::string_view device_id, std::string_view module_id, F completion) {
    begin(service_core::get_twin(device_id, module_id), std::move(completion));
  }
  // Merges {"tags": {…}, "properties": {"desired": {…}}} into the twin, each part optional; a null deletes. Gives the
  // whole twin as it is then. errc::precondition_failed unless `etag` is the twin's own or any_etag; bad_request for a
  // name or size that the hub does not allow.
  result<twin> update_twin(std::string_view device_id, json::value const& patch, std::string_view etag = any_etag) {
    return run(service_core::update_twin(device_id, {}, patch, etag));
  }
  template <class F>
  void async_update_twin(std::string_view device_id, json::value const& patch, std::string_view etag, F completion) {
    begin(service_core::update_twin(device_id, {}, patch, etag), std::move(completion));
  }
  // Puts the parts that the document has in the place of the twin's. Errors as above.
  result<twin> replace_twin(std::string_view device_id, json::value const& document, std::string_view etag = any_etag) {
    return run(service_core::replace_twin(device_id, {}, document, etag));
  }
  template <class F>
  void async_replace_twin(std::string_view device_id, json::value const& document, std::string_view etag,
                          F completion) {
    begin(service_core::replace_twin(device_id, {}, document, etag), std::move(completion));
  }
  // The same of a module's twin.
  result<twin> update_module_twin(std::string_view device_id, std::string_view module_id, json::value const& patch,
                                  std::string_view etag = any_etag) {
    return run(service_core::update_twin(device_id, module_id, patch, etag));
  }
  template <class F>
  void async_update_module_twin(std::string_view device_id, std::string_view module_id, json::value const& patch,
                                std::string_view etag, F completion) {
    begin(service_core::update_twin(device_id, module_id, patch, etag), std::move(completion));
  }
  result<twin> replace_module_twin(std::string_view device_id, std::string_view module_id, json::value const& document,
                                   std::string_view etag = any_etag) {
    return run(service_core::replace_twin(device_id, module_id, document, etag));
  }
  template <class F>
  void async_replace_module_twin(std::string_view device_id, std::string_view module_id, json::value const& document,
                                 std::string_view etag, F completion) {
    begin(service_core::replace_twin(device_id, module_id, document, etag), std::move(completion));
  }

  // --- direct methods ------------------------------------------------------------------------------------------------

  // What the device answered, whatever its status. errc::device_offline: not connected, or it listens for no method;
  // device_timeout: no answer within options.response_timeout, and it may have been carried out; device_not_found;
  // bad_device_response. timeout: the hub itself did not answer in time.
  result<method_response> invoke_method(std::string_view device_id, method_request const& what,
                                        method_options how = {}) {
    return run(service_core::invoke_method(device_id, {}, what, how));
  }
  template <class F>
  void async_invoke_method(std::string_view device_id, method_request const& what, method_options how, F completion) {
    begin(service_core::invoke_method(device_id, {}, what, how), std::move(completion));
  }
  // The same of a module.
  result<method_response> invoke_module_method(std::string_view device_id, std::string_view module_id,
                                               method_request const& what, method_options how = {}) {
    return run(service_core::invoke_method(device_id, module_id, what, how));
  }
  template <class F>
  void async_invoke_module_method(std::string_view device_id, std::string_view module_id, method_request const& what,
                                  method_options how, F completion) {
    begin(service_core::invoke_method(device_id, module_id, what, how), std::move(completion));
  }

  // --- queries -------------------------------------------------------------------------------------------------------

  // The items of a query, fetched page by page while they are walked over; twin_from_json() makes twins of them. The
  // client must outlive the range (moving the client is fine). A hub may be minutes behind what was written.
  [[nodiscard]] pager query(std::string_view text, std::size_t page_size = 0) {
    return pager{[s = &state(), text = std::string{text}, page_size](std::string const& continuation) {
      return run_on(*s, service_core::query(text, page_size, continuation));
    }};
  }
  // One page; an empty continuation asks for the first.
  result<iothub::query_page> query_page(std::string_view text, std::size_t page_size = 0,
                                        std::string_view continuation = {}) {
    return run(service_core::query(text, page_size, continuation));
  }
  template <class F>
  void async_query_page(std::string_view text, std::size_t page_size, std::string_view continuation, F completion) {
    begin(service_core::query(text, page_size, continuation), std::move(completion));
  }

  // --- time and running ----------------------------------------------------------------------------------------------

  // Ends everything pending with errc::closed and runs those completions. The client stays usable.
  void close() { state().close(); }
  [[nodiscard]] utc_time utc_now() const { return state().clock().utc_now(); }
  [[nodiscard]] std::string const& host_name() const noexcept { return state().host(); }
  [[nodiscard]] std::size_t pending_operations() const noexcept { return state().pending(); }
  [[nodiscard]] std::remove_reference_t<Http>& transport() noexcept { return state().transport(); }

 private:
  using state_type = detail::service_state<Http, Clock, Crypto>;
  using handle = client_handle<state_type>;
  explicit basic_service_client(state_type* of) noexcept : handle{of} {}
  using handle::state;

  template <class T>
  static service_driver::submission submit(service_call<T>& call) {
    return {.request = std::move(call.request), .only_reads = call.only_reads, .hub_time = call.hub_time};
  }
  // For a completion, which is called whatever happens.
  template <class T>
  static result<T> read_or_say(result<T> (*read)(http::response&&), http::response&& answer) {
#if IOTHUB_EXCEPTIONS
    try {
      return read(std::move(answer));
    } catch (std::bad_alloc const&) {
      return error{errc::out_of_memory, "no memory was left to read the hub's answer"};
    }
#else
    return read(std::move(answer));
#endif
  }
  template <class T>
  static result<T> run_on(state_type& s, result<service_call<T>>&& call) {
    if (!call) return std::move(call).error();
    auto answer = s.wait_for(submit(*call));
    if (!answer) return std::move(answer).error();
    return call->read(*std::move(answer));
  }
  template <class T>
  result<T> run(result<service_call<T>>&& call) {
    return run_on(state(), std::move(call));
  }
  template <class T, class F>
  void begin(result<service_call<T>>&& call, F completion) {
    static_assert(std::is_invocable_v<F&, result<T>>,
                  "the completion of async_x is called as void(iothub::result<T>), where result<T> is what x gives");
    using reader = result<T> (*)(http::response&&);
    reader const read = call ? call->read : reader{};
    service_driver::completion done = [f = std::move(completion), read](result<http::response>&& answer) mutable {
      f(answer ? read_or_say(read, *std::move(answer)) : result<T>{std::move(answer).error()});
    };
    if (call)
      state().begin(submit(*call), std::move(done));
    else
      state().refuse(std::move(call).error(), std::move(done));
  }

  static bool need_module(std::string_view module_id) noexcept { return !module_id.empty(); }
  static result<service_call<device_identity>> no_module() {
    return error{errc::invalid_argument, "the module id is empty"};
  }

  template <class HttpSource, class ClockSource, class CryptoSource>
  static result<basic_service_client> make(loop& on, owned<loop> own, connection_string const& connection,
                                           HttpSource&& http, ClockSource&& clock, CryptoSource&& crypto,
                                           service_options const& options);
  static result<basic_service_client> self_made(loop& on, owned<loop> own, std::string_view text,
                                                service_options const& options) {
    auto connection = parse_service_connection_string(text);
    if (!connection) return std::move(connection).error();
    if (auto usable = service_transport<Http>::check(options); !usable) return std::move(usable).error();
    return make(
        on, std::move(own), *connection, [&] { return service_transport<Http>::make(options); },
        [&] { return Clock{on}; }, [] { return Crypto{}; }, options);
  }
};

// --- bodies ---------------------------------------------------------------------------------------------------------

namespace detail {

template <class Http, class Clock, class Crypto>
class service_state final : private held_policies<Http, Clock, Crypto>, public service_driver {
  using policies = held_policies<Http, Clock, Crypto>;
  using signer = basic_sas_signer<std::remove_reference_t<Clock>&, std::remove_reference_t<Crypto>&>;

 public:
  template <class H, class C, class K>
  service_state(loop& on, owned<loop> own, H&& http, C&& clock, K&& crypto, std::string const& host,
                service_options const& options)
      : policies(std::move(own), std::forward<H>(http), std::forward<C>(clock), std::forward<K>(crypto)),
        service_driver(on, host, named(options), make_seed(options.seed, this->crypto_)) {
    start();
  }

  result<void> take_credentials(connection_string const& connection, service_options const& options) {
    if (!connection.shared_access_signature.empty()) {
      token_ = connection.shared_access_signature.reveal();
      return {};
    }
    sas_options how;
    how.host_name = connection.host_name;
    how.policy = connection.shared_access_key_name;
    how.lifetime = options.token_lifetime;
    how.margin = options.token_margin;
    auto made = signer::make(this->clock_, this->crypto_, connection.shared_access_key, std::move(how));
    if (!made) return std::move(made).error();
    signer_.emplace(*std::move(made));
    return {};
  }

  [[nodiscard]] std::remove_reference_t<Http>& transport() noexcept { return this->transport_; }
  [[nodiscard]] std::remove_reference_t<Clock> const& clock() const noexcept { return this->clock_; }

 private:
  ~service_state() override { wipe(token_); }

  static service_options named(service_options options) {
    std::string name{"iothub/"};
    name.append(version_text);
    if (!options.user_agent.empty()) name.append(" ").append(options.user_agent);
    options.user_agent = std::move(name);
    return options;
  }
  result<std::string_view> authorization() override {
    if (signer_ && signer_->renewal_due()) {
      wipe(token_);
      if (auto made = signer_->append_token(token_); !made) return std::move(made).error();
    }
    return std::string_view{token_};
  }
  exchange_id start_exchange(endpoint const& where, http::request&& what, time_point now) override {
    return this->transport_.start(where, std::move(what), now);
  }
  void cancel_exchange(exchange_id id) override { this->transport_.cancel(id); }
  void step_transport(time_point now) override { this->transport_.step(now); }
  std::optional<http_completion> next_completion() override { return this->transport_.next_completion(); }
  [[nodiscard]] time_point transport_deadline() const override {
    return static_cast<std::remove_reference_t<Http> const&>(this->transport_).deadline();
  }
  void attach_transport(loop& on, participant& whom) override { this->transport_.attach(on, whom); }

  std::optional<signer> signer_;
  std::string token_;
};

}  // namespace detail

template <class Http, class Clock, class Crypto>
template <class HttpSource, class ClockSource, class CryptoSource>
auto basic_service_client<Http, Clock, Crypto>::make(loop& on, owned<loop> own,
                                                     connection_string const& connection, HttpSource&& http,
                                                     ClockSource&& clock, CryptoSource&& crypto,
                                                     service_options const& options) -> result<basic_service_client> {
  if (auto valid = validate(options); !valid) return std::move(valid).error();
  basic_service_client made{new state_type(on, std::move(own), std::forward<HttpSource>(http),
                                           std::forward<ClockSource>(clock), std::forward<CryptoSource>(crypto),
                                           connection.connect_host(), options)};
  if (auto taken = made.state().take_credentials(connection, options); !taken) return std::move(taken).error();
  return made;
}

}  // namespace v0
}  // namespace iothub
