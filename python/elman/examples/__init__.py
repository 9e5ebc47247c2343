# SPDX-License-Identifier: Apache-2.0
"""Complete programs on real data: ``python -m elman.examples.digits``, ``co2``, ``next_frame``.

They need scikit-learn, statsmodels and matplotlib: ``pip install 'elman[examples]'``.
"""
