// What the HTTP/1.1 parser makes of bytes, written from RFC 9112. Every row is read whole and byte by byte.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include <iothub/http/h1_parser.hpp>

namespace {

using namespace iothub;
using http::h1_limits;
using http::h1_parser;
using http::h1_role;
using outcome = h1_parser::outcome;

// What came of the bytes, in a form that can be compared.
struct verdict {
  outcome last = outcome::need_data;
  http::request request = {};
  http::response response = {};
  int status = 0;
  std::string problem = {};
  std::size_t left = 0;
  friend bool operator==(verdict const&, verdict const&) = default;
};

outcome run(h1_parser& parser, byte_buffer& in) {
  outcome last = parser.parse(in);
  while (last == outcome::head) last = parser.parse(in);
  return last;
}

verdict read(h1_role role, std::string_view bytes, std::size_t step, bool ended = false, h1_limits limits = {}) {
  h1_parser parser{role, limits};
  byte_buffer in;
  verdict v;
  std::size_t fed = 0;
  while (fed != bytes.size() && v.last == outcome::need_data) {
    std::string_view const part = bytes.substr(fed, step);
    in.append(part);
    fed += part.size();
    v.last = run(parser, in);
  }
  if (ended && v.last == outcome::need_data) v.last = parser.end_of_input();
  v.left = in.size() + bytes.size() - fed;
  if (v.last == outcome::message) {
    v.request = parser.request();
    v.response = parser.response();
  }
  if (v.last == outcome::failed) {
    v.status = parser.status();
    v.problem = parser.last_error().message();
    v.left = 0;
  }
  return v;
}

verdict read_both_ways(h1_role role, std::string_view bytes, bool ended = false, h1_limits limits = {}) {
  verdict const whole = read(role, bytes, bytes.size() + 1, ended, limits);
  for (std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{7}})
    EXPECT_EQ(read(role, bytes, step, ended, limits), whole) << "in steps of " << step << ": " << bytes;
  return whole;
}

verdict request_of(std::string_view bytes) {
  return read_both_ways(h1_role::server, bytes);
}
verdict response_of(std::string_view bytes, bool ended = false) {
  return read_both_ways(h1_role::client, bytes, ended);
}

TEST(HttpParser, ReadsARequestWithALength) {
  verdict const v = request_of(
      "PUT /devices/d1?api-version=2021-04-12 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
      "If-Match:  \"*\" \t\r\n\r\nbodyGET ");
  EXPECT_EQ(v.request, (http::request{"PUT",
                                      "/devices/d1?api-version=2021-04-12",
                                      {{"Host", "h"}, {"Content-Length", "4"}, {"If-Match", "\"*\""}},
                                      "body"}));
  EXPECT_EQ(v.left, 4u);
}

TEST(HttpParser, ReadsARequestWithoutBody) {
  EXPECT_EQ(request_of("GET / HTTP/1.1\r\nHost: h\r\n\r\n").request, (http::request{"GET", "/", {{"Host", "h"}}, ""}));
  EXPECT_EQ(request_of("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n").request,
            (http::request{"OPTIONS", "*", {{"Host", ""}}, ""}));
}

TEST(HttpParser, SkipsABlankLineBeforeARequest) {
  EXPECT_EQ(request_of("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").last, outcome::message);
  EXPECT_EQ(request_of(std::string(40, '\r')).last, outcome::need_data);
  std::string blank;
  for (int i = 0; i != 20; ++i) blank += "\r\n";
  EXPECT_EQ(request_of(blank).status, 400);
}

TEST(HttpParser, ReadsChunksExtensionsAndTrailers) {
  verdict const v = request_of(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "4\r\nWiki\r\n0005;a=b\r\npedia\r\nA ; x=\"y\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nrest");
  EXPECT_EQ(v.request.body, "Wikipedia0123456789");
  EXPECT_FALSE(v.request.headers.has("X-Sum"));
  EXPECT_EQ(v.left, 4u);
}

TEST(HttpParser, TurnsAnAbsoluteTargetIntoPathAndHost) {
  EXPECT_EQ(request_of("GET https://a:1/b?c HTTP/1.1\r\nHost: x\r\n\r\n").request,
            (http::request{"GET", "/b?c", {{"Host", "a:1"}}, ""}));
  EXPECT_EQ(request_of("GET http://a HTTP/1.1\r\nHost: x\r\n\r\n").request.target, "/");
  EXPECT_EQ(request_of("GET http://a?q HTTP/1.1\r\nHost: x\r\n\r\n").request.target, "/?q");
}

TEST(HttpParser, ReadsOldVersionsWithoutHost) {
  EXPECT_EQ(request_of("GET / HTTP/1.0\r\n\r\n").request, (http::request{"GET", "/", {}, ""}));
}

TEST(HttpParser, ReadsAResponseWithALength) {
  verdict const v = response_of("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(v.response, (http::response{404, "Not Found", {{"Content-Length", "2"}}, "no"}));
}

TEST(HttpParser, ReadsResponsesThatHaveNoBodyByTheirStatus) {
  EXPECT_EQ(response_of("HTTP/1.1 204 \r\n\r\nrest").left, 4u);
  EXPECT_EQ(response_of("HTTP/1.1 304\r\nContent-Length: 5\r\n\r\n").response.status, 304);
  EXPECT_EQ(response_of("HTTP/1.1 100 Continue\r\n\r\nrest").left, 4u);
}

TEST(HttpParser, ReadsABodyThatRunsUntilClose) {
  EXPECT_EQ(response_of("HTTP/1.1 200 OK\r\n\r\nall of it", true).response.body, "all of it");
  EXPECT_EQ(response_of("HTTP/1.1 200 OK\r\n\r\nall of it", false).last, outcome::need_data);
}

TEST(HttpParser, FailsWhenTheInputEndsInTheMiddle) {
  std::string_view const whole =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (std::size_t size = 1; size != whole.size(); ++size) {
    verdict const v = read(h1_role::server, whole.substr(0, size), 1, true);
    EXPECT_EQ(v.last, outcome::failed) << size;
    EXPECT_EQ(read(h1_role::server, whole.substr(0, size), 1).last, outcome::need_data) << size;
  }
  EXPECT_EQ(read(h1_role::server, "", 1, true).last, outcome::need_data);
  EXPECT_EQ(read(h1_role::server, whole, 1, true).last, outcome::message);
}

// The head of a request, to which each row adds what breaks it.
std::string post(std::string_view fields) {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + std::string{fields};
}

TEST(HttpParser, RefusesWhatCouldBeReadInTwoWays) {
  struct row {
    std::string bytes;
    int status;
  };
  using namespace std::string_literals;
  row const rows[] = {
      {post("Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 400},
      {post("Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), 400},
      {post("Content-Length: 1, 1\r\n\r\na"), 400},
      {post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"), 400},
      {post("Content-Length: +1\r\n\r\na"), 400},
      {post("Content-Length: -1\r\n\r\na"), 400},
      {post("Content-Length: 0x1\r\n\r\na"), 400},
      {post("Content-Length: 1 1\r\n\r\na"), 400},
      {post("Content-Length:\r\n\r\na"), 400},
      {post("Content-Length: 99999999999999999999\r\n\r\n"), 400},
      {post("Content-Length: 18446744073709551616\r\n\r\n"), 400},
      {post("Transfer-Encoding: gzip, chunked\r\n\r\n"), 501},
      {post("Transfer-Encoding: chunked, chunked\r\n\r\n"), 501},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 501},
      {post("Transfer-Encoding: xchunked\r\n\r\n"), 501},
      {post("Transfer-Encoding: identity\r\n\r\n"), 501},
      {post("Transfer-Encoding:\r\n\r\n"), 501},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {post("A: b\r\n c\r\n\r\n"), 400},
      {post("A: b\r\n\tc\r\n\r\n"), 400},
      {"POST / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
      {post("A : b\r\n\r\n"), 400},
      {post("Content-Length : 1\r\n\r\na"), 400},
      {post(": b\r\n\r\n"), 400},
      {post("A\r\n\r\n"), 400},
      {post("A b: c\r\n\r\n"), 400},
      {post("A: b\nC: d\r\n\r\n"), 400},
      {post("A: b\r\n\n"), 400},
      {post("A: b\rC: d\r\n\r\n"), 400},
      {post("A: b\0c\r\n\r\n"s), 400},
      {post("A\0: b\r\n\r\n"s), 400},
      {post("A: b\x7f\r\n\r\n"), 400},
      {post("A: b\x01\r\n\r\n"), 400},
      {post("Expect: 200-ok\r\n\r\n"), 417},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: a\n\n", 400},
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
      {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /\r\nHost: a\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/11\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505},
      {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, 400},
      {"\n", 400},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting\n"s, 400},
      {"AMQP\x01\x01\n", 400},
  };
  for (row const& r : rows) {
    verdict const v = request_of(r.bytes);
    EXPECT_EQ(v.last, outcome::failed) << r.bytes;
    EXPECT_EQ(v.status, r.status) << r.bytes << "\n" << v.problem;
  }
}

TEST(HttpParser, RefusesBrokenChunks) {
  for (char const* chunks : {"\r\n", "g\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1 \r\na", "1\na\r\n0\r\n\r\n",
                             "1\r\nab\r\n", "1\r\na\n", "1\r\na\rb", "1;a\x01\r\na\r\n", "1 2\r\na", "0\r\nA: b\n\r\n",
                             "0\r\nbad line\r\n\r\n", "0\r\n a: b\r\n\r\n"}) {
    verdict const v = request_of(post("Transfer-Encoding: chunked\r\n\r\n") + chunks);
    EXPECT_EQ(v.last, outcome::failed) << chunks;
    EXPECT_EQ(v.status, 400) << chunks << "\n" << v.problem;
  }
  for (char const* chunks : {"fffffffffffffffff\r\n", "ffffffffffffffff\r\n", "100001\r\n"})
    EXPECT_EQ(request_of(post("Transfer-Encoding: chunked\r\n\r\n") + chunks).status, 413) << chunks;
}

TEST(HttpParser, RefusesBrokenStatusLines) {
  for (char const* line :
       {"", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000 x", "HTTP/1.1 099 x", "HTTP/1.1 600 x",
        "HTTP/1.1 2x0 x", "HTTP/1.1  200 x", "HTTP/2 200", "ICY 200 OK", "HTTP/1.1 200 a\x01"}) {
    verdict const v = response_of(std::string{line} + "\r\n\r\n");
    EXPECT_EQ(v.last, outcome::failed) << line;
  }
}

TEST(HttpParser, HoldsItsLimits) {
  h1_limits const small{.max_head = 64, .max_fields = 3, .max_body = 5};
  auto const status = [&](std::string const& bytes) {
    return read_both_ways(h1_role::server, bytes, false, small).status;
  };
  std::string const line = "GET / HTTP/1.1\r\nHost: h\r\n";  // 25 bytes
  EXPECT_EQ(status(line + "A: " + std::string(32, 'x') + "\r\n\r\n"), 0);
  EXPECT_EQ(status(line + "A: " + std::string(33, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status(std::string(65, 'x')), 431);
  EXPECT_EQ(status(line + "A:\r\nB:\r\n\r\n"), 0);
  EXPECT_EQ(status(line + "A:\r\nB:\r\nC:\r\n\r\n"), 431);
  EXPECT_EQ(status(line + "Content-Length: 5\r\n\r\n12345"), 0);
  EXPECT_EQ(status(line + "Content-Length: 6\r\n\r\n"), 413);
  std::string const chunked = line + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status(chunked + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 0);
  EXPECT_EQ(status(chunked + "3\r\nabc\r\n3\r\ndef\r\n"), 413);
  EXPECT_EQ(status(chunked + "1;" + std::string(80, 'x')), 400);
  EXPECT_EQ(status(chunked + "1;" + std::string(40, 'x') + "\r\na\r\n1;" + std::string(40, 'x') + "\r\n"), 400);
  EXPECT_EQ(status(chunked + "0\r\nA: " + std::string(80, 'x')), 431);
  EXPECT_EQ(read_both_ways(h1_role::client, "HTTP/1.1 200 OK\r\n\r\n123456", true, small).status, 413);
}

TEST(HttpParser, SaysWhatBecomesOfTheConnection) {
  auto const head_of = [](std::string_view bytes) {
    h1_parser parser{h1_role::server, {}};
    byte_buffer in;
    in.append(bytes);
    EXPECT_EQ(parser.parse(in), outcome::head) << bytes;
    return parser.head();
  };
  EXPECT_TRUE(head_of("GET / HTTP/1.1\r\nHost: h\r\n\r\n").keep_alive);
  EXPECT_FALSE(head_of("GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n").keep_alive);
  EXPECT_FALSE(head_of("GET / HTTP/1.1\r\nHost: h\r\nConnection: a\r\nConnection: b , close\r\n\r\n").keep_alive);
  EXPECT_FALSE(head_of("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
  // RFC 9110 section 7.8: an old message offers no upgrade.
  EXPECT_EQ(request_of("GET / HTTP/1.0\r\nUpgrade: websocket\r\nA: b\r\n\r\n").request,
            (http::request{"GET", "/", {{"A", "b"}}, ""}));
  EXPECT_TRUE(head_of("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade);
  EXPECT_FALSE(head_of("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n").upgrade);
  EXPECT_TRUE(
      head_of("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n").expects_continue);
}

}  // namespace
