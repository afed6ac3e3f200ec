"""Instructions that a command takes, counted by the processor or by valgrind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import llvmlite.binding

from benchmarks.sides import ROOT

NARROW = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+sse4.2,+popcnt,+lzcnt,+bmi,+bmi2,+avx,+avx2,+fma",
}
"""Of kernels that valgrind can run: it ends at the first instruction of AVX-512."""


class CountError(Exception):
    """Nothing counts, or what was counted failed; one line."""


@dataclass(frozen=True)
class Counter:
    """A program that runs a command and writes down its instructions.

    Attributes
    ----------
    command : tuple of str
        What stands before the counted command; ``{}`` is the file that it writes.
    pattern : str
        Finds the numbers in that file, which are added up.
    environment : dict
        Settings that the counted command needs.
    """

    title: str
    command: tuple[str, ...]
    pattern: str
    environment: dict[str, str] = field(default_factory=dict)


class Run:
    """A counted command under way; several may be at once, which changes no count.

    ``environment`` is the command's, beside what the counter needs. ``folder`` gets the files, and
    is there until the end.
    """

    def __init__(
        self,
        counter: Counter,
        command: Sequence[str],
        environment: Mapping[str, str],
        stdin: str,
        folder: Path,
    ) -> None:
        self.counter = counter
        self.report = Path(tempfile.mkstemp(dir=folder)[1])
        self.files = [tempfile.TemporaryFile("w+", dir=folder) for _ in range(3)]  # noqa: SIM115
        self.files[0].write(stdin)
        self.files[0].seek(0)
        before = [part.format(self.report) for part in counter.command]
        self.process = subprocess.Popen(
            [*before, *command],
            cwd=ROOT,
            env={**environment, **counter.environment},
            stdin=self.files[0],
            stdout=self.files[1],
            stderr=self.files[2],
        )

    def end(self) -> tuple[int, str]:
        """Instructions, and what the command said on stdout."""
        status = self.process.wait()
        stdout, stderr = (_text(file) for file in self.files[1:])
        if status:
            last = stderr.strip().splitlines()[-1:] or ["without a word"]
            raise CountError(f"{self.counter.title} ended with status {status}: {last[0]}")
        found = re.findall(self.counter.pattern, self.report.read_text(), re.MULTILINE)
        if not found:
            raise CountError(f"{self.counter.title} counted nothing")
        return sum(map(int, found)), stdout

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _text(file: tempfile._TemporaryFileWrapper[str]) -> str:
    file.seek(0)
    return file.read()


PERF = Counter(
    "perf stat",
    ("perf", "stat", "-x,", "-e", "instructions:u", "-o", "{}"),
    r"^(\d+),[^,]*,[^,]*instructions",
)


def find() -> Counter:
    """The processor's own counter if it may be read, else valgrind.

    Raises
    ------
    CountError
        Neither is there.
    """
    if shutil.which("perf") is None:
        why = "perf is not installed"
    else:
        with tempfile.TemporaryDirectory() as folder:
            try:
                Run(PERF, ["true"], os.environ, "", Path(folder)).end()
                return PERF
            except CountError:
                why = "perf cannot count instructions on this machine"
    if shutil.which("valgrind") is None:
        raise CountError(f"{why}, and valgrind is not installed (Debian: apt install valgrind)")
    narrow = NARROW if llvmlite.binding.get_host_cpu_features().get("avx512f") else {}
    target = ", kernels compiled for AVX2: it knows no AVX-512" if narrow else ""
    return Counter(
        f"valgrind --tool=callgrind{target} ({why})",
        ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file={}"),
        r"Collected : (\d+)",
        narrow,
    )
