"""JAX: a whole epoch is one compiled ``lax.scan`` over its batches, with donated state.

The data are on the device before the clock starts. Three ways to a batch are tried: the rows of
uint8 or of float pixels looked up in every step, and all rows of uint8 gathered once before the
scan, which is best for batches of a few. Gradients by hand, ``unroll=4`` and labels looked up by
``take_along_axis`` were as fast as what is here or slower.
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

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def variants(task: Task) -> list[str]:
    if task.data == "mnist":
        ways = ["uint8 by step", "uint8 gathered first", "float by step"]
        return ways if task.search else ways[:2]
    return ["float by step", "float gathered first"]


class Trainer:
    def __init__(self, task: Task, variant: str) -> None:
        jax.config.update("jax_enable_x64", task.dtype == "float64")
        self.task = task
        x, y = samples(task.data, task.samples) if "uint8" in variant else floats(task)
        self.x, self.y = jnp.asarray(x), jnp.asarray(y.astype(np.int32))
        self.train = _epoch(task, gather_first="first" in variant)
        self.reset()

    def reset(self) -> None:
        model = initial(self.task)
        pairs = zip(model.weights, model.biases, strict=True)
        parameters = [(jnp.array(W), jnp.array(b)) for W, b in pairs]
        self.state: Any = (parameters,)
        if self.task.optimizer == "adam":
            m, v = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
            self.state = (parameters, m, v, jnp.zeros((), self.task.dtype))

    def epoch(self, seed: int) -> tuple[float, float]:
        start = time.perf_counter()
        rows = order(self.task, seed).astype(np.int32)
        self.state, loss = self.train(self.state, self.x, self.y, rows)
        jax.block_until_ready(self.state)
        return time.perf_counter() - start, float(loss)

    def parameters(self) -> list[Any]:
        return [np.asarray(array) for pair in self.state[0] for array in pair]

    def accuracy(self, x: Any, y: Any) -> float:
        hits = jax.jit(lambda p, x: _logits(p, _scaled(x, self.task)).argmax(axis=1))
        return float((np.asarray(hits(self.state[0], x)) == y).mean())


def _scaled(x: Any, task: Task) -> Any:
    return x.astype(task.dtype) * (1 / 255) if x.dtype == jnp.uint8 else x


def _logits(parameters: Any, x: Any) -> Any:
    *hidden, (W, b) = parameters
    for V, c in hidden:
        x = jax.nn.relu(x @ V + c)
    return x @ W + b


def _loss(parameters: Any, x: Any, y: Any) -> Any:
    logits = _logits(parameters, x)
    chosen = jax.nn.one_hot(y, logits.shape[1], dtype=logits.dtype)
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * chosen, axis=1))


def _sgd(task: Task, state: Any, gradients: Any) -> Any:
    return (jax.tree.map(lambda p, g: p - task.learning_rate * g, state[0], gradients),)


def _adam(task: Task, state: Any, gradients: Any) -> Any:
    """Adam with its two corrections of bias drawn into scalars, once a step."""
    p, m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradients)
    rate, root = task.learning_rate / (1 - BETA1**t), 1 / jnp.sqrt(1 - BETA2**t)
    p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * root + EPSILON), p, m, v)
    return p, m, v, t


def _epoch(task: Task, gather_first: bool) -> Any:
    batch = min(task.batch_size, task.samples)
    whole = task.samples // batch * batch
    update = {"sgd": _sgd, "adam": _adam}[task.optimizer]

    def step(state: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(_loss)(state[0], _scaled(x, task), y)
        return update(task, state, gradients), loss

    def take(array: Any, rows: Any) -> Any:
        return array.at[rows].get(mode="promise_in_bounds")

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, x: Any, y: Any, rows: Any) -> Any:
        batches = rows[:whole].reshape(-1, batch)
        if gather_first:
            state, losses = jax.lax.scan(
                lambda s, xy: step(s, *xy), state, (take(x, batches), take(y, batches))
            )
        else:
            state, losses = jax.lax.scan(
                lambda s, r: step(s, take(x, r), take(y, r)), state, batches
            )
        total = losses.sum() * batch
        if whole < task.samples:
            rest = rows[whole:]
            state, loss = step(state, take(x, rest), take(y, rest))
            total += loss * len(rest)
        return state, total / task.samples

    return epoch
