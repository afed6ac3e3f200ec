"""What ends a training, what is held out of it, what it measures and tells, and L-BFGS."""

import time

import numpy as np
import pytest
import scipy.optimize

import fastmlp
from fastmlp.metrics import measure
from fastmlp.splits import held_out


def problem(count=90, n_features=6, n_classes=3, dtype="float64"):
    """Classes that overlap, of which the first is the largest."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, n_features)).astype(dtype)
    scores = x[:, :n_classes] + 0.5 * rng.standard_normal((count, n_classes))
    return x, (scores + np.eye(n_classes)[0]).argmax(axis=1)


def network(**settings):
    return fastmlp.MLP([6, 8, 3], dtype="float64", **settings)


def fit(model, x=None, y=None, **options):
    if x is None:
        x, y = problem()
    options = {"epochs": 4, "batch_size": 16, "seed": 5} | options
    return fastmlp.fit(model, x, y, **options)


def values_of(history):
    return [vars(epoch) | {"seconds": 0.0} for epoch in history.epochs]


def assert_same_model(ours, expected):
    for name, array in expected.state_dict().items():
        assert ours.state_dict()[name].tobytes() == array.tobytes(), name


# --- validation_fraction --------------------------------------------------------------------------


def test_a_share_of_each_class_is_held_out_as_documented():
    _, y = problem()
    rng = np.random.default_rng((5, 0))
    expected = np.zeros(len(y), dtype=bool)
    for label in range(3):
        rows = rng.permutation(np.flatnonzero(y == label))
        expected[rows[: round(0.2 * len(rows))]] = True
    held = held_out(y, len(y), 0.2, 5)
    np.testing.assert_array_equal(held, expected)
    assert not np.array_equal(held, held_out(y, len(y), 0.2, 6))


def test_each_class_keeps_a_sample_to_train_on():
    y = np.array([0, 0, 0, 0, 1, 3])
    held = held_out(y, 6, 0.99, 0)
    assert held.sum() == 3
    assert set(y[~held]) == {0, 1, 3}


def test_without_classes_the_samples_are_drawn_as_one():
    expected = np.zeros(90, dtype=bool)
    expected[np.random.default_rng((5, 0)).permutation(90)[:18]] = True
    np.testing.assert_array_equal(held_out(None, 90, 0.2, 5), expected)


KINDS = {
    "classes": ({}, lambda y: y, lambda y: y),
    "rows": ({}, lambda y: np.eye(3)[y], lambda y: None),
    "binary": (
        {"loss": "binary_cross_entropy", "layers": [6, 8, 1]},
        lambda y: y > 0,
        lambda y: (y > 0).astype(int),
    ),
    "multi-label": ({"loss": "binary_cross_entropy"}, lambda y: np.eye(3)[y], lambda y: None),
    "regression": ({"loss": "squared_error"}, lambda y: np.eye(3)[y], lambda y: None),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_held_out_validates_and_is_never_trained_on(kind, weighted):
    """The bits of a training on the others, whatever the samples held out are."""
    settings, targets_of, labels_of = KINDS[kind]
    settings = {"layers": [6, 8, 3], "dtype": "float64", "norm": "batch", **settings}
    x, y = problem()
    y = np.asarray(targets_of(y), dtype=int if kind == "classes" else float)
    held = held_out(labels_of(problem()[1]), len(x), 0.2, 5)
    weights = np.random.default_rng(1).random(len(x)) + 0.5
    model, expected, changed = (fastmlp.MLP(**settings) for _ in range(3))
    options = {"metrics": ["loss"]}
    history = fit(
        model, x, y, **options, validation_fraction=0.2, sample_weight=weights if weighted else None
    )
    wanted = fit(
        expected,
        x[~held],
        y[~held],
        **options,
        validation_data=(x[held], y[held]),
        sample_weight=weights[~held] if weighted else None,
    )
    assert_same_model(model, expected)
    assert values_of(history) == values_of(wanted)  # validation is not weighted
    other = np.where(held[:, None], -x, x)
    fit(changed, other, y, validation_fraction=0.2, sample_weight=weights if weighted else None)
    assert_same_model(changed, model)


def test_class_weights_count_in_training_alone():
    x, y = problem()
    held = held_out(y, len(y), 0.2, 5)
    model = network()
    history = fit(model, validation_fraction=0.2, class_weight={0: 5.0})
    expected = fastmlp.evaluate(model, x[held], y[held])
    assert history.epochs[-1].val_loss == pytest.approx(expected.loss, rel=1e-12)
    assert history.epochs[-1].val_accuracy == expected.accuracy


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"validation_fraction": 1.0},
            "validation_fraction must be a finite number, 0 or more and",
        ),
        ({"validation_fraction": -0.1}, "validation_fraction must be a finite number, 0 or more"),
        ({"validation_fraction": 0.001}, "validation_fraction 0.001 holds out none of 90 samples"),
        (
            {"validation_fraction": 0.1, "validation_data": problem()},
            "validation_fraction must be 0 where validation_data is given",
        ),
    ],
)
def test_a_wrong_share_is_refused(options, words):
    model = network()
    before = model.parameters.tobytes()
    with pytest.raises(ValueError, match=f"^{words}"):
        fit(model, **options)
    assert model.parameters.tobytes() == before


# --- what ends a training -------------------------------------------------------------------------


class Sleep(fastmlp.Callback):
    def on_epoch_end(self, model, record):
        time.sleep(0.05)


def test_a_training_ends_with_the_epoch_in_which_its_time_is_up():
    assert len(fit(network(), max_seconds=1e-9).epochs) == 1
    assert len(fit(network(), max_seconds=1e9).epochs) == 4
    history = fit(network(), epochs=60, max_seconds=0.12, callbacks=[Sleep()])
    assert 1 <= len(history.epochs) <= 3
    longer = fit(network(), epochs=60, max_seconds=0.12, callbacks=[Sleep()], resume=history.state)
    assert len(longer.epochs) > len(history.epochs)


def test_a_training_ends_with_the_first_epoch_that_reaches_its_target():
    whole = fit(network(), epochs=60, validation_fraction=0.3)
    accuracies = [epoch.val_accuracy for epoch in whole.epochs]
    target = max(accuracies)
    assert accuracies[0] < target
    history = fit(network(), epochs=60, validation_fraction=0.3, target_accuracy=target)
    assert values_of(history) == values_of(whole)[: accuracies.index(target) + 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_seconds": -1}, "max_seconds must be a finite number, 0 or more"),
        ({"max_seconds": np.inf}, "max_seconds must be a finite number, 0 or more"),
        ({"target_accuracy": 0.9}, "target_accuracy needs validation_data or validation_fraction"),
        ({"target_accuracy": 0}, "target_accuracy must be above 0 and at most 1, not 0"),
        ({"target_accuracy": 90}, "target_accuracy must be above 0 and at most 1, not 90"),
    ],
)
def test_a_wrong_end_is_refused(options, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        fit(network(), **options)


def test_a_target_needs_a_loss_of_classes():
    x, y = problem()
    with pytest.raises(ValueError, match=r"^target_accuracy needs a loss of classes, not huber"):
        fit(
            network(loss="huber"),
            x,
            np.eye(3)[y],
            validation_fraction=0.3,
            target_accuracy=0.9,
        )


# --- metrics --------------------------------------------------------------------------------------


def test_metrics_are_those_of_the_predictions_on_the_validation_data():
    x, y = problem()
    names = ["accuracy", "loss", "top_2", "top_3", "f1", "precision", "recall"]
    model = network()
    history = fit(model, validation_data=(x[:30], y[:30]), metrics=names)
    for epoch in history.epochs:
        assert list(epoch.metrics) == names
        assert epoch.metrics["accuracy"] == epoch.val_accuracy
        assert epoch.metrics["loss"] == epoch.val_loss
        assert epoch.metrics["accuracy"] <= epoch.metrics["top_2"] <= epoch.metrics["top_3"] == 1
    logits = model.logits(x[:30])
    for name in ("f1", "precision", "recall", "top_2"):
        expected = measure(name, y[:30], logits, "labels")
        assert history.epochs[-1].metrics[name] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_metrics_of_regression_are_of_what_is_predicted(loss):
    x, _ = problem()
    y = np.random.default_rng(2).poisson(2.0, (90, 3)).astype(float)
    model = network(loss=loss)
    history = fit(model, x, y, validation_data=(x[:30], y[:30]), metrics=["mse", "mae", "r2"])
    predicted, last = model.predict(x[:30]), history.epochs[-1]
    assert last.metrics["mse"] == pytest.approx(((predicted - y[:30]) ** 2).mean(), rel=1e-12)
    assert last.metrics["mae"] == pytest.approx(np.abs(predicted - y[:30]).mean(), rel=1e-12)
    if loss == "squared_error":
        assert last.metrics["mse"] == pytest.approx(last.val_loss, rel=1e-12)
    assert last.val_accuracy is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metrics": ["f1"]}, "metrics f1 need validation_data or validation_fraction"),
        ({"metrics": ["f2"], "validation_fraction": 0.2}, "metrics"),
        ({"metrics": ["r2"], "validation_fraction": 0.2}, ""),
        ({"metrics": ["top_0"], "validation_fraction": 0.2}, ""),
        ({"metrics": "f1", "validation_fraction": 0.2}, "metrics"),
    ],
)
def test_wrong_metrics_are_refused(options, words):
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        fit(network(), **options)


# --- callbacks ------------------------------------------------------------------------------------


class Watch:
    """Writes down what it is told; it need not be a `Callback` by class."""

    def __init__(self, calls, name="", stop=None):
        self.calls, self.name, self.stop = calls, name, stop

    def on_train_begin(self, model, epochs, n_samples):
        self.calls.append((self.name, "begin", epochs, n_samples))

    def on_epoch_begin(self, model, epoch):
        self.calls.append((self.name, "epoch", epoch))

    def on_progress(self, samples, loss, accuracy):
        pass

    def on_epoch_end(self, model, record):
        self.calls.append((self.name, "ended", record.epoch))
        return record.epoch == self.stop

    def on_train_end(self, model, history):
        assert history.state is not None
        self.calls.append((self.name, "end", len(history.epochs)))


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": fastmlp.LBFGS()}, {"averaging": fastmlp.EMA()}],
    ids=["steps", "L-BFGS", "average"],
)
def test_every_callback_hears_of_everything_in_turn(options):
    calls = []
    callbacks = [Watch(calls, "a", stop=2), Watch(calls, "b")]
    fit(network(), epochs=4, validation_fraction=0.2, callbacks=callbacks, **options)
    n_samples = 90 - int(held_out(problem()[1], 90, 0.2, 5).sum())
    told = [
        ("begin", 4, n_samples),
        *(("epoch", 1), ("ended", 1), ("epoch", 2), ("ended", 2)),
        ("end", 2),
    ]
    assert calls == [(name, *each) for each in told for name in "ab"]


def test_a_run_that_goes_on_tells_of_its_own_epochs():
    calls = []
    state = fit(network(), epochs=2).state
    fit(network(), epochs=4, resume=state, callbacks=[Watch(calls)])
    assert [call[1:] for call in calls] == [
        ("begin", 4, 90),
        *(("epoch", 3), ("ended", 3), ("epoch", 4), ("ended", 4)),
        ("end", 4),
    ]


def test_callbacks_see_the_average_and_training_goes_on_with_its_own():
    seen = []

    class See(fastmlp.Callback):
        def on_epoch_end(self, model, record):
            seen.append(model.state_dict())

    own, averaged = network(), network()
    ends = [fit(own, epochs=1, seed=5).state]
    for epochs in (2, 3):
        ends.append(fit(own, epochs=epochs, resume=ends[-1]).state)
    history = fit(averaged, epochs=3, averaging=fastmlp.SWA(2), callbacks=[See()])
    parts = [end.part("model") for end in ends]
    for name in parts[0]:
        np.testing.assert_array_equal(seen[0][name], parts[0][name])
        np.testing.assert_array_equal(seen[1][name], parts[1][name])
        mean = parts[1][name] + (parts[2][name] - parts[1][name]) / 2
        np.testing.assert_array_equal(seen[2][name], mean)
        np.testing.assert_array_equal(averaged.state_dict()[name], mean)
        np.testing.assert_array_equal(history.state.part("model")[name], parts[2][name])


def test_an_exception_of_a_callback_ends_the_training_with_what_was_learned():
    class Fails(fastmlp.Callback):
        def on_epoch_end(self, model, record):
            if record.epoch == 2:
                raise RuntimeError("mine")

    for averaging in (None, fastmlp.EMA(0.5)):
        model, expected = network(), network()
        with pytest.raises(RuntimeError, match=r"^mine$"):
            fit(model, epochs=4, callbacks=[Fails()], averaging=averaging)
        fit(expected, epochs=2, averaging=averaging)
        assert_same_model(model, expected)


def test_a_checkpoints_folder_is_made_when_all_others_have_agreed(tmp_path):
    checkpoint = fastmlp.Checkpoint(tmp_path / "new")
    with pytest.raises(ValueError, match=r"^EarlyStopping monitors val_loss"):
        fit(network(), callbacks=[checkpoint, fastmlp.EarlyStopping()])
    with pytest.raises(ValueError, match=r"^threads must be"):
        fit(network(), callbacks=[checkpoint], threads=0)
    assert not (tmp_path / "new").exists()


# --- L-BFGS ---------------------------------------------------------------------------------------

TIGHT = {"tolerance_grad": 1e-9, "tolerance_change": 0}


def linear(**settings):
    return fastmlp.MLP([6, 3], dtype="float64", **settings)


def convex(flat, x, y, decay, decay_biases):
    """Softmax regression: its mean loss with decay, and the gradient."""
    W, b = flat[:18].reshape(6, 3), flat[18:]
    Z = x @ W + b
    Z -= Z.max(axis=1, keepdims=True)
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    loss = -np.log(P[np.arange(len(y)), y]).mean()
    loss += decay / 2 * (W**2).sum() + (decay / 2 * (b**2).sum() if decay_biases else 0)
    dZ = (P - np.eye(3)[y]) / len(y)
    db = dZ.sum(axis=0) + (decay * b if decay_biases else 0)
    return loss, np.concatenate([(x.T @ dZ + decay * W).ravel(), db])


@pytest.mark.parametrize(("decay", "decay_biases"), [(0.01, False), (0.05, True)])
def test_lbfgs_finds_the_minimum_that_scipy_finds(decay, decay_biases):
    x, y = problem()
    model = linear()
    start = np.concatenate([model.weights[0].ravel(), model.biases[0]])
    optimizer = fastmlp.LBFGS(**TIGHT, weight_decay=decay, decay_biases=decay_biases)
    history = fit(model, epochs=200, optimizer=optimizer)
    expected = scipy.optimize.minimize(
        convex,
        start,
        args=(x, y, decay, decay_biases),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 200, "gtol": 1e-9, "ftol": 0},
    )
    flat = np.concatenate([model.weights[0].ravel(), model.biases[0]])
    np.testing.assert_allclose(flat, expected.x, atol=1e-7)
    loss, gradient = convex(flat, x, y, decay, decay_biases)
    assert loss == pytest.approx(expected.fun, abs=1e-14)
    assert np.abs(gradient).max() < 1e-8
    assert 5 < len(history.epochs) < 200
    assert history.epochs[-1].train_loss == pytest.approx(fastmlp.evaluate(model, x, y).loss)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", [None, "layer"])
def test_the_loss_of_lbfgs_falls_from_iteration_to_iteration(dtype, norm):
    x, y = problem(dtype=dtype)
    model = fastmlp.MLP([6, 8, 3], dtype=dtype, norm=norm)
    before = fastmlp.evaluate(model, x, y).loss
    history = fit(model, x, y, epochs=25, optimizer=fastmlp.LBFGS(), validation_fraction=0.0)
    losses = [before, *(epoch.train_loss for epoch in history.epochs)]
    assert np.all(np.diff(losses) < 0)
    assert losses[-1] < before / 5
    # A record holds the loss at the parameters of the iteration's end.
    assert losses[-1] == pytest.approx(fastmlp.evaluate(model, x, y).loss, rel=1e-6)


def test_lbfgs_needs_no_batch_and_gives_the_same_bits_on_any_threads():
    model = network()
    fit(model, epochs=9, optimizer=fastmlp.LBFGS())
    for options in ({"batch_size": 7}, {"batch_size": "full"}, {"shuffle": False}, {"threads": 2}):
        other = network()
        fit(other, epochs=9, optimizer=fastmlp.LBFGS(), **options)
        assert_same_model(other, model)


@pytest.mark.parametrize("ending", [StopIteration, KeyboardInterrupt])
def test_an_end_in_the_midst_leaves_the_parameters_of_the_last_whole_iteration(ending):
    class Ends(fastmlp.Callback):
        def on_epoch_end(self, model, record):
            if record.epoch == 3 and ending is KeyboardInterrupt:
                raise KeyboardInterrupt
            return record.epoch == 3

    model, expected = network(), network()
    if ending is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            fit(model, epochs=9, optimizer=fastmlp.LBFGS(), callbacks=[Ends()])
    else:
        assert len(fit(model, epochs=9, optimizer=fastmlp.LBFGS(), callbacks=[Ends()]).epochs) == 3
    fit(expected, epochs=3, optimizer=fastmlp.LBFGS())
    assert_same_model(model, expected)


def test_lbfgs_stops_early_with_its_best_and_no_iterations_change_nothing():
    model = network()
    stopping = fastmlp.EarlyStopping(patience=3)
    options = {"validation_fraction": 0.3, "optimizer": fastmlp.LBFGS()}
    history = fit(model, epochs=100, callbacks=[stopping], **options)
    assert stopping.stopped_epoch == len(history.epochs) < 100
    expected = network()
    fit(expected, epochs=stopping.best_epoch, **options)
    assert_same_model(model, expected)
    untouched = network()
    assert fit(untouched, epochs=0, optimizer=fastmlp.LBFGS()).epochs == []
    assert_same_model(untouched, network())


def test_a_loss_that_is_not_finite_ends_lbfgs_with_the_parameters_before():
    x, y = problem(dtype="float32")
    model = fastmlp.MLP([6, 8, 3])
    before = model.parameters.tobytes()
    with pytest.raises(FloatingPointError, match=r"^the loss is NaN or infinite before"):
        fit(model, np.full_like(x, 3e38), y, optimizer=fastmlp.LBFGS())
    assert model.parameters.tobytes() == before


REFUSED = {
    "dropout": ({"dropout": 0.5}, {}),
    "dropout of a layer": ({"dropout": [0.1]}, {}),
    "dropout of the input": ({"input_dropout": 0.1}, {}),
    "batch norm": ({"norm": "batch"}, {}),
    "a schedule": ({}, {"schedule": fastmlp.Cosine()}),
    "clip_norm": ({}, {"clip_norm": 1.0}),
    "clip_value": ({}, {"clip_value": 1.0}),
    "max_norm": ({}, {"max_norm": 1.0}),
    "averaging": ({}, {"averaging": fastmlp.EMA()}),
    "augmentation": ({}, {"augmentation": fastmlp.Augmentation((2, 3), shift=1)}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_lbfgs_cannot_be_used_with_is_refused(case):
    settings, options = REFUSED[case]
    words = f"^optimizer LBFGS cannot be used with {case.split(' of ')[0]}: "
    with pytest.raises(ValueError, match=words):
        fit(network(**settings), optimizer=fastmlp.LBFGS(), **options)


def test_lbfgs_takes_a_constant_schedule_and_no_dropout_at_all():
    fit(
        network(dropout=[0.0], norm=[None]),
        optimizer=fastmlp.LBFGS(),
        schedule=fastmlp.Constant(),
    )


# --- padding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", [None, "layer", "batch", ["batch", "layer"]])
@pytest.mark.parametrize("activation", ["relu", "silu", "sigmoid"])
def test_training_leaves_the_padding_of_the_parameters_zero(norm, activation, dtype):
    x, y = problem(dtype=dtype)
    model = fastmlp.MLP([6, 17, 9, 3], norm=norm, activation=activation, dtype=dtype)
    fit(model, x, y, optimizer=fastmlp.Adam(weight_decay=0.1, decay_biases=True))
    logical = fastmlp.MLP([6, 17, 9, 3], norm=norm, activation=activation, dtype=dtype)
    logical.load_state_dict(model.state_dict())
    assert model.parameters.tobytes() == logical.parameters.tobytes()
