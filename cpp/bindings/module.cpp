// SPDX-License-Identifier: Apache-2.0
// module.cpp: the extension module; its name holds the instruction-set level it is compiled for.
#include <cstdlib>

#include "bindings.hpp"

NB_MODULE(ELMAN_MODULE_NAME, m) {
  using namespace elman::bindings;
  // Types pickle and print under one name, whichever level is loaded.
  m.attr("__name__") = "elman._core";
  // What a thread holds that the interpreter stops at its end is no mistake of anybody. The tests
  // ask for the warnings.
  nb::set_leak_warnings(std::getenv("ELMAN_LEAK_WARNINGS") != nullptr);
  m.doc() = "The C++ core of elman. Private: use the elman package.";
  bind_config(m);
  bind_tensor(m);
  bind_tape(m);
  bind_arithmetic(m);
  bind_unary(m);
  bind_reduce(m);
  bind_shape(m);
  bind_index_functions(m);
  bind_layers(m);
  bind_normalization(m);
  bind_conv(m);
  bind_random(m);
  bind_optimizers(m);
  bind_recurrent(m);
  bind_stream(m);
}
