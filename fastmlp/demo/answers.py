"""What the server of the page knows: the network that answers, and the training."""

from __future__ import annotations

import io
import math
import threading
from typing import Any

from fastmlp.data import Dataset
from fastmlp.data.errors import DataError
from fastmlp.demo.choices import OFFERED, Choice
from fastmlp.demo.training import Training
from fastmlp.images import format_of, prepare, read_image
from fastmlp.model import MLP

MAX_UPLOAD = 10 * 2**20
"""Bytes of an image that is sent."""


class BusyError(RuntimeError):
    """A training is asked for while another one goes on."""


class Answers:
    """Answers drawings by the newest network, and trains the next.

    Parameters
    ----------
    data : Dataset
        To train on.
    reason : str or None
        Why it is not MNIST.
    model : MLP, optional
        That answers until another one is trained.
    """

    def __init__(self, data: Dataset, reason: str | None, model: MLP | None = None) -> None:
        self.data, self.reason, self._given = data, reason, model
        self._answering: MLP | None = model
        self.training: Training | None = None
        self._images = threading.Lock()
        self._starts = threading.Lock()

    def predict(self, image: bytes, name: str, drawn: bool) -> dict[str, Any]:
        """Probabilities of an image file that errors call ``name``, as JSON values.

        One that is ``drawn`` on the page is no image of a data set, whatever its size.

        Raises
        ------
        DataError
            If it is no image, or has no ink; if what the network says is not finite.
        """
        model = self.model()
        known = format_of(model.layers[0])
        assert known is not None  # checked when it was given
        # One at a time: a large image takes 200 MB or more, and Pillow's warnings are those of the
        # process.
        with self._images:
            pixels = read_image(io.BytesIO(image), name)
            prepared = prepare(pixels, known, name, anew=drawn)
        probabilities = model.predict_proba(prepared.row)[0]
        if not math.isfinite(probabilities.sum()):
            raise DataError(f"{name}: the network's outputs are not finite")
        full = 255 if prepared.row.dtype.kind == "u" else 1
        return {
            "layers": model.layers,
            "label": int(probabilities.argmax()),
            "probabilities": probabilities.tolist(),
            "steps": prepared.steps,
            "side": known.side,
            "pixels": (prepared.row[0] / full).round(3).tolist(),
        }

    def model(self) -> MLP:
        """The newest network that is trained."""
        training = self.training
        if training is not None and training.model is not None:
            self._answering = training.model
        if self._answering is None:
            raise BusyError("no network is trained yet")
        return self._answering

    def start(self, choice: Choice) -> Training:
        """Begin a training in a thread.

        Raises
        ------
        BusyError
            If one goes on.
        """
        with self._starts:
            if self.training is not None:
                if self.training.running:
                    raise BusyError("a network is being trained: wait for it, or cancel it")
                self.model()  # keeps the one that was trained
            number = 1 if self.training is None else self.training.number + 1
            training = self.training = Training(number, self.data, choice)
            # A daemon: Ctrl-C does not wait for it.
            threading.Thread(target=training.run, daemon=True).start()
        return training

    def report(self) -> dict[str, Any]:
        """What the page shows at first, as JSON values."""
        return {
            "data": self.data.name,
            "reason": self.reason,
            "offered": OFFERED,
            "chosen": vars(Choice()),
            "limit": MAX_UPLOAD,
            "given": self._given is not None,
            "model": self.model().layers,
            "training": None if self.training is None else self.training.report(),
        }
