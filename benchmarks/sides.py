"""`Side`: the near end of a worker's process, and runs of several sides in turn."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.fit_task import FitTask
from benchmarks.peers import INSTALL, PEERS
from benchmarks.task import Task
from fastmlp.threads import processors_of_cores

ROOT = Path(__file__).parent.parent

REST_SECONDS = 0.2
"""Threads of OpenBLAS, OpenMP and XLA go on spinning for some milliseconds after a product. Without
this pause they take a core from whoever runs next: fastmlp took 0.12 s instead of 0.064."""


class SideError(Exception):
    """A side cannot do what it was asked to; the text says why, in one line."""


class NotInstalledError(SideError):
    """The side is none of this environment's; the text has the line that installs it."""


def check_installed(peer: str) -> None:
    """Raise `NotInstalledError` if what the peer needs is not there."""
    missing = [name for name in PEERS[peer].needs if importlib.util.find_spec(name) is None]
    if missing:
        raise NotInstalledError(f"{' and '.join(missing)} not installed: {INSTALL}")


class Side:
    """One peer in a process of its own, of ``threads`` threads; a context manager that ends it.

    ``tree`` is the folder that fastmlp and its reference are taken from: this checkout, or files of
    another commit, without a benchmarks/ of their own.
    """

    def __init__(self, peer: str, threads: int, tree: Path = ROOT) -> None:
        command, environment = worker(peer, threads)
        self.peer = peer
        self.threads = threads
        self.variant = ""
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            cwd=tree,  # the first place that Python looks in
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
        )

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.said.close()

    def prepare(self, task: Task | FitTask) -> dict[str, Any]:
        """Choose the fastest variant and warm it up; what has to agree between sides."""
        answer = self._ask(do="prepare", task=asdict(task))
        self.variant = answer["variant"]
        return answer

    def run(self, seed: int, rest: bool = True) -> float:
        """Seconds of one run, after a rest for the threads of the side before."""
        return float(self.measure(seed, rest)["seconds"])

    def measure(self, seed: int, rest: bool = True) -> dict[str, Any]:
        """All that the side says of one run."""
        if rest:
            time.sleep(REST_SECONDS)
        return self._ask(do="run", seed=seed, rested=rest)

    def train(self, seed: int) -> tuple[float, float]:
        """Seconds of the whole training, and accuracy on the test set."""
        answer = self._ask(do="train", seed=seed)
        return float(answer["seconds"]), float(answer["accuracy"])

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.said.seek(0)
            last = self.said.read().strip().splitlines()[-1:] or ["without a word"]
            raise SideError(f"its process ended with status {self.process.wait()}: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideError(answer["error"])
        return answer


def worker(peer: str, threads: int) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a process that does a peer's work; SideError if none can."""
    check_installed(peer)
    processors = ",".join(map(str, processors_of_cores()[:threads]))
    # fastmlp takes the cores that it may use, and finds out how many of them are fastest.
    environment = {k: v for k, v in os.environ.items() if k != "FASTMLP_NUM_THREADS"}
    paths = filter(None, [str(ROOT), environment.get("PYTHONPATH")])
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    environment |= {name: str(threads) for name in THREAD_SETTINGS}
    return [sys.executable, "-m", "benchmarks.worker", peer, processors], environment


THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def alternate(
    sides: Mapping[str, Side], rounds: int, advance: Callable[[], None]
) -> dict[str, list[float]]:
    """``rounds`` runs of each side in turn, so that what else the machine does falls on all."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, side in sides.items():
            seconds[name].append(side.run(seed=number + 2))
        advance()
    return seconds
