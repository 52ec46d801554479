// The client transport and a server connection at the two ends of a pipe that cuts, delays and breaks.
#include <gtest/gtest.h>

#include <optional>

#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/mqtt/server_connection.hpp>
#include <iothub/policy/stream_mqtt.hpp>

#include "mqtt_peers.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::logging_owner;
using iothub_test::text;

// Serves one connection after the other.
struct server final : participant {
  server(loop& on, memory::pipe_listener l) : world{on}, listener{std::move(l)} {
    on.add(*this);
    listener.attach(on, *this);
  }
  void step(time_point now) override {
    while (std::optional<memory::pipe_stream> fresh = listener.accept(now)) {
      stream.emplace(std::move(*fresh));
      stream->attach(world, *this);
      link.emplace(owner, options, now);
      owner.session = &link->session();
    }
    if (!link) return;
    char buffer[1000];
    while (link->room() != 0) {
      io_result const got = stream->read(buffer, now);
      if (got.status == io_status::done) {
        link->receive({buffer, got.size}, now);
        continue;
      }
      if (got.status != io_status::would_block) link->link_lost(errc::connection_lost, now);
      break;
    }
    link->step(now);
    while (!link->output().empty()) {
      io_result const put = stream->write(link->output(), now);
      if (put.status != io_status::done) break;
      link->consume(put.size);
    }
    if (link->finished() && link->output().empty()) {
      link.reset();
      stream.reset();
    }
  }
  [[nodiscard]] time_point deadline() const override { return link ? link->deadline() : never; }

  loop& world;
  memory::pipe_listener listener;
  server_options options;
  logging_owner owner;
  std::optional<memory::pipe_stream> stream;
  std::optional<server_connection> link;
};

struct device final : participant {
  device(loop& on, memory::pipe_network& network) : world{on}, client{client_options{}, network} {
    on.add(*this);
    client.attach(on, *this);
  }
  void step(time_point now) override {
    client.step(now);
    while (client_event const* const e = client.next_event()) {
      log.push_back(text(e));
      if (e->kind == client_event_kind::message && e->publish.qos == 1) client.acknowledge(e->id, now);
    }
  }
  [[nodiscard]] time_point deadline() const override { return client.deadline(); }
  void open() {
    mqtt::connect c;
    c.client_id = "dev";
    c.keep_alive = 60;
    ASSERT_TRUE(client.open({"hub", 1}, c, world.now()));
  }
  void publish(std::string_view payload) {
    ASSERT_TRUE(client.publish({.topic = "t", .payload = payload, .qos = 1}, world.now()));
  }

  loop& world;
  stream_mqtt<memory::pipe_stream> client;
  std::vector<std::string> log;
};

class MqttPipe : public ::testing::Test {
 protected:
  void run(double seconds) { (void)world.run_for(duration{static_cast<std::int64_t>(seconds * 1e6)}); }

  memory::virtual_loop world;
  memory::pipe_network network{world, {.latency = std::chrono::milliseconds{20}, .max_chunk = 7}};
  server hub{world, std::move(*network.listen({"hub", 1}))};
  device dev{world, network};
};

TEST_F(MqttPipe, CarriesMessagesBothWaysInPiecesOfAnySize) {
  dev.open();
  run(1);
  std::vector<std::string> sent{"connect dev"};
  std::vector<std::string> seen{"connected"};
  std::string const filler(300, '.');
  for (int i = 1; i <= 100; ++i) {
    dev.publish(std::to_string(i) + filler);
    sent.push_back("publish t " + (std::to_string(i) + filler).substr(0, 16) + " qos1");
    seen.push_back("published " + std::to_string(i));
  }
  run(60);
  EXPECT_EQ(hub.owner.log, sent);
  EXPECT_EQ(dev.log, seen);
  ASSERT_TRUE(hub.owner.session->publish({.topic = "a", .payload = filler, .qos = 1}));
  hub.world.wake(hub);
  run(60);
  EXPECT_EQ(dev.log.back(), "message a " + filler + " qos1 id1");
  EXPECT_EQ(hub.owner.log.back(), "puback 1");
}

TEST_F(MqttPipe, AnIdleConnectionStaysForADay) {
  dev.open();
  run(86'400);
  EXPECT_EQ(dev.log, std::vector<std::string>{"connected"});
  EXPECT_EQ(hub.owner.log, std::vector<std::string>{"connect dev"});
}

TEST_F(MqttPipe, ResendsAfterAReset) {
  dev.open();
  run(1);
  network.hold_all(memory::pipe_direction::to_client);
  dev.publish("a");
  run(1);
  EXPECT_EQ(hub.owner.log.back(), "publish t a qos1");
  network.reset_all();
  run(1);
  EXPECT_EQ(dev.log.back(), "closed connection_lost");
  hub.owner.session_present = true;
  dev.open();
  run(1);
  EXPECT_EQ(hub.owner.log.back(), "publish t a qos1 dup");
  EXPECT_EQ(dev.log.back(), "published 1");
}

TEST_F(MqttPipe, BothSidesNoticeASilentLink) {
  dev.open();
  run(1);
  network.hold_all();
  run(30 + 45 + 1);
  EXPECT_EQ(dev.log.back(), "closed connection_lost") << "no PINGRESP";
  run(90);
  EXPECT_EQ(hub.owner.log.back(), "closed timeout") << "nothing for one and a half keep-alives";
}

TEST_F(MqttPipe, DisconnectArrivesBeforeTheEnd) {
  dev.open();
  run(1);
  dev.client.close(close_mode::graceful, world.now());
  run(1);
  EXPECT_EQ(hub.owner.log.back(), "closed clean");
}

}  // namespace
