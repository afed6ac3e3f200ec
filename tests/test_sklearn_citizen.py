"""The estimators among scikit-learn's own tools, as any estimator of its."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor
from tests.sklearn_helpers import FITTED, PROBLEMS, weights_for

BRIEF = {
    "hidden_layer_sizes": (12,),
    "max_iter": 15,
    "learning_rate_init": 0.02,
    "random_state": 0,
    "batch_size": 25,
}
ESTIMATORS = {"multiclass": MLPClassifier, "regression": MLPRegressor}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted(problem="multiclass", **more):
    X, y = PROBLEMS[problem]
    return ESTIMATORS[problem](**BRIEF | more).fit(X, y), X, y


def assert_bits_equal(one, other, X):
    for name in FITTED:
        assert hasattr(one, name) == hasattr(other, name)
        if hasattr(one, name):
            np.testing.assert_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


VALUES = {
    "loss": "poisson",
    "hidden_layer_sizes": (3, 4),
    "activation": ["tanh", "silu"],
    "solver": "sgd",
    "alpha": 0.5,
    "batch_size": 10,
    "learning_rate": "adaptive",
    "learning_rate_init": 0.1,
    "power_t": 0.25,
    "max_iter": 7,
    "shuffle": False,
    "random_state": 4,
    "tol": 0.01,
    "verbose": True,
    "warm_start": True,
    "momentum": 0.5,
    "nesterovs_momentum": False,
    "early_stopping": True,
    "validation_fraction": 0.3,
    "beta_1": 0.8,
    "beta_2": 0.9,
    "epsilon": 1e-5,
    "n_iter_no_change": 3,
    "max_fun": 100,
    "dropout": [0.1, 0.2],
    "class_weight": "balanced",
    "optimizer": fastmlp.AdamW(lr=0.01),
    "schedule": fastmlp.Cosine(0.1),
    "callbacks": (fastmlp.EarlyStopping("train_loss"),),
    "threads": 1,
    "dtype": "float32",
    "max_seconds": 9.0,
}


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_every_parameter_is_kept_as_it_was_given(estimator):
    default = estimator()
    names = set(default.get_params())
    assert names <= set(VALUES)
    assert len(names) == len(VALUES) - 1  # loss or class_weight
    values = {name: VALUES[name] for name in names}
    for made in (estimator(**values), estimator().set_params(**values)):
        assert all(made.get_params()[name] is values[name] for name in names)
    assert clone(default).get_params() == default.get_params()
    copied = clone(estimator(**values)).get_params()
    for name in names - {"callbacks", "optimizer", "schedule"}:
        assert copied[name] == values[name]
    assert copied["optimizer"] == values["optimizer"]
    assert "alpha=0.5" in repr(estimator(**values))


def test_a_clone_is_not_fitted_and_fits_to_the_same_bits():
    model, X, y = fitted()
    twin = clone(model)
    with pytest.raises(NotFittedError):
        twin.predict(X)
    assert_bits_equal(twin.fit(X, y), model, X)


def through_joblib(mmap_mode):
    def load(model, folder):
        joblib.dump(model, folder / "model.joblib")
        return joblib.load(folder / "model.joblib", mmap_mode=mmap_mode)

    return load


COPIES = {
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "pickle, protocol 5": lambda model, folder: pickle.loads(pickle.dumps(model, protocol=5)),
    "joblib": through_joblib(None),
    "deepcopy": lambda model, folder: copy.deepcopy(model),
}


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("problem", ESTIMATORS)
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_predicts_and_trains_on_as_the_original(how, problem, solver, tmp_path):
    model, X, y = fitted(problem, solver=solver)
    before = model.predict(X)
    twin = COPIES[how](model, tmp_path)
    assert_bits_equal(twin, model, X)
    for _ in range(3):
        twin.partial_fit(X, y)
    assert not np.array_equal(twin.coefs_[0], model.coefs_[0])
    np.testing.assert_array_equal(model.predict(X), before)
    for _ in range(3):
        model.partial_fit(X, y)
    assert_bits_equal(twin, model, X)


@pytest.mark.parametrize("problem", ESTIMATORS)
def test_a_model_mapped_to_memory_predicts(problem, tmp_path):
    model, X, _ = fitted(problem)
    assert_bits_equal(through_joblib("r")(model, tmp_path), model, X)


@pytest.mark.parametrize("change", ["replaced", "in place"])
@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_parameters_set_by_hand_are_those_that_predict(name, change):
    model, X, _ = fitted("regression", activation="tanh")
    model.predict(X)
    arrays = getattr(model, name)
    new = np.full_like(arrays[0], 0.1)
    if change == "replaced":
        arrays[0] = new
    else:
        arrays[0][:] = new
    hidden = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    by_hand = (hidden @ model.coefs_[1] + model.intercepts_[1]).ravel()
    np.testing.assert_allclose(model.predict(X), by_hand, rtol=1e-12)


def test_a_pipeline_is_its_steps():
    X, y = PROBLEMS["multiclass"]
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**BRIEF)).fit(X * 9, y)
    scaled = StandardScaler().fit_transform(X * 9)
    alone = MLPClassifier(**BRIEF).fit(scaled, y)
    np.testing.assert_array_equal(pipeline.predict_proba(X * 9), alone.predict_proba(scaled))
    assert pipeline.score(X * 9, y) > 0.6


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_searches_and_scores_in_parallel_are_those_of_one_job(backend):
    X, y = PROBLEMS["multiclass"]
    model = MLPClassifier(**BRIEF)
    grid = {"alpha": [1e-4, 10.0], "solver": ["adam", "sgd"]}

    def results(jobs):
        search = GridSearchCV(model, grid, cv=3, n_jobs=jobs).fit(X, y)
        scores = cross_val_score(model, X, y, cv=4, n_jobs=jobs)
        return search.cv_results_["mean_test_score"], scores, search.predict_proba(X)

    alone = results(1)
    with joblib.parallel_config(backend=backend):
        together = results(2)
    np.testing.assert_equal(together, alone)
    assert len(set(alone[0])) > 1


def test_probabilities_can_be_calibrated():
    X, y = PROBLEMS["multiclass"]
    model = CalibratedClassifierCV(MLPClassifier(**BRIEF), cv=3).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X).sum(1), 1)
    assert model.score(X, y) > 0.6


def test_permutation_importance_finds_the_columns_that_count():
    model, X, y = fitted("regression", max_iter=100)
    importances = permutation_importance(model, X, y, n_repeats=3, random_state=0)
    assert importances.importances_mean.max() > 0.1


def test_sample_weights_are_routed():
    X, y = PROBLEMS["multiclass"]
    weights = weights_for(X)
    with sklearn.config_context(enable_metadata_routing=True):
        asks = MLPClassifier(**BRIEF).set_fit_request(sample_weight=True)
        asks = asks.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        weighted = make_pipeline(scaler, asks).fit(X, y, sample_weight=weights)[-1]
        refuses = MLPClassifier(**BRIEF).set_fit_request(sample_weight=False)
        plain = make_pipeline(scaler, refuses).fit(X, y)[-1]
    scaled = StandardScaler().fit_transform(X)
    direct = MLPClassifier(**BRIEF).fit(scaled, y, sample_weight=weights)
    assert_bits_equal(weighted, direct, scaled)
    assert not np.array_equal(plain.coefs_[0], weighted.coefs_[0])


def test_names_of_columns_are_kept_and_compared():
    X, y = PROBLEMS["multiclass"]
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = MLPClassifier(**BRIEF).fit(frame, pd.Series(y))
    assert list(model.feature_names_in_) == list("abcd")
    assert model.n_features_in_ == 4
    np.testing.assert_array_equal(model.predict(frame), fitted()[0].predict(X))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(X)
    for method in (model.predict, model.predict_proba):
        with pytest.raises(ValueError, match="The feature names should match"):
            method(frame[list("bacd")])
    with pytest.raises(ValueError, match="The feature names should match"):
        model.partial_fit(frame.rename(columns={"a": "z"}), y)
    nameless, _, _ = fitted()
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        nameless.predict(frame)


def test_early_stopping_keeps_the_names():
    X, y = PROBLEMS["multiclass"]
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = MLPClassifier(**BRIEF, early_stopping=True).fit(frame, y)
    assert list(model.feature_names_in_) == list("abcd")


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_labels_may_be_a_series_of_text(dtype):
    X, y = PROBLEMS["multiclass"]
    labels = pd.Series(np.array(["setosa", "versicolor", "virginica"])[(y + 1) // 2])
    model = MLPClassifier(**BRIEF).fit(X, labels.astype(dtype))
    assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
    predicted = model.predict(X)
    assert np.mean(predicted == labels.to_numpy()) > 0.6
    np.testing.assert_array_equal(model.predict_proba(X), fitted()[0].predict_proba(X))


METAS = {
    "OneVsRest": lambda model: OneVsRestClassifier(model),
    "Bagging": lambda model: BaggingClassifier(model, n_estimators=3, random_state=0),
    "Voting": lambda model: VotingClassifier([("a", model), ("b", clone(model))], voting="soft"),
}


@pytest.mark.parametrize("meta", METAS)
def test_meta_estimators_learn_with_it(meta):
    X, y = PROBLEMS["multiclass"]
    model = METAS[meta](MLPClassifier(**BRIEF | {"max_iter": 40})).fit(X, y)
    assert model.score(X, y) > 0.6
    np.testing.assert_allclose(model.predict_proba(X).sum(1), 1)


def test_several_outputs_of_classes_are_fitted_one_by_one():
    X, y = PROBLEMS["multiclass"]
    both = np.stack([y, -y], axis=1)
    model = MultiOutputClassifier(MLPClassifier(**BRIEF)).fit(X, both)
    np.testing.assert_array_equal(model.predict(X)[:, 0], fitted()[0].predict(X))
    model.partial_fit(X, both)


def test_kinds_representations_and_output():
    assert is_classifier(MLPClassifier())
    assert is_regressor(MLPRegressor())
    model, X, _ = fitted(dropout=0.0)
    assert not hasattr(model, "set_output")
    for each in (MLPClassifier(alpha=2), model, MLPRegressor(activation=["silu"])):
        assert type(each).__name__ in each._repr_html_()
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(model.predict(X), np.ndarray)
    assert repr(MLPClassifier(alpha=2)) == "MLPClassifier(alpha=2)"


class Interrupt(fastmlp.Callback):
    def on_epoch_end(self, model, record):
        if record.epoch == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("estimator", ESTIMATORS.values())
@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupted_training_keeps_what_it_has_learned(estimator, early_stopping):
    X, y = PROBLEMS["binary"]
    y = (y == "yes").astype(int)
    model = estimator(**BRIEF, callbacks=[Interrupt()], early_stopping=early_stopping)
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
        assert model.fit(X, y) is model
    assert model.n_iter_ == len(model.loss_curve_) <= 3
    assert model.predict(X).shape == y.shape
