"""`History`: columns, JSON Lines and DataFrames say the same, in both engines."""

import dataclasses
import json
import math
import sys

import numpy as np
import pytest

from benchmarks.implementations import IMPLEMENTATIONS
from fastmlp.history import PHASES

each = pytest.mark.parametrize("api", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)


def classifier(api):
    """Two epochs; the second asks for a metric more, and its validation loss overflowed."""
    return api.History(
        [
            api.Epoch(1, 0.5, 2.0, 0.25, 2.5, 0.125, 0.1, {"f1": 0.5}),
            api.Epoch(2, 0.25, 1.0, 0.75, math.inf, 0.5, 0.05, {"f1": math.nan, "top_2": 1.0}),
        ]
    )


def regressor(api):
    return api.History([api.Epoch(1, 0.5, 2.0, None, None, None, 0.1)])


@each
def test_columns_are_the_fields_in_their_order_then_the_metrics(api):
    history = classifier(api)
    columns = history.to_dict()
    names = [field.name for field in dataclasses.fields(api.Epoch)][:-1]
    assert list(columns) == [*names, "f1", "top_2"]
    assert all(len(column) == len(history.epochs) for column in columns.values())
    for name in names:
        assert columns[name] == [getattr(epoch, name) for epoch in history.epochs]
    assert columns["f1"][0] == 0.5
    assert math.isnan(columns["f1"][1])
    assert columns["top_2"] == [None, 1.0]


@each
def test_a_history_without_epochs_has_every_column_empty(api, tmp_path):
    columns = api.History().to_dict()
    assert set(columns) == {field.name for field in dataclasses.fields(api.Epoch)} - {"metrics"}
    assert all(column == [] for column in columns.values())
    api.History().to_jsonl(tmp_path / "empty.jsonl")
    assert (tmp_path / "empty.jsonl").read_bytes() == b""


@each
def test_a_line_holds_the_fields_of_an_epoch_and_is_plain_json(api, tmp_path):
    path = tmp_path / "history.jsonl"
    history = classifier(api)
    history.to_jsonl(path)

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    lines = [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]
    assert lines[0] == dataclasses.asdict(history.epochs[0])
    expected = dataclasses.asdict(history.epochs[1])
    assert lines[1] == expected | {"val_loss": None, "metrics": {"f1": None, "top_2": 1.0}}


@each
def test_none_stays_null(api, tmp_path):
    regressor(api).to_jsonl(str(tmp_path / "history.jsonl"))
    line = json.loads((tmp_path / "history.jsonl").read_text())
    assert [line[name] for name in ("train_accuracy", "val_loss", "val_accuracy")] == [None] * 3
    assert line["metrics"] == {}


def test_both_engines_write_the_same_bytes(tmp_path):
    contents = []
    for name, api in IMPLEMENTATIONS.items():
        classifier(api).to_jsonl(tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert len(set(contents)) == 1
    assert len(contents) == 2


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    for api in IMPLEMENTATIONS.values():
        with pytest.raises(OSError, match="nowhere"):
            classifier(api).to_jsonl(tmp_path / "nowhere" / "history.jsonl")


@each
def test_a_dataframe_has_a_row_an_epoch(api):
    pandas = pytest.importorskip("pandas")
    frame = classifier(api).to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(classifier(api).to_dict())
    assert frame["epoch"].tolist() == [1, 2]
    assert frame["train_loss"].dtype == np.float64
    np.testing.assert_array_equal(frame["val_accuracy"], [0.125, 0.5])
    assert len(api.History().to_dataframe()) == 0


@each
def test_without_pandas_one_line_says_what_to_install(api, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"^History\.to_dataframe needs pandas, .*$") as caught:
        classifier(api).to_dataframe()
    assert "pip install pandas" in str(caught.value)
    assert "\n" not in str(caught.value)


@each
def test_epochs_do_not_share_their_metrics(api):
    one, other = (api.Epoch(k, 0.5, 2.0, None, None, None, 0.1) for k in (1, 2))
    assert one.metrics == {}
    assert one.metrics is not other.metrics


def test_the_phases_are_no_field_of_the_record_that_both_engines_share():
    fields = [
        [field.name for field in dataclasses.fields(api.History)]
        for api in IMPLEMENTATIONS.values()
    ]
    assert fields[0] == fields[1]
    assert tuple(IMPLEMENTATIONS["fast"].History().phase_seconds) == PHASES
