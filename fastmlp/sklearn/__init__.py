"""scikit-learn estimators: drop-in replacements of its `MLPClassifier` and `MLPRegressor`."""

from fastmlp.sklearn.classifier import MLPClassifier
from fastmlp.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
