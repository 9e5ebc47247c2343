# SPDX-License-Identifier: Apache-2.0
"""The committed type stub of the C++ core is the one that nanobind generates from it."""

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from elman._backend import core

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "python" / "elman" / "_core.pyi"
PATTERNS = ROOT / "cpp" / "bindings" / "stub.pat"
# Another release of the generator may word the same signature differently.
GENERATOR = "3.1"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    path = tmp_path_factory.mktemp("stub") / "_core.pyi"
    module = Path(core.__file__)
    command = [sys.executable, "-m", "nanobind.stubgen", "-q", "-P", "-p", PATTERNS, "-o", path]
    command += ["-m", module.name.split(".")[0], "-i", module.parent]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return path.read_text(encoding="utf-8")


def signatures(stub):
    """The names of all functions, with those of their arguments, and of all classes."""
    found = set()
    for scope in ast.walk(ast.parse(stub)):
        for node in getattr(scope, "body", []) if hasattr(scope, "body") else []:
            name = f"{getattr(scope, 'name', '')}.{getattr(node, 'name', '')}"
            if isinstance(node, ast.ClassDef):
                found.add(name)
            elif isinstance(node, ast.FunctionDef):
                every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                found.add((name, *(a.arg for a in every)))
    return found


def test_the_stub_names_what_the_core_has(fresh):
    assert signatures(COMMITTED.read_text(encoding="utf-8")) == signatures(fresh)
    members = {name for name in vars(core) if not name.startswith("__")}
    assert {node.name for node in ast.parse(fresh).body if hasattr(node, "name")} == members


@pytest.mark.skipif(
    not importlib.metadata.version("nanobind").startswith(GENERATOR + "."),
    reason=f"the committed stub is of nanobind {GENERATOR}",
)
def test_the_committed_stub_is_fresh(fresh):
    assert COMMITTED.read_text(encoding="utf-8") == fresh, (
        "python/elman/_core.pyi is out of date; a build in the source tree renews it"
    )
