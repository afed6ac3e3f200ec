"""How fast is fastmlp, next to the others? ``python benchmarks/compare.py [names of work ...]``.

Every work has its sides in turn in one run, on the same data, with the same network, batches,
optimiser, precision, threads and initial parameters. ``--list`` names the works; without names all
of them run, the grid last. Peers come with ``pip install -e '.[peers]'``; those that are not
installed are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import machine, pictures, report
from benchmarks.arguments import Parser, fail, integer
from benchmarks.options import Options
from benchmarks.progress import showing
from benchmarks.result import Result
from benchmarks.sides import SideError
from benchmarks.works import WORKS
from fastmlp.atomic import check_writable, write_atomically
from fastmlp.threads import available_cores

PROGRAM = "compare.py"
ROUNDS, QUICK_ROUNDS = 11, 3


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        for name, work in WORKS.items():
            print(f"{name:<18} {work.title}")
        return 0
    names = [name for name in WORKS if name in arguments.works or not arguments.works]
    results: dict[str, Result] = {}
    about: dict[str, Any] = {}
    to_stdout = arguments.json == "-"
    status = 0
    try:
        with showing(names) as progress:
            progress.say("the machine")
            about = machine.describe(arguments.threads)
            if not to_stdout:
                progress.result(report.header(about))
            for name in names:
                progress.begin(name)
                options = Options(
                    rounds=arguments.rounds,
                    threads=arguments.threads,
                    quick=arguments.quick,
                    say=progress.say,
                    advance=progress.advance,
                )
                try:
                    results[name] = WORKS[name].measure(options)
                except SideError as error:  # the other works are worth having
                    status = fail(PROGRAM, f"{name}: {error}", 1)
                    continue
                if not to_stdout:
                    progress.result(f"\n{report.table(results[name])}")
    except KeyboardInterrupt:
        status = fail(PROGRAM, "interrupted", 130)
    except (SideError, OSError) as error:
        return fail(PROGRAM, error, 1)
    if arguments.json:
        text = json.dumps(report.as_json(about, results), indent=1)
        if to_stdout:
            print(text)
        else:
            write_atomically(Path(arguments.json), f"{text}\n".encode())
    if arguments.pictures:
        pictures.draw(results, Path(arguments.pictures))
    return status


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog=PROGRAM,
        description=__doc__,
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
        default=available_cores(),
        metavar="N",
        help="of every side (default: %(default)s); so many cores are all it may use",
    )
    parser.add_argument(
        "--json", metavar="PATH", help="write every sample as JSON; - for stdout, without the table"
    )
    parser.add_argument("--pictures", metavar="DIR", help="draw heatmap.png and scaling.png")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer rounds, epochs and cells, nothing that takes long to compile",
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.works if name not in WORKS]
    if unknown:
        parser.error(f"no work is called {unknown[0]!r}; --list names them")
    if arguments.rounds is None:
        arguments.rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    try:
        if arguments.json not in (None, "-"):
            check_writable(Path(arguments.json), "--json")
        if arguments.pictures is not None:
            pictures.check(Path(arguments.pictures))
    except (OSError, ImportError, ValueError) as error:
        parser.error(" ".join(str(error).split()))
    return arguments


if __name__ == "__main__":
    sys.exit(main())
