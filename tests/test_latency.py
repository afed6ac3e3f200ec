"""The benchmark of latency: what it counts, and what it refuses."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import latency

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "latency.py"
FIGURES = ["p50", "p99", "p99.9", "max"]


@pytest.mark.parametrize(("calls", "threads"), [(1, 1), (10, 4), (7, 4)])
def test_every_call_is_timed_and_the_threads_share_them(calls, threads):
    made = []

    def side():
        made.append([])
        return made[-1].append

    rows = [np.zeros(1), np.ones(1)]
    found = latency.measure(side, rows, calls, threads)
    counts = sorted(len(seen) - latency.WARM_UP for seen in made)
    assert sum(counts) == calls
    assert counts[-1] - counts[0] <= 1
    values = [found[name] for name in FIGURES]
    assert 0 < values[0] <= values[1] <= values[2] <= values[3]


def test_the_figures_are_quantiles_in_microseconds(monkeypatch):
    readings = iter(range(10**9))
    monkeypatch.setattr(latency, "WARM_UP", 0)
    taken = iter(range(1000, 101_000, 1000))  # 1, 2, ..., 100 us

    def clock():
        return next(taken) if next(readings) % 2 else 0

    monkeypatch.setattr(time, "perf_counter_ns", clock)
    found = latency.measure(lambda: lambda x: None, [np.zeros(1)], 100, 1)
    assert [found[name] for name in FIGURES] == [51, 100, 100, 100]


def test_a_side_that_predicts_something_else_is_not_measured():
    task = latency.at_hand(latency.TASK)
    rows = [np.zeros((1, 784), np.float32)]
    made, _ = latency.sides(task)
    latency.check(made, rows, task)
    wrong = {"another": lambda: lambda x: np.zeros((1, 10))}
    with pytest.raises(ArithmeticError, match="another differs from the reference"):
        latency.check(wrong, rows, task)


def test_the_command_measures_all_sides_from_one_and_from_four_threads():
    command = [sys.executable, str(SCRIPT), "--calls", "40", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["schema"], result["calls"], result["layers"]) == (
        "fastmlp.latency/1",
        40,
        [784, 128, 10],
    )
    assert result["clock_ns"] > 0
    sides = ["fastmlp, model", "fastmlp", "fastmlp, out=", "onnxruntime", "onnxruntime, bound"]
    lines = [(line["side"], line["threads"]) for line in result["latencies"]]
    assert lines == [(side, threads) for threads in (1, 4) for side in sides]
    assert all(line[name] > 0 for line in result["latencies"] for name in FIGURES)
    assert len(latency.table(result).splitlines()) == 2 + 10


def test_ctrl_c_ends_it_at_once():
    """A hundred million calls would take many minutes, of each side."""
    command = [sys.executable, str(SCRIPT), "--calls", "100000000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stderr.readline() == "fastmlp, model, threads: 1\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (130, "", "latency.py: error: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--calls", "0"], "--calls: the value must be an integer from 1"),
        (["--json", "absent/x.json"], "absent is no folder"),
        (["more"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_one_line(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["latency.py", *arguments])
    with pytest.raises(SystemExit) as exit:
        latency.main()
    out, err = capsys.readouterr()
    assert (exit.value.code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
