# SPDX-License-Identifier: Apache-2.0
def x86_64_level() -> int:
    """1 to 4 for x86-64-v1 ... v4, 0 on other processors."""
