"""The one training loop: `fit`, `evaluate`, `loss_and_gradients`."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.augmentation import Augmentation
from fastmlp.averaging import EMA, SWA, Averaging
from fastmlp.callbacks import Callback, check_callbacks, check_needs
from fastmlp.checks import check_flag, check_integer, check_number, check_positive, shown
from fastmlp.engine.layout import PREDICT_ROWS, parameter_views, state_views, views_of
from fastmlp.history import PHASES, Epoch, History
from fastmlp.inputs import Samples, check_samples
from fastmlp.metrics import check_metrics, measure
from fastmlp.model import MLP
from fastmlp.model_file import header_of
from fastmlp.optimizers import LBFGS, SGD, Optimizer
from fastmlp.schedules import Constant, Schedule
from fastmlp.splits import held_out
from fastmlp.state import TrainingState
from fastmlp.targets import Targets, check_targets
from fastmlp.threads import are_free, in_another_thread, threads_for

if TYPE_CHECKING:
    from fastmlp.engine.engine import Engine, Totals


class Evaluation(NamedTuple):
    """Mean loss, and accuracy (None for regression), over a data set."""

    loss: float
    accuracy: float | None


class Gradients(NamedTuple):
    """Mean loss and its gradients, by layer; shapes as of the model's attributes of the name."""

    loss: float
    weights: list[NDArray[np.floating]]
    biases: list[NDArray[np.floating]]
    scales: list[NDArray[np.floating]]
    shifts: list[NDArray[np.floating]]


def fit(
    model: MLP,
    x: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int = 10,
    batch_size: int | str = 128,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    seed: int = 0,
    shuffle: bool = True,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    validation_fraction: float = 0.0,
    metrics: Sequence[str] = (),
    clip_norm: float | None = None,
    clip_value: float | None = None,
    max_norm: float | None = None,
    averaging: Averaging | None = None,
    augmentation: Augmentation | None = None,
    max_seconds: float | None = None,
    target_accuracy: float | None = None,
    callbacks: Sequence[Callback] = (),
    resume: TrainingState | None = None,
    threads: int | None = None,
) -> History:
    """Train ``model`` in place by mini-batch gradient descent on its loss.

    Parameters
    ----------
    model : MLP
        Changed in place.
    x : array-like, scipy sparse matrix or DataFrame, (n_samples, n_features)
        uint8 stays uint8 and is scaled as the model says; other numbers are cast to its dtype.
    y : array-like
        What the model's loss asks for. cross_entropy: integer labels 0 ... n_classes - 1,
        (n_samples,), or rows of probabilities (n_samples, n_classes); binary_cross_entropy: 0, 1 or
        between; others: numbers; (n_samples, n_outputs), or (n_samples,) if there is one output.
    epochs : int, default 10
        Passes over the data, 0 or more; those of ``resume`` are part of them.
    batch_size : int or "full", default 128
        Samples in a step. The last batch of an epoch may be smaller. "full", or a size of
        n_samples and more, is full-batch gradient descent; `LBFGS` always is.
    optimizer : Optimizer, default SGD()
        The update, for example ``Adam(lr=0.001)``; its state starts anew.
    schedule : Schedule, optional
        How the learning rate changes; constant without.
    seed : int, default 0
        Of the order of samples: ``default_rng((seed, epoch)).permutation(n_samples)`` for epochs
        1, 2, ...; of dropout, augmentation and what is held out.
    shuffle : bool, default True
        False keeps the samples in their order, as does full-batch descent.
    sample_weight : array-like (n_samples,), optional
        Factor on each sample's loss, 0 or more. The mean divides by their sum; validation is not
        weighted.
    class_weight : dict, array-like (n_classes,) or "balanced", optional
        Factor on the loss of each class, as `torch.nn.CrossEntropyLoss`'s weight; on that of each
        output for a binary loss of several; "balanced": n_samples / (n_classes * count), counted
        in what is trained on.
    validation_data : (x, y), optional
        Evaluated after each epoch.
    validation_fraction : float, default 0
        Share of the samples, of each class, that is held out and evaluated after each epoch
        instead, below 1.
    metrics : sequence of str, default none
        Measured on the validation data after each epoch, beside loss and accuracy: "top_5" (or
        another k), "f1", "precision", "recall", "r2", "mae", "mse".
    clip_norm : float, optional
        Largest norm of the whole gradient; as `torch.nn.utils.clip_grad_norm_`.
    clip_value : float, optional
        Largest size of an item of the gradient.
    max_norm : float, optional
        Largest norm of the weights into a unit, to which longer ones are scaled after each step
        (Srivastava et al., 2014).
    averaging : EMA or SWA, optional
        The model is validated, and ends, with averaged parameters.
    augmentation : Augmentation, optional
        Random changes of the images, other ones in each step.
    max_seconds : float, optional
        Ends with the first epoch after which so much time has gone by since training began.
    target_accuracy : float, optional
        Ends with the first epoch whose validation accuracy reaches it.
    callbacks : sequence of Callback
        Called in turn.
    resume : TrainingState, optional
        Goes on from there (``history.state`` of an earlier call, or of a checkpoint) with the same
        bits as a run that never stopped, given the same samples and arguments. The model's
        parameters become those of the state. What had ended by early stopping or at
        ``target_accuracy`` ends at once.
    threads : int, optional
        1 to 256; more than there are cores is allowed, and slower. Default:
        ``FASTMLP_NUM_THREADS``, or all physical cores that the process may use, or as many of these
        as the first steps show to be fastest. The result is the same bits for any number.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or a value that is not allowed; nothing is changed.
    FloatingPointError
        If the loss becomes NaN or infinite; the model keeps the parameters from before that step.
    KeyboardInterrupt
        On Ctrl-C, after the step at hand; the model keeps what it has learned.
    """
    samples, targets = labelled(model, x, y, sample_weight)
    seed = check_integer("seed", seed, 0)
    rows, validation = _split(model, samples, targets, validation_data, validation_fraction, seed)
    if class_weight is not None:
        targets = labelled(model, x, y, sample_weight, class_weight, counted=rows)[1]
    run = _Run(
        model=model,
        samples=samples,
        targets=targets,
        rows=rows,
        validation=validation,
        epochs=check_integer("epochs", epochs, 0),
        batch_size=_check_batch_size(batch_size, len(rows)),
        optimizer=check_optimizer(optimizer, model),
        schedule=_check_schedule(schedule),
        seed=seed,
        shuffle=check_flag("shuffle", shuffle),
        metrics=_check_metrics(metrics, model, validation is not None),
        averaging=_check_kind("averaging", averaging, Averaging),
        augmentation=_check_kind("augmentation", augmentation, Augmentation),
        max_seconds=None if max_seconds is None else check_number("max_seconds", max_seconds, 0),
        target_accuracy=_check_target(target_accuracy, model, validation is not None),
        callbacks=check_callbacks(callbacks),
        clip_norm=check_limit("clip_norm", clip_norm),
        clip_value=check_limit("clip_value", clip_value),
        max_norm=check_limit("max_norm", max_norm),
    )
    run.check_combinations()
    if resume is not None:
        run.check_resume(resume)
    run.fewer_threads = are_free(threads)
    threads = threads_for(threads, len(rows) * len(model.parameters))
    check_needs(run.callbacks, validation is not None, run.metrics, resume)
    start = time.perf_counter()
    with in_another_thread(lambda: run.compiled(threads)) as engine:
        run.history.compile_seconds = time.perf_counter() - start
        run.begin(engine, resume)
        try:
            run.train()
            run.history.state = run.state()
        finally:
            run.finish()
    for callback in run.callbacks:
        callback.on_train_end(model, run.history)
    return run.history


def _text_of(setting: Any) -> str:
    """``repr``; of an object of another's class its name, not its place in memory."""
    plain = setting is None or isinstance(setting, float) or is_dataclass(setting)
    return repr(setting) if plain else type(setting).__qualname__


class _Part(NamedTuple):
    """Samples, their targets, and which of them count, in their order."""

    samples: Samples
    targets: Targets
    rows: NDArray[np.int64]


@dataclass
class _Run:
    """One call of `fit`: what it was asked for, and how far it is."""

    model: MLP
    samples: Samples
    targets: Targets
    rows: NDArray[np.int64]
    validation: _Part | None
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

    def __post_init__(self) -> None:
        self.history = History()
        self.epoch = 0
        self.averaged = 0
        self.schedule_state = self.schedule.start()
        self.mean: NDArray[Any] | None = None  # of the parameters, by SWA; EMA's is the engine's
        self.own: NDArray[Any] | None = None  # the parameters, while the model holds their average

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def check_combinations(self) -> None:
        """ValueError for settings of which each is allowed, but not together."""
        validated = self.validation is not None
        if hasattr(self.schedule, "check"):
            self.schedule.check(self.epochs, self.steps_per_epoch, validated)
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
                "batch_size must be 2 or more for batch norm, which sets a batch of 1 to zero"
            )
        if isinstance(self.averaging, SWA) and self.averaging.start_epoch > self.epochs > 0:
            raise ValueError(
                f"averaging starts in epoch {self.averaging.start_epoch}, after the last of "
                f"{self.epochs}"
            )
        if isinstance(self.optimizer, LBFGS):
            self._check_lbfgs()

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
        }.items():
            if given:
                raise ValueError(
                    f"optimizer LBFGS cannot be used with {name}: its line search needs one and "
                    "the same function of the weights throughout"
                )

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
            "shuffle": str(self.shuffle),
            "samples": str(len(self.rows)),
        }

    def compiled(self, threads: int) -> Engine:
        """Make the engine, compiling its kernels or loading them from the cache."""
        from fastmlp.engine.engine import Engine, UpdateLimits, compile_for

        # Validation wants more rows at a time than a small batch has.
        held = len(self.validation.rows) if self.validation else 0
        compile_for(self.model, self.optimizer, self.samples.kind, self.targets)
        decay = self.averaging.decay if isinstance(self.averaging, EMA) else None
        self.engine = Engine(
            self.model,
            max(self.batch_size, min(held, PREDICT_ROWS)),
            threads,
            self.optimizer,
            self.fewer_threads,
            learns=True,
            limits=UpdateLimits(self.clip_norm, self.clip_value, self.max_norm, decay),
            seed=self.seed,
            augmentation=self.augmentation,
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
            callback.set_state(remembered)
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
            run=self.settings(),
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
        return [callback for callback in self.callbacks if hasattr(callback, "set_state")]

    @property
    def _planes(self) -> int:
        return len(self.engine.state) // len(self.model.parameters)

    def train(self) -> None:
        """All epochs that are left."""
        if isinstance(self.optimizer, LBFGS):
            self._minimize()
            return
        if self._had_ended():
            return
        while self.epoch < self.epochs:
            for callback in self.callbacks:
                callback.on_epoch_begin(self.model, self.epoch + 1)
            if self._end_epoch(*self._pass()):
                break

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
        from fastmlp.engine.engine import NonFiniteLossError

        start = time.perf_counter()
        order = self.rows
        if self.shuffle and self.batch_size < len(order):
            rng = np.random.default_rng((self.seed, self.epoch + 1))
            order = order[rng.permutation(len(order))]
        first = self.engine.step
        rates = self.schedule.rates(
            self.optimizer.lr,
            first + np.arange(1, self.steps_per_epoch + 1),
            self.steps_per_epoch,
            self.epochs,
            self.schedule_state,
        )
        try:
            totals = self.engine.train(
                self.samples, self.targets, order, self.batch_size, rates, self._watch
            )
        except NonFiniteLossError as error:
            raise FloatingPointError(
                f"the loss became NaN or infinite in epoch {self.epoch + 1}, step "
                f"{error.step + 1}; the parameters are those before it; try a learning rate below "
                f"{self.optimizer.lr:g}, or scale the input to about [0, 1]"
            ) from None
        return totals, time.perf_counter() - start, float(rates[-1])

    def _watch(self, totals: Totals) -> None:
        for callback in self.callbacks:
            callback.on_progress(totals.samples, totals.mean_loss, self._accuracy(totals))

    def _accuracy(self, totals: Totals) -> float | None:
        return totals.accuracy if self.model.loss.has_accuracy else None

    def _end_epoch(self, totals: Totals, seconds: float, rate: float) -> bool:
        """Validate, record, ask the callbacks; whether training ends."""
        self.epoch += 1
        for phase, spent in _phase_seconds(self.engine).items():
            self.history.phase_seconds[phase] += spent
        self._add_to_average()
        with _average_in_place(self):
            scores, measured = self._validate()
            record = Epoch(
                self.epoch,
                seconds,
                totals.mean_loss,
                self._accuracy(totals),
                scores.mean_loss if scores else None,
                self._accuracy(scores) if scores else None,
                rate,
                measured,
            )
            self.history.epochs.append(record)
            self.schedule.epoch_ended(self.schedule_state, record)
            # Every callback hears of the epoch before any answer counts.
            stops = [bool(callback.on_epoch_end(self.model, record)) for callback in self.callbacks]
            for callback in self.callbacks:
                if hasattr(callback, "on_checkpoint"):
                    callback.on_checkpoint(self.model, self.state)
        if self.max_seconds is not None:
            stops.append(time.perf_counter() - self.started >= self.max_seconds)
        return any(stops) or self._reaches_target(record)

    def _validate(self) -> tuple[Totals | None, dict[str, float]]:
        if self.validation is None:
            return None, {}
        part = self.validation
        scores = self.engine.score(part.samples, part.targets, part.rows)
        if not self.metrics:
            return scores, {}
        outputs = np.empty((len(part.rows), self.model.layers[-1]), dtype=self.model.dtype)
        head = "exponential" if self.model.loss.output == "exponential" else "logits"
        self.engine.outputs(part.samples, part.rows, head, outputs)
        y = part.targets.labels if len(part.targets.labels) else part.targets.rows
        kind = _metric_kind(self.model)
        return scores, {
            name: scores.mean_loss if name == "loss" else measure(name, y[part.rows], outputs, kind)
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

    def finish(self) -> None:
        """Leave the averaged parameters in the model."""
        mean = self._average()
        if mean is not None:
            self.model.parameters[...] = mean

    def _minimize(self) -> None:
        """L-BFGS: an iteration stands for an epoch."""
        from fastmlp.lbfgs import minimize

        last = {"since": time.perf_counter(), "begun": 0.0}
        totals: list[Totals] = []
        names = [name for name in self.model.state_dict() if name[0] in "Wbs"]

        def loss_and_gradients() -> tuple[float, dict[str, NDArray[Any]]]:
            # An iteration begins with its first trial: after the last one there is none.
            if last["begun"] == self.epoch:
                last["begun"] += 1
                for callback in self.callbacks:
                    callback.on_epoch_begin(self.model, self.epoch + 1)
            totals[:] = [self.engine.gradients_of(self.samples, self.targets, self.rows)]
            # Later on it may be a trial of the line search, which then takes a shorter step.
            if not self.epoch and not math.isfinite(totals[0].loss):
                raise FloatingPointError(
                    "the loss is NaN or infinite before the first step; try to scale the input to "
                    "about [0, 1]"
                )
            gradients = parameter_views(self.engine.gradients, self.model.places)
            return totals[0].mean_loss, {name: gradients[name] for name in names}

        def iteration_ended() -> bool:
            seconds = time.perf_counter() - last["since"]
            stop = self._end_epoch(totals[0], seconds, self.optimizer.lr)
            last["since"] = time.perf_counter()
            return stop

        views = parameter_views(self.model.parameters, self.model.places)
        assert isinstance(self.optimizer, LBFGS)
        minimize(
            self.optimizer,
            {name: views[name] for name in names},
            loss_and_gradients,
            iteration_ended,
            self.epochs,
        )


@contextlib.contextmanager
def _average_in_place(run: _Run) -> Iterator[None]:
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


def evaluate(
    model: MLP,
    x: ArrayLike,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    threads: int | None = None,
) -> Evaluation:
    """Mean loss and accuracy of ``model`` on ``x`` and ``y``.

    Parameters
    ----------
    model, x, y, sample_weight, threads
        As in `fit`. Weights count in the loss, not in the accuracy.

    Raises
    ------
    TypeError, ValueError
        As in `fit`.
    """
    samples, targets = labelled(model, x, y, sample_weight)
    threads = threads_for(threads, samples.count * len(model.parameters))

    from fastmlp.engine.engine import Engine

    with Engine(model, min(samples.count, PREDICT_ROWS), threads) as engine:
        return evaluation_of(model, engine.score(samples, targets))


def loss_and_gradients(
    model: MLP,
    x: ArrayLike,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    threads: int | None = None,
) -> Gradients:
    """Mean loss on ``x`` and ``y`` as one batch, and its gradient by every parameter.

    Batch norm takes the statistics of this batch, as in training; nothing is dropped.

    Parameters
    ----------
    model, x, y, sample_weight, class_weight, threads
        As in `fit`; the model is not changed.

    Raises
    ------
    TypeError, ValueError
        As in `fit`.
    """
    samples, targets = labelled(model, x, y, sample_weight, class_weight)
    threads = threads_for(threads, samples.count * len(model.parameters))

    from fastmlp.engine.engine import Engine

    with Engine(model, samples.count, threads, learns=True) as engine:
        totals = engine.gradients_of(samples, targets)
        views = parameter_views(engine.gradients, model.places)
        kinds = ("W", "b", "scale", "shift")
        return Gradients(totals.mean_loss, *(views_of(views, kind) for kind in kinds))


def _phase_seconds(engine: Engine) -> dict[str, float]:
    """Seconds of the engine's last job in each phase, the mean over the threads that took part."""
    from fastmlp.engine.records import BACKWARD, FORWARD, GATHER, HEAD, UPDATE, WAIT

    columns = (GATHER, FORWARD, HEAD, BACKWARD, UPDATE, WAIT)
    seconds = engine.phase_seconds()[:, columns]
    each = seconds.sum(axis=1)
    # Those that take part do so for the whole time; others have had no part, or a short one.
    means = seconds.sum(axis=0) * (each.max() / each.sum() if each.any() else 0.0)
    return dict(zip(PHASES, means.tolist(), strict=True))


def evaluation_of(model: MLP, totals: Totals) -> Evaluation:
    """Means of a job's sums."""
    accuracy = totals.accuracy if model.loss.has_accuracy else None
    return Evaluation(totals.mean_loss, accuracy)


def labelled(
    model: object,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
    prefix: str = "",
    counted: NDArray[np.int64] | None = None,
) -> tuple[Samples, Targets]:
    """What users hand in, checked."""
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a fastmlp.MLP, not {shown(model)}")
    samples = check_samples(x, model.layers[0], model.dtype, model.uint8_scale, f"{prefix}x")
    targets = check_targets(
        y,
        samples.count,
        model.layers[-1],
        model.loss,
        model.dtype,
        sample_weight,
        class_weight,
        prefix,
        counted,
    )
    return samples, targets


def _split(
    model: MLP,
    samples: Samples,
    targets: Targets,
    validation_data: Any,
    fraction: Any,
    seed: int,
) -> tuple[NDArray[np.int64], _Part | None]:
    """Rows to train on, and what to validate with, without weights."""
    rows = np.arange(samples.count)
    fraction = check_number("validation_fraction", fraction, 0, 1)
    if validation_data is not None:
        if fraction:
            raise ValueError("validation_fraction must be 0 where validation_data is given")
        try:
            x_val, y_val = validation_data
        except (TypeError, ValueError):
            given = shown(validation_data)
            raise TypeError(f"validation_data must be a pair (x, y), not {given}") from None
        held_samples, held_targets = labelled(model, x_val, y_val, prefix="validation_data ")
        return rows, _Part(held_samples, held_targets, np.arange(held_samples.count))
    if not fraction:
        return rows, None
    labels = None
    if len(targets.labels):
        labels = targets.labels
    elif model.loss.targets == "binary" and targets.rows.shape[1] == 1:
        labels = (targets.rows[:, 0] > 0.5).astype(np.int64)
    held = held_out(labels, samples.count, fraction, seed)
    none = targets.weights[:0]
    return rows[~held], _Part(samples, replace(targets, weights=none, masses=none), rows[held])


def _check_batch_size(batch_size: int | str, n_samples: int) -> int:
    if isinstance(batch_size, str):
        if batch_size != "full":
            raise ValueError(f"batch_size must be an integer or 'full', not {shown(batch_size)}")
        return n_samples
    return min(check_integer("batch_size", batch_size, 1), n_samples)


def check_optimizer(optimizer: object, model: MLP) -> Optimizer:
    """An optimiser that can train ``model``; SGD() for None."""
    if optimizer is None:
        return SGD()
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be a fastmlp optimizer such as SGD(), not {type(optimizer).__name__}"
        )
    optimizer.check_dtype(model.dtype)
    optimizer.check_layers(len(model.layers) - 1)
    return optimizer


def check_limit(name: str, value: Any) -> float | None:
    """A number above 0, or None."""
    return None if value is None else check_positive(name, value)


def _check_kind(name: str, value: Any, kind: type) -> Any:
    if value is not None and not isinstance(value, kind):
        example = {"Schedule": "Cosine()", "Averaging": "EMA()"}.get(kind.__name__)
        hint = f" such as {example}" if example else ""
        raise TypeError(f"{name} must be a fastmlp {kind.__name__}{hint}, not {shown(value)}")
    return value


def _check_schedule(schedule: Any) -> Schedule:
    """A schedule, which need not be one by class; Constant() for None."""
    if schedule is None:
        return Constant()
    for method in ("start", "rates", "epoch_ended"):
        if not callable(getattr(schedule, method, None)):
            raise TypeError(
                f"schedule must be a fastmlp Schedule such as Cosine(), or have its method {method}"
                f", not {shown(schedule)}"
            )
    checked: Schedule = schedule
    return checked


def _check_metrics(metrics: Any, model: MLP, validated: bool) -> tuple[str, ...]:
    names = check_metrics(metrics, _metric_kind(model), model.layers[-1])
    if names and not validated:
        raise ValueError(
            f"metrics {', '.join(names)} need validation_data or validation_fraction, to be "
            "measured on"
        )
    return names


def _metric_kind(model: MLP) -> str:
    return {"classes": "labels", "binary": "binary"}.get(model.loss.targets, "real")


def _check_target(target: Any, model: MLP, validated: bool) -> float | None:
    if target is None:
        return None
    value = check_number("target_accuracy", target, 0)
    if not 0 < value <= 1:
        raise ValueError(f"target_accuracy must be above 0 and at most 1, not {shown(target)}")
    if not model.loss.has_accuracy:
        raise ValueError(f"target_accuracy needs a loss of classes, not {model.loss.name}")
    if not validated:
        raise ValueError("target_accuracy needs validation_data or validation_fraction")
    return value
