"""Multilayer perceptrons in plain NumPy, to be read: start with README.md, then network.py."""

from .augmentation import Augmentation
from .callbacks import Callback
from .early_stopping import EarlyStopping
from .history import Epoch, History
from .network import MLP
from .optimizers import SGD, Adam
from .training import Evaluation, Gradients, evaluate, fit, loss_and_gradients

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "Augmentation",
    "Callback",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "Gradients",
    "History",
    "evaluate",
    "fit",
    "loss_and_gradients",
]
