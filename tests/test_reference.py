"""The reference against finite differences, scalar loops, scikit-learn, and its own contract.

The scalar loops at the top are the naive twin: they import nothing, use no array, and follow the
definitions one sample, one unit at a time.
"""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import reference
from reference.activations import ACTIVATIONS, SELU_SCALE, relu, relu_derivative
from reference.functions import log_softmax, softmax
from reference.losses import CrossEntropy

# --- the naive twin -------------------------------------------------------------------------------


def naive_forward(weights, biases, x):
    """Inputs and pre-activations of every layer for one sample, as lists of floats."""
    inputs, outputs = [], []
    a = [float(value) for value in x]
    for k, (W, b) in enumerate(zip(weights, biases, strict=True)):
        z = []
        for j in range(len(b)):
            total = b[j]
            for i in range(len(a)):
                total += a[i] * W[i][j]
            z.append(total)
        inputs.append(a)
        outputs.append(z)
        a = z if k == len(weights) - 1 else [value if value > 0 else 0.0 for value in z]
    return inputs, outputs


def naive_probabilities(z):
    exponentials = [math.exp(value) for value in z]
    return [value / sum(exponentials) for value in exponentials]


def naive_loss_and_gradients(weights, biases, xs, ys):
    dW = [[[0.0] * len(row) for row in W] for W in weights]
    db = [[0.0] * len(b) for b in biases]
    loss = 0.0
    for x, y in zip(xs, ys, strict=True):
        inputs, outputs = naive_forward(weights, biases, x)
        p = naive_probabilities(outputs[-1])
        loss -= math.log(p[y]) / len(xs)
        delta = [(p[j] - (1 if j == y else 0)) / len(xs) for j in range(len(p))]
        for k in range(len(weights) - 1, -1, -1):
            for j in range(len(delta)):
                db[k][j] += delta[j]
                for i in range(len(inputs[k])):
                    dW[k][i][j] += inputs[k][i] * delta[j]
            if k > 0:
                below = []
                for i in range(len(inputs[k])):
                    total = 0.0
                    for j in range(len(delta)):
                        total += weights[k][i][j] * delta[j]
                    below.append(total if outputs[k - 1][i] > 0 else 0.0)
                delta = below
    return loss, dW, db


def naive_sgd(lr):
    """What to subtract from a parameter, by its place and its gradient."""
    return lambda place, gradient: lr * gradient


def naive_adam(lr, beta1, beta2, eps):
    """The same. Algorithm 1 of the paper, a parameter at a time."""
    moments = {}

    def step(place, gradient):
        m, v, t = moments.get(place, (0.0, 0.0, 0))
        t += 1
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient * gradient
        moments[place] = m, v, t
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        return lr * m_hat / (math.sqrt(v_hat) + eps)

    return step


def naive_fit(weights, biases, xs, ys, *, epochs, batch_size, step, seed, shuffle):
    """Train the nested lists in place; returns the mean loss of each epoch."""
    n = len(xs)
    curve = []
    for epoch in range(1, epochs + 1):
        order = list(range(n))
        if shuffle and batch_size < n:
            order = [int(row) for row in np.random.default_rng((seed, epoch)).permutation(n)]
        total = 0.0
        for start in range(0, n, batch_size):
            rows = order[start : start + batch_size]
            loss, dW, db = naive_loss_and_gradients(
                weights, biases, [xs[r] for r in rows], [ys[r] for r in rows]
            )
            total += loss * len(rows)
            for k in range(len(weights)):
                for j in range(len(biases[k])):
                    biases[k][j] -= step(("b", k, j), db[k][j])
                    for i in range(len(weights[k])):
                        weights[k][i][j] -= step(("W", k, i, j), dW[k][i][j])
        curve.append(total / n)
    return curve


# --- helpers --------------------------------------------------------------------------------------


def problem(layers, n, *, dtype="float64", seed=0, init="uniform"):
    """A model with biases that are not zero, and n samples for it."""
    rng = np.random.default_rng(seed + 100)
    model = reference.MLP(layers, dtype=dtype, seed=seed, init=init)
    x = rng.standard_normal((n, layers[0])).astype(dtype)
    return model, x, rng.integers(0, layers[-1], n)


def parameters(model):
    return model.weights + model.biases


def copies(model):
    return [V.copy() for V in parameters(model)]


def as_lists(model):
    return [W.tolist() for W in model.weights], [b.tolist() for b in model.biases]


def assert_same_bits(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


class Recorder(reference.Callback):
    """Every call, in order, with a copy of the parameters after each step."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.events = []
        self.snapshots = []

    def on_train_begin(self, model, epochs, n_samples):
        self.model = model
        self.events.append(("begin", epochs, n_samples))

    def on_progress(self, samples, loss, accuracy):
        self.events.append(("progress", samples, loss, accuracy))
        self.snapshots.append(copies(self.model))

    def on_epoch_end(self, model, record):
        self.events.append(("end", record))
        return record.epoch == self.stop_at


# --- functions ------------------------------------------------------------------------------------

DTYPES = ["float32", "float64"]
logit_arrays = st.sampled_from([(np.float32, 32), (np.float64, 64)]).flatmap(
    lambda kind: hnp.arrays(
        kind[0],
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.floats(-1e4, 1e4, width=kind[1]),
    )
)


def test_relu_and_its_derivative_are_zero_up_to_the_kink():
    Z = np.array([[-2.0, -0.0, 0.0, 3.0]])
    np.testing.assert_array_equal(relu(Z), [[0, 0, 0, 3]])
    np.testing.assert_array_equal(relu_derivative(Z), [[0, 0, 0, 1]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_s_derivative_is_its_finite_difference(name):
    Z = np.linspace(-6, 6, 1000)  # no kink at 0 among them
    function, derivative = ACTIVATIONS[name]
    expected = (function(Z + 1e-5) - function(Z - 1e-5)) / 2e-5
    np.testing.assert_allclose(derivative(Z), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_finite_wherever_its_argument_is(name, dtype):
    """And no warning is given; far out each is 0, a constant, or a line of slope 1 or 0.01."""
    limit = np.finfo(dtype).max / 2
    Z = np.array([-limit, -1e4, -200, -50, -0.0, 0, 50, 200, 1e4, limit], dtype)
    function, derivative = ACTIVATIONS[name]
    for A in (function(Z), derivative(Z)):
        assert A.dtype == dtype
        assert np.isfinite(A).all()
    assert name in ("identity", "leaky_relu", "elu", "selu") or abs(function(Z)[0]) <= 1
    left, right = {
        "identity": (1, 1),
        "leaky_relu": (0.01, 1),
        "selu": (0, SELU_SCALE),
        "sigmoid": (0, 0),
        "tanh": (0, 0),
    }.get(name, (0, 1))
    np.testing.assert_allclose(derivative(Z)[[0, 1, 8, 9]], [left, left, right, right], rtol=1e-6)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "sigmoid", "softplus", "mish"])
def test_what_an_activation_leaves_of_a_negative_number_keeps_its_digits(name):
    z = -12.0
    expected = {
        "gelu": z * math.erfc(12 / math.sqrt(2)) / 2,
        "gelu_tanh": z / (1 + math.exp(2 * math.sqrt(2 / math.pi) * (12 + 0.044715 * 12**3))),
        "silu": z / (1 + math.exp(12)),
        "sigmoid": 1 / (1 + math.exp(12)),
        "softplus": math.log1p(math.exp(-12)),
        "mish": z * math.tanh(math.log1p(math.exp(-12))),
    }[name]
    function, _ = ACTIVATIONS[name]
    np.testing.assert_allclose(function(np.array([z])), expected, rtol=1e-13)
    if name != "gelu_tanh":  # whose value in float32 is 0, or nearly so
        single = function(np.array([z], np.float32))
        np.testing.assert_allclose(single, expected, rtol=2e-5)


@settings(deadline=None)
@given(logit_arrays)
def test_softmax_rows_sum_to_one(Z):
    P = softmax(Z)
    assert P.dtype == Z.dtype
    assert np.all(P >= 0)
    np.testing.assert_allclose(P.sum(axis=1, dtype=np.float64), 1, rtol=64 * np.finfo(Z.dtype).eps)


@settings(deadline=None)
@given(logit_arrays, st.integers(-1000, 1000))
def test_softmax_does_not_change_when_a_row_is_shifted(Z, shift):
    # In whole numbers both sides of the shift are exact, so the results must be the same bits.
    Z = np.round(Z)
    np.testing.assert_array_equal(softmax(Z + Z.dtype.type(shift)), softmax(Z))


@settings(deadline=None)
@given(logit_arrays)
def test_log_softmax_is_the_logarithm_that_scalar_arithmetic_gives(Z):
    eps = np.finfo(Z.dtype).eps
    for row, got in zip(Z.tolist(), log_softmax(Z), strict=True):
        total = math.fsum(math.exp(z - max(row)) for z in row)
        expected = [z - max(row) - math.log(total) for z in row]
        np.testing.assert_allclose(got, expected, rtol=4 * eps, atol=16 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_huge_logits_give_a_finite_loss(dtype, size):
    Z = np.array([[size, -size, 0], [size, -size, 0], [size, size, size]], dtype)
    y, ones = np.array([0, 1, 2]), np.ones(3, dtype)
    losses = CrossEntropy().losses(Z, y, ones)
    np.testing.assert_allclose(losses, [0, 2 * size, math.log(3)], rtol=1e-6)
    assert np.isfinite(CrossEntropy().derivative(Z, y, ones)).all()


@settings(deadline=None)
@given(logit_arrays, st.data())
def test_cross_entropy_is_never_negative_and_its_derivative_rows_sum_to_zero(Z, data):
    n, n_classes = Z.shape
    y = np.array(data.draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)))
    ones = np.ones(n_classes, Z.dtype)
    assert np.all(CrossEntropy().losses(Z, y, ones) >= 0)
    dZ = CrossEntropy().derivative(Z, y, ones)
    assert dZ.dtype == Z.dtype
    np.testing.assert_allclose(dZ.sum(axis=1), 0, atol=64 * np.finfo(Z.dtype).eps)


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_he_normal_draws_layer_after_layer_from_one_generator(dtype):
    model = reference.MLP([5, 4, 3], dtype=dtype, seed=7)
    rng = np.random.default_rng(7)
    for W, b, (n_in, n_out) in zip(model.weights, model.biases, [(5, 4), (4, 3)], strict=True):
        expected = (rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)).astype(dtype)
        assert_same_bits([W, b], [expected, np.zeros(n_out, dtype)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_draws_weights_then_biases_of_each_layer(dtype):
    model = reference.MLP([5, 4, 3], dtype=dtype, seed=7, init="uniform")
    rng = np.random.default_rng(7)
    for W, b, (n_in, n_out) in zip(model.weights, model.biases, [(5, 4), (4, 3)], strict=True):
        expected_W = rng.uniform(-0.5, 0.5, (n_in, n_out)).astype(dtype)
        expected_b = rng.uniform(-0.5, 0.5, n_out).astype(dtype)
        assert_same_bits([W, b], [expected_W, expected_b])


def test_attributes_say_how_the_model_was_made():
    model = reference.MLP(np.array([784, 128, 10]), seed=3, uint8_scale=0.5)
    assert model.layers == (784, 128, 10)
    assert all(type(size) is int for size in model.layers)
    assert (model.activation, model.init, model.seed) == ("relu", "he_normal", 3)
    assert model.dtype == np.dtype("float32")
    assert model.uint8_scale == 0.5
    assert model.n_parameters == 784 * 128 + 128 + 128 * 10 + 10


# --- the gradient, three ways ---------------------------------------------------------------------

NETWORKS = [[3, 4], [5, 1, 2], [4, 6, 3], [3, 5, 4, 3], [6, 2, 7, 3, 4], [2, 4, 3, 4, 3, 2]]


def finite_differences(model, x, y, step=1e-5):
    """(loss(V + step) − loss(V − step)) / 2·step for each parameter.

    At 1e-5 the truncation, about step², and the rounding, about 1e-16 / step, are both near 1e-10.
    relu has no derivative at its kink: a difference across one is wrong by about the slope, so the
    signs of all hidden pre-activations must be those of the middle on either side.
    """

    def signs():
        return [Z > 0 for Z in model.forward(x)[1][:-1]]

    middle = signs()
    differences = []
    for V in parameters(model):
        D = np.empty_like(V)
        for index in np.ndindex(V.shape):
            value = V[index]
            losses = []
            for shifted in (value + step, value - step):
                V[index] = shifted
                losses.append(reference.evaluate(model, x, y).loss)
                for before, now in zip(middle, signs(), strict=True):
                    assert np.array_equal(before, now), "a kink is crossed: choose another seed"
            V[index] = value
            D[index] = (losses[0] - losses[1]) / (2 * step)
        differences.append(D)
    return differences


@pytest.mark.parametrize("layers", NETWORKS, ids=str)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradients_equal_finite_differences(layers, seed):
    model, x, y = problem(layers, n=6, seed=seed)
    gradients = reference.loss_and_gradients(model, x, y)
    expected = finite_differences(model, x, y)
    # Over all parameters as one vector: a layer that relu has shut off has gradient 0 = 0.
    got = np.concatenate([dV.ravel() for dV in gradients.weights + gradients.biases])
    want = np.concatenate([dV.ravel() for dV in expected])
    assert np.linalg.norm(want) > 1e-3
    assert np.linalg.norm(got - want) < 1e-7 * np.linalg.norm(want)


@pytest.mark.parametrize("layers", NETWORKS, ids=str)
def test_loss_and_gradients_equal_scalar_loops(layers):
    model, x, y = problem(layers, n=7)
    got = reference.loss_and_gradients(model, x, y)
    loss, dW, db = naive_loss_and_gradients(*as_lists(model), x.tolist(), y.tolist())
    assert got.loss == pytest.approx(loss, rel=1e-13)
    for dV, expected in zip(got.weights + got.biases, dW + db, strict=True):
        np.testing.assert_allclose(dV, expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("layers", [[6, 3], [6, 5, 3], [6, 5, 4, 3]], ids=str)
def test_loss_and_step_equal_scikit_learn(layers):
    from sklearn.neural_network import MLPClassifier

    model, x, _ = problem(layers, n=12)
    y = np.arange(12) % 3
    lr = 0.3
    theirs = MLPClassifier(
        hidden_layer_sizes=layers[1:-1],
        solver="sgd",
        alpha=0,
        momentum=0,
        learning_rate_init=lr,
        batch_size=len(x),
        shuffle=False,
        random_state=0,
    )
    theirs.partial_fit(x, y, classes=[0, 1, 2])  # makes the arrays, which then get our values
    for V, ours in zip(theirs.coefs_ + theirs.intercepts_, parameters(model), strict=True):
        V[...] = ours
    theirs.partial_fit(x, y)

    gradients = reference.loss_and_gradients(model, x, y)
    assert gradients.loss == pytest.approx(theirs.loss_, rel=1e-12)
    moved = zip(parameters(model), theirs.coefs_ + theirs.intercepts_, strict=True)
    for dV, (before, after) in zip(gradients.weights + gradients.biases, moved, strict=True):
        np.testing.assert_allclose(dV, (before - after) / lr, rtol=1e-9, atol=1e-14)
    reference.fit(model, x, y, epochs=1, batch_size="full", optimizer=reference.SGD(lr=lr))
    for V, after in zip(parameters(model), theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(V, after, rtol=1e-12, atol=1e-15)


def test_full_batch_gradient_is_the_mean_of_the_samples_gradients():
    model, x, y = problem([4, 6, 3], n=9)
    whole = reference.loss_and_gradients(model, x, y)
    each = [reference.loss_and_gradients(model, x[i : i + 1], y[i : i + 1]) for i in range(9)]
    assert whole.loss == pytest.approx(np.mean([g.loss for g in each]), rel=1e-14)
    for k in range(2):
        mean_W = np.mean([g.weights[k] for g in each], axis=0)
        mean_b = np.mean([g.biases[k] for g in each], axis=0)
        np.testing.assert_allclose(whole.weights[k], mean_W, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(whole.biases[k], mean_b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_have_the_shapes_and_dtype_of_the_parameters(dtype):
    model, x, y = problem([4, 6, 3], n=5, dtype=dtype)
    before = copies(model)
    gradients = reference.loss_and_gradients(model, x, y)
    assert type(gradients.loss) is float
    for V, dV in zip(parameters(model), gradients.weights + gradients.biases, strict=True):
        assert (dV.shape, dV.dtype) == (V.shape, V.dtype)
    assert_same_bits(parameters(model), before)


# --- loss and prediction --------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [1, 2, 10])
def test_loss_of_a_uniform_prediction_is_log_n_classes(n_classes):
    model, x, y = problem([3, n_classes], n=4)
    for V in parameters(model):
        V[...] = 0
    assert reference.evaluate(model, x, y).loss == pytest.approx(math.log(n_classes), abs=1e-15)


def test_prediction_is_the_first_maximum():
    model, x, _ = problem([3, 4], n=5)
    for V in parameters(model):
        V[...] = 0
    model.biases[0][2:] = 1
    predicted = model.predict(x)
    np.testing.assert_array_equal(predicted, np.full(5, 2))
    assert predicted.dtype == np.intp


@pytest.mark.parametrize("dtype", DTYPES)
def test_probabilities_and_logits_equal_scalar_loops(dtype):
    model, x, _ = problem([4, 6, 5, 3], n=8, dtype=dtype)
    logits, probabilities = model.logits(x), model.predict_proba(x)
    assert logits.dtype == probabilities.dtype == model.dtype
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    for row, z, p in zip(x.tolist(), logits, probabilities, strict=True):
        expected = naive_forward(*as_lists(model), row)[1][-1]
        np.testing.assert_allclose(z, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(p, naive_probabilities(expected), rtol=tolerance)


def test_prediction_in_blocks_leaves_no_row_out():
    model, x, y = problem([3, 4, 3], n=2 * 4096 + 5)
    logits = model.logits(x)
    np.testing.assert_allclose(logits, model.forward(x)[1][-1], rtol=1e-12, atol=1e-14)
    got = reference.evaluate(model, x, y)
    assert got.accuracy == np.mean(logits.argmax(axis=1) == y)
    assert got.loss == pytest.approx(reference.loss_and_gradients(model, x, y).loss, rel=1e-13)


def test_evaluate_counts_the_right_answers():
    model, x, _ = problem([3, 5, 4], n=8)
    y = model.predict(x)
    assert reference.evaluate(model, x, y).accuracy == 1.0
    y[:2] = (y[:2] + 1) % 4
    assert reference.evaluate(model, x, y).accuracy == 0.75


# --- training -------------------------------------------------------------------------------------


def tiny_network():
    """2-3-2 and five samples, in numbers written down: no generator decides the curve below.

    No hidden pre-activation is near the kink of relu, where rounding would decide the curve.
    """
    model = reference.MLP([2, 3, 2], dtype="float64")
    model.weights[0][...] = [[0.5, -0.4, 0.3], [-0.2, 0.6, 0.1]]
    model.biases[0][...] = [0.15, 0.0, -0.1]
    model.weights[1][...] = [[0.7, -0.3], [-0.5, 0.2], [0.4, 0.8]]
    model.biases[1][...] = [0.05, -0.05]
    x = np.array([[1.0, 2.0], [-1.5, 0.5], [0.5, -1.0], [2.0, 1.0], [-1.0, -2.0]])
    return model, x, np.array([0, 1, 1, 0, 1])


# Written by naive_fit, of which no product of arrays has a part.
FROZEN = [
    0.7200346785257874,
    0.5232728556491093,
    0.4246780161630267,
    0.34267816793056866,
    0.2820646677529543,
    0.24067183438252804,
    0.2084686290327507,
    0.1829985921016805,
    0.1625134889355768,
    0.14577623127173386,
]


def test_loss_curve_of_ten_steps():
    model, x, y = tiny_network()
    weights, biases = as_lists(model)
    naive = naive_fit(
        weights, biases, x.tolist(), y.tolist(),
        epochs=10, batch_size=5, step=naive_sgd(0.5), seed=0, shuffle=False,
    )  # fmt: skip
    history = reference.fit(
        model, x, y, epochs=10, batch_size="full", optimizer=reference.SGD(lr=0.5)
    )
    curve = [epoch.train_loss for epoch in history.epochs]
    np.testing.assert_allclose(curve, naive, rtol=1e-12)
    np.testing.assert_allclose(curve, FROZEN, rtol=1e-11)


@pytest.mark.parametrize("layers", [[3, 4], [3, 5, 4], [3, 5, 4, 2]], ids=str)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("optimizer", "step"),
    [
        (reference.SGD(lr=0.2), lambda: naive_sgd(0.2)),
        (reference.Adam(0.01, (0.8, 0.99), 1e-3), lambda: naive_adam(0.01, 0.8, 0.99, 1e-3)),
    ],
    ids=["SGD", "Adam"],
)
def test_fit_equals_scalar_loops(layers, batch_size, shuffle, optimizer, step):
    """Seven samples: batches of 2 and 3 end in a ragged one, and 50 is more than there are."""
    model, x, y = problem(layers, n=7)
    weights, biases = as_lists(model)
    curve = naive_fit(
        weights, biases, x.tolist(), y.tolist(),
        epochs=3, batch_size=batch_size, step=step(), seed=5, shuffle=shuffle,
    )  # fmt: skip
    history = reference.fit(
        model, x, y, epochs=3, batch_size=batch_size, optimizer=optimizer, seed=5, shuffle=shuffle,
    )  # fmt: skip
    np.testing.assert_allclose([e.train_loss for e in history.epochs], curve, rtol=1e-11)
    for V, expected in zip(parameters(model), weights + biases, strict=True):
        np.testing.assert_allclose(V, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_step_is_parameters_minus_lr_times_gradients(dtype):
    model, x, y = problem([4, 6, 3], n=5, dtype=dtype)
    before, gradients = copies(model), reference.loss_and_gradients(model, x, y)
    reference.fit(model, x, y, epochs=1, batch_size=5, optimizer=reference.SGD(lr=0.3))
    lr = model.dtype.type(0.3)
    expected = [
        V - lr * dV for V, dV in zip(before, gradients.weights + gradients.biases, strict=True)
    ]
    assert_same_bits(parameters(model), expected)


def test_default_optimizer_is_sgd_with_rate_a_tenth():
    models = [problem([4, 3], n=5) for _ in range(2)]
    reference.fit(*models[0], epochs=2)
    reference.fit(*models[1], epochs=2, optimizer=reference.SGD(lr=0.1))
    assert_same_bits(parameters(models[0][0]), parameters(models[1][0]))


def test_parameters_change_in_place():
    model, x, y = problem([4, 3], n=5)
    arrays, before = parameters(model), copies(model)
    reference.fit(model, x, y, epochs=1)
    for array, now, old in zip(arrays, parameters(model), before, strict=True):
        assert array is now
        assert not np.array_equal(array, old)


def test_same_seed_gives_the_same_bits_and_another_seed_others():
    runs = []
    for seed in (1, 1, 2):
        model, x, y = problem([4, 6, 3], n=20)
        reference.fit(model, x, y, epochs=2, batch_size=4, seed=seed)
        runs.append(copies(model))
    assert_same_bits(runs[0], runs[1])
    assert any(not np.array_equal(a, b) for a, b in zip(runs[0], runs[2], strict=True))


@pytest.mark.parametrize("batch_size", [20, 1000, "full"])
def test_a_batch_of_everything_is_one_step_in_the_order_given(batch_size):
    runs = []
    for kwargs in ({"batch_size": batch_size, "seed": 9}, {"batch_size": 20, "shuffle": False}):
        model, x, y = problem([4, 6, 3], n=20)
        recorder = Recorder()
        reference.fit(model, x, y, epochs=2, callbacks=[recorder], **kwargs)
        assert [e[1] for e in recorder.events if e[0] == "progress"] == [20, 20]
        runs.append(copies(model))
    assert_same_bits(*runs)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 50))
def test_every_epoch_takes_each_sample_once(n, batch_size):
    model, x, y = problem([2, 3], n=n)
    recorder = Recorder()
    reference.fit(model, x, y, epochs=1, batch_size=batch_size, callbacks=[recorder])
    samples = [event[1] for event in recorder.events if event[0] == "progress"]
    assert samples == [min(k * batch_size, n) for k in range(1, math.ceil(n / batch_size) + 1)]


def test_epochs_are_shuffled_apart():
    """Without a change of the parameters, the first batch's loss tells which rows were in it."""
    model, x, y = problem([4, 3], n=30)
    recorder = Recorder()
    reference.fit(
        model, x, y, epochs=3, batch_size=10, seed=4, optimizer=reference.SGD(lr=0),
        callbacks=[recorder],
    )  # fmt: skip
    firsts = [event[2] for event in recorder.events if event[0] == "progress" and event[1] == 10]
    for epoch, loss in enumerate(firsts, start=1):
        rows = np.random.default_rng((4, epoch)).permutation(30)[:10]
        expected = reference.evaluate(model, x[rows], y[rows]).loss
        assert loss == pytest.approx(expected, rel=1e-13)
    assert len(set(firsts)) == 3


def test_one_sample_is_learned():
    model, x, y = problem([3, 5, 4], n=1)
    history = reference.fit(model, x, y, epochs=50, optimizer=reference.SGD(lr=0.5))
    losses = [epoch.train_loss for epoch in history.epochs]
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))
    assert reference.evaluate(model, x, y).accuracy == 1.0


def test_one_class_has_no_loss_and_no_gradient():
    model, x, y = problem([3, 5, 1], n=4)
    gradients = reference.loss_and_gradients(model, x, y)
    assert gradients.loss == 0.0
    assert not any(dV.any() for dV in gradients.weights + gradients.biases)


def test_a_hidden_layer_learns_exclusive_or():
    """No network without a hidden layer passes three quarters here."""
    x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    y = np.array([0, 1, 1, 0])
    model = reference.MLP([2, 8, 2], dtype="float64", seed=1)
    reference.fit(model, x, y, epochs=500, batch_size="full", optimizer=reference.SGD(lr=0.5))
    np.testing.assert_array_equal(model.predict(x), y)


def test_float32_and_float64_train_alike_to_rounding():
    models = []
    for dtype in DTYPES:
        model, x, y = problem([6, 8, 3], n=32, dtype=dtype)
        reference.fit(model, x, y, epochs=3, batch_size=8)
        assert all(V.dtype == dtype for V in parameters(model))
        models.append(model)
    for single, double in zip(*map(parameters, models), strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-5)


def test_threads_have_no_effect():
    runs = []
    for threads in (None, 1, 7):
        model, x, y = problem([4, 3], n=9)
        reference.fit(model, x, y, epochs=1, batch_size=2, threads=threads)
        evaluation = reference.evaluate(model, x, y, threads=threads)
        loss = reference.loss_and_gradients(model, x, y, threads=threads).loss
        runs.append((evaluation, loss, [V.tolist() for V in parameters(model)]))
    assert runs[0] == runs[1] == runs[2]


# --- Adam -----------------------------------------------------------------------------------------


def steps_of(optimizer, gradients, dtype="float64", start=1.0):
    """The values of one parameter after each of its gradients, and its state after the last."""
    V = np.array([start], dtype)
    state = optimizer.start(V)
    values = []
    for t, gradient in enumerate(gradients, start=1):
        optimizer.step(V, np.array([gradient], dtype), state, t, optimizer.lr, True)
        assert V.dtype == dtype
        values.append(float(V[0]))
    return values, state


# Five steps from 1 by lr 0.1, betas 0.9 and 0.99, eps 0.05, worked out in decimals of 40 digits.
GRADIENTS = [0.5, -1.2, 0.3, 0.0, 2.0]
FIVE_STEPS = [
    0.9090909090909091,
    0.9497492263231687,
    0.9666259578496179,
    0.9803499487349187,
    0.9437215488725693,
]


def test_five_steps_of_adam_written_out():
    optimizer = reference.Adam(lr=0.1, betas=(0.9, 0.99), eps=0.05)
    values, state = steps_of(optimizer, GRADIENTS)
    w = 1.0

    m = 0.1 * 0.5
    v = 0.01 * 0.25
    w -= 0.1 * (m / 0.1) / (math.sqrt(v / 0.01) + 0.05)
    assert values[0] == pytest.approx(w, rel=1e-14)

    m = 0.9 * m + 0.1 * -1.2
    v = 0.99 * v + 0.01 * 1.44
    w -= 0.1 * (m / 0.19) / (math.sqrt(v / 0.0199) + 0.05)
    assert values[1] == pytest.approx(w, rel=1e-14)

    m = 0.9 * m + 0.1 * 0.3
    v = 0.99 * v + 0.01 * 0.09
    w -= 0.1 * (m / 0.271) / (math.sqrt(v / 0.029701) + 0.05)
    assert values[2] == pytest.approx(w, rel=1e-14)

    m = 0.9 * m
    v = 0.99 * v
    w -= 0.1 * (m / 0.3439) / (math.sqrt(v / 0.03940399) + 0.05)
    assert values[3] == pytest.approx(w, rel=1e-14)

    m = 0.9 * m + 0.1 * 2
    v = 0.99 * v + 0.01 * 4
    w -= 0.1 * (m / 0.40951) / (math.sqrt(v / 0.0490099501) + 0.05)
    assert values[4] == pytest.approx(w, rel=1e-14)

    np.testing.assert_allclose(values, FIVE_STEPS, rtol=1e-14)
    assert (state["m"][0], state["v"][0]) == pytest.approx((m, v), rel=1e-14)


def published_steps(gradients, lr, beta1, beta2, eps, start=1.0):
    """The single-tensor loop of torch.optim.Adam without weight decay and AMSGrad.

    Its documentation gives the algorithm of the paper; its source divides in this order, so that
    eps is added to the root after the correction of bias and not before.
    """
    parameter = start
    exp_avg = exp_avg_sq = 0.0
    values = []
    for step, grad in enumerate(gradients, start=1):
        exp_avg += (grad - exp_avg) * (1 - beta1)
        exp_avg_sq = exp_avg_sq * beta2 + grad * grad * (1 - beta2)
        step_size = lr / (1 - beta1**step)
        bias_correction2_sqrt = (1 - beta2**step) ** 0.5
        denom = exp_avg_sq**0.5 / bias_correction2_sqrt + eps
        parameter -= step_size * (exp_avg / denom)
        values.append(parameter)
    return values


@pytest.mark.parametrize("eps", [1e-8, 1e-3, 0.5])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0, 0.99), (0.9, 0), (0, 0)], ids=str)
def test_adam_takes_the_steps_that_torch_publishes(betas, eps):
    gradients = np.random.default_rng(0).standard_normal(200).tolist()
    values, _ = steps_of(reference.Adam(0.01, betas, eps), gradients)
    np.testing.assert_allclose(values, published_steps(gradients, 0.01, *betas, eps), rtol=1e-12)


def test_moments_are_weighted_means_of_the_gradients():
    """Without a correction of bias: the weights of the steps so far, divided by their sum."""
    gradients = np.random.default_rng(1).standard_normal(30)
    values, _ = steps_of(reference.Adam(0.1, (0.9, 0.99), 1e-3), gradients)
    w = 1.0
    for t, value in enumerate(values, start=1):
        ages = np.arange(t)[::-1]
        mean = np.average(gradients[:t], weights=0.9**ages)
        square = np.average(gradients[:t] ** 2, weights=0.99**ages)
        w -= 0.1 * mean / (math.sqrt(square) + 1e-3)
        assert value == pytest.approx(w, rel=1e-12)


@pytest.mark.parametrize("gradient", [1e-6, 0.5, -3e4])
def test_a_gradient_that_stays_moves_adam_by_the_learning_rate(gradient):
    values, _ = steps_of(reference.Adam(lr=0.01), [gradient] * 20, start=0.0)
    step = 0.01 * gradient / (abs(gradient) + 1e-8)
    np.testing.assert_allclose(values, -step * np.arange(1, 21), rtol=1e-10)


def test_with_betas_of_zero_adam_remembers_nothing():
    gradients = np.random.default_rng(2).standard_normal(10)
    values, _ = steps_of(reference.Adam(0.1, (0, 0), 1e-3), gradients)
    expected = 1 - np.cumsum(0.1 * gradients / (np.abs(gradients) + 1e-3))
    np.testing.assert_allclose(values, expected, rtol=1e-13)


def test_a_gradient_of_zero_lets_the_moments_decay_and_the_parameter_move_on():
    optimizer = reference.Adam(lr=0.1, betas=(0.9, 0.99), eps=1e-3)
    V = np.array([1.0])
    state = optimizer.start(V)
    optimizer.step(V, np.array([0.5]), state, 1, 0.1, True)
    m, v, last = 0.05, 0.0025, float(V[0])
    for t in range(2, 8):
        optimizer.step(V, np.array([0.0]), state, t, 0.1, True)
        m, v = 0.9 * m, 0.99 * v
        assert state["m"][0] == pytest.approx(m, rel=1e-14)
        assert state["v"][0] == pytest.approx(v, rel=1e-14)
        moved = 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.99**t)) + 1e-3)
        assert last - V[0] == pytest.approx(moved, rel=1e-12)
        assert moved > 0.01
        last = float(V[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_never_has_a_gradient_keeps_its_bits_under_adam(dtype):
    model, x, y = problem([4, 6, 3], n=10, dtype=dtype)
    x[:, 1] = 0
    before = copies(model)
    reference.fit(model, x, y, epochs=3, batch_size=4, optimizer=reference.Adam())
    assert_same_bits([model.weights[0][1]], [before[0][1]])
    assert (model.weights[0][0] != before[0][0]).any()


@pytest.mark.parametrize("batch_size", [5, 12])
def test_adam_trains_as_scikit_learn_does(batch_size):
    """Which adds eps before the correction of bias: of no account while eps is far below dW."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    model, x, _ = problem([6, 5, 3], n=12)
    y = np.arange(12) % 3
    theirs = MLPClassifier(
        hidden_layer_sizes=[5],
        solver="adam",
        alpha=0,
        learning_rate_init=0.01,
        beta_1=0.8,
        beta_2=0.99,
        epsilon=1e-15,
        batch_size=batch_size,
        shuffle=False,
        max_iter=6,
        warm_start=True,  # keeps the parameters from fit to fit, and begins the moments anew
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(x, y)  # makes the arrays, which then get our values
        for V, ours in zip(theirs.coefs_ + theirs.intercepts_, parameters(model), strict=True):
            V[...] = ours
        theirs.fit(x, y)
    reference.fit(
        model, x, y, epochs=6, batch_size=batch_size, shuffle=False,
        optimizer=reference.Adam(0.01, (0.8, 0.99), 1e-15),
    )  # fmt: skip
    for V, expected in zip(parameters(model), theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(V, expected, rtol=1e-9, atol=1e-12)


def test_adam_begins_anew_with_each_fit_and_is_itself_unchanged():
    optimizer = reference.Adam(lr=0.01)
    models = []
    for optimizers in ([optimizer] * 2, [reference.Adam(lr=0.01), reference.Adam(lr=0.01)]):
        model, x, y = problem([4, 6, 3], n=10)
        for each in optimizers:
            reference.fit(model, x, y, epochs=2, batch_size="full", optimizer=each)
        models.append(model)
    assert_same_bits(*map(parameters, models))
    assert optimizer == reference.Adam(lr=0.01)
    once, x, y = problem([4, 6, 3], n=10)
    reference.fit(once, x, y, epochs=4, batch_size="full", optimizer=optimizer)
    assert np.abs(once.weights[0] - models[0].weights[0]).max() > 1e-4


def test_adam_in_float32_and_float64_trains_alike_to_rounding():
    models = []
    for dtype in DTYPES:
        model, x, y = problem([6, 8, 3], n=32, dtype=dtype)
        reference.fit(model, x, y, epochs=3, batch_size=8, optimizer=reference.Adam(0.01, eps=1e-3))
        assert all(V.dtype == dtype for V in parameters(model))
        models.append(model)
    for single, double in zip(*map(parameters, models), strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-5)


def test_adam_learns_exclusive_or():
    x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    y = np.array([0, 1, 1, 0])
    model = reference.MLP([2, 8, 2], dtype="float64", seed=1)
    reference.fit(model, x, y, epochs=200, batch_size="full", optimizer=reference.Adam(lr=0.02))
    np.testing.assert_array_equal(model.predict(x), y)


def test_the_record_of_an_epoch_holds_the_learning_rate_of_adam():
    model, x, y = problem([4, 3], n=10)
    history = reference.fit(model, x, y, epochs=2, optimizer=reference.Adam())
    assert [epoch.learning_rate for epoch in history.epochs] == [0.001, 0.001]


# --- history and callbacks ------------------------------------------------------------------------


def test_train_loss_and_accuracy_are_measured_before_each_update():
    model, x, y = problem([4, 6, 3], n=10)
    twin, _, _ = problem([4, 6, 3], n=10)
    record = reference.fit(
        model, x, y, epochs=1, batch_size=4, shuffle=False, optimizer=reference.SGD(lr=0.5)
    ).epochs[0]
    loss, hits = 0.0, 0
    for rows in (slice(0, 4), slice(4, 8), slice(8, 10)):
        gradients = reference.loss_and_gradients(twin, x[rows], y[rows])
        loss += gradients.loss * len(y[rows])
        hits += int(np.sum(twin.predict(x[rows]) == y[rows]))
        for V, dV in zip(parameters(twin), gradients.weights + gradients.biases, strict=True):
            V -= 0.5 * dV
    assert record.train_loss == pytest.approx(loss / 10, rel=1e-13)
    assert record.train_accuracy == hits / 10


def test_history_holds_a_record_of_each_epoch():
    model, x, y = problem([4, 3], n=10)
    x_val, y_val = x[:3], y[:3]
    history = reference.fit(
        model, x, y, epochs=3, optimizer=reference.SGD(lr=0.25), validation_data=(x_val, y_val)
    )
    assert [epoch.epoch for epoch in history.epochs] == [1, 2, 3]
    assert all(epoch.seconds > 0 for epoch in history.epochs)
    assert all(epoch.learning_rate == 0.25 for epoch in history.epochs)
    last = history.epochs[-1]
    assert (last.val_loss, last.val_accuracy) == reference.evaluate(model, x_val, y_val)


def test_history_without_validation_data_or_epochs():
    model, x, y = problem([4, 3], n=10)
    record = reference.fit(model, x, y, epochs=1).epochs[0]
    assert record.val_loss is None
    assert record.val_accuracy is None
    before = copies(model)
    assert reference.fit(model, x, y, epochs=0).epochs == []
    assert_same_bits(parameters(model), before)


def test_callbacks_are_called_in_order_with_running_means():
    model, x, y = problem([4, 3], n=10)
    recorder = Recorder()
    history = reference.fit(model, x, y, epochs=2, batch_size=4, callbacks=[recorder])
    kinds = [event[0] for event in recorder.events]
    assert kinds == ["begin", *(["progress"] * 3 + ["end"]) * 2]
    assert recorder.events[0] == ("begin", 2, 10)
    for epoch in range(2):
        *progress, end = recorder.events[1 + 4 * epoch : 5 + 4 * epoch]
        assert [event[1] for event in progress] == [4, 8, 10]
        assert end[1] is history.epochs[epoch]
        assert progress[-1][2:] == (end[1].train_loss, end[1].train_accuracy)


def test_a_true_value_of_on_epoch_end_stops_after_all_callbacks_heard_of_it():
    model, x, y = problem([4, 3], n=10)
    first, second = Recorder(stop_at=2), Recorder()
    history = reference.fit(model, x, y, epochs=9, callbacks=[first, second])
    assert [epoch.epoch for epoch in history.epochs] == [1, 2]
    assert first.events == second.events


def test_base_callback_does_nothing_and_does_not_stop():
    model, x, y = problem([4, 3], n=10)
    history = reference.fit(model, x, y, epochs=3, callbacks=[reference.Callback()])
    assert len(history.epochs) == 3


# --- divergence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_loss_stops_with_the_parameters_of_before_that_step(dtype):
    model, x, y = problem([4, 6, 3], n=10, dtype=dtype)
    recorder = Recorder()
    lr = 1e30 if dtype == "float32" else 1e200
    with pytest.raises(FloatingPointError) as caught:
        reference.fit(
            model, x, y, batch_size=2, optimizer=reference.SGD(lr=lr), callbacks=[recorder]
        )
    step = len(recorder.snapshots) + 1
    assert 1 < step <= 5
    assert_same_bits(parameters(model), recorder.snapshots[-1])
    message = str(caught.value)
    assert message == f"loss is nan at epoch 1, step {step}: try a learning rate below {lr:g}"


def test_infinite_loss_stops_before_the_first_step():
    model, x, y = problem([2, 2], n=3, dtype="float32")
    model.weights[0][...] = 0
    model.biases[0][...] = [3e38, -3e38]
    before = copies(model)
    with pytest.raises(FloatingPointError, match=r"^loss is inf at epoch 1, step 1: "):
        reference.fit(model, x, np.ones_like(y))
    assert_same_bits(parameters(model), before)


# --- what x and y may be --------------------------------------------------------------------------


def trained_on(x, y, **kwargs):
    model = reference.MLP([x.shape[1], 5, 3], seed=1, **kwargs)
    history = reference.fit(model, x, y, epochs=2, batch_size=3, validation_data=(x, y))
    gradients = reference.loss_and_gradients(model, x, y)
    return [*parameters(model), *gradients.weights, model.logits(x)], [
        (e.train_loss, e.val_loss) for e in history.epochs
    ]


def bytes_and_labels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (8, 4), dtype=np.uint8), rng.integers(0, 3, 8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1 / 255, 1 / 128])
def test_uint8_is_scaled(dtype, scale):
    x, y = bytes_and_labels()
    scaled = x.astype(dtype) * np.dtype(dtype).type(scale)
    arrays, curve = trained_on(x, y, dtype=dtype, uint8_scale=scale)
    expected_arrays, expected_curve = trained_on(scaled, y, dtype=dtype)
    assert_same_bits(arrays, expected_arrays)
    assert curve == expected_curve


@pytest.mark.parametrize(
    "kind", ["int64", "float32", "float64", "float16", "uint16", "bool", ">f8"]
)
def test_other_dtypes_are_cast_and_not_scaled(kind):
    x = np.random.default_rng(0).integers(0, 2, (8, 4)).astype(kind)
    y = np.arange(8) % 3
    arrays, curve = trained_on(x, y)
    expected_arrays, expected_curve = trained_on(x.astype(np.float32), y)
    assert_same_bits(arrays, expected_arrays)
    assert curve == expected_curve


@pytest.mark.parametrize("make", ["csr_matrix", "csr_array", "csc_matrix", "coo_matrix"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_sparse_x_gives_the_bits_of_dense_x(make, dtype):
    sparse = pytest.importorskip("scipy.sparse")
    x, y = bytes_and_labels()
    x = (x * (x > 128)).astype(dtype) // 2
    x[0] = 0
    arrays, curve = trained_on(getattr(sparse, make)(x), y)
    expected_arrays, expected_curve = trained_on(x, y)
    assert_same_bits(arrays, expected_arrays)
    assert curve == expected_curve


def test_data_frames_lists_memmaps_and_strides_give_the_bits_of_an_array(tmp_path):
    x, y = bytes_and_labels()
    x = x.astype(np.float32) / 255
    mapped = np.memmap(tmp_path / "x.bin", dtype=np.float32, mode="w+", shape=x.shape)
    mapped[...] = x
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    expected, _ = trained_on(x, y)
    for other in (mapped, strided, np.asfortranarray(x)):
        assert_same_bits(trained_on(other, y)[0], expected)
    model = reference.MLP([4, 3])
    np.testing.assert_array_equal(model.predict(x.tolist()), model.predict(x))
    assert reference.evaluate(model, x.tolist(), y.tolist()) == reference.evaluate(model, x, y)


def test_data_frame_and_series_give_the_bits_of_arrays():
    pandas = pytest.importorskip("pandas")
    x, y = bytes_and_labels()
    arrays, curve = trained_on(pandas.DataFrame(x), pandas.Series(y))
    expected_arrays, expected_curve = trained_on(x, y)
    assert_same_bits(arrays, expected_arrays)
    assert curve == expected_curve


def test_x_and_y_are_left_as_they_are():
    x, y = bytes_and_labels()
    x_before, y_before = x.copy(), y.copy()
    x.flags.writeable = y.flags.writeable = False
    trained_on(x, y)
    assert_same_bits([x, y], [x_before, y_before])


# --- bad input ------------------------------------------------------------------------------------

X = np.zeros((4, 3))
Y = np.array([0, 1, 0, 1])


def with_value(value, dtype="float64"):
    x = X.astype(dtype)
    x[2, 1] = value
    return x


BAD_MODELS = {
    "one layer": ({"layers": [3]}, ValueError, "layers must hold at least two sizes"),
    "no layers": ({"layers": []}, ValueError, "layers must hold at least two sizes"),
    "layer of nothing": ({"layers": [3, 0, 2]}, ValueError, "layers[1] must be an integer >= 1"),
    "negative layer": ({"layers": [-3, 2]}, ValueError, "layers[0] must be an integer >= 1"),
    "half a layer": ({"layers": [3, 2.5, 2]}, TypeError, "layers[1] must be an integer >= 1"),
    "layers not a sequence": ({"layers": 3}, TypeError, "layers must be a sequence"),
    "activation": ({"activation": "rleu"}, ValueError, "activation must be one of 'relu', "),
    "activation not a name": ({"activation": 1}, ValueError, "activation must be one of"),
    "activations": ({"activation": ["relu"]}, ValueError, "activation must be one value or a seq"),
    "init": ({"init": "zero"}, ValueError, "init must be one of 'he_normal', "),
    "dtype": ({"dtype": "float16"}, ValueError, "dtype must be 'float32' or 'float64', got"),
    "dtype not known": ({"dtype": "flaot"}, ValueError, "dtype must be 'float32' or 'float64'"),
    "dtype none": ({"dtype": None}, ValueError, "dtype must be 'float32' or 'float64', got None"),
    "negative seed": ({"seed": -1}, ValueError, "seed must be an integer >= 0, got -1"),
    "no seed": ({"seed": None}, TypeError, "seed must be an integer >= 0, got None"),
    "scale": ({"uint8_scale": math.inf}, ValueError, "uint8_scale must be a finite number"),
}

BAD_DATA = {
    "nan": (with_value(math.nan), Y, ValueError, "x must hold finite numbers"),
    "inf": (with_value(-math.inf), Y, ValueError, "x must hold finite numbers"),
    "float32 nan": (with_value(math.nan, "float32"), Y, ValueError, "x must hold finite numbers"),
    "too large": (with_value(1e39), Y, ValueError, "x must hold finite numbers that fit float32"),
    "one axis": (X[0], Y, ValueError, "x must have shape (n_samples, 3), got (3,)"),
    "features": (X[:, :2], Y, ValueError, "x must have shape (n_samples, 3), got (4, 2)"),
    "no samples": (X[:0], Y[:0], ValueError, "x must hold at least one sample"),
    "ragged": ([[1, 2, 3], [4]], Y, ValueError, "x must be an array"),
    "complex": (X.astype(complex), Y, TypeError, "x must hold real numbers, got dtype complex128"),
    "text": (X.astype(str), Y, TypeError, "x must hold real numbers, got dtype <U"),
    "objects": (X.astype(object), Y, TypeError, "x must hold real numbers, got dtype object"),
    "fewer labels": (X, Y[:3], ValueError, "y must have shape (4,), a label for each row of x"),
    "one-hot integers": (X, np.eye(2, dtype=int)[Y], ValueError, "y must have shape (4,)"),
    "other classes": (X, np.eye(3)[Y], ValueError, "y must have shape (4,), a label for each row"),
    "no distribution": (X, np.eye(2)[Y] * 1.1, ValueError, "y must hold rows of probabilities"),
    "negative share": (X, [[1.5, -0.5]] * 4, ValueError, "y must hold rows of probabilities"),
    "nan share": (X, [[math.nan, 1]] * 4, ValueError, "y must hold rows of probabilities"),
    "label too large": (X, Y + 1, ValueError, "y must hold integers 0..1, got 2"),
    "negative label": (X, Y - 1, ValueError, "y must hold integers 0..1, got -1"),
    "huge label": (X, np.uint64(2**64 - 1) * Y.astype(np.uint64), ValueError, "y must hold"),
    "float labels": (X, Y.astype(float), TypeError, "y must hold integers 0..1, got dtype float"),
    "bool labels": (X, Y.astype(bool), TypeError, "y must hold integers 0..1, got dtype bool"),
}

BAD_SETTINGS = {
    "epochs": ({"epochs": -1}, ValueError, "epochs must be an integer >= 0, got -1"),
    "half an epoch": ({"epochs": 0.5}, TypeError, "epochs must be an integer >= 0, got 0.5"),
    "epochs true": ({"epochs": True}, TypeError, "epochs must be an integer >= 0, got True"),
    "batch of none": ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1 or "),
    "batch name": ({"batch_size": "all"}, ValueError, "batch_size must be an integer >= 1 or "),
    "batch of a half": ({"batch_size": 0.5}, TypeError, "batch_size must be an integer >= 1 or "),
    "seed": ({"seed": -1}, ValueError, "seed must be an integer >= 0, got -1"),
    "optimizer": ({"optimizer": 0.1}, TypeError, "optimizer must be an optimizer"),
    "no pair": ({"validation_data": X}, TypeError, "validation_data must be a pair (x, y)"),
    "validation x": (
        {"validation_data": (X[:, :1], Y)}, ValueError, "validation_data x must have shape",
    ),
    "validation y": (
        {"validation_data": (X, Y + 5)}, ValueError, "validation_data y must hold integers 0..1",
    ),
}  # fmt: skip


def assert_one_line(caught, kind, start):
    assert type(caught.value) is kind
    message = str(caught.value)
    assert message.startswith(start)
    assert "\n" not in message


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_model_is_refused_in_one_line(case):
    kwargs, kind, start = BAD_MODELS[case]
    with pytest.raises((ValueError, TypeError)) as caught:
        reference.MLP(**{"layers": [3, 2], **kwargs})
    assert_one_line(caught, kind, start)


@pytest.mark.parametrize("function", ["fit", "evaluate", "loss_and_gradients"])
@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused_in_one_line(case, function):
    x, y, kind, start = BAD_DATA[case]
    model = reference.MLP([3, 2])
    before = copies(model)
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(reference, function)(model, x, y)
    assert_one_line(caught, kind, start)
    assert_same_bits(parameters(model), before)


@pytest.mark.parametrize("method", ["logits", "predict", "predict_proba"])
@pytest.mark.parametrize("case", [case for case in BAD_DATA if BAD_DATA[case][3].startswith("x")])
def test_bad_x_is_refused_by_prediction(case, method):
    x, _, kind, start = BAD_DATA[case]
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(reference.MLP([3, 2]), method)(x)
    assert_one_line(caught, kind, start)


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_setting_is_refused_in_one_line(case):
    kwargs, kind, start = BAD_SETTINGS[case]
    model = reference.MLP([3, 2])
    before = copies(model)
    with pytest.raises((ValueError, TypeError)) as caught:
        reference.fit(model, X, Y, **kwargs)
    assert_one_line(caught, kind, start)
    assert_same_bits(parameters(model), before)


@pytest.mark.parametrize("optimizer", [reference.SGD, reference.Adam])
@pytest.mark.parametrize("lr", [-0.1, math.nan, math.inf, -math.inf])
def test_bad_learning_rate_is_refused_in_one_line(lr, optimizer):
    with pytest.raises(ValueError, match=r"^lr must be a finite number >= 0, got ") as caught:
        optimizer(lr=lr)
    assert_one_line(caught, ValueError, "lr must be")


@pytest.mark.parametrize("optimizer", [reference.SGD, reference.Adam])
@pytest.mark.parametrize("lr", ["0.1", None, True, 1j])
def test_learning_rate_that_is_no_number_is_refused(lr, optimizer):
    with pytest.raises(TypeError, match=r"^lr must be a finite number >= 0, got "):
        optimizer(lr=lr)


BAD_ADAMS = {
    "beta of one": ({"betas": (0.9, 1.0)}, ValueError),
    "first beta of one": ({"betas": (1, 0.9)}, ValueError),
    "negative beta": ({"betas": (-0.1, 0.9)}, ValueError),
    "beta nan": ({"betas": (0.9, math.nan)}, ValueError),
    "beta infinite": ({"betas": (-math.inf, 0.9)}, ValueError),
    "beta as text": ({"betas": (0.9, "0.99")}, TypeError),
    "beta true": ({"betas": (True, 0.9)}, TypeError),
    "one beta": ({"betas": (0.9,)}, TypeError),
    "three betas": ({"betas": (0.9, 0.99, 0.999)}, TypeError),
    "betas a number": ({"betas": 0.9}, TypeError),
    "betas none": ({"betas": None}, TypeError),
    "betas in no order": ({"betas": {0.9, 0.99}}, TypeError),
    "eps zero": ({"eps": 0}, ValueError),
    "eps negative": ({"eps": -1e-8}, ValueError),
    "eps nan": ({"eps": math.nan}, ValueError),
    "eps infinite": ({"eps": math.inf}, ValueError),
    "eps none": ({"eps": None}, TypeError),
    "eps as text": ({"eps": "1e-8"}, TypeError),
}


@pytest.mark.parametrize("case", BAD_ADAMS)
def test_bad_adam_is_refused_in_one_line(case):
    kwargs, kind = BAD_ADAMS[case]
    ((name, value),) = kwargs.items()
    allowed = {"betas": "two numbers >= 0 and < 1", "eps": "a finite number > 0"}[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        reference.Adam(**kwargs)
    assert_one_line(caught, kind, f"{name} must be {allowed}, got {value!r}")


def test_settings_of_adam_become_floats():
    optimizer = reference.Adam(1, [0, np.float32(0.5)], np.float64(1e-3))
    assert optimizer == reference.Adam(1.0, (0.0, 0.5), 1e-3)
    assert hash(optimizer) == hash(reference.Adam(1.0, (0.0, 0.5), 1e-3))
    for value in (optimizer.lr, *optimizer.betas, optimizer.eps):
        assert type(value) is float


def test_float64_model_takes_what_does_not_fit_float32():
    model = reference.MLP([3, 2], dtype="float64")
    assert np.isfinite(model.logits(with_value(1e39))).all()


def test_sparse_nan_is_refused():
    sparse = pytest.importorskip("scipy.sparse")
    x = sparse.csr_matrix(with_value(math.nan))
    with pytest.raises(ValueError, match=r"^x must hold finite numbers .* got nan$"):
        reference.MLP([3, 2]).logits(x)
