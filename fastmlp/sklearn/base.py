"""What both estimators have in common: the way from `fit` to the training loop, and back."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastmlp.arguments import Part, check_optimizer
from fastmlp.callbacks import Callback, check_callbacks, check_needs
from fastmlp.inputs import Samples, check_samples
from fastmlp.losses import Loss
from fastmlp.model import MLP
from fastmlp.optimizers import LBFGS, Optimizer
from fastmlp.schedules import Constant
from fastmlp.sklearn.callbacks import CallbackSupportMixin, TaskPerEpoch, with_callbacks
from fastmlp.sklearn.monitor import Monitor
from fastmlp.sklearn.network import (
    UNKEPT,
    draw_parameters,
    layer_sizes,
    make_network,
    network_of,
    predictor_of,
)
from fastmlp.sklearn.parameters import (
    CONSTRAINTS,
    STOCHASTIC,
    check_additions,
    is_lbfgs,
    threads_of,
)
from fastmlp.sklearn.run import EstimatorRun
from fastmlp.sklearn.solvers import CurrentRate, OptimizerState, SklearnAdam, SklearnSGD
from fastmlp.targets import Targets
from fastmlp.threads import are_free, in_another_thread

SCIPY_FTOL = 2.220446049250313e-09
"""Default ``ftol`` of scipy's L-BFGS-B, which scikit-learn leaves as it is."""


class Labelled(NamedTuple):
    """X and y as the engine reads them.

    ``y`` are the values that a score is taken of, ``weights`` those of the user or None,
    ``constants`` what is added to the loss of each sample, or None.
    """

    samples: Samples
    targets: Targets
    y: NDArray[Any]
    weights: NDArray[Any] | None
    constants: NDArray[np.float64] | None = None


class BaseMultilayerPerceptron(CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
    """Base of both estimators; see there."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

    # What each of them says.

    def _network_loss(self) -> Loss:
        raise NotImplementedError

    def _out_activation(self) -> str:
        raise NotImplementedError

    def _check_xy(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """X, and y (n_samples, n_outputs), as scikit-learn checks them."""
        raise NotImplementedError

    def _check_evaluated(self, y: Any) -> Any:
        """``y`` of an evaluation set as `_check_xy` gives it."""
        raise NotImplementedError

    def _label(self, samples: Samples, y: Any, weights: Any, dtype: np.dtype[Any]) -> Labelled:
        raise NotImplementedError

    def _score_outputs(self, outputs: NDArray[Any], y: NDArray[Any], weights: Any) -> float:
        """Validation score of the network's ``outputs``."""
        raise NotImplementedError

    def _n_outputs(self, y: NDArray[Any]) -> int:
        raise NotImplementedError

    def _stratify(self, y: Any) -> Any:
        """What the held-out part is stratified by, if by anything."""
        return None

    def _all_weights(self, y: Any, sample_weight: Any) -> Any:
        """Sample weights, those of classes included; None for ones."""
        return sample_weight

    # Fitting.

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Fit the model to data matrix X and target(s) y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels in classification, real numbers in regression.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        X_val, y_val : array-like, default=None
            An evaluation set: its loss after each epoch is in ``validation_loss_curve_``, and with
            early stopping it is scored in place of a part of X.
        sample_weight_val : array-like of shape (n_samples,), default=None
            Weights of the evaluation set.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        context = None
        if hasattr(self, "_init_callback_context"):  # not before scikit-learn 1.9
            context = self._init_callback_context(max_subtasks=int(self.max_iter))
            told = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
            context.call_on_fit_task_begin(estimator=self, **told)
        watching = []
        if context is not None and hasattr(self, "_skl_callbacks"):
            watching.append(TaskPerEpoch(self, context, told))
        self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), watching)
        if context is not None:
            context.call_on_fit_task_end(
                estimator=self, reconstruction_attributes=self._parameters_copied, **told
            )
        return self

    def _check_solver(self) -> bool:
        if is_lbfgs(self) or self.solver not in STOCHASTIC:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers."
                f" {self.solver} is not stochastic."
            )
        return True

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        evaluation: tuple[Any, Any, Any] = (None, None, None),
        watching: Sequence[Callback] = (),
        incremental: bool = False,
    ) -> Any:
        """Train; ``watching`` are callbacks beside those of the user."""
        hidden = layer_sizes(self)
        check_additions(self, incremental)
        callbacks = [*watching, *check_callbacks(self.callbacks)]
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._check_xy(X, y, incremental, reset=first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        self.n_outputs_ = self._n_outputs(y)
        weights = self._all_weights(y, sample_weight)
        checked = self._check_evaluation(evaluation)
        self._random_state = check_random_state(self.random_state)
        if first:
            self._initialize([X.shape[1], *hidden, self.n_outputs_], X.dtype)
        model = network_of(self, adopt=True)
        if len(hidden) != len(model.layers) - 2 or (
            is_lbfgs(self) and hidden != list(model.layers[1:-1])
        ):
            raise ValueError(
                f"hidden_layer_sizes must be {list(model.layers[1:-1])}, as fitted before, not "
                f"{hidden}"
            )
        shape = X.shape[1], self.n_outputs_
        if shape != (model.layers[0], model.layers[-1]):  # the engine follows them without looking
            raise ValueError(
                f"X and y have {shape[0]} features and {shape[1]} outputs, the fitted network "
                f"{model.layers[0]} and {model.layers[-1]}"
            )
        data = self._label(self._samples(X, model), y, weights, model.dtype)
        held = None
        if checked is not None:
            X, y_val, weights_val = checked
            held = self._label(self._samples(X, model), y_val, weights_val, model.dtype)
        if is_lbfgs(self):
            self._minimize(model, data, held, callbacks)
        else:
            self._descend(model, data, held, self._stratify(y), callbacks, incremental)
        if not np.isfinite(model.parameters).all():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large"
                " values and need to be preprocessed."
            )
        return self

    def _initialize(self, layers: list[int], dtype: np.dtype[Any]) -> None:
        """Draw the parameters, and forget earlier fits."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(layers)
        self.out_activation_ = self._out_activation()
        draw_parameters(self, make_network(self, layers, dtype), self._random_state)
        self.validation_loss_curve_: list[float] | None = None
        if not is_lbfgs(self):
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
            stopping = self.early_stopping
            self.validation_scores_: list[float] | None = [] if stopping else None
            self.best_validation_score_ = -np.inf if stopping else None
            self.best_loss_ = None if stopping else np.inf

    def _input_dtype(self) -> Any:
        return (np.float64, np.float32) if self.dtype is None else np.dtype(self.dtype)

    def _samples(self, X: Any, model: MLP) -> Samples:
        """X, which was checked, as the engine reads it."""
        if hasattr(X, "tocsr"):  # indices are followed without looking: these are checked again
            return check_samples(X, model.layers[0], model.dtype, 1.0, "X")
        array = np.require(X, model.dtype, ["C", "A"])
        return Samples("float", (array,), array.shape[0], array.shape[1], 1.0)

    def _check_evaluation(self, evaluation: tuple[Any, Any, Any]) -> tuple[Any, Any, Any] | None:
        X, y, sample_weight = evaluation
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            raise ValueError("X_val and y_val must be given together")
        X = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=self._input_dtype(), reset=False
        )
        y = self._check_evaluated(y)
        if len(y) != X.shape[0]:
            raise ValueError(f"y_val has {len(y)} samples, X_val {X.shape[0]}")
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        return X, y, sample_weight

    def _descend(
        self,
        model: MLP,
        data: Labelled,
        held: Labelled | None,
        stratify: Any,
        callbacks: list[Callback],
        incremental: bool,
    ) -> None:
        """Adam, SGD, or the optimiser given."""
        if not incremental or not hasattr(self, "_optimizer"):
            optimizer = self._make_optimizer(model)
            # Drawn where it is needed: otherwise later draws would not be scikit-learn's.
            seed = int(self._random_state.randint(2**31)) if np.any(model.dropout) else 0
            self._optimizer = OptimizerState(
                optimizer, float(optimizer.lr), self.learning_rate, self.power_t, seed
            )
        rows, scored = np.arange(data.samples.count), None
        if self.early_stopping:
            rows, scored = self._hold_out(data, held, stratify)
        n = len(rows)
        if self.batch_size == "auto":
            batch_size = min(200, n)
        else:
            if self.batch_size > n:
                warnings.warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be"
                    " clipped",
                    stacklevel=1,
                )
            batch_size = min(self.batch_size, n)
        run = self._make_run(
            model,
            data,
            held,
            rows=rows,
            batch_size=batch_size,
            epochs=1 if incremental else self.max_iter,
            optimizer=self._optimizer.optimizer,
            schedule=self.schedule or CurrentRate(self._optimizer),
            memory=self._optimizer,
        )
        kept = self.__dict__.get("_engine") if incremental else None
        if kept is not None and self.threads in (None, kept.team.threads):
            run.kept = kept

        def score() -> float:
            assert scored is not None
            part, positions = scored
            outputs = run.outputs_of(part.samples, positions, model.loss.output)
            if not (model.loss.has_accuracy or np.isfinite(outputs).all()):
                return np.nan
            weights = None if part.weights is None else part.weights[positions]
            return self._score_outputs(outputs, part.y[positions], weights)

        monitor = Monitor(self, n, score if scored else None)
        run.callbacks = [monitor, *callbacks]
        self.n_iter_ = 0
        try:
            self._train(run, keep=incremental)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=1)
        else:
            if not incremental and self.n_iter_ == self.max_iter and not monitor.stalled:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter:d}) reached and the"
                    " optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=1,
                )
        if monitor.best is not None:
            model.parameters[...] = monitor.best

    def _hold_out(
        self, data: Labelled, held: Labelled | None, stratify: Any
    ) -> tuple[NDArray[np.int64], tuple[Labelled, NDArray[np.int64]]]:
        """Rows to train on, and what early stopping scores: data, and rows of it."""
        rows = np.arange(data.samples.count)
        if held is not None:
            return rows, (held, np.arange(held.samples.count))
        rows, scored = train_test_split(
            rows,
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        if len(scored) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of"
                " your dataset."
            )
        return rows, (data, scored)

    def _minimize(
        self, model: MLP, data: Labelled, held: Labelled | None, callbacks: list[Callback]
    ) -> None:
        """L-BFGS."""
        n, masses = data.samples.count, data.targets.masses
        decay = self.alpha / float(masses.sum() if len(masses) else n)
        optimizer = self.optimizer or LBFGS(tolerance_grad=self.tol, tolerance_change=SCIPY_FTOL)
        optimizer = replace(optimizer, weight_decay=optimizer.weight_decay + decay)
        run = self._make_run(
            model,
            data,
            held,
            rows=np.arange(n),
            batch_size=n,
            epochs=self.max_iter,
            optimizer=optimizer,
            schedule=self.schedule or Constant(),
            memory=None,
        )
        run.callbacks, run.evaluations = callbacks, self.max_fun
        self._train(run)
        result = run.minimum
        if run.stopped:
            self.n_iter_ = result.nit
        else:
            self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = result.fun

    def _make_optimizer(self, model: MLP) -> Optimizer:
        if self.optimizer is not None:
            return check_optimizer(self.optimizer, model)
        if self.solver == "sgd":
            return SklearnSGD(self.learning_rate_init, self.momentum, self.nesterovs_momentum)
        return SklearnAdam(self.learning_rate_init, (self.beta_1, self.beta_2), self.epsilon)

    def _make_run(
        self, model: MLP, data: Labelled, held: Labelled | None, **settings: Any
    ) -> EstimatorRun:
        validation = None
        if held is not None:
            validation = Part(held.samples, held.targets, np.arange(held.samples.count))
        return EstimatorRun(
            model=model,
            samples=data.samples,
            targets=data.targets,
            validation=validation,
            seed=0 if is_lbfgs(self) else self._optimizer.seed,
            shuffle=self.shuffle,
            metrics=(),
            averaging=None,
            augmentation=None,
            max_seconds=self.max_seconds,
            target_accuracy=None,
            callbacks=(),
            clip_norm=None,
            clip_value=None,
            max_norm=None,
            fewer_threads=are_free(self.threads),
            penalty=None if is_lbfgs(self) else self.alpha or None,
            tolerant=True,
            random_state=self._random_state,
            loss_scale=1 / model.layers[-1] if model.loss.name == "squared_error" else 1.0,
            constants=data.constants,
            held_constants=None if held is None else held.constants,
            **settings,
        )

    def _train(self, run: EstimatorRun, keep: bool = False) -> None:
        """Let ``run`` train; ``keep`` its engine for the next call of `partial_fit`."""
        run.check_combinations()
        check_needs(run.callbacks, run.validation is not None, ())
        try:
            if run.suits:
                engine = run.take_kept()
            else:
                products = len(run.rows) * len(run.model.parameters)
                threads = threads_of(self.threads, None if keep else products)
                engine = in_another_thread(lambda: run.compiled(threads))
            try:
                run.begin(engine, None)
                try:
                    run.train()
                except KeyboardInterrupt:
                    self._end(run)
                    raise
                self._end(run)
            finally:
                engine.team.close()
                engine.let_go()
                if run.memory is not None:
                    run.memory.keep(engine.step, engine.state)
        finally:
            for callback in run.callbacks:
                if hasattr(callback, "release"):
                    callback.release()
            run.callbacks = ()  # one of them knows of the run: the two would keep X alive
        self._engine = engine if keep else None

    def _end(self, run: EstimatorRun) -> None:
        """Training has ended, by itself or by Ctrl-C."""
        for callback in run.callbacks:
            callback.on_train_end(run.model, run.history)
        if run.validation is not None:
            losses = run.history.to_dict()["val_loss"]
            self.validation_loss_curve_ = [*(self.validation_loss_curve_ or []), *losses]

    # The fitted network.

    def _outputs(self, X: Any) -> NDArray[Any]:
        """The network's outputs for ``X``, through the output activation."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        network = network_of(self)
        predictor = predictor_of(self, network)
        outputs = predictor.predict_proba(X) if network.loss.has_accuracy else predictor.predict(X)
        if np.result_type(X.dtype, outputs.dtype) == np.float64:  # as a product with X would be
            outputs = outputs.astype(np.float64, copy=False)
        return outputs.reshape(len(outputs), -1)

    def _parameters_copied(self) -> dict[str, Any]:
        """What a copy of the estimator needs to predict as this one does now."""
        return {
            "coefs_": [np.array(W) for W in self.coefs_],
            "intercepts_": [np.array(b) for b in self.intercepts_],
        }

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds: without buffers."""
        return {k: v for k, v in super().__getstate__().items() if k not in UNKEPT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Let ``coefs_`` and ``intercepts_`` be views of a network again."""
        super().__setstate__(state)
        if hasattr(self, "coefs_"):
            network_of(self, adopt=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
