"""The report of a run: its numbers, its pictures, the page in a browser, and what it refuses."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, r2_score

import fastmlp
import fastmlp.train
import reference
from fastmlp.assessment import Classes, Outputs, assess
from tests.browser import opened_page

pytest.importorskip("matplotlib")

from fastmlp import report
from tests.commands import ctrl_c_in_epoch, runner

PNG = b"\x89PNG\r\n\x1a\n"
SMALL = ("--hidden", 8, "--epochs", 2, "--batch-size", 32, "--threads", 1)
ALL = {"curves.png", "confusion.png", "mistakes.png", "weights.png", "phases.png"}


@pytest.fixture
def command(capsys):
    """Run the command in this process: its status, stdout and stderr."""
    return runner(fastmlp.train.main, capsys)


@pytest.fixture(scope="module")
def digits():
    return fastmlp.load_dataset("digits")


@pytest.fixture(scope="module")
def trained(digits):
    model = fastmlp.MLP([64, 16, 10], seed=0)
    history = fastmlp.fit(
        model, digits.x_train, digits.y_train, epochs=3, batch_size=32, validation_fraction=0.2
    )
    return model, history


@pytest.fixture(scope="module")
def digits_report(tmp_path_factory):
    """The folder of a run on the digits, with all that a report can show."""
    folder = tmp_path_factory.mktemp("report") / "new" / "folder"
    options = ["--val-fraction", 0.2, "--schedule", "cosine", "--quiet", "--report", folder]
    assert fastmlp.train.main([*map(str, ("--data", "digits", *SMALL, *options))]) == 0
    return folder


def write_data(path, x, y):
    np.savez(path, x_train=x[20:], y_train=y[20:], x_test=x[:20], y_test=y[:20])
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Paths by what they hold."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 6)).astype(np.float32)
    y = np.arange(100) % 3
    arrays = {
        "labels": (x, y),
        "easy": (x + 20 * np.eye(6, dtype=np.float32)[y], y),
        "two": (x, y % 2),
        "real": (x, x[:, 0] - x[:, 1]),
        "counts": (x, y.astype(np.float64)),
        "outputs": (x, (x[:, :5] > 0).astype(np.uint8)),
        "images": (rng.random((100, 2, 3)).astype(np.float32), y),
    }
    return {name: write_data(folder / f"{name}.npz", *pair) for name, pair in arrays.items()}


def text_of(folder):
    """What the page says, without tags, pictures and style."""
    html = (Path(folder) / "index.html").read_text(encoding="utf-8")
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL).split())


# --- the numbers ----------------------------------------------------------------------------------


def test_the_confusion_matrix_and_the_scores_are_scikit_learns(digits, trained):
    model, _ = trained
    found = assess(model, digits.x_test, digits.y_test)
    predicted = model.predict(digits.x_test)
    assert isinstance(found, Classes)
    np.testing.assert_array_equal(found.predicted, predicted)
    np.testing.assert_array_equal(found.matrix, confusion_matrix(digits.y_test, predicted))
    counted = np.zeros((10, 10), dtype=int)
    np.add.at(counted, (digits.y_test, predicted), 1)
    np.testing.assert_array_equal(found.matrix, counted)
    scores = precision_recall_fscore_support(digits.y_test, predicted, zero_division=0)
    names = ("precision", "recall", "f1", "support")
    for name, column in zip(names, scores, strict=True):
        assert [row[name] for row in found.scores] == column.tolist()
    accuracy = fastmlp.evaluate(model, digits.x_test, digits.y_test).accuracy
    assert np.trace(found.matrix) / found.matrix.sum() == accuracy


def test_a_class_that_the_test_set_lacks_has_its_row_and_column(digits, trained):
    rows = digits.y_test < 8
    found = assess(trained[0], digits.x_test[rows], digits.y_test[rows])
    assert found.matrix.shape == (10, 10)
    assert len(found.scores) == 10
    assert found.scores[9]["support"] == found.scores[9]["recall"] == 0


def test_probabilities_are_those_of_the_predicted_classes(digits, trained):
    found = assess(trained[0], digits.x_test, digits.y_test)
    shares = trained[0].predict_proba(digits.x_test)
    np.testing.assert_allclose(found.probabilities, shares.max(axis=1), rtol=1e-6)


def test_the_mistakes_are_those_of_a_plain_sort(digits, trained):
    model, _ = trained
    found = assess(model, digits.x_test, digits.y_test)
    chosen = report.confident_mistakes(found.true, found.predicted, found.probabilities, 7)
    logits = model.logits(digits.x_test)
    wrong = [
        (-probability, k)
        for k, probability in enumerate(found.probabilities.tolist())
        if logits[k].argmax() != digits.y_test[k]
    ]
    assert len(wrong) > 7
    assert chosen.tolist() == [k for _, k in sorted(wrong)[:7]]


def test_one_output_of_two_classes_is_a_matrix_of_two():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 3)), np.arange(50) % 2
    model = fastmlp.MLP([3, 4, 1], loss="binary_cross_entropy", seed=1)
    found = assess(model, x, y)
    np.testing.assert_array_equal(found.matrix, confusion_matrix(y, model.predict(x)))
    yes = model.predict_proba(x)[:, 0]
    np.testing.assert_allclose(found.probabilities, np.maximum(yes, 1 - yes), rtol=1e-6)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_scores_of_numbers_are_scikit_learns(loss, n_outputs):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 3)), rng.random((50, n_outputs))
    model = fastmlp.MLP([3, 4, n_outputs], loss=loss, seed=1)
    found = assess(model, x, y[:, 0] if n_outputs == 1 else y)
    assert isinstance(found, Outputs)
    predicted = model.predict(x).reshape(50, n_outputs)
    np.testing.assert_allclose(found.predicted, predicted, rtol=1e-6)
    expected = r2_score(y, predicted, multioutput="raw_values")
    np.testing.assert_allclose([row["r2"] for row in found.scores], expected, rtol=1e-4)


def test_rows_of_probabilities_are_judged_by_their_most_probable_class(trained, digits):
    soft = np.full((len(digits.y_test), 10), 0.05)
    soft[np.arange(len(soft)), digits.y_test] = 0.55
    hard = assess(trained[0], digits.x_test, digits.y_test)
    np.testing.assert_array_equal(assess(trained[0], digits.x_test, soft).matrix, hard.matrix)


# --- the pictures ---------------------------------------------------------------------------------


def texts_of(axes):
    return {(text.get_position(), text.get_text()) for text in axes.texts}


def test_every_count_is_written_into_its_cell_and_zeros_into_none():
    matrix = np.array([[50, 3, 0], [1, 60, 0], [0, 0, 7]])
    axes = report.draw_confusion(matrix).axes[0]
    assert texts_of(axes) == {
        ((column, row), str(matrix[row, column])) for row, column in np.argwhere(matrix)
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "predicted")


def test_the_colours_of_mistakes_end_at_the_worst_and_leave_out_the_diagonal():
    image = report.draw_confusion([[90, 10, 0], [0, 49, 1], [0, 0, 100]]).axes[0].images[1]
    assert image.get_clim() == (0, 0.1)
    shares = image.get_array()
    assert shares.count() == 2
    assert (shares[0, 1], shares[1, 2]) == (0.1, 0.02)


def test_fifty_classes_are_drawn_without_numbers_and_with_some_names():
    matrix = np.diag(np.full(50, 9)) + np.eye(50, k=1, dtype=int)
    axes = report.draw_confusion(matrix, [f"class {k}" for k in range(50)]).axes[0]
    assert not axes.texts
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["class 0", "class 5"]
    assert report.png(axes.figure).startswith(PNG)


@pytest.mark.parametrize(
    ("options", "panels"),
    [
        ({}, ["loss", "accuracy"]),
        ({"schedule": fastmlp.Cosine()}, ["loss", "accuracy", "learning rate"]),
        ({"validation_fraction": 0.2}, ["loss", "accuracy"]),
        ({"epochs": 1}, ["loss", "accuracy"]),
    ],
)
def test_curves_have_a_panel_for_what_there_is(digits, options, panels):
    model = fastmlp.MLP([64, 10])
    history = fastmlp.fit(model, digits.x_train, digits.y_train, **{"epochs": 2} | options)
    axes = report.draw_curves(history.to_dict()).axes
    assert [each.get_ylabel() for each in axes] == panels
    lines = axes[0].get_lines()
    assert len(lines) == (2 if "validation_fraction" in options else 1)
    np.testing.assert_array_equal(lines[0].get_ydata(), history.to_dict()["train_loss"])


def test_a_gap_in_a_curve_is_no_error():
    columns = {"epoch": [1, 2, 3], "train_loss": [3.0, None, 1.0], "train_accuracy": [None] * 3}
    axes = report.draw_curves(columns).axes
    assert len(axes) == 1
    assert np.isnan(axes[0].get_lines()[0].get_ydata()[1])


def test_weights_are_symmetric_around_white_and_the_largest_units_are_chosen():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((6, 100)) * np.linspace(1, 2, 100)
    image = report.draw_weights(weights, (2, 3)).axes[0].images[0]
    low, high = image.get_clim()
    assert low == -high
    norms = np.linalg.norm(weights, axis=0)
    chosen = np.flatnonzero(norms >= np.sort(norms)[-64])
    tiles = np.ma.filled(image.get_array(), np.nan)  # 8 by 8, with a line of nothing between them
    assert tiles.shape == (8 * 3 - 1, 8 * 4 - 1)
    for k, unit in enumerate(chosen):
        row, column = 3 * (k // 8), 4 * (k % 8)
        tile = tiles[row : row + 2, column : column + 3]
        np.testing.assert_array_equal(tile, weights[:, unit].reshape(2, 3))
    assert np.isnan(tiles).sum() == tiles.size - 64 * 6


def test_mistakes_say_what_each_is_and_was_taken_for():
    images = np.zeros((6, 4, 4), dtype=np.uint8)
    figure = report.draw_mistakes(images, [1] * 6, [7] * 6, [0.9999, 0.5, 0.5, 0.5, 0.5, 0.4])
    assert [axes.get_title() for axes in figure.axes[:7]] == ["true 1"] * 6 + [""]
    said = [axes.texts[0].get_text() for axes in figure.axes[:6]]
    assert said[:2] + said[-1:] == ["said 7, >99.9%", "said 7, 50.0%", "said 7, 40.0%"]


def test_pictures_leave_pyplot_alone(trained):
    modules = set(sys.modules)
    report.png(report.draw_phases(trained[1].phase_seconds))
    assert "matplotlib.pyplot" not in set(sys.modules) - modules


# --- the page -------------------------------------------------------------------------------------


def test_the_page_is_whole_in_a_browser_without_any_other_file(digits_report, tmp_path):
    shutil.copy(digits_report / "index.html", tmp_path / "index.html")  # and no picture
    requests = []
    with opened_page() as (page, problems):
        page.on("request", lambda request: requests.append(request.url.partition(":")[0]))
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto((tmp_path / "index.html").as_uri())
            sizes = page.evaluate(
                "Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))"
            )
            assert len(sizes) == len(ALL)
            assert min(sizes) > 0
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_attribute("html", "lang") == "en"
        assert all(page.eval_on_selector_all("img", "all => all.map(i => i.alt)"))
        assert page.locator("h1").count() == 1
        cells = page.locator("table:has(caption) tbody td").all_inner_texts()
    assert problems == []
    assert set(requests) <= {"file", "data"}
    run = json.loads((digits_report / "run.json").read_text())
    assert run["test_accuracy"] is not None
    assert len(cells) == 10 * 5
    assert sum(int(cell) for cell in cells[4::5]) == 360


def test_the_pictures_lie_beside_the_page(digits_report):
    names = {path.name for path in digits_report.iterdir()}
    assert names == ALL | {"index.html", "run.json"}
    assert all((digits_report / name).read_bytes().startswith(PNG) for name in ALL)


def test_the_page_tells_the_settings_the_versions_and_the_way_back(digits_report, command):
    run = json.loads((digits_report / "run.json").read_text())
    text = text_of(digits_report)
    assert f"digits: {run['test_accuracy']:.2%} right on the test set" in text
    for word in ("schedule cosine", "val_fraction 0.2", f"numba {run['versions']['numba']}"):
        assert word in text
    assert run["cpu"] in text
    path = digits_report / "run.json"
    assert f"python -m fastmlp.train --config {path}" in text
    status, out, _ = command("--config", path, "--quiet", "--json", "-")
    assert status == 0
    assert json.loads(out)["parameter_sha256"] == run["parameter_sha256"]
    assert run["parameter_sha256"] in text


PAGES = {
    # data, options: pictures, words
    "labels": ("", {"curves.png", "confusion.png", "phases.png"}, ["an input of 6 values"]),
    "images": ("", ALL, ["as an image of 2 x 3"]),
    "easy": (
        "--epochs 20",
        {"curves.png", "confusion.png", "phases.png"},
        ["There are no mistakes", "All 20 samples of the test set are right"],
    ),
    "two": (
        "--loss binary_cross_entropy",
        {"curves.png", "confusion.png", "phases.png"},
        ["Counts on the test set"],
    ),
    "real": ("", {"curves.png", "fit.png", "phases.png"}, ["no accuracy", "R²"]),
    "counts": ("--loss poisson", {"curves.png", "fit.png", "phases.png"}, ["no accuracy"]),
    "outputs": (
        "--loss binary_cross_entropy",
        {"curves.png", "phases.png"},
        ["A confusion matrix and single mistakes have no meaning here"],
    ),
    "labels, no epoch": (
        "--epochs 0",
        {"confusion.png"},
        ["No epoch was finished", "Not measured: no step was timed"],
    ),
    "labels, lbfgs": (
        "--optimizer lbfgs",
        {"curves.png", "confusion.png"},
        ["Not measured: an iteration of lbfgs"],
    ),
    "images, reference": (
        "--engine reference",
        ALL - {"phases.png"},
        ["Not measured: --engine reference has no clocks"],
    ),
    "images, linear": ("--hidden", ALL, ["a high pixel raises the score of the class"]),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_what_has_a_meaning_and_says_what_has_none(data, command, tmp_path, name):
    options, pictures, words = PAGES[name]
    source = data[name.partition(",")[0]]
    done = command(
        *("--data", source, *SMALL, "--quiet", *options.split(), "--report", tmp_path / "new")
    )
    assert (done[0], done[2]) == (0, "")
    assert {path.name for path in (tmp_path / "new").glob("*.png")} == pictures
    for word in words:
        assert word in text_of(tmp_path / "new")


def test_rows_on_disk_give_the_same_page(digits, trained, tmp_path):
    np.save(tmp_path / "x.npy", digits.x_test)
    rows = fastmlp.open_rows(tmp_path / "x.npy", window=50)
    for name, x in (("disk", rows), ("memory", digits.x_test)):
        report.write(tmp_path / name, trained[0], x, digits.y_test)
    for name in ("index.html", "mistakes.png"):
        assert (tmp_path / "disk" / name).read_bytes() == (tmp_path / "memory" / name).read_bytes()


def test_from_python_it_needs_no_more_than_a_model_and_a_test_set(digits, trained, tmp_path):
    model, history = trained
    page = report.write(tmp_path, model, digits.x_test, digits.y_test.tolist(), history=history)
    assert page == tmp_path / "index.html"
    accuracy = fastmlp.evaluate(model, digits.x_test, digits.y_test).accuracy
    assert f"{accuracy:.2%} right on the test set" in text_of(tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == ALL


def test_a_model_of_the_reference_has_a_report_too(digits, tmp_path):
    model = reference.MLP([64, 8, 10], seed=0)
    history = reference.fit(model, digits.x_train, digits.y_train, epochs=2)
    report.write(tmp_path, model, digits.x_test, digits.y_test, history=history)
    assert {path.name for path in tmp_path.glob("*.png")} == ALL - {"phases.png"}


def test_what_the_page_is_given_is_escaped(digits, trained, tmp_path):
    evil = '<script>alert(1)</script> & "quotes"'
    report.write(
        *(tmp_path, trained[0], digits.x_test, digits.y_test),
        title=evil,
        summary={evil: evil},
        settings={evil: [evil]},
        repeat=evil,
        notes=[evil],
    )
    html = (tmp_path / "index.html").read_text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 8


# --- the folder -----------------------------------------------------------------------------------


def test_what_else_is_in_the_folder_stays_and_a_former_report_goes(digits, trained, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "weights.png").write_text("mine")
    model = fastmlp.MLP([6, 3])
    report.write(tmp_path, model, np.ones((4, 6)), np.arange(4) % 3)
    assert (tmp_path / "weights.png").read_text() == "mine"
    report.write(tmp_path, trained[0], digits.x_test, digits.y_test)
    assert (tmp_path / "weights.png").read_bytes().startswith(PNG)
    report.write(tmp_path, model, np.ones((4, 6)), np.arange(4) % 3)
    assert {path.name for path in tmp_path.iterdir()} == {
        "notes.txt",
        "index.html",
        "confusion.png",
    }


def refused(done, *words):
    assert done[0] == 2, done
    assert done[1] == ""
    assert re.fullmatch(r"fastmlp\.train: error: [^\n]+\n", done[2])
    assert all(word in done[2] for word in words)


def test_a_folder_that_cannot_be_is_refused_before_training(data, command, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<p>mine</p>")
    (tmp_path / "odd" / "curves.png").mkdir(parents=True)
    options = ("--data", data["labels"], *SMALL, "--save", tmp_path / "model")
    for name, words in {
        "file": ["--report", "not the file"],
        "file/below": ["--report", "cannot be made: Not a directory"],
        "site": ["--report", "index.html is no report"],
        "odd": ["--report", "curves.png is a folder"],
        "n" * 300: ["--report", "File name too long"],
        "": ["--report must not be empty"],
    }.items():
        refused(command(*options, "--report", tmp_path / name if name else ""), *words)
    folder = tmp_path / "both"
    done = command(*options, "--report", folder, "--checkpoint", folder)
    refused(done, "--checkpoint and --report must be different")
    assert (tmp_path / "site" / "index.html").read_text() == "<p>mine</p>"
    assert not (tmp_path / "model").exists()


def test_without_matplotlib_one_line_says_what_to_install(data, command, tmp_path, monkeypatch):
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    options = ("--data", data["labels"], *SMALL, "--report", tmp_path / "new")
    refused(command(*options), "--report needs matplotlib: pip install 'fastmlp[report]'")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ImportError, match=r"fastmlp\[report\]"):
        report.write(tmp_path, fastmlp.MLP([2, 2]), np.ones((2, 2)), [0, 1])
    with pytest.raises(ImportError, match=r"fastmlp\[report\]"):
        report.draw_confusion(np.eye(2))


@pytest.mark.parametrize(
    ("layers", "loss", "y", "words"),
    [
        ([2, 3], "cross_entropy", [0, 1, 3, 0], "y must hold class labels 0 ... 2"),
        ([2, 3], "cross_entropy", [0, 1, 2], "y has 3 labels for 4 samples"),
        ([2, 3], "cross_entropy", [0.5] * 4, "y must hold integer class labels"),
        ([2, 3], "cross_entropy", np.ones((4, 2)), r"y must have shape \(4, 3\)"),
        ([2, 3], "squared_error", np.ones((4, 2)), r"y must have shape \(4, 3\)"),
        ([2, 1], "squared_error", np.ones(3), r"y must have shape \(4, 1\)"),
    ],
)
def test_targets_that_do_not_fit_the_model_are_one_line(tmp_path, layers, loss, y, words):
    model = fastmlp.MLP(layers, loss=loss)
    with pytest.raises((TypeError, ValueError), match=words):
        report.write(tmp_path, model, np.ones((4, 2)), y)
    assert not list(tmp_path.iterdir())


def test_frames_and_sparse_matrices_are_drawn_as_arrays_are(digits, trained, tmp_path):
    pandas, sparse = pytest.importorskip("pandas"), pytest.importorskip("scipy.sparse")
    pages = []
    for k, x in enumerate(
        (digits.x_test, pandas.DataFrame(digits.x_test), sparse.coo_array(digits.x_test))
    ):
        report.write(tmp_path / str(k), trained[0], x, digits.y_test)
        pages.append((tmp_path / str(k) / "mistakes.png").read_bytes())
    assert pages[0] == pages[1] == pages[2]


def test_an_image_shape_that_is_none_is_one_line(digits, trained, tmp_path):
    with pytest.raises(ValueError, match=r"image_shape must have 64 pixels.* not 8 x 9"):
        report.write(tmp_path, trained[0], digits.x_test, digits.y_test, image_shape=(8, 9))


# --- runs that were interrupted, or go on ---------------------------------------------------------


@pytest.fixture
def interrupted(command, monkeypatch):
    """A run that Ctrl-C ends when an epoch begins."""

    def run(in_epoch, *options):
        with ctrl_c_in_epoch(in_epoch, monkeypatch):
            return command(*options)

    return run


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_ctrl_c_leaves_the_report_of_what_was_learned(data, interrupted, tmp_path, engine):
    folder, model = tmp_path / "new", tmp_path / "model"
    options = ("--data", data["images"], *SMALL, "--quiet", "--engine", engine, "--save", model)
    done = interrupted(2, *options, "--report", folder)
    assert done[:2] == (130, "")
    assert done[2] == (
        f"fastmlp.train: error: interrupted; the model so far is in {model}; the report is in "
        f"{folder}\n"
    )
    assert "Interrupted after 1 of 2 epochs" in text_of(folder)
    reason = "this one was interrupted" if engine == "fast" else "has no clocks"
    assert re.search(f"Not measured: [^.]*{reason}", text_of(folder))
    run = json.loads((folder / "run.json").read_text())
    assert len(run["epochs"]) == 1
    assert run["train_seconds"] >= run["epochs"][0]["seconds"]
    assert run["parameter_sha256"] not in text_of(folder)  # which the whole run would not have
    with np.load(data["images"]) as arrays:
        test = fastmlp.evaluate(
            fastmlp.load(model), arrays["x_test"].reshape(20, 6), arrays["y_test"]
        )
    assert run["test_loss"] == pytest.approx(test.loss, rel=1e-5)


def test_a_second_ctrl_c_gives_up_the_report_alone(data, interrupted, tmp_path, monkeypatch):
    def again(*_, **interrupted):
        raise KeyboardInterrupt

    monkeypatch.setattr(fastmlp.train, "_report", again)
    folder, model = tmp_path / "new", tmp_path / "model"
    options = ("--data", data["images"], *SMALL, "--quiet", "--save", model)
    done = interrupted(2, *options, "--report", folder)
    assert done[0] == 130
    assert f"the model so far is in {model}; there is no report: interrupted again" in done[2]


def test_a_run_that_goes_on_reports_all_its_epochs(data, command, interrupted, tmp_path):
    run = ("--data", data["images"], *SMALL, "--epochs", 4, "--quiet")
    assert interrupted(3, *run, "--checkpoint", tmp_path / "run")[0] == 130
    done = command("--resume", tmp_path / "run", "--quiet", "--report", tmp_path / "new")
    assert (done[0], done[2]) == (0, "")
    assert "Resumed after epoch 2" in text_of(tmp_path / "new")
    assert len(json.loads((tmp_path / "new" / "run.json").read_text())["epochs"]) == 4
    # Ctrl-C once more, before anything new was learned
    done = interrupted(
        *(3, *run, "--checkpoint", tmp_path / "other", "--report", tmp_path / "again")
    )
    assert done[0] == 130
    again = interrupted(
        *(4, "--resume", tmp_path / "other", "--quiet", "--report", tmp_path / "again")
    )
    assert again[0] == 130
    assert "Interrupted after 3 of 4 epochs" in text_of(tmp_path / "again")
    assert len(json.loads((tmp_path / "again" / "run.json").read_text())["epochs"]) == 3


def test_the_report_is_written_though_nobody_reads_the_result(data, tmp_path, monkeypatch):
    def closed(text):
        raise BrokenPipeError

    monkeypatch.setattr(fastmlp.train, "print_result", closed)
    options = ("--data", data["labels"], *SMALL, "--quiet", "--report", tmp_path / "new")
    assert fastmlp.train.main([*map(str, options)]) == 1
    assert (tmp_path / "new" / "index.html").exists()


def test_the_command_says_where_the_report_is(data, command, tmp_path):
    done = command("--data", data["labels"], *SMALL, "--report", tmp_path / "new")
    assert done[2].splitlines()[-1] == f"fastmlp.train: the report is in {tmp_path / 'new'}"
