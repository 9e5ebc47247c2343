# SPDX-License-Identifier: Apache-2.0
"""What README.md shows works, and the C++ examples do what they promise."""

import re
import subprocess

import pytest

from test_cpp import ROOT, configure, run, tool

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """The code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_python_blocks_run_one_after_the_other(python, tmp_path):
    """In a process of their own, where warnings are errors, and in a folder of their own."""
    code = blocks("python")
    assert len(code) >= 4
    (model,) = (number for number, block in enumerate(code) if "validation_split" in block)
    promise = "np.mean((probabilities > 0.5)[-200:] == answers[-200:])"
    code[model] += f"assert {promise} > 0.9, {promise}\n"
    done = python(f"import os; os.chdir({str(tmp_path)!r})\n" + "\n".join(code))
    assert done.returncode == 0, done.stderr
    assert "compiled kernel lstm" in done.stdout
    assert "Total params" in done.stdout
    assert (tmp_path / "weights.safetensors").is_file()


def test_two_commands_do_all_the_set_up():
    assert blocks("sh") == [
        "pip install '.[examples]' && python -m elman.examples.digits\n",
        "pip install '.[test]' && pytest\n",
    ]
    checked = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "pip install '.[test]' && pytest" in checked
    assert "pip install '.[examples]'" in checked
    assert "python -m elman.examples.digits" in checked


def test_the_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_cpp_block_is_a_part_of_the_example():
    (block,) = blocks("cpp")
    example = (ROOT / "cpp" / "examples" / "stream.cpp").read_text(encoding="utf-8")
    lines = [line.strip() for line in example.splitlines()]
    for line in filter(None, map(str.strip, block.splitlines())):
        assert line in lines, f"not in stream.cpp: {line}"
        lines = lines[lines.index(line) :]


@pytest.fixture(scope="module")
def examples():
    """The folder with the programs of cpp/examples; kept, so that the next run is quick."""
    build = ROOT / "build" / "pytest-examples"
    configure(
        ROOT,
        build,
        "-DCMAKE_CXX_FLAGS_RELEASE=-O1",  # half the build time of -O3
        "-DELMAN_BUILD_EXAMPLES=ON",
        "-DELMAN_BUILD_TESTS=OFF",
        "-DELMAN_BUILD_PYTHON=OFF",
        "-DELMAN_BUILD_BENCH=OFF",
    )
    run(tool("cmake"), "--build", build)
    return build / "cpp" / "examples"


@pytest.mark.parametrize("name", ["train", "stream"])
def test_the_cpp_examples_keep_their_promises(examples, name):
    done = subprocess.run(
        [examples / f"example_{name}"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
