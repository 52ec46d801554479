// Readers of the event endpoint when memory runs out in the hub, on the connection of one of them or where an event came from.
#include "../support/failing_allocator.hpp"
#include "hub_amqp_peer.hpp"

namespace {

using namespace hub_amqp_test;
using ::testing::Contains;
using ::testing::ElementsAre;

std::string const partitions = "h/ConsumerGroups/$Default/Partitions/";

// One receiver's turn threw: the others of the connection have theirs in the next.
TEST(HubAmqpMemory, ATurnThatThrewIsGoneOnWith) {
  amqp_world w;
  amqp_client c{w};
  c.put_token("sb://h.azure-devices.net/h", w.service_token());
  auto* const first = c.receiver(partitions + "0");
  auto* const second = c.receiver(partitions + "1");
  w.event(0, std::string(300'000, 'x'));  // more than there is room for anywhere
  w.event(1, "b");
  iothub_test::fail_allocation(1);
  EXPECT_THROW(c.run(), std::bad_alloc);
  EXPECT_TRUE(iothub_test::memory_is_back());
  c.run();
  EXPECT_THAT(c.bodies(second), ElementsAre("b"));
  first->detach();
  c.run();
  w.event(0, "nobody reads it");
  w.event(1, "c");
  c.run();
  EXPECT_THAT(c.bodies(second), ElementsAre("c"));
}

// Whatever fails while an event is stored: readers hear of it, or of the next.
TEST(HubAmqpMemory, AReaderHearsOfEventsWhereverTheirSenderRanOut) {
  std::uint64_t failures = 0;
  for (bool failed = true; failed;) {
    amqp_world w;
    amqp_client c{w};
    c.put_token("sb://h.azure-devices.net/h", w.service_token());
    auto* const reader = c.receiver(partitions + "0");
    c.run();
    iothub_test::fail_allocation(failures + 1);
    try {
      w.event(0, "a");
    } catch (std::bad_alloc const&) {
    }
    failed = iothub_test::memory_is_back();
    failures += failed;
    w.event(0, "b");
    c.run();
    EXPECT_THAT(c.bodies(reader), Contains("b")) << failures;
  }
  EXPECT_GT(failures, 0u);
}

}  // namespace
