"""PyTorch's own layers, losses and optimisers against ours, from the same parameters."""

from functools import partial

import numpy as np
import pytest

from benchmarks.implementations import IMPLEMENTATIONS
from tests.equality import assert_equal

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

NAMES = list(IMPLEMENTATIONS)
DTYPES = ["float64", "float32"]
LAYERS = [6, 9, 8, 3]

every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(params=NAMES)
def api(request):
    return IMPLEMENTATIONS[request.param]


@pytest.fixture(autouse=True)
def default_dtype(request):
    """Of what PyTorch's optimisers keep besides their moments."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


# --- the same network in PyTorch ------------------------------------------------------------------

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "identity": nn.Identity,
}
NORMS = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}


def per_hidden(value, n_hidden):
    return list(value) if isinstance(value, tuple) else [value] * n_hidden


class Twin(nn.Module):
    """The network of a model of ours, with copies of its parameters."""

    def __init__(self, model):
        super().__init__()
        sizes = model.layers
        n_hidden = len(sizes) - 2
        activations = [ACTIVATIONS[name]() for name in per_hidden(model.activation, n_hidden)]
        norms = per_hidden(model.norm, n_hidden)
        self.linear = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.norms = nn.ModuleList(
            nn.Identity() if norm is None else NORMS[norm](size)
            for norm, size in zip(norms, sizes[1:-1], strict=True)
        )
        self.activations = nn.ModuleList(activations)
        self.to(getattr(torch, str(model.dtype)))
        with torch.no_grad():
            for name, V in self.arrays().items():
                V.copy_(torch.from_numpy(model.state_dict()[name]))

    def forward(self, X):
        for linear, norm, activation in zip(
            self.linear, self.norms, self.activations, strict=False
        ):
            X = activation(norm(linear(X)))
        return self.linear[-1](X)

    def arrays(self, of=lambda V: V.detach()):
        """What our state_dict calls them, in our shapes; `of` takes a tensor."""
        arrays = {}
        for k, linear in enumerate(self.linear, start=1):
            arrays[f"W{k}"], arrays[f"b{k}"] = of(linear.weight).T, of(linear.bias)
        for k, norm in enumerate(self.norms, start=1):
            if not isinstance(norm, nn.Identity):
                arrays[f"scale{k}"], arrays[f"shift{k}"] = of(norm.weight), of(norm.bias)
            if isinstance(norm, nn.BatchNorm1d):
                arrays[f"mean{k}"], arrays[f"variance{k}"] = norm.running_mean, norm.running_var
        return arrays

    def gradients(self):
        """In the order of our Gradients: weights, biases, scales, shifts."""
        arrays = self.arrays(of=lambda V: V.grad)
        kinds = ("W", "b", "scale", "shift")
        return [V for kind in kinds for name, V in arrays.items() if name.rstrip("123") == kind]


def perturbed(model, seed=3):
    """The model with parameters of which none is 0 or 1."""
    rng = np.random.default_rng(seed)
    for V in [*model.weights, *model.biases, *model.scales, *model.shifts]:
        V += 0.2 * rng.standard_normal(V.shape).astype(V.dtype)
    return model


def samples(n, dtype, layers=LAYERS, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, layers[0])).astype(dtype)
    return x, rng.integers(0, layers[-1], n)


def tensor(array, dtype=None):
    array = torch.from_numpy(np.array(array))
    return array.to(getattr(torch, dtype)) if dtype and array.is_floating_point() else array


def assert_same_arrays(model, twin, dtype):
    arrays = twin.arrays()
    assert arrays.keys() == model.state_dict().keys()
    for name, V in model.state_dict().items():
        assert_equal(V, arrays[name].numpy(), dtype, name)


def assert_same_gradients(got, loss, twin, dtype):
    assert_equal(got.loss, loss.item(), dtype, "loss")
    ours = [*got.weights, *got.biases, *got.scales, *got.shifts]
    for i, (dV, theirs) in enumerate(zip(ours, twin.gradients(), strict=True)):
        assert_equal(dV, theirs.numpy(), dtype, f"gradient {i}")


def train(twin, optimizer, x, y, *, epochs, batch_size, before_step=None, after_step=None):
    """Train with batches in the order given; the hooks get the network."""
    twin.train()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            optimizer.zero_grad()
            functional.cross_entropy(twin(tensor(x[rows])), tensor(y[rows])).backward()
            if before_step:
                before_step(twin)
            optimizer.step()
            if after_step:
                after_step(twin)


# --- activations ----------------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation(api, activation, dtype):
    model = perturbed(api.MLP(LAYERS, activation=activation, dtype=dtype))
    x, y = samples(20, dtype)
    twin = Twin(model)
    logits = twin(tensor(x))
    assert_equal(model.logits(x), logits.detach().numpy(), dtype, "logits")
    loss = functional.cross_entropy(logits, tensor(y))
    loss.backward()
    assert_same_gradients(api.loss_and_gradients(model, x, y), loss, twin, dtype)


@every_dtype
def test_another_activation_in_each_layer(api, dtype):
    model = perturbed(api.MLP(LAYERS, activation=["mish", "selu"], dtype=dtype))
    x, y = samples(20, dtype)
    twin = Twin(model)
    loss = functional.cross_entropy(twin(tensor(x)), tensor(y))
    loss.backward()
    assert_same_gradients(api.loss_and_gradients(model, x, y), loss, twin, dtype)


# --- losses ---------------------------------------------------------------------------------------


def labels(rng, n, K):
    return rng.integers(0, K, n)


def distributions(rng, n, K):
    return rng.dirichlet(np.ones(K), n)


def zeros_and_ones(rng, n, K):
    return rng.integers(0, 2, (n, K))


def uniform(rng, n, K):
    return rng.random((n, K))


def numbers(rng, n, K):
    return rng.standard_normal((n, K))


def counts(rng, n, K):
    return rng.poisson(2, (n, K))


def cross_entropy(Z, t, c, eps=0.0):
    losses = functional.cross_entropy(Z, t, weight=c, label_smoothing=eps, reduction="none")
    return losses, c[t] if t.ndim == 1 else torch.ones(len(t))


def binary(Z, t, c):
    weight = c[(t > 0.5).long()] if t.shape[1] == 1 else c
    losses = functional.binary_cross_entropy_with_logits(Z, t, weight, reduction="none")
    return losses.mean(axis=1), weight[:, 0] if t.shape[1] == 1 else torch.ones(len(t))


def regression(function, **settings):
    def losses(Z, t, c):
        return function(Z, t, reduction="none", **settings).mean(axis=1), torch.ones(len(t))

    return losses


poisson = regression(functional.poisson_nll_loss, log_input=True, full=False)
smoothed = partial(cross_entropy, eps=0.1)
LOSSES = {
    # case: (class and its settings, outputs, number of class weights, targets, PyTorch's loss)
    "labels": (("CrossEntropy",), 3, 3, labels, cross_entropy),
    "smoothed labels": (("CrossEntropy", 0.1), 3, 3, labels, smoothed),
    "distributions": (("CrossEntropy",), 3, 3, distributions, cross_entropy),
    "smoothed distributions": (("CrossEntropy", 0.1), 3, 3, distributions, smoothed),
    "one yes or no": (("BinaryCrossEntropy",), 1, 2, zeros_and_ones, binary),
    "one probability": (("BinaryCrossEntropy",), 1, 2, uniform, binary),
    "yes or no": (("BinaryCrossEntropy",), 3, 3, zeros_and_ones, binary),
    "probabilities": (("BinaryCrossEntropy",), 3, 3, uniform, binary),
    "squares": (("SquaredError",), 3, None, numbers, regression(functional.mse_loss)),
    "one square": (("SquaredError",), 1, None, numbers, regression(functional.mse_loss)),
    "absolute": (("AbsoluteError",), 3, None, numbers, regression(functional.l1_loss)),
    "huber": (("Huber",), 3, None, numbers, regression(functional.huber_loss)),
    "huber 0.3": (("Huber", 0.3), 3, None, numbers, regression(functional.huber_loss, delta=0.3)),
    "poisson": (("Poisson",), 3, None, counts, poisson),
    "one poisson": (("Poisson",), 1, None, counts, poisson),
}


def loss_case(api, case, dtype):
    """A model, its twin, samples, targets of both, and PyTorch's losses and masses."""
    (name, *settings), K, n_weights, targets, theirs = LOSSES[case]
    loss = getattr(api.losses, name)(*settings)
    model = perturbed(api.MLP([5, 7, K], activation="tanh", loss=loss, dtype=dtype))
    x, _ = samples(16, dtype, model.layers)
    y = targets(np.random.default_rng(1), 16, K)
    t = tensor(y, dtype)
    if y.ndim == 2:
        t = t.to(getattr(torch, dtype))
    return model, Twin(model), x, y, t, n_weights, theirs


@every_dtype
@pytest.mark.parametrize("class_weighted", [False, True], ids=["", "class weights"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "sample weights"])
@pytest.mark.parametrize("case", LOSSES)
def test_loss(api, case, weighted, class_weighted, dtype):
    model, twin, x, y, t, n_weights, theirs = loss_case(api, case, dtype)
    if class_weighted and n_weights is None:
        with pytest.raises(ValueError, match=r"^class_weight"):
            api.loss_and_gradients(model, x, y, class_weight=[1.0, 2.0, 3.0])
        return
    rng = np.random.default_rng(2)
    s = rng.integers(0, 4, len(x)).astype(float) if weighted else np.ones(len(x))
    c = rng.random(n_weights or 1) + 0.5 if class_weighted else np.ones(n_weights or 1)
    losses, masses = theirs(twin(tensor(x)), t, tensor(c, dtype))
    loss = (tensor(s, dtype) * losses).sum() / (tensor(s, dtype) * masses).sum()
    loss.backward()
    given = {
        "sample_weight": s if weighted else None,
        "class_weight": c if class_weighted else None,
    }
    assert_same_gradients(api.loss_and_gradients(model, x, y, **given), loss, twin, dtype)


@every_dtype
@pytest.mark.parametrize("eps", [0.0, 0.2])
@pytest.mark.parametrize("targets", [labels, distributions])
def test_weighted_mean_of_cross_entropy_is_that_of_pytorch(api, targets, eps, dtype):
    """Which divides by the classes' weights for labels, and by n for distributions."""
    model = perturbed(api.MLP(LAYERS, loss=api.losses.CrossEntropy(eps), dtype=dtype))
    x, _ = samples(20, dtype)
    y, c = targets(np.random.default_rng(1), 20, 3), np.array([0.5, 2.0, 1.5])
    twin = Twin(model)
    loss = functional.cross_entropy(
        twin(tensor(x)), tensor(y, dtype), weight=tensor(c, dtype), label_smoothing=eps
    )
    loss.backward()
    got = api.loss_and_gradients(model, x, y, class_weight=dict(enumerate(c)))
    assert_same_gradients(got, loss, twin, dtype)


@every_dtype
@pytest.mark.parametrize("case", LOSSES)
def test_evaluation_and_predictions(api, case, dtype):
    model, twin, x, y, t, n_weights, theirs = loss_case(api, case, dtype)
    with torch.no_grad():
        Z = twin(tensor(x))
        losses, _ = theirs(Z, t, torch.ones(n_weights or 1, dtype=Z.dtype))
    assert_equal(api.evaluate(model, x, y).loss, losses.mean().item(), dtype, "loss")
    predicted = model.predict(x)
    if model.loss.name == "cross_entropy":
        np.testing.assert_array_equal(predicted, Z.argmax(axis=1).numpy())
        assert_equal(model.predict_proba(x), torch.softmax(Z, 1).numpy(), dtype)
    elif model.loss.name == "binary_cross_entropy":
        np.testing.assert_array_equal(predicted, (Z > 0).squeeze(1).numpy())
        assert_equal(model.predict_proba(x), torch.sigmoid(Z).numpy(), dtype)
    else:
        outputs = torch.exp(Z) if model.loss.name == "poisson" else Z
        assert_equal(predicted, outputs.squeeze(1).numpy(), dtype)
        with pytest.raises(TypeError, match=r"^predict_proba needs a loss of classes"):
            model.predict_proba(x)


# --- norms ----------------------------------------------------------------------------------------

every_norm = pytest.mark.parametrize(
    "norm", ["layer", "batch", ("batch", "layer"), (None, "batch")], ids=str
)


@every_dtype
@every_norm
def test_norm_gradients(api, norm, dtype):
    model = perturbed(api.MLP(LAYERS, activation="tanh", norm=norm, dtype=dtype))
    x, y = samples(20, dtype)
    twin = Twin(model)
    before = model.state_dict()
    loss = functional.cross_entropy(twin(tensor(x)), tensor(y))
    loss.backward()
    got = api.loss_and_gradients(model, x, y)
    # A bias before a batch norm has no effect: its gradient is 0, in any arithmetic about so.
    ours, theirs = [*got.biases], [linear.bias.grad for linear in twin.linear]
    scale = np.abs(got.weights[0]).max()
    for dV, other in zip(ours, theirs, strict=True):
        assert_equal(np.append(dV, scale), np.append(other.numpy(), scale), dtype)
    ours = [*got.weights, *got.scales, *got.shifts]
    kinds = twin.gradients()
    for dV, other in zip(ours, kinds[:3] + kinds[6:], strict=True):
        assert_equal(dV, other.numpy(), dtype)
    assert_equal(got.loss, loss.item(), dtype)
    for name, V in model.state_dict().items():
        np.testing.assert_array_equal(V, before[name])


@every_dtype
@every_norm
def test_norm_trains_and_predicts(api, norm, dtype):
    """Running statistics, too; the last batch of an epoch is smaller."""
    model = perturbed(api.MLP(LAYERS, activation="tanh", norm=norm, dtype=dtype))
    x, y = samples(20, dtype)
    twin = Twin(model)
    train(twin, torch.optim.SGD(twin.parameters(), lr=0.2), x, y, epochs=2, batch_size=8)
    api.fit(model, x, y, epochs=2, batch_size=8, shuffle=False, optimizer=api.SGD(lr=0.2))
    assert_same_arrays(model, twin, dtype)
    twin.eval()
    with torch.no_grad():
        Z = twin(tensor(x))
    assert_equal(model.logits(x), Z.numpy(), dtype, "logits")
    loss = functional.cross_entropy(Z, tensor(y)).item()
    assert_equal(api.evaluate(model, x, y).loss, loss, dtype, "loss")


# --- optimisers -----------------------------------------------------------------------------------

# eps as in tests.equality.ADAM, and for the same reason.
OPTIMIZERS = {
    # case: (our class, PyTorch's, settings of both, names of settings in PyTorch)
    "sgd": ("SGD", "SGD", {"lr": 0.2}),
    "momentum": ("SGD", "SGD", {"lr": 0.1, "momentum": 0.8}),
    "nesterov": ("SGD", "SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    "adam": ("Adam", "Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3}),
    "nadam": ("NAdam", "NAdam", {"lr": 0.01, "momentum_decay": 0.1, "eps": 1e-3}),
    "rmsprop": ("RMSprop", "RMSprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-3}),
    "rmsprop with momentum": (
        "RMSprop", "RMSprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "momentum": 0.7},
    ),
    "adagrad": ("Adagrad", "Adagrad", {"lr": 0.05, "eps": 1e-3}),
    "adagrad with all": (
        "Adagrad",
        "Adagrad",
        {"lr": 0.05, "eps": 1e-3, "lr_decay": 0.1, "initial_accumulator": 0.2},
    ),
}  # fmt: skip
THEIR_NAMES = {"initial_accumulator": "initial_accumulator_value"}
RUN = {"epochs": 2, "batch_size": 8}  # six steps, two of them with a smaller batch


def problem(api, dtype, **settings):
    settings = {"activation": "tanh", "norm": ("layer", "batch"), **settings}
    model = perturbed(api.MLP(LAYERS, dtype=dtype, **settings))
    return model, Twin(model), *samples(20, dtype)


def theirs(name, parameters, settings):
    settings = {THEIR_NAMES.get(name, name): value for name, value in settings.items()}
    return getattr(torch.optim, name)(parameters, **settings)


@every_dtype
@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("case", OPTIMIZERS)
def test_optimizer(api, case, decay, dtype):
    ours, name, settings = OPTIMIZERS[case]
    model, twin, x, y = problem(api, dtype)
    optimizer = theirs(name, twin.parameters(), {**settings, "weight_decay": decay})
    train(twin, optimizer, x, y, **RUN)
    optimizer = getattr(api, ours)(**settings, weight_decay=decay, decay_biases=True)
    api.fit(model, x, y, shuffle=False, optimizer=optimizer, **RUN)
    assert_same_arrays(model, twin, dtype)


def shrink(lr, decay):
    """Decoupled decay, for those of PyTorch's optimisers that have none."""

    def before_step(twin):
        with torch.no_grad():
            for V in twin.parameters():
                V *= 1 - lr * decay

    return before_step


@every_dtype
@pytest.mark.parametrize("case", OPTIMIZERS)
def test_decoupled_decay(api, case, dtype):
    ours, name, settings = OPTIMIZERS[case]
    model, twin, x, y = problem(api, dtype)
    optimizer = theirs(name, twin.parameters(), settings)
    train(twin, optimizer, x, y, before_step=shrink(settings["lr"], 0.3), **RUN)
    optimizer = getattr(api, ours)(**settings, weight_decay=0.3, decay_biases=True, decoupled=True)
    api.fit(model, x, y, shuffle=False, optimizer=optimizer, **RUN)
    assert_same_arrays(model, twin, dtype)


@every_dtype
@pytest.mark.parametrize(
    ("name", "decoupled"),
    [("AdamW", {}), ("NAdam", {"decoupled": True}), ("Adam", {"decoupled": True})],
)
def test_decoupled_decay_is_that_of_pytorch(api, name, decoupled, dtype):
    settings = {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.3}
    model, twin, x, y = problem(api, dtype)
    if name == "NAdam":
        optimizer = torch.optim.NAdam(twin.parameters(), decoupled_weight_decay=True, **settings)
    else:
        optimizer = torch.optim.AdamW(twin.parameters(), **settings)
    train(twin, optimizer, x, y, **RUN)
    optimizer = getattr(api, name)(**settings, **decoupled, decay_biases=True)
    api.fit(model, x, y, shuffle=False, optimizer=optimizer, **RUN)
    assert_same_arrays(model, twin, dtype)


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al., 2023; PyTorch has none."""

    def __init__(self, parameters, lr, betas, weight_decay):
        super().__init__(parameters, {"lr": lr, "betas": betas, "decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for theta in group["params"]:
                m = self.state[theta].setdefault("m", torch.zeros_like(theta))
                c = beta1 * m + (1 - beta1) * theta.grad
                theta -= group["lr"] * (torch.sign(c) + group["decay"] * theta)
                m.copy_(beta2 * m + (1 - beta2) * theta.grad)


@every_dtype
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_lion(api, decay, dtype):
    settings = {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": decay}
    # Without a norm: the bias before a batch norm has a gradient of 0 but for rounding, and a sign.
    model, twin, x, y = problem(api, dtype, norm=None)
    train(twin, Lion(twin.parameters(), **settings), x, y, **RUN)
    optimizer = api.Lion(**settings, decay_biases=True)
    api.fit(model, x, y, shuffle=False, optimizer=optimizer, **RUN)
    assert_same_arrays(model, twin, dtype)


@every_dtype
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_decay_of_weights_and_rates_of_layers(api, name, dtype):
    """A group of parameters for each of those that we treat apart."""
    model, twin, x, y = problem(api, dtype)
    factors = (0.5, 0.0, 2.0)
    groups = []
    for k, linear in enumerate(twin.linear):
        others = [linear.bias, *(twin.norms[k].parameters() if k < 2 else [])]
        lr = 0.05 * factors[k]
        groups.append({"params": [linear.weight], "lr": lr, "weight_decay": 0.2})
        groups.append({"params": others, "lr": lr, "weight_decay": 0.0})
    settings = {"eps": 1e-3} if name == "AdamW" else {"momentum": 0.9}
    train(twin, theirs(name, groups, settings), x, y, **RUN)
    optimizer = getattr(api, name)(lr=0.05, weight_decay=0.2, lr_multipliers=factors, **settings)
    api.fit(model, x, y, shuffle=False, optimizer=optimizer, **RUN)
    assert_same_arrays(model, twin, dtype)


# --- clipping -------------------------------------------------------------------------------------

CLIPS = {
    "clip_norm": nn.utils.clip_grad_norm_,
    "clip_value": nn.utils.clip_grad_value_,
}


@every_dtype
@pytest.mark.parametrize(
    ("clip", "limit"), [("clip_norm", 0.3), ("clip_norm", 1e3), ("clip_value", 0.02)]
)
def test_clipping_comes_before_decay(api, clip, limit, dtype):
    model, twin, x, y = problem(api, dtype)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.2, momentum=0.9, weight_decay=0.1)
    clipped = lambda twin: CLIPS[clip](twin.parameters(), limit)  # noqa: E731
    train(twin, optimizer, x, y, before_step=clipped, **RUN)
    optimizer = api.SGD(lr=0.2, momentum=0.9, weight_decay=0.1, decay_biases=True)
    api.fit(model, x, y, shuffle=False, optimizer=optimizer, **{clip: limit}, **RUN)
    assert_same_arrays(model, twin, dtype)


@every_dtype
def test_max_norm_is_renorm(api, dtype):
    """torch.renorm of the rows of a Linear's weight, but for the 1e-7 that it adds to norms."""
    model, twin, x, y = problem(api, dtype, norm=None)

    @torch.no_grad()
    def renorm(twin):
        for linear in twin.linear:
            norms = linear.weight.norm(dim=1, keepdim=True)
            linear.weight *= (0.7 / norms).clamp(max=1)

    train(twin, torch.optim.SGD(twin.parameters(), lr=0.2), x, y, after_step=renorm, **RUN)
    api.fit(model, x, y, shuffle=False, optimizer=api.SGD(lr=0.2), max_norm=0.7, **RUN)
    assert_same_arrays(model, twin, dtype)


@every_dtype
def test_train_step(api, dtype):
    model, twin, x, y = problem(api, dtype)
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.01, eps=1e-3)
    train(twin, optimizer, x, y, **RUN)
    for _ in range(RUN["epochs"]):
        for start in range(0, len(x), RUN["batch_size"]):
            rows = slice(start, start + RUN["batch_size"])
            api.train_step(model, x[rows], y[rows], optimizer=api.Adam(lr=0.01, eps=1e-3))
    assert_same_arrays(model, twin, dtype)


# --- averages -------------------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("kind", ["EMA", "SWA", "SWA from epoch 2"])
def test_averages(api, kind, dtype):
    model, twin, x, y = problem(api, dtype)
    swa_utils = torch.optim.swa_utils
    average_of = swa_utils.get_ema_multi_avg_fn(0.8) if kind == "EMA" else None
    average = swa_utils.AveragedModel(twin, multi_avg_fn=average_of, use_buffers=True)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.2)
    first = 2 if "2" in kind else 1
    for epoch in range(1, 4):
        every_step = average.update_parameters if kind == "EMA" else None
        train(twin, optimizer, x, y, epochs=1, batch_size=8, after_step=every_step)
        if kind != "EMA" and epoch >= first:
            average.update_parameters(twin)
    ours = api.EMA(0.8) if kind == "EMA" else api.SWA(first)
    api.fit(
        model, x, y, epochs=3, batch_size=8, shuffle=False, optimizer=api.SGD(lr=0.2),
        averaging=ours,
    )  # fmt: skip
    assert_same_arrays(model, average.module, dtype)


# --- L-BFGS ---------------------------------------------------------------------------------------


def test_lbfgs_ends_where_pytorchs_does(api):
    """Softmax regression with weight decay has one minimum; line searches differ on the way."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((80, 6)), rng.integers(0, 3, 80)
    model = api.MLP([6, 3], dtype="float64")
    twin = nn.Linear(6, 3, dtype=torch.float64)
    with torch.no_grad():
        twin.weight.copy_(torch.tensor(model.weights[0].T.copy()))
        twin.bias.zero_()
    optimizer = torch.optim.LBFGS(
        twin.parameters(),
        max_iter=200,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def objective():
        optimizer.zero_grad()
        loss = functional.cross_entropy(twin(torch.tensor(x)), torch.tensor(y))
        loss = loss + 0.05 * (twin.weight**2).sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    settings = {"tolerance_grad": 1e-9, "tolerance_change": 0, "weight_decay": 0.1}
    api.fit(model, x, y, epochs=200, optimizer=api.LBFGS(**settings))
    np.testing.assert_allclose(model.weights[0], twin.weight.detach().numpy().T, atol=1e-6)
    scores = api.evaluate(model, x, y)
    exact = functional.cross_entropy(twin(torch.tensor(x)), torch.tensor(y)).item()
    assert scores.loss == pytest.approx(exact, rel=1e-7)
