"""Records of time to accuracy: what is measured, when it counts, and what is kept of it."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import fastmlp
from benchmarks import records_table
from benchmarks.recipes import AIMS, RECIPES, describe, in_words
from benchmarks.records import _interval
from benchmarks.task import Task

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "records.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def mnist():
    try:
        return fastmlp.load_dataset("mnist")
    except fastmlp.DataUnavailableError as error:
        pytest.skip(f"MNIST: {error}")


@pytest.fixture(scope="module")
def record(mnist):
    done = run("97", "--seeds", "2", "--alone", "--json", "-")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_record_is_measured_over_seeds(record):
    assert record["mark"] == 97
    assert record["n"] == 2
    assert record["reached"]
    assert not record["counts"]  # of 2 seeds
    assert record["mean_test_accuracy"] == statistics.mean(record["test_accuracies"])
    assert record["mean_test_accuracy"] >= 0.97
    low, high = record["ci95"]
    assert low < record["mean_test_accuracy"] < high
    assert record["train_seconds"] == statistics.median(record["seconds"]) > 0
    assert record["recipe"] == json.loads(json.dumps(describe(RECIPES["97"])))
    assert record["test_accuracies"][0] != record["test_accuracies"][1]


def _train(model, x, y, task):
    fastmlp.fit(
        model,
        x,
        y,
        epochs=task.epochs,
        batch_size=task.batch_size,
        optimizer=fastmlp.SGD(lr=task.learning_rate, momentum=0.9, nesterov=True),
        schedule=fastmlp.OneCycle(pct_start=task.one_cycle),
        seed=model.seed,
    )


def test_the_recipe_is_that_of_the_library(mnist, record):
    """The worker's training is `fastmlp.fit` as a user would write it from the recipe."""
    task = RECIPES["97"]
    model = fastmlp.MLP(
        task.layers, loss=fastmlp.CrossEntropy(label_smoothing=task.label_smoothing), seed=1
    )
    _train(model, mnist.x_train, mnist.y_train, task)
    expected = fastmlp.evaluate(model, mnist.x_test, mnist.y_test).accuracy
    assert record["test_accuracies"][1] == expected


def test_recipes_are_chosen_on_training_images_held_out(mnist):
    done = run("97", "--seeds", "2", "--alone", "--held-out", "--json", "-")
    assert done.returncode in (0, 1), done.stderr
    record = json.loads(done.stdout)
    assert "mean_test_accuracy" not in record
    task = RECIPES["97"]
    model = fastmlp.MLP(
        task.layers, loss=fastmlp.CrossEntropy(label_smoothing=task.label_smoothing), seed=0
    )
    _train(model, mnist.x_train[:50_000], mnist.y_train[:50_000], task)
    held_out = mnist.x_train[50_000:], mnist.y_train[50_000:]
    assert record["held_out_accuracies"][0] == fastmlp.evaluate(model, *held_out).accuracy


def test_interval_is_that_of_scipy():
    values = [0.97, 0.972, 0.9715, 0.969]
    mean, half = _interval(values)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose([mean - half, mean + half], expected)


def test_every_recipe_has_an_aim():
    assert set(RECIPES) <= set(AIMS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["96"], ["96", "97"]),
        ([], ["MARK"]),
        (["97", "--seeds", "1"], ["--seeds", "1"]),
        (["97", "--seeds", "5", "--keep"], ["--keep", "--seeds 20", "5"]),
        (["97", "--held-out", "--keep"], ["--held-out", "--keep"]),
        (["97", "--threads", "0"], ["--threads", "0"]),
        (["97", "--json", "no/such/folder/r.json"], ["--json", "no/such/folder"]),
    ],
)
def test_bad_input_is_one_line(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr


def test_what_is_kept_is_a_row_of_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(records_table, "FILE", tmp_path / "records.json")
    monkeypatch.setattr(records_table, "PAGE", tmp_path / "records.md")
    kept = {
        "mark": 97.0,
        "n": 20,
        "mean_test_accuracy": 0.9731,
        "ci95": [0.9727, 0.9735],
        "train_seconds": 0.0951,
        "recipe": describe(RECIPES["97"]),
        "peers": {"JAX": {"ratio": 3.456}},
        "noise": ["noisy: trainings spread by 12%"],
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "abc1234",
        "cpu": "a CPU",
        "threads": 2,
    }
    records_table.keep(kept)
    records_table.keep(kept | {"train_seconds": 0.09})
    assert [entry["train_seconds"] for entry in records_table.load()] == [0.0951, 0.09]
    first, second = records_table.PAGE.read_text().splitlines()[-2:]
    assert "0.09 (0.1)" in first  # the fastest first
    for word in (
        "97 %",
        "97.310% ± 0.040",
        "| 20 |",
        "3.5, -",
        "a CPU, 2 threads",
        "abc1234",
        "by 12%",
    ):
        assert word in second
    assert in_words(kept["recipe"]) in second


def test_rates_of_a_task_are_those_of_fit():
    """What the peers are told is what `fastmlp.fit` does with the schedule."""
    task = Task((4, 3, 2), 8, learning_rate=0.5, samples=20, epochs=3, one_cycle=0.3)
    rates = np.concatenate([task.rates(epoch) for epoch in (1, 2, 3)])
    expected = fastmlp.OneCycle(pct_start=0.3).rates(0.5, np.arange(9) + 1, 3, 3, {})
    np.testing.assert_array_equal(rates, expected)


def test_images_change_in_pytorch_as_in_the_reference():
    """Other draws of the same distribution: mean and deviation of 1,000 versions of an image.

    A mean of n has a standard error of 0.5 / sqrt(n) = 0.016 at most; 784 pixels of two sides are
    compared, whose largest difference is within 5 of them.
    """
    torch = pytest.importorskip("torch")
    from benchmarks.peers.torch_images import changed
    from reference.augmentation import Augmentation, augment

    torch.manual_seed(0)
    rng, n = np.random.default_rng(0), 1000
    image = np.zeros((28, 28), np.float32)
    image[6:22, 8:18] = rng.random((16, 10))
    x = np.repeat(image.reshape(1, -1), n, axis=0)
    for settings in (
        {"shift": 2},
        {"rotation": 20, "shear": 10},
        {"scale": 0.2, "elastic_alpha": 20.0},
    ):
        ours = augment(x, Augmentation((28, 28), **settings), seed=0, step=1, first_row=0)
        theirs = changed(torch.from_numpy(x), **settings).numpy()
        for moment in (np.mean, np.std):
            assert np.abs(moment(ours, 0) - moment(theirs, 0)).max() < 0.08
        assert np.abs(ours.mean(0) - x[0]).max() > 0.16
