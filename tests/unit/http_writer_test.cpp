#include <gtest/gtest.h>

#include <string>

#include <iothub/http/h1_codec.hpp>

namespace {

using namespace iothub;
using http::h1_write;
using http::request;
using http::response;

std::string written(request const& what, h1_write how = {}) {
  byte_buffer out;
  EXPECT_TRUE(http::write_request(out, what, "h.azure-devices.net", how));
  return std::string{out.view()};
}
std::string written(response const& what, h1_write how = {}) {
  byte_buffer out;
  EXPECT_TRUE(http::write_response(out, what, how));
  return std::string{out.view()};
}

TEST(HttpWriter, AddsHostAndLength) {
  EXPECT_EQ(written(request{"PUT", "/d?v=1", {{"If-Match", "*"}}, "{}"}),
            "PUT /d?v=1 HTTP/1.1\r\nHost: h.azure-devices.net\r\nIf-Match: *\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(written(request{}), "GET / HTTP/1.1\r\nHost: h.azure-devices.net\r\n\r\n");
  EXPECT_EQ(written(request{.method = "DELETE"}), "DELETE / HTTP/1.1\r\nHost: h.azure-devices.net\r\n\r\n");
  EXPECT_EQ(written(request{.method = "POST"}),
            "POST / HTTP/1.1\r\nHost: h.azure-devices.net\r\nContent-Length: 0\r\n\r\n");
}

TEST(HttpWriter, KeepsTheCallersHostButNotItsLength) {
  EXPECT_EQ(
      written(request{"POST", "/", {{"host", "x"}, {"content-length", "7"}, {"Transfer-Encoding", "chunked"}}, "a"}),
      "POST / HTTP/1.1\r\nhost: x\r\nContent-Length: 1\r\n\r\na");
}

TEST(HttpWriter, WritesResponses) {
  EXPECT_EQ(written(response{.status = 404, .headers = {{"A", "b"}}, .body = "no"}),
            "HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(written(response{.reason = "Fine"}), "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(written(response{.status = 204, .body = "not sent"}), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(written(response{.status = 299}), "HTTP/1.1 299 Success\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(written(response{.body = "abc"}, {.close = true, .no_body = true}),
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n");
}

TEST(HttpWriter, SaysCloseOnce) {
  EXPECT_EQ(written(response{.headers = {{"Connection", "Close"}}}, {.close = true}),
            "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n");
}

TEST(HttpWriter, SendsChunks) {
  EXPECT_EQ(written(response{.body = "Wikipedia"}, {.chunk = 4}),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n4\r\npedi\r\n1\r\na\r\n0\r\n\r\n");
  EXPECT_EQ(written(response{.body = std::string(20, 'x')}, {.chunk = 32}),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
}

TEST(HttpWriter, RefusesWhatWouldSplitAMessageAndWritesNothing) {
  using namespace std::string_literals;
  std::string const bad[] = {"a\r\nB: c", "a\nb", "a\rb", "a\0b"s, "a\x01", "a\x7f"};
  byte_buffer out;
  for (std::string const& text : bad) {
    EXPECT_EQ(http::write_request(out, request{.headers = {{"A", text}}}, "h").error(), errc::invalid_argument);
    EXPECT_EQ(http::write_request(out, request{.headers = {{text, "a"}}}, "h").error(), errc::invalid_argument);
    EXPECT_EQ(http::write_request(out, request{.method = text}, "h").error(), errc::invalid_argument);
    EXPECT_EQ(http::write_request(out, request{.target = "/" + text}, "h").error(), errc::invalid_argument);
    EXPECT_EQ(http::write_request(out, request{}, text).error(), errc::invalid_argument);
    EXPECT_EQ(http::write_response(out, response{.headers = {{"A", text}}}).error(), errc::invalid_argument);
    EXPECT_EQ(http::write_response(out, response{.reason = text}).error(), errc::invalid_argument);
  }
  EXPECT_EQ(http::write_request(out, request{.method = ""}, "h").error(), errc::invalid_argument);
  EXPECT_EQ(http::write_request(out, request{.target = ""}, "h").error(), errc::invalid_argument);
  EXPECT_EQ(http::write_request(out, request{.target = "/a b"}, "h").error(), errc::invalid_argument);
  EXPECT_EQ(http::write_request(out, request{.headers = {{"", "a"}}}, "h").error(), errc::invalid_argument);
  EXPECT_EQ(http::write_request(out, request{.headers = {{"a:", "a"}}}, "h").error(), errc::invalid_argument);
  EXPECT_EQ(http::write_response(out, response{.status = 99}).error(), errc::invalid_argument);
  EXPECT_EQ(http::write_response(out, response{.status = 600}).error(), errc::invalid_argument);
  EXPECT_TRUE(out.empty());
}

TEST(HttpCodec, ReadsBackWhatItWrote) {
  request const what{"PATCH",
                     "/twins/a%2Fb?api-version=2021-04-12",
                     {{"Host", "h:8443"}, {"Empty", ""}, {"X", "\xc3\xa9 tab\tin"}},
                     std::string(70'000, 'x') + '\0'};
  for (std::size_t chunk : {std::size_t{0}, std::size_t{1000}}) {
    byte_buffer out;
    ASSERT_TRUE(http::write_request(out, what, "", {.chunk = chunk}));
    http::h1_parser parser{http::h1_role::server, {}};
    ASSERT_EQ(parser.parse(out), http::h1_parser::outcome::head);
    ASSERT_EQ(parser.parse(out), http::h1_parser::outcome::message);
    request read = std::move(parser.request());
    read.headers.remove("Content-Length");
    read.headers.remove("Transfer-Encoding");
    EXPECT_EQ(read, what);
    EXPECT_TRUE(out.empty());
  }
}

// RFC 9110 section 15.
TEST(HttpReasons, AreThoseOfTheStandard) {
  struct row {
    int status;
    std::string_view reason;
  };
  for (auto const& r : {row{100, "Continue"}, row{101, "Switching Protocols"}, row{200, "OK"}, row{201, "Created"}, row{202, "Accepted"},
                        row{204, "No Content"}, row{304, "Not Modified"}, row{400, "Bad Request"}, row{401, "Unauthorized"},
                        row{403, "Forbidden"}, row{404, "Not Found"}, row{405, "Method Not Allowed"}, row{408, "Request Timeout"},
                        row{409, "Conflict"}, row{411, "Length Required"}, row{412, "Precondition Failed"}, row{413, "Content Too Large"},
                        row{415, "Unsupported Media Type"}, row{417, "Expectation Failed"}, row{421, "Misdirected Request"},
                        row{426, "Upgrade Required"}, row{429, "Too Many Requests"}, row{431, "Request Header Fields Too Large"},
                        row{500, "Internal Server Error"}, row{501, "Not Implemented"}, row{502, "Bad Gateway"},
                        row{503, "Service Unavailable"}, row{504, "Gateway Timeout"}, row{505, "HTTP Version Not Supported"},
                        row{199, "Informational"}, row{299, "Success"}, row{399, "Redirection"}, row{499, "Error"}})
    EXPECT_EQ(iothub::http::reason_of(r.status), r.reason) << r.status;
}

}  // namespace
