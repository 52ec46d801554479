#include <gtest/gtest.h>

#include <string>

#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/hub_topics.hpp>

namespace {

using namespace iothub;

device_topics const d1 = device_topics::make({"d1"}).value();
device_topics const m1 = device_topics::make({"d1", "m1"}).value();

inbound_kind kind_of(std::string_view topic, device_topics const& who = d1) {
  return who.classify(topic).kind;
}

template <class Build>
std::string made(Build build) {
  std::string text{"x"};
  build(text);
  byte_buffer buffer;
  buffer.append("x");
  build(buffer);
  EXPECT_EQ(buffer.view(), text);
  return text.substr(1);
}

TEST(DeviceTopics, BuildsTelemetry) {
  message const m{.properties = {{"a b", "c/d"}}};
  EXPECT_EQ(made([&](auto& out) { d1.append_telemetry(out, m).value(); }), "devices/d1/messages/events/a%20b=c%2Fd");
  EXPECT_EQ(made([&](auto& out) { m1.append_telemetry(out, {}).value(); }), "devices/d1/modules/m1/messages/events/");
  EXPECT_EQ(d1.telemetry_topic(), "devices/d1/messages/events/");
  EXPECT_EQ(d1.c2d_filter(), "devices/d1/messages/devicebound/#");
  EXPECT_EQ(m1.inputs_filter(), "devices/d1/modules/m1/inputs/#");
}

TEST(DeviceTopics, NeverEscapesAnId) {
  auto const topics = device_topics::make({"a-:.%_*?!(),=@;$'"}).value();
  EXPECT_EQ(topics.telemetry_topic(), "devices/a-:.%_*?!(),=@;$'/messages/events/");
}

TEST(DeviceTopics, RefusesIdsThatATopicCannotHold) {
  EXPECT_EQ(device_topics::make({"a#"}).error(), errc::unsupported);
  EXPECT_EQ(device_topics::make({"d", "a+"}).error(), errc::unsupported);
  EXPECT_EQ(device_topics::make({"a/b"}).error(), errc::invalid_argument);
  EXPECT_EQ(device_topics::make({""}).error(), errc::invalid_argument);
  EXPECT_EQ(device_topics::make({"d", "a/b"}).error(), errc::invalid_argument);
}

TEST(DeviceTopics, LeavesTheOutputAloneWhenAMessageIsRefused) {
  std::string text{"x"};
  EXPECT_EQ(d1.append_telemetry(text, {.properties = {{"$.mid", "1"}}}).error(), errc::invalid_argument);
  EXPECT_EQ(d1.append_telemetry(text, {.properties = {{"a", std::string(65'520, 'b')}}}).error(), errc::too_large);
  EXPECT_EQ(text, "x");
}

TEST(DeviceTopics, BuildsRequestsAndResponses) {
  EXPECT_EQ(made([](auto& out) { append_method_response_topic(out, -1, "1a"); }), "$iothub/methods/res/-1/?$rid=1a");
  EXPECT_EQ(made([](auto& out) { append_twin_get_topic(out, "7"); }), "$iothub/twin/GET/?$rid=7");
  EXPECT_EQ(made([](auto& out) { append_reported_patch_topic(out, "7"); }),
            "$iothub/twin/PATCH/properties/reported/?$rid=7");
}

TEST(DeviceTopics, BuildsTheHubsTopics) {
  EXPECT_EQ(made([](auto& out) { append_method_request_topic(out, "reboot", "1"); }),
            "$iothub/methods/POST/reboot/?$rid=1");
  EXPECT_EQ(made([](auto& out) { append_twin_response_topic(out, 200, "1"); }), "$iothub/twin/res/200/?$rid=1");
  EXPECT_EQ(made([](auto& out) { append_twin_response_topic(out, 204, "1", 7); }),
            "$iothub/twin/res/204/?$rid=1&$version=7");
  EXPECT_EQ(made([](auto& out) { append_desired_change_topic(out, 4); }),
            "$iothub/twin/PATCH/properties/desired/?$version=4");
  EXPECT_EQ(made([](auto& out) { append_c2d_topic(out, "d1", {}).value(); }),
            "devices/d1/messages/devicebound/%24.to=%2Fdevices%2Fd1%2Fmessages%2FdeviceBound");
  EXPECT_EQ(made([](auto& out) {
              append_input_topic(out, {"d1", "m1"}, "in", {}).value();
            }),
            "devices/d1/modules/m1/inputs/in/");
}

TEST(ClassifyInbound, KnowsEveryTopic) {
  EXPECT_EQ(d1.classify("devices/d1/messages/devicebound/a=1"),
            (inbound_topic{.kind = inbound_kind::c2d, .bag = "a=1"}));
  EXPECT_EQ(d1.classify("devices/d1/messages/devicebound/"), (inbound_topic{.kind = inbound_kind::c2d}));
  EXPECT_EQ(d1.classify("devices/d1/messages/devicebound"), (inbound_topic{.kind = inbound_kind::c2d}));
  EXPECT_EQ(d1.classify("devices/d1/messages/devicebound//?a=1").bag, "/?a=1");
  EXPECT_EQ(d1.classify("$iothub/methods/POST/reboot/?$rid=1a"),
            (inbound_topic{.kind = inbound_kind::method_request, .name = "reboot", .rid = "1a"}));
  EXPECT_EQ(d1.classify("$iothub/twin/res/200/?$rid=1"),
            (inbound_topic{.kind = inbound_kind::twin_response, .status = 200, .rid = "1"}));
  EXPECT_EQ(d1.classify("$iothub/twin/res/204/?$rid=1&$version=7"),
            (inbound_topic{.kind = inbound_kind::twin_response, .status = 204, .rid = "1", .version = 7}));
  EXPECT_EQ(d1.classify("$iothub/twin/res/204/?$version=7&$rid=1").version, 7);
  EXPECT_EQ(d1.classify("$iothub/twin/PATCH/properties/desired/?$version=4"),
            (inbound_topic{.kind = inbound_kind::desired_change, .version = 4}));
  EXPECT_EQ(m1.classify("devices/d1/modules/m1/inputs/in%201/a=1"),
            (inbound_topic{.kind = inbound_kind::module_input, .name = "in%201", .bag = "a=1"}));
  EXPECT_EQ(m1.classify("devices/d1/modules/m1/inputs/in").name, "in");
}

TEST(ClassifyInbound, AnotherDevicesTopicsAreUnknown) {
  for (auto topic :
       {"devices/d2/messages/devicebound/", "devices/d11/messages/devicebound/", "devices/d/messages/devicebound/",
        "devices/d1/modules/m1/inputs/in/", "devices/d1/messages/events/", "devices/d1/messages/deviceboundx"})
    EXPECT_EQ(kind_of(topic), inbound_kind::unknown) << topic;
  EXPECT_EQ(kind_of("devices/d1/messages/devicebound/", m1), inbound_kind::unknown);  // modules get no such messages
  EXPECT_EQ(kind_of("devices/d1/modules/m2/inputs/in/", m1), inbound_kind::unknown);
  EXPECT_EQ(kind_of("devices/d1/modules/m1/inputs//", m1), inbound_kind::unknown);
}

TEST(ClassifyInbound, RefusesWhatMustNotBeSentBack) {
  for (auto topic :
       {"$iothub/methods/POST/x/?$rid=1/2", "$iothub/methods/POST/x/?$rid=#", "$iothub/methods/POST/x/?$rid=1+",
        "$iothub/methods/POST/x/?$rid=", "$iothub/methods/POST/x/?$rid=1&$rid=2", "$iothub/methods/POST/x/?$rid=1#",
        "$iothub/methods/POST/x/y/?$rid=1", "$iothub/methods/POST//?$rid=1", "$iothub/methods/POST/+/?$rid=1",
        "$iothub/methods/POST/x?$rid=1", "$iothub/methods/POST/x/", "$iothub/methods/GET/x/?$rid=1",
        "$iothub/methods/POST/x/?$rid=1&a=b/c"})
    EXPECT_EQ(kind_of(topic), inbound_kind::unknown) << topic;
  EXPECT_EQ(kind_of("$iothub/methods/POST/x/?$rid=" + std::string(129, '1')), inbound_kind::unknown);
  EXPECT_EQ(kind_of("$iothub/methods/POST/" + std::string(60'000, 'x') + "/?$rid=1"), inbound_kind::unknown);
}

TEST(ClassifyInbound, RefusesNumbersOutOfRange) {
  for (auto topic :
       {"$iothub/twin/res//?$rid=1", "$iothub/twin/res/20/?$rid=1", "$iothub/twin/res/2000/?$rid=1",
        "$iothub/twin/res/abc/?$rid=1", "$iothub/twin/res/099/?$rid=1", "$iothub/twin/res/200/", "$iothub/twin/res/200",
        "$iothub/twin/res/204/?$rid=1&$version=18446744073709551616",
        "$iothub/twin/res/204/?$rid=1&$version=1&$version=2", "$iothub/twin/res/200/?$version=1",
        "$iothub/twin/PATCH/properties/desired/?$version=0", "$iothub/twin/PATCH/properties/desired/?$version=-1",
        "$iothub/twin/PATCH/properties/desired/", "$iothub/twin/PATCH/properties/reported/?$version=1"})
    EXPECT_EQ(kind_of(topic), inbound_kind::unknown) << topic;
}

TEST(ClassifyInbound, PassesOverUnknownParameters) {
  EXPECT_EQ(d1.classify("$iothub/methods/POST/x/?$rid=1&new=2").rid, "1");
  EXPECT_EQ(d1.classify("$iothub/twin/res/200/?new&$rid=1").rid, "1");
}

TEST(ClassifyInbound, EveryTruncationOfARequiredPartIsUnknown) {
  for (std::string const topic : {"$iothub/methods/POST/reboot/?$rid=1", "$iothub/twin/res/204/?$rid=1",
                                  "$iothub/twin/PATCH/properties/desired/?$version=4"}) {
    for (std::size_t size = 0; size != topic.size(); ++size)
      EXPECT_EQ(kind_of(topic.substr(0, size)), inbound_kind::unknown) << topic.substr(0, size);
    EXPECT_NE(kind_of(topic), inbound_kind::unknown);
  }
  EXPECT_EQ(kind_of("$iothub/twin/res/204/?$rid=1&$version="), inbound_kind::unknown);
}

TEST(ClassifyPublish, KnowsEveryShapeOfTelemetry) {
  for (auto topic : {"devices/d1/messages/events", "devices/d1/messages/events/"})
    EXPECT_EQ(classify_publish(topic), (device_publish{.kind = publish_kind::telemetry, .device_id = "d1"})) << topic;
  EXPECT_EQ(classify_publish("devices/d1/messages/events/a=1/").bag, "a=1/");
  EXPECT_EQ(classify_publish("devices/d1/modules/m1/messages/events/a=1"),
            (device_publish{.kind = publish_kind::telemetry, .device_id = "d1", .module_id = "m1", .bag = "a=1"}));
}

TEST(ClassifyPublish, KnowsRequestsAndResponses) {
  EXPECT_EQ(classify_publish("$iothub/methods/res/-1/?$rid=1a"),
            (device_publish{.kind = publish_kind::method_response, .rid = "1a", .status = -1}));
  EXPECT_FALSE(classify_publish("$iothub/methods/res/99999999999/?$rid=1").status.has_value());
  EXPECT_EQ(classify_publish("$iothub/methods/res/x/?$rid=1").kind, publish_kind::method_response);
  EXPECT_EQ(classify_publish("$iothub/twin/GET/?$rid=1"), (device_publish{.kind = publish_kind::twin_get, .rid = "1"}));
  EXPECT_EQ(classify_publish("$iothub/twin/GET/"), (device_publish{.kind = publish_kind::twin_get}));
  EXPECT_EQ(classify_publish("$iothub/twin/PATCH/properties/reported/?$rid=1&$version=3"),
            (device_publish{.kind = publish_kind::reported_patch, .rid = "1", .version = 3}));
}

TEST(ClassifyPublish, RefusesTheRest) {
  for (auto topic : {"", "foo/bar", "devices", "devices/", "devices//messages/events/", "devices/d1/messages/eventsx",
                     "devices/d1/modules//messages/events/", "devices/d1/messages/devicebound/", "$iothub/",
                     "$iothub/methods/res/200/", "$iothub/methods/res/200/?$rid=", "$iothub/methods/POST/x/?$rid=1",
                     "$iothub/twin/GET", "$iothub/twin/GET/x", "$iothub/twin/GET/x/?$rid=1",
                     "$iothub/twin/PATCH/properties/desired/?$rid=1", "$iothub/twin/PATCH/properties/reported/x?$rid=1",
                     "$iothub/twin/GET/?$rid=a/b", "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=x"})
    EXPECT_EQ(classify_publish(topic), device_publish{}) << topic;
}

TEST(ClassifyFilter, KnowsExactlyTheDocumentedFilters) {
  EXPECT_EQ(classify_filter(methods_filter).kind, filter_kind::methods);
  EXPECT_EQ(classify_filter(twin_responses_filter).kind, filter_kind::twin_responses);
  EXPECT_EQ(classify_filter(desired_changes_filter).kind, filter_kind::desired_changes);
  EXPECT_EQ(classify_filter("devices/d1/messages/devicebound/#"),
            (device_filter{.kind = filter_kind::c2d, .device_id = "d1"}));
  for (auto filter : {"devices/d1/modules/m1/inputs/#", "devices/d1/modules/m1/#"})
    EXPECT_EQ(classify_filter(filter),
              (device_filter{.kind = filter_kind::module_inputs, .device_id = "d1", .module_id = "m1"}));
  EXPECT_EQ(classify_filter("devices/d1/modules/m1/messages/devicebound/#").kind, filter_kind::c2d);
  for (auto filter : {"", "#", "+", "devices/#", "devices/d1/#", "devices/+/messages/devicebound", "$iothub/#",
                      "devices//messages/devicebound/#", "devices/d1/modules//inputs/#", "$iothub/methods/POST/+",
                      "devices/d1/messages/devicebound/"})
    EXPECT_EQ(classify_filter(filter), device_filter{}) << filter;
  EXPECT_EQ(classify_filter("devices/+/messages/devicebound/#").device_id, "+");  // no device has that id
}

}  // namespace
