"""The implementations of the one API, for tests and benchmarks alike."""

from __future__ import annotations

from types import ModuleType

import fastmlp
import reference

IMPLEMENTATIONS: dict[str, ModuleType] = {"fast": fastmlp, "reference": reference}
"""Name: module with MLP, SGD, Adam, fit, evaluate, loss_and_gradients, History, ..."""

SHARED_NAMES = (
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
)
"""Public names that every implementation has, with equal signatures."""
