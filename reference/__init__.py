"""Multilayer perceptrons in plain NumPy, to be read: start with README.md, then network.py."""

from .augmentation import Augmentation
from .averaging import EMA, SWA
from .callbacks import Callback
from .early_stopping import EarlyStopping
from .evaluation import Evaluation, Gradients, evaluate, loss_and_gradients
from .history import Epoch, History
from .lbfgs import LBFGS
from .losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Poisson,
    SquaredError,
)
from .network import MLP
from .optimizers import SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop
from .schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    Linear,
    OneCycle,
    ReduceOnPlateau,
    Step,
)
from .step import TrainingState
from .training import fit, train_step

__all__ = [
    "EMA",
    "LBFGS",
    "MLP",
    "SGD",
    "SWA",
    "AbsoluteError",
    "Adagrad",
    "Adam",
    "AdamW",
    "Augmentation",
    "BinaryCrossEntropy",
    "Callback",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "Exponential",
    "Gradients",
    "History",
    "Huber",
    "InverseScaling",
    "Linear",
    "Lion",
    "NAdam",
    "OneCycle",
    "Poisson",
    "RMSprop",
    "ReduceOnPlateau",
    "SquaredError",
    "Step",
    "TrainingState",
    "evaluate",
    "fit",
    "loss_and_gradients",
    "train_step",
]
