"""Optimisers: plain descriptions, which the engine turns into updates."""

from __future__ import annotations

from dataclasses import dataclass

from fastmlp.checks import check_number


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: ``W = W - lr * dW`` (Robbins and Monro, 1951).

    Parameters
    ----------
    lr : float, default 0.1
        Learning rate, finite and 0 or more.
    """

    lr: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_number("lr", self.lr, least=0))
