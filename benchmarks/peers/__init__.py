"""The sides of the comparison, each written as its own experts would for speed.

A module here has a class ``Trainer`` or ``Predictor``, or both, made from a task and a variant:

    variants(task)                 # names of the ways to do it; the fastest is taken
    Trainer(task, variant)
        .reset(seed=0)             # the common initial parameters, a new optimiser
        .epoch(seed, number=1)     # -> seconds, mean loss; order and rates are those of the
                                   # seed's epoch of this number
        .accuracy(x, y)            # of uint8 images; where the side takes part in records
        .parameters()              # -> [W1, b1, W2, ...] as NumPy arrays (n_in, n_out), (n_out,)
    Predictor(task, variant)
        .predict(x)                # -> probabilities

A module with a class ``Estimator`` instead is measured by its whole fits, `FitTask`.

An epoch's seconds include the permutation, as those of `fastmlp.fit` do. No sample is dropped: the
last batch of an epoch is smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

INSTALL = "pip install -e '.[peers]'"
"""Installs every peer."""


@dataclass(frozen=True)
class Peer:
    """Name in tables, and what has to be installed."""

    title: str
    needs: tuple[str, ...] = ()


PEERS = {
    "fast": Peer("fastmlp"),
    "fast_call": Peer("fastmlp"),
    "numpy_reference": Peer("NumPy reference"),
    "jax_scan": Peer("JAX", ("jax",)),
    "torch_mlp": Peer("PyTorch", ("torch",)),
    "sklearn_mlp": Peer("scikit-learn", ("sklearn",)),
    "fast_fit": Peer("fastmlp"),
    "sklearn_fit": Peer("scikit-learn", ("sklearn",)),
    "onnx_runtime": Peer("onnxruntime", ("onnxruntime", "onnx")),
    "fma_peak": Peer("FMA peak"),
    "stream": Peer("memory"),
}
"""Module in this folder: peer."""
