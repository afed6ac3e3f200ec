"""`from_torch`: a model of PyTorch's `nn.Sequential`, or of a state_dict of one.

What is described in `fastmlp.export.torch`, read. Nothing is unpickled: a state_dict is given as an
object, or as a safetensors file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import shown
from fastmlp.export.layers import NORM_EPSILON, Layer, model_from
from fastmlp.export.torch import ACTIVATIONS, ARRAYS, NORMS, Module
from fastmlp.losses import Loss
from fastmlp.model import DTYPES, MLP, check_activation, per_layer

KNOWN_ARRAYS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}

KEY = re.compile(rf"(.*\.)?(\d+)\.({'|'.join(sorted(KNOWN_ARRAYS))})")
"""Of a state_dict of an `nn.Sequential`, which may be within another module."""


def from_torch(
    source: Any,
    *,
    activation: str | Sequence[str] | None = None,
    loss: str | Loss = "cross_entropy",
    uint8_scale: float = 1 / 255,
) -> MLP:
    """Make a model of an `nn.Sequential`, or of a state_dict of one.

    Parameters
    ----------
    source : torch.nn.Sequential, mapping of str to tensor or array, or path-like
        Modules in the order that `torch_sequential` has them in, Flatten before them if you like;
        a Linear without bias and a norm without weight get those that change nothing. Or the
        state_dict of such a one, or a safetensors file of a state_dict. float32 or float64.
    activation : str or sequence of str, optional
        As of `MLP`; needed with a state_dict, which does not say it. Nor does one say the eps of
        a norm, which is taken to be 1e-5.
    loss : str or Loss, default "cross_entropy"
        As of `MLP`: what the outputs mean, which PyTorch leaves to whoever calls the network.
    uint8_scale : float, default 1/255
        As of `MLP`.

    Returns
    -------
    MLP
        With copies of the parameters, of their dtype; its logits are what the modules give in eval
        mode, to rounding. Dropout is kept, a batch norm's momentum becomes 0.1.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If an argument is not as said, or a module, a setting or an array has no counterpart here:
        it is named.
    """
    torch = sys.modules.get("torch")  # where it is not loaded, nobody has a module of it
    if torch is not None and isinstance(source, torch.nn.Sequential):
        if activation is not None:
            raise ValueError("activation is for a state_dict: the modules of source say theirs")
        modules = list(_modules_in(source, torch.nn))
        activations: Sequence[str] | None = None
    elif isinstance(source, Mapping | str | os.PathLike):
        state = source if isinstance(source, Mapping) else _read(source)
        modules = _modules_of(state)
        activations = _check_activations(activation, modules)
    else:
        raise TypeError(
            "source must be an nn.Sequential, a state_dict or the path of a safetensors file, "
            f"not {shown(source)}"
        )
    input_dropout, layers = _layers(modules)
    if activations is not None:
        for layer, name in zip(layers, activations, strict=False):  # the last has none
            layer.activation = name
    return model_from(layers, loss=loss, input_dropout=input_dropout, uint8_scale=uint8_scale)


def _layers(modules: Sequence[Module]) -> tuple[float, list[Layer]]:
    """Dropout of the input, and the layers: Linear, norm, activation, Dropout, in this order."""
    input_dropout, layers = 0.0, list[Layer]()
    stage, ending = 0, ""
    for k, module in enumerate(modules):
        kind, settings, arrays = module
        if kind == "Identity" or (kind == "Flatten" and not layers and settings == FLATTEN):
            continue
        activation = _activation(k, module)
        stages = {"Linear": 0, "LayerNorm": 1, "BatchNorm1d": 1, "Dropout": 3}
        here = 2 if activation is not None else stages.get(kind)
        if here is None:
            raise ValueError(f"module {k} is {kind}, which has no counterpart in fastmlp")
        if kind == "Dropout" and not layers:
            input_dropout = settings["p"]
            continue
        if here > 0 and (not layers or here <= stage):
            raise ValueError(
                f"module {k} is {kind}, where fastmlp has none: a hidden layer is Linear, norm, "
                "activation, Dropout, in this order"
            )
        stage, ending = here, kind
        if kind == "Linear":
            W = arrays["weight"].T
            b = arrays.get("bias", np.zeros(W.shape[1], W.dtype))
            layers.append(Layer(W, b, "identity", None, {}, 0.0))
        elif activation is not None:
            layers[-1].activation = activation
        elif kind == "Dropout":
            layers[-1].dropout = settings["p"]
        else:
            layers[-1].norm, layers[-1].norm_arrays = _norm(k, module, layers[-1].b)
    if not layers:
        raise ValueError("source has no Linear")
    if stage > 0:
        raise ValueError(
            f"source ends in {ending}, and must in Linear: what the outputs mean is said by loss"
        )
    return input_dropout, layers


def _activation(k: int, module: Module) -> str | None:
    """Its name, if the module is one."""
    ours = {name: known for name, (kind, known) in ACTIVATIONS.items() if kind == module.kind}
    for name, known in ours.items():
        if known.items() <= module.settings.items():
            return name
    if ours:
        allowed = " or ".join(str(known) for known in ours.values())
        raise ValueError(
            f"module {k} is {module.kind} with {dict(module.settings)}; fastmlp has it with "
            f"{allowed}"
        )
    return None


def _norm(
    k: int, module: Module, like: NDArray[Any]
) -> tuple[str, dict[str, NDArray[np.floating]]]:
    kind = next(name for name, torchs in NORMS.items() if torchs == module.kind)
    if module.settings.get("eps", NORM_EPSILON) != NORM_EPSILON:
        raise ValueError(
            f"module {k} is {module.kind} with eps {module.settings['eps']}, not {NORM_EPSILON}"
        )
    arrays = {"scale": np.ones_like(like), "shift": np.zeros_like(like)}
    arrays |= {name: module.arrays[key] for name, key in ARRAYS.items() if key in module.arrays}
    if kind == "batch" and not {"mean", "variance"} <= set(arrays):
        raise ValueError(f"module {k} is BatchNorm1d without running_mean and running_var")
    return kind, arrays


FLATTEN = {"start_dim": 1, "end_dim": -1}
"""The settings of Flatten that keep samples apart, which are its defaults."""

SETTINGS = ("eps", "p", *FLATTEN, *(name for _, known in ACTIVATIONS.values() for name in known))
"""Attributes of modules that say what they compute."""


def _modules_in(source: Any, nn: Any) -> Iterator[Module]:
    """The modules of an `nn.Sequential`, and of those in it."""
    if type(source).forward is not nn.Sequential.forward:
        raise ValueError(f"{type(source).__name__} of source has a forward of its own")
    for child in source:  # not children(), which gives one that stands in two places once
        kind = type(child).__name__
        if isinstance(child, nn.Sequential):
            yield from _modules_in(child, nn)
            continue
        if getattr(nn, kind, None) is not type(child):  # a subclass may compute anything
            raise ValueError(f"a module of source is {kind}, which is none of torch.nn")
        settings = {name: getattr(child, name) for name in SETTINGS if hasattr(child, name)}
        arrays = child.state_dict()
        if unknown := sorted(set(arrays) - KNOWN_ARRAYS):
            raise ValueError(f"a {kind} of source has {', '.join(unknown)}, unknown to fastmlp")
        yield Module(kind, settings, {name: _array(name, a) for name, a in arrays.items()})


def _modules_of(state: Mapping[Any, Any]) -> list[Module]:
    """The modules that a state_dict has arrays of."""
    groups: dict[int, dict[str, NDArray[Any]]] = {}
    prefixes = set()
    for key, value in state.items():
        match = KEY.fullmatch(key) if isinstance(key, str) else None
        if match is None:
            raise ValueError(
                f"{shown(key)} is no key of an nn.Sequential of Linear, LayerNorm and BatchNorm1d"
            )
        prefix, index, name = match.groups()
        prefixes.add(prefix)
        groups.setdefault(int(index), {})[name] = _array(key, value)
    if len(prefixes) > 1:
        raise ValueError(f"keys of one nn.Sequential begin alike, not with {shown(prefixes)}")
    modules = []
    for index, arrays in sorted(groups.items()):
        kind = "LayerNorm"
        if "running_mean" in arrays:
            kind = "BatchNorm1d"
        elif getattr(arrays.get("weight"), "ndim", 0) == 2:
            kind = "Linear"
        elif getattr(arrays.get("weight"), "ndim", 0) != 1:
            raise ValueError(
                f"arrays {', '.join(arrays)} of module {index} are those of no Linear, LayerNorm "
                "or BatchNorm1d"
            )
        modules.append(Module(kind, {}, arrays))
    return modules


def _check_activations(activation: Any, modules: Sequence[Module]) -> Sequence[str]:
    hidden = sum(module.kind == "Linear" for module in modules) - 1
    if activation is None and hidden > 0:
        raise ValueError("activation must be given with a state_dict, which does not say it")
    given = "identity" if activation is None else activation
    names: tuple[str, ...] = per_layer("activation", given, max(hidden, 0), check_activation)[1]
    return names


def _array(name: str, value: Any) -> NDArray[Any]:
    """An array or tensor as an array."""
    dtype = str(getattr(value, "dtype", type(value).__name__)).removeprefix("torch.")
    if dtype not in DTYPES and not name.endswith("num_batches_tracked"):
        raise TypeError(f"{name} must be an array of {' or '.join(DTYPES)}, not {dtype}")
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arrays of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    name = os.fsdecode(path)
    content = Path(name).read_bytes()
    try:
        return load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name} is no safetensors file of float32 or float64: {reason}") from None
