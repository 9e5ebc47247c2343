# SPDX-License-Identifier: Apache-2.0
"""What has to be in the environment before any of the libraries is imported."""

from __future__ import annotations

import os
import sys

# Each library's own switch. ONNX Runtime has none.
_AVX2 = {
    "ELMAN_ISA": "v3",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
}
UNRESTRICTED = ("ONNX Runtime",)


def restrict(isa: str | None) -> None:
    """Run this program again with all libraries held to an instruction set; None: to nothing."""
    if isa is None or all(os.environ.get(name) == value for name, value in _AVX2.items()):
        return
    os.environ.update(_AVX2)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
