"""Model files: safetensors with a JSON header. Nothing that loads runs code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.atomic import write_atomically

if TYPE_CHECKING:
    from fastmlp.model import MLP

FORMAT = "fastmlp.model/1"


def save(model: MLP, path: str | os.PathLike[str]) -> None:
    """Write ``model`` to ``path``: W1, b1, W2, ... and what made them, atomically.

    Parameters
    ----------
    model : MLP
    path : path-like
        Replaced if it exists.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    tensors = {}
    for layer, (W, b) in enumerate(zip(model.weights, model.biases, strict=True), start=1):
        # Views of padded rows are not contiguous, which safetensors would write wrongly.
        tensors[f"W{layer}"] = np.ascontiguousarray(W)
        tensors[f"b{layer}"] = np.ascontiguousarray(b)
    header = {
        "layers": list(model.layers),
        "activation": model.activation,
        "init": model.init,
        "dtype": model.dtype.name,
        "seed": model.seed,
        "uint8_scale": model.uint8_scale,
    }
    content = to_bytes(tensors, metadata={"format": FORMAT, "model": json.dumps(header)})
    write_atomically(Path(path), content)


def load(path: str | os.PathLike[str]) -> MLP:
    """Read a model that `save` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    MLP

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged, or no model of fastmlp.
    """
    from safetensors import SafetensorError, safe_open

    from fastmlp.model import MLP

    with open(path, "rb"):  # a missing file is an OSError that names it
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                found = metadata.get("format", "no format")
                raise ValueError(f"{path} is no model file of this version: {found}, not {FORMAT}")
            model = MLP(**json.loads(metadata["model"]))
            _read_parameters(path, set(file.keys()), file.get_tensor, model)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or damaged: {error}") from None
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: its header is wrong ({error})") from None
    return model


def _read_parameters(
    path: str | os.PathLike[str], names: set[str], read: Callable[[str], Any], model: MLP
) -> None:
    targets = {}
    for layer, (W, b) in enumerate(zip(model.weights, model.biases, strict=True), start=1):
        targets.update({f"W{layer}": W, f"b{layer}": b})
    if names != set(targets):
        wrong = ", ".join(sorted(names.symmetric_difference(targets)))
        raise ValueError(f"{path} is damaged: {wrong} missing or too many")
    for name, target in targets.items():
        value = read(name)
        if value.shape != target.shape or value.dtype != target.dtype:
            raise ValueError(
                f"{path} is damaged: {name} is {value.dtype} {value.shape}, "
                f"not {target.dtype} {target.shape}"
            )
        if not np.isfinite(value).all():
            raise ValueError(f"{path} holds NaN or infinity in {name}")
        target[...] = value
