"""A team of threads that run one job together, watched by the thread that asked for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from fastmlp.kernels.sync import (
    ABANDONED,
    CELLS,
    HALT,
    LONG_YIELD,
    LONG_YIELD_SECONDS,
    LONG_YIELD_TICKS,
    PATIENCE,
    SPINS,
    STOP,
)

WATCH_SECONDS = 0.05
"""How often the watching thread wakes while a job runs: to show progress, and to see Ctrl-C."""


class Team:
    """``threads`` Python threads, each inside one jitted call that releases the GIL.

    The thread that calls `run` does not compute: it sleeps, wakes to report progress, and turns
    Ctrl-C into a request to stop that the job obeys after the step (or chunk) at hand.

    Parameters
    ----------
    threads : int
        Threads that compute.
    cores : int
        Cores that they may use. With fewer cores than threads, one that waits yields at once.
    """

    def __init__(self, threads: int, cores: int) -> None:
        self.threads = threads
        self.cells = np.zeros(CELLS, dtype=np.int64)
        self.cells[PATIENCE] = SPINS if threads <= cores else 0
        self.cells[LONG_YIELD] = LONG_YIELD_TICKS
        self._task: Callable[[int], None] | None = None
        self._error: BaseException | None = None
        self._members: list[threading.Thread] = []
        self._make_semaphores()

    def _make_semaphores(self) -> None:
        self._begin = [threading.Semaphore(0) for _ in range(self.threads)]
        self._ended = threading.Semaphore(0)

    def calibrate(self, ticks_per_second: float) -> None:
        """Learn the rate of the processor's clock, which a job has counted."""
        self.cells[LONG_YIELD] = int(LONG_YIELD_SECONDS * ticks_per_second)

    def clear(self) -> None:
        """Forget how the last job ended; what waiting has learned stays."""
        self.cells[:PATIENCE] = 0

    def _start(self) -> None:
        if not all(member.is_alive() for member in self._members):
            # After a fork: threads of the parent, which still stand in line at the semaphores.
            self._members.clear()
            self._make_semaphores()
        while len(self._members) < self.threads:
            k = len(self._members)
            member = threading.Thread(
                target=self._work, args=(k,), name=f"fastmlp-{k}", daemon=True
            )
            member.start()
            self._members.append(member)

    def _work(self, thread: int) -> None:
        while True:
            self._begin[thread].acquire()
            if self._task is None:
                return
            try:
                self._task(thread)
            except BaseException as error:
                self.fail(error)
            self._ended.release()

    def run(
        self,
        task: Callable[[int], None],
        watch: Callable[[], None],
        threads: int | None = None,
        brief: bool = False,
    ) -> None:
        """Call ``task(k)`` in the first ``threads`` threads, by default all.

        Until all have ended, call ``watch()`` now and then.
        An exception in ``watch``, Ctrl-C among them, stops the job cleanly and is raised again. A
        ``brief`` task of a team of one is called here, without the 60 us of a change of thread.
        """
        self.clear()
        threads = threads or self.threads
        if brief and threads == 1:
            task(0)
            return
        try:
            self._start()
            self._task = task
            for begin in self._begin[:threads]:
                begin.release()
            self._wait(watch, threads)
            self._task = None  # or threads that wait would keep its engine alive, and the model
        except BaseException:
            # Ctrl-C may come while only some threads have begun: they must not wait for the rest.
            self._abandon()
            self.close()
            raise

    def _wait(self, watch: Callable[[], None], running: int) -> None:
        """Wait for ``running`` threads to end; raise what ``watch`` or a thread raised."""
        interruption: BaseException | None = None
        while running:
            try:
                if self._ended.acquire(timeout=WATCH_SECONDS):
                    running -= 1
                elif interruption is None:
                    watch()
            except BaseException as error:
                interruption = error
                self.cells[STOP] = 1
        failure = interruption or self._error
        if failure is not None:
            raise failure

    def fail(self, error: BaseException) -> None:
        """Let `run` raise ``error`` when the threads, which this ends, have come back."""
        self._error = error
        self._abandon()

    def _abandon(self) -> None:
        """Let no thread wait at a barrier any more."""
        self.cells[[STOP, HALT, ABANDONED]] = 1

    def close(self) -> None:
        """End the threads."""
        self._task = None
        for begin, member in zip(self._begin, self._members, strict=False):
            begin.release()
            member.join()
        self._members.clear()
