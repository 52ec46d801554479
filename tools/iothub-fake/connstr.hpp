// iothub-fake connstr: connection strings for back ends and devices. A device's keys are the running hub's to tell.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <iothub/crypto/openssl.hpp>
#include <iothub/net/curl_http.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/wire/connection_string.hpp>
#include <iothub/wire/model_json.hpp>
#include <iothub/wire/rest_routes.hpp>
#include <iothub/wire/sas_signer.hpp>
#include <iothub/wire/status_map.hpp>

#include "serve.hpp"

namespace iothub_fake {

// Asks the running hub, one request after the other.
class hub_caller final : private iothub::participant {
 public:
  hub_caller(std::string hub_name, std::string const& owner_key, iothub::endpoint where,
             iothub::net::trust_options trust)
      : hub_name_{std::move(hub_name)},
        owner_key_{owner_key},
        where_{std::move(where)},
        http_{{.trust = std::move(trust), .exchange_timeout = std::chrono::seconds{30}}} {
    loop_.add(*this);
    http_.attach(loop_, *this);
  }

  iothub::result<iothub::http::response> call(iothub::http::request request) {
    auto signer = iothub::basic_sas_signer<iothub::loop_clock, iothub::openssl_crypto>::make(
        iothub::loop_clock{loop_}, {}, iothub::secret{std::string_view{owner_key_}},
        {.host_name = hub_name_, .policy = "iothubowner", .lifetime = std::chrono::seconds{300}});
    if (!signer) return signer.error();
    auto token = signer->token();
    if (!token) return token.error();
    request.headers.add("Authorization", std::move(*token));
    request.headers.add("Content-Type", "application/json; charset=utf-8");
    outcome_.reset();
    http_.start(where_, std::move(request), loop_.now());
    loop_.wake(*this);
    auto ran = loop_.run_until([this] { return outcome_.has_value(); });
    if (!ran) return ran.error();
    return std::move(*outcome_);
  }

 private:
  void step(iothub::time_point now) override {
    http_.step(now);
    while (auto done = http_.next_completion()) outcome_ = std::move(done->outcome);
  }
  [[nodiscard]] iothub::time_point deadline() const override { return http_.deadline(); }

  std::string hub_name_;
  std::string owner_key_;
  iothub::endpoint where_;
  iothub::net::epoll_loop loop_;
  iothub::net::curl_http http_;
  std::optional<iothub::result<iothub::http::response>> outcome_;
};

namespace detail {

// What --ports-file says, where it is given and nothing else was said.
inline iothub::result<void> take_ports_file(options& wanted) {
  if (wanted.ports_file.empty()) return {};
  bool missing = false;
  auto text = iothub::net::detail::read_file(wanted.ports_file, missing);
  if (!text) return text.error();
  if (missing) return usage("there is no file " + wanted.ports_file + "; is the hub running?");
  auto const ports = iothub::json::parse(*text);
  if (!ports) return usage(wanted.ports_file + ": " + std::string{ports.error().message()});
  auto const https = (*ports)["https"].as_int();
  if (!wanted.https_given && https && *https > 0 && *https < 65'536) wanted.https = static_cast<std::uint16_t>(*https);
  if (!wanted.hostname_given)
    if (auto const hub = (*ports)["hub"].as_string()) wanted.hostnames = {std::string{*hub}};
  if (wanted.ca_folder.empty())
    if (auto const ca = (*ports)["ca"].as_string()) wanted.ca_file = *ca;
  return {};
}

// The identity as the hub tells it; made where it is not there and `create` says so.
inline iothub::result<iothub::http::response> get_or_make(hub_caller& hub, iothub::device_key const& who, bool create) {
  bool const module = !who.module_id.empty();
  iothub::rest_route route{.kind = module ? iothub::route_kind::get_module : iothub::route_kind::get_device,
                           .device_id = who.device_id,
                           .module_id = who.module_id};
  auto answer = hub.call(iothub::make_request(route));
  if (!answer || answer->status != 404 || !create) return answer;
  if (module) {
    auto device = get_or_make(hub, {who.device_id, {}}, true);
    if (!device || device->status != 200) return device;
  }
  route.kind = module ? iothub::route_kind::put_module : iothub::route_kind::put_device;
  auto request = iothub::make_request(route);
  request.body = iothub::identity_request({.device_id = who.device_id, .module_id = who.module_id}).dump();
  return hub.call(std::move(request));
}

inline iothub::result<std::string> device_key(hub_caller& hub, iothub::device_key const& who, options const& wanted) {
  auto const answer = get_or_make(hub, who, wanted.create);
  if (!answer) return answer.error();
  if (answer->status != 200) return iothub::read_error_response(*answer);
  auto const document = iothub::json::parse(answer->body);
  if (!document) return document.error();
  auto identity = iothub::identity_from_json(*document);
  if (!identity) return identity.error();
  if (identity->authentication.primary_key.empty())
    return iothub::error{iothub::errc::unsupported, wanted.device + " has no key"};
  return std::move(identity->authentication.primary_key);
}

}  // namespace detail

inline int print_connection_string(options wanted) {
  if (auto taken = detail::take_ports_file(wanted); !taken) return fail(exit_usage, taken.error().message());
  if (wanted.service)
    return say("HostName=" + wanted.hub_name() + ";SharedAccessKeyName=iothubowner;SharedAccessKey=" + wanted.owner_key + "\n");
  auto const [device, module, has_module] = iothub::split_once(wanted.device, '/');
  iothub::device_key const who{std::string{device}, std::string{module}};
  if (auto valid = iothub::check_id(device); !valid) return fail(exit_usage, valid.error().message());
  if (auto valid = iothub::check_id(module); has_module && !valid) return fail(exit_usage, valid.error().message());
  if (wanted.device.find(';') != std::string::npos)
    return fail(exit_usage, "a connection string cannot hold a id with a semicolon");
  iothub::net::trust_options trust;
  auto const folder = wanted.ca_folder.empty() ? default_ca_folder() : wanted.ca_folder;
  trust.ca_file = !wanted.ca_file.empty() ? wanted.ca_file : folder + "/ca.pem";
  // Where the CA was not named and is not at its usual place, SSL_CERT_FILE may know it.
  if (wanted.ca_folder.empty() && wanted.ca_file.empty() && ::access(trust.ca_file.c_str(), R_OK) != 0)
    trust.ca_file.clear();
  hub_caller hub{wanted.hub_name(), wanted.owner_key, {wanted.bind, wanted.https}, std::move(trust)};
  auto const key = detail::device_key(hub, who, wanted);
  if (!key) {
    bool const absent =
        key.error() == iothub::errc::device_not_found || key.error() == iothub::errc::module_not_found;
    auto const hint = absent && !wanted.create ? "; --create makes it" : "";
    return fail(exit_no_hub, "device " + wanted.device + ": " + std::string{key.error().message()} + hint);
  }
  std::string const module_part = has_module ? ";ModuleId=" + who.module_id : std::string{};
  return say("HostName=" + wanted.hub_name() + ";DeviceId=" + who.device_id + module_part + ";SharedAccessKey=" + *key + "\n");
}

}  // namespace iothub_fake
