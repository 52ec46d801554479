// Famous defects of AMQP libraries for devices, one test each: sizes that wrap, fields that are not what they should be.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/reader.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;

// The size of a binary is taken plus one, which wraps: CVE-2024-21646, told in
// https://github.com/Azure/azure-uamqp-c/security/advisories/GHSA-j29m-p99g-7hpv and
// https://github.com/Azure/azure-uamqp-python/issues/372. The same with the length of a buffer: CVE-2024-29195, told in
// https://github.com/Azure/azure-uamqp-python/issues/387
TEST(AmqpDefect, SizesNearTheirEndAreComparedAndNeverAdded) {
  for (std::string_view const code : {"b0", "b1", "b3", "d0", "d1", "f0"})
    for (std::string_view const size : {"ff ff ff ff", "ff ff ff fe", "ff ff ff fb", "80 00 00 00", "7f ff ff ff"})
      for (std::size_t behind : {0u, 1u, 4u, 100u}) {
        std::string const sent = bytes(std::string{code} + std::string{size}) + std::string(behind, '\xff');
        amqp::value_view found;
        amqp::violation rule;
        EXPECT_EQ(amqp::read_value(sent, found, rule), 0u) << code << " " << size;
        EXPECT_TRUE(rule);
      }
}

// The same in the fields of a frame that a peer sends: the connection ends with an error, and with nothing kept.
TEST(AmqpDefect, CountsThatPromiseMoreThanThereIsEndTheConnection) {
  for (std::string_view const body : {
           "00 53 10 d0 ff ff ff ff ff ff ff ff",           // open: a list of 4 G items
           "00 53 10 d0 00 00 00 04 ff ff ff ff",           // ... which would fit in no byte
           "00 53 10 c0 01 ff",                             // 255 items of no bytes
           "00 53 10 c0 03 01 a1 ff",                       // a name of 255 bytes, and none there
           "00 53 10 d0 00 00 00 05 00 00 00 01 b1",        // a name without its size
           "00 80 00 00 00 00 00 00 00 10 f0 ff ff ff ff",  // an array where the list should be
       }) {
    recorder seen;
    amqp::connection_options const options = named("server");
    amqp::connection server{amqp::connection_role::server, seen, options, time_point{}};
    server.receive(bytes("41 4d 51 50 00 01 00 00") + framed(0, bytes(body)), time_point{});
    EXPECT_EQ(seen.take().substr(0, 21), "closed protocol_error") << body;
  }
}

// A field that cannot be had is freed twice (CVE-2024-25110), an outcome that is not what it says is taken for another
// (CVE-2024-27099): https://github.com/Azure/azure-uamqp-c/pull/447, https://github.com/Azure/azure-uamqp-c/pull/463,
// https://github.com/Azure/azure-uamqp-python/issues/380. A message is freed twice:
// https://github.com/Azure/azure-iot-sdk-c/issues/2044. Here the answer to a token lacks each field in turn, or has it of
// another kind: it is "no" each time. Frames of all kinds with broken fields are in amqp_recorded_hub_test.cpp.
TEST(AmqpDefect, AnAnswerToATokenThatLacksItsStatusIsNoSuccess) {
  for (std::string_view const properties : {
           "00 53 74 c1 01 00",                                                                // none
           "00 53 74 c1 11 02 a1 0b 73 74 61 74 75 73 2d 63 6f 64 65 40",                      // null
           "00 53 74 c1 15 02 a1 0b 73 74 61 74 75 73 2d 63 6f 64 65 a1 03 32 30 30",          // "200"
           "00 53 74 c1 1a 02 a1 0b 73 74 61 74 75 73 2d 63 6f 64 65 81 00 00 00 01 00 00 00 c8",  // 200 + 2^32
           "00 53 74 c1 12 02 a1 0b 73 74 61 74 75 73 2d 63 6f 64 65 45",                      // a list
       }) {
    amqp::message_view m;
    std::string const sent = bytes(properties);
    amqp::violation const broken = amqp::read_message(sent, m);
    EXPECT_TRUE(broken || amqp::read_status(m).code == 0) << properties;
  }
}

}  // namespace
