"""The command ``python -m fastmlp.train``, run as its users run it."""

import dataclasses
import fcntl
import functools
import hashlib
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

import fastmlp
import reference
from fastmlp.config import RATES, TrainConfig
from fastmlp.data.dataset import make_dataset
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.prepare import split
from fastmlp.words import flag_of

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "fastmlp.train"]
TIMEOUT = 300
DEFAULTS = TrainConfig()
MNIST_FILES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]
ENGINES = ["fast", "reference"]


def environment(**changes):
    """That of the tests, offline; a change to None removes a variable."""
    plain = {"FASTMLP_OFFLINE": "1", "FASTMLP_NUM_THREADS": None, "PYTHONWARNINGS": None}
    plain |= {"COLUMNS": "80", "NO_COLOR": None, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    merged = {**os.environ, **plain, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def run(*options, command=COMMAND, cwd=ROOT, **changes):
    return subprocess.run(
        [*command, *map(str, options)],
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


@functools.cache
def run_once(*options):
    """One run for all tests that ask for the same."""
    done = run(*options)
    assert done.returncode == 0, done.stderr
    return done


def result_of(*options):
    return json.loads(run_once(*options, "--json", "-").stdout)


def assert_fails(done, status, *words):
    """Nothing on stdout, and one line on stderr that holds all of ``words``."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("fastmlp.train: error: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    for word in words:
        assert word in done.stderr


def write_blobs(path, test_seed=0):
    """Three clouds in the plane, four standard deviations apart."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    centres = np.array([[0, 0], [4, 0], [0, 4]])
    x = (centres[y] + rng.standard_normal((120, 2))).astype(np.float32)
    noise = np.random.default_rng(test_seed).standard_normal((30, 2))
    x_test = (centres[y[:30]] + noise).astype(np.float32)
    np.savez(path, x_train=x, y_train=y, x_test=x_test, y_test=y[:30])
    return str(path)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    return write_blobs(tmp_path_factory.mktemp("data") / "blobs.npz")


@pytest.fixture
def mnist():
    """Nothing if MNIST lies in FASTMLP_DATA_DIR; set but without the files is a failure."""
    folder = os.environ.get("FASTMLP_DATA_DIR")
    if not folder:
        pytest.skip("FASTMLP_DATA_DIR is not set, so MNIST is not at hand")
    for name in MNIST_FILES:
        assert (Path(folder) / "mnist" / name).is_file(), f"{folder} holds no mnist/{name}"


SMALL = ("--hidden", 8, "--epochs", 3, "--batch-size", 16)

# --- the result -----------------------------------------------------------------------------------

SCHEMA = {
    "schema": str,
    "data": str,
    "engine": str,
    "layers": list,
    "activation": str,
    "optimizer": str,
    "learning_rate": float,
    "batch_size": int,
    "dtype": str,
    "threads": int,
    "seed": int,
    "n_train": int,
    "n_test": int,
    "parameters": int,
    "epochs": list,
    "train_seconds": float,
    "load_seconds": float,
    "compile_seconds": float,
    "test_loss": float,
    "test_accuracy": float,
    "samples_per_second": float,
    "peak_rss_bytes": int,
    "parameter_sha256": str,
    "versions": dict,
    "cpu": str,
    "config": dict,
}
EPOCH_SCHEMA = {
    "epoch": int,
    "seconds": float,
    "train_loss": float,
    "train_accuracy": float,
    "val_loss": float,
    "val_accuracy": float,
    "learning_rate": float,
}


def assert_schema(value, schema):
    assert list(value) == list(schema)
    assert {name: type(item) for name, item in value.items()} == schema


@pytest.mark.parametrize("engine", ENGINES)
def test_the_json_object_has_the_schema_and_is_consistent(engine):
    options = ("--data", "digits", *SMALL, "--val-fraction", 0.2, "--threads", 2, "--seed", 3)
    result = result_of(*options, "--engine", engine)
    assert_schema(result, SCHEMA)
    for number, epoch in enumerate(result["epochs"], start=1):
        assert_schema(epoch, EPOCH_SCHEMA)
        assert epoch["epoch"] == number
        assert epoch["learning_rate"] == DEFAULTS.lr
        assert 0 < epoch["seconds"] <= result["train_seconds"]
        for name in ("train_accuracy", "val_accuracy"):
            assert 0 < epoch[name] <= 1
    expected = {
        "schema": "fastmlp.train/1",
        "data": "digits",
        "engine": engine,
        "layers": [64, 8, 10],
        "activation": "relu",
        "optimizer": "sgd",
        "learning_rate": DEFAULTS.lr,
        "batch_size": 16,
        "dtype": "float32",
        "threads": 2,
        "seed": 3,
        "n_train": 1148,
        "n_test": 360,
        "parameters": 64 * 8 + 8 + 8 * 10 + 10,
    }
    assert {name: result[name] for name in expected} == expected
    assert len(result["epochs"]) == 3
    assert result["epochs"][2]["train_loss"] < result["epochs"][0]["train_loss"]
    seconds = sum(epoch["seconds"] for epoch in result["epochs"])
    assert result["samples_per_second"] == pytest.approx(3 * 1148 / seconds)
    assert 10e6 < result["peak_rss_bytes"] < 10e9
    assert re.fullmatch("[0-9a-f]{64}", result["parameter_sha256"])
    assert list(result["versions"]) == ["fastmlp", "numpy", "numba"]
    assert result["versions"]["fastmlp"] == fastmlp.__version__
    assert result["versions"]["numpy"] == np.__version__
    assert result["cpu"]


def test_without_validation_its_numbers_are_null(blobs):
    result = result_of("--data", blobs, *SMALL)
    schema = EPOCH_SCHEMA | {"val_loss": type(None), "val_accuracy": type(None)}
    for epoch in result["epochs"]:
        assert_schema(epoch, schema)
    assert result["n_train"] == 120
    assert result["data"] == blobs


def test_with_json_on_stdout_there_is_nothing_else(blobs):
    stdout = run_once("--data", blobs, *SMALL, "--json", "-").stdout
    assert stdout.startswith('{\n  "schema": "fastmlp.train/1",\n')
    assert stdout.endswith("}\n")
    _, end = json.JSONDecoder().raw_decode(stdout)
    assert stdout[end:] == "\n"


def test_json_to_a_file_leaves_the_table_on_stdout(blobs, tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    done = run_once("--data", blobs, *SMALL, "--json", path)
    assert_schema(json.loads(path.read_text()), SCHEMA)
    assert os.listdir(tmp_path) == ["result.json"]
    assert "test accuracy" in done.stdout
    assert "{" not in done.stdout


def test_the_parameter_sum_is_that_of_the_saved_parameters(blobs, tmp_path):
    path = tmp_path / "model"
    result = result_of("--data", blobs, *SMALL, "--dtype", "float64", "--save", path)
    model = fastmlp.load(path)
    digest = hashlib.sha256()
    for W, b in zip(model.weights, model.biases, strict=True):
        digest.update(W.astype("<f8").tobytes() + b.astype("<f8").tobytes())
    assert digest.hexdigest() == result["parameter_sha256"]
    with np.load(blobs) as data:
        test = fastmlp.evaluate(model, data["x_test"], data["y_test"])
    assert test.loss == pytest.approx(result["test_loss"], rel=1e-12)
    assert test.accuracy == result["test_accuracy"]


def test_the_table_says_what_was_trained_and_how_well(blobs):
    rows = dict(
        line.strip().split("  ", 1)
        for line in run_once("--data", blobs, *SMALL).stdout.splitlines()
    )
    assert list(rows) == [
        "data",
        "network",
        "training",
        "test accuracy",
        "test loss",
        "time per epoch",
        "throughput",
        "time",
    ]
    assert rows["data"] == f"{blobs}, 120 training samples, 30 test samples"
    assert rows["network"] == "2-8-3 relu, 51 parameters, float32"
    assert rows["training"] == (
        f"3 epochs, sgd at learning rate {DEFAULTS.lr}, batch size 16, seed 0"
    )
    assert re.fullmatch(r"\d{1,3}\.\d\d%", rows["test accuracy"])
    assert re.fullmatch(r"\d\.\d{4} s", rows["time per epoch"])
    assert re.fullmatch(r"[\d,]+ samples/s on \d+ threads?", rows["throughput"])


def test_it_learns(blobs):
    result = result_of("--data", blobs, "--hidden", 8, "--epochs", 40, "--batch-size", 8)
    assert result["test_accuracy"] > 0.9
    assert result["test_loss"] < 0.3


# --- settings -------------------------------------------------------------------------------------


def test_the_engines_agree(blobs, tmp_path):
    results, models = [], []
    for engine in ENGINES:
        path = tmp_path / engine
        options = ("--data", blobs, "--hidden", 7, 5, "--dtype", "float64", "--val-fraction", 0.2)
        results.append(result_of(*options, "--engine", engine, "--epochs", 4, "--save", path))
        models.append(fastmlp.load(path))
    fast, plain = models
    arrays = (*fast.weights, *fast.biases), (*plain.weights, *plain.biases)
    for ours, theirs in zip(*arrays, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    ours, theirs = results
    for name in ("test_loss", "test_accuracy"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-9)
    for mine, other in zip(ours["epochs"], theirs["epochs"], strict=True):
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
            assert mine[name] == pytest.approx(other[name], rel=1e-9)


def test_one_seed_gives_the_same_bits_at_any_number_of_threads(blobs):
    sums = {
        (seed, threads): result_of("--data", blobs, *SMALL, "--seed", seed, "--threads", threads)
        for seed, threads in [(0, 1), (0, 2), (0, 3), (1, 2)]
    }
    assert [result["threads"] for result in sums.values()] == [1, 2, 3, 2]
    sums = {key: result["parameter_sha256"] for key, result in sums.items()}
    assert sums[0, 1] == sums[0, 2] == sums[0, 3]
    assert sums[1, 2] != sums[0, 2]
    again = run("--data", blobs, *SMALL, "--seed", 0, "--threads", 2, "--json", "-")
    assert json.loads(again.stdout)["parameter_sha256"] == sums[0, 2]


def test_the_threads_come_from_the_environment(blobs):
    done = run("--data", blobs, *SMALL, "--json", "-", FASTMLP_NUM_THREADS="3")
    assert json.loads(done.stdout)["threads"] == 3


def test_a_wrong_environment_variable_is_one_line(blobs):
    done = run("--data", blobs, *SMALL, FASTMLP_NUM_THREADS="many")
    assert_fails(done, 2, "FASTMLP_NUM_THREADS", "'many'", "from 1 to 256")


def test_the_test_set_decides_nothing(tmp_path):
    options = (*SMALL, "--val-fraction", 0.25)
    one, other = (
        result_of("--data", write_blobs(tmp_path / f"{seed}.npz", test_seed=seed), *options)
        for seed in (1, 2)
    )
    assert one["test_loss"] != other["test_loss"]
    assert one["parameter_sha256"] == other["parameter_sha256"]
    assert [e["val_loss"] for e in one["epochs"]] == [e["val_loss"] for e in other["epochs"]]
    assert (one["n_train"], one["n_test"]) == (90, 30)


@pytest.mark.parametrize("seed", [0, 1, 2**70])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_the_validation_set_is_held_out_in_equal_shares_of_every_class(fraction, seed):
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [200, 60, 40]))
    x = np.arange(300, dtype=np.float32)[:, None]
    data = make_dataset("d", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3])
    train, validation = split(data, TrainConfig(val_fraction=fraction, seed=seed))
    rows = [part[0][:, 0].astype(int) for part in (train, validation)]
    assert sorted(np.concatenate(rows)) == list(range(300))
    for part, share in ((train, 1 - fraction), (validation, fraction)):
        np.testing.assert_array_equal(part[1], y[part[0][:, 0].astype(int)])
        np.testing.assert_allclose(np.bincount(part[1]), share * np.bincount(y), atol=1)
    again = split(data, TrainConfig(val_fraction=fraction, seed=seed))
    np.testing.assert_array_equal(again[1][0], validation[0])
    other = split(data, TrainConfig(val_fraction=fraction, seed=seed + 1))
    assert not np.array_equal(other[1][0], validation[0])


def test_every_class_keeps_a_sample_to_train_on():
    x, y = np.zeros((7, 1), np.float32), np.array([0, 0, 0, 0, 1, 1, 2])
    data = make_dataset("d", x_train=x, y_train=y, x_test=x, y_test=y)
    train, validation = split(data, TrainConfig(val_fraction=0.99))
    assert sorted(train[1]) == [0, 1, 2]
    assert sorted(validation[1]) == [0, 0, 0, 1]


def test_a_fraction_that_holds_out_nothing_is_one_line(blobs):
    done = run("--data", blobs, "--val-fraction", 0.01)
    assert_fails(done, 2, "--val-fraction 0.01", "120 samples", "3 classes")


@pytest.mark.parametrize("engine", ENGINES)
def test_no_hidden_layer_and_the_full_batch(blobs, engine):
    options = ("--data", blobs, "--hidden", "--batch-size", "full", "--engine", engine)
    result = result_of(*options, "--epochs", 30, "--lr", 0.5)
    assert result["layers"] == [2, 3]
    assert result["batch_size"] == "full"
    losses = [epoch["train_loss"] for epoch in result["epochs"]]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.2), ("adam", 0.001)])
def test_the_learning_rate_is_the_optimizers_own_unless_given(blobs, engine, optimizer, rate):
    options = ("--data", blobs, *SMALL, "--engine", engine, "--optimizer", optimizer)
    own, same, given = (result_of(*options, *more) for more in [(), ("--lr", rate), ("--lr", 0.05)])
    for result, expected in ((own, rate), (same, rate), (given, 0.05)):
        assert result["optimizer"] == optimizer
        assert result["learning_rate"] == expected
        assert [epoch["learning_rate"] for epoch in result["epochs"]] == [expected] * 3
    assert own["parameter_sha256"] == same["parameter_sha256"] != given["parameter_sha256"]


@pytest.mark.parametrize("engine", ENGINES)
def test_without_the_flag_the_optimizer_is_sgd(blobs, engine):
    plain, sgd, adam = (
        result_of("--data", blobs, *SMALL, "--engine", engine, "--lr", 0.05, *more)
        for more in [(), ("--optimizer", "sgd"), ("--optimizer", "adam")]
    )
    assert plain["optimizer"] == "sgd"
    assert plain["parameter_sha256"] == sgd["parameter_sha256"] != adam["parameter_sha256"]


@pytest.mark.parametrize("engine", ENGINES)
def test_adam_is_the_adam_of_the_library(blobs, engine, tmp_path):
    path = tmp_path / "model"
    options = ("--data", blobs, *SMALL, "--engine", engine, "--dtype", "float64", "--seed", 3)
    run_once(*options, "--optimizer", "adam", "--save", path)
    implementation = {"fast": fastmlp, "reference": reference}[engine]
    model = implementation.MLP([2, 8, 3], dtype="float64", seed=3)
    with np.load(blobs) as data:
        implementation.fit(
            model, data["x_train"], data["y_train"], epochs=3, batch_size=16, seed=3,
            optimizer=implementation.Adam(),
        )  # fmt: skip
    saved = fastmlp.load(path)
    for ours, theirs in zip(
        saved.weights + saved.biases, model.weights + model.biases, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("engine", ENGINES)
def test_adam_learns_and_the_table_says_that_it_was_adam(blobs, engine):
    options = ("--data", blobs, "--hidden", 8, "--epochs", 40, "--batch-size", 8)
    options = (*options, "--engine", engine, "--optimizer", "adam")
    result = result_of(*options, "--lr", 0.01)
    assert result["test_accuracy"] > 0.9
    assert result["test_loss"] < 0.3
    stdout = run_once("--data", blobs, *SMALL, "--engine", engine, "--optimizer", "adam").stdout
    assert "3 epochs, adam at learning rate 0.001, batch size 16, seed 0" in stdout


def test_the_settings_hold_the_learning_rate_of_their_optimizer():
    assert (DEFAULTS.optimizer, DEFAULTS.lr) == ("sgd", 0.2)
    assert TrainConfig(optimizer="adam").lr == fastmlp.Adam().lr == 0.001
    assert TrainConfig(optimizer="adam", lr=0.0).lr == 0


def test_the_rate_of_every_optimizer_is_its_class_s_own_but_for_sgd():
    assert list(RATES) == [name for name in OPTIMIZERS if name != "lbfgs"]
    for name, rate in RATES.items():
        assert TrainConfig(optimizer=name).make("optimizer") == OPTIMIZERS[name](lr=rate)
        assert rate == (0.2 if name == "sgd" else OPTIMIZERS[name]().lr)
    assert TrainConfig(optimizer="lbfgs").make("optimizer") == fastmlp.LBFGS()


@pytest.mark.parametrize("engine", ENGINES)
def test_no_epochs_evaluate_the_initial_network(blobs, engine):
    result = result_of("--data", blobs, "--epochs", 0, "--engine", engine, "--seed", 4)
    assert result["epochs"] == []
    assert result["samples_per_second"] is None
    with np.load(blobs) as data:
        test = fastmlp.evaluate(
            fastmlp.MLP([2, *DEFAULTS.hidden, 3], seed=4), data["x_test"], data["y_test"]
        )
    assert result["test_loss"] == pytest.approx(test.loss, rel=1e-5)


# --- progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_off_a_terminal_progress_is_one_plain_line_an_epoch(blobs, engine):
    done = run_once("--data", blobs, *SMALL, "--engine", engine)
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        assert re.fullmatch(
            rf"epoch {number}/3  loss \d\.\d{{4}}  accuracy [ \d]?\d\d?\.\d\d%"
            r"  [\d,]+ samples/s  \d+\.\d{3} s",
            line,
        )
    assert "\x1b" not in done.stderr + done.stdout
    assert "epoch 1/3" not in done.stdout


def test_colour_is_not_to_be_forced_off_a_terminal(blobs):
    forced = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1"}
    done = run("--data", blobs, *SMALL, **forced)
    assert "\x1b" not in done.stderr + done.stdout


def test_quiet_says_nothing_but_the_result(blobs):
    done = run_once("--data", blobs, *SMALL, "--quiet")
    assert done.stderr == ""
    assert "test accuracy" in done.stdout


def on_a_terminal(*options, columns=80, **changes):
    """What the command writes to a terminal on stderr; stdout is a pipe."""
    terminal, line = pty.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *map(str, options)],
        cwd=ROOT,
        env=environment(COLUMNS=None, **changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=line,
    )
    os.close(line)
    written = b""
    while select.select([terminal], [], [], TIMEOUT)[0]:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        written += block
    os.close(terminal)
    stdout, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, written
    assert b"\x1b" not in stdout
    return written.decode()


def seen(written):
    """The lines that a terminal has shown, without escape sequences."""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


def test_on_a_terminal_a_bar_shows_how_far_it_is(blobs):
    written = on_a_terminal("--data", blobs, *SMALL)
    last = seen(written)[-1]
    assert re.fullmatch(
        r"epoch 3/3 ━+ loss \d\.\d{4} accuracy +\d+\.\d\d% [\d.]+[kM]? samples/s \d\d:\d\d", last
    )
    assert "\x1b[38;5;" in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor stays hidden"


@pytest.mark.parametrize("columns", [100, 80, 40])
def test_the_bar_keeps_to_one_line_of_the_terminal(blobs, columns):
    options = ("--data", blobs, "--hidden", 8, "--epochs", 100, "--val-fraction", 0.2)
    lines = seen(on_a_terminal(*options, columns=columns))
    assert all(len(line) <= columns for line in lines)
    assert all(line.startswith("epoch ") for line in lines)
    assert re.search(r"━ loss \d\.\d{4} .*\d\d:\d\d$", lines[-1])
    if columns >= 80:
        assert re.search(r"accuracy +\d+\.\d\d% val +\d+\.\d\d% \S+ samples/s", lines[-1])


def test_under_no_color_the_bar_has_no_colour(blobs):
    written = on_a_terminal("--data", blobs, *SMALL, NO_COLOR="1")
    assert "━" in seen(written)[-1]
    for codes in re.findall(r"\x1b\[([0-9;]*)m", written):
        assert not re.search(r"\b(3|4|9|10)[0-9]\b", codes), codes


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_gets_plain_lines(blobs, term):
    written = on_a_terminal("--data", blobs, *SMALL, TERM=term)
    assert "\x1b" not in written
    assert [line[:9] for line in seen(written)] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


# --- data -----------------------------------------------------------------------------------------


def test_without_mnist_it_trains_on_digits_and_says_why(tmp_path):
    options = ("--engine", "reference", "--epochs", 1, "--hidden", 8)
    done = run(*options, "--json", "-", FASTMLP_CACHE_DIR=str(tmp_path), FASTMLP_DATA_DIR=None)
    assert done.returncode == 0
    assert json.loads(done.stdout)["data"] == "digits"
    first, second = done.stderr.splitlines()
    assert first.startswith("fastmlp.train: MNIST cannot be had, so this trains on digits: ")
    assert "FASTMLP_OFFLINE" in first
    assert second.startswith("epoch 1/1")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_data_asked_for_by_name_is_never_replaced(tmp_path, name):
    done = run("--data", name, FASTMLP_CACHE_DIR=str(tmp_path), FASTMLP_DATA_DIR=None)
    assert_fails(done, 1, f"{name}: ", "FASTMLP_OFFLINE")


def test_a_warning_is_one_clean_line(tmp_path):
    for name in MNIST_FILES[:1]:
        path = tmp_path / "mnist" / name
        path.parent.mkdir()
        path.write_bytes(b"wrong")
    options = ("--engine", "reference", "--epochs", 0, "--quiet")
    done = run(*options, FASTMLP_CACHE_DIR=str(tmp_path), FASTMLP_DATA_DIR=None)
    assert done.returncode == 0
    first, second = done.stderr.splitlines()
    assert first.startswith(f"fastmlp.train: warning: the cached file is not used: {path}: SHA-256")
    assert second.startswith("fastmlp.train: MNIST cannot be had")


def test_a_wrong_name_is_wrong_usage():
    assert_fails(run("--data", "mnits"), 2, "--data", "'mnits'", "'mnist'", "'digits'", ".npz")


def test_a_missing_file_is_one_line(tmp_path):
    path = tmp_path / "absent.npz"
    assert_fails(run("--data", path), 1, f"{path}: No such file or directory")


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text", "labels", "nan"])
def test_a_wrong_file_is_one_line_that_names_it(blobs, tmp_path, damage):
    path = tmp_path / "wrong.npz"
    content = bytearray(Path(blobs).read_bytes())
    if damage == "empty":
        content.clear()
    elif damage == "truncated":
        del content[len(content) // 2 :]
    elif damage == "flipped":
        content[300] ^= 1
    elif damage == "text":
        content = b"x,y\n1,2\n"
    path.write_bytes(content)
    if damage in ("labels", "nan"):
        with np.load(blobs) as data:
            arrays = dict(data)
        if damage == "labels":
            arrays["y_test"] = arrays["y_test"] + 5
        else:
            arrays["x_train"][3, 1] = np.nan
        np.savez(path, **arrays)
    assert_fails(run("--data", path), 1, str(path))


# --- wrong usage ----------------------------------------------------------------------------------

WRONG_USAGE = {
    # options: what the line must hold
    "--activation relux": ["--activation", "relux", "relu"],
    "--init zero": ["--init", "'zero'", "he_normal", "uniform"],
    "--init uniform(1,0)": ["--init", "'uniform(1,0)'", "a < b"],
    "--dtype float16": ["--dtype", "float16", "float32", "float64"],
    "--dtype int32": ["--dtype", "int32", "float32"],
    "--optimizer sdg": ["--optimizer", "sdg", "sgd", "adam"],
    "--optimizer nonsense": ["--optimizer", "nonsense", "sgd", "adam"],
    "--optimizer Adam": ["--optimizer", "'Adam'", "sgd", "adam"],
    "--optimizer": ["--optimizer", "expected one argument"],
    "--optimizer adam --lr -0.1": ["--lr", "-0.1", "0 or more"],
    "--profile --engine reference": ["--profile", "--engine fast", "reference"],
    "--profile on": ["unrecognized arguments: on"],
    "--engine quick": ["--engine", "quick", "fast", "reference"],
    "--lr -0.1": ["--lr", "-0.1", "0 or more"],
    "--lr nan": ["--lr", "nan", "finite", "0 or more"],
    "--lr inf": ["--lr", "inf", "finite"],
    "--lr fast": ["--lr", "'fast'", "number"],
    "--epochs -1": ["--epochs", "-1", "0 or more"],
    "--epochs 1.5": ["--epochs", "'1.5'", "integer"],
    "--epochs": ["--epochs", "expected one argument"],
    "--batch-size 0": ["--batch-size", "0", "1 or more", "'full'"],
    "--batch-size half": ["--batch-size", "'half'", "1 or more", "'full'"],
    "--batch-size 2.5": ["--batch-size", "'2.5'", "integer", "'full'"],
    "--hidden 0": ["--hidden", "0", "1 or more"],
    "--hidden 8 -3": ["--hidden", "-3", "1 or more"],
    "--hidden 8,8": ["--hidden", "'8,8'", "integer"],
    "--seed -1": ["--seed", "-1", "0 or more"],
    "--seed time": ["--seed", "'time'", "integer"],
    "--threads 0": ["--threads", "0", "from 1 to 256"],
    "--threads 300": ["--threads", "300", "from 1 to 256"],
    "--threads two": ["--threads", "'two'", "from 1 to 256"],
    "--val-fraction 1": ["--val-fraction", "1", "below 1"],
    "--val-fraction -0.1": ["--val-fraction", "-0.1", "0 or more"],
    "--val-fraction ten": ["--val-fraction", "'ten'", "number"],
    "--lear 0.1": ["--lear 0.1", "--help"],
    "--epoch 3": ["--epoch 3", "--help"],
    "digits": ["digits", "--help"],
}


@pytest.mark.parametrize("options", WRONG_USAGE)
def test_wrong_usage_is_status_2_and_one_line(options):
    assert_fails(run(*options.split()), 2, *WRONG_USAGE[options])


def test_an_argument_of_several_lines_gives_one():
    assert_fails(run("--lear\nning", "--engine", "a\nb"), 2)
    assert_fails(run("--lear\nning"), 2, "--lear ning")


@pytest.mark.parametrize("flag", ["--save", "--json"])
@pytest.mark.parametrize("place", ["folder", "absent", "file", "proc", "long"])
def test_a_path_that_cannot_be_written_is_refused_before_training(blobs, tmp_path, flag, place):
    path = {
        "folder": tmp_path,
        "absent": tmp_path / "absent" / "out",
        "file": Path(blobs) / "out",
        "proc": Path("/proc/out"),
        "long": tmp_path / ("n" * 300),
    }[place]
    done = run("--data", blobs, "--epochs", 10**9, flag, path)
    named = path.parent if place in ("absent", "file") else path
    assert_fails(done, 2, f"{flag}: {named}")
    assert os.listdir(tmp_path) == []


def test_a_device_is_written_to_and_stays_one(blobs):
    done = run_once("--data", blobs, *SMALL, "--json", "/dev/null", "--save", "/dev/null")
    assert "test accuracy" in done.stdout
    assert Path("/dev/null").is_char_device()


def test_a_network_beyond_memory_is_one_line(blobs):
    done = run("--data", blobs, "--hidden", 10**15)
    assert_fails(done, 1, "--hidden", str(10**15))


# --- failures while it runs -----------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("engine", ENGINES)
def test_divergence_is_one_line_with_step_and_remedy(blobs, engine, optimizer, tmp_path):
    path = tmp_path / "model"
    options = ("--engine", engine, "--optimizer", optimizer, "--save", path)
    done = run("--data", blobs, *SMALL, "--lr", "1e30", *options)
    assert_fails(done, 1, "epoch 1", "step 2", "learning rate below 1e+30")
    assert not path.exists()


@pytest.mark.parametrize("engine", ENGINES)
def test_divergence_at_the_last_step_is_one_line(blobs, engine):
    options = ("--data", blobs, "--batch-size", "full", "--epochs", 1, "--engine", engine)
    done = run(*options, "--lr", "1e30", "--quiet", "--val-fraction", 0.2)
    assert_fails(done, 1, "test set", "last step", "learning rate below 1e+30")


WITHOUT_THE_CHECKOUT = """
import runpy, sys
sys.path[:] = [{packages!r}] + [p for p in sys.path if p not in ("", {root!r})]
sys.argv[1:] = {options!r}
runpy.run_module("fastmlp.train", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("other", [False, True], ids=["absent", "another package of that name"])
def test_without_the_checkout_the_reference_is_said_to_be_missing(blobs, tmp_path, other):
    (tmp_path / "fastmlp").symlink_to(ROOT / "fastmlp")
    if other:
        (tmp_path / "reference.py").touch()
    code = WITHOUT_THE_CHECKOUT.format(
        packages=str(tmp_path), root=str(ROOT), options=["--data", blobs, "--engine", "reference"]
    )
    done = run(command=[sys.executable, "-c", code], cwd=tmp_path, PYTHONPATH=None)
    assert_fails(done, 1, "--engine reference", "checkout")


def start(*options, **changes):
    return subprocess.Popen(
        [*COMMAND, *map(str, options)],
        cwd=ROOT,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background may have SIGINT ignored, which a child would inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_stops_and_saves_what_was_learned(blobs, tmp_path, engine):
    path = tmp_path / "model"
    process = start(
        "--data", blobs, "--epochs", 10**9, "--lr", 0.01, "--engine", engine, "--save", path
    )
    assert process.stderr.readline().startswith("epoch ")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert stdout == ""
    *progress, last = stderr.splitlines()
    assert all(line.startswith("epoch ") for line in progress)
    assert last == f"fastmlp.train: error: interrupted; the model so far is in {path}"
    model = fastmlp.load(path)
    assert model.layers == (2, *DEFAULTS.hidden, 3)
    assert not np.array_equal(
        model.weights[0], fastmlp.MLP([2, *DEFAULTS.hidden, 3], seed=0).weights[0]
    )
    with np.load(blobs) as data:
        assert fastmlp.evaluate(model, data["x_test"], data["y_test"]).accuracy > 0.5
    assert os.listdir(tmp_path) == ["model"]


def test_ctrl_c_says_which_checkpoint_is_there_and_the_run_goes_on(blobs, tmp_path):
    folder = tmp_path / "run"
    options = ("--data", blobs, "--hidden", 8, "--lr", 0.01, "--threads", 2)
    process = start(*options, "--epochs", 10**9, "--checkpoint", folder)
    assert process.stderr.readline().startswith("epoch ")
    assert process.stderr.readline().startswith("epoch ")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    newest = max(folder.glob("epoch-*.safetensors"))
    said = f"fastmlp.train: error: interrupted; the newest checkpoint is {newest}"
    assert stderr.splitlines()[-1] == said
    epochs = int(newest.stem.removeprefix("epoch-")) + 2
    resumed = run("--resume", folder, "--epochs", epochs, "--json", "-")
    lines = resumed.stderr.splitlines()
    assert [line.split("/")[0] for line in lines] == [f"epoch {epochs - 1}", f"epoch {epochs}"]
    whole = result_of(*options, "--epochs", epochs)
    assert json.loads(resumed.stdout)["parameter_sha256"] == whole["parameter_sha256"]


@pytest.mark.parametrize("n_compiled", [0, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_while_it_compiles_is_not_lost(blobs, tmp_path, threads, n_compiled):
    cache, path = tmp_path / "cache", tmp_path / "model"
    options = ("--data", blobs, "--epochs", 10**9, "--threads", threads, "--save", path)
    process = start(*options, FASTMLP_CACHE_DIR=str(cache), NUMBA_CACHE_DIR=None)
    while len(list(cache.glob("kernels-*/**/*.nbi"))) < n_compiled or not cache.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr == "fastmlp.train: error: interrupted\n"
    assert not path.exists()


INTERRUPTED_IMPORT = """
import sys, fastmlp.train
fastmlp.train.run = lambda config: exec("raise KeyboardInterrupt")
sys.exit(fastmlp.train.main([]))
"""


def test_ctrl_c_inside_an_exec_ends_with_the_status_too(tmp_path):
    """As in an import that runs one: CPython would end by the signal."""
    (tmp_path / "command.py").write_text(INTERRUPTED_IMPORT)
    done = run(command=[sys.executable, "-m", "command"], cwd=tmp_path)
    assert_fails(done, 130, "interrupted")


def test_a_reader_that_leaves_gets_no_traceback(blobs):
    """As in ``| head -1``; the whole run was done when the first line came."""
    for stream in ("stdout", "stderr"):
        reader, writer = os.pipe()
        os.close(reader)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
        process = subprocess.Popen(
            [*COMMAND, "--data", blobs, *map(str, SMALL)], cwd=ROOT, env=environment(), **streams
        )
        os.close(writer)
        other = b"".join(filter(None, process.communicate(timeout=TIMEOUT)))
        assert process.returncode == 1
        assert b"Traceback" not in other
        assert b"Exception" not in other
        assert b"rror" not in other


def test_a_full_device_is_one_line(blobs):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "--data", blobs, *map(str, SMALL), "--quiet"],
            cwd=ROOT,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
        )
    assert done.returncode == 1
    assert re.fullmatch(r"fastmlp\.train: error: .*No space left on device\n", done.stderr)


def test_without_a_stderr_stdout_is_the_result_alone(blobs):
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND]
    done = run("--data", blobs, *SMALL, "--json", "-", command=command)
    assert done.returncode == 0
    assert_schema(json.loads(done.stdout), SCHEMA)


def test_a_path_beyond_the_terminals_encoding_is_shown_escaped(tmp_path):
    path = write_blobs(tmp_path / "blöbs.npz")
    done = run("--data", path, *SMALL, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert r"bl\xf6bs.npz, 120 training samples" in done.stdout
    result = run("--data", path, *SMALL, "--json", "-", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert json.loads(result.stdout)["data"] == path


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's count is the process's")
def test_peak_memory_is_not_that_of_the_process_that_started_it(blobs):
    ballast = 600 * 2**20
    code = f"import subprocess, sys; b = b'x' * {ballast}; subprocess.run(sys.argv[1:], check=True)"
    options = ("--data", blobs, *SMALL, "--json", "-")
    done = run(*options, command=[sys.executable, "-c", code, *COMMAND])
    assert 10e6 < json.loads(done.stdout)["peak_rss_bytes"] < ballast


# --- cheap beginnings -----------------------------------------------------------------------------

HEAVY = ("numba", "llvmlite", "sklearn", "scipy", "rich", "safetensors", "pandas", "matplotlib")
LOADED = f"import sys; print([m for m in {HEAVY!r} if m in sys.modules])"


def test_importing_fastmlp_loads_nothing_heavy():
    done = run(command=[sys.executable, "-c", f"import fastmlp; {LOADED}"])
    assert done.stdout == "[]\n"


def test_help_loads_nothing_heavy():
    code = (
        "import contextlib, fastmlp.train\n"
        "with contextlib.suppress(SystemExit):\n    fastmlp.train.main(['--help'])\n"
        f"{LOADED}"
    )
    done = run(command=[sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_fits_80_columns_and_names_every_option():
    done = run_once("--help")
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0] == "usage: python -m fastmlp.train [options]"
    options = [*(flag_of(item.name) for item in dataclasses.fields(TrainConfig)), "--config"]
    described = re.findall(r"^  (--[a-z-]+)\b", done.stdout, re.MULTILINE)
    assert sorted(described) == sorted([*options, "--version"])
    groups = re.findall(r"^(\w+):$", done.stdout, re.MULTILINE)
    assert groups == [
        "options",
        "data",
        "network",
        "training",
        "regularisation",
        "stopping",
        "running",
        "output",
    ]
    assert f"(default: {DEFAULTS.epochs})" in done.stdout
    assert "learning rate (default: 0.2 for sgd, 0.001 for adam, 0.001 for adamw, " in " ".join(
        done.stdout.split()
    )
    assert "None" not in done.stdout


def test_the_version_is_that_of_the_package():
    assert run_once("--version").stdout == f"fastmlp {fastmlp.__version__}\n"


# --- MNIST, end to end ----------------------------------------------------------------------------

MNIST = ("--data", "mnist", "--hidden", 128, "--batch-size", 128, "--optimizer", "sgd", "--lr", 0.1)


@pytest.mark.usefixtures("mnist")
def test_both_engines_learn_mnist_equally_well():
    fast, plain = (
        result_of(*MNIST, "--epochs", 5, "--seed", 0, "--engine", engine) for engine in ENGINES
    )
    for result in (fast, plain):
        assert result["n_train"] == 60000
        assert result["n_test"] == 10000
        assert result["parameters"] == 101770
        assert result["test_accuracy"] >= 0.95
    assert abs(fast["test_accuracy"] - plain["test_accuracy"]) <= 0.002
    for ours, theirs in zip(fast["epochs"], plain["epochs"], strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)


@pytest.mark.usefixtures("mnist")
def test_both_engines_end_at_the_same_parameters_on_mnist(tmp_path):
    models = []
    for engine in ENGINES:
        path = tmp_path / engine
        options = ("--epochs", 1, "--dtype", "float64", "--engine", engine, "--save", path)
        run_once(*MNIST, *options, "--quiet")
        models.append(fastmlp.load(path))
    fast, plain = models
    arrays = (*fast.weights, *fast.biases), (*plain.weights, *plain.biases)
    for ours, theirs in zip(*arrays, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    assert not np.array_equal(fast.weights[0], fastmlp.MLP(fast.layers, dtype="float64").weights[0])


@pytest.mark.parametrize(
    "flags", [("--save", "--json"), ("--save", "--data"), ("--json", "--data")]
)
def test_one_file_is_not_written_over_another(blobs, tmp_path, flags):
    data = tmp_path / "data.npz"
    data.write_bytes(Path(blobs).read_bytes())
    target = data if "--data" in flags else tmp_path / "out"
    options = {"--data": data, **dict.fromkeys(flags, target)}
    done = run(*(word for option in options.items() for word in option))
    assert_fails(done, 2, *flags, str(target))
    assert data.read_bytes() == Path(blobs).read_bytes()


def test_a_closed_stdout_is_a_failure(blobs):
    words = [*COMMAND, "--data", str(blobs), "--epochs", "1", "--quiet", "--json", "-"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 1
    assert "stdout is closed" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_damaged_kernel_cache_is_made_anew(blobs, tmp_path):
    options = ("--data", blobs, "--epochs", 1, "--quiet", "--json", "-")
    sums = []
    for _ in range(3):
        done = run(*options, FASTMLP_CACHE_DIR=str(tmp_path), NUMBA_CACHE_DIR=None)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        sums.append(json.loads(done.stdout)["parameter_sha256"])
        kept = [*tmp_path.glob("kernels-*/**/*.nbi"), *tmp_path.glob("kernels-*/**/*.nbc")]
        assert kept
        for path in kept:
            path.write_bytes(path.read_bytes()[: len(sums) * 7])
    assert len(set(sums)) == 1
