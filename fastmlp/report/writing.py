"""`write`: a model and its test set in, a folder with a page and its pictures out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.assessment import Classes, Outputs, assess
from fastmlp.machine import cpu, versions
from fastmlp.report import sections
from fastmlp.report.folder import check_folder, write_page
from fastmlp.report.page import Page


def write(
    folder: str | os.PathLike[str],
    model: Any,
    x_test: Any,
    y_test: Any,
    *,
    history: Any = None,
    image_shape: Sequence[int] | None = None,
    title: str | None = None,
    summary: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    repeat: str | None = None,
    notes: Sequence[str] = (),
    no_phases: str | None = None,
) -> Path:
    """Write ``folder/index.html``, which needs no other file, and its pictures as PNG beside it.

    Whatever else is in the folder stays; a page and pictures of a former report are replaced.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    model : MLP
        Of either engine.
    x_test : array-like or Rows (n_samples, n_features)
        What the model is judged by.
    y_test : array-like
        As the loss asks, see `fastmlp.fit`.
    history : History, optional
        What `fit` gave: for learning curves, and time per phase.
    image_shape : (int, int), optional
        Height and width of an input; without, 784 values are 28 x 28, 64 are 8 x 8, and others no
        images.
    title : str, optional
        Heading of the page; the accuracy without.
    summary : dict of str to str, optional
        Rows of the first table; network, samples and accuracy without.
    settings : dict, optional
        Rows of the configuration; None is left out.
    repeat : str, optional
        The command that makes the same again.
    notes : sequence of str
        What is to be read first.
    no_phases : str, optional
        Why no time per phase was measured, if it was not.

    Returns
    -------
    Path
        Of index.html.

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install 'fastmlp[report]'``.
    ValueError
        If the folder cannot be written into or holds a page that is no report, or an argument does
        not fit the others.
    OSError
        If a file cannot be written.
    """
    check_folder(folder)
    x = x_test if hasattr(x_test, "shape") else np.asarray(x_test)
    shape = sections.shape_of(model.layers[0], image_shape)
    found = assess(model, x, y_test)
    if summary is None:
        summary = _summary(model, found)
    page = Page(title or _title(found))
    for note in notes:
        page.text(note, "note")
    page.rows(summary.items())
    if history is not None:
        sections.curves(page, history)
    if isinstance(found, Classes):
        sections.classes(page, found)
        sections.mistakes(page, found, x, shape)
    else:
        sections.outputs(page, found)
    sections.weights(page, model, shape)
    if history is not None:
        sections.phases(page, history, no_phases)
    if settings is not None:
        sections.settings(page, settings)
    sections.origin(page, versions(), cpu(), repeat)
    return write_page(page, Path(folder))


def _title(found: Classes | Outputs) -> str:
    if not isinstance(found, Classes):
        return "Report of a network"
    return f"{np.mean(found.true == found.predicted):.2%} right on the test set"


def _summary(model: Any, found: Classes | Outputs) -> dict[str, str]:
    rows = {"network": repr(model), "test samples": f"{len(found.true):,}"}
    if isinstance(found, Classes):
        rows["test accuracy"] = f"{np.mean(found.true == found.predicted):.2%}"
    return rows
