# SPDX-License-Identifier: Apache-2.0
"""fit, evaluate and predict with several inputs and outputs: forms, names, weights, histories."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import layers
from elman.layers import Dense

RNG = np.random.default_rng(17)
N = 11
X = {"p": RNG.normal(size=(N, 3)).astype("float32"), "q": RNG.normal(size=(N, 2)).astype("float32")}
Y = {"a": RNG.normal(size=(N, 1)).astype("float32"), "b": RNG.normal(size=(N, 1)).astype("float32")}
XL, YL = list(X.values()), list(Y.values())


def model(**options):
    """a = [p q] A, b = q B; a learning rate of 0 keeps the numbers where they are."""
    elman.utils.set_random_seed(5)
    p, q = elman.Input((3,), name="p"), elman.Input((2,), name="q")
    both = layers.concatenate([p, q])
    found = elman.Model([p, q], [Dense(1, name="a")(both), Dense(1, name="b")(q)])
    options = {"optimizer": elman.optimizers.SGD(0.0), "loss": "mse", **options}
    found.compile(**options)
    return found


def squares(m):
    """Squared errors per sample of both outputs."""
    return [(out - y)[:, 0].astype("float64") ** 2
            for out, y in zip(m.predict(XL, verbose=0), YL, strict=True)]  # fmt: skip


def batches():
    for k in range(0, N, 4):
        yield [x[k : k + 4] for x in XL], {name: y[k : k + 4] for name, y in Y.items()}


@pytest.mark.parametrize("x", [X, XL, tuple(XL), {"q": X["q"], "p": X["p"]}])
@pytest.mark.parametrize("y", [Y, YL, {"b": Y["b"], "a": Y["a"]}])
def test_forms_of_data(x, y):
    m = model()
    a, b = (error.mean() for error in squares(m))
    logs = m.fit(x, y, batch_size=4, verbose=0).history
    assert list(logs) == ["loss", "a_loss", "b_loss"]
    expected = {"loss": a + b, "a_loss": a, "b_loss": b}
    for name, value in expected.items():
        assert logs[name][0] == pytest.approx(value, rel=1e-5)
    assert m.evaluate(x, y, batch_size=3, verbose=0) == pytest.approx([a + b, a, b], rel=1e-5)
    assert m.metrics_names == ["loss", "a_loss", "b_loss"]
    assert m.train_on_batch(x, y) == pytest.approx([a + b, a, b], rel=1e-5)
    assert m.test_on_batch(x, y, return_dict=True) == pytest.approx(expected, rel=1e-5)
    validated = m.fit(x, y, verbose=0, validation_data=(x, y)).history
    names = ["loss", "a_loss", "b_loss", "val_loss", "val_a_loss", "val_b_loss"]
    assert list(validated) == names
    assert validated["val_b_loss"][0] == pytest.approx(b, rel=1e-5)


def test_generators_of_batches():
    m = model()
    a, b = (error.mean() for error in squares(m))
    logs = m.fit(batches(), verbose=0).history
    assert logs["a_loss"][0] == pytest.approx(a, rel=1e-5)
    assert m.evaluate(batches(), verbose=0) == pytest.approx([a + b, a, b], rel=1e-5)
    pieces = m.predict(((x,) for x, _ in batches()), verbose=0)
    for piece, whole in zip(pieces, m.predict(X, verbose=0), strict=True):
        np.testing.assert_allclose(piece, whole, rtol=1e-6)


def test_validation_split():
    m = model()
    logs = m.fit(X, Y, validation_split=0.3, batch_size=4, verbose=0).history
    last = [error[7:].mean() for error in squares(m)]
    assert logs["val_a_loss"][0] == pytest.approx(last[0], rel=1e-5)
    assert logs["val_loss"][0] == pytest.approx(sum(last), rel=1e-5)


@pytest.mark.parametrize("weights", [[2.0, 0.5], {"a": 2.0, "b": 0.5}, {"b": 0.5, "a": 2}], ids=str)
def test_loss_weights(weights):
    m = model(loss={"b": "mae", "a": "mse"}, loss_weights=weights)
    a = squares(m)[0].mean()
    b = np.sqrt(squares(m)[1]).mean()
    logs = m.evaluate(X, Y, verbose=0, return_dict=True)
    expected = {"loss": 2 * a + 0.5 * b, "a_loss": a, "b_loss": b}
    assert logs == pytest.approx(expected, rel=1e-5)


def test_an_output_without_loss():
    m = model(loss={"a": "mse"}, optimizer=elman.optimizers.SGD(0.1))
    before = m.get_layer("b").get_weights()
    a = squares(m)[0].mean()
    logs = m.fit(X, {"a": Y["a"]}, verbose=0).history
    assert logs == {"loss": [pytest.approx(a, rel=1e-5)], "a_loss": [pytest.approx(a, rel=1e-5)]}
    for old, new in zip(before, m.get_layer("b").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        (["mae", "mse"], ["a_mae", "a_mse", "b_mae", "b_mse"]),
        ([["mae"], ["mse", "mae"]], ["a_mae", "b_mse", "b_mae"]),
        ({"b": "mae"}, ["b_mae"]),
        ({"b": ["mae"], "a": ["mse"]}, ["a_mse", "b_mae"]),
        ([None, "mae"], ["b_mae"]),
        ([elman.metrics.MeanAbsoluteError(name="m")], ["a_m", "b_m"]),
    ],
    ids=str,
)
def test_metrics_per_output(metrics, names):
    """A flat list is for every output, as in Keras 2."""
    m = model(metrics=metrics)
    logs = m.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "a_loss", "b_loss", *names]
    for name in names:
        errors = squares(m)["ab".index(name[0])]
        expected = errors.mean() if name.endswith("mse") else np.sqrt(errors).mean()
        assert logs[name] == pytest.approx(expected, rel=1e-5), name


WA, WB = RNG.uniform(0.5, 2, N), RNG.uniform(0.5, 2, N)


@pytest.mark.parametrize("given", [[WA, WB], {"a": WA, "b": WB}], ids=["list", "dict"])
def test_sample_weights_per_output(given):
    m = model(weighted_metrics=["mae"])
    a, b = squares(m)
    logs = m.evaluate(X, Y, sample_weight=given, batch_size=4, verbose=0, return_dict=True)
    assert logs["a_loss"] == pytest.approx((a * WA).mean(), rel=1e-5)
    assert logs["b_loss"] == pytest.approx((b * WB).mean(), rel=1e-5)
    assert logs["b_mae"] == pytest.approx((np.sqrt(b) * WB).sum() / WB.sum(), rel=1e-5)
    only = m.evaluate(X, Y, sample_weight={"b": WB}, batch_size=4, verbose=0, return_dict=True)
    assert only["a_loss"] == pytest.approx(a.mean(), rel=1e-5)
    assert only["b_loss"] == pytest.approx((b * WB).mean(), rel=1e-5)
    both = m.evaluate(X, Y, sample_weight=WA, batch_size=4, verbose=0, return_dict=True)
    assert both["b_loss"] == pytest.approx((b * WA).mean(), rel=1e-5)


def classifier():
    x = elman.Input((3,), name="p")
    heads = [Dense(3, "softmax", name="c")(x), Dense(2, "softmax", name="d")(x)]
    m = elman.Model(x, heads)
    m.compile(elman.optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return m


C, D = RNG.integers(0, 3, N), RNG.integers(0, 2, N)


def test_class_weights_per_output():
    m = classifier()
    table = {"c": {0: 2.0, 1: 0.5, 2: 3.0}, "d": [1.0, 4.0]}
    c, d = m.predict(X["p"], verbose=0)
    entropy = -np.log(c[np.arange(N), C]), -np.log(d[np.arange(N), D])
    wc, wd = np.array([2.0, 0.5, 3.0])[C], np.array([1.0, 4.0])[D]
    logs = m.fit(X["p"], [C, D], class_weight=table, batch_size=4, verbose=0).history
    assert logs["c_loss"][0] == pytest.approx((entropy[0] * wc).mean(), rel=1e-5)
    assert logs["d_loss"][0] == pytest.approx((entropy[1] * wd).mean(), rel=1e-5)
    assert logs["c_accuracy"][0] == pytest.approx((c.argmax(1) == C).mean())
    y = {"c": C, "d": D}
    found = m.train_on_batch(
        X["p"], y, sample_weight={"c": WA}, class_weight={"c": table["c"]}, return_dict=True
    )
    assert found["c_loss"] == pytest.approx((entropy[0] * wc * WA).mean(), rel=1e-5)
    assert found["d_loss"] == pytest.approx(entropy[1].mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"y": Y["a"]}, r"\[Model\] y: expected 2 arrays for 2 outputs \(a, b\), got one"),
        ({"y": [Y["a"]]}, r"y: expected 2 arrays for 2 outputs \(a, b\), got 1"),
        ({"y": {"a": Y["a"]}}, r"\[Model\] y\['b'\]: expected targets, got None"),
        ({"y": {**Y, "c": Y["a"]}}, r"y: expected keys out of a, b, got \['c'\]"),
        ({"x": X["p"]}, r"inputs: expected 2 arrays \(p, q\), got one"),
        ({"x": XL[::-1]}, r"inputs\[0\] \('p'\): expected \(N, 3\), got \(11, 2\)"),
        ({"x": {"p": X["p"], "r": X["q"]}}, r"got 'r'; did you mean"),
        ({"x": [X["p"], X["q"][:4]]}, r"x\[1\]: expected 11 samples as in x\[0\], got 4"),
        ({"sample_weight": {"c": WA}}, r"sample_weight: expected keys out of a, b, got \['c'\]"),
        ({"class_weight": {0: 1.0}}, r"several outputs give \{output name"),
        ({"class_weight": {"c": {0: 1.0}}}, r"class_weight: expected names out of a, b, got \['c"),
        ({"class_weight": {"a": {0: "x"}}}, r"class_weight\['a'\]: expected a finite weight of"),
    ],
)
def test_data_that_does_not_fit(change, text):
    with pytest.raises(ValueError, match=text):
        model().fit(**{"x": X, "y": Y, "batch_size": N, "shuffle": False, "verbose": 0, **change})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": {"c": "mse"}}, r"\[Model.compile\] loss: expected keys out of a, b, got \['c'\]"),
        ({"loss": ["mse"] * 3}, r"loss: expected 2 for 2 outputs, got 3"),
        ({"loss_weights": [1.0]}, r"loss_weights: expected 2 for 2 outputs, got 1"),
        ({"metrics": {"c": "mae"}}, r"metrics: expected keys out of a, b"),
        ({"metrics": [["mae"], ["mae"], []]}, r"one list of metrics for each of 2 outputs, got 3"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(options, text):
    with pytest.raises(ValueError, match=text):
        model(**options).fit(X, Y, verbose=0)


def test_a_single_output_by_name():
    """Its name serves dicts; the logs are those of any model with one output."""
    x = elman.Input((3,), name="p")
    m = elman.Model(x, Dense(1, name="a")(x))
    m.compile(elman.optimizers.SGD(0.0), {"a": "mse"}, metrics={"a": ["mae"]})
    error = m.predict({"p": X["p"]}, verbose=0) - Y["a"]
    logs = m.fit({"p": X["p"]}, {"a": Y["a"]}, sample_weight={"a": WA}, verbose=0).history
    assert list(logs) == ["loss", "mae"]
    assert logs["loss"][0] == pytest.approx((error[:, 0] ** 2 * WA).mean(), rel=1e-5)
    with pytest.raises(ValueError, match=r"y: expected keys out of a, got \['b'\]"):
        m.fit(X["p"], {"b": Y["a"]}, verbose=0)
    assert m.fit([X["p"]], [Y["a"]], verbose=0).history["mae"][0] == pytest.approx(
        np.abs(error).mean(), rel=1e-5
    )


def test_outputs_in_a_dict():
    x = elman.Input((3,), name="p")
    m = elman.Model({"in": x}, {"u": Dense(1)(x), "v": Dense(1)(x)})
    m.compile(elman.optimizers.SGD(0.0), {"u": "mse", "v": "mae"})
    y = {"u": Y["a"], "v": Y["b"]}
    logs = m.fit({"in": X["p"]}, y, verbose=0).history
    assert list(logs) == ["loss", "u_loss", "v_loss"]
    found = m.predict({"in": X["p"]}, verbose=0)
    assert logs["u_loss"][0] == pytest.approx(((found["u"] - Y["a"]) ** 2).mean(), rel=1e-5)
    assert logs["v_loss"][0] == pytest.approx(np.abs(found["v"] - Y["b"]).mean(), rel=1e-5)


def test_it_learns():
    """Both outputs of a shared trunk, to the exact solution of a linear problem."""
    p, q = elman.Input((3,)), elman.Input((2,))
    both = layers.concatenate([p, q])
    m = elman.Model([p, q], [Dense(1)(both), Dense(1)(layers.add([Dense(1)(p), Dense(1)(q)]))])
    m.compile(elman.optimizers.Adam(0.05), "mse")
    x = [RNG.normal(size=(64, 3)), RNG.normal(size=(64, 2))]
    y = [x[0].sum(1, keepdims=True) - x[1][:, :1], 2 * x[0][:, :1] + x[1].sum(1, keepdims=True)]
    history = m.fit(x, y, epochs=150, verbose=0).history["loss"]
    assert history[-1] < 1e-4 * history[0]


def test_trainable():
    x = elman.Input((3,))
    frozen, free = Dense(3), Dense(1)
    frozen.trainable = False
    m = elman.Model(x, free(frozen(x)))
    assert m.trainable_weights == free.weights
    assert len(m.non_trainable_weights) == 2
    m.compile("sgd", "mse")
    before = m.get_weights()
    m.fit(X["p"], Y["a"], verbose=0)
    changed = [bool((a != b).any()) for a, b in zip(before, m.get_weights(), strict=True)]
    assert changed == [False, False, True, True]
