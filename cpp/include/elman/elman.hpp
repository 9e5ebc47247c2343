// SPDX-License-Identifier: Apache-2.0
// elman/elman.hpp: all of elman.
#pragma once

#include "elman/core/aligned.hpp"
#include "elman/core/cpu_count.hpp"
#include "elman/core/cpu_level.hpp"
#include "elman/core/errors.hpp"
#include "elman/core/random.hpp"
#include "elman/core/shape.hpp"
#include "elman/core/threads.hpp"
#include "elman/core/workspace.hpp"
#include "elman/version.hpp"
