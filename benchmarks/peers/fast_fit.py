"""fastmlp's estimator, which takes the place of scikit-learn's by its import line."""

from fastmlp.sklearn import MLPClassifier

Estimator = MLPClassifier
