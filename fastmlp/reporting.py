"""What the commands put into a report."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastmlp.atomic import check_writable, write_atomically
from fastmlp.data import Dataset
from fastmlp.report import check_folder, write
from fastmlp.result import rows_of

RUN = "run.json"
"""The result of the run beside its page, for ``--config``."""


def check(folder: str) -> None:
    """ValueError if there could be no report in the end; makes the folder."""
    try:
        check_folder(folder, "--report")
    except ImportError as error:
        raise ValueError(error) from None
    check_writable(Path(folder) / RUN, "--report")


def report_run(
    folder: str,
    result: Mapping[str, Any],
    model: Any,
    data: Dataset,
    history: Any,
    notes: Sequence[str] = (),
) -> Path:
    """Write the report of a training run, whose JSON object is ``result``; its page."""
    path = Path(folder) / RUN
    write_atomically(path, f"{json.dumps(result, indent=2, allow_nan=False)}\n".encode())
    command = f"python -m fastmlp.train --config {shlex.quote(str(path))}"
    notes = list(notes)
    if "resumed_from_epoch" in result:
        notes.append(
            f"Resumed after epoch {result['resumed_from_epoch']}: the times of training and of its "
            "phases are those since."
        )
    if "ranks" in result:
        command = f"mpiexec -n {result['ranks']} {command} --distributed"
        notes.append(
            f"Trained by {result['ranks']} ranks: the time per phase is that of the first."
        )
    summary = rows_of(result)
    no_phases = None
    if result["engine"] == "fast":
        summary["SHA-256"] = f"{result['parameter_sha256']} (parameters: the same when repeated)"
    else:
        no_phases = f"--engine {result['engine']} has no clocks in its steps"
    return write(
        folder,
        model,
        data.x_test,
        data.y_test,
        history=history,
        image_shape=data.image_shape,
        title=title_of(data.name, result["test_loss"], result["test_accuracy"]),
        summary=summary,
        settings=result["config"],
        repeat=command,
        notes=notes,
        no_phases=no_phases,
    )


def title_of(data: str, loss: float, accuracy: float | None) -> str:
    """The heading of a page: the data set, and how well it was learned."""
    reached = f"loss {loss:.4g}" if accuracy is None else f"{accuracy:.2%} right"
    return f"{Path(data).name}: {reached} on the test set"
