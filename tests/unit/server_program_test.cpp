// The program iothub-fake as its users see it: its one line, its exit statuses, and what it says when it cannot go on.
// The waits here are bounds on hanging; nothing is expected to take a certain time.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <iothub/json/value.hpp>
#include <iothub/net/certificate_authority.hpp>
#include <iothub/net/tcp_listener.hpp>
#include <iothub/wire/connection_string.hpp>

#include <process.hpp>

#ifndef IOTHUB_BIN_DIR
#define IOTHUB_BIN_DIR "build/bin"
#endif

extern char** environ;

namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;
using words = std::vector<std::string>;

// A running iothub-fake; standard error goes to a file.
class program {
 public:
  // Its standard output goes to `out_file`, where one is named.
  program(words arguments, std::string const& error_file, std::string const& out_file = {}) : error_file_{error_file} {
    for (auto const& argument : arguments) command_ += " " + argument;
    int out[2];
    if (::pipe2(out, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    if (!out_file.empty()) posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_file.c_str(), O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, error_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    std::string path = std::string{IOTHUB_BIN_DIR} + "/iothub-fake";
    std::vector<char*> argv{path.data()};
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (posix_spawn(&pid_, path.c_str(), &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    out_ = out[0];
  }
  program(program const&) = delete;
  program& operator=(program const&) = delete;
  ~program() {
    if (pid_ > 0) end(SIGKILL);
    ::close(out_);
  }
  std::string line() {
    std::string text;
    for (char c; ::read(out_, &c, 1) == 1 && c != '\n';) text += c;
    said_ += text + "\n";
    return text;
  }
  // The exit status; -1 for a death by a signal.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    std::ifstream errors{error_file_};
    iothub_test::add_transcript("standard error of " + command_, {std::istreambuf_iterator<char>{errors}, {}});
    iothub_test::add_transcript(command_, said_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int end(int signal) {
    ::kill(pid_, signal);
    return wait();
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  std::string error_file_, command_ = "iothub-fake", said_;
};

class FakeProgram : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "iothub_fake_XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    folder = path;
  }
  void TearDown() override {
    for (auto const* name : {"ca/ca.pem", "ca/ca-key.pem", "ca/server.pem", "ca/server-key.pem", "ca/.lock",
                             "ca/ephemeral-ca.pem", "ca", "ports", "err", "fixture"})
      std::remove((folder + "/" + name).c_str());
    std::remove(folder.c_str());
  }
  [[nodiscard]] std::string file(std::string const& name) const { return folder + "/" + name; }
  [[nodiscard]] std::string text_of(std::string const& name) const {
    std::ifstream in{file(name)};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  words serve(words more = {}) const {
    words all{"serve",   "--https", "0",      "--mqtt", "0",          "--amqps",       "0",
              "--amqp", "0",       "--ca",   file("ca"), "--ports-file", file("ports")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  // Runs to its end: the first line of standard output, and the exit status.
  struct outcome {
    int status;
    std::string out;
    std::string err;
  };
  outcome run(words arguments) {
    program once{std::move(arguments), file("err")};
    auto line = once.line();
    int const status = once.wait();
    return {status, line, text_of("err")};
  }
  std::string folder;
};

TEST_F(FakeProgram, SaysOneLineWhenItServesAndEndsWith0OnASignal) {
  for (int const signal : {SIGTERM, SIGINT}) {
    program hub{serve(), file("err")};
    EXPECT_THAT(hub.line(), MatchesRegex("iothub-fake ready hub=localhost https=[0-9]+ mqtt=[0-9]+ ca=/.*/ca/ca.pem "
                                         "amqps=[0-9]+ amqp=[0-9]+"));
    auto const ports = iothub::json::parse(text_of("ports")).value();
    EXPECT_EQ(ports["hub"], "localhost");
    EXPECT_GT(ports["https"].as_int().value_or(0), 0);
    EXPECT_GT(ports["mqtt"].as_int().value_or(0), 0);
    EXPECT_EQ(ports["ca"], file("ca/ca.pem"));
    EXPECT_EQ(hub.end(signal), 0);
    EXPECT_EQ(hub.line(), "");
    EXPECT_NE(::access(file("ports").c_str(), F_OK), 0);  // nobody is to look for the hub there any more
  }
}

TEST_F(FakeProgram, GivesConnectionStringsThatParse) {
  program hub{serve(), file("err2")};
  ASSERT_THAT(hub.line(), StartsWith("iothub-fake ready"));
  auto const service = run({"connstr", "--service"});
  EXPECT_EQ(service.status, 0);
  EXPECT_TRUE(iothub::parse_service_connection_string(service.out)) << service.out;
  auto const absent = run({"connstr", "--device", "d 1", "--ports-file", file("ports")});
  EXPECT_EQ(absent.status, 2);  // a blank is in no device id
  auto const unknown = run({"connstr", "--device", "d1", "--ports-file", file("ports")});
  EXPECT_EQ(unknown.status, 6);
  EXPECT_THAT(unknown.err, HasSubstr("--create makes it"));
  auto const made = run({"connstr", "--device", "d1", "--create", "--ports-file", file("ports")});
  EXPECT_EQ(made.status, 0);
  auto const parsed = iothub::parse_device_connection_string(made.out);
  ASSERT_TRUE(parsed) << made.out;
  EXPECT_EQ(parsed->device_id, "d1");
  auto const again = run({"connstr", "--device", "d1", "--create", "--ports-file", file("ports")});
  EXPECT_EQ(again.out, made.out);
  EXPECT_EQ(hub.end(SIGTERM), 0);
  EXPECT_EQ(text_of("err2").find("SharedAccessSignature"), std::string::npos);
  std::remove(file("err2").c_str());
}

TEST_F(FakeProgram, SaysThatNoHubAnswers) {
  auto const free_port = iothub::net::tcp_listener::listen({}).value().port();
  auto const none = run({"connstr", "--device", "d1", "--https", std::to_string(free_port)});
  EXPECT_EQ(none.status, 6);
}

TEST_F(FakeProgram, EndsWith2OnWrongUsage) {
  for (words const& arguments :
       {words{}, words{"start"}, words{"serve", "--port", "1"}, words{"connstr"}, words{"serve", "--bind", "0.0.0.0"},
        words{"serve", "--bind", "0.0.0.0", "--expose-to-network"}}) {
    auto const refused = run(arguments);
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, StartsWith("iothub-fake: "));
    EXPECT_EQ(refused.out, "");
  }
}

TEST_F(FakeProgram, EndsWith3OnAPortThatIsTakenAndSaysHowToGetOne) {
  auto const taken = iothub::net::tcp_listener::listen({}).value();
  auto const refused = run({"serve", "--https", "0", "--mqtt", std::to_string(taken.port()), "--amqps", "off", "--amqp", "off",
                            "--ca", file("ca")});
  EXPECT_EQ(refused.status, 3);
  EXPECT_THAT(refused.err, HasSubstr("--mqtt, where 0 picks a free one"));
  auto const elsewhere = run({"serve", "--bind", "192.0.2.1", "--expose-to-network", "--owner-key",
                              "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "--https", "0", "--ca", file("ca")});
  EXPECT_EQ(elsewhere.status, 3);
  EXPECT_THAT(elsewhere.err, HasSubstr("--bind takes an address of this machine"));
}

// One that another hub has written since is that hub's.
TEST_F(FakeProgram, LeavesThePortsFileOfAnotherHub) {
  program hub{serve(), file("err")};
  ASSERT_THAT(hub.line(), StartsWith("iothub-fake ready"));
  std::ofstream{file("ports")} << "{\"https\": 1}\n";
  EXPECT_EQ(hub.end(SIGTERM), 0);
  EXPECT_EQ(text_of("ports"), "{\"https\": 1}\n");
}

TEST_F(FakeProgram, EndsWith2OnAPortGivenTwiceAndNamesBoth) {
  for (auto const& [first, second] : {std::pair{"--https", "--mqtt"}, {"--mqtt", "--amqps"}, {"--amqps", "--amqp"}}) {
    auto const refused = run({"serve", first, "18999", second, "18999", "--ca", file("ca")});
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, HasSubstr(std::string{first} + " and " + second + " are both 18999"));
  }
  EXPECT_THAT(run({"serve", "--mqtt", "5671"}).err, HasSubstr("--mqtt and --amqps are both 5671"));  // which is the default
}

TEST_F(FakeProgram, EndsWith7WhenItCannotSayWhatItIsFor) {
  for (words const& arguments : {words{"--help"}, words{"--version"}, words{"ca", "--ca", file("ca")}, words{"connstr", "--service"},
                                 words{"events", "--help"}, serve()}) {
    program once{arguments, file("err"), "/dev/full"};
    EXPECT_EQ(once.wait(), 7) << arguments[0];
    EXPECT_THAT(text_of("err"), HasSubstr("cannot write to standard output: No space left on device"));
  }
  EXPECT_NE(::access(file("ports").c_str(), F_OK), 0);
}

TEST_F(FakeProgram, EndsWith7WhenThePortsFileCannotBeWritten) {
  auto const refused = run(serve({"--ports-file", file("nowhere/ports")}));
  EXPECT_EQ(refused.status, 7);
  EXPECT_THAT(refused.err, HasSubstr("--ports-file: "));
  EXPECT_THAT(refused.err, HasSubstr("nowhere/ports"));
  EXPECT_THAT(refused.err, testing::Not(HasSubstr("internal error")));
}

TEST_F(FakeProgram, EventsGoWhereThePortsFileSays) {
  std::ofstream{file("ports")} << R"({"hub": "localhost", "https": 1, "mqtt": 2})";
  auto const refused = run({"events", "--ports-file", file("ports")});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("the hub serves no AMQP with TLS"));
  EXPECT_THAT(run({"events", "--ports-file", file("none")}).err, HasSubstr("there is no file"));
}

TEST_F(FakeProgram, AnEphemeralCaEndsAfterAWeekAndLeavesNoKey) {
  program hub{serve({"--ephemeral-ca"}), file("err")};
  ASSERT_THAT(hub.line(), StartsWith("iothub-fake ready"));
  auto const now = std::chrono::time_point_cast<iothub::duration>(std::chrono::system_clock::now());
  auto const ca = iothub::net::detail::certificate_from_pem(text_of("ca/ephemeral-ca.pem"));
  ASSERT_TRUE(ca);
  EXPECT_TRUE(iothub::net::detail::valid_for(ca, now, std::chrono::hours{24 * 7 - 1}));
  EXPECT_FALSE(iothub::net::detail::valid_for(ca, now, std::chrono::hours{24 * 7 + 1}));
  EXPECT_FALSE(iothub::net::detail::constrained_names(ca).empty());
  for (auto const* name : {"ca/ca-key.pem", "ca/server-key.pem", "ca/server.pem", "ca/ca.pem"})
    EXPECT_NE(::access(file(name).c_str(), F_OK), 0) << name;
  EXPECT_EQ(hub.end(SIGTERM), 0);
}

TEST_F(FakeProgram, EndsWith4OnAFixtureThatIsNone) {
  std::ofstream{file("fixture")} << "{\n\"devices\": 7}";
  auto const refused = run(serve({"--fixture", file("fixture")}));
  EXPECT_EQ(refused.status, 4);
  EXPECT_THAT(refused.err, HasSubstr("fixture: line 2, column 12: devices is an array"));
  EXPECT_EQ(run(serve({"--fixture", file("nowhere")})).status, 4);
}

TEST_F(FakeProgram, BeginsWithTheDevicesOfItsFixture) {
  std::ofstream{file("fixture")}
      << R"({"devices":[{"deviceId":"p","primaryKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]})";
  program hub{serve({"--fixture", file("fixture"), "--log", "json", "--ephemeral-ca"}), file("err2")};
  ASSERT_THAT(hub.line(), testing::HasSubstr("/ca/ephemeral-ca.pem amqps="));
  EXPECT_EQ(run({"connstr", "--device", "p", "--ports-file", file("ports")}).out,
            "HostName=localhost;DeviceId=p;SharedAccessKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
  EXPECT_EQ(hub.end(SIGTERM), 0);
  std::ifstream log{file("err2")};
  for (std::string line; std::getline(log, line);) EXPECT_TRUE(iothub::json::parse(line)) << line;
  EXPECT_NE(::access(file("ca/ca-key.pem").c_str(), F_OK), 0);
  std::remove(file("err2").c_str());
}

TEST_F(FakeProgram, EndsWith5OnACaFolderThatCannotBeUsed) {
  std::ofstream{file("ca")} << "a file";
  auto const refused = run(serve());
  EXPECT_EQ(refused.status, 5);
  EXPECT_THAT(refused.err, HasSubstr("cannot use as a folder"));
}

TEST_F(FakeProgram, PrintsTheFileThatClientsTrust) {
  auto const made = run({"ca", "--ca", file("ca")});
  EXPECT_EQ(made.status, 0);
  EXPECT_EQ(made.out, file("ca/ca.pem"));
  EXPECT_THAT(text_of("ca/ca.pem"), StartsWith("-----BEGIN CERTIFICATE-----"));
}

TEST_F(FakeProgram, HelpsAndTellsItsVersion) {
  EXPECT_EQ(run({"--help"}).status, 0);
  EXPECT_THAT(run({"--version"}).out, MatchesRegex("iothub-fake [0-9.]+"));
}


TEST_F(FakeProgram, GivesConnectionStringsOfModules) {
  program hub{serve(), file("err2")};
  ASSERT_THAT(hub.line(), StartsWith("iothub-fake ready"));
  auto const unknown = run({"connstr", "--device", "d1/m1", "--ports-file", file("ports")});
  EXPECT_EQ(unknown.status, 6);
  EXPECT_THAT(unknown.err, HasSubstr("--create makes it"));
  auto const made = run({"connstr", "--device", "d1/m1", "--create", "--ports-file", file("ports")});
  EXPECT_EQ(made.status, 0);
  auto const parsed = iothub::parse_device_connection_string(made.out);
  ASSERT_TRUE(parsed) << made.out;
  EXPECT_EQ(parsed->device_id, "d1");
  EXPECT_EQ(parsed->module_id, "m1");
  EXPECT_EQ(run({"connstr", "--device", "d1/", "--ports-file", file("ports")}).status, 2);
  hub.end(SIGTERM);
  std::remove(file("err2").c_str());
}

TEST_F(FakeProgram, KeepsTheQuotesOfItsErrors) {
  EXPECT_THAT(run({"start"}).err, StartsWith("iothub-fake: there is no command \"start\";"));
}

TEST_F(FakeProgram, EndsWith5OnACaFolderThatOthersMayWriteTo) {
  ASSERT_EQ(::mkdir(file("ca").c_str(), 0700), 0);
  ASSERT_EQ(::chmod(file("ca").c_str(), 0777), 0);
  for (auto const& refused : {run(serve()), run(serve({"--ephemeral-ca"}))}) {
    EXPECT_EQ(refused.status, 5);
    EXPECT_THAT(refused.err, HasSubstr("others may write to the folder"));
  }
}

}  // namespace
