// A program under test, and a folder of its own.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace iothub_test {

class temporary_folder {
 public:
  temporary_folder() {
    char name[] = "/tmp/iothub-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  temporary_folder(temporary_folder const&) = delete;
  temporary_folder& operator=(temporary_folder const&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string file(std::string const& name) const { return path_ + "/" + name; }
  std::string write(std::string const& name, std::string const& text) const {
    std::ofstream{file(name), std::ios::binary} << text;
    return file(name);
  }
  [[nodiscard]] std::string read(std::string const& name) const {
    std::ifstream in{file(name), std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
  }

 private:
  std::string path_;
};

// For tests/security/scan.py, which reads what programs printed: the command on the first line, then the text.
inline void add_transcript(std::string const& command, std::string const& text) {
  char const* const folder = std::getenv("IOTHUB_TRANSCRIPTS");
  if (folder == nullptr) return;
  static int count = 0;
  std::ofstream{std::string{folder} + "/transcript-" + std::to_string(::getpid()) + "-" + std::to_string(++count),
                std::ios::binary}
      << command << "\n"
      << text;
}

// Runs while the object lives; all output goes to a file.
class process {
 public:
  process(std::vector<std::string> const& command, std::string const& output) : output_{output} {
    for (auto const& word : command) command_ += word + " ";
    std::vector<char*> arguments;
    for (auto const& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    id_ = ::fork();
    if (id_ != 0) return;
    int const out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  process(process const&) = delete;
  process& operator=(process const&) = delete;
  ~process() { stop(SIGKILL); }
  // The exit status, or minus the signal that ended it.
  int stop(int signal) {
    if (id_ <= 0) return 0;
    ::kill(id_, signal);
    return wait();
  }
  int wait() {
    int status = 0;
    ::waitpid(id_, &status, 0);
    id_ = 0;
    std::ifstream in{output_, std::ios::binary};
    add_transcript(command_, {std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}});
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  std::string output_, command_;
  ::pid_t id_ = 0;
};

// A TCP port of the loopback that nobody uses right now.
inline std::uint16_t free_port() {
  int const s = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::bind(s, reinterpret_cast<sockaddr*>(&where), sizeof where);
  socklen_t size = sizeof where;
  ::getsockname(s, reinterpret_cast<sockaddr*>(&where), &size);
  ::close(s);
  return ntohs(where.sin_port);
}

}  // namespace iothub_test
