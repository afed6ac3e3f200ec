"""What looks right and is not: refused before any work, with the model as it was."""

import threading

import numpy as np
import pytest

import fastmlp
from benchmarks.implementations import IMPLEMENTATIONS

RNG = np.random.default_rng(0)
X = RNG.random((60, 6)).astype(np.float32)
Y = np.arange(60) % 3
REAL = RNG.random((60, 2))

each = pytest.mark.parametrize("api", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)


def model(api=fastmlp, **settings):
    return api.MLP([6, 5, 3], **settings)


def regressor(api=fastmlp):
    return api.MLP([6, 5, 2], loss="squared_error")


def assert_refused(network, call, words, kind=ValueError):
    before = network.state_dict()
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@each
def test_an_accuracy_that_regression_does_not_have_cannot_be_monitored(api):
    network = regressor(api)
    for settings in (
        {"schedule": api.ReduceOnPlateau(monitor="train_accuracy")},
        {"callbacks": [api.EarlyStopping("train_accuracy")]},
        {"callbacks": [api.EarlyStopping("val_accuracy")], "validation_fraction": 0.2},
    ):
        assert_refused(
            network, lambda s=settings: api.fit(network, X, REAL, **s), "accuracy, which squared"
        )


@pytest.mark.parametrize("name", ["clip_norm", "clip_value", "max_norm"])
@pytest.mark.parametrize("value", [1e-60, 1e-40, 1e39])
def test_a_limit_that_float32_cannot_hold_is_refused(name, value):
    network = model()
    for call in (fastmlp.fit, fastmlp.train_step):
        assert_refused(
            network, lambda c=call: c(network, X, Y, **{name: value}), f"^{name} must be above 0"
        )
    fastmlp.fit(model(dtype="float64"), X, Y, epochs=1, **{name: value})


@pytest.mark.parametrize("kind", [fastmlp.Adam, fastmlp.NAdam, fastmlp.RMSprop, fastmlp.Adagrad])
def test_an_eps_that_counts_as_zero_is_refused(kind):
    network = model()
    assert_refused(
        network, lambda: fastmlp.fit(network, X, Y, optimizer=kind(eps=1e-38)), "^eps must be above"
    )


def test_a_delta_or_an_accumulator_that_float32_cannot_hold_is_refused():
    with pytest.raises(ValueError, match=r"^delta must be above 0 and finite in float32"):
        fastmlp.MLP([6, 2], loss=fastmlp.Huber(1e-46))
    network = model()
    optimizer = fastmlp.Adagrad(initial_accumulator=1e39)
    assert_refused(
        network, lambda: fastmlp.fit(network, X, Y, optimizer=optimizer), "^initial_accumulator"
    )


def test_an_update_that_ends_in_infinity_is_not_passed_over():
    network = model()
    with pytest.raises(FloatingPointError, match="parameters became NaN or infinite in the last"):
        fastmlp.fit(network, X, Y, epochs=1, batch_size="full", optimizer=fastmlp.SGD(1e39))


def test_weights_that_leave_nothing_to_train_on_are_refused():
    network = model()
    assert_refused(
        network,
        lambda: fastmlp.fit(network, X, Y, class_weight=[0, 0, 0]),
        "^sample_weight and class_weight leave no sample",
    )


@pytest.mark.parametrize(
    "rates", [np.nan, -1.0, np.ones(3), None, "fast"], ids=["nan", "negative", "3", "None", "text"]
)
def test_what_a_schedule_of_ones_own_gives_is_checked(rates):
    class Own(fastmlp.schedules.Schedule):
        def rates(self, lr, steps, steps_per_epoch, epochs, state):
            return np.full(len(steps), rates) if isinstance(rates, float) else rates

    network = model()
    assert_refused(
        network,
        lambda: fastmlp.fit(network, X, Y, batch_size=30, schedule=Own()),
        "^schedule must give",
        (TypeError, ValueError),
    )


def test_a_schedule_whose_minimum_is_above_the_rate_is_refused_before_anyone_hears_of_training():
    class Listener(fastmlp.Callback):
        def on_train_begin(self, *_):
            raise AssertionError

    network = model()
    settings = {"schedule": fastmlp.Cosine(minimum=0.5), "callbacks": [Listener()]}
    assert_refused(
        network, lambda: fastmlp.fit(network, X, Y, epochs=4, **settings), "minimum must be"
    )


@each
def test_a_run_goes_on_with_the_settings_it_had(api):
    network = model(api)
    state = api.fit(network, X, Y, epochs=2, sample_weight=np.ones(60)).state
    for settings in (
        {"sample_weight": np.ones(60), "seed": 1},
        {"sample_weight": np.ones(60), "batch_size": 7},
        {"sample_weight": np.ones(60), "optimizer": api.SGD(0.2)},
        {"sample_weight": np.ones(60), "class_weight": [1, 2, 3]},
        {"sample_weight": np.ones(60), "clip_norm": 1.0},
        {"sample_weight": np.ones(60), "schedule": api.Exponential(0.5)},
    ):
        assert_refused(
            network,
            lambda s=settings: api.fit(network, X, Y, epochs=3, resume=state, **s),
            "to resume, as before",
        )


def test_other_weights_and_other_ends_of_a_schedule_are_no_continuation():
    network = model()
    settings = {"schedule": fastmlp.Cosine(), "batch_size": 16}
    state = fastmlp.fit(network, X, Y, epochs=2, **settings).state
    for call, words in (
        (
            lambda: fastmlp.fit(network, X, Y, epochs=4, resume=state, **settings),
            "^epochs must be 2",
        ),
        (
            lambda: fastmlp.fit(network, X, Y[::-1], epochs=2, resume=state, **settings),
            "^y or the weights must be",
        ),
    ):
        assert_refused(network, call, words)
    settings["schedule"] = fastmlp.Exponential(0.9)  # whose rates do not depend on the end
    state = fastmlp.fit(network, X, Y, epochs=2, **settings).state
    assert len(fastmlp.fit(network, X, Y, epochs=4, resume=state, **settings).epochs) == 4


def test_what_buffers_were_chosen_by_cannot_be_changed():
    network = model()
    for name in ("activation", "layers", "loss", "norm", "dropout", "input_dropout", "dtype"):
        with pytest.raises(AttributeError, match=f"^{name} of an MLP cannot be changed"):
            setattr(network, name, getattr(network, name))


@pytest.mark.parametrize(
    "bad", [np.array(["q"] * 5, object), np.full(5, 1e300), np.ones(5, complex), ["1"] * 5]
)
def test_a_state_that_cannot_be_cast_changes_nothing(bad):
    network = model()
    state = {name: array + 1 for name, array in network.state_dict().items()} | {"b1": bad}
    assert_refused(
        network,
        lambda: network.load_state_dict(state),
        "^state b1 must be",
        (TypeError, ValueError),
    )
    with pytest.raises((TypeError, ValueError), match="must be"):
        network.biases[0] = bad


def test_every_target_is_checked_before_the_rate_is_looked_for():
    x, y = np.tile(X, (20, 1)), np.tile(Y, 20)
    for name, values in (("y", np.where(np.arange(1200) == 1000, 3, y)), ("sample_weight", None)):
        weight = np.ones(1200)
        if values is None:
            values, weight[1000] = y, -1
        with pytest.raises(ValueError, match=rf"^{name} must .*\[1000\]"):
            fastmlp.find_learning_rate(
                model(), x, values, sample_weight=weight, steps=5, batch_size=10
            )


@pytest.mark.parametrize("one", ["trainer", "train_step"])
def test_steps_may_come_from_several_threads(one):
    network = model()
    trainer = fastmlp.Trainer(network, threads=2)
    step = (
        trainer.step
        if one == "trainer"
        else (lambda x, y: fastmlp.train_step(network, x, y, threads=2))
    )

    def work():
        for _ in range(40):
            step(X, Y)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not any(worker.is_alive() for worker in workers)
    steps = trainer.steps if one == "trainer" else network._trainer[1].steps
    assert steps == 120
    trainer.close()


def test_classes_in_the_place_of_objects_are_refused():
    network = model()
    for settings in ({"schedule": fastmlp.Cosine}, {"callbacks": [fastmlp.EarlyStopping]}):
        assert_refused(
            network, lambda s=settings: fastmlp.fit(network, X, Y, **s), "must", TypeError
        )


def test_one_run_at_a_time_writes_into_a_folder(tmp_path):
    class Second(fastmlp.Callback):
        def on_epoch_end(self, model_, record):
            (tmp_path / ".fastmlp-0").touch()  # as a writer has while it writes
            other = model()
            with pytest.raises(ValueError, match="is written by another run at this moment"):
                fastmlp.fit(other, X, Y, epochs=1, callbacks=[fastmlp.Checkpoint(tmp_path)])
            assert (tmp_path / ".fastmlp-0").exists()

    first = fastmlp.Checkpoint(tmp_path)
    history = fastmlp.fit(model(), X, Y, epochs=2, callbacks=[first, Second()])
    with pytest.raises(ValueError, match="holds checkpoints of another run"):
        fastmlp.fit(model(), X, Y, epochs=1, callbacks=[fastmlp.Checkpoint(tmp_path)])
    fastmlp.fit(
        model(), X, Y, epochs=3, resume=history.state, callbacks=[fastmlp.Checkpoint(tmp_path)]
    )
    assert fastmlp.load_checkpoint(tmp_path).state.epoch == 3


def test_lbfgs_writes_no_checkpoints_that_could_not_be_resumed(tmp_path):
    network = model()
    settings = {"optimizer": fastmlp.LBFGS(), "callbacks": [fastmlp.Checkpoint(tmp_path)]}
    assert_refused(network, lambda: fastmlp.fit(network, X, Y, **settings), "LBFGS.*checkpoints")
    assert not any(tmp_path.iterdir())


def test_a_log_of_a_run_that_goes_on_has_each_epoch_once(tmp_path):
    path = tmp_path / "log.jsonl"
    state = fastmlp.fit(model(), X, Y, epochs=2, callbacks=[fastmlp.JSONLinesLog(path)]).state
    path.write_text(path.read_text() + '{"epoch": 3}\n{"epo')  # written, but in no checkpoint
    log = fastmlp.JSONLinesLog(path, append=True)
    fastmlp.fit(model(), X, Y, epochs=4, resume=state, callbacks=[log])
    epochs = [line.split(",")[0] for line in path.read_text().splitlines()]
    assert epochs == [f'{{"epoch": {k}' for k in (1, 2, 3, 4)]


def test_the_rate_is_looked_for_with_class_weights_as_fit_has_them():
    for loss, y in (("cross_entropy", Y), (fastmlp.CrossEntropy(label_smoothing=0.1), Y)):
        curves = []
        for weights in (
            {"class_weight": "balanced"},
            {"class_weight": [1, 1, 1]},
            {"class_weight": [1, 0, 5], "sample_weight": np.ones(60)},
        ):
            curve = fastmlp.find_learning_rate(
                model(loss=loss), X, y, steps=5, batch_size=20, **weights
            )
            curves.append(curve.losses)
        np.testing.assert_allclose(curves[0], curves[1], rtol=1e-6)  # 20 of each class
        assert (np.abs(curves[2] - curves[1]) > 1e-3).all()


@each
def test_an_evaluation_can_weigh_the_classes(api):
    network = model(api)
    parts = [api.evaluate(network, X[k == Y], Y[k == Y]).loss for k in range(3)]
    got = api.evaluate(network, X, Y, class_weight=[1, 0, 2])
    assert got.loss == pytest.approx((parts[0] + 2 * parts[2]) / 3, rel=1e-5)
