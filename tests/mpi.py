"""Start processes with a real mpiexec: MPICH's from the wheel, and Open MPI's where it is there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 300
"""A guard against a hang, and no more: nothing here takes a tenth of it on a machine at rest."""

OPEN_MPI = shutil.which("mpiexec.openmpi")
needs_open_mpi = pytest.mark.skipif(OPEN_MPI is None, reason="mpiexec.openmpi is not installed")
LAUNCHERS = ["mpich", pytest.param("openmpi", marks=needs_open_mpi)]


def command(launcher, ranks, *arguments):
    """What starts ``ranks`` processes of Python with ``arguments``."""
    if launcher == "openmpi":
        start = [OPEN_MPI, "--oversubscribe", "--bind-to", "none"]
    else:
        start = [str(Path(sys.executable).parent / "mpiexec")]
    return [*start, "-n", str(ranks), sys.executable, *map(str, arguments)]


def environment(launcher):
    """Of these processes."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "FASTMLP_OFFLINE": "1"}
    if launcher == "openmpi":  # which refuses root, and of which mpi4py must load the library
        root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        variables |= {**root, "MPI4PY_MPIABI": "openmpi"}
    return variables


class Launch:
    """Processes under way; a context manager that leaves none behind."""

    def __init__(self, launcher, ranks, *arguments, cwd=ROOT):
        self.process = subprocess.Popen(
            command(launcher, ranks, *arguments),
            cwd=cwd,
            env=environment(launcher),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)  # mpiexec ends what it has started
            try:
                self.process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()

    def end(self, seconds=SECONDS):
        """Status, stdout, stderr; what takes longer than ``seconds`` is a hang."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err


def launch(launcher, ranks, *arguments, seconds=SECONDS):
    """Run to the end: status, stdout, stderr."""
    with Launch(launcher, ranks, *arguments) as started:
        return started.end(seconds)
