// SPDX-License-Identifier: Apache-2.0
// elman/core/errors.hpp: how every error is worded and thrown.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace elman {

/// "[LSTM.call] x: expected (N, T, 8), got (4, 10, 5); the last axis is the feature axis"
inline std::string error_text(std::string_view where, std::string_view what) {
  std::string text;
  text.reserve(where.size() + what.size() + 3);
  return text.append("[").append(where).append("] ").append(what);
}

/// A value, shape or option that the caller can correct.
/// Errors    always throws std::invalid_argument (ValueError in Python)
[[noreturn]] inline void fail(std::string_view where, std::string_view what) {
  throw std::invalid_argument(error_text(where, what));
}

/// An index outside of its axis or table.
/// Errors    always throws std::out_of_range (IndexError in Python)
[[noreturn]] inline void fail_range(std::string_view where, std::string_view what) {
  throw std::out_of_range(error_text(where, what));
}

/// A call that the object's present state does not allow (a tape that is used twice, ...).
/// Errors    always throws std::logic_error (RuntimeError in Python)
[[noreturn]] inline void fail_state(std::string_view where, std::string_view what) {
  throw std::logic_error(error_text(where, what));
}

}  // namespace elman
