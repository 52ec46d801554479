// Claims-based security: tokens that are put on the links of the node $cbs after the connection is open, both roles.
// Source: OASIS working draft "AMQP Claims-based Security Version 1.0"; the names as Azure's clients send them
// (azure-iot-sdk-node common-amqp claims_based_security_agent, azure-uamqp-python cbs_auth).
//
//   request   properties message-id, reply-to; application properties operation = put-token, type, name (the audience),
//             perhaps expiration; body: amqp-value string, the token
//   answer    properties correlation-id = the message-id in the same type; application properties status-code (an
//             AMQP int, which some clients insist on) and status-description
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/message.hpp>
#include <iothub/amqp/send_queue.hpp>
#include <iothub/amqp/value.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

inline constexpr std::string_view cbs_address = "$cbs";

// A request for $cbs; views into the message.
struct put_token {
  std::string_view type;   // "servicebus.windows.net:sastoken", "jwt", …
  std::string_view name;   // audience
  std::string_view token;  // never to be logged
  encoded message_id = {};
  std::string_view reply_to;
  std::optional<std::int64_t> expiration = {};  // milliseconds since 1970; seconds where it came as a plain number
};
// False when the message is no such request.
bool read_put_token(message_view const& message, put_token& into) noexcept;
void write_put_token(put_token const& what, byte_buffer& out);

// How a request to $cbs or $management was answered.
struct request_status {
  int code = 0;  // as HTTP
  std::string_view description;
};
// The head of an answer: properties and application properties. The body is the caller's to append.
void write_response_head(encoded message_id, request_status const& status, byte_buffer& out);
// An answer without anything to say: an amqp-value of null.
void write_response(encoded message_id, request_status const& status, byte_buffer& out);
// Of an answer; code 0 when there is none in it. Takes statusCode and statusDescription too.
request_status read_status(message_view const& message) noexcept;

// The node $cbs of a server: answers every put-token with what `check` says. One per connection; the handler hands it
// its callbacks about links whose address is $cbs.
class cbs_server {
 public:
  // Accepts the link. The address itself was looked at by the caller.
  void attach(link& which, attach const& how);
  // A request on one of its links; `check` is called as request_status(put_token const&). Settles the delivery. What is
  // no request is rejected; where it came settled, and no disposition could say so, it is answered with 400, and where
  // it has no message-id either the link is detached.
  template <class Check>
  void receive(link& from, delivery const& what, Check&& check);
  void on_credit(link& which);
  void on_detached(link& which) noexcept;

 private:
  struct reply_link {
    link* to;
    std::string address;  // of its target
    send_queue waiting;
  };
  [[nodiscard]] reply_link* find_reply(link const& from, std::string_view reply_to) noexcept;
  [[nodiscard]] reply_link* of(link const& which) noexcept;
  void answer(link const& from, message_properties const& request, request_status const& status);

  static constexpr std::uint32_t credit = 64;
  std::vector<std::unique_ptr<reply_link>> replies_;
  byte_buffer scratch_;
};

// The client's side: two links, and put-token requests that wait for their answers. The owner's handler hands it the
// callbacks about its links (owns() says which).
class cbs_client {
 public:
  struct outcome {
    std::uint64_t id = 0;
    result<void> what;  // errc::unauthorized (401 and every other refusal), errc::timeout, errc::closed
  };

  // Attaches the links. Fails as session::attach does.
  result<void> start(session& on);
  [[nodiscard]] bool owns(link const& which) const noexcept { return &which == out_ || &which == in_; }
  [[nodiscard]] bool idle() const noexcept { return requests_.empty(); }
  // Sends the token, as soon as the links allow it. The outcome bears the id that is returned.
  std::uint64_t put(std::string_view audience, std::string_view token, std::string_view type, time_point give_up);

  // From the handler.
  void on_attached(link& which);
  void on_credit(link& which);
  // The outcome of the request that the message answers, if it is one.
  std::optional<outcome> on_transfer(link& which, delivery const& what);
  // A link went: every request fails in turn, one for each call of expire().
  void on_detached(link& which) noexcept;
  // Requests that are overdue, or that lost their links: call it until it returns nothing.
  std::optional<outcome> expire(time_point now);
  [[nodiscard]] time_point deadline() const noexcept;

 private:
  struct request {
    std::uint64_t id;
    std::string audience;
    std::string type;
    secret token;  // wiped when sent
    time_point give_up;
    bool sent = false;
  };
  void pump();

  link* out_ = nullptr;
  link* in_ = nullptr;
  bool lost_ = false;
  std::uint64_t last_id_ = 0;
  std::vector<request> requests_;
};

// ---------------------------------------------------------------------------------------------------------------------

inline bool read_put_token(message_view const& message, put_token& into) noexcept {
  value_view const properties = view_of(message.application_properties);
  if (find(properties, "operation").as_text() != std::string_view{"put-token"}) return false;
  auto const name = find(properties, "name").as_text();
  auto const type = find(properties, "type").as_text();
  value_view const body = view_of(message.value);
  auto const token = body.type() == kind::binary ? body.as_binary() : body.as_text();
  if (!name || !type || !token || message.properties.message_id.empty()) return false;
  into.name = *name;
  into.type = *type;
  into.token = *token;
  into.message_id = message.properties.message_id;
  into.reply_to = message.properties.reply_to;
  value_view const expiration = find(properties, "expiration");
  into.expiration = expiration.as_timestamp();
  if (!into.expiration) into.expiration = expiration.as_int();
  return true;
}

inline void write_put_token(put_token const& what, byte_buffer& out) {
  message_properties properties;
  properties.message_id = what.message_id;
  properties.to = cbs_address;
  properties.reply_to = what.reply_to;
  write_properties(properties, out);
  writer w{out};
  w.describe(descriptor::application_properties);
  writer::mark const begun = w.begin_compound();
  w.string("operation"), w.string("put-token");
  w.string("type"), w.string(what.type);
  w.string("name"), w.string(what.name);
  if (what.expiration) w.string("expiration"), w.timestamp(*what.expiration);
  w.end_map(begun, what.expiration ? 8 : 6);
  w.describe(descriptor::amqp_value);
  w.string(what.token);
}

inline void write_response_head(encoded message_id, request_status const& status, byte_buffer& out) {
  message_properties properties;
  properties.correlation_id = message_id;
  write_properties(properties, out);
  writer w{out};
  w.describe(descriptor::application_properties);
  writer::mark const begun = w.begin_compound();
  w.string("status-code"), w.int32(status.code);
  w.string("status-description"), w.string(status.description);
  w.end_map(begun, 4);
}

inline void write_response(encoded message_id, request_status const& status, byte_buffer& out) {
  write_response_head(message_id, status, out);
  writer w{out};
  w.describe(descriptor::amqp_value);
  w.null();
}

inline request_status read_status(message_view const& message) noexcept {
  value_view const properties = view_of(message.application_properties);
  auto code = find(properties, "status-code").as_int();
  if (!code) code = find(properties, "statusCode").as_int();
  auto description = find(properties, "status-description").as_text();
  if (!description) description = find(properties, "statusDescription").as_text();
  request_status status;
  if (code && *code > 0 && *code < 1000) status.code = static_cast<int>(*code);
  if (description) status.description = *description;
  return status;
}

inline void cbs_server::attach(link& which, amqp::attach const& how) {
  if (which.is_sender()) {
    replies_.push_back(std::make_unique<reply_link>(reply_link{&which, std::string{how.target.address}, send_queue{}}));
    return which.accept();
  }
  which.set_prefetch(credit);
  which.accept();
}

template <class Check>
void cbs_server::receive(link& from, delivery const& what, Check&& check) {
  message_view message;
  put_token request;
  bool const readable = !read_message(what.payload, message);
  if (!readable || !read_put_token(message, request)) {
    constexpr std::string_view why = "this is not a put-token request";
    if (!what.settled) return from.settle(what.id, delivery_state::rejected({condition::decode_error, why}));
    if (readable && !message.properties.message_id.empty()) return answer(from, message.properties, {400, why});
    return from.detach({condition::decode_error, why});
  }
  request_status const status = check(static_cast<put_token const&>(request));
  from.settle(what.id);
  answer(from, message.properties, status);
}

inline void cbs_server::answer(link const& from, message_properties const& request, request_status const& status) {
  reply_link* const to = find_reply(from, request.reply_to);
  if (!to) return;
  scratch_.clear();
  write_response(request.message_id, status, scratch_);
  if (!to->waiting.push(scratch_.view(), *to->to))
    to->to->detach({condition::resource_limit_exceeded, "too many answers wait for credit"});
}

inline cbs_server::reply_link* cbs_server::of(link const& which) noexcept {
  for (auto const& each : replies_)
    if (each->to == &which) return each.get();
  return nullptr;
}

// The link whose target is the reply-to; else one of the same session; else the first.
inline cbs_server::reply_link* cbs_server::find_reply(link const& from, std::string_view reply_to) noexcept {
  if (!reply_to.empty())
    for (auto const& each : replies_)
      if (each->address == reply_to) return each.get();
  for (auto const& each : replies_)
    if (&each->to->parent() == &from.parent()) return each.get();
  return replies_.empty() ? nullptr : replies_.front().get();
}

inline void cbs_server::on_credit(link& which) {
  if (reply_link* const found = of(which)) found->waiting.pump(which);
}

inline void cbs_server::on_detached(link& which) noexcept {
  for (std::size_t i = 0; i != replies_.size(); ++i)
    if (replies_[i]->to == &which) {
      replies_.erase(replies_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
}

inline result<void> cbs_client::start(session& on) {
  amqp::attach how;
  how.name = "cbs-sender";
  how.role = link_role::sender;
  how.has_source = how.has_target = true;
  how.source = source::at(cbs_address);
  how.target = target::at(cbs_address);
  result<link*> made = on.attach(how);
  if (!made) return made.error();
  out_ = *made;
  how.name = "cbs-receiver";
  how.role = link_role::receiver;
  made = on.attach(how);
  if (!made) return made.error();
  in_ = *made;
  in_->set_prefetch(16);
  lost_ = false;
  return {};
}

inline std::uint64_t cbs_client::put(std::string_view audience, std::string_view token, std::string_view type,
                                     time_point give_up) {
  requests_.push_back({++last_id_, std::string{audience}, std::string{type}, secret{token}, give_up});
  pump();
  return last_id_;
}

inline void cbs_client::pump() {
  if (!out_ || !in_ || in_->state() != link::state_type::attached) return;
  for (request& each : requests_) {
    if (each.sent) continue;
    if (!out_->can_send()) return;
    value const id{std::to_string(each.id)};
    put_token what;
    what.message_id = id.bytes();
    what.reply_to = cbs_address;
    what.name = each.audience;
    what.type = each.type;
    what.token = each.token.reveal();
    byte_buffer message;
    write_put_token(what, message);
    if (!out_->send({.payload = message.view(), .settled = true})) return;
    each.sent = true;
    each.token.clear();
  }
}

inline void cbs_client::on_attached(link&) {
  pump();
}
inline void cbs_client::on_credit(link&) {
  pump();
}

inline std::optional<cbs_client::outcome> cbs_client::on_transfer(link& which, delivery const& what) {
  message_view message;
  violation const bad = read_message(what.payload, message);
  which.settle(what.id);
  if (bad) return std::nullopt;
  std::string const id = id_text(message.properties.correlation_id);
  for (std::size_t i = 0; i != requests_.size(); ++i) {
    if (!requests_[i].sent || std::to_string(requests_[i].id) != id) continue;
    request_status const status = read_status(message);
    outcome told{requests_[i].id, {}};
    if (status.code < 200 || status.code > 299) {
      // Codes are those of HTTP (AMQP Management 1.0 WD 11, 3.2): a server that is busy has not judged the token.
      errc const why = status.code == 429  ? errc::throttled
                       : status.code > 499 ? errc::service_unavailable
                                           : errc::unauthorized;
      told.what = error{why, status.description.empty() ? std::string{"the token was refused"}
                                                        : std::string{status.description}};
    }
    requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(i));
    return told;
  }
  return std::nullopt;
}

inline void cbs_client::on_detached(link& which) noexcept {
  if (&which == out_) out_ = nullptr;
  if (&which == in_) in_ = nullptr;
  lost_ = true;
}

inline std::optional<cbs_client::outcome> cbs_client::expire(time_point now) {
  for (std::size_t i = 0; i != requests_.size(); ++i) {
    if (!lost_ && requests_[i].give_up > now) continue;
    outcome told{requests_[i].id, lost_ ? error{errc::closed, "the links of $cbs are gone"}
                                        : error{errc::timeout, "the token was not answered in time"}};
    requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(i));
    return told;
  }
  return std::nullopt;
}

inline time_point cbs_client::deadline() const noexcept {
  time_point first = never;
  for (request const& each : requests_)
    if (each.give_up < first) first = each.give_up;
  return first;
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
