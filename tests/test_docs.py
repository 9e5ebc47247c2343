# SPDX-License-Identifier: Apache-2.0
"""The examples in the documentation of every module run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import elman

SKIPPED = ("elman._core", "elman._cpu", "elman.examples")
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(elman.__path__, "elman.")
    if not module.name.startswith(SKIPPED)
)


@pytest.mark.parametrize("name", ["elman", *MODULES])
def test_examples(name):
    module = importlib.import_module(name)
    elman.backend.clear_session()
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0
