"""A data set: samples, targets and weights, checked together; and its split in two."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .functions import Array
from .inputs import check_sample_weight, check_x
from .network import MLP


@dataclass
class Data:
    """Samples with what the loss knows of them: all checked.

    Attributes
    ----------
    x : (n, n_features), dense or CSR
    T : (n,) or (n, n_outputs)
    weights : (n,) or None
    """

    x: Any
    T: Array
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.T)

    def rows(self, rows: Any) -> "Data":
        """Some of the samples."""
        weights = None if self.weights is None else self.weights[rows]
        return Data(self.x[rows], self.T[rows], weights)


def check_data(model: MLP, x: Any, y: Any, sample_weight: Any = None, prefix: str = "") -> Data:
    """Check samples and targets; `prefix` goes before their names in messages."""
    x = check_x(f"{prefix}x", x, model.layers[0], model.dtype)
    n = x.shape[0]
    T = model.loss.check_targets(f"{prefix}y", y, n, model.layers[-1], model.dtype)
    return Data(x, T, check_sample_weight("sample_weight", sample_weight, n))


def check_validation_data(model: MLP, data: Any) -> Data:
    """Check the pair (x, y) like the training data."""
    try:
        x, y = data
    except (TypeError, ValueError):
        raise TypeError("validation_data must be a pair (x, y)") from None
    return check_data(model, x, y, prefix="validation_data ")


def split(model: MLP, data: Data, fraction: float, seed: int) -> tuple[Data, Data]:
    """Training and validation samples: of each class its share is held out, at random.

    Where a sample has no class, the share is of all samples. The order stays. The
    generator is that of epoch 0, see :func:`batch_order`.
    """
    rng = np.random.default_rng((seed, 0))
    n = len(data)
    labels, groups = np.zeros(n, int), 1
    if data.T.ndim == 1:
        labels, groups = data.T, model.layers[-1]
    elif model.loss.kind == "binary" and data.T.shape[1] == 1:
        labels, groups = (data.T[:, 0] > 0.5).astype(int), 2
    held_out = np.zeros(n, dtype=bool)
    for label in range(groups):
        rows = rng.permutation(np.flatnonzero(labels == label))
        # One sample at least stays to train on.
        count = min(round(fraction * len(rows)), len(rows) - 1)
        held_out[rows[: max(count, 0)]] = True
    if not held_out.any():
        raise ValueError(f"validation_fraction {fraction:g} holds out none of {n} samples")
    validation = data.rows(held_out)
    return data.rows(~held_out), Data(validation.x, validation.T)
