"""Where several hosts pay: a cost model of distributed training, fitted to runs with 1 and 2 ranks.

    python -m benchmarks.mpi_scaling [--quick] [--docs docs] [--json PATH] [--from PATH]

A step of N ranks, each with b = ceil(B / N) rows of the batch, of a network of n parameters and n_1
features, takes

    T(N) = s + 6 b n / F + w n
         + 2 ceil(log2 N) a + 2 (N - 1) / N * 4 n / c
         + (N - 1) / N * 4 b n_1 / c

s, F, w : seconds of a step that depend on nothing, the rate of the products, the update of a
    parameter; by least squares of relative errors over the steps of 1 rank, once with ``comm``
    (the gradient is stored and then applied) and once without (it never leaves the registers)
a, c : latency and bandwidth of a message, from the sums of 2 ranks. The sum is Rabenseifner's
    (Thakur et al., Optimization of collective communication operations in MPICH, 2005), whose term
    of the additions is left out: c, which is measured with them, has it
the last term : the rows that travel once an epoch, of float32

The speedup is the time of one process without ``comm`` by that of N ranks with it. The steps of 2
ranks are not fitted: they show how far the model is off.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from benchmarks.machine import describe
from benchmarks.sides import ROOT
from fastmlp.atomic import write_atomically

FEATURES, CLASSES = 784, 10
WIDTHS = (64, 128, 256, 512, 1024, 2048)
BATCH_SIZES = (64, 256, 1024, 4096)
SUMS = (16, 1024, 16_384, 101_770, 1_000_000, 4_000_000)
OVERLAPPED = [([FEATURES, width, width, CLASSES], 1024) for width in (128, 1024, 2048)]
STEP_FLOP, LEAST_STEPS = 4e10, 8
"""Arithmetic of an epoch that is timed, and the fewest steps of it."""

BEGIN, END = "<!-- mpi_scaling: begin -->", "<!-- mpi_scaling: end -->"


@dataclass(frozen=True)
class Compute:
    """s, seconds; 1 / F, seconds a flop; w, seconds a parameter."""

    step: float
    flop: float
    parameter: float

    def seconds(self, layers: list[int], rows: int) -> float:
        """Of a step on so many rows."""
        n = parameters(layers)
        return self.step + 6 * rows * n * self.flop + n * self.parameter


@dataclass(frozen=True)
class Network:
    """What joins the ranks: its name, latency in seconds, bytes a second."""

    name: str
    latency: float
    bandwidth: float

    def sum_seconds(self, size: int, ranks: int) -> float:
        """Of a sum of ``size`` bytes over the ranks."""
        share = (ranks - 1) / ranks
        return 2 * math.ceil(math.log2(ranks)) * self.latency + 2 * share * size / self.bandwidth

    def exchange_seconds(self, features: int, rows: int, ranks: int) -> float:
        """Of a batch's rows of float32, ``rows`` to a rank, on their way to it."""
        return (ranks - 1) / ranks * 4 * rows * features / self.bandwidth


ASSUMED = (
    Network("10 GbE, TCP", 30e-6, 1.1e9),
    Network("25 GbE, RoCE", 5e-6, 2.8e9),
    Network("100 Gbit/s InfiniBand", 2e-6, 11e9),
)
"""Nominal figures of common networks, where a cluster's own are not known: latency of a small
message through MPI, and nine tenths of the line's rate."""


def parameters(layers: list[int]) -> int:
    return sum((n_in + 1) * n_out for n_in, n_out in itertools.pairwise(layers))


def measure(quick: bool) -> dict[str, Any]:
    """Steps and sums of 1 and 2 ranks."""
    widths, batch_sizes = (WIDTHS[1:5:3], BATCH_SIZES[:2]) if quick else (WIDTHS, BATCH_SIZES)
    cells = []
    for width in widths:
        for batch_size in batch_sizes:
            layers = [FEATURES, width, width, CLASSES]
            steps = STEP_FLOP * (0.05 if quick else 1) / (6 * batch_size * parameters(layers))
            cells.append((layers, batch_size, max(LEAST_STEPS, min(400, int(steps)))))
    sums = SUMS[:4] if quick else SUMS
    return {
        "machine": describe(1),
        "quick": quick,
        "1": _run(1, {"steps": cells, "sums": [], "overlap": []}),
        "2": _run(2, {"steps": cells, "sums": sums, "overlap": OVERLAPPED}),
    }


def _run(ranks: int, asked: dict[str, Any]) -> Any:
    mpiexec = str(Path(sys.executable).parent / "mpiexec")
    command = [mpiexec, "-n", str(ranks), sys.executable, "-m", "benchmarks.mpi_rank"]
    run = subprocess.run(
        [*command, json.dumps(asked)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise RuntimeError((run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1])
    return json.loads(run.stdout.splitlines()[-1])


def fit_compute(cells: list[dict[str, Any]], of: str) -> Compute:
    """By least squares of relative errors, none below 0."""
    rows = [
        [1.0, 6 * cell["batch_size"] * parameters(cell["layers"]), parameters(cell["layers"])]
        for cell in cells
    ]
    seconds = np.array([cell[of] for cell in cells])
    scale = np.abs(rows).max(axis=0)  # unknowns of one size
    solution, _ = nnls(np.array(rows) / scale / seconds[:, None], np.ones(len(cells)))
    return Compute(*(solution / scale).tolist())


def fit_network(sums: list[dict[str, Any]]) -> Network:
    """That of the 2 ranks here, in the same way."""
    rows = np.array([[2.0, cell["bytes"]] for cell in sums])  # of 2 ranks 2 (N - 1) / N is 1
    seconds = np.array([cell["seconds"] for cell in sums])
    scale = rows.max(axis=0)
    solution, _ = nnls(rows / scale / seconds[:, None], np.ones(len(sums)))
    latency, per_byte = (solution / scale).tolist()
    return Network("2 ranks here", latency, 1 / per_byte if per_byte else math.inf)


def step_seconds(
    compute: Compute, network: Network, layers: list[int], batch_size: int, ranks: int
) -> float:
    """Of the model, with the exchange of rows."""
    rows = math.ceil(batch_size / ranks)
    return (
        compute.seconds(layers, rows)
        + network.sum_seconds(4 * parameters(layers), ranks)
        + network.exchange_seconds(layers[0], rows, ranks)
    )


def table(measured: dict[str, Any]) -> str:
    """What the page says of a measurement."""
    shared, alone = fit_compute(measured["1"]["steps"], "seconds"), _alone(measured)
    network = fit_network(measured["2"]["sums"])
    machine = measured["machine"]
    versions = machine["versions"]
    lines = [
        f"Measured on {machine['cpu']}, {machine['cores']} cores, one thread a rank, commit "
        f"{machine['commit']}, fastmlp {versions['fastmlp']}, {machine['date'][:10]}"
        + (", **--quick: to try the script, not to be quoted**." if measured["quick"] else "."),
        "",
        "| | s, us | F, GFLOP/s | w, ns |",
        "|---|---|---|---|",
        *(
            f"| {name} | {1e6 * c.step:.1f} | {_rate(c.flop)} | {1e9 * c.parameter:.3f} |"
            for name, c in (("one process", alone), ("with `comm`", shared))
        ),
        "",
        f"2 ranks here, by shared memory: a = {1e6 * network.latency:.1f} us, "
        f"c = {network.bandwidth / 1e9:.2f} GB/s.",
        "",
        "| layers | batch | one process, us | 2 ranks, us | of these the model says | speedup |",
        "|---|---|---|---|---|---|",
    ]
    errors = []
    for one, two in zip(measured["1"]["steps"], measured["2"]["steps"], strict=True):
        layers, batch_size = one["layers"], one["batch_size"]
        said = shared.seconds(layers, math.ceil(batch_size / 2))
        said += network.sum_seconds(4 * parameters(layers), 2)
        errors.append(abs(said / two["seconds"] - 1))
        lines.append(
            f"| {'-'.join(map(str, layers))} | {batch_size} | {1e6 * one['alone']:.0f} | "
            f"{1e6 * two['seconds']:.0f} | {1e6 * said:.0f} | "
            f"{one['alone'] / two['seconds']:.2f} |"
        )
    lines += _overlap_lines(measured["2"]["overlap"])
    lines += ["", f"The model is off by {np.median(errors):.0%} in the median of these cells.", ""]
    lines += [
        "Smallest batch at which N hosts gain anything / are N / 2 times as fast as one (2 hosts: "
        "1.5 times):",
        "",
    ]
    lines += ["| network | width | " + " | ".join(f"N = {n}" for n in (2, 4, 8, 16)) + " |"]
    lines += ["|---|---|---|---|---|---|"]
    for link in ASSUMED:
        for width in WIDTHS[::2]:
            cells = [_least_batch(alone, shared, link, width, n) for n in (2, 4, 8, 16)]
            lines.append(f"| {link.name} | {width} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _overlap_lines(cells: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        "Would it pay to sum by layers? dW of the first layer and sum of all gradients on 2 ranks:",
        "",
        "| layers | batch | one after the other, us | the other layers' sum begun before dW, us |",
        "|---|---|---|---|",
    ]
    for cell in cells:
        lines.append(
            f"| {'-'.join(map(str, cell['layers']))} | {cell['batch_size']} | "
            f"{1e6 * cell['whole']:.0f} | {1e6 * cell['split']:.0f} |"
        )
    return lines


def _alone(measured: dict[str, Any]) -> Compute:
    return fit_compute(measured["1"]["steps"], "alone")


def _rate(seconds_per_flop: float) -> str:
    return f"{1e-9 / seconds_per_flop:.0f}" if seconds_per_flop else "-"


def _least_batch(alone: Compute, shared: Compute, link: Network, width: int, ranks: int) -> str:
    """The batch from which the speedup is above 1, and that from which it is N / 2 and above."""
    layers = [FEATURES, width, width, CLASSES]
    found = []
    for wanted in (1.0, max(ranks / 2, 1.5)):
        sizes = (
            2**k
            for k in range(4, 21)
            if alone.seconds(layers, 2**k)
            > wanted * step_seconds(shared, link, layers, 2**k, ranks)
        )
        size = next(sizes, None)
        found.append("never" if size is None else f"{size:,}")
    return f"{found[0]} / {found[1]}"


def draw(measured: dict[str, Any], path: Path) -> None:
    """Speedups by the model: width and batch size, for each network, of 2 and of 8 hosts."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.colors import LogNorm

    shared, alone = fit_compute(measured["1"]["steps"], "seconds"), _alone(measured)
    widths, sizes = [2**k for k in range(5, 13)], [2**k for k in range(5, 16)]
    counts = (2, 8)
    figure, rows = pyplot.subplots(
        len(counts), len(ASSUMED), figsize=(13, 7), layout="constrained", sharex=True, sharey=True
    )
    for ranks, line in zip(counts, rows, strict=True):
        for link, axes in zip(ASSUMED, line, strict=True):
            speedup = [
                [
                    alone.seconds(layers, size) / step_seconds(shared, link, layers, size, ranks)
                    for size in sizes
                ]
                for layers in ([FEATURES, width, width, CLASSES] for width in widths)
            ]
            # White is no gain; purple and orange are told apart with every kind of colour vision.
            image = axes.imshow(
                speedup, cmap="PuOr", norm=LogNorm(1 / 8, 8), origin="lower", aspect="auto"
            )
            for (i, j), value in np.ndenumerate(speedup):
                colour = "white" if abs(math.log(value)) > 1.3 else "black"
                text = f"{value:.1f}" if value >= 1 else f"{value:.2f}".lstrip("0")
                axes.text(j, i, text, ha="center", va="center", fontsize=7, color=colour)
            axes.set_title(f"{ranks} hosts, {link.name}", fontsize=10)
            axes.set_xticks(range(len(sizes)), sizes, rotation=60, fontsize=8)
            axes.set_yticks(range(len(widths)), widths, fontsize=8)
    for axes in rows[-1]:
        axes.set_xlabel("batch size of all hosts")
    for line in rows:
        line[0].set_ylabel("width of both hidden layers")
    bar = figure.colorbar(image, ax=rows, label="speedup over one host of one core")
    ticks = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
    bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks], minor=False)
    bar.ax.minorticks_off()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def write_docs(measured: dict[str, Any], folder: Path) -> None:
    """The picture, and the part of scaling.md between its marks."""
    page = folder / "scaling.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{page} must hold the marks {BEGIN} and {END}")
    draw(measured, folder / "scaling.png")
    picture = "![speedup by width, batch size, network and number of hosts](scaling.png)"
    text = f"{before}{BEGIN}\n\n{table(measured)}\n\n{picture}\n\n{END}{after}"
    write_atomically(page, text.encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few cells, to try it")
    parser.add_argument("--docs", type=Path, metavar="DIR", help="write scaling.md and scaling.png")
    parser.add_argument("--json", type=Path, metavar="PATH", help="keep what was measured")
    parser.add_argument("--from", type=Path, metavar="PATH", dest="kept", help="what was kept")
    options = parser.parse_args()
    measured = json.loads(options.kept.read_text()) if options.kept else measure(options.quick)
    if options.json:
        write_atomically(options.json, json.dumps(measured, indent=1).encode())
    if options.docs:
        write_docs(measured, options.docs)
    print(table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
