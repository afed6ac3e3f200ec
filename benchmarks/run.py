"""`Run`: what one call of compare.py measured, with what, where and when, and its JSON form."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field
from typing import Any, get_type_hints

from benchmarks import noise
from benchmarks.result import Line, Result
from benchmarks.stored import agrees, check_types

SCHEMA = "fastmlp.compare/2"

COUNTS = ("flop", "bytes", "flop_nonzero")

MACHINE: dict[str, Any] = {
    **dict.fromkeys(("date", "commit", "cpu", "system", "python"), str),
    "cores": int,
    "threads": int,
    "memory": int | None,
    "versions": dict[str, str],
    **dict.fromkeys(("fma_peak_gflops", "stream_gbytes"), dict[str, float]),
}
"""What `benchmarks.machine.describe` says, and its types."""


@dataclass
class Run:
    """Results of works.

    Attributes
    ----------
    flags : list of str
        What compare.py was told, beside names of works and where to write.
    machine : dict
        As `benchmarks.machine.describe` says it.
    failed : dict of str to str
        Work without a result: why.
    """

    flags: list[str]
    machine: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def command(self, *works: str) -> str:
        """What measures all works again, or those that are named."""
        return shlex.join(("python", "benchmarks/compare.py", *works, *self.flags))

    @property
    def skipped(self) -> dict[str, str]:
        """Peers that are not installed: why, and the line that installs them."""
        return {
            peer: why for result in self.results.values() for peer, why in result.skipped.items()
        }

    @property
    def highest(self) -> float:
        """GFLOP/s of bare FMAs on all threads, the highest of all calibrations."""
        results = self.results.values()
        return max((it["gflops"] for result in results for it in result.calibration), default=0.0)

    @property
    def peak(self) -> float:
        """GFLOP/s of bare FMAs on all threads, the highest ever: before the works or between."""
        first: float = self.machine["fma_peak_gflops"][str(self.machine["threads"])]
        return max(first, self.highest)

    @property
    def noisy(self) -> list[str]:
        return [name for name, result in self.results.items() if result.noise]

    def judge_noise(self) -> None:
        """Once all is measured: what is the highest rate is known in the end only."""
        for result in self.results.values():
            result.noise = noise.find(result, self.highest)

    def to_json(self) -> str:
        """One object, with every sample of every side."""
        works = {}
        for name, result in self.results.items():
            works[name] = asdict(result)
            for line, values in zip(result.lines, works[name]["lines"], strict=True):
                values |= {"median": line.median, "min": min(line.samples)}
                values |= {"max": max(line.samples), "spread": line.spread}
        document = {
            "schema": SCHEMA,
            "flags": self.flags,
            "machine": self.machine,
            "noise_bounds": {
                "spread": noise.SPREAD_MOST,
                "drift": noise.DRIFT_MOST,
                "others": noise.OTHERS_MOST,
            },
            "noisy": self.noisy,
            "skipped": self.skipped,
            "failed": self.failed,
            "works": works,
        }
        return json.dumps(document, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Run:
        """What `to_json` wrote; ValueError for anything else."""
        try:
            document = _parsed(text)
            schema = document["schema"]
            if schema != SCHEMA:
                raise ValueError(f"its schema is {schema!r}, not {SCHEMA!r}")
            run = cls(document["flags"], document["machine"], failed=document["failed"])
            if not agrees(run.flags, list[str]) or not agrees(run.failed, dict[str, str]):
                raise ValueError("its flags or failed are no strings")
            check_types("its machine", run.machine, MACHINE)
            rates = run.machine["fma_peak_gflops"]
            streams = [run.machine["stream_gbytes"][name] for name in ("memory", "cache")]
            if min(rates[str(run.machine["threads"])], *rates.values(), *streams) <= 0:
                raise ValueError("its machine has a rate that is not above 0")
            for name, values in document["works"].items():
                run.results[name] = _result(values)
            run.judge_noise()
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a result of compare.py ({type(error).__name__})") from None
        return run


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from None


def _result(values: dict[str, Any]) -> Result:
    kinds = get_type_hints(Result)
    check_types("a work", values, kinds | {"lines": list[Any]})
    lines = [_line(line) for line in values["lines"]]
    result = Result(**{**values, "lines": lines})
    # Each of these is divided by, or is a place on an axis of logarithms.
    if result.counts and min(result.counts[name] for name in COUNTS) <= 0:
        raise ValueError(f"counts of {result.title!r} are not above 0")
    return result


def _line(values: dict[str, Any]) -> Line:
    """Without what follows from the samples."""
    kinds = get_type_hints(Line)
    own = {name: values[name] for name in kinds}
    check_types("a side", own, kinds)
    line = Line(**own)
    if not line.samples or min(line.samples) <= 0:
        raise ValueError(f"side {line.side!r} has no samples, or one that is not above 0")
    return line
