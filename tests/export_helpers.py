"""Networks with something of everything, for the tests of exports."""

import numpy as np

import fastmlp
from fastmlp.model import ACTIVATIONS

NETWORKS = {
    **{name: {"activation": name} for name in ACTIVATIONS},
    "activation of each layer": {"activation": ["gelu", "tanh"]},
    "layer norm": {"norm": "layer", "activation": "silu"},
    "batch norm": {"norm": "batch"},
    "both norms": {"norm": ["batch", "layer"], "activation": ["mish", "selu"]},
    "one norm, dropout": {"norm": [None, "layer"], "dropout": [0.1, 0.5], "input_dropout": 0.25},
    "binary": {"loss": "binary_cross_entropy"},
    "binary, one output": {"loss": "binary_cross_entropy", "layers": [7, 9, 8, 1]},
    "squared error": {"loss": "squared_error"},
    "absolute error, one output": {"loss": "absolute_error", "layers": [7, 9, 8, 1]},
    "huber": {"loss": fastmlp.Huber(0.3)},
    "poisson": {"loss": "poisson"},
    "linear": {"layers": [7, 4]},
    "deep": {"layers": [7, 6, 5, 6, 5, 6, 4]},
}
"""Name: arguments of `network`."""

DTYPES = ["float32", "float64"]


def network(name="relu", dtype="float32", **settings):
    """A network of `NETWORKS`, no parameter of which is 0 or 1."""
    settings = {"layers": [7, 9, 8, 4], "seed": 3, "dtype": dtype, **NETWORKS[name], **settings}
    model = fastmlp.MLP(settings.pop("layers"), **settings)
    rng = np.random.default_rng(1)
    for array in [*model.biases, *model.scales, *model.shifts, *model.running_means]:
        array += 0.2 * rng.standard_normal(array.shape)
    for array in model.running_variances:
        array[...] = rng.uniform(0.5, 2, array.shape)
    return model


def samples(model, n=60):
    rng = np.random.default_rng(2)
    return rng.standard_normal((n, model.layers[0])).astype(model.dtype)


def outputs(model, x):
    """Probabilities, or the outputs of regression, (n, n_outputs)."""
    if model.loss.has_accuracy:
        return model.predict_proba(x)
    return model.predict(x).reshape(len(x), -1)


def assert_same_bits(ours, expected):
    """The parameters of two models are the same, and of the same dtype."""
    assert ours.layers == expected.layers
    assert ours.dtype == expected.dtype
    theirs = expected.state_dict()
    assert ours.state_dict().keys() == theirs.keys()
    for name, value in ours.state_dict().items():
        assert value.tobytes() == theirs[name].tobytes()


def assert_close(actual, expected):
    """Equal to rounding, relative to the largest where that is above 1, and of the same dtype."""
    assert actual.dtype == expected.dtype
    tolerance = 1e-12 if expected.dtype == np.float64 else 2e-6
    most = tolerance * max(1, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=most)
