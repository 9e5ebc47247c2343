// SPDX-License-Identifier: Apache-2.0
// bind_config.cpp: what the module was compiled for, and the number of threads.
#include <nanobind/stl/string.h>

#include <Eigen/Core>

#include <string>

#include "bindings.hpp"
#include "convert.hpp"
#include "elman/core/threads.hpp"
#include "elman/version.hpp"

namespace elman::bindings {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#elif defined(_MSC_VER)
  return "msvc " + std::to_string(_MSC_VER);
#else
  return "unknown";
#endif
}

std::string eigen_version() {
  return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
         std::to_string(EIGEN_MINOR_VERSION);
}

nb::dict config() {
  nb::dict out;
  out["version"] = kVersion;
  out["isa"] = ELMAN_ISA_LEVEL;
  out["simd_width"] = static_cast<int>(Eigen::internal::packet_traits<float>::size);
  out["compiler"] = compiler();
  out["eigen"] = eigen_version();
  out["threads"] = ThreadPool::global().size();
  return out;
}

void set_num_threads(nb::handle threads) {
  ThreadPool::global().resize(as_integer(threads, "set_num_threads", "threads"));
}

}  // namespace

void bind_config(nb::module_& m) {
  m.def("config", &config, "Version, instruction set, float32 lanes, compiler, Eigen and threads.");
  m.def("set_num_threads", &set_num_threads, operand("threads"),
        nb::sig("def set_num_threads(threads: int) -> None"),
        "Sets how many threads a kernel may use, the calling one included.");
  m.def(
      "get_num_threads", [] { return ThreadPool::global().size(); },
      "How many threads a kernel may use, the calling one included.");
}

}  // namespace elman::bindings
