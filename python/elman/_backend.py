# SPDX-License-Identifier: Apache-2.0
"""Loads the C++ core that suits the processor, as ``core``.

An x86-64 installation holds one extension module per instruction-set level. The best one that the
processor runs is loaded; the environment variable ``ELMAN_ISA`` (``v2``, ``v3``, ``v4``) asks for
another one, for instance to compare their results.
"""

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from elman._cpu import x86_64_level

LEVELS = ("generic", "v2", "v3", "v4")  # worst first


def _module_name(level: str) -> str:
    return "elman._core_generic" if level == "generic" else f"elman._core_x86_64_{level}"


def _requirement(level: str) -> int:
    """The least ``x86_64_level()`` that runs this level."""
    return 0 if level == "generic" else int(level[1])


def installed_levels() -> list[str]:
    """The levels that this installation holds, worst first."""
    return [level for level in LEVELS if importlib.util.find_spec(_module_name(level))]


def choose_level(asked: str, installed: list[str], processor: int) -> str:
    """The level to load.

    Args:
        asked: value of ``ELMAN_ISA``; empty for the best one.
        installed: levels to choose from, worst first.
        processor: what ``x86_64_level()`` returned.

    Raises:
        ImportError: unknown or missing level, or one that the processor cannot run.
    """
    if asked:
        level = asked.strip().lower().replace("-", "_").removeprefix("x86_64_")
        if level not in installed:
            raise ImportError(
                f"[elman] ELMAN_ISA: expected one of {', '.join(installed)}, got {asked!r}; "
                "these are the instruction sets that this installation was built for"
            )
        if _requirement(level) > processor:
            raise ImportError(
                f"[elman] ELMAN_ISA: expected at most v{processor}, which is what this processor "
                f"runs, got {asked!r}"
            )
        return level
    runnable = [level for level in installed if _requirement(level) <= processor]
    if not installed:
        raise ImportError("[elman] this installation holds no core module; install elman again")
    if not runnable:
        raise ImportError(
            f"[elman] processor: expected x86-64-{installed[0]} or better, got x86-64-v{processor}"
        )
    return runnable[-1]


def _load() -> ModuleType:
    level = choose_level(os.environ.get("ELMAN_ISA", ""), installed_levels(), x86_64_level())
    module = importlib.import_module(_module_name(level))
    # Types of the core name elman._core as their home, so that pickles fit every level.
    sys.modules["elman._core"] = module
    sys.modules["elman"].__dict__["_core"] = module
    return module


if TYPE_CHECKING:
    from elman import _core as core
else:
    core = _load()

__all__ = ["choose_level", "core", "installed_levels"]
