"""docs/benchmarks.md: everything that a run of compare.py measured, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import figures, pictures, report, roofline
from benchmarks.captions import CAPTIONS
from benchmarks.markdown import code, table
from benchmarks.noise import BOUNDS
from benchmarks.result import Result
from benchmarks.run import Run
from fastmlp.atomic import check_writable, write_atomically

PAGE, PICTURES = "benchmarks.md", "pictures"


def write(run: Run, root: Path) -> None:
    """Write the page, its pictures and the README's figures, each file whole or not at all."""
    drawn = pictures.draw(run, root / "docs" / PICTURES)
    readme = root / "README.md"
    old = readme.read_text(encoding="utf-8")
    write_atomically(root / "docs" / PAGE, text(run, drawn).encode())
    write_atomically(readme, figures.rewrite(old, figures.block(run)).encode())


def check(root: Path) -> None:
    """Raise OSError, ImportError or ValueError where `write` could not."""
    figures.rewrite((root / "README.md").read_text(encoding="utf-8"), "")
    check_writable(root / "README.md", "--docs")
    pictures.check(root / "docs" / PICTURES, "--docs")
    check_writable(root / "docs" / PAGE, "--docs")


def text(run: Run, drawn: dict[str, list[str]]) -> str:
    """The page in Markdown."""
    parts = [
        "# Benchmarks",
        f"Written by `{run.command()} --docs`; do not edit. What the works are, and how to add a "
        "peer: [CONTRIBUTING.md](../CONTRIBUTING.md#benchmarks).",
        _machine(run),
        *_warnings(run),
        "## At a glance",
        "Time of fastmlp, and how many times as long as that the others take; medians, sides in "
        "turn. Bold: the target is met.",
        figures.glance(run, run.results, "#{}"),
    ]
    for name, works in drawn.items():
        title, caption = CAPTIONS[name]
        picture = f"![{title}]({PICTURES}/{name})"
        parts += [f"## {title}", picture, caption, _origin(run, works)]
        if name == "roofline.png":
            parts.append(_rates(run))
    parts.append("## Every work")
    for name, result in run.results.items():
        parts += _work(run, name, result)
    return "\n\n".join(parts) + "\n"


def _machine(run: Run) -> str:
    machine = run.machine
    peaks = ", ".join(
        f"{rate:.0f} on {n} thread{'s' if n != '1' else ''}"
        for n, rate in machine["fma_peak_gflops"].items()
    )
    minutes = sum(result.took for result in run.results.values()) / 60
    streams = machine["stream_gbytes"]
    memory = f", {machine['memory'] / 2**30:.0f} GiB" if machine["memory"] else ""
    rows = (
        ("date", f"{machine['date']}, {minutes:.0f} minutes for {len(run.results)} works"),
        ("commit", f"`{machine['commit']}`" + (" (+: with changes)" * ("+" in machine["commit"]))),
        ("machine", f"{machine['cpu']}, {machine['cores']} cores{memory}, {machine['system']}"),
        ("threads of every side", str(machine["threads"])),
        ("FMA peak, float32", f"{peaks} GFLOP/s; {run.peak:.0f} at most between works"),
        ("bandwidth", f"main memory {streams['memory']:.0f}, caches {streams['cache']:.0f} GB/s"),
        ("versions", f"Python {machine['python']}, {_versions(machine['versions'])}"),
        ("noise", _calm(run)),
    )
    return table(("", ""), rows)


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _calm(run: Run) -> str:
    rates = [it["gflops"] for result in run.results.values() for it in result.calibration]
    said = f"{len(run.noisy)} of {len(run.results)} works noisy"
    if rates:
        said += f"; FMA rate between works {min(rates):.0f} to {max(rates):.0f} GFLOP/s"
    return f"{said}. {BOUNDS[0].upper()}{BOUNDS[1:]}"


def _warnings(run: Run) -> Iterable[str]:
    if run.noisy:
        yield (
            f"> **The machine was noisy** in {', '.join(f'`{name}`' for name in run.noisy)}: the "
            "tables below say how much. Ratios are less so than times."
        )
    for peer, why in run.skipped.items():
        yield f"> **{peer} was skipped**: {code(why)}"
    for name, why in run.failed.items():
        yield f"> **`{name}` failed**: {why}"


def _origin(run: Run, works: Sequence[str]) -> str:
    """What makes a table or a picture again, and when and where this one was made."""
    machine = run.machine
    return (
        f"`{run.command(*works)}` · {machine['date'][:10]} · `{machine['commit']}` · "
        f"{machine['cpu']}, {machine['threads']} threads"
    )


def _work(run: Run, name: str, result: Result) -> Iterable[str]:
    yield f"### {name}"
    yield f"{result.title}\n\n{_origin(run, [name])}"
    head = ("side", "median", "least to most", "spread", "ratio", "target", "", "how")
    if result.lines:
        yield table(head, map(report.row, result.lines))
    said = [f"**noisy**: {text}" for text in result.noise]
    said += [f"**skipped**: {peer}: {code(why)}" for peer, why in result.skipped.items()]
    said += [f"{'ok' if ok else '**wrong**'}: {text}" for text, ok in result.checks.items()]
    said += [f"{report.verdict(ok)}: {text}" for text, ok in result.targets.items()]
    said += result.remarks
    if said:
        yield "\n".join(f"- {text}" for text in said)


def _rates(run: Run) -> str:
    """The numbers of the roofline picture."""
    dots = roofline.points(run.results)
    sides = list(dict.fromkeys(dot.side for dot in dots))
    works: dict[str, list[roofline.Point]] = {}
    for dot in dots:
        works.setdefault(dot.work, []).append(dot)
    rows = []
    for name, its in works.items():
        counted = run.results[name].counts
        rates = {dot.side: f"{dot.rate:.0f}" for dot in its}
        ours = its[0]
        rows.append(
            (
                f"[{name}](#{name})",
                f"{counted['flop'] / 1e9:.4g}",
                f"{counted['bytes'] / 1e6:.4g}",
                f"{ours.intensity:.3g}",
                *(rates.get(side, "") for side in sides),
                f"{ours.rate * ours.nonzero:.0f}",
            )
        )
    head = ("work", "GFLOP", "MB", "flop/byte", *(f"{side}, GFLOP/s" for side in sides))
    return table((*head, f"{roofline.OURS}, without zeros"), rows)
