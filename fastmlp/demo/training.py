"""One training in a thread of its own: what it is at, to be asked for at any time."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from fastmlp.assessment import Classes, assess
from fastmlp.callbacks import Callback
from fastmlp.data import Dataset
from fastmlp.demo.choices import HIDDEN, OPTIMIZERS, Choice
from fastmlp.model import MLP
from fastmlp.report import confident_mistakes, draw_confusion, draw_mistakes, png
from fastmlp.training import fit

SHOWN_MISTAKES = 15
BATCH_SIZE, FEW = 128, 16
"""Samples to a step, of MNIST and of the 1437 digits: of the latter, 128 make 60 steps in 5 epochs,
too few to learn from."""


class CancelledError(Exception):
    """Ends a training that is not wanted any more."""


class Training(Callback):
    """A training from its start to its pictures.

    Parameters
    ----------
    number : int
        Tells it from others.
    data : Dataset
    choice : Choice

    Attributes
    ----------
    state : str
        "compiling", "training", "testing", and in the end "done", "cancelled" or "failed".
    model : MLP or None
        Trained, once it is done.
    pictures : dict of str to bytes
        PNG files, once it is done: "confusion", "mistakes".
    """

    def __init__(self, number: int, data: Dataset, choice: Choice) -> None:
        self.number, self.choice, self.data = number, choice, data
        self.state = "compiling"
        self.error: str | None = None
        self.model: MLP | None = None
        self.pictures: dict[str, bytes] = {}
        self.finished = threading.Event()
        self._points: list[tuple[float, float, float | None]] = []
        self._epoch = 0
        self._cancelled = False
        self._result: dict[str, Any] = {}

    def report(self) -> dict[str, Any]:
        """What the page shows of it, as JSON values.

        ``points`` are epochs passed, mean loss and accuracy of the epoch so far.
        """
        return {
            "number": self.number,
            "state": self.state,
            "error": self.error,
            "layers": self.layers,
            "epochs": self.choice.epochs,
            "samples": len(self.data.y_train),
            "points": list(self._points),
            "pictures": sorted(self.pictures),
            **self._result,
        }

    @property
    def layers(self) -> list[int]:
        """Sizes of the network."""
        hidden = HIDDEN[self.choice.hidden]
        return [self.data.x_train.shape[1], *hidden, self.data.n_outputs]

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self.finished.is_set()

    def cancel(self) -> None:
        """Have it end at the next look at it, some hundredths of a second later."""
        self._cancelled = True

    def run(self) -> None:
        """Train, test and draw; never raises."""
        try:
            self._run()
        except CancelledError:
            self.state = "cancelled"
        except Exception as error:  # the page shows it, and the server goes on
            self.error = " ".join(str(error).split()) or type(error).__name__
            self.state = "failed"
        finally:
            self.finished.set()

    def _run(self) -> None:
        choice, data = self.choice, self.data
        model = MLP(self.layers, activation=choice.activation)
        start = time.perf_counter()
        history = fit(
            model,
            data.x_train,
            data.y_train,
            epochs=choice.epochs,
            batch_size=BATCH_SIZE if len(data.y_train) > 10_000 else FEW,
            optimizer=OPTIMIZERS[choice.optimizer],
            callbacks=[self],
        )
        seconds = time.perf_counter() - start - history.compile_seconds
        self.state = "testing"
        found = assess(model, data.x_test, data.y_test)
        assert isinstance(found, Classes)  # of the loss cross_entropy
        self.pictures["confusion"] = png(draw_confusion(found.matrix))
        self._look()
        wrong = confident_mistakes(found.true, found.predicted, found.probabilities, SHOWN_MISTAKES)
        if len(wrong) and data.image_shape is not None:
            images = data.x_test[wrong].reshape(-1, *data.image_shape)
            self.pictures["mistakes"] = png(
                draw_mistakes(
                    images, found.true[wrong], found.predicted[wrong], found.probabilities[wrong]
                )
            )
        self._look()
        n_wrong = int((found.true != found.predicted).sum())
        self._result = {
            "seconds": seconds,
            "tested": len(found.true),
            "wrong": n_wrong,
            "accuracy": 1 - n_wrong / len(found.true),
        }
        self.model = model
        self.state = "done"

    def _look(self) -> None:
        if self._cancelled:
            raise CancelledError

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """The kernels are there."""
        self.state = "training"
        self._n_samples = n_samples
        self._look()

    def on_progress(self, samples: int, loss: float, accuracy: float | None) -> None:
        """A point of the curve; a loss that is no number ends the training, with its epoch."""
        if math.isfinite(loss):
            self._points.append((self._epoch + samples / self._n_samples, loss, accuracy))
        self._look()

    def on_epoch_end(self, model: Any, record: Any) -> None:
        """The last point of an epoch."""
        self._epoch = record.epoch
        self._points.append((float(record.epoch), record.train_loss, record.train_accuracy))
        self._look()
