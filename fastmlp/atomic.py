"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

PREFIX = ".fastmlp-"
"""Begins the names of temporary files."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary file beside ``path``, flush it to disk, and rename it.

    A link stays a link: its target is replaced. A pipe or a device (``/dev/null``) is written to,
    not replaced by a file.
    """
    try:
        _write(path, content)
    except OSError as error:
        # The path that was asked for, not that of the temporary file.
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = Path(os.path.realpath(path))
    temporary = _temporary(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _flush_folder(folder: Path) -> None:
    """Have the folder's new entry survive a crash of the machine; not every system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_remains(folder: Path) -> None:
    """Remove what writers that were killed have left in the folder."""
    for path in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def check_writable(path: Path, argument: str) -> None:
    """Raise ValueError, before any work is lost, if ``path`` could not be written in the end."""
    if os.path.isdir(path):
        raise ValueError(f"{argument}: {path} is a folder, not a file")
    if os.path.exists(path):
        if not os.access(path, os.W_OK):
            raise ValueError(f"{argument}: {path} is write-protected")
        if not path.is_file():
            return  # a pipe or a device
    target = Path(os.path.realpath(path))
    if not os.path.isdir(target.parent):
        raise ValueError(f"{argument}: {path.parent} is no folder")
    try:
        with contextlib.suppress(FileNotFoundError):
            target.lstat()  # refuses a name that is too long
        temporary = _temporary(target)
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise ValueError(f"{argument}: {path} cannot be written: {error.strerror}") from None


def _temporary(path: Path) -> Path:
    """A new name in the folder of ``path``, of a length that no long name makes too long."""
    return path.with_name(f"{PREFIX}{uuid.uuid4().hex}")
