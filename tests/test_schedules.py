"""Schedules: hand-worked rates, the same in both implementations; bad ones are refused."""

import dataclasses
import inspect
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import SGDRegressor

import fastmlp.schedules
import reference.schedules

MODULES = {"fast": fastmlp.schedules, "reference": reference.schedules}
module = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def record(**values):
    """An epoch's record, as far as schedules read it."""
    fields = dict.fromkeys(["val_loss", "val_accuracy", "train_loss", "train_accuracy"])
    return SimpleNamespace(**fields | values)


def run(schedule, lr, steps_per_epoch, epochs, records=None):
    """The rates of all steps of a training, and the state at its end."""
    schedule.check(epochs, steps_per_epoch, validation=True)
    state, rates = schedule.start(), []
    for epoch in range(epochs):
        first = epoch * steps_per_epoch + 1
        steps = np.arange(first, first + steps_per_epoch, dtype=np.int64)
        rates.append(schedule.rates(lr, steps, steps_per_epoch, epochs, state))
        schedule.epoch_ended(state, records[epoch] if records else record())
        state = json.loads(json.dumps(state))  # what a checkpoint does to it
    return np.concatenate(rates) if rates else np.empty(0), state


# --- what the rates are -------------------------------------------------------------------------

R = math.sqrt(0.5)  # cos(pi / 4)

WORKED = {
    # case: (class, arguments, steps per epoch, epochs, rates of every step for lr = 1)
    "constant": ("Constant", {}, 2, 2, [1, 1, 1, 1]),
    "step": ("Step", {"size": 2, "gamma": 0.5}, 1, 5, [1, 1, 0.5, 0.5, 0.25]),
    "step by epochs": ("Step", {"size": 1, "gamma": 0.5}, 2, 2, [1, 1, 0.5, 0.5]),
    "step by steps": (
        "Step",
        {"size": 3, "gamma": 0.5, "unit": "step"},
        2,
        3,
        [1, 1, 1, 0.5, 0.5, 0.5],
    ),
    "step larger than any training": ("Step", {"size": 10**400}, 1, 2, [1, 1]),
    "exponential": ("Exponential", {"gamma": 0.5}, 2, 3, [1, 1, 0.5, 0.5, 0.25, 0.25]),
    "exponential by steps": ("Exponential", {"gamma": 2, "unit": "step"}, 2, 2, [1, 2, 4, 8]),
    "inverse scaling": ("InverseScaling", {}, 2, 2, [1, 2**-0.5, 3**-0.5, 0.5]),
    "inverse scaling by epochs": (
        "InverseScaling",
        {"power": 1, "unit": "epoch"},
        2,
        2,
        [1, 1, 0.5, 0.5],
    ),
    "a power that overflows": ("InverseScaling", {"power": 1e300}, 1, 2, [1, 0]),
    "cosine": ("Cosine", {}, 1, 4, [1, (1 + R) / 2, 0.5, (1 - R) / 2]),
    "cosine by epochs": ("Cosine", {"minimum": 0.2}, 2, 2, [1, 1, 0.6, 0.6]),
    "cosine with restarts": ("Cosine", {"period": 2}, 1, 5, [1, 0.5, 1, 0.5, 1]),
    "cosine with growing periods": (
        "Cosine",
        {"period": 1, "period_factor": 2, "unit": "step"},
        4,
        2,
        [1, 1, 0.5, 1, (1 + R) / 2, 0.5, (1 - R) / 2, 1],
    ),
    "periods that pass all bounds": (
        "Cosine",
        {"period": 1, "period_factor": 10**400},
        1,
        4,
        [1, 1, 1, 1],
    ),
    # The warm-up rises from step to step, the cosine changes from epoch to epoch.
    "cosine after a warm-up": (
        "Cosine",
        {"warmup": 1},
        4,
        3,
        [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5],
    ),
    "warm-up from a half, then restarts": (
        "Cosine",
        {"warmup": 2, "warmup_start": 0.5, "period": 2, "unit": "step"},
        3,
        2,
        [0.5, 0.75, 1, 0.5, 1, 0.5],
    ),
    "one cycle": (
        "OneCycle",
        {"pct_start": 0.6, "div_factor": 5, "final_div_factor": 2, "anneal": "linear"},
        5,
        1,
        [0.2, 0.6, 1, 0.55, 0.1],
    ),
    "one cycle, cosine": (
        "OneCycle",
        {"pct_start": 0.5, "div_factor": 2, "final_div_factor": 5},
        2,
        3,
        [0.5, 0.75, 1, 0.1 + 0.9 * 0.75, 0.1 + 0.9 * 0.25, 0.1],
    ),
    "one cycle that only rises": (
        "OneCycle",
        {"pct_start": 1, "div_factor": 2, "anneal": "linear"},
        3,
        1,
        [0.5, 0.75, 1],
    ),
    # PyTorch divides by zero here.
    "one cycle whose peak is step 1": (
        "OneCycle",
        {"pct_start": 0.25, "div_factor": 2, "final_div_factor": 5, "anneal": "linear"},
        4,
        1,
        [1, 0.7, 0.4, 0.1],
    ),
    "linear": ("Linear", {}, 1, 4, [1, 0.75, 0.5, 0.25]),
    "linear by epochs": (
        "Linear",
        {"start_factor": 0.5, "end_factor": 1},
        2,
        2,
        [0.5, 0.5, 0.75, 0.75],
    ),
    "linear, then its end": (
        "Linear",
        {"end_factor": 0.5, "length": 2, "unit": "step"},
        2,
        2,
        [1, 0.75, 0.5, 0.5],
    ),
    "linear of great length": ("Linear", {"length": 10**400}, 1, 2, [1, 1]),
    "no epochs": ("Cosine", {}, 3, 0, []),
}


@module
@pytest.mark.parametrize("case", WORKED)
def test_rates_are_those_worked_by_hand(module, case):
    cls, arguments, steps_per_epoch, epochs, expected = WORKED[case]
    schedule = getattr(module, cls)(**arguments)
    for lr in (1, 0.25):
        if "minimum" in arguments and lr < 1:
            continue  # a minimum is absolute, the rates are not in proportion
        rates, state = run(schedule, lr, steps_per_epoch, epochs)
        assert rates.dtype == np.float64
        np.testing.assert_allclose(rates, lr * np.array(expected), rtol=1e-14, atol=1e-16)
        assert state == {}


PLATEAUS = {
    # case: (arguments, monitored values, rate of each epoch for lr = 1 and of the one after them)
    "patience 0": ({"factor": 0.5, "patience": 0}, [3, 3, 2, 2], [1, 1, 0.5, 0.5, 0.25]),
    "patience 1": ({"factor": 0.5, "patience": 1}, [3, 3, 3, 3, 3], [1, 1, 1, 0.5, 0.5, 0.25]),
    "cooldown": (
        {"factor": 0.5, "patience": 0, "cooldown": 2},
        [3, 3, 3, 3, 3],
        [1, 1, 0.5, 0.5, 0.5, 0.25],
    ),
    "minimum": ({"factor": 0.5, "patience": 0, "minimum": 0.4}, [3, 3, 3], [1, 1, 0.5, 0.4]),
    "minimum reached": (
        {"factor": 0, "patience": 0, "minimum": 1},
        [3, 3, 3],
        [1, 1, 1, 1],
    ),
    # 2.95 and 2.71 are better than 3, but by less than a tenth of it.
    "relative threshold": (
        {"factor": 0.5, "patience": 0, "threshold": 0.1},
        [3, 2.95, 2.71, 2.6],
        [1, 1, 0.5, 0.25, 0.25],
    ),
    "absolute threshold": (
        {"factor": 0.5, "patience": 0, "threshold": 1, "threshold_mode": "abs"},
        [3, 2.5, 1.5],
        [1, 1, 0.5, 0.5],
    ),
    "accuracies rise": (
        {"factor": 0.5, "patience": 0, "threshold": 0, "monitor": "val_accuracy"},
        [0.5, 0.6, 0.6, 0.7],
        [1, 1, 1, 0.5, 0.5],
    ),
    "nan is not better": ({"factor": 0.5, "patience": 0}, [math.nan, 1, 2], [1, 0.5, 0.5, 0.25]),
    "infinity is not better": ({"factor": 0.5, "patience": 0}, [math.inf, 1], [1, 0.5, 0.5]),
}


@module
@pytest.mark.parametrize("case", PLATEAUS)
def test_a_plateau_reduces_the_rate_when_patience_is_at_its_end(module, case):
    arguments, values, expected = PLATEAUS[case]
    schedule = module.ReduceOnPlateau(**arguments)
    monitored = [record(**{schedule.monitor: value}) for value in [*values, 0]]
    rates, _ = run(schedule, 1.0, 2, len(expected), monitored)
    np.testing.assert_allclose(rates, np.repeat(expected, 2), rtol=1e-15)


@module
def test_a_rate_of_nearly_nothing_is_reduced_no_more(module):
    schedule = module.ReduceOnPlateau(patience=0)
    rates, _ = run(schedule, 1e-7, 1, 4, [record(val_loss=1.0)] * 4)
    np.testing.assert_array_equal(rates, [1e-7, 1e-7, 1e-8, 1e-8])


@module
def test_inverse_scaling_is_that_of_scikit_learn(module):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 1)), rng.standard_normal(20)
    expected = SGDRegressor(
        penalty=None,
        fit_intercept=False,
        max_iter=1,
        tol=None,
        shuffle=False,
        learning_rate="invscaling",
        eta0=0.3,
        power_t=0.25,
    ).fit(X, y)
    rates, _ = run(module.InverseScaling(power=0.25), 0.3, 20, 1)
    w = 0.0
    for rate, x, target in zip(rates, X[:, 0], y, strict=True):
        w -= rate * (w * x - target) * x
    np.testing.assert_allclose(w, expected.coef_[0], rtol=1e-12)


# --- both implementations -----------------------------------------------------------------------

VARIED = [
    ("Constant", {}),
    ("Step", {"size": 3, "gamma": 0.3}),
    ("Step", {"size": 7, "gamma": 1.2, "unit": "step"}),
    ("Exponential", {"gamma": 0.93}),
    ("Exponential", {"gamma": 1.01, "unit": "step"}),
    ("InverseScaling", {}),
    ("InverseScaling", {"power": 0.3, "unit": "epoch"}),
    ("Cosine", {"minimum": 0.001}),
    ("Cosine", {"warmup": 3, "unit": "step"}),
    ("Cosine", {"warmup": 3, "warmup_start": 0.1, "period": 2, "period_factor": 3}),
    ("Cosine", {"warmup": 5, "period": 7, "unit": "step"}),
    ("OneCycle", {}),
    ("OneCycle", {"pct_start": 0.0, "anneal": "linear"}),
    ("OneCycle", {"pct_start": 0.77, "div_factor": 3, "final_div_factor": 10}),
    ("Linear", {"start_factor": 0.1, "end_factor": 1, "length": 5}),
    ("Linear", {"unit": "step"}),
    ("ReduceOnPlateau", {"patience": 2, "cooldown": 1}),
    ("ReduceOnPlateau", {"patience": 0, "factor": 0.7, "minimum": 0.02, "threshold": 0.05}),
    ("ReduceOnPlateau", {"patience": 1, "threshold_mode": "abs", "monitor": "train_loss"}),
    ("ReduceOnPlateau", {"patience": 1, "monitor": "val_accuracy", "threshold": 0.1}),
    ("ReduceOnPlateau", {"patience": 0, "monitor": "train_accuracy", "threshold_mode": "abs"}),
]


def noisy_records(epochs, seed=0):
    """Losses that fall and accuracies that rise, both in multiples of a tenth: with equal ones."""
    rng = np.random.default_rng(seed)
    curve = np.round(np.exp(-np.arange(epochs) / 8) + rng.normal(0, 0.1, epochs), 1)
    return [
        record(val_loss=v, val_accuracy=1 - v, train_loss=v / 2, train_accuracy=1 - v / 2)
        for v in map(float, curve)
    ]


@pytest.mark.parametrize(("cls", "arguments"), VARIED)
@pytest.mark.parametrize(("steps_per_epoch", "epochs"), [(1, 40), (13, 30)])
def test_both_give_the_same_rates_over_whole_runs(cls, arguments, steps_per_epoch, epochs):
    for seed in range(5):
        records = noisy_records(epochs, seed)
        (ours, state), (expected, expected_state) = (
            run(getattr(m, cls)(**arguments), 0.1, steps_per_epoch, epochs, records)
            for m in MODULES.values()
        )
        assert state == expected_state
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(ours, expected, rtol=1e-13, atol=1e-16)


@module
@pytest.mark.parametrize(("cls", "arguments"), VARIED)
def test_rates_do_not_depend_on_how_steps_are_grouped(module, cls, arguments):
    schedule = getattr(module, cls)(**arguments)
    state, steps = schedule.start(), np.arange(1, 91, dtype=np.int64)
    together = schedule.rates(0.1, steps, 9, 10, state)
    for size in (1, 7):
        parts = [schedule.rates(0.1, steps[k : k + size], 9, 10, state) for k in range(0, 90, size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)


def test_both_have_the_same_names_fields_and_signatures():
    ours, expected = (m.SCHEDULES for m in MODULES.values())
    assert list(ours) == list(expected)
    for name, cls in ours.items():
        twin = expected[name]
        assert cls.__name__ == twin.__name__
        assert issubclass(cls, fastmlp.schedules.Schedule)
        fields = [[(f.name, f.default) for f in dataclasses.fields(c)] for c in (cls, twin)]
        assert fields[0] == fields[1]
        assert cls.__dataclass_params__.frozen
        assert twin.__dataclass_params__.frozen
        for method in ("start", "rates", "epoch_ended", "check"):
            parameters = [
                list(inspect.signature(getattr(c, method)).parameters) for c in (cls, twin)
            ]
            assert parameters[0] == parameters[1]


# --- bad input ----------------------------------------------------------------------------------

BAD = [
    # class, arguments, error, argument that the line begins with, value that it shows
    ("Step", {"size": 0}, ValueError, "size", "0"),
    ("Step", {"size": 1.5}, TypeError, "size", "1.5"),
    ("Step", {"size": 2, "gamma": 0}, ValueError, "gamma", "0"),
    ("Step", {"size": 2, "gamma": -1}, ValueError, "gamma", "-1"),
    ("Step", {"size": 2, "unit": "batch"}, ValueError, "unit", "'batch'"),
    ("Exponential", {"gamma": math.nan}, ValueError, "gamma", "nan"),
    ("Exponential", {"gamma": "0.9"}, TypeError, "gamma", "'0.9'"),
    ("Exponential", {"gamma": 0.9, "unit": None}, ValueError, "unit", "None"),
    ("InverseScaling", {"power": -0.5}, ValueError, "power", "-0.5"),
    ("InverseScaling", {"unit": "steps"}, ValueError, "unit", "'steps'"),
    ("Cosine", {"minimum": -1e-9}, ValueError, "minimum", "-1e-09"),
    ("Cosine", {"warmup": -1}, ValueError, "warmup", "-1"),
    ("Cosine", {"warmup": True}, TypeError, "warmup", "True"),
    ("Cosine", {"warmup_start": 1.1}, ValueError, "warmup_start", "1.1"),
    ("Cosine", {"warmup_start": -0.1}, ValueError, "warmup_start", "-0.1"),
    ("Cosine", {"warmup_start": None}, TypeError, "warmup_start", "None"),
    ("Cosine", {"period": 0}, ValueError, "period", "0"),
    ("Cosine", {"period": 2.0}, TypeError, "period", "2.0"),
    ("Cosine", {"period_factor": 0}, ValueError, "period_factor", "0"),
    ("Cosine", {"period_factor": 1.5}, TypeError, "period_factor", "1.5"),
    ("Cosine", {"unit": 1}, ValueError, "unit", "1"),
    ("OneCycle", {"pct_start": 1.5}, ValueError, "pct_start", "1.5"),
    ("OneCycle", {"pct_start": -0.1}, ValueError, "pct_start", "-0.1"),
    ("OneCycle", {"div_factor": 0}, ValueError, "div_factor", "0"),
    ("OneCycle", {"final_div_factor": math.inf}, ValueError, "final_div_factor", "inf"),
    ("OneCycle", {"anneal": "cosine"}, ValueError, "anneal", "'cosine'"),
    ("Linear", {"start_factor": -1}, ValueError, "start_factor", "-1"),
    ("Linear", {"end_factor": math.nan}, ValueError, "end_factor", "nan"),
    ("Linear", {"length": 0}, ValueError, "length", "0"),
    ("Linear", {"length": "all"}, TypeError, "length", "'all'"),
    ("Linear", {"unit": "Epoch"}, ValueError, "unit", "'Epoch'"),
    ("ReduceOnPlateau", {"factor": 1}, ValueError, "factor", "1"),
    ("ReduceOnPlateau", {"factor": -0.1}, ValueError, "factor", "-0.1"),
    ("ReduceOnPlateau", {"patience": -1}, ValueError, "patience", "-1"),
    ("ReduceOnPlateau", {"patience": 1.0}, TypeError, "patience", "1.0"),
    ("ReduceOnPlateau", {"threshold": -1}, ValueError, "threshold", "-1"),
    ("ReduceOnPlateau", {"threshold_mode": "relative"}, ValueError, "threshold_mode", "'relative'"),
    ("ReduceOnPlateau", {"cooldown": -1}, ValueError, "cooldown", "-1"),
    ("ReduceOnPlateau", {"minimum": math.inf}, ValueError, "minimum", "inf"),
    ("ReduceOnPlateau", {"monitor": "loss"}, ValueError, "monitor", "'loss'"),
]


def assert_refused(call, kind, argument, shows):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is kind, message
    assert message.startswith(f"{argument} must"), message
    assert str(shows) in message
    assert "\n" not in message
    assert len(message) < 250


@module
@pytest.mark.parametrize(("cls", "arguments", "kind", "argument", "shows"), BAD)
def test_a_bad_setting_is_refused(module, cls, arguments, kind, argument, shows):
    assert_refused(lambda: getattr(module, cls)(**arguments), kind, argument, shows)


SENSELESS = [
    # class, arguments, epochs, steps per epoch, validation, argument, value shown
    ("Cosine", {"warmup": 10}, 10, 5, True, "warmup", "10"),
    ("Cosine", {"warmup": 10**400}, 10, 5, True, "warmup", "1000"),
    ("Cosine", {"warmup": 50, "unit": "step"}, 10, 5, True, "warmup", "50"),
    ("Cosine", {"warmup": 1}, 0, 5, True, "warmup", "1"),
    ("OneCycle", {}, 0, 5, True, "epochs", "0"),
    ("Exponential", {"gamma": 10}, 400, 5, True, "gamma", "10"),
    ("Exponential", {"gamma": 1.5, "unit": "step"}, 400, 5, True, "gamma", "1.5"),
    ("Step", {"size": 2, "gamma": 10}, 800, 1, True, "gamma", "10"),
    ("ReduceOnPlateau", {}, 10, 5, False, "monitor", "'val_loss'"),
    ("ReduceOnPlateau", {"monitor": "val_accuracy"}, 10, 5, False, "monitor", "'val_accuracy'"),
]


@module
@pytest.mark.parametrize(
    ("cls", "arguments", "epochs", "steps_per_epoch", "validation", "argument", "shows"), SENSELESS
)
def test_a_training_that_makes_no_sense_is_refused(
    module, cls, arguments, epochs, steps_per_epoch, validation, argument, shows
):
    schedule = getattr(module, cls)(**arguments)
    call = lambda: schedule.check(epochs, steps_per_epoch, validation)  # noqa: E731
    assert_refused(call, ValueError, argument, shows)


@module
def test_what_is_just_within_the_bounds_is_taken(module):
    module.Cosine(warmup=9).check(10, 5, False)
    module.Cosine(warmup=49, unit="step").check(10, 5, False)
    module.Exponential(10).check(300, 5, False)
    module.Step(2, 10).check(600, 1, False)
    module.ReduceOnPlateau(monitor="train_loss").check(10, 5, False)
    for name in ("constant", "inverse_scaling", "cosine", "linear"):
        module.SCHEDULES[name]().check(0, 5, False)


@module
@pytest.mark.parametrize("cls", ["Cosine", "ReduceOnPlateau"])
def test_a_minimum_above_the_rate_is_refused(module, cls):
    schedule = getattr(module, cls)(minimum=0.2)
    steps = np.arange(1, 5)
    assert_refused(
        lambda: schedule.rates(0.1, steps, 4, 1, schedule.start()), ValueError, "minimum", "0.2"
    )
    np.testing.assert_array_equal(schedule.rates(0.2, steps, 4, 1, schedule.start()), [0.2] * 4)


@module
def test_a_plateau_of_what_is_not_measured_is_refused(module):
    schedule = module.ReduceOnPlateau(monitor="val_accuracy")
    state = schedule.start()
    assert_refused(
        lambda: schedule.epoch_ended(state, record(val_loss=1.0)),
        ValueError,
        "monitor",
        "'val_accuracy'",
    )
    assert state == schedule.start()
