// Drives a byte stream in a loop: sends what it was told, keeps what comes.
#pragma once

#include <iothub/io/loop.hpp>
#include <iothub/policy/byte_stream.hpp>

#include <optional>
#include <string>
#include <utility>

namespace iothub_test {

template <class Stream>
class talker : public iothub::participant {
 public:
  talker(iothub::loop& on, Stream s) : stream{std::move(s)}, loop_{on} {
    stream.attach(on, *this);
    on.add(*this);
  }
  void say(std::string_view text) {
    to_send += text;
    loop_.wake(*this);
  }
  void step(iothub::time_point now) override {
    using iothub::io_status;
    if (closed || failed) return;
    while (!to_send.empty()) {
      auto const put = stream.write(to_send, now);
      if (put.status == io_status::failed) return fail();
      if (put.status != io_status::done) break;
      to_send.erase(0, put.size);
      ++writes;
    }
    while (reading && !ended) {
      char part[1000];
      auto const got = stream.read(part, now);
      if (got.status == io_status::failed) return fail();
      if (got.status == io_status::would_block) break;
      if (got.status == io_status::end) ended = true;
      received.append(part, got.size);
      ++reads;
    }
    if (echo && !received.empty()) to_send += std::exchange(received, {}), loop_.wake(*this);
  }
  iothub::time_point deadline() const override { return closed || failed ? iothub::never : stream.deadline(); }
  std::string describe() const override { return "a talker waits for bytes"; }
  void close() {
    closed = true;
    stream.close();
  }

  Stream stream;
  std::string to_send, received;
  bool ended = false, closed = false, echo = false, reading = true;
  int reads = 0, writes = 0;
  std::optional<iothub::error> failed;

 private:
  void fail() { failed = stream.last_error(); }
  iothub::loop& loop_;
};

}  // namespace iothub_test
