"""Benchmarks of the installed package, tracked from commit to commit by asv."""

import os

from threadpoolctl import threadpool_limits

# As in asv.conf.json, whose variables reach the environments that asv makes, but not `-E existing`.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
threadpool_limits(1)  # of what is loaded: asv imports pympler, and that NumPy
