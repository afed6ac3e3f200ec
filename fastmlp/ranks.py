"""`Ranks`: the processes of an MPI communicator that train one model together."""

from __future__ import annotations

import atexit
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import shown

Value = TypeVar("Value")


SHORTEST_PAUSE, LONGEST_PAUSE = 20e-6, 5e-3
"""Seconds between two looks whether other ranks have come."""


class RankError(RuntimeError):
    """What the other ranks raise when one has failed."""


class Ranks:
    """The processes of a communicator.

    A rank that fails must not leave the others waiting for it. What each does on its own goes
    into a `together` block, in which an exception of one becomes one of all. After an exception
    anywhere else, where the others may be in the midst of a message, the exit of the process ends
    all (MPI_Abort). A context manager, which gives the communicator back.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
        Duplicated: messages here do not meet those of others.

    Attributes
    ----------
    comm : mpi4py.MPI.Intracomm
        The duplicate.
    rank, size : int
    agreed : bool
        Whether all ranks know of the last failure.
    broken : bool
        Whether a message has failed: no further one can be understood.

    Raises
    ------
    TypeError, ValueError
        If ``comm`` is no communicator, or its MPI cannot be called from several threads in turn.
    """

    def __init__(self, comm: Any) -> None:
        if type(comm).__module__.partition(".")[0] != "mpi4py" or not hasattr(comm, "Allreduce"):
            raise TypeError(
                f"comm must be a communicator of mpi4py such as MPI.COMM_WORLD, not {shown(comm)}"
            )
        from mpi4py import MPI

        if comm == MPI.COMM_NULL or comm.Is_inter():
            raise ValueError("comm must be an intracommunicator such as MPI.COMM_WORLD")
        if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
            raise ValueError(
                "comm is of an MPI that was initialised for one thread alone: "
                "mpi4py.rc.thread_level must be 'serialized' or 'multiple'"
            )
        self._mpi = MPI
        self.comm = comm.Dup()
        self.rank: int = comm.rank
        self.size: int = comm.size
        self.agreed = False
        self.broken = self._interrupted = False

    def __enter__(self) -> Ranks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and not self.agreed:
            _failed.append(f"rank {self.rank}: {one_line(error)}")
        else:
            self.comm.Free()

    def sum_items(self, buffer: NDArray[Any]) -> None:
        """Make ``buffer`` of each its sum over all.

        For the same number and placing of ranks MPI adds in the same order ("strongly recommended",
        MPI 4.0, 6.9.1), and one result goes to all.
        """
        self.comm.Allreduce(self._mpi.IN_PLACE, buffer)

    def first(self, value: Value) -> Value:
        """That of rank 0."""
        result: Value = self.comm.bcast(value)
        return result

    def all(self, value: Value) -> list[Value]:
        """Those of all ranks, in their order."""
        result: list[Value] = self.comm.allgather(value)
        return result

    def copy_first(self, array: NDArray[Any]) -> None:
        """Make ``array`` of each that of rank 0."""
        self.comm.Bcast(array)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What a rank does in the block is its own: no messages. All leave it, or none.

        Raises
        ------
        RankError
            If the block has failed on another rank, and not on this.
        KeyboardInterrupt
            If there was nothing but a Ctrl-C, on whichever rank.
        """
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            if self.broken:
                raise
            error = raised
        if self._interrupted and error is None:
            self._interrupted, error = False, KeyboardInterrupt()
        failed = np.array([error is not None], dtype=np.int64)
        request = self.comm.Iallreduce(self._mpi.IN_PLACE, failed)
        # One may compile, or write a checkpoint: MPI itself would wait for it with a busy core.
        pause = SHORTEST_PAUSE
        while not request.Test():
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if not failed[0]:
            return
        ctrl_c = isinstance(error, KeyboardInterrupt)
        ended = self.all(None if error is None else (ctrl_c, one_line(error)))
        self.agreed = True
        if error is not None and not ctrl_c:
            raise error
        for rank, end in enumerate(ended):
            if end is not None and not end[0]:
                # That of this rank may be of a step which ended because of it.
                raise RankError(f"rank {rank}: {end[1]}") from None
        raise KeyboardInterrupt

    def check_equal(self, values: dict[str, Any]) -> None:
        """ValueError of all ranks if one has another value than rank 0."""
        given = self.all(values)
        for rank, others in enumerate(given):
            for name, value in others.items():
                if value != given[0].get(name):
                    self.agreed = True
                    raise ValueError(
                        f"{name} must be the same on all ranks: {given[0].get(name)} on rank 0, "
                        f"{value} on rank {rank}"
                    )

    @contextlib.contextmanager
    def interrupted_together(self) -> Iterator[None]:
        """While the block runs, Ctrl-C waits for `check_interrupted` or the end of `together`.

        A KeyboardInterrupt between two messages would leave the other ranks waiting. A handler
        that is not Python's own stays.
        """
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield
            return

        def remember(*_: object) -> None:
            self._interrupted = True

        signal.signal(signal.SIGINT, remember)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def check_interrupted(self) -> None:
        """KeyboardInterrupt if there was a Ctrl-C."""
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt


_failed: list[str] = []
"""What has ended trainings of this process of which the other ranks do not know."""


def _abort_if_failed() -> None:
    """End all ranks: MPI_Finalize, which comes next, would wait for them, and they for us."""
    if _failed:
        print(f"fastmlp: {_failed[0]}: all ranks end", file=sys.stderr, flush=True)
        abort(1)


atexit.register(_abort_if_failed)


def abort(status: int) -> None:
    """End the processes of all ranks."""
    from mpi4py import MPI

    MPI.COMM_WORLD.Abort(status)


def one_line(error: BaseException) -> str:
    """An exception's name and message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
