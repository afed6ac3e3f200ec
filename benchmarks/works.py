"""The table of works: what is measured, against whom, and what is to be reached."""

from __future__ import annotations

from benchmarks.commands import FirstRun, Memory, WarmRun
from benchmarks.duel import Duel
from benchmarks.grid import Grid
from benchmarks.scaling import Scaling
from benchmarks.task import Task

SMALL, WIDE, SQUARE = (784, 128, 10), (784, 512, 512, 10), (784, 1024, 1024, 10)
GAUSSIAN = {"data": "gaussian", "batch_size": 256, "samples": 10_240}

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
        "prediction of one row, 784-128-10, float32",
        Task(SMALL, samples=1, calls=2000),
        {"onnx_runtime": 2},
    ),
    "predict-10000": Duel(
        "prediction of 10,000 rows, 784-128-10, float32",
        Task(SMALL, samples=10_000, calls=10),
        {"onnx_runtime": 2},
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
    ),
    "grid": Grid(
        "MNIST 784-h-10, SGD, float32: widths h 16 to 2048, batches 1 to 4096",
        widths=tuple(2**k for k in range(4, 12)),
        batch_sizes=tuple(2**k for k in range(13)),
        opponents=("jax_scan", "torch_mlp"),
    ),
}
"""In the order of the table; the grid, which takes longest, is last."""
