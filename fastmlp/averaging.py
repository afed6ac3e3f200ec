"""Averages of a network's parameters over training: plain descriptions."""

from __future__ import annotations

from dataclasses import dataclass

from fastmlp.checks import check_integer, check_number


class Averaging:
    """Base of averages. The network ends with them, and is validated with them on the way."""


@dataclass(frozen=True)
class EMA(Averaging):
    """Exponential moving average: a copy after the first step, then decay mean + (1 - decay) V.

    Of all parameters, and of batch norm's running statistics (Polyak and Juditsky, 1992; as
    `torch.optim.swa_utils.get_ema_multi_avg_fn`).

    Parameters
    ----------
    decay : float, default 0.999
        0 or more and below 1.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        object.__setattr__(self, "decay", check_number("decay", self.decay, 0, 1))


@dataclass(frozen=True)
class SWA(Averaging):
    """Stochastic weight averaging: the mean over the ends of epochs (Izmailov et al., 2018).

    Of all parameters, and of batch norm's running statistics; as `torch.optim.swa_utils`, which
    leaves these to a pass of their own.

    Parameters
    ----------
    start_epoch : int, default 1
        The first epoch whose end counts, 1 or more.
    """

    start_epoch: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "start_epoch", check_integer("start_epoch", self.start_epoch, 1))
