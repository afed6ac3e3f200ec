"""scikit-learn gives what the model gives, and what comes back from there has the same bits."""

import pickle

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

import fastmlp
import fastmlp.sklearn
from fastmlp.export import from_sklearn, to_sklearn
from tests.export_helpers import DTYPES, assert_close, assert_same_bits, network, samples

ACTIVATIONS = ["relu", "tanh", "sigmoid", "identity"]
NAMES = [*ACTIVATIONS, "binary", "binary, one output", "squared error", "poisson", "linear", "deep"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_scikit_learn_predicts_the_same_and_the_way_back_gives_the_same_bits(name, dtype):
    model = network(name, dtype)
    x = samples(model)
    estimator = to_sklearn(model)
    assert type(estimator).__module__.startswith("sklearn.")
    np.testing.assert_array_equal(estimator.predict(x).shape, model.predict(x).shape)
    if model.loss.has_accuracy:
        expected = model.predict_proba(x)
        if expected.shape[1] == 1:
            expected = np.hstack([1 - expected, expected])
        assert_close(estimator.predict_proba(x), expected)
        np.testing.assert_array_equal(estimator.predict(x), model.predict(x))
    else:
        assert_close(estimator.predict(x), model.predict(x))
    back = from_sklearn(estimator)
    assert_same_bits(back, model)
    assert (back.loss, back.uint8_scale) == (model.loss, 1)
    assert back.activations == model.activations


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_classes_have_one_output_in_scikit_learn(dtype):
    model = network(dtype=dtype, layers=[7, 9, 8, 2])
    x = samples(model)
    estimator = to_sklearn(model, classes=["no", "yes"])
    assert estimator.out_activation_ == "logistic"
    assert [W.shape for W in estimator.coefs_] == [(7, 9), (9, 8), (8, 1)]
    assert_close(estimator.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(
        estimator.predict(x), np.array(["no", "yes"])[model.predict_proba(x).argmax(axis=1)]
    )
    assert from_sklearn(estimator).loss == fastmlp.BinaryCrossEntropy()


def test_labels_may_be_anything_ordered():
    model = network()
    x = samples(model)
    labels = np.array(["a", "b", "cc", "d"])
    estimator = to_sklearn(model, classes=labels)
    np.testing.assert_array_equal(estimator.classes_, labels)
    np.testing.assert_array_equal(estimator.predict(x), labels[model.predict(x)])


@pytest.mark.parametrize("name", ["relu", "binary", "binary, one output", "squared error"])
def test_the_estimator_is_whole_it_trains_on_is_cloned_and_pickled(name):
    model = network(name, "float64")
    x = samples(model)
    y = model.predict(x)
    estimator = to_sklearn(model)
    before = [np.array(W) for W in estimator.coefs_]
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict(x), estimator.predict(x))
    assert not hasattr(clone(estimator), "coefs_")
    assert (estimator.n_iter_, estimator.t_, estimator.loss_curve_) == (0, 0, [])
    estimator.partial_fit(x, y)
    assert (estimator.n_iter_, estimator.t_) == (1, len(x))
    assert len(estimator.loss_curve_) == 1
    # Adam's first step moves a weight by the learning rate at most.
    steps = [np.abs(W - old).max() for W, old in zip(estimator.coefs_, before, strict=True)]
    assert 0 < max(steps) <= 1.001e-3
    np.testing.assert_array_equal(model.weights[0], before[0])


FITS = {
    "classes": ("MLPClassifier", lambda rng: rng.integers(0, 3, 60), {"activation": "tanh"}),
    "two classes": ("MLPClassifier", lambda rng: rng.integers(0, 2, 60), {}),
    "labels": ("MLPClassifier", lambda rng: rng.integers(0, 2, (60, 3)), {}),
    "real": ("MLPRegressor", lambda rng: rng.standard_normal((60, 2)), {"activation": "logistic"}),
    "one real": ("MLPRegressor", lambda rng: rng.standard_normal(60), {}),
    "counts": ("MLPRegressor", lambda rng: rng.poisson(2.0, 60), {"loss": "poisson"}),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("module", [neural_network, fastmlp.sklearn])
@pytest.mark.parametrize("case", FITS)
def test_a_fitted_estimator_becomes_a_model_that_predicts_the_same(case, module, dtype):
    kind, targets, settings = FITS[case]
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 5)).astype(dtype), targets(rng)
    made = getattr(module, kind)(hidden_layer_sizes=(8, 6), max_iter=5, random_state=0, **settings)
    estimator = made.fit(x, y)
    model = from_sklearn(estimator)
    assert model.dtype == dtype
    ours = [*model.weights, *model.biases]
    for array, expected in zip(ours, estimator.coefs_ + estimator.intercepts_, strict=True):
        np.testing.assert_array_equal(array, expected)
    predicted = model.predict(x)
    if case == "classes":
        predicted = estimator.classes_[predicted]
    if kind == "MLPRegressor":
        assert_close(predicted, estimator.predict(x).astype(dtype))
    else:
        np.testing.assert_array_equal(predicted, estimator.predict(x))
    before = np.array(estimator.coefs_[0])
    model.weights[0][...] = 0
    np.testing.assert_array_equal(estimator.coefs_[0], before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_activations_and_dropout_of_fastmlp_s_estimators_are_kept():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 5)), rng.integers(0, 3, 60)
    estimator = fastmlp.sklearn.MLPClassifier(
        (8, 6), activation=["logistic", "gelu"], dropout=[0.1, 0.2], max_iter=2
    ).fit(x, y)
    model = from_sklearn(estimator)
    assert model.activation == ("sigmoid", "gelu")
    assert model.dropout == (0.1, 0.2)
    np.testing.assert_array_equal(model.predict_proba(x), estimator.predict_proba(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "gelu"}, r"has one of identity, sigmoid, .* not 'gelu'"),
        ({"activation": ["relu", "tanh"]}, r"one of .* for all hidden layers, not \('relu', 't"),
        ({"norm": "layer"}, "scikit-learn has no norm, and this network 'layer'"),
        ({"norm": [None, "batch"]}, r"no norm, and this network \(None, 'batch'\)"),
        ({"layers": [7, 9, 8, 1]}, "no classifier of one class"),
    ],
)
def test_what_scikit_learn_does_not_have_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        to_sklearn(network(**settings))


@pytest.mark.parametrize("wrong", [[0, 1, 2], [0, 1, 2, 2], [3, 2, 1, 0], "abcd", 4])
def test_wrong_classes_are_named(wrong):
    with pytest.raises(ValueError, match=r"^classes must be 4 different labels in ascending order"):
        to_sklearn(network(), classes=wrong)


@pytest.mark.parametrize("name", ["squared error", "binary"])
def test_classes_are_of_one_label(name):
    with pytest.raises(ValueError, match=r"^classes are "):
        to_sklearn(network(name), classes=range(4))


def test_what_is_no_fitted_multilayer_perceptron_is_refused():
    for wrong in (3, None, StandardScaler(), neural_network.MLPClassifier):
        with pytest.raises((TypeError, ValueError), match=r"^estimator must be "):
            from_sklearn(wrong)
    with pytest.raises(ValueError, match="must be fitted, and MLPClassifier"):
        from_sklearn(neural_network.MLPClassifier())
    with pytest.raises(TypeError, match=r"^model must be a fastmlp\.MLP"):
        to_sklearn(neural_network.MLPClassifier())
