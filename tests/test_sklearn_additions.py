"""What the estimators can that scikit-learn's own cannot."""

import copy
import json
import time

import numpy as np
import pytest
import sklearn
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_class_weight

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor
from tests.sklearn_helpers import PROBLEMS, pair_of, weights_for

BRIEF = {
    "hidden_layer_sizes": (14, 9),
    "max_iter": 8,
    "learning_rate_init": 0.01,
    "batch_size": 16,
    "random_state": 2,
}
SOLVERS = ["sgd", "adam", "lbfgs"]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted(problem="multiclass", weights=None, fit=None, **more):
    X, y = PROBLEMS[problem]
    model = pair_of(problem)[0](**BRIEF | more)
    return model.fit(X, y, weights, **fit or {})


def bits(model):
    return [array.tobytes() for array in model.coefs_ + model.intercepts_]


FUNCTIONS = {
    "identity": lambda z: z,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "gelu_tanh": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("names", [*[(n, "tanh") for n in FUNCTIONS], ("relu", "softplus")])
def test_each_hidden_layer_has_its_activation(names, solver):
    X, _ = PROBLEMS["regression"]
    model = fitted("regression", activation=list(names), solver=solver)
    A = X
    for name, W, b in zip(names, model.coefs_, model.intercepts_, strict=False):
        A = FUNCTIONS[name](A @ W + b)
    by_hand = A @ model.coefs_[-1] + model.intercepts_[-1]
    np.testing.assert_allclose(model.predict(X), by_hand.ravel(), rtol=1e-7, atol=1e-9)
    assert model.loss_ < (fitted("regression", activation=list(names), max_iter=1).loss_)


@pytest.mark.parametrize("name", ["selu", "gelu", "silu", "mish"])
def test_one_further_activation_is_that_of_every_layer(name):
    whole = fitted(activation=name)
    assert bits(whole) == bits(fitted(activation=[name, name]))
    assert bits(whole) != bits(fitted(activation=[name, "relu"]))


@pytest.mark.parametrize("name", ["relu", "tanh", "logistic"])
def test_a_list_of_one_of_theirs_is_that_one(name):
    assert bits(fitted(activation=[name, name])) == bits(fitted(activation=name))
    assert bits(fitted(activation=(name, name))) == bits(fitted(activation=name))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("none", [0, 0.0, [0.0, 0.0]])
def test_no_dropout_changes_nothing(none, solver):
    assert bits(fitted(solver=solver, dropout=none)) == bits(fitted(solver=solver))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_dropout_is_decided_by_the_random_state(solver):
    first = fitted(solver=solver, dropout=0.3)
    assert bits(first) == bits(fitted(solver=solver, dropout=0.3))
    assert bits(first) == bits(fitted(solver=solver, dropout=[0.3, 0.3]))
    others = [{"dropout": 0.0}, {"dropout": 0.4}, {"dropout": [0.3, 0.0]}, {"random_state": 5}]
    for other in others:
        assert bits(first) != bits(fitted(solver=solver, **{"dropout": 0.3} | other))
    X, _ = PROBLEMS["multiclass"]
    np.testing.assert_array_equal(first.predict_proba(X), first.predict_proba(X))


def test_dropout_goes_on_in_partial_fit():
    X, y = PROBLEMS["multiclass"]
    ends = []
    for _ in range(2):
        model = MLPClassifier(**BRIEF, dropout=0.5)
        for _ in range(4):
            model.partial_fit(X, y, classes=np.unique(y))
        ends.append(bits(model))
    plain = MLPClassifier(**BRIEF).partial_fit(X, y, classes=np.unique(y))
    assert ends[0] == ends[1] != bits(plain)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("problem", ["binary", "multiclass"])
@pytest.mark.parametrize("own", [False, True])
def test_class_weights_are_sample_weights(own, problem, solver):
    X, y = PROBLEMS[problem]
    given = {label: 0.5 + place for place, label in enumerate(np.unique(y))}
    X, y = X[10:], y[10:]  # classes of unequal size
    weights = weights_for(X) if own else 1.0
    labels = np.unique(y)
    for class_weight in ("balanced", given):
        model = MLPClassifier(**BRIEF, solver=solver, class_weight=class_weight)
        model.fit(X, y, weights if own else None)
        same = MLPClassifier(**BRIEF, solver=solver)
        # Classes are balanced by the sums of their samples' weights.
        factors = compute_class_weight(
            class_weight, classes=labels, y=y, sample_weight=weights if own else None
        )
        same.fit(X, y, weights * factors[np.searchsorted(labels, y)])
        plain = MLPClassifier(**BRIEF, solver=solver).fit(X, y, weights if own else None)
        for one, other in zip(model.coefs_, same.coefs_, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
        assert bits(model) != bits(plain)


OPTIMIZERS = [
    fastmlp.SGD(lr=0.05, momentum=0.9),
    fastmlp.AdamW(lr=0.01),
    fastmlp.NAdam(lr=0.01),
    fastmlp.RMSprop(lr=0.005),
    fastmlp.Adagrad(lr=0.05),
    fastmlp.Lion(lr=0.003),
    fastmlp.LBFGS(),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: type(each).__name__)
def test_an_optimizer_takes_the_place_of_the_solver(optimizer):
    before = repr(optimizer)
    model = fitted(optimizer=optimizer, max_iter=30)
    X, y = PROBLEMS["multiclass"]
    assert model.score(X, y) > 0.7
    assert bits(model) == bits(fitted(optimizer=copy.copy(optimizer), max_iter=30, solver="sgd"))
    assert bits(model) != bits(fitted(max_iter=30))
    assert repr(optimizer) == before
    assert model.optimizer is optimizer


def test_an_optimizer_goes_on_in_partial_fit():
    X, y = PROBLEMS["multiclass"]
    settings = BRIEF | {"shuffle": False, "tol": 0, "max_iter": 4}
    whole = MLPClassifier(**settings, optimizer=fastmlp.NAdam(lr=0.01)).fit(X, y)
    steps = MLPClassifier(**settings, optimizer=fastmlp.NAdam(lr=0.01))
    for _ in range(4):
        steps.partial_fit(X, y, classes=np.unique(y))
    assert bits(whole) == bits(steps)


class Rates(fastmlp.Callback):
    def __init__(self):
        self.seen = []

    def on_epoch_end(self, model, record):
        self.seen.append(record.learning_rate)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_schedule_sets_the_rate_of_each_epoch(solver):
    rates = Rates()
    model = fitted(solver=solver, schedule=fastmlp.Exponential(0.5), callbacks=[rates])
    np.testing.assert_allclose(rates.seen, 0.01 * 0.5 ** np.arange(8), rtol=1e-6)
    assert bits(model) != bits(fitted(solver=solver))
    constant = fitted(solver=solver, schedule=fastmlp.Constant())
    assert bits(constant) == bits(fitted(solver=solver))


def halves(problem):
    X, y = PROBLEMS[problem]
    weights = weights_for(X)
    return (X[::2], y[::2], weights[::2]), (X[1::2], y[1::2], weights[1::2])


def loss_by_hand(model, X, y, weights):
    if hasattr(model, "predict_proba"):
        P = model.predict_proba(X)
        if y.ndim == 1:
            return log_loss(y, P, sample_weight=weights, labels=model.classes_)
        each = -(y * np.log(P) + (1 - y) * np.log(1 - P)).sum(1)
        return np.average(each, weights=weights)
    return mean_squared_error(y, model.predict(X), sample_weight=weights) / 2


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel", "regression", "outputs"])
def test_the_validation_loss_is_that_of_each_epoch(problem, weighted):
    """As of a training that is stopped after each epoch, and measured by scikit-learn."""
    (X, y, _), (X_val, y_val, weights) = halves(problem)
    weights = weights if weighted else None
    given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": weights}
    estimator = pair_of(problem)[0]
    settings = BRIEF | {"max_iter": 4, "shuffle": False, "tol": 0}
    model = estimator(**settings).fit(X, y, **given)
    expected = [
        loss_by_hand(estimator(**settings | {"max_iter": n}).fit(X, y), X_val, y_val, weights)
        for n in range(1, 5)
    ]
    assert isinstance(model.validation_loss_curve_, list)
    assert all(isinstance(each, float) for each in model.validation_loss_curve_)
    np.testing.assert_allclose(model.validation_loss_curve_, expected, rtol=1e-9)
    plain = estimator(**settings).fit(X, y)
    assert plain.validation_loss_curve_ is None
    assert bits(plain) == bits(model)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_early_stopping_scores_the_evaluation_set_in_place_of_a_split(problem, weighted):
    (X, y, _), (X_val, y_val, weights) = halves(problem)
    weights = weights if weighted else None
    given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": weights}
    estimator = pair_of(problem)[0]
    settings = BRIEF | {"max_iter": 5, "shuffle": False}
    model = estimator(**settings, early_stopping=True).fit(X, y, **given)
    score = accuracy_score if problem == "multiclass" else r2_score
    expected = []
    for n in range(1, 6):
        part = estimator(**settings | {"max_iter": n}).fit(X, y)
        expected.append(score(y_val, part.predict(X_val), sample_weight=weights))
    np.testing.assert_allclose(model.validation_scores_, expected, rtol=1e-9)
    assert model.best_validation_score_ == max(model.validation_scores_)
    best = score(y_val, model.predict(X_val), sample_weight=weights)
    np.testing.assert_allclose(best, max(expected), rtol=1e-9)


class Recorder(fastmlp.Callback):
    def __init__(self, stop_after=None):
        self.calls = []
        self.losses = []
        self.stop_after = stop_after

    def on_train_begin(self, model, epochs, n_samples):
        self.calls.append(("begin", epochs, n_samples))

    def on_epoch_end(self, model, record):
        self.calls.append(("epoch", record.epoch))
        self.losses.append(record.train_loss)
        return record.epoch == self.stop_after

    def on_train_end(self, model, history):
        self.calls.append(("end",))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_callbacks_hear_of_every_epoch_and_can_stop(solver):
    recorder = Recorder()
    model = fitted(solver=solver, callbacks=[recorder])
    epochs = [("epoch", each) for each in range(1, 9)]
    assert recorder.calls == [("begin", 8, 75), *epochs, ("end",)]
    np.testing.assert_allclose(recorder.losses, model.loss_curve_, rtol=1e-12)
    assert bits(model) == bits(fitted(solver=solver))
    stopped = fitted(solver=solver, callbacks=[Recorder(stop_after=3)], shuffle=False)
    assert stopped.n_iter_ == 3
    assert bits(stopped) == bits(fitted(solver=solver, max_iter=3, shuffle=False))


def test_an_exception_in_a_callback_reaches_the_caller():
    class Fails(fastmlp.Callback):
        def on_epoch_end(self, model, record):
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        fitted(callbacks=[Fails()])


def test_the_callbacks_of_fastmlp_serve_here(tmp_path):
    log = tmp_path / "log.jsonl"
    model = fitted(callbacks=[fastmlp.JSONLinesLog(log)])
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    np.testing.assert_allclose([line["train_loss"] for line in lines], model.loss_curve_)
    stopping = fastmlp.EarlyStopping("train_loss", patience=2, min_delta=10.0)
    assert fitted(callbacks=[stopping]).n_iter_ == 3
    assert stopping.stopped_epoch == 3
    (X, y, _), (X_val, y_val, _) = halves("multiclass")
    monitor = fastmlp.EarlyStopping("val_loss", patience=100)
    model = MLPClassifier(**BRIEF, callbacks=[monitor]).fit(X, y, X_val=X_val, y_val=y_val)
    assert monitor.best_value == pytest.approx(min(model.validation_loss_curve_), rel=1e-9)
    with pytest.raises(ValueError, match="EarlyStopping monitors val_loss"):
        fitted(callbacks=[fastmlp.EarlyStopping("val_loss")])


has_callbacks = pytest.mark.skipif(
    not hasattr(MLPClassifier, "set_callbacks"), reason="scikit-learn's version has no callbacks"
)


class Hooks:
    """A FitCallback of scikit-learn that keeps what it hears."""

    def __init__(self, stop_at=None, fail_at=None):
        self.heard = []
        self.fitted = []
        self.stop_at, self.fail_at = stop_at, fail_at

    def hear(self, hook, context):
        self.heard.append((hook, context.task_name, context.task_id, context.parent is None))

    def setup(self, estimator, context):
        self.hear("setup", context)
        assert type(estimator).__name__ == context.estimator_name

    def teardown(self, estimator, context):
        self.hear("teardown", context)

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.hear("begin", context)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.hear("end", context)
        if context.parent is None:
            return False
        if fitted_estimator is not None:
            self.fitted.append(fitted_estimator)
        if context.task_id == self.fail_at:
            raise OSError("the disk is full")
        return context.task_id == self.stop_at


def tasks(hooks, epochs):
    """What is heard, from setup to teardown, of a fit of so many epochs."""
    of_epochs = [hear for hear in hooks.heard if not hear[3]]
    expected = [(hook, "epoch", n, False) for n in range(epochs) for hook in ("begin", "end")]
    assert of_epochs == expected
    assert all(name == "fit" for _, name, _, root in hooks.heard if root)
    return [hook for hook, _, _, root in hooks.heard if root]


@has_callbacks
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_scikit_learns_callbacks_hear_of_every_epoch(problem, solver):
    X, y = PROBLEMS[problem]
    hooks = Hooks()
    model = pair_of(problem)[0](**BRIEF, solver=solver).set_callbacks(hooks)
    model.fit(X, y)
    assert tasks(hooks, model.n_iter_) == ["setup", "begin", "end", "teardown"]
    assert model.n_iter_ == 8
    assert bits(model) == bits(fitted(problem, solver=solver))
    last = hooks.fitted[-1]
    np.testing.assert_allclose(last.predict(X), model.predict(X))
    assert not np.array_equal(hooks.fitted[0].coefs_[0], model.coefs_[0])
    model.set_callbacks().fit(X, y)
    assert len(hooks.fitted) == 8


@has_callbacks
def test_scikit_learns_callbacks_can_stop():
    X, y = PROBLEMS["multiclass"]
    hooks = Hooks(stop_at=2)
    model = MLPClassifier(**BRIEF, shuffle=False).set_callbacks(hooks).fit(X, y)
    assert model.n_iter_ == 3
    assert tasks(hooks, 3)[-1] == "teardown"
    assert bits(model) == bits(fitted(max_iter=3, shuffle=False))


@has_callbacks
def test_scikit_learns_callbacks_are_torn_down_after_an_exception():
    X, y = PROBLEMS["multiclass"]
    hooks = Hooks(fail_at=1)
    model = MLPClassifier(**BRIEF).set_callbacks(hooks)
    with pytest.raises(OSError, match="the disk is full"):
        model.fit(X, y)
    assert hooks.heard[-1][0] == "teardown"
    assert sum(hook == "teardown" for hook, *_ in hooks.heard) == 1
    again = MLPClassifier(**BRIEF).set_callbacks(Hooks())
    with pytest.raises(ValueError, match="NaN"):
        again.fit(X * np.nan, y)


@has_callbacks
def test_a_progress_bar_of_scikit_learn_runs(capsys):
    from sklearn.callback import ProgressBar

    X, y = PROBLEMS["multiclass"]
    model = MLPClassifier(**BRIEF).set_callbacks(ProgressBar()).fit(X, y)
    assert bits(model) == bits(fitted())
    assert "MLPClassifier" in capsys.readouterr().out


@has_callbacks
def test_what_is_no_callback_is_refused():
    with pytest.raises(TypeError, match="FitCallback protocol"):
        MLPClassifier().set_callbacks(3)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_gives_the_same_bits(dtype, solver):
    X, y = PROBLEMS["digits"]
    ends = []
    for threads in (1, 2, 3):
        model = MLPClassifier(**BRIEF, solver=solver, dtype=dtype, threads=threads, dropout=0.0)
        model.fit(X, y)
        ends.append([*bits(model), model.predict_proba(X).tobytes(), model.loss_])
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("problem", ["multiclass", "outputs"])
def test_dtype_decides_what_is_computed_in(problem, solver):
    X, y = PROBLEMS[problem]
    estimator = pair_of(problem)[0]
    for dtype in (np.float32, np.float64):
        model = estimator(**BRIEF, solver=solver, dtype=dtype.__name__)
        model.fit(X, y)
        assert {each.dtype for each in model.coefs_ + model.intercepts_} == {np.dtype(dtype)}
        same = estimator(**BRIEF, solver=solver).fit(X.astype(dtype), y)
        assert bits(model) == bits(same)
    wide = estimator(**BRIEF, solver=solver, dtype="float64").fit(X.astype(np.float32), y)
    assert wide.coefs_[0].dtype == np.float64
    with sklearn.config_context(assume_finite=True):
        assert bits(wide.fit(X.astype(np.float32), y)) != bits(same)


class Slow(fastmlp.Callback):
    def on_epoch_end(self, model, record):
        time.sleep(0.05)


def test_training_ends_when_the_time_is_up():
    settings = {"max_iter": 100_000, "n_iter_no_change": np.inf}
    fitted(max_iter=1)  # compiled
    model = fitted(**settings, max_seconds=0.3, callbacks=[Slow()])
    assert 1 < model.n_iter_ < 20
    assert len(model.loss_curve_) == model.n_iter_
    assert bits(fitted(max_seconds=1000.0)) == bits(fitted())


BAD = {
    "activation": [["relu"], ["relu"] * 3, ["relu", "none"], ["relu", None], []],
    "dropout": [-0.1, 1, 1.5, "a", [0.1], [0.1] * 3, [0.1, 1.0], [0.1, "a"], np.nan],
    "optimizer": ["adam", 3, fastmlp.SGD],
    "schedule": ["cosine", 3, fastmlp.Cosine],
    "callbacks": [3, [3], [fastmlp.Callback], fastmlp.Callback()],
    "threads": [0, -1, 2.5, "all"],
    "dtype": ["float16", "single", 32, int],
    "max_seconds": [-1, "a", np.nan],
    "class_weight": ["equal", 3, {5: 1.0, 6: 1.0}, [1.0]],
}


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_of_an_addition_is_refused_by_its_name(name, estimator):
    X, y = PROBLEMS["multiclass"]
    y = np.arange(len(y)) % 2
    if name == "class_weight" and estimator is MLPRegressor:
        with pytest.raises(TypeError, match="class_weight"):
            MLPRegressor(class_weight="balanced")
        return
    for value in BAD[name]:
        model = estimator(**BRIEF | {name: value})  # nothing is checked before fit
        with pytest.raises((ValueError, TypeError), match=name) as caught:
            model.fit(X, y)
        assert not hasattr(model, "coefs_"), value
        assert "\n" not in str(caught.value)


BAD_TOGETHER = {
    "X_val alone": (lambda X, y: {"X_val": X}, "y_val"),
    "y_val alone": (lambda X, y: {"y_val": y}, "X_val"),
    "sample_weight_val alone": (lambda X, y: {"sample_weight_val": y * 0 + 1.0}, "X_val"),
    "other features": (lambda X, y: {"X_val": X[:, 1:], "y_val": y}, "features"),
    "fewer targets": (lambda X, y: {"X_val": X, "y_val": y[1:]}, "samples"),
    "NaN": (lambda X, y: {"X_val": X * np.nan, "y_val": y}, "NaN"),
    "no rows": (lambda X, y: {"X_val": X[:0], "y_val": y[:0]}, "0 sample"),
    "fewer weights": (
        lambda X, y: {"X_val": X, "y_val": y, "sample_weight_val": y[1:] * 0.0 + 1},
        "sample_weight",
    ),
}


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("name", BAD_TOGETHER)
def test_a_bad_evaluation_set_is_refused(name, estimator):
    X, y = PROBLEMS["multiclass"]
    y = np.arange(len(y)) % 2
    given, words = BAD_TOGETHER[name]
    with pytest.raises(ValueError, match=words):
        estimator(**BRIEF).fit(X, y, **given(X, y))


def test_a_class_that_only_the_evaluation_set_has_is_refused():
    X, y = PROBLEMS["multiclass"]
    with pytest.raises(ValueError, match="class"):
        MLPClassifier(**BRIEF).fit(X, y, X_val=X, y_val=y + 1)


def test_the_split_is_not_made_where_an_evaluation_set_is_given():
    """All rows of X are trained on then."""
    X, y = PROBLEMS["multiclass"]
    X, X_val, y, y_val = train_test_split(X, y, random_state=0)
    model = MLPClassifier(**BRIEF, early_stopping=True).fit(X, y, X_val=X_val, y_val=y_val)
    assert model.t_ == model.n_iter_ * len(X)
