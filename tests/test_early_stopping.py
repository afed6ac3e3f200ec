"""`EarlyStopping` in both engines: when it stops, what it gives back, and that it goes on."""

import importlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.implementations import IMPLEMENTATIONS

each = pytest.mark.parametrize("api", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)


class Model:
    """Parameters that say in which epoch they were made."""

    def __init__(self):
        self.W1 = np.zeros(2)

    def state_dict(self):
        return {"W1": self.W1.copy()}

    def load_state_dict(self, state):
        assert list(state) == ["W1"]
        self.W1[...] = state["W1"]


def run(api, stopping, values, model=None, begin=0, end=True):
    """A training whose epochs measure ``values`` of what is monitored; gives the last epoch."""
    model = Model() if model is None else model
    history = api.History()
    stopping.on_train_begin(model, len(values), 100)
    for epoch, value in enumerate(values, start=begin + 1):
        stopping.on_epoch_begin(model, epoch)
        model.W1[...] = epoch
        stopping.on_progress(100, 1.0, None)
        history.epochs.append(record(api, stopping.monitor, epoch, value))
        if stopping.on_epoch_end(model, history.epochs[-1]):
            break
    if end:
        stopping.on_train_end(model, history)
    return model, begin + len(history.epochs)


def record(api, monitor, epoch, value):
    plain = api.Epoch(epoch, 0.1, 1.0, None, None, None, 0.1)
    if hasattr(plain, monitor):
        return replace(plain, **{monitor: value})
    return replace(plain, metrics={monitor: value})


@each
def test_it_stops_after_patience_epochs_without_a_new_best_and_gives_the_best_back(api):
    stopping = api.EarlyStopping(patience=3)
    model, last = run(api, stopping, [5, 3, 4, 2, 2, 3, 2.5, 0])
    assert (last, stopping.stopped_epoch) == (7, 7)
    assert (stopping.best_epoch, stopping.best_value) == (4, 2)
    np.testing.assert_array_equal(model.W1, 4)


@each
def test_the_best_comes_back_also_if_the_epochs_run_out(api):
    stopping = api.EarlyStopping(patience=5)
    model, last = run(api, stopping, [3, 1, 2, 2])
    assert (last, stopping.stopped_epoch, stopping.best_epoch) == (4, None, 2)
    np.testing.assert_array_equal(model.W1, 2)


@each
def test_without_restoring_the_last_parameters_stay(api):
    stopping = api.EarlyStopping(patience=2, restore_best=False)
    model, last = run(api, stopping, [1, 2, 3, 4])
    assert (last, stopping.best_epoch) == (3, 1)
    np.testing.assert_array_equal(model.W1, 3)


@each
@pytest.mark.parametrize(
    ("monitor", "less_is_better"),
    [
        ("val_loss", True),
        ("train_loss", True),
        ("loss", True),
        ("mae", True),
        ("mse", True),
        ("val_accuracy", False),
        ("train_accuracy", False),
        ("accuracy", False),
        ("top_5", False),
        ("f1", False),
        ("r2", False),
        ("precision", False),
        ("recall", False),
    ],
)
def test_each_name_is_monitored_in_its_own_direction(api, monitor, less_is_better):
    stopping = api.EarlyStopping(monitor, patience=1)
    values = [0.5, 0.4] if less_is_better else [0.4, 0.5]
    run(api, stopping, values)
    assert stopping.stopped_epoch is None
    assert (stopping.best_epoch, stopping.best_value) == (2, values[1])
    run(api, stopping, values[::-1])
    assert (stopping.best_epoch, stopping.stopped_epoch) == (1, 2)


@each
def test_an_improvement_is_larger_than_min_delta(api):
    stopping = api.EarlyStopping(patience=2, min_delta=0.25)
    run(api, stopping, [1.0, 0.75, 0.5, 0.25])
    # 0.75 is better by no more than that; 0.5 is, against the best and not against the last.
    assert (stopping.best_epoch, stopping.best_value, stopping.stopped_epoch) == (3, 0.5, None)
    accuracy = api.EarlyStopping("val_accuracy", patience=2, min_delta=0.25)
    run(api, accuracy, [0.25, 0.5, 0.375, 0.75])
    assert (accuracy.best_epoch, accuracy.stopped_epoch) == (1, 3)


@each
def test_what_is_not_finite_is_no_improvement(api):
    stopping = api.EarlyStopping("val_accuracy", patience=2)
    run(api, stopping, [math.inf, 0.5, math.nan, math.inf])
    assert (stopping.best_epoch, stopping.stopped_epoch) == (2, 4)
    model, last = run(api, stopping, [math.nan, math.nan, 0.5])
    assert (last, stopping.best_epoch, stopping.best_value) == (2, None, None)
    np.testing.assert_array_equal(model.W1, 2)  # there is no best to give back


@each
def test_a_second_training_begins_anew(api):
    stopping = api.EarlyStopping(patience=1)
    run(api, stopping, [1, 2])
    model, last = run(api, stopping, [9, 8, 7])
    assert (last, stopping.best_epoch, stopping.best_value) == (3, 3, 7)
    assert stopping.stopped_epoch is None
    np.testing.assert_array_equal(model.W1, 3)


@each
@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_a_state_goes_on_as_if_nothing_had_happened(api, cut):
    values = [5, 3, 4, 2, 3, 2.5, 2, 0]
    whole = api.EarlyStopping(patience=3)
    expected, last = run(api, whole, values)

    first = api.EarlyStopping(patience=3)
    model, _ = run(api, first, values[:cut], end=False)
    state = first.state()
    numbers = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
    arrays = {k: v.copy() for k, v in state.items() if isinstance(v, np.ndarray)}
    second = api.EarlyStopping(patience=3)
    second.set_state(json.loads(json.dumps(numbers)) | arrays)
    model, end = run(api, second, values[cut:], model=model, begin=cut)
    assert end == last == 7
    assert (second.best_epoch, second.best_value) == (whole.best_epoch, whole.best_value)
    assert second.stopped_epoch == whole.stopped_epoch
    np.testing.assert_array_equal(model.W1, expected.W1)
    # And the training after that is a new one.
    run(api, second, [9])
    assert (second.best_epoch, second.best_value) == (1, 9)


@each
def test_a_state_before_any_value_is_a_state(api):
    stopping = api.EarlyStopping(patience=1)
    stopping.set_state(api.EarlyStopping().state())
    model, _ = run(api, stopping, [1, 2])
    np.testing.assert_array_equal(model.W1, 1)


@each
def test_a_state_may_also_come_after_the_beginning_of_its_training(api):
    first, second = api.EarlyStopping(patience=2), api.EarlyStopping(patience=2)
    run(api, first, [1, 2], end=False)
    second.on_train_begin(None, 9, 100)
    second.set_state(first.state())
    assert second.on_epoch_end(Model(), record(api, "val_loss", 3, 2.0))
    second.on_train_end(Model(), api.History())
    assert (second.best_epoch, second.stopped_epoch) == (1, 3)
    run(api, second, [9])
    assert second.best_value == 9


@each
def test_a_state_of_another_monitor_is_refused(api):
    with pytest.raises(ValueError, match=r"val_loss.*train_loss"):
        api.EarlyStopping().set_state(api.EarlyStopping("train_loss").state())


@each
def test_the_kept_parameters_are_no_view_of_the_model(api):
    stopping = api.EarlyStopping(patience=9)
    model, _ = run(api, stopping, [1, 2, 3], end=False)
    np.testing.assert_array_equal(model.W1, 3)
    np.testing.assert_array_equal(stopping.state()["parameters.W1"], 1)


# --- what is refused ------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "f1"])
def test_without_validation_data_check_refuses_what_needs_them(api, monitor):
    with pytest.raises(ValueError, match=f"^EarlyStopping monitors {monitor}.*validation"):
        api.EarlyStopping(monitor).check(False, ("f1",))
    api.EarlyStopping(monitor).check(True, ("f1",))
    api.EarlyStopping("train_loss").check(False, ())
    api.EarlyStopping("train_accuracy").check(False, ())


@each
@pytest.mark.parametrize("metrics", [(), ("r2", "mae")])
def test_a_metric_must_be_among_those_of_the_training(api, metrics):
    with pytest.raises(ValueError, match=r"^EarlyStopping monitors f1.*metrics") as caught:
        api.EarlyStopping("f1").check(True, metrics)
    assert all(name in str(caught.value) for name in metrics)


@each
@pytest.mark.parametrize("monitor", ["val_loss", "train_accuracy", "f1"])
def test_a_value_that_an_epoch_does_not_have_is_refused_at_its_end(api, monitor):
    stopping = api.EarlyStopping(monitor)
    plain = api.Epoch(1, 0.1, 1.0, None, None, None, 0.1)
    with pytest.raises(ValueError, match=f"^EarlyStopping monitors {monitor}.*epoch 1"):
        stopping.on_epoch_end(Model(), plain)


@each
@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("monitor", "val_los", ValueError),
        ("monitor", "top_k", ValueError),
        ("monitor", None, ValueError),
        ("patience", 0, ValueError),
        ("patience", 1.5, TypeError),
        ("min_delta", -0.1, ValueError),
        ("min_delta", math.nan, ValueError),
        ("min_delta", "small", TypeError),
        ("restore_best", 1, TypeError),
    ],
)
def test_wrong_arguments_are_refused_in_one_line_that_names_them(api, argument, value, error):
    with pytest.raises(error, match=f"^{argument}") as caught:
        api.EarlyStopping(**{argument: value})
    assert "\n" not in str(caught.value)


@each
def test_check_needs_asks_those_that_have_needs(api):
    callbacks = importlib.import_module(f"{api.__name__}.callbacks")
    callbacks.check_needs([api.Callback(), api.EarlyStopping("train_loss")], False, ())
    with pytest.raises(ValueError, match=r"^EarlyStopping monitors val_loss"):
        callbacks.check_needs([api.Callback(), api.EarlyStopping()], False, ())


@each
@pytest.mark.parametrize(
    "missing",
    ["on_train_begin", "on_epoch_begin", "on_progress", "on_epoch_end", "on_train_end"],
)
def test_a_callback_of_another_class_must_have_all_five_methods(api, missing):
    methods = {name: lambda *_: None for name in dir(api.Callback) if name.startswith("on_")}
    assert missing in methods
    whole = type("Own", (), methods)()
    x, y = np.eye(4, dtype=np.float32), np.arange(4) % 2
    assert len(api.fit(api.MLP([4, 2]), x, y, epochs=1, callbacks=[whole]).epochs) == 1
    partial = type("Own", (), {k: v for k, v in methods.items() if k != missing})()
    with pytest.raises(TypeError, match=f"^callbacks must have a method {missing}"):
        api.fit(api.MLP([4, 2]), x, y, epochs=1, callbacks=[partial])
