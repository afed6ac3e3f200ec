"""What the commands of this folder share: a wrong flag is one line, integers have bounds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from fastmlp.atomic import check_writable
from fastmlp.checks import parse_integer
from fastmlp.threads import available_cores


class Parser(argparse.ArgumentParser):
    """Refuses in one line, with status 2 and without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")

    def add_json(self, what: str) -> None:
        """``--json PATH``, to be checked by `check_json`."""
        self.add_argument(
            "--json", metavar="PATH", help=f"write {what} as JSON; - for stdout, without the table"
        )

    def check_json(self, path: str | None) -> None:
        """Refuse a file that cannot be written: before the measurement, not after."""
        try:
            if path not in (None, "-"):
                check_writable(Path(str(path)), "--json")
        except (OSError, ValueError) as error:
            self.error(" ".join(str(error).split()))

    def add_threads(self) -> None:
        """``--threads N``, of the cores that may be used."""
        cores = available_cores()
        self.add_argument(
            "--threads",
            type=integer(1, cores),
            default=cores,
            metavar="N",
            help="of every side (default: %(default)s)",
        )


def integer(least: int, most: int) -> Callable[[str], int]:
    """The ``type`` of a flag that takes an integer from ``least`` to ``most``."""

    def parse(text: str) -> int:
        try:
            return parse_integer("the value", text, least, most)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def fail(program: str, error: object, status: int) -> int:
    """Say why on stderr; the status to exit with."""
    print(f"{program}: error: {error}", file=sys.stderr, flush=True)
    return status
