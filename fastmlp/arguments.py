"""The arguments of `fit` and its like: checked, and brought to the form that the engine reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.averaging import Averaging
from fastmlp.checks import check_fits, check_integer, check_number, check_positive, shown
from fastmlp.inputs import Samples, check_samples
from fastmlp.metrics import check_metrics
from fastmlp.model import MLP
from fastmlp.optimizers import SGD, Optimizer
from fastmlp.schedules import Constant, Schedule
from fastmlp.splits import held_out
from fastmlp.targets import Targets, check_targets


class Part(NamedTuple):
    """Samples, their targets, and which of them count, in their order."""

    samples: Samples
    targets: Targets
    rows: NDArray[np.int64]


def labelled(
    model: object,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
    prefix: str = "",
    counted: NDArray[np.int64] | None = None,
    all_zero_allowed: bool = False,
    in_windows: bool = False,
) -> tuple[Samples, Targets]:
    """What users hand in, checked; ``in_windows``: x may stay on disk."""
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a fastmlp.MLP, not {shown(model)}")
    samples = check_samples(
        x, model.layers[0], model.dtype, model.uint8_scale, f"{prefix}x", in_windows=in_windows
    )
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
        all_zero_allowed,
    )
    return samples, targets


def split(
    model: MLP,
    samples: Samples,
    targets: Targets,
    validation_data: Any,
    fraction: Any,
    seed: int,
) -> tuple[NDArray[np.int64], Part | None]:
    """Rows to train on, and what to validate with, without weights."""
    rows = np.arange(samples.count)
    given = given_part(model, validation_data, fraction)
    if given is not None or not fraction:
        return rows, given
    held = held_out(classes_of(model, targets), samples.count, fraction, seed)
    return rows[~held], part_of(samples, targets, rows[held])


def given_part(model: MLP, validation_data: Any, fraction: Any) -> Part | None:
    """``validation_data``, which excludes a fraction of the samples."""
    fraction = check_number("validation_fraction", fraction, 0, 1)
    if validation_data is None:
        return None
    if fraction:
        raise ValueError("validation_fraction must be 0 where validation_data is given")
    try:
        x_val, y_val = validation_data
    except (TypeError, ValueError):
        given = shown(validation_data)
        raise TypeError(f"validation_data must be a pair (x, y), not {given}") from None
    samples, targets = labelled(model, x_val, y_val, prefix="validation_data ", in_windows=True)
    return Part(samples, targets, np.arange(samples.count))


def part_of(samples: Samples, targets: Targets, rows: NDArray[np.int64]) -> Part:
    """``rows`` to validate with, without weights."""
    none = targets.weights[:0]
    return Part(samples, replace(targets, weights=none, masses=none), rows)


def classes_of(model: MLP, targets: Targets) -> NDArray[np.int64] | None:
    """The class of each sample (n_samples,); None where each has not one."""
    if len(targets.labels):
        return targets.labels
    if model.loss.targets == "binary" and targets.rows.shape[1] == 1:
        return (targets.rows[:, 0] > 0.5).astype(np.int64)
    return None


def check_batch_size(batch_size: int | str, n_samples: int) -> int:
    """Samples in a step; "full" stands for all."""
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


def check_limit(name: str, value: Any, dtype: np.dtype[Any]) -> float | None:
    """A number above 0, in ``dtype`` too, or None."""
    if value is None:
        return None
    limit = check_positive(name, value)
    check_fits(name, limit, dtype)
    return limit


def check_kind(name: str, value: Any, kind: type) -> Any:
    """``value``, which must be of that class or None."""
    if value is not None and (not isinstance(value, kind) or type(value) is Averaging):
        example = {"Schedule": "Cosine()", "Averaging": "EMA()"}.get(kind.__name__)
        hint = f" such as {example}" if example else ""
        raise TypeError(f"{name} must be a fastmlp {kind.__name__}{hint}, not {shown(value)}")
    return value


def check_schedule(schedule: Any) -> Schedule:
    """A schedule, which need not be one by class; Constant() for None."""
    if schedule is None:
        return Constant()
    for method in ("start", "rates", "epoch_ended"):
        if isinstance(schedule, type) or not callable(getattr(schedule, method, None)):
            raise TypeError(
                f"schedule must be a fastmlp Schedule such as Cosine(), or have its method {method}"
                f", not {shown(schedule)}"
            )
    checked: Schedule = schedule
    return checked


def check_measured(metrics: Any, model: MLP, validated: bool) -> tuple[str, ...]:
    """Names of metrics that make sense for the loss, and validation data to measure them on."""
    names = check_metrics(metrics, metric_kind(model), model.layers[-1])
    if names and not validated:
        raise ValueError(
            f"metrics {', '.join(names)} need validation_data or validation_fraction, to be "
            "measured on"
        )
    return names


def metric_kind(model: MLP) -> str:
    """What its loss predicts, as `metrics` calls it."""
    return {"classes": "labels", "binary": "binary"}.get(model.loss.targets, "real")


def check_target(target: Any, model: MLP, validated: bool) -> float | None:
    """A share of hits above 0, or None, where there are hits and validation data."""
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
