"""What does a whole fit of the scikit-learn estimator cost?"""

import warnings

from sklearn.datasets import load_digits


class Classifier:
    """MLPClassifier of digits, a fixed number of epochs, with each solver."""

    params = (["adam", "sgd", "lbfgs"],)
    param_names = ("solver",)
    version = "1"

    def setup(self, solver):
        try:
            from fastmlp.sklearn import MLPClassifier
        except ImportError as error:  # a commit of before
            raise NotImplementedError(str(error)) from None
        warnings.simplefilter("ignore")  # so few epochs do not converge
        X, self.y = load_digits(return_X_y=True)
        self.X = X / 16
        self.model = MLPClassifier(solver=solver, max_iter=20, random_state=0)
        self.fit()  # compiles the kernels

    def fit(self):
        return self.model.fit(self.X, self.y)

    def time_fit(self, solver):
        self.fit()

    def track_training_error(self, solver):
        """A faster fit that learns less is none."""
        return 1 - self.fit().score(self.X, self.y)

    track_training_error.unit = "1 - accuracy"
