"""`Exchange`: each epoch, rows travel from the ranks that hold them to those that train on them.

Every rank draws the order of all rows that one process would draw, and sees in it which rows it
needs, and who needs its own: nothing but rows is sent, by one MPI_Alltoallv for each array.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.layout import share_of_rank
from fastmlp.inputs import Samples
from fastmlp.ranks import Ranks
from fastmlp.targets import Targets


class Dealt(NamedTuple):
    """What a rank trains on in an epoch.

    Attributes
    ----------
    samples, targets : Samples, Targets
    order : ndarray of int (n_own,)
        Rows of these: its share of each batch, one after another.
    places : ndarray of int (n_own,)
        Where they are in the order of all ranks.
    """

    samples: Samples
    targets: Targets
    order: NDArray[np.int64]
    places: NDArray[np.int64]


class Exchange:
    """The rows that the ranks hold, rank after rank, as one data set.

    Parameters
    ----------
    ranks : Ranks
    held : int
        Rows that this rank holds.

    Attributes
    ----------
    dealt : Dealt
        What `deal` gave last.
    first, end, count : int
        This rank's rows in the whole are [first, end); count is that of all.
    """

    def __init__(self, ranks: Ranks, held: int) -> None:
        self._ranks = ranks
        self._ends = np.cumsum(ranks.all(held))
        self.first, self.end = int(self._ends[ranks.rank]) - held, int(self._ends[ranks.rank])
        self.count = int(self._ends[-1])
        self._order: NDArray[np.int64] | None = None
        self.dealt: Dealt

    def own(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of ``rows`` of the whole that this rank holds, as rows of what it holds."""
        return rows[(rows >= self.first) & (rows < self.end)] - self.first

    def deal(
        self, samples: Samples, targets: Targets, order: NDArray[np.int64], batch_size: int
    ) -> Dealt:
        """The part of an epoch that is this rank's.

        Parameters
        ----------
        samples, targets : Samples, Targets
            Those that it holds; the same in each epoch.
        order : ndarray of int (n_samples,)
            Rows of the whole in the order of the epoch: the same on all ranks.
        batch_size : int
            Of all ranks.
        """
        if order is self._order:  # nothing is shuffled
            return self.dealt
        if self._order is not None:  # rows of the epoch before, for which there would be no room
            self._order = None
            del self.dealt
        rank = self._ranks.rank
        holders = np.searchsorted(self._ends, order, side="right")
        trainers = _trainers(len(order), batch_size, self._ranks.size)
        places = np.flatnonzero(trainers == rank)
        if np.array_equal(holders, trainers):
            rows = order[places] - self.first
            dealt = Dealt(samples, targets, rows, places)
        else:
            held = np.flatnonzero(holders == rank)
            sent = held[np.argsort(trainers[held], kind="stable")]
            come = np.argsort(holders[places], kind="stable")
            rows = np.empty_like(come)
            rows[come] = np.arange(len(come))  # they come by holder, and by place of each
            routes = _Routes(
                self._ranks.comm,
                order[sent] - self.first,
                np.bincount(trainers[held], minlength=self._ranks.size),
                np.bincount(holders[places], minlength=self._ranks.size),
            )
            dealt = Dealt(routes.samples(samples), routes.targets(targets), rows, places)
        self._order, self.dealt = order, dealt
        return dealt


def _trainers(count: int, batch_size: int, size: int) -> NDArray[np.int64]:
    """The rank that trains on each place of an order: shares as `share_of_rank` has them."""

    def of_batch(rows: int) -> NDArray[np.int64]:
        shares = [share_of_rank(rows, rank, size)[1] for rank in range(size)]
        return np.repeat(np.arange(size), shares)

    whole, rest = divmod(count, batch_size)
    return np.concatenate([np.tile(of_batch(batch_size), whole), of_batch(rest)])


class _Routes(NamedTuple):
    """Which held rows are sent, by receiver, and how many go and come by rank."""

    comm: Any
    rows: NDArray[np.int64]
    going: NDArray[np.int64]
    coming: NDArray[np.int64]

    def samples(self, held: Samples) -> Samples:
        """What comes of the samples."""
        move = self._csr if held.kind == "csr" else self._dense
        return replace(held, arrays=move(*held.arrays), count=int(self.coming.sum()))

    def targets(self, held: Targets) -> Targets:
        """What comes of the targets and weights; those that are empty are so on all ranks."""
        arrays: dict[str, Any] = {
            name: getattr(held, name) for name in ("labels", "rows", "weights", "masses")
        }
        moved: dict[str, Any] = {
            name: self._move(array) for name, array in arrays.items() if len(array)
        }
        return replace(held, **moved)

    def _dense(self, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return (self._move(x),)

    def _move(self, array: NDArray[Any]) -> NDArray[Any]:
        return self._send(array[self.rows], self.going, self.coming)

    def _csr(
        self, data: NDArray[Any], indices: NDArray[np.int32], indptr: NDArray[np.int64]
    ) -> tuple[NDArray[Any], ...]:
        lengths = np.diff(indptr)
        moved = self._move(lengths)
        sent = lengths[self.rows]
        # Items of row r are indptr[r], indptr[r] + 1, ...
        items = np.arange(sent.sum()) + np.repeat(indptr[self.rows] - _starts(sent), sent)
        going, coming = _sums(sent, self.going), _sums(moved, self.coming)
        return (
            self._send(data[items], going, coming),
            self._send(indices[items], going, coming),
            np.append(_starts(moved), moved.sum()),
        )

    def _send(
        self, rows: NDArray[Any], going: NDArray[np.int64], coming: NDArray[np.int64]
    ) -> NDArray[Any]:
        from mpi4py import MPI

        received = np.empty((int(coming.sum()), *rows.shape[1:]), dtype=rows.dtype)
        # In rows, not bytes: MPI counts in 32 bits.
        row = MPI.BYTE.Create_contiguous(rows.itemsize * int(np.prod(rows.shape[1:]))).Commit()
        self.comm.Alltoallv([rows, going, row], [received, coming, row])
        row.Free()
        return received


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(lengths) - lengths


def _sums(values: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of the first counts[0] values, the next counts[1], ..."""
    sums: NDArray[np.int64] = np.append(0, np.cumsum(values))
    ends = np.cumsum(counts)
    differences: NDArray[np.int64] = sums[ends] - sums[ends - counts]
    return differences
