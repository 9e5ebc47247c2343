// SPDX-License-Identifier: Apache-2.0
// module.cpp: the extension module; its name holds the instruction-set level it is compiled for.
#include "bindings.hpp"

NB_MODULE(ELMAN_MODULE_NAME, m) {
  using namespace elman::bindings;
  // Types pickle and print under one name, whichever level is loaded.
  m.attr("__name__") = "elman._core";
  m.doc() = "The C++ core of elman. Private: use the elman package.";
  bind_config(m);
}
