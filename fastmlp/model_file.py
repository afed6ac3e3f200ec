"""Model files: safetensors with a JSON header. Nothing that loads runs code.

The metadata of the file have one entry: its key, `FORMAT`, says the version, its value is the
header, a JSON object of arguments of `MLP`. The tensors are those of `MLP.state_dict`.

How the format grows. Every version that was ever written is read, and files of each lie in
``tests/data/models/``. An argument that `MLP` gains, with a default, enters `OPTIONAL` under the
same version: files without it have the default, and an older fastmlp refuses a file that has it,
by name, as it does an activation, a norm or a loss that it does not know. Where the tensors or the
meaning of an entry change, the version is counted up, and an older fastmlp says so.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.atomic import write_atomically
from fastmlp.checks import shown
from fastmlp.initializers import initializer
from fastmlp.losses import loss_from_dict, loss_to_dict

if TYPE_CHECKING:
    from fastmlp.model import MLP

NAME, VERSION = "fastmlp.model", 1
FORMAT = f"{NAME}/{VERSION}"
"""Key of the header in the file's metadata."""

REQUIRED = ("layers", "activation", "init", "dtype", "seed", "uint8_scale")
OPTIONAL = ("loss", "norm", "dropout", "input_dropout")
"""Arguments of `MLP` that a model file holds; with the parameters they are all of a model. Those
that are optional are not in the files of version 0.1, and have their defaults then."""

TENSOR_DTYPES = {"float32": "F32", "float64": "F64"}
"""safetensors' names."""


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
        If the file cannot be written; what was there stays.
    ValueError
        If a parameter is NaN or infinite: `load` refuses such a file.
    """
    from safetensors.numpy import save as to_bytes

    tensors = model.state_dict()
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise ValueError(f"the model is not saved to {path}: {name} holds NaN or infinity")
    header = header_of(model)
    # One entry: safetensors writes several in an order that changes from file to file.
    content = to_bytes(tensors, metadata={FORMAT: json.dumps(header)})
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
        If it is damaged, no model of fastmlp, or of a later version of the format.
    """
    from safetensors import SafetensorError, safe_open

    name = os.fsdecode(path)
    with open(name, "rb"):  # a missing file or a folder is an OSError that names it
        pass
    try:
        with safe_open(name, framework="numpy") as file:
            metadata = file.metadata() or {}
            header = _read_header(_header_text(metadata))
            # Before memory is taken for what the header says, which may be wrong.
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: (s.get_dtype(), s.get_shape()) for name, s in slices.items()}
            check_tensors(header, found)
            model = model_of(header)
            model.load_state_dict({name: _read(file, name) for name in model.state_dict()})
    except _LaterVersionError as error:
        raise ValueError(f"{name} {error}") from None
    except (SafetensorError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name} is damaged, or no model file of fastmlp: {reason}") from None
    return model


def header_of(model: MLP) -> dict[str, Any]:
    """The arguments that make an `MLP` like ``model``, as JSON values."""
    values = {name: getattr(model, name) for name in (*REQUIRED, *OPTIONAL)}
    return values | {"dtype": model.dtype.name, "loss": loss_to_dict(model.loss)}


def model_of(header: dict[str, Any]) -> MLP:
    """An `MLP` of these arguments, its parameters not drawn.

    ValueError, TypeError if they are bad.
    """
    from fastmlp.model import MLP

    initializer(header["init"])
    values = dict(header) | {"init": "zeros"}
    if "loss" in values:
        values["loss"] = loss_from_dict(values["loss"])
    model = MLP(**values)
    model.init = header["init"]
    return model


class _LaterVersionError(ValueError):
    """The file is whole, as far as this version of fastmlp can tell."""


def _header_text(metadata: dict[str, str]) -> str:
    if FORMAT in metadata:
        return metadata[FORMAT]
    if metadata.get("format") == FORMAT and "model" in metadata:  # before 0.1, in two entries
        return metadata["model"]
    for key in metadata:
        version = key.removeprefix(f"{NAME}/")
        if version != key and version.isdecimal() and int(version) > VERSION:
            raise _LaterVersionError(
                f"is of format {shown(key)}, this fastmlp reads up to {FORMAT}: update fastmlp"
            )
    raise ValueError(f"its metadata is {shown(metadata)}, without {FORMAT!r}")


def _read_header(text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its header is no JSON ({error})") from None
    return check_header(header)


def check_header(header: Any) -> dict[str, Any]:
    """Give ``header``; ValueError if it is not made of arguments of `MLP`."""
    if not isinstance(header, dict):
        raise ValueError(f"its header must be an object of {', '.join((*REQUIRED, *OPTIONAL))}")
    if missing := sorted(set(REQUIRED) - set(header)):
        raise ValueError(f"its header is without {', '.join(missing)}")
    if unknown := sorted(set(header) - {*REQUIRED, *OPTIONAL}):
        raise ValueError(
            f"its header has {shown(unknown)}, which this fastmlp does not know; a later one may"
        )
    return header


def check_tensors(header: dict[str, Any], found: dict[str, tuple[str, list[int]]]) -> None:
    """Check that W1, b1, W2, ... of the type and shapes that ``header`` says were found."""
    layers, dtype = header["layers"], header["dtype"]
    if not isinstance(layers, list) or len(layers) < 2:
        raise ValueError("its layers are no list of two sizes or more")
    if not isinstance(dtype, str) or dtype not in TENSOR_DTYPES:
        raise ValueError(f"its dtype must be {' or '.join(TENSOR_DTYPES)}")
    names = set(found)
    hidden = len(layers) - 2
    norms = header.get("norm")
    norms = norms if isinstance(norms, list) else [norms] * min(hidden, len(names))
    if len(norms) != hidden or not 2 * hidden <= len(names) - 2 <= 6 * hidden:
        raise ValueError(f"tensors {shown(sorted(names))} for {len(layers)} layer sizes")
    expected = {}
    for layer, (n_out, norm) in enumerate(zip(layers[1:], (*norms, None), strict=True), start=1):
        expected[f"W{layer}"] = [layers[layer - 1], n_out]
        rows = ("b", *(("scale", "shift") if norm else ()))
        rows += ("mean", "variance") if norm == "batch" else ()
        expected |= {f"{row}{layer}": [n_out] for row in rows}
    if names != set(expected):
        wrong = sorted(names.symmetric_difference(expected))
        raise ValueError(f"missing or too many: {shown(wrong)}")
    for name, shape in expected.items():
        if found[name] != (TENSOR_DTYPES[dtype], shape):
            kind, other = found[name]
            raise ValueError(f"{name} is {kind} {other}, not {TENSOR_DTYPES[dtype]} {shape}")


def _read(file: Any, name: str) -> Any:
    value = file.get_tensor(name)
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return value
