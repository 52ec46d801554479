// Frames of RFC 6455: the examples of its section 5.7, the edges of each length, and what no peer may send.
#include <iothub/ws/frame.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace {

using namespace iothub;
using namespace std::string_view_literals;

ws::frame_header header_of(std::string_view bytes, ws::role reader) {
  ws::frame_header out;
  EXPECT_EQ(ws::header_size(bytes), bytes.size());
  EXPECT_EQ(ws::read_header(bytes, reader, out), nullptr) << ws::read_header(bytes, reader, out);
  return out;
}
std::string written(ws::frame_header const& what) {
  char bytes[ws::max_header_size];
  return {bytes, static_cast<std::size_t>(ws::write_header(bytes, what) - bytes)};
}

TEST(WsFrame, ReadsTheExamplesOfTheRfc) {
  EXPECT_EQ(header_of("\x81\x05"sv, ws::role::client), (ws::frame_header{.op = ws::opcode::text, .size = 5}));
  EXPECT_EQ(header_of("\x81\x85\x37\xfa\x21\x3d"sv, ws::role::server),
            (ws::frame_header{.op = ws::opcode::text, .masked = true, .mask = {0x37, 0xfa, 0x21, 0x3d}, .size = 5}));
  EXPECT_EQ(header_of("\x01\x03"sv, ws::role::client),
            (ws::frame_header{.op = ws::opcode::text, .final = false, .size = 3}));
  EXPECT_EQ(header_of("\x80\x02"sv, ws::role::client), (ws::frame_header{.op = ws::opcode::continuation, .size = 2}));
  EXPECT_EQ(header_of("\x89\x05"sv, ws::role::client), (ws::frame_header{.op = ws::opcode::ping, .size = 5}));
  EXPECT_EQ(header_of("\x82\x7e\x01\x00"sv, ws::role::client), (ws::frame_header{.size = 256}));
  EXPECT_EQ(header_of("\x82\x7f\0\0\0\0\0\x01\0\0"sv, ws::role::client), (ws::frame_header{.size = 65'536}));
}

TEST(WsFrame, UnmasksTheExampleOfTheRfc) {
  unsigned char const mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  std::string const masked = "\x7f\x9f\x4d\x51\x58";
  std::string out(5, '\0');
  ws::copy_masked(out.data(), masked.data(), masked.size(), mask, 0);
  EXPECT_EQ(out, "Hello");
  for (std::size_t cut = 0; cut <= 5; ++cut) {
    ws::copy_masked(out.data(), masked.data(), cut, mask, 0);
    ws::copy_masked(out.data() + cut, masked.data() + cut, 5 - cut, mask, cut);
    EXPECT_EQ(out, "Hello") << cut;
  }
}

TEST(WsFrame, MasksInPlaceAndForward) {
  unsigned char const mask[4] = {1, 2, 4, 8};
  std::string text(100, '\0');
  for (std::size_t i = 0; i != text.size(); ++i) text[i] = static_cast<char>(i);
  for (std::size_t gap = 0; gap != 14; ++gap)
    for (std::size_t size : {0u, 1u, 7u, 8u, 9u, 63u, 80u}) {
      std::string wanted;
      for (std::size_t i = 0; i != size; ++i)
        wanted += static_cast<char>(static_cast<unsigned char>(text[gap + i]) ^ mask[(i + 3) % 4]);
      std::string memory = text;
      ws::copy_masked(memory.data(), memory.data() + gap, size, mask, 3);
      EXPECT_EQ(memory.substr(0, size), wanted) << gap << ' ' << size;
    }
}

TEST(WsFrame, WritesEachLengthInItsShortestForm) {
  EXPECT_EQ(written({.size = 0}), "\x82\0"sv);
  EXPECT_EQ(written({.size = 125}), "\x82\x7d"sv);
  EXPECT_EQ(written({.size = 126}), "\x82\x7e\0\x7e"sv);
  EXPECT_EQ(written({.size = 65'535}), "\x82\x7e\xff\xff"sv);
  EXPECT_EQ(written({.size = 65'536}), "\x82\x7f\0\0\0\0\0\x01\0\0"sv);
  EXPECT_EQ(written({.final = false, .masked = true, .mask = {1, 2, 3, 4}, .size = 5}), "\x02\x85\x01\x02\x03\x04"sv);
}

TEST(WsFrame, ReadsWhatItWrote) {
  for (auto op : {ws::opcode::continuation, ws::opcode::binary, ws::opcode::text})
    for (bool const masked : {false, true})
      for (std::uint64_t const size : {0ull, 1ull, 125ull, 126ull, 127ull, 65'535ull, 65'536ull, (1ull << 63) - 1}) {
        ws::frame_header what{.op = op, .masked = masked, .size = size};
        if (masked) what.mask[2] = 7;
        EXPECT_EQ(header_of(written(what), masked ? ws::role::server : ws::role::client), what);
      }
}

TEST(WsFrame, SaysHowLongAHeaderIsFromItsFirstTwoBytes) {
  for (auto const whole :
       {"\x82\x05"sv, "\x82\x85\x01\x02\x03\x04"sv, "\x82\x7e\x01\x00"sv, "\x82\xfe\x01\x00\1\2\3\4"sv,
        "\x82\x7f\0\0\0\0\0\1\0\0"sv, "\x82\xff\0\0\0\0\0\1\0\0\1\2\3\4"sv})
    for (std::size_t size = 0; size <= whole.size(); ++size)
      EXPECT_EQ(ws::header_size(whole.substr(0, size)), size < 2 ? 2 : whole.size()) << whole.size() << ' ' << size;
}

TEST(WsFrame, RefusesWhatNoPeerMaySend) {
  struct row {
    std::string_view bytes;
    ws::role reader;
  };
  for (auto const& [bytes, reader] : {
           row{"\xc2\x00"sv, ws::role::client},  // RSV1
           row{"\xa2\x00"sv, ws::role::client},  // RSV2
           row{"\x92\x00"sv, ws::role::client},  // RSV3
           row{"\x83\x00"sv, ws::role::client},  // reserved opcodes
           row{"\x87\x00"sv, ws::role::client}, row{"\x8b\x00"sv, ws::role::client},
           row{"\x8f\x00"sv, ws::role::client}, row{"\x82\x80\1\2\3\4"sv, ws::role::client},  // a mask from the server
           row{"\x82\x00"sv, ws::role::server},                                               // no mask from the client
           row{"\x09\x00"sv, ws::role::client},                                               // a ping in fragments
           row{"\x88\x7e\x00\x7e"sv, ws::role::client},                                       // a close of 126 bytes
           row{"\x82\x7e\x00\x7d"sv, ws::role::client},                                       // 125 in two bytes
           row{"\x82\x7f\0\0\0\0\0\0\xff\xff"sv, ws::role::client},                           // 65535 in eight
           row{"\x82\x7f\x80\0\0\0\0\0\0\0"sv, ws::role::client},                             // the highest bit
       }) {
    ws::frame_header out;
    EXPECT_NE(ws::read_header(bytes, reader, out), nullptr) << bytes.size();
  }
}

}  // namespace
