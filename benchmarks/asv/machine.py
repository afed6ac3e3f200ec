"""Is the machine as the figures suppose?"""


class Machine:
    version = "1"

    def track_other_threads(self):
        """Threads that BLAS and OpenMP may start beside the engine's: always 1."""
        import sklearn.neural_network  # noqa: F401  # loads NumPy's BLAS, SciPy's and OpenMP
        from threadpoolctl import threadpool_info

        return max(pool["num_threads"] for pool in threadpool_info())

    track_other_threads.unit = "threads"
