"""`Predictor`: a model bound to its buffers and threads, for prediction without set-up costs."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.checks import check_integer, shown
from fastmlp.data.rows import Rows
from fastmlp.engine.layout import BRIEF_PRODUCTS, PREDICT_ROWS
from fastmlp.inputs import Samples, check_finite, check_samples
from fastmlp.threads import PRODUCTS_PER_THREAD, threads_for
from fastmlp.windows import predict

if TYPE_CHECKING:
    from fastmlp.engine.engine import Engine
    from fastmlp.model import MLP

NEW_THREAD = 4
"""By how much more work a thread is worth that has to be started, 0.5 ms for two of them: 1797 rows
of 64-100-10 in float64 took 1.2 ms so, 1.0 with one thread and 0.7 with two that were waiting."""

UINT8 = np.dtype(np.uint8)
"""Compared with a dtype in 0.04 us, ``np.uint8`` in 0.11."""


class Predictor:
    """Prediction with one model; made by `MLP.predictor`.

    Buffers are made at the first call and kept: one set for each thread that predicts at the same
    time, so that any number of Python threads may call any method at once. The GIL is released.
    The model's weights are read where they are: a change is seen by the next call.

    Parameters
    ----------
    model : MLP
    batch_size : int, default 256
        Rows for which to make buffers, 1 or more; of them at most 256 are done at a time, further
        ones after them.
    threads : int, optional
        For large inputs; as in `fit`. Small ones are done in the calling thread.
    keep_threads : bool, default True
        Whether the threads wait for the next large input, or end with each.
    """

    def __init__(
        self,
        model: MLP,
        batch_size: int = PREDICT_ROWS,
        threads: int | None = None,
        *,
        keep_threads: bool = True,
    ) -> None:
        self._model = model
        self._rows = min(check_integer("batch_size", batch_size, 1), PREDICT_ROWS)
        self._threads = threads_for(threads)
        products = len(model.parameters)
        self._quick_rows = min(self._rows, max(BRIEF_PRODUCTS // products, 1))
        self._keep_threads = keep_threads
        self._engines: list[Engine] = []
        if keep_threads:
            # It keeps the engines' model alive, which must not be one that holds this predictor.
            weakref.finalize(self, _close, self._engines)

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads that large inputs have started; a later call starts them again."""
        _close(self._engines)

    def logits(self, x: ArrayLike | Rows, out: NDArray[Any] | None = None) -> NDArray[np.floating]:
        """Output of the last layer.

        Parameters
        ----------
        x : array-like, scipy sparse matrix or DataFrame, (n_samples, n_features)
            As for `MLP.logits`. Quickest as a contiguous array of the model's dtype or of uint8.
        out : ndarray (n_samples, n_classes), optional
            Where the result goes: contiguous, writeable, of the model's dtype.

        Returns
        -------
        ndarray (n_samples, n_classes)
            ``out``, or a new array.

        Raises
        ------
        TypeError, ValueError
            As `MLP.logits`, and if ``out`` is not as said. Where ``x`` is not finite, what is in
            ``out`` means nothing.
        """
        return self._apply(x, "logits", out)

    def predict_proba(
        self, x: ArrayLike | Rows, out: NDArray[Any] | None = None
    ) -> NDArray[np.floating]:
        """As `MLP.predict_proba`; arguments as `logits`."""
        loss = self._model.loss
        if not loss.has_accuracy:
            raise TypeError(f"predict_proba needs a loss of classes, not {loss.name}")
        return self._apply(x, loss.output, out)

    def predict(self, x: ArrayLike | Rows) -> NDArray[Any]:
        """As `MLP.predict`."""
        loss = self._model.loss
        if loss.targets == "classes":
            classes: NDArray[np.intp] = np.argmax(self._apply(x, "logits", None), axis=1)
            return classes
        outputs: NDArray[Any] = self._apply(
            x, "logits" if loss.targets == "binary" else loss.output, None
        )
        if loss.targets == "binary":
            outputs = (outputs > 0).astype(np.intp)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _apply(self, x: Any, head: str, out: NDArray[Any] | None) -> NDArray[np.floating]:
        model = self._model
        if type(x) is np.ndarray and x.ndim == 2 and 0 < x.shape[0] <= self._quick_rows:
            quick = (
                (x.dtype == model.dtype or x.dtype == UINT8)
                and x.shape[1] == model.layers[0]
                and x.flags.c_contiguous
                and x.flags.aligned
            )
        else:
            quick = False
        samples = None
        if not quick:
            samples = check_samples(
                *(x, model.layers[0], model.dtype, model.uint8_scale),
                finite=False,
                in_windows=True,
            )
        rows = x.shape[0] if samples is None else samples.count
        if out is None:
            out = np.empty((rows, model.layers[-1]), dtype=model.dtype)
        else:
            _check_out(out, (rows, model.layers[-1]), model.dtype)
        try:
            engine = self._engines.pop()
        except IndexError:
            engine = self._new_engine()
        try:
            if samples is None:
                kind = "uint8" if x.dtype == UINT8 else "float"
                if engine.bound != (kind, head):
                    scale = model.uint8_scale if kind == "uint8" else 1.0
                    rows, columns = x.shape
                    engine.bind(Samples(kind, (x,), rows, columns, scale), head)
                finite = engine.predict_bound(x, out)
            else:
                # Chunk by chunk: where out overlaps x it would be written before all is read.
                overlaps = any(np.may_share_memory(array, out) for array in samples.arrays)
                result = np.empty_like(out) if overlaps else out
                finite = predict(engine, samples, head, result, self._threads_of(rows))
                if overlaps:
                    out[...] = result
                if not self._keep_threads:
                    engine.team.close()
        finally:
            self._engines.append(engine)
        if not finite:
            check_finite(np.asarray(x), model.dtype, "x")
        return out

    def _new_engine(self) -> Engine:
        from fastmlp.engine.engine import Engine

        return Engine(self._model, self._rows, self._threads)

    def _threads_of(self, rows: int) -> int:
        products = rows * len(self._model.parameters)
        worth = PRODUCTS_PER_THREAD * (1 if self._keep_threads else NEW_THREAD)
        return max(1, min(self._threads, products // worth))


def _close(engines: list[Engine]) -> None:
    for engine in list(engines):
        engine.team.close()


def _check_out(out: object, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, not {shown(out)}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"out must be of shape {shape} and dtype {dtype}, not {out.shape} and {out.dtype}"
        )
    if not out.flags.carray:  # the three in one: each costs as much as a comparison of dtypes
        raise ValueError("out must be contiguous, aligned and writeable")
