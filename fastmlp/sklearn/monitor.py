"""`Monitor`: scikit-learn's record of a training, and its decision when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.callbacks import Callback
from fastmlp.sklearn.solvers import LEAST_RATE, SklearnSGD

if TYPE_CHECKING:
    from collections.abc import Callable


class Monitor(Callback):
    """Writes the attributes of an estimator after each epoch, and stops as scikit-learn does.

    Parameters
    ----------
    estimator : estimator
        What it has in ``loss_curve_`` and the like from an earlier fit is gone on with.
    n_samples : int
        Of each epoch.
    score : callable, optional
        The validation score of the network as it is; with early stopping.

    Attributes
    ----------
    best : ndarray or None
        Parameters of the best score; None until there is one.
    stalled : bool
        Whether it has stopped the training.
    """

    def __init__(
        self, estimator: Any, n_samples: int, score: Callable[[], float] | None = None
    ) -> None:
        self._estimator = estimator
        self._n_samples = n_samples
        self.stalled = False
        self._score = score
        self.best: NDArray[Any] | None = None

    def on_epoch_end(self, model: Any, record: Any) -> bool:
        """Record the epoch; whether to stop."""
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.t_ += self._n_samples
        estimator.loss_ = record.train_loss
        estimator.loss_curve_.append(record.train_loss)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {record.train_loss:.8f}")
        self._count(model)
        memory = estimator._optimizer
        if memory.rule == "invscaling" and isinstance(memory.optimizer, SklearnSGD):
            memory.learning_rate = memory.optimizer.lr / (estimator.t_ + 1) ** memory.power
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self.stalled = self._stops()
        return self.stalled

    def _count(self, model: Any) -> None:
        """Count the epochs in a row without an improvement by ``tol``."""
        estimator = self._estimator
        if self._score is None:
            latest = estimator.loss_curve_[-1]
            improved = not latest > estimator.best_loss_ - estimator.tol
            if latest < estimator.best_loss_:
                estimator.best_loss_ = latest
        else:
            latest = self._score()
            estimator.validation_scores_.append(latest)
            if estimator.verbose:
                print(f"Validation score: {latest:f}")
            improved = not latest < estimator.best_validation_score_ + estimator.tol
            if latest > estimator.best_validation_score_:
                estimator.best_validation_score_ = latest
                self.best = np.array(model.parameters)
        estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1

    def _stops(self) -> bool:
        """Stop, unless a smaller learning rate may help."""
        estimator, memory = self._estimator, self._estimator._optimizer
        what = "Training loss" if self._score is None else "Validation score"
        epochs = "epochs"
        message = (
            f"{what} did not improve more than tol={estimator.tol:f} for "
            f"{estimator.n_iter_no_change:d} consecutive {epochs}."
        )
        adaptive = memory.rule == "adaptive" and isinstance(memory.optimizer, SklearnSGD)
        if not adaptive:
            message += " Stopping."
        elif memory.learning_rate <= LEAST_RATE:
            adaptive = False
            message += " Learning rate too small. Stopping."
        else:
            memory.learning_rate /= 5.0
            message += f" Setting learning rate to {memory.learning_rate:f}"
            estimator._no_improvement_count = 0
        if estimator.verbose:
            print(message)
        return not adaptive
