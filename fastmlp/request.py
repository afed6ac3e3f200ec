"""`Request`: what `fit` was asked for, whether it can be done, and what a later run must equal."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.arguments import Part
from fastmlp.augmentation import Augmentation
from fastmlp.averaging import SWA, Averaging
from fastmlp.callbacks import Callback, check_needs
from fastmlp.checks import shown
from fastmlp.engine.layout import parameter_views
from fastmlp.inputs import Samples
from fastmlp.model import MLP
from fastmlp.model_file import header_of
from fastmlp.optimizers import LBFGS, Optimizer
from fastmlp.schedules import Constant, Schedule
from fastmlp.state import TrainingState
from fastmlp.targets import Targets
from fastmlp.windows import Windows


@dataclass
class Request:
    """One call of `fit`: what it was asked for.

    Other faces set ``penalty``, ``tolerant`` and ``ranks``, see `Engine`.
    """

    model: MLP
    samples: Samples
    targets: Targets
    rows: NDArray[np.int64]
    validation: Part | None
    epochs: int
    batch_size: int
    optimizer: Optimizer
    schedule: Schedule
    seed: int
    shuffle: bool
    metrics: tuple[str, ...]
    averaging: Averaging | None
    augmentation: Augmentation | None
    max_seconds: float | None
    target_accuracy: float | None
    callbacks: Sequence[Callback]
    clip_norm: float | None
    clip_value: float | None
    max_norm: float | None
    fewer_threads: bool = False
    penalty: float | None = None
    tolerant: bool = False
    evaluations: int | None = None  # most of L-BFGS
    ranks: Any = None

    def __post_init__(self) -> None:
        self.schedule_state = self.schedule.start()

    @property
    def own_batch_size(self) -> int:
        """Rows of a batch that are this process's."""
        return self.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """The last one of an epoch may be of a smaller batch."""
        return -(-len(self.rows) // self.batch_size)

    def check(self, resume: object) -> None:
        """Refuse what cannot be done, before anything is changed but the folder of checkpoints."""
        self.check_combinations()
        if resume is not None:
            self.check_resume(resume)
        check_needs(self.callbacks, self.validation is not None, self.metrics, resume)

    def check_combinations(self) -> None:
        """ValueError for settings of which each is allowed, but not together."""
        if isinstance(self.optimizer, LBFGS):
            self._check_lbfgs()
        validated = self.validation is not None
        for monitoring in (self.schedule, *self.callbacks):
            monitor = getattr(monitoring, "monitor", "")
            if str(monitor).endswith("_accuracy") and not self.model.loss.has_accuracy:
                name = "schedule" if monitoring is self.schedule else type(monitoring).__name__
                raise ValueError(
                    f"{name} monitors {monitor}, which {self.model.loss.name} does not have"
                )
        self._check_window()
        if self.weighs_nothing():
            raise ValueError(
                "sample_weight and class_weight leave no sample that is trained on a weight above "
                f"0 in {self.model.dtype}"
            )
        if hasattr(self.schedule, "check"):
            self.schedule.check(self.epochs, self.steps_per_epoch, validated)
        if self.epochs:  # what depends on the optimiser's rate, too, is refused here
            first = np.array([1]), self.steps_per_epoch, self.epochs, self.schedule_state
            check_rates(self.schedule.rates(self.optimizer.lr, *first), 1)
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError("clip_norm and clip_value cannot both be given: clip by one of them")
        if self.augmentation is not None and (self.augmentation.n_features != self.model.layers[0]):
            raise ValueError(
                f"augmentation has image_shape {self.augmentation.image_shape} of "
                f"{self.augmentation.n_features} features, the network expects "
                f"{self.model.layers[0]}"
            )
        if "batch" in self.model.norms and self.batch_size == 1:
            raise ValueError(
                "batch_size must be 2 or more for batch norm, which sets a batch of 1 to zero, and "
                f"not 1 of {len(self.rows)} samples"
            )
        if isinstance(self.averaging, SWA) and self.averaging.start_epoch > self.epochs > 0:
            raise ValueError(
                f"averaging starts in epoch {self.averaging.start_epoch}, after the last of "
                f"{self.epochs}"
            )

    def weighs_nothing(self) -> bool:
        """Whether all weights of what is trained on are 0."""
        masses = self.targets.masses
        return len(masses) > 0 and not masses[self.rows].any()

    def _check_window(self) -> None:
        if self.samples.source is None:
            return
        if isinstance(self.optimizer, LBFGS):
            raise ValueError(
                f"optimizer LBFGS needs all samples in memory, and x has {self.samples.count} rows "
                "on disk"
            )
        if self.batch_size > self.samples.window:
            raise ValueError(
                f"batch_size must be at most {self.samples.window} here, the rows on disk that are "
                f"read at once, not {self.batch_size}: open x with a larger window"
            )

    def _check_lbfgs(self) -> None:
        dropped = bool(np.any(self.model.dropout)) or self.model.input_dropout > 0
        for name, given in {
            "dropout": dropped,
            "batch norm": "batch" in self.model.norms,
            "a schedule": not isinstance(self.schedule, Constant),
            "clip_norm": self.clip_norm is not None,
            "clip_value": self.clip_value is not None,
            "max_norm": self.max_norm is not None,
            "averaging": self.averaging is not None,
            "augmentation": self.augmentation is not None,
            "checkpoints": any(hasattr(c, "on_checkpoint") for c in self.callbacks),
        }.items():
            if given:
                reason = (
                    "scipy keeps its memory to itself, and no run could go on from them"
                    if name == "checkpoints"
                    else "its line search needs one and the same function of the weights throughout"
                )
                raise ValueError(f"optimizer LBFGS cannot be used with {name}: {reason}")

    def check_resume(self, state: object) -> None:
        """TypeError or ValueError if this run cannot go on from ``state``."""
        if not isinstance(state, TrainingState):
            raise TypeError(f"resume must be a TrainingState, not {shown(state)}")
        if isinstance(self.optimizer, LBFGS):
            raise ValueError("resume is not possible with LBFGS, whose memory scipy keeps")
        if state.epoch > self.epochs:
            raise ValueError(
                f"epochs must be {state.epoch} or more to resume, which were done, not "
                f"{self.epochs}"
            )
        from fastmlp.engine.engine import planes_of

        planes = planes_of(self.optimizer)
        views = parameter_views(self.model.parameters, self.model.places)
        shapes = {f"model/{name}": view.shape for name, view in views.items()}
        shapes |= {
            f"optimizer/{name}/{plane}": view.shape
            for name, view in views.items()
            for plane in range(planes)
            if not name.startswith(("mean", "variance"))
        }
        if state.averaged:
            shapes |= {f"average/{name}": view.shape for name, view in views.items()}
        state.check(self.settings(), shapes, self.seed)
        self._check_rates_of(state)

    def _check_rates_of(self, state: TrainingState) -> None:
        """ValueError if a schedule would have had other rates in a run of as many epochs as this.

        Cosine, linear and one-cycle end with the last epoch.
        """
        steps, epochs = np.arange(1, state.step + 1), int(state.run.get("epochs", self.epochs))
        if epochs == self.epochs or not len(steps):
            return
        before, now = (
            self.schedule.rates(
                self.optimizer.lr, steps, self.steps_per_epoch, n, self.schedule_state
            )
            for n in (epochs, self.epochs)
        )
        if not np.array_equal(before, now):
            raise ValueError(
                f"epochs must be {epochs} to resume, as before, not {self.epochs}: the rates of "
                f"{type(self.schedule).__name__} depend on it"
            )

    def settings(self) -> dict[str, str]:
        """What must be equal in a run that goes on."""
        names = "optimizer", "schedule", "averaging", "augmentation"
        limits = "clip_norm", "clip_value", "max_norm"
        network = header_of(self.model)
        del network["init"], network["seed"]  # its parameters are those of the state
        return {
            **{name: repr(value) for name, value in network.items()},
            **{name: _text_of(getattr(self, name)) for name in (*names, *limits)},
            "batch_size": str(self.batch_size),
            "shuffle": self._order(),
            "samples": str(len(self.rows)),
            "y or the weights": self.digest_of_targets(),
        }

    @functools.cached_property
    def _windows(self) -> Windows:
        return Windows(self.samples, self.targets, self.rows, self.batch_size)

    def _order(self) -> str:
        """What of the order of samples is not drawn from the seed."""
        source = self.samples.source
        if source is None or not self.shuffle:
            return str(self.shuffle)
        return f"in windows of {self._windows.size} rows from blocks of {source.block}"

    def digest_of_targets(self) -> str:
        """Of what is trained on, and its weights."""
        digest = hashlib.sha256(self.rows.data)
        for field in ("labels", "rows", "weights", "masses", "options"):
            digest.update(np.ascontiguousarray(getattr(self.targets, field)).data)
        return digest.hexdigest()[:16]


def check_rates(rates: Any, steps: int) -> NDArray[np.float64]:
    """What a schedule, of another's class perhaps, gives: a rate for each step."""
    try:
        array = np.asarray(rates, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"schedule must give numbers as rates, not {shown(rates)}") from None
    if array.shape != (steps,) or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(
            f"schedule must give a finite rate, 0 or more, for each of {steps} steps, not "
            f"{shown(rates)}"
        )
    return array


def _text_of(setting: Any) -> str:
    """``repr``; of an object of another's class its name, not its place in memory."""
    plain = setting is None or isinstance(setting, float) or is_dataclass(setting)
    return repr(setting) if plain else type(setting).__qualname__
