"""What the commands of this folder share: a wrong flag is one line, integers have bounds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from fastmlp.checks import parse_integer


class Parser(argparse.ArgumentParser):
    """Refuses in one line, with status 2 and without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


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
