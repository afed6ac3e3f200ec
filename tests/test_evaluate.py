"""The command ``python -m fastmlp.evaluate``: what it prints, and what it refuses."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import fastmlp
from fastmlp.evaluate_command import main
from tests.commands import runner

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def command(capsys):
    """Run the command in this process: its status, stdout and stderr."""
    return runner(main, capsys)


@pytest.fixture(scope="module")
def digits():
    return fastmlp.load_dataset("digits")


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """A model of the digits, and its file."""
    model = fastmlp.MLP([64, 16, 10], seed=0)
    fastmlp.fit(model, digits.x_train, digits.y_train, epochs=3)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    model.save(path)
    return model, path


def saved(path, *layers, **options):
    fastmlp.MLP(layers, **options).save(path)
    return path


def write_data(path, x, y):
    np.savez(path, x_train=x, y_train=y, x_test=x[:12], y_test=y[:12])
    return path


X = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
LABELS = np.arange(30) % 3


def refused(done, *words, status=2):
    assert done[0] == status, done
    assert done[1] == ""
    assert re.fullmatch(r"fastmlp\.evaluate: error: [^\n]+\n", done[2])
    for word in words:
        assert word in done[2]


def test_the_json_is_what_evaluate_and_scikit_learn_say(command, digits, trained):
    model, path = trained
    status, out, err = command(path, "--data", "digits", "--json", "-")
    assert (status, err) == (0, "")
    result = json.loads(out)
    test = fastmlp.evaluate(model, digits.x_test, digits.y_test)
    assert (result["test_loss"], result["test_accuracy"]) == test
    assert (result["schema"], result["model"]) == ("fastmlp.evaluate/1", str(path))
    assert (result["data"], result["n_test"], result["layers"]) == ("digits", 360, [64, 16, 10])
    predicted = model.predict(digits.x_test)
    assert result["confusion_matrix"] == confusion_matrix(digits.y_test, predicted).tolist()
    scores = precision_recall_fscore_support(digits.y_test, predicted, zero_division=0)
    for k, row in enumerate(result["classes"]):
        expected = dict(
            zip(("precision", "recall", "f1", "support"), (s[k] for s in scores), strict=True)
        )
        assert row == {"class": k, **expected}
    assert len(result["classes"]) == 10


def test_the_table_has_the_same_numbers(command, trained, tmp_path):
    file = tmp_path / "result.json"
    status, out, err = command(trained[1], "--data", "digits", "--json", file)
    assert (status, err) == (0, "")
    result = json.loads(file.read_text())
    assert f" test accuracy  {result['test_accuracy']:.2%}\n" in out
    assert f"     test loss  {result['test_loss']:.4f}\n" in out
    lines = [line.split() for line in out.splitlines()[-10:]]
    assert lines == [
        [
            *(f"{row['class']}", f"{row['precision']:.4f}", f"{row['recall']:.4f}"),
            *(f"{row['f1']:.4f}", f"{row['support']}"),
        ]
        for row in result["classes"]
    ]


def test_a_model_that_the_train_command_has_saved_has_the_accuracy_it_said(command, tmp_path):
    from fastmlp.train import main as train

    options = ("--data", "digits", "--hidden", 8, "--epochs", 2, "--quiet", "--threads", 1)
    outputs = ("--save", tmp_path / "model", "--json", tmp_path / "run.json")
    assert train([str(option) for option in (*options, *outputs)]) == 0
    run = json.loads((tmp_path / "run.json").read_text())
    status, out, _ = command(tmp_path / "model", "--data", "digits", "--json", "-")
    assert status == 0
    for name in ("test_loss", "test_accuracy", "layers"):
        assert json.loads(out)[name] == run[name]


@pytest.mark.parametrize(
    ("loss", "y", "layers", "columns"),
    [
        ("squared_error", X[:, 0], [4, 1], ["output", "r2", "mae", "rmse"]),
        ("poisson", LABELS.astype(float), [4, 1], ["output", "r2", "mae", "rmse"]),
        ("squared_error", X[:, :2], [4, 2], ["output", "r2", "mae", "rmse"]),
        ("binary_cross_entropy", LABELS % 2, [4, 1], ["class", "precision"]),
        ("binary_cross_entropy", (X > 0).astype(np.uint8), [4, 4], ["output", "precision"]),
        ("cross_entropy", np.eye(3)[LABELS], [4, 3], ["class", "precision"]),
    ],
)
def test_every_loss_has_its_scores(command, tmp_path, loss, y, layers, columns):
    model = saved(tmp_path / "model", *layers, loss=loss)
    path = write_data(tmp_path / "data.npz", X, y)
    status, out, err = command(model, "--data", path, "--report", tmp_path / "report")
    assert (status, err) == (
        0,
        f"fastmlp.evaluate: the report is in {tmp_path / 'report'}\n",
    )
    head = next(line.split() for line in out.splitlines() if line.split()[:1] == columns[:1])
    assert head[: len(columns)] == columns
    assert (tmp_path / "report" / "index.html").exists()


def test_the_report_has_no_curves_and_the_command_that_makes_it_again(command, trained, tmp_path):
    pytest.importorskip("matplotlib")
    assert command(trained[1], "--data", "digits", "--report", tmp_path)[0] == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"index.html", "confusion.png", "mistakes.png", "weights.png"}
    html = (tmp_path / "index.html").read_text()
    assert f"python -m fastmlp.evaluate {trained[1]} --data digits" in html
    assert "Learning curves" not in html


def test_a_folder_of_shards_is_judged_from_disk(command, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for part in ("train", "test"):
        np.save(folder / f"x_{part}-00000.npy", X)
        np.save(folder / f"y_{part}-00000.npy", LABELS)
    model = saved(tmp_path / "model", 4, 3)
    status, out, _ = command(model, "--data", folder, "--json", "-")
    assert status == 0
    test = fastmlp.evaluate(fastmlp.load(model), X, LABELS)
    assert json.loads(out)["test_accuracy"] == test.accuracy


# --- refusals -------------------------------------------------------------------------------------


def test_a_file_that_is_no_model_is_one_line(command, trained, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.write_bytes(trained[1].read_bytes()[:-8])
    foreign = tmp_path / "foreign"
    foreign.write_text("no model")
    for path, words in {
        tmp_path / "absent": ["No such file"],
        tmp_path: ["Is a directory"],
        damaged: ["is damaged, or no model file"],
        foreign: ["is damaged, or no model file"],
    }.items():
        refused(command(path, "--data", "digits"), str(path), *words)
    refused(command("", "--data", "digits"), "MODEL must not be empty")


def test_a_model_that_does_not_fit_the_data_is_one_line(command, trained, tmp_path):
    labels = write_data(tmp_path / "labels.npz", X, LABELS)
    real = write_data(tmp_path / "real.npz", X, X[:, 0])
    three, two = saved(tmp_path / "three", 4, 3), saved(tmp_path / "two", 4, 2)
    yes = saved(tmp_path / "yes", 4, 1, loss="binary_cross_entropy")
    number = saved(tmp_path / "number", 4, 1, loss="squared_error")
    pair = saved(tmp_path / "pair", 4, 2, loss="squared_error")
    for model, path, words in (
        (trained[1], labels, ["the model takes 64 features", "has 4"]),
        (two, labels, ["the model has 2 classes, 0 to 1", "has label 2"]),
        (yes, labels, ["the model has 2 classes, 0 to 1", "has label 2"]),
        (number, labels, ["squared_error", "other targets than the labels"]),
        (three, real, ["the model has 3 outputs", " 1 of a sample"]),
        (pair, real, ["the model has 2 outputs", " 1 of a sample"]),
    ):
        refused(command(model, "--data", path), str(path), *words)


def test_labels_that_the_training_set_lacks_do_not_hide_behind_its_own(command, tmp_path):
    """A model of three classes may be judged by a set of two."""
    model = saved(tmp_path / "three", 4, 3)
    path = write_data(tmp_path / "two.npz", X, LABELS % 2)
    status, out, _ = command(model, "--data", path, "--json", "-")
    assert status == 0
    assert np.shape(json.loads(out)["confusion_matrix"]) == (3, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "absent"], ["--data", "'absent'"]),
        (["--data", ""], ["--data must not be empty"]),
        ([], ["required: --data"]),
        (["--data", "digits", "--threads", "0"], ["--threads", "from 1 to"]),
        (["--data", "digits", "--fast"], ["unrecognized arguments: --fast"]),
        (["--data", "digits", "--json", "absent/result.json"], ["--json", "absent is no folder"]),
        (["--data", "digits", "--json", ""], ["--json must not be empty"]),
        (["--data", "digits", "--report", ""], ["--report must not be empty"]),
        (["--data", "digits", "--report", "README.md"], ["--report", "not the file"]),
    ],
)
def test_wrong_usage_is_status_2_and_one_line(command, trained, monkeypatch, options, words):
    monkeypatch.chdir(ROOT)
    refused(command(trained[1], *options), *words)


def test_the_model_is_not_written_over(command, trained):
    before = trained[1].read_bytes()
    done = command(trained[1], "--data", "digits", "--json", trained[1])
    refused(done, "MODEL and --json must be different")
    assert trained[1].read_bytes() == before


def test_data_that_cannot_be_had_are_a_run_time_failure(command, trained, tmp_path):
    refused(command(trained[1], "--data", tmp_path / "absent.npz"), "absent.npz", status=1)


def test_a_loss_that_is_not_finite_is_said(command, tmp_path):
    model = fastmlp.MLP([4, 3])
    model.weights[0][:] = 3e38 * np.sign(X[:4, :3])
    model.save(tmp_path / "model")
    path = write_data(tmp_path / "data.npz", 100 * X, LABELS)
    done = command(tmp_path / "model", "--data", path)
    refused(done, "the loss on the test set is", status=1)


def test_the_module_is_the_command_and_the_function_stays(trained):
    done = subprocess.run(
        [sys.executable, "-m", "fastmlp.evaluate", trained[1], "--data", "digits"],
        cwd=ROOT,
        env={**os.environ, "FASTMLP_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "test accuracy" in done.stdout
    with pytest.raises(ImportError, match="is a function"):
        importlib.import_module("fastmlp.evaluate")
    assert fastmlp.evaluate is fastmlp.evaluation.evaluate


def test_help_and_evaluation_load_no_matplotlib(trained):
    code = (
        "import contextlib, sys\nfrom fastmlp.evaluate_command import main\n"
        "with contextlib.suppress(SystemExit):\n    main(['--help'])\n"
        "assert not {'numba', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        f"assert main([{str(trained[1])!r}, '--data', 'digits']) == 0\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
