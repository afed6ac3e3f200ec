"""What the estimators' constructors allow: scikit-learn's parameters and the additions."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastmlp.model import ACTIVATIONS
from fastmlp.optimizers import LBFGS, Optimizer
from fastmlp.schedules import Schedule
from fastmlp.threads import MOST_THREADS, are_free, threads_for

STOCHASTIC = ("sgd", "adam")
"""Solvers that go through the samples batch by batch."""

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions({"logistic", *ACTIVATIONS}), "array-like"],
    "solver": [StrOptions({"lbfgs", *STOCHASTIC})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "optimizer": [Optimizer, None],
    "schedule": [Schedule, None],
    "callbacks": ["array-like"],
    "threads": [Interval(Integral, 1, MOST_THREADS, closed="both"), None],
    "dtype": [StrOptions({"float32", "float64"}), None],
    "max_seconds": [Interval(Real, 0, None, closed="left"), None],
}
"""By name; an error is one of scikit-learn's `InvalidParameterError`."""


def check_additions(estimator: Any, incremental: bool) -> None:
    """ValueError for settings of which each is allowed, but not together."""
    if estimator.early_stopping and incremental:
        raise ValueError("partial_fit does not support early_stopping=True")
    for name in ("schedule", "max_seconds"):
        if incremental and getattr(estimator, name) is not None:
            raise ValueError(f"partial_fit does not support {name}: each call is one epoch")
    if is_lbfgs(estimator):
        for name in ("dropout", "schedule"):
            if np.any(getattr(estimator, name)):
                raise ValueError(
                    f"{name} cannot be used with L-BFGS: its line search needs one and the same "
                    "function of the weights throughout"
                )
    if estimator.learning_rate != "constant":
        for name in ("optimizer", "schedule"):
            if getattr(estimator, name) is not None:
                raise ValueError(
                    f"learning_rate must be 'constant' where {name} is given, not "
                    f"{estimator.learning_rate!r}"
                )


def is_lbfgs(estimator: Any) -> bool:
    """Whether the whole of the data is one batch, of a quasi-Newton method."""
    if estimator.optimizer is not None:
        return isinstance(estimator.optimizer, LBFGS)
    return bool(estimator.solver == "lbfgs")


def threads_of(threads: int | None, products: int | None = None) -> int:
    """As `fastmlp.threads.threads_for`, and no more than ``OMP_NUM_THREADS`` by default.

    joblib sets that variable in its worker processes, so that these do not outnumber the cores.
    """
    count = threads_for(threads, products)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if are_free(threads) and limit.isdigit() and int(limit):
        return min(count, int(limit))
    return count
