"""What the command line says, and where progress goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Settings of every measurement.

    Attributes
    ----------
    rounds : int
        Alternations.
    quick : bool
        Fewer cells and epochs, and no variants that take long to compile.
    say, advance
        Show a line of progress; count one alternation.
    """

    rounds: int
    threads: int
    quick: bool
    say: Callable[[str], None]
    advance: Callable[[], None]
