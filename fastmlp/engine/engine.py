"""The engine: one network's workspace and team, and the jobs that can be run on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine import step
from fastmlp.engine.cold_start import compile_step
from fastmlp.engine.layout import BRIEF_PRODUCTS, aligned_zeros
from fastmlp.engine.plan import Workspace
from fastmlp.engine.team import Team
from fastmlp.kernels import activations, gather, losses
from fastmlp.kernels.calls import (
    address,
    epilogue_arguments,
    gather_arguments,
    head_arguments,
    product_arguments,
)
from fastmlp.kernels.product import product
from fastmlp.kernels.sync import FAILED
from fastmlp.kernels.updates import HYPERPARAMETERS, UPDATES
from fastmlp.threads import available_cores

if TYPE_CHECKING:
    from fastmlp.inputs import Samples
    from fastmlp.model import MLP
    from fastmlp.optimizers import Optimizer

Watch = Callable[[int, float, float], None]
"""Called now and then while a job runs: samples so far, sum of their losses, their hits."""


class Totals(NamedTuple):
    """Sums over the samples that a job has seen."""

    samples: int
    loss: float
    hits: int


class NonFiniteLossError(FloatingPointError):
    """A loss, or an input of a prediction, is NaN or infinite.

    Attributes
    ----------
    step : int
        Steps of the job that were done before it.
    """

    def __init__(self, done: int) -> None:
        super().__init__(f"the loss is not finite after {done} steps")
        self.step = done


GATHERS = {"uint8": gather.gather_uint8, "float": gather.gather_float, "csr": gather.gather_csr}
HEADS = {
    "softmax_cross_entropy": losses.softmax_cross_entropy,
    "softmax": losses.softmax,
    "logits": losses.logits,
}
NOTHING = np.empty(0, dtype=np.int64)

PROBED_PRODUCTS = 8_000_000
"""Rows of a batch times parameters below which fewer threads may be faster: 48 MFLOP, 0.1 ms of two
threads, of which their barriers and what they hand to each other are 10 us and more."""

CALIBRATION_SECONDS = 2e-3
"""Length of a job from which on its clocks and its wall time agree to a few per cent."""

PROBE_STEPS, PROBE_ROUNDS = 50, 3
"""Steps in which a number of threads is timed, and how often; the least time counts."""


def compile_for(model: MLP, optimizer: Optimizer, kind: str) -> None:
    """Compile what training on samples of ``kind`` needs, or load it from the cache."""
    functions = (activations.identity, *activations.ACTIVATIONS[model.activation])
    epilogues = (*functions, UPDATES[optimizer.name].kernel)
    compile_step(
        [
            (product, product_arguments),
            (GATHERS[kind], gather_arguments),
            (HEADS["softmax_cross_entropy"], head_arguments),
            *((function, epilogue_arguments) for function in epilogues),
        ],
        model.dtype,
    )


class Engine:
    """Threads and buffers to train or apply one model; a context manager that ends the threads.

    Parameters
    ----------
    model : MLP
        Its parameters are read and updated in place.
    rows : int
        Rows of work at a time: those of a batch, or, where nothing is trained, as many as suit.
    threads : int
        Threads that compute. The result is the same bits for any number.
    fewer : bool, default False
        Whether `train` may use fewer, where it finds in its first steps that fewer are faster.
    optimizer : Optimizer, optional
        Needed to train; its state starts at zero.

    Attributes
    ----------
    bound : (str, str) or None
        Kind of input and head of the last `bind`, until another job is run.
    """

    def __init__(
        self,
        model: MLP,
        rows: int,
        threads: int,
        optimizer: Optimizer | None = None,
        fewer: bool = False,
    ) -> None:
        self.model = model
        self._fewer = fewer
        self.optimizer = optimizer
        self.workspace = Workspace(model.places, model.activation, model.dtype, rows, threads)
        self.gradients = aligned_zeros(0, model.dtype)
        self.team = Team(threads, available_cores())
        self._step = 0
        self.bound: tuple[str, str] | None = None
        self._alive: tuple[Any, ...] = ()
        job = self.workspace.job
        job.params, job.cells = model.parameters.ctypes.data, self.team.cells.ctypes.data
        if optimizer is not None:
            update = UPDATES[optimizer.name]
            self._state = aligned_zeros(update.planes * len(model.parameters), model.dtype)
            job.state, job.planes = self._state.ctypes.data, update.planes
            job.update = address(update.kernel, epilogue_arguments, model.dtype)
            job.idle_at_zero = update.idle_at_zero

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.team.close()

    def train(
        self,
        samples: Samples,
        order: NDArray[np.int64],
        batch_size: int,
        watch: Watch,
    ) -> Totals:
        """One update by the optimizer for each batch of ``order``."""
        if batch_size > self.workspace.chunk_rows:
            self._need_gradients()
        done = 0
        if self._fewer and batch_size * len(self.model.parameters) < PROBED_PRODUCTS:
            done = self._choose_threads(samples, order, batch_size)
        order = order[done:]
        head = "softmax_cross_entropy"
        return self._run(step.TRAIN, head, samples, order, batch_size, watch, resumed=done > 0)

    def _choose_threads(self, samples: Samples, order: NDArray[np.int64], batch_size: int) -> int:
        """Time the first steps of ``order`` with 1, 2, 4, ... threads; the samples then done.

        The steps are taken as they would have been: their bits do not depend on the threads.
        """
        most = self.team.threads
        candidates = [2**k for k in range(most.bit_length()) if 2**k < most] + [most]
        segments = PROBE_ROUNDS * len(candidates)
        count = min(PROBE_STEPS, len(order) // batch_size // (2 * segments)) * batch_size
        if len(candidates) < 2 or count == 0:
            return 0
        self._fewer = False
        ticks: dict[int, list[int]] = {threads: [] for threads in candidates}
        for k in range(segments):
            threads = candidates[k % len(candidates)]
            self.workspace.use(threads)
            before = int(self._clocks[0].sum()) if k else 0
            part = order[k * count : (k + 1) * count]
            head = "softmax_cross_entropy"
            self._run(step.TRAIN, head, samples, part, batch_size, resumed=k > 0)
            ticks[threads].append(int(self._clocks[0].sum()) - before)
        self.workspace.use(min(candidates, key=lambda threads: min(ticks[threads])))
        return segments * count

    def gradients_of(self, samples: Samples) -> Totals:
        """Gradients of the mean loss over all samples, into the buffer ``gradients``."""
        self._need_gradients()
        return self._run(step.GRADIENT, "softmax_cross_entropy", samples)

    def score(self, samples: Samples) -> Totals:
        """Sums of loss and hits over all samples."""
        return self._run(step.SCORE, "softmax_cross_entropy", samples)

    def predict(self, samples: Samples, head: str, out: NDArray[Any], threads: int) -> bool:
        """What ``head`` ("logits" or "softmax") makes of every sample, into ``out``.

        ``out`` (n_samples, n_classes) is contiguous. False if a value of the samples is not finite.
        """
        self.bound = None
        self.workspace.use(min(threads, self.team.threads))
        try:
            self._run(step.PREDICT, head, samples, out=out)
        except NonFiniteLossError:
            return False
        finally:
            self._alive = ()  # a predictor lives longer than what it was given
        return True

    def bind(self, samples: Samples, head: str) -> None:
        """Make ready for `predict_bound` of arrays like that of ``samples``."""
        order = np.arange(self.workspace.chunk_rows)
        self._prepare(step.PREDICT, head, samples, order, len(order))
        self._alive = (order,)
        self.workspace.use(1)
        self.team.clear()
        self.bound = samples.kind, head

    def predict_bound(self, x: NDArray[Any], out: NDArray[Any]) -> bool:
        """As `predict`, in this thread and of at most ``workspace.chunk_rows`` rows.

        ``x`` is contiguous and of the dtype that `bind` was given; no argument is checked.
        """
        workspace = self.workspace
        return bool(
            step.predict(workspace.jobs, workspace.layers, self._hyper, self._source, x, out)
        )

    def compile(self, samples: Samples) -> None:
        """Compile what `train` needs, or load it from the cache, without a step."""
        self._prepare(step.TRAIN, "softmax_cross_entropy", samples, NOTHING, 1)
        self._call(0)

    def phase_seconds(self) -> NDArray[np.float64]:
        """Seconds of the last job by thread and phase: (threads, step.PHASES)."""
        clocks = self._clocks
        total = clocks.sum(axis=1).max()
        return clocks * (self._seconds / total if total else 0.0)

    def _run(
        self,
        mode: int,
        head: str,
        samples: Samples,
        order: NDArray[np.int64] | None = None,
        batch_size: int | None = None,
        watch: Watch | None = None,
        out: NDArray[Any] | None = None,
        resumed: bool = False,
    ) -> Totals:
        """Run one job: all samples in their order, as one batch, unless said otherwise.

        ``resumed``: its totals and clocks go on from those of the job before.
        """
        order = np.arange(samples.count) if order is None else order
        batch_size = batch_size or max(len(order), 1)
        self._prepare(mode, head, samples, order, batch_size, out)
        if not resumed:
            self._progress[:] = 0
            self._clocks[:] = 0
            self._seconds = 0.0
        before = int(self._progress[step.STEPS])
        start = time.perf_counter()
        self.team.run(
            self._call,
            lambda: watch(*self._totals()) if watch else None,
            int(self.workspace.jobs["threads"][0]),
            brief=len(order) * len(self.model.parameters) < BRIEF_PRODUCTS,
        )
        self._seconds += time.perf_counter() - start
        if self._seconds > CALIBRATION_SECONDS:
            self.team.calibrate(float(self._clocks[0].sum()) / self._seconds)
        steps = int(self._progress[step.STEPS])
        if self.team.cells[FAILED]:
            raise NonFiniteLossError(steps)
        if mode == step.TRAIN:
            self._step += steps - before
        return self._totals()

    def _call(self, thread: int) -> None:
        step.run(self.workspace.jobs, self.workspace.layers, self._hyper, thread)

    def _prepare(
        self,
        mode: int,
        head: str,
        samples: Samples,
        order: NDArray[np.int64],
        batch_size: int,
        out: NDArray[Any] | None = None,
    ) -> None:
        """Make ``workspace.job`` the job of `_call`."""
        dtype, job = self.model.dtype, self.workspace.job
        self._hyper = np.zeros((1, HYPERPARAMETERS), dtype=dtype)
        if mode == step.TRAIN and self.optimizer is not None:
            steps = self._step + np.arange(1, -(-len(order) // batch_size) + 1)
            with np.errstate(over="ignore"):  # an infinite rate shows in the loss
                rows = self.optimizer.hyperparameters(steps).astype(dtype)
            self._hyper = np.zeros((max(len(rows), 1), HYPERPARAMETERS), dtype=dtype)
            self._hyper[: len(rows), : rows.shape[1]] = rows
        source = addresses_of(samples.arrays)
        # Addresses do not keep what is there alive.
        self._alive = (samples, order, out)
        self._source = source
        job.mode, job.rows, job.batch_size = mode, len(order), batch_size
        job.source, job.n_arrays = source.ctypes.data, len(source)
        job.labels, job.n_labels = samples.labels.ctypes.data, len(samples.labels)
        job.order = order.ctypes.data
        job.out = 0 if out is None else out.ctypes.data
        job.input_scale = samples.scale
        job.gather = address(GATHERS[samples.kind], gather_arguments, dtype)
        job.head = address(HEADS[head], head_arguments, dtype)

    @property
    def _progress(self) -> NDArray[np.float64]:
        return self.workspace.buffers["progress"]

    @property
    def _clocks(self) -> NDArray[np.int64]:
        return self.workspace.buffers["clocks"].reshape(-1, step.PHASES)

    def _totals(self) -> Totals:
        progress = self._progress
        return Totals(
            int(progress[step.SAMPLES]), float(progress[step.LOSS_SUM]), int(progress[step.HITS])
        )

    def _need_gradients(self) -> None:
        if not len(self.gradients):
            self.gradients = aligned_zeros(len(self.model.parameters), self.model.dtype)
            self.workspace.job.gradients = self.gradients.ctypes.data


def addresses_of(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Address and number of items of each array: (n_arrays, 2)."""
    return np.array([(array.ctypes.data, array.size) for array in arrays], dtype=np.int64)
