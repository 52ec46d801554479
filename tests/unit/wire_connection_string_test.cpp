// The rows are those in which the five official SDKs differ; see the head of connection_string.hpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <iothub/wire/connection_string.hpp>

namespace {

using namespace iothub;

std::string const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
std::string const device = "HostName=h.azure-devices.net;DeviceId=d1;SharedAccessKey=" + key;

// The sentence with which a device string is refused; empty when it is not.
std::string why(std::string const& text) {
  auto const parsed = parse_device_connection_string(text);
  if (parsed) return {};
  EXPECT_EQ(parsed.error().code(), errc::malformed);
  EXPECT_EQ(parsed.error().message().find(key.substr(0, 8)), std::string_view::npos) << "the key is in the message";
  return std::string{parsed.error().message()};
}

TEST(DeviceConnectionString, ReadsEveryCanonicalForm) {
  auto const plain = parse_device_connection_string(device).value();
  EXPECT_EQ(plain.host_name, "h.azure-devices.net");
  EXPECT_EQ(plain.device_id, "d1");
  EXPECT_EQ(plain.shared_access_key.reveal(), key);
  EXPECT_EQ(plain.connect_host(), "h.azure-devices.net");
  auto const module = parse_device_connection_string(device + ";ModuleId=m1;GatewayHostName=gw.local").value();
  EXPECT_EQ(module.module_id, "m1");
  EXPECT_EQ(module.host_name, "h.azure-devices.net");
  EXPECT_EQ(module.connect_host(), "gw.local");
  EXPECT_TRUE(parse_device_connection_string("HostName=h;DeviceId=d;x509=TRUE").value().x509);
  auto const token = parse_device_connection_string(
                         "HostName=h;DeviceId=d;SharedAccessSignature=SharedAccessSignature sr=h&sig=a%3D&se=1")
                         .value();
  EXPECT_EQ(token.shared_access_signature.reveal(), "SharedAccessSignature sr=h&sig=a%3D&se=1");
  auto const policy = parse_device_connection_string(device + ";SharedAccessKeyName=device").value();
  EXPECT_EQ(policy.shared_access_key_name, "device");
}

TEST(DeviceConnectionString, ReadsTheFieldsInAnyOrder) {
  std::vector<std::string> fields{"DeviceId=d1", "GatewayHostName=gw", "HostName=h", "ModuleId=m",
                                  "SharedAccessKey=" + key};
  auto const wanted = std::string{
      parse_device_connection_string(fields[0] + ";" + fields[1] + ";" + fields[2] + ";" + fields[3] + ";" + fields[4])
          .value()
          .print()
          .reveal()};
  do {
    std::string text;
    for (auto const& f : fields) text.append(text.empty() ? "" : ";").append(f);
    EXPECT_EQ(parse_device_connection_string(text).value().print().reveal(), wanted);
  } while (std::next_permutation(fields.begin(), fields.end()));
}

TEST(DeviceConnectionString, PrintsEveryFieldAgain) {
  for (std::string const& text :
       {device, device + ";GatewayHostName=gw.local", std::string{"HostName=h;DeviceId=d;x509=true"},
        std::string{"HostName=h;DeviceId=d;ModuleId=m;SharedAccessKeyName=p;SharedAccessKey=" + key}}) {
    auto const parsed = parse_device_connection_string(text).value();
    EXPECT_EQ(parsed.print().reveal(), text);
    EXPECT_EQ(parsed.clone().print().reveal(), text);
  }
}

TEST(DeviceConnectionString, TakesOneSemicolonAtTheEnd) {
  EXPECT_EQ(why(device + ";"), "");
  EXPECT_EQ(why(device + ";;"), "connection string: element 4 has no =");
}

TEST(DeviceConnectionString, NamesWhatIsWrong) {
  EXPECT_EQ(why(""), "connection string: it is empty");
  EXPECT_EQ(why(";"), "connection string: element 1 has no =");
  EXPECT_EQ(why(device + ";junk"), "connection string: element 4 has no =");
  EXPECT_EQ(why(device + ";Color=red"), "connection string: element 4 has an unknown name");
  EXPECT_EQ(why(device + ";DeviceId=d2"), "connection string: DeviceId is there twice");
  EXPECT_EQ(why("HostName=h;DeviceId=;SharedAccessKey=" + key), "connection string: DeviceId is empty");
  EXPECT_EQ(why("DeviceId=d;SharedAccessKey=" + key), "connection string: HostName is missing");
  EXPECT_EQ(why("HostName=h;SharedAccessKey=" + key), "connection string: DeviceId is missing");
  EXPECT_EQ(why("HostName=h;DeviceId=d"), "connection string: there is no SharedAccessKey");
  EXPECT_EQ(why(device + ";ModuleId=a b"), "connection string: ModuleId is no module id");
  EXPECT_EQ(why(device + ";GatewayHostName=g/x"), "connection string: GatewayHostName is no host name");
}

TEST(DeviceConnectionString, HintsAtCaseAndBlanks) {
  EXPECT_EQ(why("HostName=h;deviceid=d;SharedAccessKey=" + key),
            "connection string: element 2: write DeviceId exactly so, without blanks");
  EXPECT_EQ(why("HostName=h; DeviceId=d;SharedAccessKey=" + key),
            "connection string: element 2: write DeviceId exactly so, without blanks");
  EXPECT_EQ(why("HostName= h;DeviceId=d;SharedAccessKey=" + key),
            "connection string: HostName has a blank before or after its value");
}

TEST(DeviceConnectionString, RefusesTwoWaysToAuthenticate) {
  std::string const token = ";SharedAccessSignature=SharedAccessSignature sr=h&sig=a&se=1";
  EXPECT_EQ(why(device + ";x509=true"), "connection string: SharedAccessKey and x509 exclude each other");
  EXPECT_EQ(why(device + token), "connection string: SharedAccessKey and SharedAccessSignature exclude each other");
  EXPECT_EQ(why("HostName=h;DeviceId=d;x509=true" + token),
            "connection string: SharedAccessSignature and x509 exclude each other");
  for (auto bad : {"false", "1", "yes"})
    EXPECT_EQ(why(std::string{"HostName=h;DeviceId=d;x509="} + bad), "connection string: x509 can only be true");
}

TEST(DeviceConnectionString, ChecksKeyTokenAndPolicy) {
  EXPECT_EQ(why("HostName=h;DeviceId=d;SharedAccessKey=not base64"),
            "connection string: SharedAccessKey is not base64");
  EXPECT_EQ(why("HostName=h;DeviceId=d;SharedAccessKey=" + key.substr(0, 43)),
            "connection string: SharedAccessKey is not base64");
  EXPECT_EQ(why("HostName=h;DeviceId=d;SharedAccessSignature=sr=h"),
            "connection string: SharedAccessSignature does not begin with SharedAccessSignature and a blank");
  EXPECT_EQ(why(device + ";SharedAccessKeyName=a b"),
            "connection string: SharedAccessKeyName holds a character that is not allowed");
}

TEST(DeviceConnectionString, KeepsIdsLiteralAndAcceptsAllPunctuation) {
  std::string const id = "a-:.+%41_#*?!(),=@$'z";
  EXPECT_EQ(
      parse_device_connection_string("HostName=localhost;DeviceId=" + id + ";SharedAccessKey=" + key).value().device_id,
      id);
  EXPECT_NE(why("HostName=h;DeviceId=a;b;SharedAccessKey=" + key), "");  // ; cannot be written in an id
}

TEST(DeviceConnectionString, IgnoresUnknownNamesWhenTold) {
  EXPECT_TRUE(parse_device_connection_string(device + ";Color=red", unknown_names::ignore));
  EXPECT_FALSE(parse_device_connection_string(device + ";Color", unknown_names::ignore));
}

TEST(DeviceConnectionString, NeverEchoesAKeyThatWasPastedAlone) {
  why(key);
  why("HostName=h;DeviceId=d;" + key);
  why("HostName=h;DeviceId=d;SharedAccesKey=" + key);
  why("HostName=h;DeviceId=d;SharedAccessKey =" + key);
  why("HostName=h;DeviceId=" + key + " ;SharedAccessKey=x");
}

TEST(DeviceConnectionString, NeverFailsOtherwiseOnAnyPrefix) {
  std::string const text = device + ";GatewayHostName=gw;ModuleId=m";
  for (std::size_t size = 0; size <= text.size(); ++size) (void)why(text.substr(0, size));
}

TEST(ServiceConnectionString, ReadsThePolicy) {
  std::string const text = "HostName=h.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=" + key;
  auto const parsed = parse_service_connection_string(text).value();
  EXPECT_EQ(parsed.shared_access_key_name, "iothubowner");
  EXPECT_EQ(parsed.print().reveal(), text);
}

TEST(ServiceConnectionString, NamesWhatIsWrong) {
  auto const message = [](std::string const& text) {
    return std::string{parse_service_connection_string(text).error().message()};
  };
  EXPECT_EQ(message(device),
            "connection string: this is a device's string, a back end needs one with SharedAccessKeyName");
  EXPECT_EQ(message("HostName=h;SharedAccessKey=" + key), "connection string: SharedAccessKeyName is missing");
  EXPECT_EQ(message("HostName=h;SharedAccessKeyName=p"), "connection string: there is no SharedAccessKey");
  EXPECT_EQ(message("SharedAccessKeyName=p;SharedAccessKey=" + key), "connection string: HostName is missing");
}

}  // namespace
