// The HTTPS dialect of a device: telemetry, and nothing else. The hub has no twins, methods or pushed messages over
// HTTPS (Microsoft docs: "IoT Hub REST API", device messages); polling for messages is not done here.
//
// There is no connection to keep: open() is ready at once, each message is a request of its own with the token in its
// header, and a message is confirmed by status 204.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/device/dialect.hpp>
#include <iothub/device/transport.hpp>
#include <iothub/policy/held.hpp>
#include <iothub/policy/http_transport.hpp>
#include <iothub/wire/api_version.hpp>
#include <iothub/wire/hub_errors.hpp>
#include <iothub/wire/message_headers.hpp>
#include <iothub/wire/rest_targets.hpp>

namespace iothub {
inline namespace v0 {

// POST /devices/{id}/messages/events with the message's properties as headers. errc::invalid_argument for a property
// that HTTPS cannot carry.
[[nodiscard]] result<http::request> make_telemetry_request(device_key const& who, message const& what,
                                                           std::string_view token);

// H is the transport, or a reference to one.
template <class H>
class https_dialect final : public dialect {
  static_assert(
      http_transport<std::remove_reference_t<H>>,
      "https_dialect<H>: H is no HTTP transport; see iothub/policy/http_transport.hpp for what it must offer");

 public:
  static constexpr std::size_t most_in_flight = 16;

  template <class Source>
    requires(!std::is_same_v<std::remove_cvref_t<Source>, https_dialect>)
  explicit https_dialect(Source&& transport) : http_(detail::make_policy<H>(std::forward<Source>(transport))) {}

  [[nodiscard]] dialect_capabilities capabilities() const noexcept override { return {}; }
  result<void> open(connection_parameters const& how, std::string_view token, time_point) override {
    how_ = how;
    token_ = secret{token};
    ready_ = true;
    return {};
  }
  void close(dialect_close, time_point) override {
    ready_ = false;
    token_.clear();
    // What is under way goes on: its outcome is still told, as for a message carried over to the next connection.
  }
  result<void> enable(feature_set, time_point) override { return cannot(); }
  inline result<ticket> send_telemetry(message const& what, time_point now) override;
  inline void abandon_telemetry(ticket which) override;
  result<ticket> get_twin(time_point) override { return cannot(); }
  result<ticket> patch_reported(std::string_view, time_point) override { return cannot(); }
  result<void> answer_method(std::string_view, int, std::string_view, time_point) override { return cannot(); }
  result<void> settle_message(ticket, settlement, time_point) override { return cannot(); }
  void step(time_point now) override { http_.step(now); }
  inline bool next_event(device_event& event, time_point now) override;
  [[nodiscard]] time_point deadline() const override { return ready_ ? time_point::min() : http_.deadline(); }
  void attach(loop& on, participant& whom) override { http_.attach(on, whom); }

 private:
  struct exchange {
    exchange_id id = 0;
    ticket where = 0;
  };
  static error cannot() { return {errc::unsupported, "over HTTPS a device can send telemetry and nothing else"}; }
  static result<void> outcome_of(http_completion& done);

  H http_;
  connection_parameters how_;
  secret token_;
  lean_vector<exchange> exchanges_;
  ticket last_ = 0;
  bool ready_ = false;  // the `ready` event is still to be told
};

// --- implementation -------------------------------------------------------------------------------------------------

inline result<http::request> make_telemetry_request(device_key const& who, message const& what,
                                                    std::string_view token) {
  auto const kind = route_kind::send_telemetry;
  http::request r{.method = std::string{route_method(kind)},
                  .target = route_target(kind, who.device_id, who.module_id, device_api_version)};
  if (!token.empty()) r.headers.add("Authorization", std::string{token});
  if (auto added = append_message_headers(r.headers, what); !added) return std::move(added).error();
  r.body.assign(what.body.bytes());
  return r;
}

template <class H>
result<ticket> https_dialect<H>::send_telemetry(message const& what, time_point now) {
  if (exchanges_.size() >= most_in_flight) return errc::outbox_full;
  auto request = make_telemetry_request(how_.who, what, token_.reveal());
  if (!request) return std::move(request).error();
  exchange_id const id = http_.start(how_.where, std::move(*request), now);
  if (++last_ == 0) last_ = 1;
  exchanges_.push_back({id, last_});
  return last_;
}

template <class H>
void https_dialect<H>::abandon_telemetry(ticket which) {
  for (std::size_t i = 0; i != exchanges_.size(); ++i) {
    if (exchanges_[i].where != which) continue;
    http_.cancel(exchanges_[i].id);
    exchanges_.erase(exchanges_.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

template <class H>
result<void> https_dialect<H>::outcome_of(http_completion& done) {
  if (!done.outcome) return std::move(done.outcome).error();
  if (done.outcome->status / 100 == 2) return {};
  return read_error_response(*done.outcome);
}

template <class H>
bool https_dialect<H>::next_event(device_event& event, time_point) {
  if (exchanged(ready_, false)) {
    event = device_event{};
    event.kind = device_event_kind::ready;
    return true;
  }
  while (auto done = http_.next_completion()) {
    for (std::size_t i = 0; i != exchanges_.size(); ++i) {
      if (exchanges_[i].id != done->id) continue;
      event = device_event{};
      event.kind = device_event_kind::telemetry_settled;
      event.ticket = exchanges_[i].where;
      event.outcome = outcome_of(*done);
      exchanges_.erase(exchanges_.begin() + static_cast<std::ptrdiff_t>(i));
      return true;
    }
  }
  return false;
}

// The bundle that makes a telemetry-only device client of an HTTP transport, or of a reference to one.
template <class H>
class over_https {
 public:
  template <class Source>
    requires(!std::is_same_v<std::remove_cvref_t<Source>, over_https>)
  explicit over_https(Source&& transport) : dialect_(std::forward<Source>(transport)) {}

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  static std::uint16_t port(device_options const& options) noexcept { return options.https_port; }

 private:
  https_dialect<H> dialect_;
};

}  // namespace v0
}  // namespace iothub
