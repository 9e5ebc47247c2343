// SPDX-License-Identifier: Apache-2.0
#include "elman/core/errors.hpp"

#include "check.hpp"

using namespace elman;

TEST(fail_names_the_place_and_the_problem) {
  CHECK_THROWS(fail("LSTM.call", "x: expected (N, T, 8), got (4, 10, 5)"), std::invalid_argument,
               "[LSTM.call] x: expected (N, T, 8), got (4, 10, 5)");
}

TEST(each_kind_of_error_has_its_type) {
  CHECK_THROWS(fail_range("gather", "index: expected < 3, got 7"), std::out_of_range,
               "[gather] index: expected < 3, got 7");
  CHECK_THROWS(fail_state("Tape.gradient", "already used"), std::logic_error,
               "[Tape.gradient] already used");
}
