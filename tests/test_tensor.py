# SPDX-License-Identifier: Apache-2.0
"""`Tensor` and `Variable`: conversion without copies, indexing, element types, copies on write."""

from __future__ import annotations

import array
import copy
import gc
import pickle
import threading

import numpy as np
import pytest

from elman._backend import core

DTYPES = ("float32", "float64", "int32", "int64", "bool")


def sample(dtype: str = "float32", shape: tuple[int, ...] = (4, 3, 5)) -> np.ndarray:
    values = np.random.default_rng(0).integers(-9, 9, size=shape)
    return np.asarray(values.astype(dtype))


# --- arrays in and out ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0, 3), (1, 2, 1, 3)])
def test_round_trip_without_a_copy(dtype, shape):
    x = sample(dtype, shape)
    t = core.Tensor(x)
    assert (t.shape, t.dtype, t.ndim, t.size) == (shape, dtype, x.ndim, x.size)
    assert t.nbytes == x.nbytes
    for view in (t.numpy(), np.asarray(t), np.from_dlpack(t)):
        assert view.dtype == x.dtype
        np.testing.assert_array_equal(view, x)
        assert not view.flags.writeable
        if x.size:
            assert np.shares_memory(view, x)


def test_views_keep_the_memory_alive():
    view = np.asarray(core.Tensor(np.arange(100_000.0)) * 1.0)
    gc.collect()
    np.testing.assert_array_equal(view, np.arange(100_000.0))
    x = np.arange(1000.0)
    t = core.Tensor(x)
    del x
    gc.collect()
    np.testing.assert_array_equal(t, np.arange(1000.0))


def test_array_protocol_arguments():
    t = core.Tensor(sample())
    assert np.asarray(t, dtype="float64").dtype == np.float64
    own = np.array(t)
    own[...] = 7
    assert not np.any(np.asarray(t) == 7.5)
    assert not np.shares_memory(own, np.asarray(t))
    with pytest.raises(ValueError, match="copy"):
        t.__array__(dtype="float64", copy=False)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x[:, ::2],
        lambda x: x[::-1],
        lambda x: x.T,
        lambda x: np.asfortranarray(x),
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: x[2:2],
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_that_are_not_contiguous_are_copied(make, dtype):
    x = make(sample(dtype))
    np.testing.assert_array_equal(core.Tensor(x), x)


def test_misaligned_arrays_are_copied():
    raw = np.zeros(33, np.uint8)
    x = raw[1:].view(np.float64)
    x[...] = [1, 2, 3, 4]
    np.testing.assert_array_equal(core.Tensor(x), [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ("int8", "int32"),
        ("uint8", "int32"),
        ("int16", "int32"),
        ("uint16", "int32"),
        ("uint32", "int64"),
        ("uint64", "int64"),
        ("float16", "float32"),
        ("longdouble", "float64"),
    ],
)
def test_other_widths_are_converted(given, got):
    assert core.Tensor(np.array(1, given)).shape == ()
    t = core.Tensor(np.array([0, 1, 100], given))
    assert t.dtype == got
    np.testing.assert_array_equal(t, [0, 1, 100])


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (np.array(["a"]), "dtype <U1"),
        (np.array([object()]), "dtype object"),
        (np.array([1j]), "complex128"),
        (np.arange(3.0).astype(">f8"), "swapped.*newbyteorder"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "datetime64"),
        (np.zeros(2, [("a", "f4")]), "dtype"),
        ("text", "str"),
        (b"bytes", "bytes"),
        (None, "None"),
        (float, "type"),
        ({"a": 1}, "dict"),
        (object(), "object"),
    ],
)
def test_what_is_no_array_raises_a_type_error(bad, text):
    with pytest.raises(TypeError, match=rf"\[Tensor\] array: .*{text}"):
        core.Tensor(bad)


def test_python_values():
    assert core.Tensor(2.5).dtype == "float32"
    assert core.Tensor(2).dtype == "int64"
    assert core.Tensor(True).dtype == "bool"
    assert core.Tensor([1, 2]).dtype == "int64"
    assert core.Tensor([[1.5], [2.5]]).shape == (2, 1)
    assert core.Tensor([1.5]).dtype == "float32"
    assert core.Tensor([1.5], dtype="float64").dtype == "float64"
    assert core.Tensor(array.array("d", [1, 2])).dtype == "float64"
    assert core.Tensor(np.float64(3)).dtype == "float32"
    assert core.Tensor(memoryview(np.arange(3))).shape == (3,)
    assert core.Tensor([core.Tensor([1.0]), core.Tensor([2.0])]).shape == (2, 1)
    with pytest.raises(ValueError, match="inhomogeneous"):
        core.Tensor([[1.0], [1.0, 2.0]])
    with pytest.raises(TypeError):
        core.Tensor([None])
    with pytest.raises(ValueError, match="array: expected a number within int64, got one of 71"):
        core.Tensor(2**70)
    with pytest.raises(ValueError, match="float32, float64, int32, int64, bool"):
        core.Tensor([1.0], dtype="float16")


def test_objects_with_array_or_dlpack():
    class Array:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3, dtype=np.float32)

    class DLPack:
        x = np.arange(4, dtype=np.float64)

        def __dlpack__(self, **kwargs):
            return self.x.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return self.x.__dlpack_device__()

    assert core.Tensor(Array()).shape == (3,)
    t = core.Tensor(DLPack())
    assert t.dtype == "float64"
    assert np.shares_memory(np.asarray(t), DLPack.x)


def test_too_many_dimensions_and_elements():
    with pytest.raises(ValueError, match="at most 8"):
        core.Tensor(np.zeros((1,) * 9))
    with pytest.raises(ValueError, match="memory"):
        core.zeros((2**40, 2**40))


# --- scalars, text, Python protocols -------------------------------------------------------------


def test_scalar_conversions():
    t = core.Tensor(2.5)
    assert (float(t), int(t), bool(t), t.item(), f"{t:.2f}") == (2.5, 2, True, 2.5, "2.50")
    assert [10, 20, 30][core.Tensor(1)] == 20
    assert isinstance(core.Tensor(3).item(), int)
    assert core.Tensor(True).item() is True
    for convert in (float, int, bool):
        with pytest.raises(ValueError, match=r"one element|ambiguous"):
            convert(core.Tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="integer"):
        range(core.Tensor(1.5))
    with pytest.raises(TypeError, match="length"):
        len(core.Tensor(1.0))
    with pytest.raises(TypeError, match="elements"):
        iter(core.Tensor(1.0))


def test_length_and_iteration():
    x = sample()
    t = core.Tensor(x)
    assert len(t) == 4
    for a, b in zip(t, x, strict=True):
        np.testing.assert_array_equal(a, b)
    assert t.tolist() == x.tolist()


def test_repr_shows_shape_type_and_values():
    assert repr(core.Tensor([1.0, 2.0])) == (
        "elman.Tensor(shape=(2,), dtype=float32, numpy=[1., 2.])"
    )
    assert repr(core.Variable([1], name="w")) == (
        "elman.Variable(name='w', shape=(1,), dtype=int64, numpy=[1])"
    )


def test_attributes_identity_and_hash():
    a, b = core.Tensor([1.0]), core.Tensor([1.0])
    a._keras_mask = 5
    assert a._keras_mask == 5
    assert len({a, b, a}) == 2
    assert (a == None) is False  # noqa: E711 - the operator is what is tested
    assert (a != "text") is True


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_of_tensors_and_variables(duplicate):
    t = core.Tensor(sample("int32"))
    other = duplicate(t)
    assert other.dtype == "int32"
    np.testing.assert_array_equal(other, t)
    v = core.Variable([1.0, 2.0], trainable=False, dtype="float64", name="kernel")
    v.mark = "kept"
    w = duplicate(v)
    assert (w.name, w.trainable, w.dtype, w.mark) == ("kernel", False, "float64", "kept")
    w.assign([0.0, 0.0])
    np.testing.assert_array_equal(v, [1.0, 2.0])


# --- indexing ------------------------------------------------------------------------------------

INDICES = [
    0,
    -1,
    np.int64(2),
    slice(None),
    slice(1, 3),
    slice(3, 1),
    slice(None, None, 2),
    slice(None, None, -1),
    slice(-1, None, -2),
    slice(10, 20),
    None,
    ...,
    (0, 1, 2),
    (slice(None), 1),
    (slice(None), slice(None), -1),
    (..., 0),
    (..., slice(None, None, -1)),
    (0, ...),
    (None, 0, None, slice(1, 2)),
    (slice(None, None, -1), slice(2, None, -1), slice(None, None, 2)),
    (slice(2, 2), 0),
    (),
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_basic_indexing(index, dtype):
    x = sample(dtype)
    np.testing.assert_array_equal(core.Tensor(x)[index], x[index])


ARRAY_INDICES = [
    np.array([2, 0, 0]),
    [1, 3],
    np.array([-1, 1]),
    np.array([[0, 1], [2, 3]]),
    np.array([], dtype=np.int64),
    np.array([2.0, 1.0], np.float32).astype(int),
    (slice(None), np.array([2, 0])),
    (1, np.array([2, 0])),
    (..., np.array([4, 0])),
    (slice(1, 3), np.array([[2, 0]]), slice(None, None, -1)),
    (np.array([0, 1]), np.array([2, 0])),
    (np.array([[0], [1]]), np.array([2, 0]), 3),
    (np.array([0, 1]), np.array([2, 0]), slice(None)),
]


@pytest.mark.parametrize("index", ARRAY_INDICES, ids=repr)
def test_indexing_with_arrays(index):
    x = sample("float64")
    np.testing.assert_array_equal(core.Tensor(x)[index], x[index])


def test_indexing_with_masks_and_tensors():
    x = sample("float64")
    t = core.Tensor(x)
    np.testing.assert_array_equal(t[x > 0], x[x > 0])
    rows = np.array([True, False, True, False])
    np.testing.assert_array_equal(t[rows], x[rows])
    np.testing.assert_array_equal(t[core.Tensor([2, 1])], x[[2, 1]])
    np.testing.assert_array_equal(t[core.Tensor(1)], x[1])
    np.testing.assert_array_equal(t[t > 100], x[x > 100])


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (4, IndexError, "4 is outside of axis 0"),
        ((0, 0, -6), IndexError, "-6 is outside of axis 2"),
        ((0, 0, 0, 0), IndexError, "at most 3 indices"),
        ((..., ...), IndexError, "ellipsis"),
        ("a", TypeError, "integers, slices"),
        (1.5, TypeError, "integers, slices"),
        (np.array([0, 7]), IndexError, r"id 7 at position \(1,\)"),
        (np.array([0.5]), ValueError, "whole numbers"),
        (np.ones(3, bool), IndexError, "does not cover"),
        (slice(None, None, 0), ValueError, "step"),
    ],
)
def test_index_errors(index, error, text):
    with pytest.raises(error, match=text):
        core.Tensor(sample())[index]


def test_leading_indices_share_memory():
    t = core.Tensor(sample())
    assert np.shares_memory(np.asarray(t[1]), np.asarray(t))
    assert np.shares_memory(np.asarray(t[1:3]), np.asarray(t))
    assert np.shares_memory(np.asarray(t.reshape(12, 5)), np.asarray(t))
    assert not np.shares_memory(np.asarray(t[:, 1]), np.asarray(t))


def test_tensors_do_not_take_items():
    with pytest.raises(TypeError, match="item assignment"):
        core.Tensor([1.0])[0] = 2.0


# --- variables -----------------------------------------------------------------------------------


def test_variables_copy_their_value():
    x = np.ones(3)
    v = core.Variable(x)
    x[0] = 5
    np.testing.assert_array_equal(v, [1, 1, 1])
    y = np.asarray(v)
    v.assign([2, 2, 2])
    np.testing.assert_array_equal(y, [1, 1, 1])
    np.testing.assert_array_equal(v, [2, 2, 2])


def test_assign_writes_in_place_only_when_nobody_looks():
    v = core.Variable(np.zeros(1000))
    address = np.asarray(v).ctypes.data
    v.assign(np.ones(1000))
    assert np.asarray(v).ctypes.data == address
    view = np.asarray(v)
    v.assign_add(1.0)
    np.testing.assert_array_equal(view, np.ones(1000))
    np.testing.assert_array_equal(v, 2 * np.ones(1000))
    part = v[10:20]
    v.assign_sub(np.ones(1000))
    np.testing.assert_array_equal(part, 2 * np.ones(10))


def test_assign_checks_and_casts():
    v = core.Variable([[1.0, 2.0]], name="kernel")
    assert v.assign([[3, 4]]) is v
    assert v.dtype == "float32"
    v.assign(0.5)
    np.testing.assert_array_equal(v, [[0.5, 0.5]])
    v.assign(v * 2)
    np.testing.assert_array_equal(v, [[1.0, 1.0]])
    v.assign(v)
    with pytest.raises(ValueError, match=r"value: expected \(1, 2\).*got \(2,\).*kernel"):
        v.assign([1.0, 2.0])
    with pytest.raises(TypeError, match=r"NoneType|None"):
        v.assign(None)


def test_versions_are_never_used_again():
    v, w = core.Variable([1.0]), core.Variable([1.0])
    seen = {v.version, w.version}
    for _ in range(10):
        v.assign([1.0])
        w.assign_add([1.0])
        seen |= {v.version, w.version}
    assert len(seen) == 22


def test_names_paths_and_flags():
    v = core.Variable([1.0], name="kernel")
    assert (v.name, v.path, v.trainable) == ("kernel", "kernel", True)
    v.path, v.name, v.trainable = "lstm/kernel", "k", False
    assert (v.name, v.path, v.trainable) == ("k", "lstm/kernel", False)
    assert core.Variable([1]).trainable is False
    assert isinstance(v, core.Tensor)
    assert type(v + 1) is core.Tensor


def test_assignment_from_several_threads():
    v = core.Variable(np.zeros(50_000))
    failures = []

    def write(value):
        for _ in range(50):
            v.assign(np.full(50_000, value))

    def read():
        for _ in range(50):
            x = np.asarray(v + 0.0)
            if not np.isin(x, (0.0, 1.0, 2.0)).all():
                failures.append(x)

    threads = [threading.Thread(target=write, args=(value,)) for value in (1.0, 2.0)]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
