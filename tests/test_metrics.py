"""Metrics: both engines' and scikit-learn's are equal; what makes no sense is refused."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastmlp.metrics
import reference.metrics

ROOT = Path(__file__).resolve().parents[1]
MODULES = [fastmlp.metrics, reference.metrics]
each = pytest.mark.parametrize("metrics", MODULES, ids=["fast", "reference"])
RATIOS = ["f1", "precision", "recall"]


def labels_problem(seed, n=200, n_classes=5, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_classes, n), rng.standard_normal((n, n_classes)).astype(dtype)


def sklearn_of(name):
    metrics = pytest.importorskip("sklearn.metrics")
    return {
        "f1": metrics.f1_score,
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
    }[name]


# --- values ---------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_ratios_of_labels_are_the_macro_means_of_scikit_learn(metrics, name, n_classes):
    y, z = labels_problem(n_classes, n_classes=n_classes)
    expected = sklearn_of(name)(y, z.argmax(axis=1), average="macro", zero_division=0)
    assert metrics.measure(name, y, z, "labels") == pytest.approx(expected, rel=1e-12)


@each
@pytest.mark.parametrize("name", RATIOS)
def test_classes_without_samples_and_predictions_do_not_count(metrics, name):
    y = np.array([0, 0, 2, 4])  # 1 is predicted only, 4 occurs only, 3 is neither
    z = np.eye(6, dtype=np.float32)[[0, 1, 2, 2]]
    expected = sklearn_of(name)(y, z.argmax(axis=1), average="macro", zero_division=0)
    assert metrics.measure(name, y, z, "labels") == pytest.approx(expected, rel=1e-12)


@each
@pytest.mark.parametrize("name", RATIOS)
def test_ratios_of_several_outputs_are_the_macro_means_of_scikit_learn(metrics, name):
    rng = np.random.default_rng(1)
    t, z = rng.integers(0, 2, (100, 4)), rng.standard_normal((100, 4))
    t[:, 2], z[:, 3] = 0, -1.0  # never there; never predicted
    expected = sklearn_of(name)(t, z > 0, average="macro", zero_division=0)
    assert metrics.measure(name, t, z, "binary") == pytest.approx(expected, rel=1e-12)


@each
@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize("shape", [(100,), (100, 1)])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_ratios_of_one_output_are_those_of_its_ones(metrics, name, shape, share):
    rng = np.random.default_rng(2)
    t, z = (rng.random(shape) < share).astype(np.float32), rng.standard_normal((100, 1))
    expected = sklearn_of(name)(t.ravel(), z.ravel() > 0, zero_division=0)
    assert metrics.measure(name, t, z, "binary") == pytest.approx(expected, rel=1e-12)


@each
def test_accuracy_is_that_of_scikit_learn(metrics):
    accuracy_score = pytest.importorskip("sklearn.metrics").accuracy_score
    y, z = labels_problem(3)
    assert metrics.measure("accuracy", y, z, "labels") == accuracy_score(y, z.argmax(axis=1))
    t = (np.random.default_rng(3).random((200, 5)) < 0.5) | (z > 0.5)
    expected = accuracy_score(t, z > 0)
    assert 0 < expected < 1
    assert metrics.measure("accuracy", t, z, "binary") == expected


@each
@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_top_k_is_that_of_scikit_learn(metrics, k):
    top_k = pytest.importorskip("sklearn.metrics").top_k_accuracy_score
    y, z = labels_problem(4, n_classes=6)
    expected = top_k(y, z, k=k, labels=np.arange(6))
    assert metrics.measure(f"top_{k}", y, z, "labels") == expected


@each
def test_top_k_of_all_classes_is_one_and_top_1_is_the_accuracy_also_among_equals(metrics):
    rng = np.random.default_rng(5)
    y, z = rng.integers(0, 4, 300), rng.integers(0, 3, (300, 4)).astype(np.float32)
    assert metrics.measure("top_4", y, z, "labels") == 1
    expected = metrics.measure("accuracy", y, z, "labels")
    assert metrics.measure("top_1", y, z, "labels") == expected


@each
def test_the_first_of_equal_outputs_is_the_nearer_one(metrics):
    z = np.zeros((3, 3))
    assert metrics.measure("top_2", [0, 1, 2], z, "labels") == pytest.approx(2 / 3)


@each
@pytest.mark.parametrize("name", ["mae", "mse", "r2"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_metrics_of_numbers_are_the_uniform_averages_of_scikit_learn(metrics, name, n_outputs):
    sklearn = pytest.importorskip("sklearn.metrics")
    score = {
        "mae": sklearn.mean_absolute_error,
        "mse": sklearn.mean_squared_error,
        "r2": sklearn.r2_score,
    }[name]
    rng = np.random.default_rng(6)
    t = rng.standard_normal((100, n_outputs)).astype(np.float32)
    z = (t + rng.standard_normal((100, n_outputs))).astype(np.float32)
    expected = score(t.astype(float), z.astype(float))
    assert metrics.measure(name, t, z, "real") == pytest.approx(expected, rel=1e-12)
    if n_outputs == 1:
        assert metrics.measure(name, t[:, 0], z, "real") == metrics.measure(name, t, z, "real")


@each
def test_r2_of_targets_without_variance_is_that_of_scikit_learn(metrics):
    r2_score = pytest.importorskip("sklearn.metrics").r2_score
    t = np.ones((4, 3))
    t[:, 2] = [1, 2, 3, 4]
    z = t + np.array([0, 1, 0.5])
    assert metrics.measure("r2", t, z, "real") == pytest.approx(r2_score(t, z), rel=1e-12)
    assert math.isnan(metrics.measure("r2", t[:1], z[:1], "real"))


@each
@pytest.mark.parametrize("name", ["accuracy", "top_2", *RATIOS])
def test_rows_of_probabilities_stand_for_their_largest(metrics, name):
    y, z = labels_problem(7)
    rows = np.full((200, 5), 0.1)
    rows[np.arange(200), y] = 0.6
    expected = metrics.measure(name, y, z, "labels")
    assert metrics.measure(name, rows, z, "labels") == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["labels", "binary", "real"])
def test_both_engines_measure_the_same(kind, dtype):
    y, z = labels_problem(8, dtype=dtype)
    target = {"labels": y, "binary": z > 0.7, "real": z + 0.1 * y[:, None]}[kind]
    names = fastmlp.metrics.check_metrics([n for n in names_of(kind) if n != "loss"], kind, 5)
    for name in names:
        ours, expected = (m.measure(name, target, -z, kind) for m in MODULES)
        assert type(ours) is type(expected) is float
        assert ours == pytest.approx(expected, rel=1e-12)


def names_of(kind):
    return [name.replace("top_k", "top_2") for name in fastmlp.metrics.NAMES_OF[kind]]


# --- what is allowed ------------------------------------------------------------------------------


def test_both_engines_allow_the_same():
    ours, expected = MODULES
    assert list(ours.NAMES) == list(expected.NAMES)
    assert {kind: list(names) for kind, names in ours.NAMES_OF.items()} == expected.NAMES_OF
    assert set(ours.LOWER_IS_BETTER) == set(expected.LOWER_IS_BETTER)


@each
@pytest.mark.parametrize("kind", ["labels", "binary", "real"])
def test_names_come_back_once_in_their_order(metrics, kind):
    names = names_of(kind)[::-1]
    assert metrics.check_metrics([*names, names[0]], kind, 5) == tuple(names)
    assert metrics.check_metrics((), kind, 1) == ()


@each
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("r2", "labels"),
        ("mse", "binary"),
        ("f1", "real"),
        ("accuracy", "real"),
        ("top_2", "binary"),
        ("top_2", "real"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(metrics, name, kind):
    with pytest.raises(
        ValueError, match=f"metrics.* {', '.join(metrics.NAMES_OF[kind])}"
    ) as caught:
        metrics.check_metrics(["loss", name], kind, 3)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@each
@pytest.mark.parametrize("name", ["f2", "top_k", "top_", "top_x", "top_-1", "top_1.5", "", None, 3])
def test_unknown_names_are_refused(metrics, name):
    with pytest.raises(ValueError, match=r"^metrics.*top_5" if name == "top_k" else "^metrics"):
        metrics.check_metrics([name], "labels", 3)


@each
@pytest.mark.parametrize("name", ["top_0", "top_4", "top_999999999"])
def test_k_is_from_one_to_the_classes(metrics, name):
    with pytest.raises(ValueError, match=rf"^metrics.*{name}") as caught:
        metrics.check_metrics([name], "labels", 3)
    assert "3" in str(caught.value)


@each
@pytest.mark.parametrize("value", ["accuracy", None, 3, {"f1"}])
def test_metrics_must_be_a_sequence_of_names(metrics, value):
    with pytest.raises(TypeError, match=r"^metrics must be a sequence of names"):
        metrics.check_metrics(value, "labels", 3)


def test_measuring_needs_no_scikit_learn():
    code = (
        "import sys, fastmlp.metrics as m\n"
        "m.measure('f1', [0, 1], [[1.0, 0.0], [1.0, 0.0]], 'labels')\n"
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
