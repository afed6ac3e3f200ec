"""Tables and code in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.peers import INSTALL


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code(why: str) -> str:
    """The line that installs something, set as code."""
    return why.replace(INSTALL, f"`{INSTALL}`")
