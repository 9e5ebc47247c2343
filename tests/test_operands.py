# SPDX-License-Identifier: Apache-2.0
"""What may stand beside a tensor: numpy's scalars, odd arrays, tensors that were never made."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import elman
from elman import backend as K  # noqa: N812 - its name in Keras
from elman import layers
from elman._backend import core

ONE = elman.Tensor([1.0])


@pytest.mark.parametrize(
    "value", [np.longdouble(2), np.float16(2), np.float32(2), np.int8(2), np.uint64(2), np.int64(2)]
)
def test_numpy_numbers(value):
    assert (ONE + value).numpy() == np.float32(3)
    assert (value + ONE).numpy() == np.float32(3)
    assert (ONE * value).dtype == "float32"
    assert float(elman.Tensor(value)) == 2.0
    assert float(K.sum(value)) == 2.0
    assert (ONE + np.bool_(True)).numpy() == np.float32(2)


# fmt: off
NO_NUMBERS = [
    np.complex64(1), np.clongdouble(1), np.datetime64("2020"), np.datetime64("2020", "ns"),
    np.timedelta64(3, "s"), np.void(b"ab"), np.str_("a"), np.bytes_(b"a"),
]
# fmt: on


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_scalars_that_are_no_numbers(value):
    name = type(value).__name__
    with pytest.raises(TypeError, match=rf"\[add\] y: expected an array of numbers .*got {name}"):
        core.add(ONE, value)
    with pytest.raises(TypeError, match=rf"\[Tensor\] array: .*got {name}"):
        elman.Tensor(value)


def test_integers_beyond_64_bits():
    for value in (10**30, np.uint64(2**64 - 1), -(10**30)):
        with pytest.raises(ValueError, match=r"\[Tensor\] array: expected a number within int64"):
            elman.Tensor(value)
        with pytest.raises(ValueError, match=r"\[add\] y: expected a number within int64"):
            elman.Tensor([1]) + value
    assert float(ONE + 10**30) == np.float32(1e30)
    with pytest.raises(ValueError, match=r"\[multiply\] y: .* got one of 1329 bits"):
        ONE * 10**400
    with pytest.raises(ValueError, match="expected a number within int64, got one of 100 bits"):
        K.sum(10**30)
    ids = np.array([[2**64 - 1]], np.uint64)
    with pytest.raises(ValueError, match=r"\[Tensor\] array: expected a number within int64"):
        elman.Tensor(ids)
    with pytest.raises(ValueError, match=r"\[Embedding.call\] x: .* got 18446744073709551615"):
        layers.Embedding(5, 2)(ids)
    assert elman.Tensor(np.array([2**63 - 1], np.uint64)).numpy().tolist() == [2**63 - 1]
    assert elman.Tensor(np.zeros((0,), np.uint64)).shape == (0,)


class Unmade(elman.Variable):
    def __init__(self):
        pass


UNMADE = "whose __init__ has not run"


@pytest.mark.parametrize("make", [Unmade, lambda: core.Tensor.__new__(core.Tensor)])
@pytest.mark.parametrize(
    "use",
    [
        lambda t: t + 1,
        lambda t: 1 + t,
        lambda t: ONE * t,
        lambda t: t == t,
        lambda t: t[0],
        lambda t: f"{t}",
        lambda t: K.sum(t),
        lambda t: K.concatenate([t, t]),
        lambda t: core.matmul(t, t),
        lambda t: elman.Tensor(t),
        lambda t: elman.Variable(t),
        lambda t: t.__dlpack__(),
        lambda t: t.__reduce__(),
        lambda t: elman.Variable([1.0]).assign(t),
        lambda t: elman.Variable.assign(t, 1.0),
        lambda t: elman.Variable.assign_add(t, 1.0),
    ],
)
def test_a_tensor_whose_init_has_not_run(make, use):
    with pytest.raises(TypeError, match=UNMADE):
        use(make())


def test_methods_check_what_they_are_called_on():
    with pytest.raises(TypeError, match=r"\[Tensor.__getitem__\] self: .* got int"):
        elman.Tensor.__getitem__(5, 0)
    with pytest.raises(TypeError, match=r"\[Variable.assign\] self: .* got a Tensor"):
        elman.Variable.assign_add(ONE, 1.0)


def test_a_copied_variable_is_a_variable_of_its_own():
    original = elman.Variable([1.0, 2.0], trainable=False, name="scale")
    original.constraint = elman.constraints.get("non_neg")
    twin = copy.copy(original)
    assert type(twin) is elman.Variable
    assert (twin.name, twin.trainable, twin.dtype) == ("scale", False, "float32")
    assert twin.constraint is original.constraint
    twin.assign([5.0, 6.0])
    assert original.numpy().tolist() == [1.0, 2.0]
    assert copy.copy(ONE) is ONE  # a tensor never changes


def test_masked_arrays():
    masked = np.ma.masked_array(np.ones((2, 3), "float32"), [[False, True, False]] * 2)
    model = elman.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    for use in (elman.Tensor, elman.Variable, layers.Dense(2), K.sum, lambda x: ONE + x):
        for array in (masked, masked.astype("uint8"), masked[:, 1:].T, masked[:1]):
            with pytest.raises(TypeError, match=r"a masked array; use its .filled\(value\)"):
                use(array)
    for use in (model.predict, lambda x: model.fit(x, np.ones(2))):
        with pytest.raises(TypeError, match=r"\[Sequential\.\w+\] x: .*filled"):
            use(masked)
    whole = np.ma.masked_array(np.ones((2, 3), "float32"))
    assert elman.Tensor(whole).numpy().tolist() == [[1.0] * 3] * 2
    assert layers.Dense(2)(masked.filled(0.0)).shape == (2, 2)


@pytest.mark.parametrize("axis", ["a", (0,), 2**70, 1.5])
def test_the_axis_of_argmin(axis):
    for function in (K.argmin, K.argmax):
        with pytest.raises(TypeError, match=r"\[arg\w+\] axis: expected an integer or None, got"):
            function(ONE, axis=axis)
    assert K.argmin(elman.Tensor([[2.0, 1.0]]), axis=np.int64(1)).numpy() == [1]


def test_the_bounds_of_clip():
    with pytest.raises(TypeError, match=r"\[clip\] x_min: expected an array of numbers"):
        core.clip(ONE, "a", None)
    assert core.clip(ONE, elman.Tensor(2.0), np.float32(3)).numpy() == [2.0]


@pytest.mark.parametrize("threads", ["a", 1.5, None, 2**80])
def test_threads_that_are_no_integers(threads):
    with pytest.raises(TypeError, match=r"\[set_num_threads\] threads: expected an integer, got"):
        elman.set_num_threads(threads)
    with pytest.raises(ValueError, match="threads: expected 1 to 256, got 1099511627776"):
        elman.set_num_threads(2**40)
