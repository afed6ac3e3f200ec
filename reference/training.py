"""Training: gradient descent on mini-batches, and how far it has come."""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any, Literal

import numpy as np

from .augmentation import Augmentation
from .averaging import SWA, Averaging, averaged
from .callbacks import Callback, check_callbacks, check_needs
from .data import Data, check_data, check_validation_data, split
from .evaluation import Evaluation
from .functions import Array
from .history import History
from .inputs import (
    as_batch,
    check_batch_size,
    check_boolean,
    check_fraction,
    check_integer,
    check_number,
    check_threads,
    shown,
)
from .lbfgs import LBFGS, fit_by_lbfgs
from .metrics import check_metrics
from .network import MLP
from .optimizers import SGD, Optimizer
from .step import Batch, Limits, Plan, TrainingState, start, take_step
from .watch import Watch


def fit(
    model: MLP,
    x: Any,
    y: Any,
    *,
    epochs: int = 10,
    batch_size: int | Literal["full"] = 128,
    optimizer: Optimizer | LBFGS | None = None,
    schedule: Any = None,
    seed: int = 0,
    shuffle: bool = True,
    sample_weight: Any = None,
    class_weight: Any = None,
    validation_data: tuple[Any, Any] | None = None,
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
    comm: None = None,
) -> History:
    """For each batch: dW = ∂(mean loss)/∂W, by which the optimizer updates W, in place.

    Parameters
    ----------
    x : (n_samples, n_features)
        Array, DataFrame, sparse matrix. uint8 is multiplied by model.uint8_scale.
    y : (n_samples,) or (n_samples, n_outputs)
        What the model's loss takes: classes 0..n_outputs-1, probabilities, or numbers.
    epochs : int, default 10
        Passes over the data.
    batch_size : int or "full", default 128
        Samples a step. The last batch of an epoch holds what is left.
    optimizer : Optimizer or LBFGS, default SGD()
        The update; what it remembers from step to step begins anew with each call.
    schedule : Schedule, optional
        The learning rate of each step, see :mod:`reference.schedules`; without one that of the
        optimizer.
    seed : int, default 0
        Decides the order of the batches, see :func:`batch_order`, and the masks of dropout.
    shuffle : bool, default True
        False takes the samples in the order given.
    sample_weight : (n_samples,), optional
        What each sample counts in the mean loss, not negative.
    class_weight : dict, array-like (n_classes,) or "balanced", optional
        What each class counts, see :func:`reference.inputs.check_class_weight`.
    validation_data : (x, y), optional
        Evaluated after each epoch, without weights.
    validation_fraction : float, default 0
        The share of the samples, in [0, 1), that is held out for it; see :func:`split`.
    metrics : sequence of str, default ()
        Measured on the validation data after each epoch, see :mod:`reference.metrics`.
    clip_norm, clip_value : float, optional
        Limit of the norm of all gradients as one vector, or of each item; not both.
    max_norm : float, optional
        Limit of the norm of the weights into each unit.
    averaging : EMA or SWA, optional
        What the model holds at the end, and in validation and callbacks after each epoch, is an
        average of its parameters.
    augmentation : Augmentation, optional
        Changes the images of each batch at random.
    max_seconds : float, optional
        The first epoch that ends later than this is the last.
    target_accuracy : float, optional
        The first epoch whose validation accuracy is at least this is the last.
    callbacks : sequence of Callback
    resume : TrainingState, optional
        `state` of the history of an earlier fit of this model, with which to go on: epochs are
        counted from its own up to `epochs`.
    threads
        For the shared signature; has no effect here.
    comm
        For the shared signature; None: this trains in one process.

    Raises
    ------
    ValueError, TypeError
        Before anything is changed, in one line that names the argument.
    FloatingPointError
        When a batch's loss is NaN or infinite; the parameters are those before that step.
    """
    data = check_data(model, x, y, sample_weight)
    check_threads(threads)
    if comm is not None:
        raise ValueError(
            f"comm must be None: the reference trains in one process, got {shown(comm)}"
        )
    epochs = check_integer("epochs", epochs, 0)
    seed = check_integer("seed", seed, 0)
    check_boolean("shuffle", shuffle)
    validation = None
    if validation_data is not None:
        validation = check_validation_data(model, validation_data)
    if check_fraction("validation_fraction", validation_fraction) > 0:
        if validation is not None:
            raise ValueError(
                "validation_fraction and validation_data exclude each other, got "
                f"validation_fraction {validation_fraction:g}"
            )
        data, validation = split(model, data, validation_fraction, seed)
    n = len(data)
    rows_a_step = check_batch_size(batch_size, n)
    c = model.loss.check_class_weight(class_weight, data.T, model.layers[-1])
    metrics = check_metrics(metrics, model.loss.kind, model.layers[-1])
    if metrics and validation is None:
        raise ValueError(
            f"metrics need validation_data or validation_fraction, got {shown(metrics)} alone"
        )
    limits = Limits(clip_norm, clip_value, max_norm)
    _check_augmentation(model, augmentation)
    if max_seconds is not None:
        max_seconds = check_number("max_seconds", max_seconds, 0)
    target_accuracy = _check_target_accuracy(model, target_accuracy, validation)
    callbacks = check_callbacks(callbacks)
    check_needs(callbacks, validation is not None, metrics)
    steps_per_epoch = math.ceil(n / rows_a_step)
    schedule = _check_schedule(schedule, epochs, steps_per_epoch, validation is not None)
    if averaging is not None and not isinstance(averaging, Averaging):
        raise TypeError(f"averaging must be an EMA, an SWA or None, got {shown(averaging)}")
    if isinstance(averaging, SWA) and averaging.start_epoch > epochs > 0:
        raise ValueError(
            f"averaging starts in epoch {averaging.start_epoch}, after epochs={epochs}"
        )
    for name, monitoring in (("schedule", schedule), *((type(c).__name__, c) for c in callbacks)):
        monitor = str(getattr(monitoring, "monitor", ""))
        if monitor.endswith("_accuracy") and model.loss.kind == "real":
            raise ValueError(f"{name} monitors {monitor}, which {model.loss.name} does not have")
    watch = Watch(model, callbacks, validation, metrics, max_seconds, target_accuracy)
    if isinstance(optimizer, LBFGS):
        _refuse_with_lbfgs(
            schedule=schedule, clip_norm=clip_norm, clip_value=clip_value, max_norm=max_norm,
            averaging=averaging, augmentation=augmentation, resume=resume,
            dropout=model.dropout_rates if any(model.dropout_rates) else None,
            norm=model.norm if model.running_means else None,
        )  # fmt: skip
        return fit_by_lbfgs(model, data, c, optimizer, epochs, watch)

    plan = Plan(_check_optimizer(optimizer), c, limits, seed, averaging, augmentation)
    state = start(model, plan, {} if schedule is None else schedule.start())
    state.settings = {
        "seed": str(seed), "batch_size": str(rows_a_step), "shuffle": str(shuffle),
        "optimizer": repr(plan.optimizer), "schedule": _text_of(schedule),
        "limits": repr(limits), "averaging": repr(averaging), "augmentation": repr(augmentation),
        "class_weight": repr(c.tolist()), "samples": str(n),
    }  # fmt: skip
    if resume is not None:
        state = _resumed(model, resume, state)
        watch.history.epochs = list(state.epochs)
    lr = plan.optimizer.lr
    watch.begin(epochs, n)
    for epoch in range(state.epoch + 1, epochs + 1):
        watch.begin_epoch(epoch)
        started = time.perf_counter()
        rates = np.full(steps_per_epoch, lr)
        if schedule is not None:
            steps = state.step + 1 + np.arange(steps_per_epoch)
            rates = schedule.rates(lr, steps, steps_per_epoch, epochs, state.schedule)
        order = batch_order(n, rows_a_step, seed, epoch, shuffle)
        train = _train_epoch(model, data, order, rows_a_step, rates, plan, state, watch)
        seconds = time.perf_counter() - started
        with averaged(model, state.averaging):
            is_last = watch.end_epoch(epoch, seconds, train, float(rates[-1]))
        if schedule is not None:
            schedule.epoch_ended(state.schedule, watch.history.epochs[-1])
        if is_last:
            break
    state.parameters, state.epochs = model.state_dict(), list(watch.history.epochs)
    watch.history.state = state
    if state.averaging is not None and state.averaging.count:
        model.load_state_dict(state.averaging.arrays)
    return watch.end()


def train_step(
    model: MLP,
    x: Any,
    y: Any,
    *,
    optimizer: Optimizer | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    seed: int = 0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    max_norm: float | None = None,
    threads: int | None = None,
) -> Evaluation:
    """One update with (x, y) as the batch: a loop of one's own in the place of :func:`fit`.

    What the optimizer remembers, and the count of steps, stay with the model from call to call
    while optimizer, seed and limits are equal; other ones begin anew.

    Parameters
    ----------
    x, y, optimizer, sample_weight, class_weight, seed, clip_norm, clip_value, max_norm, threads
        As :func:`fit` has them.

    Returns
    -------
    Evaluation
        Of the batch, before the update.

    Raises
    ------
    ValueError, TypeError, FloatingPointError
        As :func:`fit`.
    """
    data = check_data(model, x, y, sample_weight)
    check_threads(threads)
    plan = Plan(
        _check_optimizer(optimizer),
        model.loss.check_class_weight(class_weight, data.T, model.layers[-1]),
        Limits(clip_norm, clip_value, max_norm),
        check_integer("seed", seed, 0),
    )
    key = plan.optimizer, plan.limits, plan.seed
    if model.stepping is None or model.stepping[0] != key:
        model.stepping = key, start(model, plan)
    state = model.stepping[1]
    X = as_batch(data.x, model.dtype, model.uint8_scale)
    batch = take_step(model, X, data.T, data.weights, plan, state, plan.optimizer.lr)
    if not math.isfinite(batch.loss):
        raise FloatingPointError(
            f"loss is {batch.loss} at step {state.step}: "
            f"try a learning rate below {plan.optimizer.lr:g}"
        )
    return Evaluation(batch.mean_loss, batch.accuracy)


def batch_order(n: int, batch_size: int, seed: int, epoch: int, shuffle: bool) -> Array | None:
    """Rows of one epoch (n,): a permutation drawn from (seed, epoch), or None for 0..n-1.

    A single batch holds every row whatever the order, so it is not shuffled.
    """
    if not shuffle or batch_size >= n:
        return None
    return np.random.default_rng((seed, epoch)).permutation(n)


def _train_epoch(
    model: MLP,
    data: Data,
    order: Array | None,
    batch_size: int,
    rates: Array,
    plan: Plan,
    state: TrainingState,
    watch: Watch,
) -> Batch:
    """Every batch once: gradients, then the update. Returns the sums over the samples."""
    n = len(data)
    epoch = state.epoch + 1
    seen = None
    for i, first in enumerate(range(0, n, batch_size)):
        last = min(first + batch_size, n)
        # Rows in their own order are a slice, which NumPy takes without copying.
        batch = data.rows(slice(first, last) if order is None else order[first:last])
        X = as_batch(batch.x, model.dtype, model.uint8_scale)  # (batch, n_features)
        sums = take_step(model, X, batch.T, batch.weights, plan, state, float(rates[i]))
        if not math.isfinite(sums.loss):
            raise FloatingPointError(
                f"loss is {sums.loss} at epoch {epoch}, step {i + 1}: "
                f"try a learning rate below {plan.optimizer.lr:g}"
            )
        seen = sums if seen is None else seen + sums
        watch.progress(seen)
    if plan.averaging is not None and state.averaging is not None:
        plan.averaging.after_epoch(state.averaging, model, epoch)
    state.epoch = epoch
    assert seen is not None  # a data set is not empty
    return seen


def _refuse_with_lbfgs(**settings: Any) -> None:
    """Refuse what is for steps of mini-batches; None is what stands for its absence."""
    for name, value in settings.items():
        if value is not None:
            raise ValueError(f"{name} is not for LBFGS, got {shown(value)}")


def _resumed(model: MLP, resume: Any, fresh: TrainingState) -> TrainingState:
    """A copy of the state to go on from, if it fits this training; the model gets its arrays.

    Parameters
    ----------
    resume : TrainingState
    fresh : TrainingState
        That of a training which begins, with the same settings.
    """
    if not isinstance(resume, TrainingState):
        raise TypeError(f"resume must be a TrainingState, got {shown(resume)}")
    for name, value in fresh.settings.items():
        if resume.settings[name] != value:
            raise ValueError(f"{name} must be {resume.settings[name]} to resume, as before")
    for ours, theirs in zip(fresh.optimizer, resume.optimizer, strict=False):
        if {k: V.shape for k, V in ours.items()} != {k: V.shape for k, V in theirs.items()}:
            raise ValueError("resume must be the state of a training of this model and optimizer")
    if len(fresh.optimizer) != len(resume.optimizer):
        raise ValueError("resume must be the state of a training of this model and optimizer")
    if (fresh.averaging is None) != (resume.averaging is None):
        raise ValueError("resume must be the state of a training with the same averaging")
    model.load_state_dict(resume.parameters)
    return copy.deepcopy(resume)


def _text_of(schedule: Any) -> str:
    """``repr``; of an object of another's class its name, not its place in memory."""
    return repr(schedule) if is_dataclass(schedule) else type(schedule).__qualname__


def _check_optimizer(optimizer: Any) -> Optimizer:
    """SGD() for None."""
    optimizer = SGD() if optimizer is None else optimizer
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be an optimizer, such as SGD() or Adam(), got {shown(optimizer)}"
        )
    return optimizer


def _check_schedule(schedule: Any, epochs: int, steps_per_epoch: int, validation: bool) -> Any:
    """Check that it has the methods of a schedule, which it need not be by class, and let it check.

    `validation` is whether there are validation data.
    """
    for method in ("start", "rates", "epoch_ended"):
        if schedule is not None and not callable(getattr(schedule, method, None)):
            raise TypeError(f"schedule must have a method {method}, got {shown(schedule)}")
    if hasattr(schedule, "check"):
        schedule.check(epochs, steps_per_epoch, validation)
    return schedule


def _check_augmentation(model: MLP, augmentation: Any) -> None:
    """Check that its images have the model's features."""
    if augmentation is None:
        return
    if not isinstance(augmentation, Augmentation):
        raise TypeError(f"augmentation must be an Augmentation or None, got {shown(augmentation)}")
    if augmentation.n_features != model.layers[0]:
        raise ValueError(
            f"augmentation must be of images of {model.layers[0]} features, got image_shape "
            f"{augmentation.image_shape}"
        )


def _check_target_accuracy(model: MLP, value: Any, validation: Data | None) -> float | None:
    """Value as an accuracy that validation can measure, or None."""
    if value is None:
        return None
    accuracy = check_number("target_accuracy", value, 0)
    if accuracy > 1:
        raise ValueError(f"target_accuracy must be in 0..1, got {accuracy:g}")
    if validation is None:
        raise ValueError(
            f"target_accuracy needs validation_data or validation_fraction, got {accuracy:g} alone"
        )
    if model.loss.kind == "real":
        raise ValueError(f"target_accuracy needs a loss of classes, got {model.loss.name}")
    return accuracy
