"""How fast is fastmlp, next to the others? ``python benchmarks/compare.py [names of work ...]``.

Every work has its sides in turn in one run, on the same data, with the same network, batches,
optimiser, precision, threads and initial parameters. ``--list`` names the works; without names all
of them run, the grid last. Peers come with ``pip install -e '.[peers]'``; those that are not
installed are skipped, and named. ``--quick --docs`` writes every speed figure of the README and
docs/benchmarks.md.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import machine, page, pictures, report
from benchmarks.arguments import fail
from benchmarks.compare_arguments import PROGRAM, Arguments, parse
from benchmarks.machine import Calibration
from benchmarks.options import Options
from benchmarks.progress import showing
from benchmarks.run import Run
from benchmarks.sides import ROOT, SideError
from benchmarks.works import WORKS
from fastmlp.atomic import write_atomically


def main() -> int:
    arguments = parse(__doc__ or "")
    if arguments.list:
        for name, work in WORKS.items():
            print(f"{name:<18} {work.title}")
        return 0
    if arguments.run is not None:
        run, status = arguments.run, 0
        if arguments.json != "-":
            print(report.header(run.machine))
            for result in run.results.values():
                print(f"\n{report.table(result)}")
            print(f"\n{report.footer(run)}")
    else:
        run = Run(arguments.flags)
        try:
            status = _measure(run, arguments)
        except KeyboardInterrupt:
            status = fail(PROGRAM, "interrupted", 130)
        except (SideError, OSError) as error:
            status = fail(PROGRAM, error, 1)
    try:
        _write(run, arguments)
    except OSError as error:
        status = fail(PROGRAM, error, 1)
    return status


def _measure(run: Run, arguments: Arguments) -> int:
    """Fill the run, work by work, so that what is done is there whatever ends it; exit status."""
    status = 0
    show = arguments.json != "-"
    with showing(arguments.works) as progress, Calibration(arguments.threads) as calibration:
        options = Options(
            rounds=arguments.rounds,
            threads=arguments.threads,
            quick=arguments.quick,
            say=progress.say,
            advance=progress.advance,
        )
        progress.say("the machine")
        run.machine = machine.describe(arguments.threads)
        if show:
            progress.result(report.header(run.machine))
        before = calibration.measure()
        for name in arguments.works:
            progress.begin(name)
            start = time.perf_counter()
            try:
                result = WORKS[name].measure(options)
            except SideError as error:  # the other works are worth having
                run.failed[name] = str(error)
                status = fail(PROGRAM, f"{name}: {error}", 1)
                before = calibration.measure()
                continue
            after = calibration.measure()
            result.took, result.calibration = time.perf_counter() - start, [before, after]
            before = after
            run.results[name] = result
            run.judge_noise()
            if show:
                progress.result(f"\n{report.table(result)}")
        if show:
            progress.result(f"\n{report.footer(run)}")
    return status


def _write(run: Run, arguments: Arguments) -> None:
    if arguments.json == "-":
        print(run.to_json())
    elif arguments.json:
        write_atomically(Path(arguments.json), f"{run.to_json()}\n".encode())
    if arguments.pictures:
        pictures.draw(run, Path(arguments.pictures))
    if arguments.docs and not set(arguments.works) - run.results.keys() - run.failed.keys():
        page.write(run, ROOT)


if __name__ == "__main__":
    sys.exit(main())
