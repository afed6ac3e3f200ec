"""The engine: one network's workspace and team, and the jobs that can be run on them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine import step
from fastmlp.engine.layout import aligned_zeros
from fastmlp.engine.plan import Workspace
from fastmlp.engine.team import Team
from fastmlp.kernels import activations, gather, losses, updates
from fastmlp.kernels.calls import (
    address,
    epilogue_arguments,
    gather_arguments,
    head_arguments,
    product_arguments,
)
from fastmlp.kernels.product import product
from fastmlp.kernels.simd import JIT
from fastmlp.kernels.sync import FAILED
from fastmlp.threads import available_cores

if TYPE_CHECKING:
    from fastmlp.inputs import Samples
    from fastmlp.model import MLP

Watch = Callable[[int, float, float], None]
"""Called now and then while a job runs: samples so far, sum of their losses, their hits."""


class Totals(NamedTuple):
    """Sums over the samples that a job has seen."""

    samples: int
    loss: float
    hits: int


class NonFiniteLossError(FloatingPointError):
    """A loss became NaN or infinite.

    Attributes
    ----------
    step : int
        Steps of the job that were done before it.
    """

    def __init__(self, done: int) -> None:
        super().__init__(f"the loss is not finite after {done} steps")
        self.step = done


BRIEF_PRODUCTS = 10_000_000
"""Samples times parameters of a job too short to interrupt: 60 MFLOP, 0.3 ms at 200 GFLOP/s."""

GATHERS = {"uint8": gather.gather_uint8, "float": gather.gather_float, "csr": gather.gather_csr}
HEADS = {
    "softmax_cross_entropy": losses.softmax_cross_entropy,
    "softmax": losses.softmax,
    "logits": losses.logits,
}
UPDATES = {"sgd": updates.sgd}


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
    """

    def __init__(self, model: MLP, rows: int, threads: int) -> None:
        self.model = model
        self.workspace = Workspace(model.places, model.activation, model.dtype, rows, threads)
        self.gradients = aligned_zeros(0, model.dtype)
        self.hyper = np.zeros((1, 8), dtype=model.dtype)
        self.progress = np.zeros(step.PROGRESS_ITEMS)
        self.team = Team(threads, available_cores())

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.team.close()

    def train(
        self,
        samples: Samples,
        order: NDArray[np.int64],
        batch_size: int,
        learning_rate: float,
        watch: Watch,
    ) -> Totals:
        """One update for each batch of ``order``."""
        self._transpose()  # a callback may have changed the weights
        with np.errstate(over="ignore"):  # an infinite rate shows in the loss
            self.hyper[0, updates.LEARNING_RATE] = learning_rate
        if batch_size > self.workspace.chunk_rows:
            self._need_gradients()
        return self._run(step.TRAIN, "softmax_cross_entropy", samples, order, batch_size, watch)

    def gradients_of(self, samples: Samples) -> Totals:
        """Gradients of the mean loss over all samples, into the buffer ``gradients``."""
        self._transpose()
        self._need_gradients()
        return self._run(step.GRADIENT, "softmax_cross_entropy", samples)

    def score(self, samples: Samples) -> Totals:
        """Sums of loss and hits over all samples."""
        return self._run(step.SCORE, "softmax_cross_entropy", samples)

    def predict(self, samples: Samples, head: str) -> NDArray[Any]:
        """What ``head`` ("logits" or "softmax") makes of every sample: (n_samples, n_classes)."""
        out = np.empty((samples.count, self.model.layers[-1]), dtype=self.model.dtype)
        self._run(step.PREDICT, head, samples, out=out)
        return out

    def compile(self, samples: Samples) -> None:
        """Compile what `train` needs, or load it from the cache, without a step."""
        nothing = np.empty(0, dtype=np.int64)
        step.run(self._job(step.TRAIN, "softmax_cross_entropy", samples, nothing), 0)

    def _run(
        self,
        mode: int,
        head: str,
        samples: Samples,
        order: NDArray[np.int64] | None = None,
        batch_size: int | None = None,
        watch: Watch | None = None,
        out: NDArray[Any] | None = None,
    ) -> Totals:
        """Run one job: all samples in their order, as one batch, unless said otherwise."""
        order = np.arange(samples.count) if order is None else order
        self.progress[:] = 0
        job = self._job(mode, head, samples, order, batch_size, out)
        self.team.run(
            lambda thread: step.run(job, thread),
            lambda: watch(*self._totals()) if watch else None,
            brief=len(order) * len(self.model.parameters) < BRIEF_PRODUCTS,
        )
        if self.team.cells[FAILED]:
            raise NonFiniteLossError(int(self.progress[step.STEPS]))
        return self._totals()

    def _job(
        self,
        mode: int,
        head: str,
        samples: Samples,
        order: NDArray[np.int64],
        batch_size: int | None = None,
        out: NDArray[Any] | None = None,
    ) -> step.Job:
        model, space, dtype = self.model, self.workspace, self.model.dtype
        return step.Job(
            mode=mode,
            threads=self.team.threads,
            batch_size=batch_size or max(len(order), 1),
            chunk_rows=space.chunk_rows,
            layers=space.layers,
            params=model.parameters,
            transposed=space.transposed,
            gradients=self.gradients,
            state=model.parameters,
            hyper=self.hyper,
            work=space.work,
            tiles=space.tiles,
            row_masks=space.row_masks,
            column_masks=space.column_masks,
            squares=space.squares,
            densities=space.densities,
            scores=space.scores,
            zeros=space.zeros,
            one=space.one,
            source=_addresses(samples.arrays),
            labels=samples.labels,
            order=order,
            out=np.empty((0, 0), dtype=dtype) if out is None else out,
            input_scale=samples.scale,
            gather=address(GATHERS[samples.kind], gather_arguments, dtype),
            head=address(HEADS[head], head_arguments, dtype),
            product=address(product, product_arguments, dtype),
            update=address(UPDATES["sgd"], epilogue_arguments, dtype),
            store=address(activations.identity, epilogue_arguments, dtype),
            cells=self.team.cells,
            progress=self.progress,
        )

    def _totals(self) -> Totals:
        progress = self.progress
        return Totals(
            int(progress[step.SAMPLES]), float(progress[step.LOSS_SUM]), int(progress[step.HITS])
        )

    def _need_gradients(self) -> None:
        if not len(self.gradients):
            self.gradients = aligned_zeros(len(self.model.parameters), self.model.dtype)

    def _transpose(self) -> None:
        """W_l.T of every layer but the first, from the parameters as they are now."""
        for place, W in zip(self.workspace.layers[1:], self.model.weights[1:], strict=True):
            rows = self.workspace.transposed[place.WT :][: place.n_out * place.WT_stride]
            rows.reshape(place.n_out, place.WT_stride)[:, : place.n_in] = W.T


def _addresses(arrays: tuple[NDArray[Any], ...]) -> Any:
    if not JIT:
        return arrays
    return np.array([array.ctypes.data for array in arrays], dtype=np.int64)
