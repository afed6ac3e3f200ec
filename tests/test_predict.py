"""``python -m fastmlp.predict``."""

import gzip
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import fastmlp
from fastmlp import predict
from tests.data_helpers import encode_idx


@pytest.fixture(scope="module")
def mnist():
    return fastmlp.load_dataset("mnist")


@pytest.fixture(scope="module")
def model():
    return fastmlp.MLP([784, 16, 10], seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("predict")
    model.save(folder / "model.safetensors")
    fastmlp.MLP([64, 8, 10], seed=1).save(folder / "digits.safetensors")
    fastmlp.MLP([4, 8, 2], loss="squared_error", seed=1).save(folder / "numbers.safetensors")
    fastmlp.MLP([4, 8, 1], loss="binary_cross_entropy", seed=1).save(folder / "two.safetensors")
    return folder


@pytest.fixture
def run(folder, capsys, monkeypatch):
    """Run the command in that folder: exit status, lines of stdout, of stderr."""
    monkeypatch.chdir(folder)

    def run(*arguments, stdin=None):
        if stdin is not None:
            stream = io.TextIOWrapper(io.BytesIO(stdin))
            monkeypatch.setattr(sys, "stdin", stream)
        try:
            status = predict.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def records(lines):
    return [json.loads(line) for line in lines]


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=array.dtype == object)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def csv(rows, head="", delimiter=","):
    body = "\n".join(delimiter.join(map(str, row)) for row in rows)
    return (head + body + "\n").encode()


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_the_test_set_of_mnist_is_predicted_as_from_python(run, folder, mnist, model):
    images = mnist.x_test.reshape(-1, 28, 28)
    (folder / "t10k").write_bytes(encode_idx(images))
    status, lines, said = run("model.safetensors", "t10k", "--json")
    assert (status, said) == (0, [])
    found = records(lines)
    assert [record["row"] for record in found] == list(range(10_000))
    assert {record["input"] for record in found} == {"t10k"}
    np.testing.assert_array_equal(
        [record["label"] for record in found], model.predict(mnist.x_test)
    )
    np.testing.assert_array_equal(
        np.array([record["probabilities"] for record in found], np.float32),
        model.predict_proba(mnist.x_test),
    )


FORMS = {
    "npy": lambda x: npy(x),
    "npy of images": lambda x: npy(x.reshape(-1, 28, 28)),
    "npy by columns": lambda x: npy(np.asfortranarray(x)),
    "npy of floats": lambda x: npy(x / np.float32(255)),
    "npz": lambda x: npz(pictures=x),
    "npz of a data set": lambda x: npz(x_train=x[:1], y_train=[0], x_test=x, y_test=[0] * len(x)),
    "idx": lambda x: encode_idx(x.reshape(-1, 28, 28)),
    "idx, gzip": lambda x: gzip.compress(encode_idx(x.reshape(-1, 28, 28))),
    "csv": lambda x: csv(x),
    "csv with a header": lambda x: csv(x, ",".join(f"p{k}" for k in range(784)) + "\n"),
    "csv of pandas": lambda x: csv(x, ",".join(map(str, range(784))) + "\n"),
    "csv; with a mark": lambda x: "\ufeff".encode() + csv(x, delimiter=";"),
    "csv of floats": lambda x: csv(x / 255),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_every_form_of_the_same_rows_gives_the_same(run, folder, mnist, model, form, way):
    x = mnist.x_test[:3]
    content = FORMS[form](x)
    if way == "file":
        (folder / "rows").write_bytes(content)
        status, lines, said = run("model.safetensors", "rows", "--json")
    else:
        status, lines, said = run("model.safetensors", "--json", stdin=content)
    assert (status, [line for line in said if "error" in line]) == (0, [])
    found = np.array([record["probabilities"] for record in records(lines)])
    np.testing.assert_allclose(found, model.predict_proba(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(784,), (28, 28), (1, 784), (1, 28, 28), (1, 28, 28, 1)])
def test_one_sample_may_come_in_any_shape(run, mnist, model, shape):
    content = npy(mnist.x_test[0].reshape(shape))
    _, lines, _ = run("model.safetensors", "--json", stdin=content)
    assert [r["label"] for r in records(lines)] == list(model.predict(mnist.x_test[:1]))


def test_a_file_of_several_blocks_is_numbered_through(run, folder, mnist, model):
    x = mnist.x_train[:5000]
    for name, content in (("b.npy", npy(x)), ("b.csv", csv(x))):
        (folder / name).write_bytes(content)
        _, lines, _ = run("model.safetensors", name, "--json", "--quiet")
        found = records(lines)
        assert [record["row"] for record in found] == list(range(5000))
        np.testing.assert_array_equal([r["label"] for r in found], model.predict(x))


def test_an_image_is_prepared_and_stderr_says_how(run, mnist):
    pixels = np.kron(255 - mnist.x_test[0].reshape(28, 28), np.ones((5, 5), np.uint8))
    status, lines, said = run("model.safetensors", stdin=png(pixels))
    assert status == 0
    assert len(lines) == 1
    assert said[0].startswith("fastmlp.predict: stdin: 140x140, dark on light: inverted, cropped")
    assert run("model.safetensors", "--quiet", stdin=png(pixels)) == (0, lines, [])


def test_arrays_of_images_of_another_size_are_prepared(run, mnist, model):
    x = mnist.x_test[:20].reshape(-1, 28, 28)
    larger = np.pad(np.kron(x, np.ones((1, 4, 4), np.uint8)), ((0, 0), (7, 40), (30, 2)))
    _, lines, said = run("model.safetensors", "--json", stdin=npy(larger))
    assert "20 images 144x159" in said[0]
    found = np.array([record["label"] for record in records(lines)])
    assert (
        found == model.predict(mnist.x_test[:20])
    ).mean() >= 0.8  # of a network without training


@pytest.mark.parametrize("shape", [(-1, 784), (-1, 28, 28)])
@pytest.mark.parametrize("write", ["npy", "npz", "idx"])
def test_arrays_that_are_dark_on_light_are_inverted_together(run, mnist, model, shape, write):
    x = (255 - mnist.x_test[:300]).reshape(shape)
    x[7] = 0  # all of a file are treated alike
    content = {"npy": npy, "npz": lambda x: npz(x=x), "idx": encode_idx}[write](x)
    _, lines, said = run("model.safetensors", "--json", stdin=content)
    assert said == ["fastmlp.predict: stdin: dark on light: inverted"]
    expected = model.predict(255 - x.reshape(-1, 784))
    np.testing.assert_array_equal([record["label"] for record in records(lines)], expected)


def test_a_single_grey_image_in_an_array_is_prepared(run, folder, mnist):
    pixels = np.kron(255 - mnist.x_test[0].reshape(28, 28), np.ones((5, 4), np.uint8))
    (folder / "grey.npy").write_bytes(npy(pixels))
    status, lines, said = run("model.safetensors", "grey.npy", "--json")
    assert (status, len(lines)) == (0, 1)
    assert said[0].startswith("fastmlp.predict: grey.npy: 112x140, dark on light: inverted, crop")
    record = records(run("model.safetensors", "--json", stdin=png(pixels))[1])[0]
    assert record["probabilities"] == records(lines)[0]["probabilities"]


def test_floats_beyond_1_are_said_to_be_taken_as_they_are(run, folder, mnist, model):
    x = mnist.x_test[:5000].astype(np.float32)
    (folder / "floats.npy").write_bytes(npy(x))
    _, lines, said = run("model.safetensors", "floats.npy", "--json")
    assert said == [
        "fastmlp.predict: floats.npy: float32 values beyond 1 are taken as they are, not scaled as "
        "uint8"
    ]
    np.testing.assert_array_equal([record["label"] for record in records(lines)], model.predict(x))
    assert run("model.safetensors", stdin=npy(x[:2] / 255))[2] == []
    assert run("numbers.safetensors", stdin=npy(np.full((2, 4), 9.0)))[2] == []  # no images


def test_the_table_has_the_sample_the_label_and_the_most_probable(run, mnist, model):
    x = mnist.x_test[:2]
    for top in (1, 3, 10):
        _, lines, _ = run("model.safetensors", "--top", top, stdin=npy(x))
        for k, line in enumerate(lines):
            sample, label, *rest = line.split()
            shares = model.predict_proba(x)[k]
            order = np.argsort(-shares)[:top]
            assert (sample, int(label)) == (f"stdin[{k}]", order[0])
            assert rest == [t for c in order for t in (str(c), f"{shares[c]:.2%}")]
    _, lines, _ = run("model.safetensors", "--top", 2, "--json", stdin=npy(x))
    assert [len(record["top"]) for record in records(lines)] == [2, 2]


def test_a_regression_gives_numbers(run, folder):
    x = np.eye(4, dtype=np.float32)
    values = fastmlp.load(folder / "numbers.safetensors").predict(x)
    _, lines, _ = run("numbers.safetensors", stdin=csv(x, "a,b,c,d\n"))
    np.testing.assert_allclose([list(map(float, t.split()[1:])) for t in lines], values, rtol=1e-4)
    _, lines, _ = run("numbers.safetensors", "--json", stdin=csv(x))
    np.testing.assert_allclose([record["value"] for record in records(lines)], values, rtol=1e-6)


def test_two_classes_of_one_output_have_two_probabilities(run, folder):
    x = np.eye(4, dtype=np.float32)
    model = fastmlp.load(folder / "two.safetensors")
    _, lines, _ = run("two.safetensors", "--json", stdin=npy(x))
    found = records(lines)
    assert [record["label"] for record in found] == list(model.predict(x))
    second = [record["probabilities"][1] for record in found]
    np.testing.assert_allclose(second, model.predict_proba(x)[:, 0], rtol=1e-6)
    np.testing.assert_allclose([sum(r["probabilities"]) for r in found], 1, rtol=1e-6)


def test_whole_numbers_for_the_digits_are_sixteenths(run, folder):
    x = fastmlp.load_dataset("digits").x_test[:5]
    model = fastmlp.load(folder / "digits.safetensors")
    _, lines, said = run("digits.safetensors", "--json", stdin=csv((x * 16).astype(int)))
    assert "0 to 16 are taken as pixels" in said[0]
    found = np.array([record["probabilities"] for record in records(lines)])
    np.testing.assert_allclose(found, model.predict_proba(x), rtol=1e-5, atol=1e-6)


def test_files_after_a_bad_one_are_predicted_and_the_status_is_1(run, folder, mnist):
    (folder / "bad.npy").write_bytes(npy(mnist.x_test[:1])[:-5])
    (folder / "good.npy").write_bytes(npy(mnist.x_test[:1]))
    status, lines, said = run("model.safetensors", "bad.npy", "--top", 1, "missing", "good.npy")
    assert status == 1
    assert [line.split()[0] for line in lines] == ["good.npy[0]"]
    assert len(said) == 2
    assert "bad.npy: truncated" in said[0]
    assert said[1] == "fastmlp.predict: error: missing: No such file or directory"


ROWS = np.zeros((2, 784), np.float32)
NAN = ROWS.copy()
NAN[1, 3] = np.nan
BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello\n", "is no PNG, JPEG, GIF, WEBP, .npy, .npz, IDX or CSV"),
    "bytes": (bytes(range(128, 255)) * 9, "is no PNG"),
    "a damaged image": (png(np.eye(99, dtype=np.uint8) * 255)[:-60], "is a damaged image"),
    "an image of one grey": (png(np.full((50, 50), 9, np.uint8)), "no ink"),
    "an image of 1x1": (png(np.zeros((1, 1), np.uint8)), "no ink"),
    "NaN": (npy(NAN), "x must be finite in float32: the value at [1, 3] is nan"),
    "a pickle": (npy(np.array([{}])), "Object arrays cannot be loaded"),
    "words": (npy(np.array([["a"] * 784])), "must hold real numbers, not dtype <U1"),
    "no rows": (npy(ROWS[:0]), "has shape (0, 784): no samples", "holds no rows"),
    "a scalar": (npy(np.float32(1)), "has shape (), and the network expects 784 features"),
    "other features": (npy(ROWS[:, :9]), "has shape (2, 9), and the network expects 784 features"),
    "colours": (
        npy(np.zeros((60, 50, 3), np.uint8)),
        "has shape (60, 50, 3), images in colour: gi",
    ),
    "several in colour": (npy(np.zeros((2, 28, 28, 4), np.uint8)), "(2, 28, 28, 4), images in col"),
    "a label beside pixels": (npy(np.zeros((2, 785), np.uint8)), "is one of them the label?"),
    "a label beside": (csv(np.zeros((2, 785))), "has 785 columns, and the network expects 784: is"),
    "a label, with a header": (csv([[0] * 785], ",".join(["n"] * 785) + "\n"), "has 785 columns"),
    "a gap": (csv([[0.5] * 784, [""] * 784]), "could not convert string ''"),
    "no pixel": (
        csv([["255"] * 784] * 4096 + [["0.5"] * 784]),
        "samples from 4096 on: are no pixels, whole numbers from 0 to 255",
    ),
    "NaN in CSV": (csv([[0.5] * 783 + ["nan"]]), "x must be finite"),
    "a short line": (csv([[0.5] * 784, [0.5] * 783]), "columns changed from 784 to 783"),
    "a header alone": (csv([], ",".join(["n"] * 784)), "holds no samples"),
    "a truncated .npy": (npy(ROWS)[:-1], "is a damaged .npy file", "truncated: 6399 bytes"),
    "a truncated IDX": (encode_idx(ROWS)[:-1], "truncated"),
    "a zip": (npz(x=ROWS)[:-9], "is a damaged .npz file"),
    "two arrays": (npz(a=ROWS, b=ROWS), "must hold one array, or one named x or x_test; it holds"),
    "damaged gzip": (gzip.compress(encode_idx(ROWS))[:-9], "damaged gzip data"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_line(run, folder, name):
    content, piped, *named = BAD[name]  # files that are named are read by rows, in other words
    (folder / "bad").write_bytes(content)
    for source, reason in (("stdin", piped), ("bad", *(named or [piped]))):
        if source == "stdin":
            status, _, said = run("model.safetensors", "--quiet", stdin=content)
        else:
            status, _, said = run("model.safetensors", "--quiet", source)
        assert status == 1
        assert len(said) == 1
        assert said[0].startswith(f"fastmlp.predict: error: {source}: ")
        assert reason in said[0]


def test_an_image_for_a_network_of_other_things_is_refused(run):
    status, _, said = run("numbers.safetensors", stdin=png(np.eye(28, dtype=np.uint8) * 255))
    assert status == 1
    assert said == [
        "fastmlp.predict: error: stdin: images are for networks of 784 inputs (28x28) or 64 inputs "
        "(8x8), and this one has 4: give it .npy, .npz, IDX or CSV"
    ]


def test_a_folder_and_a_model_that_is_none_are_refused(run, folder, tmp_path):
    status, _, said = run("model.safetensors", tmp_path)
    assert (status, said) == (1, [f"fastmlp.predict: error: {tmp_path}: Is a directory"])
    (folder / "none.safetensors").write_bytes(b"no model")
    status, _, said = run("none.safetensors", "x")
    assert status == 2
    assert len(said) == 1
    assert "no model file of fastmlp" in said[0]
    status, _, said = run("missing.safetensors", "x")
    assert (status, len(said)) == (2, 1)


def test_weights_that_are_not_finite_are_refused_with_the_name(run, folder):
    model = fastmlp.MLP([4, 2], seed=0)
    model.save(folder / "nan.safetensors")
    content = bytearray((folder / "nan.safetensors").read_bytes())
    content[-4:] = np.float32(np.nan).tobytes()
    (folder / "nan.safetensors").write_bytes(content)
    status, _, said = run("nan.safetensors", stdin=npy(np.eye(4)))
    assert (status, len(said)) == (2, 1)
    assert "holds NaN or infinity" in said[0]


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_outputs_that_are_not_finite_are_refused_and_other_files_go_on(run, folder, loss):
    model = fastmlp.MLP([4, 8, 3], loss=loss, activation="identity", seed=0)
    for weights in model.weights:
        weights *= np.float32(1e25)
    model.save(folder / "steep.safetensors")
    (folder / "zeros.npy").write_bytes(npy(np.zeros((1, 4))))
    (folder / "ones.npy").write_bytes(npy(np.ones((1, 4))))
    status, lines, said = run("steep.safetensors", "ones.npy", "zeros.npy")
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith("zeros.npy[0]")
    assert said == ["fastmlp.predict: error: ones.npy: the network's outputs are not finite"]


@pytest.mark.parametrize("arguments", [[], ["m", "--top", "0"], ["m", "--top", "x"], ["m", "--no"]])
def test_wrong_usage_is_one_line_and_status_2(run, arguments):
    status, lines, said = run(*arguments)
    assert (status, lines, len(said)) == (2, [], 1)


def test_a_terminal_is_not_waited_for(run, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO())
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", stream)
    status, _, said = run("model.safetensors")
    assert (status, len(said)) == (2, 1)
    assert "stdin is a terminal" in said[0]


def test_without_pillow_arrays_are_predicted_and_images_name_the_extra(run, mnist, monkeypatch):
    image = png(np.eye(50, dtype=np.uint8) * 255)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert run("model.safetensors", stdin=npy(mnist.x_test[:1]))[0] == 0
    status, _, said = run("model.safetensors", stdin=image)
    assert (status, len(said)) == (1, 1)
    assert "pip install 'fastmlp[images]'" in said[0]
    larger = npy(np.pad(mnist.x_test[:2].reshape(-1, 28, 28), 9)[9:11])
    assert run("model.safetensors", "--quiet", stdin=larger)[2] == [
        f"fastmlp.predict: error: {said[0].split('error: ')[1].replace('stdin:', 'stdin[0]:')}"
    ]


def test_the_command_reads_a_pipe_and_leaves_when_its_reader_does(folder, mnist):
    command = [sys.executable, "-m", "fastmlp.predict", "model.safetensors"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    process.stdout.close()
    _, said = process.communicate(npy(mnist.x_test), timeout=120)
    assert (process.returncode, said) == (1, b"")
