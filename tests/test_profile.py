"""``--profile``: where the time of a run goes, and the peak that it is compared with."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.config import TrainConfig
from fastmlp.engine.engine import Engine
from fastmlp.history import PHASES, History
from fastmlp.kernels import peak
from fastmlp.kernels.simd import fma, lanes, load, store
from fastmlp.kernels.target import TARGET
from fastmlp.result import profile_of, profile_table_of
from tests.jitted import jitted

ROOT = Path(__file__).resolve().parents[1]
DTYPES = ["float32", "float64"]
PRODUCTS = ["forward", "backward", "update"]


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    rng = np.random.default_rng(0)
    y = np.arange(130) % 3
    x = rng.standard_normal((130, 20)).astype(np.float32) + y[:, None]
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:30], y_test=y[:30])
    return str(path)


def run(*options):
    return subprocess.run(
        [sys.executable, "-m", "fastmlp.train", "--quiet", *map(str, options)],
        cwd=ROOT,
        env=os.environ | {"FASTMLP_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def table_in(text):
    """The profile's rows: name, and the numbers of each."""
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if line.split()[:1] == ["phase"])
    rows = {}
    for line in lines[start + 1 : lines.index("", start)]:
        name, *numbers = line.replace("%", "").split()
        rows[name] = [float(number) for number in numbers]
    return rows


# --- the command ----------------------------------------------------------------------------------

SMALL = ("--hidden", 8, 5, "--epochs", 3, "--batch-size", 16)


def test_the_profile_stands_below_the_result_and_its_shares_sum_to_one(blobs):
    done = run("--data", blobs, *SMALL, "--threads", 2, "--profile")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.index("test accuracy") < done.stdout.index("us/step")
    rows = table_in(done.stdout)
    assert list(rows) == [*PHASES, "step"]
    assert sum(rows[phase][1] for phase in PHASES) == pytest.approx(100, abs=0.35)  # of rounding
    assert rows["step"][1] == 100
    for name, numbers in rows.items():
        assert len(numbers) == (5 if name in [*PRODUCTS, "step"] else 3)
    for line in ("measured in this run", "can exceed the peak", "zeros are skipped"):
        assert line in done.stdout


def test_the_json_object_gets_the_profile_and_nothing_else(blobs, tmp_path):
    path = tmp_path / "result.json"
    done = run("--data", blobs, *SMALL, "--threads", 2, "--profile", "--json", path)
    assert done.returncode == 0, done.stderr
    assert "us/step" in done.stdout
    result = json.loads(path.read_text())
    plain = json.loads(run("--data", blobs, *SMALL, "--threads", 2, "--json", "-").stdout)
    assert "profile" not in plain
    assert list(result) == [*plain, "profile"]
    assert result["parameter_sha256"] == plain["parameter_sha256"]
    profile = result["profile"]
    assert list(profile) == ["phases", "fma_peak_gflops_per_core", "steps"]
    assert list(profile["phases"]) == list(PHASES)
    assert profile["steps"] == 3 * math.ceil(130 / 16)
    assert profile["fma_peak_gflops_per_core"] > 0
    flops = {"forward": 20 * 8 + 8 * 5 + 5 * 3, "backward": 8 * 5 + 5 * 3}
    flops["update"] = flops["forward"]
    for name, phase in profile["phases"].items():
        assert list(phase) == ["seconds", "gflops"]
        assert phase["seconds"] > 0
        if name in PRODUCTS:
            done_flops = phase["gflops"] * phase["seconds"] * 1e9
            assert done_flops == pytest.approx(2 * flops[name] * 130 * 3)
        else:
            assert phase["gflops"] is None
    # The phases are parts of the training passes, so they cannot be longer.
    spent = sum(phase["seconds"] for phase in profile["phases"].values())
    assert spent <= sum(epoch["seconds"] for epoch in result["epochs"])


def test_with_json_on_stdout_the_profile_is_in_the_object_alone(blobs):
    done = run("--data", blobs, *SMALL, "--profile", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert "steps" in json.loads(done.stdout)["profile"]


@pytest.mark.parametrize("options", [("--epochs", 0), ("--hidden", "--batch-size", "full")])
def test_a_run_without_steps_or_without_backward_has_a_profile(blobs, options):
    done = run("--data", blobs, "--epochs", 2, *options, "--profile")
    assert done.returncode == 0, done.stderr
    rows = table_in(done.stdout)
    assert list(rows) == [*PHASES, "step"]
    assert len(rows["backward"]) == 3, "nothing is propagated back, at no rate"
    assert len(rows["forward"]) == (3 if "--epochs" in options else 5)


def test_the_reference_has_no_profile(blobs, tmp_path):
    options = ("--data", blobs, "--engine", "reference", "--profile", "--save", tmp_path / "model")
    done = run(*options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("fastmlp.train: error: --profile ")
    assert done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_without_the_flag_there_is_no_profile(blobs):
    assert TrainConfig().profile is False
    assert "us/step" not in run("--data", blobs, *SMALL).stdout


# --- its numbers ----------------------------------------------------------------------------------


def made_up(**changes):
    result = {"layers": [100, 50, 10], "batch_size": 128, "n_train": 1000, "threads": 4}
    result |= {"epochs": [{}, {}], **changes}
    seconds = {"gather": 0.5, "forward": 1.0, "head": 0.25, "backward": 0.125, "update": 2.0}
    seconds |= {"wait": 0.125}
    return {**result, "profile": profile_of(result, seconds, fma_peak=0.005)}


def test_rates_are_those_of_the_dense_products():
    profile = made_up()["profile"]
    assert profile["steps"] == 2 * 8
    assert {name: phase["gflops"] for name, phase in profile["phases"].items()} == {
        "gather": None,
        "forward": pytest.approx(2000 * 2 * (5000 + 500) / 1e9),
        "head": None,
        "backward": pytest.approx(2000 * 2 * 500 / 0.125 / 1e9),
        "update": pytest.approx(2000 * 2 * (5000 + 500) / 2 / 1e9),
        "wait": None,
    }
    assert made_up(batch_size="full")["profile"]["steps"] == 2


def test_the_table_shows_shares_times_and_fractions_of_the_peak():
    rows = table_in(profile_table_of(made_up(layers=[1000, 50, 10]), cores=8))
    flops = 2000 * 2 * np.array([50_500, 500, 50_500])
    assert rows["gather"] == [0.5, 12.5, 31250]
    assert rows["forward"] == [1, 25, 62500, pytest.approx(0.2), pytest.approx(0.202 / 0.02, 1e-3)]
    assert rows["update"][3:] == [pytest.approx(0.1), pytest.approx(0.101 / 0.02, 1e-3)]
    assert rows["step"] == [4, 100, 250000, pytest.approx(0.1), pytest.approx(5.07, abs=0.02)]
    assert rows["step"][4] == pytest.approx(flops.sum() / 4 / 1e9 / 0.02, abs=0.005)


def test_more_threads_than_cores_do_not_raise_the_peak():
    free, shared = (table_in(profile_table_of(made_up(), cores)) for cores in (8, 2))
    assert shared["forward"][4] == pytest.approx(2 * free["forward"][4], rel=0.02)


# --- the history ----------------------------------------------------------------------------------


@pytest.mark.parametrize("idle", [0, 1, 3])
def test_the_history_holds_the_mean_over_working_threads_summed_over_epochs(monkeypatch, idle):
    seconds = np.zeros((2 + idle, 8))
    seconds[:2, :6] = [[1, 2, 4, 8, 16, 32], [32, 1, 2, 4, 8, 16]]  # 63 each; two columns are spare
    monkeypatch.setattr(Engine, "phase_seconds", lambda self: seconds)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 6)), np.arange(40) % 3
    model = fastmlp.MLP([6, 4, 3])
    history = fastmlp.fit(model, x, y, epochs=3, batch_size=8, threads=2)
    expected = 3 * np.array([33, 3, 6, 12, 24, 48]) / 2
    assert list(history.phase_seconds) == list(PHASES)
    np.testing.assert_allclose(list(history.phase_seconds.values()), expected)


def test_the_history_counts_the_training_passes_and_not_their_validation():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 6)), np.arange(40) % 3
    validation = rng.standard_normal((20_000, 6)), np.arange(20_000) % 3
    model = fastmlp.MLP([6, 4, 3])
    history = fastmlp.fit(model, x, y, epochs=2, batch_size=8, validation_data=validation)
    assert list(history.phase_seconds) == list(PHASES)
    assert history.phase_seconds["update"] > 0, "that of the validation would be 0"
    assert sum(history.phase_seconds.values()) <= sum(epoch.seconds for epoch in history.epochs)


def test_histories_do_not_share_their_seconds():
    one, other = History(), History()
    one.phase_seconds["wait"] += 1
    assert other.phase_seconds == dict.fromkeys(PHASES, 0.0)


# --- the peak -------------------------------------------------------------------------------------


@jitted
def apply_fma(x, y, z, out):
    for j in range(0, x.shape[1], lanes(x)):
        store(out, 0, j, fma(load(x, 0, j), load(y, 0, j), load(z, 0, j)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_fma_is_the_product_and_the_sum(dtype):
    rng = np.random.default_rng(0)
    x, y, z = rng.standard_normal((3, 1, 64)).astype(dtype)
    out = np.empty_like(x)
    apply_fma(x, y, z, out)
    bound = 2 * np.finfo(dtype).eps * (np.abs(x * y) + np.abs(z))
    assert (np.abs(out - (x.astype(float) * y + z)) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_the_chains_do_every_step_that_is_counted(dtype, count):
    A = np.ones((1, 1), dtype)
    lane_count = TARGET.vector_bytes // A.itemsize
    # x - 2 is halved by each step. All numbers here are exact.
    expected = lane_count * sum(2 + (x - 2) / 2**count for x in range(peak.CHAINS))
    assert peak.chains(A, count) == expected
    assert peak.flops_of(count, A.dtype) == 2 * count * peak.CHAINS * lane_count


def test_the_chains_end_where_they_neither_overflow_nor_vanish():
    A = np.ones((1, 1), np.float32)
    assert peak.chains(A, 1000) == 2 * peak.CHAINS * TARGET.vector_bytes // 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_peak_is_the_best_rate_of_pieces_long_enough(dtype, monkeypatch):
    """A clock of our own: a chain's FMA takes a nanosecond, and every third piece is disturbed."""
    now, calls = [0.0], [0]

    def chains(A, count):
        calls[0] += 1
        now[0] += count * 1e-9 * (5 if calls[0] % 3 == 0 else 1)

    monkeypatch.setattr(peak, "chains", chains)
    monkeypatch.setattr(peak.time, "perf_counter", lambda: now[0])
    gflops = peak.fma_peak(np.dtype(dtype), seconds=0.01)
    assert gflops == pytest.approx(peak.flops_of(1, np.dtype(dtype)))
    assert 0.01 < now[0] < 0.1


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_peak_of_this_machine_is_a_positive_number(dtype):
    gflops = peak.fma_peak(np.dtype(dtype), seconds=0.001)
    assert type(gflops) is float
    assert 0 < gflops < 1e5


def test_the_peak_is_compiled_only_when_asked_for():
    code = "import fastmlp.train, fastmlp.engine.engine as e, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    loaded = done.stdout.split()
    assert "fastmlp.engine.engine" in loaded
    assert "fastmlp.kernels.peak" not in loaded
