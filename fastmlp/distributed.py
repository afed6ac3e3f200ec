"""Data-parallel training: `DistributedRun`, the training loop of each of several MPI processes.

All ranks draw one and the same order of all rows, that of one process, and train on their share of
each of its batches; see `Exchange` and `fastmlp.engine.step`. What else they must agree on is rank
0's: initial parameters, learning rates, the clock, the callbacks and their answers.
"""

from __future__ import annotations

import hashlib
import os
import platform
import warnings
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.arguments import Part, classes_of, given_part, labelled, part_of
from fastmlp.checks import shown
from fastmlp.engine.layout import share_of_rank
from fastmlp.evaluation import Evaluation
from fastmlp.exchange import Exchange
from fastmlp.history import Epoch, History
from fastmlp.inputs import Samples
from fastmlp.model import MLP
from fastmlp.model_file import header_of
from fastmlp.ranks import Ranks
from fastmlp.run import Run
from fastmlp.splits import held_out
from fastmlp.state import TrainingState
from fastmlp.targets import Targets, balanced_weights
from fastmlp.threads import are_free, available_cores, processors_of_cores, threads_for
from fastmlp.windows import Window

if TYPE_CHECKING:
    from fastmlp.engine.engine import Engine, Totals


SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "PALS_SIZE", "MPI_LOCALNRANKS")
"""Variables in which launchers tell the number of processes: MPICH, Intel MPI and PMI-2 of SLURM;
Open MPI; srun; Cray's PALS; Hydra."""


@dataclass(kw_only=True)
class DistributedRun(Run):
    """One call of `fit` with ``comm``.

    ``samples`` and ``targets`` are those that this rank holds, ``rows`` those of all ranks that are
    trained on, counted through the ranks; ``validation`` is this rank's part. ``mass`` is what all
    rows count, ``digest`` that of their targets.
    """

    ranks: Ranks
    exchange: Exchange
    mass: float
    digest: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ranks.rank > 0:
            self.callbacks = ()

    @property
    def own_batch_size(self) -> int:
        """The most that this rank has of a batch."""
        return share_of_rank(self.batch_size, self.ranks.rank, self.ranks.size)[1]

    def check(self, resume: object) -> None:
        """A refusal of one rank is one of all."""
        with self.ranks.together():
            if self.batch_size < self.ranks.size:
                raise ValueError(
                    f"batch_size must be {self.ranks.size} or more, a sample for each rank, not "
                    f"{self.batch_size} of {len(self.rows)} samples"
                )
            super().check(resume)

    def weighs_nothing(self) -> bool:
        """Whether the weights of all ranks are 0."""
        return self.mass == 0

    def digest_of_targets(self) -> str:
        """As of one process that holds all rows."""
        return self.digest

    def compiled(self, threads: int) -> Engine:
        """One rank of each host compiles; the others then load."""
        hosts = self.ranks.all(platform.node())
        first = hosts.index(hosts[self.ranks.rank]) == self.ranks.rank
        for turn in (True, False):
            with self.ranks.together():
                if first is turn:
                    super().compiled(threads)
        return self.engine

    def begin(self, engine: Engine, state: TrainingState | None) -> None:
        """Begin with the parameters of rank 0."""
        with self.ranks.together():
            super().begin(engine, state)
        self.ranks.copy_first(self.model.parameters)

    def train(self) -> None:
        """All epochs that are left; Ctrl-C ends that of all ranks after one and the same step."""
        with self.ranks.interrupted_together():
            super().train()
            with self.ranks.together():  # for a Ctrl-C of the last moment
                pass

    def begin_epoch(self) -> None:
        """What rank 0's callbacks raise ends all; what they change is that of all."""
        with self.ranks.together():
            super().begin_epoch()
        self.ranks.copy_first(self.model.parameters)

    def tell(self, record: Epoch) -> bool:
        """As `begin_epoch`."""
        with self.ranks.together():
            return super().tell(record)

    def _had_ended(self) -> bool:
        return self.ranks.first(super()._had_ended())

    def rates_of_epoch(self) -> NDArray[np.float64]:
        """Those of rank 0."""
        with self.ranks.together():
            rates = super().rates_of_epoch()
        return self.ranks.first(rates)

    def steps(self, rates: NDArray[np.float64]) -> Totals:
        """One epoch's steps; the sums of all ranks."""
        order = self.order_of_epoch()
        self.engine.let_go()  # or it keeps the rows of the epoch before, beside the new ones
        self.exchange.deal(self.samples, self.targets, order, self.batch_size)
        self.engine.batch_masses = self._masses(self.batch_size)
        with self.ranks.together():
            totals = super().steps(rates)
        return self._total(totals)

    def windows_of_epoch(self) -> Generator[Window]:
        """What this rank was dealt."""
        dealt = self.exchange.dealt
        yield Window(dealt.samples, dealt.targets, dealt.order)

    def samples_in(self, order: NDArray[np.int64]) -> int:
        """Of all ranks."""
        return len(self.rows)

    def gradients(self) -> Totals:
        """Those of all ranks."""
        count = len(self.rows)
        dealt = self.exchange.deal(self.samples, self.targets, self.rows, count)
        self.engine.batch_masses = self._masses(count)
        with self.ranks.together():
            totals = self.engine.gradients_of(dealt.samples, dealt.targets, dealt.order, count)
        return self._total(totals)

    def _masses(self, batch_size: int) -> NDArray[np.float64]:
        """What each batch counts on all ranks; empty without weights."""
        dealt = self.exchange.dealt
        if not len(dealt.targets.masses):
            return np.empty(0)
        weights = dealt.targets.masses[dealt.order].astype(np.float64)
        masses = np.zeros(-(-len(self.rows) // batch_size))
        np.add.at(masses, dealt.places // batch_size, weights)
        self.ranks.sum_items(masses)
        return masses

    def _total(self, totals: Totals) -> Totals:
        sums = np.array(totals, dtype=np.float64)
        self.ranks.sum_items(sums)
        samples, loss, hits, mass = sums.tolist()
        return totals._replace(samples=int(samples), loss=loss, hits=int(hits), mass=mass)

    def _watch(self, totals: Totals) -> None:
        """Rank 0's part stands for all."""
        self.ranks.check_interrupted()
        samples = min(totals.samples * self.ranks.size, len(self.rows))
        if totals.samples:
            scale = samples / totals.samples
            totals = totals._replace(
                samples=samples,
                loss=totals.loss * scale,
                hits=round(totals.hits * scale),
                mass=totals.mass * scale,
            )
        super()._watch(totals)

    def _end_epoch(self, totals: Totals, seconds: float, rate: float) -> bool:
        self._compare_parameters()
        seconds = self.ranks.first(seconds)
        stopped = super()._end_epoch(totals, seconds, rate)
        self.stopped = self.ranks.first(stopped)
        self.ranks.copy_first(self.model.parameters)  # a callback may have changed them
        return self.stopped

    def _compare_parameters(self) -> None:
        digests = self.ranks.all(hashlib.sha256(self.model.parameters.data).digest())
        for rank, digest in enumerate(digests):
            if digest != digests[0]:
                self.ranks.agreed = True
                raise RuntimeError(
                    f"the parameters of rank {rank} are not those of rank 0 after epoch "
                    f"{self.epoch + 1}: the MPI library gives them different sums, or the memory "
                    "of one is faulty"
                )

    def score(self, part: Part) -> Totals:
        """The sums of all ranks, each over its part."""
        with self.ranks.together():
            totals = super().score(part)
        return self._total(totals)

    def measured(self, scores: Totals, part: Part) -> dict[str, float]:
        """By rank 0, to which all send their outputs."""
        with self.ranks.together():
            own = self.targets_and_outputs(part)
        parts = self.ranks.comm.gather(own)
        metrics: dict[str, float] = {}
        with self.ranks.together():
            if parts is not None:
                metrics = self.measure(scores, *map(np.concatenate, zip(*parts, strict=True)))
        return self.ranks.first(metrics)

    def end(self) -> None:
        """The parameters that rank 0's callbacks leave are those of all."""
        with self.ranks.together():
            super().end()
        self.ranks.copy_first(self.model.parameters)


class Given(NamedTuple):
    """Arguments of `fit` that each rank has its own of."""

    model: MLP
    x: Any
    y: Any
    sample_weight: Any
    class_weight: Any
    validation_data: Any
    validation_fraction: Any
    seed: int


def distributed_run(ranks: Ranks, given: Given, make: Callable[..., Run], apart: bool) -> Run:
    """The run of this rank: its rows and those of the others, checked.

    ``make`` makes it of a class and the fields that are not arguments of `fit`; ``apart``: see
    `_check_apart`.
    """
    model = given.model
    balanced = isinstance(given.class_weight, str)
    with ranks.together():
        samples, targets = _labelled(given, given.class_weight)
        validation = given_part(model, given.validation_data, given.validation_fraction)
        network = header_of(model) | {"uint8_scale": model.uint8_scale}
    ranks.check_equal(
        {
            **network,
            "the kind of x": f"{samples.kind} of {samples.arrays[0].dtype}",
            "the kind of y": targets.kind,
            "sample_weight": "none" if given.sample_weight is None else "weights",
            "class_weight": shown(given.class_weight),
            "validation_data": "none" if given.validation_data is None else "data",
            "validation_fraction": given.validation_fraction,
            "seed": given.seed,
        }
    )
    if apart:
        _check_apart(ranks, samples, targets)
    exchange = Exchange(ranks, samples.count)
    rows = np.arange(exchange.count)
    if given.validation_fraction:
        rows, validation = _split(ranks, given, exchange, samples, targets)
    if balanced:
        classes = classes_of(model, targets)
        assert classes is not None  # or it was refused
        n = max(2, model.layers[-1])  # one output tells two classes
        counts = np.bincount(classes[exchange.own(rows)], minlength=n)
        ranks.sum_items(counts)
        targets = _labelled(given, balanced_weights(counts))[1]
    mass = np.array([float(len(rows))])
    if len(targets.masses):
        mass[0] = targets.masses[exchange.own(rows)].sum(dtype=np.float64)
        ranks.sum_items(mass)
    digest = _digest(ranks, rows, targets)
    with ranks.together():
        run = make(
            DistributedRun,
            samples=samples,
            targets=targets,
            rows=rows,
            validation=validation,
            ranks=ranks,
            exchange=exchange,
            mass=float(mass[0]),
            digest=digest,
        )
    ranks.check_equal(
        run.settings()
        | {
            name: shown(getattr(run, name))
            for name in ("epochs", "metrics", "max_seconds", "target_accuracy")
        }
    )
    return run


def _labelled(given: Given, class_weight: Any) -> tuple[Samples, Targets]:
    """A rank may have weights of 0 alone, where others have more."""
    samples, targets = labelled(
        *(given.model, given.x, given.y, given.sample_weight, class_weight),
        all_zero_allowed=True,
        in_windows=True,
    )
    if samples.source is not None:
        raise ValueError(
            f"x has {samples.count} rows on disk, and with comm each rank holds its own in memory: "
            f"give it fewer, or open x with a window of more than {samples.window}"
        )
    return samples, targets


def _check_apart(ranks: Ranks, samples: Samples, targets: Targets) -> None:
    """Let rank 0 warn if two ranks were given the same rows, as all of them would be by mistake.

    It is no error: there may be data of few rows that are repeated.
    """
    digest = hashlib.sha256()
    ends = [array[:: max(1, len(array) // 64)] for array in samples.arrays]
    for array in (*ends, targets.labels, targets.rows):
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    digests = ranks.all((samples.count, digest.digest()))
    with ranks.together():
        for rank, other in enumerate(digests):
            if other in digests[:rank] and ranks.rank == 0:
                warnings.warn(
                    f"x and y of ranks {digests.index(other)} and {rank} are the same {other[0]} "
                    "samples: each rank should hold its own share of the rows",
                    stacklevel=6,
                )
                break


def _split(
    ranks: Ranks, given: Given, exchange: Exchange, samples: Samples, targets: Targets
) -> tuple[NDArray[np.int64], Part]:
    """What one process would train on and hold out, the latter this rank's part."""
    classes = classes_of(given.model, targets)
    every = None if classes is None else np.concatenate(ranks.all(classes))
    held = held_out(every, exchange.count, given.validation_fraction, given.seed)
    own = held[exchange.first : exchange.first + samples.count]
    return np.flatnonzero(~held), part_of(samples, targets, np.flatnonzero(own))


def _digest(ranks: Ranks, rows: NDArray[np.int64], targets: Targets) -> str:
    """Of all ranks' targets, rank after rank: that of `Run.digest_of_targets`."""
    digest = hashlib.sha256(rows.tobytes())
    for field in ("labels", "rows", "weights", "masses"):
        array = np.ascontiguousarray(getattr(targets, field))
        for rank in range(ranks.size):  # one at a time: rank 0 holds them for no longer
            part = array
            if rank and ranks.rank == rank:
                ranks.comm.send(array, 0)
            elif rank and ranks.rank == 0:
                part = ranks.comm.recv(source=rank)
            digest.update(part.tobytes())
    digest.update(np.ascontiguousarray(targets.options).tobytes())
    return ranks.first(digest.hexdigest()[:16])


def threads_of_rank(ranks: Ranks, threads: int | None, products: int | None = None) -> int:
    """Threads of this rank.

    ``threads`` and ``products`` as in `threads_for`; without the former and its variable, the ranks
    of a host share the cores that they may use.
    """
    with ranks.together():
        wanted = threads_for(threads, products)
    host, cores, most = platform.node(), processors_of_cores(), available_cores()
    here = [theirs for name, theirs in ranks.all((host, cores)) if name == host]
    if not are_free(threads):
        return wanted
    sharers = Counter(core for theirs in here for core in theirs)
    fair = int(sum(Fraction(1, sharers[core]) for core in cores))
    if most < len(cores):  # by the quota of a control group, which is that of all
        fair = min(fair, most // len(here))
    return max(1, min(wanted, fair))


def _check_cores(ranks: Ranks, threads: int) -> None:
    """Let rank 0 warn of each host whose ranks have more threads than there are cores."""
    given = ranks.all((platform.node(), processors_of_cores(), available_cores(), threads))
    with ranks.together():
        for host in dict.fromkeys(host for host, *_ in given) if ranks.rank == 0 else ():
            here = [item for item in given if item[0] == host]
            cores = len({core for _, theirs, *_ in here for core in theirs})
            if all(len(theirs) == cores for _, theirs, *_ in here):  # not bound to some each
                cores = min(most for *_, most, _ in here)
            total = sum(theirs for *_, theirs in here)
            if total > cores:
                warnings.warn(
                    f"{len(here)} ranks on {host} have {total} threads on {cores} cores, which "
                    "take turns: start fewer ranks, or give each fewer threads",
                    stacklevel=4,
                )


def share_of(ranks: Ranks, array: NDArray[Any]) -> NDArray[Any]:
    """A copy of this rank's rows of ``array``, which all have."""
    first, count = share_of_rank(len(array), ranks.rank, ranks.size)
    return np.array(array[first : first + count])


def evaluation_of_ranks(ranks: Ranks, own: Evaluation | None, count: int) -> Evaluation:
    """The mean of those of all ranks, each of ``count`` samples: None of 0, as the last may have.

    An accuracy of None is that of all.
    """
    loss, accuracy = own if own is not None else (0.0, None)
    sums = np.array([count, count * loss, count * (accuracy or 0.0), accuracy is not None])
    ranks.sum_items(sums)
    total, losses, hits, known = sums.tolist()
    return Evaluation(losses / total, hits / total if known else None)


def fit_on_ranks(
    comm: Ranks | Any,
    given: Given,
    make: Callable[..., Run],
    resume: TrainingState | None,
    threads: int | None,
    complete: Callable[[Run, TrainingState | None, int], History],
) -> History:
    """`fit` with ``comm``; ``complete`` is what it does with a run."""
    with nullcontext(comm) if isinstance(comm, Ranks) else Ranks(comm) as ranks:
        # The command, which gives `Ranks`, has dealt the rows itself.
        run = distributed_run(ranks, given, make, apart=not isinstance(comm, Ranks))
        products = len(run.rows) // ranks.size * len(given.model.parameters)
        own_threads = threads_of_rank(ranks, threads, products)
        _check_cores(ranks, own_threads)
        run.fewer_threads = are_free(threads)
        return complete(run, ranks.first(resume), own_threads)


def join() -> Ranks:
    """The ranks that mpiexec or srun has started this process among.

    Raises
    ------
    ImportError
        If mpi4py or an MPI library is not there.
    ValueError
        If the process was not started by mpiexec, or by that of another MPI library.
    """
    sizes = (os.environ.get(name, "") for name in SIZES)
    started = next((int(size) for size in sizes if size.isdecimal()), None)
    if started is None:
        raise ValueError(
            "--distributed needs mpiexec or srun, as in mpiexec -n 4 python -m fastmlp.train "
            "--distributed"
        )
    if "OMPI_COMM_WORLD_SIZE" in os.environ:
        # mpi4py's wheel would take the MPICH that lies beside it.
        os.environ.setdefault("MPI4PY_MPIABI", "openmpi")
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # without an MPI library it is a RuntimeError
        raise ImportError(
            f"--distributed needs mpi4py and an MPI library, pip install 'fastmlp[mpi]': {error}"
        ) from None
    if MPI.COMM_WORLD.size == 1 and started > 1:
        library = MPI.Get_library_version().split(",")[0].splitlines()[0]
        raise ValueError(
            f"--distributed: {started} processes were started, and mpi4py's MPI ({library}) sees "
            "one: use the mpiexec of that MPI, set MPI4PY_MPIABI=openmpi under srun with Open MPI, "
            "or name the library in MPI4PY_LIBMPI"
        )
    return Ranks(MPI.COMM_WORLD)
