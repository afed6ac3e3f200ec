"""The command `python -m reference.mnist`, run as its users run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
MNIST_FILES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]


def run(*options):
    return subprocess.run(
        [sys.executable, "-m", "reference.mnist", *map(str, options)],
        cwd=ROOT,
        env={**os.environ, "FASTMLP_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def accuracies(stdout):
    """Training and test accuracy in percent; stdout holds these and the time, nothing else."""
    pattern = (
        r"training accuracy (\d+\.\d\d)%  loss \d+\.\d{4}\n"
        r"test accuracy     (\d+\.\d\d)%  loss \d+\.\d{4}\n"
        r"training time     \d+\.\d s\n"
    )
    match = re.fullmatch(pattern, stdout)
    assert match, stdout
    return tuple(map(float, match.groups()))


@pytest.fixture
def mnist():
    """Nothing if MNIST lies in FASTMLP_DATA_DIR; set but without the files is a failure."""
    folder = os.environ.get("FASTMLP_DATA_DIR")
    if not folder:
        pytest.skip("FASTMLP_DATA_DIR is not set, so MNIST is not at hand")
    for name in MNIST_FILES:
        assert (Path(folder) / "mnist" / name).is_file(), f"{folder} holds no mnist/{name}"


@pytest.fixture
def two_blobs(tmp_path):
    """A small .npz: two clouds of points four standard deviations apart."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.standard_normal((60, 3)) + 4 * y[:, None]
    path = tmp_path / "blobs.npz"
    np.savez(path, x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    return path


@pytest.mark.usefixtures("mnist")
def test_one_epoch_of_small_batches_learns_mnist():
    done = run("--epochs", 1, "--batch-size", 128, "--lr", 0.1)
    assert done.returncode == 0, done.stderr
    training, test = accuracies(done.stdout)
    assert 91 < training < 95
    assert 91 < test < 95


@pytest.mark.usefixtures("mnist")
def test_full_batch_descent_lowers_the_loss_of_mnist():
    done = run("--epochs", 12, "--lr", 0.1, "--hidden", 32, "--dtype", "float64")
    assert done.returncode == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"  loss (\d+\.\d{4})  ", done.stderr)]
    assert len(losses) == 12
    assert losses == sorted(losses, reverse=True)
    training, test = accuracies(done.stdout)
    assert 50 < training < 95
    assert 50 < test < 95


def test_an_npz_file_is_learned(two_blobs):
    done = run("--data", two_blobs, "--epochs", 40, "--hidden", 4, 4, "--init", "uniform")
    assert done.returncode == 0, done.stderr
    assert min(accuracies(done.stdout)) > 90


def test_same_seed_prints_the_same_result(two_blobs):
    def result(seed):
        done = run("--data", two_blobs, "--epochs", 2, "--batch-size", 7, "--seed", seed)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[:2]

    assert result(3) == result(3)
    assert result(3) != result(4)


def test_divergence_is_one_line_and_status_1(two_blobs):
    done = run("--data", two_blobs, "--lr", 1e30)
    assert done.returncode == 1
    assert done.stdout == ""
    error = done.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"error: loss is nan at epoch 2, step 1: try a learning rate below 1e\+30", error
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--lr", "-1"], "argument --lr: must be a finite number >= 0, got '-1'"),
        (["--lr", "nan"], "argument --lr: must be a finite number >= 0, got 'nan'"),
        (["--epochs", "-1"], "argument --epochs: must be an integer >= 0, got '-1'"),
        (["--hidden", "0"], "argument --hidden: must be an integer >= 1, got '0'"),
        (
            ["--batch-size", "all"],
            "argument --batch-size: must be an integer >= 1 or 'full', got 'all'",
        ),
        (["--init", "zero"], "argument --init: init must be one of 'he_normal', "),
        (["--data", "mnits"], "name must be"),
        (["--depth", "3"], "unrecognized arguments: --depth 3"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_and_status_2(options, error):
    done = run(*options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {error}")
    assert done.stderr.count("\n") == 1


def test_help_names_every_option():
    done = run("--help")
    assert done.returncode == 0
    for option in ["data", "hidden", "lr", "epochs", "batch-size", "init", "dtype", "seed"]:
        assert f"--{option} " in done.stdout
