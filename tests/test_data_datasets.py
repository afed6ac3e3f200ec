import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastmlp.data import DataError, load_dataset
from fastmlp.data.npz import read_npz
from tests.data_helpers import isolate

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


def good_arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.standard_normal((6, 4)).astype(np.float32),
        "y_train": np.array([0, 1, 2, 0, 1, 2], np.int32),
        "x_test": rng.standard_normal((3, 4)).astype(np.float32),
        "y_test": np.array([2, 1, 0], np.int32),
    }


def save(folder: Path, arrays: Arrays) -> Path:
    path = folder / "mine.npz"
    np.savez(path, allow_pickle=True, **arrays)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


# Names


@pytest.mark.parametrize("name", ["minst", "", "data.csv", "MNIST"])
def test_an_unknown_name_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ValueError, match=r"name must be 'mnist', 'fashion-mnist', 'digits', a"):
        load_dataset(name)


def test_a_name_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="name must be a str or a path, not int"):
        load_dataset(3)  # type: ignore[arg-type]


def test_a_missing_npz_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_dataset(tmp_path / "absent.npz")


def test_import_stays_cheap() -> None:
    program = (
        "import sys, fastmlp.data;"
        "print({'sklearn', 'rich', 'urllib.request', 'numba', 'scipy'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


# Digits


def test_digits_are_scikit_learns_with_every_fifth_for_the_test() -> None:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    data = load_dataset("digits")
    assert data.x_train.dtype == np.float32
    assert (len(data.x_train), len(data.x_test)) == (1437, 360)
    assert (data.name, data.n_classes, data.image_shape) == ("digits", 10, (8, 8))
    np.testing.assert_array_equal(data.x_test, x[::5] / 16)
    np.testing.assert_array_equal(data.y_test, y[::5])
    np.testing.assert_array_equal(data.x_train, np.delete(x, np.s_[::5], axis=0) / 16)
    np.testing.assert_array_equal(data.y_train, np.delete(y, np.s_[::5]))
    assert (data.x_train.min(), data.x_train.max()) == (0, 1)


# .npz files


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, ">f4", ">f8"])
@pytest.mark.parametrize("save_archive", [np.savez, np.savez_compressed])
def test_npz_arrays_come_back(
    tmp_path: Path, dtype: Any, save_archive: Callable[..., None]
) -> None:
    arrays = good_arrays()
    for key in ("x_train", "x_test"):
        arrays[key] = np.asfortranarray((100 * abs(arrays[key])).astype(dtype))
    path = tmp_path / "mine.NPZ"
    with open(path, "wb") as file:
        save_archive(file, extra=np.zeros(1), **arrays)
    data = load_dataset(str(path))
    assert data.name == str(path)
    assert (data.n_classes, data.image_shape) == (3, None)
    for key, expected in arrays.items():
        array = getattr(data, key)
        np.testing.assert_array_equal(array, expected)
        assert array.flags.c_contiguous
        assert array.dtype.isnative
    assert data.x_train.dtype == np.dtype(dtype).newbyteorder("=")
    assert data.y_train.dtype == data.y_test.dtype == np.int64


@pytest.mark.parametrize(
    ("sample_shape", "image_shape"), [((5,), None), ((2, 3), (2, 3)), ((2, 3, 4), None)]
)
def test_npz_samples_are_flattened(
    tmp_path: Path, sample_shape: tuple[int, ...], image_shape: tuple[int, int] | None
) -> None:
    arrays = good_arrays()
    arrays["x_train"] = np.random.default_rng(0).random((6, *sample_shape))
    arrays["x_test"] = np.random.default_rng(1).random((3, *sample_shape))
    data = load_dataset(save(tmp_path, arrays))
    np.testing.assert_array_equal(data.x_train, arrays["x_train"].reshape(6, -1))
    np.testing.assert_array_equal(data.x_test, arrays["x_test"].reshape(3, -1))
    assert data.image_shape == image_shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8", np.uint8, np.int16])
@pytest.mark.parametrize("shape", [(), (1,), (2,)])
def test_targets_that_are_no_labels_come_back(
    tmp_path: Path, dtype: Any, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    arrays = good_arrays() | {
        "y_train": (9 * rng.random((6, *shape))).astype(dtype),
        "y_test": (9 * rng.random((3, *shape))).astype(dtype),
    }
    data = load_dataset(save(tmp_path, arrays))
    labels = shape == () and np.dtype(dtype).kind in "iu"
    assert (data.n_classes is None) == (not labels)
    assert data.n_outputs == (arrays["y_train"].max() + 1 if labels else shape[0] if shape else 1)
    for key in ("y_train", "y_test"):
        array = getattr(data, key)
        np.testing.assert_array_equal(array, arrays[key])
        assert array.flags.c_contiguous
        real = np.dtype(dtype).kind == "f"
        assert array.dtype == (np.dtype(dtype).newbyteorder("=") if real else np.int64)


def test_a_dataset_cannot_be_reassigned(tmp_path: Path) -> None:
    data = load_dataset(save(tmp_path, good_arrays()))
    with pytest.raises(FrozenInstanceError):
        data.x_train = data.x_test  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x_train": np.ones((6, 4), np.int64)}, "x_train is int64; allowed are uint8, float32"),
        ({"x_test": np.ones((3, 4), np.float16)}, "x_test is float16; allowed are"),
        ({"x_train": np.ones((6, 4), bool)}, "x_train is bool; allowed are"),
        ({"x_train": np.ones((6, 4), complex)}, "x_train is complex128; allowed are"),
        ({"x_train": np.full((6, 4), "a")}, "x_train is <U1; allowed are"),
        ({"x_train": np.full((6, 4), None)}, "x_train cannot be read: Object arrays"),
        ({"x_test": np.ones((3, 4), np.float64)}, "x_test is float64 but x_train is float32"),
        ({"x_train": np.ones(6, np.float32)}, "x_train has shape (6,); rank 2, 3 or 4"),
        ({"x_train": np.ones((6, 1, 1, 1, 4), np.float32)}, "x_train has shape (6, 1, 1, 1, 4)"),
        ({"x_test": np.ones((3, 5), np.float32)}, "x_test has samples of shape (5,) but x_train"),
        ({"x_test": np.ones((3, 2, 2), np.float32)}, "x_test has samples of shape (2, 2)"),
        ({"x_test": np.ones((0, 4), np.float32)}, "x_test is empty, shape (0, 4)"),
        ({"x_train": np.ones((6, 0), np.float32)}, "x_train is empty, shape (6, 0)"),
        ({"y_train": np.zeros(5, int)}, "y_train has 5 labels for 6 samples"),
        ({"y_test": np.zeros(4, int)}, "y_test has 4 labels for 3 samples"),
        ({"y_train": np.zeros((6, 1, 1), int)}, "y_train has shape (6, 1, 1); labels have rank 1"),
        ({"y_train": np.array(3)}, "y_train has shape (); labels have rank 1"),
        ({"y_train": np.zeros(6, np.float16)}, "y_train is float16; labels are integers"),
        ({"y_train": np.zeros(6, bool)}, "y_train is bool; labels are integers"),
        ({"y_train": np.zeros((6, 0))}, "y_train is empty, shape (6, 0)"),
        ({"y_train": np.zeros((5, 2))}, "y_train has 5 targets for 6 samples"),
        ({"y_test": np.array([0, np.nan, 1])}, "y_test has NaN or infinite values"),
        ({"y_train": np.zeros(6)}, "y_test is labels of int32, shape (n_samples) but y_train is"),
        (
            {"y_train": np.zeros((6, 2)), "y_test": np.zeros((3, 3))},
            "y_test is targets of float64, shape (n_samples, 3) but y_train is targets",
        ),
        ({"y_test": np.array([0, -1, 2])}, "y_test has label -1; 0 to 2147483647"),
        ({"y_train": np.full(6, 2**64 - 1, np.uint64)}, "y_train has label 18446744073709551615;"),
        ({"y_test": np.array([0, 3, 2])}, "y_test has label 3, but the labels of y_train end at 2"),
    ],
)
def test_a_wrong_array_is_refused_by_name(tmp_path: Path, changes: Arrays, said: str) -> None:
    assert said in refusal(save(tmp_path, good_arrays() | changes))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("key", ["x_train", "x_test"])
def test_a_value_that_is_not_finite_is_refused(tmp_path: Path, key: str, value: float) -> None:
    arrays = good_arrays()
    arrays[key][1, 2] = value
    assert f"{key} has NaN or infinite values" in refusal(save(tmp_path, arrays))


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_a_missing_array_is_named(tmp_path: Path, key: str) -> None:
    arrays = good_arrays()
    del arrays[key]
    assert f"no array {key}; x_train, y_train, x_test, y_test needed" in refusal(
        save(tmp_path, arrays)
    )


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"\x93NUMPY\1\0", b"PK\3\4"])
def test_a_file_that_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    assert "not an .npz file" in refusal(path)


def test_a_zip_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, {key: a for key, a in good_arrays().items() if key != "x_test"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_test.npy", "some text")
    assert "x_test cannot be read" in refusal(path)


@pytest.mark.parametrize("shape", ["(6,4)", "(6,4,99999999999,)"])
def test_a_member_that_differs_from_its_shape_is_refused(tmp_path: Path, shape: str) -> None:
    path = save(tmp_path, {key: a for key, a in good_arrays().items() if key != "x_train"})
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    with zipfile.ZipFile(path, "a") as archive:
        member = b"\x93NUMPY\1\0" + bytes([len(header), 0]) + header + bytes(4 * 24 + 1)
        archive.writestr("x_train.npy", member)
    assert refusal(path).startswith(f"{path}: x_train ")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("npz")
    return folder / "damaged.npz", save(folder, good_arrays()).read_bytes()


@given(st.data())
def test_a_truncated_npz_is_refused(archive: tuple[Path, bytes], draw: st.DataObject) -> None:
    path, content = archive
    path.write_bytes(content[: draw.draw(st.integers(0, len(content) - 1))])
    refusal(path)


@given(st.data())
def test_a_damaged_npz_byte_never_changes_an_array(
    archive: tuple[Path, bytes], draw: st.DataObject
) -> None:
    path, content = archive
    damaged = bytearray(content)
    damaged[draw.draw(st.integers(0, len(content) - 1))] ^= draw.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    try:
        data = read_npz(path)
    except DataError:
        return
    # The zip's time stamps, for one, say nothing about the content.
    for key, expected in good_arrays().items():
        np.testing.assert_array_equal(getattr(data, key), expected)
