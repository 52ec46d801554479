#include <gtest/gtest.h>

#include <string>

#include <iothub/base/append.hpp>
#include <iothub/base/ascii.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/base/hex.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/base/uuid.hpp>

namespace {

using namespace iothub;
using namespace std::string_literals;
using namespace std::string_view_literals;

TEST(Ascii, ComparesLettersWithoutCaseAndNothingElse) {
  EXPECT_TRUE(iequals("Content-Type", "cONTENT-tYPE"));
  EXPECT_FALSE(iequals("a", "ab"));
  EXPECT_FALSE(iequals("@", "`"));
  EXPECT_FALSE(iequals("[", "{"));
  EXPECT_TRUE(istarts_with("IoTHub-App-x", "iothub-app-"));
  EXPECT_FALSE(istarts_with("iot", "iothub"));
  EXPECT_EQ(to_lower("AbC-\xC3\x84"s), "abc-\xC3\x84");
}

TEST(Ascii, TrimsBlanksAndTabsOnly) {
  EXPECT_EQ(trim(" \ta b\t "), "a b");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_EQ(trim("\na"), "\na");
}

TEST(Ascii, SplitsAtTheFirstSeparator) {
  auto const pair = split_once("a=b=c", '=');
  EXPECT_EQ(pair.before, "a");
  EXPECT_EQ(pair.after, "b=c");
  EXPECT_TRUE(pair.found);
  EXPECT_FALSE(split_once("abc", '=').found);
}

TEST(Ascii, SplitterGivesEveryPartAlsoEmptyOnes) {
  std::string joined;
  splitter parts{";a;;b;", ';'};
  std::string_view part;
  while (parts.next(part)) joined.append("[").append(part).append("]");
  EXPECT_EQ(joined, "[][a][][b][]");
  splitter nothing{"", ';'};
  EXPECT_TRUE(nothing.next(part));
  EXPECT_FALSE(nothing.next(part));
}

TEST(Ascii, ParsesWholeNumbersStrictly) {
  EXPECT_EQ(parse_int<int>("-12"), -12);
  EXPECT_EQ(parse_int<std::int64_t>("9223372036854775807"), 9223372036854775807);
  EXPECT_EQ(parse_int<unsigned>("007"), 7u);
  for (auto bad : {"", " 1", "1 ", "+1", "0x1", "1e3", "1.0", "99999999999", "--1", "-"})
    EXPECT_FALSE(parse_int<int>(bad)) << bad;
  EXPECT_FALSE(parse_int<unsigned>("-1"));
  EXPECT_FALSE(parse_int<int>("1\0"sv));
}

TEST(Ascii, AppendsNumbersToBothKindsOfBytes) {
  std::string text{"n="};
  append_int(text, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(text, "n=-9223372036854775808");
  byte_buffer buffer;
  append_int(buffer, 42u);
  EXPECT_EQ(buffer.view(), "42");
}

TEST(Base64, RoundTripsEveryLength) {
  std::string bytes;
  for (int i = 0; i != 70; ++i) {
    EXPECT_EQ(from_base64(to_base64(bytes)).value(), bytes);
    EXPECT_EQ(to_base64(bytes).size(), base64_size(bytes.size()));
    bytes.push_back(static_cast<char>(i * 37 + 200));
  }
}

TEST(Base64, RefusesEveryTruncation) {
  std::string const text = to_base64("0123456789");  // 16 characters, two of them padding
  for (std::size_t size = 1; size != text.size(); ++size)
    EXPECT_EQ(from_base64(text.substr(0, size)).has_value(), size % 4 == 0) << size;
}

TEST(Base64, NeverRepeatsTheTextInTheError) {
  auto const refused = from_base64("c2VjcmV0!");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::malformed);
  EXPECT_EQ(refused.error().message().find("c2Vj"), std::string_view::npos);
}

TEST(Base64, ReadsADigestOnlyOf32Bytes) {
  std::array<unsigned char, 32> digest{};
  EXPECT_TRUE(read_base64_digest("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", digest));
  EXPECT_EQ(digest[31], 31);
  EXPECT_FALSE(read_base64_digest(to_base64(std::string(31, 'x')), digest));
  EXPECT_FALSE(read_base64_digest(to_base64(std::string(33, 'x')), digest));
  EXPECT_FALSE(read_base64_digest("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8!", digest));
  EXPECT_FALSE(read_base64_digest("", digest));
}

TEST(Hex, RoundTripsAndRefuses) {
  EXPECT_EQ(to_hex("\x00\xff\x1a"sv), "00ff1a");
  EXPECT_EQ(from_hex("00FF1a").value(), "\x00\xff\x1a"sv);
  EXPECT_EQ(from_hex("0").error().code(), errc::malformed);
  EXPECT_EQ(from_hex("0g").error().code(), errc::malformed);
}

TEST(Uuid, SetsVersionAndVariant) {
  EXPECT_EQ(to_uuid(std::string(16, '\xff')), "ffffffff-ffff-4fff-bfff-ffffffffffff");
  EXPECT_EQ(to_uuid(std::string(16, '\0')), "00000000-0000-4000-8000-000000000000");
  EXPECT_EQ(to_uuid("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"sv),
            "00010203-0405-4607-8809-0a0b0c0d0e0f");
}

TEST(Uuid, RecognisesTheForm) {
  EXPECT_TRUE(is_uuid("00010203-0405-1607-0809-0A0b0c0d0e0f"));
  EXPECT_FALSE(is_uuid("00010203-0405-1607-0809-0a0b0c0d0e0"));
  EXPECT_FALSE(is_uuid("00010203x0405-1607-0809-0a0b0c0d0e0f"));
  EXPECT_FALSE(is_uuid("0001020g-0405-1607-0809-0a0b0c0d0e0f"));
}

TEST(Percent, KeepsExactlyTheUnreservedCharactersAtEveryPlace) {
  std::string_view const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  for (int c = 0; c != 256; ++c) {
    char const byte = static_cast<char>(c);
    bool const kept = unreserved.find(byte) != std::string_view::npos;
    std::string const escape = kept ? std::string(1, byte) : "%"s + (to_hex({&byte, 1}));
    for (std::size_t const size : {1u, 3u, 4u, 7u, 8u, 9u, 16u, 23u}) {
      for (std::size_t at = 0; at != size; ++at) {
        std::string text(size, 'x');
        text[at] = byte;
        std::string const wanted = std::string(at, 'x') + escape + std::string(size - at - 1, 'x');
        ASSERT_EQ(to_lower(percent_encode(text)), to_lower(wanted)) << c << " at " << at << " of " << size;
        ASSERT_EQ(percent_decode(percent_encode(text)).value(), text);
        ASSERT_EQ(percent_encode(text).size(), percent_encoded_size(text));
      }
    }
  }
  EXPECT_EQ(percent_encode("\xab"), "%AB");
}

TEST(Percent, AppendsToBothKindsOfBytes) {
  std::string text{"t="};
  append_percent(text, "a b");
  append_percent(text, "plain");
  EXPECT_EQ(text, "t=a%20bplain");
  byte_buffer buffer;
  buffer.append("t=");
  append_percent(buffer, "a b");
  EXPECT_EQ(buffer.view(), "t=a%20b");
}

TEST(Percent, LeavesPlusAlone) {
  EXPECT_EQ(percent_decode("a+b%2B").value(), "a+b+");
  EXPECT_EQ(percent_encode("+"), "%2B");
}

TEST(Percent, RefusesBrokenEscapes) {
  for (auto bad : {"%", "%2", "a%", "%zz", "%-1", "%2g", "%g2", "%%20", "a%2"})
    EXPECT_EQ(percent_decode(bad).error().code(), errc::malformed) << bad;
}

TEST(Percent, DecodesTextOnlyWithoutControlCharacters) {
  EXPECT_EQ(percent_decode_text("%C3%A9").value(), "\xC3\xA9");
  for (auto bad : {"%00", "%0A", "%7F", "%C3", "%ED%A0%80"})
    EXPECT_EQ(percent_decode_text(bad).error().code(), errc::malformed) << bad;
}

TEST(Percent, DecodesInPlace) {
  std::string text{"a%20b%2fc"};
  char const* const end = read_percent(text.data(), text);
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(std::string_view(text.data(), static_cast<std::size_t>(end - text.data())), "a b/c");
}

TEST(Percent, ComparesWithoutDecodingFirst) {
  EXPECT_TRUE(percent_equals("a%20b", "a b"));
  EXPECT_TRUE(percent_equals("", ""));
  EXPECT_FALSE(percent_equals("a%20b", "a bc"));
  EXPECT_FALSE(percent_equals("a%20bc", "a b"));
  EXPECT_FALSE(percent_equals("a%2", "a%2"));
  EXPECT_FALSE(percent_equals("b", "a"));
}

TEST(Utf8, AcceptsEveryLengthAndItsEdges) {
  for (auto good : {""sv, "a"sv, "\xC2\x80"sv, "\xDF\xBF"sv, "\xE0\xA0\x80"sv, "\xED\x9F\xBF"sv, "\xEE\x80\x80"sv,
                    "\xEF\xBF\xBF"sv, "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv, "\0"sv})
    EXPECT_TRUE(is_utf8(good)) << to_hex(good);
}

TEST(Utf8, RefusesWhatRfc3629RefusesAtEveryPlaceOfAWord) {
  for (auto bad : {"\x80"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xC2"sv, "\xC2\x41"sv, "\xE0\x9F\xBF"sv, "\xED\xA0\x80"sv,
                   "\xED\xBF\xBF"sv, "\xE2\x82"sv, "\xF0\x8F\xBF\xBF"sv, "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv,
                   "\xF0\x90\x80"sv, "\xFF"sv})
    for (std::size_t before = 0; before != 10; ++before)
      for (std::size_t after = 0; after != 10; ++after)
        EXPECT_FALSE(is_utf8(std::string(before, 'x').append(bad).append(after, 'y'))) << to_hex(bad) << before;
}

TEST(Utf8, MqttTextHasNoNul) {
  EXPECT_FALSE(is_mqtt_text("\0"sv));
  EXPECT_FALSE(is_mqtt_text("1234567\0aaaaaaaa"sv));
  EXPECT_TRUE(is_mqtt_text("12345678\x01\xC3\xA9"));
}

TEST(Utf8, CleanTextHasNoControlCharacter) {
  for (int c = 0; c != 128; ++c) {
    bool const clean = c >= 0x20 && c != 0x7f;
    for (std::size_t before = 0; before != 9; ++before)
      EXPECT_EQ(is_clean_text(std::string(before, 'x') + static_cast<char>(c) + "yyyyyyyy"), clean) << c;
  }
  EXPECT_TRUE(is_clean_text("\xC3\xA9"));
  EXPECT_FALSE(is_clean_text("\xC3"));
}

TEST(Append, GivesBackWhatWasNotNeeded) {
  std::string text{"ab"};
  char* const begin = detail::grow(text, 100);
  detail::settle(text, begin, detail::put(begin, "cd"));
  EXPECT_EQ(text, "abcd");
  byte_buffer buffer;
  buffer.append("ab");
  char* const place = detail::grow(buffer, 100);
  detail::settle(buffer, place, detail::put(place, "cd"));
  EXPECT_EQ(buffer.view(), "abcd");
}

// --- append ---------------------------------------------------------------------------------------------------------

void append_parts(detail::short_text<8>& out, std::string_view text, std::size_t worst_case) {
  char* const begin = grow(out, worst_case);
  settle(out, begin, detail::put(begin, text));
}

TEST(ShortText, GoesOnOnTheHeapWhereTheWorstCaseDoesNotFit) {
  detail::short_text<8> text;
  EXPECT_EQ(text.view(), "");
  append_parts(text, "abc", 8);
  append_parts(text, "de", 5);
  EXPECT_EQ(text.view(), "abcde");
  append_parts(text, "f", 4);
  EXPECT_EQ(text.view(), "abcdef");
  append_parts(text, "ghijk", 5);
  EXPECT_EQ(text.view(), "abcdefghijk");
  append_parts(text, "", 100);
  EXPECT_EQ(text.view(), "abcdefghijk");
}

TEST(ShortText, IsEmptyWhenNothingCameOfALongWorstCase) {
  detail::short_text<8> text;
  append_parts(text, "", 100);
  EXPECT_EQ(text.view(), "");
  append_parts(text, "ab", 2);
  EXPECT_EQ(text.view(), "ab");
}

}  // namespace
