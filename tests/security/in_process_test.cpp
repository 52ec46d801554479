// What docs/security.md says of the hub in a program's own process: no socket, no file, keys from the seed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>

#include <iothub/fake_hub.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

std::size_t open_files() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {}));
}

// Everything that the quick start does, and a reconnect. What it has to hold at the end is told.
template <class Wiring, class Look>
std::string quickstart(Look look) {
  fake_hub hub;
  auto device = hub.make_device<Wiring>("d");
  auto service = hub.connect_service<Wiring>();
  int called = 0, seen = 0, wanted = 0;
  device.on_method("m", [&](method_request const&) -> method_response {
    look();
    ++called;
    return {.status = 201};
  });
  device.on_message([&](c2d_message const&) { ++seen; });
  device.on_desired([&](json::value const&, std::int64_t) { ++wanted; });
  bool good = device.connect().has_value() && device.send_telemetry({.body = "1"}).has_value() &&
              device.update_reported_properties({{"a", 1}}).has_value() && device.get_twin().has_value();
  good = good && service.create_device("other") && service.get_twin("d") && service.query_page("SELECT * FROM devices", 10);
  auto const answer = service.invoke_method("d", {.name = "m"});
  hub.send_c2d("d", {.body = "2"});
  hub.set_desired("d", {{"b", 2}});
  hub.disconnect("d");
  hub.run_for(2h);  // a renewal, too
  look();
  good = good && answer && answer->status == 201 && device.is_connected() && called == 1 && seen == 1 && wanted >= 1;
  return good && hub.core().events().all().size() == 1 ? "good" : "not as it should be";
}

TEST(InProcess, OpensNothing) {
  std::size_t const before = open_files();
  int looked = 0;
  auto const look = [&] {
    ++looked;
    EXPECT_EQ(open_files(), before);
  };
  EXPECT_EQ(quickstart<wiring::direct>(look), "good");
  EXPECT_EQ(quickstart<wiring::pipe>(look), "good");
  EXPECT_EQ(quickstart<wiring::pipe_tls>(look), "good");
  EXPECT_EQ(looked, 6);
  EXPECT_EQ(open_files(), before);
}

// Nor has it any use for what it cannot have: a process that may open nothing at all.
[[noreturn]] void work_without_descriptors() {
  rlimit const none{0, 0};
  setrlimit(RLIMIT_NOFILE, &none);
  auto const look = [] {};
  bool const closed = ::open("/dev/null", O_RDONLY) == -1;
  std::_Exit(closed && quickstart<wiring::direct>(look) == "good" && quickstart<wiring::pipe>(look) == "good" ? 0 : 1);
}
TEST(InProcess, WorksWhereNothingCanBeOpened) {
  EXPECT_EXIT(work_without_descriptors(), ::testing::ExitedWithCode(0), "");
}

TEST(InProcess, HasKeysFromTheSeed) {
  auto const keys = [](std::uint64_t seed) {
    fake_hub hub{{.seed = seed}};
    return hub.create_device({.device_id = "d"}).authentication.primary_key + hub.core().find_policy("iothubowner")->primary_key;
  };
  EXPECT_EQ(keys(1), keys(1));
  EXPECT_NE(keys(1), keys(2));
}

}  // namespace
