// What the AMQP face of the hub is made of, without a connection: addresses, selectors, messages, conditions. And what
// only a strange device or back end sends.
#include "hub_amqp_peer.hpp"

namespace {

using namespace hub_amqp_test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// --- conditions

TEST(AmqpCondition, SaysEachErrorOfTheHub) {
  struct row {
    errc code;
    std::string_view condition;
  };
  constexpr row rows[] = {
      {errc::unauthorized, "amqp:unauthorized-access"},
      {errc::device_disabled, "amqp:unauthorized-access"},
      {errc::not_found, "amqp:not-found"},
      {errc::device_not_found, "amqp:not-found"},
      {errc::module_not_found, "amqp:not-found"},
      {errc::queue_full, "amqp:resource-limit-exceeded"},
      {errc::too_large, "amqp:link:message-size-exceeded"},
      {errc::throttled, "com.microsoft:device-container-throttled"},
      {errc::quota_exceeded, "com.microsoft:quota-exceeded"},
      {errc::lock_lost, "com.microsoft:message-lock-lost"},
      {errc::precondition_failed, "com.microsoft:precondition-failed"},
      {errc::already_exists, "com.microsoft:device-already-exists"},
      {errc::bad_request, "com.microsoft:argument-error"},
      {errc::invalid_argument, "com.microsoft:argument-error"},
      {errc::malformed, "com.microsoft:argument-error"},
      {errc::forbidden, "amqp:not-allowed"},
      {errc::service_unavailable, "com.microsoft:timeout"},
      {errc::device_timeout, "com.microsoft:timeout"},
      {errc::connection_lost, "amqp:link:detach-forced"},
      {errc::not_connected, "amqp:link:detach-forced"},
      {errc::unsupported, "amqp:not-implemented"},
      {errc::server_error, "amqp:internal-error"},
  };
  for (auto const& r : rows) EXPECT_EQ(hub::amqp_condition(error{r.code, "x"}), r.condition) << to_string(r.code);
}

// --- addresses

TEST(AmqpAddress, SaysTheHostOfAUri) {
  EXPECT_EQ(hub::host_of_address("amqps://h.net:5671/devices/d1"), "h.net");
  EXPECT_EQ(hub::host_of_address("amqps://h.net"), "h.net");
  EXPECT_EQ(hub::host_of_address("amqps://[::1]/x"), "[::1]");
  EXPECT_EQ(hub::host_of_address("amqps://[::1]:5671/x"), "[::1]");
  EXPECT_EQ(hub::host_of_address("/devices/d1"), "");
}

TEST(AmqpAddress, TakesNothingThatIsOnlyAlmostOne) {
  for (char const* text : {"", "/", "$cbs/x", "devices", "devices/d1", "devices/d1/messages", "devices/d1/modules/m1/messages",
                           "devices/d1/things/m1/messages/events", "messages", "messages/servicebound",
                           "messages/servicebound/other", "messages/devicebound/x", "a/b/$management", "h/groups/g/partitions/0",
                           "h/consumergroups/g/parts/0", "h/consumergroups/g/partitions", "1/2/3/4/5/6/7/8/9"})
    EXPECT_EQ(hub::parse_amqp_address(text).place, hub::amqp_place::unknown) << text;
  EXPECT_EQ(hub::parse_amqp_address("messages/servicebound/fileUploadNotifications").place, hub::amqp_place::file_notifications);
  EXPECT_EQ(hub::parse_amqp_address("messages/events").rest, "");
  EXPECT_EQ(hub::parse_amqp_address("devices/%zz/twin").who.device_id, "%zz");  // no such device, then
}

// --- selectors

TEST(EventSelector, RefusesEverythingElse) {
  for (char const* text : {"", "x > '1'", "amqp.annotation.x-opt-", "amqp.annotation.x-opt-partition > '1'",
                           "amqp.annotation.x-opt-offset", "amqp.annotation.x-opt-offset < '1'",
                           "amqp.annotation.x-opt-offset > 'x'", "amqp.annotation.x-opt-offset > '1",
                           "amqp.annotation.x-opt-sequence-number > ''", "amqp.annotation.x-opt-offset > 1'"}) {
    auto const read = hub::parse_event_selector(text);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_EQ(read.error(), errc::bad_request);
  }
}

TEST(EventSelector, MayBeTextOrBytesWithOrWithoutItsDescriptor) {
  std::string_view const text = "amqp.annotation.x-opt-sequence-number >= 7";
  auto const of = [](amqp::value const& content) {
    auto const filter = amqp::value::symbol_map({{"apache.org:selector-filter:string", content}});
    auto const read = hub::read_event_filter(filter.bytes());
    return read ? read->value : -1;
  };
  EXPECT_EQ(of(amqp::value{text}), 7);
  EXPECT_EQ(of(amqp::value::binary(text)), 7);
  EXPECT_EQ(of(amqp::value::described("apache.org:selector-filter:string", amqp::value::binary(text))), 7);
  EXPECT_EQ(of(amqp::value{std::int64_t{7}}), -1);
  EXPECT_EQ(hub::read_event_filter({}).value(), hub::event_position{});
}

// --- messages

amqp::message_view view_of_bytes(byte_view bytes) {
  amqp::message_view m;
  EXPECT_FALSE(amqp::read_message(bytes, m));
  return m;
}
byte_buffer null_body() {
  byte_buffer out;
  amqp::writer w{out};
  w.describe(amqp::descriptor::amqp_value);
  w.null();
  return out;
}
byte_buffer with_body(amqp::descriptor what, amqp::value const& content) {
  byte_buffer out;
  amqp::writer w{out};
  w.describe(what);
  out.append(content.bytes());
  return out;
}

TEST(AmqpMessage, HasBytesOrTextForABody) {
  auto const body_of = [](byte_buffer const& bytes) -> std::string {
    message m;
    auto const read = hub::read_amqp_message(view_of_bytes(bytes.view()), m);
    if (!read) return "refused: " + std::string{read.error().message()};
    return std::string{m.body.bytes()};
  };
  using amqp::descriptor;
  EXPECT_EQ(body_of(with_body(descriptor::amqp_value, amqp::value{"text"})), "text");
  EXPECT_EQ(body_of(with_body(descriptor::amqp_value, amqp::value::binary("bytes"))), "bytes");
  EXPECT_EQ(body_of(null_body()), "");
  EXPECT_EQ(body_of(with_body(descriptor::data, amqp::value::binary("data"))), "data");
  EXPECT_EQ(body_of({}), "");
  EXPECT_THAT(body_of(with_body(descriptor::amqp_value, amqp::value{std::int32_t{1}})), HasSubstr("neither bytes nor text"));
  EXPECT_THAT(body_of(with_body(descriptor::amqp_sequence, amqp::value::list({amqp::value{"x"}}))), HasSubstr("sequence"));
}

TEST(AmqpMessage, TimesOfNothingAreNoTimes) {
  amqp::message_view m;
  m.properties.absolute_expiry_time = 0;
  m.properties.creation_time = 0;
  message read;
  ASSERT_TRUE(hub::read_amqp_message(m, read));
  EXPECT_FALSE(read.expiry_time.has_value() || read.creation_time.has_value());
  m.properties.absolute_expiry_time = 2000;
  m.properties.creation_time = 1000;
  ASSERT_TRUE(hub::read_amqp_message(m, read));
  EXPECT_EQ(read.expiry_time, from_unix_seconds(2));
  EXPECT_EQ(read.creation_time, from_unix_seconds(1));
}

TEST(AmqpMessage, TakesTheNamesThatTheHubKnowsOutOfTheProperties) {
  auto const properties = amqp::value::string_map({{"iothub-ack", "full"},
                                                   {"iothub-outputname", "out"},
                                                   {"iothub-creation-time-utc", "noon"},  // no time: the application's own
                                                   {"none", amqp::value{}}});
  amqp::message_view m;
  m.application_properties = properties.bytes();
  message read;
  ASSERT_TRUE(hub::read_amqp_message(m, read));
  EXPECT_EQ(read.output_name, "out");
  EXPECT_EQ(read.properties, (property_list{{"iothub-creation-time-utc", "noon"}, {"none", "", false}}));
}

TEST(AmqpMessage, HasNoMoreThan1024Properties) {
  auto const properties = amqp::value::made([](amqp::writer& w) {
    auto const begun = w.begin_compound();
    for (int i = 0; i != 1025; ++i) w.string("p" + std::to_string(i)), w.null();
    w.end_map(begun, 2050);
  });
  amqp::message_view m;
  m.application_properties = properties.bytes();
  message read;
  EXPECT_EQ(hub::read_amqp_message(m, read).error(), errc::bad_request);
}

TEST(AmqpMessage, IsWrittenForADeviceWithAllItHas) {
  c2d_message what;
  what.content.body = message_body{"x"};
  what.content.creation_time = from_unix_seconds(1);
  what.content.expiry_time = from_unix_seconds(2);
  what.content.properties = {{"a", "b"}, {"none", "", false}};
  for (auto const& [ack, word] : {std::pair{feedback_request::positive, "positive"}, std::pair{feedback_request::negative, "negative"},
                                 std::pair{feedback_request::full, "full"}, std::pair{feedback_request::none, "none"}}) {
    what.ack = ack;
    byte_buffer out;
    hub::append_c2d_message(what, out);
    auto const seen = view_of_bytes(out.view());
    EXPECT_EQ(seen.properties.creation_time, 1000);
    EXPECT_EQ(seen.properties.absolute_expiry_time, 2000);
    EXPECT_EQ(amqp::to_text(seen.application_properties),
              "{\"iothub-ack\": \"" + std::string{word} + "\", \"a\": \"b\", \"none\": null}");
  }
}

// --- what only a strange device sends

struct StrangeDevice : testing::Test {
  StrangeDevice() {
    w.create("d1");
    w.create("d1", "m1");
    c.put_token("d1", w.device_token("d1"));
  }
  amqp_world w;
  amqp_client c{w};
};

TEST_F(StrangeDevice, IsToldThatItsMessageIsNone) {
  EXPECT_THAT(c.send(c.sender("/devices/d1/messages/events"), "no message"), StartsWith("rejected com.microsoft:argument-error"));
  EXPECT_THAT(c.send(c.sender("/devices/d1/messages/events"),
                     with_body(amqp::descriptor::amqp_value, amqp::value{std::int32_t{1}}).view()),
              StartsWith("rejected com.microsoft:argument-error"));
  EXPECT_EQ(w.hub.events().all().size(), 0u);
}

TEST_F(StrangeDevice, IsToldThatItsTwinRequestIsNone) {
  auto* const in = c.receiver("/devices/d1/twin");
  auto* const out = c.sender("/devices/d1/twin");
  (void)c.send(out, "no message");
  for (auto const& [operation, resource] : {std::pair{"PUT", "/elsewhere"}, std::pair{"POST", "/properties/reported"},
                                            std::pair{"PATCH", "/properties/desired"}, std::pair{"", ""}}) {
    amqp::value const id{"t"};
    auto const annotations = amqp::value::symbol_map({{"operation", operation}, {"resource", resource}});
    amqp::message_view m;
    m.has_properties = true;
    m.properties.correlation_id = id.bytes();
    m.message_annotations = annotations.bytes();
    m.body = amqp::body_kind::data;
    m.data = " ";
    (void)c.send(out, m);
    for (auto const& text : c.texts(in)) EXPECT_THAT(text, testing::Not(HasSubstr("status: 200"))) << operation << resource;
  }
  EXPECT_TRUE(c.open());
}

TEST_F(StrangeDevice, AModuleHasNoMessagesOfItsOwn) {
  c.put_token("d1/modules/m1", w.token(w.hub.get_identity({"d1", "m1"}).value().authentication.primary_key,
                                       "h.azure-devices.net%2Fdevices%2Fd1%2Fmodules%2Fm1", 3600));
  (void)c.receiver("/devices/d1/modules/m1/messages/devicebound");
  EXPECT_THAT(c.ended("/devices/d1/modules/m1/messages/devicebound"), StartsWith("amqp:not-allowed"));
}

TEST_F(StrangeDevice, AnswersThatAreNoneEndTheCallBadly) {
  amqp::link* const in = c.receiver("/devices/d1/methods/devicebound");
  amqp::link* const out = c.sender("/devices/d1/methods/devicebound");
  auto const status = amqp::value::string_map({{"IoThub-status", std::int32_t{200}}});
  auto const outcome_of = [&](amqp::message_view answer, bool with_id) -> std::string {
    hub_test::recording_caller caller;
    EXPECT_TRUE(w.hub.invoke_method({"d1", {}}, {"m", {}}, {}, caller, w.at).has_value());
    c.run();
    auto const got = c.take(in);
    amqp::message_view request;
    EXPECT_FALSE(amqp::read_message(got.at(0).payload, request));
    amqp::value const nobody{"not-an-id"};
    answer.has_properties = true;
    answer.properties.correlation_id = with_id ? request.properties.correlation_id : nobody.bytes();
    (void)c.send(out, answer);
    std::string const said = caller.outcomes.empty() ? "nothing" : caller.outcomes[0].second;
    w.pass(61s);  // the call ends, one way or the other
    return said;
  };
  amqp::message_view answer;
  answer.application_properties = status.bytes();
  EXPECT_EQ(outcome_of(answer, true), "200 null");  // no body is no payload
  EXPECT_EQ(outcome_of(answer, false), "nothing");
  answer.body = amqp::body_kind::data;
  answer.data = "{no json";
  EXPECT_THAT(outcome_of(answer, true), HasSubstr("502000"));
  amqp::value const number{std::int32_t{1}};
  answer.body = amqp::body_kind::value;
  answer.value = number.bytes();
  EXPECT_THAT(outcome_of(answer, true), HasSubstr("502000"));
}

TEST_F(StrangeDevice, ThatTakesNoMethodsIsDetachedBeforeTheyFillTheMemory) {
  (void)c.link("/devices/d1/methods/devicebound", amqp::link_role::receiver, "here", {}, {}, 0);
  hub_test::recording_caller caller;
  json::value const large{std::string(100'000, 'x')};
  for (int i = 0; i != 100 && c.ended("/devices/d1/methods").empty(); ++i) {
    (void)w.hub.invoke_method({"d1", {}}, {"m", large}, {}, caller, w.at);
    c.run();
  }
  EXPECT_THAT(c.ended("/devices/d1/methods"), StartsWith("amqp:resource-limit-exceeded"));
}

TEST_F(StrangeDevice, AnIdThatLooksEncodedMayBeWrittenAsItIs) {
  w.create("a%20b");
  EXPECT_THAT(c.put_token("h.azure-devices.net", w.service_token()), HasSubstr("200"));
  (void)c.sender("/devices/a%20b/messages/events");
  EXPECT_EQ(c.ended("/devices/a%20b"), "");
}

// --- what only a strange back end sends

TEST(StrangeBackEnd, IsToldThatItsRequestToManagementIsNone) {
  amqp_world w;
  amqp_client c{w};
  c.put_token("sb://h.azure-devices.net/h", w.events_token("sb://h.azure-devices.net/h"));
  auto* const in = c.receiver("$management");
  auto* const out = c.sender("$management");
  EXPECT_THAT(c.send(out, "no message"), StartsWith("rejected com.microsoft:argument-error"));
  amqp::message_view nameless;
  nameless.body = amqp::body_kind::data;
  EXPECT_THAT(c.send(out, nameless), StartsWith("rejected com.microsoft:argument-error"));
  EXPECT_THAT(c.take(in), testing::IsEmpty());
}

TEST(StrangeBackEnd, IsToldThatItsMessageIsNone) {
  amqp_world w;
  w.create("d1");
  amqp_client c{w};
  c.put_token("h.azure-devices.net", w.service_token());
  auto* const out = c.sender("/messages/devicebound");
  EXPECT_THAT(c.send(out, "no message"), StartsWith("rejected com.microsoft:argument-error"));
  EXPECT_THAT(c.send(out, with_body(amqp::descriptor::amqp_value, amqp::value{std::int32_t{1}}).view()),
              StartsWith("rejected com.microsoft:argument-error"));
}

TEST(StrangeBackEnd, ATokenThatIsNoneIsRefusedAndSaysWhy) {
  amqp_world w;
  w.create("d1");
  amqp_client c{w};
  for (char const* token : {"", "x", "SharedAccessSignature", "SharedAccessSignature sr=a", "SharedAccessSignature sr=a&sig=%zz&se=1",
                            "SharedAccessSignature sr=a&sig=AA%3D%3D&se=soon"}) {
    EXPECT_THAT(c.put_token("h.azure-devices.net", token), HasSubstr("401")) << token;
    EXPECT_THAT(c.put_token("d1", token), HasSubstr("401")) << token;
  }
  EXPECT_TRUE(c.open());
}

// --- logins

TEST(AmqpLogin, TakesModulesSecondaryKeysAndNothingMalformed) {
  amqp_world w;
  w.create("d1");
  w.create("d1", "m1");
  auto const login = [&](std::string user, std::string_view password) {
    amqp_client c{w, {amqp::sasl_mechanism::plain, std::move(user), secret{password}}};
    return c.open() ? std::string{"open"} : c.closed;
  };
  std::string const module_key = w.hub.get_identity({"d1", "m1"}).value().authentication.primary_key;
  std::string const module_token = w.token(module_key, "h.azure-devices.net%2Fdevices%2Fd1%2Fmodules%2Fm1", 3600);
  EXPECT_EQ(login("d1/m1@sas.h", module_token), "open");
  EXPECT_EQ(login("d1%2Fm1@sas.h", module_token), "open");
  EXPECT_EQ(login("d1/m2@sas.h", module_token), "unauthorized");
  EXPECT_EQ(login("@sas.h", w.device_token("d1")), "unauthorized");
  EXPECT_EQ(login("d1@sas.h", "SharedAccessSignature nonsense"), "unauthorized");
  EXPECT_EQ(login("iothubowner@sas.root.h", ""), "unauthorized");
  EXPECT_EQ(login("iothubowner@sas.root.h", w.device_token("d1")), "unauthorized");
  EXPECT_EQ(login("iothubowner", w.hub.find_policy("iothubowner")->secondary_key), "open");
  EXPECT_EQ(login("", ""), "unauthorized");
}

TEST(AmqpLogin, APolicysKeyGivesWhatThePolicyAllows) {
  amqp_world w;
  w.create("d1");
  auto const as = [&](std::string_view policy) {
    return amqp::sasl_credentials{amqp::sasl_mechanism::plain, std::string{policy}, secret{w.hub.find_policy(policy)->primary_key}};
  };
  {
    amqp_client c{w, as("service")};
    (void)c.sender("/messages/devicebound");
    (void)c.receiver("h/ConsumerGroups/$Default/Partitions/0");
    EXPECT_EQ(c.ended("/messages/devicebound") + c.ended("h/"), "");
  }
  {
    amqp_client c{w, as("registryRead")};
    (void)c.sender("/messages/devicebound");
    (void)c.receiver("h/ConsumerGroups/$Default/Partitions/0");
    EXPECT_THAT(c.ended("/messages/devicebound"), StartsWith("amqp:unauthorized-access"));
    EXPECT_THAT(c.ended("h/"), StartsWith("amqp:unauthorized-access"));
  }
}

TEST(AmqpLogin, ATokenOfTheEventEndpointOpensItsEntityOnly) {
  amqp_world w;
  amqp_client c{w};
  EXPECT_THAT(c.put_token("x", w.events_token("sb://h.azure-devices.net/h/consumergroups/other")), HasSubstr("200"));
  (void)c.receiver("h/ConsumerGroups/$Default/Partitions/0");
  EXPECT_THAT(c.ended("h/ConsumerGroups/$Default"), StartsWith("amqp:unauthorized-access"));
  (void)c.sender("/messages/devicebound");
  EXPECT_THAT(c.ended("/messages/devicebound"), StartsWith("amqp:unauthorized-access"));
  EXPECT_THAT(c.put_token("y", w.token("a2V5", "sb%3A%2F%2Fh.azure-devices.net%2Fh", 60, "nobody")), HasSubstr("401"));
}

}  // namespace
