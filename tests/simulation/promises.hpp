// The twenty promises in words, and events as lines for a person.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace iothub_test {

struct promise {
  char const* name;
  char const* words;
};
inline constexpr promise promises[] = {
    {"I1", "what was reported sent is in the hub's log"},
    {"I2", "nothing arrives that was not sent, and what arrives is the same, bit by bit"},
    {"I3", "a message is sent again only where its connection broke, and then with DUP"},
    {"I4", "messages of a device first arrive in the order in which they were sent"},
    {"I5", "a method call runs its handler once, and is answered once, on the connection it came by"},
    {"I6", "every call of a back end has one outcome, its own, in time"},
    {"I7", "reported properties at the hub are those that the device was told are there"},
    {"I8", "desired properties reach the handler in order, the last one always, none twice"},
    {"I9", "a message to a device is acknowledged after its handler took it, and none is lost"},
    {"I10", "every operation ends, exactly once, in time, close() included; a destructor tells nobody"},
    {"I11", "the outbox keeps its bounds"},
    {"I12", "reconnects wait as the back-off says, until a connection has proven good"},
    {"I13", "when the faults are over, all is well again within a bounded time"},
    {"I14", "the line is never silent for longer than keep-alive, and a dead one is noticed"},
    {"I15", "a packet id is never 0, and never shared by two packets in flight"},
    {"I16", "no expired token is used, and no text holds a token or a key"},
    {"I17", "every connection subscribes, and notices of it make sense: \"connected\" only when all that is made"},
    {"I18", "every packet is correct MQTT, by a second decoder, and nothing follows one that is not"},
    {"I19", "the hub keeps its own rules: versions, tags, whose message is whose"},
    {"I20", "the same seed gives the same run"},
    {"crash", "nothing crashes, hangs or throws, whatever happens"},
};

inline std::string_view words_of(std::string_view invariant) {
  for (promise const& p : promises)
    if (invariant == p.name) return p.words;
  return "a promise without a name";
}

// 3 h 05 min 07.250 s, from milliseconds.
inline std::string duration_text(std::int64_t ms) {
  char text[80];
  int at = 0;
  if (ms >= 86'400'000) at += std::snprintf(text + at, sizeof text - static_cast<std::size_t>(at), "%lld d ", static_cast<long long>(ms / 86'400'000));
  if (ms >= 3'600'000) at += std::snprintf(text + at, sizeof text - static_cast<std::size_t>(at), "%lld h ", static_cast<long long>(ms / 3'600'000 % 24));
  if (ms >= 60'000) at += std::snprintf(text + at, sizeof text - static_cast<std::size_t>(at), "%lld min ", static_cast<long long>(ms / 60'000 % 60));
  std::snprintf(text + at, sizeof text - static_cast<std::size_t>(at), "%lld.%03lld s", static_cast<long long>(ms / 1000 % 60), static_cast<long long>(ms % 1000));
  return text;
}

// One event of a run. `a` and `b` mean what the kind of the event says.
inline std::string event_line(std::int64_t at_us, int device, std::string_view what, std::int64_t a, std::int64_t b, std::string_view text) {
  constexpr char const* packets[] = {"0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
                                     "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "15"};
  struct numbers {
    std::string_view of;
    char const *a, *b;
  };
  constexpr numbers known[] = {
      {"send", "message", nullptr},       {"sent", "message", nullptr},         {"send failed", "message", nullptr},
      {"stored", "message", nullptr},     {"c2d", "message", nullptr},          {"c2d seen", "message", nullptr},
      {"invoke", "call", nullptr},        {"method runs", "call", nullptr},     {"invoked", "call", "status"},
      {"desired", "version", "at hub"},   {"desired whole", "version", "at hub"}, {"reported", "patch", "version"},
      {"step", "lasting ms", "amount"},   {"client gone", nullptr, nullptr},
  };
  char head[64];
  std::snprintf(head, sizeof head, "%14.6f  ", static_cast<double>(at_us) / 1e6);
  std::string line = head;
  std::string const whom = device >= 0 ? "d" + std::to_string(device) : "-";
  line += whom + std::string(whom.size() < 4 ? 4 - whom.size() : 1, ' ');
  if (what == "up" || what == "down") {
    line += what == "up" ? "client > hub  " : "hub > client  ";
    line += a >= 0 && a < 16 ? packets[a] : "?";
    if (b != 0) line += ", packet id " + std::to_string(b);
  } else {
    line += what;
    char const *first = "operation", *second = "";
    for (numbers const& n : known)
      if (n.of == what) first = n.a, second = n.b;
    bool const step = what == "step";
    if (step) line += ": " + std::string{text};
    if ((a != 0 || (first != nullptr && first[0] != 'o')) && first != nullptr && (!step || a != 0)) line += std::string{", "} + first + " " + std::to_string(a);
    if (second != nullptr && second[0] != 0) line += std::string{", "} + second + " " + std::to_string(b);
    if (step) text = {};
  }
  if (!text.empty()) line += "  ";
  for (char const c : text) line += c >= 32 && c < 127 ? c : '.';
  return line;
}

// Where each event is written the moment it happens, for runs that do not come to an end; null: nowhere.
inline std::FILE* live_trace = nullptr;

}  // namespace iothub_test
