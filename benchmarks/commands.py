"""Whole programs: `WarmRun`, `FirstRun`, `Memory`, each of ``python -m fastmlp.train``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.options import Options
from benchmarks.peers import PEERS
from benchmarks.result import Line, Result
from benchmarks.sides import ROOT, NotInstalledError, SideError, check_installed

ACCURACY_AGREES = 0.01
"""Of the test set, absolute: the programs draw different parameters and orders."""

ONE_EPOCH = ("--hidden", "256", "128", "--epochs", "1", "--batch-size", "64", "--lr", "0.2")
"""The first of the epochs of a plain ``python -m fastmlp.train``; the others take no more memory.
"""


@dataclass(frozen=True)
class WarmRun:
    """Seconds of the whole process, kernels compiled and data decoded by a run before."""

    title: str
    flags: tuple[str, ...]
    share: float  # of PyTorch's time, at most

    def measure(self, options: Options) -> Result:
        result = Result(self.title)
        programs = _programs(self.flags, options, result)
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        accuracy = {}
        for number in range(options.rounds + 1):
            for name, command in programs.items():
                options.say(f"{self.title}: {name}")
                start = time.perf_counter()
                answer = _run(command)
                if number:  # the first one fills the caches
                    seconds[name].append(time.perf_counter() - start)
                accuracy[name] = answer["test_accuracy"]
            options.advance()
        ours = Line("fastmlp", seconds["fastmlp"])
        for name, samples in seconds.items():
            line = Line(name, samples)
            if name != "fastmlp":
                line.ratio = line.median / ours.median
                apart = abs(accuracy[name] - accuracy["fastmlp"])
                text = f"accuracy of {name} {accuracy[name]:.2%}, ours {accuracy['fastmlp']:.2%}"
                result.checks[text] = apart <= ACCURACY_AGREES
            if name == PEERS["torch_mlp"].title:
                line.target, line.met = f"≥ {1 / self.share:g}", line.ratio >= 1 / self.share
            result.lines.append(line)
        return result


@dataclass(frozen=True)
class FirstRun:
    """Seconds to compile in a plain run without compiled kernels, and to load them in the next."""

    title: str
    compile_most: float
    load_most: float

    def measure(self, options: Options) -> Result:
        result = Result(self.title)
        compiled, loaded = [], []
        with tempfile.TemporaryDirectory() as folder:
            settings = {"FASTMLP_CACHE_DIR": folder}
            command = _ours(("--epochs", "1"), options)
            for number in range(min(options.rounds, 5) + 1):
                options.say(f"{self.title}: round {number}")
                for kernels in Path(folder).glob("kernels-*"):
                    shutil.rmtree(kernels)
                first, second = (_run(command, settings)["compile_seconds"] for _ in range(2))
                if number:  # the first one decodes the data
                    compiled.append(first)
                    loaded.append(second)
                options.advance()
        for name, samples, most in (
            ("compile", compiled, self.compile_most),
            ("load from cache", loaded, self.load_most),
        ):
            line = Line(name, samples, target=f"≤ {most:g} s")
            line.met = line.median <= most
            result.lines.append(line)
        return result


@dataclass(frozen=True)
class Memory:
    """Peak resident memory of a plain run."""

    title: str
    most: float

    def measure(self, options: Options) -> Result:
        result = Result(self.title)
        programs = _programs(ONE_EPOCH, options, result) | {"fastmlp": _ours((), options)}
        _run(programs["fastmlp"])  # compiles; loading what is compiled takes less memory
        for name, command in programs.items():
            options.say(f"{self.title}: {name}")
            runs = 3 if name == "fastmlp" else 1
            line = Line(name, [_run(command)["peak_rss_bytes"] for _ in range(runs)], unit="bytes")
            if name == "fastmlp":
                line.target, line.met = f"≤ {self.most / 1e6:g} MB", line.median <= self.most
            result.lines.append(line)
            options.advance()
        base = result.lines[0].median
        for line in result.lines[1:]:
            line.ratio = line.median / base
        return result


def _ours(flags: tuple[str, ...], options: Options, engine: str = "fast") -> list[str]:
    command = [sys.executable, "-m", "fastmlp.train", "--data", "mnist", *flags, "--json", "-"]
    return [*command, "--threads", str(options.threads), "--engine", engine]


def _programs(flags: tuple[str, ...], options: Options, result: Result) -> dict[str, list[str]]:
    programs = {"fastmlp": _ours(flags, options)}
    for peer in ("torch_mlp", "jax_scan"):
        title = PEERS[peer].title
        try:
            check_installed(peer)
        except NotInstalledError as error:
            result.skipped[title] = str(error)
            continue
        script = [sys.executable, "-m", "benchmarks.peers.script", peer, *flags]
        programs[title] = [*script, "--threads", str(options.threads)]
    programs[PEERS["numpy_reference"].title] = _ours(flags, options, "reference")
    return programs


def _run(command: list[str], settings: dict[str, str] | None = None) -> dict[str, Any]:
    run = subprocess.run(
        command, cwd=ROOT, env=os.environ | (settings or {}), capture_output=True, text=True
    )
    if run.returncode:
        last = run.stderr.strip().splitlines()[-1:] or [f"status {run.returncode}"]
        raise SideError(f"{' '.join(command[1:4])}: {last[0]}")
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer
