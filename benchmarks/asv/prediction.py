"""What does a prediction of 784-128-10 cost?"""

import fastmlp

from .data import CLASSES, FEATURES, synthetic


class Predict:
    """`predict_proba` of float32 rows, 81 % of them zeros."""

    version = "1"

    def setup(self):
        (self.x, _), _ = synthetic("mnist-like")
        self.model = fastmlp.MLP([FEATURES, 128, CLASSES], seed=0)
        self.predictor = self.model.predictor(batch_size=1)
        self.model.predict_proba(self.x)  # compiles the kernels
        self.predictor.predict_proba(self.x[:1])

    def time_1000_single_rows(self):
        """A thousand, since asv times one call after a `setup`."""
        for i in range(1000):
            self.model.predict_proba(self.x[i : i + 1])

    def time_1000_single_rows_bound(self):
        """By `model.predictor`, which keeps its buffers."""
        for i in range(1000):
            self.predictor.predict_proba(self.x[i : i + 1])

    def time_10000_rows(self):
        self.model.predict_proba(self.x)
