"""The tables for people at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.noise import BOUNDS
from benchmarks.result import Line, Result
from benchmarks.run import Run


def header(machine: Mapping[str, Any]) -> str:
    """The lines above the table."""
    peaks = ", ".join(
        f"{peak:.0f} GFLOP/s on {n} core{'s' if n != '1' else ''}"
        for n, peak in machine["fma_peak_gflops"].items()
    )
    streams = ", ".join(
        f"{level} {rate:.0f} GB/s" for level, rate in machine["stream_gbytes"].items()
    )
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return "\n".join(
        (
            f"{machine['date']}, commit {machine['commit']}, {machine['threads']} threads",
            f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}",
            f"float32 FMA peak measured: {peaks}",
            f"bandwidth measured, all threads: {streams}",
            f"Python {machine['python']}, {versions}",
            "ratio: median of the side / median of fastmlp, sides in turn in one run",
            BOUNDS,
        )
    )


def table(result: Result) -> str:
    """One work: its title, a line for each side, checks and remarks."""
    lines = [result.title]
    for side, median, extent, spread, ratio, target, met, note in map(row, result.lines):
        text = f"  {side:<24} {median:>10}  {extent:<23} {spread:>5} {ratio:>7}  "
        text += f"{target:<9} {met:<8} {note}"
        lines.append(text.rstrip())
    lines += [f"  {'ok' if ok else 'WRONG'}: {text}" for text, ok in result.checks.items()]
    lines += [f"  {verdict(reached)}: {text}" for text, reached in result.targets.items()]
    lines += [f"  NOISY: {text}" for text in result.noise]
    lines += [f"  skipped: {peer}: {why}" for peer, why in result.skipped.items()]
    lines += [f"  note: {text}" for text in result.remarks]
    return "\n".join(lines)


def footer(run: Run) -> str:
    """What is to be known of the whole run."""
    minutes = sum(result.took for result in run.results.values()) / 60
    lines = [f"{len(run.results)} works in {minutes:.1f} minutes"]
    lines += [
        f"noisy: {len(run.noisy)} of {len(run.results)} works"
        + ": " * bool(run.noisy)
        + ", ".join(run.noisy)
    ]
    lines += [f"skipped: {peer}: {why}" for peer, why in run.skipped.items()]
    lines += [f"failed: {name}: {why}" for name, why in run.failed.items()]
    return "\n".join(lines)


def row(line: Line) -> tuple[str, ...]:
    """Side, median, least to most, spread, ratio, target, whether it is met, note."""
    return (
        line.side,
        amount(line.median, line.unit),
        f"{amount(min(line.samples), line.unit)} to {amount(max(line.samples), line.unit)}",
        f"{line.spread:.0%}",
        "" if line.ratio is None else f"{line.ratio:.2f}",
        line.target,
        verdict(line.met),
        line.note,
    )


def verdict(reached: bool | None) -> str:
    return {True: "met", False: "NOT MET", None: ""}[reached]


def amount(value: float, unit: str, digits: int = 4) -> str:
    """The value in a unit of its size, to so many significant digits."""
    factor, name = 1e6, "µs"
    if unit == "bytes":
        factor, name = 1e-6, "MB"
    elif value >= 1:
        factor, name = 1, "s"
    elif value >= 1e-3:
        factor, name = 1e3, "ms"
    return f"{float(f'{value * factor:.{digits}g}'):g} {name}"
