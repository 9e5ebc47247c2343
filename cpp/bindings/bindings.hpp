// SPDX-License-Identifier: Apache-2.0
// bindings.hpp: the parts of the extension module, in the order in which module.cpp binds them.
#pragma once

#include <nanobind/nanobind.h>

namespace elman::bindings {

namespace nb = nanobind;

void bind_config(nb::module_& m);

}  // namespace elman::bindings
