"""`to_onnx`: a model as an ONNX graph that gives what `predict_proba` gives.

Operator set 17 is the lowest that has LayerNormalization as one operator, and IR version 8 the one
it came with (ONNX 1.12, 2022): gelu (20) and mish (18), which are operators since, are composed.
Of Elu, Selu, Softplus and Erf onnxruntime has no float64. There the first three are composed, as is
LeakyRelu, whose slope, an attribute, is a float32: 2e-8 of it wrong. Erf is taken in float32, and
leaves gelu of a float64 model seven digits.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.atomic import write_atomically
from fastmlp.checks import check_choice
from fastmlp.export.layers import (
    GELU_CUBIC,
    LEAK,
    NORM_EPSILON,
    SELU_ALPHA,
    SELU_SCALE,
    layers_of,
)
from fastmlp.model import MLP
from fastmlp.model_file import FORMAT, header_of

OPSET, IR_VERSION = 17, 8

INPUT = "x"
OUTPUTS = {
    "softmax": "probabilities",
    "sigmoid": "probabilities",
    "logits": "outputs",
    "exponential": "outputs",
}
"""Name of the graph's output, by `Loss.output`."""

MOST_BYTES = 2**31 - 2**20
"""Of the parameters of a model in one protobuf message, which cannot have 2 GiB."""


def to_onnx(
    model: MLP, path: str | os.PathLike[str] | None = None, *, dtype: str | None = None
) -> Any:
    """Give ``model`` as an ONNX model; needs the extra ``onnx``.

    Its input is ``x`` (n, n_features), n free. Its output are ``probabilities`` (n, n_outputs),
    those of `MLP.predict_proba`, or of regression ``outputs`` (n, n_outputs), those of
    `MLP.predict`. Dropout is nothing in prediction and not in the graph.

    Parameters
    ----------
    model : MLP
    path : path-like, optional
        Where to write it, too, atomically.
    dtype : {"float32", "float64", "uint8"}, optional
        Of ``x``: by default the model's own, which is the only float it can have. With "uint8" the
        graph begins with a cast and a product with the model's ``uint8_scale``.

    Returns
    -------
    onnx.ModelProto
        Its metadata hold the header of a model file, under the same key.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    OSError
        If the file cannot be written; what was there stays.
    TypeError, ValueError
        If an argument is not as said, a parameter is NaN or infinite, or the parameters are more
        than the 2 GiB of a file.
    """
    layers = layers_of(model)
    dtype = model.dtype.name if dtype is None else dtype
    dtype = check_choice("dtype", dtype, (model.dtype.name, "uint8"))
    size = sum(view.nbytes for view in (*model.weights, *model.biases))
    if size > MOST_BYTES:
        raise ValueError(f"the model has {size} bytes of parameters; ONNX files have below 2 GiB")
    helper = _onnx().helper
    graph = _Graph(model.dtype)
    last = INPUT
    if dtype == "uint8":
        last = graph.op("Cast", last, to=graph.kind)
        last = graph.op("Mul", last, graph.number(model.uint8_scale))
    for k, layer in enumerate(layers, start=1):
        W, b = graph.array(f"W{k}", layer.W), graph.array(f"b{k}", layer.b)
        last = graph.op("Gemm", last, W, b)
        arrays = [graph.array(f"{name}{k}", value) for name, value in layer.norm_arrays.items()]
        if layer.norm == "layer":
            settings = {"axis": -1, "epsilon": NORM_EPSILON, "stash_type": graph.kind}
            last = graph.op("LayerNormalization", last, *arrays, **settings)
        elif layer.norm == "batch":
            last = graph.op("BatchNormalization", last, *arrays, epsilon=NORM_EPSILON)
        if layer.activation is not None:
            last = ACTIVATIONS[layer.activation](graph, last)
    last = HEADS[model.loss.output](graph, last)
    output = OUTPUTS[model.loss.output]
    graph.nodes[-1].output[0] = output
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "fastmlp",
            [helper.make_tensor_value_info(INPUT, _kind(dtype), ["n", model.layers[0]])],
            [helper.make_tensor_value_info(output, graph.kind, ["n", model.layers[-1]])],
            graph.arrays,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fastmlp",
        producer_version=_version(),
    )
    helper.set_model_props(made, {FORMAT: json.dumps(header_of(model))})
    if path is not None:
        write_atomically(Path(path), made.SerializeToString())
    return made


class _Graph:
    """Nodes and arrays in the making; a value is known by its name."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.kind = _kind(dtype)
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []

    def op(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """What ``operator`` makes of ``inputs``."""
        name = f"{operator}_{len(self.nodes) + 1}"
        node = _onnx().helper.make_node(operator, inputs, [name], name=name, **attributes)
        self.nodes.append(node)
        return name

    def array(self, name: str, value: Any) -> str:
        """Keep a constant."""
        self.arrays.append(_onnx().numpy_helper.from_array(np.asarray(value, self.dtype), name))
        return name

    def number(self, value: float) -> str:
        """Keep a constant that is one number, of shape ()."""
        return self.array(f"c{len(self.arrays) + 1}", value)


def _relu(graph: _Graph, z: str) -> str:
    return graph.op("Relu", z)


def _leaky_relu(graph: _Graph, z: str) -> str:
    if graph.dtype == np.float32:
        return graph.op("LeakyRelu", z, alpha=LEAK)
    return graph.op("Max", z, graph.op("Mul", z, graph.number(LEAK)))


def _elu(graph: _Graph, z: str) -> str:
    if graph.dtype == np.float32:
        return graph.op("Elu", z, alpha=1.0)
    return graph.op("Add", graph.op("Relu", z), _below(graph, z))


def _selu(graph: _Graph, z: str) -> str:
    if graph.dtype == np.float32:
        return graph.op("Selu", z, alpha=SELU_ALPHA, gamma=SELU_SCALE)
    below = graph.op("Mul", _below(graph, z), graph.number(SELU_ALPHA))
    return graph.op("Mul", graph.op("Add", graph.op("Relu", z), below), graph.number(SELU_SCALE))


def _below(graph: _Graph, z: str) -> str:
    """exp(min(z, 0)) - 1."""
    low = graph.op("Exp", graph.op("Min", z, graph.number(0)))
    return graph.op("Sub", low, graph.number(1))


def _gelu(graph: _Graph, z: str) -> str:
    """z (1 + erf(z / sqrt(2))) / 2."""
    u = graph.op("Mul", z, graph.number(math.sqrt(0.5)))
    if graph.dtype == np.float32:
        return _half_of(graph, z, graph.op("Erf", u))
    erf = graph.op("Erf", graph.op("Cast", u, to=_kind("float32")))
    return _half_of(graph, z, graph.op("Cast", erf, to=graph.kind))


def _gelu_tanh(graph: _Graph, z: str) -> str:
    """z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2."""
    cube = graph.op("Mul", graph.op("Mul", z, z), z)
    u = graph.op("Add", z, graph.op("Mul", cube, graph.number(GELU_CUBIC)))
    u = graph.op("Mul", u, graph.number(math.sqrt(2 / math.pi)))
    return _half_of(graph, z, graph.op("Tanh", u))


def _half_of(graph: _Graph, z: str, share: str) -> str:
    """z (1 + share) / 2."""
    share = graph.op("Add", share, graph.number(1))
    return graph.op("Mul", graph.op("Mul", z, graph.number(0.5)), share)


def _silu(graph: _Graph, z: str) -> str:
    return graph.op("Mul", z, graph.op("Sigmoid", z))


def _mish(graph: _Graph, z: str) -> str:
    return graph.op("Mul", z, graph.op("Tanh", _softplus(graph, z)))


def _softplus(graph: _Graph, z: str) -> str:
    """max(z, 0) + log(1 + exp(-|z|))."""
    if graph.dtype == np.float32:
        return graph.op("Softplus", z)
    small = graph.op("Exp", graph.op("Neg", graph.op("Abs", z)))
    log = graph.op("Log", graph.op("Add", small, graph.number(1)))
    return graph.op("Add", graph.op("Relu", z), log)


ACTIVATIONS: dict[str, Callable[[_Graph, str], str]] = {
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "tanh": lambda graph, z: graph.op("Tanh", z),
    "sigmoid": lambda graph, z: graph.op("Sigmoid", z),
    "softplus": _softplus,
    "identity": lambda graph, z: graph.op("Identity", z),
}
"""By the name that `MLP` knows."""

HEADS: dict[str, Callable[[_Graph, str], str]] = {
    "softmax": lambda graph, z: graph.op("Softmax", z, axis=1),
    "sigmoid": lambda graph, z: graph.op("Sigmoid", z),
    "logits": lambda graph, z: graph.op("Identity", z),
    "exponential": lambda graph, z: graph.op("Exp", z),
}
"""By `Loss.output`."""


def _kind(dtype: Any) -> int:
    """ONNX's number of a dtype."""
    return int(_onnx().helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _onnx() -> Any:
    try:
        import onnx
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise ImportError("to_onnx needs the package onnx: pip install 'fastmlp[onnx]'") from None
    import onnx.helper
    import onnx.numpy_helper

    return onnx


def _version() -> str:
    from fastmlp import __version__

    return __version__
