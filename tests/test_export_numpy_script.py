"""The script gives what the model gives, of NumPy alone, and its code is a page."""

import ast
import importlib.util
import subprocess
import sys
import warnings

import numpy as np
import pytest

from fastmlp.export import to_numpy_script
from tests.export_helpers import DTYPES, NETWORKS, network, outputs, samples


def imported(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(path, *arguments):
    """Isolated: neither this folder nor PYTHONPATH is there to be imported from."""
    command = [sys.executable, "-I", str(path), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=path.parent)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "digits.py"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_script_gives_what_the_model_gives(path, name, dtype):
    model = network(name, dtype)
    x = samples(model)
    to_numpy_script(model, path)
    script = imported(path)
    tolerance = 1e-13 if dtype == "float64" else 2e-6
    if model.loss.has_accuracy:
        given = script.predict_proba(x)
    else:
        assert not hasattr(script, "predict_proba")
        given = script.predict(x).reshape(len(x), -1)
    for actual, expected in ((given, outputs(model, x)), (script.logits(x), model.logits(x))):
        assert actual.dtype == dtype
        most = tolerance * max(1, np.abs(expected).max())
        np.testing.assert_allclose(actual, expected, rtol=0, atol=most)
    predicted, expected = script.predict(x), model.predict(x)
    assert predicted.shape == expected.shape
    assert predicted.dtype.kind == expected.dtype.kind
    if model.loss.has_accuracy:
        np.testing.assert_array_equal(predicted, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_parameters_are_the_model_s_to_the_bit(path, dtype):
    model = network("both norms", dtype)
    to_numpy_script(model, path)
    arrays = imported(path).P
    assert list(arrays) == list(model.state_dict())
    for name, value in model.state_dict().items():
        assert arrays[name].dtype == value.dtype
        assert arrays[name].tobytes() == value.tobytes()


def test_uint8_is_scaled_and_other_numbers_are_cast(path):
    model = network(uint8_scale=1 / 64)
    to_numpy_script(model, path)
    script = imported(path)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 7)).astype(np.uint8)
    for x in (pixels, pixels.astype(np.float64) / 64, (pixels // 64).astype(int).tolist()):
        np.testing.assert_allclose(script.logits(x), model.logits(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["gelu_tanh", "gelu", "softplus", "silu", "mish", "sigmoid", "elu"]
)
def test_large_numbers_neither_overflow_nor_warn(path, name):
    model = network(name)
    to_numpy_script(model, path)
    x = np.full((2, 7), 1e4, np.float32) * [[1], [-1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(imported(path).predict_proba(x), model.predict_proba(x), 1e-3)


def test_as_a_command_it_needs_numpy_alone_and_prints_a_line_for_each_row(path):
    model = network()
    x = samples(model)
    to_numpy_script(model, path)
    np.save(path.parent / "x.npy", x)
    done = run(path, "x.npy")
    assert (done.returncode, done.stderr) == (0, "")
    assert [int(line) for line in done.stdout.splitlines()] == model.predict(x).tolist()
    nodes = ast.walk(ast.parse(path.read_text()))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert names == {"base64", "math", "sys", "numpy"}


def test_as_a_command_it_prints_the_outputs_of_a_regression(path):
    model = network("huber", "float64")
    x = samples(model)
    to_numpy_script(model, path)
    np.save(path.parent / "x.npy", x)
    done = run(path, "x.npy")
    printed = [[float(number) for number in line.split()] for line in done.stdout.splitlines()]
    np.testing.assert_array_equal(printed, imported(path).predict(x))


def test_wrong_usage_and_wrong_files_are_one_line(path):
    to_numpy_script(network(), path)
    folder = path.parent
    np.save(folder / "wide.npy", np.zeros((2, 8)))
    np.save(folder / "nan.npy", np.full((2, 7), np.nan))
    np.save(folder / "text.npy", np.array([["a"] * 7]))
    np.save(folder / "objects.npy", np.array([[{}] * 7]), allow_pickle=True)
    (folder / "junk.npy").write_bytes(b"PK\x03\x04junk")
    for arguments, status, words in [
        ((), 2, "usage: python"),
        (("wide.npy",), 2, "x must be of shape (n_samples, 7), not (2, 8)"),
        (("nan.npy",), 2, "x must be finite in float32"),
        (("text.npy",), 2, "x must hold real numbers"),
        (("objects.npy",), 2, "allow_pickle"),
        (("junk.npy",), 1, "error:"),
        (("absent.npy",), 1, "absent.npy"),
    ]:
        done = run(path, *arguments)
        assert (done.returncode, done.stdout) == (status, "")
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["relu", "both norms", "gelu"])
def test_its_code_is_a_page(path, name):
    to_numpy_script(network(name), path)
    head, _, rest = path.read_text().partition('P = arrays("""\n')
    code = head.splitlines() + rest.partition('""")')[2].splitlines()
    assert len(code) <= 130
    assert max(map(len, code)) <= 100


@pytest.mark.parametrize("name", ['a"""; print("x"); """.py', "a b.py", "1.py", "-.py"])
def test_a_strange_name_of_the_file_does_no_harm(tmp_path, name):
    model = network()
    to_numpy_script(model, tmp_path / name)
    x = samples(model)
    np.testing.assert_array_equal(imported(tmp_path / name).predict(x), model.predict(x))


def test_what_cannot_be_written_leaves_what_was_there(path):
    path.write_text("old")
    with pytest.raises(TypeError, match=r"^model must be a fastmlp\.MLP"):
        to_numpy_script("model", path)
    model = network()
    model.weights[0][0, 0] = np.inf
    with pytest.raises(ValueError, match="W1 holds NaN or infinity"):
        to_numpy_script(model, path)
    assert path.read_text() == "old"
    with pytest.raises(FileNotFoundError, match="absent"):
        to_numpy_script(network(), path.parent / "absent" / "digits.py")
