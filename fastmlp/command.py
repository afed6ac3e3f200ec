"""What the commands of fastmlp have in common: parser, streams, one line for whatever ends them.

Results go to stdout, all else to stderr. Exit status: 0 done, 1 a run-time failure, 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastmlp.data.errors import DataError

if TYPE_CHECKING:
    from fastmlp.model import MLP

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Command:
    """One of the commands, by whose name its lines on stderr begin.

    Parameters
    ----------
    program : str
        Its module, such as ``fastmlp.train``.
    """

    def __init__(self, program: str) -> None:
        self.program = program

    def parser(self, usage: str, description: str) -> argparse.ArgumentParser:
        """A parser that ends the process with one line; ``usage`` without the program."""
        from fastmlp import __version__

        parser = _Parser(
            prog=f"python -m {self.program}",
            usage=f"%(prog)s {usage}",
            description=description,
            allow_abbrev=False,
        )
        parser.command = self
        parser.add_argument("--version", action="version", version=f"fastmlp {__version__}")
        return parser

    def run(self, body: Callable[[], int]) -> int:
        """The exit status that ``body`` gives, or that of what ends it early, said in one line."""
        try:
            # Numbers that overflow are said once, by the loss that is not finite.
            with self._plain_warnings(), np.errstate(over="ignore", invalid="ignore"):
                return body()
        except BrokenPipeError:  # whoever read the output has left, as ``| head`` does
            return FAILED
        except (DataError, OSError, ArithmeticError, MemoryError, ImportError) as error:
            return self.fail(error, FAILED)
        except ValueError as error:
            return self.fail(error, USAGE)
        except KeyboardInterrupt:
            return self.interrupted()

    def say(self, message: object, kind: str = "") -> None:
        """Print a line to stderr."""
        print(f"{self.program}: {kind}{one_line(message)}", file=sys.stderr, flush=True)

    def fail(self, error: object, status: int) -> int:
        """Say ``error``; the exit status."""
        if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
            error = f"{error.filename}: {error.strerror}"
        with contextlib.suppress(BrokenPipeError):
            self.say(str(error) or type(error).__name__, "error: ")
        return status

    def interrupted(self, saved: str = "") -> int:
        """Say so, and what was ``saved``; the exit status."""
        # A KeyboardInterrupt that has left the text of an exec, as imports run many, makes CPython
        # end the process by the signal and not with the status that it returns. The next exec
        # forgets it.
        exec("")
        return self.fail(f"interrupted{saved}", INTERRUPTED)

    @contextlib.contextmanager
    def leaving_on_ctrl_c(self) -> Iterator[None]:
        """End the process at once on Ctrl-C, where nothing is left to be done then.

        Compiling takes seconds and calls Python from inside LLVM, where a KeyboardInterrupt is
        printed and lost, or leaves a kernel half-made.
        """

        def leave(*_: object) -> None:
            self.fail("interrupted", INTERRUPTED)
            os._exit(INTERRUPTED)

        # Another handler is another program's business; only the main thread may set one.
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield
            return
        signal.signal(signal.SIGINT, leave)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextlib.contextmanager
    def _plain_warnings(self) -> Iterator[None]:
        """Show a warning as one line, without the place in the source that issued it."""

        def show(message: Warning | str, *place: Any, **more: Any) -> None:
            self.say(message, "warning: ")

        previous = warnings.showwarning
        warnings.showwarning = show
        try:
            yield
        finally:
            warnings.showwarning = previous


class _Parser(argparse.ArgumentParser):
    command: Command

    def error(self, message: str) -> NoReturn:
        """One line, without the usage text that would push it off the screen."""
        if message.startswith("unrecognized arguments"):
            message += f" ({self.prog} --help lists what there is)"
        self.exit(USAGE, f"{self.command.program}: error: {one_line(message)}\n")


def open_streams() -> None:
    """Make sure of a stderr, and that every path can be printed."""
    if sys.stderr is None:  # closed by the caller; print would take stdout in its place
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a path need not be of the terminal's encoding
            stream.reconfigure(errors="backslashreplace")


def print_result(text: str) -> None:
    """Print to stdout; OSError if that cannot be."""
    if sys.stdout is None:
        raise OSError("the result cannot be printed: stdout is closed")
    try:
        print(text, flush=True)
    except OSError:
        # What is still buffered would fail once more, with a traceback, when Python ends.
        with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise


def check_different(names: Mapping[str, str | None]) -> None:
    """ValueError if two of ``names``, of files and folders by their flags, are of the same one."""
    used = {flag: os.path.realpath(name) for flag, name in names.items() if name is not None}
    for one, other in itertools.combinations(used, 2):
        path = used[one]
        ordinary = os.path.isfile(path) or os.path.isdir(path) or not os.path.exists(path)
        if used[other] == path and ordinary:
            raise ValueError(f"{one} and {other} must be different, not both {names[one]}")


def one_line(message: object) -> str:
    """``message`` without its line breaks."""
    return " ".join(str(message).split())


def model_of_argument(path: str) -> MLP:
    """The model of a file that a command was given.

    Raises
    ------
    ValueError
        If it cannot be read, is damaged, or holds no model: the command was told the wrong thing.
    """
    from fastmlp.model_file import load

    try:
        return load(path)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
