"""`Recipe`: a network and how it is trained."""

import fastmlp

from .data import dataset

BASE = {"width": 128, "depth": 1, "batch_size": 128, "dtype": "float32", "optimizer": "sgd"}
"""784-128-10 for MNIST, on all physical cores."""

OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.01, "momentum": 0.9}),
    "adam": ("Adam", {"lr": 0.001}),
    "adamw": ("AdamW", {"lr": 0.001, "weight_decay": 0.01}),
    "nadam": ("NAdam", {"lr": 0.001}),
    "rmsprop": ("RMSprop", {"lr": 0.001}),
    "adagrad": ("Adagrad", {"lr": 0.01}),
    "lion": ("Lion", {"lr": 0.0001}),
    "lbfgs": ("LBFGS", {}),
}
"""Name: class in fastmlp, its settings."""

EPOCHS, FEW_ROWS, MANY_EPOCHS = 3, 2_000, 30
"""Of training, after which the error is taken; more of them where there are few rows."""


class Recipe:
    """`BASE` with some settings moved; `threads` is one of them."""

    def __init__(self, train, test, n_classes, **moved):
        settings = BASE | moved
        name, rule = OPTIMIZERS[settings["optimizer"]]
        if not hasattr(fastmlp, name):
            raise NotImplementedError(f"this commit has no {name}")
        self.train, self.test = train, test
        layers = [train[0].shape[1], *[settings["width"]] * settings["depth"], n_classes]
        self.model = fastmlp.MLP(layers, dtype=settings["dtype"], seed=0)
        self.settings = {
            "batch_size": settings["batch_size"],
            "optimizer": getattr(fastmlp, name)(**rule),
            "threads": settings.get("threads"),
        }
        self.fit(epochs=0)  # compiles the kernels

    @classmethod
    def of(cls, name, **moved):
        """For a data set by name."""
        data = dataset(name)
        train, test = (data.x_train, data.y_train), (data.x_test, data.y_test)
        return cls(train, test, data.n_classes, **moved)

    def fit(self, epochs):
        fastmlp.fit(self.model, *self.train, epochs=epochs, **self.settings)

    def error(self):
        """Share of the test samples that are classified wrongly in the end."""
        self.fit(EPOCHS if self.train[0].shape[0] > FEW_ROWS else MANY_EPOCHS)
        return 1 - fastmlp.evaluate(self.model, *self.test).accuracy
