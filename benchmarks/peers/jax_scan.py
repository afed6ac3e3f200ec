"""JAX: a whole epoch is one compiled ``lax.scan`` over its batches, with donated state.

The data are on the device before the clock starts. Three ways to a batch are tried: the rows of
uint8 or of float pixels looked up in every step, and all rows of uint8 gathered once before the
scan, which is best for batches of a few. Gradients by hand, ``unroll=4`` and labels looked up by
``take_along_axis`` were as fast as what is here or slower. Dropout draws its masks from either of
JAX's generators: threefry, the default, or XLA's own (rbg), which is faster.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

import numpy as np

from benchmarks.task import Task, floats, initial, order, samples

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax
import jax.numpy as jnp

from benchmarks.peers.jax_images import changed

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
MOMENTUM, DECAY = 0.9, 0.01
NORM_EPSILON = 1e-5


def variants(task: Task) -> list[str]:
    if task.calls:
        return [""]
    ways = ["float by step", "float gathered first"]
    if task.data == "mnist":
        ways = ["uint8 by step", "uint8 gathered first", "float by step"]
        ways = ways if task.search else ways[:2]
    if task.dropout or task.augmentation:
        return [f"{way}, {generator}" for way in ways for generator in ("threefry", "rbg")]
    return ways


class Trainer:
    def __init__(self, task: Task, variant: str) -> None:
        jax.config.update("jax_enable_x64", task.dtype == "float64")
        self.task = task
        x, y = samples(task.data, task.samples) if "uint8" in variant else floats(task)
        self.x, self.y = jnp.asarray(x), jnp.asarray(y.astype(np.int32))
        if task.dropout or task.augmentation:
            self.key = jax.random.key(0, impl="rbg" if "rbg" in variant else "threefry2x32")
        self.scan = _epoch(task, gather_first="first" in variant)
        self.reset()

    def reset(self, seed: int = 0) -> None:
        model = initial(self.task, seed)
        pairs = zip(model.weights, model.biases, strict=True)
        parameters = [(jnp.array(W), jnp.array(b)) for W, b in pairs]
        for l, norm in enumerate(zip(model.scales, model.shifts, strict=True)):
            parameters[l] += tuple(map(jnp.array, norm))
        self.state: Any = (parameters,)
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        if self.task.optimizer in ("momentum", "nesterov"):
            self.state = (parameters, zeros)
        elif self.task.optimizer in ("adam", "adamw"):
            again = jax.tree.map(jnp.zeros_like, parameters)
            self.state = (parameters, zeros, again, jnp.zeros((), self.task.dtype))

    def epoch(self, seed: int, number: int = 1) -> tuple[float, float]:
        task = self.task
        start = time.perf_counter()
        rows = order(task, seed, number).astype(np.int32)
        rates = jnp.asarray(task.rates(number), task.dtype)
        key = None
        if task.dropout or task.augmentation:
            key = jax.random.fold_in(jax.random.fold_in(self.key, seed), number)
        self.state, loss = self.scan(self.state, self.x, self.y, rows, rates, key)
        jax.block_until_ready(self.state)
        return time.perf_counter() - start, float(loss)

    def parameters(self) -> list[Any]:
        return [np.asarray(array) for layer in self.state[0] for array in layer[:2]]

    def accuracy(self, x: Any, y: Any) -> float:
        hits = jax.jit(lambda p, x: _logits(self.task, p, _scaled(x, self.task)).argmax(axis=1))
        return float((np.asarray(hits(self.state[0], x)) == y).mean())


class Predictor:
    def __init__(self, task: Task, variant: str) -> None:
        jax.config.update("jax_enable_x64", task.dtype == "float64")
        model = initial(task)
        pairs = zip(model.weights, model.biases, strict=True)
        parameters = [(jnp.array(W), jnp.array(b)) for W, b in pairs]
        softmax = jax.jit(lambda p, x: jax.nn.softmax(_logits(task, p, x)))
        self.predict: Any = lambda x: np.asarray(softmax(parameters, x))


def _scaled(x: Any, task: Task) -> Any:
    return x.astype(task.dtype) * (1 / 255) if x.dtype == jnp.uint8 else x


ACTIVATIONS = {"relu": jax.nn.relu, "gelu": partial(jax.nn.gelu, approximate=False)}


def _logits(task: Task, parameters: Any, x: Any, key: Any = None) -> Any:
    *hidden, (W, b) = parameters
    for layer, (V, c, *norm) in enumerate(hidden):
        x = x @ V + c
        if norm:
            scale, shift = norm
            mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
            x = (x - mean) * jax.lax.rsqrt(variance + NORM_EPSILON) * scale + shift
        x = ACTIVATIONS[task.activation](x)
        if task.dropout and key is not None:
            keep = 1 - task.dropout
            kept = jax.random.bernoulli(jax.random.fold_in(key, layer), keep, x.shape)
            x = jnp.where(kept, x / keep, 0)
    return x @ W + b


def _loss(task: Task, parameters: Any, x: Any, y: Any, key: Any) -> Any:
    if task.augmentation:
        x = changed(jax.random.fold_in(key, len(task.layers)), x, **task.augmentation)  # no layer
    logits = _logits(task, parameters, x, key)
    chosen = jax.nn.one_hot(y, logits.shape[1], dtype=logits.dtype)
    chosen = chosen * (1 - task.label_smoothing) + task.label_smoothing / logits.shape[1]
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * chosen, axis=1))


def _sgd(task: Task, state: Any, gradients: Any, rate: Any) -> Any:
    return (jax.tree.map(lambda p, g: p - rate * g, state[0], gradients),)


def _momentum(task: Task, state: Any, gradients: Any, rate: Any) -> Any:
    p, v = state
    v = jax.tree.map(lambda v, g: MOMENTUM * v + g, v, gradients)
    if task.optimizer == "nesterov":
        gradients = jax.tree.map(lambda v, g: g + MOMENTUM * v, v, gradients)
        return jax.tree.map(lambda p, g: p - rate * g, p, gradients), v
    return jax.tree.map(lambda p, v: p - rate * v, p, v), v


def _adam(task: Task, state: Any, gradients: Any, rate: Any) -> Any:
    """Adam with its two corrections of bias drawn into scalars, once a step."""
    p, m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradients)
    keep = 1 - rate * (DECAY if task.optimizer == "adamw" else 0)
    rate, root = rate / (1 - BETA1**t), 1 / jnp.sqrt(1 - BETA2**t)
    p = jax.tree.map(
        lambda p, m, v: (
            (keep * p if p.ndim == 2 else p) - rate * m / (jnp.sqrt(v) * root + EPSILON)
        ),
        *(p, m, v),
    )
    return p, m, v, t


UPDATES = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _momentum,
    "adam": _adam,
    "adamw": _adam,
}


def _epoch(task: Task, gather_first: bool) -> Any:
    batch = min(task.batch_size, task.samples)
    whole = task.samples // batch * batch
    update = UPDATES[task.optimizer]

    def step(state: Any, x: Any, y: Any, key: Any, number: Any, rate: Any) -> Any:
        key = None if key is None else jax.random.fold_in(key, number)
        loss, gradients = jax.value_and_grad(partial(_loss, task))(
            state[0], _scaled(x, task), y, key
        )
        return update(task, state, gradients, rate), loss

    def take(array: Any, rows: Any) -> Any:
        return array.at[rows].get(mode="promise_in_bounds")

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, x: Any, y: Any, rows: Any, rates: Any, key: Any) -> Any:
        batches = rows[:whole].reshape(-1, batch)
        numbers = jnp.arange(len(batches))
        if gather_first:
            state, losses = jax.lax.scan(
                lambda s, xynr: step(s, *xynr[:2], key, *xynr[2:]),
                state,
                (take(x, batches), take(y, batches), numbers, rates[: len(batches)]),
            )
        else:
            state, losses = jax.lax.scan(
                lambda s, rnr: step(s, take(x, rnr[0]), take(y, rnr[0]), key, *rnr[1:]),
                state,
                (batches, numbers, rates[: len(batches)]),
            )
        total = losses.sum() * batch
        if whole < task.samples:
            rest = rows[whole:]
            x, y = take(x, rest), take(y, rest)
            state, loss = step(state, x, y, key, len(batches), rates[-1])
            total += loss * len(rest)
        return state, total / task.samples

    return epoch
