"""Single steps: those of `fit`, with a state that stays where it belongs."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import fastmlp
from fastmlp.training import fit
from tests.features import build

STEPPED = [
    "momentum",
    "nesterov",
    "rates of layers",
    "adam, decay",
    "nadam",
    "rmsprop, momentum",
    "adagrad",
    "lion",
    "huber",
    "multi-label",
    "rows, smoothing, weights",
    "dropout of each layer, input",
    "layer norm, dropout, gelu",
    "batch norm, dropout, tanh",
    "both norms, decay",
    "clip by norm",
    "clip by value",
    "max-norm",
]
OF_A_BATCH = ("sample_weight", "class_weight")


def stepped(feature, dtype):
    """Model, batches, arguments of a trainer, of its steps by batch, and of fit."""
    model, x, y, options = build(fastmlp, feature, dtype)
    del options["epochs"]
    size = options.pop("batch_size")
    whole = {name: options.pop(name) for name in OF_A_BATCH if name in options}
    batches = []
    for begin in range(0, len(x), size):
        rows = slice(begin, begin + size)
        weights = dict(whole)
        if "sample_weight" in weights:
            weights["sample_weight"] = whole["sample_weight"][rows]
        batches.append(((x[rows], y[rows]), weights))
    fitted = build(fastmlp, feature, dtype)
    return model, batches, options, fitted


def arrays_of(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def threads_alive():
    gc.collect()  # a model and what trains it hold each other
    return [t for t in threading.enumerate() if t.name.startswith("fastmlp-")]


@pytest.mark.parametrize("how", ["Trainer", "train_step"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("feature", STEPPED)
def test_steps_end_with_the_bits_of_fit(feature, dtype, how):
    model, batches, options, (fitted, x, y, whole) = stepped(feature, dtype)
    history = fit(fitted, x, y, **whole, shuffle=False)
    epochs = []
    if how == "Trainer":
        with fastmlp.Trainer(model, **options, threads=2) as trainer:
            for _ in history.epochs:
                epochs.append([trainer.step(*batch, **more) for batch, more in batches])
            assert trainer.steps == history.state.step
    else:
        for _ in history.epochs:
            epochs.append(
                [fastmlp.train_step(model, *batch, **options, **more) for batch, more in batches]
            )
    assert arrays_of(model) == arrays_of(fitted)
    if not any(more for _, more in batches):
        rows = [len(batch[0]) for batch, _ in batches]
        for epoch, each in zip(history.epochs, epochs, strict=True):
            mean = np.average([step.loss for step in each], weights=rows)
            assert mean == pytest.approx(epoch.train_loss, rel=1e-5)


def problem(count=60, dtype="float32"):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 20)).astype(dtype), rng.integers(0, 4, count)


def network(**settings):
    return fastmlp.MLP([20, 17, 4], seed=1, **settings)


def test_the_evaluation_is_of_before_the_update():
    x, y = problem()
    model = network()
    expected = fastmlp.evaluate(model, x, y)
    assert fastmlp.train_step(model, x, y) == expected
    after = fastmlp.train_step(model, x, y)
    assert after.loss < expected.loss
    regression = network(loss="squared_error")
    assert fastmlp.train_step(regression, x, np.ones((60, 4))).accuracy is None


@pytest.mark.parametrize("optimizer", [fastmlp.SGD(momentum=0.9), fastmlp.Adam()])
def test_a_rate_of_a_step_counts_in_it_alone(optimizer):
    x, y = problem()
    model, scheduled = network(), network()
    with fastmlp.Trainer(model, optimizer) as trainer:
        for k in range(4):
            trainer.step(x, y, lr=optimizer.lr * 0.5**k if k else None)
    options = {"epochs": 4, "batch_size": "full", "optimizer": optimizer}
    fit(scheduled, x, y, **options, schedule=fastmlp.Exponential(0.5))
    assert arrays_of(model) == arrays_of(scheduled)
    before = arrays_of(model)
    with fastmlp.Trainer(model, fastmlp.SGD()) as trainer:
        trainer.step(x, y, lr=0)
        assert arrays_of(model) == before
        trainer.step(x, y)
        assert arrays_of(model) != before


@pytest.mark.parametrize("norm", [None, "layer", "batch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_may_grow_and_shrink_under_one_state(norm, dtype):
    """The bits are those of a trainer that has had the largest batch first."""
    x, y = problem(700, dtype)
    sizes = [3, 1, 40, 40, 5, 600, 700, 2]
    ends = []
    for roomy in (False, True):
        model = network(norm=norm, dtype=dtype, dropout=0.2)
        with fastmlp.Trainer(model, fastmlp.Adam(lr=0.01), seed=3) as trainer:
            if roomy:
                trainer._engine_for(700)
            for size in sizes:
                trainer.step(x[:size], y[:size])
            assert trainer.steps == len(sizes)
        ends.append(arrays_of(model))
    assert ends[0] == ends[1]


def test_the_state_stays_with_the_model_while_the_settings_are_equal():
    x, y = problem()
    model, expected = network(), network()
    with fastmlp.Trainer(expected, fastmlp.Adam(), clip_norm=1.0) as trainer:
        for _ in range(3):
            fastmlp.train_step(model, x, y, optimizer=fastmlp.Adam(), clip_norm=1.0)
            trainer.step(x, y)
            fastmlp.evaluate(model, x, y)
    assert arrays_of(model) == arrays_of(expected)


def test_no_optimizer_is_the_default_one():
    x, y = problem()
    model = network(dropout=0.5)
    fastmlp.train_step(model, x, y)
    kept = model._trainer
    fastmlp.train_step(model, x, y, optimizer=fastmlp.SGD())
    assert model._trainer is kept


CHANGES = {
    "optimizer": {"optimizer": fastmlp.SGD(momentum=0.8)},
    "seed": {"seed": 1},
    "clip_norm": {"clip_norm": 100.0},
    "clip_value": {"clip_value": 100.0},
    "max_norm": {"max_norm": 100.0},
    "threads": {"threads": 2},
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_settings_start_anew(name):
    """As a new trainer of them does; sample and class weights are no settings."""
    x, y = problem()
    settings = {"optimizer": fastmlp.SGD(momentum=0.9), "threads": 1}
    model, expected = network(dropout=0.5), network(dropout=0.5)
    for _ in range(3):
        fastmlp.train_step(model, x, y, **settings, class_weight="balanced")
    expected.load_state_dict(model.state_dict())
    changed = settings | CHANGES[name]
    fastmlp.train_step(model, x, y, **changed)
    optimizer = changed.pop("optimizer")
    with fastmlp.Trainer(expected, optimizer, **changed) as trainer:
        trainer.step(x, y)
    assert arrays_of(model) == arrays_of(expected)


@pytest.mark.parametrize(
    "copy_of", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_has_a_state_of_its_own(copy_of):
    x, y = problem()
    momentum = {"optimizer": fastmlp.SGD(momentum=0.9)}
    model, undisturbed, fresh = network(), network(), network()
    for each in (model, undisturbed):
        fastmlp.train_step(each, x, y, **momentum)
    twin = copy_of(model)
    fresh.load_state_dict(model.state_dict())
    before = arrays_of(model)
    for each in (twin, fresh):
        fastmlp.train_step(each, x, y, **momentum)
        fastmlp.train_step(each, x, y, **momentum)
    assert arrays_of(twin) == arrays_of(fresh)
    assert arrays_of(model) == before
    for each in (model, undisturbed):
        fastmlp.train_step(each, x, y, **momentum)
    assert arrays_of(model) == arrays_of(undisturbed)


@pytest.mark.parametrize("norm", [None, "layer", "batch"])
@pytest.mark.parametrize("optimizer", [fastmlp.SGD(momentum=0.9), fastmlp.Adam()])
def test_a_loss_that_is_not_finite_leaves_parameters_and_state(optimizer, norm):
    x, y = problem()
    model, undisturbed = network(norm=norm), network(norm=norm)
    huge = np.full_like(x, 3e38)
    with fastmlp.Trainer(model, optimizer) as trainer:
        trainer.step(x, y)
        before = arrays_of(model)
        with pytest.raises(
            FloatingPointError, match=r"NaN or infinite in step 2; .* below 0\.\d+$"
        ):
            trainer.step(huge, y)
        assert arrays_of(model) == before
        assert trainer.steps == 1
        trainer.step(x, y)
    with fastmlp.Trainer(undisturbed, optimizer) as trainer:
        trainer.step(x, y)
        trainer.step(x, y)
    assert arrays_of(model) == arrays_of(undisturbed)


WRONG = {
    "model": ({"model": 3}, TypeError, "model must be a fastmlp.MLP"),
    "optimizer": ({"optimizer": "adam"}, TypeError, "optimizer must be"),
    "LBFGS": ({"optimizer": fastmlp.LBFGS()}, ValueError, "LBFGS takes no single steps"),
    "multipliers": ({"optimizer": fastmlp.SGD(lr_multipliers=[1])}, ValueError, "lr_multipliers"),
    "seed": ({"seed": -1}, ValueError, "seed must be"),
    "clip_norm": ({"clip_norm": 0}, ValueError, "clip_norm must be"),
    "clip_value": ({"clip_value": "1"}, TypeError, "clip_value must be"),
    "max_norm": ({"max_norm": -1}, ValueError, "max_norm must be"),
    "both": ({"clip_norm": 1, "clip_value": 1}, ValueError, "cannot both be given"),
    "threads": ({"threads": 0}, ValueError, "threads must be"),
}


@pytest.mark.parametrize("how", ["Trainer", "train_step"])
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_refused(case, how):
    x, y = problem()
    settings, kind, words = WRONG[case]
    model = settings.get("model", network())
    settings = {name: value for name, value in settings.items() if name != "model"}
    arguments = {"Trainer": (model,), "train_step": (model, x, y)}[how]
    with pytest.raises(kind, match=words) as caught:
        getattr(fastmlp, how)(*arguments, **settings)
    assert "\n" not in str(caught.value)


WRONG_STEPS = {
    "features": (lambda x, y: ((x[:, 1:], y), {}), ValueError),
    "no samples": (lambda x, y: ((x[:0], y[:0]), {}), ValueError),
    "fewer labels": (lambda x, y: ((x, y[1:]), {}), ValueError),
    "a label too large": (lambda x, y: ((x, y + 4), {}), ValueError),
    "not finite": (lambda x, y: ((x * np.nan, y), {}), ValueError),
    "text": (lambda x, y: ((x, ["a"] * len(x)), {}), (TypeError, ValueError)),
    "rate": (lambda x, y: ((x, y), {"lr": -1}), ValueError),
    "rate nan": (lambda x, y: ((x, y), {"lr": np.nan}), ValueError),
    "rate text": (lambda x, y: ((x, y), {"lr": "1"}), TypeError),
    "sample_weight": (lambda x, y: ((x, y), {"sample_weight": y - 9}), ValueError),
    "class_weight": (lambda x, y: ((x, y), {"class_weight": [1.0]}), ValueError),
}


@pytest.mark.parametrize("case", WRONG_STEPS)
def test_a_wrong_step_is_refused_and_changes_nothing(case):
    change, kind = WRONG_STEPS[case]
    model = network()
    with fastmlp.Trainer(model, fastmlp.Adam()) as trainer:
        trainer.step(*problem())
        before = arrays_of(model)
        arguments, options = change(*problem())
        with pytest.raises(kind):
            trainer.step(*arguments, **options)
        assert arrays_of(model) == before
        assert trainer.steps == 1


def test_threads_end_with_the_trainer_and_start_again_when_needed():
    x, y = problem(400)
    before = len(threads_alive())
    model = fastmlp.MLP([20, 300, 300, 4])
    with fastmlp.Trainer(model, threads=3) as trainer:
        assert len(threads_alive()) == before
        trainer.step(x[:50], y[:50])
        assert len(threads_alive()) > before
        trainer.step(x, y)  # a larger engine takes the place of the first
        assert len(threads_alive()) <= before + 3
    assert len(threads_alive()) == before
    trainer.step(x, y)
    assert trainer.steps == 3
    assert len(threads_alive()) > before
    trainer.close()
    trainer.close()
    assert len(threads_alive()) == before


@pytest.mark.parametrize("how", ["Trainer", "train_step"])
def test_threads_end_when_nobody_holds_the_model(how):
    x, y = problem(400)
    before = len(threads_alive())
    model = fastmlp.MLP([20, 300, 300, 4])
    if how == "Trainer":
        trainer = fastmlp.Trainer(model, threads=3)
        trainer.step(x, y)
        del trainer
    else:
        fastmlp.train_step(model, x, y, threads=3)
        fastmlp.train_step(model, x, y, threads=2)
    assert len(threads_alive()) <= before + 2 or how == "Trainer"
    del model
    gc.collect()
    assert len(threads_alive()) == before


USES = {
    "prediction": lambda model, x, y: model.predict(x),
    "a predictor": lambda model, x, y: model.predictor(threads=2).predict(x),
    "fit": lambda model, x, y: fit(model, x, y, epochs=1, threads=2),
    "evaluation": fastmlp.evaluate,
    "train_step": fastmlp.train_step,
    "a trainer": lambda model, x, y: fastmlp.Trainer(model).step(x, y),
}


@pytest.mark.parametrize("use", USES)
def test_a_used_model_that_nobody_holds_is_freed(use):
    model = network()
    USES[use](model, *problem())
    held = weakref.ref(model)
    del model
    gc.collect()
    assert held() is None
