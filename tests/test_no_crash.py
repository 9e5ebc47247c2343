# SPDX-License-Identifier: Apache-2.0
"""Nothing that Python can pass ends the process: each attack runs in a process of its own."""

from __future__ import annotations

import contextlib
import itertools
import sys

import numpy as np
import pytest

from elman._backend import core

# What a confused program passes. Sizes are either small or impossible, never merely large: an
# allocation of a few terabytes may succeed on systems that hand out memory they do not have.
VALUES = [
    None,
    True,
    -1,
    0,
    7,
    2**31,
    2**62,
    -(2**63),
    2**80,
    float("nan"),
    float("inf"),
    -1e300,
    "tanh",
    "",
    b"x",
    (),
    [],
    [[]],
    [1, [2]],
    [2**62, 2**62],
    [None],
    {},
    object(),
    lambda *a: a,
    np.zeros((0, 3), np.float32),
    np.zeros((2, 3), np.float32),
    np.zeros((2, 5, 3), np.float64),
    np.zeros((2, 5), bool),
    np.full((4,), np.nan),
    np.array(2.5),
    np.array([3, -9, 2**40]),
    np.zeros((1,) * 20, np.float32),
    np.zeros((3, 4), complex),
    np.array(["a"]),
    np.array([None]),
    np.zeros((2, 3), np.float32)[::-1, ::2],
]
# What an attack may raise. SystemError is not among them: it means a broken binding.
EXPECTED = (
    ArithmeticError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
# Not functions of their arguments: they change or end things on purpose.
EXCLUDED = {"set_num_threads"}


def callables() -> list[str]:
    return sorted(n for n in dir(core) if n[0] != "_" and callable(getattr(core, n)))


def attack(name: str, count: int) -> None:
    """Call core.<name> with `count` values in many combinations; it works or raises."""
    function = getattr(core, name)
    combinations = [(k,) * count for k in range(len(VALUES))]  # each value everywhere
    rng = np.random.default_rng(count)
    combinations += rng.integers(0, len(VALUES), (250 * (count > 0), count)).tolist()
    for chosen in combinations:
        with contextlib.suppress(*EXPECTED):
            function(*(VALUES[k] for k in chosen))


def attack_all(names: list[str]) -> None:
    limit_memory()
    for name in names:
        for count in (0, 1, 2, 3, 4, 5):
            print(name, count, flush=True)  # the last line names the culprit
            attack(name, count)
    print("done")


def limit_memory(gigabytes: int = 8) -> None:
    """A wish for impossible amounts must fail here, not in the system's out-of-memory killer."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (gigabytes << 30, gigabytes << 30))


@pytest.mark.parametrize("part", range(4))
def test_core_functions(part, python):
    names = [n for n in callables() if n not in EXCLUDED][part::4]
    assert names
    done = python(f"import test_no_crash; test_no_crash.attack_all({names!r})")
    tail = done.stdout.splitlines()[-3:]
    assert done.returncode == 0, f"{tail} exit {done.returncode}: {done.stderr[-2000:]}"
    assert tail[-1] == "done"


def attack_tensors() -> None:
    """Operators, indices and methods of Tensor and Variable with every value."""
    limit_memory()
    # fmt: off
    operators = [
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lt", "le", "gt", "ge",
        "eq", "ne", "and", "or",
    ]
    # fmt: on
    for make in (core.Tensor, core.Variable):
        for shape in ((2, 3), (), (0, 4)):
            for value in VALUES:
                tensor = make(np.ones(shape, np.float32))
                attempts = [lambda t=tensor, v=value: t[v]]
                for name in operators:
                    for form in (f"__{name}__", f"__r{name}__"):
                        attempts.append(lambda t=tensor, f=form, v=value: getattr(t, f)(v))
                for name in (n for n in dir(tensor) if not n.startswith("_")):
                    attempts.append(lambda t=tensor, n=name, v=value: getattr(t, n)(v))
                    attempts.append(lambda t=tensor, n=name, v=value: setattr(t, n, v))
                for attempt in attempts:
                    with contextlib.suppress(*EXPECTED):
                        attempt()
    print("done")


def attack_fused_cell() -> None:
    """Every operand of the kernel replaced by every value."""
    limit_memory()
    good = {
        "x": np.zeros((2, 5, 3), np.float32),
        "kernel": np.zeros((3, 16), np.float32),
        "recurrent_kernel": np.zeros((4, 16), np.float32),
        "bias": np.zeros(16, np.float32),
        "initial_state": [np.zeros((2, 4), np.float32)] * 2,
        "mask": np.ones((2, 5), bool),
        "input_dropout": np.ones((4, 2, 3), np.float32),
        "recurrent_dropout": np.ones((1, 2, 4), np.float32),
        "return_sequences": True,
        "go_backwards": False,
        "zero_output_for_mask": False,
    }

    def tensors(value):
        if isinstance(value, list):
            return [tensors(v) for v in value]
        return core.Tensor(value) if isinstance(value, np.ndarray) else value

    cell = core.FusedCell("lstm", 4, "tanh", "sigmoid")
    cell.forward(**{k: tensors(v) for k, v in good.items()})
    for name, value in itertools.product(good, VALUES):
        for wrap in (lambda v: v, tensors, lambda v: [v], lambda v: [v, v]):
            with contextlib.suppress(*EXPECTED):
                given = {k: tensors(v) for k, v in good.items()} | {name: wrap(value)}
                with core.Tape() as tape:
                    tape.watch(given["kernel"])
                    output, _ = cell.forward(**given)
                tape.gradient(output, [given["kernel"]])
    print("done")


@pytest.mark.parametrize("attack", ["attack_tensors", "attack_fused_cell"])
def test_objects(attack, python):
    done = python(f"import test_no_crash; test_no_crash.{attack}()")
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    assert done.stdout.rstrip().endswith("done")


NASTY = {
    "units that no memory holds": """
        layer = elman.layers.LSTM(2**40)
        layer(x)
        """,
    "output larger than memory": """
        elman.backend.zeros((2**31, 2**31))
        """,
    "size that overflows": """
        elman.backend.zeros((2**62, 2**62, 4))
        """,
    "a vocabulary larger than memory": """
        elman.layers.Embedding(2**50, 2**10)(np.zeros((1, 1), 'int64'))
        """,
    "an array that lies about its shape": """
        class Liar:
            __array_interface__ = {'shape': (2, 5), 'typestr': '<f4', 'version': 3}
        elman.layers.LSTM(4)(Liar())
        """,
    "an array that raises": """
        class Angry:
            def __array__(self, dtype=None, copy=None):
                raise ValueError('no')
        elman.layers.LSTM(4)(Angry())
        """,
    "a list that contains itself": """
        a = []
        a.append(a)
        elman.layers.Dense(4)(a)
        """,
    "a cell that returns nonsense": """
        class Cell(elman.layers.Layer):
            state_size = 4
            def call(self, inputs, states):
                return None
        elman.layers.RNN(Cell())(x)
        """,
    "a cell that raises in the middle": """
        class Cell(elman.layers.Layer):
            state_size = 3
            count = 0
            def call(self, inputs, states):
                Cell.count += 1
                if Cell.count == 3:
                    raise ValueError('in the third step')
                return inputs, [inputs]
        elman.layers.RNN(Cell())(x)
        """,
    "a cell that changes the size of its state": """
        class Cell(elman.layers.Layer):
            state_size = 3
            def call(self, inputs, states):
                wide = elman.backend.concatenate([inputs, states[0]], axis=-1)
                return wide, [wide]
        elman.layers.RNN(Cell(), return_sequences=True)(x)
        """,
    "gradient of nothing": """
        with elman.GradientTape() as tape:
            pass
        tape.gradient(None, [None])
        """,
    "no threads": "elman.set_num_threads(0)",
    "fewer than no threads": "elman.set_num_threads(-3)",
    "a set_weights of strings": """
        layer = elman.layers.LSTM(4)
        layer(x)
        layer.set_weights(['a', 'b', 'c'])
        """,
}

SCRIPT = """
import sys, textwrap
import numpy as np, elman, test_no_crash
test_no_crash.limit_memory()
x = np.zeros((2, 5, 3), np.float32)
try:
    exec(textwrap.dedent(test_no_crash.NASTY[{name!r}]))
except Exception as error:
    print(type(error).__name__, error)
else:
    sys.exit('nothing was raised')
# the process still works
assert np.isfinite(elman.layers.LSTM(4)(x)).all()
"""


@pytest.mark.parametrize("name", NASTY)
def test_nasty_call_raises(name, python):
    done = python(SCRIPT.format(name=name))
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout} {done.stderr[-2000:]}"
    assert done.stdout.split()[0] in (
        "ValueError",
        "TypeError",
        "MemoryError",
        "IndexError",
        "RuntimeError",
        "OverflowError",
        "RecursionError",
    ), done.stdout
