# SPDX-License-Identifier: Apache-2.0
"""Settings shared by all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# What threads share is tested on busy machines too, where callers would often work alone.
os.environ.setdefault("ELMAN_SHARE_ALWAYS", "1")

import elman

# Derandomised: every run draws the same examples. No deadline: other work may share the machine.
settings.register_profile("elman", derandomize=True, deadline=None, database=None)
settings.load_profile("elman")

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def restored_threads():
    """A test may change the number of threads; the next one starts with the old number."""
    threads = elman.get_num_threads()
    yield
    elman.set_num_threads(threads)


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess]:
    """Runs Python code in a process of its own, which can import what the tests can."""

    def run(code: str, **environment: str) -> subprocess.CompletedProcess:
        roots = [str(TESTS), str(Path(elman.__file__).parents[1])]
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([*roots, inherited] if inherited else roots)
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, "PYTHONPATH": path, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
