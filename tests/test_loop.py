"""The training loop with what stands around it: metrics, early stopping, logs, as the docs say."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.implementations import IMPLEMENTATIONS

each = pytest.mark.parametrize("api", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
PAGE = Path(__file__).resolve().parents[1] / "docs" / "loop.md"


def problem():
    """Few samples and many labels that are wrong: the validation loss soon rises."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 6))
    y = (x[:, 0] + rng.standard_normal(120) > 0).astype(int)
    return (x[:80], y[:80]), (x[80:], y[80:])


def fit(api, model, **settings):
    (x, y), validation = problem()
    return api.fit(
        model,
        x,
        y,
        epochs=60,
        batch_size=16,
        optimizer=api.Adam(lr=0.02),
        validation_data=validation,
        **settings,
    )


@each
def test_early_stopping_gives_the_model_of_a_run_that_ends_at_the_best_epoch(api):
    stopping = api.EarlyStopping(patience=4)
    model = api.MLP([6, 32, 2], dtype="float64")
    history = fit(api, model, callbacks=[stopping])
    losses = [epoch.val_loss for epoch in history.epochs]
    best = int(np.argmin(losses)) + 1
    assert stopping.best_epoch == best == stopping.stopped_epoch - 4 == len(losses) - 4
    assert len(losses) < 60
    assert api.evaluate(model, *problem()[1]).loss == pytest.approx(losses[best - 1], rel=1e-12)


@each
def test_metrics_are_measured_each_epoch_and_can_be_monitored(api):
    stopping = api.EarlyStopping("f1", patience=3)
    model = api.MLP([6, 32, 2])
    history = fit(api, model, metrics=["f1", "accuracy"], callbacks=[stopping])
    columns = history.to_dict()
    assert columns["accuracy"] == columns["val_accuracy"]
    assert stopping.best_value == max(columns["f1"]) == columns["f1"][stopping.best_epoch - 1]


@each
def test_what_is_monitored_is_missed_before_any_work(api):
    (x, y), _ = problem()
    model = api.MLP([6, 2])
    before = model.weights[0].copy()
    with pytest.raises(ValueError, match=r"^EarlyStopping monitors val_loss.*validation"):
        api.fit(model, x, y, callbacks=[api.EarlyStopping()])
    np.testing.assert_array_equal(model.weights[0], before)


@each
def test_callbacks_are_called_in_the_order_of_a_training(api):
    calls = []
    names = [name for name in dir(api.Callback) if name.startswith("on_")]
    watch = type("Watch", (), {n: lambda self, *_, n=n: calls.append(n) for n in names})()
    (x, y), _ = problem()
    history = api.fit(api.MLP([6, 2]), x, y, epochs=2, callbacks=[watch])
    assert len(history.epochs) == 2
    assert [name for name in calls if name != "on_progress"] == [
        "on_train_begin",
        *["on_epoch_begin", "on_epoch_end"] * 2,
        "on_train_end",
    ]
    # How often is the engine's choice; it is inside an epoch.
    within = [calls[k - 1] for k, name in enumerate(calls) if name == "on_progress"]
    assert set(within) <= {"on_epoch_begin", "on_progress"}


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 6
    names = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["stopping"].best_epoch is not None
    lines = (tmp_path / "digits.jsonl").read_text()
    assert lines == (tmp_path / "history.jsonl").read_text()
    assert list(names["frame"]["epoch"]) == [epoch.epoch for epoch in names["history"].epochs]
    assert 0.05 < names["curve"].suggestion < 2
    assert (tmp_path / "rates.png").stat().st_size > 10_000
