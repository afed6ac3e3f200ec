"""Initial parameters: the same bits in both implementations, distributed as they say."""

import math

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastmlp
import fastmlp.initializers
import reference
import reference.initializers

MODULES = {"fast": fastmlp.initializers, "reference": reference.initializers}
module = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)

NAMES = list(fastmlp.initializers.INITIALIZERS)
SHAPES = [(1, 1), (1, 7), (7, 1), (5, 5), (64, 32), (31, 65), (784, 256)]
N_IN, N_OUT = 400, 250

VARIANCES = {
    # name: variance of W and of b
    "he_normal": (2 / N_IN, 0),
    "he_uniform": (2 / N_IN, 0),
    "glorot_normal": (2 / (N_IN + N_OUT), 0),
    "glorot_uniform": (2 / (N_IN + N_OUT), 0),
    "lecun_normal": (1 / N_IN, 0),
    "lecun_uniform": (1 / N_IN, 0),
    "orthogonal": (1 / N_IN, 0),
    "torch": (1 / (3 * N_IN), 1 / (3 * N_IN)),
    "zeros": (0, 0),
    "uniform": (1 / 12, 1 / 12),
    "uniform(-0.1, 0.1)": (0.2**2 / 12, 0.2**2 / 12),
}


def draw(module, name, n_in=N_IN, n_out=N_OUT, seed=0):
    return module.initializer(name)(np.random.default_rng(seed), n_in, n_out)


def test_both_have_the_same_names():
    assert list(reference.initializers.INITIALIZERS) == NAMES


@pytest.mark.parametrize("name", [*NAMES, "uniform(-2.5, -1e-3)", "uniform(+.5,1.)"])
@pytest.mark.parametrize(("n_in", "n_out"), SHAPES)
def test_both_draw_the_same_bits(name, n_in, n_out):
    rngs = [np.random.default_rng(3) for _ in MODULES]
    (W, b), (expected_W, expected_b) = (
        m.initializer(name)(rng, n_in, n_out) for m, rng in zip(MODULES.values(), rngs, strict=True)
    )
    assert W.shape == (n_in, n_out)
    assert b.shape == (n_out,)
    assert W.dtype == b.dtype == np.float64
    np.testing.assert_array_equal(W, expected_W)
    np.testing.assert_array_equal(b, expected_b)
    # And leave the generator in the same state, for the layers after this one.
    assert rngs[0].bit_generator.state == rngs[1].bit_generator.state


@pytest.mark.parametrize("name", [*NAMES, "uniform(-0.1, 0.1)"])
def test_models_take_every_name_and_start_from_the_same_bits(name):
    fast, plain = (m.MLP([17, 9, 4], init=name, seed=3) for m in (fastmlp, reference))
    assert fast.init == plain.init == name
    for ours, theirs in zip(fast.weights + fast.biases, plain.weights + plain.biases, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@module
@pytest.mark.parametrize("name", VARIANCES)
def test_mean_and_variance_are_those_of_the_equation(module, name):
    W, b = draw(module, name)
    variance, of_b = VARIANCES[name]
    n = W.size
    # Five standard errors: of a mean sqrt(variance / n), of a normal's variance sqrt(2 / n).
    assert abs(W.mean()) <= 5 * math.sqrt(variance / n)
    assert abs(W.var() - variance) <= 5 * math.sqrt(2 / n) * variance
    if of_b == 0:
        np.testing.assert_array_equal(b, 0)
    else:
        assert abs(b.var() - of_b) <= 5 * math.sqrt(2 / b.size) * of_b


@module
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("he_uniform", -math.sqrt(6 / N_IN), math.sqrt(6 / N_IN)),
        ("glorot_uniform", -math.sqrt(6 / 650), math.sqrt(6 / 650)),
        ("lecun_uniform", -math.sqrt(3 / N_IN), math.sqrt(3 / N_IN)),
        ("torch", -0.05, 0.05),
        ("uniform", -0.5, 0.5),
        ("uniform(-0.2, 3)", -0.2, 3),
        ("uniform(1e-3,2E-3)", 1e-3, 2e-3),
        ("uniform( -1 , +2. )", -1, 2),
    ],
)
def test_uniform_ones_fill_their_bounds(module, name, low, high):
    W, b = draw(module, name)
    assert low <= W.min() < low + 1e-3 * (high - low)
    assert high - 1e-3 * (high - low) < W.max() <= high
    if b.any():
        assert low <= b.min() < b.max() <= high


@module
@pytest.mark.parametrize(("n_in", "n_out"), SHAPES)
def test_orthogonal_has_orthonormal_columns_or_rows(module, n_in, n_out):
    W, _ = draw(module, "orthogonal", n_in, n_out)
    product = W.T @ W if n_in >= n_out else W @ W.T
    np.testing.assert_allclose(product, np.eye(min(n_in, n_out)), atol=1e-13)


@module
def test_orthogonal_is_the_q_whose_r_has_a_positive_diagonal(module):
    W, _ = draw(module, "orthogonal", 30, 20, seed=5)
    R = W.T @ np.random.default_rng(5).standard_normal((30, 20))
    np.testing.assert_allclose(np.tril(R, -1), 0, atol=1e-13)
    assert (R.diagonal() > 0).all()


@module
def test_orthogonal_does_not_depend_on_the_number_of_blas_threads(module):
    drawn = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            drawn.append(draw(module, "orthogonal", 784, 256)[0])
    np.testing.assert_array_equal(*drawn)


# --- PyTorch ------------------------------------------------------------------------------------


@module
@pytest.mark.parametrize(
    ("name", "function", "nonlinearity"),
    [
        ("he_normal", "kaiming_normal_", "relu"),
        ("he_uniform", "kaiming_uniform_", "relu"),
        ("lecun_normal", "kaiming_normal_", "linear"),
        ("lecun_uniform", "kaiming_uniform_", "linear"),
        ("glorot_normal", "xavier_normal_", None),
        ("glorot_uniform", "xavier_uniform_", None),
        ("orthogonal", "orthogonal_", None),
    ],
)
def test_weights_are_distributed_as_those_of_torch_nn_init(module, name, function, nonlinearity):
    torch = pytest.importorskip("torch")
    options = {"nonlinearity": nonlinearity} if nonlinearity else {}
    theirs = torch.empty(N_OUT, N_IN, dtype=torch.float64)  # nn.Linear's weight is our W.T
    generator = torch.Generator().manual_seed(0)
    getattr(torch.nn.init, function)(theirs, generator=generator, **options)
    theirs = theirs.numpy()
    W, _ = draw(module, name)
    np.testing.assert_allclose(W.std(), theirs.std(), rtol=10 / math.sqrt(2 * W.size))
    if nonlinearity:
        gain = torch.nn.init.calculate_gain(nonlinearity)
        np.testing.assert_allclose(W.std(), gain / math.sqrt(N_IN), rtol=5 / math.sqrt(2 * W.size))
    if name.endswith("uniform"):
        np.testing.assert_allclose(np.abs(W).max(), np.abs(theirs).max(), rtol=1e-3)


@module
def test_torch_is_the_start_of_a_linear_layer(module):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = torch.nn.Linear(N_IN, N_OUT)
    W, b = draw(module, "torch")
    for ours, theirs in ((W, layer.weight), (b, layer.bias)):
        theirs = theirs.detach().numpy()
        np.testing.assert_allclose(ours.std(), theirs.std(), rtol=10 / math.sqrt(2 * ours.size))
        np.testing.assert_allclose(np.abs(ours).max(), np.abs(theirs).max(), rtol=0.02)


# --- bad names ----------------------------------------------------------------------------------

BAD_NAMES = [
    "He_normal",
    "he_normal ",
    "zero",
    "",
    "uniform()",
    "uniform(1)",
    "uniform(0, 1",
    "uniform(0, 1))",
    "uniform(0, 1)\n",
    " uniform(0, 1)",
    "uniform (0, 1)",
    "uniform(0 1)",
    "uniform(0, 1, 2)",
    "uniform(0, 1,)",
    "uniform(, 1)",
    "uniform(a, b)",
    "uniform(1, 0)",
    "uniform(1, 1)",
    "uniform(nan, 1)",
    "uniform(-inf, 1)",
    "uniform(0, 1e999)",
    "uniform(0, 1e39)",
    "uniform(-1e39, 0)",
    "uniform(0, 1_0)",
    "uniform(0, 0x1)",
    "uniform(0, ٣)",
    "uniform(0, 1e)",
    "uniform(0, .)",
    "uniform(- 1, 1)",
    "uniform(low=0, high=1)",
    "uniform(0, " + "9" * 500 + ")",
    None,
    3,
    len,
    ["he_normal"],
    {"he_normal": 1},
    np.array(["he_normal", "zeros"]),
]


@module
@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:30])
def test_a_bad_name_is_refused_in_one_line(module, name):
    with pytest.raises(ValueError, match=r"\Ainit must be ") as caught:
        module.initializer(name)
    message = str(caught.value)
    assert "\n" not in message
    assert repr(name)[:20].split("\n")[0] in message
    assert len(message) < 280


@module
def test_what_must_be_is_said(module):
    with pytest.raises(ValueError, match=r"he_normal.*orthogonal.*uniform.*uniform\(a, b\)"):
        module.initializer("zero")
    with pytest.raises(ValueError, match="a < b"):
        module.initializer("uniform(1, 0)")


@pytest.mark.parametrize("package", [fastmlp, reference])
@pytest.mark.parametrize("name", ["zero", "uniform(1, 0)", None])
def test_a_model_refuses_a_bad_name(package, name):
    with pytest.raises(ValueError, match=r"\Ainit must be "):
        package.MLP([3, 2], init=name)


def test_a_model_of_chosen_bounds_is_saved_and_loaded(tmp_path):
    model = fastmlp.MLP([3, 2], init="uniform(-0.25, 0.5)")
    model.save(tmp_path / "m.safetensors")
    loaded = fastmlp.load(tmp_path / "m.safetensors")
    assert loaded.init == "uniform(-0.25, 0.5)"
    np.testing.assert_array_equal(loaded.weights[0], model.weights[0])
