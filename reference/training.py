"""Training: gradient descent on mini-batches, and how far it has come."""

import math
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from .callbacks import Callback, check_callbacks
from .functions import Array, cross_entropy, cross_entropy_derivative, log_softmax
from .history import Epoch, History
from .inputs import (
    as_batch,
    check_batch_size,
    check_integer,
    check_x,
    check_y,
    shown,
)
from .network import MLP
from .optimizers import SGD, Optimizer


class Evaluation(NamedTuple):
    """Mean loss in nats, and the share of samples whose class is predicted, 0..1."""

    loss: float
    accuracy: float


class Gradients(NamedTuple):
    """Mean loss, and its gradients with the shapes of the model's weights and biases."""

    loss: float
    weights: list[Array]
    biases: list[Array]


def fit(
    model: MLP,
    x: Any,
    y: Any,
    *,
    epochs: int = 10,
    batch_size: int | Literal["full"] = 128,
    optimizer: Optimizer | None = None,
    seed: int = 0,
    shuffle: bool = True,
    validation_data: tuple[Any, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    threads: int | None = None,
) -> History:
    """For each batch: dW = ∂(mean loss)/∂W, by which the optimizer updates W, in place.

    Parameters
    ----------
    x : (n_samples, n_features)
        Array, DataFrame, sparse matrix. uint8 is multiplied by model.uint8_scale.
    y : (n_samples,) of integers
        Classes 0..n_classes-1.
    epochs : int, default 10
        Passes over the data.
    batch_size : int or "full", default 128
        Samples a step. The last batch of an epoch holds what is left.
    optimizer : SGD or Adam, default SGD()
        The update; what it remembers from step to step begins anew with each call.
    seed : int, default 0
        Decides the order of the batches, see :func:`batch_order`.
    shuffle : bool, default True
        False takes the samples in the order given.
    validation_data : (x, y), optional
        Evaluated after each epoch.
    callbacks : sequence of Callback
    threads
        For the shared signature; has no effect here.

    Raises
    ------
    ValueError, TypeError
        Before anything is changed, in one line that names the argument.
    FloatingPointError
        When a batch's loss is NaN or infinite; the parameters are those before that step.
    """
    x = check_x("x", x, model.layers[0], model.dtype)
    n = x.shape[0]
    y = check_y("y", y, n, model.layers[-1])
    _check_threads(threads)
    epochs = check_integer("epochs", epochs, 0)
    seed = check_integer("seed", seed, 0)
    rows_a_step = check_batch_size(batch_size, n)
    if not isinstance(shuffle, bool):
        raise TypeError(f"shuffle must be True or False, got {shown(shuffle)}")
    callbacks = check_callbacks(callbacks)
    optimizer = SGD() if optimizer is None else optimizer
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an SGD or an Adam, got {shown(optimizer)}")
    if validation_data is not None:
        validation_data = _check_validation_data(model, validation_data)

    history = History()
    states = [optimizer.start(V) for V in model.weights + model.biases]
    for callback in callbacks:
        callback.on_train_begin(model, epochs, n)
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        order = batch_order(n, rows_a_step, seed, epoch, shuffle)
        train = _train_epoch(model, x, y, order, rows_a_step, optimizer, states, epoch, callbacks)
        seconds = time.perf_counter() - started
        val = evaluate(model, *validation_data) if validation_data is not None else None
        record = Epoch(
            epoch=epoch,
            seconds=seconds,
            train_loss=train.loss,
            train_accuracy=train.accuracy,
            val_loss=val.loss if val else None,
            val_accuracy=val.accuracy if val else None,
            learning_rate=optimizer.lr,
        )
        history.epochs.append(record)
        # A list, not any() over the calls, which would not reach those after the first that stops.
        stops = [callback.on_epoch_end(model, record) for callback in callbacks]
        if any(stops):
            break
    return history


def evaluate(model: MLP, x: Any, y: Any, *, threads: int | None = None) -> Evaluation:
    """Mean of −log softmax(logits)[y], and mean of [argmax(logits) = y], over all samples.

    Parameters
    ----------
    x : (n_samples, n_features)
    y : (n_samples,) of integers
    threads
        For the shared signature; has no effect here.
    """
    x = check_x("x", x, model.layers[0], model.dtype)
    y = check_y("y", y, x.shape[0], model.layers[-1])
    _check_threads(threads)
    with np.errstate(over="ignore", invalid="ignore"):  # shows in the loss
        logits = model.logits(x)  # (n, n_classes)
        losses = cross_entropy(log_softmax(logits), y)
    return Evaluation(
        loss=float(losses.mean(dtype=np.float64)),
        accuracy=float((logits.argmax(axis=1) == y).mean()),
    )


def loss_and_gradients(model: MLP, x: Any, y: Any, *, threads: int | None = None) -> Gradients:
    """Mean loss over all of x as one batch, with ∂loss/∂W and ∂loss/∂b; the model is unchanged.

    Parameters
    ----------
    x : (n_samples, n_features)
    y : (n_samples,) of integers
    threads
        For the shared signature; has no effect here.
    """
    x = check_x("x", x, model.layers[0], model.dtype)
    y = check_y("y", y, x.shape[0], model.layers[-1])
    _check_threads(threads)
    losses, _, dW, db = _backpropagate(model, as_batch(x, model.dtype, model.uint8_scale), y)
    return Gradients(loss=float(losses.mean(dtype=np.float64)), weights=dW, biases=db)


def batch_order(n: int, batch_size: int, seed: int, epoch: int, shuffle: bool) -> Array | None:
    """Rows of one epoch (n,): a permutation drawn from (seed, epoch), or None for 0..n-1.

    A single batch holds every row whatever the order, so it is not shuffled.
    """
    if not shuffle or batch_size >= n:
        return None
    return np.random.default_rng((seed, epoch)).permutation(n)


def _train_epoch(
    model: MLP,
    x: Any,
    y: Array,
    order: Array | None,
    batch_size: int,
    optimizer: Optimizer,
    states: list[Any],
    epoch: int,
    callbacks: Sequence[Callback],
) -> Evaluation:
    """Every batch once: gradients, then the update. Returns the means over the samples."""
    n = len(y)
    loss_sum, correct = 0.0, 0
    for step, start in enumerate(range(0, n, batch_size), start=1):
        stop = min(start + batch_size, n)
        # Rows in their own order are a slice, which NumPy takes without copying.
        rows = slice(start, stop) if order is None else order[start:stop]
        X = as_batch(x[rows], model.dtype, model.uint8_scale)  # (batch, n_features)
        # Overflow shows in the loss, which is looked at next; NumPy's warnings would say it twice.
        with np.errstate(over="ignore", invalid="ignore"):
            losses, hits, dW, db = _backpropagate(model, X, y[rows])
        loss = float(losses.sum(dtype=np.float64))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"loss is {loss} at epoch {epoch}, step {step}: "
                f"try a learning rate below {optimizer.lr:g}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            parameters = model.weights + model.biases
            for V, dV, state in zip(parameters, dW + db, states, strict=True):
                optimizer.update(V, dV, state)
        loss_sum += loss
        correct += int(hits.sum())
        for callback in callbacks:
            callback.on_progress(stop, loss_sum / stop, correct / stop)
    return Evaluation(loss_sum / n, correct / n)


def _backpropagate(model: MLP, X: Array, y: Array) -> tuple[Array, Array, list[Array], list[Array]]:
    """Forward, loss, backward: losses (n,), hits (n,) of bool, and dW, db of the mean loss."""
    A, Z = model.forward(X)
    log_P = log_softmax(Z[-1])  # (n, n_classes)
    losses = cross_entropy(log_P, y)
    hits = Z[-1].argmax(axis=1) == y
    dW, db = model.backward(A, Z, cross_entropy_derivative(log_P, y))
    return losses, hits, dW, db


def _check_threads(threads: int | None) -> None:
    if threads is not None:
        check_integer("threads", threads, 1)


def _check_validation_data(model: MLP, data: Any) -> tuple[Any, Array]:
    """Check the pair (x, y) like the training data."""
    try:
        x, y = data
    except (TypeError, ValueError):
        raise TypeError("validation_data must be a pair (x, y)") from None
    x = check_x("validation_data x", x, model.layers[0], model.dtype)
    return x, check_y("validation_data y", y, x.shape[0], model.layers[-1])
