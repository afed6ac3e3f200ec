"""Colour and marker of each side in every picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS
from fastmlp.atomic import write_atomically

# Okabe and Ito's colours are told apart with every kind of colour vision; the markers without any.
STYLES = {
    PEERS["fast"].title: ("#0072b2", "o"),
    PEERS["jax_scan"].title: ("#d55e00", "s"),
    PEERS["torch_mlp"].title: ("#009e73", "^"),
    PEERS["sklearn_mlp"].title: ("#cc79a7", "D"),
    PEERS["numpy_reference"].title: ("#e69f00", "v"),
    PEERS["onnx_runtime"].title: ("#56b4e9", "P"),
}


def save(figure: Any, path: Path) -> None:
    """Write the figure whole or not at all, and close it."""
    from matplotlib import pyplot

    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    pyplot.close(figure)
    write_atomically(path, content.getvalue())
