#include <iothub/net/tcp_listener.hpp>
#include <iothub/net/tcp_stream.hpp>

#include <iothub/memory/virtual_loop.hpp>
#include <iothub/net/epoll_loop.hpp>

#include <talker.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using net::tcp_listener;
using net::tcp_stream;
using talker = iothub_test::talker<tcp_stream>;

// Takes connections and lets them echo.
struct echo_server : participant {
  explicit echo_server(loop& on) : loop_{on}, listener{*tcp_listener::listen({})} {
    on.add(*this);
    listener.attach(on, *this).value();
  }
  void step(time_point now) override {
    while (auto end = listener.accept(now)) {
      peers.push_back(std::make_unique<talker>(loop_, std::move(*end)));
      peers.back()->echo = true;
    }
  }
  time_point deadline() const override { return never; }
  loop& loop_;
  tcp_listener listener;
  std::vector<std::unique_ptr<talker>> peers;
};

// A port where nobody listens.
std::uint16_t closed_port() {
  return tcp_listener::listen({})->port();
}

// Whether this machine has an IPv6 loopback; containers may not.
bool has_ipv6_loopback() {
  return tcp_listener::listen({.address = "::1"}).has_value();
}

TEST(TcpListener, OfLocalhostIsReachedOnBothLoopbackAddresses) {
  net::epoll_loop l;
  auto listener = tcp_listener::listen({.address = "localhost"}).value();
  std::uint16_t const port = listener.port();
  for (char const* const host : {"127.0.0.1", "::1"}) {
    if (host == std::string{"::1"} && !has_ipv6_loopback()) {
      std::puts("note: this machine has no ::1");
      continue;
    }
    tcp_stream client;
    talker peer{l, std::move(client)};
    ASSERT_TRUE(peer.stream.open({host, port}, l.now())) << host;
    std::optional<tcp_stream> met;
    ASSERT_TRUE(l.run_until([&] { return (met = listener.accept()).has_value() || peer.failed; })) << host;
    EXPECT_TRUE(met.has_value()) << host;
  }
}

TEST(TcpListener, OfLocalhostRefusesAPortThatIsSomebodysOnTheOtherAddress) {
  if (!has_ipv6_loopback()) return void(std::puts("note: this machine has no ::1"));
  auto const theirs = tcp_listener::listen({.address = "::1"}).value();
  int refused = 0;
  EXPECT_EQ(tcp_listener::listen({.address = "localhost", .port = theirs.port()}, &refused).error(), errc::io_error);
  EXPECT_EQ(refused, EADDRINUSE);
  EXPECT_TRUE(tcp_listener::listen({.address = "127.0.0.1", .port = theirs.port()}));
}

TEST(TcpStream, CarriesBytesToALiteralAddressAndToAName) {
  for (char const* const host : {"127.0.0.1", "[127.0.0.1]", "localhost"}) {
    net::epoll_loop l;
    echo_server server{l};
    talker client{l, tcp_stream{}};
    ASSERT_TRUE(client.stream.open({host, server.listener.port()}, l.now()));
    std::string const text(300'000, 'x');
    client.say(text);
    ASSERT_TRUE(l.run_until([&] { return client.received.size() == text.size() || client.failed; }));
    ASSERT_TRUE(client.received == text) << host << ": " << client.received.size() << " bytes came";
    EXPECT_TRUE(client.stream.peer()->is_loopback());
    server.peers[0]->close();
    ASSERT_TRUE(l.run_until([&] { return client.ended; }));
  }
}

TEST(TcpStream, TellsThatThePeerLeftBehindBytesThatAreUnread) {
  net::epoll_loop l;
  auto listener = *tcp_listener::listen({});
  talker client{l, tcp_stream{}};
  ASSERT_TRUE(client.stream.open({"127.0.0.1", listener.port()}, l.now()));
  client.say("unread");
  std::optional<tcp_stream> accepted;
  ASSERT_TRUE(l.run_until([&] { return client.writes == 1 && (accepted || (accepted = listener.accept(l.now()))); }));
  talker server{l, *std::move(accepted)};
  server.reading = false;
  EXPECT_FALSE(server.stream.peer_left(l.now()));
  client.close();
  EXPECT_TRUE(l.run_until([&] { return server.stream.peer_left(l.now()); }));
  EXPECT_EQ(server.received, "");
}

TEST(TcpStream, SaysWhyItCannotConnect) {
  net::epoll_loop l;
  talker refused{l, tcp_stream{}}, unknown{l, tcp_stream{}};
  std::uint16_t const port = closed_port();
  ASSERT_TRUE(refused.stream.open({"127.0.0.1", port}, l.now()));
  ASSERT_TRUE(unknown.stream.open({"no-such-host.invalid", 8883}, l.now()));
  ASSERT_TRUE(l.run_until([&] { return refused.failed && unknown.failed; }));
  EXPECT_EQ(*refused.failed, errc::connection_refused);
  EXPECT_EQ(refused.failed->message(), "cannot connect to 127.0.0.1:" + std::to_string(port) + ": Connection refused");
  EXPECT_EQ(*unknown.failed, errc::host_not_found);
}

TEST(TcpStream, MisuseIsSaidAtOnce) {
  net::epoll_loop l;
  memory::virtual_loop in_virtual_time;
  talker t{l, tcp_stream{}}, v{in_virtual_time, tcp_stream{}};
  EXPECT_EQ(t.stream.open({"", 1}, l.now()).error(), errc::invalid_argument);
  EXPECT_EQ(t.stream.open({"localhost", 0}, l.now()).error(), errc::invalid_argument);
  EXPECT_EQ(t.stream.open({std::string{"local\0host", 10}, 1}, l.now()).error(), errc::invalid_argument);
  EXPECT_EQ(v.stream.open({"127.0.0.1", 1}, l.now()).error(), errc::unsupported);
  ASSERT_TRUE(t.stream.open({"127.0.0.1", closed_port()}, l.now()));
  EXPECT_EQ(t.stream.open({"127.0.0.1", 1}, l.now()).error(), errc::invalid_state);
}

// Nobody takes the connection from the queue of length 0, so the handshakes behind it get no answer.
TEST(TcpStream, GivesUpAfterItsTimeLimit) {
  net::epoll_loop l;
  tcp_listener full = *tcp_listener::listen({.backlog = 0});
  std::vector<std::unique_ptr<talker>> clients;
  for (int i = 0; i != 4; ++i) {
    clients.push_back(std::make_unique<talker>(l, tcp_stream{{.connect_timeout = 50ms}}));
    ASSERT_TRUE(clients.back()->stream.open({"127.0.0.1", full.port()}, l.now()));
  }
  ASSERT_TRUE(l.run_until([&] { return clients.back()->failed.has_value(); }));
  EXPECT_EQ(*clients.back()->failed, errc::timeout);
}

TEST(TcpStream, APeerThatResetsIsALostConnectionAndNoSignal) {
  net::epoll_loop l;
  echo_server server{l};
  talker client{l, tcp_stream{}};
  ASSERT_TRUE(client.stream.open({"127.0.0.1", server.listener.port()}, l.now()));
  ASSERT_TRUE(l.run_until([&] { return server.peers.size() == 1; }));
  linger const hard{1, 0};
  setsockopt(server.peers[0]->stream.native_handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  server.peers[0]->close();
  for (int i = 0; i != 3 && !client.failed; ++i) {
    client.say(std::string(100'000, 'x'));
    (void)l.run_until([&] { return client.failed.has_value(); }, l.now() + 20ms);
  }
  ASSERT_TRUE(client.failed);
  EXPECT_EQ(*client.failed, errc::connection_lost);
}

TEST(TcpStream, CanBeMovedWhileConnectingAndOpenedAgainAfterClose) {
  net::epoll_loop l;
  echo_server server{l};
  tcp_stream first;
  ASSERT_TRUE(first.open({"localhost", server.listener.port()}, l.now()));
  talker client{l, std::move(first)};
  client.say("one");
  ASSERT_TRUE(l.run_until([&] { return client.received == "one"; }));
  client.stream.close();
  client.received.clear();
  ASSERT_TRUE(client.stream.open({"127.0.0.1", server.listener.port()}, l.now()));
  client.say("two");
  ASSERT_TRUE(l.run_until([&] { return client.received == "two"; }));
}

TEST(TcpStream, ClosingWhileLookingUpForgetsTheAnswer) {
  net::epoll_loop l;
  talker client{l, tcp_stream{}};
  ASSERT_TRUE(client.stream.open({"no-such-host.invalid", 1}, l.now()));
  client.close();
  EXPECT_TRUE(l.run_for(20ms));
}

TEST(TcpListener, SaysWhatTheSystemRefused) {
  tcp_listener const first = *tcp_listener::listen({});
  int refused = 0;
  auto const second = tcp_listener::listen({.port = first.port()}, &refused);
  ASSERT_EQ(second.error(), errc::io_error);
  EXPECT_EQ(refused, EADDRINUSE);
  EXPECT_EQ(second.error().message(),
            "cannot listen on 127.0.0.1 port " + std::to_string(first.port()) + ": Address already in use");
  EXPECT_EQ(tcp_listener::listen({.address = "example.com"}).error(), errc::invalid_argument);
  EXPECT_EQ(tcp_listener::listen({.address = "192.0.2.1"}, &refused).error(), errc::io_error);
  EXPECT_EQ(refused, EADDRNOTAVAIL);
}

TEST(TcpListener, ListensOnTheLoopbackUnlessToldOtherwise) {
  EXPECT_TRUE(tcp_listener::listen({})->address().is_loopback());
  EXPECT_EQ(tcp_listener::listen({})->address().to_string(), "127.0.0.1");
}

TEST(IpAddress, ParsesLiteralsOnly) {
  EXPECT_EQ(net::ip_address::parse("127.0.0.1", 443)->to_string(), "127.0.0.1");
  EXPECT_EQ(net::ip_address::parse("127.0.0.1", 443)->port(), 443);
  EXPECT_EQ(net::ip_address::parse("[::1]", 8883)->to_string(), "::1");
  EXPECT_EQ(net::ip_address::parse("::1", 8883)->port(), 8883);
  EXPECT_FALSE(net::ip_address::parse("localhost", 1));
  EXPECT_FALSE(net::ip_address::parse("127.1", 1));
  EXPECT_FALSE(net::ip_address::parse("", 1));
  EXPECT_FALSE(net::ip_address::parse(std::string(100, '1'), 1));
  EXPECT_TRUE(net::ip_address::parse("127.1.2.3", 1)->is_loopback());
  EXPECT_FALSE(net::ip_address::parse("10.0.0.1", 1)->is_loopback());
  EXPECT_TRUE(net::ip_address::parse("::1", 1)->is_loopback());
}

}  // namespace
