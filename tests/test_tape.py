# SPDX-License-Identifier: Apache-2.0
"""The tape: what it records, how often it can be asked, nesting, threads, memory."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from elman._backend import core


@pytest.fixture
def w():
    return core.Variable(np.array([1.0, 2.0, 3.0]))


# --- what is recorded ----------------------------------------------------------------------------


def test_gradient_of_a_target_with_many_elements_is_that_of_its_sum(w):
    with core.Tape(persistent=True) as tape:
        y = w * w
    np.testing.assert_array_equal(tape.gradient(y, w), [2, 4, 6])
    np.testing.assert_array_equal(tape.gradient(y, [w])[0], [2, 4, 6])
    np.testing.assert_array_equal(tape.gradient(y, w, [1.0, 0.0, -1.0]), [2, 0, -6])
    np.testing.assert_array_equal(tape.gradient([y, y * 1.0], w), [2, 4, 6])


def test_targets_are_added(w):
    with core.Tape(persistent=True) as tape:
        a, b = w * 2.0, w * w
    np.testing.assert_array_equal(tape.gradient([a, b], w), [4, 6, 8])
    np.testing.assert_array_equal(tape.gradient([a, b], w, [None, [1.0, 0.0, 0.0]]), [4, 2, 2])


def test_unwatched_and_unconnected_sources_get_none(w):
    x, other = core.Tensor([1.0, 2.0, 3.0]), core.Variable([1.0])
    frozen = core.Variable([1.0, 1.0, 1.0], trainable=False)
    with core.Tape() as tape:
        y = core.sum(w * x * frozen)
    found = tape.gradient(y, [x, other, frozen, w])
    assert found[:3] == [None, None, None]
    np.testing.assert_array_equal(found[3], [1, 2, 3])


def test_watch(w):
    x = core.Tensor([1.0, 2.0, 3.0])
    frozen = core.Variable([1.0, 1.0, 1.0], trainable=False)
    with core.Tape() as tape:
        tape.watch([x, frozen])
        y = core.sum(w * x * frozen)
    for gradient, expected in zip(
        tape.gradient(y, [x, frozen, w]), ([1, 2, 3], [1, 4, 9], [1, 2, 3]), strict=True
    ):
        np.testing.assert_array_equal(gradient, expected)


def test_variables_need_not_be_watched_but_may_have_to(w):
    with core.Tape(watch_accessed_variables=False) as tape:
        y = w * 2.0
    assert tape.gradient(y, w) is None
    with core.Tape(watch_accessed_variables=False) as tape:
        tape.watch(w)
        y = w * 2.0
    np.testing.assert_array_equal(tape.gradient(y, w), [2, 2, 2])


def test_intermediate_values_are_sources_too(w):
    with core.Tape() as tape:
        h = w * w
        y = core.sum(h * h)
    dh, dw = tape.gradient(y, [h, w])
    np.testing.assert_array_equal(dh, [2, 8, 18])
    np.testing.assert_array_equal(dw, [4, 32, 108])


def test_the_target_itself_as_source(w):
    with core.Tape() as tape:
        y = w * 2.0
    np.testing.assert_array_equal(tape.gradient(y, y), [1, 1, 1])
    with core.Tape() as tape:
        tape.watch(w)
    np.testing.assert_array_equal(tape.gradient(w, w), [1, 1, 1])


def test_only_the_block_is_recorded(w):
    before = w * 2.0
    with core.Tape(persistent=True) as tape:
        inside = w * 3.0
        with tape.stop_recording():
            paused = w * 4.0
        with core.no_recording():
            off = w * 5.0
        after = inside + paused + off + before
    late = after * 2.0
    np.testing.assert_array_equal(tape.gradient(after, w), [3, 3, 3])
    assert tape.gradient(paused, w) is None
    assert tape.gradient(late, w) is None


def test_stop_gradient(w):
    with core.Tape() as tape:
        y = core.stop_gradient(w * w) * w
    np.testing.assert_array_equal(tape.gradient(y, w), [1, 4, 9])


def test_use_of_one_tensor_many_times(w):
    with core.Tape() as tape:
        y = w + w + w * w
        y = y - y * 0.5 + y
    np.testing.assert_array_equal(tape.gradient(y, w), 1.5 * (2 + 2 * np.array([1.0, 2, 3])))


def test_mixed_types_keep_the_type_of_the_source():
    v = core.Variable([1.0, 2.0], dtype="float32")
    with core.Tape() as tape:
        y = v * np.array([1.0, 2.0]) + core.cast(v, "float64")
    assert y.dtype == "float64"
    gradient = tape.gradient(y, v)
    assert gradient.dtype == "float32"
    np.testing.assert_array_equal(gradient, [2, 3])


# --- asking ---------------------------------------------------------------------------------------


def test_a_second_gradient_needs_a_persistent_tape(w):
    with core.Tape() as tape:
        y = w * 2.0
    tape.gradient(y, w)
    with pytest.raises(RuntimeError, match=r"persistent=True"):
        tape.gradient(y, w)
    with pytest.raises(RuntimeError, match="make a new one"), tape:
        pass


def test_a_persistent_tape_can_go_on(w):
    tape = core.Tape(persistent=True)
    with tape:
        y = w * 2.0
    np.testing.assert_array_equal(tape.gradient(y, w), [2, 2, 2])
    with tape:
        z = y * w
    np.testing.assert_array_equal(tape.gradient(z, w), [4, 8, 12])
    tape.reset()
    assert tape.gradient(z, w) is None


def test_gradient_inside_of_the_block(w):
    with core.Tape() as tape:
        y = w * w
        np.testing.assert_array_equal(tape.gradient(y, w), [2, 4, 6])
    with core.Tape(persistent=True) as tape:
        y = w * w
        gradient = tape.gradient(y, w)
        w.assign_sub(gradient * 0.0)
        z = w * 3.0
    np.testing.assert_array_equal(tape.gradient(z, w), [3, 3, 3])


def test_errors(w):
    with core.Tape(persistent=True) as tape:
        y = w * 2.0
        count = core.argmax(w, 0)
        with pytest.raises(RuntimeError, match="recording already"):
            tape.__enter__()
    with pytest.raises(ValueError, match=r"output_gradients: expected \(3,\) float64.*got \(2,\)"):
        tape.gradient(y, w, [1.0, 2.0])
    with pytest.raises(ValueError, match="got more"):
        tape.gradient([y], w, [None, None])
    with pytest.raises(ValueError, match="target: expected float32 or float64, got int64"):
        tape.gradient(count, w)
    with pytest.raises(TypeError, match=r"sources: expected a Tensor or Variable.*str"):
        tape.gradient(y, "w")
    with pytest.raises(TypeError, match="target"):
        tape.gradient(None, w)
    with pytest.raises(ValueError, match="only real numbers have gradients"):
        tape.watch(core.Tensor([1, 2]))


def test_an_error_in_the_block_leaves_nothing_behind(w):
    with pytest.raises(ZeroDivisionError), core.Tape():
        _ = w[1 // 0]
    with core.Tape() as tape:
        y = w * 2.0
    np.testing.assert_array_equal(tape.gradient(y, w), [2, 2, 2])


# --- several tapes -------------------------------------------------------------------------------


def test_nested_tapes_both_record(w):
    with core.Tape() as outer:
        a = w * 2.0
        with core.Tape() as inner:
            b = w * a
        c = b * w
    np.testing.assert_array_equal(inner.gradient(b, w), [2, 4, 6])
    np.testing.assert_array_equal(outer.gradient(c, w), 6 * np.array([1.0, 4, 9]))


def test_second_derivatives_say_that_they_are_not_supported(w):
    with core.Tape() as outer:
        with core.Tape() as inner:
            y = core.sum(w * w * w)
        gradient = inner.gradient(y, w)
        z = core.sum(gradient * gradient)
    with pytest.raises(RuntimeError, match="second derivatives"):
        outer.gradient(z, w)


def test_tapes_of_two_threads_do_not_meet(w):
    results = {}

    def work(name, factor):
        with core.Tape() as tape:
            y = w * factor
            barrier.wait()
            z = y * y
        results[name] = np.asarray(tape.gradient(z, w))

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=(i, float(i + 1))) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        np.testing.assert_array_equal(results[i], 2 * (i + 1) ** 2 * np.array([1.0, 2, 3]))


def test_a_tape_left_on_another_thread():
    tape = core.Tape()
    tape.__enter__()
    failures = []

    def leave():
        try:
            tape.__exit__(None, None, None)
        except RuntimeError as error:
            failures.append(str(error))

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert "another thread" in failures[0]
    tape.__exit__(None, None, None)


def test_a_tape_that_is_dropped_while_recording(w):
    core.Tape().__enter__()
    gc.collect()
    with core.Tape() as tape:
        y = w * 2.0
    np.testing.assert_array_equal(tape.gradient(y, w), [2, 2, 2])


# --- values and memory ---------------------------------------------------------------------------


def test_assignments_do_not_change_what_was_recorded(w):
    with core.Tape() as tape:
        y = w * w
        w.assign([10.0, 10.0, 10.0])
        z = y + w
    np.testing.assert_array_equal(tape.gradient(z, w), np.array([2.0, 4, 6]) + 1)


def test_gradients_are_values_of_their_own(w):
    v = core.Variable(np.array([1.0, 2.0, 3.0]))
    with core.Tape() as tape:
        y = w + v
    a, b = tape.gradient(y, [w, v])
    c = core.Variable(a)
    c.assign_add([1.0, 1.0, 1.0])
    np.testing.assert_array_equal(a, [1, 1, 1])
    np.testing.assert_array_equal(b, [1, 1, 1])


class Watched(np.ndarray):
    """An array that can be weakly referenced."""


def test_memory_goes_with_the_tape(w):
    x = np.ones(3).view(Watched)
    x.setflags(write=False)  # what can be written to, a tape copies
    alive = weakref.ref(x)
    with core.Tape() as tape:
        y = w * core.Tensor(x)
    del x
    gc.collect()
    assert alive() is not None
    tape.gradient(y, w)
    gc.collect()
    assert alive() is None


def test_a_persistent_tape_keeps_its_values_until_it_goes(w):
    x = np.ones(3).view(Watched)
    x.setflags(write=False)  # what can be written to, a tape copies
    alive = weakref.ref(x)
    with core.Tape(persistent=True) as tape:
        y = w * core.Tensor(x)
    del x
    tape.gradient(y, w)
    assert alive() is not None
    del tape
    gc.collect()
    assert alive() is None


def test_closures_hold_only_what_they_need(w):
    x = np.ones(3).view(Watched)
    x.setflags(write=False)  # what can be written to, a tape copies
    alive = weakref.ref(x)
    with core.Tape() as tape:
        y = w + core.Tensor(x)
    del x
    gc.collect()
    assert alive() is None
    assert tape.gradient(y, w) is not None


def test_time_steps_of_a_long_sequence_share_one_gradient():
    # 4000 slices of 4000 x 500 float64: one gradient each would take 64 GB.
    x = core.Variable(np.ones((1, 4000, 500)))
    with core.Tape() as tape:
        state = core.zeros((1, 500), "float64")
        for t in range(4000):
            state = state * 0.5 + x[:, t]
    gradient = np.asarray(tape.gradient(state, x))
    np.testing.assert_array_equal(gradient[0, -1], np.ones(500))
    np.testing.assert_array_equal(gradient[0, -3], np.full(500, 0.25))


@pytest.mark.parametrize("through", ["iteration", "unstack", "stack"])
def test_other_ways_over_the_steps(through):
    x = core.Variable(np.arange(24.0).reshape(6, 4))
    with core.Tape() as tape:
        if through == "iteration":
            rows = list(x)
        elif through == "unstack":
            rows = core.unstack(x, 0)
        else:
            rows = core.unstack(core.stack([x[t] for t in range(6)], axis=1), 1)
        y = rows[0] * 1.0
        for t in range(1, 5):
            y = y + rows[t] * float(t)
    expected = np.array([1.0, 1, 2, 3, 4, 0])[:, None] * np.ones((6, 4))
    np.testing.assert_array_equal(tape.gradient(y, x), expected)


def test_gradients_are_the_same_at_any_thread_count():
    rng = np.random.default_rng(3)
    a, b = core.Variable(rng.normal(size=(300, 400))), core.Variable(rng.normal(size=(400,)))
    table = core.Variable(rng.normal(size=(50, 400)))
    ids = rng.integers(0, 50, size=300)
    found = []
    for threads in (1, 2, 3, 5):
        core.set_num_threads(threads)
        with core.Tape() as tape:
            y = core.softmax(core.matmul(a, core.transpose(a)) + core.sum(a * b, 1))
            z = core.sum(y) + core.sum(core.gather(table, ids) * a) + core.mean(a * b)
        found.append([np.asarray(g).tobytes() for g in tape.gradient(z, [a, b, table])])
    assert all(f == found[0] for f in found)
