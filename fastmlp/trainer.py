"""`Trainer` and `train_step`: single steps, for people with a loop of their own."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.arguments import check_limit, check_optimizer, labelled
from fastmlp.checks import check_integer, check_number
from fastmlp.evaluation import Evaluation, evaluation_of
from fastmlp.model import MLP
from fastmlp.optimizers import LBFGS, SGD, Optimizer
from fastmlp.threads import threads_for

if TYPE_CHECKING:
    from fastmlp.engine.engine import Engine
    from fastmlp.engine.team import Team
    from fastmlp.inputs import Samples
    from fastmlp.targets import Targets


class Trainer:
    """A model and an optimiser, whose state lives as long as this does; a context manager.

    Steps may come from any Python thread; one of them waits for the other.

    Parameters
    ----------
    model : MLP
        Changed in place.
    optimizer : Optimizer, default SGD()
        Any but `LBFGS`.
    seed : int, default 0
        Of dropout.
    clip_norm, clip_value, max_norm : float, optional
        As in `fit`.
    threads : int, optional
        As in `fit`; they wait for the next step until `close`.

    Attributes
    ----------
    steps : int
        Steps done.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or a value that is not allowed.
    """

    def __init__(
        self,
        model: MLP,
        optimizer: Optimizer | None = None,
        *,
        seed: int = 0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        max_norm: float | None = None,
        threads: int | None = None,
    ) -> None:
        if not isinstance(model, MLP):
            raise TypeError(f"model must be a fastmlp.MLP, not {type(model).__name__}")
        self.model = model
        self.optimizer = check_optimizer(optimizer, model)
        if isinstance(self.optimizer, LBFGS):
            raise ValueError("optimizer LBFGS takes no single steps: use fit")
        self._seed = check_integer("seed", seed, 0)
        self._limits = [
            check_limit("clip_norm", clip_norm, model.dtype),
            check_limit("clip_value", clip_value, model.dtype),
            check_limit("max_norm", max_norm, model.dtype),
        ]
        if clip_norm is not None and clip_value is not None:
            raise ValueError("clip_norm and clip_value cannot both be given: clip by one of them")
        self._threads = threads_for(threads)
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        # Teams alone: through an engine the finalizer would keep the model alive, and this.
        self._open: list[Team] = []
        weakref.finalize(self, _close, self._open)

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; a later step starts them again."""
        _close(self._open)

    @property
    def steps(self) -> int:
        """Steps done."""
        return self._engine.step if self._engine else 0

    def step(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
        lr: float | None = None,
    ) -> Evaluation:
        """One update with ``x`` and ``y`` as the batch.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As in `fit`.
        lr : float, optional
            Learning rate of this step, 0 or more; the optimiser's without.

        Returns
        -------
        Evaluation
            Mean loss and accuracy of the batch, before the update.

        Raises
        ------
        TypeError, ValueError
            As `fit`.
        FloatingPointError
            If the loss is NaN or infinite; the model keeps its parameters.
        """
        rate = self.optimizer.lr if lr is None else check_number("lr", lr, 0)
        samples, targets = labelled(
            self.model, x, y, sample_weight, class_weight, all_zero_allowed=True
        )
        with self._lock:
            return self._step(samples, targets, rate)

    def _step(self, samples: Samples, targets: Targets, rate: float) -> Evaluation:
        engine = self._engine_for(samples.count)
        from fastmlp.engine.engine import NonFiniteLossError

        order = np.arange(samples.count)
        try:
            totals = engine.train(samples, targets, order, samples.count, np.full(1, rate))
        except NonFiniteLossError:
            raise FloatingPointError(
                f"the loss became NaN or infinite in step {engine.step + 1}; the parameters are "
                f"those before it; try a learning rate below {rate:g}"
            ) from None
        return evaluation_of(self.model, totals)

    def _engine_for(self, rows: int) -> Engine:
        """The engine, with room for ``rows``; a larger one takes over the state of a smaller."""
        from fastmlp.engine.engine import Engine, UpdateLimits

        old = self._engine
        if old is not None and (rows <= old.rows or not old.workspace.grows):
            return old
        engine = Engine(
            self.model,
            rows,
            self._threads,
            self.optimizer,
            learns=True,
            limits=UpdateLimits(*self._limits),
            seed=self._seed,
        )
        if old is not None:
            engine.step = old.step
            engine.state[...] = old.state
            old.team.close()
        self._engine, self._open[:] = engine, [engine.team]
        return engine


_MAKING = threading.Lock()
"""Held while a model gets its trainer."""


def train_step(
    model: MLP,
    x: ArrayLike,
    y: ArrayLike,
    *,
    optimizer: Optimizer | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    seed: int = 0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    max_norm: float | None = None,
    threads: int | None = None,
) -> Evaluation:
    """One update of ``model`` with ``x`` and ``y`` as the batch.

    The optimiser's state stays with the model from call to call, as long as optimizer, seed, limits
    and threads are equal; with others it starts anew. See `Trainer` for a state of your own.

    Parameters
    ----------
    model, x, y, optimizer, sample_weight, class_weight, clip_norm, clip_value, max_norm, threads
        As in `fit`.
    seed : int, default 0
        Of dropout.

    Returns
    -------
    Evaluation
        Mean loss and accuracy of the batch, before the update.

    Raises
    ------
    TypeError, ValueError
        As `fit`.
    FloatingPointError
        If the loss is NaN or infinite; the model keeps its parameters.
    """
    optimizer = SGD() if optimizer is None else optimizer
    settings: dict[str, Any] = {
        "seed": seed,
        "clip_norm": clip_norm,
        "clip_value": clip_value,
        "max_norm": max_norm,
        "threads": threads,
    }
    # By what they say: True is equal to 1, and is no seed.
    key = repr((SGD() if optimizer is None else optimizer, settings))
    with _MAKING:
        kept = getattr(model, "_trainer", None)
        if kept is None or kept[0] != key:
            trainer = Trainer(model, optimizer, **settings)
            if kept is not None:
                kept[1].close()
            kept = model._trainer = (key, trainer)
    evaluation: Evaluation = kept[1].step(
        x, y, sample_weight=sample_weight, class_weight=class_weight
    )
    return evaluation


def _close(teams: list[Team]) -> None:
    for team in teams:
        team.close()
