"""The engine: one network's workspace and team, and the jobs that can be run on them."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine import extras, records, step
from fastmlp.engine.cold_start import compile_step
from fastmlp.engine.layout import BRIEF_PRODUCTS, aligned_zeros, share_of_rank
from fastmlp.engine.plan import Workspace
from fastmlp.engine.team import Team
from fastmlp.kernels import activations, gather, losses
from fastmlp.kernels.augment import augment, scratch_items, settings_of
from fastmlp.kernels.calls import (
    address,
    augment_arguments,
    callback,
    epilogue_arguments,
    gather_arguments,
    head_arguments,
    product_arguments,
)
from fastmlp.kernels.product import product
from fastmlp.kernels.sync import ABANDONED, FAILED, HALT
from fastmlp.kernels.updates import HYPERPARAMETERS, L2, UPDATES, Update
from fastmlp.threads import available_cores

if TYPE_CHECKING:
    from fastmlp.augmentation import Augmentation
    from fastmlp.inputs import Samples
    from fastmlp.model import MLP
    from fastmlp.optimizers import Optimizer
    from fastmlp.targets import Targets


class UpdateLimits(NamedTuple):
    """What is done to gradients and weights beside the optimiser's update; None or 0: nothing.

    Attributes
    ----------
    clip_norm, clip_value : float or None
        Largest norm of the whole gradient, largest size of its items.
    max_norm : float or None
        Largest norm of a column of W.
    average_decay : float or None
        Decay of the running mean of the parameters.
    """

    clip_norm: float | None = None
    clip_value: float | None = None
    max_norm: float | None = None
    average_decay: float | None = None


class Summation(Protocol):
    """The processes that share each batch; ``broken`` is set when a sum has failed."""

    rank: int
    size: int
    broken: bool

    def sum_items(self, buffer: NDArray[Any]) -> None:
        """Make an array of each its sum over all, the same bits on all."""


class Totals(NamedTuple):
    """Sums over the samples that a job has seen.

    ``mass`` is what they count in a mean of losses.
    """

    samples: int
    loss: float
    hits: int
    mass: float

    @property
    def mean_loss(self) -> float:
        """Loss by mass; 0 where nothing counts."""
        return self.loss / self.mass if self.mass else 0.0

    @property
    def accuracy(self) -> float:
        """Share of hits."""
        return self.hits / max(self.samples, 1)


Watch = Callable[[Totals], None]
"""Called now and then while a job runs, with its sums so far."""


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
NO_LIMITS = UpdateLimits()
NOTHING = np.empty(0, dtype=np.int64)

KEPT_ORDER = 2**17
"""Most rows that prediction asks the team for at once. Their numbers, 1 MB at most, are kept from
call to call: otherwise each would allocate 8 bytes a row, a fifth of ten float32 probabilities."""

PROBED_PRODUCTS = 8_000_000
"""Rows of a batch times parameters below which fewer threads may be faster: 48 MFLOP, 0.1 ms of two
threads, of which their barriers and what they hand to each other are 10 us and more."""

CALIBRATION_SECONDS = 2e-3
"""Length of a job from which on its clocks and its wall time agree to a few per cent."""

PROBE_STEPS, PROBE_ROUNDS = 50, 3
"""Steps in which a number of threads is timed, and how often; the least time counts."""


def planes_of(optimizer: Optimizer) -> int:
    """Planes of its state."""
    planes: int = UPDATES[optimizer.update].planes
    return planes


def compile_for(
    model: MLP, optimizer: Optimizer, kind: str, targets: Targets, penalty: float | None = None
) -> None:
    """Compile what training on samples of ``kind`` needs, or load it from the cache."""
    functions = {activations.identity}
    for name in model.activations:
        functions |= {*activations.ACTIVATIONS[name][:2]}
    epilogues = (*sorted(functions, key=lambda f: f.__name__), update_of(optimizer, penalty).kernel)
    compile_step(
        [
            (product, product_arguments),
            (GATHERS[kind], gather_arguments),
            (losses.LOSSES[model.loss.name][targets.kind], head_arguments),
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
        Needed to train; its state starts anew.
    learns : bool, default False
        Whether it makes gradients: batch norm then needs room for whole batches.
    limits : UpdateLimits
        What is done to gradients and weights beside the update.
    seed : int, default 0
        Of dropout.
    augmentation : Augmentation, optional
        Of the images that it is trained on.
    penalty : float, optional
        alpha: the loss of a batch, and its gradient, is that of its samples plus alpha / 2 times
        the sum of squares of all W, divided by what the samples count; `trace` then has the sum.
    tolerant : bool, default False
        Whether training goes on where a loss is not finite.
    ranks : Summation, optional
        The processes with which it trains; each has a share of the rows of each batch. A request
        to stop that comes to one is a KeyboardInterrupt of all, after the same step.

    Attributes
    ----------
    step : int
        Steps of training that were done.
    trace : ndarray of float64 (n_steps, records.TRACE_ITEMS)
        Of the steps of the last `train`.
    state, average : ndarray
        The optimiser's, each row of the parameters followed by further planes; the running mean of
        the parameters, if asked for.
    batch_masses : ndarray of float64 (n_steps,), or empty
        What each batch of the next `train` or `gradients_of` counts on all ranks, where samples
        have weights.
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
        *,
        learns: bool = False,
        limits: UpdateLimits = NO_LIMITS,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        penalty: float | None = None,
        tolerant: bool = False,
        ranks: Summation | None = None,
    ) -> None:
        self.model = model
        self.rows = rows
        self._fewer = fewer
        self._preferred = self._most = threads
        self.optimizer = optimizer
        self.workspace = Workspace(
            model.places,
            model.dtype,
            rows,
            threads,
            whole_batches=learns and "batch" in model.norms,
            input_dropout=model.input_dropout,
        )
        self.gradients = self.state = self.average = aligned_zeros(0, model.dtype)
        self.team = Team(threads, available_cores())
        self.step = 0
        self.bound: tuple[str, str] | None = None
        self._in_order = NOTHING
        self._alive: tuple[Any, ...] = ()
        self._asked: tuple[int, ...] = ()
        job = self.workspace.job
        job.params, job.cells = model.parameters.ctypes.data, self.team.cells.ctypes.data
        job.key0, job.key1 = np.random.SeedSequence(seed).generate_state(2, np.uint32)
        self.trace = np.zeros((0, records.TRACE_ITEMS))
        self.penalty = penalty
        job.tolerant = tolerant
        if penalty is not None:
            job.measure_weights = self.workspace.extra(extras.measure_weights)
        if optimizer is not None:
            update = update_of(optimizer, penalty)
            self.state = aligned_zeros(update.planes * len(model.parameters), model.dtype)
            self.state += self.state.dtype.type(optimizer.initial_state)
            job.state, job.planes = self.state.ctypes.data, update.planes
            job.update = address(update.kernel, epilogue_arguments, model.dtype)
            job.idle_at_zero = update.idle_at_zero
        self._ranks = ranks
        self.batch_masses = np.empty(0)
        self._limit(limits)
        if ranks is not None:
            self._sum_over(ranks)
        if augmentation is not None:
            self._augment(augmentation, threads)

    def _augment(self, augmentation: Augmentation, threads: int) -> None:
        job = self.workspace.job
        settings = settings_of(augmentation)
        job.augment_columns = settings.shape[1]
        items = -(-scratch_items(settings) // records.LINE_ITEMS) * records.LINE_ITEMS
        scratch = aligned_zeros(threads * items, np.dtype(np.float64))
        job.augment_items = items
        job.augment_settings, job.augment_scratch = settings.ctypes.data, scratch.ctypes.data
        job.augment = address(augment, augment_arguments, self.model.dtype)
        job.change_images = self.workspace.extra(extras.change_images)
        self._augmenting = settings, scratch  # their addresses do not keep them alive

    def _limit(self, limits: UpdateLimits) -> None:
        """Turn on what ``limits`` asks for."""
        job, settings = self.workspace.job, self.workspace.buffers["settings"]
        settings[records.CLIP_NORM] = limits.clip_norm or np.inf
        settings[records.CLIP_VALUE] = limits.clip_value or np.inf
        if limits.clip_norm is not None or limits.clip_value is not None or self._ranks is not None:
            job.apply_whole = self.workspace.extra(extras.apply_whole)
            self._need_gradients()
        if limits.max_norm is not None:
            settings[records.MAX_NORM] = limits.max_norm
            job.constrain = self.workspace.extra(extras.constrain)
        if limits.average_decay is not None:
            self.average = aligned_zeros(len(self.model.parameters), self.model.dtype)
            settings[records.DECAY] = limits.average_decay
            job.average = self.average.ctypes.data
            job.average_weights = self.workspace.extra(extras.average_weights)

    def _sum_over(self, ranks: Summation) -> None:
        """Let each step sum its gradients over ``ranks``."""
        job, dtype = self.workspace.job, self.model.dtype
        buffers: dict[tuple[int, int], NDArray[Any]] = {}

        def sum_at(place: int, items: int) -> None:
            if self.team.cells[ABANDONED]:
                return
            try:
                if (place, items) not in buffers:
                    memory = (ctypes.c_char * (items * dtype.itemsize)).from_address(place)
                    buffers[place, items] = np.frombuffer(memoryview(memory), dtype)
                ranks.sum_items(buffers[place, items])
            except BaseException as error:
                ranks.broken = True
                self.team.fail(error)
                self.team.cells[FAILED] = 1  # what was not summed is no gradient

        job.sum_over_ranks, self._callback = callback(sum_at)
        job.sum_gradients = self.workspace.extra(extras.sum_gradients)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.team.close()

    def train(
        self,
        samples: Samples,
        targets: Targets,
        order: NDArray[np.int64],
        batch_size: int,
        rates: NDArray[np.float64],
        watch: Watch | None = None,
        resumed: bool = False,
        count: int | None = None,
    ) -> Totals:
        """One update by the optimizer for each batch.

        ``rates`` are the learning rates of these steps, or one for all of them. ``resumed``: the
        totals and clocks go on from those of the job before, of another part of the same epoch.
        ``batch_size`` and ``count``, the number of samples, are those of all ranks; ``order`` is
        this rank's share of each batch, one after another.
        """
        count = len(order) if count is None else count
        own = self._share(batch_size)
        if own > self.workspace.chunk_rows:
            self._need_gradients()
        self.trace = np.zeros((-(-count // batch_size), records.TRACE_ITEMS))
        self.workspace.use(min(self._preferred, self._most))
        done = 0
        if self._fewer and own * len(self.model.parameters) < PROBED_PRODUCTS:
            job = samples, targets, order, batch_size, count
            done = self._choose_threads(*job, rates, resumed)
        arguments = samples, targets, order[done * own :], batch_size, count - done * batch_size
        rates = rates[done:] if len(rates) > 1 else rates
        self._trace_from(done)
        resumed = resumed or done > 0
        return self._run(records.TRAIN, *arguments, rates=rates, watch=watch, resumed=resumed)

    def _share(self, rows: int) -> int:
        """How many rows of a batch of so many are this rank's."""
        ranks = self._ranks
        return rows if ranks is None else share_of_rank(rows, ranks.rank, ranks.size)[1]

    def let_go(self) -> None:
        """Keep no data set alive until the next job."""
        self._alive = ()
        self._asked = ()

    def limit_threads(self, most: int) -> None:
        """Let `train` use no more than ``most`` threads, and 1 at least, until told otherwise."""
        self._most = max(1, min(most, self.team.threads))

    def _trace_from(self, first: int) -> None:
        """The next job's steps are those of `trace` from ``first`` on."""
        job, rest = self.workspace.job, self.trace[first:]
        job.step_trace, job.n_steps = rest.ctypes.data, len(rest)
        self._weigh_batches(first)

    def _weigh_batches(self, first: int) -> None:
        """The next job's batches count what `batch_masses` says from ``first`` on."""
        job, masses = self.workspace.job, self.batch_masses[first:]
        job.batch_masses, job.n_batch_masses = masses.ctypes.data, len(masses)

    def _choose_threads(
        self,
        samples: Samples,
        targets: Targets,
        order: NDArray[np.int64],
        batch_size: int,
        count: int,
        rates: NDArray[np.float64],
        resumed: bool,
    ) -> int:
        """Time the first steps of ``order`` with 1, 2, 4, ... threads; the steps then done.

        The steps are taken as they would have been: their bits do not depend on the threads.
        """
        most = self._most
        candidates = [2**k for k in range(most.bit_length()) if 2**k < most] + [most]
        segments = PROBE_ROUNDS * len(candidates)
        steps = min(PROBE_STEPS, count // batch_size // (2 * segments))
        if len(candidates) < 2 or steps == 0:
            return 0
        rows = steps * self._share(batch_size)
        self._fewer = False
        ticks: dict[int, list[int]] = {threads: [] for threads in candidates}
        for k in range(segments):
            threads = candidates[k % len(candidates)]
            self.workspace.use(threads)
            going_on = resumed or k > 0
            before = int(self._clocks[0].sum()) if going_on else 0
            part = order[k * rows : (k + 1) * rows]
            some = rates[k * steps : (k + 1) * steps] if len(rates) > 1 else rates
            self._trace_from(k * steps)
            job = samples, targets, part, batch_size, steps * batch_size
            self._run(records.TRAIN, *job, rates=some, resumed=going_on)
            ticks[threads].append(int(self._clocks[0].sum()) - before)
        self._preferred = min(candidates, key=lambda threads: min(ticks[threads]))
        self.workspace.use(self._preferred)
        return segments * steps

    def gradients_of(
        self,
        samples: Samples,
        targets: Targets,
        order: NDArray[np.int64] | None = None,
        count: int | None = None,
    ) -> Totals:
        """Gradients of the mean loss over ``order``, or all, into the buffer ``gradients``.

        ``count``: the number of samples of all ranks; the sums are those of this one.
        """
        self._need_gradients()
        self._weigh_batches(0)
        self.workspace.use(min(self._preferred, self._most))
        return self._run(records.GRADIENT, samples, targets, order, count=count)

    def score(
        self,
        samples: Samples,
        targets: Targets,
        order: NDArray[np.int64] | None = None,
        resumed: bool = False,
    ) -> Totals:
        """Sums of loss and hits over the samples of ``order``, or all.

        ``resumed``: on top of those of the job before.
        """
        return self._run(records.SCORE, samples, targets, order, resumed=resumed)

    def outputs(
        self, samples: Samples, order: NDArray[np.int64], head: str, out: NDArray[Any]
    ) -> None:
        """What ``head`` makes of the samples of ``order``, into ``out`` (len(order), n_outputs)."""
        self._run(records.PREDICT, samples, None, order, output=head, out=out)

    def predict(self, samples: Samples, head: str, out: NDArray[Any], threads: int) -> bool:
        """What ``head`` (of `losses.OUTPUTS`) makes of every sample, into ``out``.

        ``out`` (n_samples, n_classes) is contiguous. False if a value of the samples is not finite.
        """
        self.bound = None
        self.workspace.use(min(threads, self.team.threads))
        most = min(samples.count, KEPT_ORDER)
        if len(self._in_order) < most:
            self._in_order = np.arange(most)
        try:
            for begin in range(0, samples.count, KEPT_ORDER):
                part = out[begin : begin + KEPT_ORDER]
                order = self._in_order[: len(part)]
                order = order + begin if begin else order
                self._run(records.PREDICT, samples, None, order, output=head, out=part)
        except NonFiniteLossError:
            return False
        finally:
            self.let_go()  # a predictor lives longer than what it was given
        return True

    def bind(self, samples: Samples, head: str) -> None:
        """Make ready for `predict_bound` of arrays like that of ``samples``."""
        order = np.arange(self.workspace.chunk_rows)
        self._prepare(records.PREDICT, samples, None, order, len(order), len(order), output=head)
        self._alive = (order,)
        self._asked = ()
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

    def compile(self, samples: Samples, targets: Targets) -> None:
        """Compile what `train` needs, or load it from the cache, without a step."""
        self._prepare(records.TRAIN, samples, targets, NOTHING, 1, 0)
        self._call(0)

    def phase_seconds(self) -> NDArray[np.float64]:
        """Seconds of the last job by thread and phase: (threads, records.PHASES)."""
        clocks = self._clocks
        total = clocks.sum(axis=1).max()
        return clocks * (self._seconds / total if total else 0.0)

    def _run(
        self,
        mode: int,
        samples: Samples,
        targets: Targets | None = None,
        order: NDArray[np.int64] | None = None,
        batch_size: int | None = None,
        count: int | None = None,
        *,
        rates: NDArray[np.float64] | None = None,
        watch: Watch | None = None,
        output: str = "",
        out: NDArray[Any] | None = None,
        resumed: bool = False,
    ) -> Totals:
        """Run one job: all samples in their order, as one batch, unless said otherwise.

        ``resumed``: its totals and clocks go on from those of the job before.
        """
        order = np.arange(samples.count) if order is None else order
        count = len(order) if count is None else count
        batch_size = batch_size or max(count, 1)
        self._prepare(mode, samples, targets, order, batch_size, count, rates, output, out)
        if not resumed:
            self._progress[:] = 0
            self._clocks[:] = 0
            self._seconds = 0.0
        before = int(self._progress[records.STEPS])
        start = time.perf_counter()
        self.team.run(
            self._call,
            lambda: watch(self._totals()) if watch else None,
            self.workspace.threads,
            # Waiting for other ranks may take long, and Python's callback could meet Ctrl-C here.
            brief=self._ranks is None and len(order) * len(self.model.parameters) < BRIEF_PRODUCTS,
        )
        self._seconds += time.perf_counter() - start
        if self._seconds > CALIBRATION_SECONDS:
            self.team.calibrate(float(self._clocks[0].sum()) / self._seconds)
        steps = int(self._progress[records.STEPS])
        if self.team.cells[FAILED]:
            raise NonFiniteLossError(steps)
        if self._ranks is not None and mode >= records.GRADIENT and self.team.cells[HALT]:
            raise KeyboardInterrupt
        if mode == records.TRAIN:
            self.step += steps - before
        return self._totals()

    def _call(self, thread: int) -> None:
        step.run(self.workspace.jobs, self.workspace.layers, self._hyper, thread)

    def _prepare(
        self,
        mode: int,
        samples: Samples,
        targets: Targets | None,
        order: NDArray[np.int64],
        batch_size: int,
        count: int,
        rates: NDArray[np.float64] | None = None,
        output: str = "",
        out: NDArray[Any] | None = None,
    ) -> None:
        """Make ``workspace.job`` the job of `_call`."""
        asked = mode, batch_size, id(samples), id(targets), id(order)  # which are kept alive
        if mode == records.GRADIENT and asked == self._asked:
            return  # L-BFGS asks again and again: 55 us on 150 samples in place of 80
        self._asked = asked
        dtype, job = self.model.dtype, self.workspace.job
        hyper = np.zeros((1, 1, HYPERPARAMETERS), dtype=dtype)
        if mode == records.TRAIN and self.optimizer is not None and rates is not None:
            steps = self.step + np.arange(1, -(-count // batch_size) + 1)
            with np.errstate(over="ignore"):  # an infinite rate shows in the loss
                hyper = self.optimizer.hyperparameters(
                    steps, np.broadcast_to(rates, len(steps)), len(self.model.places)
                )
                if self.penalty and targets is not None:
                    batches = masses_of_batches(targets, order, batch_size)
                    hyper = penalised(hyper, self.penalty, batches, len(self.model.places))
                hyper = hyper.astype(dtype)
        self.workspace.use_groups(hyper.shape[1])
        self._hyper = np.ascontiguousarray(hyper.reshape(-1, HYPERPARAMETERS))
        job.first_step = self.step + 1
        if mode != records.TRAIN:
            job.n_steps = 0
        source = addresses_of(samples.arrays)
        # Addresses do not keep what is there alive.
        self._alive = samples, targets, order, out, source
        self._source = source
        job.mode, job.rows, job.samples, job.batch_size = mode, len(order), count, batch_size
        job.rank, job.ranks = 0, 1
        if self._ranks is not None and mode >= records.GRADIENT:
            job.rank, job.ranks = self._ranks.rank, self._ranks.size
        job.source, job.n_arrays = source.ctypes.data, len(source)
        job.order = order.ctypes.data
        job.out = 0 if out is None else out.ctypes.data
        job.input_scale = samples.scale
        job.gather = address(GATHERS[samples.kind], gather_arguments, dtype)
        if targets is None:
            head = losses.OUTPUTS[output]
            job.n_labels = job.n_targets = job.n_weights = job.n_masses = 0
        else:
            head = losses.LOSSES[self.model.loss.name][targets.kind]
            self._aim_at(targets)
        job.head = address(head, head_arguments, dtype)

    def _aim_at(self, targets: Targets) -> None:
        """Tell the job where targets and weights are."""
        job = self.workspace.job
        for field, values in (
            ("labels", targets.labels),
            ("targets", targets.rows),
            ("weights", targets.weights),
            ("masses", targets.masses),
        ):
            job[field], job[f"n_{field}"] = values.ctypes.data, len(values)
        options = self.workspace.buffers["options"].reshape(4, -1)
        options[:, : targets.options.shape[1]] = targets.options

    @property
    def _progress(self) -> NDArray[np.float64]:
        return self.workspace.buffers["progress"]

    @property
    def _clocks(self) -> NDArray[np.int64]:
        return self.workspace.buffers["clocks"].reshape(-1, records.PHASES)

    def _totals(self) -> Totals:
        progress = self._progress
        return Totals(
            int(progress[records.SAMPLES]),
            float(progress[records.LOSS_SUM]),
            int(progress[records.HITS]),
            float(progress[records.MASS]),
        )

    def _need_gradients(self) -> None:
        if not len(self.gradients):
            items = len(self.model.parameters) + records.FLAGS
            self.gradients = aligned_zeros(items, self.model.dtype)
            self.workspace.job.gradients = self.gradients.ctypes.data


def update_of(optimizer: Optimizer, penalty: float | None) -> Update:
    """Its kernel; one that knows of weight decay where there is a penalty."""
    name = optimizer.update
    return UPDATES["decayed_sgd" if penalty is not None and name == "sgd" else name]


def penalised(
    hyper: NDArray[np.float64], penalty: float, masses: NDArray[np.float64], n_layers: int
) -> NDArray[np.float64]:
    """``hyper`` with penalty / mass added to the coupled decay of W: a row for each step."""
    shape = (len(masses), 2 * n_layers, hyper.shape[2])
    rows = np.array(np.broadcast_to(hyper, shape))
    shares = np.divide(penalty, masses, out=np.zeros_like(masses), where=masses != 0)
    rows[:, ::2, L2] += shares[:, None]
    return rows


def masses_of_batches(
    targets: Targets, order: NDArray[np.int64], batch_size: int
) -> NDArray[np.float64]:
    """What the samples of each batch of ``order`` count: (n_batches,)."""
    first = np.arange(0, len(order), batch_size)
    if not len(targets.masses):
        return np.minimum(len(order) - first, float(batch_size))
    sums: NDArray[np.float64] = np.add.reduceat(targets.masses[order].astype(np.float64), first)
    return sums


def addresses_of(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Address and number of items of each array: (n_arrays, 2)."""
    return np.array([(array.ctypes.data, array.size) for array in arrays], dtype=np.int64)
