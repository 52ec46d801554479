// The opening handshake: the example of RFC 6455 section 1.3, what Azure's SDKs send, and each way to get it wrong.
#include <iothub/ws/handshake.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace {

using namespace iothub;

std::string hex_of(std::string_view text) {
  std::string out;
  for (unsigned char const byte : sha1(text)) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

TEST(Sha1, GivesTheExamplesOfFips180) {
  EXPECT_EQ(hex_of(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(hex_of("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(hex_of(std::string(1'000'000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST(Sha1, PadsEachLengthAroundABlock) {  // as OpenSSL gives them
  EXPECT_EQ(hex_of(std::string(55, 'a')), "c1c8bbdc22796e28c0e15163d20899b65621d65a");
  EXPECT_EQ(hex_of(std::string(56, 'a')), "c2db330f6083854c99d4b5bfb6e8f29f201be699");
  EXPECT_EQ(hex_of(std::string(63, 'a')), "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
  EXPECT_EQ(hex_of(std::string(64, 'a')), "0098ba824b5c16427bd7a1122a5a442a25ec644d");
}

constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

http::request good_request() {
  return {.target = "/chat",
          .headers = {{"Host", "server.example.com"},
                      {"Upgrade", "websocket"},
                      {"Connection", "Upgrade"},
                      {"Sec-WebSocket-Key", key},
                      {"Origin", "http://example.com"},
                      {"Sec-WebSocket-Protocol", "chat, superchat"},
                      {"Sec-WebSocket-Version", "13"}}};
}
http::response good_response() {
  return {.status = 101,
          .headers = {{"Upgrade", "websocket"},
                      {"Connection", "Upgrade"},
                      {"Sec-WebSocket-Accept", accept},
                      {"Sec-WebSocket-Protocol", "chat"}}};
}

TEST(WsHandshake, AnswersTheKeyOfTheRfc) {
  EXPECT_EQ(ws::accept_of(key), accept);
}

TEST(WsHandshake, AServerAnswersTheRequestOfTheRfc) {
  auto const request = good_request();
  ASSERT_TRUE(ws::check_request(request));
  std::string_view const known[] = {"superchat", "chat"};
  EXPECT_EQ(ws::choose_subprotocol(request, known), "chat");  // the client's order counts
  EXPECT_EQ(ws::make_response(request, "chat"), good_response());
}

TEST(WsHandshake, FieldsMayBeListsInAnyCase) {
  auto request = good_request();
  request.headers.set("Upgrade", "h2c, WebSocket");
  request.headers.set("Connection", "keep-alive, upgrade");
  request.headers.set("Sec-WebSocket-Protocol", "mqttv3.1");
  request.headers.add("Sec-WebSocket-Protocol", "mqtt");
  EXPECT_TRUE(ws::check_request(request));
  std::string_view const known[] = {"AMQPWSB10", "mqtt"};
  EXPECT_EQ(ws::choose_subprotocol(request, known), "mqtt");
}

TEST(WsHandshake, ChoosesNoSubprotocolThatItDoesNotKnow) {
  auto request = good_request();
  std::string_view const known[] = {"mqtt"};
  EXPECT_EQ(ws::choose_subprotocol(request, known), "");
  request.headers.set("Sec-WebSocket-Protocol", "MQTT");  // names are compared as they are
  EXPECT_EQ(ws::choose_subprotocol(request, known), "");
  request.headers.remove("Sec-WebSocket-Protocol");
  EXPECT_EQ(ws::choose_subprotocol(request, known), "");
}

TEST(WsHandshake, AServerRefusesWhatIsNoHandshake) {
  struct row {
    char const* field;
    char const* value;  // null: left out
    int status;
  };
  for (auto const& [field, value, status] :
       {row{"Upgrade", nullptr, 426}, row{"Upgrade", "h2c", 426}, row{"Connection", nullptr, 400},
        row{"Connection", "close", 400}, row{"Sec-WebSocket-Version", nullptr, 426},
        row{"Sec-WebSocket-Version", "8", 426}, row{"Sec-WebSocket-Version", "13, 8", 426},
        row{"Sec-WebSocket-Key", nullptr, 400}, row{"Sec-WebSocket-Key", "", 400},
        row{"Sec-WebSocket-Key", "short", 400}, row{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j", 400}}) {
    auto request = good_request();
    request.headers.remove(field);
    if (value != nullptr) request.headers.add(field, value);
    auto const checked = ws::check_request(request);
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error().http_status(), status) << field;
  }
  for (char const* const field : {"Sec-WebSocket-Key", "Sec-WebSocket-Version"}) {  // section 11.3: once
    auto request = good_request();
    request.headers.add(field, std::string{request.headers.get(field)});
    EXPECT_FALSE(ws::check_request(request)) << field;
  }
  auto post = good_request();
  post.method = "POST";
  EXPECT_FALSE(ws::check_request(post));
}

TEST(WsHandshake, AClientAsksAsTheRfcSays) {
  EXPECT_EQ(ws::make_request("/$iothub/websocket", key, "mqtt"),
            (http::request{.target = "/$iothub/websocket",
                           .headers = {{"Upgrade", "websocket"},
                                       {"Connection", "Upgrade"},
                                       {"Sec-WebSocket-Key", key},
                                       {"Sec-WebSocket-Version", "13"},
                                       {"Sec-WebSocket-Protocol", "mqtt"}}}));
  EXPECT_FALSE(ws::make_request("/", key, "").headers.has("Sec-WebSocket-Protocol"));
}

TEST(WsHandshake, AClientTakesTheAnswerOfTheRfc) {
  EXPECT_TRUE(ws::check_response(good_response(), key, "chat"));
  auto answer = good_response();
  answer.headers.remove("Sec-WebSocket-Protocol");
  EXPECT_TRUE(ws::check_response(answer, key, ""));
}

TEST(WsHandshake, AClientRefusesABrokenAnswer) {
  struct row {
    char const* field;
    char const* value;
  };
  for (auto const& [field, value] :
       {row{"Upgrade", nullptr}, row{"Upgrade", "h2c"}, row{"Connection", nullptr},
        row{"Sec-WebSocket-Accept", nullptr}, row{"Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp="},
        row{"Sec-WebSocket-Protocol", nullptr}, row{"Sec-WebSocket-Protocol", "superchat"},
        row{"Sec-WebSocket-Extensions", "permessage-deflate"}}) {
    auto answer = good_response();
    answer.headers.remove(field);
    if (value != nullptr) answer.headers.add(field, value);
    auto const checked = ws::check_response(answer, key, "chat");
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error(), errc::protocol_error) << field;
  }
}

TEST(WsHandshake, AClientTellsARefusalByItsStatus) {
  for (auto const& [status, code] : {std::pair{400, errc::bad_request},
                                     {401, errc::unauthorized},
                                     {403, errc::forbidden},
                                     {404, errc::not_found},
                                     {426, errc::bad_request},
                                     {429, errc::throttled},
                                     {500, errc::server_error},
                                     {503, errc::service_unavailable},
                                     {302, errc::protocol_error},
                                     {200, errc::protocol_error}}) {
    auto const checked = ws::check_response({.status = status, .reason = "Some Reason"}, key, "chat");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error(), code) << status;
    EXPECT_EQ(checked.error().http_status(), status);
    EXPECT_NE(checked.error().message().find(std::to_string(status) + " Some Reason"), std::string_view::npos);
  }
}

}  // namespace
