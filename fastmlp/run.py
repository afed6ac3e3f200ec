"""`Run`: the one training loop, epoch by epoch."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.arguments import Part, metric_kind
from fastmlp.averaging import EMA, SWA
from fastmlp.engine.layout import PREDICT_ROWS, parameter_views, state_views
from fastmlp.history import PHASES, Epoch, History
from fastmlp.metrics import measure
from fastmlp.optimizers import LBFGS
from fastmlp.request import Request, check_rates
from fastmlp.state import TrainingState
from fastmlp.threads import counted_training, trainings_at_once
from fastmlp.windows import Window, outputs, score

if TYPE_CHECKING:
    from fastmlp.engine.engine import Engine, Totals


@dataclass
class Run(Request):
    """One call of `fit`: how far it is.

    Other faces override `order_of_epoch`, `most_threads`, `train_loss` and more.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.history = History()
        self.epoch = 0
        self.averaged = 0
        self.mean: NDArray[Any] | None = None  # of the parameters, by SWA; EMA's is the engine's
        self.stopped = False
        self.passes: list[NDArray[np.float64]] = []  # seconds by thread and phase, by epoch
        self.minimum: Any = None  # scipy's result, of L-BFGS
        self.own: NDArray[Any] | None = None  # the parameters, while the model holds their average

    def compiled(self, threads: int) -> Engine:
        """Make the engine, compiling its kernels or loading them from the cache."""
        from fastmlp.engine.engine import Engine, UpdateLimits, compile_for

        # Validation wants more rows at a time than a small batch has.
        held = len(self.validation.rows) if self.validation else 0
        compile_for(self.model, self.optimizer, self.samples.kind, self.targets, self.penalty)
        decay = self.averaging.decay if isinstance(self.averaging, EMA) else None
        self.engine = Engine(
            self.model,
            max(self.own_batch_size, min(held, PREDICT_ROWS)),
            threads,
            self.optimizer,
            self.fewer_threads,
            learns=True,
            limits=UpdateLimits(self.clip_norm, self.clip_value, self.max_norm, decay),
            seed=self.seed,
            augmentation=self.augmentation,
            penalty=self.penalty,
            tolerant=self.tolerant,
            ranks=self.ranks,
        )
        self.engine.compile(self.samples, self.targets)
        return self.engine

    def begin(self, engine: Engine, state: TrainingState | None) -> None:
        """Take up ``state``, and tell the callbacks that training begins."""
        self.started = time.perf_counter()
        if state is not None:
            self._take_up(state)
        for callback in self.callbacks:
            callback.on_train_begin(self.model, self.epochs, len(self.rows))

    def _take_up(self, state: TrainingState) -> None:
        # They may refuse it: first, while nothing is changed.
        for callback, remembered in zip(self._remembering, state.callbacks, strict=False):
            try:
                callback.set_state(remembered)
            except KeyError as error:
                raise ValueError(
                    f"callbacks must be as before to resume: {type(callback).__name__} does not "
                    f"find its {error}"
                ) from None
        self.model.load_state_dict(state.part("model"))
        self.epoch, self.engine.step = state.epoch, state.step
        places = self.model.places
        for name, view in state_views(self.engine.state, places, self._planes).items():
            view[...] = state.arrays[f"optimizer/{name}"]
        self.averaged = state.averaged
        if state.averaged:
            mean = self.engine.average
            if isinstance(self.averaging, SWA):
                mean = self.mean = np.zeros_like(self.model.parameters)
            for name, view in parameter_views(mean, places).items():
                view[...] = state.arrays[f"average/{name}"]
        self.schedule_state = dict(state.schedule)
        self.history.epochs = [Epoch(**record) for record in state.epochs]

    def state(self) -> TrainingState:
        """Where the run stands after the last whole epoch."""
        state = TrainingState(
            epoch=self.epoch,
            step=self.engine.step,
            seed=self.seed,
            run=self.settings() | {"epochs": str(self.epochs)},
            schedule=dict(self.schedule_state),
            averaged=self.averaged,
            epochs=[asdict(record) for record in self.history.epochs],
            callbacks=[callback.state() for callback in self._remembering],
        )
        places = self.model.places
        own = self.model.parameters if self.own is None else self.own
        state.add("model", parameter_views(own, places))
        state.add("optimizer", state_views(self.engine.state, places, self._planes))
        mean = self._average()
        if mean is not None:
            state.add("average", parameter_views(mean, places))
        return state

    @property
    def _remembering(self) -> list[Any]:
        """The callbacks that have a state."""
        return [
            callback
            for callback in self.callbacks
            if hasattr(callback, "set_state") and hasattr(callback, "state")
        ]

    @property
    def _planes(self) -> int:
        return len(self.engine.state) // len(self.model.parameters)

    def train(self) -> None:
        """All epochs that are left."""
        with counted_training():
            if isinstance(self.optimizer, LBFGS):
                self._minimize()
                return
            if self._had_ended():
                return
            while self.epoch < self.epochs:
                self.begin_epoch()
                self._share_cores()
                if self._end_epoch(*self._pass()):
                    break

    def begin_epoch(self) -> None:
        """Tell the callbacks of the epoch that begins."""
        for callback in self.callbacks:
            callback.on_epoch_begin(self.model, self.epoch + 1)

    def _share_cores(self) -> None:
        if self.fewer_threads:
            self.engine.limit_threads(self.most_threads() // trainings_at_once())

    def _had_ended(self) -> bool:
        """Whether the run that this one goes on from came to its end before its last epoch."""
        reached = bool(self.history.epochs) and self._reaches_target(self.history.epochs[-1])
        ended = (c.has_ended() for c in self.callbacks if hasattr(c, "has_ended"))
        return reached or any(ended)

    def _reaches_target(self, record: Epoch) -> bool:
        target, accuracy = self.target_accuracy, record.val_accuracy
        return target is not None and accuracy is not None and accuracy >= target

    def _pass(self) -> tuple[Totals, float, float]:
        """One epoch's steps: its sums, seconds and last learning rate."""
        start = time.perf_counter()
        rates = self.rates_of_epoch()
        totals = self.steps(rates)
        return totals, time.perf_counter() - start, float(rates[-1])

    def rates_of_epoch(self) -> NDArray[np.float64]:
        """The learning rate of each step of the epoch that begins."""
        first = self.engine.step
        rates = self.schedule.rates(
            self.optimizer.lr,
            first + np.arange(1, self.steps_per_epoch + 1),
            self.steps_per_epoch,
            self.epochs,
            self.schedule_state,
        )
        return check_rates(rates, self.steps_per_epoch)

    def steps(self, rates: NDArray[np.float64]) -> Totals:
        """One epoch's steps; their sums."""
        from fastmlp.engine.engine import NonFiniteLossError

        try:
            done = 0
            with contextlib.closing(self.windows_of_epoch()) as windows:
                for samples, targets, order in windows:
                    assert targets is not None
                    count = self.samples_in(order)
                    steps = rates[done : done + -(-count // self.batch_size)]
                    job = samples, targets, order, self.batch_size, steps
                    totals = self.engine.train(*job, self._watch, done > 0, count)
                    done += len(steps)
        except NonFiniteLossError as error:
            raise FloatingPointError(
                f"the loss became NaN or infinite in epoch {self.epoch + 1}, step "
                f"{error.step + 1}; the parameters are those before it; {self._remedy()}"
            ) from None
        # An update after which no loss is measured would pass unseen.
        if not self.tolerant and not np.isfinite(self.model.parameters).all():
            raise FloatingPointError(
                f"the parameters became NaN or infinite in the last step of epoch "
                f"{self.epoch + 1}; {self._remedy()}"
            )
        return totals

    def most_threads(self) -> int:
        """Threads that are worth their while, if no other training wants them."""
        return self.engine.team.threads

    def windows_of_epoch(self) -> Generator[Window]:
        """The epoch that begins, cut where a batch ends; samples in memory are one window."""
        if self.samples.source is None:
            yield Window(self.samples, self.targets, self.order_of_epoch())
        else:
            yield from self._windows.read((self.seed, self.epoch + 1) if self.shuffle else None)

    def samples_in(self, order: NDArray[np.int64]) -> int:
        """How many samples a window's steps take, of all processes."""
        return len(order)

    def order_of_epoch(self) -> NDArray[np.int64]:
        """The samples of the epoch that begins, in the order of its steps; of those in memory."""
        if not self.shuffle or self.batch_size >= len(self.rows):
            return self.rows
        rng = np.random.default_rng((self.seed, self.epoch + 1))
        order: NDArray[np.int64] = self.rows[rng.permutation(len(self.rows))]
        return order

    def train_loss(self, totals: Totals) -> float:
        """Loss of the epoch that ends."""
        return totals.mean_loss

    def _remedy(self) -> str:
        lost = "" if np.isfinite(self.model.parameters).all() else "and are not finite either; "
        return (
            f"{lost}try a learning rate below {self.optimizer.lr:g}, or scale the input to about "
            "[0, 1]"
        )

    def _watch(self, totals: Totals) -> None:
        for callback in self.callbacks:
            callback.on_progress(totals.samples, totals.mean_loss, self._accuracy(totals))

    def _accuracy(self, totals: Totals) -> float | None:
        return totals.accuracy if self.model.loss.has_accuracy else None

    def _end_epoch(self, totals: Totals, seconds: float, rate: float) -> bool:
        """Validate, record, ask the callbacks; whether training ends."""
        self.epoch += 1
        self.passes.append(self.engine.phase_seconds())
        self._add_to_average()
        with _average_in_place(self):
            scores, measured = self._validate()
            record = Epoch(
                self.epoch,
                seconds,
                self.train_loss(totals),
                self._accuracy(totals),
                scores.mean_loss if scores else None,
                self._accuracy(scores) if scores else None,
                rate,
                measured,
            )
            stopped = self.tell(record)
        if self.max_seconds is not None:
            stopped |= time.perf_counter() - self.started >= self.max_seconds
        self.stopped = stopped or self._reaches_target(record)
        return self.stopped

    def tell(self, record: Epoch) -> bool:
        """Tell history, schedule and callbacks of an epoch; whether one of these ends training."""
        self.history.epochs.append(record)
        self.schedule.epoch_ended(self.schedule_state, record)
        # Every callback hears of the epoch before any answer counts.
        stops = [bool(callback.on_epoch_end(self.model, record)) for callback in self.callbacks]
        for callback in self.callbacks:
            if hasattr(callback, "on_checkpoint"):
                callback.on_checkpoint(self.model, self.state)
        return any(stops)

    def _validate(self) -> tuple[Totals | None, dict[str, float]]:
        if self.validation is None:
            return None, {}
        scores = self.score(self.validation)
        return scores, self.measured(scores, self.validation) if self.metrics else {}

    def score(self, part: Part) -> Totals:
        """Sums of loss and hits over the validation data."""
        return score(self.engine, *part)

    def measured(self, scores: Totals, part: Part) -> dict[str, float]:
        """The metrics of the validation data."""
        return self.measure(scores, *self.targets_and_outputs(part))

    def targets_and_outputs(self, part: Part) -> tuple[NDArray[Any], NDArray[Any]]:
        """Those of the validation data that metrics compare."""
        predicted = np.empty((len(part.rows), self.model.layers[-1]), dtype=self.model.dtype)
        head = "exponential" if self.model.loss.output == "exponential" else "logits"
        outputs(self.engine, part.samples, part.rows, head, predicted)
        y = part.targets.labels if len(part.targets.labels) else part.targets.rows
        return y[part.rows], predicted

    def measure(self, scores: Totals, y: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
        """The metrics of what was predicted."""
        kind = metric_kind(self.model)
        return {
            name: scores.mean_loss if name == "loss" else measure(name, y, predicted, kind)
            for name in self.metrics
        }

    def _add_to_average(self) -> None:
        if isinstance(self.averaging, EMA):
            self.averaged = self.epoch
        if not isinstance(self.averaging, SWA) or self.epoch < self.averaging.start_epoch:
            return
        self.averaged += 1
        if self.mean is None:
            self.mean = np.array(self.model.parameters)
        else:
            self.mean += (self.model.parameters - self.mean) / self.averaged

    def _average(self) -> NDArray[Any] | None:
        if not self.averaged:
            return None
        return self.engine.average if isinstance(self.averaging, EMA) else self.mean

    def end(self) -> None:
        """Tell the callbacks that training has ended."""
        for callback in self.callbacks:
            callback.on_train_end(self.model, self.history)

    def finish(self) -> None:
        """Leave the averaged parameters in the model, and the seconds of each phase."""
        if self.passes:
            self.history.phase_seconds = _phase_seconds(self.passes)
        mean = self._average()
        if mean is not None:
            self.model.parameters[...] = mean

    def gradients(self) -> Totals:
        """Those of the mean loss of all that is trained on, in the engine's buffer."""
        return self.engine.gradients_of(self.samples, self.targets, self.rows)

    def _minimize(self) -> None:
        """L-BFGS: an iteration stands for an epoch."""
        from fastmlp.lbfgs import minimize

        last = {"since": time.perf_counter(), "begun": 0.0}
        totals: list[Totals] = []
        gradients: dict[str, NDArray[Any]] = {}
        names = [name for name in self.model.state_dict() if name[0] in "Wbs"]

        def loss_and_gradients() -> tuple[float, dict[str, NDArray[Any]]]:
            # An iteration begins with its first trial: after the last one there is none.
            if last["begun"] == self.epoch:
                last["begun"] += 1
                self.begin_epoch()
            self._share_cores()
            totals[:] = [self.gradients()]
            # Later on it may be a trial of the line search, which then takes a shorter step.
            if not (self.epoch or self.tolerant or math.isfinite(totals[0].loss)):
                raise FloatingPointError(
                    "the loss is NaN or infinite before the first step; try to scale the input to "
                    "about [0, 1]"
                )
            if not gradients:  # whose place stays
                gradients.update(parameter_views(self.engine.gradients, self.model.places))
            return self.train_loss(totals[0]), gradients

        def iteration_ended() -> bool:
            seconds = time.perf_counter() - last["since"]
            stop = self._end_epoch(totals[0], seconds, self.optimizer.lr)
            last["since"] = time.perf_counter()
            return stop

        views = parameter_views(self.model.parameters, self.model.places)
        assert isinstance(self.optimizer, LBFGS)
        self.minimum = minimize(
            self.optimizer,
            {name: views[name] for name in names},
            loss_and_gradients,
            iteration_ended,
            self.epochs,
            self.evaluations,
        )


@contextlib.contextmanager
def _average_in_place(run: Run) -> Iterator[None]:
    """While the block runs, the model holds the averaged parameters, where there are any."""
    mean = run._average()
    if mean is None:
        yield
        return
    run.own = np.array(run.model.parameters)
    run.model.parameters[...] = mean
    try:
        yield
    finally:
        run.model.parameters[...] = run.own
        run.own = None


def _phase_seconds(passes: list[NDArray[np.float64]]) -> dict[str, float]:
    """Seconds of all ``passes`` in each phase, the mean over the threads that took part."""
    from fastmlp.engine.records import BACKWARD, FORWARD, GATHER, HEAD, UPDATE, WAIT

    columns = (GATHER, FORWARD, HEAD, BACKWARD, UPDATE, WAIT)
    seconds = np.array(passes)[:, :, columns]
    each = seconds.sum(axis=2)
    total = each.sum(axis=1)
    # Those that take part do so for the whole time; others have had no part, or a short one.
    share = np.divide(each.max(axis=1), total, out=np.zeros_like(total), where=total > 0)
    return dict(zip(PHASES, (seconds.sum(axis=1).T @ share).tolist(), strict=True))
