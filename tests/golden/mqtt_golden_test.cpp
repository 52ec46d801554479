// What Microsoft's SDKs were seen to put on the wire over MQTT, read by our parsers and compared with what we would
// send.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/hub_topics.hpp>
#include <iothub/wire/message_properties.hpp>
#include <iothub/wire/mqtt_identity.hpp>
#include <iothub/wire/mqtt_user_name.hpp>

#include "test_data.hpp"

namespace {

using namespace iothub;

std::string text_of(json::value const& v) {
  return std::string{v.as_string().value_or("")};
}

template <class F>
std::size_t for_each_packet(std::string_view packet, F f) {
  static auto const goldens = iothub_test::load("goldens.json");
  std::size_t count = 0;
  for (auto const& row : goldens.elements())
    if (row["packet"] == packet) {
      SCOPED_TRACE(text_of(row["sdk"]) + ": " + text_of(row["action"]));
      f(row);
      ++count;
    }
  return count;
}

bool is_provisioning(json::value const& row) {
  return text_of(row["sdk"]).find("provisioning") != std::string::npos;
}

// The message that a row says was sent, in the words of either SDK.
message expected_message(json::value const& input) {
  message m;
  auto const& app = input["app"];
  for (auto const& p : app.members()) m.properties.push_back({std::string{p.key()}, text_of(p.value())});
  for (auto const& pair : app.elements()) m.properties.push_back({text_of(pair[0]), text_of(pair[1])});
  auto const& sys = input["sys"];
  auto const take = [&sys](std::string& into, char const* node, char const* python) {
    into = text_of(sys[node]);
    if (into.empty()) into = text_of(sys[python]);
  };
  take(m.message_id, "messageId", "message_id");
  take(m.correlation_id, "correlationId", "correlation_id");
  take(m.user_id, "userId", "user_id");
  take(m.content_type, "contentType", "content_type");
  take(m.content_encoding, "contentEncoding", "content_encoding");
  take(m.output_name, "outputName", "output_name");
  take(m.to, "to", "to");
  std::string expiry;
  take(expiry, "expiryTimeUtc", "expiry_time_utc");
  if (!expiry.empty()) m.expiry_time = parse_iso8601(expiry).value();
  return m;
}

TEST(MqttGoldens, EveryUserNameIsRead) {
  std::size_t const seen = for_each_packet("connect", [](json::value const& row) {
    if (is_provisioning(row)) return;
    auto const user = text_of(row["username"]);
    auto const identity = parse_mqtt_user_name(user).value();
    EXPECT_EQ(mqtt_client_id(identity.device_id, identity.module_id), text_of(row["clientId"]));
    EXPECT_EQ(identity.host_name, "localhost");
    EXPECT_NE(user.find("api-version=" + identity.api_version), std::string::npos);
    EXPECT_TRUE(identity.client_type.starts_with("azure-iot-device"));
    EXPECT_EQ(identity.client_type.find('%'), std::string::npos);
    if (user.find("model-id") != std::string::npos) {
      EXPECT_EQ(identity.model_id, "dtmi:com:example:Thermostat;1");
    }
    // Ours is what azure-iot-sdk-python sends for the same identity; -node puts the model first and escapes less.
    if (text_of(row["sdk"]).starts_with("python") && user.find("my%20prod") == std::string::npos) {
      EXPECT_EQ(mqtt_user_name(identity), user);
    }
  });
  EXPECT_GE(seen, 11u);
}

TEST(MqttGoldens, EveryTelemetryTopicGivesItsMessage) {
  std::size_t compared = 0;
  for_each_packet("publish", [&compared](json::value const& row) {
    std::string const topic = text_of(row["topic"]);
    if (is_provisioning(row) || topic.find("/messages/events") == std::string::npos) return;
    auto const read = classify_publish(topic);
    ASSERT_EQ(read.kind, publish_kind::telemetry) << topic;
    EXPECT_TRUE(read.device_id == "dev1" || read.device_id == "pydev" || read.device_id == "azdev");
    EXPECT_EQ(read.module_id, topic.find("/modules/") == std::string::npos ? "" : "mod1");
    message got;
    read_property_bag(read.bag, got).value();
    if (row.find("input") == nullptr) return;
    message wanted = expected_message(row["input"]);
    // -node fills in `to`, which is part of its system properties only where the program set it.
    EXPECT_EQ(got, wanted) << topic;
    ++compared;
  });
  EXPECT_GE(compared, 38u);
}

TEST(MqttGoldens, SpecialPropertiesLandInTheirFields) {
  std::set<std::string> seen;
  for_each_packet("publish", [&seen](json::value const& row) {
    std::string const action = text_of(row["action"]), topic = text_of(row["topic"]);
    if (action.find("ecurity") == std::string::npos && action.find("$.sub") == std::string::npos &&
        action.find("utput") == std::string::npos)
      return;
    message got;
    read_property_bag(classify_publish(topic).bag, got).value();
    if (!got.interface_id.empty()) {
      EXPECT_EQ(got.interface_id, "urn:azureiot:Security:SecurityAgent:1");
    }
    if (!got.component_name.empty()) {
      EXPECT_EQ(got.component_name, "thermostat1");
    }
    if (!got.output_name.empty()) {
      EXPECT_EQ(got, (message{.properties = {{"k", "v"}}, .output_name = "out 1"}));
    }
    seen.insert(!got.interface_id.empty() ? "ifid" : !got.component_name.empty() ? "sub" : "on");
  });
  EXPECT_EQ(seen, (std::set<std::string>{"ifid", "on", "sub"}));
}

// For application properties our bag is that of azure-iot-sdk-python byte for byte, except that Python sorts by name;
// -node also leaves ! ' ( ) * unescaped, which RFC 3986 section 2.2 reserves.
TEST(MqttGoldens, OurBagForApplicationPropertiesIsPythons) {
  std::size_t compared = 0;
  for_each_packet("publish", [&compared](json::value const& row) {
    if (row["input"].find("app") == nullptr || row["input"].find("sys") != nullptr) return;
    std::string const topic = text_of(row["topic"]);
    bool const node_spares_some = text_of(row["sdk"]).starts_with("node") && topic.find('!') != std::string::npos;
    if (node_spares_some) return;
    auto const read = classify_publish(topic);
    std::string ours;
    device_topics::make({std::string{read.device_id}})
        .value()
        .append_telemetry(ours, expected_message(row["input"]))
        .value();
    EXPECT_EQ(ours, topic);
    ++compared;
  });
  EXPECT_GE(compared, 36u);
}

// All system properties at once: the same pairs as both SDKs, in an order of our own, and times always with three
// digits and Z (-python sends what the program wrote).
TEST(MqttGoldens, OurBagForSystemPropertiesHasTheSamePairs) {
  std::size_t compared = 0;
  for_each_packet("publish", [&compared](json::value const& row) {
    if (text_of(row["action"]) != "telemetry: every system property + one app") return;
    std::string ours;
    append_telemetry_bag(ours, expected_message(row["input"])).value();
    auto const pairs = [](std::string_view bag) {
      std::set<std::string> all;
      splitter parts{bag, '&'};
      std::string_view part;
      while (parts.next(part)) all.emplace(part);
      return all;
    };
    auto theirs = pairs(classify_publish(text_of(row["topic"])).bag);
    if (theirs.erase("%24.exp=2030-01-02T03%3A04%3A05") != 0) theirs.insert("%24.exp=2030-01-02T03%3A04%3A05.000Z");
    EXPECT_EQ(pairs(ours), theirs);
    ++compared;
  });
  EXPECT_EQ(compared, 2u);
}

TEST(MqttGoldens, EveryRequestAndResponseIsRead) {
  std::size_t twins = 0, methods = 0;
  for_each_packet("publish", [&](json::value const& row) {
    std::string topic = text_of(row["topic"]);
    if (!topic.starts_with("$iothub/")) return;
    if (auto const at = topic.find("<UUID>"); at != std::string::npos)
      topic.replace(at, 6, "00010203-0405-4607-8809-0a0b0c0d0e0f");
    auto const read = classify_publish(topic);
    ASSERT_NE(read.kind, publish_kind::unknown) << topic;
    std::string ours;
    if (read.kind == publish_kind::method_response) append_method_response_topic(ours, read.status.value(), read.rid);
    if (read.kind == publish_kind::twin_get) append_twin_get_topic(ours, read.rid);
    if (read.kind == publish_kind::reported_patch) append_reported_patch_topic(ours, read.rid);
    EXPECT_EQ(ours, topic);
    ++(read.kind == publish_kind::method_response ? methods : twins);
  });
  EXPECT_GE(twins, 5u);
  EXPECT_GE(methods, 5u);
}

TEST(MqttGoldens, EveryFilterIsKnownAndOurs) {
  std::set<filter_kind> kinds;
  for_each_packet("subscribe", [&kinds](json::value const& row) {
    if (is_provisioning(row)) return;
    for (auto const& subscription : row["subscriptions"].elements()) {
      std::string const filter = text_of(subscription["topic"]);
      auto const read = classify_filter(filter);
      ASSERT_NE(read.kind, filter_kind::unknown) << filter;
      kinds.insert(read.kind);
      device_key const who{std::string{read.device_id}, std::string{read.module_id}};
      if (read.kind == filter_kind::c2d) {
        EXPECT_EQ(device_topics::make(who).value().c2d_filter(), filter);
      }
      if (read.kind == filter_kind::module_inputs) {
        EXPECT_EQ(device_topics::make(who).value().inputs_filter(), filter);
      }
    }
  });
  EXPECT_EQ(kinds.size(), 5u);
}

}  // namespace
