// A WebSocket connection from the other side's point of view: golden bytes in both directions, every broken rule, and
// the same outcome however the bytes are cut.
#include <iothub/ws/connection.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace {

using namespace iothub;
using namespace std::string_view_literals;

// The mask of all frames of RFC 6455 section 5.7.
result<void> example_mask(byte_span into) {
  constexpr unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  for (std::size_t i = 0; i != into.size(); ++i) into[i] = static_cast<char>(mask[i % 4]);
  return {};
}
ws::connection make(ws::role who) {
  return who == ws::role::client ? ws::connection{who, example_mask} : ws::connection{who};
}
std::string receive(ws::connection& to, std::string_view bytes, std::size_t step = ~std::size_t{0}) {
  std::string out;
  while (!bytes.empty()) {
    std::string memory{bytes.substr(0, step)};  // decoded in place
    std::size_t const size = to.receive(memory, memory.data());
    out.append(memory, 0, size);
    bytes.remove_prefix(memory.size());
  }
  return out;
}
std::string taken(ws::connection& from) {
  std::string out;
  while (!from.output().empty()) {
    out += from.output();
    from.consume_output(from.output().size());
  }
  return out;
}

TEST(WsConnection, AServerReadsMaskedAndWritesPlain) {
  auto server = make(ws::role::server);
  EXPECT_EQ(receive(server, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv), "Hello");
  ASSERT_TRUE(server.send("Hello"));
  EXPECT_EQ(taken(server), "\x82\x05Hello"sv);
}

TEST(WsConnection, AClientWritesMaskedAndReadsPlain) {
  auto client = make(ws::role::client);
  ASSERT_TRUE(client.send("Hello"));
  EXPECT_EQ(taken(client), "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv);
  EXPECT_EQ(receive(client, "\x82\x05Hello"sv), "Hello");
}

TEST(WsConnection, MessagesAndFragmentsAreOneStream) {
  for (std::size_t step = 1; step != 30; ++step) {
    auto client = make(ws::role::client);
    EXPECT_EQ(receive(client, "\x02\x03Hel\x89\x01p\x80\x02lo\x82\x00\x82\x02, \x02\x00\x00\x02wo\x80\x03rld"sv, step),
              "Hello, world")
        << step;
    EXPECT_EQ(taken(client), "\x8a\x81\x37\xfa\x21\x3d\x47"sv);  // the pong
    EXPECT_FALSE(client.over());
  }
}

TEST(WsConnection, CarriesAnySizeBothWays) {
  for (std::size_t const size : {0u, 1u, 125u, 126u, 65'535u, 65'536u, 300'000u})
    for (std::size_t const step : {1u, 1000u, 1u << 20}) {
      auto client = make(ws::role::client), server = make(ws::role::server);
      std::string const text(size, 'x');
      ASSERT_TRUE(client.send(text));
      EXPECT_EQ(receive(server, taken(client), step), text);
      ASSERT_TRUE(server.send(text));
      EXPECT_EQ(receive(client, taken(server), step), text);
    }
}

TEST(WsConnection, AFrameThatIsCutIsWaitedFor) {
  auto const whole = "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv;
  for (std::size_t size = 0; size != whole.size(); ++size) {
    auto server = make(ws::role::server);
    EXPECT_EQ(receive(server, whole.substr(0, size)), "Hello"sv.substr(0, size < 6 ? 0 : size - 6));
    EXPECT_FALSE(server.over());
    EXPECT_EQ(server.output(), "");
    EXPECT_EQ(receive(server, whole.substr(size)), "Hello"sv.substr(size < 6 ? 0 : size - 6));
  }
}

TEST(WsConnection, AnswersAPingWithItsPayload) {
  auto server = make(ws::role::server);
  EXPECT_EQ(receive(server, "\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv), "");
  EXPECT_EQ(taken(server), "\x8a\x05Hello"sv);
  EXPECT_EQ(receive(server, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv), "");  // an unasked pong, section 5.5.3
  EXPECT_EQ(taken(server), "");
  ASSERT_TRUE(server.ping("Hello"));
  EXPECT_EQ(taken(server), "\x89\x05Hello"sv);
}

TEST(WsConnection, WhoPingsAndDoesNotReadGetsTheLatestPong) {
  auto client = make(ws::role::client);
  std::string pings;
  for (int i = 0; i != 10'000; ++i) pings += "\x89\x04" + std::to_string(i + 10'000).substr(1);
  EXPECT_EQ(receive(client, pings), "");
  EXPECT_LT(client.output().size(), 5000u);
  auto server = make(ws::role::server);
  std::string const pongs = taken(client);
  EXPECT_EQ(pongs.size() % 10, 0u);
  std::string last = pongs.substr(pongs.size() - 4);
  constexpr std::string_view mask = "\x37\xfa\x21\x3d";
  for (std::size_t i = 0; i != 4; ++i) last[i] = static_cast<char>(last[i] ^ mask[i]);
  EXPECT_EQ(last, "9999");
}

TEST(WsConnection, AnswersACloseWithItsCode) {
  auto client = make(ws::role::client);
  EXPECT_EQ(receive(client,
                    "\x82\x02hi\x88\x05\x03\xe9"
                    "bye\x82\x02no"sv),
            "hi");
  EXPECT_TRUE(client.peer_closed());
  EXPECT_EQ(client.peer_code(), 1001);
  EXPECT_EQ(client.peer_reason(), "bye");
  EXPECT_EQ(taken(client), "\x88\x82\x37\xfa\x21\x3d\x34\x13"sv);
  EXPECT_TRUE(client.closing() && client.over());
  EXPECT_EQ(client.broken(), nullptr);
  EXPECT_EQ(client.send("late").error(), errc::closed);
  EXPECT_EQ(client.ping().error(), errc::closed);
  EXPECT_EQ(taken(client), "");
}

TEST(WsConnection, ACloseWithoutACodeIsAnsweredWithNone) {
  auto client = make(ws::role::client);
  receive(client, "\x88\x00"sv);
  EXPECT_EQ(client.peer_code(), ws::close_code::none);
  EXPECT_EQ(taken(client), "\x88\x80\x37\xfa\x21\x3d"sv);
}

TEST(WsConnection, ClosesOnceAndWaitsForThePeer) {
  auto server = make(ws::role::server);
  server.close(ws::close_code::normal, "done");
  server.close(ws::close_code::going_away);
  EXPECT_EQ(taken(server),
            "\x88\x06\x03\xe8"
            "done"sv);
  EXPECT_TRUE(server.closing());
  EXPECT_FALSE(server.over());
  // What was on its way is dropped, pings are not answered, and the peer's close needs no answer.
  EXPECT_EQ(
      receive(server, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89\x80\1\2\3\4\x88\x82\0\0\0\0\x03\xe8"sv, 3), "");
  EXPECT_TRUE(server.over() && server.peer_closed());
  EXPECT_EQ(taken(server), "");
}

TEST(WsConnection, CutsALongReasonBetweenCharacters) {
  auto server = make(ws::role::server);
  server.close(ws::close_code::normal, std::string(122, 'x') + "\xc3\xa9");  // é would be bytes 123 and 124
  EXPECT_EQ(taken(server), "\x88\x7c\x03\xe8" + std::string(122, 'x'));
}

struct offence {
  char const* name;
  std::string_view bytes;
  std::uint16_t code;
  errc kind;
};
void PrintTo(offence const& what, std::ostream* out) {
  *out << what.name;
}

class WsConnectionRefuses : public testing::TestWithParam<offence> {};

TEST_P(WsConnectionRefuses, WithACloseCodeHoweverTheBytesAreCut) {
  auto const& [name, bytes, code, kind] = GetParam();
  for (std::size_t step = 1; step <= bytes.size() + 1; ++step) {
    auto client = make(ws::role::client);
    EXPECT_EQ(receive(client, std::string{bytes} + "\x82\x02no", step), "");
    ASSERT_NE(client.broken(), nullptr);
    EXPECT_EQ(*client.broken(), kind) << client.broken()->message();
    EXPECT_TRUE(client.over() && client.closing());
    EXPECT_FALSE(client.peer_closed());
    auto server = make(ws::role::server);
    receive(server, taken(client));
    EXPECT_EQ(server.peer_code(), code);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, WsConnectionRefuses,
    testing::Values(offence{"reserved bit", "\xc2\x00"sv, 1002, errc::protocol_error},
                    offence{"reserved opcode", "\x83\x00"sv, 1002, errc::protocol_error},
                    offence{"mask from a server", "\x82\x80\0\0\0\0"sv, 1002, errc::protocol_error},
                    offence{"continuation of nothing", "\x80\x01x"sv, 1002, errc::protocol_error},
                    offence{"message inside of a message", "\x02\x00\x82\x00"sv, 1002, errc::protocol_error},
                    offence{"long form of a length", "\x82\x7e\x00\x01x"sv, 1002, errc::protocol_error},
                    offence{"half a close code", "\x88\x01\x03"sv, 1002, errc::protocol_error},
                    offence{"close code 999", "\x88\x02\x03\xe7"sv, 1002, errc::protocol_error},
                    offence{"close code 1004", "\x88\x02\x03\xec"sv, 1002, errc::protocol_error},
                    offence{"close code 1005", "\x88\x02\x03\xed"sv, 1002, errc::protocol_error},
                    offence{"close code 1006", "\x88\x02\x03\xee"sv, 1002, errc::protocol_error},
                    offence{"close code 1015", "\x88\x02\x03\xf7"sv, 1002, errc::protocol_error},
                    offence{"close code 2999", "\x88\x02\x0b\xb7"sv, 1002, errc::protocol_error},
                    offence{"close code 5000", "\x88\x02\x13\x88"sv, 1002, errc::protocol_error},
                    offence{"reason that is no text", "\x88\x03\x03\xe8\xff"sv, 1007, errc::protocol_error},
                    offence{"text", "\x81\x02hi"sv, 1003, errc::unsupported},
                    offence{"frame above the limit", "\x82\x7f\0\0\0\0\x01\x00\x00\x01"sv, 1009, errc::too_large}));

TEST(WsConnection, TakesCodesOfOthersToo) {
  for (auto const bytes : {"\x88\x02\x03\xf6"sv, "\x88\x02\x0b\xb8"sv, "\x88\x02\x13\x87"sv}) {  // 1014, 3000, 4999
    auto client = make(ws::role::client);
    receive(client, bytes);
    EXPECT_TRUE(client.peer_closed());
  }
}

TEST(WsConnection, AServerRefusesWhatIsNotMasked) {
  auto server = make(ws::role::server);
  EXPECT_EQ(receive(server, "\x82\x05Hello"sv), "");
  ASSERT_NE(server.broken(), nullptr);
  EXPECT_NE(server.broken()->message().find("mask"), std::string_view::npos);
  EXPECT_EQ(taken(server), "\x88\x02\x03\xea"sv);
}

TEST(WsConnection, SaysWhatItsRandomSourceSays) {
  ws::connection none{ws::role::client};
  EXPECT_EQ(none.send("x").error(), errc::invalid_argument);
  ws::connection empty{ws::role::client, [](byte_span) -> result<void> { return errc::io_error; }};
  EXPECT_EQ(empty.send("x").error(), errc::io_error);
  EXPECT_EQ(empty.output(), "");
}

TEST(WsConnection, RestartsAsNew) {
  auto client = make(ws::role::client);
  receive(client, "\x83\x00"sv);
  client.restart();
  EXPECT_FALSE(client.over() || client.closing());
  EXPECT_EQ(client.output(), "");
  ASSERT_TRUE(client.send("Hello"));
  EXPECT_EQ(receive(client, "\x82\x02hi"sv), "hi");
}

}  // namespace
