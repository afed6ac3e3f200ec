"""Rows on disk train as the same rows in memory do, in bounded memory; what fails is named."""

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.data.rows import mapped_rows
from fastmlp.inputs import check_samples
from fastmlp.run import Run
from fastmlp.windows import Windows
from tests.data_helpers import encode_idx
from tests.features import FEATURES, SAMPLES, build

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 300
N, WIDTH, WINDOW, BLOCK = 205, 12, 50, 7
LAYERS = [WIDTH, 9, 4]


def problem(dtype="uint8"):
    rng = np.random.default_rng(3)
    x = rng.integers(0, 256, (N, WIDTH)).astype(dtype)
    return x, rng.integers(0, 4, N)


def shards(folder, x, name="x", sizes=(60, 1, 90)):
    """``x`` in some files."""
    paths = []
    for k, part in enumerate(np.split(x, np.cumsum(sizes))):
        paths.append(folder / f"{name}-{k:05}.npy")
        np.save(paths[-1], part)
    return paths


def opened(source, window=WINDOW, block=BLOCK):
    """Rows in blocks that are small enough for a test."""
    rows = fastmlp.open_rows(source, window=window)
    rows.block = block
    return rows


def documented_order(kept, seed, epoch, window, block, n=N):
    """The order of an epoch, as the head of `fastmlp.windows` says."""
    blocks = np.array_split(np.arange(n), range(block, n, block))
    order = np.random.default_rng((seed, epoch)).permutation(len(blocks))
    stream = np.concatenate([blocks[k][np.isin(blocks[k], kept)] for k in order])
    windows = np.split(stream, range(window, len(stream), window))
    return np.concatenate(
        [
            rows[np.random.default_rng((seed, epoch, k + 1)).permutation(len(rows))]
            for k, rows in enumerate(windows)
        ]
    )


@pytest.fixture
def in_memory(monkeypatch):
    """`fit` of arrays in the order of rows on disk."""

    def fit(model, x, y, window=WINDOW, block=BLOCK, **settings):
        def order_of_epoch(run):
            size = window // run.batch_size * run.batch_size
            return documented_order(run.rows, run.seed, run.epoch + 1, size, block, len(x))

        with monkeypatch.context() as patch:
            patch.setattr(Run, "order_of_epoch", order_of_epoch)
            return fastmlp.fit(model, x, y, **settings)

    return fit


def losses(history):
    return [(e.train_loss, e.train_accuracy, e.val_loss, e.val_accuracy) for e in history.epochs]


# The same bits


@pytest.mark.parametrize("batch_size", [1, 16, 50])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", ">f4", "int16", "bool"])
def test_training_from_disk_is_that_from_memory_in_the_same_order(
    tmp_path, in_memory, dtype, batch_size
):
    x, y = problem(dtype)
    settings = {"epochs": 2, "batch_size": batch_size, "seed": 2, "optimizer": fastmlp.Adam()}
    expected = fastmlp.MLP(LAYERS)
    history = in_memory(expected, x, y, **settings)
    for threads in (1, 2, 3):
        model = fastmlp.MLP(LAYERS)
        own = fastmlp.fit(model, opened(shards(tmp_path, x)), y, threads=threads, **settings)
        np.testing.assert_array_equal(model.parameters, expected.parameters)
        assert losses(own) == losses(history)


@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature_of_training_from_disk(tmp_path, in_memory, feature):
    model, x, y, settings = build(fastmlp, feature, "float32")
    history = in_memory(model, x, y, window=32, block=5, **settings)
    own, _, _, settings = build(fastmlp, feature, "float32")
    rows = opened(shards(tmp_path, x, sizes=(20, 30)), window=SAMPLES - 23, block=5)
    assert losses(fastmlp.fit(own, rows, y, **settings)) == losses(history)
    np.testing.assert_array_equal(own.parameters, model.parameters)


def test_without_shuffling_the_order_is_that_of_the_files(tmp_path):
    x, y = problem()
    models = [fastmlp.MLP(LAYERS) for _ in range(2)]
    for model, given in zip(models, (x, opened(shards(tmp_path, x))), strict=True):
        fastmlp.fit(model, given, y, epochs=2, batch_size=16, shuffle=False)
    np.testing.assert_array_equal(models[1].parameters, models[0].parameters)


def test_what_fits_into_a_window_trains_as_an_array(tmp_path):
    x, y = problem()
    models = [fastmlp.MLP(LAYERS) for _ in range(3)]
    paths = shards(tmp_path, x)
    np.save(tmp_path / "whole.npy", x)
    mapped = np.load(tmp_path / "whole.npy", mmap_mode="r")
    for model, given in zip(models, (x, opened(paths, window=N), mapped), strict=True):
        fastmlp.fit(model, given, y, epochs=2, batch_size=16)
        np.testing.assert_array_equal(model.parameters, models[0].parameters)
    other = fastmlp.MLP(LAYERS)
    fastmlp.fit(other, opened(paths, window=N - 1), y, epochs=2, batch_size=16)
    assert not np.array_equal(other.parameters, models[0].parameters)


def test_a_part_that_is_held_out_is_the_same_as_from_memory(tmp_path, in_memory):
    x, y = problem()
    settings = {"epochs": 2, "batch_size": 16, "validation_fraction": 0.3, "metrics": ["f1"]}
    settings |= {"class_weight": "balanced", "sample_weight": np.linspace(0, 1, N)}
    models = [fastmlp.MLP(LAYERS) for _ in range(2)]
    expected = in_memory(models[0], x, y, **settings)
    history = fastmlp.fit(models[1], opened(shards(tmp_path, x)), y, **settings)
    np.testing.assert_array_equal(models[1].parameters, models[0].parameters)
    assert losses(history) == losses(expected)
    assert [e.metrics for e in history.epochs] == [e.metrics for e in expected.epochs]


def test_validation_evaluation_and_prediction_from_disk_are_those_from_memory(tmp_path):
    x, y = problem()
    rows = opened(shards(tmp_path, x))
    model = fastmlp.MLP(LAYERS)
    settings = {"epochs": 1, "batch_size": 16, "metrics": ["f1", "top_2"]}
    histories = []
    for held in (x, rows):
        model = fastmlp.MLP(LAYERS)
        histories.append(fastmlp.fit(model, x, y, validation_data=(held, y), **settings))
    assert losses(histories[0]) == losses(histories[1])
    assert histories[0].epochs[-1].metrics == histories[1].epochs[-1].metrics
    weights = np.linspace(0.5, 1, N)
    ours, expected = (fastmlp.evaluate(model, d, y, sample_weight=weights) for d in (rows, x))
    assert ours.accuracy == expected.accuracy
    assert ours.loss == pytest.approx(expected.loss, rel=1e-12)
    for call in (model.predict, model.predict_proba, model.logits, model.predictor().logits):
        np.testing.assert_array_equal(call(rows), call(x))
    out = np.empty((N, 4), dtype=np.float32)
    assert model.predictor().logits(rows, out=out) is out
    np.testing.assert_array_equal(out, model.logits(x))


def test_a_memory_map_larger_than_a_window_is_read_from_its_file(tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr("fastmlp.inputs.WINDOW_BYTES", WINDOW * WIDTH)
    monkeypatch.setattr("fastmlp.data.rows.BLOCK_BYTES", BLOCK * WIDTH)
    x, y = problem()
    np.save(tmp_path / "x.npy", np.concatenate([x[:3], x]))
    expected = fastmlp.MLP(LAYERS)
    in_memory(expected, x, y, epochs=2, batch_size=16)
    for mode in ("r", "r+"):
        mapped = np.load(tmp_path / "x.npy", mmap_mode=mode)[3:]
        model = fastmlp.MLP(LAYERS)
        fastmlp.fit(model, mapped, y, epochs=2, batch_size=16)
        np.testing.assert_array_equal(model.parameters, expected.parameters)


def test_a_memory_map_is_found_in_its_file(tmp_path):
    x = np.arange(2000, dtype=np.int16).reshape(100, 20)
    raw = tmp_path / "raw"
    raw.write_bytes(b"\0" * 5000 + x.tobytes())
    mapped = np.memmap(raw, np.int16, "r", offset=5000, shape=x.shape)
    np.save(tmp_path / "x.npy", x)
    changed = np.load(tmp_path / "x.npy", mmap_mode="r+")
    changed[50] = 7
    for array in (mapped, mapped[30:60], changed, changed[49:]):
        np.testing.assert_array_equal(fastmlp.open_rows(array)[:], array)
        np.testing.assert_array_equal(mapped_rows(array)[2:5], array[2:5])
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    for array in (
        private,
        mapped[:, :3],
        mapped[::2],
        mapped[0],
        mapped + 1,
        mapped[:0],
        mapped[:, :0],
    ):
        assert mapped_rows(array) is None
    raw.unlink()
    assert mapped_rows(mapped) is None  # what is mapped is still there to be used


# Memory and time


def test_the_next_window_is_read_while_one_is_in_use(tmp_path):
    x, _ = problem()
    rows = opened(shards(tmp_path, x))
    read = []
    monitored = rows.read
    rows.read = lambda first, out: (read.append(threading.current_thread()), monitored(first, out))
    samples = check_samples(rows, WIDTH, np.dtype(np.float32), 1.0, in_windows=True)
    windows = Windows(samples, None, np.arange(N)).read((0, 1))
    first = next(windows)
    before = np.array(first.samples.arrays[0])
    end = time.monotonic() + TIMEOUT
    blocks = -(-2 * WINDOW // BLOCK)
    while len(read) < blocks + 1 and time.monotonic() < end:
        time.sleep(0.001)
    assert len(read) >= blocks  # a block that two windows share is read for each
    np.testing.assert_array_equal(first.samples.arrays[0], before)
    assert threading.current_thread() not in read
    windows.close()
    assert not any(thread.is_alive() for thread in read)


MEASURE = """
import sys, numpy as np, fastmlp
from fastmlp.machine import peak_rss_bytes
name, window = sys.argv[1], int(sys.argv[2])
y = np.arange(40_000) % 2
model = fastmlp.MLP([10_000, 2, 2])
fastmlp.fit(model, np.zeros((200, 10_000), np.uint8), y[:200], epochs=1, threads=2)  # kernels
before = peak_rss_bytes()
x = np.load(name, mmap_mode="r") if window == 0 else fastmlp.open_rows(name, window=window)
fastmlp.fit(model, x, y, epochs=2, batch_size=100, threads=2)
fastmlp.evaluate(model, x, y)
print(peak_rss_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is that of Linux's /proc")
@pytest.mark.parametrize(("window", "megabytes"), [(0, 134), (1000, 20)])
def test_memory_is_that_of_two_windows(tmp_path, window, megabytes):
    """400 MB, of which a sparse file takes no disk; 40 MB are for buffers of the engine."""
    path = tmp_path / "x.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (40_000, 10_000)).flush()
    command = [sys.executable, "-c", MEASURE, path, str(window)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < (megabytes + 40) * 1e6


# Going on


class EndsAfter(fastmlp.Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, model, record):
        return record.epoch == self.epoch


def test_a_run_that_goes_on_has_the_bits_of_one_that_never_stopped(tmp_path):
    x, y = problem()
    rows = opened(shards(tmp_path, x))
    settings = {"epochs": 4, "batch_size": 16, "optimizer": fastmlp.Adam(), "seed": 3}
    whole = fastmlp.MLP(LAYERS, dropout=0.2)
    fastmlp.fit(whole, rows, y, **settings)
    model = fastmlp.MLP(LAYERS, dropout=0.2)
    stop = [EndsAfter(2), fastmlp.Checkpoint(tmp_path / "run")]
    fastmlp.fit(model, rows, y, callbacks=stop, **settings)
    resumed = fastmlp.load_checkpoint(tmp_path / "run")
    fastmlp.fit(resumed.model, rows, y, resume=resumed.state, **settings)
    np.testing.assert_array_equal(resumed.model.parameters, whole.parameters)
    assert not np.array_equal(model.parameters, whole.parameters)
    for other in (x, opened(shards(tmp_path, x), window=70)):
        with pytest.raises(ValueError, match=r"^shuffle must be in windows of 48 rows from blocks"):
            fastmlp.fit(resumed.model, other, y, resume=resumed.state, **settings)


# What can go wrong while it trains


def no_reader():
    return not any(t.name.startswith("fastmlp-reader") for t in threading.enumerate())


class After(fastmlp.Callback):
    """Does something after the first epoch."""

    def __init__(self, act):
        self.act = act

    def on_epoch_end(self, model, record):
        self.act()


def shorten(path):
    os.truncate(path, path.stat().st_size - 1)


def write_longer_items(path):
    x = np.load(path)
    np.save(path, x.astype(np.float64))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (os.unlink, "No such file"),
        (shorten, "has changed since it was opened"),
        (write_longer_items, "has changed since it was opened"),
    ],
)
def test_a_shard_that_is_gone_or_written_to_is_named(tmp_path, act, words):
    x, y = problem()
    paths = shards(tmp_path, x)
    model = fastmlp.MLP(LAYERS)
    callbacks = [After(lambda: act(paths[2]))]
    with pytest.raises(OSError, match=words) as caught:
        fastmlp.fit(model, opened(paths), y, epochs=9, batch_size=16, callbacks=callbacks)
    assert caught.value.filename == str(paths[2])
    assert no_reader()
    assert not np.array_equal(model.parameters, fastmlp.MLP(LAYERS).parameters)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_value_that_is_not_finite_is_named_with_its_file(tmp_path, value):
    x, y = problem("float64")
    x[70, 5] = value
    rows = opened(shards(tmp_path, x))
    place = r"x-00002\.npy: must be finite in float32: the value at \[9, 5\]"
    with pytest.raises(fastmlp.DataError, match=place):
        fastmlp.fit(fastmlp.MLP(LAYERS), rows, y, epochs=1, batch_size=16)
    with pytest.raises(fastmlp.DataError, match=place):
        fastmlp.MLP(LAYERS).predict(rows)
    assert no_reader()
    with pytest.raises(ValueError, match=r"x must be finite in float32: the value at \[70, 5\]"):
        fastmlp.MLP(LAYERS).predict(opened(shards(tmp_path, x), window=N))


def test_an_exception_of_a_callback_ends_the_reader(tmp_path):
    class Fails(fastmlp.Callback):
        def on_epoch_begin(self, model, epoch):
            raise RuntimeError("mine")

    x, y = problem()
    for callback in (Fails(), After(lambda: 1 / 0)):
        with pytest.raises((RuntimeError, ZeroDivisionError)):
            fastmlp.fit(
                fastmlp.MLP(LAYERS),
                opened(shards(tmp_path, x)),
                y,
                callbacks=[callback],
                batch_size=16,
            )
    assert no_reader()


def test_a_loss_that_explodes_in_a_later_window_says_its_step(tmp_path):
    x, y = problem("float32")
    x[:] = 1
    x[-1] = 3e38
    rows = opened(shards(tmp_path, x))
    model = fastmlp.MLP(LAYERS)
    with pytest.raises(FloatingPointError, match="in epoch 1, step 13"):
        fastmlp.fit(model, rows, y, epochs=1, batch_size=16, shuffle=False)
    assert no_reader()


# Bad input


def test_a_window_smaller_than_a_batch_is_refused(tmp_path):
    x, y = problem()
    rows = opened(shards(tmp_path, x))
    for batch_size in (51, "full", 10**6):
        with pytest.raises(ValueError, match=r"^batch_size must be at most 50 here, .* not \d+"):
            fastmlp.fit(fastmlp.MLP(LAYERS), rows, y, batch_size=batch_size)
    with pytest.raises(ValueError, match=r"^optimizer LBFGS needs all samples in memory"):
        fastmlp.fit(fastmlp.MLP(LAYERS), rows, y, optimizer=fastmlp.LBFGS())


def test_what_needs_all_rows_at_once_says_so(tmp_path):
    x, y = problem()
    rows = opened(shards(tmp_path, x))
    model = fastmlp.MLP(LAYERS)
    for call in (fastmlp.loss_and_gradients, fastmlp.train_step, fastmlp.find_learning_rate):
        with pytest.raises(ValueError, match=r"^x has 205 rows on disk, more than the 50"):
            call(model, rows, y)
    few = opened(shards(tmp_path, x), window=N)
    assert fastmlp.loss_and_gradients(model, few, y).loss == (
        fastmlp.loss_and_gradients(model, x, y).loss
    )


def test_labels_of_another_length_or_width_are_refused(tmp_path):
    x, y = problem()
    rows = opened(shards(tmp_path, x))
    with pytest.raises(ValueError, match="y has 204 labels for 205 samples"):
        fastmlp.fit(fastmlp.MLP(LAYERS), rows, y[1:])
    with pytest.raises(ValueError, match="x has 12 features, the network expects 11"):
        fastmlp.fit(fastmlp.MLP([11, 4]), rows, y)


@pytest.mark.parametrize("window", [0, -1, 1.5, True, "10"])
def test_a_window_is_a_positive_integer(tmp_path, window):
    with pytest.raises((TypeError, ValueError), match="window must be an integer, 1 or more, not"):
        fastmlp.open_rows(tmp_path, window=window)


def _npy(array, **settings):
    def write(path):
        np.save(path, array, **settings)

    return write


GOOD = np.zeros((4, 3), np.float32)
BAD_FILES = {
    "another width": (
        _npy(np.zeros((4, 5), np.float32)),
        r"has rows of shape \(5,\), but .*\(3,\)",
    ),
    "another dtype": (_npy(GOOD.astype(np.uint8)), "has dtype uint8, but .* float32"),
    "one axis": (_npy(np.zeros(4, np.float32)), r"has shape \(4,\); two axes or more"),
    "objects": (
        _npy(np.array([[{}]]), allow_pickle=True),
        "must hold real numbers, not dtype object",
    ),
    "complex": (_npy(GOOD.astype(complex)), "must hold real numbers, not dtype complex128"),
    "by columns": (_npy(np.asfortranarray(GOOD)), "is stored by columns"),
    "truncated": (lambda path: (np.save(path, GOOD), shorten(path)), "truncated: 175 bytes"),
    "longer": (
        lambda path: path.write_bytes(encode_idx(np.zeros((2, 2), np.uint8)) + b"0"),
        "longer than its header",
    ),
    "truncated header": (lambda path: path.write_bytes(b"\x93NUMPY\x01\0"), "no header of an .npy"),
    "empty": (lambda path: path.write_bytes(b""), "not an IDX file"),
    "text": (lambda path: path.write_text("1 2 3"), "not an IDX file"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(b"x")), "is compressed"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_shard_is_named(tmp_path, case):
    write, words = BAD_FILES[case]
    np.save(tmp_path / "good.npy", GOOD)
    write(tmp_path / "bad.npy")
    with pytest.raises(fastmlp.DataError, match=words) as caught:
        fastmlp.open_rows([tmp_path / "good.npy", tmp_path / "bad.npy"])
    assert str(caught.value).startswith(str(tmp_path / "bad.npy"))
    assert "\n" not in str(caught.value)


def test_a_source_must_be_files_with_rows(tmp_path):
    np.save(tmp_path / "none.npy", GOOD[:0])
    for source in ([], [tmp_path / "none.npy"]):
        with pytest.raises(fastmlp.DataError, match="holds no rows"):
            fastmlp.open_rows(source)
    for source in (3, GOOD, [GOOD], None):
        with pytest.raises(TypeError, match=r"^source must"):
            fastmlp.open_rows(source)
    with pytest.raises(FileNotFoundError):
        fastmlp.open_rows(tmp_path / "missing.npy")


def test_rows_can_be_looked_at(tmp_path):
    x, _ = problem()
    rows = opened(shards(tmp_path, x.reshape(N, 3, 4)))
    assert (rows.shape, rows.row_shape, len(rows), rows.dtype) == ((N, WIDTH), (3, 4), N, np.uint8)
    assert repr(rows) == "Rows of shape (205, 12), uint8, in 4 files"
    for key in (slice(5), slice(58, 63), slice(-3, None), slice(9, 9), slice(None)):
        np.testing.assert_array_equal(rows[key], x[key])
    for key in (3, slice(0, 9, 2), [1, 2], np.zeros(N, bool)):
        with pytest.raises(TypeError, match="rows on disk are read as in"):
            rows[key]


# Folders, and the command


def folder_of(tmp_path, kind="npy", dtype="uint8"):
    """A data set with both parts."""
    x, y = problem(dtype)
    folder = tmp_path / kind
    folder.mkdir()
    images = x.reshape(N, 3, 4)
    if kind == "npy":
        shards(folder, images, "x_train")
        shards(folder, y.astype(np.uint8), "y_train")
        shards(folder, images[:60], "x_test", (30,))
        shards(folder, y[:60].astype(np.uint8), "y_test", (30,))
    else:
        for name, count in (("train", N), ("t10k", 60)):
            (folder / f"{name}-images-idx3-ubyte").write_bytes(encode_idx(images[:count]))
            labels = encode_idx(y[:count].astype(np.uint8))
            (folder / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    return folder


@pytest.mark.parametrize("kind", ["npy", "idx"])
def test_a_folder_is_a_data_set(tmp_path, kind):
    x, y = problem()
    folder = folder_of(tmp_path, kind)
    data = fastmlp.load_dataset(folder, window=70)
    np.testing.assert_array_equal(data.x_train[:], x)
    np.testing.assert_array_equal(data.x_test[:], x[:60])
    np.testing.assert_array_equal(data.y_train, y)
    np.testing.assert_array_equal(data.y_test, y[:60])
    assert (data.name, data.n_classes, data.image_shape) == (str(folder), 4, (3, 4))
    assert data.x_train.window == 70


def _remove(name):
    return lambda folder: (folder / name).unlink()


def _put(name, array):
    return lambda folder: np.save(folder / name, array)


BAD_FOLDERS = {
    "empty": (lambda folder: [p.unlink() for p in folder.iterdir()], r"holds no x_train\*\.npy"),
    "no test": (
        lambda folder: [p.unlink() for p in folder.glob("*test*")],
        r"holds no x_test\*\.npy, and no t10k-images",
    ),
    "no labels": (
        _remove("y_train-00001.npy"),
        "holds x_train-00001.npy, and no y_train-00001.npy",
    ),
    "no samples": (_remove("x_train-00001.npy"), "holds y_train-00001.npy, and no x_train-00001"),
    "fewer labels": (
        _put("y_train-00000.npy", np.zeros(59, np.uint8)),
        r"y_train-00000.npy: has shape \(59,\), for 60 samples in x_train-00000.npy",
    ),
    "other labels": (
        _put("y_train-00001.npy", np.zeros(1)),
        r"y_train-00001.npy: has float64 of shape \(1,\), but y_train-00000.npy uint8",
    ),
    "labels of a zip": (
        lambda folder: (folder / "y_train-00001.npy").write_bytes(b"PK\x03\x04" + bytes(99)),
        "y_train-00001.npy: cannot be read",
    ),
    "no numbers at all": (
        lambda folder: (folder / "y_train-00001.npy").write_bytes(b""),
        "y_train-00001.npy: cannot be read",
    ),
    "labels of objects": (_put("y_train-00001.npy", np.array([None])), "y_train-00001.npy: cannot"),
    "another width": (
        _put("x_train-00001.npy", np.zeros((1, 3, 5), np.uint8)),
        r"x_train-00001.npy: has rows of shape \(3, 5\), but",
    ),
    "another width of the test": (
        lambda folder: [
            np.save(p, np.zeros((len(np.load(p)), 5), np.uint8)) for p in folder.glob("x_test*")
        ],
        r"x_test has samples of shape \(5,\) but x_train of \(3, 4\)",
    ),
    "another dtype": (
        lambda folder: [
            np.save(p, np.zeros((len(np.load(p)), 3, 4))) for p in folder.glob("x_te*")
        ],
        "x_test is float64 but x_train is uint8",
    ),
    "truncated": (lambda folder: shorten(folder / "x_train-00002.npy"), "x_train-00002.npy: trunc"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_a_bad_folder_is_refused_in_one_line(tmp_path, case):
    spoil, words = BAD_FOLDERS[case]
    folder = folder_of(tmp_path)
    spoil(folder)
    with pytest.raises(fastmlp.DataError, match=words) as caught:
        fastmlp.load_dataset(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


def test_a_window_is_of_folders_alone():
    with pytest.raises(ValueError, match="window is of data sets in a folder, which 'digits'"):
        fastmlp.load_dataset("digits", window=100)


def command(*options):
    return [sys.executable, "-m", "fastmlp.train", *map(str, options)]


def run(*options):
    return subprocess.run(
        command(*options), cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT
    )


def test_the_command_trains_from_a_folder_and_repeats_the_run(tmp_path):
    folder = folder_of(tmp_path)
    options = ("--window", 64, "--batch-size", 16, "--epochs", 2, "--val-fraction", 0.2, "--quiet")
    options += ("--lr", 0.1)
    done = run("--data", folder, "--hidden", 8, *options, "--json", tmp_path / "run.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run.json").read_text())
    x, y = problem()
    model = fastmlp.MLP([WIDTH, 8, 4], seed=0)
    data = fastmlp.load_dataset(folder, window=64)
    settings = {"epochs": 2, "batch_size": 16, "validation_fraction": 0.2}
    settings["optimizer"] = fastmlp.SGD(lr=0.1)
    history = fastmlp.fit(model, data.x_train, data.y_train, **settings)
    assert result["epochs"][-1]["val_loss"] == history.epochs[-1].val_loss
    assert result["test_loss"] == fastmlp.evaluate(model, x[:60], y[:60]).loss
    assert result["n_train"] < N
    again = run("--config", tmp_path / "run.json", "--quiet", "--json", "-")
    assert json.loads(again.stdout)["parameter_sha256"] == result["parameter_sha256"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--batch-size", 65), "--batch-size must be at most 64"),
        (("--batch-size", "full"), "--batch-size must be at most 64"),
        (("--engine", "reference"), "--data FOLDER needs --engine fast"),
        (("--window", 0), "--window: the value must be an integer, 1 or more"),
        (("--data", "digits"), "--data: window is of data sets in a folder"),
    ],
)
def test_the_command_refuses_what_cannot_be_in_one_line(tmp_path, options, words):
    folder = folder_of(tmp_path)
    done = run("--data", folder, "--window", 64, *options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_the_command_names_a_damaged_shard(tmp_path):
    folder = folder_of(tmp_path)
    shorten(folder / "x_train-00001.npy")
    done = run("--data", folder)
    assert done.returncode == 1
    assert done.stderr.startswith(f"fastmlp.train: error: {folder}/x_train-00001.npy: truncated")
    assert done.stderr.count("\n") == 1


@contextlib.contextmanager
def training(*options):
    """A run that has written its first epoch to stderr."""
    process = subprocess.Popen(
        command(*options),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stderr.readline().startswith("epoch ")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_shard_that_is_removed_ends_the_command_with_one_line(tmp_path):
    folder = folder_of(tmp_path)
    options = ("--data", folder, "--window", 64, "--hidden", 4, "--lr", 1e-6)
    path = tmp_path / "model"
    with training(*options, "--epochs", 10**9, "--save", path) as process:
        (folder / "x_train-00002.npy").unlink()
        stdout, stderr = process.communicate(timeout=TIMEOUT)
    *progress, last = stderr.splitlines()
    assert process.returncode == 1
    assert stdout == ""
    assert all(line.startswith("epoch ") for line in progress)
    gone = f"{folder}/x_train-00002.npy: No such file or directory"
    assert last == f"fastmlp.train: error: {gone}"
    assert fastmlp.load(path).layers == (WIDTH, 4, 4)


def test_ctrl_c_ends_the_command_and_its_reader(tmp_path):
    folder = folder_of(tmp_path)
    options = ("--data", folder, "--window", 64, "--hidden", 4, "--lr", 1e-6, "--epochs", 10**9)
    with training(*options) as process:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.splitlines()[-1] == "fastmlp.train: error: interrupted"
