"""Limits: on gradients before a step, on weights after it."""

import math
from collections.abc import Sequence

import numpy as np

from .functions import Array


def clip_by_value(gradients: Sequence[Array], limit: float) -> None:
    """Each item of each gradient into [−limit, limit], in place."""
    for dV in gradients:
        np.clip(dV, -limit, limit, out=dV)


def clip_by_norm(gradients: Sequence[Array], limit: float) -> None:
    """All gradients times min(1, limit / (‖g‖ + 1e-6)), in place; g is all of them as one vector.

    Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks, 2013.
    """
    norm = math.sqrt(sum(float(np.square(dV, dtype=np.float64).sum()) for dV in gradients))
    factor = min(1.0, limit / (norm + 1e-6))
    for dV in gradients:
        dV *= factor


def limit_columns(W: Array, limit: float) -> None:
    """W ← w · limit / max(‖w‖, limit) for each column w, the weights into one unit, in place.

    Srivastava et al.: Dropout, 2014, section 5.1: max-norm regularisation.
    """
    norms = np.sqrt(np.square(W).sum(axis=0))  # (n_out,)
    W *= limit / np.maximum(norms, limit)
