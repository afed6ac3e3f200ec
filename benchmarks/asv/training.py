"""What does an epoch cost, in time and memory, and what is learned in it?

Each class moves one setting of the base recipe, its axis, and leaves the others: their full product
would take hours. "digits" is always there; "mnist" is not applicable where its files cannot be had.
"""

import numpy as np

import fastmlp

from .data import CLASSES, FEATURES, INPUTS, synthetic
from .recipe import Recipe

DATA = ["mnist", "digits"]


class _Epoch:
    """Of a fresh network in each sample: asv runs `setup` before every one."""

    version = "1"
    rounds = 1  # asv's two rounds start twice as many processes, most of the suite's time

    def setup(self, data, value):
        self.recipe = Recipe.of(data, **{self.param_names[1]: value})

    def time_epoch(self, *_):
        self.recipe.fit(epochs=1)

    def track_test_error(self, *_):
        """A faster epoch that learns less is none. Not the accuracy: to asv less is better."""
        return self.recipe.error()

    track_test_error.unit = "1 - accuracy"


class BatchSize(_Epoch):
    params = (DATA, [32, 128, 512, 2048])
    param_names = ("data", "batch_size")


class Width(_Epoch):
    """Units of the one hidden layer."""

    params = (DATA, [128, 512, 1024])
    param_names = ("data", "width")


class Depth(_Epoch):
    """Hidden layers of 128 units each."""

    params = (DATA, [1, 2, 4])
    param_names = ("data", "depth")


class DType(_Epoch):
    params = (DATA, ["float32", "float64"])
    param_names = ("data", "dtype")


class Optimizer(_Epoch):
    """For "lbfgs", which takes the whole data at once, an epoch is one iteration."""

    params = (
        DATA,
        ["sgd", "momentum", "adam", "adamw", "nadam", "rmsprop", "adagrad", "lion", "lbfgs"],
    )
    param_names = ("data", "optimizer")


class Threads(_Epoch):
    """Not applicable beyond the physical cores."""

    params = (DATA, [1, 2, 4, 8])
    param_names = ("data", "threads")

    def setup(self, data, threads):
        from fastmlp.threads import available_cores

        if threads > available_cores():
            raise NotImplementedError(f"{available_cores()} cores")
        super().setup(data, threads)


class Sparsity(_Epoch):
    """10,000 rows: of 784 Gaussians, of 784 pixels with 81 % zeros, of 20,000 columns in CSR."""

    params = (list(INPUTS),)
    param_names = ("input",)

    def setup(self, kind):
        self.recipe = Recipe(*synthetic(kind), CLASSES)


class Memory:
    """Peak of the whole process; most of it is imports, numba's among them, and the data."""

    params = (DATA,)
    param_names = ("data",)
    version = "1"

    def setup(self, data):
        self.recipe = Recipe.of(data)

    def peakmem_epoch(self, data):
        self.recipe.fit(epochs=1)


class Steps:
    """Latency of `Trainer.step`: a hundred, 784-128-10, dense."""

    params = ([1, 32, 128, 512],)
    param_names = ("batch_size",)
    version = "1"

    def setup(self, batch_size):
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((batch_size, FEATURES), dtype=np.float32)
        self.y = rng.integers(0, CLASSES, batch_size)
        self.trainer = fastmlp.Trainer(fastmlp.MLP([FEATURES, 128, CLASSES], seed=0))
        self.trainer.step(self.x, self.y)  # compiles the kernels

    def teardown(self, batch_size):
        self.trainer.close()

    def time_100_steps(self, batch_size):
        for _ in range(100):
            self.trainer.step(self.x, self.y)
