"""Model files: what is saved is loaded to the bit, and nothing else is loaded at all."""

import copy
import json
import os
import pickle
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastmlp
from fastmlp import atomic
from fastmlp.atomic import check_writable, write_atomically
from fastmlp.model_file import FORMAT, load, save

ATTRIBUTES = ["layers", "activation", "init", "dtype", "seed", "uint8_scale"]
LATER = ["loss", "norm", "dropout", "input_dropout"]
"""Attributes that the files of version 0.1 do not have."""


def make(layers=(4, 6, 3), **options):
    return fastmlp.MLP(list(layers), **{"init": "uniform", "seed": 5, **options})


def assert_same_model(loaded, model):
    for attribute in (*ATTRIBUTES, *LATER):
        assert getattr(loaded, attribute) == getattr(model, attribute)
    arrays = loaded.state_dict()
    assert list(arrays) == list(model.state_dict())
    for name, expected in model.state_dict().items():
        assert arrays[name].dtype == expected.dtype
        assert arrays[name].tobytes() == expected.tobytes()


def parts(content):
    """The JSON of a safetensors file, and the bytes after it."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(description, data):
    text = description if isinstance(description, bytes) else json.dumps(description).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture
def content(tmp_path):
    save(make(), tmp_path / "whole")
    return (tmp_path / "whole").read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def assert_refused(path, *words):
    """Loading is one line that names the file and says what is wrong."""
    with pytest.raises(ValueError, match="damaged, or no model file") as caught:
        load(path)
    message = str(caught.value)
    assert type(caught.value) is ValueError
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    for word in words:
        assert word in message


# --- round trip -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [(1, 1), (4, 3), (17, 9, 4), (784, 128, 10), (3, 1, 7, 1, 2)])
def test_a_loaded_model_is_the_saved_one_to_the_bit(path, layers, dtype):
    model = make(layers, dtype=dtype, init="he_normal", seed=2**70, uint8_scale=1 / 16)
    model.biases[-1][...] = np.linspace(-1e-30, 1e30, layers[-1])
    model.save(path)
    assert_same_model(fastmlp.load(path), model)


@settings(max_examples=40, deadline=None)
@given(
    layers=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**64),
    scale=st.floats(0, 1e30, allow_subnormal=True),
)
def test_any_network_survives_the_round_trip(layers, dtype, seed, scale):
    model = make(layers, dtype=dtype, seed=seed, uint8_scale=scale)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        save(model, path)
        assert_same_model(load(path), model)


def test_a_loaded_model_predicts_and_trains_like_the_saved_one(path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4)).astype(np.float32), rng.integers(0, 3, 30)
    model = make()
    fastmlp.fit(model, x, y, epochs=2, batch_size=7)
    model.save(path)
    loaded = fastmlp.load(path)
    np.testing.assert_array_equal(loaded.logits(x), model.logits(x))
    for each in (model, loaded):
        fastmlp.fit(each, x, y, epochs=2, batch_size=7)
    assert_same_model(loaded, model)


def test_the_file_is_plain_safetensors_of_the_logical_parameters(path):
    model = make()
    model.save(path)
    tensors = safetensors.numpy.load_file(path)
    assert sorted(tensors) == ["W1", "W2", "b1", "b2"]
    for layer in (1, 2):
        np.testing.assert_array_equal(tensors[f"W{layer}"], model.weights[layer - 1])
        np.testing.assert_array_equal(tensors[f"b{layer}"], model.biases[layer - 1])


def test_saving_twice_gives_the_same_bytes(tmp_path):
    contents = []
    for name in "ab":
        make().save(tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_a_path_may_be_text_a_path_or_bytes(path, kind):
    make().save(path)
    assert_same_model(load(kind(path)), make())


@pytest.mark.parametrize("value", [0, None, 1.5])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(TypeError):
        load(value)


NETWORKS = {
    "an activation": {"activation": "gelu_tanh"},
    "activations": {"activation": ["tanh", "silu"]},
    "a loss": {"loss": "squared_error"},
    "a loss with settings": {"loss": fastmlp.CrossEntropy(label_smoothing=0.1)},
    "huber": {"loss": fastmlp.Huber(delta=0.3)},
    "binary": {"loss": fastmlp.BinaryCrossEntropy()},
    "layer norm": {"norm": "layer"},
    "batch norm": {"norm": "batch"},
    "both norms": {"norm": ["batch", "layer"]},
    "one norm": {"norm": [None, "batch"]},
    "dropout": {"dropout": 0.25, "input_dropout": 0.125},
    "dropouts": {"dropout": [0.1, 0]},
    "all of them": {
        "activation": ["elu", "mish"],
        "loss": fastmlp.Poisson(),
        "norm": ["layer", "batch"],
        "dropout": [0.0, 0.5],
        "input_dropout": 0.3,
    },
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", NETWORKS)
def test_every_setting_of_a_network_survives_the_round_trip(path, case, dtype):
    rng = np.random.default_rng(0)
    model = make((4, 6, 5, 3), dtype=dtype, **NETWORKS[case])
    trained = {name: rng.random(a.shape).astype(dtype) for name, a in model.state_dict().items()}
    model.load_state_dict(trained)
    model.save(path)
    loaded = fastmlp.load(path)
    assert_same_model(loaded, model)
    assert repr(loaded) == repr(model)
    x = rng.standard_normal((30, 4)).astype(dtype)
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    loaded.save(path.with_name("again"))
    assert path.with_name("again").read_bytes() == path.read_bytes()


def test_a_batch_norms_arrays_are_in_the_file_under_their_names(path):
    model = make((4, 6, 5, 3), norm=["batch", "layer"])
    model.running_means[0] = np.arange(6)
    model.save(path)
    tensors = safetensors.numpy.load_file(path)
    first, second = ("W", "b", "scale", "shift", "mean", "variance"), ("W", "b", "scale", "shift")
    names = {f"{name}1" for name in first} | {f"{name}2" for name in second} | {"W3", "b3"}
    assert set(tensors) == names
    np.testing.assert_array_equal(tensors["mean1"], np.arange(6))


def test_a_trained_network_of_all_settings_goes_on_from_its_file(path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4)).astype(np.float32), rng.poisson(1.0, (30, 3))
    model = make((4, 6, 5, 3), **NETWORKS["all of them"])
    fastmlp.fit(model, x, y, epochs=2, batch_size=7, optimizer=fastmlp.Adam())
    model.save(path)
    loaded = fastmlp.load(path)
    for each in (model, loaded):
        fastmlp.fit(each, x, y, epochs=2, batch_size=7, optimizer=fastmlp.Adam())
    assert_same_model(loaded, model)


@pytest.mark.parametrize("left_out", [LATER, ["loss"], ["norm", "dropout"]])
def test_files_of_version_0_1_have_the_defaults(path, content, left_out):
    description, data = parts(content)
    header = json.loads(description["__metadata__"][FORMAT])
    assert list(header) == [*ATTRIBUTES, *LATER]
    for name in left_out:
        del header[name]
    description["__metadata__"][FORMAT] = json.dumps(header)
    path.write_bytes(join(description, data))
    assert_same_model(load(path), make())


# --- what is no model -----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["W1", "b2"])
def test_a_model_that_is_not_finite_is_neither_saved_nor_loaded(path, content, name, bad):
    model = make()
    (model.weights if name == "W1" else model.biases)[int(name[1]) - 1][-1] = bad
    with pytest.raises(ValueError, match=rf"not saved to {path}: {name} holds NaN or infinity$"):
        model.save(path)
    assert not path.exists()

    description, data = parts(content)
    _, end = description[name]["data_offsets"]
    path.write_bytes(join(description, data[: end - 4] + np.float32(bad).tobytes() + data[end:]))
    assert_refused(path, name, "NaN")


def test_every_truncation_is_refused(path, content):
    for length in [*range(0, len(content), 7), *range(len(content) - 9, len(content))]:
        path.write_bytes(content[:length])
        assert_refused(path)


def test_trailing_bytes_are_refused(path, content):
    path.write_bytes(content + b"\0")
    assert_refused(path)


def test_a_flipped_bit_of_the_header_is_refused_or_leaves_a_whole_model(path, content):
    """It leaves one where it is of a digit of the seed, say."""
    length = 8 + struct.unpack("<Q", content[:8])[0]
    messages, models = [], []
    for position in range(length):
        for bit in (0x01, 0x20, 0x80):
            damaged = bytearray(content)
            damaged[position] ^= bit
            path.write_bytes(damaged)
            try:
                models.append(load(path))
            except ValueError as error:  # any other kind fails the test
                messages.append(str(error))
    assert all(message.startswith(str(path)) for message in messages)
    assert not any("\n" in message for message in messages)
    assert all(model.layers == (4, 6, 3) and model.n_parameters == 51 for model in models)
    assert len(models) < length / 10


@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=200))
@example(b"")
@example(b"PK\x03\x04" + bytes(60))
@example(b"\x80\x04\x95" + bytes(60))
@example(struct.pack("<Q", 2**63) + b"{}")
@example(struct.pack("<Q", 2) + b"{}")
@example(struct.pack("<Q", 2) + b"[]")
def test_foreign_bytes_are_refused(noise):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise"
        path.write_bytes(noise)
        assert_refused(path)


def test_a_missing_file_is_named(path):
    with pytest.raises(FileNotFoundError, match=str(path)):
        load(path)


def test_a_folder_is_named(tmp_path):
    with pytest.raises(OSError, match=str(tmp_path)):
        load(tmp_path)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, {"format": FORMAT}])
def test_safetensors_of_another_format_are_refused(path, metadata):
    tensors = {"W1": np.zeros((2, 3), np.float32), "b1": np.zeros(3, np.float32)}
    safetensors.numpy.save_file(tensors, path, metadata=metadata)
    assert_refused(path, "metadata", FORMAT)


def rename(description, old, new):
    description[new] = description.pop(old)


def reshape(description, name, shape):
    description[name]["shape"] = shape


WRONG_TENSORS = {
    "missing": (lambda d: rename(d, "b2", "c2"), ["b2", "c2"]),
    "of a third layer": (lambda d: rename(d, "W2", "W3"), ["W2", "W3"]),
    "transposed": (lambda d: reshape(d, "W1", [6, 4]), ["W1", "[6, 4]", "[4, 6]"]),
    "of one axis": (lambda d: reshape(d, "W1", [24]), ["W1", "[24]"]),
    "of two axes": (lambda d: reshape(d, "b2", [1, 3]), ["b2", "[1, 3]"]),
    "of integers": (lambda d: d["b1"].update(dtype="I32"), ["b1", "I32", "F32"]),
    "without a type": (lambda d: d["b1"].pop("dtype"), []),
    "beyond the file": (lambda d: d["b1"].update(data_offsets=[0, 2**60]), []),
}


@pytest.mark.parametrize("case", WRONG_TENSORS)
def test_a_wrong_tensor_is_refused(path, content, case):
    change, words = WRONG_TENSORS[case]
    description, data = parts(content)
    change(description)
    path.write_bytes(join(description, data))
    assert_refused(path, *words)


@pytest.mark.parametrize("removed", ["W1", "b2"])
def test_a_file_without_one_of_its_tensors_is_refused(path, removed):
    make().save(path)
    metadata = parts(path.read_bytes())[0]["__metadata__"]
    tensors = safetensors.numpy.load_file(path)
    del tensors[removed]
    safetensors.numpy.save_file(tensors, path, metadata=metadata)
    assert_refused(path, f"tensors {sorted(tensors)} for 3 layer sizes")


def test_a_file_with_a_tensor_too_many_is_refused(path):
    make().save(path)
    metadata = parts(path.read_bytes())[0]["__metadata__"]
    tensors = {**safetensors.numpy.load_file(path), "W3": np.zeros((3, 2), np.float32)}
    safetensors.numpy.save_file(tensors, path, metadata=metadata)
    assert_refused(path, "W3")


def test_tensors_of_another_dtype_than_the_header_says_are_refused(path):
    make(dtype="float64").save(path)
    metadata = parts(path.read_bytes())[0]["__metadata__"]
    tensors = {k: v.astype("f4") for k, v in safetensors.numpy.load_file(path).items()}
    safetensors.numpy.save_file(tensors, path, metadata=metadata)
    assert_refused(path, "F32", "F64")


def without(name):
    return lambda header: header.pop(name)


def with_(**values):
    return lambda header: header.update(values)


WRONG_HEADERS = {
    **{f"no {name}": without(name) for name in ATTRIBUTES},
    "an argument too many": with_(hidden=[6]),
    "layers a number": with_(layers=3),
    "layers text": with_(layers="4,6,3"),
    "layers an object": with_(layers={"0": 4, "1": 6}),
    "layers empty": with_(layers=[]),
    "one layer": with_(layers=[4]),
    "layers of text": with_(layers=["4", "6", "3"]),
    "layers of floats": with_(layers=[4.0, 6.0, 3.0]),
    "layers of lists": with_(layers=[[4], [6], [3]]),
    "a layer of nothing": with_(layers=[4, 0, 3]),
    "a negative layer": with_(layers=[4, -6, 3]),
    "other layers": with_(layers=[4, 6, 4]),
    "a layer too many": with_(layers=[4, 6, 3, 3]),
    # 400 TB and more: refused before memory is taken for them.
    "a huge layer": with_(layers=[4, 10**13, 3]),
    "huge layers": with_(layers=[10**30, 10**30, 3]),
    "a million layers": with_(layers=[1] * 1_000_000),
    "activation": with_(activation="rleu"),
    "activation null": with_(activation=None),
    "init": with_(init=3),
    "dtype": with_(dtype="float16"),
    "dtype a list": with_(dtype=["float32"]),
    "other dtype": with_(dtype="float64"),
    "negative seed": with_(seed=-1),
    "seed text": with_(seed="5"),
    "scale null": with_(uint8_scale=None),
    "scale infinite": with_(uint8_scale=float("inf")),
    "scale nan": with_(uint8_scale=float("nan")),
}


WRONG_SETTINGS = {
    "activations too few": with_(activation=["relu"]),
    "activations too many": with_(activation=["relu"] * 3),
    "activations of numbers": with_(activation=[1, 2]),
    "activations an object": with_(activation={"relu": "relu", "tanh": "tanh"}),
    "an unknown activation among them": with_(activation=["relu", "rleu"]),
    "loss text": with_(loss="cross_entropy"),
    "loss null": with_(loss=None),
    "loss empty": with_(loss={}),
    "loss of a list": with_(loss={"name": ["cross_entropy"]}),
    "loss unknown": with_(loss={"name": "hinge"}),
    "loss with settings of another": with_(loss={"name": "cross_entropy", "delta": 1.0}),
    "loss out of range": with_(loss={"name": "cross_entropy", "label_smoothing": 1.0}),
    "loss of text": with_(loss={"name": "huber", "delta": "1"}),
    "norm unknown": with_(norm="group"),
    "norm a number": with_(norm=3),
    "norm false": with_(norm=False),
    "norm an object": with_(norm={"0": "batch"}),
    "norm none": with_(norm=None),
    "norm layer": with_(norm="layer"),
    "norm of other layers": with_(norm=["batch", None]),
    "norm of batches in all": with_(norm="batch"),
    "norms too few": with_(norm=["batch"]),
    "norms too many": with_(norm=[None, "batch", None]),
    "norms of lists": with_(norm=[None, ["batch"]]),
    "dropout 2": with_(dropout=2),
    "dropout 1": with_(dropout=1.0),
    "dropout negative": with_(dropout=-0.1),
    "dropout nan": with_(dropout=float("nan")),
    "dropout null": with_(dropout=None),
    "dropout text": with_(dropout="0.5"),
    "dropout true": with_(dropout=True),
    "dropouts too few": with_(dropout=[0.5]),
    "dropouts of text": with_(dropout=["0.5", "0.5"]),
    "input dropout 1": with_(input_dropout=1),
    "input dropouts": with_(input_dropout=[0.1]),
}


@pytest.mark.parametrize("case", WRONG_SETTINGS)
def test_a_wrong_setting_is_refused(path, case):
    make((4, 6, 5, 3), norm=[None, "batch"]).save(path)
    description, data = parts(path.read_bytes())
    header = json.loads(description["__metadata__"][FORMAT])
    WRONG_SETTINGS[case](header)
    description["__metadata__"][FORMAT] = json.dumps(header)
    path.write_bytes(join(description, data))
    assert_refused(path)


@pytest.mark.parametrize("name", ["scale1", "shift1", "mean1", "variance1"])
def test_a_norm_of_another_size_or_not_finite_is_refused(path, name):
    model = make((4, 6, 3), norm="batch")
    model.save(path)
    metadata = parts(path.read_bytes())[0]["__metadata__"]
    for wrong in (np.ones(5, "f4"), np.ones((1, 6), "f4"), np.full(6, np.nan, "f4")):
        tensors = model.state_dict() | {name: wrong}
        safetensors.numpy.save_file(tensors, path, metadata=metadata)
        assert_refused(path, name)


@pytest.mark.parametrize("case", WRONG_HEADERS)
def test_a_wrong_header_is_refused(path, content, case):
    description, data = parts(content)
    header = json.loads(description["__metadata__"][FORMAT])
    WRONG_HEADERS[case](header)
    description["__metadata__"][FORMAT] = json.dumps(header)
    path.write_bytes(join(description, data))
    assert_refused(path)


@pytest.mark.parametrize(
    "text",
    ["", "null", "3", "[]", '"model"', "{", '{"layers": [4, 6, 3]', "[" * 100_000, "9" * 10_000],
    ids=lambda text: text[:9],
)
def test_a_header_that_is_no_object_is_refused(path, content, text):
    description, data = parts(content)
    description["__metadata__"][FORMAT] = text
    path.write_bytes(join(description, data))
    assert_refused(path, "header")


def test_a_file_without_a_header_is_refused(path, content):
    description, data = parts(content)
    del description["__metadata__"][FORMAT]
    path.write_bytes(join(description, data))
    assert_refused(path, "header")


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    path, monkeypatch, failing, error
):
    make(seed=1).save(path)

    def fail(*arguments):
        raise error

    monkeypatch.setattr(atomic.os, failing, fail)
    with pytest.raises(type(error)):
        make(seed=2).save(path)
    assert os.listdir(path.parent) == [path.name]
    assert_same_model(load(path), make(seed=1))


def test_a_write_that_fails_at_first_leaves_no_file(path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"content")
    assert os.listdir(path.parent) == []


def test_a_missing_folder_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        make().save(tmp_path / "absent" / "model")


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_has_the_permissions_of_any_new_file(path, umask):
    previous = os.umask(umask)
    try:
        write_atomically(path, b"content")
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_replaced_file_keeps_its_permissions(path):
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target.name)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["link", "target"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, b"content")
        assert os.read(reader, 100) == b"content"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_name_of_the_longest_length_is_written(tmp_path):
    path = tmp_path / ("n" * 255)
    check_writable(path, "--save")
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


def test_a_check_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "new", "--save")
    (tmp_path / "old").write_bytes(b"old")
    check_writable(tmp_path / "old", "--save")
    check_writable(Path(os.devnull), "--save")
    assert os.listdir(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["", "absent/new", "file/new", "n" * 256, f"{'n' * 256}/new"])
def test_a_path_that_cannot_be_written_is_refused_in_one_line(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"^--save: {tmp_path}") as caught:
        check_writable(tmp_path / name, "--save")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "copy_of", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_copy_trains_and_saves_what_it_trained(tmp_path, copy_of, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 6)).astype(dtype), rng.integers(0, 3, 50)
    model = fastmlp.MLP([6, 9, 3], dtype=dtype)
    before = model.parameters.copy()
    twin = copy_of(model)
    fastmlp.fit(twin, x, y, epochs=3, batch_size=10)
    np.testing.assert_array_equal(model.parameters, before)
    fastmlp.fit(model, x, y, epochs=3, batch_size=10)
    twin.save(tmp_path / "twin")
    loaded = fastmlp.load(tmp_path / "twin")
    for one in (twin, loaded):
        for ours, expected in zip(
            one.weights + one.biases, model.weights + model.biases, strict=True
        ):
            np.testing.assert_array_equal(ours, expected)
        np.testing.assert_array_equal(one.logits(x), model.logits(x))


def test_parameters_that_are_set_are_copied_into_the_model():
    x = np.random.default_rng(0).standard_normal((5, 6))
    model = fastmlp.MLP([6, 9, 3])
    other = fastmlp.MLP([6, 9, 3], seed=1)
    model.weights[0] = other.weights[0]
    model.weights[1:] = other.weights[1:]
    model.biases[-1] = np.ones(3)
    other.biases[1][...] = 1
    np.testing.assert_array_equal(model.logits(x), other.logits(x))
    with pytest.raises(ValueError, match=r"\(6, 9\).*\(9, 6\)"):
        model.weights[0] = other.weights[0].T
    with pytest.raises(AttributeError):
        model.weights = other.weights
