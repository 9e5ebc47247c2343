# SPDX-License-Identifier: Apache-2.0
"""Which core module is loaded, how many threads it uses, and what show_config says of it."""

import os
import pickle
import re
import subprocess
import sys

import pytest

from elman import _backend, _config
from elman._backend import choose_level, core, installed_levels
from elman._cpu import x86_64_level


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("asked", "installed", "processor", "expected"),
    [
        ("", ["v2", "v3", "v4"], 4, "v4"),
        ("", ["v2", "v3", "v4"], 3, "v3"),
        ("", ["v2", "v3", "v4"], 2, "v2"),
        ("", ["v2"], 4, "v2"),
        ("", ["generic"], 0, "generic"),
        ("v2", ["v2", "v3", "v4"], 4, "v2"),
        ("V3", ["v2", "v3", "v4"], 4, "v3"),
        ("x86-64-v3", ["v2", "v3", "v4"], 4, "v3"),
        (" x86_64_v4 ", ["v2", "v3", "v4"], 4, "v4"),
    ],
)
def test_the_best_level_that_runs_is_chosen(asked, installed, processor, expected):
    assert choose_level(asked, installed, processor) == expected


@pytest.mark.parametrize(
    ("asked", "installed", "processor", "text"),
    [
        ("v5", ["v2", "v3"], 4, "ELMAN_ISA: expected one of v2, v3, got 'v5'"),
        ("v4", ["v2", "v3"], 4, "ELMAN_ISA: expected one of v2, v3, got 'v4'"),
        ("v4", ["v2", "v3", "v4"], 3, "expected at most v3, which is what this processor runs"),
        ("", ["v3", "v4"], 2, "expected x86-64-v3 or better, got x86-64-v2"),
        ("", ["v2", "v3", "v4"], 1, "expected x86-64-v2 or better, got x86-64-v1"),
        ("", [], 4, "this installation holds no core module"),
    ],
)
def test_an_impossible_choice_says_why(asked, installed, processor, text):
    with pytest.raises(ImportError, match=re.escape(text)):
        choose_level(asked, installed, processor)


def test_elman_isa_is_obeyed():
    for level in installed_levels():
        if level != "generic" and int(level[1]) > x86_64_level():
            continue
        done = python(
            "from elman._backend import core; print(core.config()['isa'])", ELMAN_ISA=level
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().removeprefix("x86_64_") == level


def test_a_wrong_elman_isa_fails_at_import():
    done = python("import elman._backend", ELMAN_ISA="v9")
    assert done.returncode != 0
    assert "ImportError: [elman] ELMAN_ISA: expected one of" in done.stderr


def test_every_level_has_the_same_name():
    import elman._core

    assert elman._core is core
    assert core.config.__module__ == "elman._core"
    assert pickle.loads(pickle.dumps(core.Tensor)) is core.Tensor


def test_show_config_tells_what_runs(capsys):
    _config.show_config()
    printed = capsys.readouterr().out
    c = _config.config()
    assert c["isa"] in printed
    for name in ("elman", "core", "threads", "compiler", "python", "platform"):
        assert re.search(rf"^{name} +\S", printed, re.MULTILINE)
    assert c["installed"] == _backend.installed_levels()


def test_the_number_of_threads_can_be_set():
    before = core.get_num_threads()
    try:
        for threads in (1, 3, 2):
            core.set_num_threads(threads)
            assert core.get_num_threads() == threads
            assert core.config()["threads"] == threads
        for bad in (0, -1, 257):
            with pytest.raises(ValueError, match=r"threads: expected 1 to 256, got"):
                core.set_num_threads(bad)
    finally:
        core.set_num_threads(before)


def test_the_environment_sets_the_number_of_threads():
    code = "from elman._backend import core; print(core.get_num_threads())"
    assert python(code, ELMAN_NUM_THREADS="5").stdout.strip() == "5"
    wrong = python(code, ELMAN_NUM_THREADS="many")
    assert "ELMAN_NUM_THREADS: expected a positive integer, got 'many'" in wrong.stderr
