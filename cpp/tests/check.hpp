// SPDX-License-Identifier: Apache-2.0
// check.hpp: the test framework. Own code, as no PyPI package ships doctest or GoogleTest and the
// tests build on a machine with only Python and a compiler.
//
//   TEST(sums_to_one) {
//     CHECK(softmax_works());
//     CHECK_EQ(shape.rank(), 2);
//     CHECK_NEAR(value, 0.25, 1e-6);
//     CHECK_THROWS(parse("x"), std::invalid_argument, "expected one of");
//   }
//
// Every *_test.cpp becomes an executable; `<executable> <part of a name>` runs some of its tests.
// A failed check is reported and the test goes on; a test without any check fails.
#pragma once

#include <cmath>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace check {

struct Case {
  const char* name;
  void (*body)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

struct Register {
  Register(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

/// Counts one check and reports it unless it passed. Safe to call from any thread.
void report(bool passed, const char* file, int line, const std::string& text);

template <class T>
std::string show(const T& value) {
  std::ostringstream out;
  out.precision(17);
  if constexpr (requires { out << value; }) {
    out << value;
  } else {
    out << "<" << sizeof(T) << " bytes>";
  }
  return out.str();
}

template <class A, class B>
void equal(const A& a, const B& b, const char* text, const char* file, int line) {
  const bool passed = a == b;
  report(passed, file, line,
         passed ? std::string() : std::string(text) + ": " + show(a) + " and " + show(b));
}

/// |a - b| <= tolerance; a NaN on either side fails.
inline void near(double a, double b, double tolerance, const char* text, const char* file,
                 int line) {
  const bool passed = a == b || std::abs(a - b) <= tolerance;
  report(passed, file, line,
         passed ? std::string()
                : std::string(text) + ": " + show(a) + " and " + show(b) + " differ by " +
                      show(std::abs(a - b)) + ", allowed " + show(tolerance));
}

template <class Error, class F>
void throws(F&& f, std::string_view fragment, const char* text, const char* file, int line) {
  std::string problem = ": nothing was thrown";
  try {
    f();
  } catch (const Error& error) {
    const bool found = std::string_view(error.what()).find(fragment) != std::string_view::npos;
    problem = found ? "" : ": the text is \"" + std::string(error.what()) + "\"";
  } catch (const std::exception& error) {
    problem = ": another type was thrown: " + std::string(error.what());
  }
  report(problem.empty(), file, line, text + problem);
}

/// The bits are the same, NaN payloads and signs of zero included.
template <class T>
bool same_bits(const T* a, const T* b, std::size_t count) {
  return std::memcmp(a, b, count * sizeof(T)) == 0;
}

}  // namespace check

#define TEST(name)                                              \
  static void name();                                           \
  static const ::check::Register register_##name(#name, &name); \
  static void name()

#define CHECK(condition) \
  ::check::report(static_cast<bool>(condition), __FILE__, __LINE__, #condition)
#define CHECK_EQ(a, b) ::check::equal((a), (b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_NEAR(a, b, tolerance)                                                       \
  ::check::near(static_cast<double>(a), static_cast<double>(b), (tolerance), #a " ~ " #b, \
                __FILE__, __LINE__)
#define CHECK_THROWS(expression, Error, fragment)                                         \
  ::check::throws<Error>([&] { static_cast<void>(expression); }, (fragment), #expression, \
                         __FILE__, __LINE__)
