// AMQP at the hub: addresses, tokens and what they open.
#include <iothub/amqp/cbs.hpp>

#include "hub_amqp_peer.hpp"

namespace {

using namespace hub_amqp_test;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string place(std::string_view address) {
  auto const a = hub::parse_amqp_address(address);
  constexpr char const* names[] = {"unknown",  "cbs",   "management",    "events",     "hub_events",     "send_c2d",
                                   "feedback", "files", "device_events", "device_c2d", "device_methods", "device_twin"};
  std::string out = names[static_cast<int>(a.place)];
  for (std::string_view const part : {a.entity, a.group, a.partition, a.rest, std::string_view{a.who.device_id},
                                      std::string_view{a.who.module_id}})
    if (!part.empty()) out.append(" ").append(part);
  return out;
}

TEST(AmqpAddress, IsAPathOrAUriInAnyCase) {
  EXPECT_EQ(place("$cbs"), "cbs");
  EXPECT_EQ(place("/messages/devicebound"), "send_c2d");
  EXPECT_EQ(place("amqps://host:5671/messages/deviceBound"), "send_c2d");
  EXPECT_EQ(place("amqps://host/messages/devicebound"), "send_c2d");
  EXPECT_EQ(place("/messages/serviceBound/feedback"), "feedback");
  EXPECT_EQ(place("/messages/servicebound/feedback"), "feedback");
  EXPECT_EQ(place("/messages/serviceBound/filenotifications"), "files");
  EXPECT_EQ(place("/messages/events/"), "hub_events");
  EXPECT_EQ(place("amqps://h/messages/events/ConsumerGroups/$Default/Partitions/3"),
            "hub_events ConsumerGroups/$Default/Partitions/3");
  EXPECT_EQ(place("/messages/events/$management"), "hub_events $management");
  EXPECT_EQ(place("$management"), "management");
  EXPECT_EQ(place("amqps://ns:5671/hub1/$management"), "management hub1");
  EXPECT_EQ(place("hub1/ConsumerGroups/$Default/Partitions/0"), "events hub1 $Default 0");
  EXPECT_EQ(place("amqps://localhost/hub1/consumergroups/g/partitions/1"), "events hub1 g 1");
}

TEST(AmqpAddress, NamesDevicesAndModulesWithTheirCase) {
  EXPECT_EQ(place("/devices/D1/messages/events"), "device_events D1");
  EXPECT_EQ(place("amqps://h:5671/devices/dev%201/messages/deviceBound"), "device_c2d dev 1");
  EXPECT_EQ(place("/devices/d1/methods/devicebound"), "device_methods d1");
  EXPECT_EQ(place("/devices/d1/twin"), "device_twin d1");
  EXPECT_EQ(place("/devices/d1/modules/m%2F1/twin"), "device_twin d1 m/1");
}

TEST(AmqpAddress, EverythingElseMeansNothing) {
  for (std::string_view const text : {"", "/", "x", "amqps://host", "/devices/d1", "/devices/d1/other", "/messages",
                                      "/messages/x", "a/b/c/d/e/f/g/h/i", "hub1/ConsumerGroups/g/Partitions"})
    EXPECT_EQ(place(text), "unknown") << text;
}

TEST(AmqpCbs, TakesEveryFormOfToken) {
  amqp_world w;
  w.create("d1");
  amqp_client c{w};
  std::string const ok = R"(cid="put-1" P{"status-code": 200, "status-description": "OK"})";
  for (std::string_view const type :
       {"servicebus.windows.net:sastoken", "azure-devices.net:sastoken", "jwt", "bearer", "Bearer"})
    EXPECT_EQ(c.put_token("h.azure-devices.net", w.service_token(), type), ok) << type;
  EXPECT_EQ(c.put_token("https://h.azure-devices.net", w.service_token("service")), ok);
  EXPECT_EQ(c.put_token("amqps://h.azure-devices.net:5671/", w.service_token()), ok);
  EXPECT_EQ(c.put_token("h.azure-devices.net%2Fdevices%2Fd1", w.device_token("d1")), ok);
  EXPECT_EQ(c.put_token("sb://x/h", w.events_token("sb://h.azure-devices.net/h")), ok);
  EXPECT_EQ(c.put_token("x", w.token(w.hub.find_policy("device")->primary_key,
                                     "h.azure-devices.net%2Fdevices%2Fd1", 3600, "device")),
            ok);
}

TEST(AmqpCbs, SaysWhatItDoesNotTake) {
  amqp_world w;
  w.create("d1");
  amqp_client c{w};
  auto const status = [&](std::string_view token, std::string_view type = "jwt") {
    std::string const text = c.put_token("a", token, type);
    return text.substr(text.find("code") + 7, 3);
  };
  EXPECT_EQ(status(w.service_token(), "password"), "400");
  EXPECT_EQ(status("SharedAccessSignature nonsense"), "401");
  EXPECT_EQ(status("eyJ0eXAiOiJKV1QifQ.e30.AA"), "401");
  EXPECT_EQ(status(w.service_token("registryRead")), "401");
  EXPECT_EQ(status(w.service_token("iothubowner", -1000)), "401");
  EXPECT_EQ(status(w.events_token("sb://elsewhere.example/h")), "401");
  EXPECT_EQ(status(w.events_token("sb://h.azure-devices.net/h", "iothubowner", -1000)), "401");
  EXPECT_EQ(status(w.token(to_base64("another key, of 32 bytes in length"), "sb%3A%2F%2Fh.azure-devices.net%2Fh", 60,
                           "iothubowner")),
            "401");
  EXPECT_EQ(status(w.token(w.key_of("d1"), "h.azure-devices.net%2Fdevices%2Fd2")), "401");
  EXPECT_TRUE(c.open());
}

TEST(AmqpCbs, KeepsOneTokenForEachAudienceAndNotTooMany) {
  amqp_world w;
  amqp_client c{w};
  for (std::size_t i = 0; i != hub::amqp_claims::max_claims; ++i)
    ASSERT_THAT(c.put_token("a" + std::to_string(i), w.service_token()), HasSubstr("200"));
  EXPECT_THAT(c.put_token("a0", w.service_token()), HasSubstr("200"));
  EXPECT_THAT(c.put_token("one more", w.service_token()), HasSubstr("403"));
}

TEST(AmqpSasl, PlainShowsAPolicyADeviceOrAKey) {
  amqp_world w;
  w.create("d1");
  auto const login = [&](std::string user, std::string_view password) {
    amqp_client c{w, {amqp::sasl_mechanism::plain, std::move(user), secret{password}}};
    return c.open() ? std::string{"open"} : c.closed;
  };
  EXPECT_EQ(login("iothubowner@sas.root.h", w.service_token()), "open");
  EXPECT_EQ(login("service@SAS.root.h", w.service_token("service")), "open");
  EXPECT_EQ(login("d1@sas.h", w.device_token("d1")), "open");
  EXPECT_EQ(login("iothubowner", w.hub.find_policy("iothubowner")->primary_key), "open");
  EXPECT_EQ(login("service@sas.root.h", w.service_token()), "unauthorized");
  EXPECT_EQ(login("d2@sas.h", w.device_token("d1")), "unauthorized");
  EXPECT_EQ(login("iothubowner", "a2V5"), "unauthorized");
  EXPECT_EQ(login("nobody", ""), "unauthorized");
}

TEST(AmqpSasl, EveryMechanismAndNoneMayConnect) {
  amqp_world w;
  for (auto const mechanism : {amqp::sasl_mechanism::none, amqp::sasl_mechanism::anonymous,
                               amqp::sasl_mechanism::external, amqp::sasl_mechanism::mssbcbs}) {
    amqp_client c{w, {mechanism, "", {}}};
    EXPECT_TRUE(c.open()) << amqp::to_string(mechanism);
    EXPECT_THAT(c.put_token("a", w.service_token()), HasSubstr("200"));
  }
}

// Else strangers fill the port with connections that cost them nothing.
TEST(AmqpSasl, WhoShowsNoTokenIsNotKept) {
  amqp_world w;
  amqp_client silent{w}, refused{w}, shown{w};
  EXPECT_THAT(refused.put_token("a", "garbage"), Not(HasSubstr("200")));
  EXPECT_THAT(shown.put_token("a", w.service_token()), HasSubstr("200"));
  silent.pass(59s);
  refused.run();
  EXPECT_TRUE(silent.open() && refused.open());
  silent.pass(1s);
  refused.run();
  shown.run();
  EXPECT_EQ(silent.closed, "unauthorized");
  EXPECT_EQ(refused.closed, "unauthorized");
  EXPECT_TRUE(shown.open());
  EXPECT_EQ(silent.face_deadline(), iothub::never);
}

TEST(AmqpSasl, ATokenThatEndsLeavesTheSameTimeForTheNext) {
  amqp_world w;
  amqp_client c{w};
  EXPECT_THAT(c.put_token("a", w.service_token()), HasSubstr("200"));
  duration const until_its_end = c.face_deadline() - w.at.now;
  c.pass(until_its_end + 59s);
  EXPECT_TRUE(c.open());
  c.pass(1s);
  EXPECT_EQ(c.closed, "unauthorized");
}

TEST(AmqpLinks, NeedAToken) {
  amqp_world w;
  w.create("d1");
  amqp_client c{w};
  for (std::string_view const address : {"/messages/devicebound", "/devices/d1/messages/events", "/devices/d1/twin"}) {
    c.sender(address);
    EXPECT_EQ(c.ended(address), "amqp:unauthorized-access: no token was shown on this connection that allows it");
  }
  for (std::string_view const address :
       {"/messages/serviceBound/feedback", "h/ConsumerGroups/$Default/Partitions/0", "$management"}) {
    c.receiver(address);
    EXPECT_THAT(c.ended(address), StartsWith("amqp:unauthorized-access")) << address;
  }
  EXPECT_THAT(c.info, HasSubstr("com.microsoft:tracking-id"));
}

TEST(AmqpLinks, ATokenOpensNoMoreThanItSays) {
  amqp_world w;
  w.create("d1");
  w.create("d2");
  amqp_client c{w};
  c.put_token("d", w.device_token("d1"));
  EXPECT_EQ(c.sender("/devices/d1/messages/events")->state(), amqp::link::state_type::attached);
  c.sender("/devices/d2/messages/events");
  EXPECT_THAT(c.ended("/devices/d2"), StartsWith("amqp:unauthorized-access"));
  c.sender("/messages/devicebound");
  EXPECT_THAT(c.ended("/messages"), StartsWith("amqp:unauthorized-access"));
  c.put_token("sb", w.events_token("sb://h.azure-devices.net/h/ConsumerGroups/$Default/Partitions/0"));
  c.receiver("h/ConsumerGroups/$default/Partitions/1");
  EXPECT_THAT(c.ended("h/"), StartsWith("amqp:unauthorized-access"));
  EXPECT_EQ(c.receiver("h/ConsumerGroups/$default/Partitions/0")->state(), amqp::link::state_type::attached);
}

TEST(AmqpLinks, AnAddressThatMeansNothingIsRefusedAndTheConnectionGoesOn) {
  amqp_world w;
  amqp_client c{w};
  c.put_token("a", w.service_token());
  c.sender("/somewhere");
  EXPECT_EQ(c.ended("/somewhere"), "amqp:not-found: there is no node of that address");
  c.receiver("/messages/devicebound");
  EXPECT_EQ(c.ended("/messages/devicebound"), "amqp:not-allowed: links of this address go the other way");
  EXPECT_EQ(c.sender("/messages/devicebound")->state(), amqp::link::state_type::attached);
}

TEST(AmqpLinks, AreDetachedWhenTheirTokenEnds) {
  amqp_world w;
  amqp_client c{w};
  c.put_token("a", w.service_token("iothubowner", 60));
  c.sender("/messages/devicebound");
  c.receiver("/messages/serviceBound/feedback");
  c.pass(650s);  // grace: 600 s
  EXPECT_EQ(c.ended("/messages/devicebound"), "");
  c.pass(20s);
  EXPECT_THAT(c.ended("/messages/devicebound"), StartsWith("amqp:unauthorized-access"));
  EXPECT_THAT(c.ended("/messages/serviceBound/feedback"), StartsWith("amqp:unauthorized-access"));
  EXPECT_TRUE(c.open());
}

TEST(AmqpLinks, StayWhenANewTokenComes) {
  amqp_world w;
  amqp_client c{w};
  c.put_token("a", w.service_token("iothubowner", 60));
  c.sender("/messages/devicebound");
  c.pass(300s);
  c.put_token("a", w.service_token());
  c.pass(500s);
  EXPECT_EQ(c.ended("/messages/devicebound"), "");
}

TEST(AmqpRedirect, NamesTheEventEndpoint) {
  amqp_world w;
  amqp_client c{w};
  c.put_token("a", w.service_token());
  c.receiver("/messages/events/$management");
  EXPECT_THAT(c.ended("/messages/events"), StartsWith("amqp:link:redirect"));
  EXPECT_EQ(c.info,
            R"({hostname: "h.azure-devices.net", network-host: "h.azure-devices.net", port: 5671, )"
            R"(address: "amqps://h.azure-devices.net:5671/h/$management"})");
  c.receiver("amqps://h/messages/events/");
  EXPECT_THAT(c.info, HasSubstr(R"("amqps://h.azure-devices.net:5671/h/")"));
}

TEST(AmqpRedirect, IsForThoseWhoMayReadEvents) {
  amqp_world w;
  w.create("d1");
  std::string const address = "/messages/events/$management";
  // azure-event-hubs-node, IotSasTokenProvider: the resource of Event Hubs, the key as bytes.
  auto const as_node = [&](std::string_view policy) {
    return w.token(w.hub.find_policy(policy)->primary_key,
                   percent_encode("sb://h.azure-devices.net/messages/events/$management"), 3600, policy);
  };
  for (auto const& [token, wanted] :
       {std::pair{as_node("iothubowner"), "amqp:link:redirect"}, {w.service_token("service"), "amqp:link:redirect"},
        {w.events_token("sb://h.azure-devices.net"), "amqp:link:redirect"},
        {as_node("registryRead"), "amqp:unauthorized-access"}, {w.device_token("d1"), "amqp:unauthorized-access"}}) {
    amqp_client c{w};
    (void)c.put_token("a", token);
    c.sender(address);
    EXPECT_THAT(c.ended(address), StartsWith(wanted)) << token;
  }
}

// Nobody finds out from outside which devices there are; the log says why.
TEST(AmqpEnumeration, AnUnknownDeviceAndAWrongKeyLookAlikeOnCbs) {
  amqp_world w;
  w.create("d1");
  amqp_client c{w};
  std::string const key = to_base64("thirty-two bytes that are no key");
  auto const answer = [&](std::string const& id) {
    w.log.lines.clear();
    return c.put_token("a", w.token(key, "h.azure-devices.net%2Fdevices%2F" + id));
  };
  auto const known = answer("d1");
  EXPECT_THAT(w.log.lines, Contains(HasSubstr("wrong key")));
  EXPECT_EQ(known, answer("d2"));
  EXPECT_THAT(w.log.lines, Contains(HasSubstr("d2")));
  EXPECT_EQ(known, answer("d1%2Fmodules%2Fm"));
  EXPECT_THAT(known, HasSubstr("401"));
}

TEST(AmqpEnumeration, AnUnknownDeviceAndAWrongKeyLookAlikeInSasl) {
  amqp_world w;
  w.create("d1");
  std::string const key = to_base64("thirty-two bytes that are no key");
  for (std::string const id : {"d1", "d2"}) {
    amqp_client c{w, {amqp::sasl_mechanism::plain, id + "@sas.h",
                      secret{w.token(key, "h.azure-devices.net%2Fdevices%2F" + id)}}};
    EXPECT_FALSE(c.open()) << id;
    EXPECT_EQ(c.closed, "unauthorized") << id;
  }
  EXPECT_THAT(w.log.lines, Contains(HasSubstr("wrong key")));
}

TEST(AmqpEnumeration, ADeviceLearnsNothingOfOthers) {
  amqp_world w;
  w.create("d1");
  w.create("d2");
  amqp_client c{w};
  EXPECT_THAT(c.put_token("a", w.device_token("d1")), HasSubstr("200"));
  for (std::string const id : {"d2", "d3"}) {
    c.sender("/devices/" + id + "/messages/events");
    EXPECT_EQ(c.ended("/devices/" + id), "amqp:unauthorized-access: no token was shown on this connection that allows it");
  }
}

TEST(AmqpEnumeration, TheTokenOfTheDeviceIsTriedFirst) {
  amqp_world w;
  amqp_client c{w};
  for (int n = 0; n != 20; ++n) {
    std::string const id = "gateway-" + std::to_string(n);
    w.create(id);
    EXPECT_THAT(c.put_token(id, w.device_token(id)), HasSubstr("200"));
  }
  w.log.lines.clear();
  EXPECT_EQ(c.sender("/devices/gateway-19/messages/events")->state(), amqp::link::state_type::attached);
  EXPECT_THAT(w.log.lines, Not(Contains(HasSubstr("refused"))));
}

}  // namespace
