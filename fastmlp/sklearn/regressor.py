"""`MLPRegressor`, with scikit-learn's names, meanings and results."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_array, validate_data

from fastmlp.inputs import Samples
from fastmlp.losses import Loss, Poisson, SquaredError
from fastmlp.sklearn.base import BaseMultilayerPerceptron, Labelled
from fastmlp.sklearn.parameters import CONSTRAINTS
from fastmlp.targets import Targets, loss_options


class MLPRegressor(RegressorMixin, BaseMultilayerPerceptron):  # type: ignore[misc]
    """Multilayer perceptron that minimises the squared error; a drop-in for scikit-learn's.

    With the same ``random_state`` and data it has the losses, parameters and predictions of
    `sklearn.neural_network.MLPRegressor` to rounding. What follows ``max_fun`` is added to its
    parameters, and changes nothing by default.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        Half the squared error, or half the Poisson deviance of ``y >= 0`` with the exponential
        function as output activation.
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
        Share held out by early stopping.
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
    loss_ : float
        Of the last epoch, penalty included.
    best_loss_ : float or None
        Least loss of any epoch; None with early stopping. Not with L-BFGS.
    loss_curve_ : list of float
        Loss of each epoch. Not with L-BFGS.
    validation_scores_, best_validation_score_ : list of float, float; or None
        R^2 of the held-out part after each epoch, and the best; with early stopping.
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
        'identity', or 'exp' with the Poisson loss.

    See Also
    --------
    MLPClassifier : The same for classes.
    fastmlp.fit : Training without scikit-learn.

    Examples
    --------
    >>> from fastmlp.sklearn import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> regr = MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X, y)
    >>> round(regr.score(X, y), 2)
    0.99
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
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
        optimizer: Any = None,
        schedule: Any = None,
        callbacks: Any = (),
        threads: Any = None,
        dtype: Any = None,
        max_seconds: Any = None,
    ) -> None:
        self.loss = loss
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
        self.optimizer = optimizer
        self.schedule = schedule
        self.callbacks = callbacks
        self.threads = threads
        self.dtype = dtype
        self.max_seconds = max_seconds

    def _network_loss(self) -> Loss:
        return Poisson() if self.out_activation_ == "exp" else SquaredError()

    def _out_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _check_xy(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=self._input_dtype(),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if hasattr(y, "tocsr") or y.dtype.kind not in "uifb":
            raise TypeError(
                f"y must be a dense array of real numbers, not {type(y).__name__} of {y.dtype}"
            )
        return X, y.reshape(len(y), -1)

    def _check_evaluated(self, y: Any) -> Any:
        y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y_val")
        y = y.reshape(len(y), -1)
        if y.shape[1] != self.n_outputs_:
            raise ValueError(f"y_val has {y.shape[1]} outputs, y {self.n_outputs_}")
        return y

    def _n_outputs(self, y: NDArray[Any]) -> int:
        return int(y.shape[1])

    def _label(self, samples: Samples, y: Any, weights: Any, dtype: np.dtype[Any]) -> Labelled:
        loss, n = self._network_loss(), y.shape[1]
        rows = np.ascontiguousarray(y, dtype)
        options = loss_options(loss, n, dtype)
        constants = None
        if loss.name == "poisson":
            options[1] = n  # the sum over the outputs, not their mean
            constants = (xlogy(y, y) - y).sum(axis=1) * (1.0 if weights is None else weights)
        else:
            options[1] = n / 2  # the gradient of half the sum; see `EstimatorRun.loss_scale`
        masses = np.empty(0, dtype) if weights is None else np.ascontiguousarray(weights, dtype)
        labels = np.empty(0, np.int64)
        return Labelled(
            samples, Targets("rows", labels, rows, masses, masses, options), y, weights, constants
        )

    def _score_outputs(self, outputs: NDArray[Any], y: NDArray[Any], weights: Any) -> float:
        return float(r2_score(y, outputs, sample_weight=weights))

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Update the model with a single iteration over the given data.

        With ``solver="lbfgs"`` with up to ``max_iter`` of them, as scikit-learn's.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        self : object
            The trained estimator.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict target values.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values.
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs
