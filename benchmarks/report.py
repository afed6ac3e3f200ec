"""The table for people and the JSON form of the same results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.result import Line, Result


def header(machine: Mapping[str, Any]) -> str:
    """The lines above the table."""
    peaks = ", ".join(
        f"{peak:.0f} GFLOP/s on {n} core{'s' if n != '1' else ''}"
        for n, peak in machine["fma_peak_gflops"].items()
    )
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return "\n".join(
        (
            f"{machine['date']}, commit {machine['commit']}, {machine['threads']} threads",
            f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}",
            f"float32 FMA peak measured: {peaks}",
            f"Python {machine['python']}, {versions}",
            "ratio: median of the side / median of fastmlp, sides in turn in one run",
        )
    )


def table(result: Result) -> str:
    """One work: its title, a line for each side, checks and remarks."""
    rows = [_row(line) for line in result.lines]
    lines = [result.title]
    for side, median, spread, ratio, target, met, note in rows:
        text = f"  {side:<20} {median:>10}  {spread:<23} {ratio:>7}  {target:<9} {met:<8} {note}"
        lines.append(text.rstrip())
    lines += [f"  {'ok' if ok else 'WRONG'}: {text}" for text, ok in result.checks.items()]
    lines += [f"  {_met(reached)}: {text}" for text, reached in result.targets.items()]
    lines += [f"  note: {text}" for text in result.remarks]
    return "\n".join(lines)


def as_json(machine: Mapping[str, Any], results: Mapping[str, Result]) -> dict[str, Any]:
    """Everything, with every sample of every side."""
    works = {}
    for name, result in results.items():
        works[name] = asdict(result)
        for line, values in zip(result.lines, works[name]["lines"], strict=True):
            values |= {"median": line.median, "min": min(line.samples), "max": max(line.samples)}
    return {"schema": "fastmlp.compare/1", "machine": dict(machine), "works": works}


def _row(line: Line) -> tuple[str, ...]:
    return (
        line.side,
        _amount(line.median, line.unit),
        f"{_amount(min(line.samples), line.unit)} to {_amount(max(line.samples), line.unit)}",
        "" if line.ratio is None else f"{line.ratio:.2f}",
        line.target,
        _met(line.met),
        line.note,
    )


def _met(reached: bool | None) -> str:
    return {True: "met", False: "NOT MET", None: ""}[reached]


def _amount(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1e6:.0f} MB"
    for factor, name in ((1, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{value * factor:.4g} {name}"
    return f"{value * 1e6:.4g} µs"
