"""The records that were kept: ``records.json`` beside this file; ``docs/records.md`` from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.noise import SPREAD_MOST
from benchmarks.recipes import AIMS, in_words
from fastmlp.atomic import write_atomically

FILE = Path(__file__).parent / "records.json"
PAGE = Path(__file__).parent.parent / "docs" / "records.md"

LEAST_SEEDS = 20
"""Fewer make no record."""

HEAD = """# Records: time to accuracy on MNIST

The time in which a plain multilayer perceptron learns MNIST to a mark on a CPU: the 60,000
training images, a recipe and a number of epochs fixed beforehand (`benchmarks/recipes.py`), the
mean accuracy on the test set over at least {least} seeds. A recipe counts only if that mean
reaches the mark. The time is the median of whole trainings, from the data in memory to the trained
model, on kernels that are compiled. Recipes were chosen on 10,000 held-out training images
(`python benchmarks/records.py MARK --held-out`); test labels are read once a seed, at its end.
Noisy: samples of a side spread by more than {bound:.0%} (interquartile range / median).

    pip install -e '.[peers]' && python benchmarks/records.py MARK --keep

measures one and enters it here. JAX and PyTorch run the same recipe beside it: the ratio is their
time of an epoch to ours, sides in turn.

No record of time to accuracy of an MLP on a CPU has been published that we know of. Published
error rates of MLPs on MNIST: 0.7 % with elastic distortions (Simard, Steinkraus and Platt, 2003),
0.35 % with 12 million weights on a GPU (Cireşan et al., 2010).
"""


def keep(record: dict[str, Any]) -> None:
    """Enter the record into the file, and write the page again."""
    records = [*load(), _entry(record)]
    write_atomically(FILE, f"{json.dumps(records, indent=1)}\n".encode())
    write_atomically(PAGE, page(records).encode())


def load() -> list[dict[str, Any]]:
    """All records, in the order in which they were kept."""
    if not FILE.exists():
        return []
    records: list[dict[str, Any]] = json.loads(FILE.read_text())
    return records


def _entry(record: dict[str, Any]) -> dict[str, Any]:
    """What the table needs; the samples stay in the JSON of the run."""
    names = ("mark", "n", "mean_test_accuracy", "ci95", "train_seconds", "recipe", "date", "commit")
    peers = {name: round(peer["ratio"], 2) for name, peer in record["peers"].items()}
    entry = {name: record[name] for name in (*names, "cpu", "threads", "noise")}
    return entry | {"ratios": peers}


def page(records: list[dict[str, Any]]) -> str:
    """docs/records.md."""
    lines = [HEAD.format(least=LEAST_SEEDS, bound=SPREAD_MOST)]
    lines += [
        "| mark | seconds (aim) | mean test accuracy, 95 % interval | n | recipe "
        "| times as long: JAX, PyTorch | machine | date, commit | noisy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(record) for record in sorted(records, key=_place)]
    return "\n".join(lines) + "\n"


def _place(record: dict[str, Any]) -> tuple[float, float]:
    return record["mark"], record["train_seconds"]


def _row(record: dict[str, Any]) -> str:
    low, high = record["ci95"]
    half, mark = (high - low) / 2, f"{record['mark']:g}"
    ratios = [record["ratios"].get(name) for name in ("JAX", "PyTorch")]
    cells = (
        f"{mark} %",
        f"{record['train_seconds']:.3g} ({AIMS[mark]:g})",
        f"{record['mean_test_accuracy']:.3%} ± {half * 100:.3f}",
        str(record["n"]),
        in_words(record["recipe"]),
        ", ".join("-" if ratio is None else f"{ratio:.1f}" for ratio in ratios),
        f"{record['cpu']}, {record['threads']} threads",
        f"{record['date'][:10]}, {record['commit']}",
        "; ".join(record["noise"]) or "no",
    )
    return f"| {' | '.join(cells)} |"
