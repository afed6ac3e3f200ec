"""What the data tests share: an IDX writer, a tiny published data set, and a mirror of it."""

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastmlp.data.dataset import Dataset
from fastmlp.data.registry import PublishedDataset, SourceFile

IDX_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def encode_idx(array: NDArray[Any]) -> bytes:
    code = IDX_CODES[f"{array.dtype.kind}{array.dtype.itemsize}"]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


_rng = np.random.default_rng(0)
ARRAYS: dict[str, NDArray[Any]] = {
    "x_train": _rng.integers(0, 256, (6, 3, 2), dtype=np.uint8),
    "y_train": np.array([0, 1, 2, 0, 1, 2], np.uint8),
    "x_test": _rng.integers(0, 256, (4, 3, 2), dtype=np.uint8),
    "y_test": np.array([2, 1, 0, 2], np.uint8),
}
FILES = {f"{key}.gz": gzip.compress(encode_idx(array), mtime=0) for key, array in ARRAYS.items()}
OVERSIZE = 2**26  # Far beyond what socket buffers take in.


def tiny_dataset(*mirrors: str) -> PublishedDataset:
    files = [
        SourceFile(name, hashlib.sha256(data).hexdigest(), len(data))
        for name, data in FILES.items()
    ]
    x_train, y_train, x_test, y_test = files
    return PublishedDataset("tiny", x_train, y_train, x_test, y_test, mirrors)


def write_files(folder: Path, files: Mapping[str, bytes] = FILES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def assert_is_tiny(dataset: Dataset) -> None:
    assert dataset.name == "tiny"
    assert dataset.n_classes == 3
    assert dataset.image_shape == (3, 2)
    for key, array in ARRAYS.items():
        expected = array.reshape(len(array), -1) if key.startswith("x") else array
        np.testing.assert_array_equal(getattr(dataset, key), expected)


def isolate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a test to its own cache, away from the user's data and from any proxy."""
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTMLP_DATA_DIR", raising=False)
    monkeypatch.delenv("FASTMLP_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@dataclass
class Mirror:
    """A server of `FILES`; the first folder of a path says how it misbehaves."""

    url: str
    requests: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def base(self, behaviour: str) -> str:
        return f"{self.url}/{behaviour}/"


@contextmanager
def serve() -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.requests.append(self.path)
            _, behaviour, name = self.path.split("/")
            data = FILES[name]
            length: int | None = len(data)
            if behaviour == "missing":
                self.send_error(404)
                return
            if behaviour == "silent":
                mirror.release.wait()
                return
            if behaviour == "wrong":
                data = bytes(len(data))
            elif behaviour == "oversized":
                length = None
            elif behaviour == "truncated":
                data = data[:-5]
            elif behaviour == "short":
                data, length = data[:-5], len(data) - 5
            elif behaviour == "stalled":
                data = data[:-5]
            self.send_response(200)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(data)
            if behaviour == "oversized":
                for _ in range(64):
                    self.wfile.write(bytes(OVERSIZE // 64))
            if behaviour == "stalled":
                self.wfile.flush()
                mirror.release.wait()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up on a bad answer is what the tests want: print nothing."""

    server = Server(("127.0.0.1", 0), Handler)
    mirror = Mirror(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield mirror
    finally:
        mirror.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
