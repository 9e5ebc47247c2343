# SPDX-License-Identifier: Apache-2.0
# Eigen 3.4: SIMD packets and decompositions. Found, in this order, where the user says
# (Eigen3_DIR, CMAKE_PREFIX_PATH), in the cmeel-eigen package of a Python environment (pip builds
# bring it along), on the system.
if(TARGET Eigen3::Eigen)
  return()
endif()

find_program(ELMAN_PYTHON_FOR_EIGEN NAMES python3 python
             HINTS "$ENV{VIRTUAL_ENV}/bin" DOC "Python asked for its cmeel-eigen package")
set(elman_python "${ELMAN_PYTHON_FOR_EIGEN}")
if(Python_EXECUTABLE)
  set(elman_python "${Python_EXECUTABLE}")
elseif(PYTHON_EXECUTABLE)
  set(elman_python "${PYTHON_EXECUTABLE}")
endif()

set(elman_cmeel_prefix "")
if(elman_python)
  # The whole search path, not one site directory: isolated pip builds add an overlay to it.
  execute_process(
    COMMAND "${elman_python}" -c
            "import os, sys
roots = [os.path.join(p, 'cmeel.prefix') for p in sys.path]
print(next((r for r in roots if os.path.isdir(os.path.join(r, 'include', 'eigen3'))), ''))"
    OUTPUT_VARIABLE elman_cmeel_prefix OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()

find_package(Eigen3 3.4 CONFIG QUIET HINTS "${elman_cmeel_prefix}")
if(NOT Eigen3_FOUND)
  message(FATAL_ERROR
    "elman needs the headers of Eigen >= 3.4. Install them (Debian: libeigen3-dev, Homebrew: "
    "eigen@3, PyPI: cmeel-eigen) or point CMake at them with -DEigen3_DIR=<folder of "
    "Eigen3Config.cmake>.")
endif()
message(STATUS "Eigen ${Eigen3_VERSION}: ${Eigen3_DIR}")
