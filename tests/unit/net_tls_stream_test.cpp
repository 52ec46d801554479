#include <iothub/net/tls_stream.hpp>

#include <iothub/memory/fail_at.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>

#include <certificates.hpp>
#include <talker.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using iothub_test::certificate;
using iothub_test::certificate_maker;
using memory::pipe_options;
using memory::pipe_stream;
using net::tls_context;
using stream = net::tls_stream<pipe_stream>;
using talker = iothub_test::talker<stream>;

certificate_maker const& maker() {
  static certificate_maker const one;
  return one;
}
tls_context trusting() {
  return *tls_context::client({.trust = {.ca_file = {}, .ca_pem = maker().ca_pem()}});
}
tls_context serving(bool ask_client = false) {
  static certificate const leaf = maker().issue();
  return *tls_context::server(
      {.certificate_pem = leaf.pem(), .private_key_pem = leaf.key_pem(), .request_client_certificate = ask_client});
}

struct world {
  explicit world(pipe_options options = {}, tls_context client_context = trusting(), bool ask_client = false)
      : net{loop, options},
        listener{*net.listen({"localhost", 8883})},
        client{loop, stream{client_context, pipe_stream{net}}} {
    client.stream.open({"localhost", 8883}, loop.now()).value();
    loop.run_for(1s).value();
    server = std::make_unique<talker>(loop, stream{serving(ask_client), *listener.accept(loop.now())});
  }
  void run(duration time = 1h) { ASSERT_TRUE(loop.run_for(time)); }

  memory::virtual_loop loop;
  memory::pipe_network net;
  memory::pipe_listener listener;
  talker client;
  std::unique_ptr<talker> server;
};

TEST(TlsStream, CarriesBytesBothWaysInPiecesOfAnySize) {
  std::string const text(100'000, 'x');
  for (std::size_t const chunk : {0u, 1u, 7u, 1000u}) {
    world w{{.max_chunk = chunk, .capacity = 5000}};
    w.client.say(text);
    w.server->say(text);
    w.run();
    EXPECT_EQ(w.server->received, text) << chunk;
    EXPECT_EQ(w.client.received, text) << chunk;
  }
}

TEST(TlsStream, AWriteIsOneWriteBelow) {
  memory::virtual_loop l;
  memory::pipe_network net{l};
  auto listener = *net.listen({"localhost", 8883});
  memory::failure_plan count;
  using counting = net::tls_stream<memory::fail_at<pipe_stream>>;
  iothub_test::talker<counting> client{l, counting{trusting(), {pipe_stream{net}, count}}};
  ASSERT_TRUE(client.stream.open({"localhost", 8883}, l.now()));
  talker server{l, stream{serving(), *listener.accept(l.now())}};
  ASSERT_TRUE(l.run_for(1s));
  std::uint64_t const before = count.calls;
  client.say(std::string(5000, 'x'));
  ASSERT_TRUE(l.run_for(1s));
  EXPECT_EQ(count.calls, before + 1);
  EXPECT_EQ(server.received.size(), 5000u);
}

// The engine alone, without any stream: two of them, and a test that carries the bytes.
TEST(TlsEngine, MakesOneRecordPerWriteAndHoldsNoBufferWhenIdle) {
  auto client = *net::tls_engine::make(trusting(), "localhost", memory::virtual_epoch);
  auto server = *net::tls_engine::make(serving(), {}, memory::virtual_epoch);
  auto carry = [](net::tls_engine& from, net::tls_engine& to) {
    to.feed(from.outgoing().view());
    from.outgoing().clear();
    from.outgoing().shrink();
  };
  for (int i = 0; i != 4; ++i) {
    client.handshake();
    carry(client, server);
    server.handshake();
    carry(server, client);
  }
  ASSERT_TRUE(client.established() && server.established());
  EXPECT_EQ(client.write(std::string(5000, 'x')), (io_result{io_status::done, 5000}));
  std::string_view const record = client.outgoing().view();
  EXPECT_EQ(record.substr(0, 3), "\x17\x03\x03");  // application data, RFC 8446 section 5.1
  EXPECT_EQ(static_cast<unsigned char>(record[3]) * 256u + static_cast<unsigned char>(record[4]), record.size() - 5);
  carry(client, server);
  std::string into(6000, '\0');
  EXPECT_EQ(server.read(into), (io_result{io_status::done, 5000}));
  EXPECT_EQ(server.read(into), io_result{});
  EXPECT_EQ(client.outgoing().capacity(), 0u);
}

TEST(TlsStream, ClosingSaysCloseNotify) {
  world w;
  w.client.say("bye");
  w.run();
  w.client.close();
  w.run();
  EXPECT_EQ(w.server->received, "bye");
  EXPECT_TRUE(w.server->ended);
  EXPECT_FALSE(w.server->failed);
}

TEST(TlsStream, AnEndWithoutCloseNotifyIsALostConnection) {
  world w;
  w.client.say("cut");
  w.run();
  w.client.stream.next_layer().close();
  w.client.closed = true;
  w.run();
  EXPECT_EQ(w.server->received, "cut");
  ASSERT_TRUE(w.server->failed);
  EXPECT_EQ(*w.server->failed, errc::connection_lost);
  EXPECT_EQ(w.server->failed->message(),
            "the connection to the client ended without a TLS close: bytes may be missing");
}

TEST(TlsStream, AnEndDuringTheHandshakeIsALostConnection) {
  world w{{.latency = 10ms}};
  w.server->close();
  w.run();
  ASSERT_TRUE(w.client.failed);
  EXPECT_EQ(*w.client.failed, errc::connection_lost);
}

TEST(TlsStream, BytesThatAreNoTlsFailTheHandshake) {
  memory::virtual_loop l;
  memory::pipe_network net{l};
  auto listener = *net.listen({"localhost", 8883});
  talker client{l, stream{trusting(), pipe_stream{net}}};
  ASSERT_TRUE(client.stream.open({"localhost", 8883}, l.now()));
  iothub_test::talker<pipe_stream> plain{l, *listener.accept(l.now())};
  plain.say("HTTP/1.1 400 Bad Request\r\n\r\n");
  ASSERT_TRUE(l.run_for(1h));
  ASSERT_TRUE(client.failed);
  EXPECT_EQ(*client.failed, errc::tls_failed);
  EXPECT_EQ(client.failed->message(), "the TLS handshake with localhost failed: wrong version number");
}

TEST(TlsStream, AHandshakeThatGetsNoAnswerTimesOutAtBothEnds) {
  memory::virtual_loop l;
  memory::pipe_network net{l};
  auto listener = *net.listen({"localhost", 8883});
  talker client{l, stream{trusting(), pipe_stream{net}, {.handshake_timeout = 10s}}};
  ASSERT_TRUE(client.stream.open({"localhost", 8883}, l.now()));
  talker server{l, stream{serving(), *listener.accept(l.now()), {.handshake_timeout = 20s}}};
  net.hold_all();
  ASSERT_TRUE(l.run_until([&] { return client.failed.has_value(); }));
  EXPECT_EQ(*client.failed, errc::timeout);
  EXPECT_EQ(l.elapsed(), 10s);
  ASSERT_TRUE(l.run_until([&] { return server.failed.has_value(); }));
  EXPECT_EQ(*server.failed, errc::timeout);
  EXPECT_EQ(l.elapsed(), 20s);
}

TEST(TlsStream, ATamperedRecordEndsTheConnection) {
  world w;
  w.run();
  w.server->reading = false;
  w.client.stream.next_layer().write(std::string_view{"\x17\x03\x03\x00\x14xxxxxxxxxxxxxxxxxxxx", 25}, w.loop.now());
  w.server->reading = true;
  w.run();
  ASSERT_TRUE(w.server->failed);
  EXPECT_EQ(*w.server->failed, errc::tls_failed);
  EXPECT_TRUE(w.client.failed);
}

TEST(TlsStream, ABlockedWriteGoesOnWhereItWas) {
  world w{{.capacity = 1000}};
  w.run();
  w.server->reading = false;
  std::string const text(20'000, 'y');
  w.client.say(text);
  w.run();
  EXPECT_FALSE(w.client.to_send.empty());
  w.client.say("end");
  w.server->reading = true;
  w.loop.wake(*w.server);
  w.run();
  EXPECT_EQ(w.server->received, text + "end");
}

TEST(TlsStream, TheServerSeesTheClientsCertificateWithoutJudgingIt) {
  certificate const device{{.common_name = "pump-7", .alternative_names = {}, .extended_key_usage = "clientAuth"}};
  auto context = tls_context::client({.trust = {.ca_file = {}, .ca_pem = maker().ca_pem()},
                                      .certificate_pem = device.pem(),
                                      .private_key_pem = device.key_pem()});
  ASSERT_TRUE(context);
  world with{{}, *context, true};
  with.run();
  EXPECT_EQ(with.server->stream.peer_certificate(), device.der());
  world without{{}, trusting(), true};
  without.run();
  EXPECT_TRUE(without.server->stream.established());
  EXPECT_EQ(without.server->stream.peer_certificate(), "");
}

TEST(TlsStream, CanBeOpenedAgainAfterItFailed) {
  world w;
  w.run();
  w.net.reset_all();
  w.run();
  EXPECT_EQ(*w.client.failed, errc::connection_lost);
  w.client.failed.reset();
  ASSERT_TRUE(w.client.stream.open({"localhost", 8883}, w.loop.now()));
  talker again{w.loop, stream{serving(), *w.listener.accept(w.loop.now())}};
  w.client.say("back");
  w.run();
  EXPECT_EQ(again.received, "back");
}

TEST(TlsStream, MisuseIsSaidAtOnce) {
  world w;
  EXPECT_EQ(w.client.stream.open({"localhost", 8883}, w.loop.now()).error(), errc::invalid_state);
  EXPECT_EQ(w.server->stream.open({"localhost", 8883}, w.loop.now()).error(), errc::unsupported);
  stream s{trusting(), pipe_stream{w.net}};
  EXPECT_EQ(s.open({"", 8883}, w.loop.now()).error(), errc::invalid_argument);
  EXPECT_EQ(s.open({".", 8883}, w.loop.now()).error(), errc::invalid_argument);
  EXPECT_EQ(s.open({std::string{"a\0b", 3}, 8883}, w.loop.now()).error(), errc::invalid_argument);
}

// Every call below fails once: both sides must end, with an error or in order, and nothing may leak or hang.
TEST(TlsStream, SurvivesAFailureAtEveryCallBelow) {
  using failing = net::tls_stream<memory::fail_at<pipe_stream>>;
  std::uint64_t call = 2;  // 1 is open() itself
  for (bool reached = true; reached; ++call) {
    ASSERT_LT(call, 100u);
    memory::virtual_loop l;
    memory::pipe_network net{l};
    auto listener = *net.listen({"localhost", 8883});
    memory::failure_plan plan{.fail_call = call};
    iothub_test::talker<failing> client{l, failing{trusting(), {pipe_stream{net}, plan}}};
    ASSERT_TRUE(client.stream.open({"localhost", 8883}, l.now()));
    talker server{l, stream{serving(), *listener.accept(l.now())}};
    server.echo = true;
    client.say("ping");
    ASSERT_TRUE(l.run_for(1h));
    reached = plan.reached();
    if (reached) {
      ASSERT_TRUE(client.failed);
      EXPECT_EQ(*client.failed, errc::connection_lost);
      EXPECT_TRUE(server.failed || server.ended);
    } else {
      EXPECT_EQ(client.received, "ping");
    }
  }
  EXPECT_GT(call, 6u);
}

// A server's end on canned bytes, and a client's engine that says what no stream would.
struct canned_stream {
  result<void> open(endpoint const&, time_point) { return {}; }
  io_result read(byte_span into, time_point) {
    ++*reads;
    std::size_t const size = std::min({in->size(), into.size(), piece});
    if (size == 0) return {};
    in->copy(into.data(), size);
    in->erase(0, size);
    return {io_status::done, size};
  }
  io_result write(byte_view from, time_point) { return out->append(from), io_result{io_status::done, from.size()}; }
  void close() {}
  [[nodiscard]] error last_error() const { return {errc::closed}; }
  [[nodiscard]] time_point deadline() const { return never; }
  void attach(loop&, participant&) {}
  std::string *in, *out;
  int* reads;
  std::size_t piece;
};
struct flooded_server : participant {
  explicit flooded_server(std::size_t piece) : server{serving(), canned_stream{&in, &out, &reads, piece}} {
    loop.add(*this);
    server.attach(loop, *this);
    for (int i = 0; i != 3; ++i) {
      client.handshake();
      take();
      while (!in.empty()) (void)server.read({into, 0}, loop.now());
      client.feed(std::exchange(out, {}));
    }
    EXPECT_TRUE(server.established());
    EXPECT_TRUE(loop.run_for(1s));
    reads = steps = 0;
  }
  void update_keys(int times) {
    for (; times != 0; --times) {
      SSL_key_update(client.native_handle(), SSL_KEY_UPDATE_NOT_REQUESTED);
      SSL_do_handshake(client.native_handle());
    }
    take();
  }
  void take() {
    in += client.outgoing().view();
    client.outgoing().clear();
  }
  void step(time_point now) override {
    ++steps;
    last = server.read({into, sizeof into}, now);
  }
  time_point deadline() const override { return never; }

  memory::virtual_loop loop;
  net::tls_engine client = *net::tls_engine::make(trusting(), "localhost", memory::virtual_epoch);
  std::string in, out;
  int reads = 0, steps = 0;
  char into[100];
  io_result last;
  net::tls_stream<canned_stream> server;
};

TEST(TlsStream, RecordsWithoutDataAreReadAFewAtATime) {
  flooded_server w{100};
  w.update_keys(100);
  ASSERT_EQ(w.client.write("x"), (io_result{io_status::done, 1}));
  w.take();
  EXPECT_EQ(w.server.read({w.into, 100}, w.loop.now()), io_result{});
  EXPECT_EQ(w.reads, 8);
  EXPECT_FALSE(w.in.empty());
  EXPECT_TRUE(w.loop.run_until([&] { return w.last.status == io_status::done; }));  // it woke its participant
  EXPECT_EQ(w.into[0], 'x');
  EXPECT_GT(w.steps, 1);
}

TEST(TlsStream, RecordsWithoutDataWithoutEndFailTheConnection) {
  flooded_server w{SIZE_MAX};
  for (int i = 0; i != 3; ++i) {  // with a byte now and then there is no limit
    w.update_keys(5000);
    (void)w.client.write("x");
    w.take();
    w.loop.wake(w);
    ASSERT_TRUE(w.loop.run_until([&] { return std::exchange(w.last, {}).status == io_status::done; }));
  }
  w.update_keys(15'000);
  w.loop.wake(w);
  ASSERT_TRUE(w.loop.run_until([&] { return w.last.status == io_status::failed; }));
  EXPECT_EQ(w.server.last_error(), errc::protocol_error);
  EXPECT_FALSE(w.in.empty());
}

TEST(TlsContext, ClientsWithTheSameTrustShareOneContext) {
  EXPECT_EQ(trusting().native_handle(), trusting().native_handle());
  certificate_maker const other;
  auto const another = tls_context::client({.trust = {.ca_file = {}, .ca_pem = other.ca_pem()}});
  EXPECT_NE(another->native_handle(), trusting().native_handle());
}

TEST(TlsContext, AnUnusableCaIsAnErrorThatNamesIt) {
  auto const missing = tls_context::client({.trust = {.ca_file = "/nonexistent/ca.pem", .ca_pem = {}}});
  ASSERT_EQ(missing.error(), errc::io_error);
  EXPECT_EQ(missing.error().message(), "cannot read the CA file /nonexistent/ca.pem: No such file or directory");
  auto const broken = tls_context::client(
      {.trust = {.ca_file = {}, .ca_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}});
  EXPECT_EQ(broken.error(), errc::malformed);
}

TEST(TlsContext, ACertificateThatDoesNotFitItsKeyIsRefused) {
  certificate const a = maker().issue(), b = maker().issue();
  EXPECT_EQ(tls_context::server({.certificate_pem = a.pem(), .private_key_pem = b.key_pem()}).error(),
            errc::invalid_argument);
  EXPECT_EQ(tls_context::server({.certificate_pem = "x", .private_key_pem = b.key_pem()}).error(),
            errc::invalid_argument);
  EXPECT_EQ(tls_context::server({.certificate_pem = a.pem(), .private_key_pem = ""}).error(), errc::invalid_argument);
  EXPECT_EQ(tls_context::server({.certificate_file = "/nonexistent/server.pem"}).error(), errc::io_error);
}

TEST(TlsEngine, LeavesTheErrorQueueOfTheThreadEmpty) {
  world w;
  ERR_put_error(ERR_LIB_SSL, 0, SSL_R_BAD_LENGTH, "", 0);  // somebody else's leftover changes nothing
  w.client.say("x");
  w.run();
  EXPECT_EQ(w.server->received, "x");
  w.net.reset_all();
  w.run();
  EXPECT_EQ(ERR_peek_error(), 0ul);
}

}  // namespace
