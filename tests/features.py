"""Every feature of the training loop, as a table that several tests go through."""

from __future__ import annotations

import numpy as np

LAYERS = [20, 17, 10, 4]
SAMPLES = 55  # of batches of 16: the last has 7 rows


def network(**settings):
    """A feature that is the network's alone."""
    return settings, lambda api: {}


def run(make):
    """A feature that is the training's: ``make(api)`` gives arguments of fit."""
    return {}, make


def optimizer(name, **settings):
    return run(lambda api: {"optimizer": getattr(api, name)(**settings)})


def loss(name, y, n_outputs=4, **settings):
    """A feature of the targets."""
    return (
        {"loss": name, "layers": [*LAYERS[:-1], n_outputs], "y": y},
        lambda api: settings,
    )


def with_loss(name, values, y, **settings):
    """The same, of a loss with settings of its own."""
    return (
        {"loss": lambda api: getattr(api, name)(**values), "y": y},
        lambda api: settings,
    )


def labels(rng):
    return rng.integers(0, 4, SAMPLES)


def rows(rng):
    return rng.dirichlet(np.ones(4), SAMPLES)


def yes_or_no(rng):
    return rng.integers(0, 2, (SAMPLES, 4))


def one_yes_or_no(rng):
    return rng.integers(0, 2, SAMPLES)


def real(rng):
    return rng.standard_normal((SAMPLES, 4))


def one_real(rng):
    return rng.standard_normal(SAMPLES)


def counts(rng):
    return rng.poisson(2.0, (SAMPLES, 4))


WEIGHTS = np.random.default_rng(9).random(SAMPLES)
CLASSES = {"class_weight": [0.5, 2.0, 0.0, 1.25]}
BIG_EPS = {"lr": 0.01, "eps": 1e-3}  # see equality.ADAM

ACTIVATIONS = [
    *("relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh"),
    *("silu", "mish", "tanh", "sigmoid", "softplus", "identity"),
]

FEATURES = {
    **{name: network(activation=name) for name in ACTIVATIONS},
    "activation of each layer": network(activation=["gelu", "tanh"]),
    "rows of probabilities": loss("cross_entropy", rows),
    "label smoothing": with_loss("CrossEntropy", {"label_smoothing": 0.1}, labels),
    "smoothing, class weights": with_loss(
        "CrossEntropy", {"label_smoothing": 0.1}, labels, **CLASSES, sample_weight=WEIGHTS
    ),
    "rows, smoothing, weights": with_loss(
        "CrossEntropy", {"label_smoothing": 0.1}, rows, **CLASSES, sample_weight=WEIGHTS
    ),
    "sample weights": loss("cross_entropy", labels, sample_weight=WEIGHTS),
    "class weights": loss("cross_entropy", labels, **CLASSES),
    "balanced": loss("cross_entropy", labels, class_weight="balanced", sample_weight=WEIGHTS),
    "binary": loss("binary_cross_entropy", one_yes_or_no, 1, class_weight={1: 3.0}),
    "multi-label": loss("binary_cross_entropy", yes_or_no, **CLASSES, sample_weight=WEIGHTS),
    "squared error": loss("squared_error", real, sample_weight=WEIGHTS),
    "squared error, one output": loss("squared_error", one_real, 1),
    "absolute error": loss("absolute_error", real),
    "huber": with_loss("Huber", {"delta": 0.7}, real, sample_weight=WEIGHTS),
    "poisson": loss("poisson", counts),
    "momentum": optimizer("SGD", lr=0.05, momentum=0.9),
    "nesterov": optimizer("SGD", lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "coupled decay": optimizer("SGD", lr=0.05, weight_decay=0.1),
    "decoupled decay of biases": optimizer(
        "SGD", lr=0.05, momentum=0.5, weight_decay=0.1, decoupled=True, decay_biases=True
    ),
    "rates of layers": optimizer("SGD", lr=0.05, lr_multipliers=[0.0, 0.5, 2.0]),
    "adam, decay": optimizer("Adam", **BIG_EPS, weight_decay=0.1),
    "adamw": optimizer("AdamW", **BIG_EPS, weight_decay=0.1, lr_multipliers=[1.0, 0.5, 2.0]),
    "nadam": optimizer("NAdam", **BIG_EPS, weight_decay=0.1),
    "rmsprop": optimizer("RMSprop", **BIG_EPS),
    "rmsprop, momentum": optimizer("RMSprop", **BIG_EPS, momentum=0.9, weight_decay=0.1),
    "adagrad": optimizer("Adagrad", **BIG_EPS, lr_decay=0.1, initial_accumulator=0.01),
    "lion": optimizer("Lion", lr=0.001, weight_decay=0.1),
    "schedule": run(lambda api: {"schedule": api.Cosine(warmup=5, unit="step")}),
    "adam, schedule": run(
        lambda api: {"optimizer": api.Adam(**BIG_EPS), "schedule": api.Exponential(gamma=0.5)}
    ),
    "dropout": network(dropout=0.4),
    "dropout of each layer, input": network(
        dropout=[0.3, 0.0], input_dropout=0.2, activation=["tanh", "gelu"]
    ),
    "dropout, sigmoid": network(dropout=0.5, activation="sigmoid"),
    "layer norm": network(norm="layer"),
    "layer norm, dropout, gelu": network(norm="layer", dropout=0.3, activation="gelu"),
    "batch norm": network(norm="batch"),
    "batch norm, dropout, tanh": network(norm=["batch", None], dropout=0.3, activation="tanh"),
    "both norms, decay": (
        {"norm": ["layer", "batch"], "activation": "silu"},
        lambda api: {
            "optimizer": api.SGD(lr=0.05, momentum=0.9, weight_decay=0.1, decay_biases=True)
        },
    ),
    "clip by norm": run(lambda api: {"clip_norm": 0.3}),
    "clip by value": run(
        lambda api: {"clip_value": 0.02, "optimizer": api.Adam(**BIG_EPS, weight_decay=0.1)}
    ),
    "max-norm": run(lambda api: {"max_norm": 1.0}),
    "clip, layer norm": ({"norm": "layer"}, lambda api: {"clip_norm": 0.3, "max_norm": 1.5}),
    "EMA": run(lambda api: {"averaging": api.EMA(0.8)}),
    "SWA": ({"norm": "batch"}, lambda api: {"averaging": api.SWA(2)}),
    "EMA, batch norm": ({"norm": "batch"}, lambda api: {"averaging": api.EMA(0.8)}),
    "augmentation": run(
        lambda api: {
            "augmentation": api.Augmentation(
                (4, 5),
                shift=1,
                rotation=20,
                scale=0.1,
                shear=5,
                elastic_alpha=2,
                elastic_sigma=1,
                erase_probability=0.5,
            )
        }
    ),
}
"""Name: (settings of the network, and "y", its targets), what gives arguments of fit."""


def build(api, feature, dtype, epochs=3):
    """Model, x, y and arguments of fit, in one implementation."""
    settings, make = FEATURES[feature]
    settings = dict(settings)
    rng = np.random.default_rng(4)
    x = rng.standard_normal((SAMPLES, LAYERS[0])).astype(dtype)
    y = settings.pop("y", labels)(rng)
    if callable(settings.get("loss")):
        settings["loss"] = settings["loss"](api)
    model = api.MLP(settings.pop("layers", LAYERS), dtype=dtype, seed=1, **settings)
    return model, x, y, {"epochs": epochs, "batch_size": 16, "seed": 5, **make(api)}
