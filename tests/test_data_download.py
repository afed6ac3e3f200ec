import dataclasses
import gzip
import hashlib
import io
import os
import re
import tracemalloc
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastmlp.data import (
    DataError,
    DataUnavailableError,
    load_dataset,
    load_default_dataset,
    loading,
)
from fastmlp.data.download import download
from fastmlp.data.published import load_published
from fastmlp.data.registry import MNIST, PUBLISHED, SourceFile
from tests.data_helpers import (
    ARRAYS,
    FILES,
    OVERSIZE,
    Mirror,
    assert_is_tiny,
    encode_idx,
    isolate,
    serve,
    tiny_dataset,
    write_files,
)

REAL_DATA_DIR = os.environ.get("FASTMLP_DATA_DIR")
IMAGES = "x_train.gz"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serve() as mirror:
        yield mirror


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tiny"


@pytest.fixture
def provided(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FASTMLP_DATA_DIR", str(tmp_path / "provided"))
    return tmp_path / "provided" / "tiny"


def decoded_copy(cache: Path) -> Path:
    [path] = cache.glob("decoded-*.npz")
    return path


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# Downloads


def test_a_download_gives_the_published_bytes_and_is_kept(mirror: Mirror, cache: Path) -> None:
    assert_is_tiny(load_published(tiny_dataset(mirror.base("good"))))
    for name, data in FILES.items():
        assert (cache / name).read_bytes() == data
    # And the decoded copy with its sum; nothing temporary.
    assert len(files_under(cache)) == len(FILES) + 2


@pytest.mark.parametrize(
    ("behaviour", "answer"),
    [
        ("missing", "HTTP Error 404"),
        ("wrong", "SHA-256 is"),
        ("truncated", r"sent \d+ of \d+ bytes"),
        ("short", r"sent \d+ of \d+ bytes"),
        ("oversized", r"sent more than the \d+ bytes"),
    ],
)
def test_a_bad_mirror_is_skipped_and_alone_it_is_an_error(
    mirror: Mirror, cache: Path, behaviour: str, answer: str
) -> None:
    bad = mirror.base(behaviour)
    with pytest.raises(DataUnavailableError, match=answer) as caught:
        load_published(tiny_dataset(bad))
    assert f"{bad}{IMAGES}: " in str(caught.value)
    assert files_under(cache) == []

    assert_is_tiny(load_published(tiny_dataset(bad, mirror.base("good"))))
    assert f"/{behaviour}/{IMAGES}" in mirror.requests


def test_no_more_than_the_known_size_is_taken_in(mirror: Mirror) -> None:
    dataset = tiny_dataset(mirror.base("oversized"))
    tracemalloc.start()
    try:
        with pytest.raises(DataUnavailableError, match="sent more than"):
            download(dataset.x_train, dataset.mirrors)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < OVERSIZE / 4


@pytest.mark.parametrize("behaviour", ["silent", "stalled"])
def test_a_hanging_mirror_times_out(mirror: Mirror, cache: Path, behaviour: str) -> None:
    with pytest.raises(DataUnavailableError, match="timed out"):
        load_published(tiny_dataset(mirror.base(behaviour)), timeout=0.1)
    assert files_under(cache) == []


def test_the_final_error_says_in_one_line_what_each_mirror_answered(mirror: Mirror) -> None:
    refused = "http://127.0.0.1:1/"
    mirrors = (mirror.base("missing"), mirror.base("wrong"), refused)
    with pytest.raises(DataUnavailableError) as caught:
        load_published(tiny_dataset(*mirrors))
    message = str(caught.value)
    assert message.startswith(f"{IMAGES} cannot be downloaded: ")
    assert "\n" not in message
    answers = message.split("; ")
    assert len(answers) == 3
    assert all(base in answer for base, answer in zip(mirrors, answers, strict=True))


def test_an_interrupted_download_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    class Response(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise KeyboardInterrupt
            return super().read(10)

    monkeypatch.setattr(
        urllib.request, "urlopen", lambda url, timeout: Response(FILES[Path(url).name])
    )
    with pytest.raises(KeyboardInterrupt):
        load_published(tiny_dataset("http://127.0.0.1:1/"))
    assert files_under(cache) == []


def test_an_interrupted_write_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, mirror: Mirror, cache: Path
) -> None:
    written = []

    def interrupt(descriptor: int) -> None:
        written.append(os.fstat(descriptor).st_size)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_published(tiny_dataset(mirror.base("good")))
    assert written == [len(FILES[IMAGES])]
    assert files_under(cache) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "progress", "shown"),
    [(Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)],
)
def test_the_bar_is_drawn_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch,
    mirror: Mirror,
    stream: type[io.StringIO],
    progress: bool,
    shown: bool,
) -> None:
    stderr = stream()
    monkeypatch.setattr("sys.stderr", stderr)
    dataset = tiny_dataset(mirror.base("good"))
    data = download(dataset.x_train, dataset.mirrors, progress=progress)
    assert data == FILES[IMAGES]
    assert (IMAGES in stderr.getvalue()) == shown
    assert bool(stderr.getvalue()) == shown


# The user's cache


def test_files_in_the_cache_need_no_mirror(cache: Path) -> None:
    write_files(cache)
    assert_is_tiny(load_published(tiny_dataset()))


def test_a_wrong_cached_file_is_said_and_downloaded_again(mirror: Mirror, cache: Path) -> None:
    write_files(cache, FILES | {IMAGES: b"damaged"})
    found = hashlib.sha256(b"damaged").hexdigest()
    with pytest.warns(UserWarning, match=f"{re.escape(str(cache / IMAGES))}.*{found}") as said:
        assert_is_tiny(load_published(tiny_dataset(mirror.base("good"))))
    assert len(said) == 1
    assert mirror.requests == [f"/good/{IMAGES}"]
    assert (cache / IMAGES).read_bytes() == FILES[IMAGES]


def test_a_wrong_cached_file_is_an_error_offline(
    monkeypatch: pytest.MonkeyPatch, mirror: Mirror, cache: Path
) -> None:
    write_files(cache, FILES | {IMAGES: b"damaged"})
    monkeypatch.setenv("FASTMLP_OFFLINE", "1")
    with (
        pytest.warns(UserWarning, match=IMAGES),
        pytest.raises(DataUnavailableError, match=f"no good {IMAGES}.*FASTMLP_OFFLINE"),
    ):
        load_published(tiny_dataset(mirror.base("good")))
    assert mirror.requests == []


def test_a_cache_that_cannot_be_written_is_said_once_and_the_download_used(
    mirror: Mirror, cache: Path
) -> None:
    cache.parent.write_bytes(b"a file where the folder should be")
    with pytest.warns(UserWarning, match="cannot be kept for the next run") as said:
        assert_is_tiny(load_published(tiny_dataset(mirror.base("good"))))
    assert len(said) == 1
    assert "\n" not in str(said[0].message)


@pytest.mark.parametrize("value", ["1", "true"])
def test_offline_asks_no_mirror(
    monkeypatch: pytest.MonkeyPatch, mirror: Mirror, value: str
) -> None:
    monkeypatch.setenv("FASTMLP_OFFLINE", value)
    with pytest.raises(DataUnavailableError, match="FASTMLP_OFFLINE forbids the download"):
        load_published(tiny_dataset(mirror.base("good")))
    assert mirror.requests == []


@pytest.mark.parametrize("value", ["", "0"])
def test_an_offline_variable_of_0_allows_downloads(
    monkeypatch: pytest.MonkeyPatch, mirror: Mirror, value: str
) -> None:
    monkeypatch.setenv("FASTMLP_OFFLINE", value)
    assert_is_tiny(load_published(tiny_dataset(mirror.base("good"))))


# The user's own folder


def test_the_data_dir_comes_before_cache_and_mirrors(
    mirror: Mirror, cache: Path, provided: Path
) -> None:
    write_files(provided)
    write_files(cache, dict.fromkeys(FILES, b"damaged"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_is_tiny(load_published(tiny_dataset(mirror.base("good"))))
    assert mirror.requests == []


def test_files_missing_in_the_data_dir_come_from_the_next_place(
    mirror: Mirror, cache: Path, provided: Path
) -> None:
    names = list(FILES)
    write_files(provided, {name: FILES[name] for name in names[:2]})
    write_files(cache, {names[2]: FILES[names[2]]})
    assert_is_tiny(load_published(tiny_dataset(mirror.base("good"))))
    assert mirror.requests == [f"/good/{names[3]}"]


@pytest.mark.parametrize("decoded_before", [False, True])
def test_a_wrong_file_in_the_data_dir_is_an_error_with_both_sums(
    mirror: Mirror, provided: Path, decoded_before: bool
) -> None:
    dataset = tiny_dataset(mirror.base("good"))
    if decoded_before:
        load_published(dataset)
    write_files(provided, FILES | {IMAGES: b"damaged"})
    with pytest.raises(DataError) as caught:
        load_published(dataset)
    found = hashlib.sha256(b"damaged").hexdigest()
    expected = dataset.x_train.sha256
    assert str(caught.value) == f"{provided / IMAGES}: SHA-256 is {found}, expected {expected}"


# The decoded copy


def test_the_second_load_needs_the_decoded_copy_alone(mirror: Mirror, cache: Path) -> None:
    load_published(tiny_dataset(mirror.base("good")))
    for name in FILES:
        (cache / name).unlink()
    assert_is_tiny(load_published(tiny_dataset()))


def test_the_decoded_copy_is_what_the_second_load_reads(cache: Path, provided: Path) -> None:
    write_files(provided)
    load_published(tiny_dataset())
    marked: dict[str, Any] = ARRAYS | {"y_test": np.zeros(4, np.uint8)}
    path = decoded_copy(cache)
    np.savez(path, **marked)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(digest)
    np.testing.assert_array_equal(load_published(tiny_dataset()).y_test, np.zeros(4))


def whole_npz(**changes: Any) -> bytes:
    """A valid .npz, but not what was decoded."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **(ARRAYS | changes))
    return file.getvalue()


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "another"])
def test_a_damaged_decoded_copy_is_silently_made_anew(
    cache: Path, provided: Path, damage: str
) -> None:
    write_files(provided)
    load_published(tiny_dataset())
    path = decoded_copy(cache)
    good = path.read_bytes()
    position = good.index(ARRAYS["x_train"].tobytes())
    damaged = {
        "empty": b"",
        "truncated": good[:-10],
        "another": whole_npz(x_train=np.zeros((7, 3), np.uint8)),
        "flipped": good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :],
    }
    path.write_bytes(damaged[damage])
    assert_is_tiny(load_published(tiny_dataset()))
    assert decoded_copy(cache) == path
    np.testing.assert_array_equal(np.load(path)["x_train"], ARRAYS["x_train"])


def test_files_of_other_sums_have_their_own_decoded_copy(provided: Path) -> None:
    write_files(provided)
    first = tiny_dataset()
    assert_is_tiny(load_published(first))
    labels = gzip.compress(encode_idx(np.zeros(4, np.uint8)))
    file = SourceFile("y_test.gz", hashlib.sha256(labels).hexdigest(), len(labels))
    write_files(provided, {file.name: labels})
    second = load_published(dataclasses.replace(first, y_test=file))
    np.testing.assert_array_equal(second.y_test, np.zeros(4))


# The table and the defaults


@pytest.mark.parametrize("dataset", PUBLISHED.values(), ids=lambda dataset: dataset.name)
def test_every_published_file_has_a_sum_a_size_and_two_mirrors(dataset: Any) -> None:
    assert len({file.name for file in dataset.files}) == 4
    for file in dataset.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.n_bytes > 0
    assert len(dataset.mirrors) >= 2
    assert all(mirror.endswith("/") for mirror in dataset.mirrors)


def test_load_dataset_finds_a_published_name(
    monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    monkeypatch.setattr(loading, "PUBLISHED", {"tiny": tiny_dataset(mirror.base("good"))})
    assert_is_tiny(load_dataset("tiny"))


def test_the_default_is_digits_with_the_reason_without_mnist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FASTMLP_OFFLINE", "1")
    dataset, reason = load_default_dataset()
    assert dataset.name == "digits"
    assert reason is not None
    assert "FASTMLP_OFFLINE" in reason
    assert "\n" not in reason
    with pytest.raises(DataUnavailableError):
        load_dataset("mnist")


def test_the_default_is_mnist_without_a_reason_when_it_is_there(
    monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    monkeypatch.setattr(loading, "PUBLISHED", {"mnist": tiny_dataset(mirror.base("good"))})
    dataset, reason = load_default_dataset()
    assert_is_tiny(dataset)
    assert reason is None


def test_the_default_does_not_pass_over_a_wrong_file_of_the_user(provided: Path) -> None:
    write_files(provided.parent / "mnist", {MNIST.x_train.name: b"damaged"})
    with pytest.raises(DataError, match="SHA-256"):
        load_default_dataset()


@pytest.fixture
def real_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST as published: absent without the variable, but a variable that leads nowhere fails."""
    if not REAL_DATA_DIR:
        pytest.skip("FASTMLP_DATA_DIR is not set: real MNIST is not tested")
    folder = Path(REAL_DATA_DIR) / "mnist"
    missing = [file.name for file in MNIST.files if not (folder / file.name).is_file()]
    if missing:
        pytest.fail(f"FASTMLP_DATA_DIR is set, but {folder} lacks {', '.join(missing)}")
    assert [(folder / file.name).stat().st_size for file in MNIST.files] == [
        file.n_bytes for file in MNIST.files
    ]
    monkeypatch.setenv("FASTMLP_DATA_DIR", REAL_DATA_DIR)
    monkeypatch.setenv("FASTMLP_OFFLINE", "1")


@pytest.mark.usefixtures("real_mnist")
def test_real_mnist_is_read_and_read_again() -> None:
    for data in (load_dataset("mnist"), load_dataset("mnist")):
        assert (data.name, data.n_classes, data.image_shape) == ("mnist", 10, (28, 28))
        assert (data.x_train.shape, data.x_test.shape) == ((60000, 784), (10000, 784))
        assert data.x_train.dtype == data.x_test.dtype == np.uint8
        # The published counts of each digit, and the means to which pixels are often normalised.
        counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        assert np.bincount(data.y_train).tolist() == counts
        counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert np.bincount(data.y_test).tolist() == counts
        assert round(float(data.x_train.mean()) / 255, 4) == 0.1307
        assert round(float(data.x_train.std()) / 255, 4) == 0.3081
