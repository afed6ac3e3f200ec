"""The speed figures of the README: a marked block, written by compare.py and by nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks import report
from benchmarks.markdown import code, table
from benchmarks.peers import PEERS
from benchmarks.result import Line, Result
from benchmarks.run import Run

BEGIN, END = "<!-- figures: written by compare.py --docs -->", "<!-- end of figures -->"

WORKS = (
    *("mnist", "adam", "dropout", "adamw", "layer-norm", "gelu", "float64"),
    *("dense-sgd", "predict-1", "predict-10000", "warm-run", "memory"),
    *("sklearn-mnist-adam", "sklearn-mnist-sgd"),
    *("sklearn-20", "sklearn-100", "sklearn-csr", "sklearn-iris", "sklearn-wine"),
    "sklearn-predict",
)
"""Those that the README's table shows; the page shows all."""

ALONE = ("threads", "sklearn-threads", "first-run")

OURS = PEERS["fast"].title
OTHERS = tuple(
    PEERS[peer].title
    for peer in ("jax_scan", "torch_mlp", "sklearn_mlp", "numpy_reference", "onnx_runtime")
)


def glance(run: Run, works: Iterable[str], link: str) -> str:
    """A row for each work that peers do, a column for each peer; ``link`` has {} for the name."""
    rows, seen = [], set()
    for name in works:
        compared = _compared(run.results[name]) if name in run.results else {}
        if not compared:
            continue
        title = f"[{name}]({link.format(name)}): {run.results[name].title}"
        what = ", ".join(variant for variant in compared if variant)
        cells = {
            side: " / ".join(_cell(lines.get(side)) for lines in compared.values())
            for side in (OURS, *OTHERS)
            if any(side in lines for lines in compared.values())
        }
        seen |= cells.keys()
        rows.append((title + (f"; {what}" if what else ""), cells))
    sides = [side for side in (OURS, *OTHERS) if side in seen]
    head = ("work", OURS, *(f"{side}, x" for side in sides[1:]))
    return table(head, [(title, *(cells.get(s, "") for s in sides)) for title, cells in rows])


def block(run: Run) -> str:
    """What stands between the marks."""
    machine = run.machine
    parts = [
        f"Measured by `{run.command()} --docs` on {machine['threads']} cores of an "
        f"{machine['cpu']}, {machine['date'][:10]}, commit `{machine['commit']}`. Time of fastmlp, "
        "and how many times as long the others take; bold: the target is met. "
        f"`{run.command('WORK')}` makes a row again.",
        glance(run, WORKS, "docs/benchmarks.md#{}"),
    ]
    said = [*_alone(run.results)]
    if run.noisy:
        said.append(f"the machine was noisy in {', '.join(run.noisy)}")
    said += [f"{peer} was skipped: {code(why)}" for peer, why in run.skipped.items()]
    said += [f"{name} failed: {why}" for name, why in run.failed.items()]
    parts.append("\n".join(f"- {text}" for text in said))
    return "\n\n".join(parts)


def rewrite(text: str, figures: str) -> str:
    """The README with other figures; ValueError where it has no marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{figures}\n{END}{after}"


def _compared(result: Result) -> dict[str, dict[str, Line]]:
    """Variant of the work, such as its dtype: side: line, where a peer is beside fastmlp."""
    variants: dict[str, dict[str, Line]] = {}
    if result.curves:
        return {}
    for line in result.lines:
        for side in (OURS, *OTHERS):
            if line.side == side or line.side.startswith(f"{side} "):
                variants.setdefault(line.side[len(side) + 1 :], {})[side] = line
    return {
        variant: lines for variant, lines in variants.items() if OURS in lines and len(lines) > 1
    }


def _cell(line: Line | None) -> str:
    if line is None:
        return "-"
    if line.ratio is None:
        return report.amount(line.median, line.unit, digits=3)
    return f"**{line.ratio:.1f}**" if line.met else f"{line.ratio:.1f}"


def _alone(results: Mapping[str, Result]) -> Iterable[str]:
    """Works that no peer does, a line for each."""
    for name in ALONE:
        if name in results:
            result = results[name]
            sides = [
                f"{line.side} {report.amount(line.median, line.unit, digits=3)}"
                + ("" if line.ratio is None else f" (x {line.ratio:.2f})")
                for line in result.lines
            ]
            yield f"[{name}](docs/benchmarks.md#{name}): {result.title}: {', '.join(sides)}"
