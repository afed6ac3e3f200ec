"""The result of a training run: one JSON object, one table for people."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp import __version__
from fastmlp.config import TrainConfig

SCHEMA = "fastmlp.train/1"


def result_of(
    config: TrainConfig,
    *,
    data: str,
    n_train: int,
    n_test: int,
    model: Any,
    history: Any,
    test: Any,
    threads: int,
    load_seconds: float,
    train_seconds: float,
) -> dict[str, Any]:
    """The JSON object that describes a finished run, of the schema `SCHEMA`.

    Parameters
    ----------
    config : TrainConfig
        What was asked for.
    data : str
        Name of the data set, of ``n_train`` and ``n_test`` samples.
    model, history, test : MLP, History, Evaluation
        Of either engine.
    threads : int
    load_seconds, train_seconds : float
    """
    seconds = sum(epoch.seconds for epoch in history.epochs)
    return {
        "schema": SCHEMA,
        "data": data,
        "engine": config.engine,
        "layers": list(model.layers),
        "activation": config.activation,
        "optimizer": config.optimizer,
        "learning_rate": config.lr,
        "batch_size": config.batch_size,
        "dtype": config.dtype,
        "threads": threads,
        "seed": config.seed,
        "n_train": n_train,
        "n_test": n_test,
        "parameters": model.n_parameters,
        "epochs": [_epoch(epoch) for epoch in history.epochs],
        "train_seconds": train_seconds,
        "load_seconds": load_seconds,
        "compile_seconds": history.compile_seconds,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "samples_per_second": len(history.epochs) * n_train / seconds if seconds else None,
        "peak_rss_bytes": _peak_rss_bytes(),
        "parameter_sha256": parameter_sha256(model),
        "versions": _versions(),
        "cpu": _cpu(),
    }


def table_of(result: dict[str, Any]) -> str:
    """The lines that a person reads."""
    epochs = result["epochs"]
    rows = {
        "data": f"{result['data']}, {result['n_train']:,} training samples, "
        f"{result['n_test']:,} test samples",
        "network": f"{'-'.join(map(str, result['layers']))} {result['activation']}, "
        f"{result['parameters']:,} parameters, {result['dtype']}",
        "training": f"{_count(len(epochs), 'epoch')}, {result['optimizer']} at learning rate "
        f"{result['learning_rate']:g}, batch size {result['batch_size']}, seed {result['seed']}",
    }
    if epochs and epochs[-1]["val_loss"] is not None:
        rows["validation"] = (
            f"accuracy {epochs[-1]['val_accuracy']:.2%}, loss {epochs[-1]['val_loss']:.4f}"
        )
    rows["test accuracy"] = f"{result['test_accuracy']:.2%}"
    rows["test loss"] = f"{result['test_loss']:.4f}"
    if result["samples_per_second"]:
        per_epoch = sum(epoch["seconds"] for epoch in epochs) / len(epochs)
        rows["time per epoch"] = f"{per_epoch:.4f} s"
        rows["throughput"] = (
            f"{result['samples_per_second']:,.0f} samples/s on "
            f"{_count(result['threads'], 'thread')}"
        )
    rows["time"] = (
        f"{result['train_seconds']:.2f} s training, {result['load_seconds']:.2f} s loading, "
        f"{result['compile_seconds']:.2f} s compiling"
    )
    return "\n".join(f"{name:>14}  {value}" for name, value in rows.items())


def parameter_sha256(model: Any) -> str:
    """SHA-256 over W1, b1, W2, ... as contiguous little-endian arrays."""
    digest = hashlib.sha256()
    for W, b in zip(model.weights, model.biases, strict=True):
        for array in (W, b):
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _epoch(record: Any) -> dict[str, Any]:
    """Fields of an epoch; a loss that is not finite, as validation may have it, is null in JSON."""
    fields = dataclasses.asdict(record).items()
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _peak_rss_bytes() -> int | None:
    # Not ru_maxrss on Linux: it begins with the memory of the process that started this one.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"fastmlp": __version__, "numpy": np.__version__, "numba": version("numba")}


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
