"""The example of a sweep on Dask: on a cluster of this machine it finds what it finds without."""

import importlib.util
import os
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from dask.distributed import Client
from sklearn.datasets import load_digits

from fastmlp.sklearn.parameters import threads_of

PATH = Path(__file__).resolve().parents[1] / "docs" / "sweep.py"
TIMEOUT = 300


@pytest.fixture(scope="module")
def sweep():
    spec = importlib.util.spec_from_file_location("sweep", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client(sweep):
    with sweep.cluster() as cluster, Client(cluster, timeout=TIMEOUT) as client:
        client.wait_for_workers(2, timeout=TIMEOUT)
        yield client


def test_workers_are_processes_of_one_thread_on_this_host(client):
    workers = client.scheduler_info()["workers"]
    assert [worker["nthreads"] for worker in workers.values()] == [1, 1]
    assert all(address.startswith("tcp://127.0.0.1:") for address in workers)
    pids = client.run(os.getpid).values()
    assert len({os.getpid(), *pids}) == 3


def test_a_fit_on_a_worker_takes_one_thread_also_if_nobody_says_so(client):
    assert set(client.run(threads_of, None).values()) == {1}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_sweep_on_the_cluster_finds_what_it_finds_without(sweep, client):
    X, y = (part[:300] for part in load_digits(return_X_y=True))
    alone = sweep.search(n_iter=3, max_iter=20).fit(X, y)
    with joblib.parallel_config("dask", scatter=[X, y]):
        found = sweep.search(n_iter=3, max_iter=20).fit(X, y)
    fitted_on = client.run(lambda: "fastmlp.engine.engine" in sys.modules)
    assert any(fitted_on.values())
    assert found.best_params_ == alone.best_params_
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    for name in ("coefs_", "intercepts_"):
        for one, other in zip(
            *(getattr(s.best_estimator_[-1], name) for s in (found, alone)), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_a_fit_that_fails_on_a_worker_ends_the_sweep(sweep, client):
    X, y = (part[:100] for part in load_digits(return_X_y=True))
    search = sweep.search(n_iter=1).set_params(estimator__mlpclassifier__batch_size=0)
    with joblib.parallel_config("dask"), pytest.raises(ValueError, match="batch_size"):
        search.fit(X, y)
