"""Recipes of the records: how MNIST is learned to a mark, in numbers fixed beforehand.

A plain MLP of ReLU layers and softmax, SGD with Nesterov's momentum of 0.9, and one cycle of the
learning rate (`fastmlp.OneCycle`) over the whole training. They were searched for on the last
10,000 of the 60,000 training images, held out; the test set had no say.
"""

from __future__ import annotations

from benchmarks.task import Task


def _recipe(*hidden: int, epochs: int, batch_size: int, lr: float, **settings: object) -> Task:
    return Task(
        (784, *hidden, 10),
        batch_size=batch_size,
        optimizer="nesterov",
        learning_rate=lr,
        epochs=epochs,
        one_cycle=0.1,
        **settings,  # type: ignore[arg-type]
    )


RECIPES = {
    "97": _recipe(128, epochs=1, batch_size=64, lr=0.3, label_smoothing=0.05),
    "98": _recipe(256, epochs=2, batch_size=128, lr=0.3, label_smoothing=0.05),
    "98.5": _recipe(
        *(256, 128),
        epochs=4,
        batch_size=128,
        lr=0.3,
        label_smoothing=0.05,
        augmentation={"shift": 1},
    ),
    "99": _recipe(
        *(384, 192),
        epochs=16,
        batch_size=128,
        lr=0.3,
        label_smoothing=0.05,
        augmentation={"shift": 1, "rotation": 8, "scale": 0.08},
    ),
}
"""Mark, per cent of the test set: recipe."""

AIMS = {"97": 0.10, "98": 0.35, "98.5": 1.5, "99": 15.0, "99.4": 300.0}
"""Seconds on two cores."""


def describe(task: Task) -> dict[str, object]:
    """A recipe as JSON, without what says how it is measured."""
    return {
        "layers": list(task.layers),
        "activation": task.activation,
        "optimizer": "SGD(momentum=0.9, nesterov=True)",
        "learning_rate": task.learning_rate,
        "schedule": f"OneCycle(pct_start={task.one_cycle})",
        "epochs": task.epochs,
        "batch_size": task.batch_size,
        "label_smoothing": task.label_smoothing,
        "augmentation": task.augmentation,
        "dtype": task.dtype,
    }


def in_words(recipe: dict[str, object]) -> str:
    """One line for people."""
    layers = "-".join(str(n) for n in recipe["layers"])  # type: ignore[attr-defined]
    words = [
        layers,
        "1 epoch" if recipe["epochs"] == 1 else f"{recipe['epochs']} epochs",
        f"batch {recipe['batch_size']}",
        f"rate {recipe['learning_rate']}",
        f"label smoothing {recipe['label_smoothing']}",
    ]
    augmentation = recipe["augmentation"]
    if isinstance(augmentation, dict):
        words.append(", ".join(f"{name} {value:g}" for name, value in augmentation.items()))
    return ", ".join(words)
