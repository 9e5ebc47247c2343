// SPDX-License-Identifier: Apache-2.0
// elman/version.hpp: the only place of the version; CMake and pyproject.toml read it from here.
#pragma once

#define ELMAN_VERSION "0.1.0"

namespace elman {

inline constexpr const char* kVersion = ELMAN_VERSION;

}  // namespace elman
