"""What does an epoch cost, in time and memory, and what is learned in it?"""

import fastmlp


class Epoch:
    """One epoch of SGD with one hidden layer, on all physical cores.

    "digits" is always there; "mnist" is not applicable where the files cannot be had.
    """

    params = (["mnist", "digits"], [128, 512], [32, 128, 512])
    param_names = ("data", "hidden", "batch_size")
    version = "1"
    timeout = 300

    def setup(self, data, hidden, batch_size):
        try:
            self.data = fastmlp.load_dataset(data)
        except fastmlp.DataUnavailableError as error:
            raise NotImplementedError(str(error)) from None
        n_features = self.data.x_train.shape[1]
        self.model = fastmlp.MLP([n_features, hidden, self.data.n_classes], seed=0)
        self.batch_size = batch_size
        self.fit(epochs=0)  # compiles the kernels

    def fit(self, epochs):
        data = self.data
        fastmlp.fit(
            self.model, data.x_train, data.y_train, epochs=epochs, batch_size=self.batch_size
        )

    def time_epoch(self, data, hidden, batch_size):
        self.fit(epochs=1)

    # Most of it is imports, numba's compiler among them, and the data.
    def peakmem_epoch(self, data, hidden, batch_size):
        self.fit(epochs=1)

    def track_accuracy(self, data, hidden, batch_size):
        """Test accuracy after five epochs: a faster epoch that learns less is none."""
        self.fit(epochs=5)
        return fastmlp.evaluate(self.model, self.data.x_test, self.data.y_test).accuracy

    track_accuracy.unit = "accuracy"
