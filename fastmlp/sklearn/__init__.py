"""scikit-learn estimators: drop-in replacements of its `MLPClassifier` and `MLPRegressor`."""

from fastmlp.sklearn.estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
