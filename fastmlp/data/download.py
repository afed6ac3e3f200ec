"""Download one published file from the first mirror that serves it right."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fastmlp.data.errors import DataError, DataUnavailableError
from fastmlp.data.registry import SourceFile

TIMEOUT_SECONDS = 10.0  # For the connection and for each wait for more bytes, not for the whole.
BLOCK_BYTES = 2**16


def download(
    file: SourceFile,
    mirrors: Sequence[str],
    *,
    progress: bool = True,
    timeout: float = TIMEOUT_SECONDS,
) -> bytes:
    """Return the bytes of `file`, checked, from the first of `mirrors` that serves it right.

    They are held in memory (26 MB for the largest), so that a wrong, truncated or interrupted
    download has written nothing.

    Parameters
    ----------
    file : SourceFile
        What is wanted. No more than its size is ever read.
    mirrors : sequence of str
        Base URLs, asked in this order.
    progress : bool, default True
        Show a bar on stderr, if that is a terminal.
    timeout : float, default 10
        Seconds to wait for the connection, and for each next piece.

    Raises
    ------
    DataUnavailableError
        If no mirror served it; the line says what each one answered.
    """
    from http.client import HTTPException

    answers = []
    for mirror in mirrors:
        url = mirror + file.name
        try:
            return _download_from(url, file, progress, timeout)
        except DataError as error:
            answers.append(str(error))
        except (OSError, HTTPException) as error:
            answers.append(f"{url}: {str(error) or type(error).__name__}")
    raise DataUnavailableError(
        f"{file.name} cannot be downloaded: " + " ".join("; ".join(answers).split())
    )


def _download_from(url: str, file: SourceFile, progress: bool, timeout: float) -> bytes:
    from urllib.request import urlopen

    blocks = []
    n_bytes = 0
    with (
        _progress_bar(progress, file) as advance,
        urlopen(url, timeout=timeout) as response,
    ):
        while n_bytes <= file.n_bytes and (block := response.read(BLOCK_BYTES)):
            blocks.append(block)
            n_bytes += len(block)
            advance(len(block))
    if n_bytes > file.n_bytes:
        raise DataError(f"{url}: sent more than the {file.n_bytes} bytes of the file")
    if n_bytes < file.n_bytes:
        raise DataError(f"{url}: sent {n_bytes} of {file.n_bytes} bytes")
    data = b"".join(blocks)
    file.check(data, url)
    return data


@contextmanager
def _progress_bar(wanted: bool, file: SourceFile) -> Iterator[Callable[[int], None]]:
    """Give a function that moves a bar on stderr forward by some bytes; no terminal, no bar."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda n_bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(file.name, total=file.n_bytes)
        yield lambda n_bytes: bar.advance(task, n_bytes)
