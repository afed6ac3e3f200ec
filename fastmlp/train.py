"""``python -m fastmlp.train``: train a network, report the result.

Results go to stdout, progress to stderr. Exit status: 0 done, 1 a run-time failure, 2 wrong
usage, 130 interrupted (what was learned so far is saved if ``--save`` was given).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fastmlp import __version__
from fastmlp.atomic import check_writable, write_atomically
from fastmlp.callbacks import Callback
from fastmlp.config import OPTIMIZERS, TrainConfig, add_flags, from_flags
from fastmlp.data import DataError, Dataset, load_dataset, load_default_dataset
from fastmlp.result import profile_of, profile_table_of, result_of, table_of
from fastmlp.threads import available_cores, in_another_thread, threads_for

PROGRAM = "fastmlp.train"
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage text that would push it off the screen."""
        if message.startswith("unrecognized arguments"):
            message += f" ({self.prog} --help lists what there is)"
        self.exit(USAGE, f"{PROGRAM}: error: {_one_line(message)}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the process); the exit status."""
    if sys.stderr is None:  # closed by the caller; print would take stdout in its place
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a path need not be of the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    parser = _Parser(
        prog=f"python -m {PROGRAM}",
        usage="%(prog)s [options]",
        description="Train a multilayer perceptron and evaluate it on the test set. The result "
        "goes to stdout, progress to stderr.",
        allow_abbrev=False,
    )
    add_flags(parser)
    parser.add_argument("--version", action="version", version=f"fastmlp {__version__}")
    config = from_flags(parser.parse_args(arguments))
    try:
        # Numbers that overflow are said once, by the loss that is not finite.
        with _plain_warnings(), np.errstate(over="ignore", invalid="ignore"):
            return run(config)
    except BrokenPipeError:  # whoever read the output has left, as ``| head`` does
        return FAILED
    except (DataError, OSError, ArithmeticError, MemoryError, ImportError) as error:
        return _fail(error, FAILED)
    except ValueError as error:
        return _fail(error, USAGE)
    except KeyboardInterrupt:
        return _interrupted()


def run(config: TrainConfig) -> int:
    """Train as ``config`` says and report; the exit status."""
    if config.profile and config.engine != "fast":
        raise ValueError(
            f"--profile needs --engine fast, not {config.engine}, which times no phase"
        )
    outputs = {"--save": config.save, "--json": config.json if config.json != "-" else None}
    for flag, path in outputs.items():
        if path is not None:
            check_writable(Path(path), flag)
    _check_distinct(config)
    implementation = _implementation(config)
    threads = threads_for(config.threads)
    if threads > available_cores() and not config.quiet:
        _say(f"{threads} threads on {available_cores()} cores take turns, which is slower")

    start = time.perf_counter()
    data = _load(config)
    train, validation = _split(data, config)
    load_seconds = time.perf_counter() - start

    model = _model(implementation, data, config)
    optimizer = getattr(implementation, OPTIMIZERS[config.optimizer].class_name)(lr=config.lr)
    start = time.perf_counter()
    try:
        with (
            _leaving_on_ctrl_c() as training_begins,
            _progress(config) as progress,
            _blas_threads(config, threads),
        ):
            history = _with_data_named(data, implementation.fit)(
                model,
                *train,
                epochs=config.epochs,
                batch_size=config.batch_size,
                optimizer=optimizer,
                seed=config.seed,
                validation_data=validation,
                callbacks=[training_begins, *progress],
                threads=config.threads,  # None: as many as the first steps show to be fastest
            )
        train_seconds = time.perf_counter() - start - history.compile_seconds
        _save(model, config)
        test = _test(implementation, model, data, config, threads)
    except KeyboardInterrupt:  # perhaps in the midst of saving
        _save(model, config)
        return _interrupted(f"; the model so far is in {config.save}" if config.save else "")

    result = result_of(
        config,
        data=data.name,
        n_train=len(train[1]),
        n_test=len(data.y_test),
        model=model,
        history=history,
        test=test,
        threads=threads,
        load_seconds=load_seconds,
        train_seconds=train_seconds,
    )
    table = table_of(result)
    if config.profile:
        result["profile"] = profile_of(result, history.phase_seconds, _fma_peak(config))
        table += f"\n\n{profile_table_of(result, available_cores())}"
    text = json.dumps(result, indent=2, allow_nan=False)
    if config.json not in (None, "-"):
        write_atomically(Path(config.json), f"{text}\n".encode())
    _print_result(text if config.json == "-" else table)
    return DONE


def _check_distinct(config: TrainConfig) -> None:
    """Refuse to write one file over another, or over the data."""
    names = {"--save": config.save, "--json": config.json, "--data": config.data}
    used = {flag: os.path.realpath(name) for flag, name in names.items() if name is not None}
    for one, other in (("--save", "--json"), ("--save", "--data"), ("--json", "--data")):
        same = one in used and used.get(other) == used[one]
        if same and (os.path.isfile(used[one]) or not os.path.exists(used[one])):
            raise ValueError(f"{one} and {other} must be different files, not both {names[one]}")


def _implementation(config: TrainConfig) -> Any:
    if config.engine == "fast":
        return importlib.import_module("fastmlp")
    try:
        module = importlib.import_module("reference")
    except ModuleNotFoundError as error:
        if error.name != "reference":
            raise
        module = None
    if not hasattr(module, "MLP"):  # absent, or a package of that name which is not ours
        raise ImportError(
            "--engine reference needs the package reference/, which only a checkout of fastmlp "
            "has: run from its top folder"
        )
    return module


def _load(config: TrainConfig) -> Dataset:
    if config.data is not None:
        try:
            return load_dataset(config.data)
        except DataError:
            raise
        except ValueError as error:
            raise ValueError(f"--data: {error}") from None
    data, reason = load_default_dataset()
    if reason is not None:
        # Said to the quiet, too: it is another data set than the one they asked for.
        _say(f"MNIST cannot be had, so this trains on {data.name}: {reason}")
    return data


def _split(data: Dataset, config: TrainConfig) -> tuple[Any, Any]:
    """Training set and, if asked for, validation set, with every class in equal shares."""
    if config.val_fraction == 0:
        return (data.x_train, data.y_train), None
    # `fit` draws the order of its epochs 1, 2, ... from (seed, epoch).
    rng = np.random.default_rng((config.seed, 0))
    held_out = np.zeros(len(data.y_train), dtype=bool)
    for label in range(data.n_classes):
        rows = rng.permutation(np.flatnonzero(data.y_train == label))
        # One sample at least stays to train on.
        count = min(round(config.val_fraction * len(rows)), len(rows) - 1)
        held_out[rows[: max(count, 0)]] = True
    if not held_out.any():
        raise ValueError(
            f"--val-fraction {config.val_fraction:g} holds out none of {len(held_out)} samples in "
            f"{data.n_classes} classes"
        )
    train, validation = ((data.x_train[rows], data.y_train[rows]) for rows in (~held_out, held_out))
    return train, validation


def _model(implementation: Any, data: Dataset, config: TrainConfig) -> Any:
    layers = [data.x_train.shape[1], *config.hidden, data.n_classes]
    try:
        return implementation.MLP(
            layers,
            activation=config.activation,
            init=config.init,
            dtype=config.dtype,
            seed=config.seed,
        )
    except (MemoryError, ValueError, OverflowError) as error:
        # Every value was checked with its flag: what is left are sizes beyond the memory.
        hidden = " ".join(map(str, config.hidden))
        raise MemoryError(
            f"a network of {layers[0]} features, --hidden {hidden} and {layers[-1]} classes cannot "
            f"be made: {error}"
        ) from None


def _test(implementation: Any, model: Any, data: Dataset, config: TrainConfig, threads: int) -> Any:
    """Loss and accuracy on the test set."""
    evaluate = _with_data_named(data, implementation.evaluate)
    test = evaluate(model, data.x_test, data.y_test, threads=threads)
    if not math.isfinite(test.loss):
        raise FloatingPointError(
            f"the loss on the test set is {test.loss} after the last step; try a learning rate "
            f"below {config.lr:g}"
        )
    return test


def _with_data_named(data: Dataset, function: Any) -> Any:
    """``function``, whose ValueError names the data set: every flag was checked before."""

    def call(*arguments: Any, **settings: Any) -> Any:
        try:
            return function(*arguments, **settings)
        except ValueError as error:
            raise DataError(f"{data.name}: {error}") from None

    return call


@contextlib.contextmanager
def _progress(config: TrainConfig) -> Iterator[list[Callback]]:
    if config.quiet:
        yield []
        return
    from fastmlp.progress import show_progress

    progress = show_progress(sys.stderr)
    try:
        yield [progress]
    finally:
        progress.close()


@contextlib.contextmanager
def _leaving_on_ctrl_c() -> Iterator[Callback]:
    """End the process at once on Ctrl-C, until the callback that this gives hears of training.

    Compiling takes seconds and calls Python from inside LLVM, where a KeyboardInterrupt is printed
    and lost, or leaves a kernel half-made. Nothing has been learned by then that could be saved.
    """

    def leave(*_: object) -> None:
        _fail("interrupted", INTERRUPTED)
        os._exit(INTERRUPTED)

    class TrainingBegins(Callback):
        def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
            restore()

    def restore() -> None:
        if replaced:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    # Another handler is another program's business; only the main thread may set one.
    replaced = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if replaced:
        signal.signal(signal.SIGINT, leave)
    try:
        yield TrainingBegins()
    finally:
        restore()


def _blas_threads(config: TrainConfig, threads: int) -> contextlib.AbstractContextManager[Any]:
    """Give the reference's BLAS as many threads as were asked for."""
    if config.engine != "reference":
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    limits: contextlib.AbstractContextManager[Any] = threadpool_limits(limits=threads)
    return limits


def _fma_peak(config: TrainConfig) -> float:
    """GFLOP/s of one core at its best."""

    def measure() -> float:
        from fastmlp.kernels.peak import fma_peak

        return fma_peak(np.dtype(config.dtype))

    return in_another_thread(measure)


def _save(model: Any, config: TrainConfig) -> None:
    if config.save is None:
        return
    from fastmlp.model_file import save

    try:
        save(model, config.save)
    except ValueError as error:  # parameters that are not finite
        raise FloatingPointError(error) from None


def _print_result(text: str) -> None:
    if sys.stdout is None:
        raise OSError("the result cannot be printed: stdout is closed")
    try:
        print(text, flush=True)
    except OSError:
        # What is still buffered would fail once more, with a traceback, when Python ends.
        with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise


def _say(message: object, kind: str = "") -> None:
    print(f"{PROGRAM}: {kind}{_one_line(message)}", file=sys.stderr, flush=True)


def _fail(error: object, status: int) -> int:
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        error = f"{error.filename}: {error.strerror}"
    with contextlib.suppress(BrokenPipeError):
        _say(str(error) or type(error).__name__, "error: ")
    return status


def _interrupted(saved: str = "") -> int:
    # A KeyboardInterrupt that has left the text of an exec, as imports run many, makes CPython end
    # the process by the signal and not with the status that it returns. The next exec forgets it.
    exec("")
    return _fail(f"interrupted{saved}", INTERRUPTED)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show a warning as one line, without the place in the source that issued it."""

    def show(message: Warning | str, *place: Any, **more: Any) -> None:
        _say(message, "warning: ")

    previous = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = previous


if __name__ == "__main__":
    sys.exit(main())
