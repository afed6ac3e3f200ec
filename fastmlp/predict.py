"""``python -m fastmlp.predict``: what a model says of images and arrays.

Predictions go to stdout, what was done to images to stderr. Exit status: 0 done, 1 if a file could
not be predicted for (the others are) or the model not be read, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastmlp.checks import parse_integer
from fastmlp.command import DONE, FAILED, Command, model_of_argument, open_streams, print_result
from fastmlp.data.errors import DataError
from fastmlp.input_files import Block, read_blocks
from fastmlp.model import MLP

COMMAND = Command("fastmlp.predict")
STDIN = "-"
MAX_STDIN = 4 * 2**30
"""Bytes that are taken from stdin, which is kept in memory, as a larger file is not."""

EPILOG = (
    "A FILE is an image (PNG, JPEG, GIF, WEBP), .npy, .npz, IDX (also gzip) or CSV, told by its "
    "first bytes. An image is brought to what a network of MNIST (784 inputs) or of the 8x8 digits "
    "(64) saw, and stderr says how; one that is like theirs is only inverted, if it is dark on "
    "light, and so are uint8 arrays for 784 inputs. Other arrays are taken as they are. Exit "
    "status: 0 done; 1 if a file could not be predicted for: the others are; 2 wrong usage; 130 "
    "interrupted."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the process); the exit status."""
    open_streams()
    parser = COMMAND.parser(
        "MODEL [FILE ...] [options]",
        "Print labels and probabilities, or the numbers of a regression, for each sample.",
    )
    parser.epilog = EPILOG
    parser.add_argument("model", metavar="MODEL", help="a file that fastmlp.train --save wrote")
    parser.add_argument(
        "files", metavar="FILE", nargs="*", default=[STDIN], help="default: stdin, -"
    )
    parser.add_argument("--json", action="store_true", help="JSON Lines, one object a sample")
    parser.add_argument(
        "--top", type=_top, metavar="K", help="probabilities to print (default: 3; all with --json)"
    )
    parser.add_argument("--quiet", action="store_true", help="do not say what was done to images")
    flags = parser.parse_intermixed_args(arguments)  # MODEL --json FILE, too
    with COMMAND.leaving_on_ctrl_c():  # a line that was printed is whole
        return COMMAND.run(lambda: run(flags))


def _top(text: str) -> int:
    try:
        return parse_integer("--top", text, 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(flags: argparse.Namespace) -> int:
    """Predict for every file; the exit status."""
    if STDIN in flags.files and sys.stdin is not None and sys.stdin.isatty():
        raise ValueError("stdin is a terminal: name a FILE, or pipe one in")
    model = model_of_argument(flags.model)
    width = max(len(_shown(name)) for name in flags.files)
    printer = _JSONLines(flags.top) if flags.json else _Table(flags.top or 3, width)
    say = _nowhere if flags.quiet else COMMAND.say
    failed = False

    def texts(name: str) -> Iterator[str]:
        nonlocal failed
        try:
            with _opened(name) as file:
                for block in read_blocks(file, _shown(name), model.layers[0], say):
                    predictions = _predictions(model, block, _shown(name))
                    yield "\n".join(printer.lines(_shown(name), block, *predictions))
        except (DataError, OSError, ImportError, MemoryError) as error:
            COMMAND.fail(error, FAILED)
            failed = True

    for name in flags.files:
        for text in texts(name):
            print_result(text)  # outside of the try: no further file is read for a full disk
    return FAILED if failed else DONE


def _nowhere(line: str) -> None:
    pass


def _shown(name: str) -> str:
    return "stdin" if name == STDIN else name


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """A seekable file; stdin and pipes are read into memory."""
    if name == STDIN:
        if sys.stdin is None:
            raise OSError("stdin is closed")
        yield _in_memory(sys.stdin.buffer, "stdin")
        return
    with open(name, "rb") as file:
        yield file if file.seekable() else _in_memory(file, name)


def _in_memory(stream: Any, name: str) -> BinaryIO:
    content = stream.read(MAX_STDIN + 1)
    if len(content) > MAX_STDIN:
        raise DataError(f"{name}: more than {MAX_STDIN} bytes cannot be piped: name a file")
    return io.BytesIO(content)


def _predictions(
    model: MLP, block: Block, name: str
) -> tuple[NDArray[Any], NDArray[np.floating] | None]:
    """What the model predicts, and the probabilities (n, n_classes) if it predicts classes."""
    where = f"{name}: samples from {block.first} on" if block.first else name
    try:
        predicted = model.predict(block.rows)
        probabilities = model.predict_proba(block.rows) if model.loss.has_accuracy else None
    except ValueError as error:  # samples that are not finite
        raise DataError(f"{where}: {error}") from None
    if not np.isfinite(predicted if probabilities is None else probabilities).all():
        raise DataError(f"{where}: the network's outputs are not finite")
    if probabilities is None:
        return predicted, None
    if model.loss.targets == "binary" and probabilities.shape[1] == 1:
        probabilities = np.hstack([1 - probabilities, probabilities])
    return predicted, probabilities


class _Table:
    """Aligned columns: the sample, what it is, and the most probable classes."""

    def __init__(self, top: int, width: int) -> None:
        self.top, self.width = top, width

    def lines(
        self,
        name: str,
        block: Block,
        predicted: NDArray[Any],
        probabilities: NDArray[np.floating] | None,
    ) -> Iterator[str]:
        for k, value in enumerate(predicted):
            sample = name if block.first is None else f"{name}[{block.first + k}]"
            line = f"{sample:<{self.width + 8}}"
            if probabilities is None:
                yield line + "".join(f"  {number:>12.6g}" for number in np.atleast_1d(value))
            else:
                yield line + _labels(value, probabilities[k], self.top)


def _labels(value: Any, probabilities: NDArray[np.floating], top: int) -> str:
    if np.ndim(value):  # each output is a label of its own
        return "  " + "  ".join(f"{v} {p:6.2%}" for v, p in zip(value, probabilities, strict=True))
    order = np.argsort(-probabilities, kind="stable")[:top]
    return f"  {value:>3} " + "".join(f"  {k:>3} {probabilities[k]:7.2%}" for k in order)


class _JSONLines:
    """One object a sample: ``input``, ``row``, ``label`` and ``probabilities``, or ``value``."""

    def __init__(self, top: int | None) -> None:
        self.top = top

    def lines(
        self,
        name: str,
        block: Block,
        predicted: NDArray[Any],
        probabilities: NDArray[np.floating] | None,
    ) -> Iterator[str]:
        for k, value in enumerate(predicted.tolist()):
            record: dict[str, Any] = {"input": name, "row": (block.first or 0) + k}
            if probabilities is None:
                record["value"] = value
            elif self.top is None or isinstance(value, list):
                record |= {"label": value, "probabilities": probabilities[k].tolist()}
            else:
                order = np.argsort(-probabilities[k], kind="stable")[: self.top]
                top = {str(label): float(probabilities[k, label]) for label in order}
                record |= {"label": value, "top": top}
            yield json.dumps(record, allow_nan=False)


if __name__ == "__main__":
    sys.exit(main())
