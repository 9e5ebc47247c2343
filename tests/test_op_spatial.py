# SPDX-License-Identifier: Apache-2.0
"""conv, max_pool, average_pool and pad of the core in float64: values, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest

import spatial_reference as reference
from elman._backend import core
from test_op_gradients import check_gradient, spaced

RNG = np.random.default_rng(3)


def draw(*shape):
    return RNG.uniform(-1, 1, shape)


# shape of x, taps, strides, dilation, padding
WINDOWS = [
    ((2, 7, 3), (3,), (1,), (1,), "causal"),
    ((3, 7, 2), (2,), (3,), (1,), "causal"),
    ((2, 7, 1), (3,), (1,), (2,), "same"),
    ((2, 5, 7, 3), (3, 2), (1, 1), (1, 1), "same"),
    ((2, 5, 7, 3), (2, 3), (2, 3), (1, 1), "same"),
    ((3, 5, 7, 2), (2, 2), (1, 1), (2, 3), "valid"),
    ((2, 5, 4, 1), (1, 1), (2, 3), (1, 1), "valid"),
    ((1, 3, 4, 5, 2), (2, 3, 2), (1, 1, 1), (1, 1, 1), "same"),
    ((2, 4, 3, 5, 1), (2, 1, 3), (2, 1, 2), (1, 1, 1), "valid"),
]


@pytest.mark.parametrize(("shape", "taps", "strides", "dilation", "padding"), WINDOWS, ids=str)
def test_conv(shape, taps, strides, dilation, padding):
    x, kernel, bias = draw(*shape), draw(*taps, shape[-1], 5), draw(5)
    expected = reference.conv(x, kernel, bias, strides, padding, dilation)
    got = core.conv(x, kernel, bias, strides, padding, dilation)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)

    def curved(*args):
        args = args if len(args) == 3 else (*args, None)
        return core.conv(*args, strides, padding, dilation, "tanh")

    np.testing.assert_allclose(curved(x, kernel, bias), np.tanh(expected), rtol=0, atol=1e-12)
    check_gradient(curved, x, kernel, bias)
    check_gradient(curved, x, kernel)


@pytest.mark.parametrize("activation", ["linear", "silu", "gelu", "mish", "softplus"])
def test_conv_with_activations_that_keep_their_input(activation):
    x, kernel, bias = draw(2, 5, 3), draw(3, 3, 2), draw(2)
    plain = core.conv(x, kernel, bias, 1, "same", 1)
    got = core.conv(x, kernel, bias, 1, "same", 1, activation)
    np.testing.assert_allclose(got, core.activation(plain, activation), rtol=0, atol=1e-13)
    check_gradient(lambda *a: core.conv(*a, 1, "same", 1, activation), x, kernel, bias)


@pytest.mark.parametrize(
    ("shape", "taps", "strides", "padding"),
    [(s, t, k, p) for s, t, k, d, p in WINDOWS if p != "causal" and max(d) == 1],
    ids=str,
)
@pytest.mark.parametrize("kind", ["max", "average"])
def test_pooling(kind, shape, taps, strides, padding):
    x, function = spaced(*shape), core.max_pool if kind == "max" else core.average_pool
    expected = reference.pool(kind, x, taps, strides, padding)
    got = function(x, taps, strides, padding)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)
    check_gradient(lambda a: function(a, taps, strides, padding), x)


def test_the_first_maximum_takes_the_gradient():
    x = core.Variable(np.array([[[3.0], [3.0], [1.0], [3.0]]]))
    with core.Tape() as tape:
        y = core.max_pool(x, 3, 1, "same")
    (found,) = tape.gradient(y, [x])
    np.testing.assert_array_equal(np.ravel(found), [2, 1, 0, 1])


def test_pad():
    x = draw(2, 3, 4)
    np.testing.assert_array_equal(
        core.pad(x, (0, 2, 1), (1, 0, 3)), np.pad(x, ((0, 1), (2, 0), (1, 3)))
    )
    check_gradient(lambda a: core.pad(a, (0, 2, 1), (1, 0, 3)), x)
    with pytest.raises(ValueError, match=r"\[pad\] sizes: expected two numbers .* \(2, 3, 4\)"):
        core.pad(x, (0, 1), (1, 0))
    with pytest.raises(ValueError, match=r"\[pad\] sizes"):
        core.pad(x, (0, -1, 0), (0, 0, 0))


@pytest.mark.parametrize(
    ("shape", "times"),
    [
        ((2, 5, 3), (3,)),
        ((2, 3, 5, 1), (2, 3)),
        ((3, 5, 2, 7), (1, 2)),
        ((2, 3, 4, 17), (3, 1)),
        ((1, 2, 3, 5, 2), (2, 3, 2)),
        ((2, 0, 3, 4), (2, 2)),
        ((0, 2, 3, 4), (2, 2)),
    ],
    ids=str,
)
def test_up_sample(shape, times):
    x, expected = draw(*shape), None
    for dtype in ("float64", "float32"):
        expected = x.astype(dtype)
        for axis, count in enumerate(times, 1):
            expected = np.repeat(expected, count, axis)
        got = core.up_sample(x.astype(dtype), times)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, expected)
    if x.size:
        check_gradient(lambda a: core.up_sample(a, times), x)
    variable, weight = core.Variable(x), draw(*expected.shape)
    with core.Tape() as tape:
        loss = core.sum(core.up_sample(variable, times) * weight)
    cut = [n for size, count in zip(shape[1:-1], times, strict=True) for n in (size, count)]
    blocks = weight.reshape(shape[0], *cut, shape[-1])
    wanted = blocks.sum(tuple(range(2, 2 * len(times) + 1, 2)))
    np.testing.assert_allclose(tape.gradient(loss, variable), wanted, rtol=0, atol=1e-13)


def test_up_sample_errors():
    x = draw(2, 5, 3)
    for times in ((0,), (-1,), (), (1,) * 4, (2**41,)):
        with pytest.raises(ValueError, match=r"\[up_sample\] times: expected one to three numbers"):
            core.up_sample(x, times)
    with pytest.raises(ValueError, match=r"\[up_sample\] x: expected 4 axes .* got \(2, 5, 3\)"):
        core.up_sample(x, (2, 2))
    with pytest.raises((ValueError, MemoryError)):
        core.up_sample(draw(2, 5, 4, 3), (2**40, 2**40))


def test_far_reaching_windows():
    """Steps and windows far larger than the image."""
    x, kernel = draw(2, 5, 3), draw(2, 3, 2)
    got = core.conv(x, kernel, None, 2**40, "valid", 1)
    np.testing.assert_allclose(got, reference.conv(x, kernel)[:, :1], rtol=0, atol=1e-12)
    check_gradient(lambda *a: core.conv(*a, None, 2**40, "same", 1), x, kernel)
    assert core.max_pool(x, 2**39, 2**39, "same").shape == (2, 1, 3)
    check_gradient(lambda a: core.max_pool(a, 2**39, 2**39, "same"), spaced(2, 5, 3))


def test_errors():
    x, kernel = draw(2, 5, 3), draw(2, 3, 4)
    for args, text in (
        ((draw(5, 3), kernel, None, 1, "same", 1), r"\[conv\] x: expected 3 axes"),
        ((x, draw(3, 4), None, 1, "same", 1), r"\[conv\] kernel: expected \(taps, C, F\)"),
        ((x, draw(2, 2, 4), None, 1, "same", 1), r"kernel: expected \(2, 3, 4\) float64.*channels"),
        ((x, kernel, draw(3), 1, "same", 1), r"bias: expected \(4,\) float64"),
        ((x, draw(6, 3, 4), None, 1, "valid", 1), "x: expected at least 6 along axis 1, got"),
        ((x, kernel, None, 1, "full", 1), "known: valid, same, causal"),
        ((x, kernel, None, 0, "same", 1), r"\[window\] size"),
        ((x, kernel, None, [1, 1], "same", 1), r"\[conv\] sizes: expected one to three"),
        ((x, kernel, None, 1, "same", 2**39), r"\[conv\] dilation_rate"),
    ):
        with pytest.raises(ValueError, match=text):
            core.conv(*args)
    with pytest.raises(ValueError, match=r"\[max_pool\] x: expected at least 6"):
        core.max_pool(x, 6, 1)
    with pytest.raises(ValueError, match=r"\[average_pool\] x: expected 4 axes"):
        core.average_pool(x, (2, 2), (1, 1))
