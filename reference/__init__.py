"""Multilayer perceptrons in plain NumPy, to be read: start with README.md, then network.py."""

from .augmentation import Augmentation
from .network import MLP
from .optimizers import SGD, Adam
from .training import (
    Callback,
    Epoch,
    Evaluation,
    Gradients,
    History,
    evaluate,
    fit,
    loss_and_gradients,
)

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "Augmentation",
    "Callback",
    "Epoch",
    "Evaluation",
    "Gradients",
    "History",
    "evaluate",
    "fit",
    "loss_and_gradients",
]
