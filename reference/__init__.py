"""Multilayer perceptrons in plain NumPy, to be read: start with README.md, then network.py."""

from . import losses, schedules
from .augmentation import Augmentation
from .averaging import EMA, SWA
from .callbacks import Callback
from .early_stopping import EarlyStopping
from .evaluation import Evaluation, Gradients, evaluate, loss_and_gradients
from .history import Epoch, History
from .lbfgs import LBFGS
from .network import MLP
from .optimizers import SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop
from .step import TrainingState
from .training import fit, train_step

__all__ = [
    "EMA",
    "LBFGS",
    "MLP",
    "SGD",
    "SWA",
    "Adagrad",
    "Adam",
    "AdamW",
    "Augmentation",
    "Callback",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "Gradients",
    "History",
    "Lion",
    "NAdam",
    "RMSprop",
    "TrainingState",
    "evaluate",
    "fit",
    "loss_and_gradients",
    "losses",
    "schedules",
    "train_step",
]
