"""``python -m fastmlp.train``: train a network, report the result.

Results go to stdout, progress to stderr. Exit status: 0 done, 1 a run-time failure, 2 wrong
usage, 130 interrupted (what was learned so far is saved if ``--save`` was given).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import importlib
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fastmlp import __version__
from fastmlp.atomic import check_writable, write_atomically
from fastmlp.callbacks import Callback
from fastmlp.config import TrainConfig, add_flags, from_flags
from fastmlp.data import Dataset, load_dataset, load_default_dataset
from fastmlp.threads import available_cores, threads_for

PROGRAM = "fastmlp.train"
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage text that would push it off the screen."""
        self.exit(USAGE, f"{PROGRAM}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the process); the exit status."""
    parser = _Parser(
        prog=f"python -m {PROGRAM}",
        description="Train a multilayer perceptron and evaluate it on the test set.",
        allow_abbrev=False,
    )
    add_flags(parser)
    parser.add_argument("--version", action="version", version=f"fastmlp {__version__}")
    config = from_flags(parser.parse_args(arguments))
    try:
        return run(config)
    except (ValueError, TypeError) as error:
        return _fail(error, USAGE)
    except (OSError, ArithmeticError, MemoryError, ImportError) as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def run(config: TrainConfig) -> int:
    """Train as ``config`` says and report; the exit status."""
    outputs = {"--save": config.save, "--json": config.json if config.json != "-" else None}
    for flag, path in outputs.items():
        if path is not None:
            check_writable(Path(path), flag)
    if not 0 <= config.val_fraction < 1:
        raise ValueError(
            f"--val-fraction must be at least 0 and below 1, not {config.val_fraction}"
        )
    implementation = _implementation(config)
    threads = threads_for(config.threads)
    _say(
        config,
        threads > available_cores()
        and f"{threads} threads on {available_cores()} cores: they take turns, which is slower",
    )

    start = time.perf_counter()
    data = _load(config)
    train, validation = _split(data, config)
    load_seconds = time.perf_counter() - start

    model = implementation.MLP(
        [data.x_train.shape[1], *config.hidden, data.n_classes],
        activation=config.activation,
        init=config.init,
        dtype=config.dtype,
        seed=config.seed,
    )
    start = time.perf_counter()
    try:
        with _progress(config) as callbacks, _blas_threads(config, threads):
            history = implementation.fit(
                model,
                *train,
                epochs=config.epochs,
                batch_size=config.batch_size,
                optimizer=implementation.SGD(lr=config.lr),
                seed=config.seed,
                validation_data=validation,
                callbacks=callbacks,
                threads=threads,
            )
    except KeyboardInterrupt:
        _save(model, config)
        saved = f"; the model so far is in {config.save}" if config.save else ""
        return _fail(f"interrupted{saved}", INTERRUPTED)
    compile_seconds = getattr(history, "compile_seconds", 0.0)
    train_seconds = time.perf_counter() - start - compile_seconds
    test = implementation.evaluate(model, data.x_test, data.y_test, threads=threads)
    _save(model, config)

    seconds = sum(epoch.seconds for epoch in history.epochs)
    result = {
        "schema": "fastmlp.train/1",
        "data": data.name,
        "engine": config.engine,
        "layers": list(model.layers),
        "activation": config.activation,
        "optimizer": config.optimizer,
        "learning_rate": config.lr,
        "batch_size": config.batch_size,
        "dtype": config.dtype,
        "threads": threads,
        "seed": config.seed,
        "n_train": len(train[1]),
        "n_test": len(data.y_test),
        "parameters": model.n_parameters,
        "epochs": [dataclasses.asdict(epoch) for epoch in history.epochs],
        "train_seconds": train_seconds,
        "load_seconds": load_seconds,
        "compile_seconds": compile_seconds,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "samples_per_second": len(history.epochs) * len(train[1]) / seconds if seconds else None,
        "peak_rss_bytes": _peak_rss_bytes(),
        "parameter_sha256": parameter_sha256(model),
        "versions": _versions(),
        "cpu": _cpu(),
    }
    _report(result, config)
    return DONE


def parameter_sha256(model: Any) -> str:
    """SHA-256 over W1, b1, W2, ... as contiguous little-endian arrays."""
    digest = hashlib.sha256()
    for W, b in zip(model.weights, model.biases, strict=True):
        for array in (W, b):
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _implementation(config: TrainConfig) -> Any:
    if config.engine == "fast":
        return importlib.import_module("fastmlp")
    try:
        return importlib.import_module("reference")
    except ModuleNotFoundError:
        raise ImportError(
            "--engine reference needs the package reference/, which only a checkout of fastmlp "
            "has: run from its top folder"
        ) from None


def _load(config: TrainConfig) -> Dataset:
    if config.data is not None:
        return load_dataset(config.data)
    data, reason = load_default_dataset()
    _say(config, reason)
    return data


def _split(data: Dataset, config: TrainConfig) -> tuple[Any, Any]:
    """Training set and, if asked for, validation set, with every class in equal shares."""
    if config.val_fraction == 0:
        return (data.x_train, data.y_train), None
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(data.y_train))
    try:
        kept, held_out = train_test_split(
            rows, test_size=config.val_fraction, random_state=config.seed, stratify=data.y_train
        )
    except ValueError as error:
        raise ValueError(f"--val-fraction {config.val_fraction}: {error}") from None
    return tuple((data.x_train[part], data.y_train[part]) for part in (kept, held_out))  # type: ignore[return-value]


@contextlib.contextmanager
def _progress(config: TrainConfig) -> Iterator[list[Callback]]:
    if config.quiet:
        yield []
        return
    from fastmlp.progress import show_progress

    callback = show_progress(sys.stderr)
    try:
        yield [callback]
    finally:
        getattr(callback, "close", lambda: None)()


def _blas_threads(config: TrainConfig, threads: int) -> contextlib.AbstractContextManager[Any]:
    """Give the reference's BLAS as many threads as were asked for."""
    if config.engine != "reference":
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    limits: contextlib.AbstractContextManager[Any] = threadpool_limits(limits=threads)
    return limits


def _save(model: Any, config: TrainConfig) -> None:
    if config.save is None:
        return
    from fastmlp.model_file import save

    save(model, config.save)


def _report(result: dict[str, Any], config: TrainConfig) -> None:
    text = json.dumps(result, indent=2, allow_nan=False)
    if config.json == "-":
        print(text)
        return
    if config.json is not None:
        write_atomically(Path(config.json), f"{text}\n".encode())
    rows = {
        "data": f"{result['data']}, {result['n_train']:,} training samples, "
        f"{result['n_test']:,} test samples",
        "network": f"{'-'.join(map(str, result['layers']))} {result['activation']}, "
        f"{result['parameters']:,} parameters, {result['dtype']}",
        "training": f"{len(result['epochs'])} epochs, {result['optimizer']} at learning rate "
        f"{result['learning_rate']:g}, batch size {result['batch_size']}, seed {result['seed']}",
        "test accuracy": f"{result['test_accuracy']:.2%}",
        "test loss": f"{result['test_loss']:.4f}",
    }
    if result["samples_per_second"]:
        per_epoch = sum(e["seconds"] for e in result["epochs"]) / len(result["epochs"])
        rows["time per epoch"] = f"{per_epoch:.4f} s"
        rows["throughput"] = (
            f"{result['samples_per_second']:,.0f} samples/s on {result['threads']} threads"
        )
    rows["time"] = (
        f"{result['train_seconds']:.2f} s training, {result['load_seconds']:.2f} s loading, "
        f"{result['compile_seconds']:.2f} s compiling"
    )
    for name, value in rows.items():
        print(f"{name:>14}  {value}")


def _say(config: TrainConfig, line: str | bool | None) -> None:
    if line and not config.quiet:
        print(line, file=sys.stderr)


def _fail(error: object, status: int) -> int:
    line = " ".join(str(error).split()) or type(error).__name__
    print(f"{PROGRAM}: error: {line}", file=sys.stderr)
    return status


def _peak_rss_bytes() -> int | None:
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


if __name__ == "__main__":
    sys.exit(main())
