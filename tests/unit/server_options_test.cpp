#include "../../tools/iothub-fake/options.hpp"

#include <gtest/gtest.h>

namespace {

using iothub::errc;
using iothub_fake::command;
using iothub_fake::options;

iothub::result<options> parse(std::vector<char const*> arguments) {
  return iothub_fake::parse_options(arguments);
}
std::string refusal(std::vector<char const*> arguments) {
  auto const refused = parse(std::move(arguments));
  if (refused) return "accepted";
  EXPECT_EQ(refused.error().code(), errc::invalid_argument);
  return std::string{refused.error().message()};
}

TEST(FakeOptions, ServeHasTheDocumentedDefaults) {
  auto const made = parse({"serve"}).value();
  EXPECT_EQ(made.command, command::serve);
  EXPECT_EQ(made.bind, "localhost");
  EXPECT_EQ(made.hub_name(), "localhost");
  EXPECT_EQ(made.https, 443);
  EXPECT_EQ(made.mqtt, 8883);
  EXPECT_EQ(made.amqps, 5671);
  EXPECT_EQ(made.amqp, 5672);
  EXPECT_EQ(made.log, iothub_fake::log_format::text);
  EXPECT_EQ(made.owner_key, iothub_fake::well_known_owner_key);
}

TEST(FakeOptions, TakesEveryServeOptionInBothForms) {
  auto const made = parse({"serve", "--bind", "::1", "--hostname=hub.example", "--hostname", "two.example", "--https=0",
                           "--mqtt", "0", "--ca", "/tmp/ca", "--ports-file=/tmp/ports", "--fixture", "f.json", "--log",
                           "json", "--owner-key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "--ephemeral-ca"})
                        .value();
  EXPECT_EQ(made.bind, "::1");
  EXPECT_EQ(made.hostnames, (std::vector<std::string>{"hub.example", "two.example"}));
  EXPECT_EQ(made.hub_name(), "hub.example");
  EXPECT_EQ(made.https, 0);
  EXPECT_EQ(made.mqtt, 0);
  EXPECT_EQ(made.ca_folder, "/tmp/ca");
  EXPECT_EQ(made.ports_file, "/tmp/ports");
  EXPECT_EQ(made.fixture, "f.json");
  EXPECT_EQ(made.log, iothub_fake::log_format::json);
  EXPECT_EQ(made.owner_key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
  EXPECT_TRUE(made.ephemeral_ca);
}

TEST(FakeOptions, AmqpIsOnAPortOfItsChoiceOrOff) {
  auto const made = parse({"serve", "--amqps", "0", "--amqp=off"}).value();
  EXPECT_EQ(made.amqps, 0);
  EXPECT_EQ(made.amqp, std::nullopt);
  EXPECT_EQ(refusal({"serve", "--amqps", "on"}), "--amqps takes a number from 0 to 65535");
}

TEST(FakeOptions, EventsAreAListOfSources) {
  auto const plain = parse({"serve"}).value().routes;
  EXPECT_TRUE(plain.telemetry && !plain.twin && !plain.lifecycle && !plain.connection);
  auto const all = parse({"serve", "--events", "telemetry,twin,lifecycle,connection"}).value().routes;
  EXPECT_TRUE(all.telemetry && all.twin && all.lifecycle && all.connection);
  auto const one = parse({"serve", "--events=lifecycle"}).value().routes;
  EXPECT_TRUE(!one.telemetry && !one.twin && one.lifecycle && !one.connection);
  for (auto const& [text, word] : {std::pair{"telemetry,twins", "twins"}, {"twin,", ""}, {"", ""}, {"Twin", "Twin"}})
    EXPECT_EQ(refusal({"serve", "--events", text}),
              "--events takes telemetry, twin, lifecycle and connection, with commas; \"" + std::string{word} +
                  "\" is none of them");
  EXPECT_EQ(refusal({"serve", "--events", "twin", "--show-telemetry"}),
            "--show-telemetry wants telemetry among --events");
}

TEST(FakeOptions, RetentionHasABoundInEventsAndInBytes) {
  auto const made = parse({"serve", "--partitions", "8", "--retain-events=1000", "--retain-bytes", "2M"}).value().retention;
  EXPECT_EQ(made.partitions, 8u);
  EXPECT_EQ(made.events, 1000u);
  EXPECT_EQ(made.bytes, std::size_t{2} << 20);
  EXPECT_EQ(parse({"serve", "--retain-bytes", "5"}).value().retention.bytes, 5u);
  EXPECT_EQ(refusal({"serve", "--partitions", "33"}), "--partitions takes a number from 1 to 32");
  for (auto const* const bad : {"0", "-1", "2M", "", "many"})
    EXPECT_EQ(refusal({"serve", "--retain-events", bad}), "--retain-events takes a number above 0");
  for (auto const* const bad : {"0", "M", "1T", "99999999999999999999", "9999999999999G"})
    EXPECT_EQ(refusal({"serve", "--retain-bytes", bad}), "--retain-bytes takes a number above 0, which may end in K, M or G");
}

TEST(FakeOptions, TheWellKnownKeyIs32Bytes) {
  EXPECT_EQ(iothub::from_base64(iothub_fake::well_known_owner_key).value().size(), 32u);
}

TEST(FakeOptions, TakesADeviceConnectionString) {
  auto const made = parse({"connstr", "--device", "dev 1", "--create"}).value();
  EXPECT_EQ(made.command, command::connstr);
  EXPECT_EQ(made.device, "dev 1");
  EXPECT_TRUE(made.create);
}

TEST(FakeOptions, KnowsHelpAndVersionAnywhere) {
  EXPECT_EQ(parse({"--help"}).value().command, command::help);
  EXPECT_EQ(parse({"serve", "--help"}).value().command, command::help);
  EXPECT_EQ(parse({"--version"}).value().command, command::version);
}

TEST(FakeOptions, RefusesAnAddressThatOthersReachUnlessMeant) {
  EXPECT_EQ(refusal({"serve", "--bind", "0.0.0.0"}),
            "other machines can reach 0.0.0.0; say --expose-to-network if that is meant");
  EXPECT_EQ(refusal({"serve", "--bind", "192.168.1.2", "--owner-key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}),
            "other machines can reach 192.168.1.2; say --expose-to-network if that is meant");
}

TEST(FakeOptions, RefusesTheWellKnownKeyWhereOthersReachIt) {
  EXPECT_EQ(refusal({"serve", "--bind", "0.0.0.0", "--expose-to-network"}),
            "the well-known owner key is refused on 0.0.0.0, which other machines can reach; give one of your own with "
            "--owner-key");
  EXPECT_NE(refusal({"serve", "--bind", "::", "--expose-to-network", "--owner-key",
                     "aW90aHViLWZha2Ugd2VsbC1rbm93biBvd25lciBrZXk="}),
            "accepted");
}

TEST(FakeOptions, AllowsAnAddressThatOthersReachWithBoth) {
  EXPECT_TRUE(parse({"serve", "--bind", "0.0.0.0", "--expose-to-network", "--owner-key",
                     "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}));
}

TEST(FakeOptions, CallsTheWholeLoopbackNetworkLoopback) {
  EXPECT_TRUE(iothub_fake::is_loopback("127.0.0.1"));
  EXPECT_TRUE(iothub_fake::is_loopback("127.9.8.7"));
  EXPECT_TRUE(iothub_fake::is_loopback("::1"));
  EXPECT_FALSE(iothub_fake::is_loopback("127.evil.example"));
  EXPECT_FALSE(iothub_fake::is_loopback("::"));
  EXPECT_FALSE(iothub_fake::is_loopback("10.0.0.1"));
}

TEST(FakeOptions, SaysWhatItCannotUnderstand) {
  EXPECT_EQ(refusal({}), "which command? serve, connstr, events, ca, --help or --version");
  EXPECT_EQ(refusal({"start"}), "there is no command \"start\"; serve, connstr, events, ca, --help or --version");
  EXPECT_EQ(refusal({"serve", "--port", "1"}), "serve has no option \"--port\"");
  EXPECT_EQ(refusal({"serve", "--create"}), "serve has no option \"--create\"");
  EXPECT_EQ(refusal({"serve", "8883"}), "serve has no option \"8883\"");
  EXPECT_EQ(refusal({"serve", "--mqtt"}), "--mqtt takes a value");
  EXPECT_EQ(refusal({"serve", "--ca="}), "--ca takes a value that is not empty");
  EXPECT_EQ(refusal({"serve", "--log", "xml"}), "--log takes text or json");
  for (auto const* port : {"65536", "-1", "http", ""})
    EXPECT_EQ(refusal({"serve", "--https", port}), "--https takes a number from 0 to 65535") << port;
  EXPECT_EQ(refusal({"serve", "--owner-key", "short"}), "--owner-key takes the base64 of 16 to 64 bytes");
}

TEST(FakeOptions, SaysThatAnAddressIsNoneBeforeAnythingElse) {
  EXPECT_EQ(refusal({"serve", "--bind", "foo"}), "--bind takes an IP address or localhost, and foo is neither");
  EXPECT_EQ(refusal({"serve", "--bind", "127.1.2.3.4"}),
            "--bind takes an IP address or localhost, and 127.1.2.3.4 is neither");
  EXPECT_EQ(parse({"serve", "--bind", "localhost"}).value().bind, "localhost");
}

TEST(FakeOptions, ShowsTelemetryAndItsFixturesForm) {
  EXPECT_FALSE(parse({"serve"}).value().show_telemetry);
  EXPECT_TRUE(parse({"serve", "--show-telemetry"}).value().show_telemetry);
  EXPECT_NE(iothub_fake::help_text.find(R"({"deviceId": "pump-7")"), std::string_view::npos);
}

TEST(FakeOptions, AConnectionStringIsEitherForAServiceOrForADevice) {
  EXPECT_EQ(refusal({"connstr"}), "connstr takes either --service or --device ID");
  EXPECT_EQ(refusal({"connstr", "--service", "--device", "d"}), "connstr takes either --service or --device ID");
  EXPECT_EQ(refusal({"connstr", "--service", "--create"}), "--create goes with --device");
}

}  // namespace
