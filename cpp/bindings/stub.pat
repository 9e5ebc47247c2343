# SPDX-License-Identifier: Apache-2.0
# Changes that nanobind's stub generator makes to the stubs.

# Comparisons give tensors, which object's stub does not foresee.
elman._core.(.*).__(eq|ne)__:
    def __\2__(self, other: object, /) -> Tensor: ...  # pyright: ignore[reportIncompatibleMethodOverride]
