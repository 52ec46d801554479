// The pinned state behind a basic_device_client, and the client's bodies. Include device_client.hpp instead.
#pragma once

#include <iothub/base/owned.hpp>
#include <iothub/device_client.hpp>
#include <iothub/policy/held.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

template <class F, class T>
constexpr void check_completion() noexcept {
  static_assert(std::is_invocable_v<F&, result<T>>,
                "the completion of async_x is called as void(iothub::result<T>), where result<T> is what x gives");
}

inline connection_parameters make_parameters(connection_string const& connection, device_options const& options,
                                             std::uint16_t port) {
  connection_parameters p;
  p.where = endpoint{.host = connection.connect_host(), .port = port};
  p.hub = connection.host_name;
  p.who = device_key{.device_id = connection.device_id, .module_id = connection.module_id};
  p.model_id = options.model_id;
  p.product_info = options.product_info;
  p.keep_alive = options.keep_alive;
  return p;
}

template <class Transport, class Clock, class Crypto>
class device_state final : private held_policies<Transport, Clock, Crypto>, public device_driver {
  using policies = held_policies<Transport, Clock, Crypto>;
  using clock_ref = std::remove_reference_t<Clock>&;
  using crypto_ref = std::remove_reference_t<Crypto>&;

 public:
  using signer = basic_sas_signer<clock_ref, crypto_ref>;

  template <class T, class C, class K>
  device_state(loop& on, owned<loop> own, T&& transport, C&& clock, K&& crypto,
               connection_string const& connection, device_options const& options)
      : policies(std::move(own), std::forward<T>(transport), std::forward<C>(clock), std::forward<K>(crypto)),
        device_driver(on, this->transport_.device_dialect(),
                      make_parameters(connection, options, std::remove_reference_t<Transport>::port(options)), options,
                      make_seed(options.seed, this->crypto_)) {
    start(this->transport_.device_dialect());
  }

  // errc::malformed or what the crypto policy says of the key.
  result<void> take_credentials(connection_string const& connection, device_options const& options) {
    if (connection.x509) return error{errc::unsupported, "X.509 devices are not supported yet: use a SharedAccessKey"};
    if (!connection.shared_access_signature.empty()) {
      auto const token = parse_sas_token(connection.shared_access_signature.reveal());
      if (!token) return token.error();
      fixed_token_ = connection.shared_access_signature.clone();
      fixed_expiry_ = token->expiry;
      return {};
    }
    sas_options how;
    how.host_name = connection.host_name;
    how.device_id = connection.device_id;
    how.module_id = connection.module_id;
    how.policy = connection.shared_access_key_name;
    how.lifetime = options.token.lifetime;
    how.margin = options.token.renewal_margin;
    lifetime_ = options.token.lifetime;
    auto made = signer::make(this->clock_, this->crypto_, connection.shared_access_key, std::move(how));
    if (!made) return std::move(made).error();
    signer_.emplace(std::move(*made));
    return {};
  }

  [[nodiscard]] std::remove_reference_t<Transport>& transport() noexcept { return this->transport_; }
  [[nodiscard]] std::remove_reference_t<Clock> const& clock() const noexcept { return this->clock_; }
  [[nodiscard]] std::remove_reference_t<Crypto>& get_crypto() noexcept { return this->crypto_; }

 private:
  result<token_grant> mint_token() override {
    if (!signer_) {
      if (unix_seconds(this->clock_.utc_now()) >= fixed_expiry_)
        return error{errc::unauthorized, "the SharedAccessSignature of the connection string has expired"};
      return token_grant{std::string{fixed_token_.reveal()}, duration{0}};
    }
    auto token = signer_->token();
    if (!token) return std::move(token).error();
    return token_grant{std::move(*token), lifetime_};
  }

  std::optional<signer> signer_;
  secret fixed_token_;  // of a connection string without a key; nobody can renew it
  std::int64_t fixed_expiry_ = 0;
  duration lifetime_ = {};
};

}  // namespace detail

template <class Transport, class Clock, class Crypto>
template <class TransportSource, class ClockSource, class CryptoSource>
auto basic_device_client<Transport, Clock, Crypto>::create(loop& on, connection_string const& connection,
                                                           TransportSource&& transport, ClockSource&& clock,
                                                           CryptoSource&& crypto, device_options const& options)
    -> result<basic_device_client> {
  if (auto valid = validate(options); !valid) return std::move(valid).error();
  basic_device_client made{new state_type(on, nullptr, std::forward<TransportSource>(transport),
                                          std::forward<ClockSource>(clock), std::forward<CryptoSource>(crypto),
                                          connection, options)};
  if (auto taken = made.state().take_credentials(connection, options); !taken) return std::move(taken).error();
  return made;
}

template <class Transport, class Clock, class Crypto>
auto basic_device_client<Transport, Clock, Crypto>::from_connection_string(std::string_view text,
                                                                           device_options const& options)
    -> result<basic_device_client>
  requires self_made_transport<Transport>
{
  auto own = make_owned<typename Transport::loop_type>();
  loop& on = *own;
  return make(on, std::move(own), text, options);
}

template <class Transport, class Clock, class Crypto>
auto basic_device_client<Transport, Clock, Crypto>::from_connection_string(loop& on, std::string_view text,
                                                                           device_options const& options)
    -> result<basic_device_client>
  requires self_made_transport<Transport>
{
  return make(on, nullptr, text, options);
}

template <class Transport, class Clock, class Crypto>
auto basic_device_client<Transport, Clock, Crypto>::make(loop& on, owned<loop> own, std::string_view text,
                                                         device_options const& options) -> result<basic_device_client> {
  auto connection = parse_device_connection_string(text);
  if (!connection) return std::move(connection).error();
  if (auto valid = validate(options); !valid) return std::move(valid).error();
  auto prepared = Transport::prepare(options);
  if (!prepared) return std::move(prepared).error();
  basic_device_client made{new state_type(
      on, std::move(own), [&] { return Transport(std::move(*prepared), options); }, [&] { return Clock{on}; },
      [] { return Crypto{}; }, *connection, options)};
  if (auto taken = made.state().take_credentials(*connection, options); !taken) return std::move(taken).error();
  return made;
}

template <class Transport, class Clock, class Crypto>
result<void> basic_device_client<Transport, Clock, Crypto>::connect() {
  auto& s = state();
  return s.wait_for([&s](operation_id id) { s.core().connect(id, s.on().now()); }).outcome;
}

template <class Transport, class Clock, class Crypto>
template <class F>
void basic_device_client<Transport, Clock, Crypto>::async_connect(F completion) {
  detail::check_completion<F, void>();
  auto& s = state();
  s.begin([f = std::move(completion)](device_action& a) mutable { f(std::move(a.outcome)); },
          [&s](operation_id id) { s.core().connect(id, s.on().now()); });
}

template <class Transport, class Clock, class Crypto>
result<void> basic_device_client<Transport, Clock, Crypto>::send_telemetry(message const& what,
                                                                           std::optional<duration> timeout) {
  auto& s = state();
  auto const send = [&](operation_id id) { s.core().send_telemetry(id, what, timeout, s.on().now()); };
  return s.wait_for(send).outcome;
}

template <class Transport, class Clock, class Crypto>
result<void> basic_device_client<Transport, Clock, Crypto>::send_telemetry(message&& what,
                                                                           std::optional<duration> timeout) {
  auto& s = state();
  auto const send = [&](operation_id id) { s.core().send_telemetry(id, std::move(what), timeout, s.on().now()); };
  return s.wait_for(send).outcome;
}

template <class Transport, class Clock, class Crypto>
template <class F>
void basic_device_client<Transport, Clock, Crypto>::async_send_telemetry(message const& what,
                                                                         std::optional<duration> timeout,
                                                                         F completion) {
  detail::check_completion<F, void>();
  auto& s = state();
  s.begin([f = std::move(completion)](device_action& a) mutable { f(std::move(a.outcome)); },
          [&](operation_id id) { s.core().send_telemetry(id, what, timeout, s.on().now()); });
}

template <class Transport, class Clock, class Crypto>
template <class F>
void basic_device_client<Transport, Clock, Crypto>::async_send_telemetry(message&& what,
                                                                         std::optional<duration> timeout,
                                                                         F completion) {
  detail::check_completion<F, void>();
  auto& s = state();
  s.begin([f = std::move(completion)](device_action& a) mutable { f(std::move(a.outcome)); },
          [&](operation_id id) { s.core().send_telemetry(id, std::move(what), timeout, s.on().now()); });
}

namespace detail {

inline result<device_twin> twin_of(device_action& a) {
  if (!a.outcome) return std::move(a.outcome).error();
  return std::move(*a.twin);
}
inline result<std::int64_t> version_of(device_action& a) {
  if (!a.outcome) return std::move(a.outcome).error();
  return a.version;
}

}  // namespace detail

template <class Transport, class Clock, class Crypto>
result<device_twin> basic_device_client<Transport, Clock, Crypto>::get_twin() {
  auto& s = state();
  device_action done = s.wait_for([&s](operation_id id) { s.core().get_twin(id, s.on().now()); });
  return detail::twin_of(done);
}

template <class Transport, class Clock, class Crypto>
template <class F>
void basic_device_client<Transport, Clock, Crypto>::async_get_twin(F completion) {
  detail::check_completion<F, device_twin>();
  auto& s = state();
  s.begin([f = std::move(completion)](device_action& a) mutable { f(detail::twin_of(a)); },
          [&s](operation_id id) { s.core().get_twin(id, s.on().now()); });
}

template <class Transport, class Clock, class Crypto>
result<std::int64_t> basic_device_client<Transport, Clock, Crypto>::update_reported_properties(
    json::value const& patch) {
  auto& s = state();
  device_action done =
      s.wait_for([&](operation_id id) { s.core().patch_reported(id, patch.dump(), s.on().now()); });
  return detail::version_of(done);
}

template <class Transport, class Clock, class Crypto>
template <class F>
void basic_device_client<Transport, Clock, Crypto>::async_update_reported_properties(json::value const& patch,
                                                                                     F completion) {
  detail::check_completion<F, std::int64_t>();
  auto& s = state();
  s.begin([f = std::move(completion)](device_action& a) mutable { f(detail::version_of(a)); },
          [&](operation_id id) { s.core().patch_reported(id, patch.dump(), s.on().now()); });
}

template <class Transport, class Clock, class Crypto>
template <class F>
void basic_device_client<Transport, Clock, Crypto>::on_desired(F handler) {
  static_assert(
      desired_handler<F>,
      "on_desired: the handler is called as void(json::value const& properties, std::int64_t version), or with a "
      "third argument of type desired_scope");
  state().on_desired = [f = std::move(handler)](desired_update const& u) mutable {
    if constexpr (std::is_invocable_v<F&, json::value const&, std::int64_t, desired_scope>)
      f(u.properties, u.version, u.scope);
    else
      f(u.properties, u.version);
  };
  state().enable(feature::desired_properties);
}

template <class Transport, class Clock, class Crypto>
template <class F>
void basic_device_client<Transport, Clock, Crypto>::on_message(F handler) {
  static_assert(message_handler<F>,
                "on_message: the handler is called as void(c2d_message const&), or as settlement(c2d_message const&)");
  state().on_message = [f = std::move(handler)](c2d_message const& m) mutable -> settlement {
    if constexpr (std::is_invocable_r_v<settlement, F&, c2d_message const&>) {
      return f(m);
    } else {
      f(m);
      return settlement::accept;
    }
  };
  state().enable(feature::messages);
}

}  // namespace v0
}  // namespace iothub
