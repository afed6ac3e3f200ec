"""The command ``python -m fastmlp.evaluate``: judge a saved model by a test set."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastmlp.assessment import Classes, Outputs, assess
from fastmlp.atomic import check_writable, write_atomically
from fastmlp.checks import parse_integer
from fastmlp.command import (
    DONE,
    Command,
    check_different,
    model_of_argument,
    open_streams,
    print_result,
)
from fastmlp.data import DataError, Dataset, load_dataset
from fastmlp.evaluation import Evaluation, evaluate
from fastmlp.machine import cpu, versions
from fastmlp.model import MLP
from fastmlp.prepare import flags_named
from fastmlp.threads import MOST_THREADS

COMMAND = Command("fastmlp.evaluate")
SCHEMA = "fastmlp.evaluate/1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the process); the exit status."""
    open_streams()
    parser = COMMAND.parser(
        "MODEL --data NAME [options]",
        "Judge a model that was saved by a test set: loss, accuracy, and precision, recall and F1 "
        "of each class. The result goes to stdout.",
    )
    parser.add_argument("model", metavar="MODEL", help="file that --save or model.save has written")
    parser.add_argument(
        "--data",
        metavar="NAME",
        required=True,
        help="mnist, fashion-mnist, digits, or an .npz file or a folder as fastmlp.train takes it; "
        "its test set is what counts",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=_threads,
        help="that compute (default: FASTMLP_NUM_THREADS, or all physical cores that the process "
        "may use)",
    )
    parser.add_argument(
        "--json", metavar="PATH", help="write the result as one JSON object, - for stdout"
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="write a page of it, index.html, and its pictures (fastmlp[report])",
    )
    return COMMAND.run(lambda: run(parser.parse_args(arguments)))


def run(flags: argparse.Namespace) -> int:
    """Evaluate as the flags say and print; the exit status."""
    _check_outputs(flags)
    model = model_of_argument(flags.model)
    try:
        data = load_dataset(flags.data)
    except DataError:
        raise
    except ValueError as error:
        raise ValueError(f"--data: {error}") from None
    check_fits(model, data)
    with COMMAND.leaving_on_ctrl_c(), flags_named(data):
        of_all = evaluate(model, data.x_test, data.y_test, threads=flags.threads)
        if not math.isfinite(of_all.loss):
            raise FloatingPointError(f"the loss on the test set is {of_all.loss}")
        found = assess(model, data.x_test, data.y_test)
    result = result_of(flags.model, model, data, of_all, found)
    text = json.dumps(result, indent=2, allow_nan=False)
    if flags.json not in (None, "-"):
        write_atomically(Path(flags.json), f"{text}\n".encode())
    try:
        print_result(text if flags.json == "-" else table_of(result))
    finally:  # whoever reads stdout may have left
        if flags.report is not None:
            _report(flags, result, model, data, of_all)
    return DONE


def check_fits(model: MLP, data: Dataset) -> None:
    """ValueError if ``model`` cannot be judged by ``data``."""
    n_features, n_outputs, loss = data.x_test.shape[1], model.layers[-1], model.loss
    if n_features != model.layers[0]:
        raise ValueError(
            f"the model takes {model.layers[0]} features, {data.name} has {n_features}"
        )
    single = loss.targets == "binary" and n_outputs == 1
    if data.n_classes is None:
        if data.n_outputs != n_outputs:
            raise ValueError(
                f"the model has {n_outputs} outputs, and {data.name} {data.n_outputs} of a sample"
            )
        return
    if loss.targets != "classes" and not single:
        raise ValueError(
            f"the model's loss {loss.name} on {n_outputs} outputs needs other targets than the "
            f"labels of {data.name}"
        )
    n_classes = 2 if single else n_outputs
    largest = int(data.y_test.max())
    if largest >= n_classes:
        raise ValueError(
            f"the model has {n_classes} classes, 0 to {n_classes - 1}, and {data.name} has label "
            f"{largest}"
        )


def result_of(
    path: str, model: MLP, data: Dataset, of_all: Evaluation, found: Classes | Outputs
) -> dict[str, Any]:
    """The JSON object of an evaluation, of the schema `SCHEMA`."""
    kind = "classes" if isinstance(found, Classes) else "outputs"
    result = {
        "schema": SCHEMA,
        "model": path,
        "data": data.name,
        "layers": list(model.layers),
        "loss": model.loss.name,
        "n_test": len(data.y_test),
        "test_loss": of_all.loss,
        "test_accuracy": of_all.accuracy,
        kind: found.scores,
        "versions": versions(),
        "cpu": cpu(),
    }
    if isinstance(found, Classes):
        result["confusion_matrix"] = found.matrix.tolist()
    return result


def rows_of(result: dict[str, Any]) -> dict[str, str]:
    """What a person reads first, by its name."""
    rows = {
        "model": f"{result['model']}, {'-'.join(map(str, result['layers']))}, {result['loss']}",
        "data": f"{result['data']}, {result['n_test']:,} test samples",
    }
    if result["test_accuracy"] is not None:
        rows["test accuracy"] = f"{result['test_accuracy']:.2%}"
    rows["test loss"] = f"{result['test_loss']:.4f}"
    return rows


def table_of(result: dict[str, Any]) -> str:
    """The lines that a person reads."""
    lines = [f"{name:>14}  {value}" for name, value in rows_of(result).items()]
    scores = result.get("classes") or result["outputs"]
    lines += ["", "  ".join(f"{name:>9}" for name in scores[0])]
    lines += ["  ".join(f"{_cell(value):>9}" for value in row.values()) for row in scores]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return "none"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _check_outputs(flags: argparse.Namespace) -> None:
    """Refuse what could not be written, and to write the result over what is read."""
    for name in ("model", "data", "json", "report"):
        if getattr(flags, name) == "":
            raise ValueError(f"{'MODEL' if name == 'model' else f'--{name}'} must not be empty")
    if flags.report is not None:
        from fastmlp import reporting

        reporting.check(flags.report)
    json_file = None if flags.json == "-" else flags.json
    if json_file is not None:
        check_writable(Path(json_file), "--json")
    check_different(
        {
            "MODEL": flags.model,
            "--data": flags.data,
            "--json": json_file,
            "--report": flags.report,
        }
    )


def _report(
    flags: argparse.Namespace,
    result: dict[str, Any],
    model: MLP,
    data: Dataset,
    of_all: Evaluation,
) -> None:
    from fastmlp.report import write
    from fastmlp.reporting import title_of

    command = ["python", "-m", COMMAND.program, flags.model, "--data", flags.data]
    write(
        flags.report,
        model,
        data.x_test,
        data.y_test,
        image_shape=data.image_shape,
        title=title_of(data.name, of_all.loss, of_all.accuracy),
        summary=rows_of(result),
        repeat=shlex.join(command),
    )
    COMMAND.say(f"the report is in {flags.report}")


def _threads(text: str) -> int:
    try:
        return parse_integer("the value", text, 1, MOST_THREADS)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
