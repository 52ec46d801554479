// A WebSocket stream over a pipe, whose other end is a script of bytes: RFC 6455's own handshake and frames.
#include <iothub/policy/ws_stream.hpp>

#include <iothub/memory/fail_at.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>

#include <talker.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;
using memory::pipe_stream;
using stream = ws_stream<pipe_stream>;
static_assert(byte_stream<stream>);

// The nonce of RFC 6455 section 1.3 as the key, and the mask of section 5.7 ever after.
ws::random_source example_random() {
  return [](byte_span into) -> result<void> {
    std::string_view const bytes = into.size() == ws::key_bytes ? "the sample nonce"sv : "\x37\xfa\x21\x3d"sv;
    bytes.copy(into.data(), into.size());
    return {};
  };
}
ws_stream_options options() {
  return {.path = "/$iothub/websocket", .subprotocol = "mqtt", .random = example_random()};
}

constexpr std::string_view asked =
    "GET /$iothub/websocket HTTP/1.1\r\nHost: hub:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
constexpr std::string_view agreed =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

struct world {
  explicit world(memory::pipe_options pipes = {}, ws_stream_options how = options(), std::uint16_t port = 80)
      : net{loop, pipes}, listener{*net.listen({"hub", port})}, client{loop, stream{std::move(how), pipe_stream{net}}} {
    client.stream.open({"hub", port}, loop.now()).value();
    loop.run_for(1s).value();
    server = std::make_unique<iothub_test::talker<pipe_stream>>(loop, *listener.accept(loop.now()));
  }
  void run(duration time = 1s) { ASSERT_TRUE(loop.run_for(time)); }
  void agree() {
    run();
    EXPECT_EQ(std::exchange(server->received, {}), asked);
    server->say(std::string{agreed});
    run();
    EXPECT_TRUE(client.stream.established());
  }

  memory::virtual_loop loop;
  memory::pipe_network net;
  memory::pipe_listener listener;
  iothub_test::talker<stream> client;
  std::unique_ptr<iothub_test::talker<pipe_stream>> server;
};

TEST(WsStream, ShakesHandsAsTheRfcSaysAndCarriesFrames) {
  for (std::size_t const chunk : {0u, 1u, 7u}) {
    world w{{.max_chunk = chunk}};
    w.client.say("Hello");
    w.agree();
    EXPECT_EQ(w.server->received, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv);
    w.server->say("\x02\x03Hel\x80\x02lo"s);
    w.run();
    EXPECT_EQ(w.client.received, "Hello") << chunk;
  }
}

TEST(WsStream, KeepsWhatCameRightBehindTheAnswer) {
  world w;
  w.run();
  w.server->say(std::string{agreed} + "\x82\x05Hello");
  w.run();
  EXPECT_EQ(w.client.received, "Hello");
}

TEST(WsStream, SaysTheHostAsHttpHasIt) {
  world w{{}, options(), 443};
  w.run();
  EXPECT_NE(w.server->received.find("\r\nHost: hub\r\n"), std::string::npos);
}

TEST(WsStream, CarriesMuchThroughANarrowPipe) {
  world w{{.max_chunk = 1000, .capacity = 700}};
  w.agree();
  std::string const text(100'000, 'x');
  w.client.say(text);
  w.run(1h);
  ws::connection decode{ws::role::server};
  std::string out(w.server->received.size(), '\0');
  out.resize(decode.receive(w.server->received, out.data()));
  EXPECT_EQ(out, text);
  ws::connection encode{ws::role::server};
  ASSERT_TRUE(encode.send(text));
  w.server->say(std::string{encode.output()});
  w.run(1h);
  EXPECT_EQ(w.client.received, text);
}

TEST(WsStream, AWriteIsOneFrame) {
  world w;
  w.agree();
  w.client.say(std::string(16'384, 'x'));
  w.run();
  EXPECT_EQ(w.server->received.size(), 8u + 16'384);
  EXPECT_EQ(w.client.writes, 1);
}

TEST(WsStream, AnswersPingsWithoutAnyoneReadingThem) {
  world w;
  w.agree();
  w.server->say("\x89\x05Hello"s);
  w.run();
  EXPECT_EQ(w.server->received, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv);
  EXPECT_EQ(w.client.received, "");
}

TEST(WsStream, ManyEmptyFramesDoNotStarveTheReader) {
  world w{{.max_chunk = 2}};
  w.agree();
  std::string frames;
  for (int i = 0; i != 1000; ++i) frames += "\x82\x00"sv;
  w.server->say(frames + "\x82\x02hi");
  w.run(1h);
  EXPECT_EQ(w.client.received, "hi");
}

TEST(WsStream, EndsWhenTheServerClosesInOrder) {
  for (auto const bytes : {"\x88\x02\x03\xe8"sv, "\x88\x02\x03\xe9"sv, "\x88\x00"sv}) {
    world w;
    w.agree();
    w.server->say(
        "\x82\x03"
        "bye" +
        std::string{bytes});
    w.run();
    EXPECT_EQ(w.client.received, "bye");
    EXPECT_TRUE(w.client.ended);
    EXPECT_EQ(w.server->received.substr(0, 1), "\x88");
    char byte[1];
    EXPECT_EQ(w.client.stream.read(byte, w.loop.now()).status, io_status::end);  // again and again
  }
}

TEST(WsStream, FailsWhenTheServerClosesForAReason) {
  world w;
  w.agree();
  w.server->say(
      "\x88\x08\x03\xf3"
      "sorry!"s);
  w.run();
  ASSERT_TRUE(w.client.failed);
  EXPECT_EQ(*w.client.failed, errc::connection_lost);
  EXPECT_EQ(w.client.failed->message(), "the server closed the WebSocket with code 1011: sorry!");
}

TEST(WsStream, AWriteBehindTheServersCloseFails) {
  world w;
  w.agree();
  w.server->say("\x88\x02\x03\xe8"s);
  w.run();
  EXPECT_EQ(w.client.stream.write("x", w.loop.now()).status, io_status::failed);
  EXPECT_EQ(w.client.stream.last_error(), errc::connection_lost);
}

TEST(WsStream, FailsWhenTheConnectionEndsWithoutACloseFrame) {
  world w;
  w.agree();
  w.server->close();
  w.run();
  ASSERT_TRUE(w.client.failed);
  EXPECT_EQ(*w.client.failed, errc::connection_lost);
}

TEST(WsStream, TellsTheServerWhichRuleItBroke) {
  world w;
  w.agree();
  w.server->say("\x81\x02hi"s);
  w.run();
  ASSERT_TRUE(w.client.failed);
  EXPECT_EQ(*w.client.failed, errc::unsupported);
  EXPECT_EQ(w.server->received, "\x88\x82\x37\xfa\x21\x3d\x34\x11"sv);  // 1003
  EXPECT_TRUE(w.server->ended);
}

TEST(WsStream, SaysCloseWhenItIsClosed) {
  world w;
  w.agree();
  w.client.close();
  w.run();
  EXPECT_EQ(w.server->received, "\x88\x82\x37\xfa\x21\x3d\x34\x12"sv);  // 1000
  EXPECT_TRUE(w.server->ended);
}

TEST(WsStream, CanBeOpenedAgain) {
  world w;
  w.agree();
  w.server->say("\x88\x02\x03\xe8"s);
  w.run();
  w.client.stream.close();
  w.client.ended = false;
  ASSERT_TRUE(w.client.stream.open({"hub", 80}, w.loop.now()));
  EXPECT_EQ(w.client.stream.open({"hub", 80}, w.loop.now()).error(), errc::invalid_state);
  w.run();
  w.server = std::make_unique<iothub_test::talker<pipe_stream>>(w.loop, *w.listener.accept(w.loop.now()));
  w.client.say("Hello");
  w.agree();
  EXPECT_EQ(w.server->received, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv);
}

TEST(WsStream, FailsWithWhatTheServerAnswers) {
  for (auto const& [answer, code] :
       {std::pair{"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", errc::unauthorized},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", errc::not_found},
        {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", errc::service_unavailable},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", errc::protocol_error},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", errc::protocol_error},
        {"no HTTP at all\r\n\r\n", errc::protocol_error}}) {
    world w;
    w.server->say(answer);
    w.run();
    ASSERT_TRUE(w.client.failed) << answer;
    EXPECT_EQ(*w.client.failed, code) << answer;
    EXPECT_TRUE(w.server->ended);
  }
}

TEST(WsStream, FailsWhenTheServerEndsInTheMiddleOfTheHandshake) {
  for (std::size_t size = 0; size < agreed.size(); size += 9) {
    world w;
    w.server->say(std::string{agreed.substr(0, size)});
    w.run();
    EXPECT_FALSE(w.client.failed) << size;
    w.server->close();
    w.run();
    ASSERT_TRUE(w.client.failed) << size;
    EXPECT_EQ(*w.client.failed, errc::connection_lost) << size;
  }
}

TEST(WsStream, GivesTheHandshakeUpInTime) {
  world w;
  w.run(28s);
  EXPECT_FALSE(w.client.failed);
  w.run(1s);
  ASSERT_TRUE(w.client.failed);
  EXPECT_EQ(*w.client.failed, errc::timeout);
}

TEST(WsStream, AServerThatNeverStopsAnsweringIsGivenUpToo) {
  world w;
  std::string interim;
  for (int i = 0; i != 5000; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  w.server->say(interim);
  w.run(1h);
  ASSERT_TRUE(w.client.failed);
  EXPECT_EQ(*w.client.failed, errc::timeout);
}

TEST(WsStream, NeedsARandomSourceAndAPathThatCanBeSent) {
  memory::virtual_loop loop;
  memory::pipe_network net{loop};
  stream blind{{.path = "/"}, pipe_stream{net}};
  EXPECT_EQ(blind.open({"hub", 80}, loop.now()).error(), errc::invalid_argument);
  stream crooked{{.path = "/a b", .random = example_random()}, pipe_stream{net}};
  EXPECT_EQ(crooked.open({"hub", 80}, loop.now()).error(), errc::invalid_argument);
  EXPECT_EQ(crooked.write("x", loop.now()).status, io_status::failed);
}

TEST(WsStream, FailsAsTheStreamBelowDoes) {
  memory::virtual_loop loop;
  memory::pipe_network net{loop};
  iothub_test::talker<stream> client{loop, stream{options(), pipe_stream{net}}};
  ASSERT_TRUE(client.stream.open({"nowhere", 80}, loop.now()));
  ASSERT_TRUE(loop.run_for(1min));
  ASSERT_TRUE(client.failed);
  EXPECT_EQ(*client.failed, errc::host_not_found);
}

TEST(WsStream, MovesWhileItIsOpen) {
  world w;
  w.agree();
  stream moved{std::move(w.client.stream)};
  EXPECT_EQ(moved.write("Hello", w.loop.now()), (io_result{io_status::done, 5}));
  w.run();
  EXPECT_EQ(w.server->received, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv);
}

}  // namespace
