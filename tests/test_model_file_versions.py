"""Model files of every earlier version are read; of a later one it is said which it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import fastmlp
from fastmlp.model_file import FORMAT, NAME, VERSION, header_of

MODELS = Path(__file__).parent / "data" / "models"
FILES = sorted(MODELS.glob("*.safetensors"))
X = np.linspace(-1, 1, 20).reshape(5, 4)


def test_there_is_a_file_of_each_form_of_the_header():
    assert [path.stem for path in FILES] == ["0.1-all-settings", "0.1-one-key", "first"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_earlier_file_gives_the_logits_that_it_gave_then(path):
    with np.load(MODELS / "logits.npz") as logits:
        expected = logits[path.stem]
    model = fastmlp.load(path)
    assert model.dtype == expected.dtype
    # Vectors of another width add in another order.
    tolerance = 8 * np.finfo(model.dtype).eps
    np.testing.assert_allclose(model.logits(X), expected, rtol=tolerance, atol=tolerance)


def test_an_earlier_file_has_the_settings_that_it_was_written_with():
    for name in ("first", "0.1-one-key"):
        model = fastmlp.load(MODELS / f"{name}.safetensors")
        assert (model.layers, model.init, model.seed) == ((4, 6, 3), "uniform", 5)
        assert (model.uint8_scale, model.activation) == (1 / 16, "relu")
        assert model.loss == fastmlp.CrossEntropy()
        assert (model.norm, model.dropout, model.input_dropout) == (None, 0, 0)
    model = fastmlp.load(MODELS / "0.1-all-settings.safetensors")
    assert model.loss == fastmlp.CrossEntropy(label_smoothing=0.1)
    assert (model.activation, model.norm) == (("gelu", "tanh"), ("batch", "layer"))
    assert (model.dropout, model.input_dropout) == ((0.1, 0.0), 0.125)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_earlier_file_is_saved_in_the_form_of_today(path, tmp_path):
    model = fastmlp.load(path)
    model.save(tmp_path / "again")
    with safetensors.safe_open(tmp_path / "again", framework="numpy") as file:
        assert {FORMAT: json.dumps(header_of(model))} == file.metadata()
    again = fastmlp.load(tmp_path / "again")
    for name, value in model.state_dict().items():
        assert again.state_dict()[name].tobytes() == value.tobytes()


def write(path, metadata):
    model = fastmlp.MLP([2, 3])
    safetensors.numpy.save_file(model.state_dict(), path, metadata=metadata(model))


@pytest.mark.parametrize("version", [VERSION + 1, 10, 12345])
def test_a_later_version_is_named_and_what_to_do(tmp_path, version):
    path = tmp_path / "model"
    write(path, lambda model: {f"{NAME}/{version}": json.dumps(header_of(model))})
    with pytest.raises(ValueError, match="update fastmlp") as caught:
        fastmlp.load(path)
    assert str(caught.value) == (
        f"{path} is of format '{NAME}/{version}', this fastmlp reads up to {FORMAT}: update fastmlp"
    )


@pytest.mark.parametrize("version", ["0", "1.5", "-2", "", "x", "9" * 5000])
def test_what_is_no_later_version_is_foreign(tmp_path, version):
    path = tmp_path / "model"
    write(path, lambda model: {f"{NAME}/{version}": json.dumps(header_of(model))})
    with pytest.raises(ValueError, match="damaged, or no model file of fastmlp"):
        fastmlp.load(path)


def test_an_argument_of_a_later_fastmlp_is_named(tmp_path):
    path = tmp_path / "model"
    write(path, lambda model: {FORMAT: json.dumps({**header_of(model), "residual": True})})
    with pytest.raises(ValueError, match=r"\['residual'\], which this fastmlp does not know"):
        fastmlp.load(path)
