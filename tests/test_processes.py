"""Training in a process of its own kind: confined, forked, crowded; the same bits, and an end.

Each test trains in a process made for it. Its time limit is a guard against a hang: where nothing
hangs, a run takes a second or two, and half a minute more on a machine that compiles first.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 300

TRAIN = """
import os, signal, sys, threading
import numpy as np
if hasattr(os, "sched_setaffinity") and len(sys.argv) > 1:
    os.sched_setaffinity(0, {int(sys.argv[1])})
import fastmlp
from fastmlp.threads import available_cores

GUARD = 150  # seconds until a child that hangs is ended, before its parent is

rng = np.random.default_rng(0)
x = rng.standard_normal((2000, 50)).astype(np.float32)
y = rng.integers(0, 10, 2000)

def train(threads=2, epochs=2, layers=(50, 64, 10), **options):
    model = fastmlp.MLP(list(layers), seed=1)
    fastmlp.fit(model, x, y, epochs=epochs, batch_size=32, threads=threads, **options)
    return model.parameters.tobytes()
"""

FORK = """
def in_a_fork(work):
    child = os.fork()
    if child == 0:
        signal.alarm(GUARD)
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

DURING = """
class Endless(fastmlp.Callback):
    def __init__(self):
        self.begun, self.enough = threading.Event(), threading.Event()

    def on_epoch_end(self, model, record):
        self.begun.set()
        if self.enough.is_set():
            raise KeyboardInterrupt

def train_on(endless):
    try:
        train(epochs=10**9, callbacks=[endless])
    except KeyboardInterrupt:
        pass

expected = train()
for _ in range(5):
    endless = Endless()
    other = threading.Thread(target=train_on, args=(endless,))
    other.start()
    endless.begun.wait()
    for threads in (1, 2):
        print(in_a_fork(lambda: train(threads) == expected))
    endless.enough.set()
    other.join()
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the platform does not confine a process"
)


def printed(script, *arguments, **variables):
    """Lines that ``script`` printed, in a process of its own."""
    env = {k: v for k, v in os.environ.items() if k != "FASTMLP_NUM_THREADS"}
    env |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"} | variables
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_affinity
def test_a_process_confined_to_one_core_trains_to_the_same_bits_on_any_threads():
    script = TRAIN + "print(available_cores(), *(train(t) == train(1) for t in (2, 3, None)))"
    core = min(os.sched_getaffinity(0))
    assert printed(script, core) == ["1", "True", "True", "True"]


@needs_fork
def test_a_fork_after_training_trains_to_the_same_bits_and_so_does_its_parent():
    script = """
expected = train()
print(in_a_fork(lambda: train() == expected), in_a_fork(lambda: train(1) == expected))
print(in_a_fork(lambda: in_a_fork(lambda: train() == expected)))
print(train() == expected)
print(in_a_fork(lambda: train(layers=(50, 20, 20, 10)) != expected))
"""
    assert printed(TRAIN + FORK + script) == ["True"] * 5


@needs_fork
def test_a_predictor_whose_threads_wait_predicts_in_a_fork_too():
    script = """
import fastmlp.predictor
fastmlp.predictor.PRODUCTS_PER_THREAD = 1  # large enough for two threads
with fastmlp.MLP([50, 64, 10]).predictor(threads=2) as predictor:
    expected = predictor.predict_proba(x).tobytes()
    print(sum(thread.name.startswith("fastmlp-") for thread in threading.enumerate()))
    for _ in range(2):
        print(in_a_fork(lambda: predictor.predict_proba(x).tobytes() == expected))
        print(predictor.predict_proba(x).tobytes() == expected)
"""
    assert printed(TRAIN + FORK + script) == ["2", *["True"] * 4]


@needs_fork
def test_a_fork_while_another_thread_trains_trains_to_the_same_bits():
    assert printed(TRAIN + FORK + DURING) == ["True"] * 10


@needs_fork
def test_forked_workers_of_multiprocessing_train_at_once_to_the_same_bits():
    script = """
import multiprocessing
expected = train()

def work(queue):
    signal.alarm(GUARD)
    queue.put(train() == expected)

context = multiprocessing.get_context("fork")
queue = context.Queue()
workers = [context.Process(target=work, args=(queue,)) for _ in range(3)]
for worker in workers:
    worker.start()
print(train() == expected)
for worker in workers:
    print(queue.get(timeout=GUARD))
for worker in workers:
    worker.join()
    assert worker.exitcode == 0
"""
    assert printed(TRAIN + script) == ["True"] * 4


@contextlib.contextmanager
def busy_cores():
    """A program on every core that never lets go of it."""
    busy = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(sys.argv[1])})
while True:
    pass
"""
    with contextlib.ExitStack() as stack:
        usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
        for core in usable:
            program = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", busy, str(core)], stdin=subprocess.DEVNULL)
            )
            stack.callback(program.kill)
        yield


def test_beside_a_busy_program_on_each_core_training_ends_with_the_same_bits():
    expected = printed(TRAIN + "import zlib; print(zlib.crc32(train(1)))")
    with busy_cores():
        script = "import zlib\nfor t in (1, 2, 3, 5): print(zlib.crc32(train(t)))"
        assert printed(TRAIN + script) == expected * 4


@pytest.mark.parametrize(
    ("name", "features"), [("generic", ""), ("nehalem", ""), ("nehalem", "+sse4.2")]
)
def test_a_cpu_without_wide_vectors_or_fma_trains_as_the_reference(name, features, tmp_path):
    """Compiled for less than the machine has, as for a CPU that lacks what is expected."""
    script = """
import reference
from fastmlp.kernels.target import TARGET
assert TARGET.vector_bytes == 16, TARGET
for dtype, tolerance in (("float64", 1e-10), ("float32", 2e-5)):
    results = []
    for api, options in ((fastmlp, {"threads": 2}), (reference, {})):
        model = api.MLP([50, 33, 10], dtype=dtype, seed=1)
        api.fit(model, x[:300].astype(dtype), y[:300], epochs=2, batch_size=32, **options)
        results.append(np.concatenate([a.ravel() for a in (*model.weights, *model.biases)]))
    ours, expected = results
    print(np.abs(ours - expected).max() < tolerance * np.abs(expected).max())
"""
    target = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    assert printed(TRAIN + script, **target) == ["True", "True"]
