// Build switches, and the only macros of the library. A switch never changes the layout or the name of a public type.
#pragma once

#if __cplusplus < 202002L
#error "iothub needs C++20: compile with -std=c++20 or later (CMake: target_compile_features(x PRIVATE cxx_std_20))"
#endif

// Asserts state what the library itself guarantees; they are never about input. Define IOTHUB_ASSERT before the first
// include to route them elsewhere.
#ifndef IOTHUB_ASSERT
#include <cassert>
#define IOTHUB_ASSERT(condition) assert(condition)
#endif

#if defined(__cpp_exceptions)
#define IOTHUB_EXCEPTIONS 1
#else
#define IOTHUB_EXCEPTIONS 0
#endif

// The real transports are there when their libraries' headers are.
#ifndef IOTHUB_WITH_OPENSSL
#if __has_include(<openssl/evp.h>)
#define IOTHUB_WITH_OPENSSL 1
#else
#define IOTHUB_WITH_OPENSSL 0
#endif
#endif
#ifndef IOTHUB_WITH_CURL
#if __has_include(<curl/curl.h>)
#define IOTHUB_WITH_CURL 1
#else
#define IOTHUB_WITH_CURL 0
#endif
#endif
