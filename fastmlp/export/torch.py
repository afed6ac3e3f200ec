"""To PyTorch: a model as an `nn.Sequential`, and the state_dict of one in memory or in a file.

A hidden layer is Linear, then LayerNorm or BatchNorm1d if it has a norm, then its activation, then
Dropout if it has some. The last layer is Linear alone: softmax and sigmoid are the loss's. PyTorch
keeps ``weight`` (n_out, n_in), the transpose of ours. The way back: `fastmlp.export.torch_import`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.atomic import write_atomically
from fastmlp.export.layers import LEAK, NORM_EPSILON, layers_of
from fastmlp.model import MLP

ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": LEAK}),
    "elu": ("ELU", {"alpha": 1.0}),
    "selu": ("SELU", {}),
    "gelu": ("GELU", {"approximate": "none"}),
    "gelu_tanh": ("GELU", {"approximate": "tanh"}),
    "silu": ("SiLU", {}),
    "mish": ("Mish", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {"beta": 1.0, "threshold": 20.0}),
    "identity": ("Identity", {}),
}
"""PyTorch's class, and with which settings it is ours; Softplus above its threshold to 2e-9."""

NORMS = {"layer": "LayerNorm", "batch": "BatchNorm1d"}

ARRAYS = {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"}
"""Ours and PyTorch's names of a norm's arrays."""


class Module(NamedTuple):
    """A module of `torch.nn` by the name of its class; ``arrays`` as in its state_dict."""

    kind: str
    settings: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


def torch_sequential(model: MLP) -> Any:
    """Give ``model`` as an `nn.Sequential` in eval mode.

    It gives what `MLP.logits` gives: softmax, sigmoid or exp is left to whoever calls it.

    Parameters
    ----------
    model : MLP

    Returns
    -------
    torch.nn.Sequential
        With copies of the parameters, of their dtype, on the CPU.

    Raises
    ------
    ImportError
        If torch is not installed.
    TypeError, ValueError
        If ``model`` is no `MLP`, or a parameter is NaN or infinite.
    """
    torch = _torch()
    modules = _modules(model)
    with torch.device("meta"):  # draws no initial parameters
        made = torch.nn.Sequential(*(getattr(torch.nn, m.kind)(**m.settings) for m in modules))
    made.load_state_dict(to_torch(model), assign=True)
    return made.eval()


def to_torch(model: MLP) -> dict[str, Any]:
    """Give the state_dict of ``torch_sequential(model)``: tensors under PyTorch's own keys.

    Parameters
    ----------
    model : MLP

    Returns
    -------
    dict of str to torch.Tensor
        ``0.weight`` (n_out, n_in), ``0.bias``, ...: copies, of the model's dtype.

    Raises
    ------
    ImportError, TypeError, ValueError
        As `torch_sequential`.
    """
    torch = _torch()
    return {name: torch.from_numpy(value) for name, value in _state(model).items()}


def to_torch_file(model: MLP, path: str | os.PathLike[str]) -> None:
    """Write `to_torch` of ``model`` as safetensors, atomically; torch need not be installed.

    ``load_state_dict(safetensors.torch.load_file(path))`` of the `nn.Sequential` reads it.

    Parameters
    ----------
    model : MLP
    path : path-like
        Replaced if it exists.

    Raises
    ------
    OSError
        If the file cannot be written; what was there stays.
    TypeError, ValueError
        As `torch_sequential`.
    """
    from safetensors.numpy import save

    write_atomically(Path(path), save(_state(model), metadata={"format": "pt"}))


def _modules(model: MLP) -> list[Module]:
    layers = layers_of(model)
    modules = [Module("Dropout", {"p": model.input_dropout}, {})] if model.input_dropout else []
    for layer in layers:
        n_in, n_out = layer.W.shape
        arrays = {"weight": np.ascontiguousarray(layer.W.T), "bias": layer.b}
        modules.append(Module("Linear", {"in_features": n_in, "out_features": n_out}, arrays))
        if layer.norm is not None:
            size = {"layer": "normalized_shape", "batch": "num_features"}[layer.norm]
            arrays = {ARRAYS[name]: value for name, value in layer.norm_arrays.items()}
            if layer.norm == "batch":
                arrays["num_batches_tracked"] = np.array(0)
            settings = {size: n_out, "eps": NORM_EPSILON}
            modules.append(Module(NORMS[layer.norm], settings, arrays))
        if layer.activation is not None:
            modules.append(Module(*ACTIVATIONS[layer.activation], {}))
        if layer.dropout:
            modules.append(Module("Dropout", {"p": layer.dropout}, {}))
    return modules


def _state(model: MLP) -> dict[str, NDArray[Any]]:
    return {
        f"{k}.{name}": value
        for k, module in enumerate(_modules(model))
        for name, value in module.arrays.items()
    }


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError("this needs PyTorch: pip install torch") from None
    return torch
