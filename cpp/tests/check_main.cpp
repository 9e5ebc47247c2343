// SPDX-License-Identifier: Apache-2.0
// check_main.cpp: runs the tests of one executable.
#include <atomic>
#include <cstdio>
#include <exception>

#include "check.hpp"

namespace {
std::atomic<int> checks{0};
std::atomic<int> failures{0};
}  // namespace

namespace check {

void report(bool passed, const char* file, int line, const std::string& text) {
  ++checks;
  if (passed) return;
  // A wrong kernel fails thousands of times; the first twenty tell as much.
  if (++failures <= 20) std::fprintf(stderr, "%s:%d: %s\n", file, line, text.c_str());
}

}  // namespace check

int main(int argc, char** argv) {
  const std::string_view wanted = argc > 1 ? argv[1] : "";
  int run = 0;
  for (const check::Case& test : check::cases()) {
    if (std::string_view(test.name).find(wanted) == std::string_view::npos) continue;
    const int checks_before = checks;
    const int failures_before = failures;
    try {
      test.body();
    } catch (const std::exception& error) {
      check::report(false, test.name, 0, std::string("exception: ") + error.what());
    }
    if (checks == checks_before) check::report(false, test.name, 0, "has no check");
    if (failures != failures_before) std::fprintf(stderr, "FAILED %s\n", test.name);
    ++run;
  }
  if (run == 0) std::fprintf(stderr, "no test matches '%s'\n", argc > 1 ? argv[1] : "");
  std::printf("%d tests, %d checks, %d failures\n", run, checks.load(), failures.load());
  return run > 0 && failures == 0 ? 0 : 1;
}
