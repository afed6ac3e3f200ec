"""The folder of a report: what is written there, and over what it is not."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from pathlib import Path

from fastmlp.atomic import check_writable, write_atomically
from fastmlp.report.page import GENERATOR, Page

INDEX = "index.html"
PICTURES = ("curves.png", "confusion.png", "fit.png", "mistakes.png", "weights.png", "phases.png")
"""Names that a report may have."""


def check_folder(folder: str | os.PathLike[str], argument: str = "folder") -> None:
    """Make the folder; an error before training, not after.

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        If the folder cannot be made or written into, or holds a page that is no report.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError(f"{argument} needs matplotlib: pip install 'fastmlp[report]'")
    if not os.fspath(folder):
        raise ValueError(f"{argument} must not be empty")
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ValueError(f"{argument} must name a folder, not the file {path}") from None
    except OSError as error:
        raise ValueError(f"{argument}: {path} cannot be made: {error.strerror}") from None
    for name in (INDEX, *PICTURES):
        check_writable(path / name, argument)
    if (path / INDEX).exists() and not _is_report(path / INDEX):
        raise ValueError(
            f"{argument}: {path / INDEX} is no report of fastmlp, and would be overwritten"
        )


def write_page(page: Page, folder: Path) -> Path:
    """Write pictures, then the page, each whole or not at all; pictures of a former report go."""
    former = _is_report(folder / INDEX)
    for name, content in page.pictures.items():
        write_atomically(folder / name, content)
    write_atomically(folder / INDEX, page.html().encode())
    for name in PICTURES:
        if former and name not in page.pictures:
            (folder / name).unlink(missing_ok=True)
    return folder / INDEX


def _is_report(path: Path) -> bool:
    """Whether such a page is there."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return GENERATOR.encode() in file.read(1000)
    return False
