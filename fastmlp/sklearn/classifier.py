"""`MLPClassifier`, with scikit-learn's names, meanings and results."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import check_array, validate_data

from fastmlp.inputs import Samples
from fastmlp.losses import BinaryCrossEntropy, CrossEntropy, Loss
from fastmlp.sklearn.base import BaseMultilayerPerceptron, Labelled
from fastmlp.sklearn.parameters import CONSTRAINTS
from fastmlp.targets import Targets, loss_options


class MLPClassifier(ClassifierMixin, BaseMultilayerPerceptron):  # type: ignore[misc]
    """Multilayer perceptron that minimises the log loss; a drop-in for scikit-learn's.

    With the same ``random_state`` and data it has the losses, parameters and predictions of
    `sklearn.neural_network.MLPClassifier` to rounding. What follows ``max_fun`` is added to its
    parameters, and changes nothing by default.

    Parameters
    ----------
    hidden_layer_sizes : array-like of shape (n_layers - 2,), default=(100,)
        Units of each hidden layer.
    activation : {'identity', 'logistic', 'tanh', 'relu', ...} or list, default='relu'
        Of the hidden layers, or a list of one for each: scikit-learn's identity, logistic, tanh
        and relu, and leaky_relu, elu, selu, gelu, gelu_tanh, silu, mish, softplus.
    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        L-BFGS on all samples at once, stochastic gradient descent, or Adam (Kingma and Ba, 2015).
    alpha : float, default=0.0001
        Strength of the L2 penalty, which is divided by the batch's number of samples (or the sum of
        their weights).
    batch_size : int or 'auto', default='auto'
        Of sgd and adam; 'auto' is ``min(200, n_samples)``.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Of sgd: ``learning_rate_init`` throughout; divided by ``t_ ** power_t``; or divided by 5
        each time that ``n_iter_no_change`` epochs have not improved by ``tol``.
    learning_rate_init : float, default=0.001
        Initial learning rate of sgd and adam.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Most epochs; iterations of L-BFGS.
    shuffle : bool, default=True
        Whether sgd and adam take the samples in another order in each epoch.
    random_state : int, RandomState instance or None, default=None
        Of the initial parameters, the held-out part and the order of samples, with the same draws
        as scikit-learn's estimators; of dropout.
    tol : float, default=1e-4
        Training stops when ``n_iter_no_change`` epochs in a row have not improved the loss (the
        score with early stopping) by ``tol``; L-BFGS when no item of the gradient is larger.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` begins with the parameters of the fit before.
    momentum : float, default=0.9
        Of sgd.
    nesterovs_momentum : bool, default=True
        Whether sgd's momentum is Nesterov's.
    early_stopping : bool, default=False
        Whether to hold out ``validation_fraction`` of the samples, to stop by their score, and to
        end with the parameters that had the best one.
    validation_fraction : float, default=0.1
        Share held out by early stopping, of each class where there are two.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of Adam's moments.
    epsilon : float, default=1e-8
        Of Adam, beside the root of the second moment.
    n_iter_no_change : int or inf, default=10
        Epochs without an improvement by ``tol`` after which training stops.
    max_fun : int, default=15000
        Most evaluations of the loss by L-BFGS.
    dropout : float or list of float, default=0.0
        Share of the hidden layers' activations, or of each's, that a step drops.
    class_weight : dict, list of dict, 'balanced' or None, default=None
        Factor on the weights of the samples of each class; as of scikit-learn's other classifiers.
    optimizer : fastmlp optimizer, default=None
        In place of ``solver``, ``learning_rate_init``, the momenta and betas, such as
        ``fastmlp.AdamW(lr=0.001)``. ``alpha`` counts beside it.
    schedule : fastmlp schedule, default=None
        Of the learning rate, over ``max_iter`` epochs, such as ``fastmlp.Cosine()``.
    callbacks : sequence of fastmlp.Callback, default=()
        Called in each epoch; scikit-learn's own are set by ``set_callbacks``.
    threads : int, default=None
        Threads that compute; by default all cores that the process may use, or
        ``FASTMLP_NUM_THREADS``, or ``OMP_NUM_THREADS``. The result is the same bits for any number.
    dtype : {'float32', 'float64'}, default=None
        To compute in; None takes that of X.
    max_seconds : float, default=None
        Training ends with the first epoch after which so much time has gone by.

    Attributes
    ----------
    classes_ : ndarray or list of ndarray (n_classes,)
        Class labels.
    loss_ : float
        Of the last epoch, penalty included.
    best_loss_ : float or None
        Least loss of any epoch; None with early stopping. Not with L-BFGS.
    loss_curve_ : list of float
        Loss of each epoch. Not with L-BFGS.
    validation_scores_, best_validation_score_ : list of float, float; or None
        Accuracy of the held-out part after each epoch, and the best; with early stopping.
    validation_loss_curve_ : list of float or None
        Loss on ``X_val`` after each epoch, without penalty; None without ``X_val``.
    t_ : int
        Samples seen in training.
    coefs_ : list of ndarray (n_in, n_out)
        Weights of each layer.
    intercepts_ : list of ndarray (n_out,)
        Biases of each layer.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has feature names that are all strings.
    n_iter_ : int
        Epochs, or iterations of L-BFGS.
    n_layers_, n_outputs_ : int
    out_activation_ : str
        'softmax'; 'logistic' for two classes or several labels.

    See Also
    --------
    MLPRegressor : The same for real numbers.
    fastmlp.fit : Training without scikit-learn.

    Examples
    --------
    >>> from fastmlp.sklearn import MLPClassifier
    >>> from sklearn.datasets import make_classification
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> clf = MLPClassifier(random_state=1, max_iter=500).fit(X, y)
    >>> clf.predict(X[:5])
    array([0, 0, 0, 0, 1])
    """

    loss = "log_loss"  # an attribute of scikit-learn's, too, and no parameter

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        dropout: Any = 0.0,
        class_weight: Any = None,
        optimizer: Any = None,
        schedule: Any = None,
        callbacks: Any = (),
        threads: Any = None,
        dtype: Any = None,
        max_seconds: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.class_weight = class_weight
        self.optimizer = optimizer
        self.schedule = schedule
        self.callbacks = callbacks
        self.threads = threads
        self.dtype = dtype
        self.max_seconds = max_seconds

    @property
    def _is_multiclass(self) -> bool:
        return bool(self._label_binarizer.y_type_ == "multiclass")

    def _network_loss(self) -> Loss:
        return CrossEntropy() if self.out_activation_ == "softmax" else BinaryCrossEntropy()

    def _out_activation(self) -> str:
        return "softmax" if self._is_multiclass else "logistic"

    def _check_xy(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=self._input_dtype(),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
            return X, self._encode(y)
        classes = unique_labels(y)
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous"
                    f" call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        else:
            self._check_known("y", classes)
        return X, self._encode(y)

    def _check_known(self, name: str, classes: Any) -> None:
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`{name}` has classes not in `self.classes_`. `self.classes_` has"
                f" {self.classes_}. '{name}' has {classes}."
            )

    def _check_evaluated(self, y: Any) -> Any:
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y_val")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._check_known("y_val", unique_labels(y))
        return self._encode(y)

    def _encode(self, y: Any) -> NDArray[Any]:
        """Places of classes (n_samples,), or what applies to each sample (n_samples, n_outputs)."""
        if self._is_multiclass and y.ndim == 1:  # LabelBinarizer's rows would be n_classes long
            places: NDArray[Any] = np.searchsorted(self.classes_, y)
            return places
        encoded: NDArray[Any] = self._label_binarizer.transform(y).astype(bool)
        return encoded.argmax(axis=1) if self._is_multiclass else encoded

    def _n_outputs(self, y: NDArray[Any]) -> int:
        return len(self.classes_) if y.ndim == 1 else y.shape[1]

    def _all_weights(self, y: NDArray[Any], sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        if y.ndim == 2 and y.shape[1] > 1:
            factors = compute_sample_weight(self.class_weight, y)
        else:
            factors = self._weights_by_class(y.ravel().astype(np.intp), sample_weight)
        return factors if sample_weight is None else factors * sample_weight

    def _weights_by_class(self, places: NDArray[np.intp], sample_weight: Any) -> NDArray[Any]:
        """Weight of the class of each sample; "balanced" counts those that have a weight."""
        if isinstance(self.class_weight, list):
            raise ValueError("class_weight must be a dict or 'balanced' for one label, not a list")
        factors, present = np.ones(len(self.classes_)), np.arange(len(self.classes_))
        counted, weights = places, sample_weight
        if self.class_weight == "balanced":
            if sample_weight is not None:
                counted, weights = places[sample_weight > 0], sample_weight[sample_weight > 0]
            present = np.unique(counted)
        factors[present] = compute_class_weight(
            self.class_weight,
            classes=self.classes_[present],
            y=self.classes_[counted],
            sample_weight=weights,
        )
        if not (np.isfinite(factors) & (factors >= 0)).all():
            raise ValueError(
                f"class_weight must hold finite numbers of 0 or more, not {self.class_weight!r}"
            )
        return factors[places]

    def _label(self, samples: Samples, y: Any, weights: Any, dtype: np.dtype[Any]) -> Labelled:
        eps = float(np.finfo(dtype).eps)
        # scikit-learn clips probabilities to [eps, 1 - eps] in the loss, not in its gradient.
        limits = -np.log1p(-eps), -np.log(eps)
        loss, n = self._network_loss(), self._n_outputs(y)
        options = loss_options(loss, n, dtype, *limits)
        labels, rows = np.empty(0, np.int64), np.empty((0, n), dtype)
        if y.ndim == 1:
            kind, labels = "labels", np.ascontiguousarray(y, np.int64)
        else:
            kind, rows = "rounded", np.ascontiguousarray(y, dtype)
            options[1] = n  # the sum over the labels, not their mean
        masses = np.empty(0, dtype) if weights is None else np.ascontiguousarray(weights, dtype)
        targets = Targets(kind, labels, rows, masses, masses, options)
        return Labelled(samples, targets, y, weights)

    def _stratify(self, y: NDArray[Any]) -> Any:
        return y if self.n_outputs_ == 1 else None

    def _score_outputs(self, outputs: NDArray[Any], y: NDArray[Any], weights: Any) -> float:
        hits = outputs.argmax(axis=1) == y if y.ndim == 1 else ((outputs > 0.5) == y).all(axis=1)
        if weights is None:
            return float(hits.mean())
        return float(accuracy_score(np.ones_like(hits), hits, sample_weight=weights))

    @available_if(lambda est: est._check_solver())  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Update the model with a single iteration over the given data.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        classes : array of shape (n_classes,), default=None
            Classes across all calls; needed in the first one.

        Returns
        -------
        self : object
            The trained estimator.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order to use"
                " 'balanced' weights, use compute_class_weight('balanced', classes=classes, y=y)"
                " on all labels, and pass the result as a dict"
            )
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer.fit(y if multilabel else classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict class labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The predicted classes.
        """
        outputs = self._outputs(X)
        if self.n_outputs_ == 1:
            outputs = outputs.ravel()
        classes: NDArray[Any] = self._label_binarizer.inverse_transform(outputs)
        return classes

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probability estimates.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            The probability of each class, in the order of ``self.classes_``.
        """
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Logarithm of the probability estimates.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            ``log(predict_proba(X))``.
        """
        probabilities = self.predict_proba(X)
        logarithms: NDArray[Any] = np.log(probabilities, out=probabilities)
        return logarithms

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
