"""Each schedule steps as its twin in torch.optim.lr_scheduler does."""

from types import SimpleNamespace

import numpy as np
import pytest

import fastmlp.schedules
import reference.schedules

torch = pytest.importorskip("torch")
scheduler = torch.optim.lr_scheduler

LR = 0.3
MODULES = {"fast": fastmlp.schedules, "reference": reference.schedules}
module = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def torch_rates(make, calls, n_steps, values=None):
    """The rate of each of ``n_steps`` steps; the scheduler steps after ``calls`` of them."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    twin = make(optimizer)
    rates = []
    for t in range(1, n_steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if t in calls and t < n_steps:
            twin.step(*(() if values is None else (values[t],)))
    return rates


def our_rates(schedule, steps_per_epoch, epochs):
    schedule.check(epochs, steps_per_epoch, False)
    steps = np.arange(1, steps_per_epoch * epochs + 1)
    return schedule.rates(LR, steps, steps_per_epoch, epochs, schedule.start())


def warmed_up(warmup, start, after):
    """LinearLR, then the scheduler ``after``: the warm-up and what it is placed before."""

    def make(optimizer):
        linear = scheduler.LinearLR(optimizer, start, 1.0, total_iters=warmup)
        return scheduler.SequentialLR(optimizer, [linear, after(optimizer)], milestones=[warmup])

    return make


# 4 steps an epoch, 15 epochs: 60 steps.
TWINS = {
    # case: (class, arguments, unit, twin)
    "constant": ("Constant", {}, "epoch", lambda o: scheduler.ConstantLR(o, factor=1.0)),
    "step": ("Step", {"size": 4, "gamma": 0.3}, "epoch", lambda o: scheduler.StepLR(o, 4, 0.3)),
    "step, each step": (
        "Step",
        {"size": 7, "unit": "step"},
        "step",
        lambda o: scheduler.StepLR(o, 7),
    ),
    "exponential": (
        "Exponential",
        {"gamma": 0.8},
        "epoch",
        lambda o: scheduler.ExponentialLR(o, 0.8),
    ),
    "exponential, each step": (
        "Exponential",
        {"gamma": 1.05, "unit": "step"},
        "step",
        lambda o: scheduler.ExponentialLR(o, 1.05),
    ),
    "cosine": ("Cosine", {}, "epoch", lambda o: scheduler.CosineAnnealingLR(o, 15)),
    "cosine, each step": (
        "Cosine",
        {"minimum": 0.01, "unit": "step"},
        "step",
        lambda o: scheduler.CosineAnnealingLR(o, 60, 0.01),
    ),
    "cosine with restarts": (
        "Cosine",
        {"minimum": 0.01, "period": 4},
        "epoch",
        lambda o: scheduler.CosineAnnealingWarmRestarts(o, 4, eta_min=0.01),
    ),
    "cosine with growing periods": (
        "Cosine",
        {"period": 2, "period_factor": 3},
        "epoch",
        lambda o: scheduler.CosineAnnealingWarmRestarts(o, 2, 3),
    ),
    "cosine with growing periods, each step": (
        "Cosine",
        {"period": 5, "period_factor": 2, "unit": "step"},
        "step",
        lambda o: scheduler.CosineAnnealingWarmRestarts(o, 5, 2),
    ),
    "warm-up, cosine": (
        "Cosine",
        {"warmup": 9, "warmup_start": 0.1, "unit": "step"},
        "step",
        warmed_up(9, 0.1, lambda o: scheduler.CosineAnnealingLR(o, 51)),
    ),
    # PyTorch's warm-up cannot start at 0, ours can: nearly 0.
    "warm-up, restarts": (
        "Cosine",
        {"warmup": 9, "warmup_start": 1e-9, "period": 10, "unit": "step"},
        "step",
        warmed_up(9, 1e-9, lambda o: scheduler.CosineAnnealingWarmRestarts(o, 10)),
    ),
    "one cycle": (
        "OneCycle",
        {},
        "step",
        lambda o: scheduler.OneCycleLR(o, LR, 60, cycle_momentum=False),
    ),
    "one cycle, linear": (
        "OneCycle",
        {"pct_start": 0.21, "div_factor": 4, "final_div_factor": 9, "anneal": "linear"},
        "step",
        lambda o: scheduler.OneCycleLR(
            o,
            LR,
            epochs=15,
            steps_per_epoch=4,
            pct_start=0.21,
            anneal_strategy="linear",
            cycle_momentum=False,
            div_factor=4,
            final_div_factor=9,
        ),
    ),
    "one cycle that only falls": (
        "OneCycle",
        {"pct_start": 0.0},
        "step",
        lambda o: scheduler.OneCycleLR(o, LR, 60, pct_start=0.0, cycle_momentum=False),
    ),
    "one cycle that only rises": (
        "OneCycle",
        {"pct_start": 1.0},
        "step",
        lambda o: scheduler.OneCycleLR(o, LR, 60, pct_start=1.0, cycle_momentum=False),
    ),
    "linear": ("Linear", {}, "epoch", lambda o: scheduler.LinearLR(o, 1.0, 0.0, 15)),
    "linear, then its end": (
        "Linear",
        {"start_factor": 0.2, "end_factor": 0.7, "length": 6},
        "epoch",
        lambda o: scheduler.LinearLR(o, 0.2, 0.7, 6),
    ),
    "linear, each step": (
        "Linear",
        {"start_factor": 0.5, "end_factor": 1.0, "length": 33, "unit": "step"},
        "step",
        lambda o: scheduler.LinearLR(o, 0.5, 1.0, 33),
    ),
}


@module
@pytest.mark.parametrize("case", TWINS)
def test_every_step_has_the_rate_of_pytorch(module, case):
    cls, arguments, unit, make = TWINS[case]
    calls = range(4, 61, 4) if unit == "epoch" else range(1, 61)
    expected = torch_rates(make, calls, 60)
    # PyTorch goes from rate to rate by products, whose roundings add up.
    np.testing.assert_allclose(
        our_rates(getattr(module, cls)(**arguments), 4, 15), expected, rtol=1e-12, atol=1e-15
    )


@module
def test_a_warm_up_of_epochs_is_pytorchs_of_their_steps(module):
    expected = torch_rates(
        warmed_up(8, 0.1, lambda o: scheduler.ConstantLR(o, factor=1.0)), range(1, 61), 60
    )[:8]
    cosine = torch_rates(lambda o: scheduler.CosineAnnealingLR(o, 13), range(4, 53, 4), 52)
    ours = our_rates(module.Cosine(warmup=2, warmup_start=0.1), 4, 15)
    np.testing.assert_allclose(ours, [*expected, *cosine], rtol=1e-12)


PLATEAUS = [
    {},
    {"patience": 0, "factor": 0.5},
    {"patience": 2, "cooldown": 3, "factor": 0.3},
    {"patience": 1, "threshold": 0.2},
    {"patience": 1, "threshold": 0.1, "threshold_mode": "abs", "minimum": 1e-3},
    {"patience": 0, "cooldown": 1, "minimum": 0.2, "factor": 0.9},
]


@module
@pytest.mark.parametrize("arguments", PLATEAUS)
@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "train_loss", "train_accuracy"])
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_plateau_is_found_where_pytorch_finds_it(module, arguments, monitor, seed):
    """In tenths, so that many values are equal and some lie on a threshold."""
    noise = np.random.default_rng(seed).normal(0, 0.1, 80)
    values = np.round(np.exp(-np.arange(80) / 10) + noise, 1)  # some losses are negative
    values = values if monitor.endswith("loss") else 1 - values

    def make(optimizer):
        return scheduler.ReduceLROnPlateau(
            optimizer,
            mode="min" if monitor.endswith("loss") else "max",
            min_lr=arguments.get("minimum", 0.0),
            **{k: v for k, v in arguments.items() if k != "minimum"},
        )

    # One step an epoch; PyTorch's step after step t takes the value of epoch t.
    expected = torch_rates(make, range(1, 81), 80, dict(enumerate(values, start=1)))
    schedule = module.ReduceOnPlateau(monitor=monitor, **arguments)
    state, rates = schedule.start(), []
    for epoch, value in enumerate(values, start=1):
        rates.extend(schedule.rates(LR, np.array([epoch]), 1, 80, state))
        schedule.epoch_ended(state, SimpleNamespace(**{monitor: value}))
    assert len(set(rates)) > 1
    np.testing.assert_array_equal(rates, expected)
