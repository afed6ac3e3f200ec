"""A hyper-parameter sweep on Dask: `python docs/sweep.py`, or with the address of a scheduler.

Without an address it starts a cluster of its own: two processes of one thread each on this machine.
"""

import sys
from contextlib import ExitStack

import joblib
from dask.distributed import Client, LocalCluster
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fastmlp.sklearn import MLPClassifier

SPACE = {
    "mlpclassifier__hidden_layer_sizes": [(16,), (32,), (64,), (32, 16)],
    "mlpclassifier__alpha": loguniform(1e-5, 1e-1),
    "mlpclassifier__learning_rate_init": loguniform(1e-3, 1e-1),
}


def search(n_iter: int = 8, max_iter: int = 200) -> RandomizedSearchCV:
    """The sweep, not yet run; each of its fits takes one thread."""
    network = MLPClassifier(
        max_iter=max_iter, early_stopping=True, dtype="float32", threads=1, random_state=0
    )
    pipeline = make_pipeline(MinMaxScaler(), network)
    # error_score: a fit that fails ends the sweep, in place of a warning and a score of NaN.
    return RandomizedSearchCV(
        pipeline, SPACE, n_iter=n_iter, cv=3, random_state=0, error_score="raise"
    )


def cluster() -> LocalCluster:
    """As many processes as there are cores would do; a thread each, and nothing but 127.0.0.1."""
    return LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
    )


def main(address: str | None = None) -> None:
    """Run the sweep on the scheduler at ``address``, or on a cluster of its own."""
    X, y = load_digits(return_X_y=True)
    with ExitStack() as stack:
        client = stack.enter_context(Client(address or stack.enter_context(cluster())))
        # Each worker gets X and y once, and not with every one of the fits.
        with joblib.parallel_config("dask", scatter=[X, y]):
            found = search().fit(X, y)
        print(f"{len(client.scheduler_info()['workers'])} workers")
    print(f"{found.best_score_:.3f} with {found.best_params_}")


if __name__ == "__main__":
    main(*sys.argv[1:])
