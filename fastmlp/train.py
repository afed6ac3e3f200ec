"""``python -m fastmlp.train``: train a network, report the result.

Results go to stdout, progress to stderr. Exit status: 0 done, 1 a run-time failure, 2 wrong
usage, 130 interrupted (what was learned so far is there if ``--save`` or ``--checkpoint`` was
given).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.atomic import check_writable, write_atomically
from fastmlp.callbacks import Callback
from fastmlp.checkpoint import PATTERN, Checkpoint, load_checkpoint
from fastmlp.command import (
    DONE,
    FAILED,
    INTERRUPTED,
    USAGE,
    Command,
    check_different,
    open_streams,
    print_result,
)
from fastmlp.config import TrainConfig
from fastmlp.data import DataError, Dataset, Rows, load_dataset, load_default_dataset
from fastmlp.flags import add_flags, from_flags, settings_file, settings_text
from fastmlp.history import Epoch, History
from fastmlp.logs import JSONLinesLog, TensorBoard
from fastmlp.prepare import (
    check_same_network,
    fit_arguments,
    flags_named,
    network,
    settled,
    split,
)
from fastmlp.ranks import RankError, Ranks, abort
from fastmlp.result import profile_of, profile_table_of, result_of, table_of
from fastmlp.threads import available_cores, in_another_thread, threads_for

COMMAND = Command("fastmlp.train")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the process); the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    open_streams()
    if "--distributed" not in arguments or not {"--help", "-h", "--version"}.isdisjoint(arguments):
        return _main(arguments)
    from fastmlp.distributed import join

    try:
        ranks = join()
    except (ValueError, ImportError) as error:
        return COMMAND.fail(error, USAGE)
    return _main_of_rank(arguments, ranks)


def _main_of_rank(arguments: Sequence[str], ranks: Ranks) -> int:
    """`_main` of one of several processes, of which rank 0 alone speaks; the status of all.

    One that fails where the others do not know says so, and ends all.
    """
    said = io.StringIO()
    with contextlib.ExitStack() as silence:
        if ranks.rank > 0:
            silence.enter_context(contextlib.redirect_stdout(said))
            silence.enter_context(contextlib.redirect_stderr(said))
        try:
            status = _main(arguments, ranks)
        except SystemExit as exit:  # argparse's
            status = exit.code if isinstance(exit.code, int) else FAILED
    if status != DONE and not ranks.agreed:
        last = said.getvalue().splitlines()[-1:]
        if status != INTERRUPTED:  # Ctrl-C comes to rank 0 as well
            print(*last, file=sys.stderr, flush=True)
        abort(status)
    return max(ranks.all(status))


def _main(arguments: Sequence[str], ranks: Ranks | None = None) -> int:
    """Parse and run; the exit status, and one line for whatever ends it early."""
    parser = COMMAND.parser(
        "[options]",
        "Train a multilayer perceptron and evaluate it on the test set. The result goes to stdout, "
        "progress to stderr.",
    )
    add_flags(parser)

    def train() -> int:
        if ranks is None:
            return run(from_flags(parser.parse_args(arguments)))
        parsed: list[TrainConfig] = []
        try:
            with ranks.together():
                if ranks.rank == 0:
                    parsed.append(from_flags(parser.parse_args(arguments)))
            return run(_of_rank(ranks, ranks.first(parsed)[0]), ranks)
        except RankError as error:  # which the other has taken the status from
            return COMMAND.fail(error, FAILED)

    return COMMAND.run(train)


def _of_rank(ranks: Ranks, config: TrainConfig) -> TrainConfig:
    """``config``, without what rank 0 alone reads and writes."""
    if ranks.rank == 0:
        return config
    files = ("save", "json", "log", "tensorboard", "report", "checkpoint", "resume")
    changes: dict[str, Any] = dict.fromkeys(files) | {"quiet": True}
    return dataclasses.replace(config, **changes)


def run(config: TrainConfig, ranks: Ranks | None = None) -> int:
    """Train as ``config`` says and report; the exit status.

    ``ranks``: the processes that train together; each runs this.
    """
    together = contextlib.nullcontext if ranks is None else ranks.together
    with together():
        _check_engine(config)
        _check_outputs(config)
        implementation = _implementation(config)
        threads = threads_for(config.threads)
    if ranks is not None:
        from fastmlp.distributed import threads_of_rank

        threads = threads_of_rank(ranks, config.threads)
    elif threads > available_cores() and not config.quiet:
        COMMAND.say(f"{threads} threads on {available_cores()} cores take turns, which is slower")

    with together():
        start = time.perf_counter()
        data = _load(config)
        config = settled(config, data)
        train, validation = split(data, config)
        load_seconds = time.perf_counter() - start

        model = network(implementation, data, config)
        n_test = len(data.y_test)
        arguments = fit_arguments(implementation, data, config, len(train[1]))
        if config.resume is not None:
            arguments |= _state(config.resume, model)
        stopping = config.make_early_stopping(implementation)
        # The first: a checkpoint knows by its place whose memory it holds.
        callbacks = [stopping] if stopping is not None else []
        callbacks += _writers(config)
        epochs = _EpochsSoFar(arguments.get("resume"))
        whole = data if config.report is not None else None
        if ranks is not None:
            arguments["comm"] = ranks
            data, train, validation = _own(ranks, data, train, validation)

    def result_so_far(history: Any, test: Any, train_seconds: float) -> dict[str, Any]:
        result = result_of(
            config,
            data=data.name,
            n_train=training_begins.n_samples,
            n_test=n_test,
            model=model,
            history=history,
            test=test,
            threads=threads,
            load_seconds=load_seconds,
            train_seconds=train_seconds,
        )
        if ranks is not None:
            result["ranks"] = ranks.size
        if "resume" in arguments:
            result["resumed_from_epoch"] = arguments["resume"].epoch
        return result

    start = time.perf_counter()
    try:
        with (
            _leaving_on_ctrl_c(ranks) as training_begins,
            _progress(config) as progress,
            _blas_threads(config, threads),
            flags_named(data),
        ):
            history = implementation.fit(
                model,
                *train,
                **arguments,
                validation_data=validation,
                callbacks=[*callbacks, epochs, training_begins, *progress],
                threads=config.threads,  # None: as many as the first steps show to be fastest
            )
        train_seconds = time.perf_counter() - start - history.compile_seconds
        with together():
            _save(model, config)
            test = _test(implementation, model, data, config, threads)
        if ranks is not None:
            from fastmlp.distributed import evaluation_of_ranks

            test = evaluation_of_ranks(ranks, test, len(data.y_test))
    except KeyboardInterrupt:  # perhaps in the midst of saving
        train_seconds = time.perf_counter() - start
        _save(model, config)
        if whole is not None:
            history = History(epochs.records)
            test = _test(implementation, model, whole, config, threads)
            result = result_so_far(history, test, train_seconds)
            note = f"Interrupted after {len(epochs.records)} of {config.epochs} epochs."
            _report(config, result, model, whole, history, [note])
        return COMMAND.interrupted(_what_is_left(config))
    except OSError:  # a log that cannot be written: what was learned until then is worth having
        with contextlib.suppress(ArithmeticError, OSError):
            _save(model, config)
        raise
    if stopping is not None and stopping.stopped_epoch is not None and not config.quiet:
        COMMAND.say(
            f"stopped after epoch {stopping.stopped_epoch}: {stopping.monitor} has been best in "
            f"epoch {stopping.best_epoch}"
        )

    with together():
        result = result_so_far(history, test, train_seconds)
        table = table_of(result)
        if config.profile:
            result["profile"] = profile_of(result, history.phase_seconds, _fma_peak(config))
            table += f"\n\n{profile_table_of(result, available_cores())}"
        text = json.dumps(result, indent=2, allow_nan=False)
        if config.json not in (None, "-"):
            write_atomically(Path(config.json), f"{text}\n".encode())
        try:
            print_result(text if config.json == "-" else table)
        finally:  # whoever reads stdout may have left
            if whole is not None:
                _report(config, result, model, whole, history)
                if not config.quiet:
                    COMMAND.say(f"the report is in {config.report}")
    return DONE


def _own(
    ranks: Ranks, data: Dataset, train: Any, validation: Any
) -> tuple[Dataset, tuple[Any, Any], tuple[Any, Any] | None]:
    """What a rank keeps of the data: a copy of its share of each part."""
    from fastmlp.distributed import share_of

    for name, part in (("training", train), ("validation", validation)):
        if part is not None and len(part[1]) < ranks.size:
            raise ValueError(
                f"--distributed: {data.name} has {len(part[1])} {name} samples for {ranks.size} "
                "ranks, each of which needs one"
            )
    (x, y), (x_test, y_test) = (
        [share_of(ranks, array) for array in part] for part in (train, (data.x_test, data.y_test))
    )
    if validation is not None:
        validation = share_of(ranks, validation[0]), share_of(ranks, validation[1])
    own = dataclasses.replace(data, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return own, (x, y), validation


def _check_engine(config: TrainConfig) -> None:
    """Refuse what the reference cannot do, and what has no phases of equal steps to time."""
    if config.profile and config.distributed:
        raise ValueError("--profile times one process: leave --distributed out")
    flags = {
        "--profile": config.profile,
        "--distributed": config.distributed,
        "--resume": config.resume is not None,
        "--checkpoint": config.checkpoint is not None,
    }
    for flag, given in flags.items():
        if given and config.engine != "fast":
            raise ValueError(f"{flag} needs --engine fast, not {config.engine}")
    if config.profile and config.resume is not None:
        raise ValueError("--profile times a whole run, and --resume goes on with one")
    if config.profile and config.lr is None:
        raise ValueError(f"--profile times equal steps, which {config.optimizer} does not make")


def _check_outputs(config: TrainConfig) -> None:
    """Refuse what could not be written, and to write one file over another, or over the data."""
    if config.report is not None:  # the first, for it makes a folder in which others may be
        from fastmlp import reporting

        reporting.check(config.report)
    outputs = {
        "--save": config.save,
        "--json": config.json if config.json != "-" else None,
        "--log": config.log,
    }
    for flag, path in outputs.items():
        if path is not None:
            check_writable(Path(path), flag)
    folders = {
        "--checkpoint": config.checkpoint,
        "--tensorboard": config.tensorboard,
        "--report": config.report,
    }
    for flag, path in folders.items():
        if path is not None and (not path or (os.path.exists(path) and not os.path.isdir(path))):
            raise ValueError(f"{flag} must name a folder, not {path!r}")
    check_different(outputs | folders | {"--data": config.data})


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
            data = load_dataset(config.data, window=config.window)
        except DataError:
            raise
        except ValueError as error:
            raise ValueError(f"--data: {error}") from None
        if isinstance(data.x_train, Rows) and config.engine != "fast":
            raise ValueError(f"--data FOLDER needs --engine fast, not {config.engine}")
        return data
    if config.window is not None:
        raise ValueError("--window needs --data FOLDER")
    data, reason = load_default_dataset()
    if reason is not None:
        # Said to the quiet, too: it is another data set than the one they asked for.
        COMMAND.say(f"MNIST cannot be had, so this trains on {data.name}: {reason}")
    return data


def _state(folder: str, model: Any) -> dict[str, Any]:
    """``resume`` of fit: the newest good checkpoint of the folder, which must be of such a model.

    Nothing, where the run was ended before its first one: it then begins anew.
    """
    try:
        resumed = load_checkpoint(folder)
    except FileNotFoundError:
        COMMAND.say(f"{folder} holds the settings of a run and no checkpoint yet: it begins anew")
        return {}
    except ValueError as error:  # all are damaged
        raise DataError(f"--resume: {error}") from None
    check_same_network(model, resumed.model)
    return {"resume": resumed.state}


class _SettingsFile(Callback):
    """Writes the settings beside the checkpoints, for --resume; when `fit` has accepted them."""

    def __init__(self, config: TrainConfig, folder: str) -> None:
        self.path, self.content = settings_file(folder), settings_text(config).encode()

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        write_atomically(self.path, self.content)


class _EpochsSoFar(Callback):
    """Keeps the records of the epochs, of which an interrupted `fit` gives none."""

    def __init__(self, resume: Any) -> None:
        self.records = [] if resume is None else [Epoch(**record) for record in resume.epochs]

    def on_epoch_end(self, model: Any, record: Any) -> None:
        self.records.append(record)


def _writers(config: TrainConfig) -> list[Callback]:
    """The callbacks that write while training goes on."""
    writers: list[Callback] = []
    if config.checkpoint is not None:
        writers.append(Checkpoint(config.checkpoint, every=config.checkpoint_every))
        writers.append(_SettingsFile(config, config.checkpoint))
    if config.log is not None:
        writers.append(JSONLinesLog(config.log, append=config.resume is not None))
    if config.tensorboard is not None:
        writers.append(TensorBoard(config.tensorboard))
    return writers


def _what_is_left(config: TrainConfig) -> str:
    """What an interrupted run has left behind."""
    left = f"; the model so far is in {config.save}" if config.save else ""
    if config.checkpoint is not None:
        newest = max(Path(config.checkpoint).glob(PATTERN), default=None)
        left += f"; the newest checkpoint is {newest}" if newest else "; there is no checkpoint yet"
    if config.report is not None:
        left += f"; the report is in {config.report}"
    return left


def _report(
    config: TrainConfig,
    result: dict[str, Any],
    model: Any,
    data: Dataset,
    history: Any,
    notes: Sequence[str] = (),
) -> None:
    """Write the report that was asked for."""
    from fastmlp.reporting import report_run

    assert config.report is not None
    report_run(config.report, result, model, data, history, notes)


def _test(implementation: Any, model: Any, data: Dataset, config: TrainConfig, threads: int) -> Any:
    """Loss and accuracy on the test set."""
    if not len(data.y_test):  # of a rank, where there are more ranks than samples
        return None
    with flags_named(data):
        test = implementation.evaluate(model, data.x_test, data.y_test, threads=threads)
    if not math.isfinite(test.loss):
        remedy = "" if config.lr is None else f"; try a learning rate below {config.lr:g}"
        raise FloatingPointError(
            f"the loss on the test set is {test.loss} after the last step{remedy}"
        )
    return test


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
def _leaving_on_ctrl_c(ranks: Ranks | None) -> Iterator[Any]:
    """End the process at once on Ctrl-C, until the callback that this gives hears of training.

    Nothing has been learned by then that could be saved. The callback keeps the number of samples
    that are trained on. Of several ranks the first does so, with which all end.
    """
    with contextlib.ExitStack() as leaving:
        if ranks is None or ranks.rank == 0:
            leaving.enter_context(COMMAND.leaving_on_ctrl_c())

        class TrainingBegins(Callback):
            n_samples = 0  # of a rank whose result nobody sees

            def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
                self.n_samples = n_samples
                leaving.close()

        yield TrainingBegins()


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


if __name__ == "__main__":
    sys.exit(main())
