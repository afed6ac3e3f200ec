"""Commits of this repository, by name, and their files in a folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sides import ROOT
from fastmlp.paths import cache_directory

PACKAGES = ("fastmlp", "reference")
"""What is taken from a commit. What measures it is this checkout's."""


class CommitError(Exception):
    """There is no such commit; the text says so in one line."""


@dataclass(frozen=True)
class Commit:
    """Full hash, and the first line of its message."""

    hash: str
    subject: str

    def __str__(self) -> str:
        return f"{self.hash[:10]} {self.subject}"


def find(name: str, root: Path = ROOT) -> Commit:
    """The commit that ``name`` (a hash, a branch, ``HEAD~1``) stands for.

    Raises
    ------
    CommitError
    """
    if not (root / ".git").exists():
        raise CommitError(f"{root} is no git checkout, so it has no commits")
    found = _git(root, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        why = f"{name!r} names no commit of this repository"
        if _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true":
            why += ", a shallow clone (git fetch --deepen=1 gets one commit more)"
        raise CommitError(why)
    text = found.stdout.decode().strip()
    return Commit(text, _git(root, "log", "-1", "--format=%s", text).stdout.decode().strip())


def files(commit: Commit, root: Path = ROOT) -> Path:
    """A folder that holds fastmlp/ and reference/ as they are in the commit.

    It is in the cache and stays there, named by their content: numba knows a compiled function by
    the path and the time of its source, so in a new temporary folder everything would be compiled
    anew.
    """
    trees = _git(root, "rev-parse", *(f"{commit.hash}:{package}" for package in PACKAGES))
    if trees.returncode:
        raise CommitError(f"{commit} has no {' and '.join(PACKAGES)} to measure")
    parent = cache_directory() / "commits"
    folder = parent / hashlib.sha256(trees.stdout).hexdigest()[:16]
    if not folder.exists():
        parent.mkdir(parents=True, exist_ok=True)
        archive = _git(root, "archive", "--format=tar", commit.hash, "--", *PACKAGES).stdout
        with tempfile.TemporaryDirectory(dir=parent) as temporary:
            with tarfile.open(fileobj=io.BytesIO(archive)) as members:
                members.extractall(temporary, filter="data")
            with contextlib.suppress(OSError):  # there by now: another gate was faster
                os.rename(temporary, folder)
    return folder


def changed(root: Path = ROOT) -> list[str]:
    """Files of the package that differ from HEAD or are not in it."""
    status = _git(root, "status", "--porcelain", "-z", "--", *PACKAGES)
    return [entry[3:] for entry in status.stdout.decode().split("\0") if entry]


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True)
    except FileNotFoundError:
        raise CommitError("git is not installed") from None
