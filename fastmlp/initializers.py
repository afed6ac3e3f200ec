"""Initial parameters: ``(rng, n_in, n_out) -> W (n_in, n_out), b (n_out,)`` in float64.

Glorot and Bengio, 2010: Understanding the difficulty of training deep feedforward neural networks.
He, Zhang, Ren and Sun, 2015: Delving deep into rectifiers.
LeCun, Bottou, Orr and Müller, 1998: Efficient BackProp.
Saxe, McClelland and Ganguli, 2014: Exact solutions to the nonlinear dynamics of learning in deep
linear neural networks.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import shown

Parameters = tuple[NDArray[np.float64], NDArray[np.float64]]
Initializer = Callable[[np.random.Generator, int, int], Parameters]


def he_normal(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W ~ N(0, 2 / n_in), b = 0: keeps the variance of ReLU activations (He et al., 2015)."""
    return rng.standard_normal((n_in, n_out)) * math.sqrt(2 / n_in), np.zeros(n_out)


def he_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W ~ U(-a, a), a^2 = 6 / n_in, b = 0: the variance of `he_normal`."""
    return _within(rng, n_in, n_out, math.sqrt(6 / n_in)), np.zeros(n_out)


def glorot_normal(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W ~ N(0, 2 / (n_in + n_out)), b = 0 (Glorot and Bengio, 2010).

    Between what keeps the variance of activations and of gradients, where f(z) is about z.
    """
    return rng.standard_normal((n_in, n_out)) * math.sqrt(2 / (n_in + n_out)), np.zeros(n_out)


def glorot_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W ~ U(-a, a), a^2 = 6 / (n_in + n_out), b = 0: the variance of `glorot_normal`."""
    return _within(rng, n_in, n_out, math.sqrt(6 / (n_in + n_out))), np.zeros(n_out)


def lecun_normal(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W ~ N(0, 1 / n_in), b = 0: pre-activations of variance 1; for selu (LeCun et al., 1998)."""
    return rng.standard_normal((n_in, n_out)) * math.sqrt(1 / n_in), np.zeros(n_out)


def lecun_uniform(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W ~ U(-a, a), a^2 = 3 / n_in, b = 0: the variance of `lecun_normal`."""
    return _within(rng, n_in, n_out, math.sqrt(3 / n_in)), np.zeros(n_out)


def orthogonal(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W with orthonormal columns, or rows if they are fewer, b = 0 (Saxe et al., 2014).

    Q of a normal matrix = Q @ R whose R has a positive diagonal, which makes Q unique and uniform
    (Mezzadri, 2007; as `torch.nn.init.orthogonal_`).
    """
    from threadpoolctl import threadpool_limits

    normal = rng.standard_normal((n_in, n_out))
    # The last bits of LAPACK's Q depend on the number of BLAS threads: of 784 x 256 from 2 on.
    with threadpool_limits(limits=1, user_api="blas"):
        Q, R = np.linalg.qr(normal if n_in >= n_out else normal.T)
    Q *= np.copysign(1, R.diagonal())
    return Q if n_in >= n_out else Q.T, np.zeros(n_out)


def torch(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W and b ~ U(-a, a), a^2 = 1 / n_in: what `torch.nn.Linear` starts from."""
    a = 1 / math.sqrt(n_in)
    return _within(rng, n_in, n_out, a), rng.uniform(-a, a, n_out)


def zeros(rng: np.random.Generator, n_in: int, n_out: int) -> Parameters:
    """W = 0, b = 0: for networks without hidden layers; units of one would all stay the same."""
    return np.zeros((n_in, n_out)), np.zeros(n_out)


def uniform(
    rng: np.random.Generator, n_in: int, n_out: int, low: float = -0.5, high: float = 0.5
) -> Parameters:
    """W and b ~ U(low, high); without bounds as in the teaching project of the reference."""
    return rng.uniform(low, high, (n_in, n_out)), rng.uniform(low, high, n_out)


def _within(rng: np.random.Generator, n_in: int, n_out: int, a: float) -> NDArray[np.float64]:
    return rng.uniform(-a, a, (n_in, n_out))


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

NUMBER = r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
BOUNDED = re.compile(rf"uniform\({NUMBER},{NUMBER}\)", re.ASCII)
"""``uniform(a, b)``."""


def initializer(name: object) -> Initializer:
    """The function of ``name``: a key of `INITIALIZERS`, or ``"uniform(a, b)"`` with its bounds.

    Raises
    ------
    ValueError
        If ``name`` is neither, or its bounds are not a < b, finite in float32.
    """
    if isinstance(name, str):
        if name in INITIALIZERS:
            return INITIALIZERS[name]
        if name.startswith("uniform("):
            bounds = BOUNDED.fullmatch(name)
            low, high = map(float, bounds.groups()) if bounds else (math.nan, math.nan)
            largest = float(np.finfo(np.float32).max)
            if -largest <= low < high <= largest:
                return functools.partial(uniform, low=low, high=high)
            raise ValueError(
                "init must be uniform(a, b) with numbers a < b, finite in float32, "
                f"not {shown(name)}"
            )
    raise ValueError(
        f"init must be one of {', '.join(INITIALIZERS)} or uniform(a, b), not {shown(name)}"
    )
