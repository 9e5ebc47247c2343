# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the C++ tests, and builds programs that use elman through CMake."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from elman._cpu import x86_64_level

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "pytest"  # kept: the next run compiles only what has changed
INCLUDE = ROOT / "cpp" / "include"
CONSUMERS = ROOT / "cpp" / "tests" / "consumer"


def tool(name):
    """The command `name`, of this Python environment if it is there."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    assert found, f"{name} is missing: pip install '.[test]'"
    return found


def run(*command):
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-8000:]}"
    return done.stdout


def configure(source, build, *options):
    # --fresh: what the last run found may lie in an environment that is gone by now.
    run(
        *(tool("cmake"), "--fresh", "-S", source, "-B", build, "-G", "Ninja"),
        *(f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", "-DCMAKE_BUILD_TYPE=Release"),
        f"-DPython_EXECUTABLE={sys.executable}",
        *options,
    )


@pytest.fixture(scope="module")
def cpp_build():
    levels = [f"v{level}" for level in range(2, x86_64_level() + 1)] or ["native"]
    if levels[-1] == "v3":  # the tiles of AVX-512 all the same
        levels.insert(0, "wide")
    configure(
        ROOT,
        BUILD,
        f"-DELMAN_TEST_LEVELS={';'.join(levels)}",
        # Half the build time of -O3, whose code the Python tests exercise; assertions are on.
        "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
        "-DELMAN_BUILD_TESTS=ON",
        "-DELMAN_BUILD_PYTHON=OFF",
        "-DELMAN_BUILD_BENCH=OFF",
        "-DELMAN_BUILD_EXAMPLES=OFF",
    )
    run(tool("cmake"), "--build", BUILD)
    return BUILD


def test_the_cpp_tests_pass(cpp_build):
    output = run(tool("ctest"), "--test-dir", cpp_build, "-j2", "--output-on-failure")
    assert "100% tests passed" in output
    count = int(re.search(r"tests passed.* out of (\d+)", output).group(1))
    assert count > len(list((ROOT / "cpp" / "tests").rglob("*_test.cpp")))


def test_every_header_was_compiled_alone(cpp_build):
    headers = sorted(INCLUDE.rglob("*.hpp"))
    objects = list((cpp_build / "cpp" / "tests").rglob("alone/*.o"))
    objects += list((cpp_build / "cpp" / "tests").rglob("alone/*.obj"))
    assert len(headers) > 10
    assert {p.name.split(".")[0] for p in objects} >= {
        re.sub(r"[/.]", "_", h.relative_to(INCLUDE).as_posix()) for h in headers
    }


def test_the_umbrella_includes_every_public_header():
    text = (INCLUDE / "elman" / "elman.hpp").read_text(encoding="utf-8")
    included = set(re.findall(r'#include "(elman/[^"]+)"', text))
    # detail/ is not for users, and model/ needs a JSON library.
    public = {
        header.relative_to(INCLUDE).as_posix()
        for header in INCLUDE.rglob("*.hpp")
        if not {"detail", "model"} & set(header.relative_to(INCLUDE).parts)
    }
    assert included == public - {"elman/elman.hpp"}


def check_consumer(name, build, *options):
    configure(CONSUMERS / name, build, *options)
    run(tool("cmake"), "--build", build)
    assert "100% tests passed" in run(tool("ctest"), "--test-dir", build, "--output-on-failure")


def eigen_folder(cpp_build):
    cache = (cpp_build / "CMakeCache.txt").read_text(encoding="utf-8")
    return re.search(r"^Eigen3_DIR:PATH=(.*)$", cache, re.MULTILINE).group(1)


def test_an_installed_elman_is_found(cpp_build, tmp_path):
    prefix = tmp_path / "prefix"
    run(tool("cmake"), "--install", cpp_build, "--prefix", prefix)
    assert not list(prefix.rglob("*_test*")), "tests must not be installed"
    check_consumer(
        "find_package",
        tmp_path / "build",
        f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DEigen3_DIR={eigen_folder(cpp_build)}",
    )


def test_elman_works_as_a_subdirectory(tmp_path):
    check_consumer("add_subdirectory", tmp_path / "build")
