"""scikit-learn's estimator as its users have it, checks of the input included."""

from sklearn.neural_network import MLPClassifier

Estimator = MLPClassifier
