# SPDX-License-Identifier: Apache-2.0
"""Optimizer steps in plain numpy, written from the formulas of Keras; float64, one weight array.

Each class keeps its own state; `step(w, g, lr)` returns the new weights.
"""

from __future__ import annotations

import numpy as np


class SGD:
    def __init__(self, momentum=0.0, nesterov=False):
        self.momentum, self.nesterov, self.v = momentum, nesterov, 0.0

    def step(self, w, g, lr):
        if not self.momentum:
            return w - lr * g
        self.v = self.momentum * self.v - lr * g
        return w + (self.momentum * self.v - lr * g if self.nesterov else self.v)


class RMSprop:
    def __init__(self, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.v = self.mean = self.u = 0.0

    def step(self, w, g, lr):
        self.v = self.rho * self.v + (1 - self.rho) * g**2
        spread = self.v
        if self.centered:
            self.mean = self.rho * self.mean + (1 - self.rho) * g
            spread = self.v - self.mean**2
        step = lr * g / np.sqrt(spread + self.epsilon)
        if not self.momentum:
            return w - step
        self.u = self.momentum * self.u + step
        return w - self.u


class Adam:
    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False):
        self.b1, self.b2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self.m = self.v = self.largest = 0.0
        self.t = 0

    def step(self, w, g, lr):
        self.t += 1
        alpha = lr * np.sqrt(1 - self.b2**self.t) / (1 - self.b1**self.t)
        self.m = self.m + (g - self.m) * (1 - self.b1)
        self.v = self.v + (g**2 - self.v) * (1 - self.b2)
        self.largest = np.maximum(self.largest, self.v)
        v = self.largest if self.amsgrad else self.v
        return w - self.m * alpha / (np.sqrt(v) + self.epsilon)


class Adamax:
    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.b1, self.b2, self.epsilon = beta_1, beta_2, epsilon
        self.m = self.u = 0.0
        self.t = 0

    def step(self, w, g, lr):
        self.t += 1
        self.m = self.m + (g - self.m) * (1 - self.b1)
        self.u = np.maximum(self.b2 * self.u, np.abs(g))
        return w - lr * self.m / ((1 - self.b1**self.t) * (self.u + self.epsilon))


class Nadam:
    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.b1, self.b2, self.epsilon = beta_1, beta_2, epsilon
        self.m = self.v = 0.0
        self.product, self.t = 1.0, 0

    def step(self, w, g, lr):
        self.t += 1
        u_t = self.b1 * (1 - 0.5 * 0.96**self.t)
        u_next = self.b1 * (1 - 0.5 * 0.96 ** (self.t + 1))
        self.product *= u_t
        self.m = self.m + (g - self.m) * (1 - self.b1)
        self.v = self.v + (g**2 - self.v) * (1 - self.b2)
        m_hat = u_next * self.m / (1 - self.product * u_next)
        m_hat = m_hat + (1 - u_t) * g / (1 - self.product)
        v_hat = self.v / (1 - self.b2**self.t)
        return w - lr * m_hat / (np.sqrt(v_hat) + self.epsilon)


class Adagrad:
    def __init__(self, initial_accumulator_value=0.1, epsilon=1e-7):
        self.sum, self.epsilon = initial_accumulator_value, epsilon

    def step(self, w, g, lr):
        self.sum = self.sum + g**2
        return w - lr * g / np.sqrt(self.sum + self.epsilon)


class Adadelta:
    def __init__(self, rho=0.95, epsilon=1e-7):
        self.rho, self.epsilon, self.a, self.b = rho, epsilon, 0.0, 0.0

    def step(self, w, g, lr):
        self.a = self.rho * self.a + (1 - self.rho) * g**2
        delta = -np.sqrt(self.b + self.epsilon) / np.sqrt(self.a + self.epsilon) * g
        self.b = self.rho * self.b + (1 - self.rho) * delta**2
        return w + lr * delta
