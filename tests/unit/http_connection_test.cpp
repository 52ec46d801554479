#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include <iothub/http/h1_connection.hpp>

namespace {

using namespace iothub;
using http::h1_connection;
using http::h1_event;
using http::h1_role;
using http::request;
using http::response;

std::string take_output(h1_connection& c) {
  std::string out{c.output()};
  c.consume_output(out.size());
  return out;
}

constexpr std::string_view get_a = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view get_b = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

// Two connections with a fake link between them.
struct pair {
  h1_connection client{h1_role::client};
  h1_connection server{h1_role::server};
  void carry() {
    server.receive(take_output(client));
    client.receive(take_output(server));
  }
};

TEST(HttpConnection, CarriesExchangesOneAfterTheOther) {
  pair link;
  for (int i = 0; i != 3; ++i) {
    ASSERT_TRUE(link.client.send(request{"PUT", "/d", {{"A", "b"}}, "body"}, "h"));
    EXPECT_FALSE(link.client.reusable());
    link.carry();
    ASSERT_EQ(link.server.next(), h1_event::request);
    EXPECT_EQ(link.server.take_request(),
              (request{"PUT", "/d", {{"Host", "h"}, {"A", "b"}, {"Content-Length", "4"}}, "body"}));
    ASSERT_TRUE(link.server.send(response{.status = 201, .body = "made"}));
    link.carry();
    ASSERT_EQ(link.client.next(), h1_event::response);
    EXPECT_EQ(link.client.take_response(), (response{201, "Created", {{"Content-Length", "4"}}, "made"}));
    EXPECT_EQ(link.client.next(), h1_event::none);
    EXPECT_TRUE(link.client.reusable());
  }
}

TEST(HttpConnection, ServerReadsPipelinedRequestsUpToItsLimit) {
  h1_connection server{h1_role::server, {.max_pipelined = 2}};
  server.receive(std::string{get_a} + std::string{get_b} + std::string{get_a});
  EXPECT_EQ(server.next(), h1_event::request);
  EXPECT_EQ(server.take_request().target, "/a");
  EXPECT_EQ(server.next(), h1_event::request);
  EXPECT_EQ(server.take_request().target, "/b");
  EXPECT_EQ(server.next(), h1_event::paused);
  ASSERT_TRUE(server.send(response{}));
  EXPECT_EQ(server.next(), h1_event::request);
  EXPECT_EQ(server.open_exchanges(), 2u);
}

TEST(HttpConnection, ServerEndsAfterARequestThatSaysClose) {
  h1_connection server{h1_role::server};
  server.receive("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + std::string{get_b});
  EXPECT_EQ(server.next(), h1_event::request);
  EXPECT_EQ(server.next(), h1_event::paused);
  ASSERT_TRUE(server.send(response{}));
  EXPECT_EQ(take_output(server), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(server.next(), h1_event::closed);
  EXPECT_TRUE(server.finished());
}

TEST(HttpConnection, ServerEndsAfterAnOldVersionAndAfterItsOwnClose) {
  h1_connection old{h1_role::server};
  old.receive("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.next(), h1_event::request);
  ASSERT_TRUE(old.send(response{}));
  EXPECT_EQ(old.next(), h1_event::closed);

  h1_connection own{h1_role::server};
  own.receive(get_a);
  EXPECT_EQ(own.next(), h1_event::request);
  ASSERT_TRUE(own.send(response{.headers = {{"Connection", "close"}}}));
  EXPECT_EQ(own.next(), h1_event::closed);
}

TEST(HttpConnection, AnswersHeadWithoutABody) {
  pair link;
  ASSERT_TRUE(link.client.send(request{.method = "HEAD"}, "h"));
  link.carry();
  ASSERT_EQ(link.server.next(), h1_event::request);
  ASSERT_TRUE(link.server.send(response{.body = "12345"}));
  link.carry();
  ASSERT_EQ(link.client.next(), h1_event::response);
  EXPECT_EQ(link.client.take_response(), (response{200, "OK", {{"Content-Length", "5"}}, ""}));
  EXPECT_TRUE(link.client.reusable());
}

TEST(HttpConnection, ServerSaysContinueOnceTheHeadIsThere) {
  h1_connection server{h1_role::server};
  server.receive("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(server.next(), h1_event::none);
  EXPECT_EQ(take_output(server), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(server.next(), h1_event::none);
  EXPECT_EQ(take_output(server), "");
  server.receive("ab");
  EXPECT_EQ(server.next(), h1_event::request);
  EXPECT_EQ(server.take_request().body, "ab");
}

TEST(HttpConnection, ServerSaysContinueOnlyAfterTheAnswersBefore) {
  h1_connection server{h1_role::server};
  server.receive(std::string{get_a} + "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(server.next(), h1_event::request);
  EXPECT_EQ(server.next(), h1_event::none);
  EXPECT_EQ(take_output(server), "");
  ASSERT_TRUE(server.send(response{}));
  EXPECT_EQ(take_output(server), std::string{ok} + "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST(HttpConnection, ServerDoesNotSayContinueWhenTheBodyIsComingAnyway) {
  h1_connection server{h1_role::server};
  server.receive("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\na");
  EXPECT_EQ(server.next(), h1_event::none);
  EXPECT_EQ(take_output(server), "");
}

TEST(HttpConnection, ClientSkipsInterimResponses) {
  h1_connection client{h1_role::client};
  ASSERT_TRUE(client.send(request{}, "h"));
  client.receive("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" + std::string{ok});
  ASSERT_EQ(client.next(), h1_event::response);
  EXPECT_EQ(client.take_response(), (response{200, "OK", {{"Content-Length", "0"}}, ""}));
}

TEST(HttpConnection, HandsTheRestOnAfterAnUpgrade) {
  pair link;
  request const offer{"GET", "/ws", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}, ""};
  ASSERT_TRUE(link.client.send(offer, "h"));
  link.server.receive(take_output(link.client) + "frames");
  EXPECT_EQ(link.server.next(), h1_event::request);
  EXPECT_EQ(link.server.next(), h1_event::paused);
  ASSERT_TRUE(
      link.server.send(response{.status = 101, .headers = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}}));
  EXPECT_EQ(link.server.next(), h1_event::upgraded);
  EXPECT_EQ(link.server.take_input().view(), "frames");
  link.client.receive(take_output(link.server) + "back");
  ASSERT_EQ(link.client.next(), h1_event::response);
  EXPECT_EQ(link.client.take_response().status, 101);
  EXPECT_EQ(link.client.next(), h1_event::upgraded);
  EXPECT_EQ(link.client.take_input().view(), "back");
  EXPECT_EQ(link.client.send(request{}, "h").error(), errc::invalid_state);
}

TEST(HttpConnection, GoesOnWhenTheOfferOfAnUpgradeIsDeclined) {
  h1_connection server{h1_role::server};
  server.receive("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + std::string{get_b});
  EXPECT_EQ(server.next(), h1_event::request);
  ASSERT_TRUE(server.send(response{}));
  EXPECT_EQ(server.next(), h1_event::request);
}

TEST(HttpConnection, RefusesMisuseOfItsOwnSide) {
  h1_connection server{h1_role::server};
  EXPECT_EQ(server.send(response{}).error(), errc::invalid_state);
  EXPECT_EQ(server.send(request{}, "h").error(), errc::invalid_state);
  server.receive(get_a);
  EXPECT_EQ(server.next(), h1_event::request);
  EXPECT_EQ(server.send(response{.status = 101}).error(), errc::invalid_state);
  EXPECT_EQ(server.send(response{.status = 100}).error(), errc::invalid_argument);
  EXPECT_EQ(server.send(response{.headers = {{"A", "\n"}}}).error(), errc::invalid_argument);
  EXPECT_EQ(take_output(server), "");
  EXPECT_TRUE(server.send(response{}));

  h1_connection client{h1_role::client};
  EXPECT_EQ(client.send(response{}).error(), errc::invalid_state);
  ASSERT_TRUE(client.send(request{}, "h"));
  EXPECT_EQ(client.send(request{}, "h").error(), errc::invalid_state);
}

TEST(HttpConnection, ClientIsNotReusableAfterClose) {
  for (char const* head : {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                           "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"}) {
    h1_connection client{h1_role::client};
    ASSERT_TRUE(client.send(request{}, "h"));
    (void)take_output(client);
    client.receive(head);
    EXPECT_EQ(client.next(), h1_event::response);
    EXPECT_FALSE(client.reusable());
    EXPECT_EQ(client.next(), h1_event::closed);
  }
}

TEST(HttpConnection, ClientTakesABodyUntilClose) {
  h1_connection client{h1_role::client};
  ASSERT_TRUE(client.send(request{}, "h"));
  client.receive("HTTP/1.1 200 OK\r\n\r\nabc");
  EXPECT_EQ(client.next(), h1_event::none);
  client.receive_end();
  ASSERT_EQ(client.next(), h1_event::response);
  EXPECT_EQ(client.take_response().body, "abc");
  EXPECT_EQ(client.next(), h1_event::closed);
}

TEST(HttpConnection, ClientFailsWhenItsServerMisbehaves) {
  struct row {
    bool asked;
    char const* bytes;
    bool end;
    errc code;
  };
  for (row const& r :
       {row{false, "HTTP/1.1 200 OK\r\n\r\n", false, errc::protocol_error},
        row{true, "HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false, errc::protocol_error},
        row{true, "SSH-2.0-x\r\n\r\n", false, errc::protocol_error}, row{true, "", true, errc::connection_lost},
        row{true, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", true, errc::connection_lost},
        row{true, "HTTP/1.1 200", true, errc::connection_lost}}) {
    h1_connection client{h1_role::client};
    if (r.asked) {
      ASSERT_TRUE(client.send(request{}, "h"));
    }
    client.receive(r.bytes);
    if (r.end) client.receive_end();
    EXPECT_EQ(client.next(), h1_event::failed) << r.bytes;
    EXPECT_EQ(client.last_error().code(), r.code) << r.bytes;
    EXPECT_EQ(client.next(), h1_event::failed);
    EXPECT_FALSE(client.reusable());
  }
}

TEST(HttpConnection, EndsInOrderWhenAnIdlePeerLeaves) {
  for (h1_role role : {h1_role::client, h1_role::server}) {
    h1_connection c{role};
    c.receive_end();
    EXPECT_EQ(c.next(), h1_event::closed);
  }
}

TEST(HttpConnection, ServerFailsWhenThePeerLeavesInTheMiddle) {
  h1_connection server{h1_role::server};
  server.receive(get_a.substr(0, 10));
  server.receive_end();
  EXPECT_EQ(server.next(), h1_event::failed);
  EXPECT_EQ(server.last_error().code(), errc::connection_lost);
}

}  // namespace
