"""How long do an epoch and a step take, the engine beside its reference?

Run with ``pytest benchmarks/bench_training.py``; the plain test run does not collect it.
"""

import numpy as np
import pytest

import fastmlp
from benchmarks.implementations import IMPLEMENTATIONS


@pytest.fixture(scope="module")
def mnist():
    try:
        return fastmlp.load_dataset("mnist")
    except fastmlp.DataUnavailableError as error:
        pytest.skip(f"MNIST: {error}")


@pytest.mark.benchmark(group="epoch: MNIST, 784-128-10, SGD, batch 128, float32")
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_epoch(benchmark, mnist, name):
    implementation = IMPLEMENTATIONS[name]
    model = implementation.MLP([784, 128, 10])

    def epoch():
        implementation.fit(model, mnist.x_train, mnist.y_train, epochs=1, batch_size=128)

    benchmark.pedantic(epoch, rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group="100 steps of 128 dense samples, 784-128-10, SGD")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_steps(benchmark, name, dtype):
    """A hundred, so that what `fit` does once before the first is no part of the figure."""
    implementation = IMPLEMENTATIONS[name]
    model = implementation.MLP([784, 128, 10], dtype=dtype)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12_800, 784)).astype(dtype), rng.integers(0, 10, 12_800)

    def steps():
        implementation.fit(model, x, y, epochs=1, batch_size=128)

    benchmark.pedantic(steps, rounds=10, warmup_rounds=1)
