"""What all pictures share: colours, a new figure, its PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours are told apart with every kind of colour vision; the markers without any.
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
DARK_ORANGE = "#a34700"
"""For small text: 6 to 1 on white, where `ORANGE` has 4."""

TRAIN, VALIDATION = (BLUE, "o"), (ORANGE, "s")
GREY = "0.35"

WIDTH = 5.6
"""Inches: at 390 pixels, the width of a phone, text of 10 points is still 9 pixels high."""

DPI = 150


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of that many inches, on white, known to no other part of the process.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"a report needs matplotlib, pip install 'fastmlp[report]': {error}"
        ) from None
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()
