"""Who is how fast at what? fastmlp beside its reference and each peer that is installed.

Run with ``pytest benchmarks/bench_training.py``; the plain test run does not collect it. Groups are
questions. Every side works in a process of its own (`benchmarks.sides`), whose clock is the one
that counts: to pytest-benchmark it is a timer, which knows nothing of pipes and rests.
"""

from contextlib import ExitStack
from dataclasses import replace

import pytest

import fastmlp
from benchmarks.duel import PROBABILITY_AGREES
from benchmarks.fit_task import FitTask
from benchmarks.peers import PEERS
from benchmarks.sides import Side, SideError
from benchmarks.task import Task
from fastmlp.threads import available_cores

LAYERS = (784, 128, 10)
STEPS = {"data": "gaussian", "samples": 12_800, "learning_rate": 0.01}
TRAINERS = ("fast", "numpy_reference", "jax_scan", "torch_mlp", "sklearn_mlp")

QUESTIONS = {
    "epoch: MNIST, 784-128-10, SGD, batch 128, float32": (Task(LAYERS), TRAINERS),
    "epoch: MNIST, 784-128-10, Adam, batch 128, float32": (
        Task(LAYERS, optimizer="adam", learning_rate=0.001),
        TRAINERS,
    ),
    # A hundred, so that what `fit` does once before the first is no part of the figure.
    **{
        f"100 steps of 128 dense samples, 784-128-10, SGD, {dtype}": (
            Task(LAYERS, dtype=dtype, **STEPS),
            TRAINERS,
        )
        for dtype in ("float32", "float64")
    },
    **{
        f"prediction: {rows} of MNIST, 784-128-10, float32": (
            Task(LAYERS, samples=count, calls=calls),
            (*TRAINERS, "onnx_runtime"),
        )
        for rows, count, calls in (("one row", 1, 500), ("10,000 rows", 10_000, 5))
    },
    **{
        f"whole fit: MLPClassifier of {data}, {solver}": (
            FitTask(data, {"solver": solver}),
            ("fast_fit", "sklearn_fit"),
        )
        for data in ("iris", "wine")
        for solver in ("adam", "sgd", "lbfgs")
    },
}
"""Group: what is measured, and who can do it."""


class Clock:
    """A timer that stands still but for what a side has measured."""

    def __init__(self):
        self.now, self.runs = 0.0, 0

    def __call__(self):
        return self.now

    def run(self, side):
        """One run; each has another seed, so that no order of samples is special."""
        self.runs += 1
        self.now += side.run(seed=self.runs)


CLOCK = Clock()


@pytest.fixture(scope="module")
def side_of():
    """Of a peer, its process: one for all questions, since some take seconds to start."""
    sides = {}
    with ExitStack() as stack:

        def side(peer):
            if peer not in sides:
                sides[peer] = stack.enter_context(Side(peer, available_cores()))
            return sides[peer]

        yield side


@pytest.fixture(scope="module")
def lacking():
    """Why MNIST cannot be had, or None."""
    try:
        fastmlp.load_dataset("mnist")
    except fastmlp.DataUnavailableError as error:
        return f"MNIST: {error}"
    return None


def brief(task):
    """A little of the task, done in whatever way, where it is only to be seen that it can be."""
    if isinstance(task, FitTask):
        return replace(task, arguments={**task.arguments, "max_iter": 2})
    return replace(task, samples=min(task.samples, 1_280), calls=min(task.calls, 2), search=False)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize(
    ("question", "peer"),
    [(question, peer) for question, (_, peers) in QUESTIONS.items() for peer in peers],
)
def test_time(benchmark, side_of, lacking, question, peer):
    task = QUESTIONS[question][0]
    if task.data == "mnist" and lacking is not None:
        pytest.skip(lacking)
    if isinstance(task, Task):
        task = replace(task, threads=available_cores())
    if benchmark.disabled:
        task = brief(task)
    try:
        side = side_of(peer)
        answer = side.prepare(task)
    except SideError as error:
        if not PEERS[peer].needs:  # ours
            raise
        pytest.skip(f"{PEERS[peer].title}: {error}")
    assert answer.get("difference", 0.0) <= PROBABILITY_AGREES
    benchmark.group = question
    benchmark.extra_info.update(
        {name: answer[name] for name in ("variant", "loss", "difference") if name in answer}
    )
    benchmark.pedantic(CLOCK.run, (side,), rounds=10, warmup_rounds=1)
