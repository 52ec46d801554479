// Keys leave nothing behind: not where they were held, not where they were moved from, not in memory that was given back.
//
// Every block that this program frees is looked through for the key that a test watches for; that is what a crash dump, a
// swap file or the next owner of the memory would see.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/amqp/sasl.hpp>
#include <iothub/crypto/openssl.hpp>
#include <iothub/crypto/seeded.hpp>
#include <iothub/basic_event_reader.hpp>
#include <iothub/basic_service_messenger.hpp>
#include <iothub/event_reader.hpp>
#include <iothub/fake_hub.hpp>
#include <iothub/iothub.hpp>
#include <iothub/memory/direct_http.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/service/sas_passes.hpp>
#include <iothub/service_messenger.hpp>

#include <event_world.hpp>

namespace {

// What is looked for, and in how many freed blocks it was. Plain arrays: nothing here may allocate.
struct watch_list {
  char bytes[3][64] = {};
  std::size_t sizes[3] = {};
  std::size_t count = 0;
  int found = 0;
} watched;

void look_through(void const* block, std::size_t size) noexcept {
  for (std::size_t i = 0; i != watched.count; ++i)
    if (::memmem(block, size, watched.bytes[i], watched.sizes[i]) != nullptr) ++watched.found;
}

constexpr std::size_t header = 16;  // keeps the alignment that new promises

void* take(std::size_t size) noexcept {
  auto* const block = static_cast<char*>(std::malloc(size + header));
  if (block == nullptr) return nullptr;
  std::memcpy(block, &size, sizeof size);
  return block + header;
}
void give_back(void* at) noexcept {
  if (at == nullptr) return;
  char* const block = static_cast<char*>(at) - header;
  std::size_t size = 0;
  std::memcpy(&size, block, sizeof size);
  look_through(at, size);
  std::free(block);
}

}  // namespace

void* operator new(std::size_t size) {
  void* const at = take(size);
  if (at == nullptr) throw std::bad_alloc{};
  return at;
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new(std::size_t size, std::nothrow_t const&) noexcept { return take(size); }
void* operator new[](std::size_t size, std::nothrow_t const&) noexcept { return take(size); }
void operator delete(void* at) noexcept { give_back(at); }
void operator delete[](void* at) noexcept { give_back(at); }
void operator delete(void* at, std::size_t) noexcept { give_back(at); }
void operator delete[](void* at, std::size_t) noexcept { give_back(at); }
void operator delete(void* at, std::nothrow_t const&) noexcept { give_back(at); }
void operator delete[](void* at, std::nothrow_t const&) noexcept { give_back(at); }

namespace {

using namespace iothub;
using namespace std::chrono_literals;

// 24 bytes, as text and as what the text stands for. No part of either is in any other memory of this test.
char const key_text[] = "qL3vEjRWeJCrze8SNFZ4kKvN7xI0VniQ";
std::string_view key() { return {key_text, sizeof key_text - 1}; }

// Looks for the key, its bytes, and what else is given, while it lives.
class watching {
 public:
  explicit watching(std::string_view more = {}) {
    auto bytes = from_base64(key()).value();
    for (std::string_view const each : {key(), std::string_view{bytes}, more}) {
      if (each.empty()) continue;
      std::memcpy(watched.bytes[watched.count], each.data(), each.size());
      watched.sizes[watched.count++] = each.size();
    }
    wipe(bytes);
    watched.found = 0;
  }
  watching(watching const&) = delete;
  watching& operator=(watching const&) = delete;
  ~watching() { watched = {}; }
  [[nodiscard]] int found() const { return watched.found; }
};

// A connection string on the stack: the caller's copy is the caller's to wipe.
template <std::size_t Size>
std::string_view write(char (&into)[Size], char const* head) {
  std::snprintf(into, Size, "%s;SharedAccessKey=%s", head, key_text);
  return into;
}

TEST(SecretsInMemory, TheTestSeesAStringThatIsNotWiped) {
  watching const w;
  { std::string const careless{key()}; }
  EXPECT_EQ(w.found(), 1);
}

TEST(SecretsInMemory, ASecretWipesItsBytesBeforeTheyAreGivenBack) {
  watching const w;
  {
    secret a{key()};
    secret b{std::move(a)};
    secret c;
    c = std::move(b);
    secret d = c.clone();
    d = secret{key()};
    c.clear();
    secret e{std::string{key()}};
    std::swap(d, e);
  }
  EXPECT_EQ(w.found(), 0);
}

// Short ones too: a std::string keeps up to 15 bytes in itself, and so in every place it was moved from.
TEST(SecretsInMemory, NeitherASecretNorWhatItWasMadeOfKeepsAShortOneInItself) {
  constexpr std::string_view brief = "hunter22";
  alignas(std::string) char place[sizeof(std::string)];
  auto* const source = new (place) std::string{brief};
  ASSERT_NE(::memmem(place, sizeof place, brief.data(), brief.size()), nullptr) << "strings are not short here";
  alignas(secret) char places[3][sizeof(secret)];
  auto* const a = new (places[0]) secret{std::move(*source)};
  EXPECT_EQ(::memmem(place, sizeof place, brief.data(), brief.size()), nullptr);
  source->~basic_string();
  EXPECT_EQ(::memmem(place, sizeof place, brief.data(), brief.size()), nullptr);
  auto* const b = new (places[1]) secret{std::move(*a)};
  EXPECT_TRUE(a->empty());
  EXPECT_EQ(a->reveal().data(), nullptr);
  auto* const c = new (places[2]) secret{};
  *c = std::move(*b);
  EXPECT_EQ(c->reveal(), brief);
  for (auto const& each : places) EXPECT_EQ(::memmem(each, sizeof each, brief.data(), brief.size()), nullptr);
  for (auto* const each : {a, b, c}) each->~secret();
  for (auto const& each : places) EXPECT_EQ(::memmem(each, sizeof each, brief.data(), brief.size()), nullptr);
}

TEST(SecretsInMemory, WipeReachesTheSpareRoomOfAString) {
  watching const w;
  {
    std::string text{key()};
    text += text;
    text.resize(3);
    wipe(text);
    EXPECT_TRUE(text.empty());
  }
  EXPECT_EQ(w.found(), 1);  // where += took the text away from, which wipe() could not know
}

TEST(SecretsInMemory, AKeyedHmacIsZeroWhenItIsGoneOrMovedFrom) {
  alignas(hmac_sha256_key) unsigned char places[2][sizeof(hmac_sha256_key)];
  auto const zero = [&](int i) {
    for (unsigned char const byte : places[i])
      if (byte != 0) return false;
    return true;
  };
  auto* const first = new (places[0]) hmac_sha256_key{key()};
  EXPECT_FALSE(zero(0));
  auto* const second = new (places[1]) hmac_sha256_key{std::move(*first)};
  EXPECT_TRUE(zero(0));
  EXPECT_FALSE(zero(1));
  *first = std::move(*second);
  EXPECT_TRUE(zero(1));
  first->~hmac_sha256_key();
  second->~hmac_sha256_key();
  EXPECT_TRUE(zero(0));
  EXPECT_TRUE(zero(1));
}

TEST(SecretsInMemory, ConnectionStringsAndSignersLeaveNoKeyBehind) {
  char text[160];
  auto const given = write(text, "HostName=h.azure-devices.net;DeviceId=d");
  watching const w;
  {
    auto parsed = parse_device_connection_string(given);
    ASSERT_TRUE(parsed);
    auto const copy = parsed->clone();
    auto const printed = copy.print();
    ASSERT_EQ(printed.reveal(), given);
    memory::virtual_loop loop;
    auto signer = basic_sas_signer<loop_clock, seeded_crypto>::make(
        loop_clock{loop}, seeded_crypto{1}, parsed->shared_access_key, {.host_name = "h.azure-devices.net", .device_id = "d"});
    ASSERT_TRUE(signer);
    ASSERT_TRUE(signer->token());
    auto moved = std::move(*signer);
    ASSERT_TRUE(moved.token());
  }
  EXPECT_EQ(w.found(), 0);
}

TEST(SecretsInMemory, ConnectionStringsThatAreRefusedLeaveNoKeyBehind) {
  char text[200];
  watching const w;
  for (char const* const head : {"HostName=h", "HostName=h;DeviceId=d;Nonsense=1", "HostName=h;DeviceId=d;x509=true",
                                 "HostName=;DeviceId=d", "DeviceId=d"}) {
    auto const refused = parse_device_connection_string(write(text, head));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message().find(key().substr(0, 8)), std::string_view::npos);
  }
  EXPECT_EQ(w.found(), 0);
}

TEST(SecretsInMemory, DeviceClientsLeaveNoKeyBehind) {
  char text[160];
  auto const given = write(text, "HostName=h.azure-devices.net;DeviceId=d");
  watching const w;
  {
    net::epoll_loop loop;
    auto client = device_client::from_connection_string(loop, given);
    ASSERT_TRUE(client);
    auto moved = std::move(*client);
  }
  EXPECT_EQ(w.found(), 0);
}

TEST(SecretsInMemory, BackEndsLeaveNoKeyBehind) {
  char text[160];
  auto const given = write(text, "HostName=h.azure-devices.net;SharedAccessKeyName=p");
  watching const w;
  {
    net::epoll_loop loop;
    ASSERT_TRUE(service_client::from_connection_string(loop, given));
    ASSERT_TRUE(event_reader::from_connection_string(loop, given));
    ASSERT_TRUE(service_messenger::from_connection_string(loop, given));
  }
  EXPECT_EQ(w.found(), 0);
}

TEST(SecretsInMemory, ReadyMadeTokensAreWipedToo) {
  char text[200];
  char const token[] = "SharedAccessSignature sr=h&sig=qL3vEjRWeJCrze8SNFZ4kKvN7xI0VniQqL3vEjRWeJA%3D&se=99999999999";
  std::snprintf(text, sizeof text, "HostName=h.azure-devices.net;DeviceId=d;SharedAccessSignature=%s", token);
  watching const w{"qL3vEjRWeJCrze8SNFZ4kKvN7xI0VniQqL3vEjRWeJA"};
  {
    net::epoll_loop loop;
    ASSERT_TRUE(device_client::from_connection_string(loop, text));
  }
  EXPECT_EQ(w.found(), 0);
}

// The real thing: connected, tokens signed for the first time, for renewals and after losses. The hub, which knows the key as
// well, was there before and is there afterwards.
TEST(SecretsInMemory, DevicesThatConnectAndRenewLeaveNoKeyBehind) {
  fake_hub hub;
  device_identity d{.device_id = "d"};
  d.authentication.primary_key = d.authentication.secondary_key = key_text;
  hub.create_device(d);
  char text[160];
  auto const given = write(text, ("HostName=" + hub.core().options().hostname + ";DeviceId=d").c_str());
  (void)hub.pipes();
  int renewals = 0;
  watching const w;
  {
    auto device = fake_hub::device_client<wiring::pipe>::create(hub.loop(), parse_device_connection_string(given).value(),
                                                                wiring::pipe::device_source(hub), loop_clock{hub.loop()},
                                                                seeded_crypto{1})
                      .value();
    device.on_connection_change([&](connection_status now, connection_reason why) {
      renewals += now == connection_status::connected && why == connection_reason::token_renewal;
    });
    device.connect().value();
    hub.run_for(5h);
    ASSERT_TRUE(hub.disconnect("d"));
    hub.run_for(5h);
    ASSERT_TRUE(device.send_telemetry({.body = "x"}));
    device.close();
  }
  EXPECT_GE(renewals, 8);
  EXPECT_EQ(w.found(), 0);
}

// The same of the clients of a back end, which hold the key of a whole hub.
TEST(SecretsInMemory, BackEndsThatConnectAndRenewLeaveNoKeyBehind) {
  using iothub_test::event_world;
  using http_client = basic_service_client<memory::direct_http<hub::http_face>, loop_clock, openssl_crypto>;
  using reader = basic_event_reader<event_world::transport, loop_clock, openssl_crypto>;
  using messenger = basic_service_messenger<event_world::transport, loop_clock, openssl_crypto>;
  auto settings = event_world::small_hub();
  settings.owner_key = key_text;
  event_world w{settings};
  w.device("d");
  char text[160];
  auto const given = write(text, "HostName=h.azure-devices.net;SharedAccessKeyName=iothubowner");
  watching const looking;
  {
    auto const clock = loop_clock{w.on};
    auto service = http_client::create(w.on, given, [&w] { return memory::direct_http<hub::http_face>{w.runtime.http()}; }, clock,
                                       openssl_crypto{}, {.seed = 1})
                       .value();
    auto events = reader::create(w.on, given, w.transport_source(), clock, openssl_crypto{},
                                 {.start = event_position::earliest(), .seed = 2})
                      .value();
    auto messages = messenger::create(w.on, given, w.transport_source(), clock, openssl_crypto{}, {.seed = 3}).value();
    for (int i = 0; i != 3; ++i) {
      w.send("d", "x");
      ASSERT_TRUE(service.get_twin("d"));
      ASSERT_TRUE(events.next(5min));
      ASSERT_TRUE(messages.send_c2d("d", {.body = "y"}));
      w.run(5h);  // tokens are renewed
      if (i == 1) w.network.reset_all();
    }
    events.close();
    messages.close();
  }
  EXPECT_EQ(looking.found(), 0);
}

// An HTTP transport that never answers.
struct silent_http {
  exchange_id start(endpoint const&, http::request&&, time_point) { return 1; }
  void cancel(exchange_id) {}
  void step(time_point) {}
  std::optional<http_completion> next_completion() { return {}; }
  [[nodiscard]] time_point deadline() const { return never; }
  void attach(loop&, participant&) {}
};

// A token that was made here is wiped once it is handed over, and by the dialect that keeps it when it closes.
TEST(SecretsInMemory, DevicesLeaveNoTokenBehind) {
  char const token[] = "SharedAccessSignature sr=h&sig=qL3vEjRWeJCrze8SNFZ4kKvN7xI0VniQqL3vEjRWeJA%3D&se=1";
  watching const w{"qL3vEjRWeJCrze8SNFZ4kKvN7xI0VniQqL3vEjRWeJA"};
  {
    https_dialect<silent_http> speaks{silent_http{}};
    connection_parameters where;
    where.where = {.host = "h", .port = 443};
    where.who.device_id = "d";
    device_core core{speaks, where, {}, 1};
    for (int i = 0; i != 2; ++i) {
      core.connect(1, time_point{});
      core.step(time_point{});
      ASSERT_TRUE(core.token_wanted());
      core.supply_token(std::string{token}, 3600s, time_point{});
      core.step(time_point{});
      EXPECT_EQ(core.status(), connection_status::connected);
      core.close(time_point{});
    }
  }
  EXPECT_EQ(w.found(), 0);
}

// --- files that every client reads first

TEST(TrustedFiles, ThatCannotBeReadAreAnErrorOfEveryClient) {
  net::epoll_loop loop;
  char text[160], back_end[160];
  auto const device = write(text, "HostName=h.azure-devices.net;DeviceId=d");
  auto const service = write(back_end, "HostName=h.azure-devices.net;SharedAccessKeyName=p");
  auto const refused = [](auto const& made) { return made ? std::string{"made"} : std::string{made.error().message()}; };
  std::string const why = "cannot read the CRL file /no/such.crl: No such file or directory";
  EXPECT_EQ(refused(device_client::from_connection_string(loop, device, {.crl_file = "/no/such.crl"})), why);
  EXPECT_EQ(refused(https_device_client::from_connection_string(loop, device, {.crl_file = "/no/such.crl"})), why);
  EXPECT_EQ(refused(service_client::from_connection_string(loop, service, {.crl_file = "/no/such.crl"})), why);
  EXPECT_EQ(refused(event_reader::from_connection_string(loop, service, {.crl_file = "/no/such.crl"})), why);
  EXPECT_EQ(refused(service_messenger::from_connection_string(loop, service, {.crl_file = "/no/such.crl"})), why);
}

// --- what cannot be got wrong, since it does not compile

template <class T>
concept printable = requires(std::ostream& out, T const& value) { out << value; };
static_assert(!printable<secret>);
static_assert(!std::is_copy_constructible_v<secret> && !std::is_copy_assignable_v<secret>);
static_assert(!std::is_convertible_v<secret, std::string_view> && !std::is_convertible_v<secret, std::string>);
static_assert(!std::is_copy_constructible_v<hmac_sha256_key>);
template <class T>
concept comparable = requires(T const& a, T const& b) { a == b; };
static_assert(!comparable<secret> && !comparable<hmac_sha256_key>);

TEST(ConstantTime, ComparesAllBytesWhereverTheyDiffer) {
  std::string const a(32, 'a');
  EXPECT_TRUE(equal_constant_time(a, a));
  EXPECT_TRUE(equal_constant_time({}, {}));
  for (std::size_t i = 0; i != a.size(); ++i)
    for (int bit = 0; bit != 8; ++bit) {
      std::string b = a;
      b[i] = static_cast<char>(b[i] ^ (1 << bit));
      EXPECT_FALSE(equal_constant_time(a, b));
    }
  EXPECT_FALSE(equal_constant_time(a, std::string_view{a}.substr(1)));
}

}  // namespace
