# SPDX-License-Identifier: Apache-2.0
# nanobind >= 2.4: the Python bindings. It is a Python package and is asked where its CMake lies.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module
             OPTIONAL_COMPONENTS Development.SABIModule)
execute_process(
  COMMAND "${Python_EXECUTABLE}" -m nanobind --cmake_dir
  OUTPUT_VARIABLE nanobind_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
find_package(nanobind CONFIG QUIET)
if(NOT nanobind_FOUND OR nanobind_VERSION VERSION_LESS 2.4)
  message(FATAL_ERROR "elman's Python bindings need nanobind >= 2.4: ${Python_EXECUTABLE} -m pip "
                      "install nanobind; or build without them: -DELMAN_BUILD_PYTHON=OFF.")
endif()
