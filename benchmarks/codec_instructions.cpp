// The codecs for callgrind: does one operation a given number of times, so that the difference between two runs is what
// the operations cost, and the start of the process cancels out. Instructions repeat where times do not.
//
//   codec_instructions NAME COUNT     |     codec_instructions --list
//
// A name is operation/library; `limit` is the same work by hand without a check.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <string>
#include <string_view>

#include <iothub/crypto/openssl.hpp>
#include <iothub/json/merge_patch.hpp>
#include <iothub/json/value.hpp>
#include <iothub/mqtt/decode.hpp>
#include <iothub/mqtt/encode.hpp>
#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/sas_signer.hpp>

namespace {

using namespace iothub;

// Keeps the compiler from dropping what nobody looks at.
template <class T>
void use(T const& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

// --- PUBLISH at QoS 1, topic of 43 bytes, payload of 100 ------------------------------------------------------------

constexpr std::string_view topic = "devices/thermostat-0000001/messages/events/";
std::string const payload(100, 'x');

void publish_encode_ours(long count) {
  byte_buffer out;
  mqtt::publish const p{.topic = topic, .payload = payload, .id = 4711, .qos = 1};
  while (count-- != 0) {
    encode(p, out);
    use(out);
    out.clear();
  }
}
void publish_encode_limit(long count) {
  char out[256];
  while (count-- != 0) {
    char* at = out;
    std::size_t const length = 4 + topic.size() + payload.size();
    *at++ = 0x32;
    *at++ = static_cast<char>((length & 127) | 128);
    *at++ = static_cast<char>(length >> 7);
    *at++ = 0;
    *at++ = static_cast<char>(topic.size());
    std::memcpy(at, topic.data(), topic.size());
    at += topic.size();
    *at++ = 4711 >> 8;
    *at++ = static_cast<char>(4711 & 255);
    std::memcpy(at, payload.data(), payload.size());
    use(out);
  }
}
void publish_decode_ours(long count) {
  byte_buffer raw;
  encode(mqtt::publish{.topic = topic, .payload = payload, .id = 4711, .qos = 1}, raw);
  mqtt::packet what;
  mqtt::filter_scratch scratch;
  while (count-- != 0) {
    use(mqtt::decode(raw.view(), 1u << 20, what, scratch));
    use(what);
  }
}

// --- topics and tokens ----------------------------------------------------------------------------------------------

void topic_build_ours(long count) {
  message m{.properties = {{"temperatureAlert", "true"}, {"room", "kitchen 2"}, {"unit", "C"}}};
  m.message_id = "message_17";
  m.content_type = "application/json";
  auto const topics = device_topics::make({"device1"}).value();
  byte_buffer out;
  while (count-- != 0) {
    out.clear();
    topics.append_telemetry(out, m).value();
    use(out);
  }
}
void topic_classify_ours(long count) {
  constexpr std::string_view inbound[] = {
      "$iothub/methods/POST/SetTelemetryInterval/?$rid=1a", "$iothub/twin/res/204/?$rid=17&$version=42",
      "$iothub/twin/PATCH/properties/desired/?$version=43",
      "devices/device1/messages/devicebound/%24.to=%2Fdevices%2Fdevice1%2Fmessages%2FdeviceBound&a=1"};
  auto const topics = device_topics::make({"device1"}).value();
  while (count-- != 0) use(topics.classify(inbound[count % 4]));
}

struct fixed_clock {
  [[nodiscard]] time_point now() const { return {}; }
  [[nodiscard]] utc_time utc_now() const { return from_unix_seconds(1'700'000'000); }
};
constexpr char key_text[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

void sas_token_ours(long count) {
  auto signer = basic_sas_signer<fixed_clock, openssl_crypto>::make(
                    {}, {}, secret{key_text}, {.host_name = "myhub.azure-devices.net", .device_id = "device1"})
                    .value();
  std::string text;
  while (count-- != 0) {
    text.clear();
    signer.append_token(text).value();
    use(text);
  }
}
// HMAC() and base64 alone: not even the escapes, nor the text around them.
void sas_token_openssl(long count) {
  std::string const key = from_base64(key_text).value();
  std::string const text = "myhub.azure-devices.net%2Fdevices%2Fdevice1\n1700000000";
  while (count-- != 0) {
    unsigned char digest[32];
    unsigned size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<unsigned char const*>(text.data()),
         text.size(), digest, &size);
    unsigned char base64[64];
    EVP_EncodeBlock(base64, digest, 32);
    use(base64);
  }
}

// --- a twin of 4 KB: parse, merge a patch, print --------------------------------------------------------------------

std::string make_twin() {
  std::string out = R"({"deviceId":"thermostat-1","version":17,"properties":{"desired":{"interval":5},"reported":{)";
  for (int i = 0; out.size() < 4000; ++i) {
    std::string const n = std::to_string(i);
    out += (i != 0 ? ",\"sensor" : "\"sensor") + n + R"(":{"name":"Sensor )" + n + R"(","unit":"celsius","value":2)" + n +
           R"(.5,"min":-40,"max":85,"enabled":true,"firmware":"2.4.)" + n +
           R"(","lastSeen":"2024-01-01T00:00:00.000Z","alarms":[)" + n + ",7]}";
  }
  return out + "}}}";
}
std::string const twin_text = make_twin();
constexpr char patch_text[] =
    R"({"properties":{"desired":{"interval":10,"batch":null},"reported":{"sensor1":{"value":31.25,"enabled":false},)"
    R"("sensor3":{"firmware":null},"rebootTime":"2024-01-01T00:00:20.000Z"}}})";

void twin_round_ours(long count) {
  while (count-- != 0) {
    auto document = json::parse(twin_text).value();
    merge_patch(document, json::parse(patch_text).value());
    use(document.dump());
  }
}
void twin_round_nlohmann(long count) {
  while (count-- != 0) {
    auto document = nlohmann::json::parse(twin_text);
    document.merge_patch(nlohmann::json::parse(patch_text));
    use(document.dump());
  }
}
// Without the merge, which RapidJSON does not have.
void twin_round_rapidjson(long count) {
  while (count-- != 0) {
    rapidjson::Document document;
    document.Parse(twin_text.data(), twin_text.size());
    rapidjson::StringBuffer out;
    rapidjson::Writer<rapidjson::StringBuffer> writer{out};
    document.Accept(writer);
    use(out);
  }
}
void resident_patch_ours(long count) {
  auto document = json::parse(twin_text).value();
  auto const patch = json::parse(patch_text).value();
  while (count-- != 0) {
    merge_patch(document, patch);
    use(document);
  }
}
void resident_patch_nlohmann(long count) {
  auto document = nlohmann::json::parse(twin_text);
  auto const patch = nlohmann::json::parse(patch_text);
  while (count-- != 0) {
    document.merge_patch(patch);
    use(document);
  }
}

struct operation {
  char const* name;
  void (*run)(long);
};
constexpr operation operations[] = {
    {"publish_encode/ours", publish_encode_ours},   {"publish_encode/limit", publish_encode_limit},
    {"publish_decode/ours", publish_decode_ours},   {"topic_build/ours", topic_build_ours},
    {"topic_classify/ours", topic_classify_ours},   {"sas_token/ours", sas_token_ours},
    {"sas_token/openssl", sas_token_openssl},       {"twin_round/ours", twin_round_ours},
    {"twin_round/nlohmann", twin_round_nlohmann},   {"twin_round/rapidjson", twin_round_rapidjson},
    {"resident_patch/ours", resident_patch_ours},   {"resident_patch/nlohmann", resident_patch_nlohmann},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (auto const& o : operations) std::puts(o.name);
    return 0;
  }
  for (auto const& o : operations)
    if (argc == 3 && std::strcmp(argv[1], o.name) == 0) return o.run(std::atol(argv[2])), 0;
  std::fputs("usage: codec_instructions NAME COUNT | --list\n", stderr);
  return 2;
}
