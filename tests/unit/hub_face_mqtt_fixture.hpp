// A connected device, for the tests of the MQTT face.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub_face_test_peer.hpp"

namespace hub_face_test {

class MqttFace : public testing::Test {
 protected:
  explicit MqttFace(hub::options options = {}) : hub{std::move(options)}, device{hub} {}
  void SetUp() override {
    hub.create("d1");
    ASSERT_THAT(device.connect("d1"), testing::ElementsAre("connack 0"));
  }
  telemetry_event last_event() {
    auto events = hub.core.events().all();
    return events.empty() ? telemetry_event{} : events.back();
  }
  std::uint64_t send_c2d(message what) {
    return hub.core.send_c2d("d1", {.content = std::move(what)}, hub.now()).value();
  }

  test_hub hub;
  test_device device;
};

}  // namespace hub_face_test
