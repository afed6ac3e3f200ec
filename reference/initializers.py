"""Initial parameters: each function draws one layer, W (n_in, n_out) and b (n_out,), in float64.

A unit's pre-activation is a sum of n_in products. For inputs of mean square 1 its variance is
n_in · var(W), and a gradient that goes back through the layer is multiplied by n_out · var(W) in
the same way: that is where the variances below come from. U(−a, a) has the variance a² / 3.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .functions import Array
from .inputs import shown

Initializer = Callable[[np.random.Generator, int, int], tuple[Array, Array]]


def he_normal(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W ~ N(0, 2 / n_in), b = 0: keeps the size of the signal from layer to layer under relu.

    He, Zhang, Ren, Sun: Delving deep into rectifiers, 2015, equation 10.
    """
    return rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in), np.zeros(n_out)


def he_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W ~ U(−a, a), a = √(6 / n_in), b = 0: the variance of he_normal, 2 / n_in."""
    a = np.sqrt(6 / n_in)
    return rng.uniform(-a, a, (n_in, n_out)), np.zeros(n_out)


def glorot_normal(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W ~ N(0, 2 / (n_in + n_out)), b = 0: a compromise for the signal and for the gradient.

    Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks,
    2010, equation 12: 1 / n_in keeps the one and 1 / n_out the other, where activation'(0) = 1.
    """
    return rng.standard_normal((n_in, n_out)) * np.sqrt(2 / (n_in + n_out)), np.zeros(n_out)


def glorot_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W ~ U(−a, a), a = √(6 / (n_in + n_out)), b = 0: their equation 16, of the same variance."""
    a = np.sqrt(6 / (n_in + n_out))
    return rng.uniform(-a, a, (n_in, n_out)), np.zeros(n_out)


def lecun_normal(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W ~ N(0, 1 / n_in), b = 0: keeps the signal's size where activation'(0) = 1, as of selu.

    LeCun, Bottou, Orr, Müller: Efficient BackProp, 1998, equation 16.
    """
    return rng.standard_normal((n_in, n_out)) * np.sqrt(1 / n_in), np.zeros(n_out)


def lecun_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W ~ U(−a, a), a = √(3 / n_in), b = 0: the variance of lecun_normal, 1 / n_in."""
    a = np.sqrt(3 / n_in)
    return rng.uniform(-a, a, (n_in, n_out)), np.zeros(n_out)


def orthogonal(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """Wᵀ W = I, or W Wᵀ = I where n_in < n_out, and b = 0: no direction grows or shrinks.

    Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks, 2014. W is Q of the decomposition X = Q R of a normal matrix; Q is unique, and
    any Q equally likely, if the diagonal of R is positive (Mezzadri: How to generate random
    matrices from the classical compact groups, 2007).
    """
    X = rng.standard_normal((n_in, n_out))
    if n_in < n_out:
        X = X.T
    with threadpool_limits(1, "blas"):  # Q's last bits depend on the number of BLAS threads
        Q, R = np.linalg.qr(X)  # (n, m), (m, m) with n >= m
    Q = np.where(np.diag(R) < 0, -Q, Q)
    return Q.T if n_in < n_out else Q, np.zeros(n_out)


def torch(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W, b ~ U(−a, a), a = 1 / √n_in: the start of PyTorch's nn.Linear, of variance 1 / 3 n_in."""
    a = 1 / np.sqrt(n_in)
    return rng.uniform(-a, a, (n_in, n_out)), rng.uniform(-a, a, n_out)


def zeros(rng: np.random.Generator, n_in: int, n_out: int) -> tuple[Array, Array]:
    """W = 0, b = 0: for softmax regression. In a hidden layer all units would stay equal."""
    return np.zeros((n_in, n_out)), np.zeros(n_out)


def uniform(
    rng: np.random.Generator, n_in: int, n_out: int, a: float = -0.5, b: float = 0.5
) -> tuple[Array, Array]:
    """W, b ~ U(a, b), whatever the layer's size: (−0.5, 0.5) is where many first networks start."""
    return rng.uniform(a, b, (n_in, n_out)), rng.uniform(a, b, n_out)


INITIALIZERS: dict[str, Initializer] = {
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "orthogonal": orthogonal,
    "torch": torch,
    "zeros": zeros,
    "uniform": uniform,
}

# A number as it is written in decimal: no "nan", no "1_000", which float() would take.
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def initializer(name: Any) -> Initializer:
    """What `name` stands for: an entry of INITIALIZERS, or "uniform(a, b)", uniform within bounds.

    ValueError if it is neither, or the bounds are not a < b or do not fit float32.
    """
    if isinstance(name, str):
        if name in INITIALIZERS:
            return INITIALIZERS[name]
        if name.startswith("uniform("):
            return _uniform_within(name)
    names = ", ".join(map(repr, INITIALIZERS))
    raise ValueError(f"init must be one of {names} or 'uniform(a, b)', got {shown(name)}")


def _uniform_within(name: str) -> Initializer:
    """The initialiser that "uniform(a, b)" writes."""
    bounds = [bound.strip() for bound in name.removeprefix("uniform(").removesuffix(")").split(",")]
    if name.endswith(")") and len(bounds) == 2 and all(map(DECIMAL.fullmatch, bounds)):
        a, b = map(float, bounds)
        if a < b and max(abs(a), abs(b)) <= float(np.finfo(np.float32).max):
            return partial(uniform, a=a, b=b)
    raise ValueError(
        f"init must be 'uniform(a, b)' with numbers a < b that fit float32, got {shown(name)}"
    )
