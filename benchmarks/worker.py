"""A side's own process: ``python -m benchmarks.worker PEER PROCESSORS``, one JSON line to and fro.

A process of its own keeps the pools of threads apart, each of which goes on spinning after work.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import fastmlp
from benchmarks.task import BRIEF_SECONDS, Task, floats, initial
from fastmlp.data import DataError


class Session:
    """The answers to the requests of `benchmarks.sides.Side`."""

    def __init__(self, peer: ModuleType) -> None:
        self.peer = peer

    def prepare(self, task: dict[str, Any]) -> dict[str, Any]:
        """Take the fastest variant for the task and warm it up with an epoch or a prediction."""
        self.task = Task(**{**task, "layers": tuple(task["layers"])})
        names, failed = self.peer.variants(self.task), {}
        best, least = None, float("inf")
        for name in names:
            try:
                subject = self._make(name)
                self._run(subject, 0)  # compiles
                seconds = self._run(subject, 0)
                if self.task.search and seconds < 0.5:
                    seconds = min(seconds, self._run(subject, 0), self._run(subject, 0))
            except Exception as error:
                failed[name] = _one_line(error)
                continue
            if seconds < least:
                best, least, self.variant = subject, seconds, name
        if best is None:
            raise UnableError("; ".join(f"{name} {why}".strip() for name, why in failed.items()))
        self.subject, self.seconds = best, least
        return {"variant": self.variant, "failed": failed, **self._check()}

    def run(self, seed: int, rested: bool) -> dict[str, Any]:
        """Seconds of one epoch, or of one prediction; those of all its threads' processors."""
        if rested and self.seconds < BRIEF_SECONDS:
            self._run(self.subject, seed)
        before = time.process_time()
        seconds = self._run(self.subject, seed)
        return {"seconds": seconds, "processor_seconds": time.process_time() - before}

    def train(self, seed: int) -> dict[str, Any]:
        """A whole training: its seconds, and the accuracy on images that it has not seen.

        Those of the test set; of the training set, if the task leaves some of it out.
        """
        subject = self.subject
        if hasattr(subject, "train"):
            seconds = subject.train(seed)
        else:
            subject.reset(seed)
            seconds = sum(subject.epoch(seed, e)[0] for e in range(1, self.task.epochs + 1))
        mnist = fastmlp.load_dataset("mnist")
        unseen = mnist.x_test, mnist.y_test
        if self.task.samples < len(mnist.y_train):
            unseen = mnist.x_train[self.task.samples :], mnist.y_train[self.task.samples :]
        accuracy = subject.accuracy(*unseen)
        return {"seconds": seconds, "accuracy": accuracy}

    def _make(self, variant: str) -> Any:
        if not self.task.calls:
            return self.peer.Trainer(self.task, variant)
        x = floats(self.task)[0]
        self.inputs = [np.roll(x, k, axis=0).copy() for k in range(min(self.task.calls, 100))]
        return self.peer.Predictor(self.task, variant)

    def _run(self, subject: Any, seed: int) -> float:
        if not self.task.calls:
            return float(subject.epoch(seed)[0])
        inputs, predict = self.inputs, subject.predict
        clock = getattr(time, self.task.clock)
        start = clock()
        for k in range(self.task.calls):
            predict(inputs[k % len(inputs)])
        return float(clock() - start) / self.task.calls

    def _check(self) -> dict[str, Any]:
        """What has to agree between the sides."""
        if self.task.calls:
            x = self.inputs[-1]
            exact = initial(self.task).predict_proba(x)
            return {"difference": float(np.abs(self.subject.predict(x) - exact).max())}
        self.subject.reset()
        loss = self.subject.epoch(1)[1]
        digest = hashlib.sha256()
        for array in self.subject.parameters():
            digest.update(np.ascontiguousarray(array).data)
        return {"loss": loss, "parameters": digest.hexdigest()}


class UnableError(Exception):
    """No variant works; the text says why of each."""


def _session(peer: str) -> Any:
    module = importlib.import_module(f"benchmarks.peers.{peer}")
    if not hasattr(module, "Estimator"):
        return Session(module)
    from benchmarks.fit_session import FitSession

    return FitSession(module.Estimator)


def _one_line(error: Exception) -> str:
    kind = "" if isinstance(error, UnableError | DataError) else f"{type(error).__name__}: "
    return " ".join(f"{kind}{error}".split())[:300]


def main() -> None:
    peer, processors = sys.argv[1], [int(number) for number in sys.argv[2].split(",")]
    if not Path(fastmlp.__file__).is_relative_to(Path.cwd()):
        sys.exit(f"fastmlp is that of {fastmlp.__file__}, not that of {Path.cwd()}")
    # Fewer cores than there are: XLA has no other setting for its pool. It follows the affinity.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    session = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            session = session or _session(peer)
            answer = getattr(session, request.pop("do"))(**request)
        except Exception as error:
            answer = {"error": _one_line(error)}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
