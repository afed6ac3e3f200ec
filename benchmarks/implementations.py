"""The implementations of the one API, for tests and benchmarks alike."""

from __future__ import annotations

from types import ModuleType

import fastmlp
import reference

IMPLEMENTATIONS: dict[str, ModuleType] = {"fast": fastmlp, "reference": reference}
"""Name: module with MLP, SGD, Adam, fit, evaluate, loss_and_gradients, History, ..."""

SHARED_NAMES = (
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
    "EMA",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "Exponential",
    "Gradients",
    "History",
    "Huber",
    "InverseScaling",
    "LBFGS",
    "Linear",
    "Lion",
    "MLP",
    "NAdam",
    "OneCycle",
    "Poisson",
    "RMSprop",
    "ReduceOnPlateau",
    "SGD",
    "SWA",
    "SquaredError",
    "Step",
    "TrainingState",
    "evaluate",
    "fit",
    "loss_and_gradients",
    "train_step",
)
"""Public names that every implementation has, with equal signatures."""
