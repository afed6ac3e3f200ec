"""The one training loop: `fit`, `evaluate`, `loss_and_gradients`, `History`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.callbacks import Callback, check_callbacks
from fastmlp.checks import check_integer, shown
from fastmlp.engine.layout import PREDICT_ROWS, parameter_views
from fastmlp.history import PHASES, Epoch, History
from fastmlp.inputs import Samples, check_labels, check_samples
from fastmlp.model import MLP
from fastmlp.optimizers import SGD, Optimizer
from fastmlp.threads import are_free, in_another_thread, threads_for

if TYPE_CHECKING:
    from fastmlp.engine.engine import Engine


class Evaluation(NamedTuple):
    """Mean loss and accuracy over a data set."""

    loss: float
    accuracy: float


class Gradients(NamedTuple):
    """Mean loss and its gradients: ``weights`` (n_in, n_out) and ``biases`` (n_out,) by layer."""

    loss: float
    weights: list[NDArray[np.floating]]
    biases: list[NDArray[np.floating]]


def fit(
    model: MLP,
    x: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int = 10,
    batch_size: int | str = 128,
    optimizer: Optimizer | None = None,
    seed: int = 0,
    shuffle: bool = True,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    callbacks: Sequence[Callback] = (),
    threads: int | None = None,
) -> History:
    """Train ``model`` in place by mini-batch gradient descent on softmax cross-entropy.

    Parameters
    ----------
    model : MLP
        Changed in place.
    x : array-like, scipy sparse matrix or DataFrame, (n_samples, n_features)
        uint8 stays uint8 and is scaled as the model says; other numbers are cast to its dtype.
    y : array-like of int (n_samples,)
        Class labels 0 ... n_classes - 1.
    epochs : int, default 10
        Passes over the data, 0 or more.
    batch_size : int or "full", default 128
        Samples in a step. The last batch of an epoch may be smaller. "full", or a size of
        n_samples and more, is full-batch gradient descent.
    optimizer : Optimizer, default SGD()
        The update, for example ``Adam(lr=0.001)``; its state starts anew.
    seed : int, default 0
        Of the order of samples: ``default_rng((seed, epoch)).permutation(n_samples)`` for epochs
        1, 2, ...
    shuffle : bool, default True
        False keeps the samples in their order, as does full-batch descent.
    validation_data : (x, y), optional
        Evaluated after each epoch.
    callbacks : sequence of Callback
        Called in turn.
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
    samples = _labelled(model, x, y)
    validation = None
    if validation_data is not None:
        try:
            x_val, y_val = validation_data
        except (TypeError, ValueError):
            given = shown(validation_data)
            raise TypeError(f"validation_data must be a pair (x, y), not {given}") from None
        validation = _labelled(model, x_val, y_val, "validation_data ")
    epochs = check_integer("epochs", epochs, 0)
    rows = _check_batch_size(batch_size, samples.count)
    optimizer = _check_optimizer(optimizer)
    optimizer.check_dtype(model.dtype)
    seed = check_integer("seed", seed, 0)
    if not isinstance(shuffle, bool):
        raise TypeError(f"shuffle must be True or False, not {shown(shuffle)}")
    callbacks = check_callbacks(callbacks)
    fewer = are_free(threads)
    threads = threads_for(threads, samples.count * len(model.parameters))

    def watch(done: int, loss: float, hits: float) -> None:
        for callback in callbacks:
            callback.on_progress(done, loss / max(done, 1), hits / max(done, 1))

    history = History()
    # Validation wants more rows at a time than a small batch has.
    workspace_rows = max(rows, min(validation.count, PREDICT_ROWS) if validation else 0)
    start = time.perf_counter()
    with in_another_thread(
        lambda: _compiled(model, workspace_rows, threads, optimizer, fewer, samples)
    ) as engine:
        history.compile_seconds = time.perf_counter() - start
        from fastmlp.engine.engine import NonFiniteLossError  # numba, imported by now

        for callback in callbacks:
            callback.on_train_begin(model, epochs, samples.count)
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            order = np.arange(samples.count)
            if shuffle and rows < samples.count:
                order = np.random.default_rng((seed, epoch)).permutation(samples.count)
            try:
                totals = engine.train(samples, order, rows, watch)
            except NonFiniteLossError as error:
                raise FloatingPointError(
                    f"the loss became NaN or infinite in epoch {epoch}, step {error.step + 1}; the "
                    f"parameters are those before it; try a learning rate below {optimizer.lr:g}, "
                    "or scale the input to about [0, 1]"
                ) from None
            seconds = time.perf_counter() - start
            for phase, spent in _phase_seconds(engine).items():
                history.phase_seconds[phase] += spent
            scores = _mean(engine.score(validation)) if validation else None
            record = Epoch(
                epoch,
                seconds,
                totals.loss / totals.samples,
                totals.hits / totals.samples,
                scores.loss if scores else None,
                scores.accuracy if scores else None,
                optimizer.lr,
            )
            history.epochs.append(record)
            # Every callback hears of the epoch before any answer counts.
            answers = [callback.on_epoch_end(model, record) for callback in callbacks]
            if any(answers):
                break
    return history


def evaluate(model: MLP, x: ArrayLike, y: ArrayLike, *, threads: int | None = None) -> Evaluation:
    """Mean loss and accuracy of ``model`` on ``x`` and ``y``.

    Parameters
    ----------
    model, x, y, threads
        As in `fit`.

    Raises
    ------
    TypeError, ValueError
        As in `fit`.
    """
    samples = _labelled(model, x, y)
    threads = threads_for(threads, samples.count * len(model.parameters))

    from fastmlp.engine.engine import Engine

    with Engine(model, min(samples.count, PREDICT_ROWS), threads) as engine:
        return _mean(engine.score(samples))


def loss_and_gradients(
    model: MLP, x: ArrayLike, y: ArrayLike, *, threads: int | None = None
) -> Gradients:
    """Mean loss on ``x`` and ``y`` as one batch, and its gradient by every parameter.

    Parameters
    ----------
    model, x, y, threads
        As in `fit`; the model is not changed.

    Raises
    ------
    TypeError, ValueError
        As in `fit`.
    """
    samples = _labelled(model, x, y)
    threads = threads_for(threads, samples.count * len(model.parameters))

    from fastmlp.engine.engine import Engine

    with Engine(model, samples.count, threads) as engine:
        totals = engine.gradients_of(samples)
        return Gradients(
            totals.loss / totals.samples, *parameter_views(engine.gradients, model.places)
        )


def _compiled(
    model: MLP, rows: int, threads: int, optimizer: Optimizer, fewer: bool, samples: Samples
) -> Engine:
    """Make the engine, compiling its kernels or loading them from the cache."""
    from fastmlp.engine.engine import Engine, compile_for

    compile_for(model, optimizer, samples.kind)
    engine = Engine(model, rows, threads, optimizer, fewer)
    engine.compile(samples)
    return engine


def _phase_seconds(engine: Engine) -> dict[str, float]:
    """Seconds of the engine's last job in each phase, the mean over the threads that took part."""
    from fastmlp.engine import step

    columns = (step.GATHER, step.FORWARD, step.HEAD, step.BACKWARD, step.UPDATE, step.WAIT)
    seconds = engine.phase_seconds()[:, columns]
    each = seconds.sum(axis=1)
    # Those that take part do so for the whole time; others have had no part, or a short one.
    means = seconds.sum(axis=0) * (each.max() / each.sum() if each.any() else 0.0)
    return dict(zip(PHASES, means.tolist(), strict=True))


def _mean(totals: Any) -> Evaluation:
    return Evaluation(totals.loss / totals.samples, totals.hits / totals.samples)


def _labelled(model: object, x: Any, y: Any, prefix: str = "") -> Samples:
    if not isinstance(model, MLP):
        raise TypeError(f"model must be a fastmlp.MLP, not {shown(model)}")
    samples = check_samples(x, model.layers[0], model.dtype, model.uint8_scale, f"{prefix}x")
    labels = check_labels(y, samples.count, model.layers[-1], f"{prefix}y")
    return replace(samples, labels=labels)


def _check_batch_size(batch_size: int | str, n_samples: int) -> int:
    if isinstance(batch_size, str):
        if batch_size != "full":
            raise ValueError(f"batch_size must be an integer or 'full', not {shown(batch_size)}")
        return n_samples
    return min(check_integer("batch_size", batch_size, 1), n_samples)


def _check_optimizer(optimizer: object) -> Optimizer:
    if optimizer is None:
        return SGD()
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be a fastmlp optimizer such as SGD(), not {type(optimizer).__name__}"
        )
    return optimizer
