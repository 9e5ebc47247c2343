# SPDX-License-Identifier: Apache-2.0
"""What `fit`, `evaluate` and `predict` show: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

import elman
from elman import layers

X = np.arange(6, dtype="float32")[:, None]
Y = 3 * X + 1


def make(rate=0.0, **options):
    model = elman.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile(elman.optimizers.SGD(rate), "mse", **options)
    return model


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_when_the_output_is_no_terminal(capsys):
    model = make(metrics=["mae"])
    model.fit(X, Y, epochs=2, validation_split=0.5)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Epoch 1/2 - ")
    for name in ("loss", "mae", "val_loss", "val_mae"):
        assert f" - {name}: " in lines[1]
    assert err == ""
    assert "\r" not in out
    model.evaluate(X, Y)
    model.predict(X)
    assert [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()] == ["Evaluate"]


@pytest.mark.parametrize("verbose", [0, 2])
def test_verbose(verbose, capsys, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    make().fit(X, Y, epochs=3, verbose=verbose)
    assert terminal.getvalue().count("\n") == (3 if verbose else 0)
    assert "\r" not in terminal.getvalue()


def test_a_bar_on_a_terminal(monkeypatch):
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    make(metrics=["mae"]).fit(X, Y, batch_size=2, epochs=2, validation_data=(X, Y))
    shown = out.getvalue().split("\n")
    assert len(shown) == 3  # one line per epoch stays
    for epoch, line in enumerate(shown[:2], 1):
        final = line.split("\r")[-1]
        assert f"Epoch {epoch}/2: 100%" in final
        assert "3/3" in final
        for name in ("loss", "mae", "val_loss", "val_mae"):
            assert f"{name}: " in final


def test_a_bar_beside_redirected_output(monkeypatch):
    """`python train.py > log`: the bar is on the terminal, the lines are in the log."""
    out, err = io.StringIO(), Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    make().fit(X, Y, batch_size=2, epochs=2)
    assert [line[:9] for line in out.getvalue().splitlines()] == ["Epoch 1/2", "Epoch 2/2"]
    assert "Epoch 1/2" in err.getvalue()
    assert not err.getvalue().rstrip("\r ").endswith("/s")
    assert "\n" not in err.getvalue()


def on_a_terminal(code, columns):
    """What a process shows on a terminal of that width, as the lines that stay."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    main, inner = os.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    root = os.path.dirname(os.path.dirname(elman.__file__))
    environment = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-W", "error", "-c", code]
    process = subprocess.Popen(command, stdout=inner, stderr=inner, env=environment)
    os.close(inner)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(main, 4096):
            shown += part
    os.close(main)
    assert process.wait() == 0, shown
    return [line.split("\r")[-1] for line in shown.decode().split("\r\n")]


@pytest.mark.parametrize("columns", [0, 50, 200])
def test_narrow_terminals_show_every_value(columns):
    code = (
        "import elman, numpy as np\n"
        "model = elman.Sequential([elman.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse', metrics=['mae'])\n"
        "x = np.ones((8, 2))\n"
        "model.fit(x, x[:, :1], validation_data=(x, x[:, :1]), epochs=2)\n"
    )
    shown = on_a_terminal(code, columns)
    for epoch in (1, 2):
        line = shown[epoch - 1]
        assert line.startswith(f"Epoch {epoch}/2")
        assert ("100%" in line) == (columns == 200)
        for name in ("loss", "mae", "val_loss", "val_mae"):
            assert f"{name}: " in line
    assert shown[2:] == [""]
