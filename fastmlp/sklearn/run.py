"""`EstimatorRun`: the training loop with scikit-learn's order of samples and its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.inputs import Samples
from fastmlp.optimizers import LBFGS
from fastmlp.run import Run
from fastmlp.sklearn.solvers import OptimizerState

if TYPE_CHECKING:
    from fastmlp.engine.engine import Engine, Totals


@dataclass(kw_only=True)
class EstimatorRun(Run):
    """One call of `fit` or `partial_fit`.

    Attributes
    ----------
    random_state : RandomState
        Of the order of samples.
    memory : OptimizerState
    loss_scale : float
        Factor on the engine's losses that makes them scikit-learn's.
    constants : ndarray (n_samples,) or None
        What is added to the loss of each sample.
    held_constants : ndarray or None
        The same of the evaluation set.
    kept : Engine or None
        Of the call before: it is gone on with where it suits.
    """

    random_state: Any
    memory: OptimizerState | None
    loss_scale: float = 1.0
    constants: NDArray[np.float64] | None = None
    held_constants: NDArray[np.float64] | None = None
    kept: Engine | None = None

    @property
    def suits(self) -> bool:
        """Whether the kept engine can run this."""
        engine = self.kept
        return (
            engine is not None
            and engine.model is self.model
            and engine.optimizer is self.optimizer
            and engine.penalty == self.penalty
            and (self.batch_size <= engine.rows or not engine.workspace.grows)
        )

    def compiled(self, threads: int) -> Engine:
        """The kept engine, or a new one that goes on from where the optimiser was."""
        if self.suits and self.kept is not None:
            self.engine = self.kept
            return self.engine
        engine = super().compiled(threads)
        if self.memory is not None and self.memory.state is not None:
            engine.state[...], engine.step = self.memory.state, self.memory.step
        return engine

    def order_of_epoch(self) -> NDArray[np.int64]:
        """As `sklearn.utils.shuffle` of the order before."""
        if self.shuffle:
            order = np.arange(len(self.rows))
            self.random_state.shuffle(order)
            self.rows = self.rows[order]
        self.masses = self._masses()
        return self.rows

    def _masses(self) -> NDArray[np.float64]:
        """What the samples of each batch count."""
        from fastmlp.engine.engine import masses_of_batches

        masses = masses_of_batches(self.targets, self.rows, self.batch_size)
        if not masses.all():  # as numpy.average, which scikit-learn takes the mean with
            raise ZeroDivisionError("Weights sum to zero, can't be normalized")
        return masses

    def train_loss(self, totals: Totals) -> float:
        """Mean over samples of the loss of their batch, penalty included.

        With L-BFGS without the penalty, which is the optimiser's.
        """
        if isinstance(self.optimizer, LBFGS):
            return totals.mean_loss * self.loss_scale + self._constant_of(self.rows)
        trace = self.engine.trace
        first = np.arange(0, len(self.rows), self.batch_size)
        losses = trace[:, 0] * self.loss_scale + (self.penalty or 0.0) / 2 * trace[:, 1]
        if self.constants is not None:
            losses += np.add.reduceat(self.constants[self.rows], first)
        sizes = np.minimum(len(self.rows) - first, self.batch_size)
        return float((losses / self.masses * sizes).sum() / len(self.rows))

    def _constant_of(self, rows: NDArray[np.int64]) -> float:
        if self.constants is None:
            return 0.0
        masses = self.targets.masses
        total = masses[rows].sum() if len(masses) else len(rows)
        return float(self.constants[rows].sum() / total)

    def _validate(self) -> tuple[Totals | None, dict[str, float]]:
        scores, measured = super()._validate()
        if scores is not None:
            added = 0.0 if self.held_constants is None else float(self.held_constants.sum())
            scores = scores._replace(loss=scores.loss * self.loss_scale + added)
        return scores, measured

    def outputs_of(self, samples: Samples, rows: NDArray[np.int64], head: str) -> NDArray[Any]:
        """Predictions for ``rows`` of ``samples``."""
        out = np.empty((len(rows), self.model.layers[-1]), dtype=self.model.dtype)
        self.engine.outputs(samples, rows, head, out)
        return out
