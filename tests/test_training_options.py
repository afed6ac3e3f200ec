"""What fit and train_step can be told, and what must then hold."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.implementations import IMPLEMENTATIONS

NAMES = list(IMPLEMENTATIONS)
LAYERS = [4, 6, 5, 3]
N = 22


@pytest.fixture(params=NAMES)
def api(request):
    return IMPLEMENTATIONS[request.param]


def make(api, layers=LAYERS, n=N, **settings):
    """A model, samples and labels; each class has some."""
    rng = np.random.default_rng(0)
    settings = {"activation": "tanh", "dtype": "float64", "seed": 3, **settings}
    x = rng.standard_normal((n, layers[0]))
    return api.MLP(layers, **settings), x, rng.permutation(n) % layers[-1]


def assert_same_bits(left, right):
    assert left.keys() == right.keys()
    for name, V in left.items():
        np.testing.assert_array_equal(V, right[name], err_msg=name)


def assert_close(left, right, rtol=1e-11):
    assert left.keys() == right.keys()
    for name, V in left.items():
        np.testing.assert_allclose(V, right[name], rtol=rtol, atol=1e-13, err_msg=name)


def curve(history):
    """The records without their seconds."""
    return [replace(epoch, seconds=0) for epoch in history.epochs]


# --- the arrays of a model ------------------------------------------------------------------------

NORMED = {"norm": ["batch", "layer"]}


def test_state_dict_names_every_array_layer_by_layer(api):
    model, _, _ = make(api, **NORMED)
    state = model.state_dict()
    assert list(state) == [
        *("W1", "b1", "scale1", "shift1", "mean1", "variance1"),
        *("W2", "b2", "scale2", "shift2", "W3", "b3"),
    ]
    assert [state[name].tolist() for name in ("scale1", "shift1", "mean1", "variance1")] == [
        [1.0] * 6, [0.0] * 6, [0.0] * 6, [1.0] * 6,
    ]  # fmt: skip
    trained = sum(V.size for name, V in state.items() if name not in ("mean1", "variance1"))
    assert model.n_parameters == trained
    assert list(make(api, [4, 3])[0].state_dict()) == ["W1", "b1"]


def test_a_state_dict_goes_into_another_model_as_copies(api):
    model, x, y = make(api, **NORMED)
    api.fit(model, x, y, epochs=2, batch_size=5)
    other = make(api, seed=9, **NORMED)[0]
    arrays = [*other.weights, *other.running_means]
    state = model.state_dict()
    other.load_state_dict(state)
    assert_same_bits(other.state_dict(), state)
    assert all(a is b for a, b in zip(arrays, [*other.weights, *other.running_means], strict=True))
    state["W1"][...] = 0
    assert other.weights[0].all()
    assert model.weights[0].all()


@pytest.mark.parametrize(
    ("change", "shows"),
    [
        (lambda state: state.pop("scale1"), "scale1"),
        (lambda state: state.update(W9=np.ones(3)), "W9"),
        (lambda state: state.update(b2=np.ones(4)), "(5,)"),
        (lambda state: state.update(W2=np.ones((5, 6))), "(6, 5)"),
    ],
    ids=["missing", "unknown", "ill-shaped", "transposed"],
)
def test_a_state_dict_of_another_model_is_refused(api, change, shows):
    model, _, _ = make(api, **NORMED)
    state = {name: V + 1 for name, V in model.state_dict().items()}
    before = model.state_dict()
    change(state)
    with pytest.raises(ValueError, match=r"^state ") as caught:
        model.load_state_dict(state)
    assert shows in str(caught.value)
    assert_same_bits(model.state_dict(), before)


def test_settings_are_kept_as_given(api):
    model = make(api, norm=[None, "batch"], dropout=(0.1, 0), activation=["relu", "silu"])[0]
    assert model.norm == (None, "batch")
    assert model.dropout == (0.1, 0.0)
    assert model.activation == ("relu", "silu")
    plain = make(api, loss="huber")[0]
    assert (plain.norm, plain.dropout, plain.activation) == (None, 0.0, "tanh")
    assert plain.loss == api.Huber(1.0)


# --- weights of samples and classes ---------------------------------------------------------------


def test_whole_sample_weights_are_repetitions(api):
    s = np.random.default_rng(1).integers(0, 4, N)
    models = []
    for repeated in (True, False):
        model, x, y = make(api)
        x, y = (np.repeat(x, s, axis=0), np.repeat(y, s)) if repeated else (x, y)
        weights = None if repeated else s
        settings = {"epochs": 3, "batch_size": "full", "sample_weight": weights}
        models.append((model.state_dict, api.fit(model, x, y, **settings)))
    (repeated, one), (weighted, other) = models
    assert_close(weighted(), repeated())
    for a, b in zip(one.epochs, other.epochs, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-12)


@pytest.mark.parametrize(
    "class_weight", [{0: 2.0, 2: 0.5}, [2.0, 1.0, 0.5], np.float32([2, 1, 0.5])], ids=str
)
def test_class_weights_are_sample_weights_of_the_classes(api, class_weight):
    by_class, x, y = make(api)
    one = api.fit(by_class, x, y, epochs=2, batch_size=8, class_weight=class_weight)
    by_sample, x, y = make(api)
    s = np.array([2.0, 1.0, 0.5])[y]
    other = api.fit(by_sample, x, y, epochs=2, batch_size=8, sample_weight=s)
    assert_close(by_class.state_dict(), by_sample.state_dict())
    assert one.epochs[1].train_loss == pytest.approx(other.epochs[1].train_loss, rel=1e-12)


def test_balanced_class_weights_are_those_of_scikit_learn(api):
    from sklearn.utils.class_weight import compute_class_weight

    model, x, _ = make(api, [4, 4])
    y = np.array([0] * 10 + [1] * 8 + [3] * 4)
    expected = np.zeros(4)
    expected[[0, 1, 3]] = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=y) * 3 / 4
    balanced = api.loss_and_gradients(model, x, y, class_weight="balanced")
    weighted = api.loss_and_gradients(model, x, y, class_weight=expected)
    assert balanced.loss == pytest.approx(weighted.loss, rel=1e-13)
    np.testing.assert_allclose(balanced.weights[0], weighted.weights[0], rtol=1e-12)


def test_balanced_weights_of_a_single_output_are_of_yes_and_no(api):
    model, x, _ = make(api, [4, 1], loss="binary_cross_entropy")
    y = np.array([1] * 4 + [0] * (N - 4))
    balanced = api.loss_and_gradients(model, x, y, class_weight="balanced")
    s = np.where(y == 1, N / 8, N / (2 * (N - 4)))
    weighted = api.loss_and_gradients(model, x, y, sample_weight=s)
    assert balanced.loss == pytest.approx(weighted.loss, rel=1e-13)
    np.testing.assert_allclose(balanced.weights[0], weighted.weights[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("cross_entropy", np.full((N, 3), 1 / 3)),
        ("binary_cross_entropy", np.zeros((N, 3))),
    ],
)
def test_balanced_needs_labels(api, loss, y):
    model, x, _ = make(api, loss=loss)
    with pytest.raises(ValueError, match=r"^class_weight 'balanced' needs"):
        api.fit(model, x, y, class_weight="balanced")


def test_what_does_not_count_has_no_loss_and_no_gradient(api):
    model, x, y = make(api)
    got = api.loss_and_gradients(model, x, y, class_weight=[0, 0, 0])
    assert got.loss == 0
    assert not any(dV.any() for dV in [*got.weights, *got.biases])


def test_an_evaluation_weighs_the_loss_and_not_the_accuracy(api):
    model, x, y = make(api)
    s = np.arange(N)
    parts = [api.evaluate(model, x[i : i + 1], y[i : i + 1]) for i in range(N)]
    got = api.evaluate(model, x, y, sample_weight=s)
    assert got.loss == pytest.approx(np.average([p.loss for p in parts], weights=s), rel=1e-12)
    assert got.accuracy == pytest.approx(np.mean([p.accuracy for p in parts]))


# --- losses ---------------------------------------------------------------------------------------


def test_one_output_takes_a_column_or_a_row_of_targets(api):
    for loss in ("squared_error", "binary_cross_entropy"):
        states = []
        for shape in ((N,), (N, 1)):
            model, x, _ = make(api, [4, 5, 1], loss=loss)
            y = np.random.default_rng(0).integers(0, 2, N).reshape(shape)
            history = api.fit(model, x, y, epochs=2, batch_size=8)
            states.append((model.state_dict(), curve(history)))
        assert_same_bits(states[0][0], states[1][0])
        assert states[0][1] == states[1][1]
        assert model.predict(x).shape == (N,)


def test_regression_has_no_accuracy(api):
    class Recorder(api.Callback):
        seen = ()

        def on_progress(self, samples, loss, accuracy):
            self.seen += ((samples, accuracy),)

    model, x, _ = make(api, [4, 5, 2], loss="squared_error")
    y, recorder = x[:, :2] + 1, Recorder()
    record = api.fit(
        model, x, y, epochs=1, batch_size=15, validation_data=(x, y), callbacks=[recorder],
        metrics=["r2", "loss"],
    ).epochs[0]  # fmt: skip
    assert all(accuracy is None for _, accuracy in recorder.seen)
    assert (record.train_accuracy, record.val_accuracy) == (None, None)
    assert record.metrics["loss"] == record.val_loss
    assert record.metrics["r2"] < 1
    assert api.evaluate(model, x, y).accuracy is None
    assert model.predict(x).shape == (N, 2)


def test_distributions_are_right_where_their_largest_share_is(api):
    model, x, _ = make(api)
    P = np.eye(3)[model.predict(x)] * 0.4 + 0.2
    assert api.evaluate(model, x, P).accuracy == 1
    P[:11] = np.roll(P[:11], 1, axis=1)
    assert api.evaluate(model, x, P).accuracy == 0.5


def test_a_label_is_the_distribution_that_has_all_in_one_place(api):
    model, x, y = make(api, loss=api.CrossEntropy(0.1))
    one, other = (api.loss_and_gradients(model, x, t) for t in (y, np.eye(3)[y]))
    assert one.loss == pytest.approx(other.loss, rel=1e-13)
    np.testing.assert_allclose(one.weights[0], other.weights[0], rtol=1e-11, atol=1e-15)


# --- dropout --------------------------------------------------------------------------------------


def test_dropout_acts_in_training_alone(api):
    model, x, y = make(api, dropout=0.5, input_dropout=0.2)
    plain, _, _ = make(api)
    np.testing.assert_array_equal(model.logits(x), plain.logits(x))
    assert api.evaluate(model, x, y) == api.evaluate(plain, x, y)
    one, other = (api.loss_and_gradients(m, x, y) for m in (model, plain))
    assert one.loss == other.loss
    api.fit(model, x, y, epochs=1)
    api.fit(plain, x, y, epochs=1)
    assert not np.array_equal(model.weights[0], plain.weights[0])


def test_the_seed_decides_the_masks(api):
    states = []
    for seed in (1, 1, 2):
        model, x, y = make(api, dropout=0.5)
        api.fit(model, x, y, epochs=2, batch_size="full", seed=seed)
        states.append(model.state_dict())
    assert_same_bits(states[0], states[1])
    assert not np.array_equal(states[0]["W1"], states[2]["W1"])


@pytest.mark.parametrize("stream", [0, 1])
def test_the_mask_is_the_word_of_each_place(api, stream):
    """The step of the last layer shows it: rate 0.5, so what is kept counts twice."""
    from reference.random import stream_key, threefry

    dropout = [{"input_dropout": 0.5}, {"dropout": 0.5}][stream]
    model = api.MLP([7, 7, 3], activation="identity", dtype="float64", **dropout)
    x, y = np.full((3, 7), 0.1), np.array([0, 1, 2])
    optimizer = api.SGD(1.0)
    for step in (1, 2):
        model.load_state_dict({**model.state_dict(), "W1": np.eye(7), "b1": np.zeros(7)})
        model.weights[1][...] = 0
        model.biases[1][...] = 0
        api.train_step(model, x, y, optimizer=optimizer, seed=5)
        key = stream_key(5, step, stream)
        expected = np.zeros((7, 3))
        for i in range(3):
            for j in range(7):
                counter = np.array([i // 2], np.uint32), np.array([j], np.uint32)
                if int(threefry(key, counter)[i % 2][0]) >= 2**31:
                    expected[j] += 0.2 * ((np.arange(3) == y[i]) - 1 / 3) / 3
        np.testing.assert_allclose(model.weights[1], expected, atol=1e-15)


# --- norms ----------------------------------------------------------------------------------------


def test_a_single_row_leaves_the_running_variance_and_moves_the_mean(api):
    model, x, y = make(api, norm="batch")
    Z = x[:1] @ model.weights[0] + model.biases[0]
    api.train_step(model, x[:1], y[:1])
    np.testing.assert_array_equal(model.running_variances[0], 1)
    np.testing.assert_allclose(model.running_means[0], 0.1 * Z[0], rtol=1e-12)


def test_a_diverging_step_leaves_the_running_statistics(api):
    model, x, y = make(api, norm="batch")
    model.weights[-1][...] = math.nan
    before = model.state_dict()
    with pytest.raises(FloatingPointError):
        api.train_step(model, x, y)
    assert_same_bits(model.state_dict(), before)


# --- resumption -----------------------------------------------------------------------------------


class Halving:
    """A schedule that remembers: the rate is halved after each epoch."""

    def start(self):
        return {"factor": 1.0}

    def rates(self, lr, steps, steps_per_epoch, epochs, state):
        assert steps[0] % steps_per_epoch == 1
        return lr * state["factor"] * (1 + steps / 100)

    def epoch_ended(self, state, record):
        state["factor"] /= 2


TRAININGS = {
    "momentum": ({"momentum": 0.9}, "SGD", {}, {}),
    "nadam, dropout": ({}, "NAdam", {}, {"dropout": 0.3, "input_dropout": 0.1}),
    "adagrad, a schedule": ({}, "Adagrad", {"schedule": Halving()}, {}),
    "rmsprop, a norm": ({"momentum": 0.5}, "RMSprop", {}, {"norm": "batch"}),
    "adam, ema": ({}, "Adam", {"averaging": lambda api: api.EMA(0.9)}, {"norm": "batch"}),
    "lion, swa": ({}, "Lion", {"averaging": lambda api: api.SWA(2)}, {}),
    "swa that begins later": ({}, "AdamW", {"averaging": lambda api: api.SWA(4)}, {}),
}


@pytest.mark.parametrize("cut", [0, 1, 3])
@pytest.mark.parametrize("case", TRAININGS)
def test_a_resumed_training_has_the_bits_of_one_that_was_never_cut(api, case, cut):
    settings, name, more, of_model = TRAININGS[case]
    optimizer = getattr(api, name)(**settings)
    more = {key: value(api) if callable(value) else value for key, value in more.items()}

    class StopAt(api.Callback):
        def on_epoch_end(self, model, record):
            return record.epoch == cut

    def fit(model, epochs, **resume):
        _, x, y = make(api)
        return api.fit(
            model, x, y, epochs=epochs, batch_size=8, optimizer=optimizer, seed=4,
            validation_data=(x, y), **more, **resume,
        )  # fmt: skip

    whole, _, _ = make(api, **of_model)
    parts, _, _ = make(api, **of_model)
    expected = fit(whole, 5)
    first = fit(parts, 5 if cut else 0, callbacks=[StopAt()])
    assert (first.state.epoch, first.state.step) == (cut, 3 * cut)
    json.dumps(first.state.schedule)
    for model in (parts, make(api, **of_model)[0]):  # a state can be gone on from twice
        second = fit(model, 5, resume=first.state)
        assert curve(second) == curve(expected)
        assert_same_bits(model.state_dict(), whole.state_dict())


def test_a_state_of_another_training_is_refused(api):
    model, x, y = make(api)
    state = api.fit(model, x, y, epochs=1, optimizer=api.Adam()).state
    before = model.state_dict()
    other, _, _ = make(api, [4, 5, 5, 3])
    for m, settings in (
        (model, {"optimizer": api.SGD()}),
        (other, {"optimizer": api.Adam()}),
        (model, {"optimizer": api.Adam(), "averaging": api.EMA()}),
    ):
        with pytest.raises(ValueError, match=r"^resume |to resume, as before"):
            api.fit(m, x, y, epochs=2, resume=state, **settings)
    with pytest.raises(TypeError, match=r"^resume must be a TrainingState"):
        api.fit(model, x, y, epochs=2, resume={"epoch": 1})
    assert_same_bits(model.state_dict(), before)


# --- schedules ------------------------------------------------------------------------------------


def test_a_schedule_sets_the_rate_of_each_step(api):
    scheduled, x, y = make(api)
    history = api.fit(
        scheduled, x, y, epochs=2, batch_size=8, shuffle=False, optimizer=api.SGD(0.4),
        schedule=Halving(),
    )  # fmt: skip
    by_hand, _, _ = make(api)
    for step in range(6):
        rows = slice(8 * (step % 3), 8 * (step % 3) + 8)
        lr = 0.4 * 0.5 ** (step // 3) * (1 + (step + 1) / 100)
        api.train_step(by_hand, x[rows], y[rows], optimizer=api.SGD(lr))
    assert_close(scheduled.state_dict(), by_hand.state_dict())
    rates = [epoch.learning_rate for epoch in history.epochs]
    assert rates == pytest.approx([0.4 * 1.03, 0.2 * 1.06], rel=1e-15)


# --- validation, and ends -------------------------------------------------------------------------


def test_the_split_takes_of_each_class_its_share(api):
    class Recorder(api.Callback):
        def on_train_begin(self, model, epochs, n_samples):
            self.n_samples = n_samples

    y = np.array([0] * 30 + [1] * 10 + [2])
    x = np.arange(41.0)[:, None] / 41
    rng = np.random.default_rng((7, 0))
    held_out = np.concatenate([
        rng.permutation(np.arange(30))[:6], rng.permutation(np.arange(30, 40))[:2],
    ])  # fmt: skip
    model, recorder = api.MLP([1, 3], dtype="float64"), Recorder()
    history = api.fit(model, x, y, epochs=1, validation_fraction=0.2, seed=7, callbacks=[recorder])
    assert recorder.n_samples == 33
    expected = api.evaluate(model, x[np.sort(held_out)], y[np.sort(held_out)])
    assert history.epochs[0].val_loss == pytest.approx(expected.loss, rel=1e-12)
    kept = np.setdiff1d(np.arange(41), held_out)
    twin = api.MLP([1, 3], dtype="float64")
    api.fit(twin, x[kept], y[kept], epochs=1, seed=7)
    assert_close(model.state_dict(), twin.state_dict())


def test_the_split_of_a_regression_is_of_all_samples(api):
    x = np.arange(10.0)[:, None] / 10
    model = api.MLP([1, 1], loss="squared_error", dtype="float64")
    history = api.fit(model, x, x[:, 0], epochs=1, validation_fraction=0.3, seed=7)
    rows = np.random.default_rng((7, 0)).permutation(10)[:3]
    expected = api.evaluate(model, x[rows], x[rows, 0]).loss
    assert history.epochs[0].val_loss == pytest.approx(expected, rel=1e-12)


def test_sample_weights_follow_the_split(api):
    model, x, y = make(api)
    s = np.arange(1, N + 1)
    api.fit(model, x, y, epochs=1, validation_fraction=0.3, seed=1, sample_weight=s)
    rng = np.random.default_rng((1, 0))
    held_out = np.concatenate([
        rows[: round(0.3 * len(rows))]
        for rows in (rng.permutation(np.flatnonzero(y == j)) for j in range(3))
    ])  # fmt: skip
    kept = np.setdiff1d(np.arange(N), held_out)
    twin, _, _ = make(api)
    api.fit(twin, x[kept], y[kept], epochs=1, seed=1, sample_weight=s[kept])
    assert_close(model.state_dict(), twin.state_dict())


def test_no_time_is_time_for_one_epoch(api):
    model, x, y = make(api)
    assert len(api.fit(model, x, y, epochs=9, max_seconds=0).epochs) == 1
    assert len(api.fit(model, x, y, epochs=9, max_seconds=1e9).epochs) == 9


def test_the_first_epoch_that_is_good_enough_is_the_last(api):
    settings = {"epochs": 60, "batch_size": 4, "optimizer": api.Adam(0.01)}
    model, x, y = make(api)
    scores = [
        e.val_accuracy for e in api.fit(model, x, y, validation_data=(x, y), **settings).epochs
    ]
    target = sorted(set(scores))[-2]
    first = next(i for i, score in enumerate(scores, start=1) if score >= target)
    assert 1 < first < 60
    model, _, _ = make(api)
    history = api.fit(model, x, y, validation_data=(x, y), target_accuracy=target, **settings)
    assert len(history.epochs) == first


# --- averages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["EMA", "SWA"])
def test_the_end_of_an_epoch_shows_the_average_and_training_goes_on_with_its_own(api, kind):
    class Recorder(api.Callback):
        def on_train_begin(self, model, epochs, n_samples):
            self.states = []

        def on_epoch_end(self, model, record):
            self.states.append((model.state_dict(), record.val_loss))

    runs = []
    for averaging in (None, api.EMA(0.5) if kind == "EMA" else api.SWA(2)):
        model, x, y = make(api)
        recorder = Recorder()
        api.fit(
            model, x, y, epochs=4, batch_size="full", averaging=averaging, callbacks=[recorder],
            validation_data=(x, y), optimizer=api.SGD(0.5),
        )  # fmt: skip
        runs.append(recorder.states)
        assert_same_bits(model.state_dict(), recorder.states[-1][0])
    own, seen = ([state["W1"] for state, _ in run] for run in runs)
    if kind == "EMA":
        expected = [own[0]]
        for W in own[1:]:
            expected.append(0.5 * expected[-1] + 0.5 * W)
    else:
        expected = [own[0], *(np.mean(own[1 : k + 1], axis=0) for k in (1, 2, 3))]
    for W, mean in zip(seen, expected, strict=True):
        np.testing.assert_allclose(W, mean, rtol=1e-12)
    other, x, y = make(api)
    for state, val_loss in runs[1]:
        other.load_state_dict(state)
        assert api.evaluate(other, x, y).loss == pytest.approx(val_loss, rel=1e-12)


# --- steps of one's own ---------------------------------------------------------------------------


def test_train_step_measures_before_its_update(api):
    model, x, y = make(api)
    before = api.evaluate(model, x, y)
    got = api.train_step(model, x, y)
    assert got.loss == pytest.approx(before.loss, rel=1e-13)
    assert got.accuracy == before.accuracy
    assert api.evaluate(model, x, y).loss < before.loss


def test_train_step_remembers_while_its_arguments_stay(api):
    def steps(optimizers, seeds=(0, 0, 0)):
        model, x, y = make(api, dropout=0.2)
        for optimizer, seed in zip(optimizers, seeds, strict=True):
            api.train_step(model, x, y, optimizer=optimizer, seed=seed)
        return model.state_dict()

    adam = api.Adam(0.01)
    kept = steps([adam, adam, adam])
    assert_same_bits(kept, steps([api.Adam(0.01) for _ in range(3)]))
    fitted, x, y = make(api, dropout=0.2)
    api.fit(fitted, x, y, epochs=3, batch_size="full", optimizer=adam)
    assert_close(kept, fitted.state_dict())

    anew, _, _ = make(api, dropout=0.2)
    api.fit(anew, x, y, epochs=1, batch_size="full", optimizer=api.SGD())
    api.fit(anew, x, y, epochs=2, batch_size="full", optimizer=adam)
    assert_close(steps([api.SGD(), adam, adam]), anew.state_dict())
    assert not np.array_equal(kept["W1"], steps([adam] * 3, (0, 0, 1))["W1"])


# --- L-BFGS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_lbfgs_finds_the_minimum_that_scikit_learn_finds(api, class_weight):
    from sklearn.linear_model import LogisticRegression

    model, x, _ = make(api, [4, 3])
    y = np.array([0] * 12 + [1] * 7 + [2] * 3)
    decay = 0.01
    optimizer = api.LBFGS(weight_decay=decay, tolerance_grad=1e-9, tolerance_change=0)
    history = api.fit(model, x, y, epochs=500, optimizer=optimizer, class_weight=class_weight)
    assert len(history.epochs) < 500
    theirs = LogisticRegression(
        C=1 / (N * decay), class_weight=class_weight, tol=1e-10, max_iter=10_000
    ).fit(x, y)
    np.testing.assert_allclose(model.weights[0].T, theirs.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(x), theirs.predict_proba(x), rtol=1e-5)
    losses = [epoch.train_loss for epoch in history.epochs]
    weighted = {"class_weight": class_weight}
    assert losses[-1] == pytest.approx(api.loss_and_gradients(model, x, y, **weighted).loss)


def test_an_iteration_of_lbfgs_is_an_epoch_that_callbacks_may_end(api):
    class Recorder(api.Callback):
        events = ()

        def on_epoch_begin(self, model, epoch):
            self.events += (("begin", epoch),)

        def on_epoch_end(self, model, record):
            self.events += (("end", record.epoch, record.val_loss),)
            return record.epoch == 3

    model, x, y = make(api)
    recorder = Recorder()
    history = api.fit(
        model, x, y, epochs=9, optimizer=api.LBFGS(), callbacks=[recorder],
        validation_data=(x, y),
    )  # fmt: skip
    assert [event[:2] for event in recorder.events] == [
        (kind, epoch) for epoch in (1, 2, 3) for kind in ("begin", "end")
    ]
    assert [e.epoch for e in history.epochs] == [1, 2, 3]
    assert history.epochs[2].val_loss == pytest.approx(history.epochs[2].train_loss, rel=1e-12)
    assert api.evaluate(model, x, y).loss == history.epochs[2].val_loss


def test_lbfgs_does_not_start_where_the_loss_is_not_finite(api):
    model, x, y = make(api)
    model.weights[-1][...] = math.nan
    with pytest.raises(FloatingPointError, match=r"loss is (nan|NaN)"):
        api.fit(model, x, y, optimizer=api.LBFGS())


def test_lbfgs_trains_every_kind_of_parameter(api):
    model, x, y = make(api, norm="layer")
    before = model.state_dict()
    first, *_, last = api.fit(model, x, y, epochs=8, optimizer=api.LBFGS()).epochs
    assert last.train_loss < first.train_loss
    for name, V in model.state_dict().items():
        # The bias before a batch norm has no effect.
        assert name == "b1" or not np.array_equal(V, before[name])


# --- what is refused ------------------------------------------------------------------------------

BAD_SETTINGS = {
    "both clips": ({"clip_norm": 1, "clip_value": 1}, ValueError, "clip_norm and clip_value"),
    "clip of nothing": ({"clip_norm": 0}, ValueError, "clip_norm must be"),
    "negative clip": ({"clip_value": -1.0}, ValueError, "clip_value must be"),
    "clip as text": ({"clip_norm": "1"}, TypeError, "clip_norm must be"),
    "max_norm": ({"max_norm": 0.0}, ValueError, "max_norm must be"),
    "max_seconds": ({"max_seconds": -1}, ValueError, "max_seconds must be"),
    "no validation": ({"target_accuracy": 0.5}, ValueError, "target_accuracy needs validation"),
    "accuracy of 2": (
        {"target_accuracy": 2, "validation_fraction": 0.5}, ValueError, "target_accuracy",
    ),
    "metrics alone": ({"metrics": ["f1"]}, ValueError, "metrics"),
    "unknown metric": ({"metrics": ["f2"], "validation_fraction": 0.5}, ValueError, "metrics"),
    "averaging": ({"averaging": 0.9}, TypeError, "averaging must be"),
    "augmentation": ({"augmentation": "flip"}, TypeError, "augmentation must be"),
    "schedule": ({"schedule": 0.1}, TypeError, "schedule must"),
    "fraction of 1": ({"validation_fraction": 1}, ValueError, "validation_fraction must be"),
    "small fraction": ({"validation_fraction": 0.001}, ValueError, "validation_fraction 0.001"),
    "weights of others": ({"sample_weight": np.ones(N - 1)}, ValueError, "sample_weight must"),
    "negative weight": ({"sample_weight": -np.ones(N)}, ValueError, "sample_weight must"),
    "nan weight": ({"sample_weight": np.full(N, np.nan)}, ValueError, "sample_weight must"),
    "no weight": ({"sample_weight": np.zeros(N)}, ValueError, "sample_weight must"),
    "weights as text": ({"sample_weight": ["1"] * N}, TypeError, "sample_weight must"),
    "two class weights": ({"class_weight": [1, 2]}, ValueError, "class_weight must"),
    "negative class": ({"class_weight": {-1: 1}}, ValueError, "class_weight"),
    "class too large": ({"class_weight": {3: 1}}, ValueError, "class_weight"),
    "class of text": ({"class_weight": {"a": 1}}, TypeError, "class_weight"),
    "negative class weight": ({"class_weight": {1: -1}}, ValueError, "class_weight"),
    "class weight name": ({"class_weight": "equal"}, ValueError, "class_weight must"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_a_bad_setting_is_refused_in_one_line(api, case):
    settings, kind, start = BAD_SETTINGS[case]
    model, x, y = make(api)
    before = model.state_dict()
    with pytest.raises((TypeError, ValueError)) as caught:
        api.fit(model, x, y, **settings)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)
    assert_same_bits(model.state_dict(), before)


def test_both_kinds_of_validation_are_refused(api):
    model, x, y = make(api)
    with pytest.raises(ValueError, match=r"^validation_fraction"):
        api.fit(model, x, y, validation_data=(x, y), validation_fraction=0.1)


@pytest.mark.parametrize(
    ("loss", "y", "kind", "start"),
    [
        ("squared_error", np.arange(N), ValueError, "y holds labels"),
        ("huber", np.ones((N, 2)), ValueError, "y must have shape ("),
        ("absolute_error", np.full((N, 3), np.inf), ValueError, "y must "),
        ("poisson", -np.ones((N, 3)), ValueError, "y must hold numbers"),
        ("binary_cross_entropy", np.full((N, 3), 1.5), ValueError, "y must hold numbers"),
        ("binary_cross_entropy", np.ones(N), ValueError, "y must have shape"),
        ("squared_error", np.full((N, 3), "a"), TypeError, "y must hold real numbers"),
        ("cross_entropy", np.ones((N, 3)), ValueError, "y must hold rows of probabilities"),
    ],
)
def test_targets_that_the_loss_cannot_take_are_refused(api, loss, y, kind, start):
    model, x, _ = make(api, loss=loss)
    with pytest.raises((TypeError, ValueError)) as caught:
        api.fit(model, x, y)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize(
    ("settings", "kind", "start"),
    [
        ({"activation": ["relu"]}, ValueError, "activation must be one value"),
        ({"activation": ["relu", "rleu"]}, ValueError, "activation[1] must be one of"),
        ({"norm": "bacth"}, ValueError, "norm must be None"),
        ({"norm": [None, None, None]}, ValueError, "norm must be one value"),
        ({"dropout": 1}, ValueError, "dropout must be a"),
        ({"dropout": [0.1, -0.1]}, ValueError, "dropout[1] must be a"),
        ({"dropout": "0.1"}, TypeError, "dropout must be a"),
        ({"input_dropout": math.nan}, ValueError, "input_dropout must be a"),
        ({"loss": "mse"}, ValueError, "loss must be"),
        ({"loss": len}, TypeError, "loss must be"),
    ],
)
def test_a_bad_model_is_refused(api, settings, kind, start):
    with pytest.raises((TypeError, ValueError)) as caught:
        api.MLP(LAYERS, **settings)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(start)


def test_bad_losses_optimizers_and_averages_are_refused(api):
    for make_it, start in (
        (lambda: api.CrossEntropy(1.0), "label_smoothing must be"),
        (lambda: api.Huber(0), "delta must be"),
        (lambda: api.SGD(momentum=1), "momentum must be"),
        (lambda: api.SGD(nesterov=True), "nesterov needs a momentum"),
        (lambda: api.AdamW(weight_decay=-1), "weight_decay must be"),
        (lambda: api.Adagrad(lr_multipliers=[1, -1]), "lr_multipliers[1] must be"),
        (lambda: api.RMSprop(alpha=2), "alpha must be"),
        (lambda: api.LBFGS(history_size=0), "history_size must be"),
        (lambda: api.EMA(1.0), "decay must be"),
        (lambda: api.SWA(0), "start_epoch must be"),
    ):
        with pytest.raises(ValueError, match=r"must|needs") as caught:
            make_it()
        assert str(caught.value).startswith(start)
    model, x, y = make(api)
    with pytest.raises(ValueError, match=r"^lr_multipliers must hold"):
        api.fit(model, x, y, optimizer=api.SGD(lr_multipliers=[1, 2]))


def test_what_is_for_steps_is_refused_with_lbfgs(api):
    model, x, y = make(api)
    settings = {"clip_norm": 1, "averaging": api.EMA(), "schedule": Halving(), "max_norm": 1}
    for name, value in settings.items():
        with pytest.raises(ValueError, match=rf"LBFGS.*{name}|^{name}.*LBFGS"):
            api.fit(model, x, y, optimizer=api.LBFGS(), **{name: value})
    with pytest.raises((TypeError, ValueError), match=r"^optimizer "):
        api.train_step(model, x, y, optimizer=api.LBFGS())
    with pytest.raises(ValueError, match=r"LBFGS.*dropout|^dropout.*LBFGS"):
        api.fit(make(api, dropout=0.1)[0], x, y, optimizer=api.LBFGS())
