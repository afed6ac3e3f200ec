"""For mpiexec: what `fit` refuses, said by each rank; then what argument 1 names goes wrong.

Argument 2 is a folder to write to.
"""

import json
import os
import sys
import warnings

import numpy as np
from mpi4py import MPI

import fastmlp
from fastmlp.exchange import Exchange
from fastmlp.ranks import Ranks
from fastmlp.run import Run

COMM = MPI.COMM_WORLD
RANK = COMM.rank
RNG = np.random.default_rng(RANK)
X, Y = RNG.standard_normal((30, 6)), RNG.integers(0, 3, 30)


class Raises(fastmlp.Callback):
    """Raises at the end of an epoch."""

    def on_epoch_end(self, model, record):
        raise LookupError("no such thing")


class RaisesMidway(fastmlp.Callback):
    """Raises while steps are done."""

    def on_progress(self, samples, mean_loss, accuracy):
        raise LookupError("no such thing")


class ChangesFirst(fastmlp.Callback):
    """Changes the parameters at the beginning of an epoch."""

    def on_epoch_begin(self, model, epoch):
        model.weights[0][...] = epoch


class Changes(fastmlp.Callback):
    """Changes the parameters at the end of an epoch."""

    def on_epoch_end(self, model, record):
        model.weights[0][...] = 1


def fit(x=X, y=Y, layers=(6, 4, 3), comm=COMM, **options):
    model = fastmlp.MLP(list(layers), dtype="float64", seed=RANK)
    fastmlp.fit(model, x, y, comm=comm, **({"batch_size": 16, "threads": 1} | options))
    return model


def with_nan():
    x = X.copy()
    x[3, 2] = np.nan
    return x


def on_disk():
    path = os.path.join(sys.argv[2], f"{RANK}.npy")
    np.save(path, X)
    return fastmlp.open_rows(path, window=20)


def first_rank(there, elsewhere):
    return there if RANK == 0 else elsewhere


REFUSED = {
    "no communicator": lambda: fit(comm=5),
    "no rows": lambda: fit(X[: first_rank(30, 0)], Y[: first_rank(30, 0)]),
    "nan": lambda: fit(first_rank(X, with_nan())),
    "batch": lambda: fit(batch_size=1),
    "other epochs": lambda: fit(epochs=first_rank(3, 4)),
    "other network": lambda: fit(layers=first_rank((6, 4, 3), (6, 5, 3))),
    "other kind": lambda: fit(first_rank(X, X.astype(np.uint8))),
    "weights of some": lambda: fit(sample_weight=first_rank(np.ones(30), None)),
    "on disk": lambda: fit(on_disk()),
    "no weights": lambda: fit(sample_weight=np.zeros(30)),
    "loss": lambda: fit(X * 1e200),
    "callback": lambda: fit(callbacks=[Raises()]),
    "callback midway": lambda: fit(
        *(np.tile(X, (400, 1)), np.tile(Y, 400)), layers=(6, 400, 3), callbacks=[RaisesMidway()]
    ),
}


def main():
    said = {}
    for name, call in REFUSED.items() if sys.argv[1] == "nothing" else ():
        try:
            call()
            said[name] = "nothing"
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"
    for name, comm in ("same rows", COMM), ("same rows, dealt", Ranks(COMM)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit(np.ones((9, 6)), np.ones(9, dtype=int), comm=comm, callbacks=[ChangesFirst()])
        said[name] = " ".join(str(warning.message) for warning in caught)
    # Weights that are all 0 on one rank are allowed, and the ranks go on after all of this.
    model = fit(sample_weight=np.full(30, first_rank(1.0, 0.0)), callbacks=[Changes()])
    said["parameters"] = float(model.weights[0].sum())
    if COMM.size - 1 == RANK:
        wrong()
    model = fit(epochs=100_000 if sys.argv[1] != "nothing" else 2)
    said["bits"] = model.parameters.tobytes().hex()
    # Two ranks that print at once may get into each other's lines.
    for one in COMM.gather(said) or ():
        print(json.dumps(one), flush=True)


def wrong():
    """Prepare what is to go wrong on this rank, in training that begins afterwards."""
    what = sys.argv[1]

    def fails_later(method):
        calls = []

        def called(*arguments):
            calls.append(None)
            if len(calls) > 40:
                fail()
            return method(*arguments)

        return called

    def fail():
        if what == "dies":
            os._exit(9)
        if what == "exits":
            sys.exit(7)
        raise MemoryError("no room for the rows")

    if what == "differs":
        steps = Run.steps

        def other(self, *arguments):
            totals = steps(self, *arguments)
            self.model.parameters[0] += 1e-9
            return totals

        Run.steps = other
    elif what == "in a step":
        Ranks.sum_items = fails_later(Ranks.sum_items)
    elif what != "nothing":
        Exchange.deal = fails_later(Exchange.deal)


if __name__ == "__main__":
    main()
