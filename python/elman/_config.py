# SPDX-License-Identifier: Apache-2.0
"""What this installation was built for and what it runs with."""

import platform
import sys

import numpy as np

from elman._backend import core, installed_levels


def config() -> dict[str, object]:
    """Version, instruction set, threads and the tools the core was built with, as a dict."""
    return {
        **core.config(),
        "installed": installed_levels(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }


def show_config() -> None:
    """Prints which core is loaded, for how many threads, and what it was built with.

    Example:
        >>> import elman
        >>> elman.show_config()  # doctest: +SKIP
        elman      0.1.0
        core       x86_64_v4 (16 float32 lanes), installed: v2, v3, v4
        threads    2
        compiler   gcc 12.2.0, Eigen 3.4.1
        python     3.11.7, numpy 2.4.6
        platform   Linux-6.1.0-x86_64-with-glibc2.36
    """
    c = config()
    installed = ", ".join(installed_levels())
    rows = {
        "elman": c["version"],
        "core": f"{c['isa']} ({c['simd_width']} float32 lanes), installed: {installed}",
        "threads": c["threads"],
        "compiler": f"{c['compiler']}, Eigen {c['eigen']}",
        "python": f"{c['python']}, numpy {c['numpy']}",
        "platform": c["platform"],
    }
    sys.stdout.write("".join(f"{name:<10} {value}\n" for name, value in rows.items()))
