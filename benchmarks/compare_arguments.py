"""The command line of compare.py."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarks import page, pictures
from benchmarks.arguments import Parser, integer
from benchmarks.run import Run
from benchmarks.sides import ROOT
from benchmarks.works import SLOW, WORKS
from fastmlp.atomic import check_writable
from fastmlp.threads import available_cores

PROGRAM = "compare.py"
ROUNDS, QUICK_ROUNDS = 11, 3


@dataclass(frozen=True)
class Arguments:
    """What is to be done.

    Attributes
    ----------
    works : list of str
        In the order of the table.
    run : Run or None
        Of ``--from``; then nothing is measured.
    flags : list of str
        What has to be said to measure in the same way again.
    """

    list: bool
    works: list[str]
    rounds: int
    threads: int
    quick: bool
    run: Run | None
    json: str | None
    pictures: str | None
    docs: bool

    @property
    def flags(self) -> list[str]:
        flags = ["--quick"] if self.quick else []
        if self.rounds != (QUICK_ROUNDS if self.quick else ROUNDS):
            flags += ["--rounds", str(self.rounds)]
        if self.threads != available_cores():
            flags += ["--threads", str(self.threads)]
        return flags


def parse(description: str) -> Arguments:
    """Arguments that can be followed, or exit status 2 before anything is measured."""
    parser = _parser(description)
    said = parser.parse_args()
    try:
        return _checked(said)
    except (OSError, ImportError, ValueError) as error:
        parser.error(" ".join(str(error).split()))


def _parser(description: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=PROGRAM,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("works", nargs="*", metavar="WORK", help="names that --list shows")
    parser.add_argument("--list", action="store_true", help="name the works and stop")
    parser.add_argument(
        "--rounds",
        type=integer(1, 1000),
        metavar="N",
        help=f"alternations (default: {ROUNDS}, with --quick {QUICK_ROUNDS})",
    )
    parser.add_argument(
        "--threads",
        type=integer(1, available_cores()),
        metavar="N",
        help=f"of every side (default: {available_cores()}); so many cores are all it may use",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer rounds and cells, nothing that takes long to compile; of all works, without "
        + ", ".join(SLOW),
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="measure nothing: show what --json wrote before",
    )
    parser.add_argument(
        "--json", metavar="PATH", help="write every sample as JSON; - for stdout, without the table"
    )
    parser.add_argument(
        "--pictures", metavar="DIR", help="draw heatmap.png, scaling.png and roofline.png"
    )
    parser.add_argument(
        "--docs",
        action="store_true",
        help="write docs/benchmarks.md, its pictures, and the figures of the README",
    )
    return parser


def _checked(said: argparse.Namespace) -> Arguments:
    unknown = [name for name in said.works if name not in WORKS]
    if unknown:
        raise ValueError(f"no work is called {unknown[0]!r}; --list names them")
    if said.docs and said.works:
        raise ValueError(f"--docs is of all works: leave {said.works[0]!r} out")
    run = None if said.source is None else _read(said)
    quick = said.quick or (run is not None and "--quick" in run.flags)
    works = [name for name in WORKS if name in said.works]
    if not works:
        works = [name for name in WORKS if not (quick and name in SLOW)]
    if run is not None and said.docs:
        missing = [name for name in works if name not in run.results and name not in run.failed]
        if missing:
            raise ValueError(f"--docs is of all works: {said.source} has no {missing[0]!r}")
    if said.json not in (None, "-"):
        check_writable(Path(said.json), "--json")
    if said.pictures is not None:
        pictures.check(Path(said.pictures), "--pictures")
    if said.docs:
        page.check(ROOT)
    return Arguments(
        list=said.list,
        works=works,
        rounds=said.rounds or (QUICK_ROUNDS if said.quick else ROUNDS),
        threads=said.threads or available_cores(),
        quick=said.quick,
        run=run,
        json=said.json,
        pictures=said.pictures,
        docs=said.docs,
    )


def _read(said: argparse.Namespace) -> Run:
    idle = [f"--{name}" for name in ("rounds", "threads", "quick") if getattr(said, name)]
    for argument in (*said.works, *idle):
        raise ValueError(f"--from measures nothing: leave {argument!r} out")
    try:
        text = Path(said.source).read_text(encoding="utf-8")
        return Run.from_json(text)
    except OSError as error:
        raise ValueError(f"--from: {said.source}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"--from: {said.source}: {error}") from None
