"""The table of works: what is measured, against whom, and what is to be reached."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.commands import FirstRun, Memory, WarmRun
from benchmarks.duel import Duel
from benchmarks.fit_duel import FitDuel, FitsAtOnce
from benchmarks.fit_task import FitTask
from benchmarks.grid import Grid
from benchmarks.scaling import Scaling
from benchmarks.task import Task

SMALL, WIDE, SQUARE = (784, 128, 10), (784, 512, 512, 10), (784, 1024, 1024, 10)
GAUSSIAN = {"data": "gaussian", "batch_size": 256, "samples": 10_240}

DTYPES, SOLVERS = ("float32", "float64"), ("adam", "sgd", "lbfgs")
"""Of the estimators; scikit-learn's arrays are float64 where nobody asks for another."""


def _mnist_fit(solver: str, dtype: str, epochs: int = 3) -> FitTask:
    arguments = {"hidden_layer_sizes": (128,), "solver": solver, "max_iter": epochs}
    return FitTask("mnist", arguments, dtype, per_epoch=True)


WORKS = {
    "mnist": Duel(
        "MNIST 784-128-10, SGD, batch 128, float32",
        Task(SMALL),
        {"jax_scan": 4, "torch_mlp": 10, "sklearn_mlp": 12, "numpy_reference": 7},
    ),
    **{
        f"batch-{size}": Duel(
            f"MNIST 784-128-10, SGD, batch {size}, float32",
            Task(SMALL, batch_size=size),
            {"jax_scan": 3.5, "torch_mlp": None, "numpy_reference": None},
        )
        for size in (32, 64, 256, 512)
    },
    "adam": Duel(
        "MNIST 784-128-10, Adam, batch 128, float32",
        Task(SMALL, optimizer="adam", learning_rate=0.001),
        {"jax_scan": 3.5, "torch_mlp": 10, "sklearn_mlp": None, "numpy_reference": None},
    ),
    **{
        name: Duel(
            f"MNIST 784-128-10, {title}, batch 128, float32",
            Task(SMALL, **settings),
            {"jax_scan": 2.5, "torch_mlp": None},
        )
        for name, title, settings in (
            ("dropout", "dropout 0.2, SGD", {"dropout": 0.2}),
            ("momentum", "SGD with momentum", {"optimizer": "momentum", "learning_rate": 0.01}),
            ("adamw", "AdamW", {"optimizer": "adamw", "learning_rate": 0.001}),
            ("layer-norm", "LayerNorm, SGD", {"norm": "layer"}),
            ("gelu", "GELU, SGD", {"activation": "gelu"}),
        )
    },
    "wide-sgd": Duel(
        "MNIST 784-512-512-10, SGD, batch 128, float32",
        Task(WIDE),
        {"jax_scan": 2, "torch_mlp": None},
    ),
    "wide-adam": Duel(
        "MNIST 784-512-512-10, Adam, batch 128, float32",
        Task(WIDE, optimizer="adam", learning_rate=0.001),
        {"jax_scan": 2, "torch_mlp": None},
    ),
    "dense-sgd": Duel(
        "Gaussian 784-1024-1024-10, SGD, batch 256, float32",
        Task(SQUARE, learning_rate=0.01, **GAUSSIAN),
        {"fma_peak": 0.9, "jax_scan": 1.2, "torch_mlp": 2.5},
    ),
    "dense-adam": Duel(
        "Gaussian 784-1024-1024-10, Adam, batch 256, float32",
        Task(SQUARE, optimizer="adam", learning_rate=0.001, **GAUSSIAN),
        {"fma_peak": 0.8, "jax_scan": 1.2, "torch_mlp": 2.5},
    ),
    "float64": Duel(
        "MNIST 784-128-10, SGD, batch 128, float64",
        Task(SMALL, dtype="float64"),
        {"jax_scan": 2},
    ),
    "threads": Duel(
        "MNIST 784-128-10, SGD, batch 128, float32: all threads against one",
        Task(SMALL),
        one_thread=1.85,
    ),
    "predict-1": Duel(
        "prediction of one row, bound, 784-128-10, float32",
        Task(SMALL, samples=1, calls=2000),
        {"onnx_runtime": 2},
    ),
    "predict-10000": Duel(
        "prediction of 10,000 rows, bound, 784-128-10, float32",
        Task(SMALL, samples=10_000, calls=10),
        {"onnx_runtime": 2},
    ),
    **{
        f"sklearn-mnist-{solver}": FitDuel(
            f"MLPClassifier, epoch of MNIST 784-128-10, {solver}, batch 'auto' (200)",
            {dtype: _mnist_fit(solver, dtype) for dtype in DTYPES},
            least=8,
        )
        for solver in ("adam", "sgd")
    },
    **{
        f"sklearn-{n}": FitDuel(
            f"MLPClassifier, epoch of 50,000 dense rows, {n}-100-1, adam",
            {dtype: FitTask(str(n), {"max_iter": 5}, dtype, per_epoch=True) for dtype in DTYPES},
            least=5,
        )
        for n in (20, 100)
    },
    **{
        f"sklearn-{data}": FitDuel(
            f"MLPClassifier, whole fit of {title}, defaults, float64",
            {solver: FitTask(data, {"solver": solver}) for solver in SOLVERS},
            least=1,
        )
        for data, title in (
            ("iris", "iris (150, 4)"),
            ("wine", "wine (178, 13)"),
            ("cancer", "breast cancer (569, 30)"),
            ("digits", "digits (1797, 64)"),
        )
    },
    "sklearn-csr": FitDuel(
        "MLPClassifier, epoch of text-like CSR (10000, 20000), 0.1 % dense, 100 hidden, adam",
        {dtype: FitTask("csr", {"max_iter": 2}, dtype, per_epoch=True) for dtype in DTYPES},
        least=5,
    ),
    "sklearn-predict": FitDuel(
        "MLPClassifier.predict_proba, 784-128-10, float32",
        {
            f"{rows} row{'s' if rows > 1 else ''}": replace(
                _mnist_fit("sgd", "float32", epochs=1), rows=rows, calls=calls
            )
            for rows, calls in ((1, 200), (10_000, 5))
        },
        least=None,
    ),
    "sklearn-threads": FitsAtOnce(
        "MLPClassifier(threads=1): two fits in two Python threads against one",
        {"mnist": _mnist_fit("adam", "float32"), "digits": FitTask("digits")},
        most=1.2,
    ),
    "warm-run": WarmRun(
        "whole process: MNIST 784-128-10, SGD, batch 128, 5 epochs, test",
        ("--hidden", "128", "--epochs", "5", "--batch-size", "128", "--lr", "0.1"),
        share=1 / 3,
    ),
    "first-run": FirstRun(
        "kernels of a plain run: compiled, loaded from the cache", compile_most=6, load_most=0.3
    ),
    "memory": Memory("peak memory of a plain run on MNIST", most=250e6),
    "scaling": Scaling(
        "growth of an epoch's time, Gaussian 784-128-10, batch 128, 6,000 samples",
        Task(SMALL, data="gaussian", samples=6_000, learning_rate=0.01),
        opponents=("jax_scan", "torch_mlp"),
    ),
    "grid": Grid(
        "MNIST 784-h-10, SGD, float32",
        widths=tuple(2**k for k in range(4, 12)),
        batch_sizes=tuple(2**k for k in range(13)),
        opponents=("jax_scan", "torch_mlp"),
    ),
}
"""In the order of the table; the grid, which takes longest, is last."""

SLOW = (
    *("batch-64", "batch-256", "momentum", "wide-sgd", "wide-adam", "dense-adam"),
    *("sklearn-cancer", "sklearn-digits"),
)
"""Left out by ``--quick`` where nobody names them: others ask nearly the same, and a quick run of
all is to end within a quarter of an hour on two cores."""
