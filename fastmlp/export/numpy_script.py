"""`to_numpy_script`: a model as a Python script that needs NumPy and nothing else.

One file, of which a page is code and the rest the parameters in base64: an .npz beside it would be
a quarter smaller, and the one that is forgotten.
"""

from __future__ import annotations

import base64
import os
import textwrap
from pathlib import Path

from fastmlp.atomic import write_atomically
from fastmlp.export.layers import Layer, layers_of
from fastmlp.model import MLP

BASE64_COLUMNS = 100

FUNCTIONS = {
    "relu": """
def relu(Z):
    return np.maximum(Z, 0)
""",
    "leaky_relu": """
def leaky_relu(Z):
    return np.where(Z > 0, Z, 0.01 * Z)
""",
    "elu": """
def elu(Z):
    return np.where(Z > 0, Z, np.expm1(np.minimum(Z, 0)))
""",
    "selu": """
def selu(Z):
    below = 1.6732632423543772 * np.expm1(np.minimum(Z, 0))
    return 1.0507009873554805 * np.where(Z > 0, Z, below)
""",
    "gelu": """
def gelu(Z):
    \"\"\"z times the distribution function of N(0, 1) at z.\"\"\"
    twice = np.vectorize(math.erfc, otypes="d")(-math.sqrt(0.5) * Z)
    return Z * (0.5 * twice).astype(Z.dtype)
""",
    "gelu_tanh": """
def gelu_tanh(Z):
    u = math.sqrt(2 / math.pi) * (Z + 0.044715 * Z * Z * Z)
    return 0.5 * Z * (1 + np.tanh(u))
""",
    "silu": """
def silu(Z):
    return Z * sigmoid(Z)
""",
    "mish": """
def mish(Z):
    return Z * np.tanh(softplus(Z))
""",
    "tanh": """
def tanh(Z):
    return np.tanh(Z)
""",
    "sigmoid": """
def sigmoid(Z):
    return 0.5 * (1 + np.tanh(0.5 * Z))
""",
    "softplus": """
def softplus(Z):
    return np.logaddexp(0, Z)
""",
    "identity": """
def identity(Z):
    return Z
""",
    "layer_norm": """
def layer_norm(Z, k):
    \"\"\"Each row of Z less its mean, by its standard deviation, scaled and shifted.\"\"\"
    D = Z - Z.mean(axis=1, keepdims=True)
    root = np.sqrt((D * D).mean(axis=1, keepdims=True) + 1e-5)
    return P[f"scale{k}"] * (D / root) + P[f"shift{k}"]
""",
    "batch_norm": """
def batch_norm(Z, k):
    \"\"\"Each column of Z less the mean of training, by its deviation, scaled and shifted.\"\"\"
    root = np.sqrt(P[f"variance{k}"] + 1e-5)
    return P[f"scale{k}"] * ((Z - P[f"mean{k}"]) / root) + P[f"shift{k}"]
""",
}
"""Sources, in the script as far as it needs them."""

NEEDS = {"silu": ("sigmoid",), "mish": ("softplus",)}

HEAD = '''#!/usr/bin/env python3
"""A multilayer perceptron, {sizes}, written by fastmlp {version}. It needs NumPy alone.

    python {name}.py input.npy    prints what is predicted, a line for each row of the array
    import {name}; {name}.predict(x)
"""

import base64
import math
import sys

import numpy as np


def numbers(x):
    """x (n_samples, {n_in}) as {dtype}; uint8 times {uint8_scale!r}."""
    x = np.asarray(x)
    if x.dtype.kind not in "uifb":
        raise TypeError(f"x must hold real numbers, not {{x.dtype}}")
    if x.ndim != 2 or x.shape[1] != {n_in}:
        raise ValueError(f"x must be of shape (n_samples, {n_in}), not {{x.shape}}")
    scale = {uint8_scale!r} if x.dtype == np.uint8 else 1
    with np.errstate(over="ignore"):
        x = x.astype("{dtype}")
    if not np.isfinite(x).all():
        raise ValueError("x must be finite in {dtype}")
    return x * np.array(scale, x.dtype)
'''

PROBABILITIES = {
    "softmax": '''
def predict_proba(x):
    """Probability of each class, (n_samples, {n_out})."""
    Z = logits(x)
    E = np.exp(Z - Z.max(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True)
''',
    "sigmoid": '''
def predict_proba(x):
    """Probability of each label, (n_samples, {n_out})."""
    return sigmoid(logits(x))
''',
    "logits": "",
    "exponential": "",
}
"""By `Loss.output`, as are those below."""

PREDICTIONS = {
    "softmax": '''
def predict(x):
    """The most probable class, (n_samples,)."""
    return logits(x).argmax(axis=1)
''',
    "sigmoid": '''
def predict(x):
    """1 where a label is more probable than not, else 0, {shape}."""
    return (logits(x) > 0).astype(int){first}
''',
    "logits": '''
def predict(x):
    """The outputs, {shape}."""
    return logits(x){first}
''',
    "exponential": '''
def predict(x):
    """The means of the counts, {shape}."""
    return np.exp(logits(x)){first}
''',
}

MAIN = '''
def main():
    if len(sys.argv) != 2:
        print(f"usage: python {sys.argv[0]} input.npy", file=sys.stderr)
        return 2
    try:
        predicted = predict(np.load(sys.argv[1], allow_pickle=False))
    except Exception as error:
        print(f"{sys.argv[0]}: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, (TypeError, ValueError)) else 1
    np.savetxt(sys.stdout, predicted, fmt="%.DIGITSg")
    return 0


def arrays(text):
    """The arrays of SHAPES, one after another in base64."""
    items, begin, found = np.frombuffer(base64.b64decode(text), "TYPE"), 0, {}
    for name, shape in SHAPES.items():
        end = begin + math.prod(shape)
        found[name], begin = items[begin:end].reshape(shape), end
    return found

'''


def to_numpy_script(model: MLP, path: str | os.PathLike[str]) -> None:
    """Write ``model`` to ``path`` as a Python script that needs NumPy alone, atomically.

    ``python script.py input.npy`` prints a line of `predict` for each row. Imported, it has
    ``predict(x)``, ``logits(x)`` and, of a classifier, ``predict_proba(x)``, which give what the
    methods of `MLP` give, to rounding.

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
        If ``model`` is no `MLP`, or a parameter is NaN or infinite.
    """
    write_atomically(Path(path), _script(model, Path(os.fsdecode(path)).stem).encode())


def _script(model: MLP, name: str) -> str:
    from fastmlp import __version__

    layers, output = layers_of(model), model.loss.output
    n_out = model.layers[-1]
    settings = {
        "sizes": "-".join(map(str, model.layers)),
        "version": __version__,
        "name": name if name.isidentifier() else "script",
        "n_in": model.layers[0],
        "n_out": n_out,
        "dtype": model.dtype.name,
        "uint8_scale": model.uint8_scale,
        "shape": "(n_samples,)" if n_out == 1 else f"(n_samples, {n_out})",
        "first": "[:, 0]" if n_out == 1 else "",
    }
    parts = [HEAD.format(**settings)]
    parts += [FUNCTIONS[function] for function in _functions(layers, output)]
    parts += [
        _logits(layers, n_out),
        PROBABILITIES[output].format(**settings),
        PREDICTIONS[output].format(**settings),
    ]
    kind = f"<f{model.dtype.itemsize}"
    state = model.state_dict()
    shapes = "".join(f'    "{key}": {value.shape},\n' for key, value in state.items())
    content = b"".join(value.astype(kind).tobytes() for value in state.values())
    text = "\n".join(textwrap.wrap(base64.b64encode(content).decode(), BASE64_COLUMNS))
    digits = {"float32": 9, "float64": 17}[model.dtype.name]  # which give the same number again
    parts.append(MAIN.replace("TYPE", kind).replace("DIGITS", str(digits)))
    code = "\n".join(part for part in parts if part)
    return (
        f'{code}\nSHAPES = {{\n{shapes}}}\nP = arrays("""\n{text}\n""")\n\n'
        'if __name__ == "__main__":\n    sys.exit(main())\n'
    )


def _functions(layers: list[Layer], output: str) -> list[str]:
    """Names of the functions that the script calls, those that others call first."""
    names = ["sigmoid"] if output == "sigmoid" else []
    for layer in layers:
        names += [f"{layer.norm}_norm"] if layer.norm else []
        if layer.activation is not None:
            names += [*NEEDS.get(layer.activation, ()), layer.activation]
    return list(dict.fromkeys(names))


def _logits(layers: list[Layer], n_out: int) -> str:
    lines = ["", "def logits(x):", f'    """Outputs of the last layer, (n_samples, {n_out})."""']
    lines.append("    A = numbers(x)")
    for k, layer in enumerate(layers, start=1):
        Z = f'A @ P["W{k}"] + P["b{k}"]'
        if layer.activation is None:
            lines.append(f"    return {Z}\n")
            continue
        N = f"{layer.norm}_norm({Z}, {k})" if layer.norm else Z
        lines.append(f"    A = {layer.activation}({N})")
    return "\n".join(lines)
