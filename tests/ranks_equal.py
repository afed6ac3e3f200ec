"""For mpiexec: train on the ranks and in one process; rank 0 prints how far the two are apart.

Each feature's one process is one of the ranks, while the others do another's.
"""

import hashlib
import json
import sys

import numpy as np
from mpi4py import MPI
from scipy.sparse import csr_array

import fastmlp
from tests.features import FEATURES, SAMPLES, build

COMM = MPI.COMM_WORLD
OWN = np.array_split(np.arange(SAMPLES), COMM.size)[COMM.rank]
BATCH_SIZE, ONE_LEFT = 20, 18
"""3 ranks have 7, 7 and 6 rows of the one, so that a share begins at an odd row. Of 55 samples the
other leaves a last batch of one, of which further ranks have none."""


def own(value):
    """The rows of this rank."""
    return value[OWN]


def forms(x, y):
    """Other forms of data, and what else is shared out: name, x, y, arguments of fit."""
    rng = np.random.default_rng(8)
    held_out = {"validation_data": (x[::-1].copy(), y[::-1].copy())}
    yield "csr", csr_array(np.where(rng.random(x.shape) < 0.3, x, 0)), y, {}
    yield "uint8", rng.integers(0, 256, x.shape).astype(np.uint8), y, {}
    yield "in order", x, y, {"shuffle": False}
    yield "full batch", x, y, {"batch_size": "full"}
    yield "one large batch", x, y, {"batch_size": 1000}
    yield "lbfgs", x, y, {"optimizer": fastmlp.LBFGS()}
    yield "lbfgs, weights", x, y, {"optimizer": fastmlp.LBFGS(), "sample_weight": rng.random(55)}
    yield "held out", x, y, {"validation_fraction": 0.2, "metrics": ("f1", "top_2", "loss")}
    yield "plateau", x, y, {"schedule": fastmlp.ReduceOnPlateau(patience=1), **held_out}
    yield "target accuracy", x, y, {"target_accuracy": 0.2, "epochs": 9, **held_out}
    stopping = fastmlp.EarlyStopping(monitor="train_loss", patience=1, min_delta=0.05)
    yield "early stopping", x, y, {"callbacks": [stopping], "epochs": 30}
    yield "no time", x, y, {"max_seconds": 0.0, "epochs": 9}


def trained(model, x, y, options, alone):
    """Parameters and losses after a fit in one process, or on all ranks."""
    if not alone:
        shared = ("sample_weight", "validation_data")
        options = options | {"comm": COMM}
        for name in shared:
            if name in options:
                value = options[name]
                options[name] = tuple(map(own, value)) if isinstance(value, tuple) else own(value)
        x, y = own(x), own(y)
    history = fastmlp.fit(model, x, y, **({"batch_size": ONE_LEFT} | options), threads=1)
    losses = [record.train_loss for record in history.epochs]
    measured = [
        value
        for record in history.epochs
        for value in (record.val_loss, record.val_accuracy, *record.metrics.values())
        if value is not None
    ]
    return model.parameters, np.array(losses), np.array(measured), history.state


def cases(dtype, every):
    """Name, and what makes model, x, y and arguments of fit anew."""
    for name in list(FEATURES)[::every]:

        def make(name=name):
            model, x, y, options = build(fastmlp, name, dtype)
            return model, x, y, options | {"batch_size": ONE_LEFT if "norm" in name else BATCH_SIZE}

        yield name, make
    _, x, y, _ = build(fastmlp, "relu", dtype)
    for k, (name, *_) in enumerate(forms(x, y)):

        def make(k=k):
            model = build(fastmlp, "relu", dtype)[0]
            _, x_of, y_of, options = list(forms(x, y))[k]
            return model, x_of, y_of, {"epochs": 3, **options}

        yield name, make


def apart(actual, expected):
    """Largest difference, relative to the largest item."""
    if actual.shape != expected.shape:
        return np.inf
    return float(np.abs(actual - expected).max(initial=0) / np.abs(expected).max(initial=1e-300))


def main():
    dtype, every = sys.argv[1], int(sys.argv[2])
    differences = {}
    for k, (name, make) in enumerate(cases(dtype, every)):
        parameters, losses, measured, state = trained(*make(), alone=False)
        bits = hashlib.sha256(parameters.data).hexdigest()
        assert COMM.allgather(bits) == [bits] * COMM.size, f"{name}: ranks end with other bits"
        if k % COMM.size == COMM.rank:
            wanted = trained(*make(), alone=True)
            pairs = zip((parameters, losses, measured), wanted, strict=False)
            differences[name] = max(apart(ours, theirs) for ours, theirs in pairs)
            assert (state is None) == (wanted[3] is None)
            assert state is None or state.run == wanted[3].run, f"{name}: settings to resume with"
    parts = COMM.gather(differences)
    if COMM.rank == 0:
        merged = {name: value for part in parts for name, value in part.items()}
        print(json.dumps({"differences": merged}))


if __name__ == "__main__":
    main()
