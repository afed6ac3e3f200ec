"""The teaching network on MNIST: `python -m reference.mnist`, full-batch gradient descent.

One hidden layer of relu, ten outputs, softmax. `--help` lists what can be changed. Results go to
stdout, progress and errors to stderr. Exit status: 0 done, 1 a failure while running, 2 wrong
usage, 130 Ctrl-C.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

from .callbacks import Callback
from .evaluation import evaluate
from .history import Epoch
from .initializers import INITIALIZERS, initializer
from .inputs import check_integer
from .network import MLP
from .optimizers import SGD
from .training import fit

PROGRESS_LINES = 20  # whatever the number of epochs


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with status 2."""
        self.exit(2, f"error: {message}\n")


class Progress(Callback):
    """About PROGRESS_LINES lines on stderr over the whole training."""

    def on_train_begin(self, model: MLP, epochs: int, n_samples: int) -> None:
        """Choose how often to print."""
        self.epochs = epochs
        self.every = max(1, epochs // PROGRESS_LINES)

    def on_epoch_end(self, model: MLP, record: Epoch) -> None:
        """Print the epoch's loss and accuracy if it is its turn."""
        e = record
        if e.epoch % self.every == 0 or e.epoch in (1, self.epochs):
            print(
                f"epoch {e.epoch:>{len(str(self.epochs))}}/{self.epochs}"
                f"  loss {e.train_loss:.4f}  accuracy {e.train_accuracy:.2%}  {e.seconds:.3f} s",
                file=sys.stderr,
                flush=True,
            )


def positive(text: str) -> int:
    """Text as an int >= 1."""
    return _from_text(text, minimum=1)


def not_negative(text: str) -> int:
    """Text as an int >= 0."""
    return _from_text(text, minimum=0)


def learning_rate(text: str) -> float:
    """Text as a float that SGD takes."""
    try:
        return SGD(lr=float(text)).lr
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a finite number >= 0, got {text!r}") from None


def batch_size(text: str) -> int | Literal["full"]:
    """Text as an int >= 1, or "full"."""
    return "full" if text == "full" else _from_text(text, minimum=1, also=" or 'full'")


def init(text: str) -> str:
    """Text as the name of initial parameters."""
    try:
        initializer(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _from_text(text: str, minimum: int, also: str = "") -> int:
    try:
        return check_integer("it", int(text), minimum)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be an integer >= {minimum}{also}, got {text!r}"
        ) from None


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    p = OneLineParser(
        prog="python -m reference.mnist",
        description="Train a multilayer perceptron in plain NumPy by gradient descent.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    p.add_argument("--data", default="mnist", help="data set, as fastmlp.load_dataset takes it")
    p.add_argument(
        "--hidden", type=positive, nargs="*", default=[64], metavar="N", help="hidden layer sizes"
    )
    p.add_argument("--lr", type=learning_rate, default=0.5, help="learning rate")
    p.add_argument("--epochs", type=not_negative, default=200, help="passes over the data")
    p.add_argument(
        "--batch-size", type=batch_size, default="full", metavar="N", help="samples a step, or full"
    )
    p.add_argument(
        "--init",
        type=init,
        default="he_normal",
        metavar="NAME",
        help=f"initial parameters: {', '.join(INITIALIZERS)} or uniform(A, B)",
    )
    p.add_argument("--dtype", choices=["float32", "float64"], default="float32", help="arithmetic")
    p.add_argument(
        "--seed", type=not_negative, default=0, help="of the parameters and the batch order"
    )
    return p


def run(data: Any, args: argparse.Namespace) -> None:
    """Train, evaluate, and print the result."""
    layers = [data.x_train.shape[1], *args.hidden, data.n_classes]
    model = MLP(layers, init=args.init, dtype=args.dtype, seed=args.seed)
    print(
        f"{args.data}: {'-'.join(map(str, layers))}, {model.n_parameters} parameters, "
        f"{len(data.x_train)} training samples, batch size {args.batch_size}, lr {args.lr:g}",
        file=sys.stderr,
    )
    started = time.perf_counter()
    fit(
        model,
        data.x_train,
        data.y_train,
        epochs=args.epochs,
        batch_size=args.batch_size,
        optimizer=SGD(lr=args.lr),
        seed=args.seed,
        callbacks=[Progress()],
    )
    seconds = time.perf_counter() - started
    train = evaluate(model, data.x_train, data.y_train)
    test = evaluate(model, data.x_test, data.y_test)
    print(f"training accuracy {train.accuracy:.2%}  loss {train.loss:.4f}")
    print(f"test accuracy     {test.accuracy:.2%}  loss {test.loss:.4f}")
    print(f"training time     {seconds:.1f} s")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    args = parser().parse_args(argv)
    # The data sets alone come from there, no maths; and --help needs neither.
    import fastmlp

    try:
        run(fastmlp.load_dataset(args.data), args)
    except KeyboardInterrupt:
        return _failed("interrupted", 130)
    except (fastmlp.DataError, FloatingPointError, OSError) as error:
        return _failed(error, 1)
    except ValueError as error:  # --data is no data set's name; the parser checked all else
        return _failed(error, 2)
    return 0


def _failed(reason: object, status: int) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
