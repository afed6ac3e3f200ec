"""`Windows`: rows on disk as the engine reads them, a window at a time, the next one read ahead.

The order of an epoch. Rows 0 ... n - 1 are cut into blocks of `Rows.block`. The blocks are put in a
random order, ``default_rng((seed, epoch)).permutation(n_blocks)``, and those of their rows that
count, one block after another, into windows. The rows of window k = 0, 1, ... are then taken in the
order ``default_rng((seed, epoch, k + 1)).permutation(n_rows)``. (k = 0 would be the draw of the
blocks: a seed that ends in zeros is the one without.) A window holds a whole number of batches, so
that no batch lies in two; the last one of an epoch is what is left.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.errors import DataError
from fastmlp.engine.layout import CHUNK_ROWS
from fastmlp.inputs import Samples
from fastmlp.targets import Targets

if TYPE_CHECKING:
    from fastmlp.engine.engine import Engine, Totals


class Window(NamedTuple):
    """Samples in memory, their targets, and the order in which they are taken."""

    samples: Samples
    targets: Targets | None
    order: NDArray[np.int64]


class _Stream(NamedTuple):
    """Rows one block after another.

    ``begins``: where a block's rows begin among those that count; ``ends``: where they end in the
    stream; both in the order of the stream.
    """

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]


class Windows:
    """Reads ``rows`` of samples that lie on disk; their windows share two buffers.

    Parameters
    ----------
    samples : Samples
        With a source.
    targets : Targets or None
        Of all samples.
    rows : ndarray of int64 (n,)
        Those that count, ascending.
    batch_size : int
        Rows that must be in one window, at most `Samples.window`.
    """

    def __init__(
        self,
        samples: Samples,
        targets: Targets | None,
        rows: NDArray[np.int64],
        batch_size: int = 1,
    ) -> None:
        assert samples.source is not None
        self._samples, self._source, self._targets = samples, samples.source, targets
        self._rows = rows
        self.size = samples.window // batch_size * batch_size
        self._buffers: dict[int, NDArray[Any]] = {}

    def read(self, seed: tuple[int, int] | None = None) -> Generator[Window]:
        """The windows of an epoch, each to be used until the next is asked for.

        To be closed (`contextlib.closing`) where it may not be read to its end: the reader is then
        told to stop, and has ended.

        Parameters
        ----------
        seed : (seed, epoch) or None
            None: all rows in their own order.

        Raises
        ------
        OSError
            If a file is gone, cannot be read or has been written to.
        DataError
            If a value is NaN or infinite.
        """
        stream, stopped = self._stream(seed), threading.Event()
        count = -(-len(self._rows) // self.size)
        with ThreadPoolExecutor(1, "fastmlp-reader") as reader:
            try:
                ahead = reader.submit(self._window, stream, 0, seed, stopped)
                for k in range(count):
                    window = ahead.result()
                    if k + 1 < count:
                        ahead = reader.submit(self._window, stream, k + 1, seed, stopped)
                    yield window
            finally:
                stopped.set()

    def _stream(self, seed: tuple[int, int] | None) -> _Stream:
        n = len(self._source)
        first = np.arange(0, n + self._source.block, self._source.block)
        places = np.searchsorted(self._rows, first)
        blocks = np.arange(len(places) - 1)
        if seed is not None:
            blocks = np.random.default_rng(seed).permutation(len(blocks))
        return _Stream(places[blocks], np.diff(places)[blocks].cumsum())

    def _window(
        self, stream: _Stream, k: int, seed: tuple[int, int] | None, stopped: threading.Event
    ) -> Window:
        """Read window k; in the reader's thread."""
        begin, end = k * self.size, min((k + 1) * self.size, len(self._rows))
        values = self._buffer(k % 2)[: end - begin]
        ids = np.empty(end - begin, dtype=np.int64)
        done, block = begin, int(np.searchsorted(stream.ends, begin, side="right"))
        while done < end and not stopped.is_set():
            upto = min(int(stream.ends[block]), end)
            before = stream.ends[block - 1] if block else 0
            place = stream.begins[block] + done - before
            part = slice(done - begin, upto - begin)
            ids[part] = self._rows[place : place + upto - done]
            self._read(ids[part], values[part])
            done, block = upto, block + 1
            while done < end and stream.ends[block] == done:  # without a row that counts
                block += 1
        samples = replace(self._samples, arrays=(values,), count=len(values), source=None, window=0)
        order = np.arange(len(values))
        if seed is not None:
            order = np.random.default_rng((*seed, k + 1)).permutation(len(values))
        return Window(samples, self._targets_of(ids), order)

    def _buffer(self, which: int) -> NDArray[Any]:
        if which not in self._buffers:
            shape = min(self.size, len(self._rows)), self._samples.n_features
            self._buffers[which] = np.empty(shape, dtype=self._samples.dtype)
        return self._buffers[which]

    def _read(self, ids: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Read the rows ``ids``, ascending and of one block."""
        first, span = int(ids[0]), int(ids[-1] - ids[0]) + 1
        if span == len(ids) and out.dtype == self._source.dtype:
            self._source.read(first, out)
        else:
            block = np.empty((span, out.shape[1]), dtype=self._source.dtype)
            self._source.read(first, block)
            with np.errstate(over="ignore"):  # what does not fit is infinite, and refused
                out[...] = block if span == len(ids) else block[ids - first]
        if self._samples.kind == "float" and not np.isfinite(out).all():
            row, column = (int(k) for k in np.argwhere(~np.isfinite(out))[0])
            path, place = self._source.place(int(ids[row]))
            raise DataError(
                f"{path}: must be finite in {out.dtype}: the value at [{place}, {column}] is not"
            )

    def _targets_of(self, ids: NDArray[np.int64]) -> Targets | None:
        if self._targets is None:
            return None
        names = ("labels", "rows", "weights", "masses")
        of_all = {name: getattr(self._targets, name) for name in names}
        own = {name: values[ids] for name, values in of_all.items() if len(values)}
        return replace(self._targets, **own)


def windows_in_order(
    samples: Samples,
    targets: Targets | None = None,
    rows: NDArray[np.int64] | None = None,
) -> Generator[Window]:
    """All samples, or ``rows`` of them, in their order; in memory they are one window."""
    rows = np.arange(samples.count) if rows is None else rows
    if samples.source is None:
        yield Window(samples, targets, rows)
        return
    # Sums over chunks are then the same as in memory.
    whole_chunks = min(CHUNK_ROWS, samples.window)
    yield from Windows(samples, targets, rows, whole_chunks).read()


def score(
    engine: Engine,
    samples: Samples,
    targets: Targets,
    rows: NDArray[np.int64] | None = None,
) -> Totals:
    """As `Engine.score`, wherever the samples lie."""
    with contextlib.closing(windows_in_order(samples, targets, rows)) as windows:
        for k, window in enumerate(windows):
            assert window.targets is not None
            totals = engine.score(window.samples, window.targets, window.order, resumed=k > 0)
    return totals


def outputs(
    engine: Engine, samples: Samples, rows: NDArray[np.int64], head: str, out: NDArray[Any]
) -> None:
    """As `Engine.outputs`, wherever the samples lie."""
    done = 0
    with contextlib.closing(windows_in_order(samples, rows=rows)) as windows:
        for window in windows:
            count = len(window.order)
            engine.outputs(window.samples, window.order, head, out[done : done + count])
            done += count


def predict(engine: Engine, samples: Samples, head: str, out: NDArray[Any], threads: int) -> bool:
    """As `Engine.predict`, wherever the samples lie."""
    if samples.source is None:
        return engine.predict(samples, head, out, threads)
    done, finite = 0, True
    with contextlib.closing(windows_in_order(samples)) as windows:
        for window in windows:
            count = window.samples.count
            part = out[done : done + count]
            finite = engine.predict(window.samples, head, part, threads) and finite
            done += count
    return finite
