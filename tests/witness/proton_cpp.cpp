// Apache Qpid Proton's C++ library as client of a hub and as server to our client; nothing of this library is in here.
// proton_cpp.py compiles it and runs it; it prints a line for each thing it sees, with the AMQP types it decoded.
//   proton_cpp send URL ADDRESS TO BODY...               "outcome N STATE" when the peer settled the Nth message
//   proton_cpp receive URL ADDRESS COUNT [SELECTOR]      takes and accepts COUNT messages: "message FIELDS"
//   proton_cpp serve MAX_FRAME_SIZE                      one connection of amqp_talker; "listening PORT"
// Environment: PROTON_CA (PEM file, for amqps:), PROTON_USER and PROTON_PASSWORD for SASL PLAIN; without a user SASL is
// ANONYMOUS and PROTON_TOKEN goes to $cbs for PROTON_AUDIENCE. An error is the line "error TEXT" and exit status 1.
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <ios>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <proton/annotation_key.hpp>
#include <proton/binary.hpp>
#include <proton/codec/encoder.hpp>
#include <proton/connection.hpp>
#include <proton/connection_options.hpp>
#include <proton/container.hpp>
#include <proton/delivery.hpp>
#include <proton/error_condition.hpp>
#include <proton/listen_handler.hpp>
#include <proton/listener.hpp>
#include <proton/message.hpp>
#include <proton/message_id.hpp>
#include <proton/messaging_handler.hpp>
#include <proton/receiver.hpp>
#include <proton/receiver_options.hpp>
#include <proton/sasl.hpp>
#include <proton/sender.hpp>
#include <proton/sender_options.hpp>
#include <proton/source.hpp>
#include <proton/source_options.hpp>
#include <proton/ssl.hpp>
#include <proton/symbol.hpp>
#include <proton/target.hpp>
#include <proton/target_options.hpp>
#include <proton/timestamp.hpp>
#include <proton/tracker.hpp>
#include <proton/transport.hpp>
#include <proton/types.hpp>
#include <proton/value.hpp>

namespace {

std::string setting(char const* name) {
  char const* const text = std::getenv(name);
  return text ? text : "";
}

void say(std::string const& line) {
  std::cout << line << std::endl;
}

// TYPE:TEXT, and TYPE:SIZE:TEXT for bytes, of which the beginning is enough.
std::string show(proton::value const& what) {
  std::ostringstream out;
  out << std::boolalpha << what.type() << ':';
  if (what.type() == proton::BINARY) {
    auto const bytes = proton::get<proton::binary>(what);
    out << bytes.size() << ':' << std::string{bytes.begin(), bytes.end()}.substr(0, 400);
  } else if (what.type() != proton::NULL_TYPE) {
    out << what;
  }
  return out.str();
}

template <class Key>
void add_map(std::ostream& out, char const* prefix, proton::value const& map) {
  if (map.empty()) return;
  std::map<Key, proton::value> entries;
  proton::get(map, entries);
  for (auto const& each : entries) out << '\t' << prefix << each.first << '=' << show(each.second);
}

// NAME=VALUE, tabs between; "a." before message annotations, "p." before application properties.
void say_message(proton::message const& m) {
  std::ostringstream out;
  out << "message\tid=" << show(m.id()) << "\tto=" << m.to() << "\tcontent-type=" << m.content_type()
      << "\tdurable=" << m.durable();
  add_map<proton::annotation_key>(out, "a.", m.message_annotations().value());
  add_map<std::string>(out, "p.", m.properties().value());
  out << "\tbody=" << show(m.body());
  say(out.str());
}

proton::message data_message(std::string const& bytes) {
  proton::message m{proton::binary{bytes}};
  m.inferred(true);  // a data section, not a value that is binary
  return m;
}

struct client : proton::messaging_handler {
  explicit client(std::string to) : url{std::move(to)} {}

  virtual void start(proton::connection&) = 0;

  void on_container_start(proton::container& container) override {
    proton::connection_options how;
    how.sasl_allow_insecure_mechs(true).idle_timeout(proton::duration{20'000});
    if (!setting("PROTON_CA").empty())
      how.ssl_client_options(proton::ssl_client_options{setting("PROTON_CA"), proton::ssl::VERIFY_PEER_NAME});
    if (setting("PROTON_USER").empty())
      how.sasl_allowed_mechs("ANONYMOUS");
    else
      how.sasl_allowed_mechs("PLAIN").user(setting("PROTON_USER")).password(setting("PROTON_PASSWORD"));
    container.connect(url, how);
  }
  void on_connection_open(proton::connection& connection) override {
    if (setting("PROTON_TOKEN").empty()) return start(connection);
    connection.open_receiver("$cbs");
    connection.open_sender("$cbs");
  }
  void on_sendable(proton::sender& sender) override {
    if (sender.target().address() != "$cbs") return work(sender);
    if (std::exchange(token_sent, true)) return;
    proton::message put{setting("PROTON_TOKEN")};
    put.id("the token");
    put.reply_to("cbs");
    put.properties().put("operation", "put-token");
    put.properties().put("type", "servicebus.windows.net:sastoken");
    put.properties().put("name", setting("PROTON_AUDIENCE"));
    sender.send(put);
  }
  void on_message(proton::delivery& delivery, proton::message& message) override {
    if (delivery.receiver().source().address() != "$cbs") return work(delivery, message);
    auto const status = proton::get<std::int32_t>(message.properties().get("status-code"));
    say("put-token " + show(message.correlation_id()) + " " + std::to_string(status));
    proton::connection connection = delivery.connection();
    status == 200 ? start(connection) : connection.close();
  }
  virtual void work(proton::sender&) {}
  virtual void work(proton::delivery&, proton::message&) {}

  std::string url;
  bool token_sent = false;
};

struct sending final : client {
  sending(std::string to, std::string at, std::string recipient, std::vector<std::string> what)
      : client{std::move(to)}, address{std::move(at)}, to_whom{std::move(recipient)}, bodies{std::move(what)} {}

  void start(proton::connection& connection) override { connection.open_sender(address); }
  void work(proton::sender& sender) override {
    for (; sent != bodies.size() && sender.credit() > 0; ++sent) {
      proton::message m = data_message(bodies[sent]);
      m.id("proton-" + std::to_string(sent));
      m.content_type("application/json");
      if (to_whom != "-") m.to(to_whom);
      m.properties().put("colour", "red");
      m.properties().put("iothub-ack", "full");  // for cloud-to-device messages; elsewhere a property like others
      numbers[sender.send(m).tag()] = sent;
    }
  }
  void on_tracker_settle(proton::tracker& tracker) override {
    say("outcome " + std::to_string(numbers.at(tracker.tag())) + " " + proton::to_string(tracker.state()));
    if (++settled == bodies.size()) tracker.connection().close();
  }

  std::string address, to_whom;
  std::vector<std::string> bodies;
  std::map<proton::binary, std::size_t> numbers;
  std::size_t sent = 0, settled = 0;
};

struct receiving final : client {
  receiving(std::string to, std::string at, int how_many, std::string which)
      : client{std::move(to)}, address{std::move(at)}, left{how_many}, selector{std::move(which)} {}

  void start(proton::connection& connection) override {
    proton::source_options from;
    if (!selector.empty()) {
      proton::symbol const name{"apache.org:selector-filter:string"};
      proton::value described;
      proton::codec::encoder{described} << proton::codec::start::described() << name << selector
                                        << proton::codec::finish();
      proton::source::filter_map filters;
      filters.put(name, described);
      from.filters(filters);
    }
    proton::receiver_options how;
    connection.open_receiver(address, how.source(from).credit_window(0).auto_accept(false))
        .add_credit(static_cast<std::uint32_t>(left));
  }
  void work(proton::delivery& delivery, proton::message& message) override {
    say_message(message);
    delivery.accept();
    if (--left == 0) delivery.connection().close();
  }

  std::string address;
  int left;
  std::string selector;
};

// Gives the three messages it gets three outcomes, sends four, and detaches when those are settled too.
struct serving final : proton::messaging_handler, proton::listen_handler {
  explicit serving(std::uint32_t largest) : max_frame_size{largest} {}

  void on_container_start(proton::container& container) override { container.listen("amqp://127.0.0.1:0", *this); }
  void on_open(proton::listener& listener) override { say("listening " + std::to_string(listener.port())); }
  void on_error(proton::listener&, std::string const& what) override { throw proton::error{what}; }
  proton::connection_options on_accept(proton::listener& listener) override {
    listening = listener;
    proton::connection_options how;
    return how.handler(*this).max_frame_size(max_frame_size).idle_timeout(proton::duration{10'000});
  }

  void on_connection_open(proton::connection& connection) override {
    say("open " + connection.container_id() + " " + connection.transport().sasl().mech());
    connection.open();
    listening.stop();  // in on_accept() it would be the end of the connection too
  }
  void on_receiver_open(proton::receiver& receiver) override {
    proton::target_options at;
    at.address(receiver.target().address());
    proton::receiver_options how;
    receiver.open(how.target(at).credit_window(0).auto_accept(false));
    receiver.add_credit(3);
  }
  void on_sender_open(proton::sender& sender) override {
    proton::source_options from;
    from.address(sender.source().address());
    proton::sender_options how;
    sender.open(how.source(from));
  }
  void on_message(proton::delivery& delivery, proton::message& message) override {
    say_message(message);
    switch (got++) {
      case 0: delivery.accept(); break;
      case 1: delivery.reject(); break;
      default: delivery.release(); break;
    }
    finish();
  }
  void on_sendable(proton::sender& sender) override {
    if (!numbers.empty() || sender.credit() < 4) return;
    outbox = sender;
    proton::message first = data_message("first");
    first.id(std::uint64_t{1});
    first.message_annotations().put("x-opt-offset", "7");
    first.properties().put("t", proton::timestamp{5});
    first.properties().put("b", std::uint8_t{2});
    first.properties().put("n", proton::scalar{});
    proton::message second{"a value"};
    proton::message third{std::map<std::string, proton::value>{{"k", std::vector<proton::value>{1, 2, "three"}}}};
    for (proton::message const& each : {first, second, third, data_message(std::string(70'000, 'm'))}) {
      auto const number = numbers.size();
      numbers[sender.send(each).tag()] = number;
    }
  }
  void on_tracker_settle(proton::tracker& tracker) override {
    say("outcome " + std::to_string(numbers.at(tracker.tag())) + " " + proton::to_string(tracker.state()));
    ++settled;
    finish();
  }
  void finish() {
    if (got == 3 && settled == 4) outbox.close(proton::error_condition{"test:done", "that was all"});
  }

  std::uint32_t max_frame_size;
  int got = 0, settled = 0;
  std::map<proton::binary, std::size_t> numbers;
  proton::sender outbox;
  proton::listener listening;
};

void run(std::vector<std::string> const& words) {
  std::string const mode = words.empty() ? "" : words[0];
  if (mode == "send" && words.size() > 4) {
    sending work{words[1], words[2], words[3], {words.begin() + 4, words.end()}};
    proton::container{work, "proton-cpp"}.run();
  } else if (mode == "receive" && (words.size() == 4 || words.size() == 5)) {
    receiving work{words[1], words[2], std::stoi(words[3]), words.size() == 5 ? words[4] : ""};
    proton::container{work, "proton-cpp"}.run();
  } else if (mode == "serve" && words.size() == 2) {
    serving work{static_cast<std::uint32_t>(std::stoul(words[1]))};
    proton::container{work, "proton-cpp"}.run();
  } else {
    throw proton::error{"the head of proton_cpp.cpp says how it is used"};
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run({argv + 1, argv + argc});
    return 0;
  } catch (std::exception const& problem) {
    say(std::string{"error "} + problem.what());
    return 1;
  }
}
