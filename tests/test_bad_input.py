"""Bad input gets one line that names the argument and the value, and changes nothing."""

import copy
import math
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import fastmlp
from benchmarks.implementations import IMPLEMENTATIONS
from fastmlp.checks import SHOWN_CHARACTERS, shown

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [3, 5, 2]
X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
Y = np.array([0, 1, 0, 1, 1, 0])
NAMES = list(IMPLEMENTATIONS)


def x_with(value, dtype=np.float64):
    x = X.astype(dtype)
    x[4, 1] = value
    return x


def y_with(value, dtype=np.int64):
    y = Y.astype(dtype)
    y[4] = value
    return y


def parameters(model):
    return [a.copy() for a in (*model.weights, *model.biases)]


def assert_unchanged(model, before):
    for now, then in zip(parameters(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


def assert_refused(call, kind, argument, shows=""):
    """``call`` raises ``kind``, in one short line that begins with ``argument``."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is kind, message
    assert message.startswith(argument), message
    assert str(shows) in message
    assert "\n" not in message
    assert len(message) < 250


# --- the model ------------------------------------------------------------------------------------

BAD_MODELS = {
    # case: (arguments, error, argument, what of the value the message shows)
    "no layers": ({"layers": []}, ValueError, "layers", "[]"),
    "one layer": ({"layers": [3]}, ValueError, "layers", "[3]"),
    "layer of nothing": ({"layers": [3, 0, 2]}, ValueError, "layers", "0"),
    "negative layer": ({"layers": [3, -5, 2]}, ValueError, "layers", "-5"),
    "layer of a half": ({"layers": [3, 2.5, 2]}, TypeError, "layers", "2.5"),
    "layer as text": ({"layers": [3, "5", 2]}, TypeError, "layers", "5"),
    "layer true": ({"layers": [3, True, 2]}, TypeError, "layers", "True"),
    "layers a number": ({"layers": 3}, TypeError, "layers", "3"),
    "layers as text": ({"layers": "35"}, TypeError, "layers", "3"),
    "layers none": ({"layers": None}, TypeError, "layers", "None"),
    "layers a matrix": ({"layers": np.ones((40, 40))}, TypeError, "layers", ""),
    "activation": ({"activation": "rleu"}, ValueError, "activation", "'rleu'"),
    "activation none": ({"activation": None}, ValueError, "activation", "None"),
    "activations": ({"activation": ["relu"] * 2}, ValueError, "activation", "['relu', 'relu']"),
    "init": ({"init": "zero"}, ValueError, "init", "'zero'"),
    "bounds of init": ({"init": "uniform(1, 0)"}, ValueError, "init", "'uniform(1, 0)'"),
    "init a function": ({"init": len}, ValueError, "init", "len"),
    "float16": ({"dtype": "float16"}, ValueError, "dtype", "float16"),
    "longdouble": ({"dtype": np.longdouble}, ValueError, "dtype", ""),
    "int32": ({"dtype": "int32"}, ValueError, "dtype", "int32"),
    "int32 type": ({"dtype": np.int32}, ValueError, "dtype", "int32"),
    "complex": ({"dtype": complex}, ValueError, "dtype", "complex"),
    "dtype misspelt": ({"dtype": "flaot32"}, ValueError, "dtype", "flaot32"),
    "dtype none": ({"dtype": None}, ValueError, "dtype", "None"),
    "big-endian": ({"dtype": ">f4"}, ValueError, "dtype", ">f4"),
    "big-endian double": ({"dtype": np.dtype(">f8")}, ValueError, "dtype", ">f8"),
    "record": ({"dtype": [("a", "f4")]}, ValueError, "dtype", "a"),
    "negative seed": ({"seed": -1}, ValueError, "seed", "-1"),
    "seed none": ({"seed": None}, TypeError, "seed", "None"),
    "seed of a half": ({"seed": 0.5}, TypeError, "seed", "0.5"),
    "whole float seed": ({"seed": 1.0}, TypeError, "seed", "1.0"),
    "seed as text": ({"seed": "1"}, TypeError, "seed", "'1'"),
    "seed true": ({"seed": True}, TypeError, "seed", "True"),
    "seed a generator": ({"seed": np.random.default_rng(0)}, TypeError, "seed", "Generator"),
    "seed an array": ({"seed": np.arange(6).reshape(3, 2)}, TypeError, "seed", "array"),
    "scale nan": ({"uint8_scale": math.nan}, ValueError, "uint8_scale", "nan"),
    "scale infinite": ({"uint8_scale": math.inf}, ValueError, "uint8_scale", "inf"),
    "scale too large": ({"uint8_scale": 10**400}, ValueError, "uint8_scale", "1000"),
    "scale as text": ({"uint8_scale": "1"}, TypeError, "uint8_scale", "'1'"),
    "scale complex": ({"uint8_scale": 1j}, TypeError, "uint8_scale", "1j"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_model_is_refused(name, case):
    arguments, kind, argument, shows = BAD_MODELS[case]
    MLP = IMPLEMENTATIONS[name].MLP
    # A size names itself in one implementation and its place in the other.
    prefix = ("layers", "every size in layers") if argument == "layers" else argument
    assert_refused(lambda: MLP(**{"layers": LAYERS, **arguments}), kind, prefix, shows)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", np.float32, np.dtype("float64"), float, "f4", "double", "<f4"]
)
def test_every_spelling_of_the_two_dtypes_is_taken(name, dtype):
    model = IMPLEMENTATIONS[name].MLP([3, 2], dtype=dtype)
    assert model.dtype == np.dtype(dtype)
    assert model.dtype.isnative


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize(
    ("lr", "kind"),
    [
        (-0.1, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (-math.inf, ValueError),
        (10**400, ValueError),
        ("0.1", TypeError),
        (None, TypeError),
        (True, TypeError),
        (1j, TypeError),
        ([0.1], TypeError),
        (Decimal("0.1"), TypeError),
    ],
    ids=lambda value: str(value)[:9] if not isinstance(value, type) else "",
)
def test_a_bad_learning_rate_is_refused(name, optimizer, lr, kind):
    shows = "1000" if lr == 10**400 else repr(lr)
    assert_refused(lambda: getattr(IMPLEMENTATIONS[name], optimizer)(lr=lr), kind, "lr", shows)


BAD_ADAMS = {
    "beta of one": ({"betas": (0.9, 1.0)}, ValueError, "1.0"),
    "first beta of one": ({"betas": (1, 0.999)}, ValueError, "1"),
    "negative beta": ({"betas": (-0.1, 0.999)}, ValueError, "-0.1"),
    "beta nan": ({"betas": (0.9, math.nan)}, ValueError, "nan"),
    "beta infinite": ({"betas": (-math.inf, 0.999)}, ValueError, "-inf"),
    "beta too large": ({"betas": (0.9, 10**400)}, ValueError, "1000"),
    "beta as text": ({"betas": (0.9, "0.99")}, TypeError, "'0.99'"),
    "beta true": ({"betas": (True, 0.999)}, TypeError, "True"),
    "beta complex": ({"betas": (0.9, 1j)}, TypeError, "1j"),
    "beta none": ({"betas": (None, 0.999)}, TypeError, "None"),
    "one beta": ({"betas": (0.9,)}, TypeError, "0.9"),
    "three betas": ({"betas": (0.9, 0.99, 0.999)}, TypeError, "0.99"),
    "no betas": ({"betas": ()}, TypeError, "()"),
    "betas a number": ({"betas": 0.9}, TypeError, "0.9"),
    "betas none": ({"betas": None}, TypeError, "None"),
    "betas as text": ({"betas": "09"}, TypeError, "0"),
    "eps zero": ({"eps": 0.0}, ValueError, "0.0"),
    "eps negative": ({"eps": -1e-8}, ValueError, "-1e-08"),
    "eps nan": ({"eps": math.nan}, ValueError, "nan"),
    "eps infinite": ({"eps": math.inf}, ValueError, "inf"),
    "eps too large": ({"eps": 10**400}, ValueError, "1000"),
    "eps as text": ({"eps": "1e-8"}, TypeError, "'1e-8'"),
    "eps none": ({"eps": None}, TypeError, "None"),
    "eps true": ({"eps": True}, TypeError, "True"),
    "eps complex": ({"eps": 1j}, TypeError, "1j"),
}


@pytest.mark.parametrize("case", BAD_ADAMS)
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_adam_is_refused(name, case):
    arguments, kind, shows = BAD_ADAMS[case]
    (argument,) = arguments
    assert_refused(lambda: IMPLEMENTATIONS[name].Adam(**arguments), kind, argument, shows)


@pytest.mark.parametrize("name", NAMES)
def test_betas_without_an_order_are_refused(name):
    assert_refused(lambda: IMPLEMENTATIONS[name].Adam(betas={0.9, 0.99}), TypeError, "betas", "0.9")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("eps", [1e-50, 1e300])
def test_an_eps_that_the_dtype_cannot_hold_is_refused_before_any_work(name, eps):
    implementation = IMPLEMENTATIONS[name]
    x, y, optimizer = np.ones((4, 3)), np.array([0, 1, 0, 1]), implementation.Adam(eps=eps)

    def train(dtype):
        model = implementation.MLP([3, 2], dtype=dtype)
        implementation.fit(model, x, y, epochs=1, optimizer=optimizer)

    assert_refused(lambda: train("float32"), ValueError, "eps", str(eps))
    train("float64")


@pytest.mark.parametrize("name", NAMES)
def test_adam_takes_every_kind_of_number_at_the_ends_of_what_is_allowed(name):
    optimizer = IMPLEMENTATIONS[name].Adam(0, [np.float32(0.5), 0], np.float64(1e300))
    assert optimizer == IMPLEMENTATIONS[name].Adam(0.0, (0.5, 0.0), 1e300)
    assert all(type(v) is float for v in (optimizer.lr, *optimizer.betas, optimizer.eps))
    below_one = math.nextafter(1, 0)
    assert IMPLEMENTATIONS[name].Adam(betas=(below_one, below_one)).betas == (below_one, below_one)


# --- samples and labels ---------------------------------------------------------------------------

BAD_X = {
    "nan": (x_with(math.nan), ValueError, "nan"),
    "infinity": (x_with(math.inf), ValueError, "inf"),
    "minus infinity": (x_with(-math.inf), ValueError, "inf"),
    "float32 nan": (x_with(math.nan, np.float32), ValueError, "nan"),
    "float16 infinity": (x_with(math.inf, np.float16), ValueError, "inf"),
    "beyond float32": (x_with(3.5e38), ValueError, "3.5e+38"),
    "far beyond float32": (x_with(-1e300), ValueError, "-1e+300"),
    "list with nan": (x_with(math.nan).tolist(), ValueError, "nan"),
    "csr with nan": (scipy.sparse.csr_matrix(x_with(math.nan)), ValueError, "nan"),
    "csc with infinity": (scipy.sparse.csc_array(x_with(math.inf)), ValueError, "inf"),
    "no samples": (X[:0], ValueError, "(0, 3)"),
    "empty csr": (scipy.sparse.csr_matrix((0, 3)), ValueError, "(0, 3)"),
    "no features": (X[:, :0], ValueError, "0"),
    "too few features": (X[:, :2], ValueError, "2"),
    "too many features": (np.ones((6, 4)), ValueError, "4"),
    "csr of other width": (scipy.sparse.csr_matrix(np.ones((6, 4))), ValueError, "4"),
    "one axis": (X[:, 0], ValueError, "(6,)"),
    "three axes": (X[:, :, None], ValueError, "(6, 3, 1)"),
    "a number": (1.0, ValueError, "()"),
    "ragged": ([[1.0, 2.0, 3.0], [4.0]], ValueError, ""),
    "text": (X.astype(str), TypeError, "<U"),
    "bytes": (X.astype("S9"), TypeError, "S9"),
    "objects": (X.astype(object), TypeError, "object"),
    "none": (None, TypeError, "object"),
    "complex": (X.astype(complex), TypeError, "complex128"),
    "dates": (np.zeros((6, 3), "M8[s]"), TypeError, "datetime64"),
    "records": (np.zeros((6, 3), [("a", "f4")]), TypeError, "a"),
}
BAD_Y = {
    "label too large": (y_with(2), ValueError, "2"),
    "far too large": (y_with(2**40), ValueError, str(2**40)),
    "negative": (y_with(-1), ValueError, "-1"),
    "beyond int64": (y_with(2**64 - 1, np.uint64), ValueError, str(2**64 - 1)),
    "negative int8": (y_with(-1, np.int8), ValueError, "-1"),
    "floats": (Y.astype(float), TypeError, "float64"),
    "nan": (y_with(math.nan, float), TypeError, "float64"),
    "booleans": (Y.astype(bool), TypeError, "bool"),
    "text": (Y.astype(str), TypeError, "<U"),
    "objects": (Y.astype(object), TypeError, "object"),
    "complex": (Y.astype(complex), TypeError, "complex128"),
    "one-hot": (np.eye(2, dtype=int)[Y], ValueError, "(6, 2)"),
    "column": (Y[:, None], ValueError, "(6, 1)"),
    "too few": (Y[:5], ValueError, "5"),
    "too many": (np.append(Y, 0), ValueError, "7"),
    "none at all": (Y[:0], ValueError, "0"),
    "ragged": ([[0], [1, 0]], ValueError, ""),
}


@pytest.fixture(params=NAMES)
def api(request):
    return IMPLEMENTATIONS[request.param]


@pytest.mark.parametrize("function", ["fit", "evaluate", "loss_and_gradients"])
@pytest.mark.parametrize("case", BAD_X)
def test_bad_samples_are_refused(api, case, function):
    x, kind, shows = BAD_X[case]
    model = api.MLP(LAYERS)
    before = parameters(model)
    assert_refused(lambda: getattr(api, function)(model, x, Y), kind, "x ", shows)
    assert_unchanged(model, before)


@pytest.mark.parametrize("method", ["logits", "predict", "predict_proba"])
@pytest.mark.parametrize("case", BAD_X)
def test_bad_samples_are_refused_by_prediction(api, case, method):
    x, kind, shows = BAD_X[case]
    assert_refused(lambda: getattr(api.MLP(LAYERS), method)(x), kind, "x ", shows)


@pytest.mark.parametrize("function", ["fit", "evaluate", "loss_and_gradients"])
@pytest.mark.parametrize("case", BAD_Y)
def test_bad_labels_are_refused(api, case, function):
    y, kind, shows = BAD_Y[case]
    model = api.MLP(LAYERS)
    before = parameters(model)
    assert_refused(lambda: getattr(api, function)(model, X, y), kind, "y ", shows)
    assert_unchanged(model, before)


@pytest.mark.parametrize("case", BAD_X)
def test_bad_validation_samples_are_refused_before_training(api, case):
    x, kind, shows = BAD_X[case]
    model = api.MLP(LAYERS)
    before = parameters(model)
    assert_refused(lambda: api.fit(model, X, Y, validation_data=(x, Y)), kind, "validation", shows)
    assert_unchanged(model, before)


@pytest.mark.parametrize("case", BAD_Y)
def test_bad_validation_labels_are_refused_before_training(api, case):
    y, kind, shows = BAD_Y[case]
    model = api.MLP(LAYERS)
    before = parameters(model)
    assert_refused(lambda: api.fit(model, X, Y, validation_data=(X, y)), kind, "validation", shows)
    assert_unchanged(model, before)


def test_a_float64_network_takes_what_float32_does_not_hold(api):
    model = api.MLP(LAYERS, dtype="float64")
    assert np.isfinite(model.logits(x_with(1e39))).all()


@pytest.mark.parametrize("kind", ["index too large", "negative index", "wrong pointer"])
def test_a_csr_matrix_that_points_beyond_its_rows_is_refused(kind):
    x = scipy.sparse.csr_matrix(np.abs(X) + 1)
    if kind == "index too large":
        x.indices[-1] = 1000
    elif kind == "negative index":
        x.indices[0] = -1
    else:
        x.indptr[3] = 1000
    for call in (fastmlp.MLP(LAYERS).logits, lambda x: fastmlp.fit(fastmlp.MLP(LAYERS), x, Y)):
        assert_refused(lambda call=call: call(x), ValueError, "x is no valid CSR matrix")


# --- settings -------------------------------------------------------------------------------------


class Descent:
    lr = 0.1


BAD_SETTINGS = {
    "negative epochs": ({"epochs": -1}, ValueError, "epochs", "-1"),
    "half an epoch": ({"epochs": 0.5}, TypeError, "epochs", "0.5"),
    "epochs true": ({"epochs": True}, TypeError, "epochs", "True"),
    "epochs as text": ({"epochs": "3"}, TypeError, "epochs", "'3'"),
    "epochs none": ({"epochs": None}, TypeError, "epochs", "None"),
    "empty batches": ({"batch_size": 0}, ValueError, "batch_size", "0"),
    "negative batches": ({"batch_size": -1}, ValueError, "batch_size", "-1"),
    "batches by name": ({"batch_size": "half"}, ValueError, "batch_size", "'half'"),
    "batches of a part": ({"batch_size": 2.5}, TypeError, "batch_size", "2.5"),
    "batches none": ({"batch_size": None}, TypeError, "batch_size", "None"),
    "batches true": ({"batch_size": True}, TypeError, "batch_size", "True"),
    "negative seed": ({"seed": -1}, ValueError, "seed", "-1"),
    "seed of a half": ({"seed": 0.5}, TypeError, "seed", "0.5"),
    "seed as text": ({"seed": "0"}, TypeError, "seed", "'0'"),
    "seed none": ({"seed": None}, TypeError, "seed", "None"),
    "optimizer by name": ({"optimizer": "sgd"}, TypeError, "optimizer", ""),
    "optimizer a number": ({"optimizer": 0.1}, TypeError, "optimizer", ""),
    "optimizer unknown": ({"optimizer": Descent()}, TypeError, "optimizer", "Descent"),
    "validation x alone": ({"validation_data": X}, None, "validation_data", ""),
    "validation triple": ({"validation_data": (X, Y, Y)}, None, "validation_data", ""),
    "validation a number": ({"validation_data": 0.1}, None, "validation_data", ""),
    "validation swapped": ({"validation_data": (Y, X)}, ValueError, "validation", "(6,)"),
    "validation empty": ({"validation_data": (X[:0], Y[:0])}, ValueError, "validation", "(0, 3)"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_a_bad_setting_is_refused(api, case):
    arguments, kind, argument, shows = BAD_SETTINGS[case]
    model = api.MLP(LAYERS)
    before = parameters(model)
    with pytest.raises((TypeError, ValueError)) as caught:
        api.fit(model, X, Y, **arguments)
    if kind is not None:  # where it is open whether the type or the value is wrong
        assert type(caught.value) is kind
    message = str(caught.value)
    assert message.startswith(argument), message
    assert shows in message
    assert "\n" not in message
    assert_unchanged(model, before)


@pytest.mark.parametrize(
    ("threads", "kind"),
    [(0, ValueError), (-1, ValueError), (300, ValueError), ("2", TypeError), (1.5, TypeError)],
)
@pytest.mark.parametrize("function", ["fit", "evaluate", "loss_and_gradients"])
def test_a_bad_number_of_threads_is_refused(function, threads, kind):
    """By the engine: the reference has no use for it."""
    model = fastmlp.MLP(LAYERS)
    call = getattr(fastmlp, function)
    assert_refused(lambda: call(model, X, Y, threads=threads), kind, "threads", repr(threads))


@pytest.mark.parametrize("text", ["0", "-2", "300", "two", "1.5", "²"])
def test_a_wrong_environment_variable_is_refused_by_every_use(monkeypatch, text):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", text)
    model = fastmlp.MLP(LAYERS)
    before = parameters(model)
    for call in (
        lambda: fastmlp.fit(model, X, Y),
        lambda: fastmlp.evaluate(model, X, Y),
        lambda: fastmlp.loss_and_gradients(model, X, Y),
        lambda: model.predict(X),
    ):
        assert_refused(call, ValueError, "FASTMLP_NUM_THREADS", text)
    assert_unchanged(model, before)


def test_a_failing_callback_ends_the_training_with_its_own_error(api):
    class Failing(api.Callback):
        def on_epoch_end(self, model, record):
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match=r"^disk full$"):
        api.fit(api.MLP(LAYERS), X, Y, callbacks=[Failing()])


@pytest.mark.parametrize(
    "value",
    ["line\nline", np.arange(10_000).reshape(100, 100), "x" * 10_000, list(range(10_000)), 10**400],
    ids=["two lines", "matrix", "text", "list", "integer"],
)
def test_a_shown_value_is_one_short_line(value):
    text = shown(value)
    assert "\n" not in text
    assert 0 < len(text) <= SHOWN_CHARACTERS


# --- divergence -----------------------------------------------------------------------------------

N, BATCH = 40, 4
RATES = {"float32": 1e30, "float64": 1e200}


def diverging(api, dtype, n=N, lr=None, rule="SGD"):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((N, 3)).astype(dtype)[:n]
    y = rng.integers(0, 2, N)[:n]
    model = api.MLP(LAYERS, dtype=dtype, seed=2)
    optimizer = getattr(api, rule)(lr=RATES[dtype] if lr is None else lr)
    options = {"batch_size": BATCH, "optimizer": optimizer, "shuffle": False}
    return model, lambda epochs, **more: api.fit(model, x, y, epochs=epochs, **options, **more)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_a_loss_that_is_not_finite_stops_before_that_step(api, rule, dtype, threads):
    model, fit = diverging(api, dtype, rule=rule)
    with pytest.raises(FloatingPointError) as caught:
        fit(3, threads=threads)
    message = str(caught.value)
    assert "\n" not in message
    words = message.replace(",", " ").replace(":", " ").replace(";", " ").split()
    epoch, step = (int(words[words.index(word) + 1]) for word in ("epoch", "step"))
    assert epoch == 1
    assert 1 < step <= N // BATCH
    assert f"try a learning rate below {RATES[dtype]:g}" in message

    stopped, fit = diverging(api, dtype, n=(step - 1) * BATCH, rule=rule)
    fit(1)
    assert_unchanged(model, parameters(stopped))


@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_all_implementations_diverge_at_the_same_step(rule):
    messages = []
    for api in IMPLEMENTATIONS.values():
        _, fit = diverging(api, "float64", rule=rule)
        with pytest.raises(FloatingPointError) as caught:
            fit(3)
        words = str(caught.value).replace(",", " ").replace(":", " ").replace(";", " ").split()
        messages.append([words[words.index(word) + 1] for word in ("epoch", "step")])
    assert all(message == messages[0] for message in messages)


def test_divergence_in_a_later_epoch_names_that_epoch(api):
    model, fit = diverging(api, "float64", lr=0.1)

    class Spoil(api.Callback):
        def on_epoch_end(self, model, record):
            if record.epoch == 2:
                model.weights[-1][...] = math.nan

    with pytest.raises(FloatingPointError, match=r"epoch 3, step 1\b"):
        fit(5, callbacks=[Spoil()])
    assert np.isnan(model.weights[-1]).all()
    assert np.isfinite(model.weights[0]).all()


def test_a_network_that_is_not_finite_has_a_loss_that_says_so(api):
    model = api.MLP(LAYERS)
    model.weights[0][...] = math.nan
    with np.errstate(invalid="ignore"):
        assert math.isnan(api.evaluate(model, X, Y).loss)


def test_a_network_can_be_trained_again_after_a_failure(api):
    model, fit = diverging(api, "float32", lr=0.1)
    fresh = copy.deepcopy(parameters(model))
    bad = X.copy()
    bad[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"^x "):
        api.fit(model, bad, Y)
    assert_unchanged(model, fresh)
    history = fit(2)
    assert history.epochs[1].train_loss < history.epochs[0].train_loss


# --- no place for a cache -------------------------------------------------------------------------

WITHOUT_HOME = """
import numpy as np, fastmlp
x, y = np.eye(4, dtype=np.float32), np.arange(4) % 2
model = fastmlp.MLP([4, 2])
history = fastmlp.fit(model, x, y, epochs=30, batch_size="full", optimizer=fastmlp.SGD(lr=1.0))
fastmlp.fit(model, x, y, epochs=1)
print(history.epochs[-1].train_loss < history.epochs[0].train_loss, fastmlp.evaluate(model, x, y).accuracy)
"""  # noqa: E501


def test_without_a_writable_home_it_trains_uncached_and_says_so_once(tmp_path):
    wall = tmp_path / "file"
    wall.touch()
    home = str(wall / "home")  # a folder below a file: not even root can make it
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FASTMLP_", "NUMBA_"))}
    env |= {"HOME": home, "XDG_CACHE_HOME": home, "LOCALAPPDATA": home}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HOME],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "1.0"]
    warnings = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert len(warnings) == 1
    assert "compiled kernels are not kept" in warnings[0]
    assert home in warnings[0]
    assert "FASTMLP_CACHE_DIR" in warnings[0]
    assert "Traceback" not in done.stderr
