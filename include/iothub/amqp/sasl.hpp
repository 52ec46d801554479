// SASL, Part 5, 5.3: both roles of the exchange that may come before AMQP itself.
//
// Theory of operation. After both sides have sent the SASL protocol header the server names its mechanisms, the client
// picks one and sends its initial response, the server may challenge, and ends with an outcome. Of the mechanisms here
// only PLAIN may need a challenge, when its response did not come with the init. Azure's clients use four:
//   ANONYMOUS  nothing is proved here; a token follows on the $cbs link
//   PLAIN      user and password; for IoT Hub "policy@sas.root.hub" or "device@sas.hub" and a SAS token
//   EXTERNAL   the certificate of the TLS handshake counts
//   MSSBCBS    as ANONYMOUS: "claims-based security follows" (seen from uAMQP, azure-uamqp-python src/sasl.pyx)
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/amqp/fields.hpp>
#include <iothub/amqp/frame.hpp>
#include <iothub/amqp/performatives.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/base/secret.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

enum class sasl_mechanism : std::uint8_t { none, anonymous, plain, external, mssbcbs };
constexpr std::string_view to_string(sasl_mechanism which) noexcept;
// `none` for one that this library does not speak.
constexpr sasl_mechanism sasl_mechanism_of(std::string_view name) noexcept;

// A set of mechanisms.
class sasl_mechanisms {
 public:
  constexpr sasl_mechanisms() noexcept = default;
  constexpr sasl_mechanisms(std::initializer_list<sasl_mechanism> which) noexcept {
    for (sasl_mechanism const each : which)
      bits_ = static_cast<std::uint8_t>(bits_ | 1u << static_cast<unsigned>(each));
  }
  [[nodiscard]] constexpr bool contains(sasl_mechanism which) const noexcept {
    return which != sasl_mechanism::none && (bits_ >> static_cast<unsigned>(which) & 1u) != 0;
  }
  [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }

 private:
  std::uint8_t bits_ = 0;
};
inline constexpr sasl_mechanisms all_sasl_mechanisms{sasl_mechanism::mssbcbs, sasl_mechanism::plain,
                                                     sasl_mechanism::anonymous, sasl_mechanism::external};

// 5.3.3.6
enum class sasl_code : std::uint8_t { ok = 0, auth = 1, sys = 2, sys_perm = 3, sys_temp = 4 };

// How a client shows who it is.
struct sasl_credentials {
  sasl_mechanism mechanism = sasl_mechanism::none;  // none: no SASL layer at all
  std::string user = {};                            // PLAIN: authentication id; ANONYMOUS: trace
  secret password = {};                             // PLAIN
};

// What a client showed; views hold during the call.
struct sasl_login {
  sasl_mechanism mechanism = sasl_mechanism::none;
  std::string_view authorization_id;  // PLAIN, mostly empty
  std::string_view user;              // PLAIN; of ANONYMOUS and EXTERNAL their whole response
  std::string_view password;          // PLAIN: never to be logged
  std::string_view hostname;          // the virtual host that the client wants
};

// RFC 4616: [authzid] NUL authcid NUL passwd. False when the response has another form.
bool parse_sasl_plain(byte_view response, sasl_login& into) noexcept;

// The server's half. Bodies of SASL frames go in, frames come out.
class sasl_server {
 public:
  enum class step : std::uint8_t {
    wait,    // for the next frame
    decide,  // `login` is filled: look at it, then outcome()
    refuse,  // the mechanism is not offered, or its response makes no sense: outcome(sasl_code::auth)
    broken,  // the rule is set
  };
  explicit sasl_server(sasl_mechanisms offered) noexcept : offered_{offered} {}

  // Writes the mechanisms.
  void start(byte_buffer& out);
  step receive(byte_view body, byte_buffer& out, sasl_login& login, violation& rule);
  static void write_outcome(sasl_code code, byte_buffer& out);

 private:
  step respond(byte_view response, sasl_login& login) noexcept;

  sasl_mechanisms offered_;
  sasl_mechanism chosen_ = sasl_mechanism::none;
  std::string hostname_;
  std::uint8_t steps_ = 0;
};

// The client's half.
class sasl_client {
 public:
  enum class step : std::uint8_t {
    wait,
    done,         // the server said ok
    refused,      // the server said no: code()
    not_offered,  // the server does not speak the mechanism
    broken,
  };
  sasl_client(sasl_credentials credentials, std::string hostname)
      : credentials_{std::move(credentials)}, hostname_{std::move(hostname)} {}

  step receive(byte_view body, byte_buffer& out, violation& rule);
  [[nodiscard]] sasl_code code() const noexcept { return code_; }
  [[nodiscard]] sasl_mechanism mechanism() const noexcept { return credentials_.mechanism; }

 private:
  void write_init(byte_buffer& out);
  void write_response(detail::field_writer& fields);

  sasl_credentials credentials_;
  std::string hostname_;
  sasl_code code_ = sasl_code::auth;
  bool init_sent_ = false;
  std::uint8_t steps_ = 0;
};

// No exchange needs more frames than this from one side.
inline constexpr unsigned max_sasl_steps = 4;

// ---------------------------------------------------------------------------------------------------------------------

constexpr std::string_view to_string(sasl_mechanism which) noexcept {
  switch (which) {
    case sasl_mechanism::anonymous: return "ANONYMOUS";
    case sasl_mechanism::plain: return "PLAIN";
    case sasl_mechanism::external: return "EXTERNAL";
    case sasl_mechanism::mssbcbs: return "MSSBCBS";
    case sasl_mechanism::none: break;
  }
  return {};
}

constexpr sasl_mechanism sasl_mechanism_of(std::string_view name) noexcept {
  for (sasl_mechanism const each :
       {sasl_mechanism::anonymous, sasl_mechanism::plain, sasl_mechanism::external, sasl_mechanism::mssbcbs})
    if (to_string(each) == name) return each;
  return sasl_mechanism::none;
}

inline bool parse_sasl_plain(byte_view response, sasl_login& into) noexcept {
  std::size_t const first = response.find('\0');
  if (first == byte_view::npos) return false;
  std::size_t const second = response.find('\0', first + 1);
  if (second == byte_view::npos || response.find('\0', second + 1) != byte_view::npos) return false;
  into.authorization_id = response.substr(0, first);
  into.user = response.substr(first + 1, second - first - 1);
  into.password = response.substr(second + 1);
  return !into.user.empty();
}

inline void sasl_server::start(byte_buffer& out) {
  std::string_view names[4];
  std::size_t count = 0;
  for (sasl_mechanism const each :
       {sasl_mechanism::mssbcbs, sasl_mechanism::plain, sasl_mechanism::anonymous, sasl_mechanism::external})
    if (offered_.contains(each)) names[count++] = to_string(each);
  std::size_t const begun = begin_frame(frame_type::sasl, 0, out);
  detail::field_writer fields{out, descriptor::sasl_mechanisms, list_form::brief};
  writer w{fields.field()};
  w.symbol_array(std::span<std::string_view const>{names, count});
  fields.done();
  end_frame(begun, out);
}

inline sasl_server::step sasl_server::receive(byte_view body, byte_buffer& out, sasl_login& login, violation& rule) {
  performative what;
  if ((rule = read_performative(body, what))) return step::broken;
  if (++steps_ > max_sasl_steps) return rule = {condition::framing_error, "5.3: too many SASL frames"}, step::broken;
  detail::field_reader in{what.fields};
  byte_view response;
  bool present = false;
  if (what.what == descriptor::sasl_init && chosen_ == sasl_mechanism::none) {
    std::string_view name;
    std::string_view hostname;
    bool named = false;
    in.text(name, &named).binary(response, &present).text(hostname);
    in.require(named);
    if ((rule = in.rule())) return step::broken;
    chosen_ = sasl_mechanism_of(name);
    hostname_ = hostname;
    if (!offered_.contains(chosen_)) return step::refuse;
    if (chosen_ == sasl_mechanism::plain && !present) {
      std::size_t const begun = begin_frame(frame_type::sasl, 0, out);
      detail::field_writer{out, descriptor::sasl_challenge, list_form::brief}.binary({}).done();
      end_frame(begun, out);
      return step::wait;
    }
    return respond(response, login);
  }
  if (what.what == descriptor::sasl_response && chosen_ != sasl_mechanism::none) {
    in.binary(response, &present);
    in.require(present);
    if ((rule = in.rule())) return step::broken;
    return respond(response, login);
  }
  rule = {condition::framing_error, "5.3: a SASL frame that is not due"};
  return step::broken;
}

inline sasl_server::step sasl_server::respond(byte_view response, sasl_login& login) noexcept {
  login.mechanism = chosen_;
  login.hostname = hostname_;
  if (chosen_ == sasl_mechanism::plain) return parse_sasl_plain(response, login) ? step::decide : step::refuse;
  login.user = response;
  return step::decide;
}

inline void sasl_server::write_outcome(sasl_code code, byte_buffer& out) {
  std::size_t const begun = begin_frame(frame_type::sasl, 0, out);
  detail::field_writer{out, descriptor::sasl_outcome, list_form::brief}.uint8(static_cast<std::uint8_t>(code)).done();
  end_frame(begun, out);
}

inline sasl_client::step sasl_client::receive(byte_view body, byte_buffer& out, violation& rule) {
  performative what;
  if ((rule = read_performative(body, what))) return step::broken;
  if (++steps_ > max_sasl_steps) return rule = {condition::framing_error, "5.3: too many SASL frames"}, step::broken;
  detail::field_reader in{what.fields};
  if (what.what == descriptor::sasl_mechanisms && !init_sent_) {
    encoded const offered = in.raw();
    if ((rule = in.rule())) return step::broken;
    if (!has_symbol(offered, to_string(credentials_.mechanism))) return step::not_offered;
    write_init(out);
    return step::wait;
  }
  if (what.what == descriptor::sasl_challenge && init_sent_) {
    std::size_t const begun = begin_frame(frame_type::sasl, 0, out);
    detail::field_writer fields{out, descriptor::sasl_response, list_form::brief};
    write_response(fields);
    fields.done();
    end_frame(begun, out);
    return step::wait;
  }
  if (what.what == descriptor::sasl_outcome && init_sent_) {
    std::optional<std::uint8_t> code;
    in.number(code);
    in.require(code.has_value());
    if ((rule = in.rule())) return step::broken;
    code_ = *code <= 4 ? static_cast<sasl_code>(*code) : sasl_code::sys_perm;
    return code_ == sasl_code::ok ? step::done : step::refused;
  }
  rule = {condition::framing_error, "5.3: a SASL frame that is not due"};
  return step::broken;
}

inline void sasl_client::write_init(byte_buffer& out) {
  std::size_t const begun = begin_frame(frame_type::sasl, 0, out);
  detail::field_writer fields{out, descriptor::sasl_init, list_form::brief};
  fields.symbol(to_string(credentials_.mechanism));
  write_response(fields);
  fields.text(hostname_).done();
  end_frame(begun, out);
  init_sent_ = true;
}

inline void sasl_client::write_response(detail::field_writer& fields) {
  if (credentials_.mechanism != sasl_mechanism::plain) {
    fields.binary(credentials_.user);
    return;
  }
  std::string response;
  response.reserve(credentials_.user.size() + credentials_.password.size() + 2);
  response.append(1, '\0').append(credentials_.user).append(1, '\0').append(credentials_.password.reveal());
  fields.binary(response);
  wipe(response);
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
