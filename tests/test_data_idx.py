import gzip
import struct
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fastmlp.data import DataError, read_idx
from fastmlp.data.idx import decode_idx
from tests.data_helpers import encode_idx

arrays = st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).flatmap(
    lambda kind: hnp.arrays(
        np.dtype(kind), hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4)
    )
)
GOOD = encode_idx(np.arange(24, dtype=np.int16).reshape(2, 3, 4))


def decode(data: bytes, **options: int) -> NDArray[Any]:
    return decode_idx(BytesIO(data), "some-file", **options)


def refusal(data: bytes, **options: int) -> str:
    with pytest.raises(DataError) as caught:
        decode(data, **options)
    message = str(caught.value)
    assert message.startswith("some-file: ")
    assert "\n" not in message
    return message


@given(arrays, st.booleans())
def test_decoding_inverts_encoding(array: NDArray[Any], zipped: bool) -> None:
    data = encode_idx(array)
    result = decode(gzip.compress(data) if zipped else data)
    assert result.dtype == array.dtype
    assert result.dtype.isnative
    assert result.shape == array.shape
    assert result.flags.c_contiguous
    assert result.tobytes() == array.tobytes()


@given(arrays, st.booleans(), st.data())
def test_every_proper_prefix_is_refused(
    array: NDArray[Any], zipped: bool, draw: st.DataObject
) -> None:
    data = encode_idx(array)
    data = gzip.compress(data) if zipped else data
    refusal(data[: draw.draw(st.integers(0, len(data) - 1))])


@given(arrays, st.binary(min_size=1))
def test_trailing_bytes_are_refused(array: NDArray[Any], trailing: bytes) -> None:
    assert "more bytes follow" in refusal(encode_idx(array) + trailing)
    assert "more bytes follow" in refusal(gzip.compress(encode_idx(array) + trailing))


@given(arrays, st.binary(min_size=1).filter(lambda trailing: trailing.strip(b"\0")))
def test_garbage_after_a_gzip_stream_is_refused(array: NDArray[Any], garbage: bytes) -> None:
    refusal(gzip.compress(encode_idx(array)) + garbage)


@given(arrays, st.data())
def test_a_damaged_gzip_byte_never_changes_the_array(
    array: NDArray[Any], draw: st.DataObject
) -> None:
    data = bytearray(gzip.compress(encode_idx(array), mtime=0))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        result = decode(bytes(data))
    except DataError:
        return
    # The time stamp in gzip's header, for one, says nothing about the content.
    assert result.tobytes() == array.tobytes()


@given(st.binary())
def test_arbitrary_bytes_are_decoded_or_refused(data: bytes) -> None:
    for candidate in (data, b"\0\0" + data, gzip.compress(b"\0\0\x08\x01" + data)):
        try:
            decode(candidate)
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017 (a refusal is allowed, not required)


def test_gzip_is_told_by_its_magic_and_not_by_the_name(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "plain.gz", tmp_path / "zipped.idx"
    plain.write_bytes(GOOD)
    zipped.write_bytes(gzip.compress(GOOD))
    np.testing.assert_array_equal(read_idx(plain), read_idx(str(zipped)))
    assert read_idx(plain).shape == (2, 3, 4)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(GOOD[:-1])
    with pytest.raises(DataError) as caught:
        read_idx(path)
    assert str(caught.value) == f"{path}: truncated: 47 of 48 bytes of elements"


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "absent")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "starts with nothing"),
        (b"PNG!", "not an IDX file"),
        (b"\0\1\x08\x01" + GOOD[4:], "not an IDX file"),
        (b"\0\0\x0a\x01\0\0\0\1\0", "unknown element type 0x0a; allowed are 0x08 uint8"),
        (b"\0\0\x08\x00\0", "rank 0; 1 to 64"),
        (b"\0\0\x08\xff" + struct.pack(">255I", *[1] * 255) + b"\0", "rank 255; 1 to 64"),
        (b"\0\0\x08\x41" + struct.pack(">65I", *[1] * 65) + b"\0", "rank 65; 1 to 64"),
        (b"\0\0\x08\x02\0\0\0\1\0", "truncated inside its header: 5 of 8"),
    ],
)
def test_a_wrong_header_is_refused(data: bytes, said: str) -> None:
    assert said in refusal(data)
    assert said in refusal(gzip.compress(data))


def test_rank_64_is_read() -> None:
    array = np.array([7], np.uint8).reshape((1,) * 64)
    assert decode(encode_idx(array)).shape == (1,) * 64


@pytest.mark.parametrize("shape", [(2**32 - 1,) * 2, (2**32 - 1,) * 64, (0,) + (2**32 - 1,) * 3])
def test_an_impossible_promise_is_refused_without_taking_memory(shape: tuple[int, ...]) -> None:
    header = b"\0\0\x0e" + struct.pack(f">B{len(shape)}I", len(shape), *shape)
    tracemalloc.start()
    try:
        message = refusal(header)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "promises" in message
    assert peak < 2**20


def test_max_bytes_bounds_the_elements() -> None:
    assert decode(GOOD, max_bytes=48).size == 24
    assert "48 bytes; at most 47 are allowed" in refusal(GOOD, max_bytes=47)


def test_a_gzip_bomb_is_not_decompressed() -> None:
    bomb = gzip.compress(GOOD + bytes(2**26))
    tracemalloc.start()
    try:
        assert "more bytes follow" in refusal(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**22


def test_decompression_takes_one_array_of_memory() -> None:
    data = gzip.compress(encode_idx(np.zeros(2**24, np.int16)))
    tracemalloc.start()
    try:
        decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * 2**25


def test_gzip_members_are_joined_and_their_sizes_not_trusted() -> None:
    # The stream's last four bytes give the size of the last member alone.
    members = gzip.compress(GOOD[:20]) + gzip.compress(GOOD[20:])
    np.testing.assert_array_equal(decode(members), decode(GOOD))
    assert "more bytes follow" in refusal(members + gzip.compress(b"\0"))


def test_zero_padding_after_gzip_is_allowed() -> None:
    np.testing.assert_array_equal(decode(gzip.compress(GOOD) + bytes(100)), decode(GOOD))


@pytest.mark.parametrize("position", [-8, -1, 15])
def test_damaged_gzip_is_refused(position: int) -> None:
    data = bytearray(gzip.compress(GOOD))
    data[position] ^= 0xFF
    assert "damaged gzip data" in refusal(bytes(data))
