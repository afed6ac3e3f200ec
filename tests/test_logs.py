"""Logs: each epoch is in the file when it ends, and progress lines do without an accuracy."""

import io
import json
import math
import sys

import numpy as np
import pytest

import fastmlp
from fastmlp.progress import show_progress


def records():
    return [
        fastmlp.Epoch(1, 0.5, 2.0, 0.25, 2.5, 0.125, 0.1, {"f1": 0.5}),
        fastmlp.Epoch(2, 0.25, 1.0, 0.75, math.inf, 0.5, 0.05, {"f1": math.nan}),
        fastmlp.Epoch(3, 0.25, 1.0, None, None, None, 0.05),
    ]


def run(log, epochs, interrupted=False):
    log.on_train_begin(None, len(epochs), 100)
    for record in epochs:
        log.on_epoch_begin(None, record.epoch)
        log.on_progress(100, record.train_loss, record.train_accuracy)
        assert not log.on_epoch_end(None, record)
    if not interrupted:
        log.on_train_end(None, fastmlp.History(list(epochs)))


# --- JSON Lines -----------------------------------------------------------------------------------


def test_the_lines_are_those_of_the_history(tmp_path):
    run(fastmlp.JSONLinesLog(tmp_path / "log.jsonl"), records())
    fastmlp.History(records()).to_jsonl(tmp_path / "history.jsonl")
    content = (tmp_path / "log.jsonl").read_bytes()
    assert content == (tmp_path / "history.jsonl").read_bytes()
    assert [json.loads(line)["epoch"] for line in content.splitlines()] == [1, 2, 3]
    assert b"NaN" not in content
    assert b"Infinity" not in content


def test_a_line_is_there_when_its_epoch_ends(tmp_path):
    path = tmp_path / "log.jsonl"
    log = fastmlp.JSONLinesLog(str(path))
    log.on_train_begin(None, 3, 100)
    for count, record in enumerate(records(), start=1):
        log.on_epoch_end(None, record)
        assert path.read_bytes().count(b"\n") == count


@pytest.mark.parametrize(("append", "epochs"), [(False, [3]), (True, [1, 2, 3])])
def test_a_second_training_begins_anew_or_appends(tmp_path, append, epochs):
    path = tmp_path / "log.jsonl"
    run(fastmlp.JSONLinesLog(path, append), records()[:2], interrupted=True)
    run(fastmlp.JSONLinesLog(path, append), records()[2:])
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == epochs


def test_a_file_that_is_there_stays_until_the_training_begins(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("old")
    log = fastmlp.JSONLinesLog(path)
    assert path.read_text() == "old"
    log.on_train_begin(None, 1, 100)
    assert path.read_text() == ""


@pytest.mark.parametrize("place", ["", "nowhere/log.jsonl"])
def test_a_path_that_cannot_be_written_is_refused_before_any_work(tmp_path, place):
    with pytest.raises(ValueError, match=r"^path: "):
        fastmlp.JSONLinesLog(tmp_path / place)


def test_append_is_true_or_false(tmp_path):
    with pytest.raises(TypeError, match=r"^append must be True or False, not 'yes'"):
        fastmlp.JSONLinesLog(tmp_path / "log.jsonl", append="yes")


def test_fit_writes_a_line_an_epoch(tmp_path):
    x, y = np.eye(4, dtype=np.float32), np.arange(4) % 2
    log = fastmlp.JSONLinesLog(tmp_path / "log.jsonl")
    history = fastmlp.fit(fastmlp.MLP([4, 2]), x, y, epochs=3, callbacks=[log], threads=1)
    history.to_jsonl(tmp_path / "history.jsonl")
    assert log.path.read_bytes() == (tmp_path / "history.jsonl").read_bytes()
    assert log.path.read_bytes().count(b"\n") == 3


# --- TensorBoard ----------------------------------------------------------------------------------


def scalars_in(folder):
    """Name: (epochs, values), as TensorBoard reads them."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    ).EventAccumulator(str(folder))
    accumulator.Reload()
    tensor = pytest.importorskip("tensorboard.util.tensor_util").make_ndarray
    return {
        name: [(event.step, float(tensor(event.tensor_proto))) for event in events]
        for name in accumulator.Tags()["tensors"]
        for events in [accumulator.Tensors(name)]
    }


def test_tensorboard_reads_every_number_that_an_epoch_has(tmp_path):
    pytest.importorskip("tensorboard")
    run(fastmlp.TensorBoard(tmp_path / "runs" / "a"), records())
    scalars = scalars_in(tmp_path / "runs" / "a")
    assert scalars["loss/train"] == [(1, 2.0), (2, 1.0), (3, 1.0)]
    assert scalars["accuracy/train"] == [(1, 0.25), (2, 0.75)]
    assert scalars["loss/validation"] == [(1, 2.5), (2, math.inf)]
    assert scalars["accuracy/validation"] == [(1, 0.125), (2, 0.5)]
    assert scalars["seconds"] == [(1, 0.5), (2, 0.25), (3, 0.25)]
    assert scalars["learning_rate"] == [(e.epoch, np.float32(e.learning_rate)) for e in records()]
    assert scalars["metrics/f1"][0] == (1, 0.5)
    assert math.isnan(scalars["metrics/f1"][1][1])
    assert len(scalars) == 7


def test_numbers_are_on_disk_when_their_epoch_ends(tmp_path):
    pytest.importorskip("tensorboard")
    log = fastmlp.TensorBoard(str(tmp_path))
    run(log, records()[:2], interrupted=True)
    assert [epoch for epoch, _ in scalars_in(tmp_path)["loss/train"]] == [1, 2]
    run(log, records()[2:])  # after an exception, in the same folder
    assert len(list(tmp_path.iterdir())) == 2
    assert [epoch for epoch, _ in scalars_in(tmp_path)["loss/train"]] == [1, 2, 3]


def test_without_the_package_one_line_says_what_to_install(monkeypatch, tmp_path):
    for module in ("tensorboard", "tensorboard.summary"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[tensorboard\]'") as caught:
        fastmlp.TensorBoard(tmp_path / "runs")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


# --- progress -------------------------------------------------------------------------------------


def test_progress_lines_say_what_there_is():
    stream = io.StringIO()
    run(show_progress(stream), records())
    first, _, third = stream.getvalue().splitlines()
    assert "  loss 2.0000  accuracy 25.00%  val loss 2.5000  val accuracy 12.50%  f1 0.5" in first
    assert "loss 1.0000" in third
    assert "accuracy" not in third
    assert "None" not in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_does_without_an_accuracy(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    bar = show_progress(stream)
    assert type(bar).__name__ == "ProgressBar"
    validated = fastmlp.Epoch(1, 0.5, 2.0, None, 2.5, None, 0.1)
    run(bar, [validated])
    bar.close()
    assert "loss 2.0000" in stream.getvalue()
    assert "val loss 2.5000" in stream.getvalue()
    assert "accuracy" not in stream.getvalue()
