"""A first run compiles in two processes; later ones load what is kept, and little else."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent

FIT = """
import json, sys, numpy as np, fastmlp
{before}
rng = np.random.default_rng(0)
x, y = rng.standard_normal((64, 5)).astype("float32"), rng.integers(0, 3, 64)
model = fastmlp.MLP([5, 4, 3])
fastmlp.fit(model, x, y, epochs=2, batch_size=16, optimizer=fastmlp.Adam())
import numba
from fastmlp.engine import step
print(json.dumps({{
    "sum": float(np.sum(model.parameters, dtype=float)),
    "compiled": sum(step.run.stats.cache_misses.values()),
    "scipy.linalg": "scipy.linalg" in sys.modules,
}}))
{after}
"""


def fit(cache, before="", after=""):
    settings = {"FASTMLP_CACHE_DIR": str(cache), "NUMBA_CACHE_DIR": None}
    env = {k: v for k, v in (os.environ | settings).items() if v is not None}
    done = subprocess.run(
        [sys.executable, "-c", FIT.format(before=before, after=after)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout.splitlines()[0]), done.stdout.splitlines()[1:]


COUNT_HELPERS = """
import subprocess
from fastmlp.engine import cold_start
cold_start.available_cores = lambda: 2
start, helpers = subprocess.Popen, []
def popen(*arguments, **settings):
    helpers.append(start(*arguments, **settings))
    return helpers[-1]
subprocess.Popen = popen
"""


def test_a_helper_compiles_the_kernels_and_later_runs_load_them(tmp_path):
    first, more = fit(tmp_path, COUNT_HELPERS, "print([helper.returncode for helper in helpers])")
    assert first["compiled"] == 1
    assert more == ["[0]"]
    kept = {path.name.split(".")[1].split("-")[0] for path in tmp_path.glob("kernels-*/**/*.nbi")}
    assert {"run", "product", "adam", "relu", "relu_derivative", "gather_float"} <= kept
    second, more = fit(tmp_path, COUNT_HELPERS, "print(helpers)")
    assert second["compiled"] == 0
    assert more == ["[]"]
    assert second["sum"] == first["sum"]
    # What would be imported to compile: most of the time until kernels are loaded.
    assert not second["scipy.linalg"]


@pytest.mark.parametrize(
    "broken",
    [
        "sys.executable = '/no/such/python'",
        "sys.executable = '/bin/false'",
        "sys.executable = None",
        "cold_start.MOST_SECONDS = 0",
        "cold_start.available_cores = lambda: 1",
    ],
)
def test_a_helper_that_fails_costs_time_only(tmp_path, broken):
    first, _ = fit(tmp_path, f"{COUNT_HELPERS}{broken}")
    second, _ = fit(tmp_path)
    assert first["sum"] == second["sum"]


@pytest.mark.parametrize(
    "program",
    ["sys.frozen = True", "sys.executable = '/opt/app'", "os.environ[cold_start.HELPING] = '1'"],
)
def test_what_is_no_python_of_its_own_starts_no_helper(tmp_path, program):
    _, more = fit(tmp_path, f"{COUNT_HELPERS}import os\n{program}", "print(helpers)")
    assert more == ["[]"]


def test_a_helper_imports_what_its_parent_does_and_nothing_of_the_working_directory(tmp_path):
    (tmp_path / "numba.py").write_text("open('executed', 'w')")
    before = f"import os\nos.chdir({str(tmp_path)!r})\nsys.path[0] = {str(ROOT)!r}\n{COUNT_HELPERS}"
    _, more = fit(tmp_path / "cache", before, "print([h.returncode for h in helpers])")
    assert more == ["[0]"]
    assert not (tmp_path / "executed").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_helper_ends_with_its_parent(tmp_path):
    before = (
        COUNT_HELPERS
        + """
import os, signal, threading, time
def die():
    while not helpers:
        time.sleep(0.01)
    print(helpers[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=die).start()
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", FIT.format(before=before, after="")],
        cwd=ROOT,
        env=os.environ | {"FASTMLP_CACHE_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 20  # as long as Python takes to start, on a busy machine
    while time.monotonic() < deadline and _runs(pid):
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # a zombie that nobody waits for has ended
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_after_a_load_python_can_still_compile_whatever_numba_can(tmp_path):
    after = """
@numba.njit
def trace(a):
    return np.trace(np.dot(a, a)) + len([1, 2])
print(trace(np.eye(3)))
"""
    fit(tmp_path)
    _, more = fit(tmp_path, after=after)
    assert more == ["5.0"]


def test_kernels_without_wrappers_refuse_python_with_a_type_error():
    from fastmlp.engine.access import share
    from fastmlp.kernels.simd import JIT
    from tests.jitted import jitted

    @jitted
    def call(items):
        return share(items, 8, 0, 2)

    assert call(32) == (0, 16)
    if JIT:
        with pytest.raises(TypeError, match="share can be called from jitted code only"):
            share(np.int64(32), 8, 0, 2)
