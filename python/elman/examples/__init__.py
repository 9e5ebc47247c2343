# SPDX-License-Identifier: Apache-2.0
"""Complete programs on real data: ``python -m elman.examples.digits`` and ``...co2``.

They need scikit-learn, statsmodels and matplotlib: ``pip install 'elman[examples]'``.
"""
